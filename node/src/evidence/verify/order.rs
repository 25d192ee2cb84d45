//! A bundle about one order: who accepted or refused it, and why.

use quadrille_protocol::error::Refusal;
use quadrille_protocol::ledger::order::Action;
use quadrille_protocol::ledger::transaction::Cause;
use quadrille_protocol::log::{Record, Statement};
use quadrille_protocol::types::{Domain, OrderId};

use super::super::report::Verdict;
use super::words::words;
use super::{Finding, Proven};

/// Whether the record says what became of this order.
pub(in crate::evidence) fn names_order(record: &Record, id: &OrderId) -> bool {
    match record {
        Record::Refused(refused) => refused.order == *id,
        Record::Statement(Statement::TakeRefused { take, .. }) => take.0 == id.0,
        Record::Transaction(transaction) => match &transaction.cause {
            Cause::Ordered(order) => order.id() == *id,
            Cause::Traded { offer, take } => offer == id || take == id,
            Cause::OfferEnded { offer, .. } => offer == id,
            Cause::TakeEnded { take, .. } => take == id,
            Cause::PaymentEnded { order, .. } => order == id,
            Cause::Opened(_)
            | Cause::Issued(_)
            | Cause::Frozen
            | Cause::Unfrozen
            | Cause::Settled(_)
            | Cause::Refunded(_)
            | Cause::KeyReplaced(_) => false,
        },
        Record::OfferPosted(notice) => notice.offer == *id,
        Record::OfferClosed(closed) => closed.offer == *id,
        _ => false,
    }
}

pub(super) fn judge(id: &OrderId, proven: &[Proven]) -> Result<Finding, Refusal> {
    let (mut bank, mut maker): (Option<&Proven>, Option<&Domain>) = (None, None);
    for known in proven {
        if !names_order(&known.record, id) {
            return Err(known.foreign("it does not name the order"));
        }
        if let Record::Transaction(transaction) = &known.record
            && let Cause::Ordered(order) = &transaction.cause
        {
            bank = Some(known);
            if let Action::Take { terms, .. } = &order.order().action {
                maker = Some(&terms.maker);
            }
        }
    }
    let mut refused = None;
    for known in proven {
        match &known.record {
            Record::Statement(Statement::TakeRefused { .. }) => {
                if maker.is_some_and(|maker| maker != known.by()) {
                    return Err(known.foreign("it is not the maker's bank of the take"));
                }
                refused = Some(known);
            }
            // Sent again, an order that was refused may be accepted.
            Record::Refused(_) if bank.is_none() => refused = Some(known),
            _ if bank.is_some_and(|bank| bank.by() != known.by()) => {
                return Err(known.foreign("it is not the bank that took the order"));
            }
            _ => {}
        }
    }
    let (verdict, told) = match (refused, bank) {
        (Some(refused), _) => (Verdict::Refused, refused),
        (None, Some(bank)) => (Verdict::Accepted, bank),
        (None, None) => match proven.first() {
            Some(first) => (Verdict::Said, first),
            None => return Err(super::nothing()),
        },
    };
    let mut not_proven = Vec::new();
    if verdict == Verdict::Refused {
        not_proven.push("That the refusal was justified: only that it was given.".to_owned());
    } else {
        not_proven
            .push("What a settlement made of it: ask for the settlement's bundle.".to_owned());
    }
    let summary = format!("{} {}.", told.by(), words(&told.record));
    Ok(Finding { verdict, summary, claims: Vec::new(), not_proven })
}
