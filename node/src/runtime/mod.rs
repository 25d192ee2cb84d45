//! The node's life: from the data directory to a running gateway, and down again.
//!
//! ```text
//!   open log, keys, index -> boot the core -> engine -> mesh -> API -> endpoints written
//!   SIGTERM: drain (nothing new, open settlements get some time) -> API -> mesh -> engine -> 0
//!   failed disk, guard or core: everything ends at once, with the coded reason
//! ```

mod answers;
mod book;
mod events;
mod host;
mod metrics;
mod names;
pub mod open;
mod ports;
mod rotations;
mod setup;
mod snapshots;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::record::Founding;
use quadrille_protocol::validator::Command;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use answers::{AnswerParts, Answers, owing};
pub use book::OwnBook;
pub use host::{HostParts, NodeHost};
pub use names::Names;
pub use rotations::OwnRotations;
pub use setup::Setup;

use crate::api::ports::History;
use crate::api::tokens::Tokens;
use crate::api::{self, Server};
use crate::engine::{
    self, Clock, End, Engine, Parts, RecentBatches, RecentLog, Running, SystemClock,
};
use crate::evidence::Evidences;
use crate::files::{self, Access};
use crate::hooks::Hooks;
use crate::index::{INDEX_QUEUE, Index, Indexer, Log};
use crate::log_store::{LogStore, Snapshots};
use crate::mesh::{Mesh, MeshHandle};
use crate::payments::{Opener, PaymentParts, Payments};
use crate::signer::Signer;
use crate::telemetry::{Levels, Metrics};

/// How long requests in progress may take when the node stops.
const API_GRACE: Duration = Duration::from_secs(5);
/// How often a draining node looks whether everything has ended.
const DRAIN_LOOK: Duration = Duration::from_millis(50);

/// Where a running node is reached: `run/endpoints.json`, written when it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Its process.
    pub pid: u32,
    /// Its domain.
    pub domain: String,
    /// Its network.
    pub network: String,
    /// The base of its HTTP interface.
    pub api: String,
    /// Where its gateway listens, with the peer id.
    pub p2p: Vec<String>,
    /// Its libp2p peer id.
    pub peer_id: String,
}

impl Endpoints {
    /// The file in this data directory.
    #[must_use]
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("run").join("endpoints.json")
    }
}

/// A running node.
pub struct Node {
    engine: Engine,
    running: Running,
    mesh: MeshHandle,
    server: Server,
    indexer: Indexer,
    snapshots: Snapshots,
    endpoints: Endpoints,
    data_dir: PathBuf,
    drain: Duration,
    tasks: Vec<JoinHandle<()>>,
}

/// The log, the index and the engine over them, running.
struct Core {
    running: Running,
    index: Index,
    indexer: Indexer,
    evidence: Arc<Evidences<Log>>,
    snapshots: Snapshots,
}

