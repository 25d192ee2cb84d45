//! What the HTTP interface asks of the rest of the node.
//!
//! ```text
//!   what is now    --> Core     (the engine: a look at the validator)
//!   what has been  --> History  (the index, and evidence cut from the log)
//!   who is there   --> Mesh     (sessions, gateways, providers)
//! ```
//!
//! Traits, so that tests can stand in for each. Invariant: nothing here holds a lock of the
//! engine; a look is a function that the engine calls between two turns.

use async_trait::async_trait;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::ledger::{SignedOpening, SignedOrder};
use quadrille_protocol::log::{Evidence, OutcomeKind, SignedCheckpoint};
use quadrille_protocol::market::OfferTerms;
use quadrille_protocol::settlement::{Header, Leg};
use quadrille_protocol::types::{
    Amount, Domain, Height, Holder, OrderId, Sequence, SettlementId, Time, Uai, Ubi,
};
use quadrille_protocol::validator::{Command, Validator};
use tokio::sync::watch;

use super::dto::{
    Armour, Connection, EntryView, EventView, GatewayView, OfferState, OrderView, PartyRole, Place,
    SettlementOutcome, StepView,
};
use crate::engine::{Answer, Engine, EngineError};

/// A look at the validator's state.
pub type Look = Box<dyn FnOnce(&Validator) + Send>;

/// The engine.
#[async_trait]
pub trait Core: Send + Sync + 'static {
    /// Verifies an order and has it decided.
    async fn order(&self, order: SignedOrder) -> Result<Answer, EngineError>;
    /// Verifies an opening and has it decided.
    async fn open(&self, opening: SignedOpening) -> Result<Answer, EngineError>;
    /// Has an operator's command carried out.
    async fn command(&self, command: Command) -> Result<Answer, EngineError>;
    /// Looks at the state; returns when all that was seen is durable.
    async fn look(&self, look: Look) -> Result<(), EngineError>;
}

#[async_trait]
impl Core for Engine {
    async fn order(&self, order: SignedOrder) -> Result<Answer, EngineError> {
        Engine::order(self, order).await
    }

    async fn open(&self, opening: SignedOpening) -> Result<Answer, EngineError> {
        Engine::open(self, opening).await
    }

    async fn command(&self, command: Command) -> Result<Answer, EngineError> {
        Engine::command(self, command).await
    }

    async fn look(&self, look: Look) -> Result<(), EngineError> {
        self.read(look).await
    }
}

/// A part of a list, and where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to ask for next; `None` at the end. Only whoever made it reads it.
    pub next: Option<String>,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// From where on; `None` for the beginning. It comes from outside and may be anything.
    pub cursor: Option<&'a str>,
    /// At most how many items.
    pub limit: usize,
}

/// What the index knows of a ledger that the state does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerName {
    /// The ledger.
    pub ledger: Ubi,
    /// Whose it is.
    pub holder: Holder,
    /// Tells several ledgers of one holder apart.
    pub number: u32,
}

/// An offer of ours, live or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastOffer {
    /// The offer.
    pub offer: OrderId,
    /// The maker's ledger.
    pub ledger: Ubi,
    /// The terms.
    pub terms: OfferTerms,
    /// What could be taken by the last publication.
    pub remaining: Amount,
    /// How it stands, as far as the index has come.
    pub state: OfferState,
}

/// A settlement as our log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastSettlement {
    /// The header.
    pub header: Header,
    /// The legs; empty at a notary.
    pub legs: Vec<Leg>,
    /// What we are in it.
    pub roles: Vec<PartyRole>,
    /// When we first wrote of it.
    pub begun: Time,
    /// The decision, as soon as it is known.
    pub decision: Option<OutcomeKind>,
    /// How it ended here; `None` while it is open.
    pub end: Option<SettlementOutcome>,
    /// What has happened, in order.
    pub steps: Vec<StepView>,
}

/// The place of an event: `height.leaf.n`, where `n` counts the events of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// The batch.
    pub height: Height,
    /// The record in it.
    pub leaf: u32,
    /// The event of that record.
    pub n: u32,
}

impl EventId {
    /// The place behind every event of the batches up to `height`.
    #[must_use]
    pub const fn end_of(height: Height) -> Self {
        Self { height, leaf: u32::MAX, n: u32::MAX }
    }
}

