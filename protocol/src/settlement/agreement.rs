//! Agreements: the fixed terms of one settlement.

use bincode::{Decode, Encode};

use crate::codec;
use crate::crypto::hash::{HashLock, Tag, hash, hash_of};
use crate::crypto::seal::Sealed;
use crate::error::Refusal;
use crate::limits;
use crate::types::{
    AgreementNumber, Amount, Bounded, Domain, Hash, Network, OrderId, SettlementId, Time, Uai, Ubi,
};

/// A ledger at a validator. Text form: `ubi:...@bank-a.example` in reports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Account {
    /// The validator.
    pub domain: Domain,
    /// The ledger.
    pub ledger: Ubi,
}

/// One movement of a settlement.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Leg {
    /// The asset.
    pub asset: Uai,
    /// How much, above zero.
    pub amount: Amount,
    /// Who gives.
    pub from: Account,
    /// Who receives.
    pub to: Account,
    /// The order of the giver that authorises it; `None` for a transit ledger of the domain.
    pub order: Option<OrderId>,
}

/// What everybody involved may know, a notary included. Its hash is the settlement's id.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Header {
    /// The network.
    pub network: Network,
    /// The initiator's number for it; it rises over all its agreements.
    pub number: AgreementNumber,
    /// The party that drew it up and alone knows the secret.
    pub initiator: Domain,
    /// The party, or the notary, whose log entry decides.
    pub decider: Domain,
    /// The domains with legs, sorted.
    pub parties: Bounded<Domain, { limits::AGREEMENT_PARTIES }>,
    /// The blinded hash of purpose, legs and enclosure.
    pub legs: Hash,
    /// SHA-256 of the secret.
    pub lock: HashLock,
    /// On the decider's clock: it refunds after this.
    pub deadline: Time,
}

/// What a settlement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Purpose {
    /// A take of an offer.
    Trade,
    /// A payment of a holder.
    Payment,
    /// The transfer of an asset: extinguished here, recreated there.
    Transfer,
    /// Obligations that cancel each other out, or move to another debtor.
    Netting,
}

/// What only one party may read: memo and identities, sealed to it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Enclosure {
    /// Who can open it.
    pub to: Domain,
    /// The hash of what is in it, which is salted.
    pub hash: Hash,
    /// The sealed bytes.
    pub sealed: Sealed,
}

/// The whole agreement, for the parties.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Agreement {
    /// The header.
    pub header: Header,
    /// What for.
    pub purpose: Purpose,
    /// What moves.
    pub legs: Bounded<Leg, { limits::AGREEMENT_LEGS }>,
    /// What only the receiving domain may read.
    pub enclosure: Option<Enclosure>,
    /// Makes the hash of the legs tell a notary nothing.
    pub blinding: [u8; 32],
}

impl Leg {
    /// Whether something moves.
    ///
    /// # Errors
    /// `Q-1601`.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.amount.is_zero() {
            crate::refuse!(BadAgreement, "a leg of nothing");
        }
        if self.from == self.to {
            crate::refuse!(BadAgreement, "a leg from a ledger to itself");
        }
        Ok(())
    }
}

impl Header {
    /// The settlement's id.
    #[must_use]
    pub fn id(&self) -> SettlementId {
        SettlementId(hash_of(Tag::Agreement, self).0)
    }

    /// Whether `domain` has legs.
    #[must_use]
    pub fn is_party(&self, domain: &Domain) -> bool {
        self.parties.binary_search(domain).is_ok()
    }

    /// Whether the decider is a notary, without legs.
    #[must_use]
    pub fn has_notary(&self) -> bool {
        !self.is_party(&self.decider)
    }

    /// Everybody but `domain` who is told of decisions: the parties and the decider.
    pub fn others<'a>(&'a self, domain: &'a Domain) -> impl Iterator<Item = &'a Domain> {
        let notary = self.has_notary().then_some(&self.decider);
        self.parties.iter().chain(notary).filter(move |other| *other != domain)
    }

    /// With whom `domain` counts it as open: with its initiator, for nobody else chose it; its
    /// initiator with everybody it chose.
    pub fn counted_with<'a>(&'a self, domain: &'a Domain) -> impl Iterator<Item = &'a Domain> {
        let ours = self.initiator == *domain;
        self.others(domain).filter(move |other| ours || **other == self.initiator)
    }

    /// Checks that the roles hold together.
    ///
    /// # Errors
    /// `Q-1601`.
    pub fn check(&self) -> Result<(), Refusal> {
        let sorted = self.parties.windows(2).all(|pair| pair.first() < pair.last());
        if !sorted || self.parties.len() < 2 {
            crate::refuse!(BadAgreement, "parties must be two or more, sorted, each once");
        }
        if !self.is_party(&self.initiator) {
            crate::refuse!(BadAgreement, "initiator {} is no party", self.initiator);
        }
        if self.decider == self.initiator {
            crate::refuse!(BadAgreement, "the initiator cannot decide");
        }
        Ok(())
    }
}

impl Agreement {
    /// The blinded hash of what a notary may not know: purpose, legs and enclosure.
    #[must_use]
    pub fn terms_hash(
        purpose: Purpose,
        legs: &[Leg],
        enclosure: Option<&Enclosure>,
        blinding: &[u8; 32],
    ) -> Hash {
        codec::with_scratch(|bytes| {
            codec::encode_into(&(purpose, enclosure), bytes);
            for leg in legs {
                codec::encode_into(leg, bytes);
            }
            hash(Tag::Legs, &[blinding, bytes])
        })
    }

    /// The hash that its header must name.
    #[must_use]
    pub fn terms(&self) -> Hash {
        Self::terms_hash(self.purpose, &self.legs, self.enclosure.as_ref(), &self.blinding)
    }

    /// The domains of `legs`, sorted, each once.
    #[must_use]
    pub fn parties_of(legs: &[Leg]) -> Vec<Domain> {
        let mut parties: Vec<Domain> =
            legs.iter().flat_map(|leg| [leg.from.domain.clone(), leg.to.domain.clone()]).collect();
        parties.sort_unstable();
        parties.dedup();
        parties
    }

    /// Checks that header and legs hold together.
    ///
    /// # Errors
    /// `Q-1601`.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.terms() != self.header.legs {
            crate::refuse!(BadAgreement, "legs differ from the header's hash");
        }
        self.check_parts()
    }

    /// As [`Agreement::check`] where the header's hash was made of these very legs.
    pub(crate) fn check_parts(&self) -> Result<(), Refusal> {
        self.header.check()?;
        if Self::parties_of(&self.legs) != *self.header.parties {
            crate::refuse!(BadAgreement, "parties differ from the legs");
        }
        self.legs.iter().try_for_each(Leg::check)
    }
}
