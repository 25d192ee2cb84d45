//! Lost keys: the bank gives a ledger another key, visibly.
//!
//! The bank alone can do it, for it knows who the holder is; the holder proves with the new key
//! that it has it. The entry in the ledger's chain names both keys and the bank's reason, so a
//! bank that takes a ledger over without being asked has signed that it did.
//!
//! Invariant: a proof names the key that it replaces, so it serves once.

use bincode::{Decode, Encode};

use crate::codec;
use crate::crypto::hash::Tag;
use crate::crypto::suite::{PublicKey, Signature, Signatures};
use crate::error::Refusal;
use crate::types::{Detail, KeyId, Network, Ubi};

/// What the holder signs with the new key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Replacement {
    /// The network.
    pub network: Network,
    /// The ledger.
    pub ledger: Ubi,
    /// The key that is lost.
    pub lost: KeyId,
    /// The key that signs the ledger's orders from now on.
    pub key: PublicKey,
    /// The second key from now on; `None` leaves it as it is.
    pub second_key: Option<PublicKey>,
}

/// A replacement with the new key's signature under [`Tag::Replacement`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedReplacement {
    /// What is replaced.
    pub replacement: Replacement,
    /// Signed with `replacement.key`.
    pub signature: Signature,
}

impl SignedReplacement {
    /// Checks the signature.
    ///
    /// # Errors
    /// `Q-1103`, `Q-1104`, `Q-1207` made for another network.
    pub fn verify(
        self,
        network: &Network,
        signatures: &dyn Signatures,
    ) -> Result<VerifiedReplacement, Refusal> {
        let replacement = &self.replacement;
        if replacement.network != *network {
            crate::refuse!(WrongNetwork, "{}", replacement.network);
        }
        let bytes = codec::encode(replacement);
        signatures.verify(&replacement.key, Tag::Replacement, &bytes, &self.signature)?;
        Ok(VerifiedReplacement(self))
    }
}

/// A replacement whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReplacement(SignedReplacement);

impl VerifiedReplacement {
    /// The replacement.
    #[must_use]
    pub fn signed(&self) -> &SignedReplacement {
        &self.0
    }
}

/// A key that was replaced, as it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct KeyReplaced {
    /// What the holder signed.
    pub signed: SignedReplacement,
    /// Why, in the bank's words.
    pub reason: Detail,
}