/// What the log and its index can say of the past. Calls may wait for the disk; they are made
/// where that is no harm. Refusals are the disk's or the index's own trouble, or a bad cursor.
pub trait History: Send + Sync + 'static {
    /// Up to which height the index has come; changes are seen in the channel.
    fn indexed(&self) -> watch::Receiver<Height>;

    /// Ledgers, of one holder or all, in a fixed order.
    ///
    /// # Errors
    /// See the trait.
    fn ledgers(
        &self,
        holder: Option<&Holder>,
        part: Part<'_>,
    ) -> Result<Listing<LedgerName>, Refusal>;

    /// One ledger.
    ///
    /// # Errors
    /// See the trait.
    fn ledger(&self, ledger: &Ubi) -> Result<Option<LedgerName>, Refusal>;

    /// Entries of a ledger, the oldest first.
    ///
    /// # Errors
    /// See the trait.
    fn entries(&self, ledger: &Ubi, part: Part<'_>) -> Result<Listing<EntryView>, Refusal>;

    /// One entry of a ledger.
    ///
    /// # Errors
    /// See the trait.
    fn entry(&self, ledger: &Ubi, sequence: Sequence) -> Result<Option<EntryView>, Refusal>;

    /// What became of an order; `then` is left empty.
    ///
    /// # Errors
    /// See the trait.
    fn order(&self, order: &OrderId) -> Result<Option<OrderView>, Refusal>;

    /// Offers of our holders, of one ledger or all, live ones, closed ones or both.
    ///
    /// # Errors
    /// See the trait.
    fn offers(
        &self,
        ledger: Option<&Ubi>,
        live: Option<bool>,
        part: Part<'_>,
    ) -> Result<Listing<PastOffer>, Refusal>;

    /// One offer of ours.
    ///
    /// # Errors
    /// See the trait.
    fn offer(&self, offer: &OrderId) -> Result<Option<PastOffer>, Refusal>;

    /// Settlements, open ones, final ones or both, the newest first.
    ///
    /// # Errors
    /// See the trait.
    fn settlements(
        &self,
        open: Option<bool>,
        part: Part<'_>,
    ) -> Result<Listing<PastSettlement>, Refusal>;

    /// One settlement.
    ///
    /// # Errors
    /// See the trait.
    fn settlement(&self, settlement: &SettlementId) -> Result<Option<PastSettlement>, Refusal>;

    /// The evidence of one record of ours.
    ///
    /// # Errors
    /// See the trait.
    fn evidence(&self, place: Place) -> Result<Option<Evidence>, Refusal>;

    /// All evidence that we hold about a settlement, as an `evidence-bundle`.
    ///
    /// # Errors
    /// See the trait.
    fn bundle(&self, settlement: &SettlementId) -> Result<Option<Armour>, Refusal>;

    /// The signed checkpoint at a height.
    ///
    /// # Errors
    /// See the trait.
    fn checkpoint(&self, height: Height) -> Result<Option<SignedCheckpoint>, Refusal>;

    /// Events behind `after`, oldest first, at most `limit`. Fewer than there are is fine; none
    /// means that there are none up to the height that the index has come to.
    ///
    /// # Errors
    /// See the trait.
    fn events(&self, after: EventId, limit: usize) -> Result<Vec<(EventId, EventView)>, Refusal>;
}

/// What the mesh knows of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshPeer {
    /// The peer.
    pub domain: Domain,
    /// Whether there is a session.
    pub connection: Connection,
    /// Since when that is so.
    pub since: Option<Time>,
    /// The address of its gateway.
    pub address: Option<String>,
    /// What its bad conduct adds up to; 0 is clean.
    pub score: i64,
    /// Whether it is kept out for now because of it.
    pub blocked: bool,
    /// The last thing that went wrong with it.
    pub trouble: Option<String>,
}

/// The mesh.
#[async_trait]
pub trait Mesh: Send + Sync + 'static {
    /// The peers that it knows.
    fn peers(&self) -> Vec<MeshPeer>;
    /// Looks a domain's gateway up; verified.
    async fn find_gateway(&self, domain: &Domain) -> Result<Option<GatewayView>, Refusal>;
    /// Who says that it deals in an asset; members only.
    async fn providers(&self, asset: &Uai) -> Result<Vec<Domain>, Refusal>;
}
