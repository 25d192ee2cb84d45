//! The mesh: sessions with members over post-quantum TLS, gossip of offers, the directory of
//! gateways.
//!
//! ```text
//!   socket -> transport (TCP, TLS, yamux, membership handshake)  strangers end here
//!               |
//!             swarm  one task: connections, dials, Kademlia, gossip
//!               |
//!             session  per peer: reader, writer -> Host::attach / receive / detach
//! ```
//!
//! Invariants:
//! * A connection that the swarm sees is with a member: see `hello`.
//! * Every queue, table and wait has a bound in `config` or beside its use.
//! * Whatever a peer sends, the worst that happens to us is that we lose the connection to it.

mod admission;
pub mod ask;
mod conduct;
mod config;
mod counters;
mod dial;
mod directory;
mod doorstep;
mod gossip;
mod hello;
pub mod host;
mod own;
mod packet;
mod pages;
mod rate;
mod retry;
mod roster;
mod session;
mod shared;
mod swarm;
pub mod transport;
pub mod wire;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt;
use libp2p::Swarm;
use libp2p::identity::Keypair;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::VerifiedGatewayRecord;
use quadrille_protocol::types::{AssetPair, Domain, Uai};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use admission::Members;
use ask::{Answer, Asker, Question};
use conduct::Conduct;
use config::COMMAND_QUEUE;
use hello::Doorkeeper;
use host::Host;
use own::Own;
use pages::Pages;
use roster::Roster;
use session::Sessions;
use shared::Shared;
use swarm::{Behaviour, Command, Driver};

pub use config::{MeshConfig, Rate, Timing};
pub use counters::{Counter, Counters};
pub use gossip::NOTICE_BYTES;
pub use libp2p::{Multiaddr, PeerId};

/// What is known of a peer, for operators.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerStatus {
    /// The domain.
    pub domain: Domain,
    /// The node that speaks for it.
    pub peer_id: PeerId,
    /// Whether it is connected.
    pub connected: bool,
    /// Since when a session with it stands.
    pub session_since: Option<Instant>,
    /// Whether it keeps ledgers, as far as it has said.
    pub feeds: bool,
    /// Where it is reached.
    pub addresses: Vec<Multiaddr>,
    /// Offences since our start.
    pub offences: u64,
    /// Points for misbehaviour now.
    pub points: f64,
    /// Whether it is blocked now.
    pub blocked: bool,
    /// The last offence, in words.
    pub trouble: Option<String>,
}

/// Starts meshes.
#[derive(Debug, Clone, Copy)]
pub struct Mesh;

