//! How long a bank takes to be ready again with a long log.
//!
//! ```text
//!   log written by `builder` -> process started -> it says where it is, and that it is ready
//!     killed, started again: from its last snapshot, the rest of the log replayed
//!     stopped in order, started again: from the snapshot that it saved at its end
//!     snapshots removed, started again: the whole log replayed
//! ```
//!
//! Invariant: what is started is the node's own program on a log that verifies; the clock runs
//! from before the process is made until its HTTP interface says that it is ready for business.
//!
//! With another number of settlements than a million, what a start takes beyond that of an empty
//! bank is scaled to a million. The number is in the report.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use quadrille_node::config;
use quadrille_node::runtime::Endpoints;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::refuse;

use super::builder::{self, NAMES, Pair, Written};
use super::{Bench, Size, many, median, stage};
use crate::local::clients;
use crate::local::layout::Layout;
use crate::local::process::{self, Process, Usage};
use crate::local::room;
use crate::local::state::Held;

/// Longest that a start may take.
const READY: Duration = Duration::from_secs(15 * 60);
/// How long an orderly stop may take: it saves the whole state.
const STOP: Duration = Duration::from_secs(5 * 60);
/// Between two looks at a process that starts.
const LOOK: Duration = Duration::from_millis(5);
/// Lines of a log that are shown when its process did not start.
const LAST_LINES: usize = 5;
/// What the figures are scaled to.
const MILLION: f64 = 1e6;
/// Holders that trade, at each bank.
const HOLDERS: u64 = 256;
/// Settlements between two words about how far it is.
const TELL: u64 = 51_200;
/// Bytes that a settlement may take on the disk, log and index and what the index leaves behind.
const BYTES_EACH: u64 = 16 * 1024;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Extent {
    settlements: u64,
    starts: usize,
}

impl Extent {
    const fn of(size: Size) -> Self {
        match size {
            Size::Tiny => Self { settlements: 300, starts: 1 },
            Size::Quick => Self { settlements: 51_200, starts: 1 },
            Size::Full => Self { settlements: 1_000_000, starts: 3 },
        }
    }
}

/// Measures starts.
///
/// # Errors
/// Those of every step.
pub fn run(bench: &mut Bench) -> Result<(), Refusal> {
    let extent = Extent::of(bench.size);
    room::check(&bench.dir, extent.settlements.saturating_mul(BYTES_EACH))?;
    let dir = bench.dir.join("restart");
    let layout = Layout::new(&dir);
    let measured = measure(bench, &layout, extent);
    bench.cleanup.end_network(&layout);
    stage::remove(&dir);
    measured
}

fn measure(bench: &mut Bench, layout: &Layout, extent: Extent) -> Result<(), Refusal> {
    bench.say(&format!("restart: writing a log of {} settlements", extent.settlements));
    let mut held = builder::prepare(bench, layout)?;
    let written = build(bench, &held, extent.settlements)?;
    let [maker, other] = NAMES;
    bench.say("restart: an empty bank");
    let _founded = times(&mut held, other, 1, End::Stopped)?;
    let empty = times(&mut held, other, extent.starts, End::Stopped)?.0;
    bench.say("restart: killed and started again");
    let (killed, memory) = times(&mut held, maker, extent.starts, End::Killed)?;
    bench.say("restart: stopped in order and started again");
    let _saved = times(&mut held, maker, 1, End::Stopped)?;
    let (clean, _) = times(&mut held, maker, extent.starts, End::Stopped)?;
    bench.say("restart: started again without snapshots");
    stage::remove(&layout.node(maker).join("snapshots"));
    let (replayed, _) = times(&mut held, maker, 1, End::Killed)?;
    let index = stage::bytes_in(&config::Layout::new(&layout.node(maker)).index());
    let count = many(extent.settlements);
    let scaled = |seconds: f64| empty + (seconds - empty).max(0.0) * MILLION / count;
    let figures = &mut bench.figures;
    figures.set("restart_empty_s", empty)?;
    figures.set("restart_s_per_million", scaled(killed))?;
    figures.set("restart_clean_s_per_million", scaled(clean))?;
    figures.set("restart_replay_s_per_million", scaled(replayed))?;
    figures.set("restart.settlements", count)?;
    figures.set("restart.log_bytes_each", many(written.bytes) / count)?;
    figures.set("restart.index_bytes_each", many(index) / count)?;
    figures.set("restart.memory_bytes", many(memory))?;
    figures.note(format!(
        "restart: {count:.0} settlements in {} batches, written in process by the core, log, \
         signer and index of the node; killed {killed:.2} s, stopped in order {clean:.2} s, without \
         snapshots {replayed:.2} s, empty {empty:.2} s",
        written.batches
    ));
    Ok(())
}

