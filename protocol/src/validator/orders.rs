//! Holders' orders: checked against the ledger's rules, booked, answered.
//!
//! Every order gets one answer. A refusal is written down too, so that the holder can prove
//! that its bank refused and why; all but that of a nonce used before. Repeating an accepted
//! order repeats the answer, never the effect.

use super::Validator;
use super::effect::Event;
use super::input::{Accepted, RequestId};
use crate::error::{Code, Fault, Refusal};
use crate::ledger::account::NonceState;
use crate::ledger::opening::VerifiedOpening;
use crate::ledger::order::{Action, VerifiedOrder};
use crate::ledger::transaction::{Cause, ContraAccount, MovementKind, Side};
use crate::ledger::{AssetProfile, Ledger, Postings};
use crate::limits;
use crate::log::Record;
use crate::log::record::SignedRefusal;
use crate::market::{OfferTerms, TakeTerms};
use crate::payment::Plan;
use crate::sabotage::{Bug, planted};
use crate::settlement::agreement::Account;
use crate::types::{Amount, AssetPair, Duration, OrderId, Time, Uai, Ubi};

/// What a handler of an order may end in: a refusal for the holder or a fault of ours.
pub(super) enum Failure {
    Refused(Refusal),
    Broken(Fault),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault)
    }
}

impl Validator {
    pub(super) fn handle_order(
        &mut self,
        now: Time,
        request: RequestId,
        order: VerifiedOrder,
        plan: Option<Plan>,
    ) -> Result<(), Fault> {
        let (ledger, id) = (order.order().ledger, order.id());
        let known = self.state.books.ledgers.get(&ledger).is_some_and(|l| l.key == *order.key());
        match self.try_order(now, order, plan) {
            Ok(accepted) => self.reply(request, Ok(accepted)),
            Err(Failure::Broken(fault)) => return Err(fault),
            Err(Failure::Refused(refusal)) => {
                // A used nonce may be this very order's, accepted long ago: that we refused it
                // must not be on record. The edge's index knows what became of it.
                let used = matches!(refusal.code, Code::NonceUsed | Code::NonceTooOld);
                // Only the holder's own orders are worth a record: nobody else can fill our log.
                if known && !used {
                    let refused = SignedRefusal { ledger, order: id, refusal: refusal.clone() };
                    let leaf = self.commit(&Record::Refused(refused))?;
                    self.event(Event::Refused { ledger, order: id, leaf });
                }
                self.reply(request, Err(refusal));
            }
        }
        Ok(())
    }

    fn try_order(
        &mut self,
        now: Time,
        verified: VerifiedOrder,
        plan: Option<Plan>,
    ) -> Result<Accepted, Failure> {
        let (id, order) = (verified.id(), verified.order());
        let ledger = self.state.books.ledger(&order.ledger)?;
        if ledger.key != *verified.key() {
            return Err(Refusal::new(Code::WrongKey, verified.key().to_string()).into());
        }
        match ledger.check_nonce(order.nonce, id) {
            Ok(NonceState::Repeated) if !planted(Bug::NonceUsedTwice) => {
                let ledger = Some(order.ledger);
                return Ok(Accepted {
                    order: Some(id),
                    ledger,
                    repeated: true,
                    ..Accepted::default()
                });
            }
            Ok(NonceState::Repeated | NonceState::Fresh) => {}
            Err(_) if planted(Bug::NonceUsedTwice) => {}
            Err(refusal) => return Err(refusal.into()),
        }
        ledger.check_open()?;
        if order.expiry <= now {
            return Err(Refusal::new(Code::OrderExpired, order.expiry.to_string()).into());
        }
        if order.expiry > now.after(Duration(limits::ORDER_LIFE_MS)) {
            return Err(Refusal::new(Code::OrderLifeTooLong, order.expiry.to_string()).into());
        }
        let mut accepted = match order.action.clone() {
            Action::Pay(payment) => self.pay(now, verified, payment, plan)?,
            Action::Offer(terms) => self.offer(now, verified, &terms)?,
            Action::Take { terms, pair } => {
                terms.check(now)?;
                self.check_take(&verified, &terms, &pair)?;
                self.check_notary(now, terms.notary.as_ref(), &terms.maker)?;
                self.check_spend(now, &verified, &pair.want, terms.pay)?;
                self.take(now, verified, &terms, &pair)?
            }
            Action::Cancel { offer } => self.cancel(now, verified, offer)?,
            Action::Amend(_) => {
                check_second_key(ledger, &verified)?;
                self.note(now, verified)?
            }
            Action::RotateKey { key } => {
                check_second_key(ledger, &verified)?;
                if ledger.parameters.suite.is_hybrid() && !key.suite().is_hybrid() {
                    return Err(Refusal::new(Code::SuiteNotAllowed, key.suite().to_string()).into());
                }
                self.note(now, verified)?
            }
            Action::Redeem { asset, amount } => self.redeem(now, verified, &asset, amount)?,
            Action::Close => self.close_ledger(now, verified)?,
        };
        accepted.order = Some(id);
        Ok(accepted)
    }

