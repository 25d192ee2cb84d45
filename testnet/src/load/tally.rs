//! Counting: latencies, ends, and one row for each second.

use std::time::{Duration, Instant};

use quadrille_protocol::error::Refusal;

use super::latency::Latencies;
use super::outcome::{Counts, Second};
use super::plan::DURATION;

/// One row stands for so long.
const ROW: Duration = Duration::from_secs(1);
/// Rows at most: the longest load, and twice its end.
const ROWS: usize = 3 * DURATION.as_secs() as usize;

/// How one has ended that did not settle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Refunded,
    Refused(String),
    /// Settled at one end and not at the other.
    Torn,
}

/// Everything that is counted.
pub(super) struct Tally {
    pub counts: Counts,
    pub settled: Latencies,
    pub accepted: Latencies,
    pub uncorrected: Latencies,
    pub rows: Vec<Second>,
    /// Settled up to the end of the window.
    pub in_window: u64,
    recent: Latencies,
    row: Second,
    row_from: Instant,
    begun: Instant,
}

impl Tally {
    pub fn new(begun: Instant) -> Result<Self, Refusal> {
        Ok(Self {
            counts: Counts::default(),
            settled: Latencies::new()?,
            accepted: Latencies::new()?,
            uncorrected: Latencies::new()?,
            rows: Vec::new(),
            in_window: 0,
            recent: Latencies::new()?,
            row: Second::default(),
            row_from: begun,
            begun,
        })
    }

    pub fn begun(&mut self) {
        bump(&mut self.counts.begun);
        bump(&mut self.row.begun);
    }

    pub fn resent(&mut self) {
        bump(&mut self.counts.resent);
        bump(&mut self.row.resent);
    }

    pub fn accepted(&mut self, due: Instant, at: Instant) {
        self.accepted.record(at.saturating_duration_since(due));
    }

    /// One is settled: it was due, it was sent, it had ended.
    pub fn settled(&mut self, due: Instant, sent: Instant, at: Instant, in_window: bool) {
        bump(&mut self.counts.settled);
        bump(&mut self.row.settled);
        if in_window {
            bump(&mut self.in_window);
        }
        let took = at.saturating_duration_since(due);
        self.settled.record(took);
        self.recent.record(took);
        self.uncorrected.record(at.saturating_duration_since(sent));
    }

    /// One has ended in another way.
    pub fn ended(&mut self, end: End) {
        match end {
            End::Refunded => {
                bump(&mut self.counts.refunded);
                bump(&mut self.row.refunded);
            }
            End::Refused(code) => {
                bump(self.counts.refused.entry(code).or_default());
                bump(&mut self.row.refused);
            }
            End::Torn => bump(&mut self.counts.torn),
        }
    }

    /// Ends the row if its time is over, or if this is `last`.
    pub fn roll(&mut self, now: Instant, open: usize, waiting: usize, last: bool) {
        let span = now.saturating_duration_since(self.row_from);
        if self.rows.len() >= ROWS || (span < ROW && !(last && span > Duration::ZERO)) {
            return;
        }
        let row = Second {
            at_s: now.saturating_duration_since(self.begun).as_secs_f64(),
            span_s: span.as_secs_f64(),
            open: u64::try_from(open).unwrap_or(u64::MAX),
            waiting: u64::try_from(waiting).unwrap_or(u64::MAX),
            p50_us: self.recent.at(50.0),
            p99_us: self.recent.at(99.0),
            max_us: self.recent.at(100.0),
            ..self.row
        };
        self.rows.push(row);
        self.recent.clear();
        self.row = Second::default();
        self.row_from = now;
    }
}

fn bump(count: &mut u64) {
    *count = count.saturating_add(1);
}
