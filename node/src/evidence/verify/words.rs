//! Records in plain words: the predicate of a sentence whose subject is the domain.

use quadrille_protocol::ledger::order::{Action, Order};
use quadrille_protocol::ledger::supply::{Attestation, Position};
use quadrille_protocol::ledger::transaction::{Cause, MovementKind, Transaction};
use quadrille_protocol::log::record::Decided;
use quadrille_protocol::log::{Outcome, OutcomeKind, Record, Statement};
use quadrille_protocol::settlement::agreement::Leg;

/// What the record says. Private records are named by their kind only.
pub(super) fn words(record: &Record) -> String {
    match record {
        Record::Transaction(transaction) => booking(transaction),
        Record::Refused(refused) => format!(
            "refused the order {} of the ledger {}: {}",
            refused.order, refused.ledger, refused.refusal
        ),
        Record::OfferPosted(notice) => format!(
            "published the offer {} (version {}): up to {} {} at {} {} for {}",
            notice.offer,
            notice.version,
            notice.remaining,
            notice.terms.give,
            notice.terms.want_amount,
            notice.terms.want,
            notice.terms.give_amount
        ),
        Record::OfferClosed(closed) => {
            format!("published that the offer {} is gone: {}", closed.offer, closed.reason.title())
        }
        Record::Book(root) => format!("published the root of its {} live offers", root.count),
        Record::Statement(statement) => stated(statement),
        Record::Queried(question) => {
            format!("wrote down the question of {} for {}", question.by, question.header.id())
        }
        Record::AssetClosed(asset) => format!("closed {asset}: nothing is issued any more"),
        Record::Attested(said) => attested(said),
        Record::Founded(_)
        | Record::Admitted(_)
        | Record::Revoked(_)
        | Record::Rotated(_)
        | Record::CreditLimit(_)
        | Record::Asset(_)
        | Record::AssetLocked { .. }
        | Record::TransitLedger(_)
        | Record::TakeWaiting { .. }
        | Record::Received(_)
        | Record::Page(_)
        | Record::Suspended(_)
        | Record::Lifted(_)
        | Record::Recovered(_)
        | Record::Recovering { .. }
        | Record::Shown(_)
        | Record::Restored
        | Record::Routed { .. }
        | Record::TransitFee { .. }
        | Record::TravelRule { .. }
        | Record::Broken(_)
        | Record::Explained(_)
        | Record::Netting(_) => format!("wrote down a record of the kind {}", record.kind()),
    }
}

fn attested(said: &Attestation) -> String {
    let Attestation { asset, issued, redeemed, holders, peers, height: _ } = said;
    let place = |at: &Position| match at.claim.is_zero() {
        true => format!("owes {} {}", at.peer, at.owe),
        false => format!("is owed {} by {}", at.claim, at.peer),
    };
    let places: Vec<String> = peers.iter().map(place).collect();
    let places = if places.is_empty() { "owes nobody".to_owned() } else { places.join(", ") };
    format!(
        "attested of {asset}: issued {issued}, redeemed {redeemed}, holders have {holders}, {places}"
    )
}

fn stated(statement: &Statement) -> String {
    match statement {
        Statement::Take(request) => format!(
            "asked to take {} of the offer {} for {}, as {}",
            request.amount, request.offer, request.pay, request.take
        ),
        Statement::TakeRefused { offer, take, refusal } => {
            format!("refused the take {take} of the offer {offer}: {refusal}")
        }
        Statement::Agreed(agreement) => {
            let legs: Vec<String> = agreement.legs.iter().map(leg_words).collect();
            format!("drew the agreement up and locked its own part: {}", legs.join("; "))
        }
        Statement::Appointed(header) => {
            format!("appointed {} to decide, and is locked", header.decider)
        }
        Statement::Locked(_) => "locked its part: bound until the decision".to_owned(),
        Statement::Declined { refusal, .. } => format!("declined to lock: {refusal}"),
        Statement::Revealed(_) => "revealed the secret: no way back for it".to_owned(),
        Statement::Aborted(aborted) => {
            format!("gave it up before any reveal: {} {}", aborted.reason, aborted.reason.title())
        }
        Statement::Decided(Decided { outcome: Outcome::Settle { .. }, .. }) => {
            "decided to SETTLE, with the secret".to_owned()
        }
        Statement::Decided(Decided { outcome: Outcome::Refund { reason }, .. }) => {
            format!("decided to REFUND: {reason} {}", reason.title())
        }
        Statement::Finalised { outcome: OutcomeKind::Settle, .. } => {
            "has applied the settlement".to_owned()
        }
        Statement::Finalised { outcome: OutcomeKind::Refund, .. } => {
            "has applied the refund".to_owned()
        }
        Statement::Rotated(_) => "told of its next key".to_owned(),
        Statement::Position(told) => format!(
            "said that with {} it had booked {} legs of {}: it owes {} and is owed {}",
            told.with, told.count, told.asset, told.owe, told.claim
        ),
    }
}

