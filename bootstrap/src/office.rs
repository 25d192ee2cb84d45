//! The authority's office: takes requests, checks them, signs certificates and revocations and
//! enters them in the register before they leave.
//!
//! Invariants:
//! * What is handed out stands durably in the register, so no serial number is given twice.
//! * The same request again gets the same certificate.
//! * Nothing is signed that members would refuse: each certificate is rehearsed first against
//!   the directory that all earlier ones make.

use quadrille_node::enrol::{EnrolmentRequest, SignedEnrolmentRequest};
use quadrille_protocol::crypto::hash::{Tag, hash_of};
use quadrille_protocol::crypto::suite::{HybridSignatures, SecretKey};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{
    Certificate, Issuer, Revocation, RevocationReason, Role, SignedCertificate, SignedRevocation,
};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Bounded, Domain, Duration, Hash, Height, Time};

use crate::layout::Layout;
use crate::register::{Document, Opened, Register};
use crate::roll::{ALL_HEIGHTS, Issued, Roll, Standing};

/// Validity of a certificate when none is asked for.
pub const VALID_DAYS: u32 = 365;
/// Longest validity of a member's certificate.
pub const VALID_DAYS_MAX: u32 = 3650;
/// Certificates are valid from a little before now, for members whose clocks are behind.
const CLOCK_ALLOWANCE: Duration = Duration(5 * 60 * 1000);
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// On what terms a request is approved. What is not said is as the request or the default says.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The roles, instead of those asked for.
    pub roles: Option<Vec<Role>>,
    /// The validity in days.
    pub days: Option<u32>,
    /// Whether a live certificate under another key may stay beside the new one.
    pub replace: bool,
}

/// An answer to a request or an order to revoke.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// What was signed.
    pub signed: T,
    /// Its serial number.
    pub serial: u64,
    /// Whether it had been signed before.
    pub repeated: bool,
}

/// The office, open: it holds the register's lock and the authority's key.
#[derive(Debug)]
pub struct Office {
    authority: Domain,
    key: SecretKey,
    roll: Roll,
    register: Register,
    torn_bytes: u64,
}

impl Office {
    /// Opens the office of the network in `layout` with the authority's key.
    ///
    /// # Errors
    /// `Q-1204` when the network file names no authority with this key; those of
    /// [`Layout::network`] and [`Register::open`]; `Q-2312` when the register does not verify.
    pub fn open(layout: &Layout, key: SecretKey) -> Result<Self, Refusal> {
        let anchors = layout.network()?.anchors();
        let ours = anchors.authorities.iter().find(|known| known.key == *key.public());
        let Some(authority) = ours.map(|known| known.authority.clone()) else {
            refuse!(NotEndorsed, "{} is no authority's key in the network file", key.public().id());
        };
        let Opened { register, entries, torn_bytes } = Register::open(&layout.register())?;
        let mut roll = Roll::new(anchors);
        for entry in &entries {
            roll.apply(entry)?;
        }
        Ok(Self { authority, key, roll, register, torn_bytes })
    }

    /// What the register says.
    #[must_use]
    pub const fn roll(&self) -> &Roll {
        &self.roll
    }

    /// Bytes of an unfinished last line that opening cut off.
    #[must_use]
    pub const fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Checks a request and gives the certificate for it, the same one however often it is asked.
    ///
    /// # Errors
    /// Those of [`SignedEnrolmentRequest::verify`]; `Q-2315` the domain has a live certificate
    /// under another key; `Q-2316` its epoch has another key; `Q-2317` approved before with other
    /// terms; `Q-1203`, `Q-1202` approved before, and revoked or expired since; `Q-1016` no or
    /// too long a validity; those of the rehearsal: suite, roles, epoch.
    pub fn approve(
        &mut self,
        request: &SignedEnrolmentRequest,
        terms: &Terms,
        now: Time,
    ) -> Result<Answer<SignedCertificate>, Refusal> {
        let wanted = request.verify(&self.roll.anchors().network, &HybridSignatures)?;
        // Without the proof: a proof is made anew each time, what is wanted is the same.
        let request = hash_of(Tag::Registration, &wanted);
        if let Some(issued) = self.roll.answer(&request) {
            return self.repeat(issued, terms, now);
        }
        self.check_key(&wanted, terms.replace, now)?;
        let certificate = self.draw_up(&wanted, terms, now)?;
        self.issue(Some(request), &certificate)
    }

