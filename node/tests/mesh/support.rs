//! A network of meshes in one process, each with a host that notes what it is told.

use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use quadrille_node::mesh::ask::{Answer, Question};
use quadrille_node::mesh::host::{
    Acceptance, Host, LiveOffers, MemberDocuments, Published, Standing,
};
use quadrille_node::mesh::wire::Wire;
use quadrille_node::mesh::{Mesh, MeshConfig, MeshHandle, Timing};
use quadrille_protocol::crypto::suite::{HybridSignatures, SecretKey, Suite};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{
    Anchors, AuthorityKey, Certificate, Directory, GatewayRecord, Issuer, Revocation,
    RevocationReason, Role, Rotation, SignedCertificate, SignedGatewayRecord, SignedRevocation,
    SignedRotation, SuitePolicy, VerifiedCertificate, VerifiedRevocation, VerifiedRotation,
};
use quadrille_protocol::log::Evidence;
use quadrille_protocol::types::{AssetPair, Bounded, Domain, Epoch, Height, Network, Time};
use tokio::sync::{Semaphore, mpsc};

/// Long enough for a loaded machine; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn domain(name: &str) -> Domain {
    format!("{name}.example").parse().unwrap()
}

pub fn secret(number: u8) -> SecretKey {
    SecretKey::generate(Suite::HybridMlDsa65, &[number; 32])
}

/// Polls until `done` says so.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What a host was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Attached(Domain),
    Received(Domain, Wire),
    Detached(Domain),
}

/// A network with an authority.
pub struct World {
    pub anchors: Anchors,
    authority: SecretKey,
}

impl World {
    pub fn new() -> Self {
        Self::with_authority(200)
    }

    pub fn with_authority(number: u8) -> Self {
        // With RUST_LOG a failing test tells what happened.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let authority = secret(number);
        let anchors = Anchors {
            network: "test-net".parse::<Network>().unwrap(),
            authorities: Bounded::new(vec![AuthorityKey {
                authority: domain("authority"),
                key: authority.public().clone(),
            }])
            .unwrap(),
            endorsers: Bounded::default(),
            threshold: NonZeroU32::MIN,
            suites: SuitePolicy::HYBRID,
        };
        Self { anchors, authority }
    }

    pub fn certificate(&self, name: &str, key: &SecretKey) -> Certificate {
        Certificate {
            network: self.anchors.network.clone(),
            serial: 1,
            domain: domain(name),
            lei: None,
            roles: Bounded::new(vec![Role::Validator]).unwrap(),
            epoch: Epoch(1),
            signing_key: key.public().clone(),
            sealing_key: None,
            valid_from: Time(0),
            valid_until: Time::MAX,
            issuer: Issuer::Authority(domain("authority")),
        }
    }

    pub fn sign(&self, certificate: &Certificate) -> SignedCertificate {
        let (tag, bytes) = certificate.to_sign();
        SignedCertificate::assemble(certificate, self.authority.sign(tag, &bytes), vec![]).unwrap()
    }

    pub fn revocation(&self, name: &str) -> SignedRevocation {
        let revocation = Revocation {
            network: self.anchors.network.clone(),
            serial: 1,
            domain: domain(name),
            epoch: Epoch(1),
            from_height: Height(0),
            reason: RevocationReason::KeyCompromise,
            time: Time(1),
            issuer: Issuer::Authority(domain("authority")),
        };
        let (tag, bytes) = revocation.to_sign();
        SignedRevocation::assemble(&revocation, self.authority.sign(tag, &bytes)).unwrap()
    }

    /// A host for `name` that knows nobody.
    pub fn host(&self, name: &str, number: u8) -> Arc<TestHost> {
        let key = secret(number);
        let certificate = self.sign(&self.certificate(name, &key));
        let host = TestHost {
            domain: domain(name),
            anchors: self.anchors.clone(),
            certificate: Mutex::new(certificate.clone()),
            keys: Mutex::new(vec![key]),
            rotations: Mutex::default(),
            directory: Mutex::default(),
            validator: true,
            clock: Mutex::new(None),
            state: Mutex::default(),
            register: Mutex::default(),
            may_receive: Semaphore::new(Semaphore::MAX_PERMITS),
        };
        let verified = self.verify(&certificate);
        host.directory.lock().unwrap().admit(&verified).unwrap();
        Arc::new(host)
    }

    /// As `host`, for a node that keeps no ledgers.
    pub fn bootstrap(&self, name: &str, number: u8) -> Arc<TestHost> {
        let host = Arc::into_inner(self.host(name, number)).unwrap();
        Arc::new(TestHost { validator: false, ..host })
    }

    pub fn verify(&self, signed: &SignedCertificate) -> VerifiedCertificate {
        let anchors = &self.anchors;
        anchors.verify_certificate(signed, &Directory::new(), Time(1), &HybridSignatures).unwrap()
    }
}

