//! How far a look-up in the directory goes: Kademlia with the routing tables that our nodes have.
//!
//! A routing table has proven members only, so at first it has those to whom the node is connected.
//! Who is asked on the way is dialled, proves itself and comes into the table: tables grow with
//! what is looked up. A record is kept by the 20 nodes nearest to its key that its owner finds.
//!
//! Invariants: the same seed gives the same look-ups; a look-up asks a bounded number of nodes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::draw::real;
use super::topology::Network;
use crate::sim::rng::Stream;

/// Nodes of one distance in a table, and those that keep a record.
const NEAREST: usize = 20;
/// Nodes that one look-up asks at most.
const ASKED_MOST: usize = 128;
/// Look-ups that are counted.
const LOOKUPS: usize = 100;

/// How look-ups went.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Lookups {
    /// Of a hundred, those that found the record.
    pub found: f64,
    /// Nodes one after the other until the record was there, on average.
    pub hops: f64,
    /// Nodes asked, on average.
    pub asked: f64,
}

/// The tables of all nodes.
pub struct Directory {
    keys: Vec<u64>,
    /// By node, then by the length of the common beginning of the keys.
    tables: Vec<BTreeMap<u32, BTreeSet<usize>>>,
}

struct Walk {
    nearest: Vec<usize>,
    asked: usize,
    /// After how many nodes, one after the other, the first of `wanted` was asked.
    hops: Option<usize>,
}

impl Directory {
    /// Tables with those to whom the nodes are connected.
    #[must_use]
    pub fn of(network: &Network, seed: u64) -> Self {
        let mut stream = Stream::new(seed, "scale directory");
        let keys: Vec<u64> = network.nodes.iter().map(|_| stream.below(u64::MAX)).collect();
        let tables = vec![BTreeMap::new(); keys.len()];
        let mut directory = Self { keys, tables };
        for (a, b) in &network.links {
            directory.meet(*a, *b);
        }
        directory
    }

    fn key(&self, node: usize) -> u64 {
        self.keys.get(node).copied().unwrap_or(0)
    }

    /// Puts two nodes into each other's tables, where there is room.
    fn meet(&mut self, a: usize, b: usize) {
        let bucket = (self.key(a) ^ self.key(b)).leading_zeros();
        for (of, other) in [(a, b), (b, a)] {
            let Some(table) = self.tables.get_mut(of) else { continue };
            let bucket = table.entry(bucket).or_default();
            if of != other && bucket.len() < NEAREST {
                bucket.insert(other);
            }
        }
    }

    /// Those in a node's table that are nearest to `key`.
    fn nearest(&self, node: usize, key: u64) -> Vec<usize> {
        let table = self.tables.get(node).into_iter().flat_map(BTreeMap::values).flatten();
        let mut known: Vec<usize> = table.copied().collect();
        known.sort_unstable_by_key(|peer| self.key(*peer) ^ key);
        known.truncate(NEAREST);
        known
    }

    /// Asks nearer and nearer nodes until the nearest known ones have all been asked, or one of
    /// `wanted`.
    fn walk(&mut self, node: usize, key: u64, wanted: &BTreeSet<usize>) -> Walk {
        let mut known: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
        for peer in self.nearest(node, key) {
            known.insert(self.key(peer) ^ key, (peer, 1));
        }
        let mut asked: BTreeSet<usize> = BTreeSet::from([node]);
        let mut hops = wanted.contains(&node).then_some(0);
        while hops.is_none() && asked.len() <= ASKED_MOST {
            let mut near = known.values().take(NEAREST);
            let next = near.find(|(peer, _)| !asked.contains(peer)).copied();
            let Some((peer, depth)) = next else { break };
            asked.insert(peer);
            if wanted.contains(&peer) {
                hops = Some(depth);
            }
            for told in self.nearest(peer, key) {
                if told != node {
                    known.entry(self.key(told) ^ key).or_insert((told, depth + 1));
                }
            }
            self.meet(node, peer);
        }
        let nearest = known.values().take(NEAREST).map(|(peer, _)| *peer).collect();
        Walk { nearest, asked: asked.len() - 1, hops }
    }

    /// Every node looks once for its own place, as it does at its start.
    pub fn settle(&mut self) {
        for node in 0..self.keys.len() {
            let key = self.key(node);
            self.walk(node, key, &BTreeSet::new());
        }
    }

    /// Look-ups of records that their owners have published.
    pub fn look_up(&mut self, seed: u64) -> Lookups {
        let mut stream = Stream::new(seed, "scale look-ups");
        let (mut found, mut hops, mut asked) = (0, 0, 0);
        for _ in 0..LOOKUPS {
            let owner = stream.index(self.keys.len());
            let asker = stream.index(self.keys.len());
            let key = stream.below(u64::MAX);
            let keepers = self.walk(owner, key, &BTreeSet::new()).nearest.into_iter().collect();
            let walk = self.walk(asker, key, &keepers);
            asked += walk.asked;
            if let Some(after) = walk.hops {
                found += 1;
                hops += after;
            }
        }
        let all = real(LOOKUPS);
        Lookups {
            found: 100.0 * real(found) / all,
            hops: real(hops) / real(found.max(1)),
            asked: real(asked) / all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::topology::Shape;

    #[test]
    fn records_are_found_in_few_hops() {
        let network = Network::draw(Shape::CorePeriphery, 300, 1);
        let mut directory = Directory::of(&network, 1);
        directory.settle();
        let lookups = directory.look_up(1);
        assert!(lookups.found > 95.0 && lookups.hops < 6.0, "{lookups:?}");
        let mut again = Directory::of(&network, 1);
        again.settle();
        assert_eq!(lookups, again.look_up(1));
    }

    #[test]
    fn who_knows_nobody_finds_nothing_of_others() {
        let mut network = Network::line(50);
        network.links.clear();
        let lookups = Directory::of(&network, 1).look_up(1);
        assert!(lookups.found < 10.0, "{lookups:?}");
    }
}
