//! Key rotation: a domain puts its next key in force without stopping.
//!
//! The old key signs the new one in, and the new key signs too, so that nobody can rotate to a
//! key that they do not hold. The old key counts below the height of the switch, the new one
//! from it on: what was said under the old key stays good. Moving a live domain to another
//! suite is a rotation like any other.

use bincode::{Decode, Encode};

use super::anchors::Anchors;
use super::directory::Directory;
use crate::codec;
use crate::crypto::hash::Tag;
use crate::crypto::seal::SealingPublicKey;
use crate::crypto::suite::{PublicKey, Signature, Signatures};
use crate::error::Refusal;
use crate::limits;
use crate::refuse;
use crate::types::{Bytes, Domain, Epoch, Height, Network};

/// A domain's next key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Rotation {
    /// The network it is for.
    pub network: Network,
    /// The domain.
    pub domain: Domain,
    /// The epoch of the key that it replaces.
    pub from_epoch: Epoch,
    /// The epoch of the new key: one more.
    pub to_epoch: Epoch,
    /// The new signing key.
    pub new_key: PublicKey,
    /// What to seal payloads to from now on; none keeps the old one.
    pub new_sealing_key: Option<SealingPublicKey>,
    /// The first checkpoint that the new key signs. To be chosen above every checkpoint that
    /// the old key has signed or will sign.
    pub from_height: Height,
}

impl Rotation {
    /// What both keys sign.
    #[must_use]
    pub fn to_sign(&self) -> (Tag, Vec<u8>) {
        (Tag::Rotation, codec::encode(self))
    }
}

/// A rotation as it travels: the signed bytes and both signatures.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedRotation {
    rotation: Bytes<{ limits::ROTATION_BYTES }>,
    by_old: Signature,
    by_new: Signature,
}

impl SignedRotation {
    /// Puts together what was signed at the edge. Verifies nothing.
    ///
    /// # Errors
    /// `Q-1001` too large.
    pub fn assemble(
        rotation: &Rotation,
        by_old: Signature,
        by_new: Signature,
    ) -> Result<Self, Refusal> {
        Ok(Self { rotation: Bytes::new(&codec::encode(rotation))?, by_old, by_new })
    }

    /// From canonical bytes.
    ///
    /// # Errors
    /// Those of [`codec::decode`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        codec::decode::<Self, { limits::SIGNED_ROTATION_BYTES }>(bytes)
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The rotation, as yet unverified.
    ///
    /// # Errors
    /// Those of [`codec::decode`].
    pub fn parse(&self) -> Result<Rotation, Refusal> {
        codec::decode::<Rotation, { limits::ROTATION_BYTES }>(&self.rotation)
    }
}

/// A rotation that [`Anchors::verify_rotation`] has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRotation {
    signed: SignedRotation,
    rotation: Rotation,
}

impl VerifiedRotation {
    /// The rotation.
    #[must_use]
    pub const fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    /// Its signed form, to journal and to pass on.
    #[must_use]
    pub const fn signed(&self) -> &SignedRotation {
        &self.signed
    }
}

impl Anchors {
    /// Checks a rotation and its two signatures. Whether it follows from the directory's state
    /// is for [`Directory::rotate`] to say. Reads no clock.
    ///
    /// # Errors
    /// Those of [`SignedRotation::parse`]; `Q-1207` another network; `Q-1211` not the next
    /// epoch, or the old key again; `Q-1107` the new key's suite is not allowed (a hybrid key is
    /// not given up for Ed25519 alone under the default policy); `Q-1205` unknown domain;
    /// `Q-1213` unknown epoch; `Q-1103`, `Q-1104` a signature does not verify.
    pub fn verify_rotation(
        &self,
        signed: &SignedRotation,
        directory: &Directory,
        signatures: &impl Signatures,
    ) -> Result<VerifiedRotation, Refusal> {
        let rotation = signed.parse()?;
        self.check_network(&rotation.network)?;
        let (from, to) = (rotation.from_epoch, rotation.to_epoch);
        if from.0.checked_add(1) != Some(to.0) {
            refuse!(BadRotation, "from epoch {from} to {to}");
        }
        self.suites.check(&rotation.domain, &rotation.new_key)?;
        directory.member(&rotation.domain)?;
        let Some(old) = directory.record(&rotation.domain, from) else {
            refuse!(UnknownEpoch, "epoch {from} of {}", rotation.domain);
        };
        if old.key == rotation.new_key {
            refuse!(BadRotation, "{} is the old key of {}", old.key_id, rotation.domain);
        }
        signatures.verify(&old.key, Tag::Rotation, &signed.rotation, &signed.by_old)?;
        signatures.verify(&rotation.new_key, Tag::Rotation, &signed.rotation, &signed.by_new)?;
        Ok(VerifiedRotation { signed: signed.clone(), rotation })
    }
}
