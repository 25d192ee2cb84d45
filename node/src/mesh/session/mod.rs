//! Sessions: the one ordered stream between two validators.
//!
//! ```text
//!   Sessions --one task per peer--> Link: open or wait for a stream -> run it -> again
//!                                          run: greet, attach, [reader | writer], join, detach
//! ```
//!
//! Of two domains the one whose name sorts first opens; so there is one session per pair. A
//! stream that comes while a session runs replaces it: the opener knows best that the old one is
//! gone.
//!
//! Invariants:
//! * A link runs one session at a time. Its reader has been joined, and all that it read handed
//!   in, before `Host::detach`, and that before `Host::attach` of the next one.
//! * Reader and writer are tasks of their own: one for both deadlocks once a window fills.

mod frame;
mod run;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use libp2p::{PeerId, Stream, StreamProtocol};
use quadrille_protocol::types::Domain;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::conduct::Offence;
use super::retry::Backoff;
use super::shared::Shared;

/// The protocol of sessions.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/quadrille/session/1");
/// Requests to one link that wait.
const LINK_QUEUE: usize = 8;
/// A session that lasted this long ends the doubling of the waits between sessions.
const STEADY: Duration = Duration::from_secs(5);

/// A stream for a session.
struct Line {
    peer: PeerId,
    stream: Stream,
}

/// The session that runs: with which node, since when.
type Running = Arc<Mutex<Option<(PeerId, Instant)>>>;

/// Something for a link to do.
enum Order {
    /// The peer has opened a stream.
    Incoming(Box<Line>),
    /// The peer is connected: try now.
    Wake,
    /// End the session that ran at this moment and open another. One that has begun since is
    /// another already.
    Restart(Instant),
}

struct Link {
    orders: mpsc::Sender<Order>,
    running: Running,
}

