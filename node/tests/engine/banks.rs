//! Banks with a log, an index, a signer and an engine each, and channels for sessions. Over 600
//! lines: one bank with all that it is made of, and the acts of its holders.

use std::future::Future;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration as Span;

use quadrille_node::compliance::Screening;
use quadrille_node::config::Config;
use quadrille_node::engine::{self, Clock, End, Engine, Parts, QUEUE, Running, SystemClock};
use quadrille_node::evidence::Evidences;
use quadrille_node::index::{INDEX_QUEUE, Index, Indexer, Log, Order as Direction};
use quadrille_node::log_store::disk::{Disk, DiskFile, RealDisk};
use quadrille_node::log_store::{LogReader, LogStore, Options};
use quadrille_node::mesh::ask::{Answer, Question};
use quadrille_node::mesh::host::Host;
use quadrille_node::payments::Opener;
use quadrille_node::runtime::{
    AnswerParts, Answers, HostParts, NodeHost, OwnBook, OwnRotations, open,
};
use quadrille_node::signer::{GuardFile, Keys, LocalSigner, Signer, Syncing};
use quadrille_node::telemetry::Metrics;
use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::seal::SealingKey;
use quadrille_protocol::crypto::suite::{HybridSignatures, SecretKey, Suite};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::identity::{
    Anchors, AuthorityKey, Certificate, Directory, Issuer, Role, Rotation, SignedCertificate,
    SignedRotation, SuitePolicy, VerifiedCertificate,
};
use quadrille_protocol::ledger::opening::Rules;
use quadrille_protocol::ledger::{
    Action, AssetProfile, Opening, Order, SignedOpening, SignedOrder,
};
use quadrille_protocol::log::record::Founding;
use quadrille_protocol::log::{Evidence, VerifiedEvidence};
use quadrille_protocol::market::{OfferTerms, TakeTerms};
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Command, Input, Settings, Validator};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// How long anything may take.
const PATIENCE: Span = Span::from_secs(30);
/// What each holder begins with.
const FUNDS: u128 = 10_000_000;

pub struct Net {
    pub banks: Vec<Bank>,
    pub bond: Uai,
    pub eur: Uai,
    nonces: AtomicU64,
    sessions: Vec<JoinHandle<()>>,
}

pub struct Bank {
    dir: TempDir,
    guard: TempDir,
    keys: Arc<Keys>,
    certificate: VerifiedCertificate,
    anchors: Anchors,
    broken: Arc<AtomicBool>,
    /// Jobs that may wait for the engine, from the next start on.
    pub queue: usize,
    running: Option<Up>,
}

struct Up {
    running: Running,
    host: Arc<NodeHost>,
    index: Index,
    indexer: Indexer,
    log: LogReader,
    signer: Arc<LocalSigner>,
}

pub struct Customer {
    pub bank: usize,
    pub ledger: Ubi,
    key: SecretKey,
}

/// A disk that can be made to fail.
#[derive(Debug)]
struct Breakable(Arc<AtomicBool>);

#[derive(Debug)]
struct BreakableFile(Box<dyn DiskFile>, Arc<AtomicBool>);

impl DiskFile for BreakableFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_at(offset, bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        match self.1.load(Ordering::SeqCst) {
            true => Err(io::Error::other("broken on purpose")),
            false => self.0.sync_data(),
        }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }
}

impl Disk for Breakable {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(BreakableFile(RealDisk.create(path)?, self.0.clone())))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(BreakableFile(RealDisk.open(path)?, self.0.clone())))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }
}

fn network() -> Network {
    "test-net".parse().unwrap()
}

impl Bank {
    fn new(number: usize, authority: &SecretKey, anchors: &Anchors) -> Self {
        let letter = char::from(b'a' + u8::try_from(number).unwrap());
        let domain: Domain = format!("bank-{letter}.example").parse().unwrap();
        let keys = Keys::generate(network(), domain.clone(), Suite::HybridMlDsa65).unwrap();
        let (_, key) = keys.latest().unwrap();
        let now = SystemClock.now();
        let certificate = Certificate {
            network: network(),
            serial: u64::try_from(number).unwrap() + 1,
            domain,
            lei: None,
            roles: Bounded::new(vec![Role::Validator]).unwrap(),
            epoch: Epoch(1),
            signing_key: key.public().clone(),
            sealing_key: None,
            valid_from: Time(now.0 - 1_000),
            valid_until: now.after(Duration(86_400_000)),
            issuer: Issuer::Authority("authority.example".parse().unwrap()),
        };
        let (tag, bytes) = certificate.to_sign();
        let signature = authority.sign(tag, &bytes);
        let signed = SignedCertificate::assemble(&certificate, signature, vec![]).unwrap();
        let nobody = Directory::new();
        let certificate =
            anchors.verify_certificate(&signed, &nobody, now, &HybridSignatures).unwrap();
        Self {
            dir: tempfile::tempdir().unwrap(),
            guard: tempfile::tempdir().unwrap(),
            keys: Arc::new(keys),
            certificate,
            anchors: anchors.clone(),
            broken: Arc::default(),
            queue: QUEUE,
            running: None,
        }
    }

