//! Payments: ways, and what has become of one.

use quadrille_protocol::ledger::Payment;
use quadrille_protocol::log::OutcomeKind;
use quadrille_protocol::payment::Way;
use quadrille_protocol::payment::path::{By, Step as PathStep};
use quadrille_protocol::settlement::Purpose;
use quadrille_protocol::types::{Domain, Time, Uai};

use super::super::dto::{
    PathBy, PathLegView, PathView, PaymentState, PaymentTermsView, PaymentView, Reason,
    RefusalView, TryView,
};
use super::outlook::Outlook;
use super::{count, place, reason_of};
use crate::index::{Ending, OrderRow, OrderState, SettlementRow, Step, StepRow};

pub(in super::super) fn path(spend: &Uai, way: &Way) -> PathView {
    PathView {
        cost: way.cost(),
        spend: spend.clone(),
        parties: count(way.parties),
        legs: way.steps.iter().map(path_leg).collect(),
    }
}

fn path_leg(step: &PathStep) -> PathLegView {
    let (by, offer) = match step.by {
        By::Payee => (PathBy::Payee, None),
        By::Transit(_) => (PathBy::Transit, None),
        By::Offer(offer) => (PathBy::Offer, Some(offer)),
    };
    let (domain, asset) = (step.domain.clone(), step.asset.clone());
    PathLegView { domain, asset, amount: step.amount, by, offer }
}

/// What is known of a payment.
pub(in super::super) struct Known<'a> {
    /// Its order.
    pub row: &'a OrderRow,
    /// What was ordered, and how many ways were planned.
    pub ordered: Option<(Payment, usize)>,
    /// The settlements that carried it, oldest first.
    pub tries: &'a [SettlementRow],
    /// Until when the bank may go on to another way, while it is not over.
    pub expiry: Option<Time>,
    /// What is awaited in the settlement that carries it now.
    pub outlook: Option<Outlook>,
}

pub(in super::super) fn payment(own: &Domain, known: Known<'_>) -> PaymentView {
    let Known { row, ordered, tries, expiry, outlook } = known;
    let (state, mut reason) = match &row.state {
        OrderState::Refused(refusal) => (PaymentState::Refused, Some(Reason::from(refusal))),
        OrderState::Done | OrderState::Filled => (PaymentState::Paid, None),
        OrderState::Open | OrderState::Settling(_) => (PaymentState::Trying, None),
        OrderState::Settled(_) => (PaymentState::Settled, None),
        OrderState::Refunded(_) => (PaymentState::Refunded, None),
        OrderState::Ended(code) => (PaymentState::Refunded, Some(reason_of(*code))),
    };
    let tries: Vec<TryView> =
        tries.iter().zip(1..).map(|(row, number)| one_try(own, row, number)).collect();
    if state == PaymentState::Refunded {
        // The last signed refusal says more than its bare code.
        let said = tries.iter().rev().flat_map(|it| it.refusals.last()).next();
        reason = said.map(|refusal| refusal.reason.clone()).or(reason);
    }
    let planned = ordered.as_ref().map_or(0, |(_, planned)| *planned);
    let settled = tries.iter().find(|it| it.settled == Some(true));
    let cost = match state {
        PaymentState::Settled => settled.and_then(|it| it.cost),
        PaymentState::Paid => ordered.as_ref().map(|(payment, _)| payment.amount),
        PaymentState::Refused | PaymentState::Trying | PaymentState::Refunded => None,
    };
    let mut then = words(state, tries.len(), planned, expiry);
    let (awaiting, until) = match outlook {
        Some(outlook) if state == PaymentState::Trying => {
            then = format!("{then} {}", outlook.then);
            (outlook.awaiting, outlook.until)
        }
        Some(_) | None => (Vec::new(), None),
    };
    PaymentView {
        order: row.order,
        ledger: row.ledger,
        state,
        reason,
        terms: ordered.map(|(payment, _)| terms(payment)),
        cost,
        planned: count(planned),
        tries,
        awaiting,
        until,
        then,
        time: row.time,
        place: place(row.place),
    }
}

fn terms(payment: Payment) -> PaymentTermsView {
    let purpose = match payment.purpose {
        Purpose::Payment => "payment",
        Purpose::Transfer => "transfer",
        Purpose::Trade => "trade",
        Purpose::Netting => "netting",
    };
    PaymentTermsView {
        to_domain: payment.to.domain,
        to_ledger: payment.to.ledger,
        asset: payment.asset,
        amount: payment.amount,
        spend: payment.spend,
        max_cost: payment.max_cost,
        purpose: purpose.to_owned(),
    }
}

fn words(state: PaymentState, tried: usize, planned: usize, expiry: Option<Time>) -> String {
    match state {
        PaymentState::Refused => {
            "It had no effect; the evidence of its record proves the refusal.".to_owned()
        }
        PaymentState::Paid => "Booked at once, inside this bank.".to_owned(),
        PaymentState::Settled => "Settled: every leg has moved.".to_owned(),
        PaymentState::Refunded => {
            "Nothing has moved, and what was held is released. A new order can be sent.".to_owned()
        }
        PaymentState::Trying => {
            let left = planned.saturating_sub(tried);
            let until = expiry.map_or_else(String::new, |until| format!(", until {until}"));
            format!(
                "Way {tried} of {planned} is being tried. If it is refused, {left} more may be \
                 tried{until}; then what is held is released. Send no other order for the same \
                 purpose before that."
            )
        }
    }
}

fn one_try(own: &Domain, row: &SettlementRow, number: u32) -> TryView {
    let ours = row.legs.iter().find(|leg| leg.from.domain == *own && leg.order.is_some());
    let settled = match (row.end.map(|end| end.outcome), row.decision) {
        (Some(Ending::Settled), _) | (None, Some(OutcomeKind::Settle)) => Some(true),
        (Some(Ending::Refunded | Ending::Declined), _) | (None, Some(OutcomeKind::Refund)) => {
            Some(false)
        }
        (None, None) => None,
    };
    TryView {
        number,
        settlement: row.settlement,
        parties: row.header.parties.to_vec(),
        cost: ours.map(|leg| leg.amount),
        settled,
        refusals: refusals(row),
    }
}

/// Who would not take part and why; where nobody said so, why it was given up or refunded.
fn refusals(row: &SettlementRow) -> Vec<RefusalView> {
    let of = |wanted: &[Step]| -> Vec<RefusalView> {
        let steps = row.steps.iter().filter(|step| wanted.contains(&step.step));
        steps.filter_map(refusal).collect()
    };
    let declined = of(&[Step::Declined]);
    if declined.is_empty() { of(&[Step::Aborted, Step::DecidedRefund]) } else { declined }
}

fn refusal(step: &StepRow) -> Option<RefusalView> {
    let reason = step.reason.as_ref()?;
    let reason = if reason.what.is_empty() { reason_of(reason.code) } else { Reason::from(reason) };
    Some(RefusalView { by: step.by.clone(), reason, place: place(step.said.place) })
}
