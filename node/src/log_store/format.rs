//! The bytes of a segment file.
//!
//! ```text
//!   segment = header, frame, frame, ...
//!   header  = magic (8) | version u32 | 0 u32 | first height u64 | height before u64
//!             | log id (32) | salt (16) | crc32 over all of this
//!   frame   = marker (4) | kind u8 | 0 (3) | height u64 | length u32 | crc32 of the payload
//!             | synced u64 | crc32 over salt, offset and all of this | payload
//! ```
//!
//! Numbers are little-endian. Invariants:
//! * A frame's checksum covers the segment's random salt and its own place in the file. So
//!   neither stale bytes of another place nor bytes that a peer had us write down pass for a
//!   frame.
//! * `synced` is how much of the segment was durable when the frame was written. A frame whose
//!   `synced` is past a place proves that this place was durable once: if it is bad now, that is
//!   damage and not the end of a write that a power cut broke.

use quadrille_protocol::types::{Domain, Height, Network};
use sha2::{Digest, Sha256};

/// Version of the format.
pub(super) const VERSION: u32 = 1;
/// Length of a segment's header.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 84;
/// Length of a frame's header.
pub(super) const FRAME_HEADER_BYTES: u64 = 36;
/// The same, to index with.
pub(super) const FRAME_HEADER_LEN: usize = 36;
/// The largest batch that is written, and so the largest that is read.
pub(super) const BATCH_BYTES: usize = 1024 * 1024 * 1024;

const MAGIC: [u8; 8] = *b"quad-log";
/// What every frame begins with.
pub(super) const MARKER: [u8; 4] = *b"QLF1";
const CRC_BYTES: usize = 4;

// A payload's length is written in 32 bits.
const _: () = assert!(BATCH_BYTES <= u32::MAX as usize);
const _: () = assert!(FRAME_HEADER_LEN as u64 == FRAME_HEADER_BYTES);

/// Which log a segment is part of: a hash of network and domain.
pub(super) type LogId = [u8; 32];
/// A segment's random bytes.
pub(super) type Salt = [u8; 16];

/// The id of a domain's log.
pub(super) fn log_id(network: &Network, domain: &Domain) -> LogId {
    let mut state = Sha256::new();
    state.update(b"quadrille log of ");
    // Neither name can have a space in it.
    state.update(network.as_str());
    state.update(b" ");
    state.update(domain.as_str());
    state.finalize().into()
}

/// What is at the beginning of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// The height of its first batch, which is its name too.
    pub first: Height,
    /// The height of the last batch of the segment before; 0 when there is none.
    pub before: Height,
    /// The log it belongs to.
    pub log: LogId,
    /// Its random bytes.
    pub salt: Salt,
}

/// Why a segment's header is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// It is not whole.
    Damaged,
    /// It is whole and says another version.
    Version(u32),
}

impl SegmentHeader {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES as usize);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.first.0.to_le_bytes());
        bytes.extend_from_slice(&self.before.0.to_le_bytes());
        bytes.extend_from_slice(&self.log);
        bytes.extend_from_slice(&self.salt);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, BadHeader> {
        Self::fields(bytes).ok_or(BadHeader::Damaged).and_then(|(version, header)| match version {
            VERSION => Ok(header),
            other => Err(BadHeader::Version(other)),
        })
    }

    fn fields(bytes: &[u8]) -> Option<(u32, Self)> {
        let (covered, mut crc) = bytes.split_last_chunk::<CRC_BYTES>().map(|(a, b)| (a, &b[..]))?;
        if take_u32(&mut crc)? != crc32fast::hash(covered) {
            return None;
        }
        let mut rest = covered;
        if take::<8>(&mut rest)? != MAGIC {
            return None;
        }
        let version = take_u32(&mut rest)?;
        take::<4>(&mut rest)?;
        let header = Self {
            first: Height(take_u64(&mut rest)?),
            before: Height(take_u64(&mut rest)?),
            log: take(&mut rest)?,
            salt: take(&mut rest)?,
        };
        rest.is_empty().then_some((version, header))
    }
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A batch: the canonical bytes of a `StoredBatch`.
    Batch,
    /// The signature of the checkpoint of the batch right before it, in canonical bytes.
    Seal,
}

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Kind::Batch => 1,
            Kind::Seal => 2,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Kind::Batch),
            2 => Some(Kind::Seal),
            _ => None,
        }
    }
}

/// What is at the beginning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// What it holds.
    pub kind: Kind,
    /// The height of the batch that it holds or seals.
    pub height: Height,
    /// Length of the payload.
    pub length: u32,
    /// Checksum of the payload.
    pub crc: u32,
    /// How much of the segment was durable when it was written.
    pub synced: u64,
}

impl FrameHeader {
    pub(super) fn to_bytes(self, salt: &Salt, offset: u64) -> [u8; FRAME_HEADER_LEN] {
        let mut bytes = [0; FRAME_HEADER_LEN];
        let kind = [self.kind.number(), 0, 0, 0];
        let fields = MARKER
            .into_iter()
            .chain(kind)
            .chain(self.height.0.to_le_bytes())
            .chain(self.length.to_le_bytes())
            .chain(self.crc.to_le_bytes())
            .chain(self.synced.to_le_bytes());
        for (to, from) in bytes.iter_mut().zip(fields) {
            *to = from;
        }
        if let Some((covered, crc)) = bytes.split_last_chunk_mut::<CRC_BYTES>() {
            *crc = header_crc(salt, offset, covered).to_le_bytes();
        }
        bytes
    }

    /// The header that these bytes are at this place; `None` when they are none.
    pub(super) fn read(bytes: &[u8; FRAME_HEADER_LEN], salt: &Salt, offset: u64) -> Option<Self> {
        let mut rest = bytes.as_slice();
        if take::<4>(&mut rest)? != MARKER {
            return None;
        }
        let (covered, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
        if u32::from_le_bytes(*crc) != header_crc(salt, offset, covered) {
            return None;
        }
        let [kind, _, _, _] = take::<4>(&mut rest)?;
        Some(Self {
            kind: Kind::from_number(kind)?,
            height: Height(take_u64(&mut rest)?),
            length: take_u32(&mut rest)?,
            crc: take_u32(&mut rest)?,
            synced: take_u64(&mut rest)?,
        })
    }

    /// Where the frame at `offset` ends.
    pub(super) fn end(&self, offset: u64) -> u64 {
        offset.saturating_add(FRAME_HEADER_BYTES).saturating_add(u64::from(self.length))
    }
}

fn header_crc(salt: &Salt, offset: u64, covered: &[u8]) -> u32 {
    let mut state = crc32fast::Hasher::new();
    state.update(salt);
    state.update(&offset.to_le_bytes());
    state.update(covered);
    state.finalize()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (field, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*field)
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_le_bytes)
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_le_bytes)
}
