//! Banks that really trade, each behind a real HTTP server: the core, its log and its index are
//! the real ones; disk and mesh are in memory.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use quadrille_node::api::dto::{Connection, GatewayView};
use quadrille_node::api::ports::{Core, History, Look, Mesh, MeshPeer, Payer, Resolved};
use quadrille_node::api::tokens::{self, Role, Tokens};
use quadrille_node::api::{ApiSettings, Node, Server};
use quadrille_node::engine::{Answer, EngineError, SystemClock};
use quadrille_node::hooks::reach::Policy;
use quadrille_node::hooks::{HookSettings, Hooks};
use quadrille_node::index::{BatchSource, Index};
use quadrille_node::log_store::SealedBatch;
use quadrille_node::mesh::ask::Owing;
use quadrille_node::payments::Enclosed;
use quadrille_node::telemetry::{Format, Levels, Metrics, subscriber};
use quadrille_node::vault::Vault;
use quadrille_protocol::codec;
use quadrille_protocol::crypto::seal::SealingKey;
use quadrille_protocol::crypto::suite::HybridSignatures;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::{
    AssetProfile, Payment, SignedOpening, SignedOrder, VerifiedOrder,
};
use quadrille_protocol::log::Evidence;
use quadrille_protocol::payment::name::{Found, NameQuestion, NameRecord, NameStatus};
use quadrille_protocol::payment::{Plan, Wanted as PathWanted, Way};
use quadrille_protocol::settlement::agreement::Account;
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Command, Input};

use crate::support::scene::{Market, REAL};

/// Everybody's banks.
pub type World = Arc<Mutex<Market>>;

/// The log of one bank, in memory.
#[derive(Clone, Default)]
pub struct MemoryLog(Arc<Mutex<Vec<SealedBatch>>>);

impl BatchSource for MemoryLog {
    fn batch(&self, height: Height) -> Result<Option<SealedBatch>, Refusal> {
        let batches = self.0.lock().unwrap();
        Ok(batches.iter().find(|batch| batch.stored.checkpoint.height == height).cloned())
    }

    fn batches(
        &self,
        height: Height,
    ) -> Box<dyn Iterator<Item = Result<SealedBatch, Refusal>> + '_> {
        let batches = self.0.lock().unwrap().clone();
        let later = move |batch: &SealedBatch| batch.stored.checkpoint.height >= height;
        Box::new(batches.into_iter().filter(later).map(Ok))
    }
}

/// One bank's log and index, which follow it.
#[derive(Clone)]
pub struct Memory {
    bank: usize,
    pub log: MemoryLog,
    pub index: Index,
}

impl Memory {
    /// Takes over what the bank has written meanwhile.
    pub fn follow(&self, market: &Market) {
        let bank = &market.net.banks[self.bank];
        let known = self.log.0.lock().unwrap().len();
        for stored in bank.log.iter().skip(known) {
            let (_, signature) = &bank.batches[&stored.checkpoint.height];
            let sealed =
                SealedBatch { stored: stored.clone().into(), signature: Some(signature.clone()) };
            self.log.0.lock().unwrap().push(sealed.clone());
            self.index.apply(&sealed).unwrap();
        }
    }
}

/// How the fake engine behaves.
#[derive(Default)]
pub struct Conduct {
    /// Only this bank's own turn: nothing reaches the others.
    pub cut_off: AtomicBool,
    /// It answers that it has too much to do.
    pub busy: AtomicBool,
    /// It stops before it answers, having done what was asked.
    pub dying: AtomicBool,
    /// It takes its time: until this is unset.
    pub slow: AtomicBool,
}

/// A bank's engine: one turn per request.
pub struct FakeCore {
    pub world: World,
    pub bank: usize,
    pub memories: Arc<Vec<Memory>>,
    pub conduct: Arc<Conduct>,
}

impl FakeCore {
    async fn request(
        &self,
        make: impl FnOnce(quadrille_protocol::validator::RequestId) -> Input + Send,
    ) -> Result<Answer, EngineError> {
        if self.conduct.busy.load(Ordering::SeqCst) {
            return Err(EngineError::Busy);
        }
        while self.conduct.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut market = self.world.lock().unwrap();
        let net = &mut market.net;
        let before = net.banks[self.bank].validator.state().height;
        let request = net.banks[self.bank].request();
        let input = make(request);
        net.banks[self.bank].inputs.push_back(input);
        net.turn(self.bank);
        let height = net.banks[self.bank].validator.state().height;
        if !self.conduct.cut_off.load(Ordering::SeqCst) {
            net.run();
        }
        let result = net.banks[self.bank].replies.remove(&request).unwrap();
        for memory in self.memories.iter() {
            memory.follow(&market);
        }
        if self.conduct.dying.load(Ordering::SeqCst) {
            return Err(EngineError::Unknown);
        }
        let accepted = result?;
        let height = (height > before && !accepted.repeated).then_some(height);
        Ok(Answer { accepted, height })
    }
}

