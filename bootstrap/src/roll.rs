//! What the register says: who was admitted under which key, and which keys were revoked.
//!
//! Pure: entries go in, questions are answered. Invariants:
//! * Every entry was signed by this network's authority; one that was not is refused as damage.
//! * The directory here is what a member makes of the same documents, so a document that this
//!   roll takes is one that every member takes.

use std::collections::BTreeMap;
use std::fmt;

use quadrille_protocol::crypto::suite::{HybridSignatures, PublicKey};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{
    Anchors, Certificate, Directory, SignedCertificate, SignedRevocation, VerifiedCertificate,
    VerifiedRevocation,
};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Domain, Epoch, Hash, Height, Time};

use crate::register::{Document, Entry};

/// A certificate of the register.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The request that it answers; none for the network's own peer.
    pub request: Option<Hash>,
    /// What it says.
    pub certificate: Certificate,
    /// As it travels.
    pub signed: SignedCertificate,
}

/// How a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Good.
    Live,
    /// Its time has not come.
    NotYet,
    /// Its time is over.
    Expired,
    /// A newer certificate of the domain for the same key stands in its place.
    Superseded,
    /// Its key was revoked; it counts up to this height of its domain's log.
    Revoked(Height),
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.pad("live"),
            Self::NotYet => f.pad("not yet valid"),
            Self::Expired => f.pad("expired"),
            Self::Superseded => f.pad("superseded"),
            Self::Revoked(ALL_HEIGHTS) => f.pad("revoked for new business"),
            Self::Revoked(height) => f.pad(&format!("revoked above height {height}")),
        }
    }
}

/// The height of a revocation that takes nothing back: the key's statements all keep counting,
/// and nobody begins new business under it.
pub const ALL_HEIGHTS: Height = Height(u64::MAX);

/// An entry that was checked, for whoever follows the register.
#[derive(Debug, Clone)]
pub enum News {
    /// A certificate.
    Certificate(Box<VerifiedCertificate>),
    /// A revocation.
    Revocation(Box<VerifiedRevocation>),
}

/// What the register says.
#[derive(Debug)]
pub struct Roll {
    anchors: Anchors,
    directory: Directory,
    issued: BTreeMap<u64, Issued>,
    /// The serial numbers of a domain's certificates, rising.
    domains: BTreeMap<Domain, Vec<u64>>,
    requests: BTreeMap<Hash, u64>,
    revocations: Vec<SignedRevocation>,
}

impl Roll {
    /// An empty roll of the network with these anchors.
    #[must_use]
    pub fn new(anchors: Anchors) -> Self {
        Self {
            anchors,
            directory: Directory::new(),
            issued: BTreeMap::new(),
            domains: BTreeMap::new(),
            requests: BTreeMap::new(),
            revocations: Vec::new(),
        }
    }

    /// The network's anchors.
    #[must_use]
    pub const fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// The members as everybody sees them who has read these documents and no others.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Every certificate, by serial number.
    pub fn issued(&self) -> impl Iterator<Item = (u64, &Issued)> {
        self.issued.iter().map(|(serial, issued)| (*serial, issued))
    }

    /// Every revocation, oldest first.
    #[must_use]
    pub fn revocations(&self) -> &[SignedRevocation] {
        &self.revocations
    }

    /// The certificate with this serial number.
    ///
    /// # Errors
    /// `Q-2318`.
    pub fn certificate(&self, serial: u64) -> Result<&Issued, Refusal> {
        let none = || Refusal::new(Code::NoSuchSerial, serial.to_string());
        self.issued.get(&serial).ok_or_else(none)
    }

    /// What was issued for the request with this hash.
    #[must_use]
    pub fn answer(&self, request: &Hash) -> Option<&Issued> {
        self.issued.get(self.requests.get(request)?)
    }

