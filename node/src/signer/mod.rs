//! Keys: what a domain signs with, encrypted at rest, and the guard that never signs twice.

use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{PublicKey, Signature};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::log::Checkpoint;
use quadrille_protocol::types::Epoch;
use quadrille_protocol::validator::Guard;

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
}
