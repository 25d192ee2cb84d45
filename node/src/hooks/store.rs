//! Subscriptions on the disk: `hooks/ID.json` says what somebody wants, `hooks/ID.at` how far it
//! has been told.
//!
//! Invariants: every file is its owner's alone (the secrets are in them) and is replaced whole; a
//! subscription's place is written down before the next event is offered. Both lie in the data
//! directory, so a log that is put back from an old copy takes its subscriptions' places along.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{Time, Uai, Ubi};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::filter::Filter;
use crate::api::dto::EventKind;
use crate::files::{self, Access};
use crate::index::EventId;

/// Largest file.
const FILE_BYTES: usize = 64 * 1024;

/// The secret under which deliveries are signed.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// What every secret that is made here begins with, so that a leaked one is recognised.
    const PREFIX: &'static str = "qs_";
    /// Random bytes of one.
    const BYTES: usize = 32;
    /// Shortest and longest that is taken from somebody else.
    const LENGTHS: std::ops::RangeInclusive<usize> = 24..=256;

    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        let bytes = Zeroizing::new(rand::random::<[u8; Self::BYTES]>());
        let digits = Zeroizing::new(hex::encode(*bytes));
        Self(format!("{}{}", Self::PREFIX, *digits))
    }

    /// One that the receiver has made.
    ///
    /// # Errors
    /// `Q-2801` too short, too long or with odd characters.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let fits = Self::LENGTHS.contains(&text.len());
        if !fits || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let what = "secret: 24 to 256 visible ASCII characters are wanted";
            return Err(Refusal::new(Code::BadSubscription, what));
        }
        Ok(Self(text.to_owned()))
    }

    /// It.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What somebody wants to be told, and where.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// Its name.
    pub id: String,
    /// Where events are posted to.
    pub url: String,
    /// Under which deliveries are signed.
    pub secret: Secret,
    /// Which types; all of the log when there are none.
    #[serde(default)]
    pub types: BTreeSet<EventKind>,
    /// Of which ledger.
    #[serde(default)]
    pub ledger: Option<Ubi>,
    /// Of offers that give this.
    #[serde(default)]
    pub give: Option<Uai>,
    /// Of offers that want this.
    #[serde(default)]
    pub want: Option<Uai>,
    /// When it was made.
    pub created: Time,
    /// Behind which event it began.
    pub begin: EventId,
}

impl Subscription {
    /// Which events it wants.
    #[must_use]
    pub fn filter(&self) -> Filter {
        Filter {
            types: self.types.clone(),
            ledger: self.ledger,
            give: self.give.clone(),
            want: self.want.clone(),
        }
    }
}

/// How far a subscription has been told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The last event that was taken.
    pub after: EventId,
    /// Since when the next one is not taken.
    #[serde(default)]
    pub failing_since: Option<Time>,
    /// How often it was tried.
    #[serde(default)]
    pub attempts: u32,
    /// What went wrong last.
    #[serde(default)]
    pub trouble: Option<String>,
    /// Whether nothing is tried any more until the operator says so.
    #[serde(default)]
    pub paused: bool,
}

impl Progress {
    /// Of one that has taken everything up to `id`.
    #[must_use]
    pub const fn at(id: EventId) -> Self {
        Self { after: id, failing_since: None, attempts: 0, trouble: None, paused: false }
    }
}

