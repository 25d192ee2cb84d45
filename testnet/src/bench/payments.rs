//! Payments: inside one bank, and over three and five banks.
//!
//! Invariant: as of trades; whatever did not settle gives no figure.

use std::time::Duration;

use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::Refusal;

use super::trades::{Extent, SUITES, drive, middle, payments};
use super::{Bench, many, stage};
use crate::load::{Kind, LoadPlan, Pace};

/// The banks of the longer way; the shorter one is its beginning.
const ROUTE: [&str; 5] = ["bank-a", "bank-b", "bank-c", "bank-d", "bank-e"];
/// In flight on a way over several banks.
const ON_PATHS: usize = 64;
/// The pause before each payment on idle banks.
const PAUSE: Duration = Duration::from_millis(40);

/// Measures payments inside one bank.
///
/// # Errors
/// As of trades.
pub fn same_bank(bench: &mut Bench) -> Result<(), Refusal> {
    let extent = Extent::of(bench.size);
    let plan = stage::plan(1)?;
    let rates = stage::with_network(bench, "payments", &plan, |held| {
        let mut rates = Vec::new();
        for (_, suite) in SUITES {
            let load = payments(Kind::Payment, &["bank-a"], suite, extent.in_flight, extent.top);
            rates.push(middle(bench, held, &load, extent.runs)?.settled_per_s);
        }
        Ok(rates)
    })?;
    let names = ["same_bank_payments_per_s", "same_bank_payments_suite1_per_s"];
    for (name, rate) in names.into_iter().zip(rates) {
        bench.figures.set(name, rate)?;
    }
    Ok(())
}

/// Measures payments over three and five banks.
///
/// # Errors
/// As of trades.
pub fn paths(bench: &mut Bench) -> Result<(), Refusal> {
    let extent = Extent::of(bench.size);
    let plan = stage::plan(ROUTE.len())?;
    let measured = stage::with_network(bench, "paths", &plan, |held| {
        let mut measured = Vec::new();
        for parties in [3, 5] {
            let route = ROUTE.get(..parties).unwrap_or(&ROUTE);
            let load =
                |in_flight| payments(Kind::Path, route, Suite::Ed25519, in_flight, extent.other);
            let idle = LoadPlan { pace: Pace::Closed { in_flight: 1, pause: PAUSE }, ..load(1) };
            let p50 = drive(bench, held, &idle)?.settled.p50_us;
            let rate = drive(bench, held, &load(ON_PATHS.min(extent.in_flight)))?.settled_per_s;
            measured.push((parties, rate, many(p50) / 1e3));
        }
        Ok(measured)
    })?;
    for (parties, rate, p50) in measured {
        bench.figures.set(&format!("path_payments_per_s.parties{parties}"), rate)?;
        bench.figures.set(&format!("path_payment_latency_ms.parties{parties}_p50"), p50)?;
    }
    Ok(())
}
