//! What came of a load: the figures that reports are made of.

use std::collections::BTreeMap;

use quadrille_protocol::types::{OrderId, Time};
use serde::Serialize;

use super::cost::Cost;
use super::latency::{Latency, Percentile};
use super::machine::{Machine, Program};
use super::plan::LoadPlan;

/// The layout of `report.json`.
pub const FORMAT: u32 = 1;
/// Trades in doubt that are listed at most; all are counted.
pub const DOUBTS_LISTED: usize = 256;

/// Everything that a load brought to light.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The layout of this document.
    pub format: u32,
    /// What was wanted.
    pub plan: LoadPlan,
    /// What it ran against.
    pub network: NetworkFacts,
    /// What it ran on.
    pub machine: Machine,
    /// What measured it; the banks' programs lie beside it.
    pub program: Program,
    /// When the first was due.
    pub begun: Time,
    /// Whether it was broken off before its time.
    pub stopped: bool,
    /// Seconds in which new ones were begun.
    pub window_s: f64,
    /// Seconds until the last one had ended or was given up.
    pub total_s: f64,
    /// Holders at each end of each route.
    pub holders: usize,
    /// How the orders came to be signed.
    pub signing: Signing,
    /// How they ended.
    pub counts: Counts,
    /// Settled within the window, per second of it.
    pub settled_per_s: f64,
    /// From the moment each was due until all banks at its ends had said settled.
    pub settled: Latency,
    /// From the moment each was due until its bank's durable answer to the last order.
    pub accepted: Latency,
    /// From when it was really sent until it was settled: what a program sees that does not
    /// count the waiting before. Not what customers see.
    pub uncorrected: Latency,
    /// Percentiles of `settled`.
    pub settled_percentiles: Vec<Percentile>,
    /// Percentiles of `accepted`.
    pub accepted_percentiles: Vec<Percentile>,
    /// Percentiles of `uncorrected`.
    pub uncorrected_percentiles: Vec<Percentile>,
    /// Second by second.
    pub seconds: Vec<Second>,
    /// Where the time went, by the banks' own records of some settlements.
    pub steps: Vec<Step>,
    /// Settlements that `steps` was read from.
    pub steps_from: usize,
    /// What banks were owed, over time.
    pub exposures: Vec<Exposure>,
    /// Faults and dead banks, on the same clock.
    pub faults: Vec<Span>,
    /// What each of those that settled cost the banks; none when a bank was restarted meanwhile.
    pub cost: Option<Cost>,
    /// CPU seconds of this program from the clock's start on.
    pub own_cpu_s: f64,
    /// Those that are not known to have ended, at most [`DOUBTS_LISTED`] of them.
    pub in_doubt: Vec<Doubt>,
}

/// The network.
#[derive(Debug, Clone, Serialize)]
pub struct NetworkFacts {
    /// Its name.
    pub name: String,
    /// Its banks.
    pub banks: Vec<String>,
    /// What its keys and amounts were derived from.
    pub seed: u64,
    /// The suite of its banks' keys.
    pub suite: String,
}

/// Customers sign on machines of their own, so signing is no part of what is measured.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Signing {
    /// Trades whose orders were signed before the clock started.
    pub before: u64,
    /// Trades whose orders were signed on other threads while it ran, and took cores from the
    /// banks.
    pub during: u64,
    /// Time that signing took, all threads together, in seconds.
    pub seconds: f64,
}

/// How they ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Due, by the plan.
    pub scheduled: u64,
    /// Begun: the first order was sent.
    pub begun: u64,
    /// Settled at all ends.
    pub settled: u64,
    /// Refunded.
    pub refunded: u64,
    /// Refused or ended without effect, by the code of the reason.
    pub refused: BTreeMap<String, u64>,
    /// Not known to have ended.
    pub in_doubt: u64,
    /// Due, and never begun.
    pub unsent: u64,
    /// Orders that were sent again because no answer came, or "later".
    pub resent: u64,
    /// Settled at one end and not at the other: never to happen.
    pub torn: u64,
}

impl Counts {
    /// Refused, whatever the code.
    #[must_use]
    pub fn refused_all(&self) -> u64 {
        self.refused.values().sum()
    }
}

/// One second of the load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Second {
    /// Its end, in seconds from the start.
    pub at_s: f64,
    /// How long it was.
    pub span_s: f64,
    /// Begun in it.
    pub begun: u64,
    /// Settled in it.
    pub settled: u64,
    /// Refunded in it.
    pub refunded: u64,
    /// Refused in it.
    pub refused: u64,
    /// Orders sent again in it.
    pub resent: u64,
    /// Open at its end.
    pub open: u64,
    /// Due and not begun at its end.
    pub waiting: u64,
    /// Latencies of those that settled in it, in microseconds; zero when none did.
    pub p50_us: u64,
    /// See `p50_us`.
    pub p99_us: u64,
    /// See `p50_us`.
    pub max_us: u64,
}

/// One step of settlements.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// What had happened at its end.
    pub name: String,
    /// What took the time.
    pub what: String,
    /// How long it took.
    pub took: Latency,
}

/// What one bank was owed by another in an asset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exposure {
    /// Who is owed.
    pub bank: String,
    /// By whom.
    pub peer: String,
    /// In which asset.
    pub asset: String,
    /// The most that may be owed, in minor units.
    pub limit: f64,
    /// Over time.
    pub points: Vec<ExposurePoint>,
}

/// At one moment, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ExposurePoint {
    /// Seconds from the start.
    pub at_s: f64,
    /// What it is owed less what it owes.
    pub net: f64,
    /// What open settlements will add at most.
    pub reserved: f64,
}

/// Something that was so for a time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Span {
    /// What.
    pub what: String,
    /// From when on, in seconds from the start.
    pub from_s: f64,
    /// Until when.
    pub to_s: f64,
}

/// One that is not known to have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Doubt {
    /// Its number, from 0.
    pub number: u64,
    /// The banks, and the orders handed in to them.
    pub orders: Vec<(String, OrderId)>,
    /// What is known of it.
    pub known: String,
}

/// What a progress bar shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tick {
    /// What is being done.
    pub stage: Stage,
    /// Seconds since the clock started.
    pub at_s: f64,
    /// The share of the work that is done, from 0 to 1.
    pub done: f64,
    /// Settled per second, over the last seconds.
    pub per_second: f64,
    /// Latencies of the last second in which any settled, in microseconds.
    pub p50_us: u64,
    /// See `p50_us`.
    pub p99_us: u64,
    /// Open.
    pub open: u64,
    /// Open for longer than a settlement should be.
    pub late: u64,
    /// So far.
    pub counts: Counts,
}

/// Where a load is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// Ledgers are being opened.
    #[default]
    Opening,
    /// Orders are being signed.
    Signing,
    /// The clock runs.
    Running,
    /// Nothing new is begun; what is open goes on to its end.
    Ending,
}
