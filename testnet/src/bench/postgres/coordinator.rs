//! The coordinator of two-phase commits, and what it does after a crash.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use hdrhistogram::Histogram;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::cluster::Cluster;
use super::decisions::{self, Decisions};
use super::{Outcome, failed};
use crate::bench::many;

/// What every account has at first.
const BALANCE: i64 = 1_000_000_000;
/// What a trade moves.
const AMOUNT: i64 = 100;
/// Clients that trade at one time, at most: each has accounts of its own.
const LANES: i32 = 64;
/// Longest latency that is told apart, in microseconds.
const LONGEST_US: u64 = 60_000_000;
/// Significant digits of latencies.
const DIGITS: u8 = 3;
/// What our prepared transactions are called, before the trade's number.
const PREFIX: &str = "trade-";
const SCHEMA: &str = "
    CREATE TABLE account (
        id integer PRIMARY KEY,
        balance bigint NOT NULL CHECK (balance >= 0)
    ) WITH (fillfactor = 50);
    CREATE TABLE audit (
        trade bigint PRIMARY KEY,
        debit integer NOT NULL,
        credit integer NOT NULL,
        amount bigint NOT NULL,
        at timestamptz NOT NULL DEFAULT now()
    );";

/// An account and what its balance changes by.
type Values<'a> = [&'a (dyn ToSql + Sync); 2];

/// The coordinator, with both clusters and its log.
pub(super) struct Coordinator<'a> {
    clusters: &'a [Cluster; 2],
    accounts: i32,
    log: PathBuf,
    decisions: Decisions,
    next: Arc<AtomicU64>,
    lanes: AtomicI32,
}

/// One client's connection to one cluster, with its statements.
struct Side {
    client: Client,
    move_funds: Statement,
    audit: Statement,
}

/// Who pays whom at one cluster.
#[derive(Debug, Clone, Copy)]
struct Movement {
    debit: i32,
    credit: i32,
}

impl Side {
    async fn open(cluster: &Cluster) -> Result<Self, Refusal> {
        let client = cluster.connect().await?;
        let sql = "UPDATE account SET balance = balance + $2 WHERE id = $1";
        let move_funds = client.prepare(sql).await.map_err(failed)?;
        let sql = "INSERT INTO audit (trade, debit, credit, amount) VALUES ($1, $2, $3, $4)";
        let audit = client.prepare(sql).await.map_err(failed)?;
        Ok(Self { client, move_funds, audit })
    }

    /// Moves the funds and prepares; everything is sent at once.
    async fn prepare(&self, trade: u64, movement: Movement) -> Result<(), Refusal> {
        let Movement { debit, credit } = movement;
        // The same order everywhere, so that no two trades wait for each other.
        let (first, second) = (debit.min(credit), debit.max(credit));
        let change = |account: i32| if account == debit { -AMOUNT } else { AMOUNT };
        let (one, other) = (change(first), change(second));
        let number = i64::try_from(trade).unwrap_or(i64::MAX);
        let prepare = format!("PREPARE TRANSACTION '{PREFIX}{trade}'");
        let change_first: Values<'_> = [&first, &one];
        let change_second: Values<'_> = [&second, &other];
        let row: [&(dyn ToSql + Sync); 4] = [&number, &debit, &credit, &AMOUNT];
        let done = tokio::try_join!(
            self.client.batch_execute("BEGIN"),
            self.client.execute(&self.move_funds, &change_first),
            self.client.execute(&self.move_funds, &change_second),
            self.client.execute(&self.audit, &row),
            self.client.batch_execute(&prepare),
        );
        match done.map_err(failed)? {
            ((), 1, 1, 1, ()) => Ok(()),
            rows => refuse!(PostgresFailed, "rows of trade {trade}: {rows:?}"),
        }
    }

    async fn commit(&self, trade: u64) -> Result<(), Refusal> {
        let sql = format!("COMMIT PREPARED '{PREFIX}{trade}'");
        self.client.batch_execute(&sql).await.map_err(failed)
    }
}

