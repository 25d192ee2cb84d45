//! Who knows whom: networks of banks as they are, drawn from a seed.
//!
//! ```text
//!   core-periphery                        regional
//!     p  p   p                              region 1           region 2
//!      \ |  /                              p-core=core  ----  core=core-p
//!   p - core === core - p                  p-/   \-p    few    p-/  \-p
//!         \\     //  \-p                              links
//!           core - p
//! ```
//!
//! A link is trust both ways. Sizes are Zipf's: the bank of rank `r` begins and receives payments
//! in proportion to `1/r`. The largest are the core; only they pass payments of others on. How many
//! links a core bank has is heavy-tailed, too, since the others choose it by its size.
//!
//! *Domains.* A gateway record names 64 correspondents and no more. A bank with more links may be
//! split into several domains, all linked to each other, which share its links.
//!
//! Invariants: the same seed gives the same network; nobody is linked to itself; every bank has a
//! link; no bank has more than [`MOST_LINKS`].

use std::collections::BTreeSet;

use quadrille_protocol::limits;

use super::draw::{Wheel, real, unit, whole};
use crate::sim::rng::Stream;

/// Share of the banks that are core, in thousandths: about what was found for Germany.
pub const CORE_PER_MILLE: usize = 25;
/// The smallest core.
pub const CORE_LEAST: usize = 3;
/// How often two core banks are linked, in ten thousandths.
pub const CORE_DENSITY: u64 = 6_000;
/// How many core banks one of the others is linked to, from one on: out of a hundred.
pub const LINKS_OF_OTHERS: [f64; 5] = [40.0, 30.0, 15.0, 10.0, 5.0];
/// By which power of its size a core bank is chosen: it makes the tail of the links' distribution
/// one of exponent 2.3.
pub const ATTACHMENT: f64 = 0.75;
/// How often one of the others has a link to another of the others, in ten thousandths.
pub const SIDE_LINKS: u64 = 1_000;
/// Most links of one bank.
pub const MOST_LINKS: usize = 1_000;
/// Banks of one region.
pub const REGION: usize = 100;
/// Core banks of one region.
pub const REGION_CORE: usize = 5;
/// Banks of each region with links to other regions, and how many they have.
pub const GATES: usize = 2;
/// Links of one such bank to other regions.
pub const GATE_LINKS: usize = 4;

/// The shape of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// One dense core, and the others hanging on it.
    CorePeriphery,
    /// Regions with cores of their own and few links between them.
    Regional,
}

impl Shape {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CorePeriphery => "core-periphery",
            Self::Regional => "regional",
        }
    }
}

/// One bank, or one of the domains that a bank is split into.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// The bank that it belongs to; its own number where nothing is split.
    pub bank: usize,
    /// Its size: the share of all payments that it begins, and that it receives.
    pub weight: f64,
    /// Whether it passes payments of others on.
    pub core: bool,
}

/// Banks and the links between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// The nodes, by number.
    pub nodes: Vec<Node>,
    /// The links, the smaller number first.
    pub links: BTreeSet<(usize, usize)>,
}

impl Network {
    /// Nodes of these sizes without links, of which the first are core.
    fn bare(weights: &[f64], core: impl Fn(usize) -> bool) -> Self {
        let sum: f64 = weights.iter().sum();
        let weights = weights.iter().map(|weight| weight / sum).enumerate();
        let nodes = weights.map(|(bank, weight)| Node { bank, weight, core: core(bank) });
        Self { nodes: nodes.collect(), links: BTreeSet::new() }
    }

    /// A network of this shape with so many banks.
    #[must_use]
    pub fn draw(shape: Shape, banks: usize, seed: u64) -> Self {
        let mut stream = Stream::new(seed, "scale topology");
        match shape {
            Shape::CorePeriphery => core_periphery(banks, &mut stream),
            Shape::Regional => regional(banks, &mut stream),
        }
    }

    /// Banks in a row, all of one size and all passing payments on.
    #[must_use]
    pub fn line(banks: usize) -> Self {
        let mut network = Self::bare(&vec![1.0; banks], |_| true);
        (1..banks).for_each(|bank| network.link(bank - 1, bank));
        network
    }

    /// One bank that passes payments on, and so many around it, all of one size.
    #[must_use]
    pub fn star(around: usize) -> Self {
        let mut network = Self::bare(&vec![1.0; around + 1], |bank| bank == 0);
        (1..=around).for_each(|bank| network.link(0, bank));
        network
    }

