//! Where batches are read from: the log, or a list in memory in a test.

use std::sync::Arc;

use quadrille_protocol::error::Refusal;
use quadrille_protocol::types::Height;

use crate::log_store::{LogReader, SealedBatch};

/// Batches by height, oldest first.
pub trait BatchSource {
    /// The batch at `height`; `None` where there is none, also for heights that a recovery
    /// skipped.
    ///
    /// # Errors
    /// When it cannot be read.
    fn batch(&self, height: Height) -> Result<Option<SealedBatch>, Refusal>;

    /// All batches from `height` on, oldest first.
    fn batches(
        &self,
        height: Height,
    ) -> Box<dyn Iterator<Item = Result<SealedBatch, Refusal>> + '_>;
}

/// A log to be shared by everybody who reads it.
pub type Log = Arc<dyn BatchSource + Send + Sync>;

impl BatchSource for LogReader {
    fn batch(&self, height: Height) -> Result<Option<SealedBatch>, Refusal> {
        LogReader::batch(self, height)
    }

    fn batches(
        &self,
        height: Height,
    ) -> Box<dyn Iterator<Item = Result<SealedBatch, Refusal>> + '_> {
        Box::new(self.from(height))
    }
}

impl<S: BatchSource + ?Sized> BatchSource for Arc<S> {
    fn batch(&self, height: Height) -> Result<Option<SealedBatch>, Refusal> {
        (**self).batch(height)
    }

    fn batches(
        &self,
        height: Height,
    ) -> Box<dyn Iterator<Item = Result<SealedBatch, Refusal>> + '_> {
        (**self).batches(height)
    }
}
