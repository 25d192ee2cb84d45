//! Settlements: who is awaited, until when, and what happens then.

use quadrille_protocol::types::{Amount, Domain, OrderId, SettlementId, Time, Uai, Ubi};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Place, Reason};

/// Whether a settlement is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettlementState {
    /// This node's domain has not yet applied a decision.
    Open,
    /// It has, or has nothing to apply.
    Final,
}

/// How a settlement ended, or was decided to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettlementOutcome {
    /// Every leg has moved.
    Settled,
    /// None has.
    Refunded,
}

/// What this node's domain is in a settlement; it may be two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartyRole {
    /// It drew up the agreement and alone knew the secret.
    Initiator,
    /// It has legs.
    Participant,
    /// Its log entry decides.
    Decider,
}

/// A settlement in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettlementSummary {
    /// The settlement.
    #[schema(value_type = String)]
    pub settlement: SettlementId,
    /// Whether it is over.
    pub state: SettlementState,
    /// How it ended or was decided; `null` while nothing is decided as far as is known here.
    pub outcome: Option<SettlementOutcome>,
    /// What this node's domain is in it.
    pub roles: Vec<PartyRole>,
    /// The domains with legs.
    #[schema(value_type = Vec<String>)]
    pub parties: Vec<Domain>,
    /// After this the decider refunds.
    #[schema(value_type = String)]
    pub deadline: Time,
    /// When this node first heard of it.
    #[schema(value_type = Option<String>)]
    pub begun: Option<Time>,
}

/// A settlement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettlementView {
    /// The settlement.
    #[schema(value_type = String)]
    pub settlement: SettlementId,
    /// Whether it is over.
    pub state: SettlementState,
    /// How it ended or was decided; `null` while nothing is decided as far as is known here.
    pub outcome: Option<SettlementOutcome>,
    /// What this node's domain is in it.
    pub roles: Vec<PartyRole>,
    /// The party that drew it up.
    #[schema(value_type = String)]
    pub initiator: Domain,
    /// The domain that decides.
    #[schema(value_type = String)]
    pub decider: Domain,
    /// The domains with legs.
    #[schema(value_type = Vec<String>)]
    pub parties: Vec<Domain>,
    /// What moves; empty at a notary, which is not told.
    pub legs: Vec<LegView>,
    /// After this, on the decider's clock, the decider refunds.
    #[schema(value_type = String)]
    pub deadline: Time,
    /// Parties whose lock is proven here.
    #[schema(value_type = Vec<String>)]
    pub locked: Vec<Domain>,
    /// What has happened so far, as this node's log has it.
    pub steps: Vec<StepView>,
    /// The domains whose word is awaited now; empty when it is over.
    #[schema(value_type = Vec<String>)]
    pub awaiting: Vec<Domain>,
    /// Until when that is awaited; `null` where there is no limit.
    #[schema(value_type = Option<String>)]
    pub until: Option<Time>,
    /// What is awaited, what happens when it does not come, and what is safe to do, in plain
    /// words.
    pub then: String,
}

/// One movement of a settlement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LegView {
    /// The asset.
    #[schema(value_type = String)]
    pub asset: Uai,
    /// How much, in minor units.
    #[schema(value_type = String)]
    pub amount: Amount,
    /// The domain that gives.
    #[schema(value_type = String)]
    pub from_domain: Domain,
    /// The ledger there.
    #[schema(value_type = String)]
    pub from_ledger: Ubi,
    /// The domain that receives.
    #[schema(value_type = String)]
    pub to_domain: Domain,
    /// The ledger there.
    #[schema(value_type = String)]
    pub to_ledger: Ubi,
    /// The giver's order; `null` for a transit ledger of the domain.
    #[schema(value_type = Option<String>)]
    pub order: Option<OrderId>,
}

/// One step of a settlement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    /// The step: a statement's kind (`Agreed`, `Locked`, `Revealed`, `Decided(settle)` …), or
    /// `Settled` or `Refunded` when the books were changed.
    #[schema(example = "Locked")]
    pub step: String,
    /// The messages of SATP-core that it stands for, in the transfer of an asset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satp: Option<String>,
    /// Who said it.
    #[schema(value_type = String)]
    pub by: Domain,
    /// When this node wrote it down.
    #[schema(value_type = String)]
    pub time: Time,
    /// Why, where it says why.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// Where.
    pub place: Place,
}
