//! Opening a ledger: the holder signs its system parameters, the bank accepts them.

use bincode::{Decode, Encode};

use crate::codec;
use crate::crypto::hash::{Tag, hash};
use crate::crypto::suite::{PublicKey, Signature, Signatures, Suite};
use crate::error::Refusal;
use crate::limits;
use crate::types::{Amount, Bounded, Country, Domain, Hash, Holder, KeyId, Network, Uai, Ubi};

/// How much of an asset may leave a ledger in one UTC day with the first key alone.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DailyLimit {
    /// The asset.
    pub asset: Uai,
    /// The most.
    pub amount: Amount,
}

/// The part of the parameters that a holder may amend by an order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Rules {
    /// Assets the ledger takes; empty for all.
    pub assets: Bounded<Uai, { limits::LEDGER_ASSETS }>,
    /// Limits above which the second key must sign too.
    pub daily_limits: Bounded<DailyLimit, { limits::LEDGER_ASSETS }>,
    /// The second key.
    pub second_key: Option<PublicKey>,
    /// Validators that may take over.
    pub backups: Bounded<Domain, { limits::LEDGER_BACKUPS }>,
}

/// What opens a ledger. Its hash is the ledger's identifier.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Opening {
    /// The network.
    pub network: Network,
    /// The holder; its domain is the bank.
    pub holder: Holder,
    /// Tells several ledgers of one holder apart.
    pub number: u32,
    /// The holder's key; its suite is the ledger's.
    pub key: PublicKey,
    /// The holder's KYC tier, as the bank grants it.
    pub tier: u8,
    /// Where the holder is resident or incorporated.
    pub jurisdiction: Country,
    /// The salted hash of the holder's personal data, which stay at the bank; zero for none. So
    /// the holder has signed them.
    pub identity: Hash,
    /// The rules.
    pub rules: Rules,
}

impl Opening {
    /// The ledger's identifier.
    #[must_use]
    pub fn ubi(&self) -> Ubi {
        Ubi(hash(Tag::Opening, &[&codec::encode(self)]).0)
    }
}

/// An opening with the holder's signature under [`Tag::Opening`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedOpening {
    /// What is opened.
    pub opening: Opening,
    /// Signed with `opening.key`.
    pub signature: Signature,
}

impl SignedOpening {
    /// Checks the signature.
    ///
    /// # Errors
    /// `Q-1103`, `Q-1104`.
    pub fn verify(self, signatures: &dyn Signatures) -> Result<VerifiedOpening, Refusal> {
        let bytes = codec::encode(&self.opening);
        signatures.verify(&self.opening.key, Tag::Opening, &bytes, &self.signature)?;
        Ok(VerifiedOpening(self))
    }
}

/// An opening whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedOpening(SignedOpening);

impl VerifiedOpening {
    /// The opening.
    #[must_use]
    pub fn signed(&self) -> &SignedOpening {
        &self.0
    }
}

/// What a ledger keeps of its parameters: keys by their ids only.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Parameters {
    /// The suite its orders are signed with.
    pub suite: Suite,
    /// The KYC tier.
    pub tier: u8,
    /// Where the holder is resident or incorporated.
    pub jurisdiction: Country,
    /// The salted hash of the holder's personal data; zero for none.
    pub identity: Hash,
    /// Assets it takes; empty for all.
    pub assets: Bounded<Uai, { limits::LEDGER_ASSETS }>,
    /// Limits above which the second key must sign too.
    pub daily_limits: Bounded<DailyLimit, { limits::LEDGER_ASSETS }>,
    /// The second key.
    pub second_key: Option<KeyId>,
    /// Validators that may take over.
    pub backups: Bounded<Domain, { limits::LEDGER_BACKUPS }>,
}

impl Parameters {
    /// The parameters that an opening sets.
    #[must_use]
    pub fn of(opening: &Opening) -> Self {
        let mut parameters = Self {
            suite: opening.key.suite(),
            tier: opening.tier,
            jurisdiction: opening.jurisdiction,
            identity: opening.identity,
            assets: Bounded::default(),
            daily_limits: Bounded::default(),
            second_key: None,
            backups: Bounded::default(),
        };
        parameters.amend(&opening.rules);
        parameters
    }

    /// Takes over new rules.
    pub fn amend(&mut self, rules: &Rules) {
        self.assets = rules.assets.clone();
        self.daily_limits = rules.daily_limits.clone();
        self.second_key = rules.second_key.as_ref().map(PublicKey::id);
        self.backups = rules.backups.clone();
    }

    /// Whether the ledger takes `asset`.
    #[must_use]
    pub fn allows(&self, asset: &Uai) -> bool {
        self.assets.is_empty() || self.assets.contains(asset)
    }

    /// The daily limit for `asset`, if there is one.
    #[must_use]
    pub fn daily_limit(&self, asset: &Uai) -> Option<Amount> {
        self.daily_limits.iter().find(|limit| limit.asset == *asset).map(|limit| limit.amount)
    }
}
