//! The directory: every member this validator knows, with all the keys it has had.
//!
//! Part of the validator's state: pure, deterministic, snapshotable. It changes by three
//! transitions only, each from a verified document: admit, rotate, revoke.
//!
//! ```text
//!             admit                  rotate (from height r)         revoke (from height v)
//!  (nothing) ------> epoch n, key in ----------------------> epoch n: heights below r
//!                    force           \                       epoch n+1: heights from r on
//!                                     \--admit by authority: epoch n+k, any height
//!                    epoch n revoked: heights up to v count, later ones do not
//! ```
//!
//! Invariants:
//! * No look-up for a statement reads a clock. Expiry ([`Directory::is_valid_at`]) concerns new
//!   business only.
//! * A key that was known is never forgotten: statements made under it can be checked for ever.
//! * Epochs and certificate serials only rise; the same document twice changes nothing.
//! * A domain cannot take back what others have seen it say: neither its own revocation nor its
//!   rotation reaches below the heights in [`Directory::observe`], nor into the time of a key
//!   that it has replaced. The authority's revocation can.
//! * A key that follows from a revoked one counts only if the switch came before the first
//!   revoked height, in whichever order rotation and revocation arrive; the authority's
//!   certificate for it overrules this.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};

use super::certificate::{Certificate, Issuer, Role, SignedCertificate, VerifiedCertificate};
use super::revocation::{Revocation, SignedRevocation, VerifiedRevocation};
use super::rotation::{Rotation, SignedRotation, VerifiedRotation};
use crate::crypto::seal::SealingPublicKey;
use crate::crypto::suite::PublicKey;
use crate::error::{Code, Refusal};
use crate::limits;
use crate::refuse;
use crate::types::{Domain, Epoch, Height, KeyId, Time};

/// Whether a transition did anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The directory changed.
    Applied,
    /// It said so already.
    Unchanged,
}

/// Where a key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Origin {
    /// From a certificate: the first one of the domain, or one of the authority.
    Certified,
    /// From the key before it, by a rotation.
    Rotated,
}

/// Above which height a key does not count, and by whose word.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Revoked {
    /// The last height that counts.
    pub from: Height,
    /// The revocation's number.
    pub serial: u64,
    /// Who revoked it.
    pub by: Issuer,
}

/// A key of a domain and the heights at which it counts.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct KeyRecord {
    /// The key.
    pub key: PublicKey,
    /// Its identifier.
    pub key_id: KeyId,
    /// What to seal payloads to in this epoch.
    pub sealing_key: Option<SealingPublicKey>,
    /// Where it came from.
    pub origin: Origin,
    /// The first height that it may sign; 0 when it came without one.
    pub first: Height,
    /// The first height that the next epoch's key signs instead.
    pub replaced_at: Option<Height>,
    /// Its revocation.
    pub revoked: Option<Revoked>,
    /// The highest checkpoint seen under it.
    pub observed: Height,
}

impl KeyRecord {
    fn certified(certificate: &Certificate) -> Self {
        Self {
            key: certificate.signing_key.clone(),
            key_id: certificate.signing_key.id(),
            sealing_key: certificate.sealing_key.clone(),
            origin: Origin::Certified,
            first: Height(0),
            replaced_at: None,
            revoked: None,
            observed: Height(0),
        }
    }

    /// The last height that counts under a revocation; `None` when the key is not revoked.
    #[must_use]
    pub fn revoked_from(&self) -> Option<Height> {
        self.revoked.as_ref().map(|revoked| revoked.from)
    }

    /// The height below which the domain's own revocation does not reach: what was observed
    /// under the key, and all of its time when it has been replaced already.
    fn said_until(&self) -> Height {
        let replaced = self.replaced_at.map_or(0, |next| next.0.saturating_sub(1));
        self.observed.max(Height(replaced))
    }

    fn check_height(&self, height: Height) -> Result<(), Refusal> {
        if self.revoked_from().is_some_and(|last| height > last) {
            refuse!(CertificateRevoked, "{} for height {height}", self.key_id);
        }
        let replaced = self.replaced_at.is_some_and(|next| height >= next);
        if height < self.first || replaced {
            refuse!(KeyNotInForce, "{} at height {height}", self.key_id);
        }
        Ok(())
    }
}

