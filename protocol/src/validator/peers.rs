//! Feeds of peers: order, gaps, repetition, equivocation; then one reaction per statement.

use std::collections::VecDeque;

use super::Validator;
use super::effect::{Effect, Event};
use super::input::{Input, Message};
use crate::error::{Code, Fault};
use crate::limits;
use crate::log::record::{Aborted, Revealed};
use crate::log::{FraudProof, Lock, ReceivedFrame, Record, Statement};
use crate::sabotage::{Bug, planted};
use crate::settlement::Header;
use crate::settlement::decider::DeciderEvent;
use crate::settlement::initiator::InitiatorEvent;
use crate::types::{Domain, Duration, Height, Network, Sequence, SettlementId, Time};

/// What a page is to us, by its numbers.
pub(super) enum Place {
    Next,
    Known,
    Gap,
    /// It does not go with a page that we have: an honest feed has no such page.
    Crooked,
}

/// The place of a page in a feed taken up to `received`, whose last page stood at `height`.
pub(super) fn place_of(received: Sequence, height: Height, frame: &ReceivedFrame) -> Place {
    let (first, last) = (frame.page().first, frame.page().last());
    if last <= received {
        return Place::Known;
    }
    if first > received.next() && !planted(Bug::FeedGapAccepted) {
        return Place::Gap;
    }
    let regressed = frame.checkpoint().checkpoint.height < height;
    if first <= received || frame.page().items.is_empty() || regressed {
        return Place::Crooked;
    }
    Place::Next
}

impl Validator {
    pub(super) fn handle_frame(&mut self, now: Time, frame: ReceivedFrame) -> Result<(), Fault> {
        let from = frame.from().clone();
        if self.convict_equivocation(&from, &frame)? {
            return Ok(());
        }
        let (received, height) = self.taken_of(&from);
        match place_of(received, height, &frame) {
            Place::Next => self.take_in(now, &from, frame)?,
            Place::Known => {}
            Place::Gap => {
                let link = self.volatile.link_mut(&from);
                if link.gap != Some(received) {
                    link.gap = Some(received);
                    self.ask_to_resume(&from);
                }
                return Ok(());
            }
            Place::Crooked => {
                self.crooked(&from, received, &frame);
                return Ok(());
            }
        }
        self.acknowledge(&from);
        Ok(())
    }

    /// How far our log has a peer's feed, and the height of the last page of it.
    pub(super) fn taken_of(&self, peer: &Domain) -> (Sequence, Height) {
        let known = self.state.peer(peer);
        known.map_or((Sequence(0), Height(0)), |at| (at.received, at.received_height))
    }

    pub(super) fn crooked(&mut self, from: &Domain, received: Sequence, frame: &ReceivedFrame) {
        let what = format!("page {} after {received}", frame.page().first);
        self.misbehaved(from, Code::FeedReplay, what);
    }

    fn take_in(&mut self, now: Time, from: &Domain, frame: ReceivedFrame) -> Result<(), Fault> {
        let late = self.tombstones_met(&frame);
        let record = Record::Received(Box::new(frame));
        self.commit(&record)?;
        let Record::Received(frame) = &record else { return Ok(()) };
        self.note_ack(from, frame.page().acknowledged);
        for item in frame.items() {
            match &item.statement {
                // It was decided before it came, and is closed with that.
                Some(_) if late.contains(&item.sequence) => {}
                Some(statement) => self.react(now, from, statement, &item.locks)?,
                None => self.misbehaved(from, Code::WrongRecord, item.sequence.to_string()),
            }
        }
        Ok(())
    }

    /// The agreements in `frame` for which a tombstone of ours waits.
    fn tombstones_met(&self, frame: &ReceivedFrame) -> Vec<Sequence> {
        if self.state.tombstones.is_empty() {
            return Vec::new();
        }
        let awaited = |header: &Header| {
            let key = (header.initiator.clone(), header.number, header.id());
            self.state.tombstones.contains(&key)
        };
        let late = frame.items().iter().filter(|item| match &item.statement {
            Some(Statement::Agreed(agreement)) => awaited(&agreement.header),
            Some(Statement::Appointed(header)) => awaited(header),
            Some(_) | None => false,
        });
        late.map(|item| item.sequence).collect()
    }

