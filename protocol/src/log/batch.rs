//! Batches: what is made durable at once and sealed by one checkpoint.

use std::sync::Arc;

use bincode::{Decode, Encode};

use super::bundle::{Bundle, Bundled};
use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::evidence::{Evidence, RecordBytes};
use super::feed::{FeedPage, Frame};
use super::record::{Record, Statement};
use crate::codec;
use crate::crypto::merkle::{self, Salt, Tree};
use crate::crypto::suite::Signature;
use crate::error::{Code, Refusal};
use crate::limits;
use crate::types::{Bounded, Domain, Epoch, Hash, Height, Network, SettlementId, Time};

/// Where a batch stands in its log: everything of the checkpoint that the records do not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The network.
    pub network: Network,
    /// The domain.
    pub domain: Domain,
    /// The signing key's number.
    pub epoch: Epoch,
    /// The batch's height.
    pub height: Height,
    /// The hash of the checkpoint before.
    pub previous: Hash,
    /// The domain's clock.
    pub time: Time,
}

/// A batch as it is written to the log: the canonical bytes of this are what is appended.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StoredBatch {
    /// The checkpoint; its signature follows when the batch is durable.
    pub checkpoint: Checkpoint,
    /// 32 random bytes from the edge, from which the salts of all leaves are derived.
    pub entropy: [u8; 32],
    /// The records' canonical bytes.
    pub records: Bounded<RecordBytes, { limits::BATCH_RECORDS }>,
}

/// A closed batch with its Merkle tree, from which frames and evidence are cut.
#[derive(Debug, Clone)]
pub struct Batch {
    stored: Arc<StoredBatch>,
    salts: Vec<Salt>,
    tree: Tree,
    pages: Vec<(u32, FeedPage)>,
}

impl Batch {
    /// Closes a batch of `records` at `place`.
    ///
    /// # Errors
    /// `Q-1015` too many records, `Q-1002` a page record that cannot be read.
    pub fn close(
        place: Place,
        entropy: [u8; 32],
        records: Vec<RecordBytes>,
    ) -> Result<Self, Refusal> {
        let (salts, tree) = tree_of(&entropy, &records);
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        let checkpoint = Checkpoint {
            network: place.network,
            domain: place.domain,
            epoch: place.epoch,
            height: place.height,
            previous: place.previous,
            time: place.time,
            count,
            records_root: tree.root(),
        };
        let records = Bounded::new(records)?;
        Self::with_tree(Arc::new(StoredBatch { checkpoint, entropy, records }), salts, tree)
    }

    /// Opens a batch read back from the log, checking its records against its checkpoint.
    ///
    /// # Errors
    /// `Q-1105` when they do not belong together.
    pub fn open(stored: impl Into<Arc<StoredBatch>>) -> Result<Self, Refusal> {
        let stored = stored.into();
        let (salts, tree) = tree_of(&stored.entropy, &stored.records);
        let same_count = usize::try_from(stored.checkpoint.count) == Ok(stored.records.len());
        if tree.root() != stored.checkpoint.records_root || !same_count {
            crate::refuse!(BadProof, "stored batch at height {}", stored.checkpoint.height);
        }
        Self::with_tree(stored, salts, tree)
    }

    fn with_tree(stored: Arc<StoredBatch>, salts: Vec<Salt>, tree: Tree) -> Result<Self, Refusal> {
        let mut pages = Vec::new();
        // Pages come last in a batch, so the search ends at the first record that is none.
        for (index, bytes) in stored.records.iter().enumerate().rev() {
            if !Record::is_page(bytes) {
                break;
            }
            if let Record::Page(page) = Record::read(bytes)? {
                pages.push((u32::try_from(index).unwrap_or(u32::MAX), page));
            }
        }
        pages.reverse();
        Ok(Self { stored, salts, tree, pages })
    }

    /// What is appended to the log.
    #[must_use]
    pub fn stored(&self) -> &StoredBatch {
        &self.stored
    }

    /// The same, to keep without a copy.
    #[must_use]
    pub fn share(&self) -> Arc<StoredBatch> {
        Arc::clone(&self.stored)
    }