#[derive(Default)]
pub struct State {
    pub told: Vec<Told>,
    pub out: BTreeMap<Domain, mpsc::Sender<Wire>>,
    pub wanted: Vec<Domain>,
    pub pairs: Vec<AssetPair>,
    pub published: Published,
    pub revocations: Vec<SignedRevocation>,
    pub refuse: Option<Code>,
    pub notices: Vec<Evidence>,
    pub acceptance: Option<(Acceptance, Option<Refusal>)>,
    pub live: Option<LiveOffers>,
    pub books: BTreeMap<Domain, LiveOffers>,
    pub answer: Option<Result<Answer, Refusal>>,
    pub asked: Vec<(Domain, Question)>,
}

pub struct TestHost {
    pub domain: Domain,
    anchors: Anchors,
    pub certificate: Mutex<SignedCertificate>,
    pub keys: Mutex<Vec<SecretKey>>,
    rotations: Mutex<Vec<SignedRotation>>,
    pub directory: Mutex<Directory>,
    pub validator: bool,
    /// A clock that stands; none for the machine's.
    pub clock: Mutex<Option<Time>>,
    pub state: Mutex<State>,
    /// Certificates to pass on.
    pub register: Mutex<BTreeMap<Domain, SignedCertificate>>,
    /// One permit for each `receive`; what to take away to make the host slow.
    pub may_receive: Semaphore,
}

impl TestHost {
    pub fn told(&self) -> Vec<Told> {
        self.state.lock().unwrap().told.clone()
    }

    pub fn tells(&self, told: &Told) -> bool {
        self.state.lock().unwrap().told.contains(told)
    }

    pub fn count(&self, wanted: impl Fn(&Told) -> bool) -> usize {
        self.state.lock().unwrap().told.iter().filter(|told| wanted(told)).count()
    }

    pub fn wants(&self, names: &[&str]) {
        self.state.lock().unwrap().wanted = names.iter().map(|name| domain(name)).collect();
    }

    pub fn out(&self, to: &str) -> Option<mpsc::Sender<Wire>> {
        self.state.lock().unwrap().out.get(&domain(to)).cloned()
    }

    /// Sends over the session that stands.
    pub async fn send(&self, to: &str, wire: Wire) {
        let out = self.out(to).expect("a session");
        out.send(wire).await.unwrap();
    }

    pub fn knows(&self, name: &str) -> bool {
        self.directory.lock().unwrap().member(&domain(name)).is_ok()
    }

    /// Puts the next key in force, as after a rotation.
    pub fn rotate_own_key(&self, number: u8) {
        let mut keys = self.keys.lock().unwrap();
        let old = keys.last().unwrap();
        let next = secret(number);
        let from = u32::try_from(keys.len()).unwrap();
        let rotation = Rotation {
            network: self.anchors.network.clone(),
            domain: self.domain.clone(),
            from_epoch: Epoch(from),
            to_epoch: Epoch(from + 1),
            new_key: next.public().clone(),
            new_sealing_key: None,
            from_height: Height(100 * u64::from(from)),
        };
        let (tag, bytes) = rotation.to_sign();
        let signed =
            SignedRotation::assemble(&rotation, old.sign(tag, &bytes), next.sign(tag, &bytes))
                .unwrap();
        let mut directory = self.directory.lock().unwrap();
        let verified =
            self.anchors.verify_rotation(&signed, &directory, &HybridSignatures).unwrap();
        directory.rotate(&verified).unwrap();
        self.rotations.lock().unwrap().push(signed);
        keys.push(next);
    }
}

#[async_trait]
impl Host for TestHost {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    fn directory(&self) -> Arc<Directory> {
        Arc::new(self.directory.lock().unwrap().clone())
    }

    fn now(&self) -> Time {
        let machine = || {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            Time(u64::try_from(since.unwrap().as_millis()).unwrap())
        };
        self.clock.lock().unwrap().unwrap_or_else(machine)
    }

    fn certificate(&self) -> SignedCertificate {
        self.certificate.lock().unwrap().clone()
    }

    fn rotations(&self) -> Vec<SignedRotation> {
        self.rotations.lock().unwrap().clone()
    }

    fn is_validator(&self) -> bool {
        self.validator
    }

    fn sign_gateway(&self, record: &GatewayRecord) -> Result<SignedGatewayRecord, Refusal> {
        let (tag, bytes) = record.to_sign();
        let keys = self.keys.lock().unwrap();
        let index = usize::try_from(record.epoch.0).unwrap() - 1;
        SignedGatewayRecord::assemble(record, keys[index].sign(tag, &bytes))
    }

    fn epoch(&self) -> Epoch {
        Epoch(u32::try_from(self.keys.lock().unwrap().len()).unwrap())
    }

    fn published(&self) -> Published {
        self.state.lock().unwrap().published.clone()
    }

    fn standing(&self, _: &Domain) -> Standing {
        Standing::Trusted
    }

    fn wanted(&self) -> Vec<Domain> {
        self.state.lock().unwrap().wanted.clone()
    }

    fn pairs(&self) -> Vec<AssetPair> {
        self.state.lock().unwrap().pairs.clone()
    }

