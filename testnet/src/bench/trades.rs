//! Trades between two banks' processes: a bond at one against cash at the other.
//!
//! ```text
//!   two banks -> for each suite: 1, 16, 256 in flight -> top rate
//!             -> idle banks, one trade at a time -> latency
//!             -> open loop at half the top rate -> latency from the moment each was due
//! ```
//!
//! Invariants: holders are distinct, and no holder has two trades at one time; a trade is its
//! offer, its take and everything up to both banks' word that it is settled; a run in which any
//! trade ended otherwise, or not at all, gives no figure.

use std::ops::ControlFlow;
use std::time::Duration;

use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::refuse;

use super::{Bench, Size, many, stage};
use crate::load::{self, Kind, LoadPlan, Outcome, Pace};
use crate::local::clients;
use crate::local::state::Held;

/// The banks of the pair.
pub(super) const PAIR: [&str; 2] = ["bank-a", "bank-b"];
/// In flight at the top rate.
const TOP: usize = 256;
/// The pause before each trade on idle banks.
const PAUSE: Duration = Duration::from_millis(40);
/// Suites of holders, by the names of their figures.
pub(super) const SUITES: [(&str, Suite); 2] =
    [("suite3", Suite::Ed25519), ("suite1", Suite::HybridMlDsa65)];

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// How long the top rate is held, and how often.
    pub top: Duration,
    pub runs: usize,
    /// How long everything else is.
    pub other: Duration,
    /// In flight at most.
    pub in_flight: usize,
}

impl Extent {
    pub(super) const fn of(size: Size) -> Self {
        let (millis, s) = (Duration::from_millis, Duration::from_secs);
        match size {
            Size::Tiny => Self { top: millis(1_500), runs: 1, other: millis(1_500), in_flight: 8 },
            Size::Quick => Self { top: s(6), runs: 1, other: s(3), in_flight: TOP },
            Size::Full => Self { top: s(20), runs: 3, other: s(15), in_flight: TOP },
        }
    }
}

/// Measures trades.
///
/// # Errors
/// Those of the network and of the load; `Q-2383` when a trade has not settled.
pub fn run(bench: &mut Bench) -> Result<(), Refusal> {
    let extent = Extent::of(bench.size);
    let plan = stage::plan(PAIR.len())?;
    let measured =
        stage::with_network(bench, "trades", &plan, |held| measure(bench, held, extent))?;
    for (name, value) in measured {
        bench.figures.set(&name, value)?;
    }
    bench.figures.parameter("trades_top_s", extent.top.as_secs_f64());
    bench.figures.parameter("trades_runs", extent.runs);
    Ok(())
}

type Figures = Vec<(String, f64)>;

fn measure(bench: &Bench, held: &Held, extent: Extent) -> Result<Figures, Refusal> {
    let mut figures = Figures::new();
    let mut top = 0.0;
    for (name, suite) in SUITES {
        for in_flight in [1, 16] {
            let at_a_time = in_flight.min(extent.in_flight);
            let outcome = drive(bench, held, &closed(suite, at_a_time, extent.other))?;
            figures.push((format!("trades_per_s_{in_flight}.{name}"), outcome.settled_per_s));
        }
        let outcome =
            middle(bench, held, &closed(suite, extent.in_flight, extent.top), extent.runs)?;
        figures.push((format!("trades_per_s.{name}"), outcome.settled_per_s));
        if let Some(cost) = &outcome.cost {
            figures.push((format!("trade_cpu_us.{name}"), cost.cpu_ms * 1e3));
        }
        if suite == Suite::Ed25519 {
            top = outcome.settled_per_s;
            let own = outcome.own_cpu_s * 1e6 / many(outcome.counts.settled.max(1));
            figures.push(("trade_cpu_us.driver_suite3".to_owned(), own));
            let p99 = ms(outcome.settled.p99_us);
            figures.push(("trade_latency_ms.in_flight_256_p99".to_owned(), p99));
        }
    }
    figures.extend(latencies(bench, held, extent, top)?);
    Ok(figures)
}