    /// What is to be signed once the batch is durable.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.stored.checkpoint
    }

    /// Its pages with their places, in order.
    #[must_use]
    pub fn pages(&self) -> &[(u32, FeedPage)] {
        &self.pages
    }

    /// The frame for the page at place `index`.
    ///
    /// # Errors
    /// `Q-1105` when there is no page there.
    pub fn frame(&self, index: u32, signature: &Signature) -> Result<Frame, Refusal> {
        let page = self
            .pages
            .iter()
            .find(|(at, _)| *at == index)
            .map(|(_, page)| page)
            .ok_or_else(|| Refusal::new(Code::BadProof, format!("no page at {index}")))?;
        let missing = || Refusal::new(Code::BadProof, "page names missing records");
        let places: Vec<u32> = page.items.iter().copied().chain([index]).collect();
        let records: Option<Vec<RecordBytes>> =
            places.iter().map(|place| self.record(*place).cloned()).collect();
        let salts: Option<Vec<Salt>> = places.iter().map(|place| self.salt(*place)).collect();
        let (records, salts) = records.zip(salts).ok_or_else(missing)?;
        Ok(Frame {
            checkpoint: self.signed(signature),
            page: index,
            salts: Bounded::new(salts)?,
            records: Bounded::new(records)?,
            proof: Bounded::new(self.tree.prove(&places))?,
        })
    }

    /// Evidence for the record at place `index`.
    ///
    /// # Errors
    /// `Q-1105` when there is none.
    pub fn evidence(&self, index: u32, signature: &Signature) -> Result<Evidence, Refusal> {
        let (record, salt) = self
            .record(index)
            .cloned()
            .zip(self.salt(index))
            .ok_or_else(|| Refusal::new(Code::BadProof, format!("no record at {index}")))?;
        Ok(Evidence {
            checkpoint: self.signed(signature),
            index,
            salt,
            record,
            path: Bounded::new(self.tree.prove(&[index]))?,
        })
    }

    /// The records at these places, which rise, under one proof.
    ///
    /// # Errors
    /// `Q-1105` when one is not there, `Q-1015` more than a bundle may have.
    pub fn bundle(&self, places: &[u32], signature: &Signature) -> Result<Bundle, Refusal> {
        let bundled = places.iter().map(|place| {
            let found = self.record(*place).cloned().zip(self.salt(*place));
            let none = || Refusal::new(Code::BadProof, format!("no record at {place}"));
            found.map(|(record, salt)| Bundled { place: *place, salt, record }).ok_or_else(none)
        });
        Ok(Bundle {
            checkpoint: self.signed(signature),
            records: Bounded::new(bundled.collect::<Result<Vec<_>, _>>()?)?,
            proof: Bounded::new(self.tree.prove(places))?,
        })
    }

    /// Evidence of the decision on `id` in this batch, what a recovery gave back included: the
    /// answer to a query for a settlement that the validator has forgotten.
    #[must_use]
    pub fn decision_on(&self, id: &SettlementId, signature: &Signature) -> Option<Evidence> {
        let decides = |record: &Record| matches!(record, Record::Statement(Statement::Decided(known)) if known.settlement == *id);
        self.stored.records.iter().zip(0u32..).find_map(|(bytes, index)| {
            match Record::read(bytes).ok()? {
                Record::Recovered(evidence) => {
                    evidence.read().is_ok_and(|inner| decides(&inner)).then_some(*evidence)
                }
                record if decides(&record) => self.evidence(index, signature).ok(),
                _ => None,
            }
        })
    }

    fn record(&self, index: u32) -> Option<&RecordBytes> {
        self.stored.records.get(usize::try_from(index).ok()?)
    }

    fn salt(&self, index: u32) -> Option<Salt> {
        self.salts.get(usize::try_from(index).ok()?).copied()
    }

    fn signed(&self, signature: &Signature) -> SignedCheckpoint {
        SignedCheckpoint {
            checkpoint: self.stored.checkpoint.clone(),
            signature: signature.clone(),
        }
    }

    /// The bytes to append to the log.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(&*self.stored)
    }
}

fn tree_of(entropy: &[u8; 32], records: &[RecordBytes]) -> (Vec<Salt>, Tree) {
    let salts = merkle::derive_salts(entropy, records.len());
    let leaves = salts.iter().zip(records).map(|(salt, record)| merkle::leaf(salt, record));
    let tree = Tree::new(leaves.collect());
    (salts, tree)
}
