//! The guard: the height and hash of the last checkpoint that was signed, on disk before the
//! signature is made.
//!
//! ```text
//!   guard = slot 0 (one page) | slot 1 (one page)
//!   slot  = magic (8) | version u32 | noted u8, 0 (3) | number u64 | height u64 | hash (32)
//!           | log id (32) | crc32 over all of this
//! ```
//!
//! The slots are written in turn; the whole one with the higher number counts. A write that a
//! power cut breaks spoils the older one only, and what it was to note was never signed. The
//! slots never move or grow, so that a note costs one write and one `fdatasync` of data alone.
//!
//! Keep it on another disk than the log: then it notices that the log was put back.
//!
//! On a disk of its own every note is synced before the signature is made. On the log's own disk
//! that would cost a second sync for each batch and prove little: the log, which is synced before
//! anything is signed, is never behind what was said, whatever is lost. There notes are written
//! each time and synced now and then. A process that dies leaves them whole; a power cut may lose
//! the last ones, and then nothing relies on the guard: the file `unsynced` beside it names the
//! boot of the machine under which notes were not synced, and a start under another boot knows by
//! it that the guard may be old ([`GuardFile::is_certain`]).

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Domain, Hash, Height, Network};
use quadrille_protocol::validator::Guard;
use sha2::{Digest, Sha256};

use crate::log_store::files::{self, DirLock, at};

const MAGIC: [u8; 8] = *b"quadgard";
const VERSION: u32 = 1;
/// One slot to a page and more: no disk spoils both in one write.
const SLOT_SPACING: u64 = 4096;
const FIELDS_BYTES: usize = 8 + 4 + 4 + 8 + 8 + 32 + 32;
const SLOT_BYTES: usize = FIELDS_BYTES + 4;

/// How long notes may go unsynced where not each is synced.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// What the system calls this boot of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// When notes are made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncing {
    /// Each, before the signature.
    EachNote,
    /// Now and then: only where the log is on the same disk.
    NowAndThen,
}

/// The guard of one domain's signer, locked for this process.
#[derive(Debug)]
pub struct GuardFile {
    path: PathBuf,
    whose: [u8; 32],
    syncing: Syncing,
    certain: bool,
    state: Mutex<State>,
    _lock: DirLock,
}

#[derive(Debug)]
struct State {
    file: File,
    slot: Slot,
    failed: Option<Refusal>,
    /// When notes were last synced; `None` before the first of this process.
    synced: Option<Instant>,
}

/// What one slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    number: u64,
    guard: Option<Guard>,
    whose: [u8; 32],
}

impl GuardFile {
    /// Opens the guard in `dir`, or begins one that has noted nothing.
    ///
    /// # Errors
    /// `Q-1901` another process has it; `Q-1907` another domain's; `Q-1911` neither slot is whole;
    /// `Q-1912` the disk fails.
    pub fn open(
        dir: &Path,
        network: &Network,
        domain: &Domain,
        syncing: Syncing,
    ) -> Result<Self, Refusal> {
        let path = dir.join("guard");
        let failed = |error: io::Error| guard_failed(&path, &error);
        files::create_private_dir(dir).map_err(failed)?;
        let lock = DirLock::acquire(dir, Code::GuardFailed)?;
        let whose = whose(network, domain);
        if !path.try_exists().map_err(failed)? {
            create(&path, whose).map_err(failed)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed)?;
        let slots = [read_slot(&file, 0).map_err(failed)?, read_slot(&file, 1).map_err(failed)?];
        let newest = slots.into_iter().flatten().max_by_key(|slot| slot.number);
        let Some(slot) = newest else {
            refuse!(GuardDamaged, "{}: neither slot is whole", path.display());
        };
        if slot.whose != whose {
            refuse!(WrongLog, "{} is not the guard of {domain} in {network}", path.display());
        }
        // What was read may be in memory only, if its writer was stopped: see `make_durable`
        // in the log's opening.
        write_slot(&file, slot).and_then(|()| file.sync_data()).map_err(failed)?;
        let unsynced = read_unsynced(dir).map_err(failed)?;
        let certain = unsynced.is_none() || unsynced == boot();
        let state = Mutex::new(State { file, slot, failed: None, synced: None });
        Ok(Self { path, whose, syncing, certain, state, _lock: lock })
    }