/// A domain with its latest certificate and every key it has had.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Member {
    certificate: Certificate,
    keys: BTreeMap<Epoch, KeyRecord>,
}

impl Member {
    fn new(certificate: Certificate) -> Self {
        let record = KeyRecord::certified(&certificate);
        Self { keys: BTreeMap::from([(certificate.epoch, record)]), certificate }
    }

    /// The certificate with the highest serial seen. After a rotation it may name the key
    /// before the current one; it stays good until it expires.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Every key, by epoch.
    pub fn keys(&self) -> impl Iterator<Item = (Epoch, &KeyRecord)> {
        self.keys.iter().map(|(epoch, record)| (*epoch, record))
    }

    /// The latest epoch and its key, in force or not.
    ///
    /// # Errors
    /// `Q-1213`, which a member that was admitted never gives.
    pub fn latest(&self) -> Result<(Epoch, &KeyRecord), Refusal> {
        let latest = self.keys.last_key_value().map(|(epoch, record)| (*epoch, record));
        latest.ok_or_else(|| unknown_epoch(&self.certificate.domain, self.certificate.epoch))
    }

    fn record(&self, epoch: Epoch) -> Result<&KeyRecord, Refusal> {
        self.keys.get(&epoch).ok_or_else(|| unknown_epoch(&self.certificate.domain, epoch))
    }

    /// Walks back over the rotations that led to the key of `epoch`: none may have been signed
    /// by a key that was revoked from before the switch.
    fn check_origin(&self, epoch: Epoch) -> Result<(), Refusal> {
        let mut later: Option<&KeyRecord> = None;
        for (_, record) in self.keys.range(..=epoch).rev() {
            if let Some(follower) = later {
                if follower.origin == Origin::Certified {
                    return Ok(());
                }
                check_switch(record, follower.first)?;
            }
            later = Some(record);
        }
        Ok(())
    }

    fn renew(&mut self, certificate: Certificate) -> Result<Change, Refusal> {
        if certificate == self.certificate {
            return Ok(Change::Unchanged);
        }
        let (domain, epoch) = (&certificate.domain, certificate.epoch);
        let (serial, known) = (certificate.serial, self.certificate.serial);
        if serial <= known {
            refuse!(StaleSequence, "certificate {serial} of {domain}, {known} is known");
        }
        let by_authority = matches!(certificate.issuer, Issuer::Authority(_));
        let (latest, _) = self.latest()?;
        if epoch < latest {
            refuse!(StaleSequence, "epoch {epoch} of {domain}, {latest} is known");
        }
        if epoch > latest {
            if !by_authority {
                refuse!(BadRotation, "no rotation of {domain} to epoch {epoch}");
            }
            check_room(&self.keys, domain)?;
            self.keys.insert(epoch, KeyRecord::certified(&certificate));
        } else {
            if self.record(epoch)?.key != certificate.signing_key {
                refuse!(BadRotation, "another key for epoch {epoch} of {domain}");
            }
            if self.record(epoch)?.revoked.is_some() {
                refuse!(CertificateRevoked, "epoch {epoch} of {domain}");
            }
            if !by_authority {
                self.check_origin(epoch)?;
            }
            if let Some(record) = self.keys.get_mut(&epoch) {
                record.sealing_key.clone_from(&certificate.sealing_key);
                if by_authority {
                    record.origin = Origin::Certified;
                }
            }
        }
        self.certificate = certificate;
        Ok(Change::Applied)
    }

