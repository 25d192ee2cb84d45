//! Files with secrets: encrypted under a passphrase, for the owner's eyes only.
//!
//! ```text
//!   {"quadrille":"keys","version":1,"kdf":"argon2id","memory_kib":65536,"passes":3,"lanes":1,
//!    "salt":"…","cipher":"chacha20-poly1305","nonce":"…","ciphertext":"…","sum":"…"}
//! ```
//!
//! Invariants:
//! * Salt and nonce are new whenever a file is written, so no key is ever used twice.
//! * The authenticator covers everything but `sum`. `sum` is a plain SHA-256 over the same: it
//!   tells a damaged file from a wrong passphrase, and protects nothing.
//! * A file that others can open is not read, so that nobody gets used to it.
//! * The parameters in a file are bounded before they are used: a file cannot ask for more memory
//!   than there is.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Keys;
use super::keys::fill;
use crate::log_store::files::{self, at};

/// What a domain's key file says it is.
pub const KEYS: &str = "keys";

const VERSION: u32 = 1;
const KDF: &str = "argon2id";
const CIPHER: &str = "chacha20-poly1305";
const SALT_BYTES: usize = 16;
/// The most that a file may ask for.
const MOST: Cost = Cost { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };
/// The largest file.
const FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Bits of a mode that let others in.
const OTHERS: u32 = 0o077;

/// How dear a guess of the passphrase is. It stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// For a passphrase that people have thought of: some tenth of a second.
    pub const GUESSABLE: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
    /// For one of 128 random bits or more, which nobody guesses however cheap it is to try: some
    /// thousandth of a second.
    pub const RANDOM: Self = Self { memory_kib: 1024, passes: 1, lanes: 1 };
}

/// The file as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct SecretFile {
    quadrille: String,
    version: u32,
    kdf: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    cipher: String,
    nonce: String,
    ciphertext: String,
    sum: String,
}

/// Writes a domain's keys to a new file, and its folder if there is none.
///
/// # Errors
/// `Q-1918` there is a file; `Q-1919` it cannot be written; `Q-1922`.
pub fn create(path: &Path, keys: &Keys, passphrase: &str) -> Result<(), Refusal> {
    create_at(Cost::GUESSABLE, path, keys, passphrase)
}

/// As [`create`], at another cost.
///
/// # Errors
/// As for [`create`].
pub fn create_at(cost: Cost, path: &Path, keys: &Keys, passphrase: &str) -> Result<(), Refusal> {
    seal_bytes_at(cost, path, KEYS, &stored(keys)?, passphrase)
}

/// Reads a domain's keys.
///
/// # Errors
/// `Q-1915` wrong passphrase; `Q-1916` open to others; `Q-1917` damaged; `Q-1908` another
/// version's; `Q-1919` it cannot be read; `Q-1920` of another kind.
pub fn open(path: &Path, passphrase: &str) -> Result<Keys, Refusal> {
    Keys::from_bytes(&open_bytes(path, KEYS, passphrase)?)
}

/// Writes a domain's keys in place of those in the file, at once and durably; for a new epoch.
///
/// # Errors
/// As for [`create`], without `Q-1918`. The old file is there unless the new one is.
pub fn replace(path: &Path, keys: &Keys, passphrase: &str) -> Result<(), Refusal> {
    replace_bytes(path, KEYS, &stored(keys)?, passphrase)
}

/// Writes secret bytes of some `kind` to a new file, and its folder if there is none.
///
/// # Errors
/// As for [`create`].
pub fn seal_bytes(path: &Path, kind: &str, bytes: &[u8], passphrase: &str) -> Result<(), Refusal> {
    seal_bytes_at(Cost::GUESSABLE, path, kind, bytes, passphrase)
}

/// As [`seal_bytes`], at another cost.
///
/// # Errors
/// As for [`create`].
pub fn seal_bytes_at(
    cost: Cost,
    path: &Path,
    kind: &str,
    bytes: &[u8],
    passphrase: &str,
) -> Result<(), Refusal> {
    files::create_private_dir(files::parent(path)).map_err(|error| failed(path, &error))?;
    let text = encrypt(cost, kind, bytes, passphrase)?;
    files::create_new(path, &[&text]).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Refusal::new(Code::SecretFileExists, path.display().to_string())
        }
        _ => failed(path, &error),
    })
}

/// Writes secret bytes in place of those in the file, at once and durably.
///
/// # Errors
/// As for [`replace`].
pub fn replace_bytes(
    path: &Path,
    kind: &str,
    bytes: &[u8],
    passphrase: &str,
) -> Result<(), Refusal> {
    let text = encrypt(Cost::GUESSABLE, kind, bytes, passphrase)?;
    files::replace(path, &[&text]).map_err(|error| failed(path, &error))
}

