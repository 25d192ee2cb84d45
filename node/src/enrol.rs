//! Enrolment: how a domain asks for a certificate.
//!
//! ```text
//!   quadrille enroll request            quadrille-bootstrap approve
//!   keys --request, signed with them--> authority checks who asks (out of band) and signs
//!   certificate <--SignedCertificate--- quadrille enroll accept: is it ours, do we trust it
//! ```
//!
//! Where there is no authority, members sign their certificates themselves and vouch for each
//! other: [`cross`].
//!
//! Invariants:
//! * A request proves that who made it has the key that it asks a certificate for. It proves
//!   nothing else: that the domain is whose it says is for the authority to find out.
//! * What is signed is the bytes that travel.

pub mod cross;

use bincode::{Decode, Encode};
use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::seal::SealingPublicKey;
use quadrille_protocol::crypto::suite::{PublicKey, SecretKey, Signature, Signatures};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{
    Anchors, Certificate, Directory, Issuer, Lei, Role, SignedCertificate, VerifiedCertificate,
};
use quadrille_protocol::limits;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Bounded, Bytes, Domain, Epoch, Network, Time};
use serde::Serialize;

/// Largest request, without its signature.
pub const REQUEST_BYTES: usize = limits::CERTIFICATE_BYTES;
/// Largest request with its signature.
pub const SIGNED_REQUEST_BYTES: usize = REQUEST_BYTES + 2 * limits::SIGNATURE_BYTES;

const _: () = assert!(SIGNED_REQUEST_BYTES < crate::armour::FILE_BYTES);

/// What a domain wants certified.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct EnrolmentRequest {
    /// The network it wants to be a member of.
    pub network: Network,
    /// The domain.
    pub domain: Domain,
    /// Its legal entity identifier, where it has one.
    pub lei: Option<Lei>,
    /// The roles it asks for, in the order of [`Role`], none twice.
    pub roles: Bounded<Role, { limits::CERTIFICATE_ROLES }>,
    /// The number of the signing key, from 1.
    pub epoch: Epoch,
    /// The key that will sign its checkpoints.
    pub signing_key: PublicKey,
    /// The key that others may seal payloads to.
    pub sealing_key: Option<SealingPublicKey>,
    /// When the request was made, for people.
    pub time: Time,
}

impl EnrolmentRequest {
    /// What the domain signs to prove that it has the key.
    #[must_use]
    pub fn to_sign(&self) -> (Tag, Vec<u8>) {
        (Tag::Registration, codec::encode(self))
    }

    /// Checks what can be checked without knowing anybody.
    ///
    /// # Errors
    /// `Q-2301` for roles that are none, out of order, twice, or not to be asked for; for
    /// epoch 0.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.epoch == Epoch(0) {
            refuse!(BadEnrolmentRequest, "epochs count from 1");
        }
        if self.roles.is_empty() || !self.roles.is_sorted_by(|left, right| left < right) {
            refuse!(BadEnrolmentRequest, "no roles, or roles out of order or twice");
        }
        if self.roles.contains(&Role::Authority) {
            refuse!(BadEnrolmentRequest, "authorities stand in the network file");
        }
        Ok(())
    }

    /// The request, signed with the secret key that belongs to its signing key.
    ///
    /// # Errors
    /// `Q-2301` when the key is another or the request does not hold together.
    pub fn sign(&self, key: &SecretKey) -> Result<SignedEnrolmentRequest, Refusal> {
        self.check()?;
        if *key.public() != self.signing_key {
            refuse!(BadEnrolmentRequest, "signed with another key than the one it names");
        }
        let (tag, bytes) = self.to_sign();
        SignedEnrolmentRequest::assemble(self, key.sign(tag, &bytes))
    }
}

/// A request with the proof that who asks has the key: what travels to the authority.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedEnrolmentRequest {
    request: Bytes<REQUEST_BYTES>,
    signature: Signature,
}

impl SignedEnrolmentRequest {
    /// Puts together what was signed at the edge (over [`EnrolmentRequest::to_sign`]). Verifies
    /// nothing.
    ///
    /// # Errors
    /// `Q-1001` too large.
    pub fn assemble(request: &EnrolmentRequest, signature: Signature) -> Result<Self, Refusal> {
        Ok(Self { request: Bytes::new(&codec::encode(request))?, signature })
    }

