//! One test per transition and per refusal, over one small network.

mod certificates;
mod directory;
mod documents;
mod gateways;
mod revocations;
mod rotations;

use std::num::NonZeroU32;

use super::*;
use crate::crypto::hash::Tag;
use crate::crypto::seal::{SealingKey, SealingPublicKey};
use crate::crypto::suite::{HybridSignatures, SecretKey, Signature, Suite};
use crate::error::{Code, Refusal};
use crate::types::{Bounded, Domain, Epoch, Height, Time};

/// Inside every certificate of the fixtures.
const NOW: Time = Time(1_500);
/// After every certificate of the fixtures.
const LATER: Time = Time(9_000);
const SIGNATURES: HybridSignatures = HybridSignatures;

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

/// A fast key; the policy of [`World`] allows it.
fn key(number: u8) -> SecretKey {
    SecretKey::generate(Suite::Ed25519, &[number; 32])
}

fn sealing(number: u8) -> SealingPublicKey {
    SealingKey::generate(&[number; 32]).public().clone()
}

fn sign(key: &SecretKey, (tag, bytes): (Tag, Vec<u8>)) -> Signature {
    key.sign(tag, &bytes)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(code: Code, result: Result<T, Refusal>) {
    assert_eq!(result.unwrap_err().code, code);
}

/// A network with the authority `root.example` and an empty directory.
struct World {
    anchors: Anchors,
    directory: Directory,
    authority: SecretKey,
}

impl World {
    fn new() -> Self {
        let authority = key(200);
        let root =
            AuthorityKey { authority: domain("root.example"), key: authority.public().clone() };
        let anchors = Anchors {
            network: "test".parse().unwrap(),
            authorities: Bounded::new(vec![root]).unwrap(),
            endorsers: Bounded::default(),
            threshold: NonZeroU32::new(2).unwrap(),
            suites: SuitePolicy::ANY,
        };
        Self { anchors, directory: Directory::new(), authority }
    }

    /// With `a.example` (key 1, epoch 1) admitted by the authority.
    fn with_member() -> Self {
        let mut world = Self::new();
        world.admit(&world.authority_signed(&certificate("a.example", &key(1)))).unwrap();
        world
    }

    fn authority_signed(&self, certificate: &Certificate) -> SignedCertificate {
        let signature = sign(&self.authority, certificate.to_sign());
        SignedCertificate::assemble(certificate, signature, Vec::new()).unwrap()
    }

    fn verify(&self, signed: &SignedCertificate) -> Result<VerifiedCertificate, Refusal> {
        self.anchors.verify_certificate(signed, &self.directory, NOW, &SIGNATURES)
    }

    fn admit(&mut self, signed: &SignedCertificate) -> Result<Change, Refusal> {
        let verified = self.verify(signed)?;
        self.directory.admit(&verified)
    }

    fn rotate(&mut self, signed: &SignedRotation) -> Result<Change, Refusal> {
        let verified = self.anchors.verify_rotation(signed, &self.directory, &SIGNATURES)?;
        self.directory.rotate(&verified)
    }

    fn revoke(&mut self, signed: &SignedRevocation) -> Result<Change, Refusal> {
        let verified = self.anchors.verify_revocation(signed, &self.directory, &SIGNATURES)?;
        self.directory.revoke(&verified)
    }

    fn authority_revokes(&mut self, revocation: &Revocation) -> Result<Change, Refusal> {
        let signature = sign(&self.authority, revocation.to_sign());
        self.revoke(&SignedRevocation::assemble(revocation, signature).unwrap())
    }

    /// Whether a checkpoint of `a.example` with this epoch and height has a key that counts.
    fn key(&self, epoch: u32, height: u64) -> Result<&crate::crypto::suite::PublicKey, Refusal> {
        self.directory.key(&domain("a.example"), Epoch(epoch), Height(height))
    }
}

/// Issued by the authority, epoch 1, serial 1, valid from 1000 to 2000, a validator.
fn certificate(name: &str, key: &SecretKey) -> Certificate {
    Certificate {
        network: "test".parse().unwrap(),
        serial: 1,
        domain: domain(name),
        lei: Some("506700GE1G29325QX363".parse().unwrap()),
        roles: Bounded::new(vec![Role::Validator]).unwrap(),
        epoch: Epoch(1),
        signing_key: key.public().clone(),
        sealing_key: Some(sealing(1)),
        valid_from: Time(1_000),
        valid_until: Time(2_000),
        issuer: Issuer::Authority(domain("root.example")),
    }
}

fn self_signed(
    certificate: &Certificate,
    key: &SecretKey,
    endorsers: &[(&str, &SecretKey)],
) -> SignedCertificate {
    let endorse = |(name, key): &(&str, &SecretKey)| {
        let by = domain(name);
        let to_sign = Endorsement::to_sign(&certificate.hash(), &by, Epoch(1));
        Endorsement { by, epoch: Epoch(1), signature: sign(key, to_sign) }
    };
    let endorsements = endorsers.iter().map(endorse).collect();
    let signature = sign(key, certificate.to_sign());
    SignedCertificate::assemble(certificate, signature, endorsements).unwrap()
}

/// Of `a.example` to epoch 2, from height 100 on.
fn rotation(new: &SecretKey) -> Rotation {
    Rotation {
        network: "test".parse().unwrap(),
        domain: domain("a.example"),
        from_epoch: Epoch(1),
        to_epoch: Epoch(2),
        new_key: new.public().clone(),
        new_sealing_key: Some(sealing(2)),
        from_height: Height(100),
    }
}

fn rotated(rotation: &Rotation, old: &SecretKey, new: &SecretKey) -> SignedRotation {
    let (by_old, by_new) = (sign(old, rotation.to_sign()), sign(new, rotation.to_sign()));
    SignedRotation::assemble(rotation, by_old, by_new).unwrap()
}

/// Of epoch 1 of `a.example` above height 50, by the authority.
fn revocation() -> Revocation {
    Revocation {
        network: "test".parse().unwrap(),
        serial: 1,
        domain: domain("a.example"),
        epoch: Epoch(1),
        from_height: Height(50),
        reason: RevocationReason::KeyCompromise,
        time: NOW,
        issuer: Issuer::Authority(domain("root.example")),
    }
}

fn own_revocation(from_height: u64) -> Revocation {
    Revocation { issuer: Issuer::SelfSigned, from_height: Height(from_height), ..revocation() }
}

fn revoked(revocation: &Revocation, key: &SecretKey) -> SignedRevocation {
    SignedRevocation::assemble(revocation, sign(key, revocation.to_sign())).unwrap()
}
