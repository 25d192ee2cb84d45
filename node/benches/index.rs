//! What the index costs a bank per settled trade.
//!
//! `cargo bench -p quadrille-node --bench index [-- TRADES]`: two banks settle trades in memory
//! (real orders and records, nothing is signed); then each bank's log is applied to a new index
//! on disk, batch by batch as the indexing thread does, and made durable. On the clock is only
//! the index. CPU is that of the whole process, so background threads count.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    reason = "the node's own strictness is for code that faces the outside"
)]

#[path = "../../protocol/tests/support/mod.rs"]
mod support;

use std::time::{Duration as Span, Instant};

use quadrille_node::index::Index;
use quadrille_node::log_store::SealedBatch;
use quadrille_protocol::ledger::Action;
use quadrille_protocol::types::*;
use support::scene::Market;
use support::{Bank, Signing};

/// Orders that reach a bank together.
const TOGETHER: usize = 16;
/// Batches that the indexing thread finds waiting, as the mean of a busy node.
const RUN: usize = 4;
/// Ticks of the system's clock in `/proc`, per second.
const TICKS: u32 = 100;

fn main() {
    let words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let trades = words.filter_map(|word| word.parse().ok()).next().unwrap_or(20_000);
    let market = trade(trades);
    println!("{trades} trades, {TOGETHER} orders together, {RUN} batches at once");
    println!(
        "{:<8} {:>8} {:>8} {:>12} {:>12} {:>12} {:>10}",
        "bank", "batches", "us/trade", "CPU us/trade", "durable us", "records/s", "MiB disk"
    );
    for bank in &market.net.banks {
        measure(bank, trades);
    }
}

/// Each trade with an offer of its own.
fn trade(trades: usize) -> Market {
    let mut market = Market::new(2, Signing::Off);
    market.net.trust(&market.bond.clone(), 1 << 60);
    market.net.trust(&market.eur.clone(), 1 << 60);
    market.net.fund(&market.alice, &market.bond.clone(), 1 << 50);
    market.net.fund(&market.bob, &market.eur.clone(), 1 << 50);
    let mut left = trades;
    while left > 0 {
        let now = TOGETHER.min(left);
        left -= now;
        let mut offers = Vec::new();
        for _ in 0..now {
            let terms = market.terms(100, 200);
            let signed = market.net.sign(&mut market.alice, Action::Offer(terms));
            offers.push(market.net.submit(&market.alice, signed).1);
        }
        market.net.turn(0);
        for offer in offers {
            let take = market.take_with(offer, 100, 200, None);
            market.bob_sends(take);
        }
        // As `Net::run`, without notices to all banks.
        market.net.run();
        for bank in &mut market.net.banks {
            // Only the log is wanted.
            bank.events.clear();
            bank.replies.clear();
        }
    }
    market
}

fn measure(bank: &Bank, trades: usize) {
    let dir = tempfile::tempdir().unwrap();
    let log: Vec<SealedBatch> = bank
        .log
        .iter()
        .map(|stored| SealedBatch { stored: stored.clone(), signature: None })
        .collect();
    let records: usize = log.iter().map(|batch| batch.stored.records.len()).sum();
    let index = Index::open(dir.path()).unwrap();
    let (began, busy) = (Instant::now(), busy_so_far());
    for run in log.chunks(RUN) {
        index.apply_run(run).unwrap();
    }
    let applied = began.elapsed();
    index.sync().unwrap();
    let durable = began.elapsed();
    let busy = busy_so_far().saturating_sub(busy);
    let each = |span: Span| span.as_secs_f64() * 1e6 / trades as f64;
    assert!(index.counters().unwrap().settled >= trades as u64, "every trade settled");
    println!(
        "{:<8} {:>8} {:>8.1} {:>12.1} {:>12.1} {:>12.0} {:>10.1}",
        bank.domain.as_str().split('.').next().unwrap_or_default(),
        log.len(),
        each(applied),
        each(busy),
        each(durable),
        records as f64 / applied.as_secs_f64(),
        on_disk(dir.path()) as f64 / f64::from(1 << 20)
    );
}

fn busy_so_far() -> Span {
    let told = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = told.rsplit(')').next().unwrap_or_default();
    // The 12th and 13th field after the name are user and system time.
    let ticks = after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u32>().unwrap());
    Span::from_secs(1) / TICKS * ticks.sum::<u32>()
}

fn on_disk(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => on_disk(&entry.path()),
            false => entry.metadata().unwrap().len(),
        })
        .sum()
}