    /// What a peer's statement makes us do. The state has learnt it already.
    fn react(
        &mut self,
        now: Time,
        from: &Domain,
        statement: &Statement,
        locks: &[Option<Lock>],
    ) -> Result<(), Fault> {
        match statement {
            Statement::Take(request) => self.take_arrived(now, from, request),
            Statement::TakeRefused { take, refusal, .. } => {
                self.take_refused(now, from, *take, refusal)
            }
            Statement::Agreed(agreement) => self.agreement_arrived(now, from, &agreement.header),
            Statement::Appointed(header) => self.agreement_arrived(now, from, header),
            Statement::Locked(id) => self.lock_arrived(now, *id),
            Statement::Declined { settlement, refusal } => {
                self.declined(now, from, *settlement, refusal.code)
            }
            Statement::Revealed(revealed) => self.revealed(now, from, revealed, locks),
            Statement::Aborted(aborted) => self.aborted(now, from, aborted),
            Statement::Decided(decided) => self.decision_arrived(now, from, decided),
            // Learnt; a rotation comes in by the operator's door, verified.
            Statement::Finalised { .. } | Statement::Rotated(_) => Ok(()),
            Statement::Position(told) => self.position_arrived(from, told),
        }
    }

    fn agreement_arrived(
        &mut self,
        now: Time,
        from: &Domain,
        header: &Header,
    ) -> Result<(), Fault> {
        let id = header.id();
        let Some(settlement) = self.state.settlements.get(&id) else {
            self.misbehaved(from, Code::StaleAgreement, id.to_string());
            return Ok(());
        };
        let appointed = settlement.decider.is_some() && settlement.participant.is_none();
        if settlement.decider.is_some() {
            self.watch_decide(id, header.deadline);
        }
        if appointed {
            return self.appointed(now, from, header);
        }
        self.proposed(now, id)
    }

    /// A notary is asked to decide. It says no at once where it would have to remember too much
    /// for too long.
    fn appointed(&mut self, now: Time, from: &Domain, header: &Header) -> Result<(), Fault> {
        let too_far = header.deadline > now.after(Duration(limits::SETTLEMENT_LIFE_MAX_MS));
        let code = match self.check_new_business(now, from) {
            Err(refusal) => refusal.code,
            Ok(()) if too_far => Code::DeadlineTooFar,
            Ok(()) => return Ok(()),
        };
        self.decide(now, header.id(), DeciderEvent::Declined(code))
    }

    fn declined(
        &mut self,
        now: Time,
        from: &Domain,
        id: SettlementId,
        code: Code,
    ) -> Result<(), Fault> {
        let Some(settlement) = self.state.settlements.get(&id) else { return Ok(()) };
        if !settlement.header.is_party(from) {
            self.misbehaved(from, Code::NotAParty, id.to_string());
            return Ok(());
        }
        if settlement.initiator.is_some() {
            self.initiate(now, id, InitiatorEvent::GiveUp(code))?;
        }
        Ok(())
    }

    fn revealed(
        &mut self,
        now: Time,
        from: &Domain,
        revealed: &Revealed,
        locks: &[Option<Lock>],
    ) -> Result<(), Fault> {
        if locks.iter().any(Option::is_none) {
            self.misbehaved(from, Code::BadEvidence, revealed.settlement.to_string());
        }
        self.reveal_arrived(now, from, revealed.settlement)
    }

    fn aborted(&mut self, now: Time, from: &Domain, aborted: &Aborted) -> Result<(), Fault> {
        let id = aborted.settlement;
        let Some(settlement) = self.state.settlements.get(&id) else { return Ok(()) };
        if settlement.header.initiator != *from {
            self.misbehaved(from, Code::WrongDomain, format!("aborts {id}"));
            return Ok(());
        }
        self.decide(now, id, DeciderEvent::Abort(aborted.reason))
    }

