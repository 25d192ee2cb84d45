//! Bugs on purpose: the simulator must find each of them, and nothing without them.
//!
//! The workload and the faults never know which bug is planted.

#![cfg(feature = "sabotage")]

use quadrille_protocol::sabotage::{Bug, plant};
use quadrille_testnet::sim::broken::Broken;
use quadrille_testnet::sim::{Options, run_seed};

/// Within so many seeds each bug must be found.
const SEEDS: u64 = 500;

/// The first seed that fails with the bug and holds without it.
fn first_find(bug: Bug) -> Option<(u64, Broken)> {
    (1..=SEEDS).find_map(|seed| {
        plant(Some(bug));
        let outcome = run_seed(seed, Options::default());
        plant(None);
        let broken = outcome.broken?;
        run_seed(seed, Options::default()).broken.is_none().then_some((seed, broken))
    })
}

#[test]
fn every_planted_bug_is_found() {
    let mut table = String::from("| planted bug | seeds | found by |\n|---|---:|---|\n");
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        match first_find(*bug) {
            Some((seeds, broken)) => {
                let (kind, invariant) = (broken.kind, broken.invariant);
                table.push_str(&format!("| {bug:?} | {seeds} | {kind:?}: {invariant} |\n"));
            }
            None => missed.push(*bug),
        }
    }
    println!("{table}");
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}\n{table}");
}
