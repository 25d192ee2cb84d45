//! Seeded randomness: one stream per concern.
//!
//! Invariant: a draw in one stream never moves another, so a new draw in one place leaves the
//! rest of every old seed as it was. Only integers: the same on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// A stream of random numbers for one concern of one seed.
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `seed` for `concern`.
    #[must_use]
    pub fn new(seed: u64, concern: &str) -> Self {
        let mut state = Sha256::new();
        state.update(b"quadrille/sim");
        state.update(seed.to_le_bytes());
        state.update(concern.as_bytes());
        Self(ChaCha8Rng::from_seed(state.finalize().into()))
    }

    /// A number below `bound`; zero for a bound of zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.0.next_u64()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// An index of a collection with `length` elements.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// Whether something happens that happens `rate` times in ten thousand.
    pub fn chance(&mut self, rate: u64) -> bool {
        self.below(10_000) < rate
    }

    /// One of `items`; there must be one.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// 32 random bytes.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Stream;

    #[test]
    fn streams_repeat_and_are_independent() {
        let draws = |concern| {
            let mut stream = Stream::new(7, concern);
            (0..8).map(|_| stream.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draws("network"), draws("network"));
        assert_ne!(draws("network"), draws("disk"));
    }

    #[test]
    fn bounds_are_kept() {
        let mut stream = Stream::new(1, "bounds");
        assert!((0..1000).all(|_| stream.below(3) < 3));
        assert!((0..1000).all(|_| (5..=6).contains(&stream.between(5, 6))));
        assert_eq!(stream.below(0), 0);
    }
}
