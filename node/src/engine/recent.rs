//! The last batches, sealed and still in memory: what feeds usually send, without a disk read.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use quadrille_protocol::crypto::suite::Signature;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::log::Batch;
use quadrille_protocol::types::Height;

use crate::index::BatchSource;
use crate::log_store::{LogReader, SealedBatch};

/// Batches kept.
const BATCHES: usize = 64;
/// Bytes of records kept, roughly.
const BYTES: usize = 64 * 1024 * 1024;

/// A batch that is durable and signed.
#[derive(Debug)]
pub struct Sealed {
    /// The batch, with its tree.
    pub batch: Arc<Batch>,
    /// The signature of its checkpoint.
    pub signature: Signature,
    /// Its size on disk.
    pub bytes: usize,
}

/// The ring of them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RecentBatches {
    ring: Arc<Mutex<Ring>>,
}

#[derive(Debug, Default)]
struct Ring {
    batches: VecDeque<Arc<Sealed>>,
    bytes: usize,
}

impl RecentBatches {
    /// An empty ring.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the newest batch and drops what is too old or too much; the newest always stays.
    pub(crate) fn push(&self, sealed: Arc<Sealed>) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.bytes = ring.bytes.saturating_add(sealed.bytes);
        ring.batches.push_back(sealed);
        while ring.batches.len() > BATCHES || (ring.bytes > BYTES && ring.batches.len() > 1) {
            let Some(oldest) = ring.batches.pop_front() else { break };
            ring.bytes = ring.bytes.saturating_sub(oldest.bytes);
        }
    }

    /// The batch at `height`, if it is still here.
    #[must_use]
    pub fn get(&self, height: Height) -> Option<Arc<Sealed>> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.batches.iter().rev().find(|sealed| sealed.batch.checkpoint().height == height).cloned()
    }

    /// The first batch at this height or above it, if none that comes before it was dropped.
    fn at_or_above(&self, height: Height) -> Option<SealedBatch> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |sealed: &Arc<Sealed>| sealed.batch.checkpoint().height;
        let first = ring.batches.partition_point(|sealed| of(sealed) < height);
        let found = ring.batches.get(first)?;
        // Between the last dropped batch and the oldest here there may be one that is wanted.
        let whole = first > 0 || of(found) == height;
        whole.then(|| found.to_stored())
    }
}

impl Sealed {
    fn to_stored(&self) -> SealedBatch {
        SealedBatch { stored: self.batch.share(), signature: Some(self.signature.clone()) }
    }
}

/// The log as readers see it: its end from memory, the rest from the disk.
#[derive(Debug, Clone)]
pub struct RecentLog {
    recent: RecentBatches,
    log: LogReader,
}

impl RecentLog {
    /// Of this log, whose last batches are `recent`.
    #[must_use]
    pub fn new(recent: RecentBatches, log: LogReader) -> Self {
        Self { recent, log }
    }
}

impl BatchSource for RecentLog {
    fn batch(&self, height: Height) -> Result<Option<SealedBatch>, Refusal> {
        match self.recent.get(height) {
            Some(sealed) => Ok(Some(sealed.to_stored())),
            None => self.log.batch(height),
        }
    }

    fn batches(
        &self,
        height: Height,
    ) -> Box<dyn Iterator<Item = Result<SealedBatch, Refusal>> + '_> {
        let mut next = Some(height);
        let mut on_disk = None;
        Box::new(std::iter::from_fn(move || {
            let wanted = next?;
            if let Some(batch) = self.recent.at_or_above(wanted) {
                on_disk = None;
                let found = batch.stored.checkpoint.height;
                next = Some(found.next()).filter(|after| *after > found);
                return Some(Ok(batch));
            }
            // One open file for all that are read from the disk.
            let read = on_disk.get_or_insert_with(|| self.log.from(wanted)).next()?;
            next = match &read {
                Ok(batch) => Some(batch.stored.checkpoint.height.next()),
                Err(_) => None,
            };
            Some(read)
        }))
    }
}

#[cfg(test)]
mod tests {
    use quadrille_protocol::crypto::hash::Tag;
    use quadrille_protocol::crypto::suite::{SecretKey, Suite};
    use quadrille_protocol::log::{Place, Record};
    use quadrille_protocol::types::{Epoch, Hash, Time};

    use super::*;
    use crate::log_store::LogStore;

    /// A log with batches at these heights, the last `kept` of them in memory too.
    fn log(dir: &std::path::Path, heights: &[u64], kept: usize) -> (RecentLog, LogStore) {
        let (mut store, _) = LogStore::open(dir).unwrap();
        let (recent, key) = (RecentBatches::new(), SecretKey::generate(Suite::Ed25519, &[1; 32]));
        let mut previous = Hash::ZERO;
        for (number, height) in heights.iter().enumerate() {
            let place = Place {
                network: "test".parse().unwrap(),
                domain: "bank-a.example".parse().unwrap(),
                epoch: Epoch(1),
                height: Height(*height),
                previous,
                time: Time(*height),
            };
            let records = vec![Record::Netting(true).to_bytes().unwrap()];
            let batch = Arc::new(Batch::close(place, [0; 32], records).unwrap());
            previous = batch.checkpoint().hash();
            let signature = key.sign(Tag::Checkpoint, &batch.checkpoint().to_sign());
            store.append(&batch).unwrap();
            store.seal(batch.checkpoint().height, &signature).unwrap();
            if number + kept >= heights.len() {
                recent.push(Arc::new(Sealed { batch, signature, bytes: 10 }));
            }
        }
        (RecentLog::new(recent, store.reader()), store)
    }

    #[test]
    fn what_is_in_memory_and_what_is_on_the_disk_are_one_log() {
        // Heights 4 and 5 were skipped by a recovery.
        let heights = [1, 2, 3, 6, 7, 8];
        for kept in 0..=heights.len() {
            let dir = tempfile::tempdir().unwrap();
            let (both, store) = log(dir.path(), &heights, kept);
            let disk = store.reader();
            for from in 0..10 {
                let height_of = |batch: Result<SealedBatch, Refusal>| {
                    let batch = batch.unwrap();
                    (batch.stored.checkpoint.height, batch.signature.is_some())
                };
                let expected: Vec<_> = disk.from(Height(from)).map(height_of).collect();
                let found: Vec<_> = both.batches(Height(from)).map(height_of).collect();
                assert_eq!(found, expected, "{kept} kept, from {from}");
                let one = both.batch(Height(from)).unwrap();
                assert_eq!(one.is_some(), heights.contains(&from));
            }
        }
    }
}