    /// Certifies a domain without a request: the network's own peer, whose keys are made with
    /// the network. It may connect and has no role.
    ///
    /// # Errors
    /// Those of [`Office::approve`] that do not concern a request.
    pub fn certify_peer(
        &mut self,
        wanted: &EnrolmentRequest,
        now: Time,
    ) -> Result<Answer<SignedCertificate>, Refusal> {
        self.check_key(wanted, false, now)?;
        let days = Some(VALID_DAYS_MAX);
        let terms = Terms { roles: Some(Vec::new()), days, replace: false };
        let certificate = self.draw_up(wanted, &terms, now)?;
        self.issue(None, &certificate)
    }

    /// Revokes the key of a certificate. Without a height, what the domain has said under the
    /// key keeps counting and it begins no new business, except for a stolen key, where the
    /// operator has to say what counts. The same order again gets the same revocation.
    ///
    /// # Errors
    /// `Q-2318` no such certificate; `Q-2319` a stolen key without a height; `Q-2205`.
    pub fn revoke(
        &mut self,
        serial: u64,
        reason: RevocationReason,
        from_height: Option<Height>,
        now: Time,
    ) -> Result<Answer<SignedRevocation>, Refusal> {
        let certificate = &self.roll.certificate(serial)?.certificate;
        let (domain, epoch) = (certificate.domain.clone(), certificate.epoch);
        if let Some(known) = self.known_revocation(&domain, certificate, reason, from_height)? {
            return Ok(known);
        }
        let from_height = match (from_height, reason) {
            (Some(height), _) => height,
            (None, RevocationReason::KeyCompromise) => {
                refuse!(NeedsHeight, "epoch {epoch} of {domain}");
            }
            (
                None,
                RevocationReason::KeyLost
                | RevocationReason::Superseded
                | RevocationReason::CessationOfOperation
                | RevocationReason::PrivilegeWithdrawn,
            ) => ALL_HEIGHTS,
        };
        let revocation = Revocation {
            network: self.roll.anchors().network.clone(),
            serial: self.register.next_serial(),
            domain,
            epoch,
            from_height,
            reason,
            time: now,
            issuer: Issuer::Authority(self.authority.clone()),
        };
        let (tag, bytes) = revocation.to_sign();
        let signed = SignedRevocation::assemble(&revocation, self.key.sign(tag, &bytes))?;
        let entry = self.register.append(Document::Revocation(signed.clone()))?;
        self.roll.apply(&entry)?;
        Ok(Answer { signed, serial: entry.serial, repeated: false })
    }

    /// The revocation that stands for the certificate's key, if this order asks for no other.
    fn known_revocation(
        &self,
        domain: &Domain,
        certificate: &Certificate,
        reason: RevocationReason,
        from_height: Option<Height>,
    ) -> Result<Option<Answer<SignedRevocation>>, Refusal> {
        for signed in self.roll.revocations().iter().rev() {
            let known = signed.parse()?;
            if known.domain == *domain && known.epoch == certificate.epoch {
                let same = from_height.is_none_or(|height| height == known.from_height)
                    && reason == known.reason;
                let (signed, serial) = (signed.clone(), known.serial);
                return Ok(same.then_some(Answer { signed, serial, repeated: true }));
            }
        }
        Ok(None)
    }

    /// The certificate that the request got, if it is still good and these are its terms.
    fn repeat(
        &self,
        issued: &Issued,
        terms: &Terms,
        now: Time,
    ) -> Result<Answer<SignedCertificate>, Refusal> {
        let certificate = &issued.certificate;
        let (domain, serial) = (&certificate.domain, certificate.serial);
        match self.roll.standing(certificate, now) {
            Standing::Revoked(_) => {
                refuse!(CertificateRevoked, "certificate {serial} of {domain}, for this request");
            }
            Standing::Expired => {
                refuse!(CertificateExpired, "certificate {serial} of {domain}, for this request");
            }
            Standing::Live | Standing::NotYet | Standing::Superseded => {}
        }
        let roles = terms.roles.as_deref().map(in_order);
        let other_roles = roles.is_some_and(|roles| roles[..] != certificate.roles[..]);
        let days = u64::from(terms.days.unwrap_or(0)).saturating_mul(DAY_MS);
        let valid = certificate.valid_until.since(certificate.valid_from);
        let other_days = terms.days.is_some() && valid.0 != days.saturating_add(CLOCK_ALLOWANCE.0);
        if other_roles || other_days {
            refuse!(ApprovedOtherwise, "certificate {serial} of {domain}");
        }
        Ok(Answer { signed: issued.signed.clone(), serial, repeated: true })
    }

