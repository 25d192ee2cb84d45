//! What an agreement takes from our ledgers, and what it brings them: whether that was ordered,
//! offered, or passes through for a fee, and whether what it brings may be received.

use std::collections::BTreeMap;

use super::Validator;
use crate::error::{Code, Refusal};
use crate::market::{Considered, WaitingTake};
use crate::sabotage::{Bug, planted};
use crate::settlement::Settlement;
use crate::settlement::agreement::{Account, Leg, Purpose};
use crate::settlement::open::NetLeg;
use crate::types::{Amount, Domain, OrderId, TakeId, Time, Uai, Ubi};

/// An order, and how much a leg gives on it.
type Given = (OrderId, Amount);

impl Validator {
    /// Whether what `settlement` takes from our ledgers was ordered, or passes through.
    pub(super) fn check_outgoing(&self, now: Time, settlement: &Settlement) -> Result<(), Refusal> {
        let domain = &self.state.domain;
        let initiator = &settlement.header.initiator;
        let mut used: Vec<Given> = Vec::new();
        for leg in settlement.legs.iter().filter(|leg| leg.from.domain == *domain) {
            match leg.order {
                Some(order) if used.iter().any(|(known, _)| *known == order) => {
                    crate::refuse!(TermsDiffer, "{order} is used twice");
                }
                Some(order) => {
                    if self.state.offers.contains_key(&order) {
                        self.check_offer_leg(now, leg, order, initiator)?;
                    } else {
                        self.check_take_leg(settlement, leg, order)?;
                    }
                    used.push((order, leg.amount));
                }
                None if Some(leg.from.ledger) != self.state.transit => {
                    crate::refuse!(TermsDiffer, "{} was never ordered to give", leg.from.ledger);
                }
                None => {}
            }
        }
        let nets = settlement.net_of(domain);
        let nets = nets.ok_or_else(|| Refusal::new(Code::AmountOverflow, "sum of the legs"))?;
        for net in nets {
            self.state.books.ledger(&net.ledger)?.check_open()?;
            if !net.to_hold().is_zero() {
                crate::refuse!(TermsDiffer, "transit gives more {} than it gets", net.asset.code());
            }
            self.check_fee(settlement, &net)?;
        }
        self.check_bought(&settlement.legs, &used)
    }

    /// Whether what stays with us of what passes through is our fee.
    fn check_fee(&self, settlement: &Settlement, net: &NetLeg) -> Result<(), Refusal> {
        if net.transit.is_zero() || self.is_free(settlement) {
            return Ok(());
        }
        let fee = self.state.fees.get(&net.asset).copied().unwrap_or_default();
        let due = fee.of(net.transit);
        let due = due.ok_or_else(|| Refusal::new(Code::AmountOverflow, "the fee"))?;
        let stays = net.to_credit();
        if stays < due {
            crate::refuse!(FeeTooLow, "{stays} {}, {due} asked for", net.asset.code());
        }
        Ok(())
    }

    /// Whether `settlement` passes through us for nothing.
    fn is_free(&self, settlement: &Settlement) -> bool {
        settlement.purpose == Purpose::Netting && self.state.netting
    }

    /// Whether the legs that our makers' offers give, in an agreement that we draw up, are within
    /// the offers and paid for.
    pub(super) fn check_own_offers(
        &self,
        now: Time,
        legs: &[Leg],
        initiator: &Domain,
    ) -> Result<(), Refusal> {
        let domain = &self.state.domain;
        let mut used: Vec<Given> = Vec::new();
        for leg in legs.iter().skip(1).filter(|leg| leg.from.domain == *domain) {
            let order = leg.order.filter(|order| used.iter().all(|(known, _)| known != order));
            let order = order.ok_or_else(|| {
                Refusal::new(Code::BadRoute, "comes back to us, or takes an offer twice")
            })?;
            self.check_offer_leg(now, leg, order, initiator)?;
            used.push((order, leg.amount));
        }
        self.check_bought(legs, &used)
    }

    /// Whether a leg is within what a maker of ours offers to anybody who asks.
    fn check_offer_leg(
        &self,
        now: Time,
        leg: &Leg,
        order: OrderId,
        initiator: &Domain,
    ) -> Result<(), Refusal> {
        let unknown = || Refusal::new(Code::UnknownOffer, order.to_string());
        let offer = self.state.offers.get(&order).ok_or_else(unknown)?;
        let terms = offer.terms();
        if leg.from.ledger != offer.ledger() || leg.asset != terms.give {
            crate::refuse!(TermsDiffer, "the offer {order} gives {}", terms.give);
        }
        let pay = terms.fair_price(leg.amount);
        let take = WaitingTake {
            id: TakeId(order.0),
            taker: initiator.clone(),
            account: leg.to.ledger,
            receive: None,
            take: leg.amount,
            pay: pay.ok_or_else(|| Refusal::new(Code::AmountOverflow, "the price"))?,
            received: self.state.arrivals,
            expiry: terms.expiry,
        };
        match offer.consider(&take, now)? {
            Considered::SelectNow if terms.receive.is_none() && terms.notary.is_none() => Ok(()),
            Considered::SelectNow | Considered::Wait { .. } => {
                crate::refuse!(OfferSelects, "{order}");
            }
        }
    }

