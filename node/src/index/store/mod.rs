//! The rows: sorted bytes in memory and in sled.
//!
//! ```text
//!   commit --> memory table --full, or sync--> frozen table --\         background thread
//!                                                              run of level 0 --.
//!                                  16 runs of a level --> one run of the next <-'
//!   get, page <-- memory table, frozen table, runs from the newest to the oldest
//! ```
//!
//! sled takes some 16 microseconds per row and is asked for a row dozens of times per trade; it
//! takes no more for a block of rows. So rows gather here and reach sled as blocks.
//!
//! Invariants: what is committed is seen whole or not at all; what a crash leaves is a prefix of
//! the commits, the one that the newest run in sled ends with (the mark is a row like others);
//! nobody who reads waits for a disk that another one writes to; memory is bounded by
//! [`Limits::memory`], half of it again, and one frozen table.

mod background;
mod block;
mod bloom;
mod memory;
mod merge;
mod run;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use quadrille_protocol::error::{Code, Refusal};

use super::draft::failed;
use memory::{Copied, Found};
use merge::{Merge, RunCursor, Source};
use run::Run;

pub(super) use memory::{Change, MemoryTable};
pub(super) use merge::Interval;

/// A key and its row.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// When rows move on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of rows in memory from which on they are written as a run.
    pub memory: usize,
    /// Runs of a level that are merged into one.
    pub runs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 32 * 1024 * 1024, runs: 16 }
    }
}

/// The rows. The last one to let go of it ends its thread; what was not synced is lost then.
pub(super) struct Store {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    db: sled::Db,
    /// The folder of the index: sled's files are in `rows`.
    dir: PathBuf,
    limits: Limits,
    view: RwLock<View>,
    work: Mutex<Work>,
    changed: Condvar,
    /// What the thread is writing is not wanted any more.
    abort: AtomicBool,
    /// Held while a run is written.
    writing: Mutex<Writing>,
}

/// What is read.
#[derive(Default)]
struct View {
    memory: MemoryTable,
    frozen: Option<Arc<MemoryTable>>,
    /// Newest first.
    runs: Arc<Vec<Arc<Run>>>,
}

/// What the thread and those who wait for it tell each other.
#[derive(Debug, Default)]
struct Work {
    stop: bool,
    failed: Option<Refusal>,
}

/// What only the writer of runs knows.
#[derive(Default)]
struct Writing {
    /// The number of the next run.
    next: u64,
    /// Merged away, and perhaps still read.
    retired: Vec<Arc<Run>>,
}

