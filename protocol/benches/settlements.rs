//! How many two-party settlements two cores of the state machine make in one process.
//!
//! `cargo bench -p quadrille-protocol`: real orders, real agreements, real logs in memory; no
//! disk and no network. (a) without signatures, (b) with all of them. The orders are signed by
//! the customers beforehand; everything that the two banks do is on the clock: verifying the
//! orders, both state machines, hashing, encoding, signing and verifying checkpoints.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the core's own strictness is for code that faces the outside"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration as Span, Instant};

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{HybridSignatures, SecretKey, Signatures, Suite};
use quadrille_protocol::ledger::{Action, SignedOrder};
use quadrille_protocol::market::{OfferTerms, TakeTerms};
use quadrille_protocol::types::*;
use support::{Counts, Customer, Net, Signing};

struct Row {
    name: String,
    settled: usize,
    span: Span,
    /// Time on the processor, where the system tells: what others do beside us is not in it.
    busy: Span,
    counts: Counts,
    floor: Option<Span>,
}

struct Orders {
    offers: Vec<SignedOrder>,
    takes: Vec<SignedOrder>,
}

/// A bond at bank-a for euros at bank-b, `count` times, each with its own offer.
fn prepare(net: &mut Net, count: usize) -> (Customer, Customer, Orders) {
    let (bond, eur) = (net.asset(0, "BOND"), net.asset(1, "EUR"));
    net.trust(&bond, 1 << 60);
    net.trust(&eur, 1 << 60);
    let (mut alice, mut bob) = (net.customer(0, "alice"), net.customer(1, "bob"));
    net.fund(&alice, &bond, 1 << 50);
    net.fund(&bob, &eur, 1 << 50);
    let (mut offers, mut takes) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let terms = OfferTerms {
            give: bond.clone(),
            give_amount: Amount::new(100),
            want: eur.clone(),
            want_amount: Amount::new(200),
            minimum_fill: Amount::ZERO,
            expiry: net.now.after(Duration(3_600_000)),
            counterparties: Bounded::default(),
            notary: None,
            selection_window: Duration(0),
            receive: None,
        };
        let offer = net.sign(&mut alice, Action::Offer(terms));
        let id = net.verify(&alice, offer.clone()).id();
        let take = TakeTerms {
            offer: id,
            maker: net.domain(0),
            take: Amount::new(100),
            pay: Amount::new(200),
            notary: None,
            expiry: net.now.after(Duration(3_600_000)),
            receive: None,
        };
        let pair = AssetPair { give: bond.clone(), want: eur.clone() };
        takes.push(net.sign(&mut bob, Action::Take { terms: take, pair }));
        offers.push(offer);
    }
    (alice, bob, Orders { offers, takes })
}

fn settle(signing: Signing, count: usize, together: usize) -> Row {
    let mut net = Net::new(2, signing);
    let (alice, bob, orders) = prepare(&mut net, count);
    net.keep = false;
    net.counts = Counts::default();
    let (began, busy) = (Instant::now(), busy_so_far());
    for (offers, takes) in orders.offers.chunks(together).zip(orders.takes.chunks(together)) {
        for offer in offers {
            net.submit(&alice, offer.clone());
        }
        net.turn(0);
        for take in takes {
            net.submit(&bob, take.clone());
        }
        net.run();
    }
    let span = began.elapsed();
    let busy = busy_so_far().zip(busy).map_or(span, |(after, before)| after - before);
    let eur = net.balance(&alice, &net_asset(&net, "EUR")).0;
    assert_eq!(eur, 200 * count as u128, "every settlement settled");
    net.check_quiet();
    let name = match signing {
        Signing::Off => format!("none                     {together:>6}"),
        Signing::Real { holders, .. } => {
            format!("domains 1, holders {}     {together:>6}", holders.number())
        }
    };
    let floor = match signing {
        Signing::Off => None,
        Signing::Real { domains, holders } => Some(floor(domains, holders, net.counts)),
    };
    Row { name, settled: count, span, busy, counts: net.counts, floor }
}

