//! What travels over the HTTP interface, both ways: the server writes what the client reads.
//!
//! Amounts, sequences and heights are strings of decimal digits, since a JSON number holds no
//! more than 53 bits; ids and times have the protocol's text forms. A field that may be missing
//! is `null` or left out. Readers ignore fields that they do not know, so that fields can be
//! added.

/// What the OpenAPI document says of the interface as a whole.
pub const ABOUT: &str = "\
The node of one domain. Amounts, sequences and heights are strings of decimal digits; amounts are \
in minor units. Lists take `limit` (at most 200, 50 by default) and `cursor`, and answer `items` \
and `next`. Answers of 400 and above are `application/problem+json` with a stable `code` and a \
`remedy`. A status of 504 (`Q-2111`) means that the outcome of a change is unknown: send the very \
same request again. `Idempotency-Key` on a change makes that safe for changes without an id of \
their own, as long as the node runs; orders are always safe to repeat. In a path, `#` is written \
%23.";

mod assets;
mod common;
mod events;
mod hooks;
mod ledgers;
mod market;
mod names;
mod node;
mod payments;
mod peers;
mod positions;
mod settlements;

pub use assets::{AssetHolding, AssetPlace, AssetView, DocumentView, Issue, NewAsset, Providers};
pub use common::{
    Armour, ListQuery, PAGE_DEFAULT, PAGE_MAX, Page, Place, Problem, Reason, Receipt, SignedBytes,
};
pub use events::{EventKind, EventView};
pub use hooks::{NewSubscription, SubscriptionState, SubscriptionView};
pub use ledgers::{
    BalanceView, DailyLimitView, EntryView, LedgerStatus, LedgerSummary, LedgerView, MovementKind,
    MovementView, NewKey, RulesView,
};
pub use market::{
    BATCH_ORDERS, BookEntry, HandedIn, OfferState, OfferView, OrderBatch, OrderBatchAnswer,
    OrderState, OrderView, WaitingTakeView,
};
pub use names::{
    IdentityReceipt, IdentityView, NameView, NewLedger, TravelRuleView, TravelThreshold,
};
pub use node::{CheckpointView, LogHead, LogLevel, NotReady, RecoveryView, Status};
pub use payments::{
    CorrespondentsView, NewPayment, PathBy, PathLegView, PathView, PaymentState, PaymentTermsView,
    PaymentView, RefusalView, TransitLedger, TryView,
};
pub use peers::{
    Connection, ExposureView, FeeView, FeedView, GatewayView, MemberView, PeerStanding, PeerView,
    ServiceView, TrustLimit, TrustLine,
};
pub use positions::{
    BreakView, CycleView, Explanation, NettingRequest, NettingSwitch, NettingView, PositionView,
    ReconciledView, SettleUp, SideView, SilentView, StandingView, StandingsView,
};
pub use settlements::{
    LegView, PartyRole, SettlementOutcome, SettlementState, SettlementSummary, SettlementView,
    StepView,
};
