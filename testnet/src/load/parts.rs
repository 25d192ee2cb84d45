//! What the book of trades is written in: orders on their way, and what is said of them.

use quadrille_protocol::ledger::SignedOrder;
use quadrille_protocol::types::{OrderId, SettlementId, Ubi};

use super::plan::Kind;

/// An order on its way.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub seat: usize,
    pub id: OrderId,
    pub order: SignedOrder,
}

/// A trade, signed.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub route: usize,
    pub lane: usize,
    /// The offer, of a trade.
    pub first: Option<Part>,
    pub main: Part,
    /// Whose ledgers tell that it has ended: the first order's and the main one's, of a payment
    /// the payer's and the payee's; none where acceptance is the end.
    pub ends: Option<[(usize, Ubi); 2]>,
}

/// Which of a trade's orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Which {
    First,
    Main,
}

/// An order to be sent.
#[derive(Debug)]
pub(super) struct Posting {
    pub trade: u64,
    pub which: Which,
    pub part: Part,
}

/// What became of sending it.
#[derive(Debug)]
pub(super) enum Handed {
    Accepted,
    Refused(String),
    /// Nobody knows, or not now: the same is to be sent again.
    Again,
}

/// What an entry of a ledger says of the trade under way on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Settled,
    Refunded,
    /// It led to nothing; why, where that is known.
    Ended(Option<String>),
}

/// Something to be asked of the banks.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub trade: u64,
    pub kind: Kind,
    pub first: Option<(usize, OrderId)>,
    pub main: (usize, OrderId),
    /// The bank at the other end of a payment.
    pub far: Option<usize>,
    /// The settlement that carries it, where that is known.
    pub settlement: Option<SettlementId>,
}
