//! What a run of batches changes: read through to the store, committed to it at once.
//!
//! ```text
//!   fold --typed rows--> Cache --each changed row encoded once--.
//!        --other rows--> changes -------------------------------+--> one commit
//! ```
//!
//! Invariants: the store changes only by what [`Draft::finish`] gives, one commit that carries the
//! rows together with how far they go; the cache says what the store says, so it is thrown away
//! when a commit did not come about.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use bincode::{Decode, Encode};
use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::types::{Domain, OrderId, SettlementId, Ubi};

use super::keys::{Key, after_prefix};
use super::rows::{LedgerRow, OfferRow, OrderRow, SettlementRow};
use super::store::{Change, Interval, MemoryTable, Store};

/// Rows are at most as large as what they are made of.
const ROW_BYTES: usize = 4 * limits::RECORD_BYTES;
/// Rows of one kind that are kept decoded from one run of batches to the next.
const KEPT_ROWS: usize = 8_192;
/// Domains that are known to be members.
const KEPT_MEMBERS: usize = 4_096;

/// A kind of row that is kept decoded.
pub(super) trait Kept: Encode + Decode<()> + Sized {
    /// What it is found by.
    type Id: Copy + Eq + Hash;

    /// The key of the row with that identifier.
    fn key(id: &Self::Id) -> Key;

    /// Whether nothing more is likely to happen to it.
    fn is_done(&self) -> bool;

    /// The rows of this kind.
    fn of(cache: &mut Cache) -> &mut Rows<Self>;
}

/// Decoded rows of one kind.
pub(super) struct Rows<R: Kept> {
    rows: HashMap<R::Id, R>,
    /// Those that are not as in the store; one may be named more than once.
    changed: Vec<R::Id>,
}

impl<R: Kept> Default for Rows<R> {
    fn default() -> Self {
        Self { rows: HashMap::new(), changed: Vec::new() }
    }
}

impl<R: Kept> Rows<R> {
    fn find(&mut self, store: &Store, id: &R::Id) -> Result<Option<&mut R>, Refusal> {
        match self.rows.entry(*id) {
            Entry::Occupied(entry) => Ok(Some(entry.into_mut())),
            Entry::Vacant(entry) => {
                let found = get(store, &R::key(id).bytes())?;
                Ok(found.map(|row| entry.insert(row)))
            }
        }
    }

    fn changed(&mut self, id: R::Id) {
        // A row changes in steps: most of the time it is the last one that is named.
        if self.changed.last() != Some(&id) {
            self.changed.push(id);
        }
    }

    /// Encodes what has changed and forgets what is not needed any more.
    fn settle(&mut self, changes: &mut MemoryTable) {
        for id in std::mem::take(&mut self.changed) {
            // Forgotten already when it is named twice.
            let Some(row) = self.rows.get(&id) else { continue };
            changes.change(R::key(&id).bytes(), put(row, false));
            if row.is_done() {
                self.rows.remove(&id);
            }
        }
        if self.rows.len() > KEPT_ROWS {
            self.rows.clear();
        }
    }
}

/// Rows that are kept decoded.
#[derive(Default)]
pub(super) struct Cache {
    settlements: Rows<SettlementRow>,
    orders: Rows<OrderRow>,
    offers: Rows<OfferRow>,
    ledgers: Rows<LedgerRow>,
    members: std::collections::BTreeSet<Domain>,
}

impl Kept for SettlementRow {
    type Id = SettlementId;

    fn key(id: &SettlementId) -> Key {
        Key::settlement(id)
    }

    fn is_done(&self) -> bool {
        self.is_final()
    }

    fn of(cache: &mut Cache) -> &mut Rows<Self> {
        &mut cache.settlements
    }
}

impl Kept for OrderRow {
    type Id = OrderId;

    fn key(id: &OrderId) -> Key {
        Key::order(id)
    }

    fn is_done(&self) -> bool {
        use super::rows::OrderState as Is;
        match self.state {
            Is::Open | Is::Settling(_) => false,
            Is::Refused(_)
            | Is::Done
            | Is::Settled(_)
            | Is::Refunded(_)
            | Is::Filled
            | Is::Ended(_) => true,
        }
    }

    fn of(cache: &mut Cache) -> &mut Rows<Self> {
        &mut cache.orders
    }
}

impl Kept for OfferRow {
    type Id = OrderId;

    fn key(id: &OrderId) -> Key {
        Key::offer(id)
    }

    fn is_done(&self) -> bool {
        self.closed.is_some()
    }

    fn of(cache: &mut Cache) -> &mut Rows<Self> {
        &mut cache.offers
    }
}

