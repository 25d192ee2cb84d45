//! How a notice spreads: gossipsub as the nodes are set up, message by message.
//!
//! ```text
//!   maker --at once--> everybody it is connected to
//!   a node, on the first copy: checks it, then --> its mesh (6 to 12 of those connected to it)
//!                              and in each of 3 heartbeats tells some others that it has it,
//!                              who ask for it when they do not
//!   who has it already says so at once: a copy not yet sent to it is not sent
//! ```
//!
//! Nodes are connected to those whom they trust, and so is the mesh. A bank with one link to a hub
//! whose mesh is full hears by heartbeats alone.
//!
//! Invariants: the same seed gives the same spread; no node gets more than one copy from each peer.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use serde::Serialize;

use super::draw::{Wheel, lognormal, real, unit, whole};
use super::figures::Figures;
use super::topology::Network;
use crate::sim::rng::Stream;

/// Peers that a node wants in its mesh: as libp2p is set up by default, and our nodes with it.
pub const MESH: usize = 6;
/// Peers in its mesh at most.
pub const MESH_MOST: usize = 12;
/// Peers told of what there is in one heartbeat, at least.
pub const LAZY: usize = 6;
/// The same as a share of the peers outside the mesh: one in so many.
pub const LAZY_SHARE: usize = 4;
/// Heartbeats in which a notice is told of.
pub const HEARTBEATS: u32 = 3;
/// Between two heartbeats, in microseconds.
const HEARTBEAT_US: u64 = 1_000_000;
/// How much lines differ: that of the logarithm.
const SIGMA: f64 = 0.5;
/// Notices that are followed.
const NOTICES: usize = 6;

/// How notices spread.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// Of a hundred nodes, those that heard at all, on average.
    pub reached: f64,
    /// Milliseconds until half of them had heard.
    pub p50_ms: f64,
    /// Milliseconds until 95 of a hundred of all nodes had heard; none when they never do.
    pub p95_ms: Option<f64>,
    /// Copies that a node gets of one notice, on average.
    pub copies: f64,
    /// Copies that the busiest node sends of one notice.
    pub copies_sent_most: f64,
    /// Times that a node is told of it or says that it has it, on average.
    pub words: f64,
}

/// Nodes and their connections.
#[derive(Debug, Clone)]
pub struct Overlay {
    peers: Vec<Vec<usize>>,
    meshes: Vec<BTreeSet<usize>>,
    weights: Vec<f64>,
}

impl Overlay {
    /// The connections of `network`, with so many more of each node to any others.
    #[must_use]
    pub fn of(network: &Network, more: usize, seed: u64) -> Self {
        let mut stream = Stream::new(seed, "scale overlay");
        let mut peers: Vec<BTreeSet<usize>> =
            network.neighbours().into_iter().map(|of| of.into_iter().collect()).collect();
        for node in 0..peers.len() {
            for _ in 0..more {
                let other = stream.index(peers.len());
                if other != node {
                    peers.get_mut(node).map(|of| of.insert(other));
                    peers.get_mut(other).map(|of| of.insert(node));
                }
            }
        }
        let peers: Vec<Vec<usize>> = peers.into_iter().map(|of| of.into_iter().collect()).collect();
        let meshes = meshes(&peers, &mut stream);
        let weights = network.nodes.iter().map(|node| node.weight).collect();
        Self { peers, meshes, weights }
    }

    /// Follows some notices of nodes drawn by their size.
    #[must_use]
    pub fn spread(&self, figures: &Figures, seed: u64) -> Spread {
        let wheel = Wheel::new(self.weights.iter().copied());
        let mut stream = Stream::new(seed, "scale makers");
        let mut sum = Totals::default();
        for notice in 0..NOTICES {
            let maker = wheel.draw(&mut stream).unwrap_or(0);
            let stream = Stream::new(seed, &format!("scale notice {notice}"));
            Run::new(self, figures, stream).follow(maker).add_to(&mut sum);
        }
        let (notices, nodes) = (real(NOTICES), real(self.peers.len().max(1)));
        let mean = |times: &[f64]| times.iter().sum::<f64>() / real(times.len().max(1));
        Spread {
            reached: 100.0 * real(sum.heard) / notices / nodes,
            p50_ms: mean(&sum.p50_ms),
            p95_ms: (sum.p95_ms.len() == NOTICES).then(|| mean(&sum.p95_ms)),
            copies: real(sum.copies) / notices / nodes,
            copies_sent_most: real(sum.sent_most) / notices,
            words: real(sum.words) / notices / nodes,
        }
    }
}

