//! The stream of events.

use quadrille_protocol::types::{Amount, Domain, OrderId, Sequence, SettlementId, Time, Uai, Ubi};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{BookEntry, Place, Reason};

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
    /// An offer of anybody is in the book, or has changed there. Live.
    #[serde(rename = "offer.seen")]
    OfferSeen,
    /// An offer is in the book no longer. Live.
    #[serde(rename = "offer.gone")]
    OfferGone,
    /// A subscription's events were not taken for too long; it waits to be resumed. Live.
    #[serde(rename = "subscription.paused")]
    SubscriptionPaused,
    /// A peer's books and ours differ: no new exposure to it in that asset.
    #[serde(rename = "books.broken")]
    BooksBroken,
    /// The operator has explained such a difference.
    #[serde(rename = "books.explained")]
    BooksExplained,
    /// The node takes part in netting from here on, or no longer.
    #[serde(rename = "netting.changed")]
    NettingChanged,
}

impl EventView {
    /// One of this kind that says nothing else.
    #[must_use]
    pub const fn blank(kind: EventKind, time: Time, place: Option<Place>) -> Self {
        Self {
            kind,
            time,
            place,
            ledger: None,
            sequence: None,
            order: None,
            settlement: None,
            what: None,
            domain: None,
            asset: None,
            amount: None,
            give: None,
            want: None,
            offer: None,
            reason: None,
        }
    }
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 21] = [
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
        Self::OfferSeen,
        Self::OfferGone,
        Self::SubscriptionPaused,
        Self::BooksBroken,
        Self::BooksExplained,
        Self::NettingChanged,
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
            Self::OfferSeen => "offer.seen",
            Self::OfferGone => "offer.gone",
            Self::SubscriptionPaused => "subscription.paused",
            Self::BooksBroken => "books.broken",
            Self::BooksExplained => "books.explained",
            Self::NettingChanged => "netting.changed",
        }
    }

    /// Whether it is of now alone: not in the log, so it cannot be had again, and is only told to
    /// who names it.
    #[must_use]
    pub const fn is_live(self) -> bool {
        match self {
            Self::OfferSeen | Self::OfferGone | Self::SubscriptionPaused => true,
            Self::LedgerEntry
            | Self::OrderRefused
            | Self::TakeRefused
            | Self::OfferPosted
            | Self::OfferClosed
            | Self::SettlementStep
            | Self::SettlementFinal
            | Self::PeerSuspended
            | Self::PeerLifted
            | Self::TrustChanged
            | Self::AssetChanged
            | Self::MemberChanged
            | Self::RecoveryStarted
            | Self::RecoveryRecord
            | Self::RecoveryDone
            | Self::BooksBroken
            | Self::BooksExplained
            | Self::NettingChanged => false,
        }
    }
}

/// One event: the `data` of a Server-Sent Event. Its `id` there is `height.leaf.n`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When the batch with it was sealed; of a live event, when it was seen.
    #[schema(value_type = String)]
    pub time: Time,
    /// The record that it comes from; a live event has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
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
    /// how an offer ended (`filled`, `cancelled`, `expired`), what changed about a member or an
    /// asset.
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
    /// What an offer gives, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub give: Option<Uai>,
    /// What an offer wants, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub want: Option<Uai>,
    /// The offer as it is in the book, or was there last, where it is about the book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Box<BookEntry>>,
    /// Why, where something was refused or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}
