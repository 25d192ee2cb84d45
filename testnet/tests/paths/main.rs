//! Payments over other banks, between real processes: an authority, a bootstrap peer and four
//! banks, whose trust in bank-a's euro is set up as each test wants it.

#![cfg(debug_assertions)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking and tells what it has tried"
)]

mod desk;
mod enclosed;
mod kills;
mod netting;
mod notary;
#[path = "../programs/mod.rs"]
mod programs;
mod stage;
mod transfer;
mod ways;
