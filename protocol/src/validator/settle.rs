//! The acts of a settlement: what the three machines ask for, carried out as records.
//!
//! Each act writes its statement first and its transaction in the same batch, so a crash
//! leaves either both or neither. Nothing here reads the clock except to refuse new locks, to
//! withhold a reveal that would come late, and to let the decider refund.

use std::collections::BTreeMap;

use super::Validator;
use super::effect::{Effect, Event};
use super::input::Message;
use super::reserve::incoming;
use crate::crypto::hash::{derive_preimage, hash_lock};
use crate::error::{Code, Fault, Refusal};
use crate::identity::Role;
use crate::ledger::Postings;
use crate::ledger::transaction::{Cause, ContraAccount, MovementKind, Side};
use crate::limits;
use crate::log::record::{Aborted, Decided, Question, Revealed};
use crate::log::{Evidence, Outcome, OutcomeKind, Record, Statement, VerifiedEvidence};
use crate::sabotage::{Bug, planted};
use crate::settlement::agreement::{Agreement, Header, Leg};
use crate::settlement::decider::{self, DeciderAct, DeciderEvent};
use crate::settlement::initiator::{self, InitiatorAct, InitiatorEvent};
use crate::settlement::participant::{self, ParticipantAct, ParticipantEvent};
use crate::settlement::{Participant, Settlement};
use crate::types::{
    AgreementNumber, Amount, Bounded, Domain, Duration, OrderId, SettlementId, Time, Uai, Ubi,
};

fn impossible(refusal: Refusal) -> Fault {
    Fault::new(refusal.to_string())
}

impl Validator {
    /// Whether new business may be begun with `peer` at all.
    pub(super) fn check_new_business(&self, now: Time, peer: &Domain) -> Result<(), Refusal> {
        if self.volatile.draining {
            crate::refuse!(NotLive, "draining");
        }
        self.state.directory.check_member_at(peer, now)?;
        if let Some(known) = self.state.peer(peer) {
            if known.suspended {
                crate::refuse!(PeerSuspended, "{peer}");
            }
            if usize::try_from(known.open).unwrap_or(usize::MAX)
                >= limits::OPEN_SETTLEMENTS_PER_PEER
            {
                crate::refuse!(TooManySettlements, "{} with {peer}", known.open);
            }
        }
        Ok(())
    }

    /// Whether a settlement of `parties` may be left to `decider`: one of them, or a notary.
    fn check_decider(
        &self,
        now: Time,
        decider: &Domain,
        parties: &[Domain],
    ) -> Result<(), Refusal> {
        if parties.contains(decider) {
            return self.state.directory.member(decider).map(|_| ());
        }
        self.state.directory.is_valid_at(decider, now, Role::Notary)
    }

    /// Whether the notary that an offer of `maker` names can decide its trades.
    pub(super) fn check_notary(
        &self,
        now: Time,
        notary: Option<&Domain>,
        maker: &Domain,
    ) -> Result<(), Refusal> {
        let Some(notary) = notary else { return Ok(()) };
        if notary == maker {
            crate::refuse!(BadOffer, "the maker's bank {maker} cannot be the notary");
        }
        self.state.directory.is_valid_at(notary, now, Role::Notary)
    }

    /// Whether the legs hold together and our own side of them can be promised.
    pub(super) fn check_terms(
        &self,
        now: Time,
        legs: &[Leg],
        decider: &Domain,
    ) -> Result<(), Refusal> {
        let parties = Agreement::parties_of(legs);
        if parties.len() > limits::AGREEMENT_PARTIES {
            crate::refuse!(TooMany, "{} parties", parties.len());
        }
        if legs.len() > limits::AGREEMENT_LEGS {
            crate::refuse!(TooMany, "{} legs", legs.len());
        }
        if *decider == self.state.domain {
            crate::refuse!(BadAgreement, "the initiator cannot decide");
        }
        self.check_decider(now, decider, &parties)?;
        for party in &parties {
            self.state.directory.member(party)?;
        }
        self.check_incoming(legs)
    }

