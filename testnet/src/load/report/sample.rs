//! An outcome with known figures, for tests of what is shown.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use quadrille_protocol::types::{OrderId, Time};

use super::super::cost::Cost;
use super::super::latency::Latencies;
use super::super::machine::{Machine, Program};
use super::super::outcome::*;
use super::super::plan::LoadPlan;

/// A minute at 120 a second, in which `bank` is down for five seconds.
pub(super) fn outcome(bank: &str) -> Outcome {
    let mut settled = Latencies::new().unwrap();
    let mut rows = Vec::new();
    for second in 1..=60_u64 {
        let down = (20..25).contains(&second);
        let us = if down { 0 } else { 9_000 + (second * 7_919) % 4_000 };
        let count = match second {
            _ if down => 0,
            25 => 720,
            _ => 120,
        };
        for trade in 0..count {
            let late = if second == 25 { (trade * 5_000_000) / 720 } else { 0 };
            settled.record(Duration::from_micros(us + late + (trade * 37) % 3_000));
        }
        rows.push(Second {
            at_s: second as f64,
            span_s: 1.0,
            begun: 120,
            settled: count,
            open: if down { (second - 19) * 120 } else { 62 },
            refused: u64::from(second == 40) * 3,
            p50_us: us,
            p99_us: us * 2,
            max_us: us * if second == 25 { 400 } else { 3 },
            ..Second::default()
        });
    }
    let mut counts = Counts { scheduled: 7_200, begun: 7_200, settled: 7_196, ..Counts::default() };
    counts.refused.insert("Q-1405".to_owned(), 3);
    counts.in_doubt = 1;
    let points = (0..60).map(|at| ExposurePoint {
        at_s: f64::from(at),
        net: f64::from(at) * 12_000.0,
        reserved: 800.0,
    });
    let exposure = Exposure {
        bank: bank.to_owned(),
        peer: "bank-a.example".to_owned(),
        asset: "BOND:bank-a.example#0011223344556677".to_owned(),
        limit: 1e14,
        points: points.collect(),
    };
    let summary = settled.summary();
    let step = |name: &str, what: &str, ms: u64| {
        let mut took = Latencies::new().unwrap();
        (0..100).for_each(|at| took.record(Duration::from_micros(ms * 1_000 + at * ms * 20)));
        Step { name: name.to_owned(), what: what.to_owned(), took: took.summary() }
    };
    Outcome {
        format: FORMAT,
        plan: LoadPlan::dvp("bank-a", bank, 120.0, Duration::from_secs(60)),
        network: NetworkFacts {
            name: "local".to_owned(),
            banks: vec!["bank-a".to_owned(), bank.to_owned()],
            seed: 7,
            suite: "hybrid-ml-dsa-65".to_owned(),
        },
        machine: Machine::this(),
        program: Program { version: "0.1.0", commit: None, profile: "debug" },
        begun: Time(1_795_000_000_000),
        stopped: false,
        window_s: 60.0,
        total_s: 61.0,
        holders: 120,
        signing: Signing { before: 7_200, during: 0, seconds: 2.5 },
        settled_per_s: 119.9,
        settled: summary,
        accepted: summary,
        uncorrected: summary,
        settled_percentiles: settled.percentiles(),
        accepted_percentiles: settled.percentiles().into_iter().map(third).collect(),
        uncorrected_percentiles: settled.percentiles().into_iter().map(third).collect(),
        seconds: rows,
        steps: vec![
            step("Agreed", "the take is durable; the terms are drawn up and signed", 3),
            step("Locked", "every bank has set its side aside", 4),
            step("Revealed", "the initiator has seen all locks and gives the secret", 2),
            step("Decided", "the decider has written its decision down", 1),
            step("Settled", "every bank has booked it", 3),
        ],
        steps_from: 100,
        exposures: vec![exposure],
        faults: vec![Span { what: format!("{bank} is down"), from_s: 19.4, to_s: 24.6 }],
        cost: Some(Cost {
            batches: 1.2,
            log_fsyncs: 1.2,
            guard_fsyncs: 1.2,
            log_bytes: 9_200.0,
            mesh_bytes: 4_100.0,
            cpu_ms: 2.4,
            own_cpu_ms: 0.3,
            append_ms: 0.4,
            sign_ms: 0.5,
        }),
        own_cpu_s: 2.2,
        counts,
        in_doubt: vec![Doubt {
            number: 77,
            orders: vec![(bank.to_owned(), OrderId([7; 32]))],
            known: "accepted; first end: nothing heard; second end: settled".to_owned(),
        }],
    }
}

fn third(one: super::super::latency::Percentile) -> super::super::latency::Percentile {
    super::super::latency::Percentile { us: one.us / 3, ..one }
}
