//! Faults between and in real processes: what they do to trades, that they end in time, and that
//! everything holds together afterwards.
//!
//! Clocks and disks that fail are of debug builds only, so there is nothing of this in a release.

#![cfg(debug_assertions)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and tells what it has tried"
)]

mod commands;
mod links;
mod processes;
#[path = "../programs/mod.rs"]
mod programs;
mod stage;
