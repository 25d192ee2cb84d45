//! Who has how much to do: settlements, processor time and bytes at each bank, and the rate at
//! which the first of them can do no more.
//!
//! ```text
//!   one transaction --> its parties --> time at each --> share of each bank
//!   rate at which a domain is full = cores / time per transaction, or 1 / time on the one thread
//!   rate of the network            = the smallest of these
//! ```
//!
//! Invariant: only arithmetic on what the search found; a bank's work is that of its domains.

use std::collections::BTreeMap;

use serde::Serialize;

use super::draw::real;
use super::figures::Figures;
use super::map::Way;
use super::topology::Network;

/// What one transaction of the network costs one node, on average, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Share {
    /// How often it is a party.
    pub parties: f64,
    /// Processor time.
    pub cpu_us: f64,
    /// Processor time on its one thread.
    pub serial_us: f64,
}

/// The work of each node for one transaction of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    nodes: Vec<Share>,
    banks: Vec<usize>,
    /// How often the busiest link between two nodes is used.
    pub busiest_link: f64,
}

/// The rate at which the first node is full.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Full {
    /// Cores that every domain has.
    pub cores: usize,
    /// Transactions per second of the whole network.
    pub per_second: f64,
    /// The bank that is full: 0 is the largest.
    pub bank: usize,
    /// Whether its cores are full, or else its one thread.
    pub by_cores: bool,
}

/// What the banks of one size have to do at some rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Which banks.
    pub name: &'static str,
    /// How many.
    pub banks: usize,
    /// Settlements per second at each, on average.
    pub per_second: f64,
    /// Cores that each needs, on average, used to [`UTILISED`].
    pub cores: f64,
    /// Domains that each needs, on average, for its one thread not to be full.
    pub domains: f64,
}

/// How much of a processor is used at most, so that waits stay short.
pub const UTILISED: f64 = 0.7;

impl Work {
    /// The work of `ways`, each of which is taken equally often.
    #[must_use]
    pub fn of(network: &Network, ways: &[&Way], figures: &Figures) -> Self {
        let each = 1.0 / real(ways.len().max(1));
        let mut nodes = vec![Share::default(); network.nodes.len()];
        let mut links: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        for way in ways {
            for node in way.iter() {
                let Some(share) = nodes.get_mut(*node) else { continue };
                share.parties += each;
                share.cpu_us += each * figures.cpu_us(way.len());
                share.serial_us += each * figures.serial_us(way.len());
            }
            for (a, b) in way.iter().zip(way.iter().skip(1)) {
                *links.entry((*a.min(b), *a.max(b))).or_default() += each;
            }
        }
        let banks = network.nodes.iter().map(|node| node.bank).collect();
        let busiest_link = links.into_values().fold(0.0, f64::max);
        Self { nodes, banks, busiest_link }
    }

    /// The work of each bank: that of its domains.
    #[must_use]
    pub fn banks(&self) -> BTreeMap<usize, Share> {
        let mut banks: BTreeMap<usize, Share> = BTreeMap::new();
        for (bank, share) in self.banks.iter().zip(&self.nodes) {
            let sum = banks.entry(*bank).or_default();
            sum.parties += share.parties;
            sum.cpu_us += share.cpu_us;
            sum.serial_us += share.serial_us;
        }
        banks
    }

    /// How often the busiest node is a party of one transaction.
    #[must_use]
    pub fn busiest_node(&self) -> f64 {
        self.nodes.iter().map(|share| share.parties).fold(0.0, f64::max)
    }

    /// The rate at which the first node is full when each has so many cores.
    #[must_use]
    pub fn full(&self, cores: usize) -> Option<Full> {
        let rates = self.banks.iter().zip(&self.nodes).filter(|(_, share)| share.cpu_us > 0.0);
        let rates = rates.map(|(bank, share)| {
            let by_cores = real(cores) * 1e6 / share.cpu_us;
            let by_thread = 1e6 / share.serial_us;
            let per_second = by_cores.min(by_thread);
            Full { cores, per_second, bank: *bank, by_cores: by_cores <= by_thread }
        });
        rates.min_by(|a, b| a.per_second.total_cmp(&b.per_second))
    }

