//! Where a network breaks first, in order: by how many banks there are, and by how much they do.
//!
//! Invariant: each bound is read from the code that enforces it where that is public, and a test
//! compares the rest with the source.

use quadrille_node::mesh::{MeshConfig, Timing};
use quadrille_protocol::limits;
use serde::Serialize;

use super::draw::{real, whole};
use super::figures::Figures;
use super::study::Variant;
use super::topology::{Network, Shape};

/// Members on one page of a member list, as in the node's `mesh/pages.rs`.
const PAGE_ITEMS: usize = 64;
/// Bytes at which a page is full: half a frame.
const PAGE_FULL: usize = limits::FRAME_BYTES / 2;
/// Pages that a peer may ask for at once.
const PAGES_AT_ONCE: usize = 128;
/// Member lists that a node asks for in one interval.
const LISTS: usize = 4;
/// Pairs that a node follows by name at most, as in the node's `mesh/gossip.rs`.
const PAIRS_HEARD: usize = 256;
/// Banks at which the shapes are tried.
const SIZES: [usize; 10] = [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];
/// Cores of a domain where a ceiling is told for a machine of one size.
pub const MACHINE_CORES: usize = 16;
/// Bits per second of a line.
const LINE_BITS: f64 = 10e9;

/// A bound on the number of banks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BankBound {
    /// What gives out.
    pub what: String,
    /// The first number of banks tried at which it does; none up to 10,000.
    pub banks: Option<usize>,
    /// What would lift it.
    pub lift: &'static str,
}

/// A bound on transactions per second of the whole network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RateBound {
    /// What gives out.
    pub what: String,
    /// The rate.
    pub per_second: f64,
    /// What would lift it.
    pub lift: &'static str,
}

/// What following pairs by name does to the notices that a node hears.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Topics {
    /// Pairs that are traded in the network, by Zipf's law.
    pub pairs: usize,
    /// Pairs that one node follows.
    pub followed: usize,
    /// Of a hundred notices of the network, those that it hears, on average.
    pub heard: f64,
    /// Notices per second of the whole network at which it hears as many as it takes.
    pub per_second: f64,
}

/// Notices per second that a node takes from all peers together, and from one.
#[must_use]
pub fn notices_per_s() -> (f64, f64) {
    let config = MeshConfig::default();
    let rate = |rate: quadrille_node::mesh::Rate| f64::from(rate.each) / rate.period.as_secs_f64();
    (rate(config.notices), rate(config.notices_per_peer))
}

/// Bytes of one entry of a member list.
#[must_use]
pub fn member_bytes(figures: &Figures, record_bytes: f64) -> f64 {
    figures.certificate_bytes.value + record_bytes + figures.signature_bytes.value
}

/// Bytes per second at which a node reads member lists that have not changed.
#[must_use]
pub fn member_lists_bytes_per_s(members: usize, entry_bytes: f64) -> f64 {
    real(LISTS * members) * entry_bytes / Timing::default().refresh.as_secs_f64()
}

/// Members of whom a node can have a list in one go.
#[must_use]
pub fn members_in_one_go(entry_bytes: f64) -> usize {
    let fit = whole((real(PAGE_FULL) / entry_bytes).ceil()).clamp(1, PAGE_ITEMS);
    PAGES_AT_ONCE * fit
}

/// The bounds on the number of banks of a shape, the first first.
#[must_use]
pub fn by_banks(shape: Shape, seed: u64, figures: &Figures, record_bytes: f64) -> Vec<BankBound> {
    let drawn: Vec<(usize, usize)> = SIZES
        .iter()
        .map(|banks| {
            let degrees = Network::draw(shape, *banks, seed).degrees();
            (*banks, degrees.into_iter().max().unwrap_or(0))
        })
        .collect();
    let links_over =
        |bound: usize| drawn.iter().find(|(_, degree)| *degree > bound).map(|(banks, _)| *banks);
    let members = members_in_one_go(member_bytes(figures, record_bytes));
    let connections = usize::try_from(MeshConfig::default().connections).unwrap_or(usize::MAX);
    let (notices, _) = notices_per_s();
    let mut bounds = vec![
        BankBound {
            what: format!(
                "a gateway record names {} correspondents: the largest bank has more, and is \
                 closed to the rest",
                limits::GATEWAY_CORRESPONDENTS
            ),
            banks: links_over(limits::GATEWAY_CORRESPONDENTS),
            lift: "large banks run several domains; or a record of several parts",
        },
        BankBound {
            what: format!("a node keeps {connections} connections: the largest bank needs more"),
            banks: links_over(connections),
            lift: "`mesh.connections`; several domains of a large bank",
        },
        BankBound {
            what: format!(
                "a member list of more than {PAGES_AT_ONCE} pages is not served in one go: members \
                 behind these are known by look-up only"
            ),
            banks: (members < 10_000).then_some(members + 1),
            lift: "ask for what has changed; go on where the last list ended",
        },
        BankBound {
            what: format!(
                "a node takes {notices} notices a second: at one each ten seconds from every bank \
                 that is all"
            ),
            banks: Some(whole(notices * 10.0)),
            lift: "follow pairs by name; a higher rate, which its processor time would allow",
        },
    ];
    bounds.sort_by_key(|bound| bound.banks.unwrap_or(usize::MAX));
    bounds
}

