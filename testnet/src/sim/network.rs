//! The virtual network: when, how often and whether a packet arrives.
//!
//! Every ordered pair of nodes is a link with its own delay. A packet may be lost, doubled or
//! overtaken; a link may be cut one way; a node may be slow in everything it receives.

use super::faults::NetworkFaults;
use super::rng::Stream;

/// One direction between two nodes.
#[derive(Debug, Clone, Default)]
struct Link {
    delay_ms: u64,
    cut_until_ms: u64,
    last_arrival_ms: u64,
}

/// All links.
#[derive(Debug)]
pub struct Network {
    nodes: usize,
    links: Vec<Link>,
    slow: Option<usize>,
    faults: NetworkFaults,
    random: Stream,
    /// Packets that never arrived.
    pub lost: u64,
}

/// Longest a cut lasts.
const CUT_MAX_MS: u64 = 20_000;
/// How much slower a slow node receives.
const SLOW_MS: u64 = 900;
/// How far a packet may fall behind those sent after it.
const REORDER_MAX_MS: u64 = 3_000;

impl Network {
    /// A network between `nodes` nodes.
    #[must_use]
    pub fn new(nodes: usize, faults: NetworkFaults, mut random: Stream) -> Self {
        let slow = faults.slow_peer.then(|| random.index(nodes));
        let mut links = vec![Link::default(); nodes * nodes];
        for link in &mut links {
            link.delay_ms = random.between(1, faults.delay_max_ms);
        }
        Self { nodes, links, slow, faults, random, lost: 0 }
    }

    fn link(&mut self, from: usize, to: usize) -> &mut Link {
        &mut self.links[from * self.nodes + to]
    }

    /// When a packet sent now arrives: never, once or twice.
    pub fn arrivals(&mut self, now_ms: u64, from: usize, to: usize) -> Vec<u64> {
        if self.link(from, to).cut_until_ms > now_ms || self.random.chance(self.faults.loss) {
            self.lost += 1;
            return Vec::new();
        }
        let copies = 1 + usize::from(self.random.chance(self.faults.duplicate));
        (0..copies).map(|_| self.arrival(now_ms, from, to)).collect()
    }

    fn arrival(&mut self, now_ms: u64, from: usize, to: usize) -> u64 {
        let jitter = self.random.below(self.faults.jitter_max_ms + 1);
        let slow = if self.slow == Some(to) { self.random.below(SLOW_MS) } else { 0 };
        let overtaken = self.random.chance(self.faults.reorder);
        let behind = if overtaken { self.random.below(REORDER_MAX_MS) } else { 0 };
        let link = self.link(from, to);
        let arrival = now_ms + link.delay_ms + jitter + slow;
        if overtaken {
            return arrival + behind;
        }
        link.last_arrival_ms = link.last_arrival_ms.max(arrival);
        link.last_arrival_ms
    }

    /// Perhaps cuts something, as the fault plan asks. Says what in words.
    pub fn disturb(&mut self, now_ms: u64) -> Option<String> {
        if !self.random.chance(self.faults.cut) {
            return None;
        }
        let until = now_ms + self.random.between(200, CUT_MAX_MS);
        let (one, other) = (self.random.index(self.nodes), self.random.index(self.nodes));
        match self.random.below(3) {
            0 => {
                self.link(one, other).cut_until_ms = until;
                Some(format!("cut {one} -> {other} until {until} ms"))
            }
            1 => {
                self.link(one, other).cut_until_ms = until;
                self.link(other, one).cut_until_ms = until;
                Some(format!("cut {one} <-> {other} until {until} ms"))
            }
            _ => {
                for peer in 0..self.nodes {
                    self.link(one, peer).cut_until_ms = until;
                    self.link(peer, one).cut_until_ms = until;
                }
                Some(format!("cut off {one} until {until} ms"))
            }
        }
    }

    /// From now on everything arrives, soon and in order.
    pub fn heal(&mut self) {
        self.faults = NetworkFaults::NONE;
        self.slow = None;
        for link in &mut self.links {
            link.cut_until_ms = 0;
            link.delay_ms = link.delay_ms.min(20);
        }
    }
}
