//! The log on disk: segment files that hold every batch and the signature of its checkpoint.
//!
//! ```text
//!   append(batch) --write, fdatasync--> durable --> signed --> seal(height, signature) --> ...
//!
//!   DIR/log/00000000000000000001.seg    | header | batch 1 | seal 1 | batch 2 | seal 2 | ...
//!   DIR/log/00000000000000004711.seg    | header | batch 4711 | seal 4711 | batch 4712 |
//!   DIR/log/lock                        DIR/snapshots/00000000000000004000.snap
//! ```
//!
//! Invariants:
//! * A batch whose [`LogStore::append`] returned is never lost by this module: a start cuts off
//!   only what cannot have been durable (see `format` and `scan`), and refuses anything else.
//! * Only the last batch may be without a seal.
//! * The log never continues after a failed write or sync. What a failed `fdatasync` left in
//!   memory proves nothing about the disk, so the next start writes the end of the log again
//!   before it relies on it.
//! * All but the last segment is durable, seals included, before the last one exists.
//!
//! Segments are not preallocated. It would save the journal's entry for the new length at each
//! sync, about a tenth of a millisecond here; the price would be a tail of zeros or old bytes in
//! every healthy log, and a full disk that shows at a roll and not at the batch that met it.

pub mod disk;
mod format;
mod scan;

pub(crate) mod files;

mod open;
mod reader;
mod snapshots;
pub mod verify;
pub mod walk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand;
use quadrille_protocol::codec;
use quadrille_protocol::crypto::suite::Signature;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::{Batch, Checkpoint, StoredBatch};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Hash, Height};

use disk::{Disk, DiskFile, RealDisk, write_all};
use files::DirLock;
use format::{
    BATCH_BYTES, FRAME_HEADER_LEN, FrameHeader, Kind, LogId, SEGMENT_HEADER_BYTES, Salt,
    SegmentHeader, log_id,
};
use reader::{Entry, Segment, Shared};

pub use reader::LogReader;
pub use snapshots::{Snapshot, Snapshots};

/// A segment that is this long gets no further batch.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// The writer's buffer is given back to the system when a batch made it larger than this.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

// Where a frame begins is kept in 32 bits.
const _: () = assert!(SEGMENT_BYTES < u32::MAX as u64 / 2);

/// A batch as it is on disk.
#[derive(Debug, Clone)]
pub struct SealedBatch {
    /// The batch.
    pub stored: Arc<StoredBatch>,
    /// The signature of its checkpoint; missing only in the last batch after a hard stop.
    pub signature: Option<Signature>,
}

/// What opening found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opening {
    /// Height and checkpoint hash of the last whole batch.
    pub head: Option<(Height, Hash)>,
    /// Bytes of a torn tail that were cut off.
    pub torn_bytes: u64,
    /// Whether the last batch has no signature yet.
    pub unsealed: bool,
}

/// How a log is kept. The default is right for everything but tests.
#[derive(Debug, Clone)]
pub struct Options {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// [`SEGMENT_BYTES`], or less.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { disk: Arc::new(RealDisk), segment_bytes: SEGMENT_BYTES }
    }
}

/// What was done since the log was opened, for metrics.
#[derive(Debug, Default)]
pub struct LogCounters {
    /// Batches appended.
    pub batches: AtomicU64,
    /// Bytes written to segments.
    pub bytes: AtomicU64,
    /// `fdatasync` calls on segments.
    pub syncs: AtomicU64,
}

/// The writer: one per data directory, which it keeps locked.
#[derive(Debug)]
pub struct LogStore {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    snapshots: Snapshots,
    segment_bytes: u64,
    log: Option<LogId>,
    active: Option<Active>,
    last: Option<Last>,
    shared: Arc<Shared>,
    counters: Arc<LogCounters>,
    failed: Option<Refusal>,
    buffer: Vec<u8>,
    _lock: DirLock,
}

/// The segment that is written to.
#[derive(Debug)]
struct Active {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    first: Height,
    salt: Salt,
    /// Where the next frame goes.
    end: u64,
    /// How much of it is durable.
    synced: u64,
}

