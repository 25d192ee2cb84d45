//! The task that owns the libp2p swarm: connections, dials, the directory, gossip.
//!
//! Invariants:
//! * Nothing here waits for the node behind: what must be asked of it runs in tasks of its own,
//!   so that a slow disk does not stop pings and gossip.
//! * Whoever is connected has passed the membership handshake, which is part of the transport.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::identity::Keypair;
use libp2p::swarm::{ConnectionId, DialError, NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, connection_limits, gossipsub, identify, ping};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{AssetPair, Domain, Network, Uai};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::config::{CONNECTIONS_PER_PEER, MeshConfig, PENDING_CONNECTIONS};
use super::dial::Dialer;
use super::directory::{self, GatewayAnswer, Kademlia, Lookups, ProvidersAnswer};
use super::doorstep;
use super::gossip::{self, Gossip, Judged, Notices};
use super::own::Own;
use super::session::Sessions;
use super::shared::Shared;

/// Pings that may fail before a connection is given up.
const PING_FAILURES: u32 = 3;

/// The protocols that run over connections.
#[derive(NetworkBehaviour)]
pub struct Behaviour {
    limits: connection_limits::Behaviour,
    doorstep: doorstep::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    gossip: Gossip,
    kademlia: Kademlia,
    pub(super) streams: libp2p_stream::Behaviour,
}

impl Behaviour {
    /// The protocols of a node with this key.
    ///
    /// # Errors
    /// `Q-2014`, which our constants rule out.
    pub fn new(keypair: &Keypair, config: &MeshConfig, network: &Network) -> Result<Self, Refusal> {
        let limits = connection_limits::ConnectionLimits::default()
            .with_max_pending_incoming(Some(PENDING_CONNECTIONS))
            .with_max_pending_outgoing(Some(PENDING_CONNECTIONS))
            .with_max_established(Some(config.connections))
            .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER));
        let about = identify::Config::new(format!("/quadrille/{network}/1"), keypair.public())
            .with_agent_version(concat!("quadrille/", env!("CARGO_PKG_VERSION")).to_owned())
            // Nobody is dialled at an address that its gateway record does not name, and where
            // others reach us under other addresses, those we listen on are our own business.
            .with_cache_size(0)
            .with_hide_listen_addrs(!config.advertise.is_empty());
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits),
            doorstep: doorstep::Behaviour::default(),
            identify: identify::Behaviour::new(about),
            ping: ping::Behaviour::new(ping::Config::new()),
            gossip: gossip::build(keypair, network)?,
            kademlia: directory::build(keypair.public().to_peer_id(), network)?,
            streams: libp2p_stream::Behaviour::new(),
        })
    }
}

/// A request to the swarm.
pub enum Command {
    /// End all connections to a domain's node.
    Disconnect(Domain),
    /// Sign our gateway record anew and publish it.
    Refresh,
    /// Publish a notice.
    Publish(Option<AssetPair>, Bytes),
    /// Find a domain's gateway record.
    FindGateway(Domain, GatewayAnswer),
    /// Find who deals in an asset.
    Providers(Uai, ProvidersAnswer),
}

/// The task.
pub struct Driver {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) shared: Arc<Shared>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) own: Own,
    commands: mpsc::Receiver<Command>,
    notices: Notices,
    judged: mpsc::Receiver<Judged>,
    lookups: Lookups,
    /// Somebody has come, or our record has changed, since it was last published.
    unpublished: bool,
    /// Whether somebody has come since it was published.
    newcomer: bool,
    dialer: Dialer,
    /// The connections that stand.
    lines: HashMap<ConnectionId, Line>,
    ping_failures: HashMap<PeerId, u32>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    peer: PeerId,
    since: Instant,
}

impl Driver {
    /// The task around `swarm`.
    pub fn new(
        swarm: Swarm<Behaviour>,
        shared: Arc<Shared>,
        sessions: Arc<Sessions>,
        own: Own,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let (notices, judged) = Notices::new(&shared);
        Self {
            dialer: Dialer::new(*swarm.local_peer_id(), &shared.config),
            swarm,
            shared,
            sessions,
            own,
            commands,
            notices,
            judged,
            lookups: Lookups::new(),
            unpublished: true,
            newcomer: false,
            lines: HashMap::new(),
            ping_failures: HashMap::new(),
        }
    }

