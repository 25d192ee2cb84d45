//! The acts of a settlement: what the three machines ask for, carried out as records.
//!
//! Each act writes its statement first and its transaction in the same batch, so a crash leaves
//! either both or neither. Nothing here reads the clock except to withhold a reveal that would
//! come late and to let the decider refund.

use std::collections::BTreeMap;

use super::Validator;
use super::effect::Event;
use crate::crypto::hash::derive_preimage;
use crate::error::{Code, Fault};
use crate::ledger::Postings;
use crate::ledger::transaction::{Cause, ContraAccount, MovementKind, Side};
use crate::log::record::{Aborted, Decided, Revealed};
use crate::log::{Evidence, Outcome, OutcomeKind, Statement};
use crate::sabotage::{Bug, planted};
use crate::settlement::decider::{self, DeciderAct, DeciderEvent};
use crate::settlement::initiator::{self, InitiatorAct, InitiatorEvent};
use crate::settlement::participant::{self, ParticipantAct, ParticipantEvent};
use crate::settlement::{Purpose, Settlement};
use crate::types::{Amount, Bounded, Domain, Duration, OrderId, SettlementId, Time};

impl Validator {
    /// Something happened that may complete the initiator's collection of locks.
    pub(super) fn lock_arrived(&mut self, now: Time, id: SettlementId) -> Result<(), Fault> {
        let Some(settlement) = self.state.settlements.get(&id) else { return Ok(()) };
        if settlement.initiator.is_none() {
            return Ok(());
        }
        let complete = settlement.all_locked() || planted(Bug::SettleWithoutEveryLock);
        if !complete {
            return Ok(());
        }
        let last = settlement.header.deadline.before(Duration(self.settings.reveal_margin_ms));
        let event = if now <= last {
            InitiatorEvent::AllLocked
        } else {
            InitiatorEvent::GiveUp(Code::TimedOut)
        };
        self.initiate(now, id, event)
    }

    /// One step of the initiator's machine.
    pub(super) fn initiate(
        &mut self,
        now: Time,
        id: SettlementId,
        event: InitiatorEvent,
    ) -> Result<(), Fault> {
        let Some(settlement) = self.state.settlements.get(&id) else { return Ok(()) };
        let Some(state) = settlement.initiator else { return Ok(()) };
        // A refund that came in the same page makes giving up needless.
        let event = match (event, settlement.decision) {
            (InitiatorEvent::GiveUp(_), Some(OutcomeKind::Refund)) => InitiatorEvent::DecidedRefund,
            (event, _) => event,
        };
        let (_, act) = initiator::step(state, event);
        match act {
            InitiatorAct::Nothing | InitiatorAct::Close | InitiatorAct::TooLate => Ok(()),
            InitiatorAct::Reveal => self.reveal(now, id),
            InitiatorAct::Abort(reason) => self.abort(now, id, reason),
            InitiatorAct::Settle => self.conclude(now, id, OutcomeKind::Settle),
            InitiatorAct::Refund => self.conclude(now, id, OutcomeKind::Refund),
            InitiatorAct::Misbehaviour => {
                let decider = settlement.header.decider.clone();
                self.misbehaved(&decider, Code::AlreadyDecided, id.to_string());
                Ok(())
            }
        }
    }

    fn reveal(&mut self, now: Time, id: SettlementId) -> Result<(), Fault> {
        let settlement = self.state.settlement(&id).map_err(Fault::of)?;
        let header = settlement.header.clone();
        // What the decider has heard itself it needs no proof of.
        let evidence = settlement
            .evidence
            .iter()
            .filter(|(party, _)| **party != header.decider)
            .map(|(_, evidence)| evidence.clone())
            .collect();
        let number = header.number.0.to_le_bytes();
        let preimage = derive_preimage(&self.settings.preimage_seed, &number);
        let evidence = Bounded::new(evidence).map_err(Fault::of)?;
        let revealed = Revealed { settlement: id, preimage, evidence };
        self.say(Statement::Revealed(revealed), [&header.decider].into_iter())?;
        self.settled_step(id, "Revealed");
        self.watch_query(now, id, header.deadline);
        Ok(())
    }

    fn abort(&mut self, now: Time, id: SettlementId, reason: Code) -> Result<(), Fault> {
        let settlement = self.state.settlement(&id).map_err(Fault::of)?;
        let header = settlement.header.clone();
        let aborted = Statement::Aborted(Aborted { settlement: id, reason });
        self.say(aborted, [&header.decider].into_iter())?;
        self.settled_step(id, "Aborted");
        let (payments, declined) = self.carried_by(id);
        self.book_outcome(now, id, OutcomeKind::Refund)?;
        self.watch_query(now, id, header.deadline);
        self.payments_failed(now, &payments, declined, reason)
    }

