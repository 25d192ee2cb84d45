//! Signature suites: hybrid keys and signatures, and who checks them.
//!
//! A hybrid signature is two signatures over one statement, by an Ed25519 key and by a
//! post-quantum key; it verifies only when both do.
//!
//! Invariants:
//! * A statement names the purpose, the suite and the whole hybrid key (its id covers suite and
//!   both halves). So neither half of a signature is worth anything under another purpose, suite
//!   or pairing of halves.
//! * Values that exist have the lengths of their suite; whether the bytes are keys and signatures
//!   is found out by [`Signatures`].
//! * Whether somebody may use a suite is not decided here but by identity: a key of suite 3 is
//!   as good a key as any to this module.

use std::fmt;
use std::str::FromStr;

use super::hash::{TAG_BYTES, Tag, hash};
use crate::error::{Code, Refusal};
use crate::limits;
use crate::refuse;
use crate::types::{Bytes, Detail, Hash, KeyId};

mod secret;
mod verify;

pub use secret::SecretKey;
pub use verify::{HybridSignatures, Signatures, Signed};

/// Length of an Ed25519 public key.
pub const ED25519_KEY_BYTES: usize = 32;
/// Length of an Ed25519 signature.
pub const ED25519_SIGNATURE_BYTES: usize = 64;
/// Length of an ML-DSA-65 public key; Dilithium3's is the same.
pub const ML_DSA_65_KEY_BYTES: usize = 1952;
/// Length of an ML-DSA-65 signature; Dilithium3's, as packaged, is the same.
pub const ML_DSA_65_SIGNATURE_BYTES: usize = 3309;

const _: () = assert!(64 + ED25519_KEY_BYTES + ML_DSA_65_KEY_BYTES <= limits::PUBLIC_KEY_BYTES);
const _: () =
    assert!(64 + ED25519_SIGNATURE_BYTES + ML_DSA_65_SIGNATURE_BYTES <= limits::SIGNATURE_BYTES);
const _: () = assert!(pqcrypto_dilithium::dilithium3::public_key_bytes() == ML_DSA_65_KEY_BYTES);
const _: () =
    assert!(pqcrypto_dilithium::dilithium3::signature_bytes() == ML_DSA_65_SIGNATURE_BYTES);

/// Which algorithms a key and its signatures are of.
///
/// Text form: `hybrid-ml-dsa-65`, `hybrid-dilithium3`, `ed25519`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Suite {
    /// Ed25519 and ML-DSA-65 (FIPS 204), the default.
    HybridMlDsa65 = 1,
    /// Ed25519 and Dilithium3 (round 3), for networks that began on it.
    HybridDilithium3 = 2,
    /// Ed25519 alone, for holders whose bank allows it.
    Ed25519 = 3,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Suite; 3] = [Suite::HybridMlDsa65, Suite::HybridDilithium3, Suite::Ed25519];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The suite with this number.
    ///
    /// # Errors
    /// `Q-1101` when there is none.
    pub fn from_number(number: u8) -> Result<Self, Refusal> {
        match number {
            1 => Ok(Suite::HybridMlDsa65),
            2 => Ok(Suite::HybridDilithium3),
            3 => Ok(Suite::Ed25519),
            _ => refuse!(UnknownSuite, "number {number}"),
        }
    }

    /// Whether it has a post-quantum half.
    #[must_use]
    pub const fn is_hybrid(self) -> bool {
        match self {
            Suite::HybridMlDsa65 | Suite::HybridDilithium3 => true,
            Suite::Ed25519 => false,
        }
    }

    /// Length of the post-quantum half of a public key.
    #[must_use]
    pub const fn post_quantum_key_bytes(self) -> usize {
        if self.is_hybrid() { ML_DSA_65_KEY_BYTES } else { 0 }
    }

    /// Length of the post-quantum half of a signature.
    #[must_use]
    pub const fn post_quantum_signature_bytes(self) -> usize {
        if self.is_hybrid() { ML_DSA_65_SIGNATURE_BYTES } else { 0 }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Suite::HybridMlDsa65 => "hybrid-ml-dsa-65",
            Suite::HybridDilithium3 => "hybrid-dilithium3",
            Suite::Ed25519 => "ed25519",
        })
    }
}

impl FromStr for Suite {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let named = Suite::ALL.into_iter().find(|suite| suite.to_string() == text);
        named.ok_or_else(|| {
            Refusal::new(Code::UnknownSuite, format!("`{}`", Detail::shortened(text)))
        })
    }
}

crate::checked_codec!(Suite, u8, |suite| suite.number(), Suite::from_number);

/// A public key of a suite: an Ed25519 half and, when hybrid, a post-quantum half.
///
/// Canonical form: suite (`u8`), Ed25519 half (32 bytes), post-quantum half behind its length
/// (`u64`): 1952 bytes, none for suite 3.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    id: KeyId,
    suite: Suite,
    ed25519: [u8; ED25519_KEY_BYTES],
    post_quantum: Bytes<{ limits::PUBLIC_KEY_BYTES }>,
}

