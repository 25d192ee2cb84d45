//! The virtual disk: what survives a crash is what was synced, and perhaps some more.
//!
//! ```text
//! append --> unsynced --sync--> durable
//!               | crash: lost, torn, or kept
//! ```

use std::sync::Arc;

use super::rng::Stream;

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is durable.
    Durable,
    /// The disk reported an error; nobody knows what is on it.
    Failed,
}

/// One node's log file.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    durable: Vec<Arc<[u8]>>,
    unsynced: Option<Arc<[u8]>>,
    torn: Option<Arc<[u8]>>,
}

impl Disk {
    /// Appends without syncing.
    pub fn append(&mut self, bytes: Arc<[u8]>) {
        self.unsynced = Some(bytes);
    }

    /// Makes what was appended durable.
    pub fn sync(&mut self) {
        self.durable.extend(self.unsynced.take());
    }

    /// A sync that fails: some of it may be on the disk or not.
    pub fn fail_sync(&mut self, random: &mut Stream) {
        self.crash(random);
    }

    /// The power goes: what was not synced is lost, torn or kept.
    pub fn crash(&mut self, random: &mut Stream) {
        let Some(bytes) = self.unsynced.take() else { return };
        match random.below(3) {
            0 => {}
            1 => self.torn = Some(bytes[..random.index(bytes.len())].into()),
            _ => self.durable.push(bytes),
        }
    }

    /// An old copy is put in its place: only the first `batches` are there.
    pub fn restore(&mut self, batches: usize) {
        self.durable.truncate(batches);
        self.unsynced = None;
        self.torn = None;
    }

    /// How many batches are durable.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.durable.len()
    }

    /// What is read back after a start. `is_whole` tells a torn tail; it is cut off.
    pub fn read(&mut self, is_whole: impl Fn(&[u8]) -> bool) -> Vec<Arc<[u8]>> {
        if let Some(torn) = self.torn.take() {
            assert!(!is_whole(&torn), "a torn batch was taken for a whole one");
        }
        self.durable.clone()
    }
}
