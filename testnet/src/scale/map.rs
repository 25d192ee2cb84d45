//! What the banks of a model say of themselves, in real gateway records, and the ways that the
//! real search finds on the real map made of them.
//!
//! Invariant: nothing here looks for ways by itself; what a node would find is what is found.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use quadrille_protocol::codec;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::identity::{Dealing, GatewayPeer, GatewayRecord};
use quadrille_protocol::payment::{Atlas, Fee, NoWay, Wanted, find};
use quadrille_protocol::types::{Amount, Bounded, Domain, Epoch, Hash, Time, Uai, Ubi};

use super::topology::Network;
use crate::sim::rng::Stream;

/// What a bank keeps of what passes through it, in millionths: drawn between these.
const FEE_PPM: (u64, u64) = (20, 200);

/// The domains of a network with their records.
pub struct Map {
    domains: Vec<Domain>,
    numbers: BTreeMap<Domain, usize>,
    records: Vec<GatewayRecord>,
    fees: Vec<Fee>,
    asset: Uai,
}

/// A way: the nodes that it passes, payer's and payee's included.
pub type Way = Vec<usize>;

/// One question put to the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// Who pays.
    pub payer: usize,
    /// Who is paid.
    pub payee: usize,
}

/// What the search answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The ways, the cheapest first; or why there is none.
    pub ways: Result<Vec<Way>, NoWay>,
    /// Processor time to make the map: as a node makes it, for each payment.
    pub map_time: Duration,
    /// Processor time of the search.
    pub search_time: Duration,
}

impl Map {
    /// The records of the nodes of `network`.
    ///
    /// # Errors
    /// Those of names that do not hold together, which ours rule out.
    pub fn of(network: &Network, seed: u64) -> Result<Self, Refusal> {
        let mut stream = Stream::new(seed, "scale records");
        let domains = names(network, &mut stream)?;
        let asset = Uai::new("EUR".parse()?, "issuer.example".parse()?, &Hash([7; 32]));
        let fees: Vec<Fee> = domains
            .iter()
            .map(|_| {
                let ppm = stream.between(FEE_PPM.0, FEE_PPM.1);
                Fee { flat: Amount::ZERO, ppm: u32::try_from(ppm).unwrap_or(0) }
            })
            .collect();
        let mut records = Vec::new();
        let all = domains.iter().zip(network.neighbours()).zip(&network.nodes).zip(&fees);
        for (((domain, peers), node), fee) in all {
            let accepts = peers.iter().filter_map(|peer| domains.get(*peer)).cloned().collect();
            let fee = node.core.then_some(*fee);
            let dealing = Dealing { asset: asset.clone(), fee, accepts };
            let empty = GatewayRecord {
                network: "model".parse()?,
                domain: domain.clone(),
                epoch: Epoch(1),
                peer_id: GatewayPeer::from_ed25519(stream.bytes()),
                addresses: Bounded::new(vec!["/ip4/192.0.2.1/tcp/7000".parse()?])?,
                sequence: 1,
                expires: Time::MAX,
                transit: node.core.then(|| Ubi(stream.bytes())),
                correspondents: None,
                services: Bounded::default(),
            };
            records.push(empty.dealing(&[dealing], true));
        }
        let numbers = domains.iter().cloned().enumerate().map(|(at, domain)| (domain, at));
        let numbers = numbers.collect();
        Ok(Self { numbers, domains, records, fees, asset })
    }

    /// What each node keeps of what passes through it.
    #[must_use]
    pub fn fees(&self) -> &[Fee] {
        &self.fees
    }

    /// The asset.
    #[must_use]
    pub fn asset(&self) -> &Uai {
        &self.asset
    }

    /// The name of a node.
    #[must_use]
    pub fn domain(&self, node: usize) -> Option<&Domain> {
        self.domains.get(node)
    }

    /// The node of a name.
    #[must_use]
    pub fn node(&self, domain: &Domain) -> Option<usize> {
        self.numbers.get(domain).copied()
    }

