//! What a run of batches changes: read through to the database, written to it at once.
//!
//! Invariant: the database changes only by [`Draft::write`], one atomic batch that carries the
//! rows together with how far they go. A process that dies leaves all of it or nothing.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;

use super::keys::Key;

/// Rows are at most as large as what they are made of.
const ROW_BYTES: usize = 4 * limits::RECORD_BYTES;

/// The rows as they will be.
pub(super) struct Draft<'a> {
    db: &'a sled::Db,
    changed: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'a> Draft<'a> {
    pub fn new(db: &'a sled::Db) -> Self {
        Self { db, changed: BTreeMap::new() }
    }

    pub fn get<T: Decode<()>>(&self, key: Key) -> Result<Option<T>, Refusal> {
        let key = key.bytes();
        match self.changed.get(&key) {
            Some(Some(bytes)) => read(bytes).map(Some),
            Some(None) => Ok(None),
            None => get(self.db, &key),
        }
    }

    pub fn has(&self, key: Key) -> Result<bool, Refusal> {
        let key = key.bytes();
        match self.changed.get(&key) {
            Some(value) => Ok(value.is_some()),
            None => self.db.contains_key(&key).map_err(failed),
        }
    }

    pub fn put<T: Encode>(&mut self, key: Key, row: &T) {
        self.changed.insert(key.bytes(), Some(codec::encode(row)));
    }

    pub fn remove(&mut self, key: Key) {
        self.changed.insert(key.bytes(), None);
    }

    /// Whether the database has a row whose key begins with this one. Rows of the draft count.
    pub fn any_with(&self, prefix: Key) -> Result<bool, Refusal> {
        let prefix = prefix.bytes();
        let drafted = self.changed.range(prefix.clone()..).next();
        if drafted.is_some_and(|(key, value)| key.starts_with(&prefix) && value.is_some()) {
            return Ok(true);
        }
        self.db
            .scan_prefix(&prefix)
            .keys()
            .next()
            .transpose()
            .map(|key| key.is_some())
            .map_err(failed)
    }

    /// Writes everything at once.
    pub fn write(self) -> Result<(), Refusal> {
        let mut batch = sled::Batch::default();
        for (key, value) in self.changed {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.db.apply_batch(batch).map_err(failed)
    }
}

/// A row of the database.
pub(super) fn get<T: Decode<()>>(db: &sled::Db, key: &[u8]) -> Result<Option<T>, Refusal> {
    db.get(key).map_err(failed)?.map(|bytes| read(&bytes)).transpose()
}

/// Reads a row. We wrote it, and sled has checked its checksum.
pub(super) fn read<T: Decode<()>>(bytes: &[u8]) -> Result<T, Refusal> {
    codec::decode_loose::<T, ROW_BYTES>(bytes)
        .map_err(|refusal| Refusal::new(Code::IndexFailed, refusal.to_string()))
}

/// What an error of the database is to the rest of the node.
#[expect(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
pub(super) fn failed(error: sled::Error) -> Refusal {
    Refusal::new(Code::IndexFailed, error.to_string())
}
