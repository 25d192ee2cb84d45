//! Checkpoints: the one signature that makes a whole batch of records final.

use bincode::{Decode, Encode};

use crate::codec;
use crate::crypto::hash::{Tag, hash_of};
use crate::crypto::suite::{Signature, Signatures};
use crate::error::{Code, Refusal};
use crate::identity::Directory;
use crate::limits;
use crate::types::{Domain, Epoch, Hash, Height, Network, Time};

/// What a domain signs for each batch. `previous` chains the checkpoints of one log.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Checkpoint {
    /// The network the log belongs to.
    pub network: Network,
    /// The domain whose log it is.
    pub domain: Domain,
    /// The signing key's number.
    pub epoch: Epoch,
    /// Its number in the log, rising by one; it jumps only over what a recovery had to skip.
    pub height: Height,
    /// The hash of the checkpoint before; zero for the first.
    pub previous: Hash,
    /// The domain's clock. Informative: no safety rule reads it.
    pub time: Time,
    /// How many records the batch has.
    pub count: u32,
    /// The Merkle root over the salted records.
    pub records_root: Hash,
}

impl Checkpoint {
    /// Its hash, as the next checkpoint's `previous` names it.
    #[must_use]
    pub fn hash(&self) -> Hash {
        hash_of(Tag::Checkpoint, self)
    }

    /// Whether the batch is not larger than one can be: of a larger one a record's path may be
    /// too long for evidence, and what cannot be shown to others must not count here.
    ///
    /// # Errors
    /// `Q-1015`.
    pub fn check_count(&self) -> Result<(), Refusal> {
        if usize::try_from(self.count).map_or(true, |count| count > limits::BATCH_RECORDS) {
            crate::refuse!(TooMany, "{} records, at most {}", self.count, limits::BATCH_RECORDS);
        }
        Ok(())
    }

    /// The bytes that are signed under [`Tag::Checkpoint`].
    #[must_use]
    pub fn to_sign(&self) -> Vec<u8> {
        codec::encode(self)
    }
}

/// A checkpoint with its domain's signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// The domain's signature under the key of `checkpoint.epoch`.
    pub signature: Signature,
}

impl SignedCheckpoint {
    /// Checks network, key and signature. Reads no clock: what was said stays said.
    ///
    /// # Errors
    /// `Q-1207` another network, `Q-1205` unknown domain or epoch, `Q-1203` the key was revoked
    /// below this height, `Q-1103` the signature does not verify.
    pub fn verify(
        &self,
        network: &Network,
        directory: &Directory,
        signatures: &dyn Signatures,
    ) -> Result<(), Refusal> {
        let checkpoint = &self.checkpoint;
        if checkpoint.network != *network {
            return Err(Refusal::new(Code::WrongNetwork, checkpoint.network.as_str()));
        }
        let key = directory.key(&checkpoint.domain, checkpoint.epoch, checkpoint.height)?;
        signatures.verify(key, Tag::Checkpoint, &checkpoint.to_sign(), &self.signature)
    }
}
