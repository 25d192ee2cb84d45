//! The holders' wallet: keys, ledgers and signed orders of the customers who use this client. A
//! node never sees a holder's key; orders are signed here.
//!
//! ```text
//! WALLET/lock                        held while something in here is changed
//! WALLET/holders/<name@bank>.key     the holder's secret key, encrypted
//! WALLET/holders/<name@bank>.json    its public half, and how to tell it
//! WALLET/ledgers/<digits>.json       a ledger: whose it is, the next nonce
//! WALLET/orders/<digits>.json        a signed order, under the id its user gave it
//! ```
//!
//! Invariants:
//! * An order is on the disk before it is sent, so that a repetition sends the same bytes: the
//!   bank recognises it and it takes effect once.
//! * One id stands for one order for ever; another content under it is refused.
//! * Two processes never sign two orders with one nonce.
//! * Secret keys are written encrypted only, and wiped from memory when dropped.

mod ledgers;
mod orders;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quadrille_protocol::crypto::suite::{PublicKey, SecretKey, Suite};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use quadrille_protocol::types::Holder;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::files::{self, Access};
use crate::network_file::{key_text, parse_key};
use crate::signer::generate_key;
use crate::signer::keyfile::{self, Cost};

pub use ledgers::WalletLedger;
pub use orders::{Draft, OrderStatus, StoredOrder};

/// Largest of the wallet's small files.
const FILE_BYTES: usize = 256 * 1024;
/// Holders, or ledgers, that a wallet lists.
const ENTRIES: usize = 65_536;
/// Longest wait for another process that changes the wallet.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How often a lock that is held is tried again.
const LOCK_POLL: Duration = Duration::from_millis(10);
/// What holders' key files say they are.
const KEY_KIND: &str = "holder-key";

/// A wallet.
#[derive(Debug, Clone)]
pub struct Wallet {
    dir: PathBuf,
}

/// A holder with a key in the wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletHolder {
    /// The holder.
    pub holder: Holder,
    /// Its public key.
    pub key: PublicKey,
}

#[derive(Serialize, Deserialize)]
struct HolderFile {
    holder: Holder,
    suite: u8,
    key_id: String,
    key: String,
}

impl Wallet {
    /// The wallet in `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// `Q-2205` when it cannot be made.
    pub fn open(dir: &Path) -> Result<Self, Refusal> {
        for folder in ["", "holders", "ledgers", "orders"] {
            files::private_folder(&dir.join(folder))?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Makes a key for a holder.
    ///
    /// # Errors
    /// `Q-2206` when the holder has one already, `Q-2205`.
    pub fn new_holder(
        &self,
        holder: &Holder,
        suite: Suite,
        passphrase: &str,
    ) -> Result<WalletHolder, Refusal> {
        self.add_holder(holder, &generate_key(suite)?, passphrase)
    }

    /// Takes up a key that was made for a holder.
    ///
    /// # Errors
    /// As [`Wallet::new_holder`].
    pub fn add_holder(
        &self,
        holder: &Holder,
        key: &SecretKey,
        passphrase: &str,
    ) -> Result<WalletHolder, Refusal> {
        self.add_holder_at(Cost::GUESSABLE, holder, key, passphrase)
    }

    /// As [`Wallet::add_holder`], with another cost of guessing the passphrase.
    ///
    /// # Errors
    /// As [`Wallet::new_holder`].
    pub fn add_holder_at(
        &self,
        cost: Cost,
        holder: &Holder,
        key: &SecretKey,
        passphrase: &str,
    ) -> Result<WalletHolder, Refusal> {
        let _lock = self.lock()?;
        let (public, secret) = (self.holder_file(holder), self.key_file(holder));
        if public.exists() {
            refuse!(FileExists, "{holder} has a key in this wallet");
        }
        // Without its public half the key was never used: its making was cut short.
        if secret.exists() {
            fs::remove_file(&secret).map_err(|error| files::cannot_write(&secret, &error))?;
        }
        keyfile::seal_bytes_at(cost, &secret, KEY_KIND, &key.to_bytes(), passphrase)?;
        let entry = WalletHolder { holder: holder.clone(), key: key.public().clone() };
        let file = HolderFile {
            holder: holder.clone(),
            suite: key.suite().number(),
            key_id: entry.key.id().to_string(),
            key: key_text(&entry.key),
        };
        write(&public, &file)?;
        Ok(entry)
    }

    /// The holders with a key here, by name.
    ///
    /// # Errors
    /// `Q-2204`.
    pub fn holders(&self) -> Result<Vec<WalletHolder>, Refusal> {
        let mut holders = Vec::new();
        for path in self.json_files("holders")? {
            holders.push(self.read_holder(&path)?);
        }
        holders.sort_by(|left, right| left.holder.cmp(&right.holder));
        Ok(holders)
    }

    /// A holder with a key here.
    ///
    /// # Errors
    /// `Q-2215` when there is none.
    pub fn holder(&self, holder: &Holder) -> Result<WalletHolder, Refusal> {
        let path = self.holder_file(holder);
        if !path.exists() {
            refuse!(NoHolderKey, "{holder} in {}", self.dir.display());
        }
        self.read_holder(&path)
    }

    /// Opens a holder's secret key.
    ///
    /// # Errors
    /// `Q-2215` when there is none, those of [`keyfile::open_bytes`].
    pub fn unlock(&self, holder: &Holder, passphrase: &str) -> Result<SecretKey, Refusal> {
        let entry = self.holder(holder)?;
        let bytes = keyfile::open_bytes(&self.key_file(holder), KEY_KIND, passphrase)?;
        let key = SecretKey::from_bytes(&bytes)?;
        if *key.public() != entry.key {
            refuse!(WrongKey, "the two files of {holder} are of different keys");
        }
        Ok(key)
    }

    fn read_holder(&self, path: &Path) -> Result<WalletHolder, Refusal> {
        let file: HolderFile = read(path)?;
        Ok(WalletHolder { holder: file.holder, key: parse_key(&file.key)? })
    }

    fn holder_file(&self, holder: &Holder) -> PathBuf {
        self.dir.join("holders").join(format!("{holder}.json"))
    }

    fn key_file(&self, holder: &Holder) -> PathBuf {
        self.dir.join("holders").join(format!("{holder}.key"))
    }

    fn json_files(&self, folder: &str) -> Result<Vec<PathBuf>, Refusal> {
        let folder = self.dir.join(folder);
        let cannot = |error: &std::io::Error| files::cannot_read(&folder, error);
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).map_err(|error| cannot(&error))? {
            let path = entry.map_err(|error| cannot(&error))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                paths.push(path);
            }
            if paths.len() > ENTRIES {
                refuse!(TooMany, "more than {ENTRIES} files in {}", folder.display());
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// Keeps other processes from changing the wallet while the returned file is open.
    fn lock(&self) -> Result<File, Refusal> {
        let path = self.dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| files::cannot_write(&path, &error))?;
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(LOCK_POLL);
                }
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(Refusal::new(Code::WalletInUse, self.dir.display().to_string()));
                }
                Err(fs::TryLockError::Error(error)) => {
                    return Err(files::cannot_write(&path, &error));
                }
            }
        }
    }
}

/// Writes one of the wallet's small files.
fn write(path: &Path, value: &impl Serialize) -> Result<(), Refusal> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|error| Refusal::new(Code::CannotWrite, error.to_string()))?;
    text.push(b'\n');
    files::replace(path, &text, Access::Private)
}

/// Reads one of the wallet's small files.
fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Refusal> {
    let bytes = files::read(path, FILE_BYTES)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::new(Code::CannotRead, format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests;
