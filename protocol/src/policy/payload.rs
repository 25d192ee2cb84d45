//! What travels sealed with a payment: a memo, and who pays whom.
//!
//! ```text
//!   payer's bank: Payload --seal--> Sealed --in the agreement--> payee's bank: open, hash, check
//!                     `--hash (salted)--> in the agreement, bound by its header
//! ```
//!
//! Invariants: the hash is over the salt too, so it tells nobody in between what is inside; what
//! was opened counts only when its hash is the one agreed on.

use std::fmt;

use bincode::{Decode, Encode};

use super::ivms101::Ivms101;
use super::travel::{self, Paid};
use crate::codec;
use crate::crypto::hash::{Tag, hash, hash_of};
use crate::crypto::seal::{self, CryptoRng, Sealed, SealingKey, SealingPublicKey};
use crate::error::{Code, Refusal};
use crate::limits;
use crate::payment::Opened;
use crate::settlement::agreement::Enclosure;
use crate::types::{Domain, Hash, Text};

/// A memo for the payee.
pub type Memo = Text<{ limits::MEMO_BYTES }>;

/// Memo and identities of one payment.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Payload {
    /// 32 bytes that were drawn at random for this payload alone.
    pub salt: [u8; 32],
    /// What the payer has to say; may be empty.
    pub memo: Memo,
    /// Who pays whom.
    pub travel: Option<Box<Ivms101>>,
}

const _: () = assert!(limits::PAYLOAD_BYTES <= seal::PLAINTEXT_BYTES);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let travel = if self.travel.is_some() { "with" } else { "without" };
        write!(f, "Payload(hidden, {travel} identities)")
    }
}

impl Payload {
    /// Its hash, which the agreement names.
    #[must_use]
    pub fn hash(&self) -> Hash {
        hash_of(Tag::Payload, self)
    }

    /// What the payer's order names for its memo: zero for none.
    #[must_use]
    pub fn memo_hash(&self) -> Hash {
        match self.memo.as_str() {
            "" => Hash::ZERO,
            memo => hash(Tag::Payload, &[b"memo", &self.salt, memo.as_bytes()]),
        }
    }

    /// Seals it to a domain's key and says its hash.
    ///
    /// # Errors
    /// `Q-1001` over [`limits::PAYLOAD_BYTES`]; `Q-1102` when `to` is no key.
    pub fn seal(
        &self,
        to: &SealingPublicKey,
        rng: &mut impl CryptoRng,
    ) -> Result<(Hash, Sealed), Refusal> {
        let bytes = codec::encode(self);
        if bytes.len() > limits::PAYLOAD_BYTES {
            let most = limits::PAYLOAD_BYTES;
            return Err(Refusal::new(
                Code::TooLarge,
                format!("payload of {} bytes, at most {most}", bytes.len()),
            ));
        }
        let hash = self.hash();
        let sealed = seal::seal(to, Tag::Payload.prefix(), hash.as_bytes(), &bytes, rng)?;
        Ok((hash, sealed))
    }

    /// Seals it to `to`, whose sealing key is `key`, as an agreement encloses it.
    ///
    /// # Errors
    /// Those of [`Payload::seal`].
    pub fn enclose(
        &self,
        to: Domain,
        key: &SealingPublicKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Enclosure, Refusal> {
        let (hash, sealed) = self.seal(key, rng)?;
        Ok(Enclosure { to, hash, sealed })
    }

    /// What the receiving edge finds in an enclosure: opened, with the travel rule's data
    /// checked, and passed by `screen`. The refusal is the reason with which the bank declines.
    ///
    /// # Errors
    /// Those of [`Payload::open`], of [`travel::check`] and of `screen`.
    pub fn find(
        key: &SealingKey,
        enclosure: &Enclosure,
        paid: &Paid<'_>,
        screen: impl FnOnce(&Self) -> Result<(), Refusal>,
    ) -> Result<(Self, Opened), Refusal> {
        let payload = Self::open(key, &enclosure.hash, &enclosure.sealed)?;
        travel::check(Some(&payload), paid)?;
        screen(&payload)?;
        let opened = Opened { hash: enclosure.hash, travel: payload.travel.is_some() };
        Ok((payload, opened))
    }

    /// Opens what was sealed to `key`'s owner under `hash`.
    ///
    /// # Errors
    /// `Q-1106` it does not open with this key and hash; those of [`codec::decode`]; `Q-2608`
    /// what is inside has another hash.
    pub fn open(key: &SealingKey, hash: &Hash, sealed: &Sealed) -> Result<Self, Refusal> {
        let bytes = key.open(Tag::Payload.prefix(), hash.as_bytes(), sealed)?;
        let payload = codec::decode::<Self, { limits::PAYLOAD_BYTES }>(&bytes)?;
        payload.check_hash(hash)?;
        Ok(payload)
    }

    /// Checks that this is the payload that was agreed on.
    ///
    /// # Errors
    /// `Q-2608`.
    pub fn check_hash(&self, agreed: &Hash) -> Result<(), Refusal> {
        if self.hash() != *agreed {
            return Err(Refusal::new(Code::EnclosureDiffers, format!("agreed is {agreed}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    fn payload() -> Payload {
        Payload { salt: [7; 32], memo: "invoice 12".parse().unwrap(), travel: None }
    }

    #[test]
    fn what_is_sealed_opens_for_the_receiver_under_its_hash_and_for_nobody_else() {
        let mut rng = rand_chacha::ChaCha20Rng::from_seed([1; 32]);
        let (key, other) = (SealingKey::generate(&[2; 32]), SealingKey::generate(&[3; 32]));
        let (hash, sealed) = payload().seal(key.public(), &mut rng).unwrap();
        assert_eq!(Payload::open(&key, &hash, &sealed).unwrap(), payload());
        let code = |opened: Result<Payload, Refusal>| opened.unwrap_err().code;
        assert_eq!(code(Payload::open(&other, &hash, &sealed)), Code::CannotOpen);
        assert_eq!(code(Payload::open(&key, &Hash([1; 32]), &sealed)), Code::CannotOpen);
    }

    #[test]
    fn a_payload_that_was_sealed_under_another_hash_is_refused() {
        let mut rng = rand_chacha::ChaCha20Rng::from_seed([1; 32]);
        let key = SealingKey::generate(&[2; 32]);
        let (claimed, bytes) = (Hash([9; 32]), codec::encode(&payload()));
        let sealed =
            seal::seal(key.public(), Tag::Payload.prefix(), claimed.as_bytes(), &bytes, &mut rng)
                .unwrap();
        let refusal = Payload::open(&key, &claimed, &sealed).unwrap_err();
        assert_eq!(refusal.code, Code::EnclosureDiffers);
    }

    #[test]
    fn salt_and_memo_change_the_hash_and_nothing_is_shown() {
        let (one, mut two) = (payload(), payload());
        two.salt = [8; 32];
        assert_ne!(one.hash(), two.hash());
        assert_ne!(one.memo_hash(), two.memo_hash());
        two = Payload { memo: Memo::default(), ..one.clone() };
        assert_eq!(two.memo_hash(), Hash::ZERO);
        assert!(!format!("{one:?}").contains("invoice"));
    }
}