/// A leg, as in `30 BOND:… from bank-a.example to bank-b.example`.
pub(super) fn leg_words(leg: &Leg) -> String {
    format!("{} {} from {} to {}", leg.amount, leg.asset, leg.from.domain, leg.to.domain)
}

fn booking(transaction: &Transaction) -> String {
    let cause = match &transaction.cause {
        Cause::Opened(signed) => format!("opened the ledger of {}", signed.opening.holder),
        Cause::Ordered(order) => {
            format!("accepted the order {} ({})", order.id(), ordered(order.order()))
        }
        Cause::Issued(_) => "issued".to_owned(),
        Cause::Frozen => "froze".to_owned(),
        Cause::Unfrozen => "thawed".to_owned(),
        Cause::Settled(_) => "booked the settlement".to_owned(),
        Cause::Refunded(_) => "booked the refund".to_owned(),
        Cause::Traded { offer, take } => format!("booked the trade of {offer} with {take}"),
        Cause::OfferEnded { offer, reason } => {
            format!("released what was left of the offer {offer}: {}", reason.title())
        }
        Cause::TakeEnded { take, reason } => {
            format!("released what was held for the take {take}: {}", reason.title())
        }
        Cause::PaymentEnded { order, reason } => {
            format!("released what was held for the payment {order}: {}", reason.title())
        }
        Cause::KeyReplaced(replaced) => {
            let replacement = &replaced.signed.replacement;
            let (lost, key) = (replacement.lost, replacement.key.id());
            format!("replaced the lost key {lost} by {key}: {}", replaced.reason)
        }
    };
    let moved: Vec<String> = transaction
        .entries
        .iter()
        .map(|entry| {
            let moves: Vec<String> = entry
                .movements
                .iter()
                .map(|known| format!("{} {} {}", moves(known.kind), known.amount, known.asset))
                .collect();
            let moves =
                if moves.is_empty() { "nothing moves".to_owned() } else { moves.join(", ") };
            format!("entry {} of {}: {moves}", entry.sequence, entry.ledger)
        })
        .collect();
    if moved.is_empty() { cause } else { format!("{cause}; {}", moved.join("; ")) }
}

const fn moves(kind: MovementKind) -> &'static str {
    match kind {
        MovementKind::Credit => "credit",
        MovementKind::Debit => "debit",
        MovementKind::Hold => "hold",
        MovementKind::Release => "release",
        MovementKind::Spend => "spend from what was held",
    }
}

fn ordered(order: &Order) -> String {
    match &order.action {
        Action::Pay(payment) => {
            format!("pay {} {} to {}", payment.amount, payment.asset, payment.to.domain)
        }
        Action::Offer(terms) => format!(
            "offer {} {} for {} {}",
            terms.give_amount, terms.give, terms.want_amount, terms.want
        ),
        Action::Take { terms, pair } => format!(
            "take {} {} for {} {} from {}",
            terms.take, pair.give, terms.pay, pair.want, terms.maker
        ),
        Action::Cancel { offer } => format!("cancel the offer {offer}"),
        Action::Amend(_) => "change the rules".to_owned(),
        Action::RotateKey { .. } => "change the key".to_owned(),
        Action::Redeem { asset, amount } => format!("redeem {amount} {asset}"),
        Action::Close => "close the ledger".to_owned(),
    }
}
