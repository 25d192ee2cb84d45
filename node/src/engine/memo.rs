//! Checkpoint signatures that were checked before: each is checked once.
//!
//! One checkpoint seals many records, and each that reaches us by itself (an offer, a lock in a
//! bundle) brings the signature along. Whether a signature is a key's over some bytes never
//! changes, so the answer is remembered; whether the key counts at that height is asked of the
//! directory each time, before.
//!
//! Invariants: only signatures that verified are remembered; at most [`KEPT`]; nothing but
//! checkpoints, which alone come more than once.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{HybridSignatures, PublicKey, Signature, Signatures};
use quadrille_protocol::error::Refusal;
use sha2::{Digest, Sha256};

/// Checkpoints remembered: those of some seconds, from every peer.
const KEPT: usize = 4_096;

/// A signature with what it signs, as one hash.
type Fingerprint = [u8; 32];

/// Checks signatures, and remembers those of checkpoints.
#[derive(Debug, Default)]
pub struct CheckedOnce {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    signatures: HashSet<Fingerprint>,
    order: VecDeque<Fingerprint>,
}

impl Signatures for CheckedOnce {
    fn verify(
        &self,
        key: &PublicKey,
        tag: Tag,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), Refusal> {
        if tag != Tag::Checkpoint {
            return HybridSignatures.verify(key, tag, message, signature);
        }
        let fingerprint = fingerprint(key, message, signature);
        if self.lock().signatures.contains(&fingerprint) {
            return Ok(());
        }
        HybridSignatures.verify(key, tag, message, signature)?;
        self.lock().remember(fingerprint);
        Ok(())
    }
}

impl CheckedOnce {
    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        // Nothing panics while it holds the lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn remember(&mut self, fingerprint: Fingerprint) {
        if !self.signatures.insert(fingerprint) {
            return;
        }
        self.order.push_back(fingerprint);
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.signatures.remove(&oldest);
        }
    }
}

/// Each part with its length, so that no two triples have the same bytes.
fn fingerprint(key: &PublicKey, message: &[u8], signature: &Signature) -> Fingerprint {
    let suite = [signature.suite().number()];
    let parts: [&[u8]; 6] = [
        &suite,
        key.ed25519(),
        key.post_quantum(),
        message,
        signature.ed25519(),
        signature.post_quantum(),
    ];
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use quadrille_protocol::crypto::suite::{SecretKey, Suite};
    use quadrille_protocol::error::Code;

    use super::*;

    fn known(checked: &CheckedOnce) -> usize {
        checked.lock().signatures.len()
    }

    #[test]
    fn a_checkpoint_is_remembered_once_and_another_with_its_signature_is_refused() {
        let key = SecretKey::generate(Suite::HybridMlDsa65, &[7; 32]);
        let signature = key.sign(Tag::Checkpoint, b"one");
        let checked = CheckedOnce::default();
        for _ in 0..2 {
            checked.verify(key.public(), Tag::Checkpoint, b"one", &signature).unwrap();
            assert_eq!(known(&checked), 1);
        }
        let other = SecretKey::generate(Suite::HybridMlDsa65, &[8; 32]);
        for (key, message) in [(&key, b"two"), (&other, b"one")] {
            let refused = checked.verify(key.public(), Tag::Checkpoint, message, &signature);
            assert_eq!(refused.unwrap_err().code, Code::BadSignature);
        }
        assert_eq!(known(&checked), 1);
    }

    #[test]
    fn a_signature_for_another_purpose_is_not_taken_for_a_checkpoints() {
        let key = SecretKey::generate(Suite::Ed25519, &[7; 32]);
        let checked = CheckedOnce::default();
        let signature = key.sign(Tag::Order, b"one");
        checked.verify(key.public(), Tag::Order, b"one", &signature).unwrap();
        assert_eq!(known(&checked), 0);
        assert!(checked.verify(key.public(), Tag::Checkpoint, b"one", &signature).is_err());
    }

    #[test]
    fn no_more_are_kept_than_the_bound() {
        let mut known = Known::default();
        for number in 0..u32::try_from(KEPT).unwrap() + 10 {
            let mut fingerprint = [0; 32];
            fingerprint[..4].copy_from_slice(&number.to_be_bytes());
            known.remember(fingerprint);
        }
        assert_eq!((known.signatures.len(), known.order.len()), (KEPT, KEPT));
    }
}
