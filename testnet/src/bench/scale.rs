//! Size: trades beside many idle ledgers, what such a ledger takes of memory, and several pairs
//! of banks on one machine.
//!
//! ```text
//!   half of the ledgers in each bank's log (written by `builder`), a snapshot at its end
//!     -> both processes started on it -> resident memory -> trades, 256 in flight
//! ```
//!
//! Invariant: the trading holders are new ones, as in every other load; the idle ledgers are real
//! and open, in the log, the state and the index of a running bank.

use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::Refusal;

use super::builder::{self, NAMES, Pair};
use super::restart::launch;
use super::trades::{Extent as Spans, closed, drive, middle};
use super::{Bench, Size, many, stage};
use crate::load::{LoadPlan, Pace};
use crate::local::layout::Layout;
use crate::local::process::Usage;
use crate::local::room;
use crate::local::start;
use crate::local::up;

/// Bytes that a ledger may take on the disk: log, index, snapshot, and what the index leaves
/// behind.
const BYTES_EACH: u64 = 2 * 1024;
/// Most pairs.
const PAIRS: usize = 8;
/// In flight for each pair.
const PER_PAIR: usize = 64;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// Idle ledgers in both banks together, and the name of their figure.
    ledgers: &'static [(u64, &'static str)],
    pairs: &'static [usize],
}

impl Extent {
    const fn of(size: Size) -> Self {
        match size {
            Size::Tiny => Self { ledgers: &[(20, "1k"), (200, "100k")], pairs: &[2] },
            Size::Quick => Self { ledgers: &[(1_000, "1k"), (100_000, "100k")], pairs: &[2] },
            Size::Full => Self {
                ledgers: &[
                    (1_000, "1k"),
                    (100_000, "100k"),
                    (1_000_000, "1m"),
                    (10_000_000, "10m"),
                ],
                pairs: &[2, 4, 8],
            },
        }
    }
}

/// What one number of ledgers gave.
#[derive(Debug, Clone, Copy)]
struct Sized {
    ledgers: u64,
    memory: u64,
    per_s: f64,
}

/// Measures sizes.
///
/// # Errors
/// Those of every step.
pub fn run(bench: &mut Bench) -> Result<(), Refusal> {
    let extent = Extent::of(bench.size);
    let mut first: Option<Sized> = None;
    for (ledgers, name) in extent.ledgers {
        let layout = Layout::new(&bench.dir.join("scale"));
        let measured = sized(bench, &layout, *ledgers);
        bench.cleanup.end_network(&layout);
        stage::remove(layout.root());
        let measured = measured?;
        bench.figures.set(&format!("scale.trades_per_s.ledgers_{name}"), measured.per_s)?;
        let least = *first.get_or_insert(measured);
        if measured.ledgers > least.ledgers {
            let more = many(measured.memory.saturating_sub(least.memory));
            let each = more / many(measured.ledgers - least.ledgers);
            bench.figures.set("memory_bytes_per_idle_ledger", each)?;
            bench.figures.note(format!(
                "{} idle ledgers: {} MiB resident at both banks after a start, {} MiB with {}",
                measured.ledgers,
                measured.memory >> 20,
                least.memory >> 20,
                least.ledgers
            ));
        }
        if *name == "10m" {
            let lower = (1.0 - measured.per_s / least.per_s) * 100.0;
            bench.figures.set("scale.lower_at_10m_percent", lower)?;
        }
    }
    pairs(bench, extent.pairs)
}

fn sized(bench: &Bench, layout: &Layout, ledgers: u64) -> Result<Sized, Refusal> {
    room::check(&bench.dir, ledgers.saturating_mul(BYTES_EACH))?;
    bench.say(&format!("scale: opening {ledgers} ledgers"));
    let mut held = builder::prepare(bench, layout)?;
    let pair = Pair::found(&held, [true, true])?;
    let _written = pair.finish_with_idle(Suite::Ed25519, ledgers / 2)?;
    bench.say("scale: starting both banks");
    let mut memory: u64 = 0;
    for name in NAMES {
        let (process, _) = launch(&mut held, name)?;
        let used = Usage::of(process.pid).map_or(0, |usage| usage.resident_bytes);
        memory = memory.saturating_add(used);
    }
    drop(held);
    let plan = stage::plan(NAMES.len())?;
    let mut say = |what: &str| bench.say(&format!("scale: {what}"));
    let mut held = up::up(layout.clone(), &plan, &mut say).map_err(|failed| failed.refusal)?;
    let spans = Spans::of(bench.size);
    let load = closed(Suite::Ed25519, spans.in_flight, spans.top);
    let outcome = middle(bench, &held, &load, spans.runs);
    let _ended = start::down(&mut held)?;
    Ok(Sized { ledgers, memory, per_s: outcome?.settled_per_s })
}

/// Several pairs at once, all on the cores of this machine.
fn pairs(bench: &mut Bench, counts: &'static [usize]) -> Result<(), Refusal> {
    let most = counts.iter().copied().max().unwrap_or(1).min(PAIRS);
    let plan = stage::plan(2 * most)?;
    let spans = Spans::of(bench.size);
    let (span, each) = (spans.other, PER_PAIR.min(spans.in_flight));
    let measured = stage::with_network(bench, "pairs", &plan, |held| {
        let names: Vec<String> = held.state.banks.iter().map(|bank| bank.name.clone()).collect();
        let mut measured = Vec::new();
        for count in counts {
            let routes = names.chunks(2).take(*count).map(<[String]>::to_vec).collect();
            let pace = Pace::Closed { in_flight: each * count, pause: std::time::Duration::ZERO };
            let load = LoadPlan { routes, pace, ..closed(Suite::Ed25519, 1, span) };
            let outcome = drive(bench, held, &load)?;
            let cpu_s = outcome.cost.map(|cost| cost.cpu_ms / 1e3).filter(|spent| *spent > 0.0);
            measured.push((*count, outcome.settled_per_s, cpu_s));
        }
        Ok(measured)
    })?;
    for (count, per_s, cpu_s) in measured {
        bench.figures.set(&format!("scale.pairs{count}_per_s"), per_s)?;
        if let Some(cpu_s) = cpu_s {
            bench.figures.set(&format!("scale.pairs{count}_per_cpu_s"), 1.0 / cpu_s)?;
        }
    }
    Ok(())
}
