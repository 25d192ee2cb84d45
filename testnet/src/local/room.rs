//! Whether there is room on the disk, asked before anything is begun.

use std::io;
use std::path::Path;

use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;

/// What is left free beyond what is needed: the banks' logs grow.
const SPARE_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes that are free where `path` is, or will be.
///
/// # Errors
/// `Q-2204` when the system does not say.
pub fn free(path: &Path) -> Result<u64, Refusal> {
    let absolute = std::path::absolute(path).map_err(|error| files::cannot_read(path, &error))?;
    let there = absolute.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let told = rustix::fs::statvfs(there)
        .map_err(|error| files::cannot_read(there, &io::Error::from(error)))?;
    Ok(told.f_bavail.saturating_mul(told.f_frsize))
}

/// Goes on when there is room for `needed` bytes and some more.
///
/// # Errors
/// `Q-2371` there is not; `Q-2204`.
pub fn check(path: &Path, needed: u64) -> Result<(), Refusal> {
    let free = free(path)?;
    let wanted = needed.saturating_add(SPARE_BYTES);
    if free < wanted {
        let (path, megabytes) = (path.display(), |bytes: u64| bytes / 1_000_000);
        refuse!(
            NoRoom,
            "{path}: {} MB are needed, {} MB are free",
            megabytes(wanted),
            megabytes(free)
        );
    }
    Ok(())
}

/// What an error while writing means.
#[must_use]
pub fn write_failed(path: &Path, error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Refusal::new(Code::NoRoom, format!("{}: {error}", path.display()))
        }
        _ => files::cannot_write(path, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_room_is_said_before_anything_is_begun() {
        let folder = tempfile::tempdir().unwrap();
        let later = folder.path().join("not/there/yet");
        check(&later, 1).unwrap();
        let refusal = check(&later, u64::MAX / 2).unwrap_err();
        assert_eq!(refusal.code, Code::NoRoom);
        assert!(refusal.what.contains("are free"), "{refusal}");
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(write_failed(&later, &full).code, Code::NoRoom);
    }
}
