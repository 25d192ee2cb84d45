//! A map for look-ups only.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::LazyLock;

use bincode::{Decode, Encode};

/// A hash map that cannot be iterated in hash order: the core must behave the same on every
/// machine, so the only way to see all of it is sorted by key. Used where there may be millions
/// of keys; a `BTreeMap` serves elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Table<K: Eq + Hash, V>(HashMap<K, V, Keyed>);

impl<K: Ord + Eq + Hash, V> Table<K, V> {
    /// The value under `key`.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }

    /// The value under `key`, to change.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.0.get_mut(key)
    }

    /// Whether there is a value under `key`.
    pub fn contains_key<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    /// Puts `value` under `key`; returns what was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    /// Takes the value under `key` out.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.0.remove(key)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it, sorted by key. Costs a sort: for snapshots and checks.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&K, &V)> {
        let mut all: Vec<(&K, &V)> = self.0.iter().collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all
    }
}

impl<K: Eq + Hash, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(HashMap::with_hasher(Keyed))
    }
}

impl<K: Ord + Eq + Hash + fmt::Debug, V: fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.sorted()).finish()
    }
}

impl<K: Encode + Ord + Eq + Hash, V: Encode> Encode for Table<K, V> {
    fn encode<E: bincode::enc::Encoder>(
        &self,
        encoder: &mut E,
    ) -> Result<(), bincode::error::EncodeError> {
        self.sorted().encode(encoder)
    }
}

impl<Context, K, V> Decode<Context> for Table<K, V>
where
    K: Decode<Context> + Eq + Hash + 'static,
    V: Decode<Context> + 'static,
{
    fn decode<D: bincode::de::Decoder<Context = Context>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        let pairs = Vec::<(K, V)>::decode(decoder)?;
        Ok(Self(pairs.into_iter().collect()))
    }
}

impl<'de, Context, K, V> bincode::BorrowDecode<'de, Context> for Table<K, V>
where
    K: Decode<Context> + Eq + Hash + 'static,
    V: Decode<Context> + 'static,
{
    fn borrow_decode<D: bincode::de::BorrowDecoder<'de, Context = Context>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        Self::decode(decoder)
    }
}

/// Makes hashers under a key drawn once per process: whoever chooses what is looked up here (an
/// order's id can be ground like any hash) cannot make keys collide without knowing it.
#[derive(Debug, Clone, Copy, Default)]
struct Keyed;

static SECRET: LazyLock<(u64, u64)> = LazyLock::new(|| {
    let (one, other) = (RandomState::new(), RandomState::new());
    (one.hash_one(0_u64), other.hash_one(1_u64) | 1)
});

impl BuildHasher for Keyed {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        let (state, key) = *SECRET;
        Folded { state, key }
    }
}

/// Folds eight bytes at a time into the state by a wide product. Most keys are hashes already.
struct Folded {
    state: u64,
    key: u64,
}

impl Folded {
    #[inline]
    fn fold(&mut self, word: u64) {
        let wide = u128::from(self.state ^ word).wrapping_mul(u128::from(self.key));
        let [low, high] = [wide as u64, (wide >> 64) as u64];
        self.state = low ^ high.rotate_left(23);
    }
}

impl Hasher for Folded {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.fold(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            for (to, from) in last.iter_mut().zip(rest) {
                *to = *from;
            }
            self.fold(u64::from_le_bytes(last));
        }
    }

    #[inline]
    fn write_usize(&mut self, length: usize) {
        self.state ^= length as u64;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}
