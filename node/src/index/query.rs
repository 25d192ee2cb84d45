//! Questions to the index. Every list has a limit and goes on at a cursor.

use bincode::Decode;
use quadrille_protocol::crypto::suite::PublicKey;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::types::{
    Domain, Hash, Holder, KeyId, OrderId, Sequence, SettlementId, Uai, Ubi,
};
use sha2::Digest;

use super::Index;
use super::draft::{get, read};
use super::keys::{Cursor, Key, Kind, after_prefix};
use super::rows::{Counters, EntryRow, LedgerRow, OfferRow, OrderRow, Place, SettlementRow};
use super::store::Interval;

/// The most rows one question is answered with, whatever it asks for.
pub const LIST_ROWS: usize = 1_000;

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the list goes on; `None` at its end.
    pub next: Option<Cursor>,
}

/// Which settlements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettlementFilter {
    /// Every one.
    All,
    /// Those not at their end here.
    Open,
    /// Those at their end here.
    Final,
}

/// Which way a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the oldest, or the lowest number, on.
    Ascending,
    /// From the newest, or the highest number, back.
    Descending,
}

impl Index {
    /// A ledger.
    ///
    /// # Errors
    /// `Q-2401`, as all questions.
    pub fn ledger(&self, ledger: &Ubi) -> Result<Option<LedgerRow>, Refusal> {
        self.row(Key::ledger(ledger))
    }