/// The folder.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// `Q-2205`.
    pub fn open(dir: &Path) -> Result<Self, Refusal> {
        files::private_folder(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// All subscriptions, and how far each has been told.
    ///
    /// # Errors
    /// `Q-2204` a file that cannot be read, `Q-2801` one that is none.
    pub fn load(&self) -> Result<Vec<(Subscription, Progress)>, Refusal> {
        let failed = |error: std::io::Error| files::cannot_read(&self.dir, &error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            let subscription: Subscription = read(&path)?;
            let at = self.path_of_progress(&subscription.id);
            // A stop between the two files of a new one.
            let progress = match at.exists() {
                true => read(&at)?,
                false => Progress::at(subscription.begin),
            };
            found.push((subscription, progress));
        }
        found.sort_by(|(one, _), (other, _)| one.id.cmp(&other.id));
        Ok(found)
    }

    /// Keeps a new one.
    ///
    /// # Errors
    /// `Q-2205`, `Q-2206`.
    pub fn add(&self, subscription: &Subscription) -> Result<(), Refusal> {
        let path = self.path(&subscription.id);
        files::create(&path, &json(&path, subscription)?, Access::Private)
    }

    /// Keeps how far one has been told.
    ///
    /// # Errors
    /// `Q-2205`.
    pub fn advance(&self, id: &str, progress: &Progress) -> Result<(), Refusal> {
        let path = self.path_of_progress(id);
        files::replace(&path, &json(&path, progress)?, Access::Private)
    }

    /// Forgets one.
    ///
    /// # Errors
    /// `Q-2205`.
    pub fn remove(&self, id: &str) -> Result<(), Refusal> {
        let path = self.path(id);
        fs::remove_file(&path).map_err(|error| files::cannot_write(&path, &error))?;
        // Of no meaning without the other.
        let _ = fs::remove_file(self.path_of_progress(id));
        Ok(())
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    fn path_of_progress(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.at"))
    }
}

fn json(path: &Path, value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let text = serde_json::to_vec_pretty(value);
    let text = text
        .map_err(|error| Refusal::new(Code::CannotWrite, format!("{}: {error}", path.display())));
    text.map(Zeroizing::new)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Refusal> {
    let bytes = Zeroizing::new(files::read(path, FILE_BYTES)?);
    serde_json::from_slice(&bytes).map_err(|error| {
        // Where it goes wrong, and not what stands there.
        let what = format!("{}: line {}", path.display(), error.line());
        Refusal::new(Code::BadSubscription, what)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use quadrille_protocol::types::Height;

    use super::*;

    fn subscription(id: &str) -> Subscription {
        Subscription {
            id: id.to_owned(),
            url: "https://desk.example/hook".to_owned(),
            secret: Secret::new(),
            types: BTreeSet::from([EventKind::SettlementFinal]),
            ledger: None,
            give: None,
            want: None,
            created: Time(5),
            begin: EventId::end_of(Height(3)),
        }
    }

    #[test]
    fn what_was_kept_is_there_again_with_how_far_it_was_told() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("hooks");
        let store = Store::open(&dir).unwrap();
        let (one, two) = (subscription("h-1"), subscription("h-2"));
        store.add(&one).unwrap();
        store.add(&two).unwrap();
        let told = Progress { paused: true, ..Progress::at(EventId::end_of(Height(7))) };
        store.advance("h-2", &told).unwrap();
        let loaded = Store::open(&dir).unwrap().load().unwrap();
        let [(first, at), (second, behind)] = &loaded[..] else { panic!("{loaded:?}") };
        assert_eq!((&first.id, at), (&one.id, &Progress::at(one.begin)));
        assert_eq!((second.secret.text(), behind), (two.secret.text(), &told));
        store.remove("h-2").unwrap();
        assert_eq!(store.load().unwrap().len(), 1);
        assert!(!dir.join("h-2.at").exists());
    }

    #[test]
    fn secrets_are_their_owner_s_alone_and_in_no_debug_output() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("hooks")).unwrap();
        let one = subscription("h-1");
        store.add(&one).unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(store.path("h-1")), 0o600);
        assert_eq!(mode(store.dir.clone()), 0o700);
        assert!(!format!("{one:?}").contains(one.secret.text()));
        fs::write(store.path("h-1"), format!("{{\"secret\": {}", one.secret.text())).unwrap();
        let refusal = store.load().unwrap_err();
        assert_eq!(refusal.code, Code::BadSubscription);
        assert!(!refusal.to_string().contains(one.secret.text()));
    }

    #[test]
    fn a_secret_that_could_be_guessed_is_refused() {
        assert!(Secret::read("short").is_err());
        assert!(Secret::read(&"x y".repeat(20)).is_err());
        assert!(Secret::read(&"x".repeat(24)).is_ok());
        assert_ne!(Secret::new().text(), Secret::new().text());
    }
}
