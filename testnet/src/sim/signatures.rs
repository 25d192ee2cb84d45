//! Keys and signatures of a run: the real suites, or a cheap keyed hash.
//!
//! The cheap one lives in the simulator only. Its keys have the shape of suite 3: the public half
//! is a hash of the secret, a signature is a hash over secret and statement, and the verifier
//! looks the secret up. Nobody in a run can make a signature of a key it was not given.

use std::collections::BTreeMap;
use std::sync::Arc;

use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{
    HybridSignatures, PublicKey, SecretKey, Signature, Signatures, Suite, statement,
};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::KeyId;
use sha2::{Digest, Sha256};

/// A secret key of a run.
#[derive(Debug, Clone)]
pub enum Secret {
    /// A cheap one.
    Cheap {
        /// The secret.
        secret: [u8; 32],
        /// Its public half.
        public: PublicKey,
    },
    /// One of a real suite.
    Real(Arc<SecretKey>),
}

impl Secret {
    /// The public key.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        match self {
            Secret::Cheap { public, .. } => public,
            Secret::Real(key) => key.public(),
        }
    }

    /// Signs `message` for the purpose of `tag`.
    #[must_use]
    pub fn sign(&self, tag: Tag, message: &[u8]) -> Signature {
        match self {
            Secret::Cheap { secret, public } => cheap(secret, public, tag, message),
            Secret::Real(key) => key.sign(tag, message),
        }
    }
}

fn cheap(secret: &[u8; 32], public: &PublicKey, tag: Tag, message: &[u8]) -> Signature {
    let mut state = Sha256::new();
    state.update(secret);
    state.update(statement(public, tag, message));
    let digest: [u8; 32] = state.finalize().into();
    let mut half = [0; 64];
    half[..32].copy_from_slice(&digest);
    Signature::from_parts(Suite::Ed25519, half, &[]).expect("the lengths of suite 3")
}

/// The verifier of a run.
#[derive(Debug, Clone)]
pub enum Verifier {
    /// Knows every secret of the run.
    Cheap(BTreeMap<KeyId, [u8; 32]>),
    /// The real thing.
    Real(HybridSignatures),
}

impl Signatures for Verifier {
    fn verify(
        &self,
        key: &PublicKey,
        tag: Tag,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), Refusal> {
        match self {
            Verifier::Real(real) => real.verify(key, tag, message, signature),
            Verifier::Cheap(secrets) => {
                let unknown = || Refusal::new(Code::BadKey, "not a key of this run");
                let secret = secrets.get(&key.id()).ok_or_else(unknown)?;
                if cheap(secret, key, tag, message) == *signature {
                    return Ok(());
                }
                Err(Refusal::new(Code::BadSignature, "the keyed hash"))
            }
        }
    }
}

/// Makes the keys of a run.
#[derive(Debug)]
pub struct KeyMaker {
    real: bool,
    secrets: BTreeMap<KeyId, [u8; 32]>,
}

impl KeyMaker {
    /// A maker of keys of the real suites, or of cheap ones.
    #[must_use]
    pub const fn new(real: bool) -> Self {
        Self { real, secrets: BTreeMap::new() }
    }

    /// The key of `suite` that grows from `seed`.
    pub fn make(&mut self, suite: Suite, seed: [u8; 32]) -> Secret {
        if self.real {
            return Secret::Real(Arc::new(SecretKey::generate(suite, &seed)));
        }
        let half: [u8; 32] = Sha256::digest(seed).into();
        let public = PublicKey::from_parts(Suite::Ed25519, half, &[]).expect("suite 3 has no more");
        self.secrets.insert(public.id(), seed);
        Secret::Cheap { secret: seed, public }
    }

    /// The verifier for all keys made so far.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        if self.real {
            Verifier::Real(HybridSignatures)
        } else {
            Verifier::Cheap(self.secrets.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cheap_signature_binds_key_purpose_and_message() {
        let mut maker = KeyMaker::new(false);
        let one = maker.make(Suite::Ed25519, [1; 32]);
        let two = maker.make(Suite::Ed25519, [2; 32]);
        let verifier = maker.verifier();
        let signature = one.sign(Tag::Order, b"pay");
        assert!(verifier.verify(one.public(), Tag::Order, b"pay", &signature).is_ok());
        assert!(verifier.verify(two.public(), Tag::Order, b"pay", &signature).is_err());
        assert!(verifier.verify(one.public(), Tag::Take, b"pay", &signature).is_err());
        assert!(verifier.verify(one.public(), Tag::Order, b"pray", &signature).is_err());
    }
}
