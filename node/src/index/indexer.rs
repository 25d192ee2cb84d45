//! The thread that indexes what is sealed.

use std::sync::Arc;
use std::thread::JoinHandle;

use quadrille_protocol::error::{Code, Refusal};
use tokio::sync::mpsc;

use super::Index;
use crate::log_store::SealedBatch;

/// Sealed batches that may wait to be indexed; whoever seals waits when it is full.
pub const INDEX_QUEUE: usize = 256;
/// Batches that wait and are written at once.
const RUN_BATCHES: usize = 64;

const _: () = assert!(RUN_BATCHES <= INDEX_QUEUE);

/// The indexing thread.
#[derive(Debug)]
pub struct Indexer {
    thread: JoinHandle<Result<(), Refusal>>,
}

impl Indexer {
    /// Indexes what comes from `receiver` until its last sender is gone. Make the channel with
    /// room for [`INDEX_QUEUE`].
    ///
    /// A batch that cannot be indexed ends the thread: who waits for the index is told, and the
    /// next start rebuilds it. The log goes on.
    ///
    /// # Errors
    /// `Q-2401` when no thread can be had.
    pub fn spawn(
        index: Index,
        receiver: mpsc::Receiver<Arc<SealedBatch>>,
    ) -> Result<Self, Refusal> {
        let thread = std::thread::Builder::new()
            .name("index".to_owned())
            .spawn(move || run(&index, receiver))
            .map_err(|error| Refusal::new(Code::IndexFailed, error.to_string()))?;
        Ok(Self { thread })
    }

    /// Waits until everything is indexed and durable; the senders must be gone.
    ///
    /// # Errors
    /// What ended the thread.
    pub fn join(self) -> Result<(), Refusal> {
        let panicked = |_| Refusal::new(Code::IndexFailed, "the indexing thread panicked");
        self.thread.join().map_err(panicked)?
    }
}

/// Whatever way the thread ends, nobody waits for it for ever.
struct StopOnDrop<'a>(&'a Index);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn run(index: &Index, mut receiver: mpsc::Receiver<Arc<SealedBatch>>) -> Result<(), Refusal> {
    let _stop = StopOnDrop(index);
    let mut batches = Vec::with_capacity(RUN_BATCHES);
    while receiver.blocking_recv_many(&mut batches, RUN_BATCHES) > 0 {
        if let Err(refusal) = index.apply_run(&batches) {
            tracing::error!(%refusal, "the index has stopped");
            return Err(refusal);
        }
        batches.clear();
    }
    index.sync()
}
