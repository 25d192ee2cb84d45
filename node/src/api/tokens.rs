//! Bearer tokens: who may use the HTTP interface, and as what.
//!
//! A token is 256 random bits, so its plain SHA-256 is kept: there is nothing to guess that a
//! slow hash would protect, and a look at the file gives nobody a token. The file is read again
//! as soon as it changes; one that cannot be read lets nobody in.
//!
//! Invariants: a token is shown once, when it is made, and is in no file or log; every stored
//! hash is compared, each in constant time, so that the time an answer takes tells nothing.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Detail, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// What every token begins with, so that a leaked one is recognised.
pub const PREFIX: &str = "qd_";
/// Random bytes of a token.
const SECRET_BYTES: usize = 32;
/// Tokens in one file.
const TOKENS_MAX: usize = 1024;
/// Largest file of tokens.
const FILE_BYTES: u64 = 1024 * 1024;

/// What a token's bearer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Operator,
    /// Read everything, hand in holders' signed orders.
    Trader,
    /// Read everything.
    Auditor,
}

impl Role {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Trader => "trader",
            Self::Auditor => "auditor",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let known = [Self::Operator, Self::Trader, Self::Auditor];
        known
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| Refusal::new(Code::BadTokenFile, "role: operator, trader or auditor"))
    }
}

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// Names it in lists and logs; no part of the secret.
    pub id: String,
    /// What its bearer may do.
    pub role: Role,
    /// For people.
    pub label: Detail,
    /// When it was made.
    pub created: Time,
    /// SHA-256 of the token, in hexadecimal digits.
    pub sha256: String,
}

/// A token that was just made: the only time that it is seen.
pub struct NewToken {
    /// What is kept of it.
    pub entry: TokenEntry,
    /// The token, to be given to its bearer.
    pub token: Zeroizing<String>,
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("entry", &self.entry).finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    #[serde(default)]
    token: Vec<TokenEntry>,
}

/// Makes a token and adds it to the file, which is made if it is missing.
///
/// # Errors
/// `Q-2124`.
pub fn create(path: &Path, role: Role, label: &str, now: Time) -> Result<NewToken, Refusal> {
    let label: Detail = label.parse()?;
    let _lock = lock(path)?;
    let mut file = read_or_empty(path)?;
    if file.token.len() >= TOKENS_MAX {
        refuse!(BadTokenFile, "{TOKENS_MAX} tokens already: revoke some");
    }
    let secret = Zeroizing::new(rand::random::<[u8; SECRET_BYTES]>());
    let token = Zeroizing::new(format!("{PREFIX}{}", *Zeroizing::new(hex::encode(*secret))));
    let sha256 = hex::encode(digest(&token));
    let id = loop {
        let id = format!("t-{}", hex::encode(rand::random::<[u8; 4]>()));
        if file.token.iter().all(|known| known.id != id) {
            break id;
        }
    };
    let entry = TokenEntry { id, role, label, created: now, sha256 };
    file.token.push(entry.clone());
    write(path, &file)?;
    Ok(NewToken { entry, token })
}

/// What is kept of each token.
///
/// # Errors
/// `Q-2124`.
pub fn list(path: &Path) -> Result<Vec<TokenEntry>, Refusal> {
    Ok(read_or_empty(path)?.token)
}

/// Takes the token with this id out: its next request is refused.
///
/// # Errors
/// `Q-2125` there is none, `Q-2124`.
pub fn revoke(path: &Path, id: &str) -> Result<TokenEntry, Refusal> {
    let _lock = lock(path)?;
    let mut file = read_or_empty(path)?;
    let at = file.token.iter().position(|known| known.id == id);
    let at = at.ok_or_else(|| Refusal::new(Code::UnknownToken, id))?;
    let entry = file.token.remove(at);
    write(path, &file)?;
    Ok(entry)
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A refusal that names the file.
fn bad(path: &Path, what: impl fmt::Display) -> Refusal {
    Refusal::new(Code::BadTokenFile, format!("{}: {what}", path.display()))
}

/// Held by whoever changes the file, so that no change gets lost.
fn lock(path: &Path) -> Result<File, Refusal> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| bad(folder, error))?;
    }
    let beside = path.with_extension("lock");
    let file =
        OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(&beside);
    let file = file.map_err(|error| bad(&beside, error))?;
    file.lock().map_err(|error| bad(&beside, error))?;
    Ok(file)
}