    /// Books an order with `postings`; its ledger gets an entry even without any.
    pub(super) fn book_order(
        &mut self,
        now: Time,
        verified: VerifiedOrder,
        postings: Postings,
    ) -> Result<Accepted, Failure> {
        let ledger = verified.order().ledger;
        let cause = Cause::Ordered(Box::new(verified));
        let transaction = self.state.books.draw_up(cause, now, &[ledger], postings)?;
        let leaf = self.post(transaction)?;
        Ok(Accepted { ledger: Some(ledger), leaf: Some(leaf), ..Accepted::default() })
    }

    fn note(&mut self, now: Time, verified: VerifiedOrder) -> Result<Accepted, Failure> {
        self.book_order(now, verified, Postings::new())
    }

    /// Whether `amount` of `asset` may leave the ledger by this order.
    pub(super) fn check_spend(
        &self,
        now: Time,
        verified: &VerifiedOrder,
        asset: &Uai,
        amount: Amount,
    ) -> Result<(), Refusal> {
        let ledger = self.state.books.ledger(&verified.order().ledger)?;
        if amount.is_zero() {
            crate::refuse!(ZeroAmount, "of {}", asset.code());
        }
        let known = self.state.books.asset(asset)?;
        if known.locked {
            crate::refuse!(AssetLocked, "{asset}");
        }
        known.profile.check_amount(amount)?;
        if !ledger.parameters.allows(asset) {
            crate::refuse!(AssetNotAllowed, "{asset}");
        }
        ledger.check_free(asset, amount)?;
        check_daily_limit(ledger, verified, asset, amount, now)
    }

    /// Whether `ledger` of ours may receive `asset`: open, allowed by its rules, and by the
    /// asset's profile.
    pub(super) fn check_receipt(&self, ledger: &Ubi, asset: &Uai) -> Result<(), Refusal> {
        let known = self.state.books.ledger(ledger)?;
        match known.check_receives(asset) {
            Err(refusal)
                if refusal.code == Code::LedgerFrozen && planted(Bug::FrozenLedgerCredited) => {}
            checked => checked?,
        }
        let asset = self.state.books.asset(asset)?;
        if asset.locked {
            crate::refuse!(AssetLocked, "{}", asset.profile.code);
        }
        if planted(Bug::TransferUnrestricted) {
            return Ok(());
        }
        asset.profile.check_holder(&self.state.domain, &known.parameters)
    }

    /// Whether `to` may receive `asset` as far as we can say: of another bank's ledger only that
    /// the bank is a member.
    pub(super) fn check_delivery(&self, to: &Account, asset: &Uai) -> Result<(), Refusal> {
        if to.domain == self.state.domain {
            return self.check_receipt(&to.ledger, asset);
        }
        self.state.books.asset(asset)?;
        self.state.directory.member(&to.domain).map(|_| ())
    }

    fn offer(
        &mut self,
        now: Time,
        verified: VerifiedOrder,
        terms: &OfferTerms,
    ) -> Result<Accepted, Failure> {
        terms.check(now)?;
        if self.volatile.draining {
            return Err(Refusal::new(Code::NotLive, "draining").into());
        }
        if self.state.offers.len() >= limits::LIVE_OFFERS {
            return Err(Refusal::new(Code::BookFull, "of our own").into());
        }
        self.check_spend(now, &verified, &terms.give, terms.give_amount)?;
        let own = Account { domain: self.state.domain.clone(), ledger: verified.order().ledger };
        self.check_delivery(terms.receive.as_ref().unwrap_or(&own), &terms.want)?;
        let (gives, wants) = (self.profile(&terms.give)?, self.profile(&terms.want)?);
        gives.check_amount(terms.minimum_fill)?;
        wants.check_amount(terms.want_amount)?;
        self.check_notary(now, terms.notary.as_ref(), &self.state.domain)?;
        let (id, ledger) = (verified.id(), verified.order().ledger);
        let hold = Postings::new().with(ledger, MovementKind::Hold, &terms.give, terms.give_amount);
        let accepted = self.book_order(now, verified, hold)?;
        self.watch_offer(id);
        Ok(accepted)
    }

    fn cancel(
        &mut self,
        now: Time,
        verified: VerifiedOrder,
        offer: OrderId,
    ) -> Result<Accepted, Failure> {
        let unknown = || Refusal::new(Code::UnknownOffer, offer.to_string());
        let known = self.state.offers.get(&offer).ok_or_else(unknown)?;
        if known.ledger() != verified.order().ledger {
            return Err(Refusal::new(Code::NotYours, offer.to_string()).into());
        }
        // Asked of a copy: the record changes the offer itself.
        let withdrawal = known.clone().cancel()?;
        let mut postings = Postings::new();
        if !withdrawal.release.is_zero() {
            let asset = known.terms().give.clone();
            postings =
                postings.with(known.ledger(), MovementKind::Release, &asset, withdrawal.release);
        }
        let accepted = self.book_order(now, verified, postings)?;
        self.draft.offer_changed(offer);
        self.tell_losers(now, offer, &withdrawal.losers)?;
        Ok(accepted)
    }