/// A running mesh, to be shared. It runs until [`MeshHandle::shutdown`], or until the last handle
/// is gone.
#[derive(Clone)]
pub struct MeshHandle {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    sessions: Arc<Sessions>,
    asker: Arc<Asker>,
    commands: mpsc::Sender<Command>,
    addresses: watch::Receiver<Vec<Multiaddr>>,
    peer_id: PeerId,
    tasks: TaskTracker,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl Mesh {
    /// Starts a mesh for `host`, with the node's Ed25519 key made of `seed`. Returns when it
    /// listens.
    ///
    /// # Errors
    /// `Q-2010` cannot listen; `Q-2012` QUIC with `SSLKEYLOGFILE`; `Q-2014` key; what
    /// the signer refuses.
    pub async fn start(
        config: MeshConfig,
        seed: [u8; 32],
        host: Arc<dyn Host>,
    ) -> Result<MeshHandle, Refusal> {
        let keypair = Keypair::ed25519_from_bytes(seed)
            .map_err(|error| Refusal::new(Code::BadMeshKey, error.to_string()))?;
        let peer_id = keypair.public().to_peer_id();
        let counters = Arc::new(Counters::default());
        let shared = Arc::new(Shared {
            roster: Arc::new(Roster::default()),
            conduct: Arc::new(Conduct::new(counters.clone(), config.timing.block_first)),
            members: Arc::new(Members::default()),
            counters,
            members_wanted: AtomicBool::new(false),
            asked: ask::Wanted::default(),
            stop: CancellationToken::new(),
            config,
            host,
        });
        let (signed, own) = watch::channel(None);
        let (listening, addresses) = watch::channel(Vec::new());
        let swarm = build_swarm(&keypair, &shared, own)?;
        let tasks = TaskTracker::new();
        // What has begun ends again when the rest fails.
        let guard = shared.stop.clone().drop_guard();
        let control = swarm.behaviour().streams.new_control();
        let sessions = Arc::new(Sessions::new(shared.clone(), control.clone(), tasks.clone()));
        accept_sessions(control.clone(), &sessions, &shared, &tasks)?;
        Pages::start(shared.clone(), control.clone(), tasks.clone())?;
        let asker = Asker::start(shared.clone(), control, tasks.clone())?;
        let own = Own::new(&keypair.public(), listening, signed)?;
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        let mut driver = Driver::new(swarm, shared.clone(), sessions.clone(), own, receiver);
        driver.listen().await?;
        driver.own.sign(&shared)?;
        tasks.spawn(driver.run());
        tasks.close();
        guard.disarm();
        let inner = Inner { shared, sessions, asker, commands, addresses, peer_id, tasks };
        Ok(MeshHandle { inner: Arc::new(inner) })
    }
}

fn build_swarm(
    keypair: &Keypair,
    shared: &Arc<Shared>,
    own: watch::Receiver<Option<quadrille_protocol::identity::SignedGatewayRecord>>,
) -> Result<Swarm<Behaviour>, Refusal> {
    let door = Doorkeeper {
        host: shared.host.clone(),
        roster: shared.roster.clone(),
        conduct: shared.conduct.clone(),
        members: shared.members.clone(),
        own,
    };
    let transport = transport::build(keypair, &shared.config, door, shared.counters.clone())?;
    let network = &shared.host.anchors().network;
    let behaviour = Behaviour::new(keypair, &shared.config, network)?;
    let config = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(config::IDLE_CONNECTION)
        .with_max_negotiating_inbound_streams(transport::STREAMS_PER_PEER);
    Ok(Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config))
}

fn accept_sessions(
    mut control: libp2p_stream::Control,
    sessions: &Arc<Sessions>,
    shared: &Arc<Shared>,
    tasks: &TaskTracker,
) -> Result<(), Refusal> {
    let registered = |error: libp2p_stream::AlreadyRegistered| {
        Refusal::new(Code::MeshStopped, error.to_string())
    };
    let mut incoming = control.accept(session::PROTOCOL).map_err(registered)?;
    let (sessions, stop) = (sessions.clone(), shared.stop.clone());
    tasks.spawn(async move {
        loop {
            let next = tokio::select! {
                () = stop.cancelled() => return,
                next = incoming.next() => next,
            };
            let Some((peer, stream)) = next else { return };
            sessions.incoming(peer, stream);
        }
    });
    Ok(())
}

