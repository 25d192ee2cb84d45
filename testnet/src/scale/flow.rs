//! A day of payments over the ways that were found, as limits shrink, with and without netting.
//!
//! ```text
//!   pair drawn, amount drawn --> first way with room?  at once
//!                                another way?          by another way
//!                                no: again later       later, after the tries of this many
//!                                still not             never
//!   now and then the busiest banks look for cycles of debts, and cancel them
//! ```
//!
//! A limit is so many days of the payments that could use the link: it is what a bank that knows
//! its business would grant. Ways are those found at the start of the day, for a middling amount.
//!
//! Invariants: the same seed gives the same day; after it the capacities hold together.

use std::collections::{BTreeMap, VecDeque};

use quadrille_protocol::error::Refusal;
use quadrille_protocol::payment::netting::{Debts, Obligation};
use quadrille_protocol::types::Amount;
use serde::Serialize;

use super::capacity::{Capacities, Leg};
use super::draw::{lognormal, real};
use super::map::{Map, Way};
use crate::sim::rng::Stream;

/// Payments of a day for each pair that was asked for.
const PAYMENTS_PER_PAIR: usize = 40;
/// A middling payment, in minor units.
pub const AMOUNT: u64 = 100_000;
/// How much amounts differ: that of the logarithm.
const SIGMA: f64 = 1.5;
/// How often a payment that found no room is tried again, and into how many parts of the day the
/// waits between them are.
const AGAIN: u32 = 3;
const PARTS: usize = 20;
/// How often a day debts are netted, by how many banks, over how many cycles each.
const NETTINGS: usize = 4;
const NETTERS: usize = 2;
const CYCLES: usize = 4;
/// The largest debts are netted, as many as these.
const NETTED: usize = 256;

/// Ways that were found, both directions of a pair one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// The ways, the cheapest first; there is one.
    pub ways: Vec<Way>,
}

/// What became of the payments of a day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outcome {
    /// Limits, in days of what could use the link.
    pub limit_days: f64,
    /// Whether debts were netted.
    pub netting: bool,
    /// Payments.
    pub payments: usize,
    /// Of a hundred, those that the first way had room for.
    pub at_once: f64,
    /// Those that another way had room for.
    pub other_way: f64,
    /// Those that found room when they were tried again later.
    pub later: f64,
    /// Those that did not.
    pub never: f64,
    /// Of a hundred of all that was owed and netted, how much was netted.
    pub netted: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    at_once: usize,
    other_way: usize,
    later: usize,
    never: usize,
}

struct Waiting {
    due: usize,
    pair: usize,
    amount: u64,
    tries: u32,
}

struct Day<'a> {
    map: &'a Map,
    routed: &'a [Routed],
    capacities: Capacities,
    counts: Counts,
    waiting: VecDeque<Waiting>,
    netters: Vec<usize>,
    netted: i128,
}

/// A day of payments, each over one of `routed`, drawn equally often.
///
/// # Errors
/// `Q-2390` when the capacities do not hold together.
pub fn day(
    map: &Map,
    routed: &[Routed],
    limit_days: f64,
    netting: bool,
    seed: u64,
) -> Result<Outcome, Refusal> {
    let payments = routed.len() * PAYMENTS_PER_PAIR;
    let mut stream = Stream::new(seed, "scale payments");
    let mut day = Day {
        map,
        routed,
        capacities: limits(routed, limit_days),
        counts: Counts::default(),
        waiting: VecDeque::new(),
        netters: busiest(routed),
        netted: 0,
    };
    let part = payments.div_ceil(PARTS).max(1);
    for at in 0..payments {
        day.again(at, part)?;
        let pair = stream.index(routed.len());
        let amount = lognormal(&mut stream, real(usize::try_from(AMOUNT).unwrap_or(0)), SIGMA);
        let amount = u64::try_from(super::draw::whole(amount)).unwrap_or(AMOUNT).max(1);
        match day.attempt(pair, amount) {
            Some(0) => day.counts.at_once += 1,
            Some(_) => day.counts.other_way += 1,
            None => day.waiting.push_back(Waiting { due: at + part, pair, amount, tries: 0 }),
        }
        if netting && at % payments.div_ceil(NETTINGS).max(1) == part {
            day.net()?;
        }
    }
    // The day goes on, without new payments, until the last one has been tried for the last time.
    for at in (payments..).step_by(part).take(usize::try_from(AGAIN).unwrap_or(0) + 1) {
        day.again(at + part, part)?;
    }
    day.capacities.check()?;
    let share = |count: usize| 100.0 * real(count) / real(payments.max(1));
    let Counts { at_once, other_way, later, never } = day.counts;
    let owed = day.capacities.gross() + day.netted;
    Ok(Outcome {
        limit_days,
        netting,
        payments,
        at_once: share(at_once),
        other_way: share(other_way),
        later: share(later),
        never: share(never),
        netted: percent(day.netted, owed),
    })
}

