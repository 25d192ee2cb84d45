//! What a peer's page tells the state: agreements, locks, reveals, decisions, positions.
//!
//! Nothing is answered here; what we do about it are records of our own. A statement that does not
//! fit what is known (not its word to say, a number that does not rise, a wrong secret) teaches
//! nothing.

use super::state::State;
use crate::error::Fault;
use crate::log::record::{Decided, Revealed};
use crate::log::{OutcomeKind, ReceivedFrame, Statement};
use crate::settlement::agreement::{Agreement, Header};
use crate::settlement::{Decider, Initiator, Participant, Settlement};
use crate::types::{Domain, SettlementId};

impl State {
    pub(super) fn apply_received(&mut self, frame: &ReceivedFrame) -> Result<(), Fault> {
        let from = frame.from().clone();
        let checkpoint = &frame.checkpoint().checkpoint;
        let observed = self.directory.observe(&from, checkpoint.epoch, checkpoint.height);
        observed.map_err(Fault::of)?;
        let peer = self.peer_mut(&from);
        peer.received = frame.page().last();
        peer.received_height = checkpoint.height;
        peer.note_checkpoint(frame.checkpoint());
        for (position, item) in frame.items().iter().enumerate() {
            if let Some(statement) = &item.statement {
                self.learn(&from, frame, position, statement);
            }
        }
        Ok(())
    }

    /// What a peer's statement tells us. What we do about it are records of their own.
    fn learn(
        &mut self,
        from: &Domain,
        frame: &ReceivedFrame,
        position: usize,
        statement: &Statement,
    ) {
        match statement {
            Statement::Agreed(agreement) => self.learn_agreement(from, agreement),
            Statement::Appointed(header) => self.learn_appointment(from, header),
            Statement::Locked(id) => self.learn_lock(from, id, frame, position),
            Statement::Revealed(revealed) => self.learn_reveal(from, revealed, frame, position),
            Statement::Decided(decided) => self.learn_decision(from, decided, frame, position),
            Statement::Finalised { settlement, .. } => {
                if let Some(known) = self.settlements.get_mut(settlement) {
                    known.confirmed.insert(from.clone());
                }
                self.close_if_done(settlement);
            }
            Statement::Position(told) => {
                let at = frame.checkpoint().checkpoint.time;
                self.learn_position(from, told, at);
            }
            Statement::Declined { settlement, refusal } => {
                if let Some(known) = self.settlements.get_mut(settlement)
                    && known.header.is_party(from)
                {
                    known.declined.get_or_insert((from.clone(), refusal.code));
                }
            }
            Statement::Take(_)
            | Statement::TakeRefused { .. }
            | Statement::Aborted(_)
            | Statement::Rotated(_) => {}
        }
    }

    /// Whether an agreement by `from` is one that we can take part in at all.
    fn is_fresh(&mut self, from: &Domain, header: &Header) -> bool {
        let peer = self.peer_mut(from);
        let rises = header.number > peer.number;
        let fits = header.initiator == *from && header.network == self.network;
        // Whoever is named will be told of the outcome: only members can be.
        let mut named = header.parties.iter().chain([&header.decider]);
        let members = named.all(|domain| self.directory.member(domain).is_ok());
        if !rises || !fits || !members || header.check().is_err() {
            return false;
        }
        self.peer_mut(from).number = header.number;
        self.bury_tombstones(from, header);
        true
    }

    fn learn_agreement(&mut self, from: &Domain, agreement: &Agreement) {
        let header = &agreement.header;
        if agreement.check().is_err() || !header.is_party(&self.domain) {
            return;
        }
        if !self.is_fresh(from, header) {
            return;
        }
        let decides = header.decider == self.domain;
        let id = header.id();
        if !self.settlements.contains_key(&id) {
            self.count_open(header, true);
            let mut settlement = Settlement::of_agreement_with_id(id, agreement);
            settlement.decider = decides.then_some(Decider::Open);
            self.recall(&mut settlement);
            self.settlements.insert(id, settlement);
        }
        self.note_told(&id);
        if let Some(settlement) = self.settlements.get_mut(&id) {
            if settlement.legs.is_empty() {
                settlement.legs = agreement.legs.clone();
                settlement.purpose = agreement.purpose;
                settlement.learn_enclosure(agreement);
            }
            // A tombstone of ours may have come first.
            settlement.participant = Some(match settlement.decision {
                None => Participant::Proposed,
                Some(_) => Participant::Declined,
            });
            settlement.locked.insert(from.clone());
        }
        self.close_if_done(&id);
    }

