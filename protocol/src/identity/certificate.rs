//! Certificates: which domain has which key and roles, and who says so.
//!
//! The bytes that were signed are kept as received; the parsed value is made from them and
//! never the other way round. Invariant: a [`VerifiedCertificate`] was checked against the
//! operator's anchors.

use bincode::{Decode, Encode};

use super::anchors::{SuitePolicy, check_network};
use super::lei::Lei;
use crate::codec;
use crate::crypto::hash::{Tag, hash};
use crate::crypto::seal::SealingPublicKey;
use crate::crypto::suite::{PublicKey, Signature};
use crate::error::Refusal;
use crate::limits;
use crate::refuse;
use crate::types::{Bounded, Bytes, Domain, Epoch, Hash, Network, Time};

/// What a domain may do in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Role {
    /// Keeps its customers' ledgers and settles.
    Validator,
    /// Decides settlements for others and sees only hashes.
    Notary,
    /// Reads what parties address to it.
    Observer,
    /// Observes by right.
    Supervisor,
    /// Signs certificates and revocations. Counts only for the authorities of the anchors.
    Authority,
}

/// Who signed a certificate or a revocation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Issuer {
    /// A network authority.
    Authority(Domain),
    /// The domain that it is about.
    SelfSigned,
}

/// What is certified about a domain. At most 8 KiB in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Certificate {
    /// The network it is for.
    pub network: Network,
    /// Rises with every certificate of the domain, whoever issues it.
    pub serial: u64,
    /// The domain.
    pub domain: Domain,
    /// Its legal entity identifier (ISO 17442), where it has one.
    pub lei: Option<Lei>,
    /// Its roles, in the order of [`Role`], none twice.
    pub roles: Bounded<Role, { limits::CERTIFICATE_ROLES }>,
    /// The number of the signing key, from 1.
    pub epoch: Epoch,
    /// The key that signs the domain's checkpoints.
    pub signing_key: PublicKey,
    /// The key that others seal payloads to.
    pub sealing_key: Option<SealingPublicKey>,
    /// The first millisecond at which new business is accepted under it.
    pub valid_from: Time,
    /// The first millisecond at which it is not accepted any more.
    pub valid_until: Time,
    /// Who signs it.
    pub issuer: Issuer,
}

impl Certificate {
    /// What the issuer signs.
    #[must_use]
    pub fn to_sign(&self) -> (Tag, Vec<u8>) {
        (Tag::Certificate, codec::encode(self))
    }

    /// What endorsements name.
    #[must_use]
    pub fn hash(&self) -> Hash {
        hash(Tag::Certificate, &[&codec::encode(self)])
    }

    /// Whether it carries `role`.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Checks what can be checked without knowing anybody.
    ///
    /// # Errors
    /// `Q-1207` for another network; `Q-1209` validity without a duration; `Q-1213` epoch 0;
    /// `Q-1004` roles out of order or twice; `Q-1107` suite not allowed for a domain.
    pub fn check(&self, network: &Network, suites: SuitePolicy) -> Result<(), Refusal> {
        check_network(network, &self.network)?;
        if self.valid_from >= self.valid_until {
            refuse!(BadValidity, "from {} until {}", self.valid_from, self.valid_until);
        }
        if self.epoch == Epoch(0) {
            refuse!(UnknownEpoch, "epochs count from 1");
        }
        if !self.roles.is_sorted_by(|left, right| left < right) {
            refuse!(NotCanonical, "roles of {} out of order or twice", self.domain);
        }
        suites.check(&self.domain, &self.signing_key)
    }

    /// Checks that `now` is inside the validity. For the admission of certificates and new
    /// business only: no statement of a running settlement is judged by it.
    ///
    /// # Errors
    /// `Q-1202` before `valid_from`, and from `valid_until` on.
    pub fn check_time(&self, now: Time) -> Result<(), Refusal> {
        if now < self.valid_from || now >= self.valid_until {
            let (from, until) = (self.valid_from, self.valid_until);
            refuse!(CertificateExpired, "{}: {now} is not in {from} to {until}", self.domain);
        }
        Ok(())
    }
}

/// A domain vouches for another's self-signed certificate.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Endorsement {
    /// Who vouches.
    pub by: Domain,
    /// The epoch of the key that it signs with.
    pub epoch: Epoch,
    /// Over what [`Endorsement::to_sign`] gives.
    pub signature: Signature,
}

impl Endorsement {
    /// What the endorser signs: the hash of the certificate (which names the network), its own
    /// name and its key's epoch.
    #[must_use]
    pub fn to_sign(certificate: &Hash, by: &Domain, epoch: Epoch) -> (Tag, Vec<u8>) {
        (Tag::Endorsement, codec::encode(&(certificate, by, epoch)))
    }
}

/// A certificate as it travels: the signed bytes, the issuer's signature, endorsements.
/// At most 62 KiB in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedCertificate {
    certificate: Bytes<{ limits::CERTIFICATE_BYTES }>,
    signature: Signature,
    endorsements: Bounded<Endorsement, { limits::ENDORSEMENTS }>,
}

impl SignedCertificate {
    /// Puts together what was signed at the edge. Verifies nothing.
    ///
    /// # Errors
    /// `Q-1001` too large; `Q-1015` too many endorsements.
    pub fn assemble(
        certificate: &Certificate,
        signature: Signature,
        endorsements: Vec<Endorsement>,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            certificate: Bytes::new(&codec::encode(certificate))?,
            signature,
            endorsements: Bounded::new(endorsements)?,
        })
    }

    /// From canonical bytes.
    ///
    /// # Errors
    /// Those of [`codec::decode`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        codec::decode::<Self, { limits::SIGNED_CERTIFICATE_BYTES }>(bytes)
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The certificate, as yet unverified.
    ///
    /// # Errors
    /// Those of [`codec::decode`].
    pub fn parse(&self) -> Result<Certificate, Refusal> {
        codec::decode::<Certificate, { limits::CERTIFICATE_BYTES }>(&self.certificate)
    }

    /// What endorsements name: the hash of the certificate's bytes.
    #[must_use]
    pub fn hash(&self) -> Hash {
        hash(Tag::Certificate, &[&self.certificate])
    }

    /// The bytes that the issuer signed.
    #[must_use]
    pub fn certificate_bytes(&self) -> &[u8] {
        &self.certificate
    }

    /// The issuer's signature.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The endorsements.
    #[must_use]
    pub fn endorsements(&self) -> &[Endorsement] {
        &self.endorsements
    }
}

/// A certificate that [`Anchors::verify_certificate`] has passed.
///
/// [`Anchors::verify_certificate`]: super::Anchors::verify_certificate
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCertificate {
    signed: SignedCertificate,
    certificate: Certificate,
}

impl VerifiedCertificate {
    pub(super) const fn new(signed: SignedCertificate, certificate: Certificate) -> Self {
        Self { signed, certificate }
    }

    /// The certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its signed form, to journal and to pass on.
    #[must_use]
    pub const fn signed(&self) -> &SignedCertificate {
        &self.signed
    }
}
