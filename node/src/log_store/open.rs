//! Opening a log: everything is looked at first, then what a power cut left is put right.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::Height;

use super::disk::{Disk, write_all};
use super::files::{self, DirLock, at};
use super::format::LogId;
use super::reader::{Index, LogReader, Segment, Shared};
use super::scan::{Depth, Outcome, Scanned, Trouble, Visit, damaged, scan, segments};
use super::{Active, LogStore, Opening, Options, SEGMENT_BYTES, Snapshots};

/// What is in the directory of a log.
pub(super) struct Survey {
    pub segments: Vec<Scanned>,
    /// A last segment that never had a batch, with its length: to be removed.
    pub unborn: Option<(PathBuf, u64)>,
    pub log: Option<LogId>,
}

impl Survey {
    /// Looks at every segment, at the last two with their payloads; `older` says how thoroughly
    /// at the others. `visit` sees every good frame.
    pub(super) fn of(dir: &Path, older: Depth, visit: Visit<'_>) -> Result<Self, Trouble> {
        let unreadable = |error: io::Error| {
            let refusal = Refusal::new(Code::LogUnreadable, at(dir, &error));
            Trouble { path: dir.to_owned(), offset: 0, refusal }
        };
        let paths = segments(dir).map_err(unreadable)?;
        let mut survey = Self { segments: Vec::new(), unborn: None, log: None };
        for (place, (_, path)) in paths.iter().enumerate() {
            let last = place + 1 == paths.len();
            let depth = if place + 2 >= paths.len() { Depth::Payloads } else { older };
            match scan(path, last, depth, visit)? {
                Outcome::Unborn(length) => survey.unborn = Some((path.clone(), length)),
                Outcome::Segment(scanned) => {
                    let trouble = |refusal| Trouble { path: path.clone(), offset: 0, refusal };
                    survey.take(*scanned, last).map_err(trouble)?;
                }
            }
        }
        Ok(survey)
    }

    /// The next segment, which must follow the one before.
    fn take(&mut self, scanned: Scanned, is_last: bool) -> Result<(), Refusal> {
        let before = self.segments.last();
        let last = before.map_or(Height(0), Scanned::last);
        if scanned.header.before != last {
            let what = format!(
                "the segment follows height {}, but the one before ends with {last}",
                scanned.header.before
            );
            return Err(damaged(&scanned.path, 0, &what));
        }
        if before.is_some_and(|before| !before.sealed) {
            return Err(damaged(&scanned.path, 0, "the batch before it has no seal"));
        }
        if self.log.is_some_and(|log| log != scanned.header.log) {
            let what = format!("{} is of another log", scanned.path.display());
            return Err(Refusal::new(Code::WrongLog, what));
        }
        if scanned.entries.is_empty() && !is_last {
            return Err(damaged(&scanned.path, scanned.end, "there is no batch"));
        }
        if scanned.entries.is_empty() {
            self.unborn = Some((scanned.path, scanned.length));
        } else {
            self.log = Some(scanned.header.log);
            self.segments.push(scanned);
        }
        Ok(())
    }
}