    pub fn domain(&self) -> Domain {
        self.keys.domain.clone()
    }

    fn start(&mut self) {
        let guard =
            GuardFile::open(self.guard.path(), &network(), &self.domain(), Syncing::EachNote)
                .unwrap();
        let local = Arc::new(LocalSigner::new(&self.keys, guard).unwrap());
        let signer: Arc<dyn Signer> = local.clone();
        let disk = Arc::new(Breakable(self.broken.clone()));
        let options = Options { disk, ..Options::default() };
        let (mut log, opening) = LogStore::open_with(self.dir.path(), options).unwrap();
        let now = SystemClock.now();
        let boundary = open::Boundary {
            settings: &|| Settings::new(self.keys.preimages()),
            founding: Founding {
                network: network(),
                domain: self.domain(),
                epoch: Epoch(1),
                time: now,
            },
            certificate: &|| Ok(self.certificate.clone()),
            signer: &*signer,
            guard_apart: true,
            now,
        };
        let opened = open::open(&mut log, &opening, &boundary).unwrap();
        let index = Index::open(&self.dir.path().join("index")).unwrap();
        index.catch_up(&log.reader(), log.head()).unwrap();
        let (indexing, batches) = mpsc::channel(INDEX_QUEUE);
        let indexer = Indexer::spawn(index.clone(), batches).unwrap();
        let reader = log.reader();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let recent = engine::RecentBatches::new();
        let shared: Log = Arc::new(engine::RecentLog::new(recent.clone(), reader.clone()));
        let evidence = Arc::new(Evidences::new(shared, index.clone()));
        let running = engine::start(Parts {
            recent,
            validator: opened.validator,
            log,
            signer: signer.clone(),
            evidence: evidence.clone(),
            indexing,
            clock: clock.clone(),
            metrics: Arc::new(Metrics::new()),
            queue: self.queue,
            verify_workers: 2,
        })
        .unwrap();
        let key = SealingKey::generate(&[7; 32]);
        let rules = Config::defaults(Path::new("")).compliance;
        let screening = Arc::new(Screening::new(&rules, Path::new("")));
        let opener = Opener::new(running.engine.clone(), clock.clone(), key, screening);
        let names = Config::defaults(Path::new("")).names;
        let answers = Arc::new(Answers::new(AnswerParts {
            engine: running.engine.clone(),
            index: index.clone(),
            signer: signer.clone(),
            clock: clock.clone(),
            answer_to: names.answer_to,
            life: Duration(names.life_ms),
        }));
        let host = NodeHost::new(HostParts {
            answers,
            engine: running.engine.clone(),
            feeds: running.feeds.clone(),
            anchors: self.anchors.clone(),
            signer,
            clock,
            certificate: self.certificate.signed().clone(),
            rotations: OwnRotations::new(
                index.clone(),
                evidence.clone(),
                self.domain(),
                self.certificate.certificate().epoch,
            ),
            wanted: vec![],
            book: OwnBook::new(index.clone(), evidence),
            opener,
            correspondents: Config::defaults(Path::new("")).correspondents,
        });
        let host = Arc::new(host);
        self.running = Some(Up { running, host, index, indexer, log: reader, signer: local });
    }

    async fn stop(&mut self) {
        let Up { running, host, index, indexer, .. } = self.running.take().unwrap();
        drop((host, index));
        running.engine.stop().await;
        assert_eq!(running.joined().await, End::Stopped);
        tokio::task::spawn_blocking(move || indexer.join()).await.unwrap().unwrap();
    }

    fn up(&self) -> &Up {
        self.running.as_ref().unwrap()
    }

    pub fn engine(&self) -> &Engine {
        &self.up().running.engine
    }

    /// What the bank tells a member that asks.
    pub async fn answer(&self, asker: &Domain, question: Question) -> Result<Answer, Refusal> {
        self.up().host.answer(asker, question).await
    }

