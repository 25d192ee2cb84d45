//! One node: a validator, its disk, its guard, its clock. And the guard's one rule.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::Signature;
use quadrille_protocol::limits;
use quadrille_protocol::log::{Batch, Checkpoint, StoredBatch};
use quadrille_protocol::sabotage::{Bug, planted};
use quadrille_protocol::types::{Domain, Height};
use quadrille_protocol::validator::{Boot, Guard, Input, Validator};

use super::clock::NodeClock;
use super::disk::Disk;
use super::rng::Stream;
use super::signatures::Secret;

/// A batch that is durable here, with its signature once there is one.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The batch.
    pub batch: Arc<Batch>,
    /// The checkpoint's signature.
    pub signature: Option<Signature>,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    /// Its domain.
    pub domain: Domain,
    /// Its keys by epoch.
    pub keys: Vec<Secret>,
    /// The running validator; `None` while the node is down.
    pub validator: Option<Validator>,
    /// What waits for the next turn.
    pub inputs: VecDeque<Input>,
    /// Its disk.
    pub disk: Disk,
    /// The batches on the disk, as the running process knows them.
    pub sealed: Vec<Sealed>,
    /// What the signer's guard remembers.
    pub guard: Option<Guard>,
    /// Whether the guard is kept apart from the disk.
    pub guard_apart: bool,
    /// Its clock.
    pub clock: NodeClock,
    /// When its next turn is due, and the number of that appointment.
    pub turn_at: Option<(u64, u64)>,
    /// How many times it was started.
    pub starts: u64,
    /// Whether it lies.
    pub byzantine: bool,
    /// Where its salts come from.
    pub entropy: Stream,
}

impl Node {
    /// The place in `sealed` of the batch at `height`.
    #[must_use]
    pub fn place_of(&self, height: Height) -> Option<usize> {
        self.sealed.binary_search_by_key(&height, |sealed| sealed.batch.checkpoint().height).ok()
    }

    /// The signer: asks the guard, then signs. `None` when the guard refuses.
    pub fn sign(&mut self, checkpoint: &Checkpoint) -> Option<Signature> {
        let next = Guard { height: checkpoint.height, hash: checkpoint.hash() };
        if let Some(known) = self.guard {
            let second = known.height == next.height && known.hash != next.hash;
            if (second || next.height < known.height) && !planted(Bug::GuardIgnored) {
                return None;
            }
        }
        self.guard = Some(next);
        self.sign_unguarded(checkpoint)
    }

    /// Signs without asking anybody, as a liar does.
    #[must_use]
    pub fn sign_unguarded(&self, checkpoint: &Checkpoint) -> Option<Signature> {
        let at = usize::try_from(checkpoint.epoch.0).ok()?.checked_sub(1)?;
        Some(self.keys.get(at)?.sign(Tag::Checkpoint, &checkpoint.to_sign()))
    }

    /// Reads the disk back after a start. Signatures are kept beside the log, so only a batch
    /// that was never signed has none.
    pub fn read_disk(&mut self) -> Vec<StoredBatch> {
        let whole = |bytes: &[u8]| decode(bytes).is_some();
        let stored: Vec<StoredBatch> =
            self.disk.read(whole).iter().filter_map(|bytes| decode(bytes)).collect();
        let signatures: BTreeMap<Height, (Arc<Batch>, Option<Signature>)> = self
            .sealed
            .drain(..)
            .map(|sealed| (sealed.batch.checkpoint().height, (sealed.batch, sealed.signature)))
            .collect();
        for batch in &stored {
            let known = signatures.get(&batch.checkpoint.height);
            let known = known.filter(|(known, _)| *known.checkpoint() == batch.checkpoint);
            self.sealed.push(match known {
                Some((batch, signature)) => {
                    Sealed { batch: batch.clone(), signature: signature.clone() }
                }
                None => Sealed {
                    batch: Arc::new(Batch::open(batch.clone()).expect("a batch of this run")),
                    signature: None,
                },
            });
        }
        stored
    }

    /// What the signer tells a starting validator.
    #[must_use]
    pub const fn boot(&self) -> Boot {
        match (self.guard_apart, self.guard) {
            (true, Some(guard)) => Boot::GuardApart(guard),
            (false, guard) => Boot::GuardUnsure(guard),
            (true, None) => Boot::GuardUnsure(None),
        }
    }
}

fn decode(bytes: &[u8]) -> Option<StoredBatch> {
    codec::decode::<StoredBatch, { limits::SNAPSHOT_BYTES }>(bytes).ok()
}
