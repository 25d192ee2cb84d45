//! The index: what queries need to find in the log.
//!
//! ```text
//!   log --batches--> Indexer (a thread) --one commit per run--> store <--questions-- api
//!                                                                 | blocks of rows
//!                                                                sled
//! ```
//!
//! Invariants: the index is a function of the log, so it may be deleted at any time and answers
//! the same when it has been rebuilt; rows and the mark that says how far they go are committed
//! and written together; nothing here decides anything. What is applied is ahead of what is in
//! sled, by what the store keeps in memory; sled does not make its writes durable by itself and
//! does not always open again after a hard stop. All of this costs time and nothing else: a lost
//! tail is applied again, and what does not open or cannot be read is deleted and rebuilt.

mod draft;
pub mod events;
mod fold;
mod indexer;
mod keys;
pub mod query;
pub mod rows;
mod source;
mod store;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bincode::{Decode, Encode};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{Hash, Height};
use tokio::sync::watch;

use crate::log_store::SealedBatch;
use draft::{Cache, Draft, failed, get};
use fold::Fold;
use keys::{Key, Kind};
use store::{Limits, Store};

pub use events::{Event, EventId, EventKind};
pub use indexer::{INDEX_QUEUE, Indexer};
pub use keys::Cursor;
pub use query::{LIST_ROWS, Order, Page, SettlementFilter};
pub use rows::{
    Counters, Ending, EntryCause, EntryRow, LedgerRow, OfferEnd, OfferRow, OrderKind, OrderRow,
    OrderState, Part, Place, Said, SettlementEnd, SettlementRow, Step, StepRow,
};
pub use source::{BatchSource, Log};

/// Rises whenever rows change their meaning: an index of another version is built again.
const VERSION: u32 = 3;
/// Batches between two times that what is applied is written, however little it is: no start has
/// to apply many more again.
const WRITE_BATCHES: u64 = 16_384;
/// Batches that catching up writes at once.
const CATCH_UP_BATCHES: usize = 64;
/// Memory that sled may use for its cache, in bytes.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// The file that tells the next start to begin anew.
const NOTE: &str = "opening";
/// The folder of sled.
const ROWS: &str = "rows";
/// How long a locked database is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// How often it is looked at.
const LOCK_POLL: Duration = Duration::from_millis(10);

/// How far the log is indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Mark {
    version: u32,
    height: Height,
    head: Hash,
}

/// What waits for the index to come to a height looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    mark: Option<Mark>,
    /// Nothing more will be indexed.
    stopped: bool,
}

/// The index. Cheap to clone.
#[derive(Clone)]
pub struct Index {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    dir: PathBuf,
    progress: watch::Sender<Progress>,
    writer: Mutex<Writer>,
}

/// What only who applies batches has; held while applying.
#[derive(Default)]
struct Writer {
    /// Batches applied since the last ones were handed over to be written.
    unwritten: u64,
    cache: Cache,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("dir", &self.shared.dir).finish_non_exhaustive()
    }
}

impl Index {
    /// Opens the index in `dir`, or begins a new one where there is none or where it cannot be
    /// opened. Call [`Index::catch_up`] before asking it anything.
    ///
    /// # Errors
    /// `Q-2401` when no new one can be made either.
    pub fn open(dir: &Path) -> Result<Self, Refusal> {
        let io = |error: std::io::Error| {
            Refusal::new(Code::IndexFailed, format!("{}: {error}", dir.display()))
        };
        std::fs::create_dir_all(dir).map_err(io)?;
        // sled may panic, and so end the process, over files that a hard stop left behind. The
        // note tells the next start to begin anew.
        let (note, rows) = (dir.join(NOTE), dir.join(ROWS));
        if note.exists() {
            remove(&rows).map_err(io)?;
        }
        std::fs::write(&note, b"").map_err(io)?;
        let opened = match open_store(dir) {
            Err(Unopened::Damaged(refusal)) => {
                tracing::warn!(%refusal, dir = %rows.display(), "index is built anew");
                remove(&rows).map_err(io)?;
                open_store(dir)
            }
            // Where somebody else has it open it is not ours to delete.
            opened => opened,
        };
        std::fs::remove_file(&note).map_err(io)?;
        let store =
            opened.map_err(|(Unopened::Locked(refusal) | Unopened::Damaged(refusal))| refusal)?;
        let mark = get::<Mark>(&store, &mark_key()).ok().flatten();
        let (progress, _) = watch::channel(Progress { mark: None, stopped: false });
        let shared = Shared { store, dir: dir.to_owned(), progress, writer: Mutex::default() };
        let index = Self { shared: Arc::new(shared) };
        match mark.filter(|mark| mark.version == VERSION) {
            Some(mark) => index.advance(mark),
            None => index.reset()?,
        }
        Ok(index)
    }