    fn check_key(
        &self,
        wanted: &EnrolmentRequest,
        replace: bool,
        now: Time,
    ) -> Result<(), Refusal> {
        let (domain, epoch, key) = (&wanted.domain, wanted.epoch, &wanted.signing_key);
        if let Some(other) = self.roll.other_live(domain, key, now)
            && !replace
        {
            let (serial, id) = (other.certificate.serial, other.certificate.signing_key.id());
            refuse!(OtherKeyLive, "certificate {serial} of {domain}, {id}");
        }
        let known = self.roll.directory().record(domain, epoch);
        if known.is_some_and(|known| known.key != *key) {
            let latest = self.roll.latest_epoch(domain).unwrap_or(epoch);
            refuse!(EpochTaken, "epoch {epoch} of {domain}; the next one is {}", latest.next());
        }
        Ok(())
    }

    fn draw_up(
        &self,
        wanted: &EnrolmentRequest,
        terms: &Terms,
        now: Time,
    ) -> Result<Certificate, Refusal> {
        let days = terms.days.unwrap_or(VALID_DAYS);
        if days == 0 || days > VALID_DAYS_MAX {
            refuse!(BadNumber, "{days} days of validity, 1 to {VALID_DAYS_MAX} are possible");
        }
        let roles = match &terms.roles {
            Some(roles) => Bounded::new(in_order(roles))?,
            None => wanted.roles.clone(),
        };
        Ok(Certificate {
            network: wanted.network.clone(),
            serial: self.register.next_serial(),
            domain: wanted.domain.clone(),
            lei: wanted.lei,
            roles,
            epoch: wanted.epoch,
            signing_key: wanted.signing_key.clone(),
            sealing_key: wanted.sealing_key.clone(),
            valid_from: now.before(CLOCK_ALLOWANCE),
            valid_until: now.after(Duration(u64::from(days).saturating_mul(DAY_MS))),
            issuer: Issuer::Authority(self.authority.clone()),
        })
    }

    fn issue(
        &mut self,
        request: Option<Hash>,
        certificate: &Certificate,
    ) -> Result<Answer<SignedCertificate>, Refusal> {
        let (tag, bytes) = certificate.to_sign();
        let signature = self.key.sign(tag, &bytes);
        let signed = SignedCertificate::assemble(certificate, signature, Vec::new())?;
        self.roll.rehearse(&signed, certificate.serial)?;
        let document = Document::Certificate { request, signed: signed.clone() };
        let entry = self.register.append(document)?;
        self.roll.apply(&entry)?;
        Ok(Answer { signed, serial: entry.serial, repeated: false })
    }
}

/// Roles as a certificate carries them: in order, none twice.
fn in_order(roles: &[Role]) -> Vec<Role> {
    let mut roles = roles.to_vec();
    roles.sort_unstable();
    roles.dedup();
    roles
}

/// Why a key can be revoked.
const REASONS: [RevocationReason; 5] = [
    RevocationReason::KeyCompromise,
    RevocationReason::KeyLost,
    RevocationReason::Superseded,
    RevocationReason::CessationOfOperation,
    RevocationReason::PrivilegeWithdrawn,
];

/// The name of a reason on the command line.
#[must_use]
pub const fn reason_name(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::KeyCompromise => "key-compromise",
        RevocationReason::KeyLost => "key-lost",
        RevocationReason::Superseded => "superseded",
        RevocationReason::CessationOfOperation => "cessation",
        RevocationReason::PrivilegeWithdrawn => "withdrawn",
    }
}

/// The reason with this name.
///
/// # Errors
/// `Q-2201`.
pub fn parse_reason(name: &str) -> Result<RevocationReason, Refusal> {
    REASONS.into_iter().find(|reason| reason_name(*reason) == name).ok_or_else(|| {
        let names = REASONS.map(reason_name).join(", ");
        Refusal::new(Code::BadUsage, format!("no reason is called `{name}`; there are {names}"))
    })
}