impl Store {
    /// The rows that `db` has. What was begun and never finished is deleted.
    ///
    /// # Errors
    /// `Q-2401` when they do not hold together.
    pub fn open(db: sled::Db, dir: &Path, limits: Limits) -> Result<Self, Refusal> {
        let runs = Run::all(&db)?;
        let begun = run::begun(&db)?;
        let kept = |number: &u64| runs.iter().any(|run| run.number == *number);
        for number in begun.iter().filter(|number| !kept(number)) {
            run::delete(&db, *number)?;
        }
        let last = runs.iter().map(|run| run.number).chain(begun.last().copied()).max();
        let writing =
            Writing { next: last.map_or(0, |last| last.saturating_add(1)), ..Writing::default() };
        let runs = Arc::new(runs.into_iter().map(Arc::new).collect());
        let shared = Arc::new(Shared {
            db,
            dir: dir.to_owned(),
            limits,
            view: RwLock::new(View { runs, ..View::default() }),
            work: Mutex::default(),
            changed: Condvar::new(),
            abort: AtomicBool::new(false),
            writing: Mutex::new(writing),
        });
        let thread = std::thread::Builder::new()
            .name("index-store".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.work_on()
            })
            .map_err(|error| Refusal::new(Code::IndexFailed, error.to_string()))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A row.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        self.find(key).map(Option::flatten)
    }

    fn find(&self, key: &[u8]) -> Result<Found<Vec<u8>>, Refusal> {
        let copy = |row: Option<&[u8]>| row.map(<[u8]>::to_vec);
        let (frozen, runs) = {
            let view = self.shared.read();
            if let Some(found) = view.memory.get(key) {
                return Ok(Some(copy(found)));
            }
            (view.frozen.clone(), Arc::clone(&view.runs))
        };
        if let Some(found) = frozen.as_ref().and_then(|frozen| frozen.get(key)) {
            return Ok(Some(copy(found)));
        }
        let hash = bloom::hash_of(key);
        for run in runs.iter() {
            let found = self.shared.noted(run.get(&self.shared.db, key, hash))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// At most `limit` rows of an interval, from one end on.
    pub fn page(
        &self,
        mut interval: Interval,
        ascending: bool,
        limit: usize,
    ) -> Result<Vec<Row>, Refusal> {
        let mut rows = Vec::new();
        while rows.len() < limit && !interval.is_empty() {
            let wanted = limit.saturating_sub(rows.len());
            let mut merge = self.shared.noted(self.shared.layers(&interval, ascending, wanted))?;
            while rows.len() < limit {
                let Some((key, value)) = self.shared.noted(merge.next())? else { break };
                if let Some(value) = value {
                    rows.push((key.to_vec(), value.to_vec()));
                }
            }
            if !merge.is_cut() {
                break;
            }
            interval = interval.behind(merge.last(), ascending);
        }
        Ok(rows)
    }

    /// Takes changes in, all at once.
    ///
    /// # Errors
    /// `Q-2401` when earlier ones could not be written.
    pub fn commit(&self, changes: MemoryTable) -> Result<(), Refusal> {
        let shared = &self.shared;
        let bytes = {
            let mut view = shared.view.write().unwrap_or_else(PoisonError::into_inner);
            view.memory.merge(changes);
            view.memory.bytes()
        };
        let limit = shared.limits.memory;
        if bytes < limit {
            return Ok(());
        }
        if bytes >= limit.saturating_add(limit / 2) {
            shared.wait_until_written()?;
        }
        shared.freeze();
        shared.failure()
    }

    /// Lets what is in memory be written, without waiting for it.
    pub fn write_soon(&self) {
        self.shared.freeze();
    }

    /// Makes durable what was committed.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn sync(&self) -> Result<(), Refusal> {
        loop {
            self.shared.wait_until_written()?;
            if self.shared.read().memory.is_empty() {
                return Ok(());
            }
            self.shared.freeze();
        }
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// `Q-2401`.
    pub fn clear(&self) -> Result<(), Refusal> {
        let shared = &self.shared;
        shared.abort.store(true, Ordering::SeqCst);
        let mut writing = shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
        shared.abort.store(false, Ordering::SeqCst);
        let next = writing.next;
        *writing = Writing { next, ..Writing::default() };
        *shared.view.write().unwrap_or_else(PoisonError::into_inner) = View::default();
        shared.work().failed = None;
        shared.db.clear().map(|_| ()).map_err(failed)
    }

    /// Rows and bytes in memory, runs in sled.
    #[cfg(test)]
    fn sizes(&self) -> (usize, usize, Vec<(u32, u64)>) {
        let view = self.shared.read();
        let frozen = view.frozen.as_ref().map_or(0, |frozen| frozen.bytes());
        let runs = view.runs.iter().map(|run| (run.head.level, run.head.rows)).collect();
        (view.memory.bytes(), frozen, runs)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.abort.store(true, Ordering::SeqCst);
        self.shared.work().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there was told to whoever waited for it.
            let _ended = thread.join();
        }
    }
}

impl Shared {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> Result<(), Refusal> {
        self.work().failed.clone().map_or(Ok(()), Err)
    }

    /// What cannot be read is not there after the next start.
    fn noted<T>(&self, result: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(refusal) = &result {
            tracing::error!(%refusal, "the index is damaged; the next start rebuilds it");
            if let Err(error) = std::fs::write(self.dir.join(super::NOTE), b"damaged") {
                tracing::error!(%error, "the index could not be marked for that");
            }
        }
        result
    }

    /// All layers at the beginning of an interval; what is copied is enough for `wanted` rows
    /// where none is gone.
    fn layers(&self, interval: &Interval, up: bool, wanted: usize) -> Result<Merge, Refusal> {
        let copied = |rows: Vec<Copied>| {
            let cut = rows.len() >= wanted;
            Source::Copied { rows: rows.into_iter(), cut }
        };
        let (memory, frozen, runs) = {
            let view = self.read();
            let memory = view.memory.some(interval, up, wanted);
            (memory, view.frozen.clone(), Arc::clone(&view.runs))
        };
        let mut sources = vec![copied(memory)];
        sources.extend(frozen.map(|frozen| copied(frozen.some(interval, up, wanted))));
        for run in runs.iter().filter(|run| run.overlaps(interval)) {
            let cursor = RunCursor::new(&self.db, Arc::clone(run), interval, up)?;
            sources.push(Source::Run(Box::new(cursor)));
        }
        Ok(Merge::new(sources, up))
    }

    /// Hands the rows in memory over to the thread, unless it has some already.
    fn freeze(&self) {
        {
            let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
            if view.frozen.is_some() || view.memory.is_empty() {
                return;
            }
            view.frozen = Some(Arc::new(std::mem::take(&mut view.memory)));
        }
        // Whoever looks for work holds this while it looks.
        drop(self.work());
        self.changed.notify_all();
    }

    /// Waits until the thread has written what it was given.
    fn wait_until_written(&self) -> Result<(), Refusal> {
        let mut work = self.work();
        while work.failed.is_none() && !work.stop && self.read().frozen.is_some() {
            work = self.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
        work.failed.clone().map_or(Ok(()), Err)
    }
}