/// Who is in whose mesh: each asks connected ones until it has enough, and is taken by those that
/// are not full.
fn meshes(peers: &[Vec<usize>], stream: &mut Stream) -> Vec<BTreeSet<usize>> {
    let mut meshes = vec![BTreeSet::new(); peers.len()];
    let mut order: Vec<usize> = (0..peers.len()).collect();
    shuffle(&mut order, stream);
    for node in order {
        let mut asked: Vec<usize> = peers.get(node).cloned().unwrap_or_default();
        shuffle(&mut asked, stream);
        for other in asked {
            if meshes.get(node).is_none_or(|mesh| mesh.len() >= MESH) {
                break;
            }
            if meshes.get(other).is_some_and(|mesh| mesh.len() < MESH_MOST) {
                meshes.get_mut(node).map(|mesh| mesh.insert(other));
                meshes.get_mut(other).map(|mesh| mesh.insert(node));
            }
        }
    }
    meshes
}

fn shuffle(items: &mut [usize], stream: &mut Stream) {
    for at in (1..items.len()).rev() {
        items.swap(at, stream.index(at + 1));
    }
}

#[derive(Default)]
struct Totals {
    heard: usize,
    copies: usize,
    sent_most: usize,
    words: usize,
    p50_ms: Vec<f64>,
    p95_ms: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A copy arrives.
    Copy { from: usize, to: usize },
    /// A node has checked it and passes it on, but not to whom it had it from.
    Forward { node: usize, from: usize },
    /// A node's heartbeat, so many of them still to come.
    Heartbeat { node: usize, left: u32 },
    /// A node is told that another one has it.
    Told { from: usize, to: usize },
    /// A node is asked for it.
    Asked { from: usize, by: usize },
}

struct Run<'a> {
    overlay: &'a Overlay,
    stream: Stream,
    hop_us: f64,
    check_us: u64,
    queue: BinaryHeap<Reverse<(u64, Event)>>,
    heard: Vec<Option<u64>>,
    asked: BTreeSet<usize>,
    sent: Vec<usize>,
    copies: usize,
    words: usize,
}

impl<'a> Run<'a> {
    fn new(overlay: &'a Overlay, figures: &Figures, stream: Stream) -> Self {
        let count = overlay.peers.len();
        Self {
            overlay,
            stream,
            hop_us: figures.hop_ms.value * 1e3,
            check_us: u64::try_from(whole(figures.notice_us.value)).unwrap_or(0),
            queue: BinaryHeap::new(),
            heard: vec![None; count],
            asked: BTreeSet::new(),
            sent: vec![0; count],
            copies: 0,
            words: 0,
        }
    }

    fn follow(mut self, maker: usize) -> Self {
        self.hear(0, maker);
        let overlay = self.overlay;
        for peer in overlay.peers.get(maker).into_iter().flatten() {
            self.send(0, maker, *peer);
        }
        while let Some(Reverse((now, event))) = self.queue.pop() {
            self.step(now, event);
        }
        self
    }

    fn step(&mut self, now: u64, event: Event) {
        let overlay = self.overlay;
        match event {
            Event::Copy { from, to } => {
                self.copies += 1;
                if self.has(to).is_none() {
                    self.hear(now, to);
                    let at = now + self.check_us;
                    self.queue.push(Reverse((at, Event::Forward { node: to, from })));
                }
            }
            Event::Forward { node, from } => {
                for peer in overlay.meshes.get(node).into_iter().flatten() {
                    // Who has it told all its mesh so when it came.
                    let wait = self.hop();
                    let told = self.has(*peer).is_some_and(|at| at + wait <= now);
                    self.words += 1;
                    if *peer != from && !told {
                        self.send(now, node, *peer);
                    }
                }
            }
            Event::Heartbeat { node, left } => self.heartbeat(now, node, left),
            Event::Told { from, to } => {
                self.words += 1;
                if self.has(to).is_none() && self.asked.insert(to) {
                    let wait = self.hop();
                    self.queue.push(Reverse((now + wait, Event::Asked { from, by: to })));
                }
            }
            Event::Asked { from, by } => self.send(now, from, by),
        }
    }