    fn rotate(&mut self, rotation: &Rotation) -> Result<Change, Refusal> {
        let (domain, from_height) = (&rotation.domain, rotation.from_height);
        let old = self.record(rotation.from_epoch)?;
        let new = self.keys.get(&rotation.to_epoch);
        if new.is_some_and(|new| new.key != rotation.new_key) {
            refuse!(BadRotation, "another key for epoch {} of {domain}", rotation.to_epoch);
        }
        if let Some(known) = old.replaced_at {
            if known != from_height {
                refuse!(BadRotation, "{domain} switches at {known}, not at {from_height}");
            }
            return Ok(Change::Unchanged);
        }
        let (latest, _) = self.latest()?;
        if new.is_none() && latest != rotation.from_epoch {
            refuse!(BadRotation, "epoch {} of {domain}, {latest} is known", rotation.from_epoch);
        }
        if from_height <= old.first.max(old.observed) {
            refuse!(BadRotation, "{domain} has signed up to {} already", old.observed);
        }
        check_switch(old, from_height)?;
        self.check_origin(rotation.from_epoch)?;
        let sealing_key = rotation.new_sealing_key.clone().or_else(|| old.sealing_key.clone());
        match self.keys.get_mut(&rotation.to_epoch) {
            // The authority's certificate for the new key came first.
            Some(new) if new.observed == Height(0) => new.first = from_height,
            Some(_) => {}
            None => {
                check_room(&self.keys, domain)?;
                let record = KeyRecord {
                    key: rotation.new_key.clone(),
                    key_id: rotation.new_key.id(),
                    sealing_key,
                    origin: Origin::Rotated,
                    first: from_height,
                    replaced_at: None,
                    revoked: None,
                    observed: Height(0),
                };
                self.keys.insert(rotation.to_epoch, record);
            }
        }
        if let Some(old) = self.keys.get_mut(&rotation.from_epoch) {
            old.replaced_at = Some(from_height);
        }
        Ok(Change::Applied)
    }

    fn revoke(&mut self, revocation: &Revocation) -> Result<Change, Refusal> {
        let (domain, epoch) = (&revocation.domain, revocation.epoch);
        let record = self.keys.get_mut(&epoch).ok_or_else(|| unknown_epoch(domain, epoch))?;
        let from = match &revocation.issuer {
            Issuer::Authority(_) => revocation.from_height,
            Issuer::SelfSigned => revocation.from_height.max(record.said_until()),
        };
        let stands = match (&record.revoked, &revocation.issuer) {
            (None, _) => false,
            // A key that is revoked already may be in a thief's hands: its word is worth nothing.
            (Some(_), Issuer::SelfSigned) => true,
            (Some(Revoked { by: Issuer::SelfSigned, .. }), Issuer::Authority(_)) => false,
            (Some(known), by @ Issuer::Authority(_)) => {
                (known.serial, &known.by) >= (revocation.serial, by)
            }
        };
        if stands {
            return Ok(Change::Unchanged);
        }
        let (serial, by) = (revocation.serial, revocation.issuer.clone());
        record.revoked = Some(Revoked { from, serial, by });
        Ok(Change::Applied)
    }
}

/// A revoked key may have signed the switch only if every height before it still counts.
fn check_switch(old: &KeyRecord, from_height: Height) -> Result<(), Refusal> {
    if old.revoked_from().is_some_and(|last| last.next() < from_height) {
        refuse!(CertificateRevoked, "{} before the switch at {from_height}", old.key_id);
    }
    Ok(())
}

fn check_room(keys: &BTreeMap<Epoch, KeyRecord>, domain: &Domain) -> Result<(), Refusal> {
    if keys.len() >= limits::KEY_EPOCHS {
        refuse!(TooMany, "keys of {domain}, at most {}", limits::KEY_EPOCHS);
    }
    Ok(())
}

fn unknown_epoch(domain: &Domain, epoch: Epoch) -> Refusal {
    Refusal::new(Code::UnknownEpoch, format!("epoch {epoch} of {domain}"))
}

/// The members and their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Directory {
    members: BTreeMap<Domain, Member>,
}

impl Directory {
    /// An empty directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up a certificate: a new member's, a renewal (same epoch, same key), or a new epoch
    /// by the authority's word. The key of a new epoch by a domain's own certificate must have
    /// come by [`Directory::rotate`] first.
    ///
    /// # Errors
    /// `Q-1015` directory or key list full; `Q-1206` serial or epoch does not rise; `Q-1211`
    /// another key for a known epoch, or a new epoch without a rotation; `Q-1203` key revoked.
    pub fn admit(&mut self, verified: &VerifiedCertificate) -> Result<Change, Refusal> {
        self.apply_certificate(verified.certificate().clone())
    }

