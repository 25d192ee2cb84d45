//! Offers known to be closed, so that a late notice cannot bring one back.
//!
//! Invariants: `by_time` and `of` hold exactly the keys of `until`. Room is bounded per
//! validator first, so that no validator can push out what is remembered of the others; where
//! there is none, the tombstone that would have ended first goes. The worst that forgetting one
//! does is a dead offer on the book until its expiry: its validator refuses the takes.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{CLOSED_OFFERS, CLOSED_OFFERS_PER_PEER};
use crate::types::{Domain, OrderId, Time};

/// Closed offers and until when each must be remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tombstones {
    until: BTreeMap<(Domain, OrderId), Time>,
    by_time: BTreeSet<(Time, Domain, OrderId)>,
    of: BTreeMap<Domain, BTreeSet<(Time, OrderId)>>,
}

impl Tombstones {
    pub(super) fn contains(&self, validator: &Domain, offer: OrderId) -> bool {
        self.until.contains_key(&(validator.clone(), offer))
    }

    /// Everything, as it goes into a snapshot.
    pub(super) const fn all(&self) -> &BTreeMap<(Domain, OrderId), Time> {
        &self.until
    }

    /// Remembers a closed offer until `until`.
    pub(super) fn add(&mut self, validator: &Domain, offer: OrderId, until: Time) {
        self.remove(validator, offer);
        let own = self.of.get(validator);
        if own.is_some_and(|own| own.len() >= CLOSED_OFFERS_PER_PEER) {
            let first = own.and_then(|own| own.first()).copied();
            if let Some((_, first)) = first {
                self.remove(validator, first);
            }
        } else if self.until.len() >= CLOSED_OFFERS
            && let Some((_, domain, first)) = self.by_time.first().cloned()
        {
            self.remove(&domain, first);
        }
        self.until.insert((validator.clone(), offer), until);
        self.by_time.insert((until, validator.clone(), offer));
        self.of.entry(validator.clone()).or_default().insert((until, offer));
    }

    /// Forgets what had to be remembered until `now`.
    pub(super) fn expire(&mut self, now: Time) {
        while let Some((until, domain, offer)) = self.by_time.first().cloned() {
            if until > now {
                break;
            }
            self.remove(&domain, offer);
        }
    }

    fn remove(&mut self, validator: &Domain, offer: OrderId) {
        let Some(until) = self.until.remove(&(validator.clone(), offer)) else { return };
        self.by_time.remove(&(until, validator.clone(), offer));
        if let Some(own) = self.of.get_mut(validator) {
            own.remove(&(until, offer));
            if own.is_empty() {
                self.of.remove(validator);
            }
        }
    }
}
