//! The thread that writes runs: frozen tables first, then merges of levels that are full.
//!
//! Invariants: a run's head is written in the same write as the heads of those that it replaces
//! go, and is durable before anybody relies on it; blocks of a run that is gone stay until the
//! last reader has let go of it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};

use super::super::draft::failed;
use super::merge::{Interval, Merge, RunCursor, Source};
use super::run::{self, Run, RunWriter};
use super::{Shared, Writing};

/// Rows between two looks at whether something more urgent has come.
const ROWS_AT_ONCE: usize = 256;
/// How far the thread stands behind those that somebody waits for.
const NICE: i32 = 5;

/// What there is to do.
enum Job {
    Write,
    Merge(u32),
}

/// How a job ended.
#[derive(PartialEq, Eq)]
enum Done {
    Whole,
    /// Nobody wants it any more.
    Aborted,
}

impl Shared {
    /// Works until it is told to stop, or something fails.
    pub(super) fn work_on(&self) {
        // Without it the thread is only as urgent as all others.
        let _unchanged = rustix::process::setpriority_process(None, NICE);
        let _told = TellOnPanic(self);
        while let Some(job) = self.next_job() {
            let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = match job {
                Job::Write => self.write_frozen(&mut writing),
                Job::Merge(level) => self.merge_level(&mut writing, level),
            };
            let ended = ended.and_then(|_| self.delete_retired(&mut writing));
            drop(writing);
            let mut work = self.work();
            if let Err(refusal) = ended {
                tracing::error!(%refusal, "a run of the index could not be written");
                work.failed = Some(refusal);
            }
            drop(work);
            self.changed.notify_all();
        }
    }

    /// Waits for something to do; none when it is told to stop.
    fn next_job(&self) -> Option<Job> {
        let mut work = self.work();
        loop {
            if work.stop {
                return None;
            }
            if work.failed.is_none()
                && let Some(job) = self.job()
            {
                return Some(job);
            }
            work = self.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn job(&self) -> Option<Job> {
        let view = self.read();
        if view.frozen.is_some() {
            return Some(Job::Write);
        }
        let levels = view.runs.iter().map(|run| run.head.level);
        let full = |level: &u32| {
            view.runs.iter().filter(|run| run.head.level == *level).count() >= self.limits.runs
        };
        levels.min_by_key(|level| (!full(level), *level)).filter(full).map(Job::Merge)
    }

    fn aborted(&self) -> bool {
        self.abort.load(Ordering::SeqCst)
    }

    /// Writes the frozen table, where there is one.
    fn write_frozen(&self, writing: &mut Writing) -> Result<Done, Refusal> {
        let Some(frozen) = self.read().frozen.clone() else { return Ok(Done::Whole) };
        let number = writing.number();
        let mut writer = RunWriter::new(&self.db, number, 0, frozen.len());
        for (count, (key, value)) in frozen.iter().enumerate() {
            if count % ROWS_AT_ONCE == 0 && self.aborted() {
                return Ok(Done::Aborted);
            }
            writer.push(key, value)?;
        }
        self.publish(writing, writer.finish()?, &[], true)
    }

    /// Makes one run of all runs of a level.
    fn merge_level(&self, writing: &mut Writing, level: u32) -> Result<Done, Refusal> {
        let runs = Arc::clone(&self.read().runs);
        let merged: Vec<Arc<Run>> =
            runs.iter().filter(|run| run.head.level == level).cloned().collect();
        // Tombstones hide what is older; at the bottom there is nothing older.
        let bottom = runs.iter().all(|run| run.head.level <= level);
        let mut sources = Vec::new();
        for run in &merged {
            let cursor = RunCursor::new(&self.db, Arc::clone(run), &Interval::ALL, true)?;
            sources.push(Source::Run(Box::new(cursor)));
        }
        drop(runs);
        if merged.is_empty() {
            return Ok(Done::Whole);
        }
        let mut merge = Merge::new(sources, true);
        let rows = merged.iter().map(|run| run.head.rows).fold(0, u64::saturating_add);
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let (number, above) = (writing.number(), level.saturating_add(1));
        let mut writer = RunWriter::new(&self.db, number, above, rows);
        let mut count = 0usize;
        while let Some((key, value)) = merge.next()? {
            if value.is_some() || !bottom {
                writer.push(key, value)?;
            }
            count = count.saturating_add(1);
            if count.is_multiple_of(ROWS_AT_ONCE) {
                if self.aborted() {
                    return Ok(Done::Aborted);
                }
                // A merge may take long, and somebody may be waiting for room.
                if self.read().frozen.is_some() {
                    self.write_frozen(writing)?;
                    drop(self.work());
                    self.changed.notify_all();
                }
            }
        }
        drop(merge);
        self.publish(writing, writer.finish()?, &merged, false)
    }

    /// Makes a run exist, in the place of others or of the frozen table.
    fn publish(
        &self,
        writing: &mut Writing,
        run: Option<Run>,
        replaced: &[Arc<Run>],
        thawed: bool,
    ) -> Result<Done, Refusal> {
        if self.aborted() {
            return Ok(Done::Aborted);
        }
        let mut batch = sled::Batch::default();
        if let Some(run) = &run {
            batch.insert(run::head_key(run.number), codec::encode(&run.head));
        }
        for gone in replaced {
            batch.remove(run::head_key(gone.number));
        }
        self.db.apply_batch(batch).map_err(failed)?;
        self.make_durable()?;
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let stays = |run: &&Arc<Run>| replaced.iter().all(|gone| gone.number != run.number);
        let mut runs: Vec<Arc<Run>> = view.runs.iter().filter(stays).cloned().collect();
        runs.extend(run.map(Arc::new));
        runs.sort_by_key(|run| (run.head.level, std::cmp::Reverse(run.number)));
        view.runs = Arc::new(runs);
        let thawed = if thawed { view.frozen.take() } else { None };
        drop(view);
        // Letting go of a table takes a while: not under the lock.
        drop(thawed);
        writing.retired.extend_from_slice(replaced);
        Ok(Done::Whole)
    }

    /// Deletes the blocks of runs that nobody reads any more.
    fn delete_retired(&self, writing: &mut Writing) -> Result<(), Refusal> {
        let mut kept = Vec::new();
        for gone in writing.retired.drain(..) {
            match Arc::strong_count(&gone) {
                1 => run::delete(&self.db, gone.number)?,
                _ => kept.push(gone),
            }
        }
        writing.retired = kept;
        Ok(())
    }

    /// sled's flush alone is not durable on Linux: it ends in `sync_file_range`.
    fn make_durable(&self) -> Result<(), Refusal> {
        self.db.flush().map_err(failed)?;
        let file = self.dir.join(super::super::ROWS).join("db");
        std::fs::File::open(&file).and_then(|file| file.sync_data()).map_err(|error| {
            Refusal::new(Code::IndexFailed, format!("{}: {error}", file.display()))
        })
    }
}

impl Writing {
    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next = number.saturating_add(1);
        number
    }
}

/// Nobody waits for ever for a thread that panicked.
struct TellOnPanic<'a>(&'a Shared);

impl Drop for TellOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let what = "the thread that writes the index panicked";
            self.0.work().failed = Some(Refusal::new(Code::IndexFailed, what));
            self.0.changed.notify_all();
        }
    }
}
