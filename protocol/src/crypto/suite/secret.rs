//! Secret keys, for the edge: the core never sees one.
//!
//! Stored form, to be encrypted by whoever stores it: suite (1 byte), Ed25519 seed (32 bytes),
//! then for suite 1 the ML-DSA-65 seed (32 bytes), for suite 2 the Dilithium3 public and secret
//! key (1952 and 4032 bytes: that algorithm's package has no seeds).

use std::fmt;

use aws_lc_rs::signature::{KeyPair, ML_DSA_65_SIGNING, PqdsaKeyPair};
use ed25519_dalek::{Signer, SigningKey};
use pqcrypto_dilithium::dilithium3;
use pqcrypto_traits::sign::{DetachedSignature as _, PublicKey as _, SecretKey as _};
use zeroize::Zeroizing;

use super::verify::verify_dilithium3;
use super::{
    ED25519_KEY_BYTES, ML_DSA_65_KEY_BYTES, ML_DSA_65_SIGNATURE_BYTES, PublicKey, Signature, Suite,
    statement,
};
use crate::crypto::hash::{Tag, hmac_sha256};
use crate::error::Refusal;
use crate::refuse;

const SEED_BYTES: usize = 32;
const DILITHIUM3_SECRET_BYTES: usize = dilithium3::secret_key_bytes();

/// A secret key of a suite; wiped when dropped.
pub struct SecretKey {
    ed25519: SigningKey,
    post_quantum: PostQuantum,
    public: PublicKey,
}

enum PostQuantum {
    /// The library wipes the pair when it frees it.
    MlDsa65 {
        seed: Zeroizing<[u8; SEED_BYTES]>,
        pair: Box<PqdsaKeyPair>,
    },
    /// Kept as bytes, since the package's own type is copied freely and never wiped.
    Dilithium3 {
        secret: Zeroizing<Vec<u8>>,
    },
    None,
}

impl SecretKey {
    /// The key that grows from `seed`, 32 bytes drawn at random at the edge.
    ///
    /// Suites 1 and 3 are a function of the seed (and unrelated to one another under one seed).
    /// The Dilithium3 half of suite 2 is drawn by its package: generate it at the edge only, and
    /// store it, since the seed does not bring it back.
    #[must_use]
    pub fn generate(suite: Suite, seed: &[u8; 32]) -> Self {
        let ed25519 = derive(seed, suite, b"ed25519");
        match suite {
            Suite::HybridMlDsa65 => {
                Self::with_ml_dsa_65(&ed25519, derive(seed, suite, b"ml-dsa-65"))
            }
            Suite::HybridDilithium3 => {
                let (public, secret) = dilithium3::keypair();
                let secret = Zeroizing::new(secret.as_bytes().to_vec());
                Self::with_dilithium3(&ed25519, public.as_bytes(), secret)
            }
            Suite::Ed25519 => Self::with_ed25519(&ed25519),
        }
    }

