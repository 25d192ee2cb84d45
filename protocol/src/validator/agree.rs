//! Agreeing: whether legs can be promised, drawing an agreement up, locking for one or declining.
//!
//! Whatever is checked here is checked before anything is promised; afterwards only the machines
//! of `settlement` count. The clock is read to refuse new locks, never to undo one.

use std::collections::BTreeMap;

use super::Validator;
use super::reserve::incoming;
use crate::crypto::hash::{derive_preimage, hash_lock};
use crate::error::{Fault, Refusal};
use crate::identity::Role;
use crate::limits;
use crate::log::Statement;
use crate::sabotage::{Bug, planted};
use crate::settlement::agreement::{Agreement, Enclosure, Header, Leg, Purpose};
use crate::settlement::decider::DeciderEvent;
use crate::settlement::participant::{self, ParticipantAct, ParticipantEvent};
use crate::settlement::{Participant, Settlement};
use crate::types::{
    AgreementNumber, Amount, Bounded, Domain, Duration, OrderId, SettlementId, Time, Uai,
};

/// What an agreement is to say.
pub(super) struct Terms {
    pub purpose: Purpose,
    pub legs: Vec<Leg>,
    pub enclosure: Option<Enclosure>,
    pub decider: Domain,
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
        legs.iter().try_for_each(Leg::check)?;
        self.check_decider(now, decider, &parties)?;
        for party in &parties {
            self.state.directory.member(party)?;
        }
        for leg in legs {
            if leg.from == leg.to {
                crate::refuse!(BadAgreement, "a leg from a ledger to itself");
            }
            // It may have been frozen since it was ordered to give.
            if leg.from.domain == self.state.domain {
                self.state.books.ledger(&leg.from.ledger)?.check_open()?;
            }
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
        for leg in legs {
            // Of what only passes between others we need not even know the profile.
            let ours = leg.to.domain == *domain || leg.from.domain == *domain;
            if let Some(asset) = self.state.books.assets.get(&leg.asset).filter(|_| ours) {
                asset.profile.check_amount(leg.amount)?;
            }
        }
        let parties = Agreement::parties_of(legs).len();
        for leg in legs.iter().filter(|leg| leg.to.domain == *domain) {
            if planted(Bug::TierSkippedOnRoute) && parties > 2 {
                continue;
            }
            self.check_receipt(&leg.to.ledger, &leg.asset)?;
        }
        Ok(())
    }

    /// Draws up an agreement over `terms`, our own legs already held, and says so to everybody.
    pub(super) fn draw_up(&mut self, now: Time, terms: Terms) -> Result<SettlementId, Fault> {
        let Terms { purpose, legs, enclosure, decider } = terms;
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
            parties: Bounded::new(Agreement::parties_of(&legs)).map_err(Fault::of)?,
            legs: Agreement::terms_hash(purpose, &legs, enclosure.as_ref(), &blinding),
            lock: hash_lock(&preimage),
            deadline: now.after(self.life_of_settlement()),
        };
        let id = header.id();
        let orders: Vec<OrderId> = legs.iter().filter_map(|leg| leg.order).collect();
        let legs = Bounded::new(legs).map_err(Fault::of)?;
        let agreement = Agreement { header: header.clone(), purpose, legs, enclosure, blinding };
        agreement.check_parts().map_err(Fault::of)?;
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
        self.check_enclosed(settlement)?;
        self.check_netting(settlement.purpose, &settlement.legs)?;
        self.check_outgoing(now, settlement)
    }

    fn lock(&mut self, now: Time, id: SettlementId) -> Result<(), Fault> {
        let settlement = self.state.settlement(&id).map_err(Fault::of)?;
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
        let settlement = self.state.settlement(&id).map_err(Fault::of)?;
        let offers: Vec<OrderId> = settlement.legs.iter().filter_map(|leg| leg.order).collect();
        for offer in offers {
            self.draft.offer_changed(offer);
        }
        Ok(())
    }

    fn decline(&mut self, now: Time, id: SettlementId, refusal: Refusal) -> Result<(), Fault> {
        let settlement = self.state.settlement(&id).map_err(Fault::of)?;
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
}