    pub fn end(&self) -> watch::Receiver<End> {
        self.up().running.end.clone()
    }

    pub fn fail_disk(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    pub fn log_height(&self) -> Height {
        self.up().log.last().unwrap_or_default()
    }

    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Validator) -> T + Send + 'static,
    ) -> T {
        self.engine().read(look).await.unwrap()
    }

    pub async fn open_settlements(&self) -> usize {
        self.read(|validator| validator.state().settlements.len()).await
    }

    pub async fn height(&self) -> Height {
        self.read(|validator| validator.state().height).await
    }

    pub async fn is_recovering(&self) -> bool {
        self.read(Validator::is_recovering).await
    }

    pub async fn fingerprint(&self) -> (Height, Hash) {
        self.read(|validator| (validator.state().height, validator.state().fingerprint())).await
    }

    /// Evidence of a customer's entries, as it would have kept it.
    pub async fn evidence_of(&self, customer: &Customer) -> Vec<Evidence> {
        let up = self.up();
        up.index.wait_for(self.height().await).await.unwrap();
        let entries = up.index.entries(&customer.ledger, Direction::Ascending, None, 100).unwrap();
        let evidence = Evidences::new(up.log.clone(), up.index.clone());
        entries.items.iter().map(|entry| evidence.at(entry.place).unwrap()).collect()
    }

    /// The customer gives its evidence back.
    pub async fn hand_in(&self, evidence: Vec<Evidence>) {
        let directory = self.engine().directory();
        for evidence in evidence {
            let verified =
                VerifiedEvidence::check(evidence, &network(), &directory, &HybridSignatures);
            let input = Input::ReturnedEvidence(Box::new(verified.unwrap()));
            self.engine().put(input).await.unwrap();
        }
    }

    /// What the index knows of a customer's ledger, as text.
    pub async fn rows(&self, customer: &Customer) -> String {
        let index = &self.up().index;
        index.wait_for(self.height().await).await.unwrap();
        let ledger = &customer.ledger;
        let entries = index.entries(ledger, Direction::Ascending, None, 100).unwrap();
        let orders = index.orders_of(ledger, None, 100).unwrap();
        assert!(!entries.items.is_empty() && !orders.items.is_empty());
        format!("{:?} {entries:?} {orders:?}", index.ledger(ledger).unwrap())
    }

    /// Puts a key of another suite in force.
    pub async fn rotate(&mut self) {
        let epoch = Arc::get_mut(&mut self.keys).unwrap().add_epoch(Suite::HybridDilithium3);
        let epoch = epoch.unwrap();
        let old = Epoch(epoch.0 - 1);
        let (old_key, next) = (self.keys.key(old).unwrap(), self.keys.key(epoch).unwrap());
        let rotation = Rotation {
            network: network(),
            domain: self.domain(),
            from_epoch: old,
            to_epoch: epoch,
            new_key: next.public().clone(),
            new_sealing_key: None,
            from_height: Height(self.height().await.0 + 3),
        };
        let (tag, bytes) = rotation.to_sign();
        let (by_old, by_new) = (old_key.sign(tag, &bytes), next.sign(tag, &bytes));
        let signed = SignedRotation::assemble(&rotation, by_old, by_new).unwrap();
        let directory = self.engine().directory();
        let verified = self.anchors.verify_rotation(&signed, &directory, &HybridSignatures);
        let copy = SecretKey::from_bytes(&next.to_bytes()).unwrap();
        self.up().signer.add(epoch, copy).unwrap();
        self.command(Command::Rotate(Box::new(verified.unwrap()))).await;
    }

    /// What this bank shows of its rotations to whoever it meets, each verified by somebody who
    /// has only its certificate.
    pub fn rotations(&self) -> Vec<Epoch> {
        let mut directory = Directory::new();
        directory.admit(&self.certificate).unwrap();
        let verify = |signed: SignedRotation| {
            let verified = self.anchors.verify_rotation(&signed, &directory, &HybridSignatures);
            let verified = verified.unwrap();
            directory.rotate(&verified).unwrap();
            verified.rotation().to_epoch
        };
        self.host().rotations().into_iter().map(verify).collect()
    }

    pub async fn command(&self, command: Command) {
        self.engine().command(command).await.unwrap();
    }
}

