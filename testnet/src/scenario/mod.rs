//! Scenario files: what a network is, what happens to it and when, and what has to come of it.
//!
//! ```text
//!   file -> source, words -> read, steps, checks -> plan -> run -> acts, claims -> story
//!                                                    |
//!                                       stage: banks, customers, history
//! ```
//!
//! Nothing here is a part of the protocol: a scenario drives real processes through the same
//! programs, files and HTTP interface that an operator and a customer have.
//! `testnet/scenarios/README.md` documents the files.

mod acts;
mod banks;
mod checks;
mod claims;
pub mod command;
mod fate;
mod history;
mod order;
pub mod plan;
pub mod read;
pub mod run;
mod signals;
pub mod source;
mod stage;
mod steps;
pub mod story;
pub mod words;
