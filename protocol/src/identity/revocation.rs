//! Revocation: a key stops counting above a height of its domain's log.
//!
//! It names a height and not a time because nobody can prove when something was signed, while
//! heights are chained: checkpoints up to the height stay good for ever, later ones under the
//! key do not count, for everybody alike and whatever the clocks say.

use bincode::{Decode, Encode};

use super::anchors::Anchors;
use super::certificate::Issuer;
use super::directory::Directory;
use crate::codec;
use crate::crypto::hash::Tag;
use crate::crypto::suite::{Signature, Signatures};
use crate::error::Refusal;
use crate::limits;
use crate::refuse;
use crate::types::{Bytes, Domain, Epoch, Height, Network, Time};

/// Why a key was revoked (after RFC 5280, section 5.3.1). For people; no rule depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum RevocationReason {
    /// Somebody else has or may have the key.
    KeyCompromise,
    /// The domain cannot use the key any more.
    KeyLost,
    /// Another key has taken its place.
    Superseded,
    /// The domain has left the network.
    CessationOfOperation,
    /// The authority has taken the membership back.
    PrivilegeWithdrawn,
}

/// A key stops counting.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Revocation {
    /// The network it is for.
    pub network: Network,
    /// The issuer's number for it; of two by the authority, the higher one stands.
    pub serial: u64,
    /// The domain whose key it is.
    pub domain: Domain,
    /// The epoch of the key.
    pub epoch: Epoch,
    /// The last height at which the key counts; 0 for none at all.
    pub from_height: Height,
    /// Why.
    pub reason: RevocationReason,
    /// When it was drawn up, for people.
    pub time: Time,
    /// Who signs it: an authority, or the domain with its latest key.
    pub issuer: Issuer,
}

impl Revocation {
    /// What the issuer signs.
    #[must_use]
    pub fn to_sign(&self) -> (Tag, Vec<u8>) {
        (Tag::Revocation, codec::encode(self))
    }
}

/// A revocation as it travels: the signed bytes and the signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedRevocation {
    revocation: Bytes<{ limits::REVOCATION_BYTES }>,
    signature: Signature,
}

impl SignedRevocation {
    /// Puts together what was signed at the edge. Verifies nothing.
    ///
    /// # Errors
    /// `Q-1001` too large.
    pub fn assemble(revocation: &Revocation, signature: Signature) -> Result<Self, Refusal> {
        Ok(Self { revocation: Bytes::new(&codec::encode(revocation))?, signature })
    }

    /// From canonical bytes.
    ///
    /// # Errors
    /// Those of [`codec::decode`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        codec::decode::<Self, { limits::SIGNED_REVOCATION_BYTES }>(bytes)
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The revocation, as yet unverified.
    ///
    /// # Errors
    /// Those of [`codec::decode`].
    pub fn parse(&self) -> Result<Revocation, Refusal> {
        codec::decode::<Revocation, { limits::REVOCATION_BYTES }>(&self.revocation)
    }
}

/// A revocation that [`Anchors::verify_revocation`] has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRevocation {
    signed: SignedRevocation,
    revocation: Revocation,
}

impl VerifiedRevocation {
    /// The revocation.
    #[must_use]
    pub const fn revocation(&self) -> &Revocation {
        &self.revocation
    }

    /// Its signed form, to journal and to pass on.
    #[must_use]
    pub const fn signed(&self) -> &SignedRevocation {
        &self.signed
    }
}

impl Anchors {
    /// Checks a revocation and its signature. Reads no clock.
    ///
    /// A domain signs with its latest key: somebody who finds a retired one must not be able to
    /// make the statements of its time worthless. When that key is revoked, only its own
    /// revocation may be repeated, to a peer that missed it.
    ///
    /// # Errors
    /// Those of [`SignedRevocation::parse`]; `Q-1207` another network; `Q-1205` unknown domain;
    /// `Q-1213` unknown epoch; `Q-1204` unknown authority; `Q-1203` the domain's latest key is
    /// revoked itself, or follows from one that was; `Q-1103`, `Q-1104` the signature does not
    /// verify.
    pub fn verify_revocation(
        &self,
        signed: &SignedRevocation,
        directory: &Directory,
        signatures: &impl Signatures,
    ) -> Result<VerifiedRevocation, Refusal> {
        let revocation = signed.parse()?;
        self.check_network(&revocation.network)?;
        let (domain, epoch) = (&revocation.domain, revocation.epoch);
        directory.member(domain)?;
        if directory.record(domain, epoch).is_none() {
            refuse!(UnknownEpoch, "epoch {epoch} of {domain}");
        }
        let (bytes, signature) = (&signed.revocation, &signed.signature);
        match &revocation.issuer {
            Issuer::Authority(authority) => {
                self.verify_authority(authority, Tag::Revocation, bytes, signature, signatures)?;
            }
            Issuer::SelfSigned => {
                let latest = directory.revoking_key(domain, epoch)?;
                signatures.verify(latest, Tag::Revocation, bytes, signature)?;
            }
        }
        Ok(VerifiedRevocation { signed: signed.clone(), revocation })
    }
}