    /// Whether what `legs` bring us may be owed to us and received.
    fn check_incoming(&self, legs: &[Leg]) -> Result<(), Refusal> {
        let domain = &self.state.domain;
        let mut sums: BTreeMap<(&Domain, &Uai), Amount> = BTreeMap::new();
        for (peer, asset, amount) in incoming(legs, domain) {
            let sum = sums.entry((peer, asset)).or_default();
            *sum = sum.try_plus(amount)?;
        }
        for ((peer, asset), amount) in sums {
            self.state.books.correspondent(peer, asset).check_headroom(peer, asset, amount)?;
        }
        for leg in legs.iter().filter(|leg| leg.to.domain == *domain) {
            self.check_receipt(&leg.to.ledger, &leg.asset)?;
        }
        Ok(())
    }

    /// Draws up an agreement over `legs`, our own already held, and says so to everybody.
    pub(super) fn draw_up(
        &mut self,
        now: Time,
        legs: Vec<Leg>,
        decider: Domain,
    ) -> Result<SettlementId, Fault> {
        // Height and place never repeat, not even after a recovery: heights only rise.
        let place = self.draft.next_place();
        let number = (self.state.height.next().0 << 16) | (place & 0xffff);
        let preimage = derive_preimage(&self.settings.preimage_seed, &number.to_le_bytes());
        let blinding_number = [number.to_le_bytes(), *b"blinding"].concat();
        let blinding = derive_preimage(&self.settings.preimage_seed, &blinding_number).0;
        let header = Header {
            network: self.state.network.clone(),
            number: AgreementNumber(number),
            initiator: self.state.domain.clone(),
            decider,
            parties: Bounded::new(Agreement::parties_of(&legs)).map_err(impossible)?,
            legs: Agreement::legs_hash(&legs, &blinding),
            lock: hash_lock(&preimage),
            deadline: now.after(self.life_of_settlement()),
        };
        let id = header.id();
        let orders: Vec<OrderId> = legs.iter().filter_map(|leg| leg.order).collect();
        let legs = Bounded::new(legs).map_err(impossible)?;
        let agreement = Agreement { header: header.clone(), legs, blinding };
        agreement.check_parts().map_err(impossible)?;
        let own = self.state.domain.clone();
        let parties = header.parties.iter().filter(|party| **party != own);
        self.say(Statement::Agreed(Box::new(agreement)), parties)?;
        if header.has_notary() {
            let appointed = Statement::Appointed(Box::new(header.clone()));
            self.say(appointed, [&header.decider].into_iter())?;
        }
        for order in orders {
            self.draft.offer_changed(order);
        }
        self.settled_step(id, "Agreed");
        self.watch_give_up(id, header.deadline);
        Ok(id)
    }

    /// An agreement that a peer drew up: lock, or decline with the reason.
    pub(super) fn proposed(&mut self, now: Time, id: SettlementId) -> Result<(), Fault> {
        let Some(settlement) = self.state.settlements.get(&id) else { return Ok(()) };
        if settlement.participant != Some(Participant::Proposed) {
            return Ok(());
        }
        let verdict = self.can_lock(now, settlement);
        let event = match &verdict {
            Ok(()) => ParticipantEvent::CanLock,
            Err(_) => ParticipantEvent::CannotLock,
        };
        let (_, act) = participant::step(Participant::Proposed, event);
        match (act, verdict) {
            (ParticipantAct::Decline, Err(refusal)) => self.decline(now, id, refusal),
            _ => self.lock(now, id),
        }
    }

    fn can_lock(&self, now: Time, settlement: &Settlement) -> Result<(), Refusal> {
        let header = &settlement.header;
        if header.deadline <= now {
            crate::refuse!(DeadlinePassed, "{}", header.deadline);
        }
        if header.deadline > now.after(Duration(limits::SETTLEMENT_LIFE_MAX_MS)) {
            crate::refuse!(DeadlineTooFar, "{}", header.deadline);
        }
        self.check_decider(now, &header.decider, &header.parties)?;
        for other in header.others(&self.state.domain) {
            self.check_new_business(now, other)?;
        }
        self.check_incoming(&settlement.legs)?;
        self.check_outgoing(settlement)
    }