impl<'a> Coordinator<'a> {
    /// Makes the accounts at both clusters, and begins the log.
    ///
    /// # Errors
    /// `Q-2382`, `Q-2205`.
    pub async fn open(
        clusters: &'a [Cluster; 2],
        log: &Path,
        accounts: i32,
    ) -> Result<Self, Refusal> {
        for cluster in clusters {
            let client = cluster.connect().await?;
            client.batch_execute(SCHEMA).await.map_err(failed)?;
            let sql = "INSERT INTO account SELECT number, $2::bigint
                FROM generate_series(1, $1::integer) number";
            client.execute(sql, &[&accounts, &BALANCE]).await.map_err(failed)?;
            // Neither may share its message with another statement.
            for sql in ["VACUUM ANALYZE", "CHECKPOINT"] {
                client.batch_execute(sql).await.map_err(failed)?;
            }
        }
        let decisions = Decisions::create(log)?;
        let next = Arc::new(AtomicU64::new(0));
        let lanes = AtomicI32::new(0);
        Ok(Self { clusters, accounts, log: log.to_owned(), decisions, next, lanes })
    }

    /// Has so many clients trade for a while, one trade after the other each.
    ///
    /// # Errors
    /// The first that any trade met.
    pub async fn load(&self, clients: usize, span: Duration) -> Result<Outcome, Refusal> {
        let mut ready = Vec::with_capacity(clients);
        for _ in 0..clients {
            ready.push(self.client().await?);
        }
        let begun = Instant::now();
        let tasks = ready.into_iter().map(|client| async move {
            let client = tokio::spawn(client.trade_until(begun + span));
            let ended = client.await.map_err(|error| error.to_string());
            ended.map_err(|what| Refusal::new(Code::PostgresFailed, what))?
        });
        let histograms = try_join_all(tasks).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let mut took = histogram()?;
        for one in &histograms {
            took.add(one).map_err(|error| Refusal::new(Code::BenchFailed, error.to_string()))?;
        }
        Ok(Outcome { clients, per_s: many(took.len()) / seconds, took })
    }

    /// A client of its own, with a connection to either cluster.
    pub(super) async fn client(&self) -> Result<Trading, Refusal> {
        let [a, b] = self.clusters;
        Ok(Trading {
            sides: [Side::open(a).await?, Side::open(b).await?],
            accounts: self.lane(),
            decisions: self.decisions.clone(),
            next: self.next.clone(),
            random: ChaCha8Rng::seed_from_u64(rand::random()),
        })
    }

    /// The accounts of the next client. No two that trade at one time share one: what is prepared
    /// holds its rows at one cluster while it waits for others' at the other, and neither cluster
    /// would see two that wait for each other. Our banks' holders are distinct in the same way.
    fn lane(&self) -> Range<i32> {
        let each = self.accounts / LANES;
        let lane = self.lanes.fetch_add(1, Ordering::Relaxed) % LANES;
        let first = lane * each + 1;
        first..first + each
    }

    /// Ends what a crash left prepared: commits what was decided, rolls the rest back. Returns
    /// how many of either there were.
    ///
    /// # Errors
    /// `Q-2382`, `Q-2204`.
    pub async fn recover(&self) -> Result<(usize, usize), Refusal> {
        let decided = decisions::read(&self.log)?;
        let (mut committed, mut rolled_back) = (0, 0);
        for cluster in self.clusters {
            let client = cluster.connect().await?;
            for name in prepared(&client).await? {
                let trade = name.strip_prefix(PREFIX).and_then(|number| number.parse().ok());
                let commit = trade.is_some_and(|trade: u64| decided.contains(&trade));
                let word = if commit { "COMMIT" } else { "ROLLBACK" };
                let sql = format!("{word} PREPARED '{}'", name.replace('\'', "''"));
                client.batch_execute(&sql).await.map_err(failed)?;
                *(if commit { &mut committed } else { &mut rolled_back }) += 1;
            }
        }
        Ok((committed, rolled_back))
    }