    /// From canonical bytes.
    ///
    /// # Errors
    /// Those of [`codec::decode`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        codec::decode::<Self, SIGNED_REQUEST_BYTES>(bytes)
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Checks the request and its proof, and returns it.
    ///
    /// # Errors
    /// `Q-1207` for another network, `Q-2301` as [`EnrolmentRequest::check`], `Q-1103` and
    /// `Q-1104` when the proof does not hold, and those of [`codec::decode`].
    pub fn verify(
        &self,
        network: &Network,
        signatures: &impl Signatures,
    ) -> Result<EnrolmentRequest, Refusal> {
        let request = codec::decode::<EnrolmentRequest, REQUEST_BYTES>(&self.request)?;
        if request.network != *network {
            refuse!(WrongNetwork, "{} instead of {network}", request.network);
        }
        request.check()?;
        signatures.verify(
            &request.signing_key,
            Tag::Registration,
            &self.request,
            &self.signature,
        )?;
        Ok(request)
    }
}

/// Checks that a certificate is for this domain and this key, and that somebody whom the anchors
/// trust vouches for it.
///
/// # Errors
/// `Q-2302` when it is for another domain, epoch or key; those of
/// [`Anchors::verify_certificate`].
pub fn check_answer(
    signed: &SignedCertificate,
    domain: &Domain,
    keys: &[(Epoch, PublicKey)],
    anchors: &Anchors,
    now: Time,
    signatures: &impl Signatures,
) -> Result<VerifiedCertificate, Refusal> {
    let certificate = signed.parse()?;
    if certificate.domain != *domain {
        refuse!(NotOurCertificate, "it is for {}, this is {domain}", certificate.domain);
    }
    let epoch = certificate.epoch;
    let Some((_, ours)) = keys.iter().find(|(known, _)| *known == epoch) else {
        refuse!(NotOurCertificate, "it is for epoch {epoch}, which {domain} has no key of");
    };
    if *ours != certificate.signing_key {
        let (theirs, ours) = (certificate.signing_key.id(), ours.id());
        refuse!(NotOurCertificate, "it is for {theirs}, ours of epoch {epoch} is {ours}");
    }
    let nobody = Directory::new();
    anchors.verify_certificate(signed, &nobody, now, signatures)
}

/// The name of a role in command lines and files.
#[must_use]
pub const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Validator => "validator",
        Role::Notary => "notary",
        Role::Observer => "observer",
        Role::Supervisor => "supervisor",
        Role::Authority => "authority",
    }
}

/// The role with this name.
///
/// # Errors
/// `Q-2201`.
pub fn parse_role(name: &str) -> Result<Role, Refusal> {
    const ALL: [Role; 5] =
        [Role::Validator, Role::Notary, Role::Observer, Role::Supervisor, Role::Authority];
    ALL.into_iter().find(|role| role_name(*role) == name).ok_or_else(|| {
        let names = ALL.map(role_name).join(", ");
        Refusal::new(Code::BadUsage, format!("no role is called `{name}`; there are {names}"))
    })
}

/// What people see of a request or certificate in its file.
#[derive(Debug, Serialize)]
pub struct Readable {
    network: String,
    domain: String,
    lei: Option<String>,
    roles: Vec<&'static str>,
    epoch: String,
    suite: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    endorsed_by: Vec<String>,
}

impl Readable {
    /// With the names of those who endorse the certificate.
    #[must_use]
    pub fn endorsed(mut self, signed: &SignedCertificate) -> Self {
        self.endorsed_by = signed.endorsements().iter().map(|by| by.by.to_string()).collect();
        self
    }
}

impl From<&EnrolmentRequest> for Readable {
    fn from(request: &EnrolmentRequest) -> Self {
        Self {
            network: request.network.to_string(),
            domain: request.domain.to_string(),
            lei: request.lei.map(|lei| lei.to_string()),
            roles: request.roles.iter().copied().map(role_name).collect(),
            epoch: request.epoch.to_string(),
            suite: request.signing_key.suite().to_string(),
            key: request.signing_key.id().to_string(),
            serial: None,
            valid_from: None,
            valid_until: None,
            requested: Some(request.time.to_string()),
            issuer: None,
            endorsed_by: Vec::new(),
        }
    }
}

impl From<&Certificate> for Readable {
    fn from(certificate: &Certificate) -> Self {
        Self {
            network: certificate.network.to_string(),
            domain: certificate.domain.to_string(),
            lei: certificate.lei.map(|lei| lei.to_string()),
            roles: certificate.roles.iter().copied().map(role_name).collect(),
            epoch: certificate.epoch.to_string(),
            suite: certificate.signing_key.suite().to_string(),
            key: certificate.signing_key.id().to_string(),
            serial: Some(certificate.serial.to_string()),
            valid_from: Some(certificate.valid_from.to_string()),
            valid_until: Some(certificate.valid_until.to_string()),
            requested: None,
            issuer: Some(match &certificate.issuer {
                Issuer::Authority(authority) => authority.to_string(),
                Issuer::SelfSigned => "itself".to_owned(),
            }),
            endorsed_by: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
