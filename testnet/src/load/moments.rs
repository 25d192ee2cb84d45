//! The moments at which trades are due in an open loop.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::plan::{LoadPlan, Pace};

/// Moments one after the other, counted from the clock's start. They never end: the plan says how
/// many there are.
pub(super) struct Moments {
    gap: Duration,
    random: Option<ChaCha8Rng>,
    whole: u64,
    next: Duration,
}

impl Moments {
    /// Those of a plan; of a closed loop all are at once, and nobody asks.
    pub fn of(plan: &LoadPlan) -> Self {
        let (per_second, random) = match plan.pace {
            Pace::Open { per_second, random } => (per_second, random),
            Pace::Closed { .. } => (f64::INFINITY, false),
        };
        let gap = Duration::try_from_secs_f64(per_second.recip()).unwrap_or_default();
        let random = random.then(|| ChaCha8Rng::seed_from_u64(plan.seed));
        Self { gap, random, whole: 0, next: Duration::ZERO }
    }

    /// The next one.
    pub fn next(&self) -> Duration {
        self.next
    }

    /// Goes on to the one after it.
    pub fn advance(&mut self) {
        match &mut self.random {
            None => {
                // Multiplied, not added up, so that roundings do not add up either.
                self.whole = self.whole.saturating_add(1);
                let nanos = self.gap.as_nanos().saturating_mul(u128::from(self.whole));
                let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
                let rest = u32::try_from(nanos % 1_000_000_000).unwrap_or_default();
                self.next = Duration::new(seconds, rest);
            }
            Some(random) => {
                let drawn: f64 = random.random_range(f64::MIN_POSITIVE..1.0);
                let gap = self.gap.as_secs_f64() * -drawn.ln();
                self.next =
                    self.next.saturating_add(Duration::try_from_secs_f64(gap).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(plan: &LoadPlan, count: usize) -> Duration {
        let mut moments = Moments::of(plan);
        (0..count).for_each(|_| moments.advance());
        moments.next()
    }

    #[test]
    fn even_moments_keep_their_distance_and_random_ones_their_number() {
        let even = LoadPlan::dvp("a", "b", 300.0, Duration::from_secs(60));
        let late = after(&even, 300).abs_diff(Duration::from_secs(1));
        assert!(late < Duration::from_micros(1), "{late:?}");
        let pace = Pace::Open { per_second: 300.0, random: true };
        let random = LoadPlan { pace, seed: 7, ..even };
        let all = after(&random, 30_000).as_secs_f64();
        assert!((95.0..105.0).contains(&all), "{all}");
        assert_eq!(after(&random, 500), after(&random, 500), "the same seed, the same moments");
        assert_ne!(after(&random, 500), after(&LoadPlan { seed: 8, ..random.clone() }, 500));
    }
}