    /// Whether what `settlement` takes from our ledgers was ordered, or passes through.
    fn check_outgoing(&self, settlement: &Settlement) -> Result<(), Refusal> {
        let domain = &self.state.domain;
        let mut used: Vec<OrderId> = Vec::new();
        for leg in settlement.legs.iter().filter(|leg| leg.from.domain == *domain) {
            match leg.order {
                Some(order) if used.contains(&order) => {
                    crate::refuse!(TermsDiffer, "{order} is used twice");
                }
                Some(order) => {
                    self.check_take_leg(settlement, leg, order)?;
                    used.push(order);
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
            if net.to_credit() < self.bought(&used, &net.ledger, &net.asset)? {
                crate::refuse!(TermsDiffer, "less {} than the takes bought", net.asset.code());
            }
        }
        Ok(())
    }

    /// What `takes` of one ledger buy of one asset, all together: one delivery serves one take.
    fn bought(&self, takes: &[OrderId], ledger: &Ubi, asset: &Uai) -> Result<Amount, Refusal> {
        let takes = takes.iter().filter_map(|order| self.state.takes.get(order));
        takes
            .filter(|take| take.ledger == *ledger && take.pair.give == *asset)
            .try_fold(Amount::ZERO, |sum, take| sum.try_plus(take.terms.take))
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
        let gets = settlement.legs.iter().any(|other| {
            other.to == leg.from
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

    fn lock(&mut self, now: Time, id: SettlementId) -> Result<(), Fault> {
        let settlement = self.state.settlement(&id).map_err(impossible)?;
        let header = settlement.header.clone();
        let decides = header.decider == self.state.domain;
        let own = self.state.domain.clone();
        let listeners: Vec<&Domain> =
            if decides { header.others(&own).collect() } else { vec![&header.initiator] };
        self.say(Statement::Locked(id), listeners.into_iter())?;
        self.settled_step(id, "Locked");
        self.watch_query(now, id, header.deadline);
        if decides {
            self.watch_decide(id, header.deadline);
        }
        Ok(())
    }

    fn decline(&mut self, now: Time, id: SettlementId, refusal: Refusal) -> Result<(), Fault> {
        let settlement = self.state.settlement(&id).map_err(impossible)?;
        let header = settlement.header.clone();
        let own = &self.state.domain;
        // Anybody can name a take; only the maker that it was sent to has answered it.
        let answered = |order: &OrderId| {
            let take = self.state.takes.get(order);
            take.is_some_and(|take| take.terms.maker == header.initiator)
        };
        let takes: Vec<OrderId> = settlement
            .legs
            .iter()
            .filter(|leg| leg.from.domain == *own)
            .filter_map(|leg| leg.order)
            .filter(answered)
            .collect();
        let decides = header.decider == *own;
        let code = refusal.code;
        let initiator = [&header.initiator].into_iter();
        self.say(Statement::Declined { settlement: id, refusal }, initiator)?;
        self.settled_step(id, "Declined");
        for take in takes {
            self.end_take(now, take, code)?;
        }
        if decides {
            self.decide(now, id, DeciderEvent::Declined(code))?;
        }
        Ok(())
    }

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
        let settlement = self.state.settlement(&id).map_err(impossible)?;
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
        let evidence = Bounded::new(evidence).map_err(impossible)?;
        let revealed = Revealed { settlement: id, preimage, evidence };
        self.say(Statement::Revealed(revealed), [&header.decider].into_iter())?;
        self.settled_step(id, "Revealed");
        self.watch_query(now, id, header.deadline);
        Ok(())
    }

    fn abort(&mut self, now: Time, id: SettlementId, reason: Code) -> Result<(), Fault> {
        let settlement = self.state.settlement(&id).map_err(impossible)?;
        let header = settlement.header.clone();
        let aborted = Statement::Aborted(Aborted { settlement: id, reason });
        self.say(aborted, [&header.decider].into_iter())?;
        self.settled_step(id, "Aborted");
        self.book_outcome(now, id, OutcomeKind::Refund)?;
        self.watch_query(now, id, header.deadline);
        Ok(())
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
        let evidence = Bounded::new(evidence).map_err(impossible)?;
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
        let settlement = self.state.settlement(&id).map_err(impossible)?;
        let counterparties = settlement.counterparties(&self.state.domain);
        self.book_outcome(now, id, kind)?;
        if kind == OutcomeKind::Settle {
            let statement = Statement::Finalised { settlement: id, outcome: kind };
            self.say(statement, counterparties.iter())?;
        }
        self.event(Event::Final { id, outcome: kind });
        Ok(())
    }

    /// The one transaction of a settlement: everything of it that is ours, at once.
    fn book_outcome(
        &mut self,
        now: Time,
        id: SettlementId,
        kind: OutcomeKind,
    ) -> Result<(), Fault> {
        let settlement = self.state.settlement(&id).map_err(impossible)?;
        let (postings, cause) = match kind {
            OutcomeKind::Settle => (self.settle_postings(settlement)?, Cause::Settled(id)),
            OutcomeKind::Refund => (self.refund_postings(settlement)?, Cause::Refunded(id)),
        };
        let offers: Vec<OrderId> = settlement.legs.iter().filter_map(|leg| leg.order).collect();
        let transaction =
            self.state.books.draw_up(cause, now, &[], postings).map_err(impossible)?;
        self.post(transaction)?;
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
            postings = postings.against(account, side, &leg.asset, leg.amount);
        }
        Ok(postings)
    }

    /// What goes back to whom: an offer that is still live keeps its part on offer.
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
                None => leg.amount,
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

    /// Asks the decider, and goes on asking.
    pub(super) fn query(&mut self, now: Time, id: SettlementId, wait: Duration) {
        let Some(settlement) = self.state.settlements.get(&id) else { return };
        let header = &settlement.header;
        if settlement.is_final() || header.decider == self.state.domain {
            return;
        }
        let (to, message) = (header.decider.clone(), Message::Query(Box::new(header.clone())));
        self.draft.after(Effect::Message { to, message });
        self.watch_query_again(now, id, wait);
    }

    /// A party asks how a settlement was decided. Its answer is the decision in its feed; if
    /// there is none and the time is over, there is one now.
    pub(super) fn queried(
        &mut self,
        now: Time,
        from: &Domain,
        header: Header,
    ) -> Result<(), Fault> {
        let sound = header.check().is_ok()
            && header.network == self.state.network
            && header.decider == self.state.domain
            && header.is_party(from);
        if !sound {
            self.misbehaved(from, Code::BadAgreement, "query that does not hold together");
            return Ok(());
        }
        let directory = &self.state.directory;
        if let Some(refusal) = header.parties.iter().find_map(|party| directory.member(party).err())
        {
            self.misbehaved(from, refusal.code, refusal.what);
            return Ok(());
        }
        if self.state.settlements.contains_key(&header.id()) {
            return self.decide_if_due(now, header.id());
        }
        self.volatile.search(header.id());
        let (header, from) = (Box::new(header), from.clone());
        self.draft.after(Effect::LookUpDecision { header, from });
        Ok(())
    }

    /// The whole log holds no decision on this settlement: a tombstone, once its time is over.
    pub(super) fn handle_never_decided(
        &mut self,
        now: Time,
        header: &Header,
        from: &Domain,
    ) -> Result<(), Fault> {
        let id = header.id();
        if !self.volatile.end_search(&id) {
            return Ok(());
        }
        if header.decider != self.state.domain || !header.is_party(from) || header.deadline >= now {
            return Ok(());
        }
        if !self.state.settlements.contains_key(&id) {
            let asked = self.state.peer(from).map_or(0, |peer| peer.asked);
            if usize::try_from(asked).unwrap_or(usize::MAX) >= limits::TOMBSTONES_PER_ASKER {
                self.misbehaved(from, Code::TooManySettlements, format!("{asked} asked for"));
                return Ok(());
            }
            let question = Question { header: header.clone(), by: from.clone() };
            self.commit(&Record::Queried(Box::new(question)))?;
        }
        self.decide_if_due(now, id)
    }

    /// The decider answers a query with its decision. Only a refund can have passed us by: it
    /// takes our own lock to settle, so then we knew of the settlement when its feed told us.
    pub(super) fn handle_shown(
        &mut self,
        now: Time,
        shown: &VerifiedEvidence,
    ) -> Result<(), Fault> {
        let Record::Statement(Statement::Decided(decided)) = shown.record() else { return Ok(()) };
        let from = shown.evidence().domain().clone();
        let missed = self.state.settlements.get(&decided.settlement).is_some_and(|known| {
            known.header.decider == from && known.decision.is_none() && known.decider.is_none()
        });
        if !missed || decided.outcome.kind() != OutcomeKind::Refund {
            return Ok(());
        }
        self.commit(&Record::Shown(Box::new(shown.evidence().clone())))?;
        self.decision_arrived(now, &from, decided)
    }

    /// The decider's deadline, seen by whatever made us look.
    pub(super) fn decide_if_due(&mut self, now: Time, id: SettlementId) -> Result<(), Fault> {
        let Some(settlement) = self.state.settlements.get(&id) else { return Ok(()) };
        if settlement.decider.is_none() || settlement.header.deadline >= now {
            return Ok(());
        }
        self.decide(now, id, DeciderEvent::Expired)
    }
}
