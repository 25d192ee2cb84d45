//! The stream of events.

use quadrille_protocol::types::{Amount, Domain, OrderId, Sequence, SettlementId, Time, Uai, Ubi};
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
    /// A take of a holder of ours was refused by the maker's bank.
    #[serde(rename = "take.refused")]
    TakeRefused,
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
    /// An asset was registered, locked, unlocked, closed or attested.
    #[serde(rename = "asset.changed")]
    AssetChanged,
    /// A member was admitted, rotated its key, or was revoked.
    #[serde(rename = "member.changed")]
    MemberChanged,
    /// The node has lost statements and writes down what it got back.
    #[serde(rename = "recovery.started")]
    RecoveryStarted,
    /// A record that was lost is written down again.
    #[serde(rename = "recovery.record")]
    RecoveryRecord,
    /// It has written all of it down.
    #[serde(rename = "recovery.done")]
    RecoveryDone,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::LedgerEntry,
        Self::OrderRefused,
        Self::TakeRefused,
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
        Self::RecoveryRecord,
        Self::RecoveryDone,
    ];

    /// Its name: the `event` field of the stream, and what `types` of the query takes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LedgerEntry => "ledger.entry",
            Self::OrderRefused => "order.refused",
            Self::TakeRefused => "take.refused",
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
            Self::RecoveryRecord => "recovery.record",
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
    /// The order, of a trade or an offer's end its take or offer, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub order: Option<OrderId>,
    /// The settlement, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub settlement: Option<SettlementId>,
    /// The step of the settlement or its outcome (`settled`, `refunded`), the cause of the entry,
    /// what changed about a member or an asset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Who said it, or whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub domain: Option<Domain>,
    /// The asset, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub asset: Option<Uai>,
    /// The amount left of an offer, the limit that was set, or what holders here have of an
    /// asset that was attested, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub amount: Option<Amount>,
    /// Why, where something was refused or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}