    /// Whether everything adds up: sums, balances against the audit rows, the same trades at
    /// both clusters as were decided, nothing left prepared.
    ///
    /// # Errors
    /// `Q-2383` what does not; `Q-2382`.
    pub async fn check(&self) -> Result<(), Refusal> {
        let decided = decisions::read(&self.log)?;
        for (number, cluster) in self.clusters.iter().enumerate() {
            let client = cluster.connect().await?;
            let left = prepared(&client).await?.len();
            // The indexes below would wait for them for ever.
            if left != 0 {
                refuse!(BenchUnsound, "cluster {number}: {left} prepared");
            }
            let sum = number_of(&client, "SELECT sum(balance)::bigint FROM account").await?;
            let sql = "SELECT count(*) FROM account a WHERE balance <> $1::bigint
                - coalesce((SELECT sum(amount) FROM audit WHERE debit = a.id), 0)
                + coalesce((SELECT sum(amount) FROM audit WHERE credit = a.id), 0)";
            client.batch_execute(INDEXES).await.map_err(failed)?;
            let row = client.query_one(sql, &[&BALANCE]).await.map_err(failed)?;
            let wrong: i64 = row.get(0);
            let trades = client.query("SELECT trade FROM audit ORDER BY trade", &[]).await;
            let trades = trades.map_err(failed)?;
            let same = trades.len() == decided.len()
                && trades
                    .iter()
                    .zip(&decided)
                    .all(|(row, decided)| u64::try_from(row.get::<_, i64>(0)) == Ok(*decided));
            let expected = BALANCE.saturating_mul(i64::from(self.accounts));
            if sum != expected || wrong != 0 || !same {
                refuse!(
                    BenchUnsound,
                    "cluster {number}: the sum is {sum} and not {expected}, {wrong} balances \
                     differ from the audit rows, {} trades of {} decided",
                    trades.len(),
                    decided.len()
                );
            }
        }
        Ok(())
    }
}

/// For the check only, after the measuring.
const INDEXES: &str = "
    CREATE INDEX IF NOT EXISTS audit_debit ON audit (debit) INCLUDE (amount);
    CREATE INDEX IF NOT EXISTS audit_credit ON audit (credit) INCLUDE (amount);
    ANALYZE audit;";

async fn prepared(client: &Client) -> Result<Vec<String>, Refusal> {
    let rows = client.query("SELECT gid FROM pg_prepared_xacts ORDER BY gid", &[]).await;
    Ok(rows.map_err(failed)?.iter().map(|row| row.get(0)).collect())
}

async fn number_of(client: &Client, sql: &str) -> Result<i64, Refusal> {
    Ok(client.query_one(sql, &[]).await.map_err(failed)?.get(0))
}

/// A client that trades.
pub(super) struct Trading {
    sides: [Side; 2],
    accounts: Range<i32>,
    decisions: Decisions,
    next: Arc<AtomicU64>,
    random: ChaCha8Rng,
}

impl Trading {
    async fn trade_until(mut self, end: Instant) -> Result<Histogram<u64>, Refusal> {
        let mut took = histogram()?;
        while Instant::now() < end {
            let begun = Instant::now();
            self.trade().await?;
            took.saturating_record(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        Ok(took)
    }

    async fn trade(&mut self) -> Result<(), Refusal> {
        let trade = self.prepare().await?;
        self.decide(trade).await?;
        let [a, b] = &self.sides;
        tokio::try_join!(a.commit(trade), b.commit(trade))?;
        Ok(())
    }

    /// Prepares a trade between holders that are drawn, at both clusters; its number.
    pub async fn prepare(&mut self) -> Result<u64, Refusal> {
        let trade = self.next.fetch_add(1, Ordering::Relaxed);
        let movements = [self.draw(), self.draw()];
        let ([a, b], [at_a, at_b]) = (&self.sides, movements);
        tokio::try_join!(a.prepare(trade, at_a), b.prepare(trade, at_b))?;
        Ok(trade)
    }

    /// Decides to commit it.
    pub async fn decide(&self, trade: u64) -> Result<(), Refusal> {
        self.decisions.commit(trade).await
    }

    /// Two different accounts.
    fn draw(&mut self) -> Movement {
        let Range { start, end } = self.accounts;
        let count = end - start;
        let debit = self.random.random_range(0..count);
        let credit = (debit + self.random.random_range(1..count)) % count;
        Movement { debit: start + debit, credit: start + credit }
    }
}

fn histogram() -> Result<Histogram<u64>, Refusal> {
    let made = Histogram::new_with_bounds(1, LONGEST_US, DIGITS);
    made.map_err(|error| Refusal::new(Code::BenchFailed, error.to_string()))
}