impl FakeCore {
    fn verified(&self, order: SignedOrder) -> Result<VerifiedOrder, Refusal> {
        let index = &self.memories[self.bank].index;
        let key = |id: &KeyId| index.key(id).unwrap();
        let unknown = || Refusal::new(quadrille_protocol::error::Code::WrongKey, "no such key");
        let first = key(&order.key).ok_or_else(unknown)?;
        let second = order.second.as_ref().and_then(|(id, _)| key(id));
        let network: Network = "test-net".parse().unwrap();
        order.verify(&network, &first, second.as_ref(), &HybridSignatures)
    }
}

#[async_trait]
impl Core for FakeCore {
    fn domain(&self) -> Domain {
        self.world.lock().unwrap().net.banks[self.bank].validator.state().domain.clone()
    }

    async fn order(&self, order: SignedOrder) -> Result<Answer, EngineError> {
        let order = Box::new(self.verified(order)?);
        self.request(|request| Input::Order { request, order }).await
    }

    async fn orders(&self, orders: Vec<SignedOrder>) -> Vec<Result<Answer, EngineError>> {
        let mut answers = Vec::new();
        for order in orders {
            answers.push(self.order(order).await);
        }
        answers
    }

    async fn pay(&self, order: SignedOrder, plan: Plan) -> Result<Answer, EngineError> {
        let (order, plan) = (Box::new(self.verified(order)?), Box::new(plan));
        self.request(|request| Input::Pay { request, order, plan }).await
    }

    async fn open(&self, opening: SignedOpening) -> Result<Answer, EngineError> {
        let verified = opening.verify(&HybridSignatures)?;
        self.request(|request| Input::Open { request, opening: Box::new(verified) }).await
    }

    async fn command(&self, command: Command) -> Result<Answer, EngineError> {
        self.request(|request| Input::Command { request, command }).await
    }

    async fn give_back(&self, _: Evidence) -> Result<(), EngineError> {
        Ok(())
    }

    async fn look(&self, look: Look) -> Result<(), EngineError> {
        let market = self.world.lock().unwrap();
        look(&market.net.banks[self.bank].validator);
        Ok(())
    }
}

/// Every payment goes from bank to bank.
struct FakePayer;

#[async_trait]
impl Payer for FakePayer {
    async fn ways(&self, _: PathWanted) -> Result<Vec<Way>, Refusal> {
        Ok(Vec::new())
    }

    async fn plan(&self, _: Ubi, payment: &Payment, _: Enclosed) -> Result<Plan, Refusal> {
        Ok(Plan::direct(payment))
    }
}

struct FakeMesh(Domain);

#[async_trait]
impl Mesh for FakeMesh {
    fn peers(&self) -> Vec<MeshPeer> {
        vec![MeshPeer {
            domain: self.0.clone(),
            connection: Connection::Up,
            since: None,
            address: Some("/ip4/127.0.0.1/tcp/1".to_owned()),
            score: 0,
            blocked: false,
            trouble: None,
        }]
    }

    async fn find_gateway(&self, _: &Domain) -> Result<Option<GatewayView>, Refusal> {
        Ok(None)
    }

    async fn providers(&self, asset: &Uai) -> Result<Vec<Domain>, Refusal> {
        Ok(vec![asset.issuer().clone()])
    }

    async fn owing(&self, domain: &Domain, _: &Uai) -> Result<Owing, Refusal> {
        Err(Refusal::new(Code::NettingOff, domain.to_string()))
    }

    async fn resolve(&self, question: NameQuestion, fresh: bool) -> Result<Resolved, Refusal> {
        let status = match question.holder.local() {
            "bob" => NameStatus::Found(Found {
                account: Account { domain: self.0.clone(), ledger: Ubi([7; 32]) },
                assets: Bounded::default(),
                tier: 2,
            }),
            "gone" => NameStatus::Closed,
            "secret" => NameStatus::Refused,
            "far" => return Err(Refusal::new(Code::NameUnreachable, "as the test wants it")),
            _ => NameStatus::Unknown,
        };
        let record = NameRecord {
            network: "test-net".parse().unwrap(),
            domain: self.0.clone(),
            epoch: Epoch(1),
            asker: self.0.clone(),
            question,
            status,
            issued: Time(1),
            expires: Time(2),
        };
        Ok(Resolved { record, cached: !fresh })
    }

    async fn profile(&self, asset: &Uai) -> Result<AssetProfile, Refusal> {
        Err(Refusal::new(Code::UnknownAsset, asset.to_string()))
    }
}

/// One bank behind HTTP.
pub struct Bank {
    pub server: Server,
    pub conduct: Arc<Conduct>,
    pub metrics: Arc<Metrics>,
    pub token_file: PathBuf,
    pub operator: String,
    pub trader: String,
    pub auditor: String,
    http: reqwest::Client,
}

