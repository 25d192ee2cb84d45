//! The task that owns the libp2p swarm: connections, dials, the directory, gossip.
//!
//! Invariants:
//! * Nothing here waits for the node behind: what must be asked of it runs in tasks of its own,
//!   so that a slow disk does not stop pings and gossip.
//! * Whoever is connected has passed the membership handshake, which is part of the transport.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::identity::Keypair;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{DialError, NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, connection_limits, gossipsub, identify, ping};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{AssetPair, Domain, Network, Uai};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::config::{CONNECTIONS_PER_PEER, DIALS_PER_TICK, MeshConfig, PENDING_CONNECTIONS};
use super::directory::{self, GatewayAnswer, Kademlia, Lookups, ProvidersAnswer};
use super::gossip::{self, Gossip, Judged, Notices};
use super::own::Own;
use super::retry::Backoff;
use super::session::Sessions;
use super::shared::Shared;

/// Pings that may fail before a connection is given up.
const PING_FAILURES: u32 = 3;

/// The protocols that run over connections.
#[derive(NetworkBehaviour)]
pub struct Behaviour {
    limits: connection_limits::Behaviour,
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
            .with_agent_version(concat!("quadrille/", env!("CARGO_PKG_VERSION")).to_owned());
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits),
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

/// What is dialled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// A domain's node.
    Domain(Domain),
    /// A configured peer, whoever it is.
    Peer(PeerId),
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
    backoffs: BTreeMap<Target, Backoff>,
    established: HashMap<PeerId, Instant>,
    ping_failures: HashMap<PeerId, u32>,
    bootstrap: Vec<(PeerId, Multiaddr)>,
    known: Vec<(Domain, PeerId, Multiaddr)>,
}

