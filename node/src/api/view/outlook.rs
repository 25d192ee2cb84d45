//! Who is awaited in a settlement, until when, and what happens then: in plain words, by what we
//! are in it and how far it has come.
//!
//! The words follow the machines in the core: only the initiator may give up, and only before
//! its reveal; from then on, and for everybody else from the lock on, only the decider's word
//! counts; the decider's clock can only refund.

use quadrille_protocol::log::OutcomeKind;
use quadrille_protocol::settlement::{Decider, Initiator, Participant, Settlement};
use quadrille_protocol::types::{Domain, Duration, Time};

use super::super::dto::SettlementOutcome;

/// Put before everything else while the node gets back what it has lost.
pub(in super::super) const RECOVERING: &str =
    "This node is recovering statements that it has lost and decides nothing until it has them. ";

/// What is awaited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Outlook {
    /// Whose word.
    pub awaiting: Vec<Domain>,
    /// Until when.
    pub until: Option<Time>,
    /// What happens then.
    pub then: String,
}

impl Outlook {
    fn new(awaiting: Vec<Domain>, until: Option<Time>, then: String) -> Self {
        Self { awaiting, until, then }
    }
}

/// What is awaited in `settlement`, as `own` domain sees it. `reveal_margin_ms` before the
/// deadline an initiator gives up.
pub(in super::super) fn outlook(
    own: &Domain,
    settlement: &Settlement,
    reveal_margin_ms: u64,
) -> Outlook {
    if settlement.is_final() {
        return confirming(own, settlement);
    }
    if let Some(decision) = settlement.decision {
        return applying(own, settlement, decision);
    }
    match (settlement.initiator, settlement.participant, settlement.decider) {
        (Some(initiator), _, _) => as_initiator(own, settlement, initiator, reveal_margin_ms),
        (None, participant, Some(Decider::Open)) => as_decider(own, settlement, participant),
        (None, Some(Participant::Proposed), _) => {
            let then = "The agreement has come and is being checked here; nothing is promised yet.";
            Outlook::new(vec![own.clone()], None, then.to_owned())
        }
        (None, Some(Participant::Locked), _) => as_participant(settlement),
        (
            None,
            None | Some(Participant::Declined | Participant::Settled | Participant::Refunded),
            None | Some(Decider::Settled | Decider::Refunded),
        ) => over(None),
    }
}

fn as_initiator(
    own: &Domain,
    settlement: &Settlement,
    state: Initiator,
    reveal_margin_ms: u64,
) -> Outlook {
    let header = &settlement.header;
    let (decider, deadline) = (&header.decider, header.deadline);
    match state {
        Initiator::Locking => {
            let missing = header
                .parties
                .iter()
                .filter(|party| *party != own && !settlement.locked.contains(*party));
            let missing: Vec<Domain> = missing.cloned().collect();
            let until = deadline.before(Duration(reveal_margin_ms));
            let then = format!(
                "{} must lock by {until}; then we reveal the secret and only {decider} decides. If \
                 not, we give up, our legs are released and nothing moves. It is safe to wait.",
                named(&missing),
            );
            Outlook::new(missing, Some(until), then)
        }
        Initiator::Revealed => {
            let then = format!(
                "The secret is revealed, there is no way back for us. {decider} settles if our \
                 reveal reaches it by {deadline}, and refunds if not; we go on asking it. Our legs \
                 stay held until it answers; take nothing for settled or refunded before.",
            );
            Outlook::new(vec![decider.clone()], None, then)
        }
        Initiator::Aborted => {
            let then = format!(
                "We gave up and our legs are released: nothing moves. {decider} still has to \
                 record the refund, by {deadline} at the latest; nobody needs to do anything.",
            );
            Outlook::new(vec![decider.clone()], None, then)
        }
        Initiator::Settled | Initiator::Refunded => over(None),
    }
}

