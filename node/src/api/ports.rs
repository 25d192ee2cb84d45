//! What the HTTP interface asks of the rest of the node.
//!
//! ```text
//!   what is now    --> Core     (the engine: a look at the validator)
//!   what has been  --> History  (the index, the log, evidence bundles)
//!   who is there   --> Mesh     (sessions, gateways, providers)
//! ```
//!
//! Traits, where tests have their own. Invariant: nothing here holds a lock of the
//! engine; a look is a function that the engine calls between two turns.

use std::sync::Arc;

use async_trait::async_trait;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::ledger::{AssetProfile, Payment, SignedOpening, SignedOrder};
use quadrille_protocol::log::Evidence;
use quadrille_protocol::payment::name::{NameQuestion, NameRecord};
use quadrille_protocol::payment::{Plan, Wanted, Way};
use quadrille_protocol::types::{Domain, Time, Uai, Ubi};
use quadrille_protocol::validator::{Command, Validator};

use super::dto::{Connection, GatewayView};
use crate::engine::{Answer, Engine, EngineError};
use crate::evidence::Evidences;
use crate::index::{Index, Log};
use crate::mesh::ask::Owing;
use crate::payments::{Enclosed, Payments};

/// A look at the validator's state.
pub type Look = Box<dyn FnOnce(&Validator) + Send>;

/// The engine.
#[async_trait]
pub trait Core: Send + Sync + 'static {
    /// Our domain.
    fn domain(&self) -> Domain;
    /// Verifies an order and has it decided.
    async fn order(&self, order: SignedOrder) -> Result<Answer, EngineError>;
    /// Verifies orders and has them decided, in this order; one answer for each.
    async fn orders(&self, orders: Vec<SignedOrder>) -> Vec<Result<Answer, EngineError>>;
    /// Verifies a payment to another bank and has it decided and made by a plan.
    async fn pay(&self, order: SignedOrder, plan: Plan) -> Result<Answer, EngineError>;
    /// Verifies an opening and has it decided.
    async fn open(&self, opening: SignedOpening) -> Result<Answer, EngineError>;
    /// Has an operator's command carried out.
    async fn command(&self, command: Command) -> Result<Answer, EngineError>;
    /// Verifies evidence of a record of our own that we have lost, and hands it in.
    async fn give_back(&self, evidence: Evidence) -> Result<(), EngineError>;
    /// Looks at the state; returns when all that was seen is durable.
    async fn look(&self, look: Look) -> Result<(), EngineError>;
}

#[async_trait]
impl Core for Engine {
    fn domain(&self) -> Domain {
        Engine::domain(self).clone()
    }

    async fn order(&self, order: SignedOrder) -> Result<Answer, EngineError> {
        Engine::order(self, order).await
    }

    async fn orders(&self, orders: Vec<SignedOrder>) -> Vec<Result<Answer, EngineError>> {
        Engine::orders(self, orders).await
    }

    async fn pay(&self, order: SignedOrder, plan: Plan) -> Result<Answer, EngineError> {
        Engine::pay(self, order, plan).await
    }

    async fn open(&self, opening: SignedOpening) -> Result<Answer, EngineError> {
        Engine::open(self, opening).await
    }

    async fn command(&self, command: Command) -> Result<Answer, EngineError> {
        Engine::command(self, command).await
    }

    async fn give_back(&self, evidence: Evidence) -> Result<(), EngineError> {
        Engine::give_back(self, evidence).await
    }

    async fn look(&self, look: Look) -> Result<(), EngineError> {
        self.read(look).await
    }
}

/// Finds the ways of payments to other banks.
#[async_trait]
pub trait Payer: Send + Sync + 'static {
    /// The ways for what is wanted, the cheapest first.
    async fn ways(&self, wanted: Wanted) -> Result<Vec<Way>, Refusal>;
    /// How a payment from this ledger is to be made, and what travels with it.
    async fn plan(
        &self,
        payer: Ubi,
        payment: &Payment,
        enclosed: Enclosed,
    ) -> Result<Plan, Refusal>;
}

#[async_trait]
impl Payer for Payments {
    async fn ways(&self, wanted: Wanted) -> Result<Vec<Way>, Refusal> {
        Payments::ways(self, wanted).await
    }

    async fn plan(
        &self,
        payer: Ubi,
        payment: &Payment,
        enclosed: Enclosed,
    ) -> Result<Plan, Refusal> {
        Payments::plan(self, payer, payment, enclosed).await
    }
}

/// The past: the index says where things are, the log what they are.
#[derive(Clone)]
pub struct History {
    /// The index.
    pub index: Index,
    /// The log.
    pub log: Log,
    /// What evidence is cut with.
    pub evidences: Arc<Evidences<Log>>,
}

impl History {
    /// Of `log` and its index, with a reader of evidence of their own.
    #[must_use]
    pub fn new(index: Index, log: Log) -> Self {
        let evidences = Arc::new(Evidences::new(Arc::clone(&log), index.clone()));
        Self { index, log, evidences }
    }

    /// Of the log and the index that `evidences` reads.
    #[must_use]
    pub fn of(evidences: Arc<Evidences<Log>>) -> Self {
        let (index, log) = (evidences.index().clone(), evidences.source().clone());
        Self { index, log, evidences }
    }
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

/// A bank's answer about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The answer, verified, or our own.
    pub record: NameRecord,
    /// Whether it was given before and still counts.
    pub cached: bool,
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
    /// What a holder's bank says of the name; with `fresh` it is asked again.
    async fn resolve(&self, question: NameQuestion, fresh: bool) -> Result<Resolved, Refusal>;
    /// What a member says it owes in an asset, and over which ledger that can be netted.
    async fn owing(&self, domain: &Domain, asset: &Uai) -> Result<Owing, Refusal>;
    /// What its issuer says of an asset; its hash is the asset's.
    async fn profile(&self, asset: &Uai) -> Result<AssetProfile, Refusal>;
}
