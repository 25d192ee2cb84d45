//! When to try again: waits that double up to a bound, with jitter so that nodes that failed
//! together do not come back together.

use std::time::{Duration, Instant};

/// The waits of one thing that is tried again and again.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    wait: Duration,
    not_before: Option<Instant>,
}

impl Backoff {
    /// Ready at once.
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, wait: first, not_before: None }
    }

    /// Notes a failure and returns how long to wait: between half and all of the current wait.
    pub fn fail(&mut self) -> Duration {
        let jittered = self.wait.mul_f64(rand::random_range(0.5..=1.0));
        self.wait = self.wait.saturating_mul(2).min(self.most);
        self.not_before = Instant::now().checked_add(jittered);
        jittered
    }

    /// Notes a success.
    pub fn succeed(&mut self) {
        self.wait = self.first;
        self.not_before = None;
    }

    /// Whether it has not failed for `quiet` after its wait was over: nobody tries it any more.
    pub fn is_forgotten(&self, quiet: Duration) -> bool {
        self.not_before.is_none_or(|instant| instant.elapsed() > quiet)
    }

    /// Whether it may be tried now.
    pub fn is_ready(&self) -> bool {
        self.not_before.is_none_or(|instant| Instant::now() >= instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_begin_anew_after_a_success() {
        let (first, most) = (Duration::from_millis(100), Duration::from_millis(400));
        let mut backoff = Backoff::new(first, most);
        assert!(backoff.is_ready());
        for longest in [100, 200, 400, 400] {
            let wait = backoff.fail();
            let longest = Duration::from_millis(longest);
            assert!(wait <= longest && wait >= longest / 2, "{wait:?} of {longest:?}");
            assert!(!backoff.is_ready());
        }
        backoff.succeed();
        assert!(backoff.is_ready());
        assert!(backoff.fail() <= first);
    }
}