    /// All ledgers, in the order of their identifiers.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn ledgers(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<LedgerRow>, Refusal> {
        self.list(Key::of(Kind::Ledger), after, limit, Order::Ascending, |_, row| read(row))
    }

    /// The ledgers of a holder, by their numbers.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn ledgers_of(
        &self,
        holder: &Holder,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<LedgerRow>, Refusal> {
        let prefix = Key::of(Kind::Holder).name(&holder.to_string());
        self.linked(prefix, after, limit, Order::Ascending, Key::ledger)
    }

    /// A holder's public key, current or not, second or not.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn key(&self, id: &KeyId) -> Result<Option<PublicKey>, Refusal> {
        self.row(Key::public_key(id))
    }

    /// An entry of a ledger.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn entry(&self, ledger: &Ubi, sequence: Sequence) -> Result<Option<EntryRow>, Refusal> {
        self.row(Key::entry(ledger, sequence))
    }

    /// The entries of a ledger.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn entries(
        &self,
        ledger: &Ubi,
        order: Order,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<EntryRow>, Refusal> {
        let prefix = Key::of(Kind::Entry).id(ledger.as_bytes());
        self.list(prefix, after, limit, order, |_, row| read(row))
    }

    /// What became of an order.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn order(&self, order: &OrderId) -> Result<Option<OrderRow>, Refusal> {
        self.row(Key::order(order))
    }

    /// The orders of a ledger, refused ones included, newest first.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn orders_of(
        &self,
        ledger: &Ubi,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<OrderRow>, Refusal> {
        let prefix = Key::of(Kind::LedgerOrder).id(ledger.as_bytes());
        self.linked(prefix, after, limit, Order::Descending, Key::order)
    }

    /// An offer of ours.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn offer(&self, offer: &OrderId) -> Result<Option<OfferRow>, Refusal> {
        self.row(Key::offer(offer))
    }

    /// Our own offers, newest first: of one ledger or of all, live ones or all.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn offers(
        &self,
        ledger: Option<&Ubi>,
        only_live: bool,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<OfferRow>, Refusal> {
        let prefix = match (ledger, only_live) {
            (None, false) => Key::of(Kind::OfferByPlace),
            (None, true) => Key::of(Kind::LiveOffer),
            (Some(ledger), false) => Key::of(Kind::LedgerOffer).id(ledger.as_bytes()),
            (Some(ledger), true) => Key::of(Kind::LedgerLiveOffer).id(ledger.as_bytes()),
        };
        self.linked(prefix, after, limit, Order::Descending, Key::offer)
    }

    /// A settlement.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn settlement(&self, id: &SettlementId) -> Result<Option<SettlementRow>, Refusal> {
        self.row(Key::settlement(id))
    }

    /// Settlements, the one that began last first.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn settlements(
        &self,
        filter: SettlementFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<SettlementRow>, Refusal> {
        let kind = match filter {
            SettlementFilter::All => Kind::SettlementByPlace,
            SettlementFilter::Open => Kind::OpenSettlement,
            SettlementFilter::Final => Kind::FinalSettlement,
        };
        self.linked(Key::of(kind), after, limit, Order::Descending, Key::settlement)
    }

    /// The settlements that an order of ours led to, the newest first.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn settlements_of(
        &self,
        order: &OrderId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<SettlementRow>, Refusal> {
        let prefix = Key::of(Kind::OrderSettlement).id(order.as_bytes());
        self.linked(prefix, after, limit, Order::Descending, Key::settlement)
    }

    /// Our pages to `peer` that end after `after`, in order: the last sequence of each and where
    /// its record is. At most [`LIST_ROWS`]; ask again after the last of them.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn pages_after(
        &self,
        peer: &Domain,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Place)>, Refusal> {
        self.feed(Kind::PageOut, peer, after, limit)
    }

    /// The pages of `peer` that end after `after`, in order: the last sequence of each and where
    /// our record of it is. At most [`LIST_ROWS`]; ask again after the last of them.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn received_after(
        &self,
        peer: &Domain,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Place)>, Refusal> {
        self.feed(Kind::PageIn, peer, after, limit)
    }

    /// Where our decision on a settlement is: a `Decided` of ours, or a `Recovered` that holds
    /// one. None is known up to [`Index::indexed`] when there is none.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn decision(&self, id: &SettlementId) -> Result<Option<Place>, Refusal> {
        self.row(Key::decision(id))
    }

    /// Where the certificates, rotations and revocations of a domain are, oldest first. At most
    /// [`LIST_ROWS`].
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn papers(&self, domain: &Domain) -> Result<Vec<Place>, Refusal> {
        let prefix = Key::of(Kind::Paper).name(domain.as_str());
        let page = self.list(prefix, None, LIST_ROWS, Order::Ascending, |_, row| read(row))?;
        Ok(page.items)
    }

    /// Where the newest root of our live offers is.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn book(&self) -> Result<Option<Place>, Refusal> {
        self.row(Key::of(Kind::Book))
    }

    /// Where our newest attestation of `asset` is.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn attested(&self, asset: &Uai) -> Result<Option<Place>, Refusal> {
        self.row(Key::of(Kind::Attested).name(&asset.to_string()))
    }

    /// What the index has counted.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn counters(&self) -> Result<Counters, Refusal> {
        Ok(self.row(Key::of(Kind::Counters))?.unwrap_or_default())
    }

    /// A hash over all rows: two indexes that answer the same have the same one.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn fingerprint(&self) -> Result<Hash, Refusal> {
        let mut hash = sha2::Sha256::new();
        let mut interval = Interval::ALL;
        loop {
            let rows = self.store().page(interval.clone(), true, LIST_ROWS)?;
            for (key, value) in &rows {
                for part in [key, value] {
                    hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                    hash.update(part);
                }
            }
            let Some((last, _)) = rows.last() else { break };
            interval = interval.behind(last, true);
        }
        Ok(Hash(hash.finalize().into()))
    }

    fn row<T: Decode<()>>(&self, key: Key) -> Result<Option<T>, Refusal> {
        get(self.store(), &key.bytes())
    }

    fn feed(
        &self,
        kind: Kind,
        peer: &Domain,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Place)>, Refusal> {
        let prefix = Key::of(kind).name(peer.as_str());
        let cursor = Cursor::after_sequence(after);
        let page = self.list(prefix, Some(&cursor), limit, Order::Ascending, |position, row| {
            let number = position.first_chunk().copied().map(u64::from_be_bytes);
            Ok((Sequence(number.unwrap_or_default()), read(row)?))
        })?;
        Ok(page.items)
    }

    /// A list of identifiers and the rows that they name.
    fn linked<I: Decode<()>, T: Decode<()>>(
        &self,
        prefix: Key,
        after: Option<&Cursor>,
        limit: usize,
        order: Order,
        key: impl Fn(&I) -> Key,
    ) -> Result<Page<T>, Refusal> {
        let page = self.list(prefix, after, limit, order, |_, id| self.row(key(&read(id)?)))?;
        Ok(Page { items: page.items.into_iter().flatten().collect(), next: page.next })
    }

    fn list<T>(
        &self,
        prefix: Key,
        after: Option<&Cursor>,
        limit: usize,
        order: Order,
        make: impl Fn(&[u8], &[u8]) -> Result<T, Refusal>,
    ) -> Result<Page<T>, Refusal> {
        let prefix = prefix.bytes();
        let mut interval = Interval { from: prefix.clone(), to: after_prefix(&prefix) };
        let ascending = order == Order::Ascending;
        if let Some(cursor) = after {
            interval = interval.behind(&[&prefix, cursor.position()].concat(), ascending);
        }
        let limit = limit.clamp(1, LIST_ROWS);
        // One more tells whether the list goes on.
        let mut rows = self.store().page(interval, ascending, limit.saturating_add(1))?;
        let goes_on = rows.len() > limit;
        rows.truncate(limit);
        let mut items = Vec::with_capacity(rows.len());
        let mut next = None;
        for (key, value) in &rows {
            let position = key.get(prefix.len()..).unwrap_or_default();
            items.push(make(position, value)?);
            next = goes_on.then(|| Cursor::new(position));
        }
        Ok(Page { items, next })
    }
}
