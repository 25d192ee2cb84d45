//! Evidence: one record, provable alone.
//!
//! A record, its salt, its Merkle path and the signed checkpoint. It reveals nothing of the
//! record's neighbours, because every leaf is salted, and can be verified offline by anyone
//! who has the domain's certificate.

use bincode::{Decode, Encode};

use super::checkpoint::SignedCheckpoint;
use super::record::Record;
use crate::codec;
use crate::crypto::merkle::{self, Salt};
use crate::crypto::suite::Signatures;
use crate::error::{Code, Refusal};
use crate::identity::Directory;
use crate::limits;
use crate::types::{Bounded, Bytes, Domain, Hash, Network};

/// A record's canonical bytes.
pub type RecordBytes = Bytes<{ limits::FRAME_BYTES }>;

/// Proof that a domain said one record.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Evidence {
    /// The checkpoint that seals the record's batch.
    pub checkpoint: SignedCheckpoint,
    /// The record's place in the batch.
    pub index: u32,
    /// The salt of its leaf.
    pub salt: Salt,
    /// The record.
    pub record: RecordBytes,
    /// Sibling hashes from the leaf to the root.
    pub path: Bounded<Hash, { limits::MERKLE_DEPTH }>,
}

impl Evidence {
    /// The domain that said it.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.checkpoint.checkpoint.domain
    }

    /// Checks path and signature and returns the record.
    ///
    /// # Errors
    /// `Q-1015` a batch larger than one can be, `Q-1105` the path does not lead to the root,
    /// `Q-1312` a record that cannot be read, and the errors of [`SignedCheckpoint::verify`].
    pub fn verify(
        &self,
        network: &Network,
        directory: &Directory,
        signatures: &dyn Signatures,
    ) -> Result<Record, Refusal> {
        self.check_path()?;
        self.checkpoint.verify(network, directory, signatures)?;
        self.read()
    }

    /// The record, without any check of where it came from.
    ///
    /// # Errors
    /// `Q-1312` when the bytes are no record.
    pub fn read(&self) -> Result<Record, Refusal> {
        codec::decode::<Record, { limits::FRAME_BYTES }>(&self.record)
            .map_err(|refusal| Refusal::new(Code::BadEvidence, refusal.to_string()))
    }

    fn check_path(&self) -> Result<(), Refusal> {
        let checkpoint = &self.checkpoint.checkpoint;
        checkpoint.check_count()?;
        let leaf = merkle::leaf(&self.salt, &self.record);
        let root = merkle::root_from(checkpoint.count, &[(self.index, leaf)], &self.path)?;
        if root != checkpoint.records_root {
            return Err(Refusal::new(Code::BadProof, format!("record {}", self.index)));
        }
        Ok(())
    }
}

/// Evidence whose path and signature were checked, with the record it proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEvidence {
    evidence: Evidence,
    record: Record,
}

impl VerifiedEvidence {
    /// Checks `evidence`.
    ///
    /// # Errors
    /// Those of [`Evidence::verify`].
    pub fn check(
        evidence: Evidence,
        network: &Network,
        directory: &Directory,
        signatures: &dyn Signatures,
    ) -> Result<Self, Refusal> {
        let record = evidence.verify(network, directory, signatures)?;
        Ok(Self { evidence, record })
    }

    /// The evidence.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// What it proves that its domain said.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }
}