    /// The orders of ours that `id` carries, and who would not lock for it.
    fn carried_by(&self, id: SettlementId) -> (Vec<OrderId>, Option<(Domain, Code)>) {
        let Some(known) = self.state.settlements.get(&id) else { return (Vec::new(), None) };
        let own = known.legs.iter().filter(|leg| leg.from.domain == self.state.domain);
        (own.filter_map(|leg| leg.order).collect(), known.declined.clone())
    }

    /// The initiator's reveal reached the decider.
    pub(super) fn reveal_arrived(
        &mut self,
        now: Time,
        from: &Domain,
        id: SettlementId,
    ) -> Result<(), Fault> {
        let Some(settlement) = self.state.settlements.get(&id) else { return Ok(()) };
        let anybody = planted(Bug::BarePreimageAccepted);
        let by_initiator = settlement.header.initiator == *from || anybody;
        let every_lock = settlement.all_locked() || planted(Bug::SettleWithoutEveryLock);
        let complete = settlement.preimage.is_some() && every_lock;
        let event = if now > settlement.header.deadline {
            DeciderEvent::Expired
        } else if by_initiator && complete {
            DeciderEvent::Reveal
        } else {
            DeciderEvent::BadReveal
        };
        let (_, act) = match settlement.decider {
            Some(state) => decider::step(state, event),
            None => return Ok(()),
        };
        if act == DeciderAct::Misbehaviour {
            self.misbehaved(from, Code::MissingEvidence, id.to_string());
            return Ok(());
        }
        self.decide(now, id, event)
    }

    /// One step of the decider's machine.
    pub(super) fn decide(
        &mut self,
        now: Time,
        id: SettlementId,
        event: DeciderEvent,
    ) -> Result<(), Fault> {
        let Some(settlement) = self.state.settlements.get(&id) else { return Ok(()) };
        let Some(mut state) = settlement.decider else { return Ok(()) };
        // What was decided before the decision was lost is decided again, whatever the clock says.
        let complete = settlement.preimage.is_some() && settlement.all_locked();
        let event = match self.state.foregone.get(&id) {
            None => event,
            Some(OutcomeKind::Refund) => DeciderEvent::Expired,
            Some(OutcomeKind::Settle) if complete => DeciderEvent::Reveal,
            Some(OutcomeKind::Settle) => return Ok(()),
        };
        if planted(Bug::TwoDecisions) && matches!(event, DeciderEvent::Expired) {
            state = crate::settlement::Decider::Open;
        }
        let outcome = match decider::step(state, event).1 {
            DeciderAct::Nothing => return Ok(()),
            DeciderAct::Misbehaviour => {
                let initiator = settlement.header.initiator.clone();
                self.misbehaved(&initiator, Code::PastReveal, id.to_string());
                return Ok(());
            }
            DeciderAct::Refund(reason) => Outcome::Refund { reason },
            DeciderAct::Settle => self.settle_outcome(settlement)?,
        };
        let (kind, header) = (outcome.kind(), settlement.header.clone());
        let own = self.state.domain.clone();
        let decided = Decided { settlement: id, outcome };
        self.volatile.end_search(&id);
        self.say(Statement::Decided(decided), header.others(&own))?;
        self.settled_step(id, "Decided");
        if header.is_party(&own) {
            self.conclude_as_participant(now, id, kind)?;
        }
        Ok(())
    }

    /// The decision to settle, with the locks that some receiver has not heard itself.
    fn settle_outcome(&self, settlement: &Settlement) -> Result<Outcome, Fault> {
        let none = || Fault::new(format!("settling {} without the secret", settlement.id));
        let preimage = settlement.preimage.clone().ok_or_else(none)?;
        let evidence: Vec<Evidence> = settlement.evidence.values().cloned().collect();
        let evidence = Bounded::new(evidence).map_err(Fault::of)?;
        Ok(Outcome::Settle { preimage, evidence })
    }

    /// The decider's word arrived.
    pub(super) fn decision_arrived(
        &mut self,
        now: Time,
        from: &Domain,
        decided: &Decided,
    ) -> Result<(), Fault> {
        let id = decided.settlement;
        let Some(settlement) = self.state.settlements.get(&id) else { return Ok(()) };
        if settlement.header.decider != *from {
            self.misbehaved(from, Code::WrongDomain, format!("decides on {id}"));
            return Ok(());
        }
        let kind = decided.outcome.kind();
        if settlement.decision != Some(kind) {
            self.misbehaved(from, Code::AlreadyDecided, id.to_string());
            return Ok(());
        }
        self.conclude_known(now, id, kind)
    }