    /// Listens on every configured address; returns when each listens.
    ///
    /// # Errors
    /// `Q-2010`.
    pub async fn listen(&mut self) -> Result<(), Refusal> {
        let bad = |address: &Multiaddr, error: &dyn std::fmt::Display| {
            Refusal::new(Code::CannotListen, format!("{address}: {error}"))
        };
        for address in self.shared.config.listen.clone() {
            let id: ListenerId =
                self.swarm.listen_on(address.clone()).map_err(|error| bad(&address, &error))?;
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::NewListenAddr { listener_id, address } => {
                        self.own.listening(address);
                        if listener_id == id {
                            break;
                        }
                    }
                    SwarmEvent::ListenerClosed { listener_id, reason, .. } if listener_id == id => {
                        let reason = match reason {
                            Ok(()) => "closed".to_owned(),
                            Err(error) => error.to_string(),
                        };
                        return Err(bad(&address, &reason));
                    }
                    other => self.on_event(other),
                }
            }
        }
        Ok(())
    }

    /// Runs until the mesh stops.
    pub async fn run(mut self) {
        let mut tick = tokio::time::interval(self.shared.config.timing.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.shared.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => return,
                },
                Some(judged) = self.judged.recv() => {
                    gossip::report(&mut self.swarm.behaviour_mut().gossip, &self.shared, &judged);
                }
                _ = tick.tick() => self.look_around(),
                event = self.swarm.select_next_some() => self.on_event(event),
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Disconnect(domain) => {
                if let Some(peer) = self.shared.roster.peer(&domain) {
                    self.disconnect(peer);
                }
            }
            Command::Refresh => self.renew(),
            Command::Publish(pair, evidence) => {
                let (gossip, topics) =
                    (&mut self.swarm.behaviour_mut().gossip, self.notices.topics());
                gossip::publish(gossip, topics, &self.shared, pair.as_ref(), &evidence);
            }
            Command::FindGateway(domain, answer) => {
                let kademlia = &mut self.swarm.behaviour_mut().kademlia;
                self.lookups.find(kademlia, domain, Some(answer));
            }
            Command::Providers(uai, answer) => {
                let kademlia = &mut self.swarm.behaviour_mut().kademlia;
                self.lookups.providers(kademlia, uai, answer);
            }
        }
    }

    fn renew(&mut self) {
        self.own.renew(&self.shared);
        self.unpublished = true;
    }

    fn disconnect(&mut self, peer: PeerId) {
        // An error says that there is no connection.
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, endpoint.is_listener());
            }
            SwarmEvent::ConnectionClosed {
                peer_id, connection_id, num_established, cause, ..
            } => {
                let lived = self.lines.remove(&connection_id).map(|line| line.since.elapsed());
                if num_established == 0 {
                    let why = cause.map(|cause| cause.to_string()).unwrap_or_default();
                    self.on_disconnected(peer_id, lived.unwrap_or_default(), &why);
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.on_dial_failed(connection_id, peer_id, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                self.shared.counters.connections_failed.one();
                let error = chain(&error);
                tracing::info!(address = %send_back_addr, error, "an incoming connection failed");
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.own.listening(address);
                self.renew();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.own.not_listening(&address);
                self.renew();
            }
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            // The rest (new addresses of others, dials begun, listeners closed) changes nothing.
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Ping(ping::Event { peer, result, .. }) => match result {
                Ok(_) => {
                    self.ping_failures.remove(&peer);
                }
                Err(error) => {
                    let failures = self.ping_failures.entry(peer).or_default();
                    *failures = failures.saturating_add(1);
                    if *failures >= PING_FAILURES {
                        tracing::info!(%peer, %error, "a peer does not answer pings");
                        self.disconnect(peer);
                    }
                }
            },
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Kademlia(event) => {
                let kademlia = &mut self.swarm.behaviour_mut().kademlia;
                self.lookups.on_event(kademlia, &self.shared, event);
            }
            BehaviourEvent::Identify(_) | BehaviourEvent::Streams(()) => {}
            BehaviourEvent::Limits(never) | BehaviourEvent::Doorstep(never) => match never {},
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                let taken =
                    self.notices.take(&self.shared, propagation_source, message_id, message);
                if let Some(judged) = taken {
                    gossip::report(&mut self.swarm.behaviour_mut().gossip, &self.shared, &judged);
                }
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                self.shared.counters.slow_peers.one();
                tracing::debug!(peer = %peer_id, "a peer is too slow for gossip");
            }
            gossipsub::Event::Subscribed { .. }
            | gossipsub::Event::Unsubscribed { .. }
            | gossipsub::Event::GossipsubNotSupported { .. } => {}
        }
    }

    fn on_connected(&mut self, peer: PeerId, connection: ConnectionId, inbound: bool) {
        self.dialer.connected(connection, peer);
        let others: Vec<(ConnectionId, Line)> = self
            .lines
            .iter()
            .filter(|(_, line)| line.peer == peer)
            .map(|(id, it)| (*id, *it))
            .collect();
        self.lines.insert(connection, Line { peer, since: Instant::now() });
        let shared = self.shared.clone();
        let Some(domain) = shared.roster.domain(&peer) else {
            // Another node has taken its place since the handshake.
            return self.disconnect(peer);
        };
        if !others.is_empty() {
            if inbound {
                self.replace(&domain, &others);
            }
            return;
        }
        shared.counters.connections_opened.one();
        shared.roster.set_connected(peer, true);
        for address in shared.roster.addresses(&domain) {
            self.swarm.behaviour_mut().kademlia.add_address(&peer, address);
        }
        self.unpublished = true;
        self.newcomer = true;
        if shared.host.is_validator() && shared.roster.feeds(&domain) {
            self.sessions.connected(&domain);
        }
    }

    /// A node dials only who it is not connected to. When one dials us to whom we have an old
    /// connection, that one is dead at its end (its machine went down without a word), and we
    /// would wait for our own timeouts. Two that dial at the same moment keep both connections.
    fn replace(&mut self, domain: &Domain, others: &[(ConnectionId, Line)]) {
        let limit = self.shared.config.timing.handshake;
        let mut replaced = false;
        for (id, line) in others {
            if line.since.elapsed() > limit {
                replaced |= self.swarm.close_connection(*id);
            }
        }
        if replaced {
            tracing::info!(%domain, "a peer came back without having gone");
            self.sessions.restart(domain);
        }
    }

    fn on_disconnected(&mut self, peer: PeerId, lived: Duration, why: &str) {
        self.shared.counters.connections_closed.one();
        self.shared.roster.set_connected(peer, false);
        self.sessions.disconnected(peer);
        self.ping_failures.remove(&peer);
        let domain = self.shared.roster.domain(&peer);
        let name = domain.as_ref().map(Domain::as_str).unwrap_or_default();
        tracing::info!(domain = name, %peer, why, "a peer is disconnected");
        self.dialer.disconnected(peer, domain, lived);
    }

    fn on_dial_failed(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        error: &DialError,
    ) {
        if matches!(error, DialError::DialPeerConditionFalse(_)) {
            return self.dialer.passed_over(connection);
        }
        self.shared.counters.dials_failed.one();
        let domain = self.dialer.failed(connection);
        let name = domain.as_ref().map(Domain::as_str).unwrap_or_default();
        let who = peer.map(|peer| peer.to_string()).unwrap_or_default();
        tracing::info!(domain = name, peer = who, error = chain(error), "a dial failed");
        if let Some(domain) = domain {
            // It may have moved.
            self.lookups.find(&mut self.swarm.behaviour_mut().kademlia, domain, None);
        }
    }

    /// Looks for who is to go, who is to be dialled, what is to be renewed.
    fn look_around(&mut self) {
        for peer in self.shared.roster.displaced() {
            self.disconnect(peer);
        }
        let directory = self.shared.host.directory();
        for (domain, peer) in self.shared.roster.connected_domains() {
            let (_, points) = self.shared.conduct.of(&domain);
            self.swarm.behaviour_mut().gossip.set_application_score(&peer, -points);
            let key = directory.member(&domain).and_then(|member| {
                let (latest, _) = member.latest()?;
                directory.good_key(&domain, latest)
            });
            let passed = key.map(|_| ()).and_then(|()| self.shared.conduct.check(&domain));
            if let Err(refusal) = passed {
                tracing::warn!(%domain, code = %refusal.code, %refusal, "a peer is disconnected");
                self.disconnect(peer);
            }
        }
        self.dial_wanted();
        if self.own.is_due(&self.shared) {
            self.renew();
        }
        self.publish_own();
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip::listen(gossip, self.notices.topics(), &self.shared);
    }

    /// Publishes our record when somebody is there to keep it.
    fn publish_own(&mut self) {
        if !self.unpublished || self.lines.is_empty() {
            return;
        }
        if let Some(signed) = self.own.signed() {
            let kademlia = &mut self.swarm.behaviour_mut().kademlia;
            self.lookups.publish(kademlia, &self.shared, &signed, self.newcomer);
            (self.unpublished, self.newcomer) = (false, false);
        }
    }

    fn dial_wanted(&mut self) {
        let plan = self.dialer.plan(&self.shared);
        for options in plan.dials {
            let (connection, peer) = (options.connection_id(), options.get_peer_id());
            if let Err(error) = self.swarm.dial(options) {
                self.on_dial_failed(connection, peer, &error);
            }
        }
        for domain in plan.unknown {
            self.shared.members_wanted.store(true, Ordering::Relaxed);
            self.lookups.find(&mut self.swarm.behaviour_mut().kademlia, domain, None);
        }
    }
}

/// An error with everything below it: libp2p puts the reason last.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = error.source();
    }
    text
}
