//! Orders, offers and the book.

use quadrille_protocol::types::{Amount, Domain, OrderId, SettlementId, TakeId, Time, Uai, Ubi};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Place, Problem, Reason, Receipt, SignedBytes};

/// The most orders of one request.
pub const BATCH_ORDERS: usize = 256;

/// Signed orders, to be decided in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderBatch {
    /// 1 to 256 of them.
    pub orders: Vec<SignedBytes>,
}

/// What became of each order of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderBatchAnswer {
    /// One for each order, in the same order.
    pub items: Vec<HandedIn>,
}

/// What became of one order of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum HandedIn {
    /// It was accepted.
    Accepted {
        /// As a single order's.
        receipt: Receipt,
    },
    /// It was not, or nothing is known: what a single order would have been answered.
    Problem {
        /// As a single order's.
        problem: Problem,
    },
}

/// What has become of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Booked, and nothing more is to come of it: a payment inside the bank, a cancel, a change
    /// of rules.
    Done,
    /// An offer that can be taken, or a take that its maker has not answered.
    Live,
    /// A settlement carries it; see there.
    Settling,
    /// It has settled; an offer, in full.
    Settled,
    /// Its settlement was refunded: nothing moved.
    Refunded,
    /// Accepted, and ended without effect or, an offer, with a part of it settled; `reason`
    /// says why.
    Ended,
    /// Refused, for good; `reason` says why, and `place` is the proof of it.
    Refused,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderView {
    /// The order.
    #[schema(value_type = String)]
    pub order: OrderId,
    /// Its ledger.
    #[schema(value_type = String)]
    pub ledger: Ubi,
    /// What has become of it.
    pub state: OrderState,
    /// Why it was refused or has ended.
    pub reason: Option<Reason>,
    /// The settlement that carries or carried it; of an offer the last one.
    #[schema(value_type = Option<String>)]
    pub settlement: Option<SettlementId>,
    /// When it was accepted or refused.
    #[schema(value_type = String)]
    pub time: Time,
    /// The record that accepted or refused it.
    pub place: Place,
    /// What happens next or what can be done, in plain words.
    pub then: String,
}

/// Whether an offer can be taken, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferState {
    /// It can.
    Live,
    /// The maker cancelled it.
    Cancelled,
    /// Its time is over.
    Expired,
    /// All of it has been settled.
    Filled,
}

/// An offer of a holder of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferView {
    /// The offer.
    #[schema(value_type = String)]
    pub offer: OrderId,
    /// The maker's ledger.
    #[schema(value_type = String)]
    pub ledger: Ubi,
    /// Whether it can be taken.
    pub state: OfferState,
    /// The asset that the maker gives.
    #[schema(value_type = String)]
    pub give: Uai,
    /// How much of it at most, in minor units.
    #[schema(value_type = String)]
    pub give_amount: Amount,
    /// The asset that the maker wants.
    #[schema(value_type = String)]
    pub want: Uai,
    /// How much of it for the whole, in minor units.
    #[schema(value_type = String)]
    pub want_amount: Amount,
    /// The least of `give` in one take, in minor units; zero for no minimum.
    #[schema(value_type = String)]
    pub minimum_fill: Amount,
    /// What the maker's ledger still keeps aside for it, in minor units of `give`.
    #[schema(value_type = String)]
    pub remaining: Amount,
    /// The part of `remaining` that is inside open settlements.
    #[schema(value_type = String)]
    pub reserved: Amount,
    /// The part of `remaining` that is not.
    #[schema(value_type = String)]
    pub available: Amount,
    /// From this time on it takes no takes.
    #[schema(value_type = String)]
    pub expires: Time,
    /// The domains whose holders may take it; empty for anybody.
    #[schema(value_type = Vec<String>)]
    pub counterparties: Vec<Domain>,
    /// The domain that is to decide, where the maker asks for one.
    #[schema(value_type = Option<String>)]
    pub notary: Option<Domain>,
    /// Where the maker receives, when that is not its ledger here: `ubi:…@bank-b.example`. It is
    /// published to nobody.
    pub receive: Option<String>,
    /// How long takes are gathered before the best are selected, in milliseconds; zero for
    /// first come, first served.
    pub selection_window_ms: u64,
    /// When the open selection window closes.
    #[schema(value_type = Option<String>)]
    pub closes: Option<Time>,
    /// The takes that wait for selection, in order of arrival.
    pub waiting: Vec<WaitingTakeView>,
}

/// A take that waits in a selection window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingTakeView {
    /// The take.
    #[schema(value_type = String)]
    pub take: TakeId,
    /// The taker's validator.
    #[schema(value_type = String)]
    pub taker: Domain,
    /// How much of what the offer gives, in minor units.
    #[schema(value_type = String)]
    pub amount: Amount,
    /// How much it pays for it, in minor units of what the offer wants.
    #[schema(value_type = String)]
    pub pay: Amount,
    /// From this time on it no longer stands.
    #[schema(value_type = String)]
    pub expires: Time,
}

/// A live offer of the network, as its maker's validator published it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BookEntry {
    /// The offer.
    #[schema(value_type = String)]
    pub offer: OrderId,
    /// The maker's validator.
    #[schema(value_type = String)]
    pub validator: Domain,
    /// Whether that is this node's domain.
    pub ours: bool,
    /// The asset that the maker gives.
    #[schema(value_type = String)]
    pub give: Uai,
    /// The asset that the maker wants.
    #[schema(value_type = String)]
    pub want: Uai,
    /// What can be taken now, in minor units of `give`.
    #[schema(value_type = String)]
    pub available: Amount,
    /// The least that can be paid for `available`, in minor units of `want`.
    #[schema(value_type = String)]
    pub price: Amount,
    /// The whole offer, in minor units of `give`. The exact price is `want_amount / give_amount`.
    #[schema(value_type = String)]
    pub give_amount: Amount,
    /// What the whole offer asks, in minor units of `want`.
    #[schema(value_type = String)]
    pub want_amount: Amount,
    /// The least of `give` in one take, in minor units; zero for no minimum.
    #[schema(value_type = String)]
    pub minimum_fill: Amount,
    /// From this time on it takes no takes.
    #[schema(value_type = String)]
    pub expires: Time,
    /// The domains whose holders may take it; empty for anybody.
    #[schema(value_type = Vec<String>)]
    pub counterparties: Vec<Domain>,
    /// The domain that is to decide, where the maker asks for one. A take must name it too.
    #[schema(value_type = Option<String>)]
    pub notary: Option<Domain>,
    /// How long takes are gathered before the best are selected, in milliseconds.
    pub selection_window_ms: u64,
}