impl Link {
    fn running(&self) -> Option<(PeerId, Instant)> {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All sessions.
pub struct Sessions {
    shared: Arc<Shared>,
    control: libp2p_stream::Control,
    tasks: TaskTracker,
    /// As many as members that have been connected.
    links: Mutex<BTreeMap<Domain, Link>>,
}

impl Sessions {
    /// No sessions yet. Their tasks run on `tasks`.
    pub fn new(shared: Arc<Shared>, control: libp2p_stream::Control, tasks: TaskTracker) -> Self {
        Self { shared, control, tasks, links: Mutex::default() }
    }

    fn links(&self) -> MutexGuard<'_, BTreeMap<Domain, Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A peer that keeps ledgers is connected.
    pub fn connected(&self, domain: &Domain) {
        self.order(domain, Order::Wake);
    }

    /// A peer has opened a stream for a session.
    pub fn incoming(&self, peer: PeerId, stream: Stream) {
        let Some(domain) = self.shared.roster.domain(&peer) else { return };
        let ours = self.shared.host.is_validator() && self.shared.roster.feeds(&domain);
        if !ours || opens(&self.shared, &domain) {
            self.shared.counters.strange_streams.one();
            self.shared.offend(
                &domain,
                Offence::StrangeStream,
                "a session that is not its to open",
            );
            return;
        }
        self.order(&domain, Order::Incoming(Box::new(Line { peer, stream })));
    }

    /// Ends the session with a peer; another one follows when it is connected.
    pub fn restart(&self, domain: &Domain) {
        if let Some(link) = self.links().get(domain) {
            // A full queue holds an order that ends the session as well.
            let _ = link.orders.try_send(Order::Restart(Instant::now()));
        }
    }

    /// Ends all sessions; others follow.
    pub fn restart_all(&self) {
        for link in self.links().values() {
            let _ = link.orders.try_send(Order::Restart(Instant::now()));
        }
    }

    /// A node is not connected any more. Its session is told so: a multiplexer that we have
    /// closed ourselves does not wake the readers of its streams.
    pub fn disconnected(&self, peer: PeerId) {
        for link in self.links().values() {
            if link.running().is_some_and(|(with, _)| with == peer) {
                let _ = link.orders.try_send(Order::Restart(Instant::now()));
            }
        }
    }

    /// Since when a session with the peer stands.
    pub fn since(&self, domain: &Domain) -> Option<Instant> {
        self.links().get(domain)?.running().map(|(_, since)| since)
    }

    fn order(&self, domain: &Domain, order: Order) {
        if self.shared.stop.is_cancelled() {
            return;
        }
        let mut links = self.links();
        let link = links.entry(domain.clone()).or_insert_with(|| self.start(domain));
        // Dropped when the queue is full: the peer sees its stream closed and tries again.
        let _ = link.orders.try_send(order);
    }

    fn start(&self, domain: &Domain) -> Link {
        let (orders, receiver) = mpsc::channel(LINK_QUEUE);
        let running = Running::default();
        let timing = self.shared.config.timing;
        let task = LinkTask {
            opens: opens(&self.shared, domain),
            domain: domain.clone(),
            shared: self.shared.clone(),
            control: self.control.clone(),
            orders: receiver,
            running: running.clone(),
            backoff: Backoff::new(timing.retry_first, timing.retry_most),
        };
        self.tasks.spawn(task.run());
        Link { orders, running }
    }
}

/// Whether it is ours to open the session.
fn opens(shared: &Shared, domain: &Domain) -> bool {
    shared.host.domain() < domain
}

struct LinkTask {
    domain: Domain,
    opens: bool,
    shared: Arc<Shared>,
    control: libp2p_stream::Control,
    orders: mpsc::Receiver<Order>,
    running: Running,
    backoff: Backoff,
}

/// How a session ended.
enum Ended {
    /// By itself, or because it was told to.
    Over,
    /// The peer opened another one.
    Replaced(Box<Line>),
    /// The mesh stops.
    Stopped,
}

impl LinkTask {
    async fn run(mut self) {
        let mut next: Option<Box<Line>> = None;
        loop {
            let line = match next.take() {
                Some(line) => *line,
                None => match self.line().await {
                    Some(line) => line,
                    None => return,
                },
            };
            let began = Instant::now();
            match self.session(line).await {
                Ended::Over => {}
                Ended::Replaced(line) => next = Some(line),
                Ended::Stopped => return,
            }
            if began.elapsed() >= STEADY {
                self.backoff.succeed();
            } else if next.is_none() && self.rest().await.is_none() {
                return;
            }
        }
    }

    /// The next stream: opened by us when that is ours to do, else the peer's. None: stop.
    async fn line(&mut self) -> Option<Line> {
        loop {
            if self.opens
                && let Some(peer) = self.shared.roster.connected(&self.domain)
            {
                let limit = self.shared.config.timing.handshake;
                match tokio::time::timeout(limit, self.control.open_stream(peer, PROTOCOL)).await {
                    Ok(Ok(stream)) => return Some(Line { peer, stream }),
                    Ok(Err(error)) => tracing::debug!(domain = %self.domain, %error, "no session"),
                    Err(_) => tracing::debug!(domain = %self.domain, "no session in time"),
                }
                self.rest().await?;
                continue;
            }
            let order = tokio::select! {
                () = self.shared.stop.cancelled() => return None,
                order = self.orders.recv() => order?,
            };
            match order {
                Order::Incoming(line) => return Some(*line),
                Order::Wake | Order::Restart(_) => {}
            }
        }
    }

    /// Waits before the next attempt, but not long once the peer is connected anew: it may have
    /// been restarted, and how its sessions went before says nothing of the next. What it may
    /// cost us is bounded by how often it may connect. None: stop.
    async fn rest(&mut self) -> Option<()> {
        if !self.opens {
            // The peer opens, and has waits of its own.
            return Some(());
        }
        let mut until = tokio::time::Instant::now() + self.backoff.fail();
        loop {
            let order = tokio::select! {
                () = self.shared.stop.cancelled() => return None,
                () = tokio::time::sleep_until(until) => return Some(()),
                order = self.orders.recv() => order?,
            };
            match order {
                Order::Wake => {
                    self.backoff.succeed();
                    let soon = self.shared.config.timing.retry_first;
                    until = until.min(tokio::time::Instant::now() + soon);
                }
                // Only the one that opens waits here, and no session runs.
                Order::Incoming(_) | Order::Restart(_) => {}
            }
        }
    }
}