impl Core {
    fn start(
        setup: &Setup,
        signer: &Arc<dyn Signer>,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, Refusal> {
        let now = clock.now();
        let (mut log, opening) = LogStore::open(&setup.config.dir)?;
        if opening.torn_bytes > 0 {
            tracing::warn!(bytes = opening.torn_bytes, "a torn tail was cut off the log");
        }
        let certificate = setup.certificate.parse()?;
        match setup.verified_certificate(now) {
            Ok(_) => {}
            // What is open must come to its end with an old certificate too.
            Err(refusal) if refusal.code == Code::CertificateExpired => {
                tracing::warn!(%refusal, "the certificate must be renewed");
            }
            Err(refusal) => return Err(refusal),
        }
        let boundary = open::Boundary {
            settings: &|| setup.settings(),
            founding: Founding {
                network: certificate.network,
                domain: certificate.domain,
                epoch: certificate.epoch,
                time: now,
            },
            certificate: &|| setup.verified_certificate(now),
            signer: &**signer,
            guard_apart: setup.config.guard_is_apart() && signer.guard_is_certain(),
            now,
        };
        let opened = open::open(&mut log, &opening, &boundary)?;
        let open::Opened { validator, height, snapshot, replayed } = opened;
        tracing::info!(%height, ?snapshot, replayed, "log opened");
        let index = Index::open(&setup.layout.index())?;
        index.catch_up(&log.reader(), log.head())?;
        let recent = RecentBatches::new();
        let shared: Log = Arc::new(RecentLog::new(recent.clone(), log.reader()));
        let evidence = Arc::new(Evidences::new(shared, index.clone()));
        let snapshots = log.snapshots();
        metrics::storage(metrics, log.counters(), index.clone());
        let (indexing, batches) = mpsc::channel(INDEX_QUEUE);
        let indexer = Indexer::spawn(index.clone(), batches)?;
        let running = engine::start(Parts {
            validator,
            log,
            signer: signer.clone(),
            evidence: evidence.clone(),
            recent,
            indexing,
            clock: clock.clone(),
            metrics: metrics.clone(),
            queue: setup.config.engine.queue,
            verify_workers: setup.config.verify_workers(),
        })?;
        Ok(Self { running, index, indexer, evidence, snapshots })
    }
}

impl Node {
    /// Starts everything; returns when the node can be used.
    ///
    /// # Errors
    /// Whatever stands in the way, coded; nothing is left running.
    pub async fn start(setup: Setup, levels: Levels) -> Result<Self, Refusal> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let signer: Arc<dyn Signer> = Arc::new(setup.signer()?);
        let metrics = Arc::new(Metrics::new());
        let core = Core::start(&setup, &signer, &clock, &metrics)?;
        let Core { mut running, index, indexer, evidence, snapshots } = core;
        let engine = running.engine.clone();
        let (domain, certified) = (engine.domain().clone(), setup.certificate.parse()?.epoch);
        let rotations = OwnRotations::new(index.clone(), evidence.clone(), domain, certified);
        let answers = Arc::new(Answers::new(AnswerParts {
            engine: engine.clone(),
            index: index.clone(),
            signer: signer.clone(),
            clock: clock.clone(),
            answer_to: setup.config.names.answer_to.clone(),
            life: quadrille_protocol::types::Duration(setup.config.names.life_ms),
        }));
        let screening = Arc::new(setup.screening());
        let opener =
            Opener::new(engine.clone(), clock.clone(), setup.sealing_key(), screening.clone());
        let host = NodeHost::new(HostParts {
            answers: answers.clone(),
            engine: engine.clone(),
            feeds: running.feeds.clone(),
            anchors: setup.anchors.clone(),
            signer,
            clock: clock.clone(),
            certificate: setup.certificate.clone(),
            rotations,
            wanted: setup.wanted.clone(),
            book: OwnBook::new(index, evidence.clone()),
            correspondents: setup.config.correspondents.clone(),
            opener,
        });
        let seed = *setup.gateway_seed();
        let mesh = Mesh::start(setup.mesh.clone(), seed, Arc::new(host)).await?;
        metrics::node(&metrics, engine.clone(), running.feeds.clone(), mesh.clone());
        let (core, history): (Arc<dyn api::ports::Core>, _) =
            (Arc::new(engine.clone()), History::of(evidence));
        let hooks = Hooks::start(
            setup.hook_settings(),
            engine.domain().clone(),
            history.clone(),
            core.clone(),
            clock.clone(),
        )?;
        metrics::hooks(&metrics, &hooks);
        let names = Names::new(engine.clone(), mesh.clone(), clock.clone(), answers);
        let vault = Arc::new(setup.vault());
        let payments = Payments::new(PaymentParts {
            engine: engine.clone(),
            mesh: mesh.clone(),
            clock: clock.clone(),
            vault: vault.clone(),
            screening,
        });
        let node = api::Node {
            core,
            payer: Arc::new(payments),
            history,
            hooks,
            mesh: Arc::new(ports::MeshPort { mesh: mesh.clone(), clock, names: Arc::new(names) }),
            vault,
            tokens: Arc::new(Tokens::new(setup.layout.tokens())),
            metrics: metrics.clone(),
            levels,
        };
        let server = Server::start(setup.api_settings(), node).await?;
        let every = setup.config.engine.snapshot_batches;
        let tasks = vec![
            tokio::spawn(events::follow(running.events()?, mesh.clone(), metrics)),
            tokio::spawn(publish(running.publications()?, mesh.clone())),
            tokio::spawn(snapshots::keep(engine.clone(), snapshots.clone(), every)),
        ];
        let endpoints = Endpoints {
            pid: std::process::id(),
            domain: engine.domain().to_string(),
            network: engine.network().to_string(),
            api: format!("http://{}", server.address()),
            p2p: mesh.listen_addresses().iter().map(ToString::to_string).collect(),
            peer_id: mesh.peer_id().to_string(),
        };
        let (data_dir, drain) = (setup.config.dir.clone(), setup.drain);
        let node = Self {
            engine,
            running,
            mesh,
            server,
            indexer,
            snapshots,
            endpoints,
            data_dir,
            drain,
            tasks,
        };
        node.write_endpoints()?;
        Ok(node)
    }

