//! The stream of events.

use quadrille_protocol::types::{Domain, OrderId, Sequence, SettlementId, Time, Ubi};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Place, Reason};

/// What an event is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
pub enum EventKind {
    /// A ledger has a new entry.
    #[serde(rename = "ledger.entry")]
    LedgerEntry,
    /// An order was refused.
    #[serde(rename = "order.refused")]
    OrderRefused,
    /// An offer of ours was published, or again with another amount left.
    #[serde(rename = "offer.posted")]
    OfferPosted,
    /// An offer of ours is gone.
    #[serde(rename = "offer.closed")]
    OfferClosed,
    /// A settlement has moved.
    #[serde(rename = "settlement.step")]
    SettlementStep,
    /// A settlement is final here.
    #[serde(rename = "settlement.final")]
    SettlementFinal,
    /// A peer was suspended on a proof of fraud.
    #[serde(rename = "peer.suspended")]
    PeerSuspended,
    /// A suspension was lifted.
    #[serde(rename = "peer.lifted")]
    PeerLifted,
    /// A credit limit was set.
    #[serde(rename = "trust.changed")]
    TrustChanged,
    /// An asset was registered, locked or unlocked.
    #[serde(rename = "asset.changed")]
    AssetChanged,
    /// A member was admitted, rotated its key, or was revoked.
    #[serde(rename = "member.changed")]
    MemberChanged,
    /// The node has lost statements and writes down what it got back.
    #[serde(rename = "recovery.started")]
    RecoveryStarted,
    /// It has written all of it down.
    #[serde(rename = "recovery.done")]
    RecoveryDone,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::LedgerEntry,
        Self::OrderRefused,
        Self::OfferPosted,
        Self::OfferClosed,
        Self::SettlementStep,
        Self::SettlementFinal,
        Self::PeerSuspended,
        Self::PeerLifted,
        Self::TrustChanged,
        Self::AssetChanged,
        Self::MemberChanged,
        Self::RecoveryStarted,
        Self::RecoveryDone,
    ];

    /// Its name: the `event` field of the stream, and what `types` of the query takes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LedgerEntry => "ledger.entry",
            Self::OrderRefused => "order.refused",
            Self::OfferPosted => "offer.posted",
            Self::OfferClosed => "offer.closed",
            Self::SettlementStep => "settlement.step",
            Self::SettlementFinal => "settlement.final",
            Self::PeerSuspended => "peer.suspended",
            Self::PeerLifted => "peer.lifted",
            Self::TrustChanged => "trust.changed",
            Self::AssetChanged => "asset.changed",
            Self::MemberChanged => "member.changed",
            Self::RecoveryStarted => "recovery.started",
            Self::RecoveryDone => "recovery.done",
        }
    }
}

/// One event: the `data` of a Server-Sent Event. Its `id` there is `height.leaf.n`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When the batch with it was sealed.
    #[schema(value_type = String)]
    pub time: Time,
    /// The record that it comes from.
    pub place: Place,
    /// The ledger, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ledger: Option<Ubi>,
    /// The number of the ledger's new entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub sequence: Option<Sequence>,
    /// The order or offer, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub order: Option<OrderId>,
    /// The settlement, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub settlement: Option<SettlementId>,
    /// The step of the settlement or its outcome, the cause of the entry, and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Who said it, or whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub domain: Option<Domain>,
    /// Why, where something was refused or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}
