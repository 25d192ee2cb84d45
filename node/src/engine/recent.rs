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
