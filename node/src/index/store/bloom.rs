//! A Bloom filter: says of a key that a run does not have it, without reading the run.
//!
//! Ten bits and six probes per key: about one wrong "perhaps" in a hundred. The hash is our own,
//! as it is stored: it must never change under a filter that has been written.

use bincode::{Decode, Encode};

const BITS_PER_KEY: u64 = 10;
const PROBES: u64 = 6;

/// The filter.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Bloom {
    words: Vec<u64>,
}

impl Bloom {
    /// One with room for `keys`.
    pub fn with_room(keys: usize) -> Self {
        let bits = u64::try_from(keys).unwrap_or(u64::MAX).saturating_mul(BITS_PER_KEY);
        let words = usize::try_from(bits.div_ceil(64)).unwrap_or(usize::MAX).max(1);
        Self { words: vec![0; words] }
    }

    /// Adds a key.
    pub fn add(&mut self, hash: u64) {
        for bit in self.bits(hash) {
            if let Some(word) = self.words.get_mut(bit.0) {
                *word |= bit.1;
            }
        }
    }

    /// Whether the key may have been added.
    pub fn may_have(&self, hash: u64) -> bool {
        self.bits(hash).all(|(word, bit)| self.words.get(word).is_some_and(|word| word & bit != 0))
    }

    fn bits(&self, hash: u64) -> impl Iterator<Item = (usize, u64)> + use<> {
        let count = u64::try_from(self.words.len()).unwrap_or(u64::MAX).saturating_mul(64);
        let step = hash.rotate_left(32) | 1;
        (0..PROBES).map(move |probe| {
            let mixed = hash.wrapping_add(step.wrapping_mul(probe));
            let bit = mixed.checked_rem(count).unwrap_or(0);
            (usize::try_from(bit / 64).unwrap_or(usize::MAX), 1 << (bit % 64))
        })
    }
}

/// The hash of a key.
pub(super) fn hash_of(key: &[u8]) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::try_from(key.len()).unwrap_or(0);
    for part in key.chunks(8) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(part) {
            *to = *from;
        }
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 32;
    }
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