/// Latencies on idle banks, and at half the top rate.
fn latencies(bench: &Bench, held: &Held, extent: Extent, top: f64) -> Result<Figures, Refusal> {
    let pace = Pace::Closed { in_flight: 1, pause: PAUSE };
    let idle = LoadPlan { pace, ..closed(Suite::Ed25519, 1, extent.other) };
    let idle = drive(bench, held, &idle)?;
    let [maker, taker] = PAIR;
    let open = LoadPlan::dvp(maker, taker, (top / 2.0).max(1.0), extent.top);
    let open = LoadPlan { suite: Suite::Ed25519, ..open };
    let half = middle(bench, held, &open, extent.runs)?;
    let named = |name: &str, us: u64| (format!("trade_latency_ms.{name}"), ms(us));
    Ok(vec![
        named("idle_p50", idle.settled.p50_us),
        named("idle_p99", idle.settled.p99_us),
        named("half_load_p50", half.settled.p50_us),
        named("half_load_p99", half.settled.p99_us),
    ])
}

fn ms(us: u64) -> f64 {
    many(us) / 1e3
}

/// A closed loop of trades between the pair.
pub(super) fn closed(suite: Suite, in_flight: usize, duration: Duration) -> LoadPlan {
    let [maker, taker] = PAIR;
    let pace = Pace::Closed { in_flight, pause: Duration::ZERO };
    LoadPlan { pace, suite, ..LoadPlan::dvp(maker, taker, 1.0, duration) }
}

/// The middle one of some runs: by rate in a closed loop, by latency in an open one.
pub(super) fn middle(
    bench: &Bench,
    held: &Held,
    plan: &LoadPlan,
    runs: usize,
) -> Result<Outcome, Refusal> {
    let mut outcomes = Vec::with_capacity(runs);
    for _ in 0..runs.max(1) {
        outcomes.push(drive(bench, held, plan)?);
    }
    outcomes.sort_by(|one, other| match plan.pace {
        Pace::Closed { .. } => one.settled_per_s.total_cmp(&other.settled_per_s),
        Pace::Open { .. } => one.settled.p99_us.cmp(&other.settled.p99_us),
    });
    let middle = outcomes.len() / 2;
    match outcomes.into_iter().nth(middle) {
        Some(outcome) => Ok(outcome),
        None => refuse!(BenchFailed, "no run"),
    }
}

/// Runs a load, all of which must settle.
///
/// # Errors
/// Those of the load; `Q-2383`.
pub(super) fn drive(bench: &Bench, held: &Held, plan: &LoadPlan) -> Result<Outcome, Refusal> {
    let what = match plan.pace {
        Pace::Closed { in_flight, .. } => format!("{in_flight} in flight"),
        Pace::Open { per_second, .. } => format!("{per_second:.0} a second"),
    };
    let (kind, suite) = (plan.kind.name(), plan.suite);
    bench.say(&format!("{kind}, holders {suite}, {what}"));
    let watch = |_: &load::Tick| ControlFlow::Continue(());
    let runtime = clients::runtime()?;
    let outcome = runtime.block_on(load::run(&held.layout, &held.state, plan, watch))?;
    check(&outcome)?;
    bench.say(&format!("{:.0} a second", outcome.settled_per_s));
    Ok(outcome)
}

fn check(outcome: &Outcome) -> Result<(), Refusal> {
    let counts = &outcome.counts;
    let lost = counts.refused_all() + counts.refunded + counts.in_doubt + counts.torn;
    if counts.settled == 0 || lost != 0 {
        refuse!(BenchUnsound, "{counts:?}");
    }
    Ok(())
}

/// A closed loop of payments along a route.
pub(super) fn payments(
    kind: Kind,
    route: &[&str],
    suite: Suite,
    in_flight: usize,
    duration: Duration,
) -> LoadPlan {
    let routes = vec![route.iter().map(|bank| (*bank).to_owned()).collect()];
    LoadPlan { kind, routes, ..closed(suite, in_flight, duration) }
}
