//! Cross-certification: membership where there is no authority.
//!
//! ```text
//!   a domain      self_sign: a certificate that its own key signs
//!   its partners  endorse:   sign that certificate's hash, after a look at who asks
//!   the domain    merge:     puts the endorsements of several partners together
//!   an operator   pin:       trusts a key that it has checked over another channel
//! ```
//!
//! Invariants:
//! * Nobody endorses its own certificate, and none whose own signature does not verify.
//! * A certificate has one endorsement of each endorser.

use quadrille_protocol::crypto::suite::{SecretKey, Signatures};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::identity::{
    Certificate, Endorsement, Endorser, Issuer, PinnedKey, Role, SignedCertificate, SuitePolicy,
};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Bounded, Domain, Duration, Epoch, KeyId, Network, Time};

use super::EnrolmentRequest;
use crate::network_file::NetworkFile;

/// Validity of a self-signed certificate when none is asked for.
pub const VALID_DAYS: u32 = 365;
/// Its longest validity.
pub const VALID_DAYS_MAX: u32 = 3650;
/// Certificates are valid from a little before now, for members whose clocks are behind.
const CLOCK_ALLOWANCE: Duration = Duration(5 * 60 * 1000);
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A certificate of what `request` asks for, signed with the key that it names.
///
/// # Errors
/// `Q-2301` when the request does not hold together or names another key; `Q-1016` for days that
/// cannot be.
pub fn self_sign(
    request: EnrolmentRequest,
    serial: u64,
    days: u32,
    key: &SecretKey,
) -> Result<SignedCertificate, Refusal> {
    request.check()?;
    if *key.public() != request.signing_key {
        refuse!(BadEnrolmentRequest, "signed with another key than the one it names");
    }
    if days == 0 || days > VALID_DAYS_MAX {
        refuse!(BadNumber, "{days} days of validity, 1 to {VALID_DAYS_MAX} are possible");
    }
    let now = request.time;
    let certificate = Certificate {
        network: request.network,
        serial,
        domain: request.domain,
        lei: request.lei,
        roles: request.roles,
        epoch: request.epoch,
        signing_key: request.signing_key,
        sealing_key: request.sealing_key,
        valid_from: now.before(CLOCK_ALLOWANCE),
        valid_until: now.after(Duration(u64::from(days).saturating_mul(DAY_MS))),
        issuer: Issuer::SelfSigned,
    };
    let (tag, bytes) = certificate.to_sign();
    SignedCertificate::assemble(&certificate, key.sign(tag, &bytes), Vec::new())
}

/// Checks a self-signed certificate by itself: that it holds together, is valid now, and that
/// whoever made it has the key. It says nothing about whether the domain is whose it says.
///
/// # Errors
/// `Q-2301` when an authority is to sign it, or it claims to be one; those of
/// [`Certificate::check`] and [`Certificate::check_time`]; `Q-1103`, `Q-1104`.
pub fn check_self_signed(
    signed: &SignedCertificate,
    network: &Network,
    suites: SuitePolicy,
    now: Time,
    signatures: &impl Signatures,
) -> Result<Certificate, Refusal> {
    let certificate = signed.parse()?;
    if let Issuer::Authority(authority) = &certificate.issuer {
        refuse!(BadEnrolmentRequest, "it is a certificate of the authority {authority}");
    }
    if certificate.has_role(Role::Authority) {
        refuse!(BadEnrolmentRequest, "authorities stand in the network file");
    }
    certificate.check(network, suites)?;
    certificate.check_time(now)?;
    let bytes = signed.certificate_bytes();
    let (tag, _) = certificate.to_sign();
    signatures.verify(&certificate.signing_key, tag, bytes, signed.signature())?;
    Ok(certificate)
}

/// Checks that a certificate is for the key that the operator was told of over another channel.
///
/// # Errors
/// `Q-2333`.
pub fn check_named(certificate: &Certificate, named: KeyId) -> Result<(), Refusal> {
    let (domain, id) = (&certificate.domain, certificate.signing_key.id());
    if id != named {
        refuse!(OtherKey, "the certificate of {domain} is for {id}, not {named}");
    }
    Ok(())
}

/// The certificate with the endorsement of `by`, in place of an earlier one of its.
///
/// # Errors
/// `Q-2301` for its own certificate; `Q-1015` too many endorsements.
pub fn endorse(
    signed: &SignedCertificate,
    by: &Domain,
    epoch: Epoch,
    key: &SecretKey,
) -> Result<SignedCertificate, Refusal> {
    let certificate = signed.parse()?;
    if certificate.domain == *by {
        refuse!(BadEnrolmentRequest, "{by} cannot endorse its own certificate");
    }
    let (tag, bytes) = Endorsement::to_sign(&signed.hash(), by, epoch);
    let endorsement = Endorsement { by: by.clone(), epoch, signature: key.sign(tag, &bytes) };
    let others = signed.endorsements().iter().filter(|known| known.by != *by);
    let mut endorsements: Vec<Endorsement> = others.cloned().collect();
    endorsements.push(endorsement);
    SignedCertificate::assemble(&certificate, signed.signature().clone(), endorsements)
}

/// One certificate with the endorsements of all its copies; of two by one domain the first.
///
/// # Errors
/// `Q-2332` when there is none, or they are not copies of one; `Q-1015` too many endorsements.
pub fn merge(copies: &[SignedCertificate]) -> Result<SignedCertificate, Refusal> {
    let Some((first, others)) = copies.split_first() else {
        refuse!(OtherCertificate, "no certificate at all");
    };
    let mut endorsements = first.endorsements().to_vec();
    for copy in others {
        if copy.certificate_bytes() != first.certificate_bytes() {
            let (one, other) = (first.parse()?, copy.parse()?);
            refuse!(
                OtherCertificate,
                "serial {} of {} and serial {} of {}",
                one.serial,
                one.domain,
                other.serial,
                other.domain
            );
        }
        for endorsement in copy.endorsements() {
            if endorsements.iter().all(|known| known.by != endorsement.by) {
                endorsements.push(endorsement.clone());
            }
        }
    }
    SignedCertificate::assemble(&first.parse()?, first.signature().clone(), endorsements)
}

/// The network with the key of a self-signed certificate pinned: its domain is a member without
/// endorsements, and its endorsements count before it is in the directory. `named` is the key
/// that the operator was told of over another channel. A pin of the domain is replaced.
///
/// # Errors
/// Those of [`check_self_signed`]; `Q-2333` when the key is another one; `Q-1015` too many
/// endorsers.
pub fn pin(
    file: &NetworkFile,
    signed: &SignedCertificate,
    named: KeyId,
    now: Time,
    signatures: &impl Signatures,
) -> Result<NetworkFile, Refusal> {
    let mut anchors = file.anchors();
    let (network, suites) = (file.network(), anchors.suites);
    let certificate = check_self_signed(signed, network, suites, now, signatures)?;
    check_named(&certificate, named)?;
    let Certificate { domain, epoch, signing_key: key, .. } = certificate;
    let pinned = Some(PinnedKey { epoch, key });
    let mut endorsers: Vec<Endorser> = anchors.endorsers.iter().cloned().collect();
    match endorsers.iter_mut().find(|known| known.domain == domain) {
        Some(known) => known.pinned = pinned,
        None => endorsers.push(Endorser { domain, pinned }),
    }
    anchors.endorsers = Bounded::new(endorsers)?;
    NetworkFile::new(anchors, file.bootstrap().to_vec())
}

#[cfg(test)]
mod tests;
