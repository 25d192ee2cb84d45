//! The book: what all validators, this one included, have on offer as far as it has heard.
//!
//! Invariants: `ranks`, `claims` and `by_expiry` are indexes of `entries` and hold nothing else (a
//! notice of which nothing can be taken now has no rank); they are rebuilt from a snapshot, not
//! read from it. Notices and closings are keyed by validator and offer together, so that no
//! validator can displace, alter or close what another has published. Every operation costs the
//! logarithm of the book's size.

use std::collections::{BTreeMap, BTreeSet};

use bincode::{Decode, Encode};

use super::tombstones::Tombstones;
use super::{OfferClosed, OfferNotice, Price};
use crate::error::Refusal;
use crate::limits::{LIVE_OFFERS, NOTICE_LIFE_MAX_MS, REMOTE_OFFERS, REMOTE_OFFERS_PER_PEER};
use crate::refuse;
use crate::types::{AssetPair, Domain, Duration, OrderId, Time};

/// What is on offer, by asset pair, best price for the taker first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    own: Domain,
    entries: BTreeMap<Domain, BTreeMap<OrderId, Entry>>,
    ranks: BTreeMap<AssetPair, BTreeSet<Rank>>,
    /// Who claims to have published an offer: one domain, unless somebody lies.
    claims: BTreeMap<OrderId, BTreeSet<Domain>>,
    by_expiry: BTreeSet<(Time, OrderId, Domain)>,
    closed: Tombstones,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Entry {
    notice: OfferNotice,
    seen: u64,
}

/// A place in the order of one pair: price, then arrival. The rest only makes it unique.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    price: Price,
    seen: u64,
    offer: OrderId,
    validator: Domain,
}

impl Entry {
    /// Its place, unless nothing of it can be taken now.
    fn rank(&self) -> Option<Rank> {
        let notice = &self.notice;
        let price = notice.terms.price().filter(|_| !notice.remaining.is_zero())?;
        let (offer, validator) = (notice.offer, notice.validator.clone());
        Some(Rank { price, seen: self.seen, offer, validator })
    }
}

impl Book {
    /// An empty book of the validator `own`, whose own offers do not count against the bounds of
    /// what others may put into it. It alone puts them in and never again once they are closed,
    /// so no closing of its own is remembered.
    #[must_use]
    pub fn new(own: Domain) -> Self {
        Self {
            own,
            entries: BTreeMap::new(),
            ranks: BTreeMap::new(),
            claims: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            closed: Tombstones::default(),
        }
    }

    /// Puts `notice` into the book, in place of an older version. `seen` is its number in the
    /// order of arrival; a newer version with the same terms keeps its place in that order.
    ///
    /// # Errors
    /// `Q-1509`, `Q-1502`, `Q-1409` as [`OfferNotice::check`]; `Q-1206` the version does not
    /// rise or the offer is closed; `Q-1511` no room. Nothing changes then.
    pub fn insert(&mut self, notice: OfferNotice, seen: u64, now: Time) -> Result<(), Refusal> {
        notice.check(now)?;
        if self.closed.contains(&notice.validator, notice.offer) {
            refuse!(StaleSequence, "{} is closed", notice.offer);
        }
        let seen = match self.entry(&notice.validator, &notice.offer) {
            Some(known) if notice.version <= known.notice.version => {
                let (new, old) = (notice.version, known.notice.version);
                refuse!(StaleSequence, "version {new} after {old} of {}", notice.offer)
            }
            Some(known) if notice.terms == known.notice.terms => {
                self.renew(notice);
                return Ok(());
            }
            Some(_) => seen,
            None => {
                self.check_room(&notice.validator)?;
                seen
            }
        };
        self.take_out(&notice.validator, &notice.offer);
        self.put_in(Entry { notice, seen });
        Ok(())
    }