impl MeshHandle {
    /// Where the mesh listens, each with `/p2p/…`.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.inner.addresses.borrow().clone()
    }

    /// Our libp2p identifier.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.inner.peer_id
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.inner.shared.counters
    }

    /// Every domain whose node is known.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        let (shared, sessions) = (&self.inner.shared, &self.inner.sessions);
        let domains = shared.roster.domains().into_iter();
        domains
            .filter_map(|domain| {
                let peer_id = shared.roster.peer(&domain)?;
                let (offences, points) = shared.conduct.of(&domain);
                Some(PeerStatus {
                    peer_id,
                    connected: shared.roster.is_connected(&peer_id),
                    session_since: sessions.since(&domain),
                    feeds: shared.roster.feeds(&domain),
                    addresses: shared.roster.addresses(&domain),
                    offences,
                    points,
                    blocked: shared.conduct.check(&domain).is_err(),
                    trouble: shared.conduct.trouble(&domain),
                    domain,
                })
            })
            .collect()
    }

    /// Ends session and connections with a domain's node. It is connected again when either side
    /// wants it; `Host::standing` and the directory say whether it may be.
    ///
    /// # Errors
    /// `Q-2013` after the end; `Q-1803` too much waits.
    pub fn disconnect(&self, domain: &Domain) -> Result<(), Refusal> {
        self.inner.sessions.restart(domain);
        self.command(Command::Disconnect(domain.clone()))
    }

    /// Ends every session and opens new ones. Each peer's `Host::detach` and then
    /// `Host::attach` say when that is done.
    pub fn reconnect_all(&self) {
        self.inner.sessions.restart_all();
    }

    /// Forgets what a peer has done wrong, and unblocks it.
    pub fn pardon(&self, domain: &Domain) {
        self.inner.shared.conduct.pardon(domain);
    }

    /// Publishes the evidence of a notice of ours, at most [`NOTICE_BYTES`]: to everybody who
    /// listens to all notices, and to those who listen to `pair`.
    ///
    /// # Errors
    /// `Q-2013` after the end; `Q-1803` too much waits: the notice is not published.
    pub fn publish(&self, pair: Option<AssetPair>, evidence: Bytes) -> Result<(), Refusal> {
        self.command(Command::Publish(pair, evidence))
    }

    /// Looks a domain's gateway record up over the mesh: the highest one that verifies.
    ///
    /// # Errors
    /// `Q-1205` no such member; `Q-2011` none found; `Q-1803` too much waits; `Q-2013`.
    pub async fn find_gateway(&self, domain: &Domain) -> Result<VerifiedGatewayRecord, Refusal> {
        self.inner.shared.host.directory().member(domain)?;
        let (answer, receiver) = oneshot::channel();
        self.command(Command::FindGateway(domain.clone(), answer))?;
        receiver.await.map_err(|_| stopped())?
    }

    /// The gateway records that are known here, verified.
    #[must_use]
    pub fn gateways(&self) -> Vec<VerifiedGatewayRecord> {
        self.inner.shared.roster.records()
    }

    /// Looks up which members deal in an asset, by their own signed word.
    ///
    /// # Errors
    /// `Q-1803` too much waits; `Q-2013`.
    pub async fn providers(&self, uai: &Uai) -> Result<Vec<Domain>, Refusal> {
        let (answer, receiver) = oneshot::channel();
        self.command(Command::Providers(uai.clone(), answer))?;
        receiver.await.map_err(|_| stopped())?
    }

    /// Asks a member something; connects to it first where there is no connection. What is
    /// answered is to be verified by whoever asks.
    ///
    /// # Errors
    /// `Q-1205` no such member; `Q-2007` not reached or not answered in time; `Q-1803` too many
    /// questions; `Q-2506` an answer to another question; `Q-2013`; else what the member refuses
    /// with.
    pub async fn ask(&self, domain: &Domain, question: &Question) -> Result<Answer, Refusal> {
        self.inner.asker.ask(domain, question).await
    }

    /// Signs our gateway record anew and publishes it: after a rotation, or a new service.
    ///
    /// # Errors
    /// `Q-2013` after the end; `Q-1803` too much waits.
    pub fn refresh_gateway(&self) -> Result<(), Refusal> {
        self.command(Command::Refresh)
    }

    /// Stops: ends the sessions (what was read is handed in), closes the connections, returns
    /// when all tasks are over.
    pub async fn shutdown(&self) {
        self.inner.shared.stop.cancel();
        self.inner.tasks.wait().await;
    }

    fn command(&self, command: Command) -> Result<(), Refusal> {
        self.inner.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Refusal::new(Code::QueueFull, "requests to the mesh")
            }
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })
    }
}

fn stopped() -> Refusal {
    Refusal::new(Code::MeshStopped, "the mesh")
}