    /// The decision is in our log: apply it, unless that was done.
    fn conclude_known(
        &mut self,
        now: Time,
        id: SettlementId,
        kind: OutcomeKind,
    ) -> Result<(), Fault> {
        let Some(settlement) = self.state.settlements.get(&id) else { return Ok(()) };
        if settlement.initiator.is_some() {
            let proven = self.is_owed_provably(settlement);
            return match kind {
                OutcomeKind::Settle if proven => {
                    self.initiate(now, id, InitiatorEvent::DecidedSettle)
                }
                OutcomeKind::Settle => {
                    let decider = settlement.header.decider.clone();
                    self.misbehaved(&decider, Code::MissingEvidence, id.to_string());
                    Ok(())
                }
                OutcomeKind::Refund => self.initiate(now, id, InitiatorEvent::DecidedRefund),
            };
        }
        self.conclude_as_participant(now, id, kind)
    }

    /// Whether whoever owes us something in `settlement` is provably bound to it.
    fn is_owed_provably(&self, settlement: &Settlement) -> bool {
        settlement.debtors_locked(&self.state.domain) || planted(Bug::CreditWithoutEvidence)
    }

    pub(super) fn conclude_as_participant(
        &mut self,
        now: Time,
        id: SettlementId,
        kind: OutcomeKind,
    ) -> Result<(), Fault> {
        let Some(settlement) = self.state.settlements.get(&id) else { return Ok(()) };
        let Some(state) = settlement.participant else { return Ok(()) };
        let event = match kind {
            OutcomeKind::Settle => ParticipantEvent::DecidedSettle,
            OutcomeKind::Refund => ParticipantEvent::DecidedRefund,
        };
        let decider = settlement.header.decider.clone();
        match participant::step(state, event).1 {
            ParticipantAct::Settle if !self.is_owed_provably(settlement) => {
                self.misbehaved(&decider, Code::MissingEvidence, id.to_string());
                Ok(())
            }
            ParticipantAct::Settle => self.conclude(now, id, OutcomeKind::Settle),
            ParticipantAct::Refund => self.conclude(now, id, OutcomeKind::Refund),
            ParticipantAct::Misbehaviour => {
                self.misbehaved(&decider, Code::AlreadyDecided, id.to_string());
                Ok(())
            }
            ParticipantAct::Nothing
            | ParticipantAct::Lock
            | ParticipantAct::Decline
            | ParticipantAct::Forget => Ok(()),
        }
    }

    /// Applies the decision to our books and tells those who share a leg with us.
    pub(super) fn conclude(
        &mut self,
        now: Time,
        id: SettlementId,
        kind: OutcomeKind,
    ) -> Result<(), Fault> {
        let settlement = self.state.settlement(&id).map_err(Fault::of)?;
        let counterparties = settlement.counterparties(&self.state.domain);
        let (payments, declined) = self.carried_by(id);
        self.book_outcome(now, id, kind)?;
        if kind == OutcomeKind::Settle {
            let statement = Statement::Finalised { settlement: id, outcome: kind };
            self.say(statement, counterparties.iter())?;
        }
        self.event(Event::Final { id, outcome: kind });
        match kind {
            OutcomeKind::Settle => Ok(()),
            OutcomeKind::Refund => self.payments_failed(now, &payments, declined, Code::TimedOut),
        }
    }

    /// The one transaction of a settlement: everything of it that is ours, at once.
    fn book_outcome(
        &mut self,
        now: Time,
        id: SettlementId,
        kind: OutcomeKind,
    ) -> Result<(), Fault> {
        let settlement = self.state.settlement(&id).map_err(Fault::of)?;
        let (postings, cause) = match kind {
            OutcomeKind::Settle => (self.settle_postings(settlement)?, Cause::Settled(id)),
            OutcomeKind::Refund => (self.refund_postings(settlement)?, Cause::Refunded(id)),
        };
        let offers: Vec<OrderId> = settlement.legs.iter().filter_map(|leg| leg.order).collect();
        // Noted first: with its booking a settlement may be over and forgotten.
        let booked = match kind {
            OutcomeKind::Settle => self.crossing(settlement),
            OutcomeKind::Refund => Vec::new(),
        };
        let transaction = self.state.books.draw_up(cause, now, &[], postings).map_err(Fault::of)?;
        self.post(transaction)?;
        for pair in booked {
            self.tell_soon(now, pair);
        }
        for offer in offers {
            self.draft.offer_changed(offer);
        }
        Ok(())
    }