    /// The newest live certificate of the domain under another key than this one.
    #[must_use]
    pub fn other_live(&self, domain: &Domain, key: &PublicKey, now: Time) -> Option<&Issued> {
        self.of(domain).rev().find(|issued| {
            issued.certificate.signing_key != *key
                && self.standing(&issued.certificate, now) == Standing::Live
        })
    }

    /// The certificates of a domain, oldest first.
    fn of(&self, domain: &Domain) -> impl DoubleEndedIterator<Item = &Issued> {
        let serials = self.domains.get(domain).map(Vec::as_slice).unwrap_or_default();
        serials.iter().filter_map(|serial| self.issued.get(serial))
    }

    /// The highest epoch that the domain was admitted under.
    #[must_use]
    pub fn latest_epoch(&self, domain: &Domain) -> Option<Epoch> {
        self.directory.member(domain).ok()?.latest().ok().map(|(epoch, _)| epoch)
    }

    /// How a certificate stands at `now`.
    #[must_use]
    pub fn standing(&self, certificate: &Certificate, now: Time) -> Standing {
        let record = self.directory.record(&certificate.domain, certificate.epoch);
        if let Some(height) = record.and_then(|record| record.revoked_from()) {
            return Standing::Revoked(height);
        }
        let newer = self.of(&certificate.domain).any(|other| {
            let other = &other.certificate;
            other.epoch == certificate.epoch && other.serial > certificate.serial
        });
        if newer {
            Standing::Superseded
        } else if now < certificate.valid_from {
            Standing::NotYet
        } else if now >= certificate.valid_until {
            Standing::Expired
        } else {
            Standing::Live
        }
    }

    /// Takes up an entry of the register.
    ///
    /// # Errors
    /// `Q-2312` when the authority did not sign it, or members would not take it.
    pub fn apply(&mut self, entry: &Entry) -> Result<News, Refusal> {
        let damaged = |refusal: Refusal| {
            Refusal::new(Code::RegisterDamaged, format!("entry {}: {refusal}", entry.serial))
        };
        match &entry.document {
            Document::Certificate { request, signed } => {
                let verified = self.check_certificate(entry.serial, signed).map_err(damaged)?;
                self.directory.admit(&verified).map_err(damaged)?;
                let certificate = verified.certificate().clone();
                self.domains.entry(certificate.domain.clone()).or_default().push(entry.serial);
                let issued = Issued { request: *request, certificate, signed: signed.clone() };
                self.issued.insert(entry.serial, issued);
                if let Some(request) = request {
                    self.requests.insert(*request, entry.serial);
                }
                Ok(News::Certificate(Box::new(verified)))
            }
            Document::Revocation(signed) => {
                let verified = self
                    .anchors
                    .verify_revocation(signed, &self.directory, &HybridSignatures)
                    .and_then(|verified| self.directory.revoke(&verified).map(|_| verified))
                    .map_err(damaged)?;
                self.revocations.push(signed.clone());
                Ok(News::Revocation(Box::new(verified)))
            }
        }
    }

    /// Checks that the authority signed it and that members would take it, without taking it up.
    ///
    /// # Errors
    /// Those of [`Anchors::verify_certificate`] and [`Directory::admit`].
    pub fn rehearse(&self, signed: &SignedCertificate, serial: u64) -> Result<(), Refusal> {
        let verified = self.check_certificate(serial, signed)?;
        self.directory.clone().admit(&verified).map(|_| ())
    }

    /// By its own time and without what was revoked since: the register is history.
    fn check_certificate(
        &self,
        serial: u64,
        signed: &SignedCertificate,
    ) -> Result<VerifiedCertificate, Refusal> {
        let certificate = signed.parse()?;
        if certificate.serial != serial {
            refuse!(StaleSequence, "it says {}", certificate.serial);
        }
        let (before, then) = (Directory::new(), certificate.valid_from);
        self.anchors.verify_certificate(signed, &before, then, &HybridSignatures)
    }
}