    /// The key whose stored form is `bytes`.
    ///
    /// # Errors
    /// `Q-1101` for an unknown suite, `Q-1102` for a wrong length or a Dilithium3 pair whose two
    /// keys do not belong together.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let Some((&number, rest)) = bytes.split_first() else {
            refuse!(BadKey, "no bytes");
        };
        let suite = Suite::from_number(number)?;
        let Some((ed25519, rest)) = rest.split_first_chunk::<SEED_BYTES>() else {
            refuse!(BadKey, "{} bytes are too few for a secret key", bytes.len());
        };
        match suite {
            Suite::HybridMlDsa65 => match <[u8; SEED_BYTES]>::try_from(rest) {
                Ok(seed) => Ok(Self::with_ml_dsa_65(ed25519, Zeroizing::new(seed))),
                Err(_) => refuse!(BadKey, "{} bytes for {suite}", bytes.len()),
            },
            Suite::HybridDilithium3 => match rest.split_at_checked(ML_DSA_65_KEY_BYTES) {
                Some((public, secret)) if secret.len() == DILITHIUM3_SECRET_BYTES => {
                    let key =
                        Self::with_dilithium3(ed25519, public, Zeroizing::new(secret.to_vec()));
                    key.check_pair()?;
                    Ok(key)
                }
                Some(_) | None => refuse!(BadKey, "{} bytes for {suite}", bytes.len()),
            },
            Suite::Ed25519 if rest.is_empty() => Ok(Self::with_ed25519(ed25519)),
            Suite::Ed25519 => refuse!(BadKey, "{} bytes for {suite}", bytes.len()),
        }
    }

    /// The stored form: secret, to be encrypted before it is written anywhere.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // Room for the longest at once: growing would leave copies behind.
        let capacity = 1 + SEED_BYTES + ML_DSA_65_KEY_BYTES + DILITHIUM3_SECRET_BYTES;
        let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
        bytes.push(self.public.suite().number());
        bytes.extend_from_slice(self.ed25519.as_bytes());
        match &self.post_quantum {
            PostQuantum::MlDsa65 { seed, .. } => bytes.extend_from_slice(seed.as_slice()),
            PostQuantum::Dilithium3 { secret } => {
                bytes.extend_from_slice(self.public.post_quantum());
                bytes.extend_from_slice(secret);
            }
            PostQuantum::None => {}
        }
        bytes
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.public.suite()
    }

    /// Signs `message` for the purpose of `tag`, with both halves.
    ///
    /// Two hybrid signatures of one message may differ: the ML-DSA-65 half is hedged with
    /// randomness of the library's own.
    #[must_use]
    pub fn sign(&self, tag: Tag, message: &[u8]) -> Signature {
        let statement = statement(&self.public, tag, message);
        let ed25519 = self.ed25519.sign(&statement).to_bytes();
        match &self.post_quantum {
            PostQuantum::MlDsa65 { pair, .. } => {
                self.signature(ed25519, &sign_ml_dsa_65(pair, &statement))
            }
            PostQuantum::Dilithium3 { secret } => {
                self.signature(ed25519, sign_dilithium3(secret, &statement).as_bytes())
            }
            PostQuantum::None => self.signature(ed25519, &[]),
        }
    }

    #[expect(clippy::expect_used, reason = "both halves were just made for this suite")]
    fn signature(&self, ed25519: [u8; 64], post_quantum: &[u8]) -> Signature {
        Signature::from_parts(self.suite(), ed25519, post_quantum)
            .expect("a signature has its suite's lengths")
    }

    fn with_ml_dsa_65(ed25519: &[u8; SEED_BYTES], seed: Zeroizing<[u8; SEED_BYTES]>) -> Self {
        let pair = Box::new(ml_dsa_65_from_seed(&seed));
        let public = pair.public_key().clone();
        let post_quantum = PostQuantum::MlDsa65 { seed, pair };
        Self::assemble(Suite::HybridMlDsa65, ed25519, post_quantum, public.as_ref())
    }

    fn with_dilithium3(
        ed25519: &[u8; SEED_BYTES],
        public: &[u8],
        secret: Zeroizing<Vec<u8>>,
    ) -> Self {
        let post_quantum = PostQuantum::Dilithium3 { secret };
        Self::assemble(Suite::HybridDilithium3, ed25519, post_quantum, public)
    }

    fn with_ed25519(ed25519: &[u8; SEED_BYTES]) -> Self {
        Self::assemble(Suite::Ed25519, ed25519, PostQuantum::None, &[])
    }

    #[expect(clippy::expect_used, reason = "callers pass a post-quantum key of the suite's length")]
    fn assemble(
        suite: Suite,
        ed25519: &[u8; SEED_BYTES],
        post_quantum: PostQuantum,
        public: &[u8],
    ) -> Self {
        let ed25519 = SigningKey::from_bytes(ed25519);
        let half: [u8; ED25519_KEY_BYTES] = ed25519.verifying_key().to_bytes();
        let public = PublicKey::from_parts(suite, half, public)
            .expect("a public key has its suite's lengths");
        Self { ed25519, post_quantum, public }
    }

    /// A stored Dilithium3 pair is two keys: they must belong together.
    fn check_pair(&self) -> Result<(), Refusal> {
        let probe = self.sign(Tag::Key, b"stored pair");
        let statement = statement(&self.public, Tag::Key, b"stored pair");
        match verify_dilithium3(self.public.post_quantum(), &statement, probe.post_quantum()) {
            Ok(()) => Ok(()),
            Err(_) => refuse!(BadKey, "the stored Dilithium3 keys do not belong together"),
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(hidden, of {:?})", self.public)
    }
}

fn derive(seed: &[u8; 32], suite: Suite, half: &[u8]) -> Zeroizing<[u8; SEED_BYTES]> {
    Zeroizing::new(hmac_sha256(seed, &[Tag::Key.prefix(), &[suite.number()], half]))
}

#[expect(
    clippy::expect_used,
    reason = "every 32 bytes are a seed; otherwise the library is broken"
)]
pub(super) fn ml_dsa_65_from_seed(seed: &[u8; SEED_BYTES]) -> PqdsaKeyPair {
    PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, seed).expect("32 bytes are an ML-DSA-65 seed")
}

#[expect(
    clippy::expect_used,
    reason = "signing with a key in memory cannot fail; if it does, stop"
)]
pub(super) fn sign_ml_dsa_65(
    pair: &PqdsaKeyPair,
    statement: &[u8],
) -> [u8; ML_DSA_65_SIGNATURE_BYTES] {
    let mut half = [0; ML_DSA_65_SIGNATURE_BYTES];
    let length = pair.sign(statement, &mut half).expect("an ML-DSA-65 key signs");
    assert_eq!(length, half.len(), "an ML-DSA-65 signature has one length");
    half
}

#[expect(clippy::expect_used, reason = "the length was checked when the key was made")]
pub(super) fn sign_dilithium3(secret: &[u8], statement: &[u8]) -> dilithium3::DetachedSignature {
    let secret = dilithium3::SecretKey::from_bytes(secret).expect("a Dilithium3 key's length");
    dilithium3::detached_sign(statement, &secret)
}