    /// The last batch whose rows are here; zero before the first.
    #[must_use]
    pub fn indexed(&self) -> Height {
        self.head().map_or(Height(0), |(height, _)| height)
    }

    /// The last batch whose rows are here, and the hash of its checkpoint.
    #[must_use]
    pub fn head(&self) -> Option<(Height, Hash)> {
        self.mark().map(|mark| (mark.height, mark.head))
    }

    /// Waits until the rows of `height` are here.
    ///
    /// # Errors
    /// `Q-2401` when nothing more will be indexed.
    pub async fn wait_for(&self, height: Height) -> Result<(), Refusal> {
        let mut progress = self.shared.progress.subscribe();
        let reached = |progress: &Progress| {
            progress.stopped || progress.mark.is_some_and(|mark| mark.height >= height)
        };
        let stopped = || Refusal::new(Code::IndexFailed, "the index has stopped");
        let found = *progress.wait_for(reached).await.map_err(|_| stopped())?;
        if found.mark.is_some_and(|mark| mark.height >= height) { Ok(()) } else { Err(stopped()) }
    }

    /// Brings the index to `head`, the last batch of the log: what is missing is applied. An
    /// index that goes further than the log, knows another one or is damaged is built anew.
    ///
    /// # Errors
    /// `Q-2401`, `Q-2402` when the log does not hold together, and those of `source`.
    pub fn catch_up(
        &self,
        source: &impl BatchSource,
        head: Option<(Height, Hash)>,
    ) -> Result<(), Refusal> {
        match self.bring_to(source, head) {
            Err(refusal) if refusal.code == Code::IndexFailed && self.is_damaged() => {
                tracing::warn!(%refusal, dir = %self.shared.dir.display(), "index is built anew");
                self.reset()?;
                self.bring_to(source, head)
            }
            ended => ended,
        }
    }

    fn bring_to(
        &self,
        source: &impl BatchSource,
        head: Option<(Height, Hash)>,
    ) -> Result<(), Refusal> {
        if !self.is_prefix_of(source, head)? {
            self.reset()?;
        }
        let Some((last, _)) = head else { return Ok(()) };
        let mut run: Vec<SealedBatch> = Vec::new();
        for batch in source.batches(self.indexed().next()) {
            let batch = batch?;
            let height = batch.stored.checkpoint.height;
            if height > last {
                break;
            }
            run.push(batch);
            if run.len() >= CATCH_UP_BATCHES {
                self.apply_run(&run)?;
                run.clear();
            }
        }
        self.apply_run(&run)?;
        self.sync()
    }

    /// Applies a batch. One that is applied already changes nothing.
    ///
    /// # Errors
    /// `Q-2401`, and `Q-2402` when it does not follow.
    pub fn apply(&self, batch: &SealedBatch) -> Result<(), Refusal> {
        self.apply_run(std::slice::from_ref(batch))
    }

