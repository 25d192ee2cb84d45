//! The bootstrap peer as the mesh sees it: it knows the members and keeps no ledgers.
//!
//! Invariants:
//! * What it passes on was verified: documents of the register by the roll, those of peers by
//!   the mesh, each by its own signatures.
//! * It never forgets a member or a revocation while it runs; what it has only from peers it
//!   hears again from them after a restart.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use quadrille_node::mesh::host::{
    Acceptance, Host, LiveOffers, MemberDocuments, Published, Standing,
};
use quadrille_node::mesh::wire::Wire;
use quadrille_protocol::crypto::suite::SecretKey;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{
    Anchors, Change, Directory, GatewayRecord, SignedCertificate, SignedGatewayRecord,
    SignedRevocation, SignedRotation, VerifiedCertificate, VerifiedRevocation, VerifiedRotation,
};
use quadrille_protocol::log::Evidence;
use quadrille_protocol::types::{AssetPair, Domain, Epoch, Time};
use tokio::sync::mpsc;

use crate::roll::News;

/// What is known of the members now.
#[derive(Debug, Clone, Default)]
struct Known {
    directory: Arc<Directory>,
    /// What proves each membership, to be passed on.
    documents: Arc<BTreeMap<Domain, MemberDocuments>>,
    revocations: Arc<Vec<SignedRevocation>>,
}

/// The bootstrap peer.
#[derive(Debug)]
pub struct BootstrapHost {
    domain: Domain,
    anchors: Anchors,
    certificate: SignedCertificate,
    epoch: Epoch,
    key: SecretKey,
    known: RwLock<Known>,
}

impl BootstrapHost {
    /// The peer with this certificate, and the key that it certifies. It knows nobody yet.
    ///
    /// # Errors
    /// `Q-2302` when the certificate is for another key; those of [`SignedCertificate::parse`].
    pub fn new(
        anchors: Anchors,
        certificate: SignedCertificate,
        key: SecretKey,
    ) -> Result<Self, Refusal> {
        let parsed = certificate.parse()?;
        if parsed.signing_key != *key.public() {
            let what = format!("it is for {}", parsed.signing_key.id());
            return Err(Refusal::new(Code::NotOurCertificate, what));
        }
        let (domain, epoch) = (parsed.domain, parsed.epoch);
        Ok(Self { domain, anchors, certificate, epoch, key, known: RwLock::default() })
    }

    /// Takes up a document of the register. One that peers have overtaken changes nothing.
    pub fn take(&self, news: &News) {
        let taken = match news {
            News::Certificate(verified) => self.admit_now(verified),
            News::Revocation(verified) => self.revoke_now(verified),
        };
        if let Err(refusal) = taken {
            tracing::debug!(%refusal, "an entry of the register is overtaken");
        }
    }

    /// How many members are known.
    #[must_use]
    pub fn members(&self) -> usize {
        self.now_known().directory.members().count()
    }

    fn now_known(&self) -> Known {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn admit_now(&self, verified: &VerifiedCertificate) -> Result<(), Refusal> {
        let certificate = verified.certificate();
        let directory = self.now_known().directory;
        // Most peers show what the register has: no need to copy the directory for them.
        if directory
            .member(&certificate.domain)
            .is_ok_and(|known| known.certificate() == certificate)
        {
            return Ok(());
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut directory = Directory::clone(&known.directory);
        directory.admit(verified)?;
        known.directory = Arc::new(directory);
        let documents = Arc::make_mut(&mut known.documents);
        let earlier = documents.remove(&certificate.domain).map(|known| known.rotations);
        let mut rotations = earlier.unwrap_or_default();
        // Those that led to the certified key or to an earlier one prove nothing any more.
        rotations.retain(|rotation| {
            rotation.parse().is_ok_and(|rotation| rotation.to_epoch > certificate.epoch)
        });
        let shown = MemberDocuments { certificate: verified.signed().clone(), rotations };
        documents.insert(certificate.domain.clone(), shown);
        Ok(())
    }

    fn revoke_now(&self, verified: &VerifiedRevocation) -> Result<(), Refusal> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut directory = Directory::clone(&known.directory);
        match directory.revoke(verified)? {
            Change::Unchanged => {}
            Change::Applied => {
                known.directory = Arc::new(directory);
                Arc::make_mut(&mut known.revocations).push(verified.signed().clone());
            }
        }
        Ok(())
    }

    fn rotate_now(&self, verified: &VerifiedRotation) -> Result<(), Refusal> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut directory = Directory::clone(&known.directory);
        match directory.rotate(verified)? {
            Change::Unchanged => {}
            Change::Applied => {
                known.directory = Arc::new(directory);
                let documents = Arc::make_mut(&mut known.documents);
                if let Some(shown) = documents.get_mut(&verified.rotation().domain) {
                    shown.rotations.push(verified.signed().clone());
                }
            }
        }
        Ok(())
    }
}

/// What it answers to whoever takes it for a bank.
fn keeps_no_ledgers() -> Refusal {
    Refusal::new(Code::MissingRole, "a bootstrap peer keeps no ledgers")
}

#[async_trait]
impl Host for BootstrapHost {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    fn directory(&self) -> Arc<Directory> {
        self.now_known().directory
    }

    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn certificate(&self) -> SignedCertificate {
        self.certificate.clone()
    }

    fn rotations(&self) -> Vec<SignedRotation> {
        Vec::new()
    }

    fn is_validator(&self) -> bool {
        false
    }

    fn sign_gateway(&self, record: &GatewayRecord) -> Result<SignedGatewayRecord, Refusal> {
        let (tag, bytes) = record.to_sign();
        SignedGatewayRecord::assemble(record, self.key.sign(tag, &bytes))
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn published(&self) -> Published {
        Published::default()
    }

    fn standing(&self, _: &Domain) -> Standing {
        Standing::Member
    }

    fn wanted(&self) -> Vec<Domain> {
        Vec::new()
    }

    fn pairs(&self) -> Vec<AssetPair> {
        Vec::new()
    }

    async fn admit(&self, certificate: VerifiedCertificate) -> Result<(), Refusal> {
        self.admit_now(&certificate)
    }

    async fn rotate(&self, rotation: VerifiedRotation) -> Result<(), Refusal> {
        self.rotate_now(&rotation)
    }

    async fn revoke(&self, revocation: VerifiedRevocation) -> Result<(), Refusal> {
        self.revoke_now(&revocation)
    }

    fn revocations(&self) -> Vec<SignedRevocation> {
        self.now_known().revocations.to_vec()
    }

    fn members_after(&self, after: Option<&Domain>, most: usize) -> Vec<(Domain, MemberDocuments)> {
        let documents = self.now_known().documents;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = documents.range::<Domain, _>((from, Bound::Unbounded)).take(most);
        rest.map(|(domain, shown)| (domain.clone(), shown.clone())).collect()
    }

    async fn attach(&self, _: &Domain, _: mpsc::Sender<Wire>) -> Result<(), Refusal> {
        Err(keeps_no_ledgers())
    }

    async fn receive(&self, _: &Domain, _: Wire) -> Result<(), Refusal> {
        Err(keeps_no_ledgers())
    }

    async fn detach(&self, _: &Domain) {}

    async fn notice(&self, _: Evidence) -> (Acceptance, Option<Refusal>) {
        (Acceptance::Ignore, None)
    }

    async fn live_offers(&self) -> Result<LiveOffers, Refusal> {
        Err(keeps_no_ledgers())
    }

    async fn take_live_offers(&self, _: &Domain, _: LiveOffers) -> Result<usize, Refusal> {
        Err(keeps_no_ledgers())
    }
}
