//! The map that paths are found on: who accepts whose obligations in what, what passing on costs,
//! and what is on offer on the way.
//!
//! Made of what domains signed and of our own books. It is a view, never an authority: limits are
//! private, so a way on the map may still be declined, and then the next one is tried.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::Fee;
use crate::identity::GatewayRecord;
use crate::limits;
use crate::market::{Book, OfferNotice, OfferTerms};
use crate::types::{Amount, AssetPair, Domain, Duration, OrderId, Time, Uai, Ubi};

/// A domain and an asset there.
pub type Place = (Domain, Uai);

/// A standing offer that a payment may pass through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The offer.
    pub offer: OrderId,
    /// Its terms.
    pub terms: OfferTerms,
    /// How much of `terms.give` can be taken now.
    pub remaining: Amount,
}

impl Standing {
    /// What must be paid for `amount` of what it gives; `None` when it does not give just that.
    #[must_use]
    pub fn price_of(&self, amount: Amount) -> Option<Amount> {
        let rest = self.remaining < self.terms.minimum_fill && amount == self.remaining;
        let fits = amount <= self.remaining && (amount >= self.terms.minimum_fill || rest);
        if !fits || amount.is_zero() {
            return None;
        }
        self.terms.fair_price(amount).filter(|price| !price.is_zero())
    }
}

/// A ledger that payments pass through, and what that costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// The ledger.
    pub transit: Ubi,
    /// What is asked for.
    pub fee: Fee,
}

/// The map, as one domain sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Atlas {
    own: Domain,
    /// Who accepts in an asset, and from whom.
    accepts: BTreeMap<Place, BTreeSet<Domain>>,
    /// The same the other way round: who pays in an asset, and whom.
    pays: BTreeMap<Place, BTreeSet<Domain>>,
    passages: BTreeMap<Place, Passage>,
    /// Who does not say whom it accepts. Only a direct payment to it is worth trying.
    silent: BTreeSet<Domain>,
    /// Who has a record here.
    known: BTreeSet<Domain>,
    /// By maker's bank and asset given, the best price of each pair first.
    offers: BTreeMap<Place, Vec<Standing>>,
    /// By maker's bank and asset wanted: what it can be turned into.
    turns: BTreeMap<Place, BTreeSet<Uai>>,
}

impl Atlas {
    /// An empty map of `own`.
    #[must_use]
    pub fn new(own: Domain) -> Self {
        Self {
            own,
            accepts: BTreeMap::new(),
            pays: BTreeMap::new(),
            passages: BTreeMap::new(),
            silent: BTreeSet::new(),
            known: BTreeSet::new(),
            offers: BTreeMap::new(),
            turns: BTreeMap::new(),
        }
    }

    /// Puts in what a domain's verified gateway record says.
    pub fn add_record(&mut self, record: &GatewayRecord) {
        let domain = &record.domain;
        if !self.known.insert(domain.clone()) {
            return;
        }
        if record.correspondents.is_none() {
            self.silent.insert(domain.clone());
        }
        for service in &record.services {
            for peer in record.accepted(service) {
                self.add_trust(domain, peer, &service.asset);
            }
            if let Some((transit, fee)) = record.transit.zip(service.fee) {
                let place = (domain.clone(), service.asset.clone());
                self.passages.insert(place, Passage { transit, fee });
            }
        }
    }

    /// `receiver` accepts the obligations of `payer` in `asset`: by its record, or since it owes
    /// the payer, as the payer knows from its own books.
    pub fn add_trust(&mut self, receiver: &Domain, payer: &Domain, asset: &Uai) {
        if receiver == payer {
            return;
        }
        let (gets, gives) = ((receiver.clone(), asset.clone()), (payer.clone(), asset.clone()));
        self.accepts.entry(gets).or_default().insert(payer.clone());
        self.pays.entry(gives).or_default().insert(receiver.clone());
    }

    /// Puts in the offers of `book` that are of use at `now`: for anybody or for us, decided by
    /// nobody else, answered at once, and for long enough. Of each pair the best.
    pub fn add_book(&mut self, book: &Book, now: Time) {
        let pairs: Vec<AssetPair> = book.pairs().cloned().collect();
        for pair in pairs {
            let usable = book.iter_pair(&pair).filter(|notice| self.is_usable(notice, now));
            let usable: Vec<OfferNotice> = usable.take(limits::PATH_OFFERS).cloned().collect();
            for notice in usable {
                self.add_offer(notice);
            }
        }
    }