    async fn admit(&self, certificate: VerifiedCertificate) -> Result<(), Refusal> {
        self.directory.lock().unwrap().admit(&certificate).map(|_| ())
    }

    async fn rotate(&self, rotation: VerifiedRotation) -> Result<(), Refusal> {
        self.directory.lock().unwrap().rotate(&rotation).map(|_| ())
    }

    async fn revoke(&self, revocation: VerifiedRevocation) -> Result<(), Refusal> {
        self.directory.lock().unwrap().revoke(&revocation)?;
        self.state.lock().unwrap().revocations.push(revocation.signed().clone());
        Ok(())
    }

    fn revocations(&self) -> Vec<SignedRevocation> {
        self.state.lock().unwrap().revocations.clone()
    }

    fn members_after(&self, after: Option<&Domain>, most: usize) -> Vec<(Domain, MemberDocuments)> {
        let register = self.register.lock().unwrap();
        let rest = register.iter().filter(|(domain, _)| after.is_none_or(|after| *domain > after));
        rest.take(most)
            .map(|(domain, certificate)| {
                let certificate = certificate.clone();
                (domain.clone(), MemberDocuments { certificate, rotations: Vec::new() })
            })
            .collect()
    }

    async fn attach(&self, peer: &Domain, out: mpsc::Sender<Wire>) -> Result<(), Refusal> {
        let mut state = self.state.lock().unwrap();
        state.told.push(Told::Attached(peer.clone()));
        state.out.insert(peer.clone(), out);
        Ok(())
    }

    async fn receive(&self, peer: &Domain, wire: Wire) -> Result<(), Refusal> {
        self.may_receive.acquire().await.unwrap().forget();
        let mut state = self.state.lock().unwrap();
        state.told.push(Told::Received(peer.clone(), wire));
        match state.refuse {
            Some(code) => Err(Refusal::new(code, "as the test wants it")),
            None => Ok(()),
        }
    }

    async fn detach(&self, peer: &Domain) {
        let mut state = self.state.lock().unwrap();
        state.told.push(Told::Detached(peer.clone()));
        state.out.remove(peer);
    }

    async fn notice(&self, evidence: Evidence) -> (Acceptance, Option<Refusal>) {
        let mut state = self.state.lock().unwrap();
        state.notices.push(evidence);
        state.acceptance.clone().unwrap_or((Acceptance::Accept, None))
    }

    async fn live_offers(&self) -> Result<LiveOffers, Refusal> {
        let live = self.state.lock().unwrap().live.clone();
        live.ok_or_else(|| Refusal::new(Code::NotLive, "no root"))
    }

    async fn take_live_offers(&self, peer: &Domain, list: LiveOffers) -> Result<usize, Refusal> {
        let mut state = self.state.lock().unwrap();
        if let Some(code) = state.refuse {
            return Err(Refusal::new(code, "as the test wants it"));
        }
        let count = list.offers.len();
        state.books.insert(peer.clone(), list);
        Ok(count)
    }

    async fn answer(&self, asker: &Domain, question: Question) -> Result<Answer, Refusal> {
        let mut state = self.state.lock().unwrap();
        state.asked.push((asker.clone(), question));
        let none = || Err(Refusal::new(Code::QuestionRefused, "as the test wants it"));
        state.answer.clone().unwrap_or_else(none)
    }
}

/// Short waits, so that tests need not be patient.
pub fn config() -> MeshConfig {
    MeshConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        timing: Timing {
            tick: Duration::from_millis(50),
            retry_first: Duration::from_millis(20),
            retry_most: Duration::from_millis(500),
            ..Timing::default()
        },
        ..MeshConfig::default()
    }
}

pub fn start(
    host: &Arc<TestHost>,
    number: u8,
    config: MeshConfig,
) -> impl Future<Output = MeshHandle> {
    let host: Arc<dyn Host> = host.clone();
    async move { Mesh::start(config, [number; 32], host).await.unwrap() }
}

/// A configuration that knows where `peers` are.
pub fn knowing(peers: &[(&TestHost, &MeshHandle)]) -> MeshConfig {
    let peers = peers
        .iter()
        .map(|(host, mesh)| (host.domain.clone(), mesh.listen_addresses()[0].clone()))
        .collect();
    MeshConfig { peers, ..config() }
}

pub fn message(text: &str) -> Wire {
    Wire::Message(bytes::Bytes::copy_from_slice(text.as_bytes()))
}

/// Two hosts whose meshes have a session.
pub async fn pair() -> (Arc<TestHost>, MeshHandle, Arc<TestHost>, MeshHandle) {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    let mesh_a = start(&a, 1, config()).await;
    let mesh_b = start(&b, 2, knowing(&[(&a, &mesh_a)])).await;
    session(&a, &b).await;
    (a, mesh_a, b, mesh_b)
}

pub async fn session(a: &TestHost, b: &TestHost) {
    let stands = |host: &TestHost, peer: &TestHost| {
        host.state.lock().unwrap().out.contains_key(&peer.domain)
    };
    until("a session", || stands(a, b) && stands(b, a)).await;
}
