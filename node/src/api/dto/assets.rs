//! Assets.

use quadrille_protocol::types::{Amount, AssetCode, Country, Detail, Domain, Hash, Uai, Ubi};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An asset as this node knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssetView {
    /// The asset.
    #[schema(value_type = String, example = "EUR:bank-b.example#0011223344556677")]
    pub asset: Uai,
    /// The code.
    #[schema(value_type = String, example = "EUR")]
    pub code: AssetCode,
    /// The issuer.
    #[schema(value_type = String)]
    pub issuer: Domain,
    /// A name for people.
    pub name: String,
    /// Decimal places of one unit: 2 for cents.
    pub decimals: u8,
    /// The most that may be outstanding, in minor units; `null` for no limit.
    #[schema(value_type = Option<String>)]
    pub supply_limit: Option<Amount>,
    /// The hash of the document with the terms; zero for none.
    #[schema(value_type = String)]
    pub terms: Hash,
    /// The lowest KYC tier of a holder that may receive it.
    pub minimum_tier: u8,
    /// The smallest amount that moves, and of which all others are multiples, in minor units.
    #[schema(value_type = String)]
    pub denomination: Amount,
    /// Documents beside the terms.
    pub documents: Vec<DocumentView>,
    /// The jurisdictions of the holders that may receive it; empty for all.
    #[schema(value_type = Vec<String>)]
    pub jurisdictions: Vec<Country>,
    /// The domains whose holders may receive it; empty for all.
    #[schema(value_type = Vec<String>)]
    pub holders: Vec<Domain>,
    /// Whether this node's domain issues it.
    pub ours: bool,
    /// Whether its issuer, this node's domain, has locked it.
    pub locked: bool,
    /// Issued here in all, in minor units; zero where another domain is the issuer.
    #[schema(value_type = String)]
    pub issued: Amount,
    /// Redeemed here in all, in minor units.
    #[schema(value_type = String)]
    pub redeemed: Amount,
    /// What of it is on this node, in minor units; only where `holdings=true` asks
    /// for it.
    pub here: Option<AssetHolding>,
    /// Whether its issuer, this node's domain, has closed it: nothing is issued any more.
    pub closed: bool,
    /// Where else it is: what this domain and each peer owe each other in it. At the issuer the
    /// record of where its asset is. Only where `holdings=true` asks for it.
    pub places: Vec<AssetPlace>,
}

/// A document by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentView {
    /// What it is called.
    #[schema(value_type = String)]
    pub name: Detail,
    /// The SHA-256 of its bytes.
    #[schema(value_type = String)]
    pub hash: Hash,
}

/// What this domain and one peer owe each other in an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssetPlace {
    /// The peer.
    #[schema(value_type = String)]
    pub domain: Domain,
    /// What we owe it: so much is there, in minor units.
    #[schema(value_type = String)]
    pub there: Amount,
    /// What it owes us, in minor units.
    #[schema(value_type = String)]
    pub claim: Amount,
}

/// What of an asset is on one node, over all ledgers. With all nodes' numbers conservation can
/// be checked: `issued - redeemed` is the sum of all holders' `free + held`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssetHolding {
    /// What holders can dispose of.
    #[schema(value_type = String)]
    pub free: Amount,
    /// What is set aside.
    #[schema(value_type = String)]
    pub held: Amount,
}

/// An asset to register: what its issuer says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAsset {
    /// The code.
    #[schema(value_type = String, example = "EUR")]
    pub code: AssetCode,
    /// The issuer; this node's domain when it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub issuer: Option<Domain>,
    /// A name for people, at most 240 bytes.
    #[schema(value_type = String)]
    pub name: Detail,
    /// Decimal places of one unit: 2 for cents.
    pub decimals: u8,
    /// The most that may be outstanding, in minor units; no limit when it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub supply_limit: Option<Amount>,
    /// The hash of the document with the terms; none when it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub terms: Option<Hash>,
    /// The lowest KYC tier of a holder that may receive it; 0 when it is left out.
    #[serde(default)]
    pub minimum_tier: u8,
    /// The smallest amount that moves, in minor units; 1 when it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub denomination: Option<Amount>,
    /// Documents beside the terms.
    #[serde(default)]
    pub documents: Vec<DocumentView>,
    /// The jurisdictions of the holders that may receive it; all when it is left out.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub jurisdictions: Vec<Country>,
    /// The domains whose holders may receive it; all when it is left out.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub holders: Vec<Domain>,
}

/// Puts an asset of this node's domain into circulation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Issue {
    /// Who gets it.
    #[schema(value_type = String)]
    pub ledger: Ubi,
    /// How much, in minor units.
    #[schema(value_type = String)]
    pub amount: Amount,
}

/// Who says that it deals in an asset. Found over the mesh: a hint, not a promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Providers {
    /// The asset.
    #[schema(value_type = String)]
    pub asset: Uai,
    /// The members, sorted.
    #[schema(value_type = Vec<String>)]
    pub domains: Vec<Domain>,
}