    fn redeem(
        &mut self,
        now: Time,
        verified: VerifiedOrder,
        asset: &Uai,
        amount: Amount,
    ) -> Result<Accepted, Failure> {
        if *asset.issuer() != self.state.domain {
            return Err(Refusal::new(Code::NotIssuer, asset.issuer().as_str()).into());
        }
        self.check_spend(now, &verified, asset, amount)?;
        let ledger = verified.order().ledger;
        let postings = Postings::new().with(ledger, MovementKind::Debit, asset, amount).against(
            ContraAccount::Issuance,
            Side::Credit,
            asset,
            amount,
        );
        self.book_order(now, verified, postings)
    }

    fn close_ledger(&mut self, now: Time, verified: VerifiedOrder) -> Result<Accepted, Failure> {
        let ledger = self.state.books.ledger(&verified.order().ledger)?;
        if !ledger.is_empty() || ledger.settlements > 0 {
            return Err(Refusal::new(Code::LedgerNotEmpty, ledger.holder.to_string()).into());
        }
        self.note(now, verified)
    }

    pub(super) fn handle_opening(
        &mut self,
        now: Time,
        request: RequestId,
        opening: &VerifiedOpening,
    ) -> Result<(), Fault> {
        let result = match self.open(now, opening) {
            Ok(accepted) => Ok(accepted),
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(Failure::Broken(fault)) => return Err(fault),
        };
        self.reply(request, result);
        Ok(())
    }

    fn open(&mut self, now: Time, verified: &VerifiedOpening) -> Result<Accepted, Failure> {
        let opening = &verified.signed().opening;
        if *opening.holder.domain() != self.state.domain {
            return Err(Refusal::new(Code::WrongDomain, opening.holder.to_string()).into());
        }
        if opening.network != self.state.network {
            return Err(Refusal::new(Code::WrongNetwork, opening.network.as_str()).into());
        }
        let ubi = opening.ubi();
        if self.state.books.ledgers.contains_key(&ubi) {
            return Err(Refusal::new(Code::LedgerExists, ubi.to_string()).into());
        }
        let cause = Cause::Opened(Box::new(verified.signed().clone()));
        let transaction = self.state.books.draw_up(cause, now, &[ubi], Postings::new())?;
        let leaf = self.post(transaction)?;
        Ok(Accepted { ledger: Some(ubi), leaf: Some(leaf), ..Accepted::default() })
    }

    /// Whether a take names assets that we know and a receiver that may have them.
    fn check_take(
        &self,
        verified: &VerifiedOrder,
        terms: &TakeTerms,
        pair: &AssetPair,
    ) -> Result<(), Refusal> {
        if self.volatile.draining {
            crate::refuse!(NotLive, "draining");
        }
        if pair.give == pair.want {
            crate::refuse!(BadOffer, "gives and wants {}", pair.give);
        }
        if terms.maker != self.state.domain {
            self.state.directory.member(&terms.maker)?;
        }
        let own = Account { domain: self.state.domain.clone(), ledger: verified.order().ledger };
        self.check_delivery(terms.receive.as_ref().unwrap_or(&own), &pair.give)?;
        self.profile(&pair.give)?.check_amount(terms.take)
    }

    pub(super) fn profile(&self, asset: &Uai) -> Result<&AssetProfile, Refusal> {
        self.state.books.asset(asset).map(|known| &known.profile)
    }
}

/// Where there is a second key, the first alone can change neither it, nor the limits, nor itself.
fn check_second_key(ledger: &Ledger, verified: &VerifiedOrder) -> Result<(), Refusal> {
    match &ledger.parameters.second_key {
        Some(second) if verified.second_key() != Some(second) => {
            crate::refuse!(LimitNeedsSecondKey, "to change the ledger's rules or key");
        }
        Some(_) | None => Ok(()),
    }
}

/// Above the daily limit the second key must have signed too.
fn check_daily_limit(
    ledger: &Ledger,
    verified: &VerifiedOrder,
    asset: &Uai,
    amount: Amount,
    now: Time,
) -> Result<(), Refusal> {
    let Some(limit) = ledger.parameters.daily_limit(asset) else { return Ok(()) };
    let before = match planted(Bug::SecondKeyBypassed) {
        true => Amount::ZERO,
        false => ledger.spent_today(asset, now),
    };
    let total = before.try_plus(amount)?;
    if total <= limit {
        return Ok(());
    }
    let Some(second) = &ledger.parameters.second_key else {
        crate::refuse!(SecondKeyMissing, "{total} today, {limit} allowed");
    };
    if verified.second_key() != Some(second) {
        crate::refuse!(LimitNeedsSecondKey, "{total} today, {limit} allowed");
    }
    Ok(())
}