    fn settle_postings(&self, settlement: &Settlement) -> Result<Postings, Fault> {
        let own = &self.state.domain;
        let overflow = || Fault::new("sum of legs that were checked");
        let mut postings = Postings::new();
        for net in settlement.net_of(own).ok_or_else(overflow)? {
            let spend = net.ordered.plus(net.to_hold()).ok_or_else(overflow)?;
            let mut credit = net.to_credit();
            if planted(Bug::UnbalancedPosting) && !credit.is_zero() {
                credit = credit.plus(Amount::new(1)).ok_or_else(overflow)?;
            }
            if !spend.is_zero() {
                postings = postings.with(net.ledger, MovementKind::Spend, &net.asset, spend);
            }
            if !credit.is_zero() {
                postings = postings.with(net.ledger, MovementKind::Credit, &net.asset, credit);
            }
        }
        for leg in &settlement.legs {
            let (peer, side) = match (leg.from.domain == *own, leg.to.domain == *own) {
                (true, false) => (&leg.to.domain, Side::Credit),
                (false, true) => (&leg.from.domain, Side::Debit),
                (true, true) | (false, false) => continue,
            };
            let account = ContraAccount::Correspondent(peer.clone());
            let mut amount = leg.amount;
            let netting = settlement.purpose == Purpose::Netting;
            if planted(Bug::NettingLosesACent) && netting && side == Side::Credit {
                let cent = Amount::new(1);
                amount = amount.minus_or_zero(cent);
                let kind = MovementKind::Credit;
                postings = postings.with(leg.from.ledger, kind, &leg.asset, cent);
            }
            postings = postings.against(account, side, &leg.asset, amount);
        }
        Ok(self.left_over(&settlement.legs, postings))
    }

    /// What goes back to whom: an offer that is still live keeps its part on offer, and what a
    /// payment holds stays held until it has ended.
    fn refund_postings(&self, settlement: &Settlement) -> Result<Postings, Fault> {
        let own = &self.state.domain;
        let mut postings = Postings::new();
        let mut offers: BTreeMap<OrderId, crate::market::Offer> = BTreeMap::new();
        for leg in settlement.legs.iter().filter(|leg| leg.from.domain == *own) {
            let Some(order) = leg.order else { continue };
            let release = match self.state.offers.get(&order) {
                Some(offer) => {
                    let copy = offers.entry(order).or_insert_with(|| offer.clone());
                    copy.restore(leg.amount)?
                }
                None if self.state.takes.contains_key(&order) => leg.amount,
                None if planted(Bug::ReleasedOnRetry) => leg.amount,
                None => Amount::ZERO,
            };
            if !release.is_zero() {
                let ledger = leg.from.ledger;
                postings = postings.with(ledger, MovementKind::Release, &leg.asset, release);
            }
        }
        Ok(postings)
    }

    /// After a recovery: what was decided but not applied, because what it booked touched no
    /// holder who could have given it back, is applied now.
    pub(super) fn finish_decided(&mut self, now: Time) -> Result<(), Fault> {
        let open: Vec<(SettlementId, OutcomeKind)> = self
            .state
            .settlements
            .sorted()
            .into_iter()
            .filter_map(|(id, known)| known.decision.map(|decision| (*id, decision)))
            .collect();
        for (id, decision) in open {
            self.conclude_known(now, id, decision)?;
        }
        let offers = self.state.offers.sorted();
        let done: Vec<OrderId> =
            offers.into_iter().filter(|(_, offer)| offer.is_done()).map(|(id, _)| *id).collect();
        for offer in done {
            self.draft.offer_changed(offer);
        }
        Ok(())
    }

    /// We have settled `id`: those who share a leg with us must hear it, perhaps once more.
    pub(super) fn confirm_settled(&mut self, id: SettlementId) -> Result<(), Fault> {
        let Some(settlement) = self.state.settlements.get(&id) else { return Ok(()) };
        let counterparties = settlement.counterparties(&self.state.domain);
        let statement = Statement::Finalised { settlement: id, outcome: OutcomeKind::Settle };
        self.say(statement, counterparties.iter())?;
        Ok(())
    }

    /// We gave `id` up; its legs are still set aside.
    pub(super) fn release_aborted(&mut self, now: Time, id: SettlementId) -> Result<(), Fault> {
        let aborted =
            self.state.settlements.get(&id).is_some_and(|known| {
                known.initiator == Some(crate::settlement::Initiator::Aborted)
            });
        if aborted { self.book_outcome(now, id, OutcomeKind::Refund) } else { Ok(()) }
    }
}