fn percent(part: i128, all: i128) -> f64 {
    let thousandths = part.saturating_mul(100_000).checked_div(all).unwrap_or(0);
    f64::from(i32::try_from(thousandths).unwrap_or(i32::MAX)) / 1_000.0
}

/// What the link between two nodes is granted, both ways alike.
fn limits(routed: &[Routed], limit_days: f64) -> Capacities {
    let mut uses: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for Routed { ways } in routed {
        let each = 1.0 / real(ways.len().max(1));
        for way in ways {
            for (a, b) in way.iter().zip(way.iter().skip(1)) {
                *uses.entry((*a.min(b), *a.max(b))).or_default() += each;
            }
        }
    }
    let day = real(PAYMENTS_PER_PAIR * usize::try_from(AMOUNT).unwrap_or(0));
    let mut capacities = Capacities::new();
    for ((a, b), uses) in uses {
        let limit = super::draw::whole(uses * day * limit_days);
        let limit = i128::try_from(limit).unwrap_or(i128::MAX);
        capacities.accept(a, b, limit);
        capacities.accept(b, a, limit);
    }
    capacities
}

/// The nodes on most ways, in this order.
fn busiest(routed: &[Routed]) -> Vec<usize> {
    let mut uses: BTreeMap<usize, usize> = BTreeMap::new();
    for node in routed.iter().filter_map(|pair| pair.ways.first()).flatten() {
        *uses.entry(*node).or_default() += 1;
    }
    let mut nodes: Vec<usize> = uses.keys().copied().collect();
    nodes.sort_by_key(|node| std::cmp::Reverse(uses.get(node).copied()));
    nodes.truncate(NETTINGS * NETTERS);
    nodes
}

impl Day<'_> {
    /// Tries all ways of a pair; which one had room.
    fn attempt(&mut self, pair: usize, amount: u64) -> Option<usize> {
        let ways = &self.routed.get(pair)?.ways;
        let mut tried = ways.iter().enumerate();
        tried.find_map(|(at, way)| {
            let legs = legs(self.map, way, amount)?;
            self.capacities.pay(&legs).ok().map(|()| at)
        })
    }

    /// Tries again what is due.
    fn again(&mut self, at: usize, part: usize) -> Result<(), Refusal> {
        while self.waiting.front().is_some_and(|next| next.due <= at) {
            let Some(mut next) = self.waiting.pop_front() else { break };
            if self.attempt(next.pair, next.amount).is_some() {
                self.counts.later += 1;
                continue;
            }
            next.tries += 1;
            if next.tries == AGAIN {
                self.counts.never += 1;
            } else {
                next.due = at + part;
                self.waiting.push_back(next);
            }
        }
        Ok(())
    }

    /// Some of the busiest banks look for cycles and cancel them.
    fn net(&mut self) -> Result<(), Refusal> {
        let mut known = self.capacities.obligations(self.map);
        known.sort_by_key(|debt| (std::cmp::Reverse(debt.amount), debt.debtor.clone()));
        known.truncate(NETTED);
        let known: Vec<Obligation> = known;
        let mut debts = Debts::of(self.map.asset(), &known);
        let now = self.netters.len().min(NETTERS);
        for netter in self.netters.iter().take(now) {
            let Some(own) = self.map.domain(*netter) else { continue };
            for _ in 0..CYCLES {
                let Some(cycle) = debts.best_cycle(own) else { break };
                debts.cancel(&cycle);
                self.capacities.cancel(&cycle, self.map)?;
                let relief = cycle.relief();
                self.netted += i128::try_from(relief.units()).unwrap_or(i128::MAX);
            }
        }
        self.netters.rotate_left(now);
        Ok(())
    }
}

