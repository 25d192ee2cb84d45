//! The log on disk: segment files that hold every batch and the signature of its checkpoint.

use std::path::Path;

use quadrille_protocol::crypto::suite::Signature;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::log::{Batch, StoredBatch};
use quadrille_protocol::types::{Hash, Height};

/// A batch as it is on disk.
#[derive(Debug, Clone)]
pub struct SealedBatch {
    /// The batch.
    pub stored: StoredBatch,
    /// The signature of its checkpoint; missing only in the last batch after a hard stop.
    pub signature: Option<Signature>,
}

/// The writer: one per data directory, which it keeps locked.
#[derive(Debug)]
pub struct LogStore {}

/// Reads the log while the writer appends. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogReader {}

/// What opening found.
#[derive(Debug, Clone, Default)]
pub struct Opening {
    /// Height and checkpoint hash of the last whole batch.
    pub head: Option<(Height, Hash)>,
    /// Bytes of a torn tail that were cut off.
    pub torn_bytes: u64,
    /// Whether the last batch has no signature yet.
    pub unsealed: bool,
}

/// A saved state.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The height it stands at.
    pub height: Height,
    /// The hash of the checkpoint there.
    pub head: Hash,
    /// `Validator::snapshot`.
    pub state: Vec<u8>,
}

impl LogStore {
    /// Opens or creates the log in `dir`, locked for this process.
    ///
    /// # Errors
    /// `Q-19xx`.
    pub fn open(_dir: &Path) -> Result<(Self, Opening), Refusal> {
        Ok((Self {}, Opening::default()))
    }

    /// A reader.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        LogReader {}
    }

    /// Appends the batch and makes it durable (one `fdatasync`).
    ///
    /// # Errors
    /// Any error is fatal: stop the node.
    pub fn append(&mut self, _batch: &Batch) -> Result<(), Refusal> {
        Ok(())
    }

    /// Writes the signature of the last batch's checkpoint; durable with the next append or
    /// [`LogStore::sync`], since it can be made again.
    ///
    /// # Errors
    /// Any error is fatal.
    pub fn seal(&mut self, _height: Height, _signature: &Signature) -> Result<(), Refusal> {
        Ok(())
    }

    /// Takes the last batch off: its checkpoint was never signed, so it was never said.
    ///
    /// # Errors
    /// When it is sealed, or the disk fails.
    pub fn drop_unsealed(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    /// Makes everything written durable.
    ///
    /// # Errors
    /// Any error is fatal.
    pub fn sync(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    /// The newest snapshot that fits the log.
    ///
    /// # Errors
    /// When it cannot be read; a damaged one is reported and passed over.
    pub fn latest_snapshot(&self) -> Result<Option<Snapshot>, Refusal> {
        Ok(None)
    }

    /// Saves a snapshot durably and removes older ones.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn save_snapshot(&self, _snapshot: &Snapshot) -> Result<(), Refusal> {
        Ok(())
    }
}

impl LogReader {
    /// The batch at `height`, if the log has it. `None` for heights that a recovery skipped.
    ///
    /// # Errors
    /// `Q-19xx` when it cannot be read.
    pub fn batch(&self, _height: Height) -> Result<Option<SealedBatch>, Refusal> {
        Ok(None)
    }

    /// All batches from `height` on that are in the log now, oldest first.
    pub fn from(
        &self,
        _height: Height,
    ) -> impl Iterator<Item = Result<SealedBatch, Refusal>> + use<> {
        std::iter::empty()
    }
}