    fn heartbeat(&mut self, now: u64, node: usize, left: u32) {
        let overlay = self.overlay;
        let Some((peers, mesh)) = overlay.peers.get(node).zip(overlay.meshes.get(node)) else {
            return;
        };
        let mut others: Vec<usize> =
            peers.iter().copied().filter(|peer| !mesh.contains(peer)).collect();
        shuffle(&mut others, &mut self.stream);
        others.truncate(LAZY.max(others.len() / LAZY_SHARE));
        for to in others {
            let wait = self.hop();
            self.queue.push(Reverse((now + wait, Event::Told { from: node, to })));
        }
        if left > 1 {
            let event = Event::Heartbeat { node, left: left - 1 };
            self.queue.push(Reverse((now + HEARTBEAT_US, event)));
        }
    }

    fn hear(&mut self, now: u64, node: usize) {
        if let Some(heard) = self.heard.get_mut(node) {
            *heard = Some(now);
        }
        let wait = whole(unit(&mut self.stream) * 1e6);
        let at = now + u64::try_from(wait).unwrap_or(HEARTBEAT_US);
        self.queue.push(Reverse((at, Event::Heartbeat { node, left: HEARTBEATS })));
    }

    fn has(&self, node: usize) -> Option<u64> {
        self.heard.get(node).copied().flatten()
    }

    fn send(&mut self, now: u64, from: usize, to: usize) {
        if let Some(sent) = self.sent.get_mut(from) {
            *sent += 1;
        }
        let wait = self.hop();
        self.queue.push(Reverse((now + wait, Event::Copy { from, to })));
    }

    fn hop(&mut self) -> u64 {
        let hop = whole(lognormal(&mut self.stream, self.hop_us, SIGMA));
        u64::try_from(hop).unwrap_or(HEARTBEAT_US)
    }

    fn add_to(self, sum: &mut Totals) {
        let mut times: Vec<u64> = self.heard.iter().flatten().copied().collect();
        times.sort_unstable();
        sum.heard += times.len();
        sum.copies += self.copies;
        sum.words += self.words;
        sum.sent_most += self.sent.iter().max().copied().unwrap_or(0);
        let ms = |us: u64| u32::try_from(us).map_or(f64::MAX, f64::from) / 1e3;
        sum.p50_ms.extend(times.get(times.len() / 2).map(|us| ms(*us)));
        let most = (self.heard.len() * 95).div_ceil(100).saturating_sub(1);
        sum.p95_ms.extend(times.get(most).map(|us| ms(*us)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::topology::Shape;

    #[test]
    fn with_connections_beyond_partners_a_notice_reaches_everybody() {
        let network = Network::draw(Shape::CorePeriphery, 200, 1);
        let spread = |more| Overlay::of(&network, more, 1).spread(&Figures::default(), 1);
        let (partners, more) = (spread(0), spread(8));
        assert_eq!(partners, spread(0));
        assert!(more.reached > 99.9 && more.copies >= 0.99 && more.copies < 12.0, "{more:?}");
        // Who hangs on one hub alone hears by heartbeats, or not at all.
        assert!(partners.reached < more.reached, "{partners:?}");
    }

    #[test]
    fn on_a_line_it_takes_one_hop_after_the_other() {
        let figures = Figures::default();
        let near = Overlay::of(&Network::line(5), 0, 1).spread(&figures, 1);
        let far = Overlay::of(&Network::line(50), 0, 1).spread(&figures, 1);
        assert!((near.reached - 100.0).abs() < 1e-9 && (far.reached - 100.0).abs() < 1e-9);
        assert!(far.p95_ms.unwrap() > 4.0 * near.p95_ms.unwrap(), "{near:?} {far:?}");
    }

    #[test]
    fn a_mesh_is_not_larger_than_it_may_be() {
        let overlay = Overlay::of(&Network::star(60), 0, 1);
        assert_eq!(overlay.meshes[0].len(), MESH_MOST);
        // The others hear by heartbeats only, unless the middle is the maker.
        let connected = Overlay::of(&Network::star(60), 8, 1);
        let figures = Figures::default();
        let (alone, more) = (overlay.spread(&figures, 1), connected.spread(&figures, 1));
        assert!(more.p95_ms.unwrap() < alone.p95_ms.unwrap_or(f64::MAX), "{alone:?} {more:?}");
    }

    #[test]
    fn who_is_not_connected_does_not_hear() {
        let mut network = Network::line(10);
        network.links.clear();
        let spread = Overlay::of(&network, 0, 1).spread(&Figures::default(), 1);
        assert!((spread.reached - 10.0).abs() < 1e-9 && spread.p95_ms.is_none(), "{spread:?}");
    }
}