    /// What banks of each size need for so many transactions per second: the largest, the nine next
    /// ones, the rest of the core, and all others.
    #[must_use]
    pub fn needs(&self, network: &Network, per_second: f64) -> Vec<Group> {
        let core: BTreeMap<usize, bool> =
            network.nodes.iter().map(|node| (node.bank, node.core)).collect();
        let banks = self.banks();
        let group = |name, belongs: &dyn Fn(usize, bool) -> bool| {
            let of: Vec<&Share> = banks
                .iter()
                .filter(|(bank, _)| belongs(**bank, core.get(bank).copied().unwrap_or(false)))
                .map(|(_, share)| share)
                .collect();
            let count = real(of.len().max(1));
            let mean = |value: fn(&Share) -> f64| {
                of.iter().map(|share| value(share)).sum::<f64>() * per_second / count
            };
            Group {
                name,
                banks: of.len(),
                per_second: mean(|share| share.parties),
                cores: mean(|share| share.cpu_us) / 1e6 / UTILISED,
                domains: (mean(|share| share.serial_us) / 1e6 / UTILISED).max(1.0),
            }
        };
        vec![
            group("the largest", &|bank, _| bank == 0),
            group("the next nine", &|bank, _| (1..10).contains(&bank)),
            group("rest of the core", &|bank, core| bank >= 10 && core),
            group("all others", &|bank, core| bank >= 10 && !core),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A star of four: 100 us for two parties, 120 us for three, a fifth of it on the one thread.
    fn star() -> (Network, Figures) {
        let figures = json!({
            "cpu_us_per_party": 100.0,
            "cpu_us_per_further_party": 20.0,
            "serial_us_per_party": 20.0,
        });
        (Network::star(4), Figures::of(&figures).unwrap())
    }

    #[test]
    fn a_star_is_full_when_its_middle_is() {
        let (network, figures) = star();
        // Of four transactions the middle is party of three: two with three parties, one with two.
        let ways: Vec<Way> = vec![vec![1, 0, 2], vec![3, 0, 4], vec![0, 1], vec![2, 3]];
        let work = Work::of(&network, &ways.iter().collect::<Vec<_>>(), &figures);
        // (120 + 120 + 100) / 4 = 85 us for each transaction: 11,764.7 per second with one core.
        let full = work.full(1).unwrap();
        assert_eq!((full.bank, full.by_cores), (0, true));
        assert!((full.per_second - 1e6 / 85.0).abs() < 1e-6, "{full:?}");
        // Four cores carry four times as much; eight do not carry eight times as much, since the
        // thread is full at 1e6 / 17 us.
        assert!((work.full(4).unwrap().per_second - 4e6 / 85.0).abs() < 1e-6);
        let full = work.full(8).unwrap();
        assert!((full.per_second - 1e6 / 17.0).abs() < 1e-6 && !full.by_cores, "{full:?}");
        assert!((work.busiest_link - 0.5).abs() < 1e-9);
    }

    #[test]
    fn what_is_needed_is_the_work_at_that_rate() {
        let (network, figures) = star();
        let ways: Vec<Way> = vec![vec![1, 0, 2]];
        let work = Work::of(&network, &[&ways[0]], &figures);
        let needs = work.needs(&network, 70_000.0);
        let largest = needs.iter().find(|group| group.name == "the largest").unwrap();
        // 70,000/s of 120 us are 8.4 cores, 12 when each is used to 70 %; 24 us on the thread are
        // 1.68 threads, 2.4 domains.
        assert!((largest.cores - 12.0).abs() < 1e-9, "{largest:?}");
        assert!((largest.domains - 2.4).abs() < 1e-9);
        assert!((largest.per_second - 70_000.0).abs() < 1e-6);
    }

    #[test]
    fn a_split_bank_is_full_later_and_works_as_much() {
        let (network, figures) = star();
        let whole: Vec<Way> = vec![vec![1, 0, 2], vec![3, 0, 4]];
        let whole = Work::of(&network, &whole.iter().collect::<Vec<_>>(), &figures);
        let mut two = network.clone();
        two.nodes.push(network.nodes[0]);
        let split: Vec<Way> = vec![vec![1, 0, 2], vec![3, 5, 4]];
        let split = Work::of(&two, &split.iter().collect::<Vec<_>>(), &figures);
        let rate = |work: &Work| work.full(1).unwrap().per_second;
        assert!((rate(&split) - 2.0 * rate(&whole)).abs() < 1e-6);
        assert_eq!(split.banks()[&0], whole.banks()[&0]);
    }
}