    /// Applies batches that follow each other, in one write.
    ///
    /// # Errors
    /// As [`Index::apply`]; then none of them is applied.
    pub fn apply_run<B: std::borrow::Borrow<SealedBatch>>(
        &self,
        batches: &[B],
    ) -> Result<(), Refusal> {
        let mut writer = self.writer();
        let mut mark = self.mark();
        // Thrown away, and so read again, when this run comes to nothing.
        let cache = std::mem::take(&mut writer.cache);
        let mut fold = Fold::new(Draft::new(self.store(), cache))?;
        let mut count: u64 = 0;
        for batch in batches {
            let stored = &batch.borrow().stored;
            let height = stored.checkpoint.height;
            if let Some(mark) = mark.filter(|mark| height <= mark.height) {
                if height == mark.height && stored.checkpoint.hash() != mark.head {
                    let what = format!("another batch than the one indexed at height {height}");
                    return Err(Refusal::new(Code::IndexGap, what));
                }
                continue;
            }
            let follows = fold.batch(stored, mark.map(|mark| (mark.height, mark.head)))?;
            if !follows {
                let what = format!("height {height} after {}", self.indexed());
                return Err(Refusal::new(Code::IndexGap, what));
            }
            mark = Some(Mark { version: VERSION, height, head: stored.checkpoint.hash() });
            count = count.saturating_add(1);
        }
        let Some(mark) = mark.filter(|_| count > 0) else { return Ok(()) };
        let (changes, cache) = fold.finish(&mark);
        self.store().commit(changes)?;
        writer.cache = cache;
        self.advance(mark);
        writer.unwritten = writer.unwritten.saturating_add(count);
        if writer.unwritten >= WRITE_BATCHES {
            writer.unwritten = 0;
            self.store().write_soon();
        }
        Ok(())
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn reset(&self) -> Result<(), Refusal> {
        let mut writer = self.writer();
        *writer = Writer::default();
        self.store().clear()?;
        if self.is_damaged() {
            let note = self.shared.dir.join(NOTE);
            std::fs::remove_file(&note).map_err(|error| {
                Refusal::new(Code::IndexFailed, format!("{}: {error}", note.display()))
            })?;
        }
        self.shared.progress.send_modify(|progress| progress.mark = None);
        Ok(())
    }

    /// Makes durable what was applied.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn sync(&self) -> Result<(), Refusal> {
        let mut writer = self.writer();
        writer.unwritten = 0;
        self.store().sync()
    }

    /// Whether something could not be read; then the next start builds it anew.
    fn is_damaged(&self) -> bool {
        self.shared.dir.join(NOTE).exists()
    }

    fn store(&self) -> &Store {
        &self.shared.store
    }

    fn mark(&self) -> Option<Mark> {
        self.shared.progress.borrow().mark
    }

    fn advance(&self, mark: Mark) {
        self.shared.progress.send_modify(|progress| progress.mark = Some(mark));
    }

    fn stop(&self) {
        self.shared.progress.send_modify(|progress| progress.stopped = true);
    }

    /// The store is consistent whatever a panic interrupted: it takes changes in at once. The
    /// cache was taken out while it was in use.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what is indexed is the beginning of the log that ends at `head`.
    fn is_prefix_of(
        &self,
        source: &impl BatchSource,
        head: Option<(Height, Hash)>,
    ) -> Result<bool, Refusal> {
        let Some((height, hash)) = self.head() else { return Ok(true) };
        let Some((last, _)) = head.filter(|(last, _)| *last >= height) else { return Ok(false) };
        if head == Some((height, hash)) {
            return Ok(true);
        }
        let known = source.batch(height)?;
        Ok(last > height && known.is_some_and(|batch| batch.stored.checkpoint.hash() == hash))
    }
}

fn mark_key() -> Vec<u8> {
    Key::of(Kind::Mark).bytes()
}

/// Why there is no store.
enum Unopened {
    /// Somebody else has it open.
    Locked(Refusal),
    Damaged(Refusal),
}

fn open_store(dir: &Path) -> Result<Store, Unopened> {
    let db = match open_rows(&dir.join(ROWS)) {
        Ok(db) => db,
        Err(error) if is_locked(&error) => return Err(Unopened::Locked(failed(error))),
        Err(error) => return Err(Unopened::Damaged(failed(error))),
    };
    Store::open(db, dir, Limits::default()).map_err(Unopened::Damaged)
}

/// Opens the database. One that was closed a moment ago in this process may still be locked:
/// sled's own threads let go of it when they are done.
fn open_rows(dir: &Path) -> Result<sled::Db, sled::Error> {
    let config = sled::Config::new().path(dir).flush_every_ms(None).cache_capacity(CACHE_BYTES);
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match config.open() {
            Err(error) if is_locked(&error) && Instant::now() < until => {
                std::thread::sleep(LOCK_POLL);
            }
            opened => return opened,
        }
    }
}

/// sled has no error of its own for a database that is open elsewhere.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("acquire lock"))
}

fn remove(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
