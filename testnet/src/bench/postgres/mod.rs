//! What a bank would build without us: the same movement of money as a two-phase commit.
//!
//! ```text
//!   client --+-- BEGIN, 2 balances, audit row, PREPARE TRANSACTION --> cluster A --+
//!            +-- BEGIN, 2 balances, audit row, PREPARE TRANSACTION --> cluster B --+ both did
//!            |                                                                     |
//!            +-- decision log: "commit", one fdatasync for all that wait <---------+
//!            +-- COMMIT PREPARED --> cluster A
//!            +-- COMMIT PREPARED --> cluster B, then the trade counts
//! ```
//!
//! Invariants:
//! * Both clusters run with `fsync` and `synchronous_commit` on; nothing that costs safety is
//!   switched off. What is tuned (memory for the log, checkpoints far apart, statements prepared
//!   and sent without waiting for each other, a shared fdatasync) is tuned in its favour.
//! * There are no signatures, no counterparty's proofs and one coordinator that all trust: less
//!   than a trade between two of our banks is. The comparison is in its favour.
//! * No figure without its check: sums are conserved, every balance agrees with the audit rows,
//!   both sides have the same trades, nothing stays prepared.

mod cluster;
mod coordinator;
mod decisions;

use std::time::Duration;

use hdrhistogram::Histogram;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;

use super::{Bench, Size, many};
use cluster::Cluster;
use coordinator::Coordinator;

/// Clients at one time, one run for each.
const CLIENTS: [usize; 4] = [1, 4, 16, 64];

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Extent {
    accounts: i32,
    runs: usize,
    each: Duration,
    clients: &'static [usize],
}

impl Extent {
    const fn of(size: Size) -> Self {
        let each = Duration::from_secs;
        match size {
            Size::Tiny => {
                Self { accounts: 640, runs: 1, each: Duration::from_millis(300), clients: &[1, 4] }
            }
            Size::Quick => Self { accounts: 20_000, runs: 1, each: each(3), clients: &CLIENTS },
            Size::Full => Self { accounts: 20_000, runs: 3, each: each(10), clients: &CLIENTS },
        }
    }
}

/// What one number of clients did.
#[derive(Debug)]
struct Outcome {
    clients: usize,
    per_s: f64,
    took: Histogram<u64>,
}

/// Measures two-phase commits, at some numbers of clients.
///
/// # Errors
/// `Q-2381` no PostgreSQL; `Q-2382` it refused; `Q-2383` the books do not add up.
pub fn run(bench: &mut Bench) -> Result<(), Refusal> {
    let extent = Extent::of(bench.size);
    bench.say("making two PostgreSQL clusters");
    let programs = cluster::Programs::find()?;
    let version = programs.version()?;
    bench.figures.parameter("postgres", version);
    let sides = ["postgres-a", "postgres-b"].map(|name| bench.dir.join(name));
    let [a, b] = &sides;
    let clusters = [
        Cluster::start(&programs, a, &bench.cleanup)?,
        Cluster::start(&programs, b, &bench.cleanup)?,
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Refusal::new(Code::PostgresFailed, error.to_string()))?;
    let measured = runtime.block_on(measure(bench, &clusters, extent));
    drop(runtime);
    for cluster in clusters {
        cluster.stop(&bench.cleanup);
    }
    tell(bench, measured?)
}

async fn measure(
    bench: &Bench,
    clusters: &[Cluster; 2],
    extent: Extent,
) -> Result<Vec<Outcome>, Refusal> {
    let log = bench.dir.join("decisions");
    let coordinator = Coordinator::open(clusters, &log, extent.accounts).await?;
    let mut outcomes = Vec::new();
    for clients in extent.clients {
        let mut runs = Vec::with_capacity(extent.runs);
        for _ in 0..extent.runs {
            bench.say(&format!("two-phase commits, {clients} clients"));
            runs.push(coordinator.load(*clients, extent.each).await?);
        }
        runs.sort_by(|one, other| one.per_s.total_cmp(&other.per_s));
        if let Some(middle) = runs.into_iter().nth(extent.runs / 2) {
            outcomes.push(middle);
        }
    }
    // What a coordinator does at every start; here it must find nothing.
    let left = coordinator.recover().await?;
    if left != (0, 0) {
        refuse!(
            BenchUnsound,
            "{left:?} trades were left prepared, to be committed and rolled back"
        );
    }
    coordinator.check().await?;
    Ok(outcomes)
}

fn tell(bench: &mut Bench, outcomes: Vec<Outcome>) -> Result<(), Refusal> {
    let ms = |took: &Histogram<u64>, quantile| many(took.value_at_quantile(quantile)) / 1e3;
    let figures = &mut bench.figures;
    for outcome in &outcomes {
        let Outcome { clients, per_s, took } = outcome;
        figures.set(&format!("postgres_2pc.clients{clients}_per_s"), *per_s)?;
        if *clients == 1 {
            figures.set("postgres_2pc.clients1_p50_ms", ms(took, 0.5))?;
        }
    }
    let best = outcomes.into_iter().max_by(|one, other| one.per_s.total_cmp(&other.per_s));
    let Some(best) = best else {
        return Err(Refusal::new(Code::PostgresFailed, "nothing was measured"));
    };
    figures.set("postgres_2pc_per_s", best.per_s)?;
    figures.set("postgres_2pc.best_clients", many(best.clients as u64))?;
    figures.set("postgres_2pc.best_p50_ms", ms(&best.took, 0.5))?;
    figures.set("postgres_2pc.best_p99_ms", ms(&best.took, 0.99))
}

fn failed(error: tokio_postgres::Error) -> Refusal {
    let what = match error.as_db_error() {
        Some(told) => format!("{}: {}", told.code().code(), told.message()),
        None => error.to_string(),
    };
    Refusal::new(Code::PostgresFailed, what)
}

#[cfg(test)]
mod tests;
