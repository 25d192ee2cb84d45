//! `quadrille log verify`: reads a whole log and checks everything that it claims of itself.
//!
//! Checked: every checksum, the order of heights, the chain of checkpoints, the Merkle root and
//! count of every batch, and the signature of every checkpoint by the domain's keys as the log
//! itself brings them (certificates and rotations). Who issued the first certificate is not asked:
//! that is a question to the network, not to the log.
//!
//! Nothing is locked or changed: it is for a stopped node or a copy. On the log of a running node
//! the end may look torn.

use std::path::{Path, PathBuf};

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{HybridSignatures, Signature, Signatures};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::Directory;
use quadrille_protocol::limits;
use quadrille_protocol::log::{Batch, Checkpoint, Record, Statement, StoredBatch};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Domain, Hash, Height};

use super::format::{
    BATCH_BYTES, FRAME_HEADER_BYTES, FrameHeader, Kind, SEGMENT_HEADER_BYTES, SegmentHeader, log_id,
};
use super::open::Survey;
use super::scan::Depth;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Segment files read to their end.
    pub segments: u64,
    /// Batches that are as they should be.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Checkpoints with a good signature.
    pub signatures: u64,
    /// Bytes of good frames and headers.
    pub bytes: u64,
    /// The last good batch.
    pub head: Option<Head>,
    /// Whether the last batch has no signature; the next start signs it.
    pub unsealed: bool,
    /// An end that a power cut broke; the next start cuts it off, and nothing is lost.
    pub torn: Option<Place>,
    /// The first place that is bad. What comes after it was not looked at.
    pub bad: Option<Place>,
}

/// A batch by its checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Head {
    /// Its height.
    pub height: Height,
    /// The hash of its checkpoint.
    pub hash: Hash,
}

/// A place in a file and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// The segment.
    pub file: PathBuf,
    /// The byte at which the frame begins.
    pub offset: u64,
    /// What is wrong, with its code.
    pub what: String,
}

impl Report {
    /// Whether nothing is bad. A torn end is not: nothing that was acknowledged is in it.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.bad.is_none()
    }
}

/// Verifies the log of the data directory `dir`.
///
/// # Errors
/// `Q-1905` when it cannot be read. What is wrong with the log itself is in the report.
pub fn verify(dir: &Path) -> Result<Report, Refusal> {
    let mut audit = Audit::default();
    let mut visit = |segment: &SegmentHeader, frame: &FrameHeader, offset: u64, payload: &[u8]| {
        audit.frame(segment, frame, offset, payload)
    };
    let survey = Survey::of(&dir.join("log"), Depth::Payloads, &mut visit);
    let mut report = audit.report;
    match survey {
        Ok(survey) => {
            let last = survey.segments.last().filter(|last| last.torn.is_some());
            let torn = last.map(|last| (last.path.clone(), last.end, last.torn.clone()));
            let unborn = survey.unborn.map(|(path, _)| (path, 0, None));
            report.torn = torn.or(unborn).map(|(file, offset, what)| Place {
                file,
                offset,
                what: what.unwrap_or_else(|| "a segment without a batch".to_owned()),
            });
        }
        Err(trouble) if trouble.refusal.code == Code::LogUnreadable => return Err(trouble.refusal),
        Err(trouble) => {
            let what = trouble.refusal.to_string();
            report.bad = Some(Place { file: trouble.path, offset: trouble.offset, what });
        }
    }
    Ok(report)
}

/// What is known of the log so far.
#[derive(Debug, Default)]
struct Audit {
    report: Report,
    /// The domain's own keys.
    directory: Directory,
    last: Option<Checkpoint>,
}

impl Audit {
    fn frame(
        &mut self,
        segment: &SegmentHeader,
        frame: &FrameHeader,
        offset: u64,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        match frame.kind {
            Kind::Batch => self.batch(segment, frame, payload)?,
            Kind::Seal => self.seal(payload)?,
        }
        self.report.bytes += FRAME_HEADER_BYTES + u64::from(frame.length);
        if offset == SEGMENT_HEADER_BYTES {
            self.report.segments += 1;
            self.report.bytes += SEGMENT_HEADER_BYTES;
        }
        Ok(())
    }