fn busy_so_far() -> Option<Span> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok().map(Span::from_nanos)
}

fn net_asset(net: &Net, code: &str) -> Uai {
    let assets = &net.banks[0].validator.state().books.assets;
    assets.keys().find(|uai| uai.code().as_str() == code).unwrap().clone()
}

/// What the signature operations alone take: as many as were counted, each at its own median.
fn floor(domains: Suite, holders: Suite, counts: Counts) -> Span {
    let (sign, check) = costs(domains, Tag::Checkpoint);
    let (_, order) = costs(holders, Tag::Order);
    sign * u32::try_from(counts.checkpoints_signed).unwrap()
        + check * u32::try_from(counts.checkpoints_verified).unwrap()
        + order * u32::try_from(counts.orders_verified).unwrap()
}

fn costs(suite: Suite, tag: Tag) -> (Span, Span) {
    let key = SecretKey::generate(suite, &[3; 32]);
    let message = codec::encode(&[5u8; 300]);
    let signature = key.sign(tag, &message);
    let sign = median(|| drop(key.sign(tag, &message)));
    let check =
        median(|| HybridSignatures.verify(key.public(), tag, &message, &signature).unwrap());
    (sign, check)
}

fn median(mut run: impl FnMut()) -> Span {
    let mut spans: Vec<Span> = (0..201)
        .map(|_| {
            let began = Instant::now();
            run();
            began.elapsed()
        })
        .collect();
    spans.sort_unstable();
    spans[spans.len() / 2]
}

/// The middle one of three runs by time on the processor.
fn middle(signing: Signing, together: usize, most: usize, few: Option<usize>) -> Row {
    if let Some(few) = few {
        return settle(signing, few, together);
    }
    let count = if together == 1 { most / 8 } else { most };
    let mut rows: Vec<Row> = (0..3).map(|_| settle(signing, count, together)).collect();
    rows.sort_by_key(|row| row.busy);
    rows.remove(1)
}

fn main() {
    // `-- none` or `-- signed` runs one half; cargo's own `--bench` is not for us.
    // A number after it makes each row that many settlements, once: for a profiler.
    let words: Vec<String> = std::env::args().skip(1).filter(|w| !w.starts_with('-')).collect();
    let (only, few) = (words.first(), words.get(1).map(|number| number.parse().unwrap()));
    let wanted = |half: &str| only.is_none_or(|only| only == half);
    println!("two-party settlements through two validators in one process, one core");
    println!(
        "{:<32} {:>12} {:>10} {:>10} {:>12} {:>10} {:>10}",
        "signatures, settlements/batch",
        "settled/s",
        "us each",
        "us busy",
        "log B each",
        "records",
        "sig share"
    );
    for together in [1, 64, 1024] {
        if wanted("none") {
            print(&middle(Signing::Off, together, 20_480, few));
        }
    }
    for holders in [Suite::Ed25519, Suite::HybridMlDsa65] {
        let signing = Signing::Real { domains: Suite::HybridMlDsa65, holders };
        for together in [1, 64, 1024].into_iter().filter(|_| wanted("signed")) {
            print(&middle(signing, together, 4_096, few));
        }
    }
}

fn print(row: &Row) {
    let settled = row.settled as f64;
    let seconds = row.span.as_secs_f64();
    let share = row.floor.map_or(0.0, |floor| floor.as_secs_f64() / row.busy.as_secs_f64());
    println!(
        "{:<32} {:>12.0} {:>10.1} {:>10.1} {:>12.0} {:>10.1} {:>9.0}%",
        row.name,
        settled / seconds,
        seconds * 1e6 / settled,
        row.busy.as_secs_f64() * 1e6 / settled,
        row.counts.log_bytes as f64 / settled,
        row.counts.records as f64 / settled,
        share * 100.0,
    );
}