    /// Links two nodes, once.
    fn link(&mut self, a: usize, b: usize) {
        if a != b {
            self.links.insert((a.min(b), a.max(b)));
        }
    }

    /// The neighbours of each node, by number.
    #[must_use]
    pub fn neighbours(&self) -> Vec<Vec<usize>> {
        let mut all = vec![Vec::new(); self.nodes.len()];
        for (a, b) in &self.links {
            if let Some(of) = all.get_mut(*a) {
                of.push(*b);
            }
            if let Some(of) = all.get_mut(*b) {
                of.push(*a);
            }
        }
        all.iter_mut().for_each(|of| of.sort_unstable());
        all
    }

    /// How many links each node has.
    #[must_use]
    pub fn degrees(&self) -> Vec<usize> {
        self.neighbours().iter().map(Vec::len).collect()
    }

    /// The same banks, each split into as many domains as it takes for all its links to be named
    /// in gateway records. `None` when there is nothing to split.
    #[must_use]
    pub fn split(&self) -> Option<Self> {
        let named = limits::GATEWAY_CORRESPONDENTS;
        let degrees = self.degrees();
        if degrees.iter().all(|degree| *degree <= named) {
            return None;
        }
        let mut split = Self { nodes: Vec::new(), links: BTreeSet::new() };
        // The domains of each bank, and to which of them its next link goes.
        let mut domains: Vec<(Vec<usize>, usize)> = Vec::new();
        for (node, degree) in self.nodes.iter().zip(degrees) {
            let count = (1..named).find(|count| count * (named + 1 - count) >= degree);
            let count = count.unwrap_or(named / 2);
            let weight = node.weight / real(count);
            let first = split.nodes.len();
            let own: Vec<usize> = (first..first + count).collect();
            split.nodes.extend(own.iter().map(|_| Node { weight, ..*node }));
            for (at, a) in own.iter().enumerate() {
                own.iter().skip(at + 1).for_each(|b| split.link(*a, *b));
            }
            domains.push((own, 0));
        }
        let mut next = |bank: usize| {
            let (own, turn) = domains.get_mut(bank)?;
            let chosen = own.get(*turn % own.len().max(1)).copied();
            *turn += 1;
            chosen
        };
        for (a, b) in &self.links {
            if let (Some(a), Some(b)) = (next(*a), next(*b)) {
                split.link(a, b);
            }
        }
        Some(split)
    }
}

fn zipf(rank: usize) -> f64 {
    1.0 / real(rank + 1)
}

fn core_periphery(banks: usize, stream: &mut Stream) -> Network {
    let core = (banks * CORE_PER_MILLE / 1_000).max(CORE_LEAST).min(banks);
    let weights: Vec<f64> = (0..banks).map(zipf).collect();
    let mut network = Network::bare(&weights, |bank| bank < core);
    dense(&mut network, &(0..core).collect::<Vec<_>>(), stream);
    let others: Vec<usize> = (core..banks).collect();
    hang_on(&mut network, &(0..core).collect::<Vec<_>>(), &others, stream);
    network
}

fn regional(banks: usize, stream: &mut Stream) -> Network {
    let regions = banks.div_ceil(REGION).max(2).min(banks);
    // Bank `n` is in region `n % regions`, at rank `n / regions` there: every region has large
    // banks and small ones.
    let size = banks / regions;
    let core = REGION_CORE.min(size / 2).max(1);
    let weights: Vec<f64> = (0..banks).map(zipf).collect();
    let mut network = Network::bare(&weights, |bank| bank / regions < core);
    for region in 0..regions {
        let all: Vec<usize> = (region..banks).step_by(regions).collect();
        let (own, others) = all.split_at(core.min(all.len()));
        dense(&mut network, own, stream);
        hang_on(&mut network, own, others, stream);
    }
    let gates: Vec<usize> = (0..(GATES.min(core) * regions)).collect();
    let wheel = Wheel::new(gates.iter().map(|gate| zipf(*gate).powf(ATTACHMENT)));
    for gate in &gates {
        // To the next region, so that all are one network, and to some by their size.
        network.link(*gate, gate - gate % regions + (gate + 1) % regions);
        for _ in 1..GATE_LINKS {
            let other = wheel.draw(stream).unwrap_or(0);
            if other % regions != gate % regions {
                network.link(*gate, other);
            }
        }
    }
    network
}