impl Driver {
    /// The task around `swarm`.
    ///
    /// # Errors
    /// `Q-1212` a configured peer whose address does not end with `/p2p/…`.
    pub fn new(
        swarm: Swarm<Behaviour>,
        shared: Arc<Shared>,
        sessions: Arc<Sessions>,
        own: Own,
        commands: mpsc::Receiver<Command>,
    ) -> Result<Self, Refusal> {
        let config = &shared.config;
        let bootstrap = config.bootstrap.iter().map(split_peer).collect::<Result<_, _>>()?;
        let known = config
            .peers
            .iter()
            .map(|(domain, address)| {
                split_peer(address).map(|(peer, address)| (domain.clone(), peer, address))
            })
            .collect::<Result<_, _>>()?;
        let (notices, judged) = Notices::new(&shared);
        Ok(Self {
            swarm,
            shared,
            sessions,
            own,
            commands,
            notices,
            judged,
            lookups: Lookups::new(),
            unpublished: true,
            backoffs: BTreeMap::new(),
            established: HashMap::new(),
            ping_failures: HashMap::new(),
            bootstrap,
            known,
        })
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
            SwarmEvent::ConnectionEstablished { peer_id, num_established, .. }
                if num_established.get() == 1 =>
            {
                self.on_connected(peer_id);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                let why = cause.map(|cause| cause.to_string()).unwrap_or_default();
                self.on_disconnected(peer_id, &why);
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                self.on_dial_failed(peer_id, &error);
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
            BehaviourEvent::Limits(never) => match never {},
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

    fn on_connected(&mut self, peer: PeerId) {
        let shared = self.shared.clone();
        shared.counters.connections_opened.one();
        shared.roster.set_connected(peer, true);
        self.established.insert(peer, Instant::now());
        let Some(domain) = shared.roster.domain(&peer) else {
            // Another node has taken its place since the handshake.
            return self.disconnect(peer);
        };
        for address in shared.roster.addresses(&domain) {
            self.swarm.behaviour_mut().kademlia.add_address(&peer, address);
        }
        self.unpublished = true;
        if shared.host.is_validator() && shared.roster.feeds(&domain) {
            self.sessions.connected(&domain);
        }
    }

    fn on_disconnected(&mut self, peer: PeerId, why: &str) {
        self.shared.counters.connections_closed.one();
        self.shared.roster.set_connected(peer, false);
        self.sessions.disconnected(peer);
        self.ping_failures.remove(&peer);
        let lived = self.established.remove(&peer).map(|since| since.elapsed());
        let domain = self.shared.roster.domain(&peer);
        let name = domain.as_ref().map(Domain::as_str).unwrap_or_default();
        tracing::info!(domain = name, %peer, why, "a peer is disconnected");
        let steady = lived.is_some_and(|lived| lived >= self.shared.config.timing.retry_most);
        for target in targets(peer, domain) {
            if steady {
                self.backoffs.remove(&target);
            } else {
                self.fail(target);
            }
        }
    }

    fn on_dial_failed(&mut self, peer: Option<PeerId>, error: &DialError) {
        if matches!(error, DialError::DialPeerConditionFalse(_)) {
            return;
        }
        self.shared.counters.dials_failed.one();
        let Some(peer) = peer else { return };
        let domain = self.shared.roster.domain(&peer);
        let name = domain.as_ref().map(Domain::as_str).unwrap_or_default();
        tracing::info!(domain = name, %peer, error = chain(error), "a dial failed");
        for target in targets(peer, domain) {
            self.fail(target);
        }
    }

    fn fail(&mut self, target: Target) {
        let timing = self.shared.config.timing;
        let fresh = || Backoff::new(timing.retry_first, timing.retry_most);
        self.backoffs.entry(target).or_insert_with(fresh).fail();
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
        let quiet = self.shared.config.timing.retry_most;
        self.backoffs.retain(|_, backoff| !backoff.is_forgotten(quiet));
    }

    /// Publishes our record when somebody is there to keep it.
    fn publish_own(&mut self) {
        if !self.unpublished || self.established.is_empty() {
            return;
        }
        if let Some(signed) = self.own.signed() {
            let kademlia = &mut self.swarm.behaviour_mut().kademlia;
            self.lookups.publish(kademlia, &self.shared, &signed);
            self.unpublished = false;
        }
    }

    fn dial_wanted(&mut self) {
        let mut domains = self.shared.host.wanted();
        domains.extend(self.known.iter().map(|(domain, _, _)| domain.clone()));
        domains.sort();
        domains.dedup();
        let mut dialled = 0;
        for domain in domains {
            if dialled >= DIALS_PER_TICK {
                return;
            }
            if domain == *self.shared.host.domain()
                || self.shared.roster.connected(&domain).is_some()
                || self.shared.conduct.check(&domain).is_err()
                || !self.is_ready(&Target::Domain(domain.clone()))
            {
                continue;
            }
            dialled += 1;
            match self.whereabouts(&domain) {
                Some((peer, addresses)) => self.dial(peer, addresses),
                None => {
                    let kademlia = &mut self.swarm.behaviour_mut().kademlia;
                    self.lookups.find(kademlia, domain.clone(), None);
                    self.fail(Target::Domain(domain));
                }
            }
        }
        for (peer, address) in self.bootstrap.clone() {
            let connected = self.shared.roster.is_connected(&peer);
            if !connected && self.is_ready(&Target::Peer(peer)) {
                self.dial(peer, vec![address]);
            }
        }
    }

    fn is_ready(&self, target: &Target) -> bool {
        self.backoffs.get(target).is_none_or(Backoff::is_ready)
    }

    /// Who speaks for a domain and where it is reached: by its record, else by configuration.
    fn whereabouts(&self, domain: &Domain) -> Option<(PeerId, Vec<Multiaddr>)> {
        let configured = self.known.iter().filter(|(name, _, _)| name == domain);
        let configured: Vec<_> = configured.map(|(_, peer, at)| (*peer, at.clone())).collect();
        let peer = self.shared.roster.peer(domain).or(configured.first().map(|(peer, _)| *peer))?;
        let mut addresses = self.shared.roster.addresses(domain);
        let more = configured.into_iter().filter(|(named, _)| *named == peer);
        for (_, address) in more {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Some((peer, addresses))
    }

    fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let options = DialOpts::peer_id(peer)
            .addresses(addresses)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .build();
        if let Err(error) = self.swarm.dial(options) {
            self.on_dial_failed(Some(peer), &error);
        }
    }
}

fn targets(peer: PeerId, domain: Option<Domain>) -> impl Iterator<Item = Target> {
    std::iter::once(Target::Peer(peer)).chain(domain.map(Target::Domain))
}

/// An address without its last `/p2p/…`, and the peer named there.
fn split_peer(address: &Multiaddr) -> Result<(PeerId, Multiaddr), Refusal> {
    let mut rest = address.clone();
    match rest.pop() {
        Some(libp2p::multiaddr::Protocol::P2p(peer)) => Ok((peer, rest)),
        Some(_) | None => {
            Err(Refusal::new(Code::BadAddress, format!("{address} does not end with /p2p/…")))
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
