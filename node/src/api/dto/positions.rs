//! Positions, breaks of the books, netting.

use quadrille_protocol::types::{Amount, Detail, Domain, SettlementId, Time, Uai};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::common::Reason;
use super::peers::ExposureView;

/// What we and a peer owe each other in an asset, and how our books compare with its.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PositionView {
    /// The peer.
    #[schema(value_type = String)]
    pub domain: Domain,
    /// What it and we owe each other in the asset, and the limit.
    #[serde(flatten)]
    pub exposure: ExposureView,
    /// How many legs we have booked with it.
    #[schema(value_type = String)]
    pub booked: String,
    /// When its books were last found to be the mirror of ours; `null` for never.
    pub reconciled: Option<ReconciledView>,
    /// The difference that nobody has explained: no new exposure meanwhile.
    pub broken: Option<BreakView>,
}

/// When two banks' books last agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReconciledView {
    /// When the peer said its position, on its clock.
    #[schema(value_type = String)]
    pub at: Time,
    /// How many legs it had booked.
    pub booked: String,
}

/// What two banks say of each other and does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BreakView {
    /// What we had booked.
    pub ours: SideView,
    /// What the peer says that it had booked.
    pub theirs: SideView,
}

/// One side of a break, as that side sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SideView {
    /// What it owes, in minor units.
    #[schema(value_type = String)]
    pub owe: Amount,
    /// What it is owed, in minor units.
    #[schema(value_type = String)]
    pub claim: Amount,
    /// How many legs.
    pub booked: String,
}

/// What we owe and are owed over all peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StandingView {
    /// Whose it is.
    #[schema(value_type = String)]
    pub domain: Domain,
    /// The asset.
    #[schema(value_type = String)]
    pub asset: Uai,
    /// What it owes, over all peers, in minor units.
    #[schema(value_type = String)]
    pub owes: Amount,
    /// What it is owed, in minor units.
    #[schema(value_type = String)]
    pub owed: Amount,
    /// Both together.
    #[schema(value_type = String)]
    pub gross: Amount,
    /// What is left when one is set against the other.
    #[schema(value_type = String)]
    pub net: Amount,
}

/// Totals per asset, and whether this node takes part in netting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StandingsView {
    /// Whether it does.
    pub netting: bool,
    /// How many breaks nobody has explained.
    pub breaks: u32,
    /// Per asset; sorted.
    pub totals: Vec<StandingView>,
}

/// The operator's word on a break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// What it was; kept in the log.
    #[schema(value_type = String)]
    pub note: Detail,
}

/// Whether to take part in netting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NettingSwitch {
    /// Whether.
    pub on: bool,
}

/// What to net.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NettingRequest {
    /// The asset.
    #[schema(value_type = String)]
    pub asset: Uai,
    /// Only look, and say what would fall.
    #[serde(default)]
    pub dry_run: bool,
}

/// What netting found and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NettingView {
    /// The cycles, in the order in which they were proposed.
    pub cycles: Vec<CycleView>,
    /// Who owes and is owed what, as far as it was told.
    pub before: Vec<StandingView>,
    /// The same, once all cycles have settled.
    pub after: Vec<StandingView>,
    /// Who said nothing of its debts, and why.
    pub silent: Vec<SilentView>,
}

/// Domains of which each owes the next one, and the last one the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CycleView {
    /// The domains, ours first.
    #[schema(value_type = Vec<String>)]
    pub parties: Vec<Domain>,
    /// How much each of their debts falls by, in minor units.
    #[schema(value_type = String)]
    pub amount: Amount,
    /// The settlement that carries it; `null` when it was only looked for, or refused.
    #[schema(value_type = Option<String>)]
    pub settlement: Option<SettlementId>,
    /// Why it was not proposed.
    pub refused: Option<Reason>,
}

/// A domain that was asked for its debts and did not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SilentView {
    /// The domain.
    #[schema(value_type = String)]
    pub domain: Domain,
    /// Why.
    pub reason: Reason,
}

/// A debt to be paid with a claim on a third domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleUp {
    /// Whom we owe.
    #[schema(value_type = String)]
    pub peer: Domain,
    /// The asset.
    #[schema(value_type = String)]
    pub asset: Uai,
    /// How much, in minor units.
    #[schema(value_type = String)]
    pub amount: Amount,
    /// Who is to owe it to the peer: both keep ledgers with it, a central bank for example.
    #[schema(value_type = String)]
    pub through: Domain,
}
