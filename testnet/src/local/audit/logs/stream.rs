//! One log, read in chunks that all cores work on.
//!
//! Invariant: batches are folded into the sheet in their order; only what depends on one batch
//! alone is done beside each other.

use std::collections::HashMap;
use std::num::NonZeroU64;

use quadrille_node::log_store::verify::learn_key;
use quadrille_node::log_store::walk::{self, Seen};
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{HybridSignatures, PublicKey, Signature, Signatures as _};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::identity::Directory;
use quadrille_protocol::log::{Batch, Checkpoint, Evidence, Record, RecordBytes, Statement};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Domain, Hash, Height, Network};
use sha2::{Digest as _, Sha256};

use super::Source;
use super::sheet::{Page, Sheet};

/// Bytes of batches that are worked on at a time.
const CHUNK_BYTES: usize = 8 * 1024 * 1024;

/// A batch as it is on disk.
struct Raw {
    height: Height,
    bytes: Vec<u8>,
    seal: Option<Vec<u8>>,
}

/// A batch whose records belong to its checkpoint.
pub(super) struct Opened {
    pub checkpoint: Checkpoint,
    pub signature: Option<Signature>,
    pub records: Vec<Record>,
    /// The pages in it that peers are sent.
    pub sent: Vec<(Domain, Page)>,
    /// The pages of peers that are recorded in it.
    pub received: Vec<(Domain, Page)>,
    /// Checkpoints of others that come with evidence.
    pub shown: Vec<(Domain, Height, Hash)>,
}

/// A signature that is to be checked.
struct Job {
    height: Height,
    key: std::sync::Arc<PublicKey>,
    message: Vec<u8>,
    signature: Signature,
}

struct Reader<'a> {
    network: &'a Network,
    sample: NonZeroU64,
    threads: usize,
    pending: Vec<Raw>,
    pending_bytes: usize,
    directory: Directory,
    /// Keys as they were looked up, so that thousands of checkpoints share one copy.
    keys: HashMap<u32, std::sync::Arc<PublicKey>>,
    sheet: Sheet,
}

/// Reads one log.
pub(super) fn read(
    source: &Source,
    network: &Network,
    banks: &[Domain],
    sample: NonZeroU64,
    threads: usize,
) -> Result<Sheet, Refusal> {
    let mut reader = Reader {
        network,
        sample,
        threads,
        pending: Vec::new(),
        pending_bytes: 0,
        directory: Directory::default(),
        keys: HashMap::new(),
        sheet: Sheet::new(source.domain.clone(), banks),
    };
    let walked = walk::walk(&source.dir, &mut |seen| reader.take(seen))?;
    let bad = walked
        .bad
        .map(|bad| format!("{} at byte {}: {}", bad.file.display(), bad.offset, bad.what));
    let last = if bad.is_none() { reader.flush(true).err() } else { None };
    let mut sheet = reader.sheet;
    sheet.counts.bytes = walked.bytes;
    if let Some(what) = bad.or_else(|| last.map(|refusal| refusal.to_string())) {
        sheet.bad_log(what);
    } else if sheet.counts.batches == 0 {
        sheet.bad_log("there is nothing in it".to_owned());
    }
    sheet.finish();
    Ok(sheet)
}

impl Reader<'_> {
    fn take(&mut self, seen: Seen<'_>) -> Result<(), Refusal> {
        if seen.is_seal {
            // The order of frames was checked: a seal follows its batch.
            if let Some(raw) = self.pending.last_mut() {
                raw.seal = Some(seen.bytes.to_vec());
            }
            return Ok(());
        }
        if !seen.is_of(self.network, &self.sheet.domain) {
            refuse!(WrongLog, "a segment of another log than {}'s", self.sheet.domain);
        }
        if self.pending_bytes >= CHUNK_BYTES {
            self.flush(false)?;
        }
        self.pending_bytes = self.pending_bytes.saturating_add(seen.bytes.len());
        self.pending.push(Raw { height: seen.height, bytes: seen.bytes.to_vec(), seal: None });
        Ok(())
    }

    /// Works off what is pending.
    fn flush(&mut self, at_end: bool) -> Result<(), Refusal> {
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        let opened = parallel(&pending, self.threads, open);
        drop(pending);
        let mut jobs = Vec::new();
        let count = opened.len();
        for (place, opened) in opened.into_iter().enumerate() {
            let opened = opened?;
            if self.sheet.counts.batches == 0 {
                check_founding(&opened)?;
            }
            for record in &opened.records {
                learn_key(&mut self.directory, &opened.checkpoint.domain, record)?;
            }
            let last = at_end && place.saturating_add(2) >= count;
            let chosen = self.sheet.counts.batches.is_multiple_of(self.sample.get());
            if let Some(signature) = opened.signature.clone().filter(|_| chosen || last) {
                jobs.push(self.job(&opened.checkpoint, signature)?);
            }
            self.sheet.take(opened);
        }
        for checked in parallel(&jobs, self.threads, check_signature) {
            checked?;
        }
        let checked = u64::try_from(jobs.len()).unwrap_or(u64::MAX);
        self.sheet.counts.signatures = self.sheet.counts.signatures.saturating_add(checked);
        Ok(())
    }

    fn job(&mut self, checkpoint: &Checkpoint, signature: Signature) -> Result<Job, Refusal> {
        let Checkpoint { domain, epoch, height, .. } = checkpoint;
        let key = self.directory.key(domain, *epoch, *height)?;
        let shared = self.keys.entry(epoch.0);
        let key = shared.or_insert_with(|| std::sync::Arc::new(key.clone()));
        let (key, message) = (std::sync::Arc::clone(key), checkpoint.to_sign());
        Ok(Job { height: *height, key, message, signature })
    }
}