    /// Bytes of all records, without their signatures.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        self.records.iter().map(|record| codec::encode(record).len()).sum()
    }

    /// Links that the records do not name, of those that there are, both ways counted.
    #[must_use]
    pub fn unnamed(&self, network: &Network) -> usize {
        let named: usize = self
            .records
            .iter()
            .flat_map(|record| record.services.iter().map(|service| service.accepts.count_ones()))
            .filter_map(|count| usize::try_from(count).ok())
            .sum();
        (2 * network.links.len()).saturating_sub(named)
    }

    /// What the search of the node `pair.payer` answers.
    #[must_use]
    pub fn ways(&self, pair: Pair, amount: u64) -> Option<Found> {
        let (payer, payee) = (self.domain(pair.payer)?, self.domain(pair.payee)?);
        let begun = processor_time();
        let mut atlas = Atlas::new(payer.clone());
        self.records.iter().for_each(|record| atlas.add_record(record));
        let made = processor_time();
        let wanted = Wanted {
            payee: payee.clone(),
            asset: self.asset.clone(),
            amount: Amount::new(amount.into()),
            spend: self.asset.clone(),
            max_cost: Amount::MAX,
        };
        let found = find(&atlas, &wanted);
        let (map_time, search_time) =
            (made.saturating_sub(begun), processor_time().saturating_sub(made));
        let ways = found.map(|ways| {
            let nodes = ways.iter().map(|way| {
                let passed = way.steps.iter().filter_map(|step| self.node(&step.domain));
                std::iter::once(pair.payer).chain(passed).collect()
            });
            nodes.collect()
        });
        Some(Found { ways, map_time, search_time })
    }
}

/// Processor time of this thread; the time that passes where the system does not tell. The system
/// counts in steps of some milliseconds: only means say something.
fn processor_time() -> Duration {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let told = told.and_then(|text| text.split_whitespace().next()?.parse().ok());
    told.map_or_else(|| BEGUN.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}

/// Names in no order that says anything of size: what does not fit into a record is cut by name,
/// and of ways that cost the same the first by name is tried first.
fn names(network: &Network, stream: &mut Stream) -> Result<Vec<Domain>, Refusal> {
    let mut tags: Vec<([u8; 32], usize)> =
        (0..network.nodes.len()).map(|node| (stream.bytes(), node)).collect();
    tags.sort_unstable();
    let mut names = vec![String::new(); tags.len()];
    for (at, (_, node)) in tags.iter().enumerate() {
        if let Some(name) = names.get_mut(*node) {
            *name = format!("bank-{at:05}.example");
        }
    }
    names.iter().map(|name| name.parse()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(network: &Network, payer: usize, payee: usize) -> Result<Way, NoWay> {
        let map = Map::of(network, 1).unwrap();
        let found = map.ways(Pair { payer, payee }, 1_000).unwrap();
        found.ways.map(|ways| ways[0].clone())
    }

    #[test]
    fn ways_on_a_star_pass_its_middle() {
        let star = Network::star(6);
        assert_eq!(first(&star, 1, 2), Ok(vec![1, 0, 2]));
        assert_eq!(first(&star, 0, 5), Ok(vec![0, 5]));
        assert_eq!(first(&star, 5, 0), Ok(vec![5, 0]));
    }

    #[test]
    fn ways_on_a_line_pass_all_between_and_eight_at_most() {
        let line = Network::line(9);
        assert_eq!(first(&line, 0, 7), Ok((0..=7).collect::<Vec<_>>()));
        assert_eq!(first(&line, 6, 3), Ok(vec![6, 5, 4, 3]));
        assert_eq!(first(&line, 0, 8), Err(NoWay::TooLong(9)));
    }

    #[test]
    fn a_hub_with_more_links_than_a_record_names_is_closed_to_the_rest() {
        let star = Network::star(80);
        let map = Map::of(&star, 1).unwrap();
        assert_eq!(map.unnamed(&star), 80 - 64);
        let open = (1..=79).filter(|payer| {
            let pair = Pair { payer: *payer, payee: 80 };
            matches!(map.ways(pair, 1_000), Some(Found { ways: Ok(_), .. }))
        });
        let open = open.count();
        assert!((63..=64).contains(&open), "{open}");
        let split = star.split().unwrap();
        let map = Map::of(&split, 1).unwrap();
        assert_eq!(map.unnamed(&split), 0);
    }
}