fn as_decider(own: &Domain, settlement: &Settlement, participant: Option<Participant>) -> Outlook {
    let header = &settlement.header;
    let (initiator, deadline) = (&header.initiator, header.deadline);
    if let Some(asker) = &settlement.asked {
        let then = format!(
            "Known here only because {asker} asked for it. If {initiator} does not send its \
             agreement and reveal by {deadline}, {own} refunds.",
        );
        return Outlook::new(vec![initiator.clone()], Some(deadline), then);
    }
    let held = match participant {
        Some(Participant::Locked) => " and our legs are released",
        Some(
            Participant::Proposed
            | Participant::Declined
            | Participant::Settled
            | Participant::Refunded,
        )
        | None => "",
    };
    let then = format!(
        "{initiator} must send its Reveal by {deadline}; then {own} settles. If it does not, {own} \
         refunds{held}. Nothing needs to be done.",
    );
    Outlook::new(vec![initiator.clone()], Some(deadline), then)
}

fn as_participant(settlement: &Settlement) -> Outlook {
    let header = &settlement.header;
    let (decider, initiator, deadline) = (&header.decider, &header.initiator, header.deadline);
    let then = format!(
        "Our legs are locked and {decider} decides: it settles if {initiator} reveals by \
         {deadline}, and refunds if not. No timer of ours releases them; we ask {decider} until it \
         answers. Take nothing for settled or refunded before.",
    );
    Outlook::new(vec![decider.clone()], None, then)
}

/// Decided, and not yet applied here.
fn applying(own: &Domain, settlement: &Settlement, decision: OutcomeKind) -> Outlook {
    match decision {
        OutcomeKind::Settle => {
            let debtors = settlement.legs.iter().filter(|leg| leg.to.domain == *own);
            let mut missing: Vec<Domain> = debtors
                .map(|leg| leg.from.domain.clone())
                .filter(|from| from != own && !settlement.locked.contains(from))
                .collect();
            missing.sort_unstable();
            missing.dedup();
            let then = format!(
                "Decided: it settles. We apply it as soon as the proof is here that {} locked.",
                named(&missing),
            );
            Outlook::new(missing, None, then)
        }
        OutcomeKind::Refund => {
            let then = "Decided: it is refunded. Our legs are being released.".to_owned();
            Outlook::new(vec![own.clone()], None, then)
        }
    }
}

/// Final here, and kept until the counterparties have said so, too.
fn confirming(own: &Domain, settlement: &Settlement) -> Outlook {
    let mut outlook = over(settlement.decision.map(|decision| match decision {
        OutcomeKind::Settle => SettlementOutcome::Settled,
        OutcomeKind::Refund => SettlementOutcome::Refunded,
    }));
    let mut missing = settlement.counterparties(own);
    missing.retain(|peer| !settlement.confirmed.contains(peer));
    if settlement.participant != Some(Participant::Declined) && !missing.is_empty() {
        let missing: Vec<Domain> = missing.into_iter().collect();
        let confirm =
            format!(" For the books to be compared, {} has yet to say so, too.", named(&missing));
        outlook.then.push_str(&confirm);
    }
    outlook
}

/// The index has not come to the end of what the state has closed.
pub(in super::super) fn closing(awaiting: Vec<Domain>) -> Outlook {
    Outlook::new(awaiting, None, "It is not final here; look again in a moment.".to_owned())
}

/// It is over.
pub(in super::super) fn over(outcome: Option<SettlementOutcome>) -> Outlook {
    let then = match outcome {
        Some(SettlementOutcome::Settled) => "Settled: every leg has moved. Nothing is awaited.",
        Some(SettlementOutcome::Refunded) => "Refunded: no leg has moved. Nothing is awaited.",
        None => "It is over here. Nothing is awaited.",
    };
    Outlook::new(Vec::new(), None, then.to_owned())
}

fn named(domains: &[Domain]) -> String {
    match domains {
        [] => "Nobody".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => {
            rest.iter().fold(first.to_string(), |list, domain| format!("{list} and {domain}"))
        }
    }
}