impl Net {
    /// Banks that know each other, trust each other and have sessions.
    pub async fn of(count: usize) -> Self {
        let authority = SecretKey::generate(Suite::Ed25519, &[9; 32]);
        let anchors = Anchors {
            network: network(),
            authorities: Bounded::new(vec![AuthorityKey {
                authority: "authority.example".parse().unwrap(),
                key: authority.public().clone(),
            }])
            .unwrap(),
            endorsers: Bounded::default(),
            threshold: NonZeroU32::MIN,
            suites: SuitePolicy::HYBRID,
        };
        let mut banks: Vec<Bank> =
            (0..count).map(|number| Bank::new(number, &authority, &anchors)).collect();
        for bank in &mut banks {
            bank.start();
        }
        let profile = |code: &str, issuer: usize| AssetProfile {
            code: code.parse().unwrap(),
            issuer: banks[issuer].domain(),
            name: Detail::shortened(code),
            decimals: 2,
            supply_limit: None,
            terms: Hash::ZERO,
            minimum_tier: 0,
            denomination: Amount::new(1),
            documents: Bounded::default(),
            jurisdictions: Bounded::default(),
            holders: Bounded::default(),
        };
        let profiles = [profile("BOND", 0), profile("EUR", count - 1)];
        let [bond, eur] = [profiles[0].uai(), profiles[1].uai()];
        let everybody: Vec<VerifiedCertificate> =
            banks.iter().map(|bank| bank.certificate.clone()).collect();
        for bank in &banks {
            for profile in &profiles {
                bank.command(Command::RegisterAsset(profile.clone())).await;
            }
            for certificate in &everybody {
                let peer = certificate.certificate().domain.clone();
                if peer == bank.domain() {
                    continue;
                }
                bank.host().admit(certificate.clone()).await.unwrap();
                for asset in [&bond, &eur] {
                    bank.command(Command::SetCreditLimit {
                        peer: peer.clone(),
                        asset: asset.clone(),
                        limit: Amount::new(FUNDS),
                    })
                    .await;
                }
            }
        }
        let mut net = Self { banks, bond, eur, nonces: AtomicU64::new(0), sessions: vec![] };
        net.connect().await;
        net
    }

    /// Ends every session and opens all anew.
    pub async fn connect(&mut self) {
        for session in self.sessions.drain(..) {
            session.abort();
            let _ = session.await;
        }
        for from in 0..self.banks.len() {
            for to in (0..self.banks.len()).filter(|to| *to != from) {
                let (out, mut wire) = mpsc::channel(32);
                let (sender, receiver) = (self.banks[from].domain(), self.banks[to].host().clone());
                self.sessions.push(tokio::spawn(async move {
                    while let Some(wire) = wire.recv().await {
                        receiver.receive(&sender, wire).await.unwrap();
                    }
                }));
                let peer = self.banks[to].domain();
                self.banks[from].host().attach(&peer, out).await.unwrap();
            }
        }
    }

    /// Alice with bonds at the first bank and bob with euros at the last.
    pub async fn holders(&self) -> (Customer, Customer) {
        let last = self.banks.len() - 1;
        let alice = self.customer(0, "alice", &self.bond).await;
        let bob = self.customer(last, "bob", &self.eur).await;
        (alice, bob)
    }

    pub async fn customer(&self, bank: usize, name: &str, asset: &Uai) -> Customer {
        let customer = self.opened(bank, name).await;
        let (asset, ledger, amount) = (asset.clone(), customer.ledger, Amount::new(FUNDS));
        self.banks[bank].command(Command::Issue { asset, ledger, amount, name: None }).await;
        customer
    }

    /// A customer with an empty ledger.
    pub async fn opened(&self, bank: usize, name: &str) -> Customer {
        let seed = *Hash([name.as_bytes()[0]; 32]).as_bytes();
        let key = SecretKey::generate(Suite::Ed25519, &seed);
        let opening = Opening {
            network: network(),
            holder: format!("{name}@{}", self.banks[bank].domain()).parse().unwrap(),
            number: 1,
            key: key.public().clone(),
            tier: 1,
            jurisdiction: Country::UNKNOWN,
            identity: Hash::ZERO,
            rules: Rules::default(),
        };
        let ledger = opening.ubi();
        let signature = key.sign(Tag::Opening, &codec::encode(&opening));
        let engine = self.banks[bank].engine();
        engine.open(SignedOpening { opening, signature }).await.unwrap();
        Customer { bank, ledger, key }
    }