    /// Puts a domain's next key in force from a height on.
    ///
    /// # Errors
    /// `Q-1205` unknown domain; `Q-1213` unknown epoch; `Q-1211` it does not follow the latest
    /// epoch, names another key or height than is known, or reaches below what was observed;
    /// `Q-1203` the old key was revoked before the switch; `Q-1015` key list full.
    pub fn rotate(&mut self, verified: &VerifiedRotation) -> Result<Change, Refusal> {
        self.member_mut(&verified.rotation().domain)?.rotate(verified.rotation())
    }

    /// Takes a key out of force above a height. The first revocation by the domain stands
    /// against later ones of its own; the authority's replaces it, and a later serial of the
    /// authority an earlier one.
    ///
    /// # Errors
    /// `Q-1205` unknown domain; `Q-1213` unknown epoch.
    pub fn revoke(&mut self, verified: &VerifiedRevocation) -> Result<Change, Refusal> {
        self.member_mut(&verified.revocation().domain)?.revoke(verified.revocation())
    }

    /// Takes up a certificate from our own log, where it was written after its verification.
    /// A replay must not ask today's anchors or clock: it would give another state.
    ///
    /// # Errors
    /// Those of [`SignedCertificate::parse`] and [`Directory::admit`].
    pub fn replay_certificate(&mut self, signed: &SignedCertificate) -> Result<Change, Refusal> {
        self.apply_certificate(signed.parse()?)
    }

    /// Takes up a rotation from our own log, as [`Directory::replay_certificate`].
    ///
    /// # Errors
    /// Those of [`SignedRotation::parse`] and [`Directory::rotate`].
    pub fn replay_rotation(&mut self, signed: &SignedRotation) -> Result<Change, Refusal> {
        let rotation = signed.parse()?;
        self.member_mut(&rotation.domain)?.rotate(&rotation)
    }

    /// Takes up a revocation from our own log, as [`Directory::replay_certificate`].
    ///
    /// # Errors
    /// Those of [`SignedRevocation::parse`] and [`Directory::revoke`].
    pub fn replay_revocation(&mut self, signed: &SignedRevocation) -> Result<Change, Refusal> {
        let revocation = signed.parse()?;
        self.member_mut(&revocation.domain)?.revoke(&revocation)
    }

    /// Notes that a checkpoint of this height was accepted under the epoch's key, so that the
    /// domain cannot revoke or rotate the key from below it.
    ///
    /// # Errors
    /// `Q-1205` unknown domain; `Q-1213` unknown epoch.
    pub fn observe(
        &mut self,
        domain: &Domain,
        epoch: Epoch,
        height: Height,
    ) -> Result<(), Refusal> {
        let member = self.member_mut(domain)?;
        let record = member.keys.get_mut(&epoch).ok_or_else(|| unknown_epoch(domain, epoch))?;
        record.observed = record.observed.max(height);
        Ok(())
    }

    /// The key that a checkpoint of this epoch and height is verified with. Reads no clock.
    ///
    /// # Errors
    /// `Q-1205` unknown domain; `Q-1213` unknown epoch; `Q-1203` the key was revoked below the
    /// height, or came by a rotation that a revoked key signed; `Q-1214` the height belongs to
    /// another epoch.
    pub fn key(
        &self,
        domain: &Domain,
        epoch: Epoch,
        height: Height,
    ) -> Result<&PublicKey, Refusal> {
        let member = self.member(domain)?;
        let record = member.record(epoch)?;
        record.check_height(height)?;
        member.check_origin(epoch)?;
        Ok(&record.key)
    }