    /// Puts a newer version with the same terms in the place of the older one.
    fn renew(&mut self, notice: OfferNotice) {
        let entry = self.entries.get_mut(&notice.validator);
        let Some(entry) = entry.and_then(|published| published.get_mut(&notice.offer)) else {
            return;
        };
        let before = entry.rank();
        entry.notice.version = notice.version;
        entry.notice.remaining = notice.remaining;
        let after = entry.rank();
        if before == after {
            return;
        }
        let pair = notice.terms.pair();
        if let Some(rank) = before {
            self.unrank(&pair, &rank);
        }
        if let Some(rank) = after {
            self.ranks.entry(pair).or_default().insert(rank);
        }
    }

    fn unrank(&mut self, pair: &AssetPair, rank: &Rank) {
        if let Some(ranks) = self.ranks.get_mut(pair) {
            ranks.remove(rank);
            if ranks.is_empty() {
                self.ranks.remove(pair);
            }
        }
    }

    fn check_room(&self, validator: &Domain) -> Result<(), Refusal> {
        let held = self.count_of(validator);
        if *validator == self.own {
            if held >= LIVE_OFFERS {
                refuse!(BookFull, "{held} offers of our own, at most {LIVE_OFFERS}");
            }
            return Ok(());
        }
        if held >= REMOTE_OFFERS_PER_PEER {
            refuse!(BookFull, "{held} offers of {validator}, at most {REMOTE_OFFERS_PER_PEER}");
        }
        let remote = self.len().saturating_sub(self.count_of(&self.own));
        if remote >= REMOTE_OFFERS {
            refuse!(BookFull, "{remote} offers of others, at most {REMOTE_OFFERS}");
        }
        Ok(())
    }

    /// Takes a closed offer out and remembers until its expiry that it is closed. A closing that
    /// overtook its notice is remembered for as long as any notice may live. Returns the notice
    /// that was taken out, if there was one.
    ///
    /// # Errors
    /// `Q-1206` the version does not rise or the offer is closed already.
    pub fn close(
        &mut self,
        closed: &OfferClosed,
        now: Time,
    ) -> Result<Option<OfferNotice>, Refusal> {
        let OfferClosed { offer, validator, pair: _, version, reason: _ } = closed;
        if self.closed.contains(validator, *offer) {
            refuse!(StaleSequence, "{offer} is closed");
        }
        let until = match self.entry(validator, offer) {
            Some(known) if *version <= known.notice.version => {
                refuse!(StaleSequence, "version {version} after {}", known.notice.version)
            }
            Some(known) => known.notice.terms.expiry,
            None => now.after(Duration(NOTICE_LIFE_MAX_MS)),
        };
        let removed = self.take_out(validator, offer);
        // No late notice of ours can bring one of ours back: they do not come in from outside.
        if *validator != self.own {
            self.closed.add(validator, *offer, until);
        }
        Ok(removed)
    }

    /// Takes out every notice whose expiry is `now` or earlier and returns them, the earliest
    /// first. Forgets closed offers that no notice can bring back any more.
    pub fn expire(&mut self, now: Time) -> Vec<OfferNotice> {
        let mut expired = Vec::new();
        while let Some((expiry, offer, validator)) = self.by_expiry.first().cloned() {
            if expiry > now {
                break;
            }
            self.by_expiry.remove(&(expiry, offer, validator.clone()));
            expired.extend(self.take_out(&validator, &offer));
        }
        self.closed.expire(now);
        expired
    }

    /// Takes out every notice of `validator`, and returns them sorted by offer. What is known to
    /// be closed stays known.
    pub fn remove_validator(&mut self, validator: &Domain) -> Vec<OfferNotice> {
        let published = self.entries.get(validator);
        let offers: Vec<OrderId> =
            published.into_iter().flat_map(BTreeMap::keys).copied().collect();
        offers.iter().filter_map(|offer| self.take_out(validator, offer)).collect()
    }

    /// The notice with the best price for a taker, of those of which something can be taken.
    #[must_use]
    pub fn best(&self, pair: &AssetPair) -> Option<&OfferNotice> {
        self.iter_pair(pair).next()
    }