    /// Where it is reached.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn write_endpoints(&self) -> Result<(), Refusal> {
        let path = Endpoints::path(&self.data_dir);
        let text = serde_json::to_vec_pretty(&self.endpoints).map_err(|error| {
            Refusal::new(Code::NodeFault, format!("{}: {error}", path.display()))
        })?;
        files::replace(&path, &text, Access::Public)
    }

    /// Runs until `stop` is done, then drains and goes down; or until something fails.
    ///
    /// # Errors
    /// What failed.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<(), Refusal> {
        let mut end = self.running.end.clone();
        tokio::select! {
            () = stop => self.drain().await,
            // The sender lives as long as the engine's threads.
            _ = end.wait_for(|end| *end != End::Running) => {}
        }
        let ended = self.running.end.borrow().clone();
        let saved = match &ended {
            End::Running => self.stop_gently().await,
            End::Stopped | End::Failed(_) => Ok(()),
        };
        for task in &self.tasks {
            task.abort();
        }
        self.mesh.shutdown().await;
        let path = Endpoints::path(&self.data_dir);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "endpoints not removed");
        }
        let Self { running, indexer, engine, server, .. } = self;
        server.shutdown(API_GRACE).await;
        drop(engine);
        match running.joined().await {
            End::Failed(refusal) => return Err(refusal),
            End::Running | End::Stopped => {}
        }
        saved?;
        let joined = tokio::task::spawn_blocking(move || indexer.join()).await;
        joined.map_err(|error| Refusal::new(Code::NodeFault, error.to_string()))?
    }

    /// Takes no new business and gives what is open some time to end. Whatever is still open
    /// then is in the log and goes on after the next start.
    async fn drain(&mut self) {
        tracing::info!("draining: no new business");
        if self.engine.command(Command::Drain).await.is_err() {
            return;
        }
        let until = tokio::time::Instant::now() + self.drain;
        loop {
            let open = self.engine.read(|validator| validator.state().settlements.len()).await;
            match open {
                Ok(0) | Err(_) => return,
                Ok(open) if tokio::time::Instant::now() >= until => {
                    tracing::info!(open, "settlements stay open; they go on after the next start");
                    return;
                }
                Ok(_) => tokio::time::sleep(DRAIN_LOOK).await,
            }
        }
    }

    async fn stop_gently(&self) -> Result<(), Refusal> {
        let saved = snapshots::save(&self.engine, &self.snapshots).await;
        self.engine.stop().await;
        saved.map(|height| tracing::info!(%height, "snapshot saved"))
    }
}

/// Hands publications to the mesh.
async fn publish(mut publications: mpsc::Receiver<engine::Publication>, mesh: MeshHandle) {
    while let Some(publication) = publications.recv().await {
        if let Err(refusal) = mesh.publish(publication.pair, publication.evidence) {
            // Late joiners and whoever missed it learn of it from the book's root.
            tracing::warn!(%refusal, "not published");
        }
    }
}
