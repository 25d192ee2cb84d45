//! Settlements: what was said of them and done.

use quadrille_protocol::crypto::hash::hash_lock;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::record::{Decided, Question};
use quadrille_protocol::log::{Outcome, OutcomeKind, Statement};
use quadrille_protocol::settlement::agreement::{Agreement, Header};
use quadrille_protocol::types::{AgreementNumber, Bounded, Domain, OrderId, SettlementId};

use super::super::keys::{Key, Kind};
use super::super::rows::{
    Ending, OrderKind, OrderState, Part, SettlementEnd, SettlementRow, Step, StepRow,
};
use super::{At, Fold};

impl Fold<'_> {
    /// A statement of ours.
    pub(super) fn said(&mut self, statement: &Statement, at: At) -> Result<(), Refusal> {
        let own = self.own()?;
        match statement {
            Statement::Take(_) | Statement::TakeRefused { .. } | Statement::Position(_) => Ok(()),
            Statement::Rotated(signed) => {
                // Our own rotation has a record of its own, which a loss may have taken.
                if at.recovered {
                    let domain = signed.parse()?.domain;
                    self.paper(&domain, at);
                }
                Ok(())
            }
            Statement::Agreed(agreement) => {
                let id = agreement.header.id();
                self.begin(id, &agreement.header, Part::Initiator, at)?;
                self.tell_legs(&id, agreement)?;
                self.step(&id, Step::Agreed, &own, None, at)?;
                self.carry_orders(&id, at)
            }
            Statement::Appointed(header) => {
                let id = header.id();
                self.begin(id, header, Part::Initiator, at)?;
                self.step(&id, Step::Appointed, &own, None, at)
            }
            Statement::Locked(id) => {
                self.step(id, Step::Locked, &own, None, at)?;
                self.carry_orders(id, at)
            }
            Statement::Declined { settlement, refusal } => {
                self.step(settlement, Step::Declined, &own, Some(refusal.clone()), at)?;
                self.end_unlocked(settlement, at)
            }
            Statement::Revealed(revealed) => {
                self.step(&revealed.settlement, Step::Revealed, &own, None, at)
            }
            Statement::Aborted(aborted) => {
                let reason = Some(because(aborted.reason));
                self.step(&aborted.settlement, Step::Aborted, &own, reason, at)
            }
            Statement::Decided(decided) => self.own_decision(decided, &own, at),
            Statement::Finalised { settlement, .. } => {
                self.step(settlement, Step::Finalised, &own, None, at)
            }
        }
    }

    fn own_decision(&mut self, decided: &Decided, own: &Domain, at: At) -> Result<(), Refusal> {
        let key = Key::decision(&decided.settlement);
        if !self.draft.has(key.clone())? {
            self.counters.decisions = self.counters.decisions.saturating_add(1);
            self.draft.put(key, &at.place());
        }
        self.decided(decided, own, at)
    }

    /// A statement of a peer. Whether it counts is judged as the core judges it.
    pub(super) fn heard(
        &mut self,
        from: &Domain,
        statement: &Statement,
        at: At,
    ) -> Result<(), Refusal> {
        match statement {
            Statement::Take(_) | Statement::Rotated(_) | Statement::Position(_) => Ok(()),
            Statement::TakeRefused { take, .. } => self.change_order(&OrderId(take.0), |row| {
                if row.kind == Some(OrderKind::Take) && row.refused_by.is_none() {
                    row.refused_by = Some(at.said);
                }
            }),
            Statement::Agreed(agreement) => self.heard_agreement(from, agreement, at),
            Statement::Appointed(header) => self.heard_appointment(from, header, at),
            Statement::Locked(id) => self.step_of_party(id, Step::Locked, from, None, at),
            Statement::Declined { settlement, refusal } => {
                self.step_of_party(settlement, Step::Declined, from, Some(refusal.clone()), at)
            }
            Statement::Revealed(revealed) => {
                let matches = |header: &Header| hash_lock(&revealed.preimage) == header.lock;
                let known = self.settlement(&revealed.settlement)?;
                let counts =
                    known.is_some_and(|row| row.header.initiator == *from && matches(&row.header));
                if counts {
                    self.step(&revealed.settlement, Step::Revealed, from, None, at)?;
                }
                Ok(())
            }
            Statement::Aborted(aborted) => {
                let known = self.settlement(&aborted.settlement)?;
                if known.is_some_and(|row| row.header.initiator == *from) {
                    let reason = Some(because(aborted.reason));
                    self.step(&aborted.settlement, Step::Aborted, from, reason, at)?;
                }
                Ok(())
            }
            Statement::Decided(decided) => self.heard_decision(from, decided, at),
            Statement::Finalised { settlement, .. } => {
                self.step_of_party(settlement, Step::Finalised, from, None, at)
            }
        }
    }

    fn heard_agreement(
        &mut self,
        from: &Domain,
        agreement: &Agreement,
        at: At,
    ) -> Result<(), Refusal> {
        let header = &agreement.header;
        let own = self.own()?;
        let concerns = agreement.check().is_ok() && header.is_party(&own);
        if !concerns || !self.is_fresh(from, header, &own)? {
            return Ok(());
        }
        let id = header.id();
        self.begin(id, header, Part::Participant, at)?;
        self.tell_legs(&id, agreement)?;
        self.step(&id, Step::Agreed, from, None, at)
    }

    fn heard_appointment(&mut self, from: &Domain, header: &Header, at: At) -> Result<(), Refusal> {
        let own = self.own()?;
        let concerns = header.decider == own && header.has_notary();
        if !concerns || !self.is_fresh(from, header, &own)? {
            return Ok(());
        }
        let id = header.id();
        self.begin(id, header, Part::Notary, at)?;
        self.step(&id, Step::Appointed, from, None, at)
    }

    /// Whether an agreement by `from` is one that the core took up.
    fn is_fresh(&mut self, from: &Domain, header: &Header, own: &Domain) -> Result<bool, Refusal> {
        let key = Key::peer_number(from);
        let highest: AgreementNumber = self.draft.get(key.clone())?.unwrap_or_default();
        if header.number <= highest || header.initiator != *from || header.check().is_err() {
            return Ok(false);
        }
        for named in header.others(own) {
            if !self.is_member(named)? {
                return Ok(false);
            }
        }
        self.draft.put(key, &header.number);
        Ok(true)
    }

    /// A party asked us to decide what we had not heard of.
    pub(super) fn queried(&mut self, question: &Question, at: At) -> Result<(), Refusal> {
        let id = question.header.id();
        self.begin(id, &question.header, Part::Asked, at)?;
        self.step(&id, Step::Queried, &question.by, None, at)
    }

    /// What the decider told us, in its feed or when we asked.
    pub(super) fn heard_decision(
        &mut self,
        from: &Domain,
        decided: &Decided,
        at: At,
    ) -> Result<(), Refusal> {
        let Some(row) = self.settlement(&decided.settlement)? else { return Ok(()) };
        let opens = match &decided.outcome {
            Outcome::Settle { preimage, .. } => hash_lock(preimage) == row.header.lock,
            Outcome::Refund { .. } => true,
        };
        if row.header.decider != *from || !opens {
            return Ok(());
        }
        self.decided(decided, from, at)
    }

    fn decided(&mut self, decided: &Decided, by: &Domain, at: At) -> Result<(), Refusal> {
        let id = &decided.settlement;
        let outcome = decided.outcome.kind();
        let (step, reason) = match &decided.outcome {
            Outcome::Settle { .. } => (Step::DecidedSettle, None),
            Outcome::Refund { reason } => (Step::DecidedRefund, Some(because(*reason))),
        };
        self.step(id, step, by, reason, at)?;
        let Some(row) = self.draft.change::<SettlementRow>(id)? else { return Ok(()) };
        // A second decision that differs is kept as a step: it is half of a proof of fraud.
        row.decision.get_or_insert(outcome);
        self.end_unlocked(id, at)
    }

    /// Ends what ends without a booking: we never locked, and either declined or the decision is
    /// known. A notary's end is its decision.
    fn end_unlocked(&mut self, id: &SettlementId, at: At) -> Result<(), Refusal> {
        let own = self.own()?;
        let Some(row) = self.settlement(id)? else { return Ok(()) };
        if row.is_final() || row.is_locked(&own) {
            return Ok(());
        }
        let declined = row.has_step(Step::Declined, &own);
        let outcome = match (row.part, row.decision) {
            (Part::Notary | Part::Asked, Some(OutcomeKind::Settle)) => Ending::Settled,
            (Part::Notary | Part::Asked, Some(OutcomeKind::Refund)) => Ending::Refunded,
            (Part::Notary | Part::Asked, None) => return Ok(()),
            (Part::Initiator | Part::Participant, Some(OutcomeKind::Refund)) => Ending::Refunded,
            // Whoever declines and decides says both in one batch.
            (Part::Participant, _) if declined && row.header.decider != own => Ending::Declined,
            (Part::Initiator | Part::Participant, _) => return Ok(()),
        };
        self.end(id, outcome, at)
    }

    /// Our transaction for the settlement.
    pub(super) fn booked(
        &mut self,
        id: &SettlementId,
        settled: bool,
        at: At,
    ) -> Result<(), Refusal> {
        let own = self.own()?;
        let step = if settled { Step::Settled } else { Step::Refunded };
        self.step(id, step, &own, None, at)?;
        let Some(row) = self.settlement(id)? else { return Ok(()) };
        let is_final = row.is_final();
        for order in orders_of(row, &own) {
            self.change_order(&order, |row| {
                let state = match (row.kind, settled) {
                    // An offer outlives its settlements: it ends when it is filled or closed.
                    (Some(OrderKind::Offer), _) => return,
                    // A payment takes its next way, or is ended by a record of its own.
                    (Some(OrderKind::Pay), false) if row.state != OrderState::Settling(*id) => {
                        return;
                    }
                    (Some(OrderKind::Pay), false) => OrderState::Open,
                    (_, true) => OrderState::Settled(*id),
                    (_, false) => OrderState::Refunded(*id),
                };
                row.state = state;
                row.changed = at.place();
                row.changed_time = at.time;
            })?;
        }
        if is_final {
            return Ok(());
        }
        self.end(id, if settled { Ending::Settled } else { Ending::Refunded }, at)
    }

    fn end(&mut self, id: &SettlementId, outcome: Ending, at: At) -> Result<(), Refusal> {
        let Some(row) = self.draft.change::<SettlementRow>(id)? else { return Ok(()) };
        let counter = match outcome {
            Ending::Settled => &mut self.counters.settled,
            Ending::Refunded => &mut self.counters.refunded,
            Ending::Declined => &mut self.counters.declined,
        };
        *counter = counter.saturating_add(1);
        row.end = Some(SettlementEnd { outcome, place: at.place(), time: at.time });
        let (open, ended) = (listed(Kind::OpenSettlement, row), listed(Kind::FinalSettlement, row));
        self.draft.remove(open);
        self.draft.put(ended, id);
        Ok(())
    }

    /// The first that we write of a settlement; of one we know, what we are in it may change.
    fn begin(
        &mut self,
        id: SettlementId,
        header: &Header,
        part: Part,
        at: At,
    ) -> Result<(), Refusal> {
        if let Some(known) = self.settlement(&id)? {
            // We had been asked before its initiator told us.
            if known.part == Part::Asked
                && part != Part::Asked
                && let Some(row) = self.draft.change::<SettlementRow>(&id)?
            {
                row.part = part;
            }
            return Ok(());
        }
        let row = SettlementRow {
            settlement: id,
            part,
            header: header.clone(),
            legs: Bounded::default(),
            purpose: None,
            opened: at.said,
            time: at.time,
            steps: Vec::new(),
            decision: None,
            end: None,
        };
        self.counters.settlements = self.counters.settlements.saturating_add(1);
        self.draft.put(listed(Kind::SettlementByPlace, &row), &id);
        self.draft.put_new(listed(Kind::OpenSettlement, &row), &id);
        self.draft.keep(id, row);
        Ok(())
    }

    fn tell_legs(&mut self, id: &SettlementId, agreement: &Agreement) -> Result<(), Refusal> {
        if let Some(row) = self.draft.change::<SettlementRow>(id)?
            && row.legs.is_empty()
        {
            row.legs = agreement.legs.clone();
            row.purpose = Some(agreement.purpose);
        }
        Ok(())
    }

    /// From here on the settlement carries our holders' orders.
    fn carry_orders(&mut self, id: &SettlementId, at: At) -> Result<(), Refusal> {
        let own = self.own()?;
        let Some(row) = self.settlement(id)? else { return Ok(()) };
        let place = (row.opened.place, number_of(row));
        for order in orders_of(row, &own) {
            let key = Key::of(Kind::OrderSettlement).id(order.as_bytes());
            self.draft.put(key.place(place.0).number(place.1), id);
            self.change_order(&order, |row| {
                row.settlement = Some(*id);
                if row.kind != Some(OrderKind::Offer) && row.state == OrderState::Open {
                    row.state = OrderState::Settling(*id);
                    row.changed = at.place();
                    row.changed_time = at.time;
                }
            })?;
        }
        Ok(())
    }

    fn step_of_party(
        &mut self,
        id: &SettlementId,
        step: Step,
        from: &Domain,
        reason: Option<Refusal>,
        at: At,
    ) -> Result<(), Refusal> {
        if self.settlement(id)?.is_some_and(|row| row.header.is_party(from)) {
            self.step(id, step, from, reason, at)?;
        }
        Ok(())
    }

    /// Each step of each domain counts once, where it was first taken: what is said again says
    /// nothing new, and nobody can make a row grow for ever.
    fn step(
        &mut self,
        id: &SettlementId,
        step: Step,
        by: &Domain,
        reason: Option<Refusal>,
        at: At,
    ) -> Result<(), Refusal> {
        if let Some(row) = self.draft.change::<SettlementRow>(id)?
            && !row.has_step(step, by)
        {
            row.steps.push(StepRow { step, by: by.clone(), reason, said: at.said, time: at.time });
        }
        Ok(())
    }

    fn settlement(&mut self, id: &SettlementId) -> Result<Option<&SettlementRow>, Refusal> {
        self.draft.row(id)
    }
}

/// A settlement's key in a list by where it began.
fn listed(kind: Kind, row: &SettlementRow) -> Key {
    Key::of(kind).place(row.opened.place).number(number_of(row))
}

/// A page may begin several settlements: its items tell them apart.
fn number_of(row: &SettlementRow) -> u64 {
    row.opened.item.map_or(0, |item| u64::from(item).saturating_add(1))
}

/// The orders of our holders that its legs name.
fn orders_of(row: &SettlementRow, own: &Domain) -> Vec<OrderId> {
    let ours = row.legs.iter().filter(|leg| leg.from.domain == *own);
    ours.filter_map(|leg| leg.order).collect()
}

/// A reason that is only a code, as it is shown.
fn because(code: Code) -> Refusal {
    Refusal::new(code, "")
}
