//! Sealed payloads: what must stay secret between two domains for years.
//!
//! HPKE (RFC 9180, base mode) with X-Wing (X25519 and ML-KEM-768, so that breaking either one is
//! not enough), HKDF-SHA-256 and ChaCha20-Poly1305. On top of the transport's own encryption.
//!
//! Invariants:
//! * Whatever is wrong with a sealed payload (key, context, associated data, a flipped bit, a
//!   byte too few) gets one and the same refusal: the answer tells nothing of the cause.
//! * Base mode does not say who sealed: the sealed bytes travel inside something signed.

use std::fmt;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

use crate::error::{Code, Refusal};
use crate::limits;
use crate::refuse;
use crate::types::Bytes;

pub use hpke::rand_core::CryptoRng;

/// Length of a sealing public key.
pub const PUBLIC_KEY_BYTES: usize = 1216;
/// Length of the encapsulated key in front of a ciphertext.
pub const ENCAPSULATED_BYTES: usize = 1120;
/// Length of the authenticator at the end of a ciphertext.
pub const AUTHENTICATOR_BYTES: usize = 16;
/// How much longer a sealed payload is than what is in it.
pub const OVERHEAD_BYTES: usize = ENCAPSULATED_BYTES + AUTHENTICATOR_BYTES;
/// The longest payload that can be sealed.
pub const PLAINTEXT_BYTES: usize = limits::SEALED_BYTES - OVERHEAD_BYTES;

const _: () = assert!(PUBLIC_KEY_BYTES <= limits::SEALING_KEY_BYTES);

/// A domain's public key for sealing.
///
/// Canonical form: 1216 bytes behind their length (`u64`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealingPublicKey(Bytes<{ limits::SEALING_KEY_BYTES }>);

impl SealingPublicKey {
    /// The key with these bytes.
    ///
    /// # Errors
    /// `Q-1102` for a wrong length. Whether the bytes are a key shows when something is sealed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        Self::from_shared(Bytes::new(bytes)?)
    }

    fn from_shared(bytes: Bytes<{ limits::SEALING_KEY_BYTES }>) -> Result<Self, Refusal> {
        if bytes.len() != PUBLIC_KEY_BYTES {
            refuse!(BadKey, "a sealing key has {PUBLIC_KEY_BYTES} bytes, not {}", bytes.len());
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.0.first_chunk::<4>().map(hex::encode).unwrap_or_default();
        write!(f, "SealingPublicKey({start}…)")
    }
}

crate::checked_codec!(
    SealingPublicKey,
    Bytes<{ limits::SEALING_KEY_BYTES }>,
    |key| key.0,
    SealingPublicKey::from_shared
);

/// A sealed payload: the encapsulated key, then the ciphertext with its authenticator.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sealed(Bytes<{ limits::SEALED_BYTES }>);

impl Sealed {
    /// The sealed payload with these bytes.
    ///
    /// # Errors
    /// `Q-1001` for too many bytes, `Q-1106` for too few to be sealed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        Self::from_shared(Bytes::new(bytes)?)
    }

    fn from_shared(bytes: Bytes<{ limits::SEALED_BYTES }>) -> Result<Self, Refusal> {
        if bytes.len() < OVERHEAD_BYTES {
            refuse!(CannotOpen, "{} bytes, at least {OVERHEAD_BYTES}", bytes.len());
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

crate::checked_codec!(
    Sealed,
    Bytes<{ limits::SEALED_BYTES }>,
    |sealed| sealed.0,
    Sealed::from_shared
);

/// A domain's secret key for opening what was sealed to it; wiped when dropped.
pub struct SealingKey {
    seed: Zeroizing<[u8; 32]>,
    secret: <XWing as Kem>::PrivateKey,
    public: SealingPublicKey,
}

impl SealingKey {
    /// The key that grows from `seed`, 32 bytes drawn at random at the edge.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the key was just made, with the one length there is")]
    pub fn generate(seed: &[u8; 32]) -> Self {
        let (secret, public) = XWing::derive_keypair(seed);
        let public =
            SealingPublicKey::from_bytes(&public.to_bytes()).expect("a sealing key has one length");
        Self { seed: Zeroizing::new(*seed), secret, public }
    }

    /// The seed: the stored form, to be encrypted before it is written anywhere.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.seed.clone()
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &SealingPublicKey {
        &self.public
    }

    /// Opens what was sealed to this key with the same `info` and `aad`.
    ///
    /// # Errors
    /// `Q-1106`, whatever is wrong.
    pub fn open(
        &self,
        info: &[u8],
        aad: &[u8],
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let refusal = || Refusal::new(Code::CannotOpen, format!("{sealed:?}"));
        let (encapsulated, ciphertext) =
            sealed.0.split_at_checked(ENCAPSULATED_BYTES).ok_or_else(refusal)?;
        let encapsulated =
            <XWing as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| refusal())?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeR::Base,
            &self.secret,
            &encapsulated,
            info,
            ciphertext,
            aad,
        )
        .map(Zeroizing::new)
        .map_err(|_| refusal())
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey(hidden, of {:?})", self.public)
    }
}

/// Seals `plaintext` to the holder of `to`, bound to `info` (what kind of payload) and `aad` (what
/// it belongs to). `rng` is the edge's: the core passes on what was sealed there.
///
/// # Errors
/// `Q-1001` for more than [`PLAINTEXT_BYTES`], `Q-1102` when `to` is no key.
pub fn seal(
    to: &SealingPublicKey,
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Sealed, Refusal> {
    if plaintext.len() > PLAINTEXT_BYTES {
        refuse!(TooLarge, "{} bytes to seal, at most {PLAINTEXT_BYTES}", plaintext.len());
    }
    let bad_key = |_| Refusal::new(Code::BadKey, format!("{to:?}"));
    let key = <XWing as Kem>::PublicKey::from_bytes(&to.0).map_err(bad_key)?;
    let (encapsulated, ciphertext) = hpke::single_shot_seal_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        XWing,
    >(&OpModeS::Base, &key, info, plaintext, aad, rng)
    .map_err(bad_key)?;
    let mut bytes = encapsulated.to_bytes().to_vec();
    bytes.extend_from_slice(&ciphertext);
    Sealed::from_bytes(&bytes)
}

#[cfg(test)]
mod tests;
