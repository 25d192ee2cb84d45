//! The last batches, sealed and still in memory: what feeds usually send, without a disk read.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use quadrille_protocol::crypto::suite::Signature;
use quadrille_protocol::log::Batch;
use quadrille_protocol::types::Height;

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
}
