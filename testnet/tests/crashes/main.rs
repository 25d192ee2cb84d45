//! What real processes are worth when they are killed: every test starts an authority, a bootstrap
//! peer and two banks as processes of their own, and ends them in the worst moments.
//!
//! The banks' crash points are of debug builds only, so there is nothing of this in a release.

#![cfg(debug_assertions)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and tells what it has tried"
)]

mod kills;
mod logs;
#[path = "../programs/mod.rs"]
mod programs;
mod restarts;
mod restored;
mod stage;
mod subscribers;
