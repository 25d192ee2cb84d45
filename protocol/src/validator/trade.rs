//! Offers and takes: who may trade, who is selected, who is told no.
//!
//! ```text
//! taker's bank                maker's bank
//!   Take (funds held) ---------> considered: SelectNow, or it waits for the window
//!   <------- Agreed ------------ selected: see `settle`
//!   <------- TakeRefused ------- not: with the reason, signed
//! ```

use super::Validator;
use super::agree::Terms;
use super::effect::Event;
use super::input::Accepted;
use super::orders::Failure;
use crate::error::{Code, Fault, Refusal};
use crate::ledger::order::VerifiedOrder;
use crate::ledger::transaction::{Cause, MovementKind};
use crate::ledger::{Ledger, Postings};
use crate::log::record::TakeRequest;
use crate::log::{Record, Statement};
use crate::market::TakeTerms;
use crate::market::{Considered, Offer, WaitingTake};
use crate::settlement::agreement::{Account, Agreement, Leg, Purpose};
use crate::types::{AssetPair, Domain, OrderId, TakeId, Time, Ubi};

impl Validator {
    pub(super) fn take(
        &mut self,
        now: Time,
        verified: VerifiedOrder,
        terms: &TakeTerms,
        pair: &AssetPair,
    ) -> Result<Accepted, Failure> {
        let (id, ledger) = (verified.id(), verified.order().ledger);
        let hold = Postings::new().with(ledger, MovementKind::Hold, &pair.want, terms.pay);
        if terms.maker != self.state.domain {
            self.check_new_business(now, &terms.maker)?;
            if self.is_delivered_here(terms.receive.as_ref()) {
                let correspondent = self.state.books.correspondent(&terms.maker, &pair.give);
                correspondent.check_headroom(&terms.maker, &pair.give, terms.take)?;
            }
            let accepted = self.book_order(now, verified, hold)?;
            self.watch_take(id);
            let request = TakeRequest {
                take: TakeId(id.0),
                offer: terms.offer,
                amount: terms.take,
                pay: terms.pay,
                account: Account { domain: self.state.domain.clone(), ledger },
                receive: terms.receive.clone(),
                expiry: terms.expiry,
            };
            self.say(Statement::Take(request), [&terms.maker].into_iter())?;
            return Ok(accepted);
        }
        let take = WaitingTake {
            id: TakeId(id.0),
            taker: self.state.domain.clone(),
            account: ledger,
            receive: terms.receive.clone(),
            take: terms.take,
            pay: terms.pay,
            received: self.state.arrivals,
            expiry: terms.expiry,
        };
        let offer = self.live_offer(&terms.offer)?;
        check_pair(offer, pair)?;
        check_same_notary(offer, terms)?;
        if offer.ledger() == ledger {
            return Err(Refusal::new(Code::SameLedger, ledger.to_string()).into());
        }
        let considered = offer.consider(&take, now)?;
        let accepted = self.book_order(now, verified, hold)?;
        self.watch_take(id);
        match considered {
            Considered::SelectNow => self.trade(now, terms.offer, &take)?,
            Considered::Wait { until } => self.let_wait(terms.offer, take, until)?,
        }
        Ok(accepted)
    }

    /// Whether what a side gets comes to a ledger of ours, where `receive` is what it asked for
    /// and its own ledger is ours.
    fn is_delivered_here(&self, receive: Option<&Account>) -> bool {
        receive.is_none_or(|account| account.domain == self.state.domain)
    }

    fn live_offer(&self, id: &OrderId) -> Result<&Offer, Refusal> {
        let unknown = || Refusal::new(Code::UnknownOffer, id.to_string());
        self.state.offers.get(id).ok_or_else(unknown)
    }

    fn let_wait(&mut self, offer: OrderId, take: WaitingTake, until: Time) -> Result<(), Fault> {
        self.commit(&Record::TakeWaiting { offer, take, until })?;
        self.watch_window(offer, until);
        Ok(())
    }

    /// A peer's take of an offer of ours.
    pub(super) fn take_arrived(
        &mut self,
        now: Time,
        from: &Domain,
        request: &TakeRequest,
    ) -> Result<(), Fault> {
        let (offer, take) = (request.offer, request.take);
        let outcome = self.consider_request(now, from, request);
        match outcome {
            Ok((waiting, Considered::SelectNow)) => self.trade(now, offer, &waiting),
            Ok((waiting, Considered::Wait { until })) => self.let_wait(offer, waiting, until),
            Err(refusal) => self.refuse_take(from, offer, take, refusal),
        }
    }

