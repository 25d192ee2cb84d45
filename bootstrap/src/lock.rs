//! Locks between processes: a file that one process at a time holds locked, with its number in
//! it for the messages of the others.
//!
//! Invariant: the lock goes with the process, however it ends; a file that was left behind
//! locks nobody out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};

/// Longest text that is read from a lock file.
const HOLDER_BYTES: u64 = 32;

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock.
///
/// # Errors
/// `in_use`, with the holder's process number, when another one has it; `Q-2205` when the file
/// cannot be written.
pub fn take(path: &Path, in_use: Code) -> Result<Lock, Refusal> {
    let failed = |error: io::Error| files::cannot_write(path, &error);
    let mut options = OpenOptions::new();
    // Not cut to length 0 here: it may hold another process's number.
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Who holds it is a courtesy; that somebody does is what counts.
            let _ = file.take(HOLDER_BYTES).read_to_string(&mut holder);
            let what = format!("{} by process {}", path.display(), holder.trim());
            return Err(Refusal::new(in_use, what));
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let number = format!("{}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)).map(|_| ()))
        .and_then(|()| file.write_all(number.as_bytes()))
        .map_err(failed)?;
    Ok(Lock { _file: file })
}