fn read_or_empty(path: &Path) -> Result<TokenFile, Refusal> {
    match File::open(path) {
        Ok(file) => read(path, file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(TokenFile::default()),
        Err(error) => Err(bad(path, error)),
    }
}

fn read(path: &Path, file: File) -> Result<TokenFile, Refusal> {
    let metadata = file.metadata().map_err(|error| bad(path, error))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(bad(path, format!("others may read it; run chmod 600 {}", path.display())));
    }
    let mut text = String::new();
    let read = file.take(FILE_BYTES + 1).read_to_string(&mut text);
    let read = read.map_err(|error| bad(path, error))?;
    if read as u64 > FILE_BYTES {
        return Err(bad(path, format!("over {FILE_BYTES} bytes")));
    }
    // The parser's own message may quote the line; it holds hashes at most.
    let file: TokenFile = toml::from_str(&text).map_err(|error| bad(path, error.message()))?;
    if file.token.len() > TOKENS_MAX {
        return Err(bad(path, format!("over {TOKENS_MAX} tokens")));
    }
    Ok(file)
}

/// Writes a new file beside the old one and puts it in its place: readers see one or the other.
fn write(path: &Path, file: &TokenFile) -> Result<(), Refusal> {
    const HEAD: &str = "# Who may use this node's HTTP interface. Made by `quadrille token`.\n\
                        # Only hashes are kept; a lost token is revoked and made anew.\n\n";
    let text = toml::to_string(file).map_err(|error| bad(path, error))?;
    let beside = path.with_extension("new");
    // A left-over of a hard stop; its maker held the lock that we hold now.
    let _ = fs::remove_file(&beside);
    let made = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside);
    let mut made = made.map_err(|error| bad(&beside, error))?;
    let written = made.write_all(HEAD.as_bytes()).and_then(|()| made.write_all(text.as_bytes()));
    written.and_then(|()| made.sync_all()).map_err(|error| bad(&beside, error))?;
    fs::rename(&beside, path).map_err(|error| bad(path, error))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new(".")));
    folder.and_then(|folder| folder.sync_all()).map_err(|error| bad(path, error))
}

/// Whose token it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The token's id.
    pub id: Arc<str>,
    /// What it may do.
    pub role: Role,
}

/// What tells one state of the file from another. Every change makes a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

struct Known {
    hash: [u8; 32],
    bearer: Bearer,
}

#[derive(Default)]
struct Loaded {
    stamp: Option<Stamp>,
    tokens: Arc<Vec<Known>>,
}

/// The tokens of a running node.
pub struct Tokens {
    path: PathBuf,
    loaded: Mutex<Loaded>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Tokens {
    /// The tokens in the file at `path`, which may be made later.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, loaded: Mutex::default() }
    }

