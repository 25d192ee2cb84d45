//! Payments: inside this bank at once, to another bank over one way after the other.
//!
//! ```text
//!  order --what it may cost is held--> way 1 --declined, in time--> way 2 ... --> ended: released
//!                                        \--settled: the cost is spent, the rest released
//! ```
//!
//! Invariants: at most one agreement at a time carries a payment, and the next is drawn up only
//! after the one before was given up in the same log; what the holder signed is held once,
//! whatever number of ways is tried; no way costs more than the holder signed.

use super::Validator;
use super::agree::Terms;
use super::input::Accepted;
use super::orders::Failure;
use crate::error::{Code, Fault, Refusal};
use crate::ledger::Postings;
use crate::ledger::order::{Payment, VerifiedOrder};
use crate::ledger::transaction::{Cause, MovementKind};
use crate::log::Record;
use crate::payment::{Plan, Route};
use crate::sabotage::{Bug, planted};
use crate::settlement::agreement::{Account, Agreement, Leg, Purpose};
use crate::types::{Domain, OrderId, SettlementId, Time, Ubi};

impl Validator {
    pub(super) fn pay(
        &mut self,
        now: Time,
        verified: VerifiedOrder,
        payment: Payment,
        plan: Option<Plan>,
    ) -> Result<Accepted, Failure> {
        match payment.purpose {
            Purpose::Payment | Purpose::Transfer => {}
            Purpose::Trade | Purpose::Netting => {
                return Err(Refusal::new(Code::BadRoute, "no purpose of a payment").into());
            }
        }
        if payment.amount.is_zero() {
            return Err(Refusal::new(Code::ZeroAmount, payment.asset.to_string()).into());
        }
        self.check_spend(now, &verified, &payment.spend, payment.max_cost)?;
        if let Ok(arrives) = self.profile(&payment.asset) {
            arrives.check_amount(payment.amount)?;
        }
        if payment.to.domain != self.state.domain {
            return self.pay_abroad(now, verified, payment, plan);
        }
        let (asset, amount) = (&payment.asset, payment.amount);
        let payer = verified.order().ledger;
        if payment.to.ledger == payer {
            return Err(Refusal::new(Code::SameLedger, payer.to_string()).into());
        }
        if payment.spend != *asset || payment.max_cost < amount {
            let what = "inside one bank the payer gives just what arrives";
            return Err(Refusal::new(Code::CostTooHigh, what).into());
        }
        self.check_receipt(&payment.to.ledger, asset)?;
        let postings = Postings::new().with(payer, MovementKind::Debit, asset, amount).with(
            payment.to.ledger,
            MovementKind::Credit,
            asset,
            amount,
        );
        self.book_order(now, verified, postings)
    }

    fn pay_abroad(
        &mut self,
        now: Time,
        verified: VerifiedOrder,
        payment: Payment,
        plan: Option<Plan>,
    ) -> Result<Accepted, Failure> {
        let (id, payer) = (verified.id(), verified.order().ledger);
        let plan = plan.unwrap_or_else(|| Plan::direct(&payment));
        self.check_plan(&payment, &plan)?;
        let legs = self.first_way(now, id, payer, &payment, plan.routes.iter())?;
        let hold =
            Postings::new().with(payer, MovementKind::Hold, &payment.spend, payment.max_cost);
        let mut accepted = self.book_order(now, verified, hold)?;
        self.commit(&Record::Routed { payment: id, plan: Box::new(plan) })?;
        accepted.settlement = self.take_way(now, id, legs)?;
        Ok(accepted)
    }

    /// Whether what the travel rule asks for is enclosed, to the payee's bank.
    fn check_plan(&self, payment: &Payment, plan: &Plan) -> Result<(), Refusal> {
        let to = plan.enclosure.as_ref().map(|enclosure| &enclosure.to);
        if to.is_some_and(|to| *to != payment.to.domain) {
            crate::refuse!(BadRoute, "enclosed for another than {}", payment.to.domain);
        }
        let asked = self.state.travel_rules.get(&payment.asset);
        let asked = asked.is_some_and(|threshold| payment.amount >= *threshold);
        if asked && !(plan.travel && to.is_some()) {
            crate::refuse!(TravelDataMissing, "from our own threshold on");
        }
        Ok(())
    }

