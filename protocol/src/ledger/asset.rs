//! Assets: what their issuer says of them, and how much of them there is.

use bincode::{Decode, Encode};

use crate::crypto::hash::{Tag, hash_of};
use crate::types::{Amount, AssetCode, Detail, Domain, Hash, Uai};

/// What an issuer says of an asset. Its hash is part of the asset's identifier, so it never
/// changes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AssetProfile {
    /// The code.
    pub code: AssetCode,
    /// The issuer.
    pub issuer: Domain,
    /// A name for people.
    pub name: Detail,
    /// Decimal places of one unit: 2 for cents.
    pub decimals: u8,
    /// The most that may be outstanding; `None` for no limit.
    pub supply_limit: Option<Amount>,
    /// The hash of the document with the terms; zero for none.
    pub terms: Hash,
    /// The lowest KYC tier of a holder that may receive it.
    pub minimum_tier: u8,
}

impl AssetProfile {
    /// The asset's identifier.
    #[must_use]
    pub fn uai(&self) -> Uai {
        let profile = hash_of(Tag::AssetProfile, self);
        Uai::new(self.code, self.issuer.clone(), &profile)
    }
}

/// An asset as one validator knows it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Asset {
    /// Its profile.
    pub profile: AssetProfile,
    /// Issued here in all; zero where we are not the issuer.
    pub issued: Amount,
    /// Redeemed here in all.
    pub redeemed: Amount,
    /// Whether the issuer has locked it.
    pub locked: bool,
}

impl Asset {
    /// An asset of which nothing has been issued.
    #[must_use]
    pub fn new(profile: AssetProfile) -> Self {
        Self { profile, issued: Amount::ZERO, redeemed: Amount::ZERO, locked: false }
    }

    /// Issued and not redeemed.
    #[must_use]
    pub fn outstanding(&self) -> Amount {
        self.issued.minus_or_zero(self.redeemed)
    }
}
