//! Token buckets: how fast a bearer may hand in orders, and how many refusals one ledger may
//! cause. Every refusal of an order is a record in the log, so they must not be free.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Buckets that are kept; beyond that those that are full again are forgotten.
const BUCKETS: usize = 65_536;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Per second.
    pub per_second: f64,
    /// At once, after a pause.
    pub burst: f64,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    seen: Instant,
}

/// One bucket per key.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes one out.
    ///
    /// # Errors
    /// How long to wait until there is one.
    pub fn take(&self, key: &K, now: Instant) -> Result<(), Duration> {
        self.draw(key, now, 1.0)
    }

    /// Whether there is one, without taking it.
    ///
    /// # Errors
    /// How long to wait until there is one.
    pub fn check(&self, key: &K, now: Instant) -> Result<(), Duration> {
        self.draw(key, now, 0.0)
    }

    fn draw(&self, key: &K, now: Instant, amount: f64) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let left = buckets.get(key).map_or(self.rate.burst, |bucket| self.filled(bucket, now));
        if left < 1.0 {
            let wait = (1.0 - left) / self.rate.per_second.max(f64::MIN_POSITIVE);
            return Err(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX));
        }
        if amount > 0.0 {
            if buckets.len() >= BUCKETS && !buckets.contains_key(key) {
                buckets.retain(|_, bucket| self.filled(bucket, now) < self.rate.burst);
            }
            // All in use: whoever comes now is not counted, rather than kept out by others.
            if buckets.len() < BUCKETS || buckets.contains_key(key) {
                buckets.insert(key.clone(), Bucket { left: left - amount, seen: now });
            }
        }
        Ok(())
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let since = now.saturating_duration_since(bucket.seen).as_secs_f64();
        (bucket.left + since * self.rate.per_second).min(self.rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 2.0, burst: 3.0 };

    #[test]
    fn a_burst_then_the_rate() {
        let (buckets, start) = (Buckets::new(RATE), Instant::now());
        for _ in 0..3 {
            buckets.take(&"a", start).unwrap();
        }
        assert_eq!(buckets.check(&"a", start), Err(Duration::from_millis(500)));
        assert_eq!(buckets.take(&"b", start), Ok(()));
        let later = start + Duration::from_millis(500);
        assert_eq!(buckets.take(&"a", later), Ok(()));
        assert_eq!(buckets.take(&"a", later), Err(Duration::from_millis(500)));
    }

    #[test]
    fn looking_takes_nothing_and_a_pause_fills_no_more_than_the_burst() {
        let (buckets, start) = (Buckets::new(RATE), Instant::now());
        for _ in 0..10 {
            buckets.check(&"a", start).unwrap();
        }
        buckets.take(&"a", start).unwrap();
        let later = start + Duration::from_secs(3600);
        for _ in 0..3 {
            buckets.take(&"a", later).unwrap();
        }
        assert!(buckets.take(&"a", later).is_err());
    }

    #[test]
    fn there_are_no_more_buckets_than_the_bound() {
        let (buckets, start) = (Buckets::new(RATE), Instant::now());
        for number in 0..BUCKETS + 10 {
            buckets.take(&number, start).unwrap();
        }
        assert_eq!(buckets.buckets.lock().unwrap().len(), BUCKETS);
        let later = start + Duration::from_secs(10);
        buckets.take(&usize::MAX, later).unwrap();
        assert_eq!(buckets.buckets.lock().unwrap().len(), 1);
    }
}
