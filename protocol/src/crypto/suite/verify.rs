//! Checking signatures.
//!
//! Ed25519 halves are checked one by one, on purpose. The usual batch equation adds all
//! signatures up with random weights, and a signer who adds a point of small order to the nonce's
//! commitment makes a signature that the strict equation always refuses but a sum lets through
//! for one weight in two to eight. Refusing keys of small order does not help, since the key is
//! a good one; proving every commitment to be free of torsion costs more than the strict check.
//! A validator that accepted in a batch what the offline verifier refuses would have acted on an
//! order it cannot prove. A test beside this module makes such a signature.

use aws_lc_rs::signature::{ML_DSA_65, UnparsedPublicKey};
use ed25519_dalek::VerifyingKey;
use pqcrypto_dilithium::dilithium3;
use pqcrypto_traits::sign::{DetachedSignature as _, PublicKey as _};

use super::{PublicKey, Signature, Suite, statement};
use crate::crypto::hash::Tag;
use crate::error::Refusal;
use crate::refuse;

/// One signature to check, with what it is said to sign.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The signer's key.
    pub key: &'a PublicKey,
    /// The purpose.
    pub tag: Tag,
    /// The canonical bytes, as received.
    pub message: &'a [u8],
    /// The signature.
    pub signature: &'a Signature,
}

/// Who checks signatures: [`HybridSignatures`], or a stand-in of the simulator.
pub trait Signatures: Send + Sync {
    /// Checks that `signature` is `key`'s over `message` for the purpose of `tag`.
    ///
    /// # Errors
    /// `Q-1104` for a signature of another suite, `Q-1102` for bytes that are no key, `Q-1103`
    /// when either half does not verify.
    fn verify(
        &self,
        key: &PublicKey,
        tag: Tag,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), Refusal>;

    /// Checks many; each verdict is the one that [`Signatures::verify`] gives.
    fn verify_batch(&self, items: &[Signed<'_>]) -> Vec<Result<(), Refusal>> {
        let verify =
            |item: &Signed<'_>| self.verify(item.key, item.tag, item.message, item.signature);
        items.iter().map(verify).collect()
    }
}

/// The real thing: both halves must verify.
#[derive(Debug, Clone, Copy, Default)]
pub struct HybridSignatures;

impl Signatures for HybridSignatures {
    fn verify(
        &self,
        key: &PublicKey,
        tag: Tag,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), Refusal> {
        if key.suite() != signature.suite() {
            let (held, shown) = (key.suite(), signature.suite());
            refuse!(SuiteMismatch, "the key is {held}, the signature {shown}");
        }
        let statement = statement(key, tag, message);
        verify_ed25519(key, &statement, signature)?;
        match key.suite() {
            Suite::HybridMlDsa65 => {
                verify_ml_dsa_65(key.post_quantum(), &statement, signature.post_quantum())
            }
            Suite::HybridDilithium3 => {
                verify_dilithium3(key.post_quantum(), &statement, signature.post_quantum())
            }
            Suite::Ed25519 => Ok(()),
        }
    }
}

/// Refuses keys and commitments of small order, and every form of a signature but one.
fn verify_ed25519(key: &PublicKey, statement: &[u8], signature: &Signature) -> Result<(), Refusal> {
    let Ok(point) = VerifyingKey::from_bytes(key.ed25519()) else {
        refuse!(BadKey, "the Ed25519 half is not a point of the curve");
    };
    let half = ed25519_dalek::Signature::from_bytes(signature.ed25519());
    match point.verify_strict(statement, &half) {
        Ok(()) => Ok(()),
        Err(_) if point.is_weak() => refuse!(BadKey, "the Ed25519 half is of small order"),
        Err(_) => refuse!(BadSignature, "the Ed25519 half"),
    }
}

pub(super) fn verify_ml_dsa_65(
    key: &[u8],
    statement: &[u8],
    signature: &[u8],
) -> Result<(), Refusal> {
    if UnparsedPublicKey::new(&ML_DSA_65, key).verify(statement, signature).is_err() {
        refuse!(BadSignature, "the ML-DSA-65 half");
    }
    Ok(())
}

pub(super) fn verify_dilithium3(
    key: &[u8],
    statement: &[u8],
    signature: &[u8],
) -> Result<(), Refusal> {
    let Ok(key) = dilithium3::PublicKey::from_bytes(key) else {
        refuse!(BadKey, "the Dilithium3 half");
    };
    let verified = dilithium3::DetachedSignature::from_bytes(signature)
        .is_ok_and(|half| dilithium3::verify_detached_signature(&half, statement, &key).is_ok());
    if !verified {
        refuse!(BadSignature, "the Dilithium3 half");
    }
    Ok(())
}