/// The last batch.
#[derive(Debug, Clone, Copy)]
struct Last {
    height: Height,
    hash: Hash,
    sealed: bool,
}

impl LogStore {
    /// Opens or creates the log in the data directory `dir`, locked for this process.
    ///
    /// A torn tail is cut off, durably. Whatever else is wrong is refused with nothing changed.
    ///
    /// # Errors
    /// `Q-1901` another process has it; `Q-1902` damaged; `Q-1903`, `Q-1905` the disk fails;
    /// `Q-1907`, `Q-1908` not this log, not this format.
    pub fn open(dir: &Path) -> Result<(Self, Opening), Refusal> {
        Self::open_with(dir, Options::default())
    }

    /// A reader.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        LogReader { shared: Arc::clone(&self.shared) }
    }

    /// What was done since the log was opened.
    #[must_use]
    pub fn counters(&self) -> Arc<LogCounters> {
        Arc::clone(&self.counters)
    }

    /// Height and checkpoint hash of the last batch.
    #[must_use]
    pub fn head(&self) -> Option<(Height, Hash)> {
        self.last.map(|last| (last.height, last.hash))
    }

    /// Whether the last batch has no seal.
    #[must_use]
    pub fn is_unsealed(&self) -> bool {
        self.last.is_some_and(|last| !last.sealed)
    }

    /// Appends the batch and makes it durable (one `fdatasync`).
    ///
    /// # Errors
    /// Any error is fatal: stop the node. `Q-1906` the last batch has no seal or the height does
    /// not rise; `Q-1907` another log's batch; `Q-1001` larger than a frame may be; `Q-1903`,
    /// `Q-1904` the disk fails or is full, after which every call is refused.
    pub fn append(&mut self, batch: &Batch) -> Result<(), Refusal> {
        self.check_usable()?;
        let checkpoint = batch.checkpoint();
        let log = self.check_continues(checkpoint)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let payload = framed(&mut buffer, |bytes| codec::encode_into(batch.stored(), bytes));
        let written = if payload > BATCH_BYTES {
            let what = format!("a batch of {payload} bytes, at most {BATCH_BYTES}");
            Err(Refusal::new(Code::TooLarge, what))
        } else {
            self.append_frame(checkpoint, log, &mut buffer)
        };
        if buffer.capacity() <= BUFFER_BYTES {
            self.buffer = buffer;
        }
        written
    }

    /// Writes the signature of the last batch's checkpoint; durable with the next append or
    /// [`LogStore::sync`], since it can be made again.
    ///
    /// # Errors
    /// Any error is fatal. `Q-1906` it is not the last batch's, or that has its seal;
    /// `Q-1903`, `Q-1904` as for [`LogStore::append`].
    pub fn seal(&mut self, height: Height, signature: &Signature) -> Result<(), Refusal> {
        self.check_usable()?;
        let Some(last) = self.last.filter(|last| last.height == height && !last.sealed) else {
            refuse!(LogOrder, "a seal for {height}; the last batch is {:?}", self.last);
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        framed(&mut buffer, |bytes| codec::encode_into(signature, bytes));
        let written = self.write_frame(Kind::Seal, height, &mut buffer);
        self.buffer = buffer;
        written?;
        self.last = Some(Last { sealed: true, ..last });
        self.shared.write().sealed = height;
        Ok(())
    }

    /// Makes everything written durable.
    ///
    /// # Errors
    /// Any error is fatal.
    pub fn sync(&mut self) -> Result<(), Refusal> {
        self.check_usable()?;
        self.sync_active()
    }

    /// Takes the last batch off, durably: its checkpoint was never signed, so it was never said.
    ///
    /// # Errors
    /// Any error is fatal. `Q-1906` when there is none or it is sealed.
    pub fn drop_unsealed(&mut self) -> Result<(), Refusal> {
        self.check_usable()?;
        let Some(last) = self.last.filter(|last| !last.sealed) else {
            refuse!(LogOrder, "no batch to take off: the last is {:?}", self.last);
        };
        let entry = self.shared.write().segments.last_mut().and_then(|at| at.entries.pop());
        let Some(entry) = entry else {
            refuse!(LogOrder, "no batch to take off: {} is not in the index", last.height);
        };
        let cut = if entry.offset() == SEGMENT_HEADER_BYTES {
            self.remove_active()
        } else {
            self.cut_active(entry.offset())
        };
        match cut.and_then(|()| self.last_of_index()) {
            Ok(before) => {
                self.last = before;
                Ok(())
            }
            Err(refusal) => {
                self.failed.get_or_insert_with(|| refusal.clone());
                Err(refusal)
            }
        }
    }

    /// The newest snapshot that fits the log.
    ///
    /// # Errors
    /// When it cannot be read; a damaged one is reported and passed over.
    pub fn latest_snapshot(&self) -> Result<Option<Snapshot>, Refusal> {
        self.snapshots.latest()
    }

    /// Saves a snapshot durably and removes older ones.
    ///
    /// # Errors
    /// `Q-1909` when the disk fails; the log is not concerned.
    pub fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Refusal> {
        self.snapshots.save(snapshot)
    }

    /// The snapshots, to be saved and read elsewhere than on the writer's thread.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots {
        self.snapshots.clone()
    }

    fn check_usable(&self) -> Result<(), Refusal> {
        match &self.failed {
            None => Ok(()),
            Some(first) => refuse!(LogFailed, "not after what happened before: {first}"),
        }
    }

    fn check_continues(&self, checkpoint: &Checkpoint) -> Result<LogId, Refusal> {
        let log = log_id(&checkpoint.network, &checkpoint.domain);
        if self.log.is_some_and(|known| known != log) {
            let (network, domain) = (&checkpoint.network, &checkpoint.domain);
            refuse!(
                WrongLog,
                "{} has another log than {domain}'s in {network}",
                self.dir.display()
            );
        }
        let height = checkpoint.height;
        let follows = self.last.is_none_or(|last| last.sealed && last.height < height);
        if !follows || height == Height(0) {
            refuse!(LogOrder, "batch {height}; the last is {:?}", self.last);
        }
        Ok(log)
    }

    fn append_frame(
        &mut self,
        checkpoint: &Checkpoint,
        log: LogId,
        buffer: &mut [u8],
    ) -> Result<(), Refusal> {
        let height = checkpoint.height;
        let entry = match self.entry_in_active(height) {
            Some(entry) => entry,
            None => self.roll(height, log)?,
        };
        self.write_frame(Kind::Batch, height, buffer)?;
        self.sync_active()?;
        if let Some(segment) = self.shared.write().segments.last_mut() {
            segment.entries.push(entry);
        }
        self.last = Some(Last { height, hash: checkpoint.hash(), sealed: false });
        self.counters.batches.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Where the batch goes in the active segment; `None` when it needs a new one.
    fn entry_in_active(&self, height: Height) -> Option<Entry> {
        let active = self.active.as_ref().filter(|active| active.end < self.segment_bytes)?;
        Entry::new(active.first, height, active.end)
    }

    /// Ends the active segment and begins one with the batch at `first`.
    fn roll(&mut self, first: Height, log: LogId) -> Result<Entry, Refusal> {
        self.sync_active()?;
        let before = self.last.map_or(Height(0), |last| last.height);
        let mut salt = Salt::default();
        rand::fill(&mut salt).map_err(|_| Refusal::new(Code::NoRandomness, "a segment's salt"))?;
        let header = SegmentHeader { first, before, log, salt };
        let path = self.dir.join(scan::name_of(first, "seg"));
        let created = self.create_segment(&path, &header);
        let file = created.map_err(|error| self.fail(&path, &error))?;
        let end = SEGMENT_HEADER_BYTES;
        self.shared.write().segments.push(Segment {
            first,
            path: Arc::from(path.as_path()),
            salt,
            entries: Vec::new(),
        });
        self.log = Some(log);
        self.active = Some(Active { file, path, first, salt, end, synced: end });
        let what = || Refusal::new(Code::LogOrder, format!("no place for {first}"));
        Entry::new(first, first, end).ok_or_else(what)
    }

    /// A segment's header and name are durable before there is a frame in it.
    fn create_segment(&self, path: &Path, header: &SegmentHeader) -> io::Result<Box<dyn DiskFile>> {
        let mut file = self.disk.create(path)?;
        write_all(file.as_mut(), 0, &header.to_bytes())?;
        file.sync_data()?;
        self.disk.sync_dir(&self.dir)?;
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes.fetch_add(SEGMENT_HEADER_BYTES, Ordering::Relaxed);
        Ok(file)
    }

    /// Writes the frame whose payload is in `buffer`, behind the room for its header.
    fn write_frame(
        &mut self,
        kind: Kind,
        height: Height,
        buffer: &mut [u8],
    ) -> Result<(), Refusal> {
        let Some(active) = &mut self.active else {
            refuse!(LogOrder, "{kind:?} {height} without a segment");
        };
        if let Some((room, payload)) = buffer.split_first_chunk_mut::<FRAME_HEADER_LEN>() {
            // At most `BATCH_BYTES`.
            let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            let crc = crc32fast::hash(payload);
            let header = FrameHeader { kind, height, length, crc, synced: active.synced };
            *room = header.to_bytes(&active.salt, active.end);
        }
        match write_all(active.file.as_mut(), active.end, buffer) {
            Ok(()) => {
                active.end += buffer.len() as u64;
                self.counters.bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                let path = active.path.clone();
                Err(self.fail(&path, &error))
            }
        }
    }

    fn sync_active(&mut self) -> Result<(), Refusal> {
        let Some(active) = self.active.as_mut().filter(|active| active.synced < active.end) else {
            return Ok(());
        };
        match active.file.sync_data() {
            Ok(()) => {
                active.synced = active.end;
                self.counters.syncs.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                let path = active.path.clone();
                Err(self.fail(&path, &error))
            }
        }
    }

    /// Cuts the active segment off at `offset`, durably.
    fn cut_active(&mut self, offset: u64) -> Result<(), Refusal> {
        let Some(active) = &mut self.active else { return Ok(()) };
        let cut = active.file.truncate(offset);
        let path = active.path.clone();
        cut.map_err(|error| self.fail(&path, &error))?;
        if let Some(active) = &mut self.active {
            (active.end, active.synced) = (offset, offset);
        }
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Removes the active segment, durably, and goes on in the one before.
    fn remove_active(&mut self) -> Result<(), Refusal> {
        let Some(active) = self.active.take() else { return Ok(()) };
        let removed = self.disk.remove(&active.path).and_then(|()| self.disk.sync_dir(&self.dir));
        removed.map_err(|error| self.fail(&active.path, &error))?;
        let before = {
            let mut index = self.shared.write();
            index.segments.pop();
            index
                .segments
                .last()
                .map(|segment| (segment.first, Arc::clone(&segment.path), segment.salt))
        };
        let Some((first, path, salt)) = before else {
            self.log = None;
            return Ok(());
        };
        let opened = self.disk.open(&path).and_then(|file| Ok((file, path.metadata()?.len())));
        let (file, end) = opened.map_err(|error| self.fail(&path, &error))?;
        self.active =
            Some(Active { file, path: path.to_path_buf(), first, salt, end, synced: end });
        Ok(())
    }

    /// The last batch as the index has it, once the one above it is gone.
    fn last_of_index(&self) -> Result<Option<Last>, Refusal> {
        let reader = self.reader();
        let Some(height) = reader.last() else { return Ok(None) };
        let batch = reader.batch(height)?;
        Ok(batch.map(|batch| Last {
            height,
            hash: batch.stored.checkpoint.hash(),
            sealed: batch.signature.is_some(),
        }))
    }

    /// From here on every call is refused.
    fn fail(&mut self, path: &Path, error: &io::Error) -> Refusal {
        let refusal = open::write_failed(path, error);
        self.failed = Some(refusal.clone());
        refusal
    }
}

/// Puts room for a frame's header into the buffer and a payload behind it; says its length.
fn framed(buffer: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    buffer.clear();
    buffer.resize(FRAME_HEADER_LEN, 0);
    write(buffer);
    buffer.len() - FRAME_HEADER_LEN
}