/// The bounds on transactions per second, the lowest first.
#[must_use]
pub fn by_rate(variant: &Variant, figures: &Figures) -> Vec<RateBound> {
    let mut bounds = Vec::new();
    for cores in [4, MACHINE_CORES] {
        if let Some(full) = variant.full.iter().find(|full| full.cores == cores) {
            let (what, lift) = match full.by_cores {
                true => ("cores", "more cores; several domains of a large bank"),
                false => ("the one thread of the core", "several domains of a large bank"),
            };
            let bank = full.bank + 1;
            bounds.push(RateBound {
                what: format!("{cores} cores a domain: {what} of the domain of bank {bank}"),
                per_second: full.per_second,
                lift,
            });
        }
    }
    let search = variant.timing.map_us + variant.timing.search_us;
    if search > 0.0 && variant.largest_payer > 0.0 {
        bounds.push(RateBound {
            what: format!(
                "the search for ways, {:.1} ms of processor time for each payment on this machine: \
                 {MACHINE_CORES} cores of the largest payer do nothing else",
                search / 1e3
            ),
            per_second: real(MACHINE_CORES) * 1e6 / (search * variant.largest_payer),
            lift: "keep the map and the ways of a payee between payments; stop when the cheapest \
                   are certain",
        });
    }
    if variant.busiest_link > 0.0 {
        let open = real(limits::OPEN_SETTLEMENTS_PER_PEER);
        let seconds = figures.settlement_ms.value / 1e3;
        bounds.push(RateBound {
            what: format!("{open} settlements open between the two domains of the busiest link"),
            per_second: open / seconds / variant.busiest_link,
            lift: "faster settlements; several domains share the link",
        });
    }
    let batches = figures.batches_per_s.value * real(limits::BATCH_FULL);
    bounds.push(RateBound {
        what: "batches of the busiest domain, each as full as can be".to_owned(),
        per_second: batches / figures.records_per_party.value / variant.busiest.1.max(1e-9),
        lift: "faster disks; several domains",
    });
    bounds.push(RateBound {
        what: "a line of 10 Gbit/s of the busiest bank".to_owned(),
        per_second: LINE_BITS
            / 8.0
            / figures.mesh_bytes_per_party.value
            / variant.busiest.0.max(1e-9),
        lift: "more lines; compressed feeds",
    });
    bounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    bounds
}

/// What following four of so many pairs does, and as many as a node can follow.
#[must_use]
pub fn topics() -> Vec<Topics> {
    let (notices, _) = notices_per_s();
    let rows = [(10, 10), (10, 4), (100, 4), (1_000, 4), (10_000, 4), (10_000, PAIRS_HEARD)];
    let rows = rows.map(|(pairs, followed)| {
        // Who follows a pair trades it, so pairs are followed as often as they are traded: the
        // chance of each to be among those followed is at most one.
        let sum: f64 = (1..=pairs).map(|rank| 1.0 / real(rank)).sum();
        let heard = (1..=pairs).map(|rank| {
            let traded = 1.0 / real(rank) / sum;
            traded * (traded * real(followed)).min(1.0)
        });
        let heard = if followed == pairs { 1.0 } else { heard.sum() };
        Topics { pairs, followed, heard: 100.0 * heard, per_second: notices / heard }
    });
    rows.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_the_node_are_those_of_its_source() {
        let pages = include_str!("../../../node/src/mesh/pages.rs");
        let gossip = include_str!("../../../node/src/mesh/gossip.rs");
        for (source, line) in [
            (pages, format!("const PAGE_ITEMS: usize = {PAGE_ITEMS};")),
            (pages, "const PAGE_FULL: usize = PAGE_BYTES / 2;".to_owned()),
            (pages, format!("const RATE: Rate = Rate {{ burst: {PAGES_AT_ONCE},")),
            (pages, format!("const LISTS: u32 = {LISTS};")),
            (gossip, format!("pub const PAIRS_HEARD: usize = {PAIRS_HEARD};")),
        ] {
            assert!(source.contains(&line), "the node has no longer: {line}");
        }
        assert!(!gossip.contains("mesh_n"), "the node sets the size of its mesh by itself now");
    }

    #[test]
    fn the_first_bound_of_one_dense_core_is_what_a_record_names() {
        let bounds = by_banks(Shape::CorePeriphery, 1, &Figures::default(), 500.0);
        let first = bounds.first().unwrap();
        assert!(first.what.contains("correspondents"), "{bounds:?}");
        assert!(first.banks.is_some_and(|banks| banks <= 1_000), "{bounds:?}");
    }

    #[test]
    fn pages_of_a_member_list_are_counted_as_the_node_counts_them() {
        // Entries of 16 KiB: 32 on a page, and 128 pages.
        assert_eq!(members_in_one_go(16.0 * 1024.0), 4_096);
        // Small ones: 64 on a page.
        assert_eq!(members_in_one_go(100.0), 64 * 128);
    }

    #[test]
    fn who_follows_all_pairs_hears_all() {
        let topics = topics();
        assert!((topics[0].heard - 100.0).abs() < 1e-9);
        assert!(topics.iter().skip(1).all(|row| row.heard < 100.0 && row.heard > 0.0));
    }
}
