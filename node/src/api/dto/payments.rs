//! Payments: what is handed in, the ways there are, and what has become of one.

use quadrille_protocol::policy::ivms101::Person;
use quadrille_protocol::types::{Amount, Domain, OrderId, SettlementId, Time, Uai, Ubi};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Place, Reason, ServiceView};

/// A payment with what the payee's bank is to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPayment {
    /// The signed order's canonical bytes in hexadecimal digits.
    pub bytes: String,
    /// The 32 random bytes that salt the memo, in hexadecimal digits; needed with a memo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// The memo. The order names its salted hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<String>,
    /// Who is paid, as an IVMS101 person; needed where the travel rule asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub beneficiary: Option<Person>,
}

/// A way that a payment could take now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PathView {
    /// What the payer gives, in minor units.
    #[schema(value_type = String)]
    pub cost: Amount,
    /// In which asset.
    #[schema(value_type = String)]
    pub spend: Uai,
    /// How many domains take part, the payer's and the payee's included.
    pub parties: u32,
    /// The legs, the payer's first.
    pub legs: Vec<PathLegView>,
}

/// One leg of a way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PathLegView {
    /// The domain that gets it.
    #[schema(value_type = String)]
    pub domain: Domain,
    /// The asset.
    #[schema(value_type = String)]
    pub asset: Uai,
    /// How much, in minor units.
    #[schema(value_type = String)]
    pub amount: Amount,
    /// By what it goes on from there.
    pub by: PathBy,
    /// The offer, where it is one.
    #[schema(value_type = Option<String>)]
    pub offer: Option<OrderId>,
}

/// By what a payment goes on from a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PathBy {
    /// It has arrived.
    Payee,
    /// The domain passes it on for its fee.
    Transit,
    /// A market maker's offer turns it into another asset.
    Offer,
}

/// How far a payment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// Refused: it has had no effect.
    Refused,
    /// Accepted; a way is being tried.
    Trying,
    /// Inside this bank, at once.
    Paid,
    /// Everything has moved.
    Settled,
    /// Nothing has moved; what was held is released.
    Refunded,
}

/// What has become of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaymentView {
    /// The payment: its order's id.
    #[schema(value_type = String)]
    pub order: OrderId,
    /// The payer's ledger.
    #[schema(value_type = String)]
    pub ledger: Ubi,
    /// How far it has come.
    pub state: PaymentState,
    /// Why it was refused or refunded.
    pub reason: Option<Reason>,
    /// What was ordered; `null` for a payment that was refused.
    pub terms: Option<PaymentTermsView>,
    /// What the payer gave, in minor units, once it is settled.
    #[schema(value_type = Option<String>)]
    pub cost: Option<Amount>,
    /// Ways that the bank planned to try.
    pub planned: u32,
    /// The ways that were tried, in order.
    pub tries: Vec<TryView>,
    /// The domains whose word is awaited now; empty when it is over.
    #[schema(value_type = Vec<String>)]
    pub awaiting: Vec<Domain>,
    /// Until when that is awaited; `null` where there is no limit.
    #[schema(value_type = Option<String>)]
    pub until: Option<Time>,
    /// What happens next or what can be done, in plain words.
    pub then: String,
    /// When it was accepted or refused.
    #[schema(value_type = String)]
    pub time: Time,
    /// The record that accepted or refused it.
    pub place: Place,
}

/// What a payer has ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaymentTermsView {
    /// The payee's bank.
    #[schema(value_type = String)]
    pub to_domain: Domain,
    /// The payee's ledger.
    #[schema(value_type = String)]
    pub to_ledger: Ubi,
    /// What arrives.
    #[schema(value_type = String)]
    pub asset: Uai,
    /// How much of it, in minor units.
    #[schema(value_type = String)]
    pub amount: Amount,
    /// What the payer gives.
    #[schema(value_type = String)]
    pub spend: Uai,
    /// The most of it, in minor units.
    #[schema(value_type = String)]
    pub max_cost: Amount,
    /// `payment` or `transfer`.
    pub purpose: String,
}

/// One way that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TryView {
    /// Which one, from 1.
    pub number: u32,
    /// The settlement that carries or carried it.
    #[schema(value_type = String)]
    pub settlement: SettlementId,
    /// The domains that took part.
    #[schema(value_type = Vec<String>)]
    pub parties: Vec<Domain>,
    /// What the payer was to give, in minor units.
    #[schema(value_type = Option<String>)]
    pub cost: Option<Amount>,
    /// Whether it settled; `null` while that is open.
    pub settled: Option<bool>,
    /// Who refused it and why, with the signed record of each.
    pub refusals: Vec<RefusalView>,
}

/// A signed refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalView {
    /// Who refused.
    #[schema(value_type = String)]
    pub by: Domain,
    /// Why.
    pub reason: Reason,
    /// The record that proves it; `/v1/evidence/{height}/{leaf}` has the evidence.
    pub place: Place,
}

/// What this bank does as a correspondent, and what it tells others of that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CorrespondentsView {
    /// The ledger that payments pass through; `null` when none pass.
    #[schema(value_type = Option<String>)]
    pub transit: Option<Ubi>,
    /// Per asset: the fee, and whose obligations are accepted.
    pub services: Vec<ServiceView>,
}

/// The ledger that payments are to pass through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransitLedger {
    /// The ledger; `null` to let nothing pass any more.
    #[schema(value_type = Option<String>)]
    pub ledger: Option<Ubi>,
}
