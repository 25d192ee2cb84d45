//! Taking members up: certificates, rotations and gateway records, each verified by itself.
//!
//! The same for what a peer shows of itself in the handshake, for what it tells of others in
//! its member list, and for records from the directory. Who brings it does not matter.
//!
//! Invariant: [`Members`] holds nothing that did not verify, and at most
//! [`KNOWN_MEMBERS`] entries.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quadrille_protocol::crypto::suite::HybridSignatures;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::identity::{
    SignedCertificate, SignedGatewayRecord, SignedRevocation, SignedRotation, VerifiedGatewayRecord,
};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Domain, Epoch};

use super::config::HELLO_ROTATIONS;
use super::host::{Host, MemberDocuments};
use super::roster::Roster;

/// Members whose signed documents are kept in memory to be passed on.
const KNOWN_MEMBERS: usize = 4096;

#[derive(Debug, Clone)]
struct Shown {
    certificate: SignedCertificate,
    /// By the epoch that each leads to.
    rotations: BTreeMap<Epoch, SignedRotation>,
}

/// The signed documents of members that came by since our start.
#[derive(Debug, Default)]
pub struct Members(Mutex<BTreeMap<Domain, Shown>>);

impl Members {
    fn inner(&self) -> MutexGuard<'_, BTreeMap<Domain, Shown>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At most `most` members whose names sort after `after`.
    pub fn after(&self, after: Option<&Domain>, most: usize) -> Vec<(Domain, MemberDocuments)> {
        let inner = self.inner();
        let rest = inner.iter().filter(|(domain, _)| after.is_none_or(|after| *domain > after));
        rest.take(most)
            .map(|(domain, shown)| {
                let certificate = shown.certificate.clone();
                let rotations = shown.rotations.values().cloned().collect();
                (domain.clone(), MemberDocuments { certificate, rotations })
            })
            .collect()
    }

    fn has_certificate(&self, domain: &Domain, certificate: &SignedCertificate) -> bool {
        self.inner().get(domain).is_some_and(|shown| shown.certificate == *certificate)
    }

    fn has_rotation(&self, domain: &Domain, epoch: Epoch, rotation: &SignedRotation) -> bool {
        let inner = self.inner();
        inner.get(domain).and_then(|shown| shown.rotations.get(&epoch)) == Some(rotation)
    }

    fn keep_certificate(&self, domain: &Domain, certificate: &SignedCertificate) {
        let mut inner = self.inner();
        if let Some(shown) = inner.get_mut(domain) {
            shown.certificate = certificate.clone();
        } else if inner.len() < KNOWN_MEMBERS {
            let shown = Shown { certificate: certificate.clone(), rotations: BTreeMap::new() };
            inner.insert(domain.clone(), shown);
        }
    }

    fn keep_rotation(&self, domain: &Domain, epoch: Epoch, rotation: &SignedRotation) {
        if let Some(shown) = self.inner().get_mut(domain) {
            shown.rotations.insert(epoch, rotation.clone());
            // Of many the newest count: an old certificate leads to none of them any more.
            while shown.rotations.len() > HELLO_ROTATIONS {
                shown.rotations.pop_first();
            }
        }
    }
}

/// Takes up a certificate unless the directory has it, or a newer one, already.
///
/// # Errors
/// Those of `Anchors::verify_certificate` and of the host.
pub async fn take_certificate(
    host: &dyn Host,
    members: &Members,
    signed: &SignedCertificate,
) -> Result<(), Refusal> {
    let certificate = signed.parse()?;
    let directory = host.directory();
    if let Ok(member) = directory.member(&certificate.domain) {
        let same = *member.certificate() == certificate;
        if same && !members.has_certificate(&certificate.domain, signed) {
            // The directory has what it says, but only who verifies it may pass it on. One that
            // has expired does not verify, and nobody else could use it.
            let now = host.now();
            let anchors = host.anchors();
            if anchors.verify_certificate(signed, &directory, now, &HybridSignatures).is_ok() {
                members.keep_certificate(&certificate.domain, signed);
            }
        }
        if same || member.certificate().serial >= certificate.serial {
            return Ok(());
        }
    }
    let (anchors, now) = (host.anchors(), host.now());
    let verified = anchors.verify_certificate(signed, &directory, now, &HybridSignatures)?;
    host.admit(verified).await?;
    members.keep_certificate(&certificate.domain, signed);
    Ok(())
}

/// Takes up rotations of `domain` that the directory does not have.
///
/// # Errors
/// `Q-1208` a rotation of somebody else; those of `Anchors::verify_rotation` and of the host.
pub async fn take_rotations(
    host: &dyn Host,
    members: &Members,
    domain: &Domain,
    rotations: &[SignedRotation],
) -> Result<(), Refusal> {
    for signed in rotations {
        let rotation = signed.parse()?;
        if rotation.domain != *domain {
            refuse!(WrongDomain, "a rotation of {} from {domain}", rotation.domain);
        }
        let directory = host.directory();
        let known = directory.record(domain, rotation.to_epoch).is_some();
        if known && members.has_rotation(domain, rotation.to_epoch, signed) {
            continue;
        }
        let anchors = host.anchors();
        let verified = anchors.verify_rotation(signed, &directory, &HybridSignatures)?;
        if !known {
            host.rotate(verified).await?;
        }
        members.keep_rotation(domain, rotation.to_epoch, signed);
    }
    Ok(())
}

/// Takes up a revocation.
///
/// # Errors
/// Those of `Anchors::verify_revocation` and of the host.
pub async fn take_revocation(host: &dyn Host, signed: &SignedRevocation) -> Result<(), Refusal> {
    if host.revocations().contains(signed) {
        return Ok(());
    }
    let (anchors, directory) = (host.anchors(), host.directory());
    let verified = anchors.verify_revocation(signed, &directory, &HybridSignatures)?;
    host.revoke(verified).await
}

/// Checks a gateway record against the directory. The record known already passes again.
///
/// # Errors
/// Those of `Anchors::verify_gateway_record`.
pub fn verify_gateway(
    host: &dyn Host,
    roster: &Roster,
    signed: &SignedGatewayRecord,
) -> Result<VerifiedGatewayRecord, Refusal> {
    let domain = signed.parse()?.domain;
    let below = roster.sequence(&domain).and_then(|sequence| sequence.checked_sub(1));
    let (anchors, directory) = (host.anchors(), host.directory());
    anchors.verify_gateway_record(signed, &directory, below, host.now(), &HybridSignatures)
}
