//! The node's life: from the data directory to a running gateway, and down again.
//!
//! ```text
//!   open log, keys, index -> boot the core -> engine -> mesh -> API -> endpoints written
//!   SIGTERM: drain (nothing new, open settlements get some time) -> API -> mesh -> engine -> 0
//!   failed disk, guard or core: everything ends at once, with the coded reason
//! ```

mod book;
mod events;
mod history;
mod host;
mod open;
mod setup;
mod snapshots;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::record::Founding;
use quadrille_protocol::types::Epoch;
use quadrille_protocol::validator::Command;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use book::OwnBook;
pub use host::{HostParts, NodeHost};
pub use setup::Setup;

use crate::engine::{self, Clock, End, Engine, Parts, Running, SystemClock};
use crate::evidence::Cutter;
use crate::files::{self, Access};
use crate::index::{Index, Indexer};
use crate::log_store::LogStore;
use crate::mesh::{Mesh, MeshHandle};
use crate::signer::{LocalSigner, Signer};

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

impl Node {
    /// Starts everything; returns when the node can be used.
    ///
    /// # Errors
    /// Whatever stands in the way, coded; nothing is left running.
    pub async fn start(setup: Setup) -> Result<Self, Refusal> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let now = clock.now();
        let certificate = setup.certificate(now)?;
        let signer: Arc<dyn Signer> = Arc::new(setup.signer()?);
        let (mut log, opening) = LogStore::open(&setup.data_dir)?;
        if opening.torn_bytes > 0 {
            tracing::warn!(bytes = opening.torn_bytes, "a torn tail was cut off the log");
        }
        let founding = Founding {
            network: setup.anchors.network.clone(),
            domain: certificate.certificate().domain.clone(),
            epoch: certificate.certificate().epoch,
            time: now,
        };
        let boundary = open::Boundary {
            settings: &|| setup.settings(),
            founding,
            certificate: &certificate,
            signer: &*signer,
            guard_apart: setup.guard_apart,
            now,
        };
        let opened = open::open(&mut log, &opening, &boundary)?;
        tracing::info!(
            height = %opened.height,
            snapshot = ?opened.snapshot,
            replayed = opened.replayed,
            "log opened"
        );
        let index = Index::open(&setup.layout.index())?;
        index.catch_up(&log.reader(), log.head())?;
        let cutter = Cutter::new(Arc::new(log.reader()));
        let snapshots = log.snapshots();
        let log_counters = log.counters();
        let (indexing, batches) = mpsc::channel(INDEX_QUEUE);
        let indexer = Indexer::spawn(index.clone(), batches)?;
        let parts = Parts {
            validator: opened.validator,
            log,
            signer: signer.clone(),
            index: index.clone(),
            indexing,
            clock: clock.clone(),
        };
        let mut running = engine::start(parts)?;
        let engine = running.engine.clone();
        let host = NodeHost::new(HostParts {
            engine: engine.clone(),
            feeds: running.feeds.clone(),
            anchors: setup.anchors.clone(),
            signer,
            clock: clock.clone(),
            certificate: certificate.signed().clone(),
            rotations: Vec::new(),
            wanted: setup.wanted.clone(),
            book: OwnBook::new(index.clone(), cutter.clone()),
        });
        let mesh = Mesh::start(setup.mesh.clone(), &setup.gateway_seed, Arc::new(host)).await?;
        let history = History::new(index.clone(), cutter, setup.anchors.clone());
        let server = setup.serve(&engine, history, mesh.clone(), clock, log_counters).await?;
        let tasks = vec![
            tokio::spawn(events::follow(running.take_events(), mesh.clone())),
            tokio::spawn(publish(running.take_publications(), mesh.clone())),
            tokio::spawn(snapshots::keep(engine.clone(), snapshots.clone(), setup.snapshot_batches)),
        ];
        let endpoints = Endpoints {
            pid: std::process::id(),
            domain: engine.domain().to_string(),
            network: engine.network().to_string(),
            api: format!("http://{}", server.address()),
            p2p: mesh.listen_addresses().iter().map(ToString::to_string).collect(),
            peer_id: mesh.peer_id().to_string(),
        };
        let node = Self {
            engine,
            running,
            mesh,
            server,
            indexer,
            snapshots,
            endpoints,
            data_dir: setup.data_dir.clone(),
            drain: setup.drain,
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
        self.server.stop().await;
        self.mesh.shutdown().await;
        let path = Endpoints::path(&self.data_dir);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "endpoints not removed");
        }
        let Self { running, indexer, engine, .. } = self;
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
        mesh.publish(publication.pair, publication.evidence).await;
    }
}
