//! Reading the log while it is written: an index in memory, positioned reads, no lock held while
//! the disk works.
//!
//! Invariant: the index has only batches that are durable. What the writer is at just now, and
//! what it could not finish, is not in it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use quadrille_protocol::codec;
use quadrille_protocol::crypto::suite::Signature;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::log::StoredBatch;
use quadrille_protocol::types::Height;

use super::SealedBatch;
use super::files::at;
use super::format::{BATCH_BYTES, FrameHeader, Kind, Salt};
use super::scan::{Depth, Found, damaged, read_frame};

/// Where a batch is, in eight bytes: both relative to its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its height less the segment's first.
    delta: u32,
    /// Where its frame begins.
    offset: u32,
}

impl Entry {
    /// `None` when it is too far from the beginning of the segment for that.
    pub(super) fn new(first: Height, height: Height, offset: u64) -> Option<Self> {
        let delta = u32::try_from(height.0.checked_sub(first.0)?).ok()?;
        Some(Self { delta, offset: u32::try_from(offset).ok()? })
    }

    pub(super) fn height(self, first: Height) -> Height {
        Height(first.0.saturating_add(u64::from(self.delta)))
    }

    pub(super) fn offset(self) -> u64 {
        u64::from(self.offset)
    }
}

/// A segment in the index.
#[derive(Debug)]
pub(super) struct Segment {
    pub first: Height,
    pub path: Arc<Path>,
    pub salt: Salt,
    pub entries: Vec<Entry>,
}

/// All that is durable.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub segments: Vec<Segment>,
    /// The last batch whose seal is whole in the file.
    pub sealed: Height,
}

/// Where one batch is.
#[derive(Debug, Clone)]
struct Place {
    height: Height,
    offset: u64,
    path: Arc<Path>,
    salt: Salt,
    sealed: bool,
}

impl Index {
    /// The first batch at this height or above it.
    fn at_or_above(&self, height: Height) -> Option<Place> {
        let after = self.segments.partition_point(|segment| segment.first <= height);
        let here = after.checked_sub(1).and_then(|at| self.segments.get(at));
        let found = here.and_then(|segment| {
            let below = |entry: &Entry| entry.height(segment.first) < height;
            let entry = segment.entries.get(segment.entries.partition_point(below))?;
            Some((segment, *entry))
        });
        let (segment, entry) = found.or_else(|| {
            let segment = self.segments.get(after)?;
            Some((segment, *segment.entries.first()?))
        })?;
        let height = entry.height(segment.first);
        Some(Place {
            height,
            offset: entry.offset(),
            path: Arc::clone(&segment.path),
            salt: segment.salt,
            sealed: height <= self.sealed,
        })
    }
}

/// The index, shared by the writer and all readers.
#[derive(Debug, Default)]
pub(super) struct Shared(RwLock<Index>);

impl Shared {
    pub(super) fn new(index: Index) -> Self {
        Self(RwLock::new(index))
    }

    // Nothing panics while it holds the lock, and every change is one step.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the log while the writer appends. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogReader {
    pub(super) shared: Arc<Shared>,
}

impl LogReader {
    /// The batch at `height`, if the log has it. `None` for heights that a recovery skipped.
    ///
    /// # Errors
    /// `Q-1905` when the disk fails, `Q-1902` when what is there is not what was written.
    pub fn batch(&self, height: Height) -> Result<Option<SealedBatch>, Refusal> {
        let place = self.shared.read().at_or_above(height);
        let place = place.filter(|place| place.height == height);
        place.map(|place| read_place(&mut None, &place)).transpose()
    }

    /// All batches from `height` on that are in the log when it gets there, oldest first.
    ///
    /// Ends after the first error.
    pub fn from(
        &self,
        height: Height,
    ) -> impl Iterator<Item = Result<SealedBatch, Refusal>> + use<> {
        let shared = Arc::clone(&self.shared);
        let mut next = Some(height);
        let mut open = None;
        std::iter::from_fn(move || {
            let place = shared.read().at_or_above(next?)?;
            let batch = read_place(&mut open, &place);
            // `next` saturates: nothing is above the highest height.
            next = Some(place.height.next()).filter(|next| batch.is_ok() && *next > place.height);
            Some(batch)
        })
    }

    /// The heights of all batches from `height` on, oldest first, at most `most` of them.
    #[must_use]
    pub fn heights(&self, height: Height, most: usize) -> Vec<Height> {
        let index = self.shared.read();
        let mut heights = Vec::new();
        let mut next = height;
        while heights.len() < most {
            let Some(place) = index.at_or_above(next) else { break };
            heights.push(place.height);
            next = place.height.next();
            if next == place.height {
                break;
            }
        }
        heights
    }

    /// The height of the last batch.
    #[must_use]
    pub fn last(&self) -> Option<Height> {
        let index = self.shared.read();
        let segment = index.segments.last()?;
        segment.entries.last().map(|entry| entry.height(segment.first))
    }
}

/// An open file and where it is.
type Opened = Option<(Arc<Path>, File)>;

/// Reads one batch, through the file that is open if it is the right one.
fn read_place(opened: &mut Opened, place: &Place) -> Result<SealedBatch, Refusal> {
    let unreadable = |error: io::Error| Refusal::new(Code::LogUnreadable, at(&place.path, &error));
    let fits = opened.as_ref().is_some_and(|(path, _)| *path == place.path);
    if !fits {
        let file = File::open(&place.path).map_err(unreadable)?;
        *opened = Some((Arc::clone(&place.path), file));
    }
    let Some((_, file)) = opened else {
        return Err(damaged(&place.path, place.offset, "the segment is gone"));
    };
    let length = file.metadata().map_err(unreadable)?.len();
    let mut payload = Vec::new();
    let mut frame = |offset: u64, kind: Kind| -> Result<(FrameHeader, Vec<u8>), Refusal> {
        let depth = Depth::Payloads;
        let found = read_frame(file, &place.salt, offset, length, depth, &mut payload);
        match found.map_err(unreadable)? {
            Found::Frame(header) if header.kind == kind && header.height == place.height => {
                Ok((header, std::mem::take(&mut payload)))
            }
            Found::Frame(_) => Err(damaged(&place.path, offset, "another frame is there")),
            Found::Bad(what) => Err(damaged(&place.path, offset, &what)),
        }
    };
    let (header, bytes) = frame(place.offset, Kind::Batch)?;
    let stored = stored_batch(&bytes)?;
    if stored.checkpoint.height != place.height {
        return Err(damaged(&place.path, place.offset, "the batch has another height"));
    }
    let signature = if place.sealed {
        let (_, bytes) = frame(header.end(place.offset), Kind::Seal)?;
        Some(seal(&bytes)?)
    } else {
        None
    };
    Ok(SealedBatch { stored: Arc::new(stored), signature })
}

/// A batch from the bytes that a checksum covers.
pub(super) fn stored_batch(bytes: &[u8]) -> Result<StoredBatch, Refusal> {
    codec::decode_loose::<StoredBatch, BATCH_BYTES>(bytes)
}

/// A signature from the bytes that a checksum covers.
pub(super) fn seal(bytes: &[u8]) -> Result<Signature, Refusal> {
    codec::decode_loose::<Signature, { limits::SIGNATURE_BYTES }>(bytes)
}