/// Reads secret bytes of some `kind`.
///
/// # Errors
/// As for [`open`].
pub fn open_bytes(
    path: &Path,
    kind: &str,
    passphrase: &str,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let text = read_private(path)?;
    let damaged = || Refusal::new(Code::SecretFileDamaged, path.display().to_string());
    let file: SecretFile = serde_json::from_slice(&text).map_err(|_| damaged())?;
    if file.version != VERSION || file.kdf != KDF || file.cipher != CIPHER {
        let SecretFile { version, kdf, cipher, .. } = &file;
        let path = path.display();
        refuse!(UnknownFormat, "{path}: version {version}, {kdf}, {cipher}");
    }
    let nonce = hex::decode(&file.nonce).ok().and_then(|bytes| bytes.try_into().ok());
    let nonce: [u8; NONCE_LEN] = nonce.ok_or_else(damaged)?;
    let salt = hex::decode(&file.salt).map_err(|_| damaged())?;
    let mut bytes = Zeroizing::new(hex::decode(&file.ciphertext).map_err(|_| damaged())?);
    let header = file.header();
    if file.sum != sum(&header, &bytes) {
        return Err(damaged());
    }
    if file.quadrille != kind {
        let found = quadrille_protocol::types::Detail::shortened(&file.quadrille);
        refuse!(WrongSecretFile, "{} is of kind `{found}`, not `{kind}`", path.display());
    }
    let key = derive(passphrase, &salt, file.cost()).ok_or_else(damaged)?;
    let nonce = Nonce::assume_unique_for_key(nonce);
    let wrong = |_| Refusal::new(Code::WrongPassphrase, path.display().to_string());
    let opened = key.open_in_place(nonce, Aad::from(header), &mut bytes).map_err(wrong)?.len();
    bytes.truncate(opened);
    Ok(bytes)
}

fn stored(keys: &Keys) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    if keys.epochs.is_empty() {
        refuse!(NoSecretKey, "{} has no signing key to store", keys.domain);
    }
    Ok(keys.to_bytes())
}

fn encrypt(cost: Cost, kind: &str, bytes: &[u8], passphrase: &str) -> Result<Vec<u8>, Refusal> {
    let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_LEN]);
    fill(&mut salt)?;
    fill(&mut nonce)?;
    let mut file = SecretFile {
        quadrille: kind.to_owned(),
        version: VERSION,
        kdf: KDF.to_owned(),
        memory_kib: cost.memory_kib,
        passes: cost.passes,
        lanes: cost.lanes,
        salt: hex::encode(salt),
        cipher: CIPHER.to_owned(),
        nonce: hex::encode(nonce),
        ciphertext: String::new(),
        sum: String::new(),
    };
    let header = file.header();
    let unable = || Refusal::new(Code::SecretFileFailed, "it cannot be encrypted here");
    let key = derive(passphrase, &salt, cost).ok_or_else(unable)?;
    // Room for the authenticator, so that the secret does not move and leave a copy.
    let mut sealed = Zeroizing::new(Vec::with_capacity(bytes.len() + 64));
    sealed.extend_from_slice(bytes);
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::from(&header), &mut *sealed).map_err(|_| unable())?;
    file.ciphertext = hex::encode(&*sealed);
    file.sum = sum(&header, &sealed);
    let mut text = serde_json::to_vec_pretty(&file).map_err(|_| unable())?;
    text.push(b'\n');
    Ok(text)
}

impl SecretFile {
    const fn cost(&self) -> Cost {
        Cost { memory_kib: self.memory_kib, passes: self.passes, lanes: self.lanes }
    }

    /// What is authenticated beside the secret: everything that says how to read it.
    fn header(&self) -> Vec<u8> {
        let Self {
            quadrille, version, kdf, memory_kib, passes, lanes, salt, cipher, nonce, ..
        } = self;
        let fields = [
            quadrille.clone(),
            version.to_string(),
            kdf.clone(),
            memory_kib.to_string(),
            passes.to_string(),
            lanes.to_string(),
            salt.clone(),
            cipher.clone(),
            nonce.clone(),
        ];
        // A length before each, so that no two lists of fields give the same bytes.
        let lines = fields.iter().map(|field| format!("{}:{field}\n", field.len()));
        lines.collect::<String>().into_bytes()
    }
}

/// The cipher's key; `None` when the parameters are out of bounds.
fn derive(passphrase: &str, salt: &[u8], cost: Cost) -> Option<LessSafeKey> {
    let Cost { memory_kib, passes, lanes } = cost;
    if memory_kib > MOST.memory_kib || passes > MOST.passes || lanes > MOST.lanes {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(memory_kib, passes, lanes, Some(key.len())).ok()?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
        .ok()?;
    UnboundKey::new(&CHACHA20_POLY1305, key.as_slice()).ok().map(LessSafeKey::new)
}

fn sum(header: &[u8], ciphertext: &[u8]) -> String {
    let mut state = Sha256::new();
    state.update(header);
    state.update(ciphertext);
    hex::encode(state.finalize())
}

/// The contents of a file that nobody else can open.
fn read_private(path: &Path) -> Result<Vec<u8>, Refusal> {
    let file = File::open(path).map_err(|error| failed(path, &error))?;
    let metadata = file.metadata().map_err(|error| failed(path, &error))?;
    let mode = metadata.permissions().mode();
    if mode & OTHERS != 0 {
        let (path, mode) = (path.display(), mode & 0o777);
        refuse!(OpenToOthers, "{path} has mode {mode:04o}; run: chmod 600 {path}");
    }
    if metadata.len() > FILE_BYTES {
        refuse!(SecretFileDamaged, "{}: {} bytes", path.display(), metadata.len());
    }
    let mut text = Vec::new();
    file.take(FILE_BYTES).read_to_end(&mut text).map_err(|error| failed(path, &error))?;
    Ok(text)
}

fn failed(path: &Path, error: &io::Error) -> Refusal {
    Refusal::new(Code::SecretFileFailed, at(path, error))
}
