//! The newest rows, sorted, in memory: what has been applied and is in no run yet.
//!
//! Invariant: a row that is put and removed again here, and of which there is nothing older,
//! leaves nothing behind. Every other removal leaves a tombstone that hides what is older.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::Interval;

/// What a row takes beside its own bytes: its place in the tree and its allocations.
const ROW_OVERHEAD: usize = 80;

/// One change of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The row's new bytes; `None` removes it.
    pub value: Option<Box<[u8]>>,
    /// Nothing older has this key.
    pub born: bool,
}

/// What one layer of the store says of a key: its row, that it is gone, or nothing.
pub(super) type Found<T> = Option<Option<T>>;

/// Rows and tombstones.
#[derive(Debug, Default)]
pub(crate) struct MemoryTable {
    rows: BTreeMap<Vec<u8>, Change>,
    bytes: usize,
}

impl MemoryTable {
    /// Takes a change in.
    pub fn change(&mut self, key: Vec<u8>, change: Change) {
        let size = size_of(&key, &change);
        match self.rows.entry(key) {
            Entry::Vacant(entry) => {
                if change.value.is_some() || !change.born {
                    entry.insert(change);
                    self.bytes = self.bytes.saturating_add(size);
                }
            }
            Entry::Occupied(mut entry) => {
                self.bytes = self.bytes.saturating_sub(size_of(entry.key(), entry.get()));
                // What was born here may go without a trace; what only came back may not.
                let born = entry.get().born;
                if change.value.is_none() && born {
                    entry.remove();
                } else {
                    *entry.get_mut() = Change { value: change.value, born };
                    self.bytes = self.bytes.saturating_add(size);
                }
            }
        }
    }

    /// What is known of a key.
    pub fn get(&self, key: &[u8]) -> Found<&[u8]> {
        self.rows.get(key).map(|change| change.value.as_deref())
    }

    /// At most `most` rows and tombstones of an interval, from its low or its high end on.
    pub fn some(&self, interval: &Interval, ascending: bool, most: usize) -> Vec<Copied> {
        if interval.is_empty() {
            return Vec::new();
        }
        let rows = self.rows.range::<[u8], _>(interval.bounds());
        let copy = |(key, change): (&Vec<u8>, &Change)| (key.clone(), change.value.clone());
        match ascending {
            true => rows.take(most).map(copy).collect(),
            false => rows.rev().take(most).map(copy).collect(),
        }
    }

    /// All rows and tombstones in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.rows.iter().map(|(key, change)| (key.as_slice(), change.value.as_deref()))
    }

    /// Takes all of `changes` in.
    pub fn merge(&mut self, changes: Self) {
        if self.rows.is_empty() {
            *self = changes;
            return;
        }
        for (key, change) in changes.rows {
            self.change(key, change);
        }
    }

    /// How much memory it takes, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Rows and tombstones.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has neither rows nor tombstones.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// A row or tombstone that was copied out of a table.
pub(super) type Copied = (Vec<u8>, Option<Box<[u8]>>);

fn size_of(key: &Vec<u8>, change: &Change) -> usize {
    let value = change.value.as_ref().map_or(0, |value| value.len());
    key.capacity().saturating_add(value).saturating_add(ROW_OVERHEAD)
}