    /// Whether `legs` bring what the orders among them buy, each where its holder receives: one
    /// delivery serves one order.
    fn check_bought(&self, legs: &[Leg], orders: &[Given]) -> Result<(), Refusal> {
        let overflow = || Refusal::new(Code::AmountOverflow, "sum of the legs");
        let nets = crate::settlement::open::net_of(legs, &self.state.domain);
        let nets = nets.ok_or_else(overflow)?;
        for ((account, asset), bought) in self.bought(orders)? {
            let brought = if account.domain == self.state.domain {
                let net = |net: &&NetLeg| net.ledger == account.ledger && net.asset == *asset;
                nets.iter().find(net).map(NetLeg::to_credit).unwrap_or_default()
            } else {
                let there = legs.iter().filter(|leg| leg.to == account && leg.asset == *asset);
                there.map(|leg| leg.amount).try_fold(Amount::ZERO, Amount::try_plus)?
            };
            if brought < bought {
                crate::refuse!(TermsDiffer, "less {} than what is given for it", asset.code());
            }
        }
        Ok(())
    }

    /// What `orders`, each with what it gives, buy: for whom, of which asset, all together.
    fn bought(&self, orders: &[Given]) -> Result<BTreeMap<(Account, &Uai), Amount>, Refusal> {
        let mut sums: BTreeMap<(Account, &Uai), Amount> = BTreeMap::new();
        let mut add = |receive: Option<&Account>, own: Ubi, asset, amount| {
            let here = || Account { domain: self.state.domain.clone(), ledger: own };
            let sum = sums.entry((receive.cloned().unwrap_or_else(here), asset)).or_default();
            *sum = sum.try_plus(amount)?;
            Ok::<(), Refusal>(())
        };
        for (order, given) in orders {
            if let Some(take) = self.state.takes.get(order) {
                let receive = take.terms.receive.as_ref();
                add(receive, take.ledger, &take.pair.give, take.terms.take)?;
            }
            if let Some(offer) = self.state.offers.get(order) {
                let terms = offer.terms();
                let price = terms.fair_price(*given);
                let price = price.ok_or_else(|| Refusal::new(Code::AmountOverflow, "a price"))?;
                add(terms.receive.as_ref(), offer.ledger(), &terms.want, price)?;
            }
        }
        Ok(sums)
    }

    /// Whether what is enclosed for us is what was agreed upon, and has what our travel rule asks
    /// for.
    pub(super) fn check_enclosed(&self, settlement: &Settlement) -> Result<(), Refusal> {
        let own = &self.state.domain;
        let enclosed = settlement.enclosed.as_ref().filter(|(to, _)| to == own);
        let mut travel = false;
        if let Some((_, agreed)) = enclosed {
            let findings = &self.volatile.findings;
            let finding = findings.iter().find(|finding| finding.settlement == settlement.id);
            let Some(finding) = finding else {
                crate::refuse!(EnclosureUnopened, "of {}", settlement.id);
            };
            let opened = finding.opened.as_ref().map_err(Clone::clone)?;
            if opened.hash != *agreed && !planted(Bug::EnclosureNotBound) {
                crate::refuse!(EnclosureDiffers, "hash {}, {agreed} agreed", opened.hash);
            }
            travel = opened.travel;
        }
        for (asset, threshold) in &self.state.travel_rules {
            let paid = self.paid_to_us(settlement, asset)?;
            if paid >= *threshold && !paid.is_zero() && !travel {
                let code = asset.code();
                crate::refuse!(TravelDataMissing, "for {paid} {code}, asked for from {threshold}");
            }
        }
        Ok(())
    }

    /// What of `asset` other domains pay to ledgers of ours that give nothing for it on an order
    /// of their own: whatever the agreement calls it, that is a payment.
    fn paid_to_us(&self, settlement: &Settlement, asset: &Uai) -> Result<Amount, Refusal> {
        let own = &self.state.domain;
        let gives = |ledger: &Ubi| {
            let mut legs = settlement.legs.iter();
            let passes = self.state.transit == Some(*ledger);
            legs.any(|leg| {
                leg.from.domain == *own
                    && leg.from.ledger == *ledger
                    && (leg.order.is_some() || passes)
            })
        };
        let paid = settlement.legs.iter().filter(|leg| {
            leg.asset == *asset
                && leg.to.domain == *own
                && leg.from.domain != *own
                && !gives(&leg.to.ledger)
        });
        paid.map(|leg| leg.amount).try_fold(Amount::ZERO, Amount::try_plus)
    }

    /// Whether a leg is what a holder of ours ordered by a take.
    fn check_take_leg(
        &self,
        settlement: &Settlement,
        leg: &Leg,
        order: OrderId,
    ) -> Result<(), Refusal> {
        let unknown = || Refusal::new(Code::TermsDiffer, format!("no take {order} waits"));
        let take = self.state.takes.get(&order).ok_or_else(unknown)?;
        let given = leg.asset == take.pair.want
            && leg.amount == take.terms.pay
            && leg.from.ledger == take.ledger
            && take.settlement.is_none();
        let receives = take.terms.receive.as_ref().unwrap_or(&leg.from);
        let gets = settlement.legs.iter().any(|other| {
            other.to == *receives
                && other.asset == take.pair.give
                && other.amount >= take.terms.take
                && other.from.domain == take.terms.maker
        });
        if !given || !gets {
            crate::refuse!(TermsDiffer, "the legs differ from the take {order}");
        }
        let decider = &settlement.header.decider;
        if take.terms.notary.as_ref().unwrap_or(&self.state.domain) != decider {
            crate::refuse!(TermsDiffer, "the take {order} does not leave it to {decider}");
        }
        Ok(())
    }
}
