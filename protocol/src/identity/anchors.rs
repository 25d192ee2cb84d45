//! What a validator trusts before it has heard anybody: authorities, endorsers, suites.
//!
//! Anchors are the operator's configuration. Invariant: nothing received over the network
//! changes them.

use std::num::NonZeroU32;

use bincode::{Decode, Encode};

use super::certificate::{
    Certificate, Endorsement, Issuer, Role, SignedCertificate, VerifiedCertificate,
};
use super::directory::Directory;
use crate::crypto::hash::Tag;
use crate::crypto::suite::{PublicKey, Signature, Signatures, Suite};
use crate::error::{Code, Refusal};
use crate::limits;
use crate::refuse;
use crate::types::{Bounded, Domain, Epoch, Hash, Network, Time};

/// Which signature suites the key of a domain may have. It judges keys that arrive; a key that
/// was admitted under an older policy still verifies what it signed, so that a network can
/// leave a suite while settlements run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SuitePolicy {
    /// Suite 1, Ed25519 + ML-DSA-65.
    pub hybrid_ml_dsa65: bool,
    /// Suite 2, Ed25519 + Dilithium3 (round 3).
    pub hybrid_dilithium3: bool,
    /// Suite 3, Ed25519 alone: not for domains outside simulations.
    pub ed25519: bool,
}

impl SuitePolicy {
    /// The two hybrid suites: the default.
    pub const HYBRID: Self =
        Self { hybrid_ml_dsa65: true, hybrid_dilithium3: true, ed25519: false };
    /// Suite 1 only: for a network whose migration is over.
    pub const FINAL: Self =
        Self { hybrid_ml_dsa65: true, hybrid_dilithium3: false, ed25519: false };
    /// Every suite: for simulations, where speed matters and nothing is at stake.
    pub const ANY: Self = Self { hybrid_ml_dsa65: true, hybrid_dilithium3: true, ed25519: true };

    /// Whether a domain may use `suite`.
    #[must_use]
    pub const fn allows(self, suite: Suite) -> bool {
        match suite {
            Suite::HybridMlDsa65 => self.hybrid_ml_dsa65,
            Suite::HybridDilithium3 => self.hybrid_dilithium3,
            Suite::Ed25519 => self.ed25519,
        }
    }

    /// Checks the suite of a domain's key.
    ///
    /// # Errors
    /// `Q-1107` when the policy does not allow it.
    pub fn check(self, domain: &Domain, key: &PublicKey) -> Result<(), Refusal> {
        if !self.allows(key.suite()) {
            refuse!(SuiteNotAllowed, "{} for the domain {domain}", key.suite());
        }
        Ok(())
    }
}

impl Default for SuitePolicy {
    fn default() -> Self {
        Self::HYBRID
    }
}

/// A key of a network authority. One authority may have several while it changes its key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AuthorityKey {
    /// The authority's name, as certificates name their issuer.
    pub authority: Domain,
    /// A key that may sign in its name.
    pub key: PublicKey,
}

/// A key that the operator has checked out of band.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PinnedKey {
    /// The epoch of the key.
    pub epoch: Epoch,
    /// The key.
    pub key: PublicKey,
}

/// A domain whose endorsements count.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Endorser {
    /// The domain.
    pub domain: Domain,
    /// Its key, where it must count before the domain is in the directory: the first members of
    /// a network without an authority have nobody to endorse them. A self-signed certificate
    /// with the pinned key needs no endorsement. Once the domain is in the directory, what the
    /// directory knows (rotations, revocations, expiry) replaces the pin.
    pub pinned: Option<PinnedKey>,
}

/// Whom this validator trusts to say who is a member.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Anchors {
    /// The network; everything signed names it.
    pub network: Network,
    /// The keys of the network's authorities.
    pub authorities: Bounded<AuthorityKey, { limits::AUTHORITY_KEYS }>,
    /// The domains whose endorsements count.
    pub endorsers: Bounded<Endorser, { limits::ENDORSERS }>,
    /// How many of them a self-signed certificate needs.
    pub threshold: NonZeroU32,
    /// Which suites a domain may use.
    pub suites: SuitePolicy,
}