    /// Whose `token` is; `None` for nobody's. Looks at the file's stamp each time, which costs
    /// a microsecond, so that a revocation counts at once.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Option<Bearer> {
        let presented = digest(token);
        let known = self.current();
        let (mut found, mut at) = (subtle::Choice::from(0), 0_u32);
        for (number, entry) in (0_u32..).zip(known.iter()) {
            let same = entry.hash.ct_eq(&presented);
            at.conditional_assign(&number, same);
            found |= same;
        }
        let entry = usize::try_from(at).ok().and_then(|at| known.get(at))?;
        bool::from(found).then(|| entry.bearer.clone())
    }

    /// Whether the token with this id is still in the file with this role.
    #[must_use]
    pub fn still(&self, bearer: &Bearer) -> bool {
        self.current().iter().any(|entry| entry.bearer == *bearer)
    }

    fn current(&self) -> Arc<Vec<Known>> {
        let stamp = fs::metadata(&self.path).ok().map(|metadata| Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        });
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp.is_none() || loaded.stamp != stamp {
            let tokens = self.load().unwrap_or_else(|refusal| {
                tracing::error!(code = %refusal.code, what = %refusal.what, "no token is accepted");
                Vec::new()
            });
            if loaded.stamp != stamp {
                tracing::info!(tokens = tokens.len(), "tokens read");
            }
            *loaded = Loaded { stamp, tokens: Arc::new(tokens) };
        }
        loaded.tokens.clone()
    }

    fn load(&self) -> Result<Vec<Known>, Refusal> {
        let entries = list(&self.path)?;
        entries
            .into_iter()
            .map(|entry| {
                let mut hash = [0; 32];
                hex::decode_to_slice(&entry.sha256, &mut hash)
                    .map_err(|error| bad(&self.path, format!("{}: {error}", entry.id)))?;
                let bearer = Bearer { id: entry.id.into(), role: entry.role };
                Ok(Known { hash, bearer })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_790_000_000_000);

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        (folder, path)
    }

    #[test]
    fn a_token_counts_from_when_it_is_made_until_it_is_revoked() {
        let (_folder, path) = folder();
        let tokens = Tokens::new(path.clone());
        let made = create(&path, Role::Trader, "desk 1", NOW).unwrap();
        let other = create(&path, Role::Auditor, "audit", NOW).unwrap();
        let bearer = tokens.bearer(&made.token).unwrap();
        assert_eq!((&*bearer.id, bearer.role), (made.entry.id.as_str(), Role::Trader));
        revoke(&path, &made.entry.id).unwrap();
        assert_eq!(tokens.bearer(&made.token), None);
        assert!(!tokens.still(&bearer));
        assert_eq!(tokens.bearer(&other.token).unwrap().role, Role::Auditor);
        assert_eq!(revoke(&path, &made.entry.id).unwrap_err().code, Code::UnknownToken);
    }

    #[test]
    fn what_is_not_a_token_is_nobodys() {
        let (_folder, path) = folder();
        let tokens = Tokens::new(path.clone());
        assert_eq!(tokens.bearer(""), None);
        let made = create(&path, Role::Operator, "", NOW).unwrap();
        let stored = made.entry.sha256.as_str();
        for wrong in ["", "qd_", stored, &made.token[..66], &format!("{}0", &*made.token)] {
            assert_eq!(tokens.bearer(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_file_is_private_and_holds_no_token() {
        let (_folder, path) = folder();
        let made = create(&path, Role::Operator, "ops", NOW).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&made.token[PREFIX.len()..]), "{text}");
        assert!(!format!("{made:?}").contains(&made.token[PREFIX.len()..]));
    }

    #[test]
    fn a_file_that_others_may_read_or_that_is_damaged_lets_nobody_in() {
        let (_folder, path) = folder();
        let made = create(&path, Role::Operator, "ops", NOW).unwrap();
        let tokens = Tokens::new(path.clone());
        assert!(tokens.bearer(&made.token).is_some());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(tokens.bearer(&made.token), None);
        assert_eq!(list(&path).unwrap_err().code, Code::BadTokenFile);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(tokens.bearer(&made.token).is_some());
        fs::write(&path, "[[token]]\nid = 3").unwrap();
        assert_eq!(tokens.bearer(&made.token), None);
        fs::remove_file(&path).unwrap();
        assert_eq!(tokens.bearer(&made.token), None);
    }

    #[test]
    fn tokens_made_at_the_same_time_are_all_kept() {
        let (_folder, path) = folder();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || create(path, Role::Trader, &number.to_string(), NOW).unwrap());
            }
        });
        assert_eq!(list(&path).unwrap().len(), 8);
    }
}