/// The legs of a payment of `amount` over `way`: what each on the way keeps comes on top.
fn legs(map: &Map, way: &Way, amount: u64) -> Option<Vec<Leg>> {
    let mut amount = Amount::new(amount.into());
    let mut legs = Vec::new();
    for (from, to) in way.iter().zip(way.iter().skip(1)).rev() {
        let units = i128::try_from(amount.units()).ok()?;
        legs.push(Leg { from: *from, to: *to, amount: units });
        amount = amount.plus(map.fees().get(*from)?.of(amount)?)?;
    }
    legs.reverse();
    Some(legs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::map::Pair;
    use crate::scale::topology::{Network, Shape};

    fn routed(network: &Network, map: &Map) -> Vec<Routed> {
        let count = network.nodes.len();
        let pairs = (0..count).flat_map(|a| (0..count).map(move |b| (a, b)));
        let pairs = pairs.filter(|(a, b)| a != b).map(|(payer, payee)| Pair { payer, payee });
        let found = pairs.filter_map(|pair| map.ways(pair, AMOUNT)?.ways.ok());
        found.map(|ways| Routed { ways }).collect()
    }

    #[test]
    fn a_day_repeats_and_smaller_limits_let_less_pass() {
        let network = Network::draw(Shape::CorePeriphery, 10, 3);
        let map = Map::of(&network, 3).unwrap();
        let routed = routed(&network, &map);
        let run = |limit| day(&map, &routed, limit, false, 3).unwrap();
        let wide = run(4.0);
        assert_eq!(wide, run(4.0));
        assert!(wide.at_once > 99.0, "{wide:?}");
        let (less, least) = (run(0.25), run(1.0 / 64.0));
        assert!(wide.at_once > less.at_once && less.at_once > least.at_once, "{less:?} {least:?}");
        assert!(least.never > less.never, "{least:?}");
        for outcome in [wide, less, least] {
            let all = outcome.at_once + outcome.other_way + outcome.later + outcome.never;
            assert!((all - 100.0).abs() < 1e-6, "{outcome:?}");
        }
    }

    #[test]
    fn netting_lets_no_less_pass() {
        let network = Network::draw(Shape::CorePeriphery, 10, 3);
        let map = Map::of(&network, 3).unwrap();
        let routed = routed(&network, &map);
        let without = day(&map, &routed, 1.0 / 16.0, false, 3).unwrap();
        let with = day(&map, &routed, 1.0 / 16.0, true, 3).unwrap();
        assert!(with.netted > 0.0 && without.netted.abs() < 1e-9, "{with:?}");
        assert!(with.never < without.never + 1.0, "{with:?} {without:?}");
    }

    #[test]
    fn what_passes_pays_each_on_the_way() {
        let map = Map::of(&Network::line(3), 1).unwrap();
        let legs = legs(&map, &vec![0, 1, 2], 1_000_000).unwrap();
        let fee = i128::from(map.fees()[1].ppm);
        let wanted = [(0, 1, 1_000_000 + fee), (1, 2, 1_000_000)];
        let wanted = wanted.map(|(from, to, amount)| Leg { from, to, amount });
        assert_eq!(legs, wanted);
    }
}