/// Links `core` banks among themselves: in a ring, and most of the other pairs.
fn dense(network: &mut Network, core: &[usize], stream: &mut Stream) {
    for (at, a) in core.iter().enumerate() {
        if let Some(next) = core.get((at + 1) % core.len().max(1)) {
            network.link(*a, *next);
        }
        for b in core.iter().skip(at + 1) {
            if stream.chance(CORE_DENSITY) {
                network.link(*a, *b);
            }
        }
    }
}

/// Links each of `others` to one core bank or some, the large ones more often.
fn hang_on(network: &mut Network, core: &[usize], others: &[usize], stream: &mut Stream) {
    let size = |bank: &usize| network.nodes.get(*bank).map_or(0.0, |node| node.weight);
    let wheel = Wheel::new(core.iter().map(|bank| size(bank).powf(ATTACHMENT)));
    let how_many = Wheel::new(LINKS_OF_OTHERS);
    let mut links = vec![core.len(); core.len()];
    for other in others {
        let wanted = how_many.draw(stream).unwrap_or(0) + 1;
        // A bank drawn twice, or one that is full, is drawn again, a bounded number of times.
        let mut has = 0;
        for _ in 0..LINKS_OF_OTHERS.len() * 8 {
            let Some(place) = wheel.draw(stream) else { return };
            let Some((bank, count)) = core.get(place).zip(links.get_mut(place)) else { continue };
            if *count < MOST_LINKS
                && network.links.insert(((*bank).min(*other), (*bank).max(*other)))
            {
                *count += 1;
                has += 1;
            }
            if has == wanted {
                break;
            }
        }
        if stream.chance(SIDE_LINKS) {
            let at = whole(unit(stream) * real(others.len()));
            network.link(*other, others.get(at).copied().unwrap_or(*other));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_network_and_another_one_another() {
        for shape in [Shape::CorePeriphery, Shape::Regional] {
            let first = Network::draw(shape, 300, 7);
            assert_eq!(first, Network::draw(shape, 300, 7));
            assert_ne!(first, Network::draw(shape, 300, 8));
        }
    }

    #[test]
    fn every_bank_is_reached_from_every_other_one() {
        for shape in [Shape::CorePeriphery, Shape::Regional] {
            for banks in [10, 100, 1_000] {
                let network = Network::draw(shape, banks, 1);
                let neighbours = network.neighbours();
                let (mut seen, mut next) = (BTreeSet::from([0]), vec![0]);
                while let Some(at) = next.pop() {
                    next.extend(neighbours[at].iter().filter(|peer| seen.insert(**peer)));
                }
                assert_eq!(seen.len(), banks, "{shape:?}");
                assert!(network.degrees().iter().all(|degree| (1..=MOST_LINKS).contains(degree)));
            }
        }
    }

    #[test]
    fn the_core_is_small_dense_and_has_most_links() {
        let network = Network::draw(Shape::CorePeriphery, 1_000, 1);
        let core = network.nodes.iter().filter(|node| node.core).count();
        assert_eq!(core, 25);
        let within = network.links.iter().filter(|(a, b)| *a < core && *b < core).count();
        assert!((core * (core - 1) / 2 / 2..core * (core - 1) / 2).contains(&within));
        let degrees = network.degrees();
        let of_core: usize = degrees.iter().take(core).sum();
        assert!(of_core * 2 > degrees.iter().sum(), "{of_core}");
        // A heavy tail: the first has many times what the middle one of the core has.
        assert!(degrees[0] > 4 * degrees[core / 2], "{:?}", &degrees[..core]);
    }

    #[test]
    fn domains_of_a_split_bank_have_no_more_links_than_a_record_names() {
        let whole = Network::draw(Shape::CorePeriphery, 1_000, 1);
        let split = whole.split().unwrap();
        let most = split.degrees().into_iter().max().unwrap();
        assert!(most <= limits::GATEWAY_CORRESPONDENTS, "{most}");
        let outer = |network: &Network| {
            let bank = |node: usize| network.nodes[node].bank;
            network.links.iter().filter(|(a, b)| bank(*a) != bank(*b)).count()
        };
        assert_eq!(outer(&split), outer(&whole));
        let weight: f64 = split.nodes.iter().map(|node| node.weight).sum();
        assert!((weight - 1.0).abs() < 1e-9);
        assert_eq!(split.split(), None);
    }
}