impl Anchors {
    /// Checks a certificate and whoever vouches for it.
    ///
    /// An authority's certificate needs its signature. A self-signed one needs its own key's
    /// signature and either that key pinned here, or the endorsements of `threshold` different
    /// endorsers other than itself. An endorsement by a domain that does not count here is
    /// passed over; one in the name of an endorser that does not verify is refused.
    ///
    /// # Errors
    /// Those of [`SignedCertificate::parse`] and [`Certificate::check`]; `Q-1202` not valid at
    /// `now`; `Q-1203` its key is revoked; `Q-1204` no trusted issuer, too few endorsements, or
    /// the role of an authority for a domain that is none here; `Q-1103`, `Q-1104` a signature
    /// that does not verify.
    pub fn verify_certificate(
        &self,
        signed: &SignedCertificate,
        directory: &Directory,
        now: Time,
        signatures: &impl Signatures,
    ) -> Result<VerifiedCertificate, Refusal> {
        let certificate = signed.parse()?;
        certificate.check(&self.network, self.suites)?;
        certificate.check_time(now)?;
        let domain = &certificate.domain;
        let is_authority = self.authorities.iter().any(|known| known.authority == *domain);
        if certificate.has_role(Role::Authority) && !is_authority {
            refuse!(NotEndorsed, "{domain} is no authority here");
        }
        if let Some(record) = directory.record(domain, certificate.epoch)
            && record.revoked.is_some()
        {
            refuse!(CertificateRevoked, "key {} of {domain}", certificate.epoch);
        }
        let (bytes, signature) = (signed.certificate_bytes(), signed.signature());
        match &certificate.issuer {
            Issuer::Authority(authority) => {
                self.verify_authority(authority, Tag::Certificate, bytes, signature, signatures)?;
            }
            Issuer::SelfSigned => {
                signatures.verify(&certificate.signing_key, Tag::Certificate, bytes, signature)?;
                self.verify_endorsements(&certificate, signed, directory, now, signatures)?;
            }
        }
        Ok(VerifiedCertificate::new(signed.clone(), certificate))
    }

    /// Checks a signature in the name of an authority against each of its keys.
    pub(super) fn verify_authority(
        &self,
        authority: &Domain,
        tag: Tag,
        bytes: &[u8],
        signature: &Signature,
        signatures: &impl Signatures,
    ) -> Result<(), Refusal> {
        let mut refusal = Refusal::new(Code::NotEndorsed, format!("authority {authority}"));
        for known in self.authorities.iter().filter(|known| known.authority == *authority) {
            match signatures.verify(&known.key, tag, bytes, signature) {
                Ok(()) => return Ok(()),
                Err(because) => refusal = because,
            }
        }
        Err(refusal)
    }

    fn verify_endorsements(
        &self,
        certificate: &Certificate,
        signed: &SignedCertificate,
        directory: &Directory,
        now: Time,
        signatures: &impl Signatures,
    ) -> Result<(), Refusal> {
        if self.is_pinned(certificate) {
            return Ok(());
        }
        let hash = signed.hash();
        let mut counted: Vec<&Domain> = Vec::with_capacity(limits::ENDORSEMENTS);
        for endorsement in signed.endorsements() {
            let by = &endorsement.by;
            if *by == certificate.domain || counted.contains(&by) {
                continue;
            }
            let Some(endorser) = self.endorsers.iter().find(|known| known.domain == *by) else {
                continue;
            };
            let Some(key) = endorsing_key(endorser, endorsement, directory, now) else {
                continue;
            };
            verify_endorsement(key, &hash, endorsement, signatures)?;
            counted.push(by);
        }
        let count = u32::try_from(counted.len()).unwrap_or(u32::MAX);
        if count < self.threshold.get() {
            let domain = &certificate.domain;
            refuse!(NotEndorsed, "{domain}: {count} endorsements count, {} needed", self.threshold);
        }
        Ok(())
    }

    fn is_pinned(&self, certificate: &Certificate) -> bool {
        self.endorsers.iter().any(|known| {
            known.domain == certificate.domain
                && known.pinned.as_ref().is_some_and(|pinned| {
                    pinned.epoch == certificate.epoch && pinned.key == certificate.signing_key
                })
        })
    }

    pub(super) fn check_network(&self, network: &Network) -> Result<(), Refusal> {
        check_network(&self.network, network)
    }
}

pub(super) fn check_network(ours: &Network, theirs: &Network) -> Result<(), Refusal> {
    if ours != theirs {
        refuse!(WrongNetwork, "{theirs} instead of {ours}");
    }
    Ok(())
}

/// The key under which an endorsement counts now, if any: the directory's where the endorser is
/// a member (its certificate valid, the key good), the pinned one before that.
fn endorsing_key<'a>(
    endorser: &'a Endorser,
    endorsement: &Endorsement,
    directory: &'a Directory,
    now: Time,
) -> Option<&'a PublicKey> {
    if directory.member(&endorser.domain).is_ok() {
        directory.check_member_at(&endorser.domain, now).ok()?;
        return directory.good_key(&endorser.domain, endorsement.epoch).ok();
    }
    let pinned = endorser.pinned.as_ref()?;
    (pinned.epoch == endorsement.epoch).then_some(&pinned.key)
}

fn verify_endorsement(
    key: &PublicKey,
    certificate: &Hash,
    endorsement: &Endorsement,
    signatures: &impl Signatures,
) -> Result<(), Refusal> {
    let (tag, bytes) = Endorsement::to_sign(certificate, &endorsement.by, endorsement.epoch);
    signatures.verify(key, tag, &bytes, &endorsement.signature)
}