    /// The legs of the first of `routes` that can be taken now.
    fn first_way<'a>(
        &self,
        now: Time,
        id: OrderId,
        payer: Ubi,
        payment: &Payment,
        routes: impl Iterator<Item = &'a Route>,
    ) -> Result<Vec<Leg>, Refusal> {
        let payer = Account { domain: self.state.domain.clone(), ledger: payer };
        let none = || Refusal::new(Code::NoRoute, "none is left to be tried");
        let mut first_refusal = None;
        for route in routes {
            let legs = route.legs(&payer, id);
            match route.check(payment, &payer).and_then(|()| self.check_way(now, &legs, payment)) {
                Ok(()) => return Ok(legs),
                Err(refusal) => {
                    first_refusal.get_or_insert(refusal);
                }
            }
        }
        Err(first_refusal.unwrap_or_else(none))
    }

    fn check_way(&self, now: Time, legs: &[Leg], payment: &Payment) -> Result<(), Refusal> {
        let own = &self.state.domain;
        let parties = Agreement::parties_of(legs);
        for other in parties.iter().filter(|party| *party != own) {
            self.check_new_business(now, other)?;
        }
        self.check_terms(now, legs, &payment.to.domain)?;
        self.check_own_offers(now, legs, own)
    }

    /// Draws up the agreement for one way of a payment.
    fn take_way(
        &mut self,
        now: Time,
        id: OrderId,
        legs: Vec<Leg>,
    ) -> Result<Option<SettlementId>, Fault> {
        let Some(known) = self.state.payments.get(&id) else { return Ok(None) };
        let (purpose, enclosure) = (known.payment.purpose, known.enclosure.clone());
        let decider = known.payment.to.domain.clone();
        let settlement = self.draw_up(now, Terms { purpose, legs, enclosure, decider })?;
        Ok(Some(settlement))
    }

    /// The settlement that carried payments of ours is given up or refunded: each takes its next
    /// way, or ends.
    pub(super) fn payments_failed(
        &mut self,
        now: Time,
        orders: &[OrderId],
        declined: Option<(Domain, Code)>,
        otherwise: Code,
    ) -> Result<(), Fault> {
        let reason = declined.as_ref().map_or(otherwise, |(_, code)| *code);
        for id in orders {
            let Some(known) = self.state.payments.get(id) else { continue };
            if known.settlement.is_some() {
                continue;
            }
            let payee = &known.payment.to.domain;
            let by_payee = declined.as_ref().is_some_and(|(domain, _)| domain == payee);
            let final_word = by_payee && !is_about_the_way(reason);
            let over = final_word || known.expiry <= now;
            let next = match over {
                true => None,
                false => {
                    let routes = known.routes.iter();
                    self.first_way(now, *id, known.ledger, &known.payment, routes).ok()
                }
            };
            match next {
                Some(legs) => {
                    self.take_way(now, *id, legs)?;
                }
                None => self.end_payment(now, *id, reason)?,
            }
        }
        Ok(())
    }

    /// A payment leads to nothing: what was held for it is free again.
    fn end_payment(&mut self, now: Time, id: OrderId, reason: Code) -> Result<(), Fault> {
        let Some(known) = self.state.payments.get(&id) else { return Ok(()) };
        let (asset, amount) = (&known.payment.spend, known.payment.max_cost);
        let postings = Postings::new().with(known.ledger, MovementKind::Release, asset, amount);
        let cause = Cause::PaymentEnded { order: id, reason };
        let transaction = self.state.books.draw_up(cause, now, &[], postings).map_err(Fault::of)?;
        self.post(transaction)?;
        Ok(())
    }

    /// After a recovery: a payment that nothing carries was told to nobody, or given up.
    pub(super) fn end_unsaid_payments(&mut self, now: Time) -> Result<(), Fault> {
        let payments = self.state.payments.sorted();
        let unsaid = payments.into_iter().filter(|(_, known)| known.settlement.is_none());
        let unsaid: Vec<OrderId> = unsaid.map(|(id, _)| *id).collect();
        for id in unsaid {
            self.end_payment(now, id, Code::Recovering)?;
        }
        Ok(())
    }

    /// What a settlement of ours leaves over of what was held for a payment.
    pub(super) fn left_over(&self, legs: &[Leg], mut postings: Postings) -> Postings {
        for leg in legs.iter().filter(|leg| leg.from.domain == self.state.domain) {
            let Some(known) = leg.order.and_then(|order| self.state.payments.get(&order)) else {
                continue;
            };
            let mut rest = known.payment.max_cost.minus_or_zero(leg.amount);
            if planted(Bug::CostTakenWhole) {
                rest = crate::types::Amount::ZERO;
            }
            if !rest.is_zero() {
                let asset = &known.payment.spend;
                postings = postings.with(known.ledger, MovementKind::Release, asset, rest);
            }
        }
        postings
    }
}

/// Whether a payee's bank that says this may take the payment another way.
fn is_about_the_way(code: Code) -> bool {
    matches!(
        code,
        Code::CreditLimit
            | Code::NoTrust
            | Code::NotLive
            | Code::PeerSuspended
            | Code::TooManySettlements
            | Code::FeeTooLow
            | Code::TimedOut
            | Code::DeadlinePassed
            | Code::UnknownDomain
            | Code::UnknownOffer
            | Code::OfferExpired
            | Code::OfferCancelled
            | Code::OfferSelects
            | Code::AboveRemaining
            | Code::BelowMinimum
            | Code::PriceTooLow
            | Code::NotAllowedCounterparty
            | Code::TermsDiffer
    )
}