/// Has the cores write the log of the makers' bank.
fn build(bench: &Bench, held: &Held, settlements: u64) -> Result<Written, Refusal> {
    let mut pair = Pair::found(held, [true, false])?;
    pair.holders(held, Suite::Ed25519, HOLDERS)?;
    pair.settle(settlements, |settled| {
        if settled % TELL == 0 {
            bench.say(&format!("restart: {settled} settlements written"));
        }
    })?;
    let [maker, _] = pair.finish()?;
    Ok(maker)
}

/// How a process that was measured is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Killed,
    Stopped,
}

/// Starts a bank so many times. The median seconds until it is ready, and its memory then.
fn times(held: &mut Held, name: &str, count: usize, end: End) -> Result<(f64, u64), Refusal> {
    let mut seconds = Vec::with_capacity(count);
    let mut memory = 0;
    for _ in 0..count {
        let (process, took) = launch(held, name)?;
        seconds.push(took.as_secs_f64());
        memory = Usage::of(process.pid).map_or(memory, |usage| usage.resident_bytes);
        finish(held, name, &process, end)?;
    }
    Ok((median(seconds), memory))
}

/// Ends a bank that was launched.
pub(super) fn finish(
    held: &mut Held,
    name: &str,
    process: &Process,
    end: End,
) -> Result<(), Refusal> {
    match end {
        End::Killed => process.kill(),
        End::Stopped if process.stop(STOP) => {}
        End::Stopped => refuse!(BenchFailed, "{name} did not end when it was asked to"),
    }
    held.state.bank_mut(name)?.process = None;
    held.save()
}

/// Starts a bank, with more patience than a network that comes up; how long it took.
pub(super) fn launch(held: &mut Held, name: &str) -> Result<(Process, Duration), Refusal> {
    let layout = held.layout.clone();
    let program = process::program("quadrille")?;
    let (dir, log, passphrase) = (layout.node(name), layout.log(name), layout.passphrase());
    let arguments: [&OsStr; 3] = ["run".as_ref(), "--dir".as_ref(), dir.as_ref()];
    let settings = [("QUADRILLE_PASSPHRASE_FILE", passphrase.as_ref())];
    // What an earlier process wrote has another number in it.
    let begun = Instant::now();
    let process = process::start(&program, &arguments, &settings, &log)?;
    held.state.bank_mut(name)?.process = Some(process.clone());
    held.save()?;
    let runtime = clients::runtime()?;
    let mut client = None;
    loop {
        if client.is_none()
            && let Some(found) = reached(&layout, name, &process)
        {
            let bank = held.state.bank_mut(name)?;
            bank.api = found.api.strip_prefix("http://").and_then(|api| api.parse().ok());
            bank.p2p = found.p2p.first().and_then(|address| address.parse().ok());
            client = Some(clients::of(&layout, bank)?);
            held.save()?;
        }
        if let Some(client) = &client
            && runtime.block_on(client.ready()).is_ok()
        {
            return Ok((process, begun.elapsed()));
        }
        if !process.is_alive() || begun.elapsed() > READY {
            let last = process::tail(&log, LAST_LINES).unwrap_or_default().join(" / ");
            refuse!(BenchFailed, "{name} did not become ready; its log ends: {last}");
        }
        std::thread::sleep(LOOK);
    }
}

/// What the process has written about where it is reached, once it has.
fn reached(layout: &Layout, name: &str, process: &Process) -> Option<Endpoints> {
    let text = std::fs::read(Endpoints::path(&layout.node(name))).ok()?;
    let found: Endpoints = serde_json::from_slice(&text).ok()?;
    (found.pid == process.pid).then_some(found)
}
