//! Offers, takes and cancellations.

use quadrille_protocol::ledger::Action;
use quadrille_protocol::market::{OfferTerms, TakeTerms};
use quadrille_protocol::types::{AssetPair, Bounded, Duration, Time};

use super::{KNOWN_OFFERS, KnownOffer, amount};
use crate::sim::clock::START_MS;
use crate::sim::world::World;

impl World {
    pub(super) fn offer(&mut self) {
        let Some((maker, give, free)) = self.rich_trader() else { return };
        let count = self.cast.banks.len();
        let want = self.cast.banks[self.workload.random.index(count)].uai.clone();
        let random = &mut self.workload.random;
        let give_amount = random.between(1, free.min(240));
        let want_amount = random.between(1, give_amount * 2);
        let minimum = if random.chance(3_000) { random.between(1, give_amount) } else { 0 };
        let window_ms =
            if random.chance(self.workload.windows) { random.between(200, 4_000) } else { 0 };
        let notary = random.chance(self.workload.notaries).then(|| random.index(count));
        let allowed: Vec<usize> =
            if random.chance(1_500) { vec![random.index(count)] } else { Vec::new() };
        let life_ms = random.between(3_000, 40_000);
        let maker_bank = self.cast.customers[maker].bank;
        let notary = notary.filter(|at| *at != maker_bank);
        let receive = self.other_ledger();
        let domain = |at: usize| self.cast.banks[at].domain.clone();
        let terms = OfferTerms {
            give,
            give_amount: amount(give_amount),
            want,
            want_amount: amount(want_amount),
            minimum_fill: amount(minimum),
            expiry: Time(START_MS + self.now_ms + life_ms),
            counterparties: Bounded::new(allowed.into_iter().map(domain).collect())
                .expect("one at most"),
            notary: notary.map(domain),
            selection_window: Duration(window_ms),
            receive,
        };
        let id = self.order(maker, Action::Offer(terms.clone()));
        if self.workload.offers.len() >= KNOWN_OFFERS {
            self.workload.offers.pop_front();
        }
        self.workload.offers.push_back(KnownOffer { id, maker, terms });
    }

    pub(super) fn known_offer(&mut self) -> Option<KnownOffer> {
        let length = self.workload.offers.len();
        if length == 0 {
            return None;
        }
        // The newest are the likeliest to be alive.
        let (one, other) = (self.workload.random.index(length), self.workload.random.index(length));
        self.workload.offers.get(one.max(other)).cloned()
    }

    pub(super) fn take(&mut self, takers: u64) {
        let Some(offer) = self.known_offer() else { return };
        let give = u64::try_from(offer.terms.give_amount.units()).unwrap_or(u64::MAX);
        for _ in 0..takers {
            let Some(taker) = self.payer_of(&offer) else { continue };
            let random = &mut self.workload.random;
            let part = if random.chance(5_000) { give } else { random.between(1, give) };
            let Some(fair) = offer.terms.fair_price(amount(part)) else { continue };
            let fair = u64::try_from(fair.units()).unwrap_or(u64::MAX);
            let pay = match random.below(10) {
                0 => fair.saturating_sub(1).max(1),
                1..=3 => fair + random.below(fair / 4 + 2),
                _ => fair,
            };
            let life_ms = random.between(3_000, 30_000);
            let receive = self.other_ledger();
            let terms = TakeTerms {
                offer: offer.id,
                maker: self.cast.banks[self.cast.customers[offer.maker].bank].domain.clone(),
                take: amount(part),
                pay: amount(pay),
                notary: offer.terms.notary.clone(),
                expiry: Time(START_MS + self.now_ms + life_ms),
                receive,
            };
            let pair = AssetPair { give: offer.terms.give.clone(), want: offer.terms.want.clone() };
            self.order(taker, Action::Take { terms, pair });
        }
    }

    /// Somebody who has some of what `offer` wants.
    pub(super) fn payer_of(&mut self, offer: &KnownOffer) -> Option<usize> {
        for _ in 0..6 {
            let customer = self.trader();
            if customer != offer.maker && self.free(customer, &offer.terms.want) > 0 {
                return Some(customer);
            }
        }
        None
    }

    pub(super) fn cancel(&mut self) {
        let Some(offer) = self.known_offer() else { return };
        self.order(offer.maker, Action::Cancel { offer: offer.id });
    }
}
