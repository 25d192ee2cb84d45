//! Bundles: several records of one batch for the same listener, under one proof.
//!
//! What [`super::Frame`] is for a feed, without its numbers: notices of offers bind nobody and
//! may be lost. A batch with hundreds of them costs its listener one signature.
//!
//! Invariant: a bundle that verifies says of each of its records what evidence of it would.

use bincode::{Decode, Encode};

use super::checkpoint::SignedCheckpoint;
use super::evidence::RecordBytes;
use super::record::Record;
use crate::codec;
use crate::crypto::merkle::{self, Salt};
use crate::crypto::suite::Signatures;
use crate::error::{Code, Refusal};
use crate::identity::Directory;
use crate::limits;
use crate::types::{Bounded, Domain, Hash, Network};

/// One record of a bundle with its place in the batch.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Bundled {
    /// The record's place.
    pub place: u32,
    /// The salt of its leaf.
    pub salt: Salt,
    /// The record.
    pub record: RecordBytes,
}

/// Records of one batch with one proof for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Bundle {
    /// The checkpoint that seals the batch.
    pub checkpoint: SignedCheckpoint,
    /// The records, by rising places.
    pub records: Bounded<Bundled, { limits::PAGE_ITEMS }>,
    /// The Merkle multi-proof of all of them.
    pub proof: Bounded<Hash, { limits::PAGE_PROOF_HASHES }>,
}

/// What a domain said, proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBundle {
    domain: Domain,
    records: Vec<Record>,
}

impl Bundle {
    /// Reads and checks a bundle.
    ///
    /// # Errors
    /// `Q-1001` to `Q-1004` bytes, `Q-1015` a batch larger than one can be, `Q-1105` the proof
    /// does not lead to the root, `Q-1312` a record that cannot be read, and the errors of
    /// [`SignedCheckpoint::verify`].
    pub fn verify(
        bytes: &[u8],
        network: &Network,
        directory: &Directory,
        signatures: &dyn Signatures,
    ) -> Result<VerifiedBundle, Refusal> {
        let bundle = codec::decode::<Self, { limits::FRAME_BYTES }>(bytes)?;
        let checkpoint = &bundle.checkpoint.checkpoint;
        checkpoint.check_count()?;
        let leaf = |item: &Bundled| (item.place, merkle::leaf(&item.salt, &item.record));
        let leaves: Vec<(u32, Hash)> = bundle.records.iter().map(leaf).collect();
        let root = merkle::root_from(checkpoint.count, &leaves, &bundle.proof)?;
        if root != checkpoint.records_root {
            crate::refuse!(BadProof, "bundle at height {}", checkpoint.height);
        }
        bundle.checkpoint.verify(network, directory, signatures)?;
        let read = |item: &Bundled| {
            codec::decode::<Record, { limits::RECORD_BYTES }>(&item.record)
                .map_err(|refusal| Refusal::new(Code::BadEvidence, refusal.to_string()))
        };
        let records = bundle.records.iter().map(read).collect::<Result<_, _>>()?;
        Ok(VerifiedBundle { domain: checkpoint.domain.clone(), records })
    }
}

impl VerifiedBundle {
    /// Who said it.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// What was said.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }
}
