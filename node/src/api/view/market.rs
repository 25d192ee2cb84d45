//! Orders, offers and the book.

use quadrille_protocol::error::Code;
use quadrille_protocol::market::{self, Offer, OfferNotice, WaitingTake};
use quadrille_protocol::types::{Amount, Domain};

use super::super::dto::{
    BookEntry, OfferState, OfferView, OrderState, OrderView, Reason, WaitingTakeView,
};
use super::{place, reason_of};
use crate::index::{self, OfferRow, OrderKind, OrderRow};

/// What has become of an order, and what can be done about it.
pub(in super::super) fn order(row: &OrderRow) -> OrderView {
    use index::OrderState as Was;
    let (state, reason): (OrderState, Option<Reason>) = match &row.state {
        Was::Refused(refusal) => (OrderState::Refused, Some(refusal.into())),
        Was::Done => (OrderState::Done, None),
        Was::Open => (OrderState::Live, None),
        Was::Settling(_) => (OrderState::Settling, None),
        Was::Settled(_) | Was::Filled => (OrderState::Settled, None),
        Was::Refunded(_) => (OrderState::Refunded, None),
        Was::Ended(code) => (OrderState::Ended, Some(reason_of(*code))),
    };
    let then = match state {
        OrderState::Done => "Booked. Nothing more is to come of it.",
        OrderState::Live => match row.kind {
            Some(OrderKind::Offer) => {
                "It can be taken until it expires, or until its holder cancels it."
            }
            Some(OrderKind::Take) => {
                "The maker's bank has not answered yet. It can until the take expires; then what \
                 is held for it is released."
            }
            Some(
                OrderKind::Pay
                | OrderKind::Cancel
                | OrderKind::Amend
                | OrderKind::RotateKey
                | OrderKind::Redeem
                | OrderKind::Close,
            )
            | None => "It is under way.",
        },
        OrderState::Settling => {
            "A settlement carries it: see there who is awaited and until when. Send no other order \
             for the same purpose before that is over."
        }
        OrderState::Settled => "Everything has moved. Nothing more is to come of it.",
        OrderState::Refunded => {
            "Its settlement was refunded: nothing has moved. A new order can be sent."
        }
        OrderState::Ended => "It is over, and what was held for it and not settled is released.",
        OrderState::Refused => {
            "It had no effect; the evidence of its record proves the refusal. Send a new order \
             with what the reason says mended."
        }
    };
    OrderView {
        order: row.order,
        ledger: row.ledger,
        state,
        reason,
        settlement: row.settlement,
        time: row.time,
        place: place(row.place),
        then: then.to_owned(),
    }
}

/// An offer: what the state knows of it while it is not done, or else what the index remembers.
pub(in super::super) fn offer(row: &OfferRow, now: Option<&Offer>) -> OfferView {
    let terms = &row.terms;
    let past = match row.closed.map(|end| end.reason) {
        None => OfferState::Live,
        Some(Code::OfferCancelled) => OfferState::Cancelled,
        Some(Code::OfferExpired) => OfferState::Expired,
        Some(_) => OfferState::Filled,
    };
    let state = now.map_or(past, |offer| match offer.state() {
        market::OfferState::Live => OfferState::Live,
        market::OfferState::Cancelled => OfferState::Cancelled,
        market::OfferState::Expired => OfferState::Expired,
        market::OfferState::Filled => OfferState::Filled,
    });
    OfferView {
        offer: row.offer,
        ledger: row.ledger,
        state,
        give: terms.give.clone(),
        give_amount: terms.give_amount,
        want: terms.want.clone(),
        want_amount: terms.want_amount,
        minimum_fill: terms.minimum_fill,
        remaining: now.map_or(Amount::ZERO, Offer::remaining),
        reserved: now.map_or(Amount::ZERO, Offer::reserved),
        available: now.filter(|_| state == OfferState::Live).map_or(Amount::ZERO, Offer::available),
        expires: terms.expiry,
        counterparties: terms.counterparties.to_vec(),
        notary: terms.notary.clone(),
        receive: terms.receive.as_ref().map(|to| format!("{}@{}", to.ledger, to.domain)),
        selection_window_ms: terms.selection_window.0,
        closes: now.and_then(Offer::closes),
        waiting: now.map_or_else(Vec::new, |offer| offer.waiting().iter().map(waiting).collect()),
    }
}

fn waiting(take: &WaitingTake) -> WaitingTakeView {
    WaitingTakeView {
        take: take.id,
        taker: take.taker.clone(),
        amount: take.take,
        pay: take.pay,
        expires: take.expiry,
    }
}

pub(in super::super) fn book_entry(own: &Domain, notice: &OfferNotice) -> BookEntry {
    let terms = &notice.terms;
    BookEntry {
        offer: notice.offer,
        validator: notice.validator.clone(),
        ours: notice.validator == *own,
        give: terms.give.clone(),
        want: terms.want.clone(),
        available: notice.remaining,
        price: terms.fair_price(notice.remaining).unwrap_or(terms.want_amount),
        give_amount: terms.give_amount,
        want_amount: terms.want_amount,
        minimum_fill: terms.minimum_fill,
        expires: terms.expiry,
        counterparties: terms.counterparties.to_vec(),
        notary: terms.notary.clone(),
        selection_window_ms: terms.selection_window.0,
    }
}