impl LogStore {
    /// As [`LogStore::open`], with other options.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(dir: &Path, options: Options) -> Result<(Self, Opening), Refusal> {
        let (log_dir, snapshot_dir) = (dir.join("log"), dir.join("snapshots"));
        for needed in [&log_dir, &snapshot_dir] {
            files::create_private_dir(needed).map_err(|error| write_failed(needed, &error))?;
        }
        let lock = DirLock::acquire(&log_dir, Code::LogFailed)?;
        let survey = Survey::of(&log_dir, Depth::Headers, &mut |_, _, _, _| Ok(()))?;
        let disk = options.disk;
        let torn_bytes = repair(disk.as_ref(), &log_dir, &survey)?;
        let active = survey.segments.last().map(|last| reopen(disk.as_ref(), last)).transpose()?;
        let sealed = match survey.segments.last() {
            Some(last) if last.sealed => last.last(),
            Some(last) => last.before_last(),
            None => Height(0),
        };
        let log = survey.log;
        let shared = Arc::new(Shared::new(Index { segments: index(survey.segments), sealed }));
        let reader = LogReader { shared: Arc::clone(&shared) };
        let mut store = Self {
            disk,
            dir: log_dir,
            snapshots: Snapshots::new(snapshot_dir, reader),
            segment_bytes: options.segment_bytes.min(SEGMENT_BYTES),
            log,
            active,
            last: None,
            shared,
            counters: Arc::default(),
            failed: None,
            buffer: Vec::new(),
            _lock: lock,
        };
        store.last = store.last_of_index()?;
        let opening = Opening { head: store.head(), torn_bytes, unsealed: store.is_unsealed() };
        Ok((store, opening))
    }
}

impl Scanned {
    /// The height of the last batch but one.
    fn before_last(&self) -> Height {
        let before = self.entries.len().checked_sub(2).and_then(|at| self.entries.get(at));
        before.map_or(self.header.before, |entry| entry.height(self.header.first))
    }
}

/// Cuts off what is torn and makes the rest durable; says how many bytes were cut off.
fn repair(disk: &dyn Disk, dir: &Path, survey: &Survey) -> Result<u64, Refusal> {
    let mut torn_bytes = 0;
    if let Some((path, length)) = &survey.unborn {
        torn_bytes += length;
        tracing::warn!(path = %path.display(), length, "removing a segment without a batch");
        let removed = disk.remove(path).and_then(|()| disk.sync_dir(dir));
        removed.map_err(|error| write_failed(path, &error))?;
    }
    if let Some(last) = survey.segments.last() {
        let torn = last.length - last.end;
        torn_bytes += torn;
        if let Some(why) = &last.torn {
            let (path, offset) = (last.path.display(), last.end);
            tracing::warn!(%path, offset, torn, why, "cutting off a torn tail");
        }
        make_durable(disk, last).map_err(|error| write_failed(&last.path, &error))?;
    }
    Ok(torn_bytes)
}

/// Writes the end of the segment again, without what is torn, and syncs it.
///
/// A process that was stopped between write and sync, or whose sync failed, leaves frames that
/// can be read here and may not be on the disk; after a failed sync the system takes them for
/// clean and a sync alone would do nothing.
fn make_durable(disk: &dyn Disk, last: &Scanned) -> io::Result<()> {
    let unproven = usize::try_from(last.end - last.proven).map_err(io::Error::other)?;
    let mut bytes = vec![0; unproven];
    File::open(&last.path)?.read_exact_at(&mut bytes, last.proven)?;
    let mut file = disk.open(&last.path)?;
    if last.end < last.length {
        file.truncate(last.end)?;
    }
    write_all(file.as_mut(), last.proven, &bytes)?;
    file.sync_data()
}

fn reopen(disk: &dyn Disk, last: &Scanned) -> Result<Active, Refusal> {
    let file = disk.open(&last.path).map_err(|error| write_failed(&last.path, &error))?;
    Ok(Active {
        file,
        path: last.path.clone(),
        first: last.header.first,
        salt: last.header.salt,
        end: last.end,
        synced: last.end,
    })
}

fn index(scanned: Vec<Scanned>) -> Vec<Segment> {
    let segment = |scanned: Scanned| Segment {
        first: scanned.header.first,
        path: Arc::from(scanned.path.as_path()),
        salt: scanned.header.salt,
        entries: scanned.entries,
    };
    scanned.into_iter().map(segment).collect()
}

/// What an error while writing means for whoever reads it.
pub(super) fn write_failed(path: &Path, error: &io::Error) -> Refusal {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::DiskFull,
        _ => Code::LogFailed,
    };
    Refusal::new(code, at(path, error))
}
