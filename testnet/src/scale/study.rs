//! One network of one shape and size, from its drawing to its figures.
//!
//! ```text
//!   network --> records --> ways of drawn pairs (the real search, on all cores) --> work, days
//!           \-> split into domains, where records do not name all links --> the same again
//!           \-> spread of notices, look-ups
//! ```
//!
//! Invariant: everything but [`Timing`] follows from the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quadrille_protocol::error::Refusal;
use quadrille_protocol::limits;
use quadrille_protocol::payment::NoWay;
use serde::Serialize;

use super::directory::{Directory, Lookups};
use super::draw::{Wheel, real};
use super::figures::Figures;
use super::flow::{self, AMOUNT, Outcome, Routed};
use super::gossip::{Overlay, Spread};
use super::map::{Found, Map, Pair, Way};
use super::topology::{Network, Shape};
use super::work::{Full, Group, Work};
use crate::sim::rng::Stream;

/// Limits that are tried, in days of what could use a link.
pub const LIMIT_DAYS: [f64; 5] = [4.0, 1.0, 0.25, 0.0625, 0.015_625];
/// Cores of every domain that are tried.
pub const CORES: [usize; 4] = [1, 4, 16, 64];
/// Rates of the whole network that are asked for, in transactions per second.
pub const RATES: [f64; 4] = [100_000.0, 300_000.0, 500_000.0, 1_000_000.0];
/// Connections to any others that are tried beside those to whom a node trusts.
pub const MORE: [usize; 2] = [0, 8];

/// What is to be looked at.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The shape.
    pub shape: Shape,
    /// How many banks.
    pub banks: usize,
    /// The seed.
    pub seed: u64,
    /// Searches for ways.
    pub searches: usize,
    /// Threads that search.
    pub jobs: usize,
}

/// A network with its figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Study {
    /// Its shape.
    pub shape: Shape,
    /// How many banks.
    pub banks: usize,
    /// Core banks.
    pub core: usize,
    /// Each bank one domain; and where that does not name all links, banks split.
    pub variants: Vec<Variant>,
    /// How notices spread over the connections of the last variant, with more of them and without.
    pub spreads: Vec<Spread>,
    /// Look-ups just after all nodes have started, and when each has looked for its own place.
    pub lookups: [Lookups; 2],
}

/// One way of dividing the banks into domains.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Variant {
    /// Whether large banks are split.
    pub split: bool,
    /// Domains.
    pub domains: usize,
    /// Links, those within banks included.
    pub links: usize,
    /// Most links of one domain, and how many domains have more than a record names.
    pub most_links: (usize, usize),
    /// Of a hundred links, both ways counted, those that no record names.
    pub unnamed: f64,
    /// Bytes of a gateway record without its signature, on average.
    pub record_bytes: f64,
    /// Searches.
    pub searches: usize,
    /// Of a hundred searches, those whose first way has so many parties: from 2 on.
    pub parties: Vec<f64>,
    /// Parties of the first way, on average.
    pub parties_mean: f64,
    /// Of a hundred searches, those without a way, by reason.
    pub none: BTreeMap<&'static str, f64>,
    /// Days of payments.
    pub days: Vec<Outcome>,
    /// The rates at which the first domain is full.
    pub full: Vec<Full>,
    /// What banks need for the rates that are asked for.
    pub needs: Vec<(f64, Vec<Group>)>,
    /// How often the busiest link is used in one transaction.
    pub busiest_link: f64,
    /// How often the busiest bank and the busiest domain are parties of one transaction.
    pub busiest: (f64, f64),
    /// The share of all payments that the largest domain begins.
    pub largest_payer: f64,
    /// What the searches took on this machine.
    pub timing: Timing,
}

/// Processor time on this machine, means in microseconds: the only figures that do not follow from
/// the seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Default)]
pub struct Timing {
    /// To make a map from all records, as for each payment.
    pub map_us: f64,
    /// To search it.
    pub search_us: f64,
}

impl Study {
    /// Looks at a network.
    ///
    /// # Errors
    /// `Q-2390` when the model contradicts itself.
    pub fn of(plan: &Plan, figures: &Figures) -> Result<Self, Refusal> {
        let whole = Network::draw(plan.shape, plan.banks, plan.seed);
        let mut variants = vec![variant(&whole, plan, figures, false)?];
        let split = whole.split();
        if let Some(split) = &split {
            variants.push(variant(split, plan, figures, true)?);
        }
        let last = split.as_ref().unwrap_or(&whole);
        let spreads =
            MORE.map(|more| Overlay::of(last, more, plan.seed).spread(figures, plan.seed));
        let mut directory = Directory::of(last, plan.seed);
        let fresh = directory.look_up(plan.seed);
        directory.settle();
        let settled = directory.look_up(plan.seed);
        Ok(Self {
            shape: plan.shape,
            banks: plan.banks,
            core: whole.nodes.iter().filter(|node| node.core).count(),
            variants,
            spreads: spreads.into(),
            lookups: [fresh, settled],
        })
    }
}