    /// The notices of which something can be taken: the lowest price (most of `give` for least
    /// of `want`) first, then the one seen first.
    pub fn iter_pair(&self, pair: &AssetPair) -> impl Iterator<Item = &OfferNotice> + '_ {
        let ranks = self.ranks.get(pair).into_iter().flatten();
        ranks.filter_map(|rank| self.find(&rank.validator, &rank.offer))
    }

    /// The pairs that have something on offer, sorted.
    pub fn pairs(&self) -> impl Iterator<Item = &AssetPair> + '_ {
        self.ranks.keys()
    }

    /// The notice of offer `id`. Should several validators claim the offer, the one seen first.
    #[must_use]
    pub fn get(&self, id: &OrderId) -> Option<&OfferNotice> {
        let claims = self.claims.get(id)?;
        let entries = claims.iter().filter_map(|validator| self.entry(validator, id));
        entries.min_by_key(|entry| entry.seen).map(|entry| &entry.notice)
    }

    /// The notice of offer `id` that `validator` published.
    #[must_use]
    pub fn find(&self, validator: &Domain, id: &OrderId) -> Option<&OfferNotice> {
        self.entry(validator, id).map(|entry| &entry.notice)
    }

    fn entry(&self, validator: &Domain, id: &OrderId) -> Option<&Entry> {
        self.entries.get(validator)?.get(id)
    }

    /// The notices that `validator` published, sorted by offer: what its live root is over.
    pub fn live_of(&self, validator: &Domain) -> impl Iterator<Item = &OfferNotice> + '_ {
        let published = self.entries.get(validator);
        published.into_iter().flat_map(BTreeMap::values).map(|entry| &entry.notice)
    }

    /// How many notices `validator` has in the book.
    #[must_use]
    pub fn count_of(&self, validator: &Domain) -> usize {
        self.entries.get(validator).map_or(0, BTreeMap::len)
    }

    /// How many notices there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_expiry.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_expiry.is_empty()
    }

    fn put_in(&mut self, entry: Entry) {
        let notice = &entry.notice;
        let (offer, validator) = (notice.offer, notice.validator.clone());
        if let Some(rank) = entry.rank() {
            self.ranks.entry(notice.terms.pair()).or_default().insert(rank);
        }
        self.claims.entry(offer).or_default().insert(validator.clone());
        self.by_expiry.insert((notice.terms.expiry, offer, validator.clone()));
        self.entries.entry(validator).or_default().insert(offer, entry);
    }

    fn take_out(&mut self, validator: &Domain, offer: &OrderId) -> Option<OfferNotice> {
        let published = self.entries.get_mut(validator)?;
        let entry = published.remove(offer)?;
        if published.is_empty() {
            self.entries.remove(validator);
        }
        if let Some(rank) = entry.rank() {
            self.unrank(&entry.notice.terms.pair(), &rank);
        }
        if let Some(claims) = self.claims.get_mut(offer) {
            claims.remove(validator);
            if claims.is_empty() {
                self.claims.remove(offer);
            }
        }
        self.by_expiry.remove(&(entry.notice.terms.expiry, *offer, validator.clone()));
        Some(entry.notice)
    }

    /// The book with these contents, every index made anew.
    fn rebuilt(kept: Kept) -> Result<Self, Refusal> {
        let (own, entries, closed) = kept;
        let mut book = Self::new(own);
        for entry in entries.into_values().flat_map(BTreeMap::into_values) {
            entry.notice.check_shape()?;
            book.put_in(entry);
        }
        for ((validator, offer), until) in closed {
            book.closed.add(&validator, offer, until);
        }
        Ok(book)
    }
}

/// What a snapshot keeps of a book.
type Kept = (Domain, BTreeMap<Domain, BTreeMap<OrderId, Entry>>, BTreeMap<(Domain, OrderId), Time>);

crate::checked_codec!(
    Book,
    Kept,
    |book| (&book.own, &book.entries, book.closed.all()),
    Book::rebuilt
);

#[cfg(test)]
mod tests;