    fn is_usable(&self, notice: &OfferNotice, now: Time) -> bool {
        let terms = &notice.terms;
        terms.selection_window == Duration(0)
            && terms.notary.is_none()
            && terms.admits(&self.own)
            && terms.expiry > now.after(Duration(limits::SETTLEMENT_LIFE_MS))
    }

    fn add_offer(&mut self, notice: OfferNotice) {
        let OfferNotice { offer, validator, terms, remaining, .. } = notice;
        let wanted = (validator.clone(), terms.want.clone());
        self.turns.entry(wanted).or_default().insert(terms.give.clone());
        let given = (validator, terms.give.clone());
        self.offers.entry(given).or_default().push(Standing { offer, terms, remaining });
    }

    /// What we presume of a payee's bank that does not say whom it accepts: that it may accept
    /// us. Only a try can tell.
    pub fn presume(&mut self, payee: &Domain, assets: &[Uai]) {
        if self.known.contains(payee) && !self.silent.contains(payee) {
            return;
        }
        let own = self.own.clone();
        for asset in assets {
            self.add_trust(payee, &own, asset);
        }
    }

    /// Whose map it is.
    #[must_use]
    pub fn own(&self) -> &Domain {
        &self.own
    }

    /// From whom an account of `place` may get its asset over a correspondent ledger.
    pub fn payers(&self, place: &Place) -> impl Iterator<Item = &Domain> {
        self.accepts.get(place).into_iter().flatten()
    }

    /// Whom an account of `place` may pay its asset.
    pub fn receivers(&self, place: &Place) -> impl Iterator<Item = &Domain> {
        self.pays.get(place).into_iter().flatten()
    }

    /// How `place` passes its asset on, if it does.
    #[must_use]
    pub fn passage(&self, place: &Place) -> Option<&Passage> {
        self.passages.get(place)
    }

    /// The offers of `place` that give its asset.
    #[must_use]
    pub fn offers(&self, place: &Place) -> &[Standing] {
        self.offers.get(place).map_or(&[], Vec::as_slice)
    }

    /// What the asset of `place` can be turned into there.
    pub fn turns(&self, place: &Place) -> impl Iterator<Item = &Uai> {
        self.turns.get(place).into_iter().flatten()
    }

    /// How many domains an asset has passed through, the payer's own included, when it is at a
    /// place, at the least and whatever the amounts. Places that nothing can reach are not in it.
    #[must_use]
    pub fn distances(&self, spend: &Uai) -> BTreeMap<Place, usize> {
        let start: Place = (self.own.clone(), spend.clone());
        let mut got: BTreeMap<Place, usize> = BTreeMap::new();
        let mut gives: BTreeSet<Place> = BTreeSet::from([start.clone()]);
        let mut layer: Vec<Place> = vec![start];
        let mut count: usize = 1;
        while !layer.is_empty() {
            let mut next: BTreeSet<Place> = BTreeSet::new();
            while let Some(place) = layer.pop() {
                // What can be given at a domain can be got there, and turned there.
                got.entry(place.clone()).or_insert(count);
                for asset in self.turns(&place) {
                    let turned = (place.0.clone(), asset.clone());
                    if gives.insert(turned.clone()) {
                        layer.push(turned);
                    }
                }
                for receiver in self.receivers(&place).filter(|receiver| **receiver != self.own) {
                    next.insert((receiver.clone(), place.1.clone()));
                }
            }
            count = count.saturating_add(1);
            for place in next {
                if got.contains_key(&place) {
                    continue;
                }
                got.insert(place.clone(), count);
                if self.passage(&place).is_some() && gives.insert(place.clone()) {
                    layer.push(place);
                    continue;
                }
                for asset in self.turns(&place) {
                    let turned = (place.0.clone(), asset.clone());
                    if gives.insert(turned.clone()) {
                        layer.push(turned);
                    }
                }
            }
        }
        got
    }
}