impl Kept for LedgerRow {
    type Id = Ubi;

    fn key(id: &Ubi) -> Key {
        Key::ledger(id)
    }

    fn is_done(&self) -> bool {
        false
    }

    fn of(cache: &mut Cache) -> &mut Rows<Self> {
        &mut cache.ledgers
    }
}

/// The rows as they will be.
pub(super) struct Draft<'a> {
    store: &'a Store,
    cache: Cache,
    changes: MemoryTable,
}

impl<'a> Draft<'a> {
    pub fn new(store: &'a Store, cache: Cache) -> Self {
        Self { store, cache, changes: MemoryTable::default() }
    }

    /// A row of a kind that is kept decoded.
    pub fn row<R: Kept>(&mut self, id: &R::Id) -> Result<Option<&R>, Refusal> {
        R::of(&mut self.cache).find(self.store, id).map(|row| row.map(|row| &*row))
    }

    /// Such a row, to be changed.
    pub fn change<R: Kept>(&mut self, id: &R::Id) -> Result<Option<&mut R>, Refusal> {
        let rows = R::of(&mut self.cache);
        if rows.find(self.store, id)?.is_none() {
            return Ok(None);
        }
        rows.changed(*id);
        Ok(rows.rows.get_mut(id))
    }

    /// Puts such a row.
    pub fn keep<R: Kept>(&mut self, id: R::Id, row: R) {
        let rows = R::of(&mut self.cache);
        rows.changed(id);
        rows.rows.insert(id, row);
    }

    /// A row of another kind.
    pub fn get<T: Decode<()>>(&self, key: Key) -> Result<Option<T>, Refusal> {
        let key = key.bytes();
        match self.changes.get(&key) {
            Some(Some(bytes)) => read(bytes).map(Some),
            Some(None) => Ok(None),
            None => get(self.store, &key),
        }
    }

    pub fn has(&self, key: Key) -> Result<bool, Refusal> {
        let key = key.bytes();
        match self.changes.get(&key) {
            Some(value) => Ok(value.is_some()),
            None => Ok(self.store.get(&key)?.is_some()),
        }
    }

    pub fn put<T: Encode>(&mut self, key: Key, row: &T) {
        self.changes.change(key.bytes(), put(row, false));
    }

    /// Puts a row under a key that was never used before: when it goes soon it leaves no trace.
    pub fn put_new<T: Encode>(&mut self, key: Key, row: &T) {
        self.changes.change(key.bytes(), put(row, true));
    }

    pub fn remove(&mut self, key: Key) {
        self.changes.change(key.bytes(), Change { value: None, born: false });
    }

    /// Whether `domain` is a member: there is a row whose key begins with `prefix`. Such rows are
    /// never removed.
    pub fn is_member(&mut self, domain: &Domain, prefix: Key) -> Result<bool, Refusal> {
        if self.cache.members.contains(domain) {
            return Ok(true);
        }
        let from = prefix.bytes();
        let interval = Interval { to: after_prefix(&from), from };
        let drafted = !self.changes.some(&interval, true, 1).is_empty();
        let is_member = drafted || !self.store.page(interval, true, 1)?.is_empty();
        if is_member && self.cache.members.len() < KEPT_MEMBERS {
            self.cache.members.insert(domain.clone());
        }
        Ok(is_member)
    }

    /// What is to be committed, and the cache for the next draft where it is.
    pub fn finish(mut self) -> (MemoryTable, Cache) {
        self.cache.settlements.settle(&mut self.changes);
        self.cache.orders.settle(&mut self.changes);
        self.cache.offers.settle(&mut self.changes);
        self.cache.ledgers.settle(&mut self.changes);
        (self.changes, self.cache)
    }
}

fn put<T: Encode>(row: &T, born: bool) -> Change {
    Change { value: Some(codec::with_encoded(row, |bytes| bytes.into())), born }
}

/// A row of the store.
pub(super) fn get<T: Decode<()>>(store: &Store, key: &[u8]) -> Result<Option<T>, Refusal> {
    store.get(key)?.map(|bytes| read(&bytes)).transpose()
}

/// Reads a row. We wrote it, and its block's checksum was checked.
pub(super) fn read<T: Decode<()>>(bytes: &[u8]) -> Result<T, Refusal> {
    codec::decode_loose::<T, ROW_BYTES>(bytes)
        .map_err(|refusal| Refusal::new(Code::IndexFailed, refusal.to_string()))
}

/// What an error of the database is to the rest of the node.
#[expect(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
pub(super) fn failed(error: sled::Error) -> Refusal {
    Refusal::new(Code::IndexFailed, error.to_string())
}
