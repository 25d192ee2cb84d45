//! Faults that a test asks a running node for: a wrong clock, a full disk, a disk that does not
//! keep what it was given. Debug builds only; a release build knows nothing of it.
//!
//! ```text
//!   QUADRILLE_FAULTS_DIR/faults   one on each line: `skew-ms 30000`, `disk-full`, `fsync-error`
//!   QUADRILLE_FAULTS_DIR/armed    written here at the start: the number of the process that looks
//! ```
//!
//! The file is read each time that the clock is asked and the log is written, so a fault is in
//! force from the moment that the file is there and not any more when it is gone.
//!
//! Of the disks only the log's is meant. A full one takes the first half of what is written next,
//! as a disk with a little room left does, and then nothing.

use std::sync::Arc;

use quadrille_protocol::error::Refusal;

use crate::log_store::disk::{Disk, RealDisk};

/// Says that this process looks for faults, where it is told to.
///
/// # Errors
/// `Q-2205`.
#[cfg(debug_assertions)]
pub fn arm() -> Result<(), Refusal> {
    use crate::files::{self, Access};

    let Some(dir) = hooks::dir() else { return Ok(()) };
    files::private_folder(dir)?;
    tracing::warn!(dir = %dir.display(), "this node has faults when it is told to");
    let number = format!("{}\n", std::process::id());
    files::replace(&dir.join(hooks::ARMED), number.as_bytes(), Access::Private)
}

/// The time that is taken for this one, in milliseconds.
#[cfg(debug_assertions)]
#[must_use]
pub fn shifted(now_ms: u64) -> u64 {
    match hooks::dir() {
        None => now_ms,
        Some(dir) => now_ms.saturating_add_signed(hooks::read(dir).skew_ms),
    }
}

/// The disk of the log.
#[cfg(debug_assertions)]
#[must_use]
pub fn disk() -> Arc<dyn Disk> {
    match hooks::dir() {
        None => Arc::new(RealDisk),
        Some(dir) => Arc::new(hooks::FaultyDisk::new(dir)),
    }
}

/// A release build has no faults.
///
/// # Errors
/// Never.
#[cfg(not(debug_assertions))]
#[allow(clippy::unnecessary_wraps, reason = "the debug build may fail")]
pub const fn arm() -> Result<(), Refusal> {
    Ok(())
}

/// The same time: a release build has no faults.
#[cfg(not(debug_assertions))]
#[must_use]
pub const fn shifted(now_ms: u64) -> u64 {
    now_ms
}

/// The real disk: a release build has no faults.
#[cfg(not(debug_assertions))]
#[must_use]
pub fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

#[cfg(debug_assertions)]
mod hooks {
    use std::fs;
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;

    use crate::log_store::disk::{Disk, DiskFile, RealDisk};

    pub(super) const ARMED: &str = "armed";
    const FAULTS: &str = "faults";
    /// `ENOSPC` and `EIO`, as Linux numbers them.
    const NO_SPACE: i32 = 28;
    const IO_ERROR: i32 = 5;

    /// What is in force.
    #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
    pub(super) struct Faults {
        pub(super) skew_ms: i64,
        pub(super) disk_full: bool,
        pub(super) fsync_error: bool,
    }

    /// Where faults are written down; nowhere in most processes.
    pub(super) fn dir() -> Option<&'static Path> {
        static DIR: OnceLock<Option<PathBuf>> = OnceLock::new();
        DIR.get_or_init(|| std::env::var_os("QUADRILLE_FAULTS_DIR").map(PathBuf::from)).as_deref()
    }

    /// What the file says; nothing where there is none. Lines that are not understood say
    /// nothing: a fault that is missing shows in the test that asked for it.
    pub(super) fn read(dir: &Path) -> Faults {
        let text = fs::read_to_string(dir.join(FAULTS)).unwrap_or_default();
        let mut faults = Faults::default();
        for line in text.lines() {
            match line.split_once(' ') {
                None if line == "disk-full" => faults.disk_full = true,
                None if line == "fsync-error" => faults.fsync_error = true,
                Some(("skew-ms", by)) => faults.skew_ms = by.parse().unwrap_or(0),
                None | Some(_) => {}
            }
        }
        faults
    }

    /// The real disk, until it is to fail.
    #[derive(Debug)]
    pub(super) struct FaultyDisk {
        dir: PathBuf,
        real: RealDisk,
    }

    #[derive(Debug)]
    struct FaultyFile {
        dir: PathBuf,
        real: Box<dyn DiskFile>,
        /// Whether the last room was used up.
        full: bool,
    }

    impl FaultyDisk {
        pub(super) fn new(dir: &Path) -> Self {
            Self { dir: dir.to_owned(), real: RealDisk }
        }

        fn file(&self, real: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
            Box::new(FaultyFile { dir: self.dir.clone(), real, full: false })
        }
    }

    impl Disk for FaultyDisk {
        fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
            if read(&self.dir).disk_full {
                return Err(io::Error::from_raw_os_error(NO_SPACE));
            }
            self.real.create(path).map(|real| self.file(real))
        }

        fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
            self.real.open(path).map(|real| self.file(real))
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            self.real.remove(path)
        }

        fn sync_dir(&self, path: &Path) -> io::Result<()> {
            if read(&self.dir).fsync_error {
                return Err(io::Error::from_raw_os_error(IO_ERROR));
            }
            self.real.sync_dir(path)
        }
    }

    impl DiskFile for FaultyFile {
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
            if !read(&self.dir).disk_full {
                self.full = false;
                return self.real.write_at(offset, bytes);
            }
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            if self.full || half.is_empty() {
                return Err(io::Error::from_raw_os_error(NO_SPACE));
            }
            self.full = true;
            self.real.write_at(offset, half)
        }

        fn sync_data(&mut self) -> io::Result<()> {
            if read(&self.dir).fsync_error {
                return Err(io::Error::from_raw_os_error(IO_ERROR));
            }
            self.real.sync_data()
        }

        fn truncate(&mut self, length: u64) -> io::Result<()> {
            self.real.truncate(length)
        }
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use std::fs;

    use super::hooks::{Faults, FaultyDisk, read};
    use super::*;

    #[test]
    fn what_the_file_says_is_in_force_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()), Faults::default());
        fs::write(folder.path().join("faults"), "skew-ms -500\nfsync-error\nunheard-of\n").unwrap();
        let faults = Faults { skew_ms: -500, fsync_error: true, ..Faults::default() };
        assert_eq!(read(folder.path()), faults);
    }

    #[test]
    fn a_full_disk_takes_half_and_then_nothing_until_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let (path, told) = (folder.path().join("log"), folder.path().join("faults"));
        let disk = FaultyDisk::new(folder.path());
        let mut file = disk.create(&path).unwrap();
        fs::write(&told, "disk-full\n").unwrap();
        assert_eq!(file.write_at(0, b"12345678").unwrap(), 4);
        let full = file.write_at(4, b"5678").unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        assert!(disk.create(&folder.path().join("other")).is_err());
        fs::remove_file(&told).unwrap();
        assert_eq!(file.write_at(4, b"5678").unwrap(), 4);
        assert_eq!(fs::read(&path).unwrap(), b"12345678");
    }

    #[test]
    fn a_failed_sync_is_an_error_of_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(folder.path());
        let mut file = disk.create(&folder.path().join("log")).unwrap();
        file.sync_data().unwrap();
        fs::write(folder.path().join("faults"), "fsync-error\n").unwrap();
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
        assert!(disk.sync_dir(folder.path()).is_err());
    }
}
