//! Virtual time: one true clock in milliseconds, and each node's own idea of it.

use quadrille_protocol::types::Time;

/// The true time at which every run begins: 2026-01-01T00:00:00Z.
pub const START_MS: u64 = 1_767_225_600_000;

const PARTS: i128 = 1_000_000;

/// One node's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct NodeClock {
    offset_ms: i64,
    drift_ppm: i64,
}

impl NodeClock {
    /// A clock that is off by `offset_ms` and gains `drift_ppm` millionths.
    #[must_use]
    pub const fn new(offset_ms: i64, drift_ppm: i64) -> Self {
        Self { offset_ms, drift_ppm }
    }

    /// What it shows `true_ms` after the start.
    #[must_use]
    pub fn at(&self, true_ms: u64) -> Time {
        let elapsed = i128::from(true_ms);
        let gained = elapsed * i128::from(self.drift_ppm) / PARTS;
        let shown = i128::from(START_MS) + elapsed + gained + i128::from(self.offset_ms);
        Time(u64::try_from(shown).unwrap_or(0))
    }

    /// The first true time, from `now_ms` on, at which it shows `shown` or later.
    #[must_use]
    pub fn when(&self, shown: Time, now_ms: u64) -> u64 {
        let missing = shown.since(self.at(now_ms)).0;
        if missing == 0 {
            return now_ms;
        }
        let rate = PARTS + i128::from(self.drift_ppm);
        let wait = i128::from(missing) * PARTS / rate.max(1) + 1;
        now_ms.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    /// Jumps by `by_ms`.
    pub fn jump(&mut self, by_ms: i64) {
        self.offset_ms = self.offset_ms.saturating_add(by_ms);
    }

    /// Set right: no offset, no drift.
    pub fn set_right(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_is_never_too_early() {
        for (offset, drift) in [(0, 0), (5_000, 300), (-7_000, -300), (1, 999)] {
            let clock = NodeClock::new(offset, drift);
            let wanted = clock.at(1_000).after(quadrille_protocol::types::Duration(12_345));
            let when = clock.when(wanted, 1_000);
            assert!(clock.at(when) >= wanted);
            assert!(clock.at(when - 20) < wanted);
        }
    }
}
