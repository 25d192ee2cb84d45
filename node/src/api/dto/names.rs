//! Names, identities, the travel rule.

use quadrille_protocol::types::{Amount, Domain, Hash, Holder, Time, Uai, Ubi};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a holder's bank says of the holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NameView {
    /// The name.
    #[schema(value_type = String, example = "alice@bank-b.example")]
    pub holder: Holder,
    /// The ledger to pay to.
    #[schema(value_type = String)]
    pub ledger: Ubi,
    /// The validator that keeps it.
    #[schema(value_type = String)]
    pub validator: Domain,
    /// The assets that it takes; empty for all.
    #[schema(value_type = Vec<String>)]
    pub assets: Vec<Uai>,
    /// The holder's KYC tier.
    pub tier: u8,
    /// When the bank said so.
    #[schema(value_type = String)]
    pub issued: Time,
    /// Until when it may be relied on.
    #[schema(value_type = String)]
    pub expires: Time,
    /// Whether this node had asked before and the answer still counts.
    pub cached: bool,
}

/// A ledger to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLedger {
    /// The signed opening: its canonical bytes in hexadecimal digits.
    pub bytes: String,
    /// The holder's data, where the opening names their hash. They are kept sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityView>,
}

/// A holder's personal data with the salt under which the holder has signed them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityView {
    /// 32 random bytes in hexadecimal digits.
    pub salt: String,
    /// A person as IVMS101 has it: `naturalPerson` or `legalPerson`.
    #[schema(value_type = Object)]
    pub person: serde_json::Value,
}

impl std::fmt::Debug for IdentityView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityView(hidden)")
    }
}

/// From which amount on payments of an asset need the travel rule's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TravelRuleView {
    /// The asset.
    #[schema(value_type = String)]
    pub asset: Uai,
    /// The amount, in minor units.
    #[schema(value_type = String)]
    pub from: Amount,
}

/// A threshold to set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TravelThreshold {
    /// The amount, in minor units.
    #[schema(value_type = String)]
    pub from: Amount,
}

/// What a ledger's holder has signed of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityReceipt {
    /// The ledger.
    #[schema(value_type = String)]
    pub ledger: Ubi,
    /// The hash in its opening.
    #[schema(value_type = String)]
    pub identity: Hash,
}
