//! Directories and small files: private folders, the lock of a directory, replacing a file whole.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;

/// More digits than a process number has.
const PID_BYTES: u64 = 32;

/// A directory that belongs to this process until it is dropped.
///
/// The kernel holds the lock (`flock`), so it ends with the process however that ends. The
/// process number in the file is for people only.
#[derive(Debug)]
pub(crate) struct DirLock(#[expect(dead_code, reason = "dropping it unlocks")] File);

impl DirLock {
    /// Locks `dir` by its file `lock`.
    ///
    /// # Errors
    /// `Q-1901` with the number of the process that has it; `otherwise` when the system fails.
    pub(crate) fn acquire(dir: &Path, otherwise: Code) -> Result<Self, Refusal> {
        let path = dir.join("lock");
        let failed = |error: io::Error| Refusal::new(otherwise, at(&path, &error));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // A lock just taken may not have its number yet.
                let _ = file.take(PID_BYTES).read_to_string(&mut holder);
                let holder = holder.trim();
                let by = if holder.is_empty() { "another process" } else { holder };
                refuse!(DirectoryInUse, "{} is locked by process {by}", dir.display());
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self(file))
    }
}

/// Creates `dir` and what leads to it, for our eyes only, durably. One that exists stays as it is.
pub(crate) fn create_private_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = parent(dir);
    create_private_dir(parent)?;
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => sync_dir(parent),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Where `path`'s name is kept.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Puts a file with these parts at `path` at once and durably, or leaves what was there: it is
/// written beside it, synced, and renamed.
pub(crate) fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let beside = with_suffix(path, ".new");
    let written = write_new(&beside, parts);
    let renamed = written.and_then(|()| std::fs::rename(&beside, path));
    if renamed.is_err() {
        // What is left of it would only be in the way.
        let _ = std::fs::remove_file(&beside);
    }
    renamed.and_then(|()| sync_dir(parent(path)))
}

/// Puts a file with these parts at `path`, where none may be, at once and durably.
pub(crate) fn create_new(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let beside = with_suffix(path, ".new");
    // A link, unlike a rename, does not replace what is there.
    let linked = write_new(&beside, parts).and_then(|()| std::fs::hard_link(&beside, path));
    let removed = std::fs::remove_file(&beside);
    linked.and(removed).and_then(|()| sync_dir(parent(path)))
}

fn write_new(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    // Left by somebody who was stopped: whoever writes here holds the directory or the path.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// `path` and what went wrong there.
pub(crate) fn at(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
