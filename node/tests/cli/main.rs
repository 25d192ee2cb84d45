//! The command line as its users meet it: processes with arguments, files, output and exit codes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod assets;
mod bank;
mod cross;
mod names;
mod rules;
mod setup;
mod trading;
mod usage;
