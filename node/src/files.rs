//! Files that are written whole: small texts that must be all there or not at all.
//!
//! Invariants:
//! * A file that exists is never overwritten by [`create`]; [`replace`] puts a whole new one in
//!   its place, so that a reader or a crash never meets half a file.
//! * What is written is on the disk, its name included, when the call returns.
//! * Nothing is read beyond a limit that the caller names.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use quadrille_protocol::error::{Code, Refusal};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody on the machine, as far as the user's mask allows.
    Public,
    /// Its owner alone: mode 0600.
    Private,
}

impl Access {
    const fn mode(self) -> u32 {
        match self {
            Self::Public => 0o644,
            Self::Private => 0o600,
        }
    }
}

/// Writes a new file.
///
/// # Errors
/// `Q-2206` when it exists, `Q-2205` when it cannot be written.
pub fn create(path: &Path, bytes: &[u8], access: Access) -> Result<(), Refusal> {
    let made = OpenOptions::new().write(true).create_new(true).mode(access.mode()).open(path);
    let mut file = match made {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Refusal::new(Code::FileExists, path.display().to_string()));
        }
        Err(error) => return Err(cannot_write(path, &error)),
    };
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // Half a file would stand in the way of the next try.
        let _ = fs::remove_file(path);
        return Err(cannot_write(path, &error));
    }
    sync_folder(path)
}

/// Writes a file, in place of one that may be there.
///
/// # Errors
/// `Q-2205`; what was there is then untouched.
pub fn replace(path: &Path, bytes: &[u8], access: Access) -> Result<(), Refusal> {
    let beside = beside(path);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(cannot_write(&beside, &error));
        }
        Ok(()) | Err(_) => {}
    }
    create(&beside, bytes, access)?;
    fs::rename(&beside, path).map_err(|error| cannot_write(path, &error))?;
    sync_folder(path)
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// `Q-2204` when it cannot be read, `Q-1001` when it is longer.
pub fn read(path: &Path, most: usize) -> Result<Vec<u8>, Refusal> {
    let file = File::open(path).map_err(|error| cannot_read(path, &error))?;
    let mut bytes = Vec::new();
    let room = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    file.take(room).read_to_end(&mut bytes).map_err(|error| cannot_read(path, &error))?;
    if bytes.len() > most {
        let what = format!("{} has more than {most} bytes", path.display());
        return Err(Refusal::new(Code::TooLarge, what));
    }
    Ok(bytes)
}

/// Reads a text file of at most `most` bytes.
///
/// # Errors
/// As [`read`]; `Q-2204` when it is not UTF-8.
pub fn read_text(path: &Path, most: usize) -> Result<String, Refusal> {
    String::from_utf8(read(path, most)?).map_err(|_| {
        Refusal::new(Code::CannotRead, format!("{} is not UTF-8 text", path.display()))
    })
}

/// Makes a folder, and those above it, that only its owner may look into. One that is there is
/// left as it is: its permissions are its owner's business.
///
/// # Errors
/// `Q-2205`.
pub fn private_folder(path: &Path) -> Result<(), Refusal> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| cannot_write(path, &error))
}

/// The refusal for a file that cannot be read.
#[must_use]
pub fn cannot_read(path: &Path, error: &io::Error) -> Refusal {
    Refusal::new(Code::CannotRead, format!("{}: {error}", path.display()))
}

/// The refusal for a file that cannot be written.
#[must_use]
pub fn cannot_write(path: &Path, error: &io::Error) -> Refusal {
    Refusal::new(Code::CannotWrite, format!("{}: {error}", path.display()))
}

/// The folder that a file is in.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    path.with_file_name(name)
}

/// A new name is on the disk only once its folder is.
fn sync_folder(path: &Path) -> Result<(), Refusal> {
    let folder = folder_of(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| cannot_write(folder, &error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_folder_is_private_and_an_old_one_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let new = folder.path().join("a/b");
        private_folder(&new).unwrap();
        assert_eq!((mode(&new), mode(&folder.path().join("a"))), (0o700, 0o700));
        let old = folder.path().join("old");
        fs::create_dir(&old).unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
        private_folder(&old).unwrap();
        assert_eq!(mode(&old), 0o755);
    }

    #[test]
    fn a_file_that_exists_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        create(&path, b"first", Access::Public).unwrap();
        let refusal = create(&path, b"second", Access::Public).unwrap_err();
        assert_eq!(refusal.code, Code::FileExists);
        assert_eq!(read(&path, 100).unwrap(), b"first");
    }

    #[test]
    fn a_private_file_is_the_owner_s_alone_also_when_it_replaces_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        create(&path, b"first", Access::Public).unwrap();
        replace(&path, b"second", Access::Private).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path, 100).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_leftover_of_a_crash_does_not_stand_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(folder.path().join("a.new"), b"half").unwrap();
        replace(&path, b"whole", Access::Public).unwrap();
        assert_eq!(read(&path, 100).unwrap(), b"whole");
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        create(&path, b"12345", Access::Public).unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().code, Code::TooLarge);
        assert_eq!(read(&folder.path().join("b"), 4).unwrap_err().code, Code::CannotRead);
    }
}
