//! A log from end to end, frame by frame, for whoever checks it in a way of their own.
//!
//! Nothing is locked, copied or changed, so the log may be that of a running node: what is written
//! at this moment looks like a torn end then, which is none of the log yet.
//!
//! Invariant: a frame that is shown has good checksums and its place in the order of the log. What
//! it says is for the caller to check.

use std::path::Path;

use quadrille_protocol::codec;
use quadrille_protocol::crypto::suite::Signature;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::log::StoredBatch;
use quadrille_protocol::types::{Domain, Height, Network};

use super::format::{BATCH_BYTES, FrameHeader, Kind, LogId, SegmentHeader, log_id};
use super::open::Survey;
use super::scan::Depth;
use super::verify::Place;

/// One frame.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Whether it is the seal of the batch right before, not a batch.
    pub is_seal: bool,
    /// The height of the batch.
    pub height: Height,
    /// See [`stored_batch`] and [`signature`].
    pub bytes: &'a [u8],
    log: LogId,
}

impl Seen<'_> {
    /// Whether its segment says that it is part of this domain's log.
    #[must_use]
    pub fn is_of(&self, network: &Network, domain: &Domain) -> bool {
        self.log == log_id(network, domain)
    }
}

/// Where a walk has ended.
#[derive(Debug, Clone, Default)]
pub struct Walked {
    /// Bytes of good segments.
    pub bytes: u64,
    /// The first place that is bad, or at which the visitor objected. What comes after it was not
    /// looked at.
    pub bad: Option<Place>,
}

/// Shows every frame of the log of the data directory `dir`, oldest first.
///
/// # Errors
/// `Q-1905` when it cannot be read. What is wrong with the log itself is in the answer.
pub fn walk(
    dir: &Path,
    visit: &mut dyn FnMut(Seen<'_>) -> Result<(), Refusal>,
) -> Result<Walked, Refusal> {
    let mut frame = |segment: &SegmentHeader, frame: &FrameHeader, _: u64, bytes: &[u8]| {
        let is_seal = frame.kind == Kind::Seal;
        visit(Seen { is_seal, height: frame.height, bytes, log: segment.log })
    };
    match Survey::of(&dir.join("log"), Depth::Payloads, &mut frame) {
        Ok(survey) => {
            let bytes = survey.segments.iter().map(|segment| segment.end).sum();
            Ok(Walked { bytes, bad: None })
        }
        Err(trouble) if trouble.refusal.code == Code::LogUnreadable => Err(trouble.refusal),
        Err(trouble) => {
            let what = trouble.refusal.to_string();
            let bad = Place { file: trouble.path, offset: trouble.offset, what };
            Ok(Walked { bytes: 0, bad: Some(bad) })
        }
    }
}

/// The batch in a frame.
///
/// # Errors
/// `Q-1001` to `Q-1004`.
pub fn stored_batch(bytes: &[u8]) -> Result<StoredBatch, Refusal> {
    codec::decode::<StoredBatch, BATCH_BYTES>(bytes)
}

/// The signature in a seal.
///
/// # Errors
/// `Q-1001` to `Q-1004`.
pub fn signature(bytes: &[u8]) -> Result<Signature, Refusal> {
    codec::decode::<Signature, { limits::SIGNATURE_BYTES }>(bytes)
}