    pub async fn order(&self, customer: &Customer, action: Action) -> OrderId {
        let nonce = Nonce(self.nonces.fetch_add(1, Ordering::SeqCst) + 1);
        let expiry = SystemClock.now().after(Duration(3_600_000));
        let order = Order { network: network(), ledger: customer.ledger, nonce, expiry, action };
        let bytes = codec::encode(&order);
        let signed = SignedOrder {
            order: Bytes::new(&bytes).unwrap(),
            key: customer.key.public().id(),
            signature: customer.key.sign(Tag::Order, &bytes),
            second: None,
        };
        let answer = self.banks[customer.bank].engine().order(signed).await.unwrap();
        answer.accepted.order.unwrap()
    }

    /// Offers bonds for euros.
    pub async fn offer(&self, customer: &Customer, give: u128, want: u128) -> OrderId {
        let terms = OfferTerms {
            give: self.bond.clone(),
            give_amount: Amount::new(give),
            want: self.eur.clone(),
            want_amount: Amount::new(want),
            minimum_fill: Amount::new(1),
            counterparties: Bounded::default(),
            notary: None,
            selection_window: Duration(0),
            expiry: SystemClock.now().after(Duration(3_600_000)),
            receive: None,
        };
        self.order(customer, Action::Offer(terms)).await
    }

    /// Takes bonds of an offer at the first bank for euros.
    pub async fn take(
        &self,
        customer: &Customer,
        offer: OrderId,
        take: u128,
        pay: u128,
    ) -> OrderId {
        let terms = TakeTerms {
            offer,
            maker: self.banks[0].domain(),
            take: Amount::new(take),
            pay: Amount::new(pay),
            notary: None,
            expiry: SystemClock.now().after(Duration(300_000)),
            receive: None,
        };
        let pair = AssetPair { give: self.bond.clone(), want: self.eur.clone() };
        self.order(customer, Action::Take { terms, pair }).await
    }

    /// Free and held.
    pub async fn balance(&self, customer: &Customer, asset: &Uai) -> (u128, u128) {
        let (ledger, asset) = (customer.ledger, asset.clone());
        let bank = &self.banks[customer.bank];
        bank.read(move |validator| {
            let books = &validator.state().books;
            let (free, held) =
                books.ledger(&ledger).map_or((Amount::ZERO, Amount::ZERO), |l| l.balance(&asset));
            (free.units(), held.units())
        })
        .await
    }

    /// Waits until something holds.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        let begun = std::time::Instant::now();
        while !holds().await {
            assert!(begun.elapsed() < PATIENCE, "waited too long until: {what}");
            tokio::time::sleep(Span::from_millis(2)).await;
        }
    }

    async fn down(&mut self, at: usize) {
        for session in self.sessions.drain(..) {
            session.abort();
            let _ = session.await;
        }
        for bank in &self.banks {
            for other in &self.banks {
                bank.up().running.feeds.detach(&other.domain());
            }
        }
        self.banks[at].stop().await;
    }

    pub async fn restart(&mut self, at: usize) {
        self.down(at).await;
        self.banks[at].start();
        self.connect().await;
    }

    pub async fn delete_index_and_restart(&mut self, at: usize) {
        self.down(at).await;
        std::fs::remove_dir_all(self.banks[at].dir.path().join("index")).unwrap();
        self.banks[at].start();
        self.connect().await;
    }

    /// A copy of the log as it is now, taken while the bank is down for a moment.
    pub async fn copy_log(&mut self, at: usize) -> TempDir {
        self.down(at).await;
        let copy = tempfile::tempdir().unwrap();
        copy_dir(&self.banks[at].dir.path().join("log"), copy.path());
        self.banks[at].start();
        self.connect().await;
        copy
    }

    /// Puts an old copy of the log in the place of the log; the guard stays.
    pub async fn restore(&mut self, at: usize, copy: &TempDir) {
        self.down(at).await;
        let log: PathBuf = self.banks[at].dir.path().join("log");
        std::fs::remove_dir_all(&log).unwrap();
        copy_dir(copy.path(), &log);
        self.banks[at].start();
        self.connect().await;
    }

    /// The running engine of a bank, which nobody stops.
    pub fn into_running(mut self, at: usize) -> Running {
        self.banks[at].running.take().unwrap().running
    }

    pub async fn stop(mut self) {
        for session in self.sessions.drain(..) {
            session.abort();
            let _ = session.await;
        }
        for bank in &mut self.banks {
            bank.stop().await;
        }
    }
}

impl Bank {
    fn host(&self) -> &Arc<NodeHost> {
        &self.up().host
    }
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