    fn consider_request(
        &self,
        now: Time,
        from: &Domain,
        request: &TakeRequest,
    ) -> Result<(WaitingTake, Considered), Refusal> {
        if request.account.domain != *from {
            crate::refuse!(WrongDomain, "account at {}", request.account.domain);
        }
        let offer = self.live_offer(&request.offer)?;
        let take = WaitingTake {
            id: request.take,
            taker: from.clone(),
            account: request.account.ledger,
            receive: request.receive.clone(),
            take: request.amount,
            pay: request.pay,
            received: self.state.arrivals,
            expiry: request.expiry,
        };
        let considered = offer.consider(&take, now)?;
        self.check_new_business(now, from)?;
        let (give, want) = (&offer.terms().give, &offer.terms().want);
        if self.is_delivered_here(offer.terms().receive.as_ref()) {
            self.state.books.correspondent(from, want).check_headroom(from, want, request.pay)?;
        }
        self.profile(give)?.check_amount(request.amount)?;
        self.profile(want)?.check_amount(request.pay)?;
        if let Some(receive) = &request.receive {
            self.check_delivery(receive, give)?;
        }
        Ok((take, considered))
    }

    pub(super) fn refuse_take(
        &mut self,
        to: &Domain,
        offer: OrderId,
        take: TakeId,
        refusal: Refusal,
    ) -> Result<(), Fault> {
        self.say(Statement::TakeRefused { offer, take, refusal }, [to].into_iter())?;
        Ok(())
    }

    /// The take is selected.
    fn trade(&mut self, now: Time, offer: OrderId, take: &WaitingTake) -> Result<(), Fault> {
        let Some(known) = self.state.offers.get(&offer) else {
            return Err(Fault::new(format!("selected a take of no offer {offer}")));
        };
        let here = take.taker == self.state.domain
            && self.is_delivered_here(take.receive.as_ref())
            && self.is_delivered_here(known.terms().receive.as_ref());
        if here { self.trade_here(now, offer, take) } else { self.agree(now, offer, take) }
    }

    /// An agreement with the taker's bank, and with whoever else something is delivered at.
    fn agree(&mut self, now: Time, offer: OrderId, take: &WaitingTake) -> Result<(), Fault> {
        let known = self.live_offer(&offer).map_err(Fault::of)?;
        let terms = known.terms().clone();
        let maker = Account { domain: self.state.domain.clone(), ledger: known.ledger() };
        let taker = Account { domain: take.taker.clone(), ledger: take.account };
        let legs = vec![
            Leg {
                asset: terms.give.clone(),
                amount: take.take,
                from: maker.clone(),
                to: take.receive.clone().unwrap_or_else(|| taker.clone()),
                order: Some(offer),
            },
            Leg {
                asset: terms.want.clone(),
                amount: take.pay,
                from: taker,
                to: terms.receive.unwrap_or(maker),
                order: Some(OrderId(take.id.0)),
            },
        ];
        let own = &self.state.domain;
        let parties = Agreement::parties_of(&legs);
        let mut others = parties.iter().filter(|party| *party != own);
        // Maker and taker may both be ours, and only the delivery is elsewhere.
        let taken_abroad = (take.taker != *own).then(|| take.taker.clone());
        let decider = terms.notary.or(taken_abroad).or_else(|| others.clone().next().cloned());
        let decider = decider.unwrap_or_else(|| take.taker.clone());
        let checked = others.try_for_each(|other| self.check_new_business(now, other));
        match checked.and_then(|()| self.check_terms(now, &legs, &decider)) {
            Ok(()) => {
                let terms = Terms { purpose: Purpose::Trade, legs, enclosure: None, decider };
                self.draw_up(now, terms).map(|_| ())
            }
            Err(refusal) if take.taker == self.state.domain => {
                self.end_take(now, OrderId(take.id.0), refusal.code)
            }
            Err(refusal) => self.refuse_take(&take.taker, offer, take.id, refusal),
        }
    }

    /// Maker and taker are both ours, and so is where they receive: one transaction, no
    /// choreography.
    fn trade_here(
        &mut self,
        now: Time,
        offer: OrderId,
        waiting: &WaitingTake,
    ) -> Result<(), Fault> {
        let take = OrderId(waiting.id.0);
        let (Some(made), Some(taken)) =
            (self.state.offers.get(&offer), self.state.takes.get(&take))
        else {
            return Err(Fault::new(format!("trade of {offer} and {take}, one unknown")));
        };
        let (maker, taker) = (made.ledger(), taken.ledger);
        let at = |receive: Option<&Account>, own: Ubi| receive.map_or(own, |to| to.ledger);
        let maker_gets = at(made.terms().receive.as_ref(), maker);
        let taker_gets = at(taken.terms.receive.as_ref(), taker);
        let (give, want) = (&made.terms().give, &made.terms().want);
        let able = self.state.books.ledger(&maker).and_then(Ledger::check_open);
        let able = able.and_then(|()| self.check_receipt(&maker_gets, want));
        let able = able.and_then(|()| self.check_receipt(&taker_gets, give));
        if let Err(refusal) = able {
            return self.end_take(now, take, refusal.code);
        }
        let (amount, pay) = (taken.terms.take, taken.terms.pay);
        let postings = Postings::new()
            .with(maker, MovementKind::Spend, give, amount)
            .with(taker_gets, MovementKind::Credit, give, amount)
            .with(taker, MovementKind::Spend, want, pay)
            .with(maker_gets, MovementKind::Credit, want, pay);
        let transaction = self
            .state
            .books
            .draw_up(Cause::Traded { offer, take }, now, &[], postings)
            .map_err(Fault::of)?;
        self.post(transaction)?;
        self.draft.offer_changed(offer);
        Ok(())
    }