    /// A second checkpoint for a height convicts its domain: no new business with it. What is
    /// open is still finished, on the first of the two.
    fn convict_equivocation(
        &mut self,
        from: &Domain,
        frame: &ReceivedFrame,
    ) -> Result<bool, Fault> {
        let signed = frame.checkpoint();
        let known = self.state.peer(from).and_then(|peer| {
            peer.checkpoint_at(signed.checkpoint.height).map(|known| (known, peer.suspended))
        });
        let Some((known, suspended)) = known else { return Ok(false) };
        if known.checkpoint == signed.checkpoint {
            return Ok(false);
        }
        if !suspended {
            let proof = FraudProof::Equivocation(Box::new((known.clone(), signed.clone())));
            self.commit(&Record::Suspended(Box::new(proof)))?;
            self.event(Event::Suspended { peer: from.clone() });
        }
        Ok(true)
    }

    pub(super) fn handle_message(
        &mut self,
        now: Time,
        from: &Domain,
        message: Message,
    ) -> Result<(), Fault> {
        match message {
            Message::Resume { network, sent, received } => {
                self.resume(from, &network, sent, received);
                Ok(())
            }
            Message::Ack { sent: _, received } => {
                self.note_ack(from, received);
                Ok(())
            }
            Message::Query(header) => self.queried(now, from, *header),
        }
    }

    /// A peer says where it stands: send what it lacks of us, give back what it lost of itself.
    pub(super) fn resume(
        &mut self,
        from: &Domain,
        network: &Network,
        sent: Sequence,
        received: Sequence,
    ) {
        if *network != self.state.network {
            self.misbehaved(from, Code::WrongNetwork, network.as_str());
            return;
        }
        self.note_ack(from, received);
        let peer = self.state.peer(from);
        let (ours, theirs) = peer.map_or((Sequence(0), Sequence(0)), |p| (p.sent, p.received));
        if received < ours {
            self.draft.after(Effect::Resend { to: from.clone(), after: received });
        }
        if sent < theirs {
            self.event(Event::PeerLostState { peer: from.clone() });
            self.draft.after(Effect::Return { to: from.clone(), after: sent });
        }
        self.acknowledge(from);
        // It has more of either feed than we remember: let it show that.
        let views = Some([sent, received, ours, theirs]);
        let link = self.volatile.link_mut(from);
        // A probe that says the same again may mean that our question was lost: feeds are asked
        // for anew, but what contradicts our own memory is not.
        let news = link.asked != views;
        link.asked = views;
        if (received > ours || sent > theirs) && (news || received <= ours) {
            self.ask_to_resume(from);
        }
    }

    fn note_ack(&mut self, from: &Domain, received: Sequence) {
        let sent = self.state.peer(from).map_or(Sequence(0), |peer| peer.sent);
        let link = self.volatile.link_mut(from);
        link.acknowledged = link.acknowledged.max(received.min(sent));
    }

    /// Answers a peer: what we have of its feed, and where ours to it stands.
    fn acknowledge(&mut self, peer: &Domain) {
        let known = self.state.peer(peer);
        let (sent, received) = known.map_or((Sequence(0), Sequence(0)), |p| (p.sent, p.received));
        let message = Message::Ack { sent, received };
        self.draft.after(Effect::Message { to: peer.clone(), message });
    }

    /// Tells a peer where we stand.
    pub(super) fn ask_to_resume(&mut self, peer: &Domain) {
        let (sent, received) = self.progress(peer);
        let network = self.state.network.clone();
        let message = Message::Resume { network, sent, received };
        self.draft.after(Effect::Message { to: peer.clone(), message });
    }

    pub(super) fn greet_peers(&mut self) {
        for peer in self.acquaintances() {
            self.ask_to_resume(&peer);
        }
    }

    /// Looks, before anything is written in this turn, whether a page of our own feed came back
    /// that our log does not have.
    pub(super) fn notice_loss(&mut self, inputs: &VecDeque<Input>) {
        let proof = inputs.iter().find_map(|input| match input {
            Input::Returned { by, frame } if self.proves_loss(by, frame) => Some(by.clone()),
            _ => None,
        });
        if let Some(by) = proof.filter(|_| !self.is_recovering()) {
            self.begin_recovery(format!("{by} holds statements of ours that are not in our log"));
        }
    }

    /// Whether a page of our own feed is one that our log does not have.
    pub(super) fn proves_loss(&self, by: &Domain, frame: &ReceivedFrame) -> bool {
        let sent = self.state.peer(by).map_or(Sequence(0), |peer| peer.sent);
        *frame.from() == self.state.domain && frame.page().to == *by && frame.page().last() > sent
    }
}
