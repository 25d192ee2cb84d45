//! What travels over the HTTP interface, both ways: the server writes what the client reads.
//!
//! Amounts, sequences and heights are strings of decimal digits, since a JSON number holds no
//! more than 53 bits; ids and times have the protocol's text forms. A field that may be missing
//! is `null` or left out. Readers ignore fields that they do not know, so that fields can be
//! added.

mod assets;
mod common;
mod events;
mod ledgers;
mod market;
mod node;
mod peers;
mod settlements;

pub use assets::{AssetHolding, AssetView, Issue, NewAsset, Providers};
pub use common::{Armour, Page, Place, Problem, Reason, Receipt, SignedBytes};
pub use events::{EventKind, EventView};
pub use ledgers::{
    BalanceView, DailyLimitView, EntryView, LedgerStatus, LedgerSummary, LedgerView, MovementKind,
    MovementView, RulesView,
};
pub use market::{BookEntry, OfferState, OfferView, OrderState, OrderView, WaitingTakeView};
pub use node::{CheckpointView, LogHead, LogLevel, NotReady, Status};
pub use peers::{
    Connection, ExposureView, FeedView, GatewayView, MemberView, PeerStanding, PeerView,
    TrustLimit, TrustLine,
};
pub use settlements::{
    LegView, PartyRole, SettlementOutcome, SettlementState, SettlementSummary, SettlementView,
    StepView,
};
