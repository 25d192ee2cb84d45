//! The deterministic simulator: many validators against each other, under faults.
//!
//! One seed is one run; everything in it follows from the seed. `run` has the course of a run,
//! `world` what exists, `edge` and `lifecycle` what nodes do, `faults`, `network`, `disk`,
//! `clock` and `byzantine` what goes wrong, `workload`, `wallet` and `subscriber` what people do, `audit`,
//! `check` and `liveness` what must hold.

pub mod audit;
pub mod broken;
pub mod byzantine;
pub mod cast;
pub mod check;
pub mod clock;
pub mod command;
pub mod disk;
mod edge;
pub mod faults;
mod lifecycle;
mod liveness;
pub mod network;
pub mod node;
mod reconcile;
pub mod report;
pub mod rng;
pub mod run;
pub mod signatures;
pub mod subscriber;
pub mod trace;
pub mod wallet;
pub mod workload;
pub mod world;

pub use report::Outcome;
pub use run::{Options, run_seed, run_seeds};
