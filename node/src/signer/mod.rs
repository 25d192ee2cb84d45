//! Keys: what a domain signs with, encrypted at rest, and the guard that never signs twice.
//!
//! ```text
//!   identity/keys --passphrase--> Keys --> LocalSigner --checkpoint--> GuardFile --> signature
//! ```
//!
//! Invariants:
//! * No checkpoint is signed before the guard has its height and hash durably.
//! * Nothing secret is in `Debug` output, in a refusal or on disk in the clear, and it is wiped
//!   when it is dropped.

mod guard;
pub mod keyfile;
mod keys;
pub mod passphrase;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{PublicKey, SecretKey, Signature};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::Checkpoint;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Domain, Epoch, Network};
use quadrille_protocol::validator::Guard;

pub use guard::{GuardFile, Syncing};
pub use keys::{Keys, generate_key};

/// Signs for the domain. A trait, so that a hardware module can hold the key.
pub trait Signer: Send + Sync + 'static {
    /// The public key of an epoch of ours.
    fn public_key(&self, epoch: Epoch) -> Option<PublicKey>;

    /// Signs a checkpoint, after the guard has durably noted it.
    ///
    /// # Errors
    /// When the guard has signed another one for its height, or a later one; when the disk
    /// under the guard fails; when there is no key for its epoch.
    fn sign_checkpoint(&self, checkpoint: &Checkpoint) -> Result<Signature, Refusal>;

    /// Signs anything but a checkpoint.
    ///
    /// # Errors
    /// When there is no key for the epoch, or the tag is [`Tag::Checkpoint`].
    fn sign(&self, epoch: Epoch, tag: Tag, message: &[u8]) -> Result<Signature, Refusal>;

    /// What the guard has.
    fn guard(&self) -> Option<Guard>;

    /// Whether what the guard had at the start is what was noted last.
    fn guard_is_certain(&self) -> bool;
}

/// Signs with keys in this process's memory.
#[derive(Debug)]
pub struct LocalSigner {
    network: Network,
    domain: Domain,
    epochs: RwLock<BTreeMap<Epoch, Arc<SecretKey>>>,
    guard: GuardFile,
}

impl LocalSigner {
    /// A signer for the keys' domain, with copies of its signing keys.
    ///
    /// # Errors
    /// `Q-1102` when a key cannot be read back, which one that exists never gives.
    pub fn new(keys: &Keys, guard: GuardFile) -> Result<Self, Refusal> {
        let copy = |(epoch, key): &(Epoch, SecretKey)| {
            SecretKey::from_bytes(&key.to_bytes()).map(|key| (*epoch, Arc::new(key)))
        };
        Ok(Self {
            network: keys.network.clone(),
            domain: keys.domain.clone(),
            epochs: RwLock::new(keys.epochs.iter().map(copy).collect::<Result<_, _>>()?),
            guard,
        })
    }

    /// Takes up the key of a new epoch, once it is in the key file.
    ///
    /// # Errors
    /// `Q-1211` when the epoch has another key.
    pub fn add(&self, epoch: Epoch, key: SecretKey) -> Result<(), Refusal> {
        let mut epochs = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
        match epochs.get(&epoch) {
            Some(known) if known.public() != key.public() => {
                refuse!(BadRotation, "epoch {epoch} has the key {} already", known.public().id())
            }
            Some(_) => Ok(()),
            None => {
                epochs.insert(epoch, Arc::new(key));
                Ok(())
            }
        }
    }

    fn key(&self, epoch: Epoch) -> Result<Arc<SecretKey>, Refusal> {
        let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        let missing =
            || Refusal::new(Code::NoSecretKey, format!("epoch {epoch} of {}", self.domain));
        epochs.get(&epoch).cloned().ok_or_else(missing)
    }
}

impl Signer for LocalSigner {
    fn public_key(&self, epoch: Epoch) -> Option<PublicKey> {
        self.key(epoch).ok().map(|key| key.public().clone())
    }

    fn sign_checkpoint(&self, checkpoint: &Checkpoint) -> Result<Signature, Refusal> {
        if checkpoint.network != self.network || checkpoint.domain != self.domain {
            let (network, domain) = (&checkpoint.network, &checkpoint.domain);
            refuse!(WrongLog, "a checkpoint of {domain} in {network}");
        }
        // Before the guard: what cannot be signed must not be noted.
        let key = self.key(checkpoint.epoch)?;
        self.guard.note(checkpoint.height, checkpoint.hash())?;
        Ok(key.sign(Tag::Checkpoint, &checkpoint.to_sign()))
    }

    fn sign(&self, epoch: Epoch, tag: Tag, message: &[u8]) -> Result<Signature, Refusal> {
        if tag == Tag::Checkpoint {
            refuse!(GuardNeeded, "asked to sign {} bytes as a checkpoint", message.len());
        }
        Ok(self.key(epoch)?.sign(tag, message))
    }

    fn guard(&self) -> Option<Guard> {
        self.guard.last()
    }

    fn guard_is_certain(&self) -> bool {
        self.guard.is_certain()
    }
}
