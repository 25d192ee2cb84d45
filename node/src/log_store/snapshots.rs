//! Snapshots: the validator's state at a height, so that a start need not replay the whole log.
//!
//! Only a shortcut: one that is damaged or does not fit the log is passed over, and the log alone
//! gives the same state.
//!
//! ```text
//!   file = magic (8) | version u32 | 0 u32 | height u64 | checkpoint hash (32) | state length u64
//!          | SHA-256 over all of this and the state | state
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::types::{Hash, Height};
use sha2::{Digest, Sha256};

use super::LogReader;
use super::files::{self, at};
use super::scan::{height_of, name_of};

/// Snapshots that are kept: the newest, and one to fall back on when it is damaged.
pub const KEPT: usize = 2;

const MAGIC: [u8; 8] = *b"quadsnap";
const VERSION: u32 = 1;
const FIELDS_BYTES: usize = 8 + 4 + 4 + 8 + 32 + 8;
const HEADER_BYTES: usize = FIELDS_BYTES + 32;

/// A saved state.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The height it stands at.
    pub height: Height,
    /// The hash of the checkpoint there.
    pub head: Hash,
    /// `Validator::snapshot`.
    pub state: Vec<u8>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { height, head, state } = self;
        write!(f, "Snapshot(height {height}, {head}, {} bytes)", state.len())
    }
}

/// The folder of snapshots. Cheap to clone, so that saving one need not hold up the log.
#[derive(Debug, Clone)]
pub struct Snapshots {
    dir: PathBuf,
    log: LogReader,
}

impl Snapshots {
    /// Clears away what a stop in the middle of saving left behind.
    pub(super) fn new(dir: PathBuf, log: LogReader) -> Self {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.as_os_str().as_encoded_bytes().ends_with(b".snap.new")
                && let Err(error) = std::fs::remove_file(&path)
            {
                tracing::warn!(path = %path.display(), %error, "half a snapshot stays");
            }
        }
        Self { dir, log }
    }

    /// The newest snapshot that is whole and fits the log.
    ///
    /// # Errors
    /// `Q-1905` when the folder or the log cannot be read.
    pub fn latest(&self) -> Result<Option<Snapshot>, Refusal> {
        for (height, path) in self.list()?.into_iter().rev() {
            match self.read(height, &path) {
                Ok(snapshot) => return Ok(Some(snapshot)),
                Err(why) => tracing::warn!(path = %path.display(), why, "passing over a snapshot"),
            }
        }
        Ok(None)
    }

    /// Saves a snapshot durably, then removes all but the newest [`KEPT`].
    ///
    /// # Errors
    /// `Q-1909`. The log is not concerned: the node can run on.
    pub fn save(&self, snapshot: &Snapshot) -> Result<(), Refusal> {
        let path = self.dir.join(name_of(snapshot.height, "snap"));
        let failed = |error: io::Error| Refusal::new(Code::SnapshotFailed, at(&path, &error));
        let fields = fields(snapshot);
        let sum = checksum(&fields, &snapshot.state);
        files::replace(&path, &[&fields, &sum, &snapshot.state]).map_err(failed)?;
        let snapshots = self.list()?;
        let old = snapshots.len().saturating_sub(KEPT);
        for (_, path) in snapshots.into_iter().take(old) {
            std::fs::remove_file(&path)
                .map_err(|error| Refusal::new(Code::SnapshotFailed, at(&path, &error)))?;
        }
        Ok(())
    }

    /// Every snapshot, oldest first.
    fn list(&self) -> Result<Vec<(Height, PathBuf)>, Refusal> {
        let unreadable =
            |error: io::Error| Refusal::new(Code::LogUnreadable, at(&self.dir, &error));
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if let Some(height) = height_of(&path, "snap") {
                found.push((height, path));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Reads one and holds it against the log; otherwise says why it cannot be used.
    fn read(&self, height: Height, path: &Path) -> Result<Snapshot, String> {
        let snapshot = read(path)?;
        if snapshot.height != height {
            return Err(format!("it is of height {}", snapshot.height));
        }
        let batch = self.log.batch(height).map_err(|refusal| refusal.to_string())?;
        let batch = batch.ok_or("the log has no such height")?;
        if batch.stored.checkpoint.hash() != snapshot.head {
            return Err("the log has another checkpoint at its height".to_owned());
        }
        Ok(snapshot)
    }
}

fn fields(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FIELDS_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&snapshot.height.0.to_le_bytes());
    bytes.extend_from_slice(snapshot.head.as_bytes());
    bytes.extend_from_slice(&(snapshot.state.len() as u64).to_le_bytes());
    bytes
}

fn checksum(fields: &[u8], state: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(fields);
    hasher.update(state);
    hasher.finalize().into()
}

/// A file that is whole.
fn read(path: &Path) -> Result<Snapshot, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).map_err(|error| error.to_string())?;
    let state_bytes = length - HEADER_BYTES as u64;
    if state_bytes > limits::SNAPSHOT_BYTES as u64 {
        return Err("it is too large".to_owned());
    }
    let mut state = Vec::with_capacity(usize::try_from(state_bytes).unwrap_or_default());
    file.read_to_end(&mut state).map_err(|error| error.to_string())?;
    let damaged = "its checksum does not match";
    let (fields, sum) = header.split_first_chunk::<FIELDS_BYTES>().ok_or(damaged)?;
    if sum != checksum(fields, &state) {
        return Err(damaged.to_owned());
    }
    let (height, head) = parse(fields).ok_or("it is of another version")?;
    Ok(Snapshot { height, head, state })
}

fn parse(fields: &[u8; FIELDS_BYTES]) -> Option<(Height, Hash)> {
    let rest = fields.strip_prefix(&MAGIC)?;
    let rest = rest.strip_prefix(&VERSION.to_le_bytes())?;
    let (_, rest) = rest.split_first_chunk::<4>()?;
    let (height, rest) = rest.split_first_chunk::<8>()?;
    let (head, _) = rest.split_first_chunk::<32>()?;
    Some((Height(u64::from_le_bytes(*height)), Hash(*head)))
}