    /// A selection window has closed.
    pub(super) fn select_takes(&mut self, now: Time, offer: OrderId) -> Result<(), Fault> {
        let Some(known) = self.state.offers.get(&offer) else { return Ok(()) };
        if known.closes().is_none_or(|closes| closes > now) {
            return Ok(());
        }
        let selection = known.select(now);
        for take in &selection.winners {
            self.trade(now, offer, take)?;
        }
        self.tell_losers(now, offer, &selection.losers)
    }

    /// Takes that came to nothing, each with its reason: signed for a peer's, released for ours.
    pub(super) fn tell_losers(
        &mut self,
        now: Time,
        offer: OrderId,
        losers: &[(WaitingTake, Code)],
    ) -> Result<(), Fault> {
        for (take, code) in losers {
            if take.taker == self.state.domain {
                self.end_take(now, OrderId(take.id.0), *code)?;
            } else {
                let refusal = Refusal::new(*code, offer.to_string());
                self.refuse_take(&take.taker, offer, take.id, refusal)?;
            }
        }
        // The last take that waited may be all that kept a dead offer in the books.
        if self.state.offers.get(&offer).is_some_and(Offer::is_done) {
            self.draft.offer_changed(offer);
        }
        Ok(())
    }

    /// A take of ours leads to nothing: what was held for it is free again.
    pub(super) fn end_take(&mut self, now: Time, id: OrderId, reason: Code) -> Result<(), Fault> {
        let Some(take) = self.state.takes.get(&id) else { return Ok(()) };
        if take.settlement.is_some() {
            return Ok(());
        }
        let postings = Postings::new().with(
            take.ledger,
            MovementKind::Release,
            &take.pair.want,
            take.terms.pay,
        );
        let transaction = self
            .state
            .books
            .draw_up(Cause::TakeEnded { take: id, reason }, now, &[], postings)
            .map_err(Fault::of)?;
        self.post(transaction)?;
        Ok(())
    }

    /// The maker's bank refused a take of ours.
    pub(super) fn take_refused(
        &mut self,
        now: Time,
        from: &Domain,
        take: TakeId,
        refusal: &Refusal,
    ) -> Result<(), Fault> {
        let id = OrderId(take.0);
        let asked = self.state.takes.get(&id).is_some_and(|known| known.terms.maker == *from);
        if !asked {
            self.misbehaved(from, Code::UnknownOffer, format!("refuses {take}"));
            return Ok(());
        }
        self.end_take(now, id, refusal.code)
    }

    /// An offer's time is over: what is not inside settlements is released.
    pub(super) fn expire_offer(&mut self, now: Time, id: OrderId) -> Result<(), Fault> {
        self.select_takes(now, id)?;
        let Some(known) = self.state.offers.get(&id) else { return Ok(()) };
        let Some(withdrawal) = known.clone().expire(now) else { return Ok(()) };
        let (ledger, asset) = (known.ledger(), known.terms().give.clone());
        let mut postings = Postings::new();
        if !withdrawal.release.is_zero() {
            postings = postings.with(ledger, MovementKind::Release, &asset, withdrawal.release);
        }
        let cause = Cause::OfferEnded { offer: id, reason: Code::OfferExpired };
        let transaction =
            self.state.books.draw_up(cause, now, &[ledger], postings).map_err(Fault::of)?;
        self.post(transaction)?;
        self.draft.offer_changed(id);
        self.tell_losers(now, id, &withdrawal.losers)
    }

    /// A take's time is over, unless a settlement carries it: then only the decision counts.
    pub(super) fn expire_take(&mut self, now: Time, id: OrderId) -> Result<(), Fault> {
        let Some(take) = self.state.takes.get(&id) else { return Ok(()) };
        if take.terms.expiry > now || take.settlement.is_some() {
            return Ok(());
        }
        // A take of our own offer that still waits is answered when the window closes.
        let waits = self
            .state
            .offers
            .get(&take.terms.offer)
            .is_some_and(|offer| offer.waiting().iter().any(|waiting| waiting.id.0 == id.0));
        if waits && take.terms.maker == self.state.domain {
            return Ok(());
        }
        self.end_take(now, id, Code::OrderExpired)
    }

    pub(super) fn settled_step(&mut self, id: crate::types::SettlementId, step: &'static str) {
        self.event(Event::Settlement { id, step });
    }
}

fn check_pair(offer: &Offer, pair: &AssetPair) -> Result<(), Refusal> {
    if offer.terms().pair() != *pair {
        crate::refuse!(TermsDiffer, "the offer gives and wants {}", offer.terms().pair());
    }
    Ok(())
}

fn check_same_notary(offer: &Offer, take: &TakeTerms) -> Result<(), Refusal> {
    if offer.terms().notary != take.notary {
        crate::refuse!(TermsDiffer, "the offer names another notary");
    }
    Ok(())
}
