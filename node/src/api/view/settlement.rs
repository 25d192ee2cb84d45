//! Settlements: what the index remembers, and what the state knows while they are open.

use quadrille_protocol::log::OutcomeKind;
use quadrille_protocol::settlement::{Header, Leg, Purpose, Settlement};
use quadrille_protocol::types::Domain;

use super::super::dto::{
    LegView, PartyRole, SettlementOutcome, SettlementState, SettlementSummary, SettlementView,
    StepView,
};
use super::outlook::{self, Outlook};
use super::{place, reason_of};
use crate::index::{Ending, SettlementRow, StepRow};

pub(in super::super) fn settlement_summary(own: &Domain, row: &SettlementRow) -> SettlementSummary {
    SettlementSummary {
        settlement: row.settlement,
        state: state_of(row.is_final()),
        outcome: outcome_of(row),
        roles: roles(own, &row.header),
        parties: row.header.parties.to_vec(),
        deadline: row.header.deadline,
        begun: Some(row.time),
    }
}

/// A settlement; `None` when neither the index nor the state knows it.
pub(in super::super) fn settlement(
    own: &Domain,
    row: Option<&SettlementRow>,
    now: Option<&Settlement>,
    outlook: Option<Outlook>,
) -> Option<SettlementView> {
    let header = now.map(|now| &now.header).or(row.map(|row| &row.header))?;
    let legs: &[Leg] = match (now, row) {
        (Some(now), _) if !now.legs.is_empty() => &now.legs,
        (_, Some(row)) => &row.legs,
        (Some(now), None) => &now.legs,
        (None, None) => &[],
    };
    let is_final =
        now.map_or_else(|| row.is_some_and(SettlementRow::is_final), Settlement::is_final);
    let known = now.and_then(|now| now.decision).map(outcome_kind);
    let outcome = known.or(row.and_then(outcome_of));
    let locked = match (now, row) {
        (Some(now), _) => now.locked.iter().cloned().collect(),
        (None, Some(row)) => {
            header.parties.iter().filter(|party| row.is_locked(party)).cloned().collect()
        }
        (None, None) => Vec::new(),
    };
    let outlook = outlook.unwrap_or_else(|| match row {
        Some(row) if !row.is_final() => outlook::closing(row.awaiting(own)),
        Some(_) | None => outlook::over(outcome),
    });
    Some(SettlementView {
        settlement: header.id(),
        state: state_of(is_final),
        outcome,
        roles: roles(own, header),
        initiator: header.initiator.clone(),
        decider: header.decider.clone(),
        parties: header.parties.to_vec(),
        legs: legs.iter().map(leg).collect(),
        deadline: header.deadline,
        locked,
        steps: row.map_or_else(Vec::new, steps),
        awaiting: outlook.awaiting,
        until: outlook.until,
        then: outlook.then,
    })
}

const fn state_of(is_final: bool) -> SettlementState {
    if is_final { SettlementState::Final } else { SettlementState::Open }
}

fn outcome_of(row: &SettlementRow) -> Option<SettlementOutcome> {
    let ended = row.end.map(|end| match end.outcome {
        Ending::Settled => SettlementOutcome::Settled,
        // Whoever did not lock has nothing in it that moved.
        Ending::Refunded | Ending::Declined => SettlementOutcome::Refunded,
    });
    ended.or(row.decision.map(outcome_kind))
}

const fn outcome_kind(kind: OutcomeKind) -> SettlementOutcome {
    match kind {
        OutcomeKind::Settle => SettlementOutcome::Settled,
        OutcomeKind::Refund => SettlementOutcome::Refunded,
    }
}

fn roles(own: &Domain, header: &Header) -> Vec<PartyRole> {
    let mut roles = Vec::new();
    if header.initiator == *own {
        roles.push(PartyRole::Initiator);
    } else if header.is_party(own) {
        roles.push(PartyRole::Participant);
    }
    if header.decider == *own {
        roles.push(PartyRole::Decider);
    }
    roles
}

fn leg(leg: &Leg) -> LegView {
    LegView {
        asset: leg.asset.clone(),
        amount: leg.amount,
        from_domain: leg.from.domain.clone(),
        from_ledger: leg.from.ledger,
        to_domain: leg.to.domain.clone(),
        to_ledger: leg.to.ledger,
        order: leg.order,
    }
}

fn steps(row: &SettlementRow) -> Vec<StepView> {
    let transfer = row.purpose == Some(Purpose::Transfer);
    row.steps.iter().map(|one| step(one, transfer)).collect()
}

fn step(row: &StepRow, transfer: bool) -> StepView {
    StepView {
        step: row.step.name().to_owned(),
        satp: row.step.satp().filter(|_| transfer).map(str::to_owned),
        by: row.by.clone(),
        time: row.time,
        reason: row.reason.as_ref().map(|refusal| {
            if refusal.what.is_empty() { reason_of(refusal.code) } else { refusal.into() }
        }),
        place: place(row.said.place),
    }
}
