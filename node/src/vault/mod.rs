//! The vault: holders' personal data, sealed to the bank's own key, one file for each ledger.
//!
//! ```text
//!   vault/<first two digits>/<ledger>   Sealed(Identity), bound to the ledger
//! ```
//!
//! Invariants:
//! * What is read back has the hash that the holder signed; anything else is said to be lost.
//! * A file is on the disk, its folders included, when [`Vault::keep`] returns, and never half.
//! * No personal data are in a refusal, a log line or `Debug` output.

pub mod json;

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::seal::{self, Sealed, SealingKey};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::policy::identity::Identity;
use quadrille_protocol::types::{Hash, Ubi};

use crate::files::{self, Access};

/// The vault of a data directory.
pub struct Vault {
    dir: PathBuf,
    key: SealingKey,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.dir.display())
    }
}

impl Vault {
    /// The vault in `dir`, whose files `key` opens.
    #[must_use]
    pub const fn new(dir: PathBuf, key: SealingKey) -> Self {
        Self { dir, key }
    }

    /// Whether there is a file for the ledger.
    #[must_use]
    pub fn has(&self, ledger: &Ubi) -> bool {
        self.path(ledger).exists()
    }

    /// Keeps the data of a ledger's holder, in place of what may be there.
    ///
    /// # Errors
    /// `Q-1001` too large; `Q-2205` when they cannot be written.
    pub fn keep(&self, ledger: &Ubi, identity: &Identity) -> Result<(), Refusal> {
        let bytes = identity.to_bytes()?;
        let info = Tag::Identity.prefix();
        let sealed =
            seal::seal(self.key.public(), info, ledger.as_bytes(), &bytes, &mut rand::rng())?;
        let path = self.path(ledger);
        let folder = files::folder_of(&path);
        files::private_folder(folder)?;
        // The new folder's own name must be on the disk too.
        sync(&self.dir)?;
        sync(files::folder_of(&self.dir))?;
        files::replace(&path, sealed.as_bytes(), Access::Private)
    }

    /// Takes back what was kept for a ledger that has not been opened after all.
    pub fn forget(&self, ledger: &Ubi) {
        let path = self.path(ledger);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "data of no ledger are left behind");
        }
    }

    /// The data whose hash the ledger's holder has signed.
    ///
    /// # Errors
    /// `Q-1709` the holder has signed none; `Q-1710` they are not there, or damaged.
    pub fn read(&self, ledger: &Ubi, signed: &Hash) -> Result<Identity, Refusal> {
        if *signed == Hash::ZERO {
            return Err(Refusal::new(Code::IdentityMissing, ledger.to_string()));
        }
        let lost = |why: &str| Refusal::new(Code::IdentityLost, format!("{ledger}: {why}"));
        let path = self.path(ledger);
        let bytes = files::read(&path, limits::SEALED_BYTES).map_err(|error| lost(&error.what))?;
        let identity = Sealed::from_bytes(&bytes)
            .and_then(|sealed| self.key.open(Tag::Identity.prefix(), ledger.as_bytes(), &sealed))
            .and_then(|bytes| Identity::from_bytes(&bytes))
            .map_err(|refusal| lost(&refusal.what))?;
        match identity.hash() == *signed {
            true => Ok(identity),
            false => Err(lost("the data are not those that the holder signed")),
        }
    }

    fn path(&self, ledger: &Ubi) -> PathBuf {
        let name = hex::encode(ledger.as_bytes());
        let first = name.get(..2).unwrap_or_default();
        self.dir.join(first).join(&name)
    }
}

fn sync(folder: &Path) -> Result<(), Refusal> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| files::cannot_write(folder, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: Ubi = Ubi([0xab; 32]);

    fn identity() -> Identity {
        let person = r#"{"naturalPerson": {
            "name": {"nameIdentifier": [
                {"primaryIdentifier": "Liddell", "nameIdentifierType": "LEGL"}
            ]},
            "customerIdentification": "CUST-77"
        }}"#;
        Identity { salt: [3; 32], person: serde_json::from_str(person).unwrap() }
    }

    fn vault(dir: &Path) -> Vault {
        Vault::new(dir.join("vault"), SealingKey::generate(&[1; 32]))
    }

    #[test]
    fn what_was_kept_is_read_back_and_nothing_of_it_is_in_the_clear() {
        let folder = tempfile::tempdir().unwrap();
        let vault = vault(folder.path());
        vault.keep(&LEDGER, &identity()).unwrap();
        vault.keep(&LEDGER, &identity()).unwrap();
        assert_eq!(vault.read(&LEDGER, &identity().hash()).unwrap(), identity());
        let path = folder.path().join("vault/ab").join("ab".repeat(32));
        let bytes = fs::read(path).unwrap();
        for secret in ["Liddell", "CUST-77"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }

    #[test]
    fn lost_damaged_foreign_and_never_signed_data_are_told_apart_from_good_ones() {
        let folder = tempfile::tempdir().unwrap();
        let vault = vault(folder.path());
        let code = |signed: &Hash| vault.read(&LEDGER, signed).unwrap_err().code;
        let hash = identity().hash();
        assert_eq!(code(&Hash::ZERO), Code::IdentityMissing);
        assert_eq!(code(&hash), Code::IdentityLost);
        vault.keep(&LEDGER, &identity()).unwrap();
        assert_eq!(code(&Hash([9; 32])), Code::IdentityLost);
        // Another ledger's file under this name.
        vault.keep(&Ubi([0xac; 32]), &identity()).unwrap();
        let name = |byte: &str| folder.path().join("vault").join(byte).join(byte.repeat(32));
        fs::copy(name("ac"), name("ab")).unwrap();
        assert_eq!(code(&hash), Code::IdentityLost);
        vault.keep(&LEDGER, &identity()).unwrap();
        let mut bytes = fs::read(name("ab")).unwrap();
        bytes[1200] ^= 1;
        fs::write(name("ab"), bytes).unwrap();
        assert_eq!(code(&hash), Code::IdentityLost);
        vault.forget(&LEDGER);
        assert!(!vault.has(&LEDGER));
    }
}