    fn batch(
        &mut self,
        segment: &SegmentHeader,
        frame: &FrameHeader,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let stored = codec::decode::<StoredBatch, BATCH_BYTES>(payload)?;
        let checkpoint = stored.checkpoint.clone();
        if log_id(&checkpoint.network, &checkpoint.domain) != segment.log {
            refuse!(WrongLog, "a batch of {}", checkpoint.domain);
        }
        if checkpoint.height != frame.height {
            refuse!(LogDamaged, "batch {} in a frame of {}", checkpoint.height, frame.height);
        }
        // Checks the Merkle root and the count.
        let stored = Batch::open(stored)?.stored().clone();
        let read = |bytes: &_| Record::read(bytes);
        let records: Vec<Record> =
            stored.records.iter().map(|bytes| read(bytes)).collect::<Result<_, _>>()?;
        self.check_chain(&checkpoint, &records)?;
        for record in &records {
            learn_key(&mut self.directory, &checkpoint.domain, record)?;
        }
        self.report.batches += 1;
        self.report.records += records.len() as u64;
        self.report.head = Some(Head { height: checkpoint.height, hash: checkpoint.hash() });
        self.report.unsealed = true;
        self.last = Some(checkpoint);
        Ok(())
    }

    /// The checkpoint follows the one before, or the lost one that its batch names.
    fn check_chain(&self, checkpoint: &Checkpoint, records: &[Record]) -> Result<(), Refusal> {
        let height = checkpoint.height;
        let mut follows = match &self.last {
            Some(last) => (last.height, last.hash()),
            None => match records.first() {
                Some(Record::Founded(founding))
                    if founding.domain == checkpoint.domain
                        && founding.network == checkpoint.network =>
                {
                    (Height(0), Hash::ZERO)
                }
                Some(_) | None => {
                    refuse!(LogDamaged, "the log does not begin with its founding")
                }
            },
        };
        for record in records {
            if let Record::Recovering { lost_height, lost_hash } = record {
                follows = (*lost_height, *lost_hash);
            }
        }
        if (height, checkpoint.previous) != (follows.0.next(), follows.1) {
            let previous = checkpoint.previous;
            refuse!(LogDamaged, "{height} after {previous}, not after {} {}", follows.0, follows.1);
        }
        Ok(())
    }

    fn seal(&mut self, payload: &[u8]) -> Result<(), Refusal> {
        let signature = codec::decode::<Signature, { limits::SIGNATURE_BYTES }>(payload)?;
        // The order of frames is checked: a seal follows its batch.
        if let Some(checkpoint) = &self.last {
            let Checkpoint { domain, epoch, height, .. } = checkpoint;
            let key = self.directory.key(domain, *epoch, *height)?;
            let message = checkpoint.to_sign();
            HybridSignatures.verify(key, Tag::Checkpoint, &message, &signature)?;
            self.report.signatures += 1;
            self.report.unsealed = false;
        }
        Ok(())
    }
}

/// Takes up what a record of a domain's log says of the domain's own keys. Revocations are left
/// out: what was signed before one is still what was signed.
///
/// # Errors
/// Those of [`Directory::replay_certificate`] and [`Directory::replay_rotation`].
pub fn learn_key(directory: &mut Directory, own: &Domain, record: &Record) -> Result<(), Refusal> {
    match record {
        Record::Admitted(signed) if signed.parse()?.domain == *own => {
            directory.replay_certificate(signed)?;
        }
        Record::Rotated(signed) if signed.parse()?.domain == *own => {
            directory.replay_rotation(signed)?;
        }
        Record::Recovered(evidence) => {
            // Of a rotation of our own only what we said of it comes back; the core passes over
            // one that it has already.
            if let Record::Statement(Statement::Rotated(signed)) = evidence.read()? {
                let _ = directory.replay_rotation(&signed);
            }
        }
        _ => {}
    }
    Ok(())
}