    /// Whether [`GuardFile::last`], as it was found, is what was noted last: a power cut has not
    /// taken anything from it.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.certain
    }

    /// The last checkpoint noted.
    #[must_use]
    pub fn last(&self) -> Option<Guard> {
        self.lock().slot.guard
    }

    /// Notes that the checkpoint with this hash is about to be signed at this height; durable
    /// when it returns, where each note is synced. The same once more is fine.
    ///
    /// # Errors
    /// `Q-1910` another hash for the height, or a later height noted; `Q-1912` the disk fails,
    /// after which nothing more is noted.
    pub fn note(&self, height: Height, hash: Hash) -> Result<(), Refusal> {
        let mut state = self.lock();
        if let Some(first) = &state.failed {
            refuse!(GuardFailed, "not after what happened before: {first}");
        }
        if let Some(known) = state.slot.guard {
            if height == known.height && hash == known.hash {
                return Ok(());
            }
            if height == known.height {
                refuse!(GuardRefused, "{height} was signed as {}, not as {hash}", known.hash);
            }
            if height < known.height {
                refuse!(GuardRefused, "{height}, after {} was signed", known.height);
            }
        }
        let slot = Slot {
            number: state.slot.number.saturating_add(1),
            guard: Some(Guard { height, hash }),
            whose: self.whose,
        };
        let written = write_slot(&state.file, slot).and_then(|()| self.sync(&mut state));
        match written {
            Ok(()) => {
                state.slot = slot;
                Ok(())
            }
            Err(error) => {
                let refusal = guard_failed(&self.path, &error);
                state.failed = Some(refusal.clone());
                Err(refusal)
            }
        }
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Makes the note durable, if it is time.
    fn sync(&self, state: &mut State) -> io::Result<()> {
        let due = match (self.syncing, state.synced) {
            (Syncing::EachNote, _) => true,
            (Syncing::NowAndThen, Some(synced)) => synced.elapsed() >= SYNC_EVERY,
            (Syncing::NowAndThen, None) => {
                // Whoever signs has heard what an old guard could not tell: from here on the
                // guard is uncertain only if this boot ends before the notes are synced.
                mark_unsynced(self.folder())?;
                true
            }
        };
        if due {
            state.file.sync_data()?;
            state.synced = Some(Instant::now());
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for GuardFile {
    fn drop(&mut self) {
        let state = self.lock();
        let noted = state.synced.is_some() && state.failed.is_none();
        if noted && self.syncing == Syncing::NowAndThen && state.file.sync_data().is_ok() {
            // What stays behind costs the next start some questions and nothing else.
            let _ = std::fs::remove_file(unsynced(self.folder()));
        }
    }
}

impl Slot {
    fn to_bytes(self) -> Vec<u8> {
        let none = Guard { height: Height(0), hash: Hash::ZERO };
        let guard = self.guard.unwrap_or(none);
        let mut bytes = Vec::with_capacity(SLOT_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[u8::from(self.guard.is_some()), 0, 0, 0]);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&guard.height.0.to_le_bytes());
        bytes.extend_from_slice(guard.hash.as_bytes());
        bytes.extend_from_slice(&self.whose);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8; SLOT_BYTES]) -> Option<Self> {
        let (fields, crc) = bytes.split_first_chunk::<FIELDS_BYTES>()?;
        if crc != crc32fast::hash(fields).to_le_bytes() {
            return None;
        }
        let rest = fields.strip_prefix(&MAGIC)?.strip_prefix(&VERSION.to_le_bytes())?;
        let (noted, rest) = rest.split_first_chunk::<4>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (height, rest) = rest.split_first_chunk::<8>()?;
        let (hash, rest) = rest.split_first_chunk::<32>()?;
        let whose = *rest.first_chunk::<32>()?;
        let height = Height(u64::from_le_bytes(*height));
        let guard = (noted.first() == Some(&1)).then_some(Guard { height, hash: Hash(*hash) });
        Some(Self { number: u64::from_le_bytes(*number), guard, whose })
    }
}

/// A new guard has both slots whole, before it has its name.
fn create(path: &Path, whose: [u8; 32]) -> io::Result<()> {
    let slot = |number| Slot { number, guard: None, whose }.to_bytes();
    let gap = vec![0; SLOT_SPACING as usize - SLOT_BYTES];
    files::create_new(path, &[&slot(0), &gap, &slot(1), &gap])
}

fn read_slot(file: &File, place: u64) -> io::Result<Option<Slot>> {
    let mut bytes = [0; SLOT_BYTES];
    match file.read_exact_at(&mut bytes, place * SLOT_SPACING) {
        Ok(()) => Ok(Slot::read(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_slot(file: &File, slot: Slot) -> io::Result<()> {
    file.write_all_at(&slot.to_bytes(), slot.number % 2 * SLOT_SPACING)
}

fn unsynced(dir: &Path) -> PathBuf {
    dir.join("unsynced")
}

/// Under which boot notes were left unsynced, if they were; what cannot be read is no boot's.
fn read_unsynced(dir: &Path) -> io::Result<Option<String>> {
    match std::fs::read_to_string(unsynced(dir)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Durably names this boot. A boot that the system does not name is told from every other.
fn mark_unsynced(dir: &Path) -> io::Result<()> {
    let name = boot().unwrap_or_default();
    let path = unsynced(dir);
    let mut file = File::create(&path)?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    File::open(dir)?.sync_all()
}

fn boot() -> Option<String> {
    std::fs::read_to_string(BOOT_ID).ok().filter(|name| !name.is_empty())
}

fn whose(network: &Network, domain: &Domain) -> [u8; 32] {
    let mut state = Sha256::new();
    state.update(b"quadrille guard of ");
    // Neither name can have a space in it.
    state.update(network.as_str());
    state.update(b" ");
    state.update(domain.as_str());
    state.finalize().into()
}

fn guard_failed(path: &Path, error: &io::Error) -> Refusal {
    Refusal::new(Code::GuardFailed, at(path, error))
}