fn variant(
    network: &Network,
    plan: &Plan,
    figures: &Figures,
    split: bool,
) -> Result<Variant, Refusal> {
    let map = Map::of(network, plan.seed)?;
    let pairs = pairs(network, plan);
    let found = search(&map, &pairs, plan.jobs);
    let answers: Vec<&Found> = pairs.iter().filter_map(|pair| found.get(pair)).collect();
    let routed: Vec<Routed> = answers
        .iter()
        .filter_map(|answer| answer.ways.as_ref().ok())
        .map(|ways| Routed { ways: ways.clone() })
        .collect();
    let first: Vec<&Way> = routed.iter().filter_map(|pair| pair.ways.first()).collect();
    let work = Work::of(network, &first, figures);
    let mut days = Vec::new();
    for limit_days in LIMIT_DAYS {
        for netting in [false, true] {
            days.push(flow::day(&map, &routed, limit_days, netting, plan.seed)?);
        }
    }
    let degrees = network.degrees();
    let named = limits::GATEWAY_CORRESPONDENTS;
    let over = degrees.iter().filter(|degree| **degree > named).count();
    let share = |count: usize| 100.0 * real(count) / real(answers.len().max(1));
    let parties = (2..=limits::AGREEMENT_PARTIES)
        .map(|parties| share(first.iter().filter(|way| way.len() == parties).count()));
    let all: usize = first.iter().map(|way| way.len()).sum();
    let needs = RATES.map(|rate| (rate, work.needs(network, rate)));
    Ok(Variant {
        split,
        domains: network.nodes.len(),
        links: network.links.len(),
        most_links: (degrees.into_iter().max().unwrap_or(0), over),
        unnamed: 50.0 * real(map.unnamed(network)) / real(network.links.len().max(1)),
        record_bytes: real(map.record_bytes()) / real(network.nodes.len().max(1)),
        searches: answers.len(),
        parties: parties.collect(),
        parties_mean: real(all) / real(first.len().max(1)),
        none: reasons(&answers).into_iter().map(|(why, count)| (why, share(count))).collect(),
        days,
        full: CORES.iter().filter_map(|cores| work.full(*cores)).collect(),
        needs: needs.into(),
        busiest_link: work.busiest_link,
        busiest: (
            work.banks().values().map(|share| share.parties).fold(0.0, f64::max),
            work.busiest_node(),
        ),
        largest_payer: network.nodes.iter().map(|node| node.weight).fold(0.0, f64::max),
        timing: timing(&found),
    })
}

/// Pairs drawn by size, each in both directions.
fn pairs(network: &Network, plan: &Plan) -> Vec<Pair> {
    let mut stream = Stream::new(plan.seed, "scale pairs");
    let wheel = Wheel::new(network.nodes.iter().map(|node| node.weight));
    let bank = |node: usize| network.nodes.get(node).map(|node| node.bank);
    let mut pairs = Vec::new();
    // Payer and payee at one bank are drawn again: such payments are not the network's.
    for _ in 0..plan.searches * 16 {
        let Some((a, b)) = wheel.draw(&mut stream).zip(wheel.draw(&mut stream)) else { break };
        if pairs.len() >= plan.searches {
            break;
        }
        if bank(a) != bank(b) {
            pairs.push(Pair { payer: a, payee: b });
            pairs.push(Pair { payer: b, payee: a });
        }
    }
    pairs
}

/// What the search answers to each of `pairs`, by so many threads.
fn search(map: &Map, pairs: &[Pair], jobs: usize) -> BTreeMap<Pair, Found> {
    let wanted: BTreeSet<Pair> = pairs.iter().copied().collect();
    let wanted: Vec<Pair> = wanted.into_iter().collect();
    let ask = |first: usize| {
        let some = wanted.iter().skip(first).step_by(jobs.max(1));
        some.filter_map(|pair| Some((*pair, map.ways(*pair, AMOUNT)?))).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..jobs.max(1)).map(|first| scope.spawn(move || ask(first))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    })
}

fn reasons(answers: &[&Found]) -> BTreeMap<&'static str, usize> {
    let mut reasons = BTreeMap::new();
    for no in answers.iter().filter_map(|answer| answer.ways.as_ref().err()) {
        let why = match no {
            NoWay::OneBank => "one bank",
            NoWay::NobodyAccepted(..) | NoWay::NotAccepted(..) => "not named",
            NoWay::Unconnected { .. } => "not connected",
            NoWay::TooLong(_) => "more than 8 parties",
            NoWay::OffersDoNotFit => "not found",
            NoWay::TooDear { .. } => "too dear",
        };
        *reasons.entry(why).or_default() += 1;
    }
    reasons
}

fn timing(found: &BTreeMap<Pair, Found>) -> Timing {
    let mean = |time: fn(&Found) -> Duration| {
        found.values().map(|found| time(found).as_secs_f64()).sum::<f64>() * 1e6
            / real(found.len().max(1))
    };
    Timing { map_us: mean(|found| found.map_time), search_us: mean(|found| found.search_time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study(shape: Shape, seed: u64) -> Study {
        let plan = Plan { shape, banks: 12, seed, searches: 60, jobs: 2 };
        let mut study = Study::of(&plan, &Figures::default()).unwrap();
        study.variants.iter_mut().for_each(|variant| variant.timing = Timing::default());
        study
    }

    #[test]
    fn a_seed_decides_everything_but_times() {
        for shape in [Shape::CorePeriphery, Shape::Regional] {
            assert_eq!(study(shape, 5), study(shape, 5));
            assert_ne!(study(shape, 5), study(shape, 6));
        }
    }

    #[test]
    fn every_search_is_counted_once() {
        let study = study(Shape::CorePeriphery, 5);
        let variant = &study.variants[0];
        let all = variant.parties.iter().sum::<f64>() + variant.none.values().sum::<f64>();
        assert!((all - 100.0).abs() < 1e-6, "{variant:?}");
        assert_eq!(variant.searches, 60);
        assert!(variant.none.is_empty(), "{variant:?}");
    }
}
