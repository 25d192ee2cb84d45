//! Waiting parties ask the decider, for ever; its answer is its decision.
//!
//! A settlement that the decider does not know was either forgotten, and then the log has its
//! decision, or never told to it: then, once its time is over, it is refunded for good.

use super::Validator;
use super::effect::Effect;
use super::input::Message;
use crate::error::{Code, Fault};
use crate::limits;
use crate::log::record::Question;
use crate::log::{OutcomeKind, Record, Statement, VerifiedEvidence};
use crate::settlement::agreement::Header;
use crate::settlement::decider::DeciderEvent;
use crate::types::{Domain, Duration, SettlementId, Time};

impl Validator {
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