impl PublicKey {
    /// The key with these halves; `post_quantum` is empty for suite 3.
    ///
    /// # Errors
    /// `Q-1102` when the post-quantum half has not the suite's length. Nothing else is checked.
    pub fn from_parts(
        suite: Suite,
        ed25519: [u8; ED25519_KEY_BYTES],
        post_quantum: &[u8],
    ) -> Result<Self, Refusal> {
        Self::from_shared(suite, ed25519, Bytes::new(post_quantum)?)
    }

    fn from_shared(
        suite: Suite,
        ed25519: [u8; ED25519_KEY_BYTES],
        post_quantum: Bytes<{ limits::PUBLIC_KEY_BYTES }>,
    ) -> Result<Self, Refusal> {
        let expected = suite.post_quantum_key_bytes();
        if post_quantum.len() != expected {
            let length = post_quantum.len();
            refuse!(BadKey, "{suite} has {expected} post-quantum bytes, not {length}");
        }
        let Hash(id) = hash(Tag::Key, &[&[suite.number()], &ed25519, &post_quantum]);
        Ok(Self { id: KeyId(id), suite, ed25519, post_quantum })
    }

    /// The name of the key: the hash of its suite and both halves.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The Ed25519 half.
    #[must_use]
    pub const fn ed25519(&self) -> &[u8; ED25519_KEY_BYTES] {
        &self.ed25519
    }

    /// The post-quantum half, empty for suite 3.
    #[must_use]
    pub fn post_quantum(&self) -> &[u8] {
        &self.post_quantum
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.suite, self.id)
    }
}

crate::checked_codec!(
    PublicKey,
    (Suite, [u8; ED25519_KEY_BYTES], Bytes<{ limits::PUBLIC_KEY_BYTES }>),
    |key| (key.suite, key.ed25519, key.post_quantum()),
    |(suite, ed25519, post_quantum)| PublicKey::from_shared(suite, ed25519, post_quantum)
);

/// A signature of a suite: an Ed25519 half and, when hybrid, a post-quantum half.
///
/// Canonical form: suite (`u8`), Ed25519 half (64 bytes), post-quantum half behind its length
/// (`u64`): 3309 bytes, none for suite 3.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature {
    suite: Suite,
    ed25519: [u8; ED25519_SIGNATURE_BYTES],
    post_quantum: Bytes<{ limits::SIGNATURE_BYTES }>,
}

impl Signature {
    /// The signature with these halves; `post_quantum` is empty for suite 3.
    ///
    /// # Errors
    /// `Q-1103` when the post-quantum half has not the suite's length. Nothing else is checked.
    pub fn from_parts(
        suite: Suite,
        ed25519: [u8; ED25519_SIGNATURE_BYTES],
        post_quantum: &[u8],
    ) -> Result<Self, Refusal> {
        Self::from_shared(suite, ed25519, Bytes::new(post_quantum)?)
    }

    fn from_shared(
        suite: Suite,
        ed25519: [u8; ED25519_SIGNATURE_BYTES],
        post_quantum: Bytes<{ limits::SIGNATURE_BYTES }>,
    ) -> Result<Self, Refusal> {
        let expected = suite.post_quantum_signature_bytes();
        if post_quantum.len() != expected {
            let length = post_quantum.len();
            refuse!(BadSignature, "{suite} has {expected} post-quantum bytes, not {length}");
        }
        Ok(Self { suite, ed25519, post_quantum })
    }

    /// The suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The Ed25519 half.
    #[must_use]
    pub const fn ed25519(&self) -> &[u8; ED25519_SIGNATURE_BYTES] {
        &self.ed25519
    }

    /// The post-quantum half, empty for suite 3.
    #[must_use]
    pub fn post_quantum(&self) -> &[u8] {
        &self.post_quantum
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.ed25519.first_chunk::<4>().map(hex::encode).unwrap_or_default();
        write!(f, "Signature({}, {start}…)", self.suite)
    }
}

crate::checked_codec!(
    Signature,
    (Suite, [u8; ED25519_SIGNATURE_BYTES], Bytes<{ limits::SIGNATURE_BYTES }>),
    |signature| (signature.suite, signature.ed25519, signature.post_quantum()),
    |(suite, ed25519, post_quantum)| Signature::from_shared(suite, ed25519, post_quantum)
);

/// Length of a [`statement`].
pub const STATEMENT_BYTES: usize = TAG_BYTES + 1 + 32;

/// The bytes that both halves of `key` sign when it signs `message` for the purpose of `tag`: the
/// tag's prefix, the suite's number and a hash of the key's id and the message.
///
/// Public so that a key kept elsewhere (in a hardware module) can sign the same.
#[must_use]
pub fn statement(key: &PublicKey, tag: Tag, message: &[u8]) -> [u8; STATEMENT_BYTES] {
    let Hash(digest) = hash(tag, &[key.id.as_bytes(), message]);
    let suite = [key.suite.number()];
    let source = tag.prefix().iter().chain(&suite).chain(&digest);
    let mut bytes = [0; STATEMENT_BYTES];
    for (to, from) in bytes.iter_mut().zip(source) {
        *to = *from;
    }
    bytes
}

#[cfg(test)]
mod tests;
