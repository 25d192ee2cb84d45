//! The index: what queries need to find in the log.
//!
//! ```text
//!   log --batches--> Indexer (a thread) --one atomic write per run--> sled <--questions-- api
//! ```
//!
//! Invariants: the index is a function of the log, so it may be deleted at any time and answers
//! the same when it has been rebuilt; rows and the mark that says how far they go are written
//! together; nothing here decides anything. sled does not make its writes durable by itself and
//! does not always open again after a hard stop. Both cost time here and nothing else: a lost
//! tail is applied again, and what does not open is deleted and rebuilt.

mod draft;
pub mod events;
mod fold;
mod indexer;
mod keys;
pub mod query;
pub mod rows;
mod source;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bincode::{Decode, Encode};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{Hash, Height};
use tokio::sync::watch;

use crate::log_store::SealedBatch;
use draft::{Draft, failed, get};
use fold::Fold;
use keys::{Key, Kind};

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
const VERSION: u32 = 2;
/// Batches between two times that the index is made durable.
const SYNC_BATCHES: u64 = 1_024;
/// Batches that catching up writes at once.
const CATCH_UP_BATCHES: usize = 64;
/// Memory that sled may use for its cache, in bytes.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
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
    db: sled::Db,
    dir: PathBuf,
    progress: watch::Sender<Progress>,
    /// Batches written since the index was last made durable; held while writing.
    unsynced: Mutex<u64>,
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
        let (note, rows) = (dir.join("opening"), dir.join("rows"));
        if note.exists() {
            remove(&rows).map_err(io)?;
        }
        std::fs::write(&note, b"").map_err(io)?;
        let opened = match open_rows(&rows) {
            // Somebody else has it open: not ours to delete.
            Err(error) if is_locked(&error) => Err(error),
            Err(error) => {
                tracing::warn!(%error, dir = %rows.display(), "index is built anew");
                remove(&rows).map_err(io)?;
                open_rows(&rows)
            }
            Ok(db) => Ok(db),
        };
        std::fs::remove_file(&note).map_err(io)?;
        let db = opened.map_err(failed)?;
        let mark = get::<Mark>(&db, &mark_key()).ok().flatten();
        let (progress, _) = watch::channel(Progress { mark: None, stopped: false });
        let shared = Shared { db, dir: dir.to_owned(), progress, unsynced: Mutex::new(0) };
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
    /// index that goes further than the log, or knows another one, is built anew.
    ///
    /// # Errors
    /// `Q-2401`, `Q-2402` when the log does not hold together, and those of `source`.
    pub fn catch_up(
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
        let mut unsynced = self.writing();
        let mut mark = self.mark();
        let mut fold = Fold::new(Draft::new(self.db()))?;
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
        let mut draft = fold.finish();
        draft.put(Key::of(Kind::Mark), &mark);
        draft.write()?;
        self.advance(mark);
        *unsynced = unsynced.saturating_add(count);
        if *unsynced >= SYNC_BATCHES {
            *unsynced = 0;
            self.make_durable()?;
        }
        Ok(())
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn reset(&self) -> Result<(), Refusal> {
        let _writing = self.writing();
        self.db().clear().map_err(failed)?;
        self.shared.progress.send_modify(|progress| progress.mark = None);
        Ok(())
    }

    /// Makes durable what was applied.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn sync(&self) -> Result<(), Refusal> {
        let mut unsynced = self.writing();
        *unsynced = 0;
        self.make_durable()
    }

    fn db(&self) -> &sled::Db {
        &self.shared.db
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

    /// The database is consistent whatever a panic interrupted: it is written at once.
    fn writing(&self) -> MutexGuard<'_, u64> {
        self.shared.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// sled's flush alone is not durable on Linux: it ends in `sync_file_range`.
    fn make_durable(&self) -> Result<(), Refusal> {
        self.db().flush().map_err(failed)?;
        let file = self.shared.dir.join("rows").join("db");
        std::fs::File::open(&file).and_then(|file| file.sync_data()).map_err(|error| {
            Refusal::new(Code::IndexFailed, format!("{}: {error}", file.display()))
        })
    }
}

fn mark_key() -> Vec<u8> {
    Key::of(Kind::Mark).bytes()
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