fn check_founding(first: &Opened) -> Result<(), Refusal> {
    let checkpoint = &first.checkpoint;
    match first.records.first() {
        Some(Record::Founded(founding))
            if founding.domain == checkpoint.domain && founding.network == checkpoint.network =>
        {
            Ok(())
        }
        Some(_) | None => refuse!(LogDamaged, "the log does not begin with its founding"),
    }
}

fn check_signature(job: &Job) -> Result<(), Refusal> {
    HybridSignatures
        .verify(&job.key, Tag::Checkpoint, &job.message, &job.signature)
        .map_err(|refusal| at_height(job.height, &refusal))
}

fn at_height(height: Height, refusal: &Refusal) -> Refusal {
    Refusal::new(refusal.code, format!("height {height}: {}", refusal.what))
}

fn open(raw: &Raw) -> Result<Opened, Refusal> {
    let opened = || {
        let batch = Batch::open(walk::stored_batch(&raw.bytes)?)?;
        let signature = raw.seal.as_deref().map(walk::signature).transpose()?;
        if batch.checkpoint().height != raw.height {
            refuse!(LogDamaged, "the batch has height {}", batch.checkpoint().height);
        }
        Opened::of(&batch, signature)
    };
    opened().map_err(|refusal: Refusal| at_height(raw.height, &refusal))
}

impl Opened {
    /// Everything of a batch that can be said without the others.
    pub(super) fn of(batch: &Batch, signature: Option<Signature>) -> Result<Self, Refusal> {
        let checkpoint = batch.checkpoint().clone();
        let bytes = &batch.stored().records;
        let records: Vec<Record> =
            bytes.iter().map(|bytes| Record::read(bytes)).collect::<Result<_, _>>()?;
        let hash = checkpoint.hash();
        let mut opened = Self {
            signature,
            sent: sent(batch, hash)?,
            received: Vec::new(),
            shown: Vec::new(),
            records: Vec::new(),
            checkpoint,
        };
        for record in &records {
            opened.note(record);
        }
        opened.records = records;
        Ok(opened)
    }

    fn note(&mut self, record: &Record) {
        match record {
            Record::Statement(statement) => self.show(statement.evidence()),
            Record::Recovered(evidence) | Record::Shown(evidence) => {
                self.show(std::slice::from_ref(evidence.as_ref()));
            }
            Record::Received(frame) => {
                let sealed = &frame.checkpoint().checkpoint;
                let page = frame.page();
                let page = Page {
                    first: page.first.0,
                    last: page.last().0,
                    height: sealed.height.0,
                    digest: digest(sealed.hash(), frame.frame().records.iter()),
                };
                self.received.push((sealed.domain.clone(), page));
                let said = frame.items().iter().filter_map(|item| item.statement.as_ref());
                for evidence in said.map(Statement::evidence) {
                    self.show(evidence);
                }
            }
            // Nothing of what others have signed is in the rest.
            _ => {}
        }
    }

    fn show(&mut self, evidence: &[Evidence]) {
        for evidence in evidence {
            let checkpoint = &evidence.checkpoint.checkpoint;
            let shown = (checkpoint.domain.clone(), checkpoint.height, checkpoint.hash());
            self.shown.push(shown);
        }
    }
}

/// The pages of a batch, as those who receive them see them.
fn sent(batch: &Batch, hash: Hash) -> Result<Vec<(Domain, Page)>, Refusal> {
    let records = &batch.stored().records;
    let at = |place: u32| usize::try_from(place).ok().and_then(|place| records.get(place));
    let mut sent = Vec::with_capacity(batch.pages().len());
    for (index, page) in batch.pages() {
        let places = page.items.iter().copied().chain([*index]);
        let Some(said) = places.map(at).collect::<Option<Vec<&RecordBytes>>>() else {
            refuse!(BadProof, "a page names records that are not in its batch");
        };
        let height = batch.checkpoint().height.0;
        let digest = digest(hash, said.into_iter());
        let (first, last) = (page.first.0, page.last().0);
        sent.push((page.to.clone(), Page { first, last, height, digest }));
    }
    Ok(sent)
}

/// Of a page, its statements and the checkpoint that seals it.
fn digest<'a>(checkpoint: Hash, records: impl Iterator<Item = &'a RecordBytes>) -> [u8; 16] {
    let mut state = Sha256::new();
    state.update(checkpoint.0);
    for record in records {
        state.update(u64::try_from(record.len()).unwrap_or(u64::MAX).to_le_bytes());
        state.update(&**record);
    }
    let whole: [u8; 32] = state.finalize().into();
    whole.first_chunk::<16>().copied().unwrap_or_default()
}

/// Does the work on each item, on so many threads, and gives the answers in the items' order.
fn parallel<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    if threads <= 1 || items.len() < 2 {
        return items.iter().map(work).collect();
    }
    let work = &work;
    let share = items.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let parts: Vec<_> = items
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<R>>()))
            .collect();
        let mut all = Vec::with_capacity(items.len());
        for part in parts {
            match part.join() {
                Ok(answers) => all.extend(answers),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}
