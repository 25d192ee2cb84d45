//! Assets: what their issuer says of them, and how much of them there is.

use std::collections::VecDeque;

use bincode::{Decode, Encode};

use crate::crypto::hash::{Tag, hash_of};
use crate::error::Refusal;
use crate::ledger::opening::Parameters;
use crate::limits;
use crate::types::{Amount, AssetCode, Bounded, Country, Detail, Domain, Hash, Uai, Ubi};

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
    /// The smallest amount that moves, and of which all others are multiples; above zero.
    pub denomination: Amount,
    /// Documents beside the terms.
    pub documents: Bounded<Document, { limits::ASSET_DOCUMENTS }>,
    /// The jurisdictions of the holders that may receive it; empty for all.
    pub jurisdictions: Bounded<Country, { limits::ASSET_PERMISSIONS }>,
    /// The domains whose holders may receive it; empty for all.
    pub holders: Bounded<Domain, { limits::ASSET_PERMISSIONS }>,
}

/// A document by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Document {
    /// What it is called.
    pub name: Detail,
    /// The SHA-256 of its bytes.
    pub hash: Hash,
}

impl AssetProfile {
    /// The asset's identifier.
    #[must_use]
    pub fn uai(&self) -> Uai {
        let profile = hash_of(Tag::AssetProfile, self);
        Uai::new(self.code, self.issuer.clone(), &profile)
    }

    /// Whether a holder at `domain` may have it.
    ///
    /// # Errors
    /// `Q-1702` the tier is too low, `Q-1428` not in this jurisdiction, `Q-1429` not at this
    /// domain.
    pub fn check_holder(&self, domain: &Domain, parameters: &Parameters) -> Result<(), Refusal> {
        let (tier, minimum) = (parameters.tier, self.minimum_tier);
        if tier < minimum {
            crate::refuse!(KycTierTooLow, "tier {tier}, {minimum} asked for");
        }
        if !self.jurisdictions.is_empty() && !self.jurisdictions.contains(&parameters.jurisdiction)
        {
            crate::refuse!(JurisdictionNotPermitted, "{}", parameters.jurisdiction);
        }
        if !self.holders.is_empty() && !self.holders.contains(domain) {
            crate::refuse!(HolderNotPermitted, "{domain}");
        }
        Ok(())
    }

    /// Whether `amount` is a multiple of the denomination.
    ///
    /// # Errors
    /// `Q-1427`.
    pub fn check_amount(&self, amount: Amount) -> Result<(), Refusal> {
        let rest = amount.units().checked_rem(self.denomination.units());
        if rest != Some(0) {
            let (denomination, code) = (self.denomination, &self.code);
            crate::refuse!(NotDenominated, "{amount} {code}, denomination {denomination}");
        }
        Ok(())
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
    /// Whether the issuer has closed it: nothing is issued any more.
    pub closed: bool,
    /// The last issues that had a name of their own, oldest first: one is carried out once,
    /// however often it is asked for.
    pub named_issues: VecDeque<NamedIssue>,
}

/// An issue with the name that the operator gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct NamedIssue {
    /// The name's hash.
    pub name: Hash,
    /// Who got it.
    pub ledger: Ubi,
    /// How much.
    pub amount: Amount,
}

impl Asset {
    /// An asset of which nothing has been issued.
    #[must_use]
    pub fn new(profile: AssetProfile) -> Self {
        Self {
            profile,
            issued: Amount::ZERO,
            redeemed: Amount::ZERO,
            locked: false,
            closed: false,
            named_issues: VecDeque::new(),
        }
    }

    /// The issue with this name, if it is one of the last [`limits::NAMED_ISSUES`].
    #[must_use]
    pub fn named_issue(&self, name: &Hash) -> Option<&NamedIssue> {
        self.named_issues.iter().find(|issue| issue.name == *name)
    }

    /// Remembers an issue.
    pub fn note_issue(&mut self, issue: NamedIssue) {
        if self.named_issues.len() >= limits::NAMED_ISSUES {
            self.named_issues.pop_front();
        }
        self.named_issues.push_back(issue);
    }

    /// Issued and not redeemed.
    #[must_use]
    pub fn outstanding(&self) -> Amount {
        self.issued.minus_or_zero(self.redeemed)
    }
}