    fn learn_appointment(&mut self, from: &Domain, header: &Header) {
        if header.decider != self.domain || !header.has_notary() || !self.is_fresh(from, header) {
            return;
        }
        let id = header.id();
        self.open_decider(header, None);
        self.note_told(&id);
        if let Some(settlement) = self.settlements.get_mut(&id) {
            settlement.locked.insert(from.clone());
        }
        // A tombstone of ours may have come first: it has served.
        self.close_if_done(&id);
    }

    fn learn_lock(
        &mut self,
        from: &Domain,
        id: &SettlementId,
        frame: &ReceivedFrame,
        position: usize,
    ) {
        let Some(settlement) = self.settlements.get_mut(id) else { return };
        if !settlement.header.is_party(from) {
            return;
        }
        settlement.locked.insert(from.clone());
        if settlement.forwards_evidence()
            && let Ok(evidence) = frame.evidence(position)
        {
            settlement.evidence.insert(from.clone(), evidence);
        }
    }

    fn learn_reveal(
        &mut self,
        from: &Domain,
        revealed: &Revealed,
        frame: &ReceivedFrame,
        position: usize,
    ) {
        let Some(settlement) = self.settlements.get_mut(&revealed.settlement) else { return };
        let matches = crate::crypto::hash::hash_lock(&revealed.preimage) == settlement.header.lock;
        let anybody = crate::sabotage::planted(crate::sabotage::Bug::BarePreimageAccepted);
        if !matches || (settlement.header.initiator != *from && !anybody) {
            return;
        }
        settlement.preimage = Some(revealed.preimage.clone());
        self.learn_bundle(&revealed.settlement, frame, position);
    }

    fn learn_decision(
        &mut self,
        from: &Domain,
        decided: &Decided,
        frame: &ReceivedFrame,
        position: usize,
    ) {
        if self.learn_outcome(from, decided) {
            self.learn_bundle(&decided.settlement, frame, position);
            self.close_if_done(&decided.settlement);
        }
    }

    /// Takes over what the decider decided; `false` when it is not its word, or contradicts it.
    pub(super) fn learn_outcome(&mut self, from: &Domain, decided: &Decided) -> bool {
        let Some(settlement) = self.settlements.get_mut(&decided.settlement) else { return false };
        let outcome = decided.outcome.kind();
        let otherwise = settlement.decision.is_some_and(|known| known != outcome);
        if settlement.header.decider != *from || otherwise {
            return false;
        }
        if let crate::log::Outcome::Settle { preimage, .. } = &decided.outcome {
            if crate::crypto::hash::hash_lock(preimage) != settlement.header.lock {
                return false;
            }
            settlement.preimage = Some(preimage.clone());
            // A party that decides to settle is bound by that. Its lock, which came straight from
            // it, may have been here before we had heard of the settlement from its initiator.
            if settlement.header.is_party(from) {
                settlement.locked.insert(from.clone());
            }
        }
        settlement.decision = Some(outcome);
        // After an abort the refund is only the answer that was asked for.
        if outcome == OutcomeKind::Refund && settlement.initiator == Some(Initiator::Aborted) {
            settlement.initiator = Some(Initiator::Refunded);
        }
        if outcome == OutcomeKind::Refund && settlement.participant == Some(Participant::Proposed) {
            settlement.participant = Some(Participant::Declined);
        }
        true
    }

    /// Locks proven by the evidence inside a statement.
    fn learn_bundle(&mut self, id: &SettlementId, frame: &ReceivedFrame, position: usize) {
        let Some(item) = frame.items().get(position) else { return };
        let Some(settlement) = self.settlements.get_mut(id) else { return };
        let proofs = item.statement.as_ref().map(Statement::evidence).unwrap_or_default();
        for (lock, evidence) in item.locks.iter().zip(proofs) {
            let Some(lock) = lock else { continue };
            if lock.settlement == *id && settlement.header.is_party(&lock.domain) {
                settlement.locked.insert(lock.domain.clone());
                settlement.evidence.insert(lock.domain.clone(), evidence.clone());
            }
        }
    }
}