/// All banks, and what keeps them.
pub struct Town {
    pub world: World,
    pub memories: Arc<Vec<Memory>>,
    pub banks: Vec<Bank>,
    pub folder: tempfile::TempDir,
}

pub fn settings() -> ApiSettings {
    ApiSettings::at(SocketAddr::from(([127, 0, 0, 1], 0)))
}

pub fn levels() -> Levels {
    subscriber(Format::Human, "info", std::io::sink).unwrap().1
}

impl Town {
    pub async fn new() -> Self {
        Self::with(settings(), levels()).await
    }

    pub async fn with(settings: ApiSettings, levels: Levels) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let market = Market::new(2, REAL);
        let memory = |bank: usize| {
            let index = Index::open(&folder.path().join(bank.to_string())).unwrap();
            let memory = Memory { bank, log: MemoryLog::default(), index };
            memory.follow(&market);
            memory
        };
        let memories: Arc<Vec<Memory>> = Arc::new((0..2).map(memory).collect());
        let domains: Vec<Domain> = (0..2).map(|bank| market.net.domain(bank)).collect();
        let world: World = Arc::new(Mutex::new(market));
        let mut banks = Vec::new();
        for bank in 0..2 {
            let token_file = folder.path().join(format!("tokens-{bank}.toml"));
            let make = |role| {
                let made = tokens::create(&token_file, role, "test", Time(0)).unwrap();
                made.token.to_string()
            };
            let [operator, trader, auditor] =
                [Role::Operator, Role::Trader, Role::Auditor].map(make);
            let (conduct, metrics) = (Arc::new(Conduct::default()), Arc::new(Metrics::new()));
            let memory = &memories[bank];
            let core = FakeCore {
                world: world.clone(),
                bank,
                memories: memories.clone(),
                conduct: conduct.clone(),
            };
            let core: Arc<dyn Core> = Arc::new(core);
            let history = History::new(memory.index.clone(), Arc::new(memory.log.clone()));
            let mut hooks = HookSettings::at(folder.path().join(format!("hooks-{bank}")));
            hooks.policy = Policy { allow_http: false, allow_private: true };
            let (domain, clock) = (domains[bank].clone(), Arc::new(SystemClock));
            let hooks = Hooks::start(hooks, domain, history.clone(), core.clone(), clock).unwrap();
            let node = Node {
                core,
                history,
                hooks,
                payer: Arc::new(FakePayer),
                mesh: Arc::new(FakeMesh(domains[1 - bank].clone())),
                vault: Arc::new(Vault::new(
                    folder.path().join(format!("vault-{bank}")),
                    SealingKey::generate(&[5; 32]),
                )),
                tokens: Arc::new(Tokens::new(token_file.clone())),
                metrics: metrics.clone(),
                levels: levels.clone(),
            };
            let server = Server::start(settings.clone(), node).await.unwrap();
            let http = reqwest::Client::builder().build().unwrap();
            banks.push(Bank {
                server,
                conduct,
                metrics,
                token_file,
                operator,
                trader,
                auditor,
                http,
            });
        }
        Self { world, memories, banks, folder }
    }

    /// Everything that was not sent arrives, and this much time passes.
    pub fn pass(&self, span_ms: u64) {
        let mut market = self.world.lock().unwrap();
        market.net.run();
        market.net.pass(span_ms);
        for memory in self.memories.iter() {
            memory.follow(&market);
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Got {
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The code of a problem that is one in every respect.
    pub fn code(&self) -> String {
        let kind = self.headers.get("content-type").and_then(|kind| kind.to_str().ok());
        assert_eq!(kind, Some("application/problem+json"), "{self:?}");
        let problem: quadrille_node::api::dto::Problem =
            serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"));
        assert_eq!(problem.status, self.status);
        assert!(!problem.title.is_empty() && !problem.remedy.is_empty(), "{self:?}");
        problem.code
    }

    pub fn ok(self) -> serde_json::Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.json()
    }
}

impl Bank {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    pub fn request(&self, method: &str, path: &str, token: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        self.http.request(method, self.url(path)).bearer_auth(token)
    }

    pub async fn get(&self, path: &str) -> Got {
        Got::of(self.request("GET", path, &self.auditor).send().await.unwrap()).await
    }

    pub async fn send(&self, method: &str, path: &str, body: &serde_json::Value) -> Got {
        let request = self.request(method, path, &self.operator).json(body);
        Got::of(request.send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &serde_json::Value) -> Got {
        self.send("POST", path, body).await
    }

    pub async fn order(&self, order: &SignedOrder) -> Got {
        let body = serde_json::json!({ "bytes": hex::encode(codec::encode(order)) });
        let request = self.request("POST", "/v1/orders", &self.trader).json(&body);
        Got::of(request.send().await.unwrap()).await
    }
}