    /// The key of this epoch for what has no height (gateway records, endorsements): not
    /// revoked at all. Reads no clock.
    ///
    /// # Errors
    /// `Q-1205` unknown domain; `Q-1213` unknown epoch; `Q-1203` revoked.
    pub fn good_key(&self, domain: &Domain, epoch: Epoch) -> Result<&PublicKey, Refusal> {
        let member = self.member(domain)?;
        let record = member.record(epoch)?;
        if record.revoked.is_some() {
            refuse!(CertificateRevoked, "epoch {epoch} of {domain}");
        }
        member.check_origin(epoch)?;
        Ok(&record.key)
    }

    /// The key that signs a domain's own revocation of its key of `epoch`: the latest. A
    /// revoked key may repeat its own revocation to a peer that missed it, and nothing else.
    pub(super) fn revoking_key(
        &self,
        domain: &Domain,
        epoch: Epoch,
    ) -> Result<&PublicKey, Refusal> {
        let member = self.member(domain)?;
        let (latest, record) = member.latest()?;
        if latest != epoch {
            return self.good_key(domain, latest);
        }
        member.check_origin(latest)?;
        Ok(&record.key)
    }

    /// What payloads to this domain are sealed to.
    ///
    /// # Errors
    /// `Q-1205` unknown domain; `Q-1203` its latest key is revoked; `Q-1102` it has none.
    pub fn sealing_key(&self, domain: &Domain) -> Result<&SealingPublicKey, Refusal> {
        let (epoch, record) = self.member(domain)?.latest()?;
        self.good_key(domain, epoch)?;
        let none = || Refusal::new(Code::BadKey, format!("{domain} has no sealing key"));
        record.sealing_key.as_ref().ok_or_else(none)
    }

    /// Whether new business in `role` may be begun with the domain at `now`: its certificate
    /// is valid and carries the role, its latest key is not revoked. Never asked about a
    /// settlement that runs already.
    ///
    /// # Errors
    /// `Q-1205` unknown domain; `Q-1202` expired or not valid yet; `Q-1203` revoked; `Q-1210`
    /// without the role.
    pub fn is_valid_at(&self, domain: &Domain, now: Time, role: Role) -> Result<(), Refusal> {
        self.check_member_at(domain, now)?;
        if !self.member(domain)?.certificate.has_role(role) {
            refuse!(MissingRole, "{domain} is no {role:?}");
        }
        Ok(())
    }

    /// As [`Directory::is_valid_at`], in any role: for connections.
    ///
    /// # Errors
    /// As there, without `Q-1210`.
    pub fn check_member_at(&self, domain: &Domain, now: Time) -> Result<(), Refusal> {
        let member = self.member(domain)?;
        member.certificate.check_time(now)?;
        let (epoch, _) = member.latest()?;
        self.good_key(domain, epoch).map(|_| ())
    }

    /// A member.
    ///
    /// # Errors
    /// `Q-1205` when there is none of this name.
    pub fn member(&self, domain: &Domain) -> Result<&Member, Refusal> {
        self.members.get(domain).ok_or_else(|| unknown_domain(domain))
    }

    /// The key of an epoch with all that is known of it, in force or not.
    #[must_use]
    pub fn record(&self, domain: &Domain, epoch: Epoch) -> Option<&KeyRecord> {
        self.members.get(domain)?.keys.get(&epoch)
    }

    /// Every member, by name.
    pub fn members(&self) -> impl Iterator<Item = (&Domain, &Member)> {
        self.members.iter()
    }

    fn member_mut(&mut self, domain: &Domain) -> Result<&mut Member, Refusal> {
        self.members.get_mut(domain).ok_or_else(|| unknown_domain(domain))
    }

    fn apply_certificate(&mut self, certificate: Certificate) -> Result<Change, Refusal> {
        if let Some(member) = self.members.get_mut(&certificate.domain) {
            return member.renew(certificate);
        }
        if self.members.len() >= limits::MEMBERS {
            refuse!(TooMany, "members, at most {}", limits::MEMBERS);
        }
        self.members.insert(certificate.domain.clone(), Member::new(certificate));
        Ok(Change::Applied)
    }
}

fn unknown_domain(domain: &Domain) -> Refusal {
    Refusal::new(Code::UnknownDomain, format!("{domain}"))
}
