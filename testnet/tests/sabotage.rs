//! Bugs on purpose: the simulator must find each of them, and nothing without them.
//!
//! The workload and the faults never know which bug is planted.

#![cfg(feature = "sabotage")]

use quadrille_protocol::sabotage::{Bug, plant};
use quadrille_testnet::sim::broken::Broken;
use quadrille_testnet::sim::{Options, run_seed};

/// Within so many seeds each bug must be found.
const SEEDS: u64 = 500;

fn first_find(bug: Bug) -> Option<(u64, Broken)> {
    plant(Some(bug));
    let found = (1..=SEEDS).find_map(|seed| {
        let outcome = run_seed(seed, Options::default());
        outcome.broken.map(|broken| (seed, broken))
    });
    plant(None);
    found
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
                // What it found must be the bug: the same seed holds without it.
                let clean = run_seed(seeds, Options::default()).broken;
                assert_eq!(clean, None, "seed {seeds} fails without {bug:?} too");
            }
            None => missed.push(*bug),
        }
    }
    println!("{table}");
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}\n{table}");
}
