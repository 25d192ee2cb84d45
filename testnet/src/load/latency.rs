//! Latencies: collected in HDR histograms, shown as percentiles.
//!
//! Invariant: what is recorded counts from the moment at which a trade was due, not from when this
//! program got around to it. So a stall of a bank shows in all trades that were due during it, and
//! not only in the few that were on their way (coordinated omission).

use std::time::Duration;

use hdrhistogram::Histogram;
use quadrille_protocol::error::{Code, Refusal};
use serde::Serialize;

/// Longest latency that is told apart, in microseconds; longer ones count as this.
pub const LONGEST_US: u64 = 3_600_000_000;
/// Significant digits.
const DIGITS: u8 = 3;
/// The percentiles that are listed, in hundred-thousandths.
const LISTED: [u32; 18] = [
    0, 10_000, 25_000, 50_000, 60_000, 70_000, 75_000, 80_000, 85_000, 90_000, 92_500, 95_000,
    97_500, 99_000, 99_500, 99_900, 99_990, 100_000,
];

/// Latencies in short, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// On average.
    pub mean_us: f64,
    /// Half took no longer.
    pub p50_us: u64,
    /// 90 of 100 took no longer.
    pub p90_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
    /// 999 of 1,000 took no longer.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// So many of 100 took no longer than this.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentile {
    /// So many of 100.
    pub percentile: f64,
    /// Than this, in microseconds.
    pub us: u64,
}

/// Latencies while they are collected.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    ///
    /// # Errors
    /// `Q-2331` never, with these bounds.
    pub fn new() -> Result<Self, Refusal> {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, DIGITS);
        histogram.map(Self).map_err(|error| Refusal::new(Code::StepFailed, error.to_string()))
    }

    /// One more.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST_US));
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// So many of 100 took no longer than this.
    #[must_use]
    pub fn at(&self, percentile: f64) -> u64 {
        if self.0.is_empty() { 0 } else { self.0.value_at_percentile(percentile) }
    }

    /// In short.
    #[must_use]
    pub fn summary(&self) -> Latency {
        if self.0.is_empty() {
            return Latency::default();
        }
        Latency {
            count: self.0.len(),
            mean_us: self.0.mean(),
            p50_us: self.at(50.0),
            p90_us: self.at(90.0),
            p99_us: self.at(99.0),
            p999_us: self.at(99.9),
            max_us: self.0.max(),
        }
    }

    /// The percentiles that a plot shows; none of none.
    #[must_use]
    pub fn percentiles(&self) -> Vec<Percentile> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let listed = LISTED.iter().map(|of| f64::from(*of) / 1_000.0);
        listed.map(|percentile| Percentile { percentile, us: self.at(percentile) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_one_to_a_hundred_are_themselves() {
        let mut latencies = Latencies::new().unwrap();
        assert_eq!(latencies.summary(), Latency::default());
        assert!(latencies.percentiles().is_empty());
        for ms in 1..=100 {
            latencies.record(Duration::from_millis(ms));
        }
        let near = |us: u64, ms: u64| us.abs_diff(ms * 1_000) <= ms;
        let short = latencies.summary();
        assert_eq!(short.count, 100);
        assert!(near(short.p50_us, 50) && near(short.p99_us, 99) && near(short.max_us, 100));
        let last = latencies.percentiles().pop().unwrap();
        assert!((last.percentile - 100.0).abs() < f64::EPSILON && near(last.us, 100));
        latencies.record(Duration::from_secs(100_000));
        assert_eq!(latencies.at(100.0) / 1_000_000_000, 3, "one that is too long is kept");
        latencies.clear();
        assert_eq!(latencies.count(), 0);
    }
}
