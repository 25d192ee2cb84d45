//! What was measured: latencies, rates, and what each trade cost both banks.

use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use hdrhistogram::Histogram;
use quadrille_node::client::Client;
use quadrille_protocol::error::{Code, Refusal};
use serde::Serialize;

use crate::local::clients;
use crate::local::process::Usage;
use crate::local::state::Bank;

/// Longest latency that is told apart, in microseconds; trades are given up before.
const LONGEST_US: u64 = 120_000_000;
/// Significant digits of latencies.
const DIGITS: u8 = 3;

/// Everything that a run measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Cores of the machine, which the banks and the measuring program share.
    pub cores: usize,
    /// Whether the measuring program was optimised; the banks lie beside it.
    pub optimised: bool,
    /// The maker's and the taker's bank.
    pub pair: [String; 2],
    /// Ledgers that traded, at each bank.
    pub ledgers: usize,
    /// One write of a page and one `fdatasync` in the network's folder, in microseconds: the
    /// median of some.
    pub fdatasync_us: u64,
    /// Each way of trading.
    pub phases: Vec<Phase>,
    /// Memory at the end, in bytes, of each bank.
    pub resident_bytes: [u64; 2],
}

/// One way of trading.
#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    /// Trades under way at one time.
    pub in_flight: usize,
    /// Whether the banks had a pause between trades.
    pub idle_between: bool,
    /// Trades, all of them settled.
    pub trades: usize,
    /// Seconds from the first take to the end of the last trade.
    pub seconds: f64,
    /// Trades per second; says nothing when there were pauses.
    pub trades_per_second: f64,
    /// From before a take is sent to its bank's durable answer.
    pub accepted: Latency,
    /// From before a take is sent until both banks have said that it is settled.
    pub settled: Latency,
    /// What the trades cost from their takes on.
    pub take_cost: Cost,
    /// What placing the offers cost, in the same numbers per trade.
    pub offer_cost: Cost,
    /// CPU milliseconds of the measuring program for each trade, on the same cores.
    pub own_cpu_ms: f64,
}

/// Latencies, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Half took no longer.
    pub p50_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// What one trade cost on average, at both banks together.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cost {
    /// Batches appended to the logs.
    pub batches: f64,
    /// Calls of `fdatasync` on the logs.
    pub log_fsyncs: f64,
    /// Calls of `fdatasync` on the guards: one for each batch.
    pub guard_fsyncs: f64,
    /// Bytes appended to the logs.
    pub log_bytes: f64,
    /// Bytes that the banks sent each other over their session, before encryption.
    pub mesh_bytes: f64,
    /// CPU milliseconds.
    pub cpu_ms: f64,
    /// Milliseconds to append one batch and sync it: the mean.
    pub append_ms: f64,
    /// Milliseconds to note one batch in the guard and sign it: the mean.
    pub sign_ms: f64,
}

/// Latencies while they are collected.
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    pub fn new() -> Result<Self, Refusal> {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, DIGITS);
        histogram.map(Self).map_err(|error| Refusal::new(Code::StepFailed, error.to_string()))
    }

    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST_US));
    }

    pub fn summary(&self) -> Latency {
        let at = |quantile| self.0.value_at_quantile(quantile);
        Latency { p50_us: at(0.5), p99_us: at(0.99), max_us: self.0.max() }
    }
}

/// What the banks and this program have used up to a moment.
pub(super) struct Sample {
    own_cpu: Duration,
    /// Both banks' counters, added up.
    batches: f64,
    log_fsyncs: f64,
    log_bytes: f64,
    mesh_bytes: f64,
    cpu: Duration,
    append: Mean,
    sign: Mean,
}

/// A sum of seconds and how many it is of.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, text: &str, sum: &str, count: &str) -> Result<(), Refusal> {
        self.sum += value(text, sum)?;
        self.count += value(text, count)?;
        Ok(())
    }

    fn since(self, before: Self) -> f64 {
        let count = self.count - before.count;
        if count > 0.0 { (self.sum - before.sum) * 1e3 / count } else { 0.0 }
    }
}

impl Sample {
    /// Asks both banks, and the system.
    pub async fn take(seats: &[(&Bank, Client); 2]) -> Result<Self, Refusal> {
        let mut sample = Self {
            own_cpu: usage(std::process::id())?.cpu,
            batches: 0.0,
            log_fsyncs: 0.0,
            log_bytes: 0.0,
            mesh_bytes: 0.0,
            cpu: Duration::ZERO,
            append: Mean::default(),
            sign: Mean::default(),
        };
        for (bank, client) in seats {
            let told = |error| clients::refusal(&bank.name, error);
            let text = client.metrics().await.map_err(told)?;
            sample.batches += value(&text, "quadrille_storage_log_batches_total")?;
            sample.log_fsyncs += value(&text, "quadrille_storage_fsyncs_total")?;
            sample.log_bytes += value(&text, "quadrille_storage_log_bytes_total")?;
            sample.mesh_bytes += value(&text, "quadrille_mesh_bytes_out_total")?;
            let (sum, count) =
                ("quadrille_engine_append_seconds_sum", "quadrille_engine_append_seconds_count");
            sample.append.add(&text, sum, count)?;
            let (sum, count) =
                ("quadrille_engine_sign_seconds_sum", "quadrille_engine_sign_seconds_count");
            sample.sign.add(&text, sum, count)?;
            sample.cpu += usage_of(bank)?.cpu;
        }
        Ok(sample)
    }

    /// What each of so many trades has cost since `before`.
    pub fn cost_since(&self, before: &Self, trades: usize) -> Cost {
        let each = |now: f64, then: f64| (now - then) / many(trades);
        let batches = each(self.batches, before.batches);
        Cost {
            batches,
            log_fsyncs: each(self.log_fsyncs, before.log_fsyncs),
            guard_fsyncs: batches,
            log_bytes: each(self.log_bytes, before.log_bytes),
            mesh_bytes: each(self.mesh_bytes, before.mesh_bytes),
            cpu_ms: each(self.cpu.as_secs_f64(), before.cpu.as_secs_f64()) * 1e3,
            append_ms: self.append.since(before.append),
            sign_ms: self.sign.since(before.sign),
        }
    }

    /// CPU milliseconds of this program for each of so many trades since `before`.
    pub fn own_cpu_since(&self, before: &Self, trades: usize) -> f64 {
        (self.own_cpu.as_secs_f64() - before.own_cpu.as_secs_f64()) * 1e3 / many(trades)
    }
}

/// A count as a divisor.
pub(super) fn many(trades: usize) -> f64 {
    f64::from(u32::try_from(trades.max(1)).unwrap_or(u32::MAX))
}

/// What a bank's process has used.
pub(super) fn usage_of(bank: &Bank) -> Result<Usage, Refusal> {
    let process = bank.process.as_ref().filter(|process| process.is_alive());
    let gone = || Refusal::new(Code::Unreachable, format!("{} does not run", bank.name));
    usage(process.ok_or_else(gone)?.pid)
}

fn usage(pid: u32) -> Result<Usage, Refusal> {
    let unknown = || Refusal::new(Code::CannotRead, format!("/proc/{pid}"));
    Usage::of(pid).ok_or_else(unknown)
}

/// The value of a metric that has no labels.
fn value(text: &str, name: &str) -> Result<f64, Refusal> {
    // What is fetched when it is asked for has an empty set of labels.
    let found = text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.strip_prefix("{}").unwrap_or(rest).strip_prefix(' ')
    });
    let found = found.and_then(|value| value.trim().parse().ok());
    found.ok_or_else(|| Refusal::new(Code::BadAnswer, format!("no `{name}` among the metrics")))
}

impl Report {
    /// In columns for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header([
            "IN FLIGHT",
            "TRADES",
            "PER S",
            "P50 MS",
            "P99 MS",
            "MAX MS",
            "ACCEPT MS",
            "BATCHES",
            "FSYNCS",
            "LOG B",
            "MESH B",
            "CPU MS",
            "APPEND MS",
            "SIGN MS",
        ]);
        for phase in &self.phases {
            let ms = |us: u64| format!("{:.1}", Duration::from_micros(us).as_secs_f64() * 1e3);
            let cost = &phase.take_cost;
            let (in_flight, rate) = match phase.idle_between {
                true => ("1, idle".to_owned(), "-".to_owned()),
                false => (phase.in_flight.to_string(), format!("{:.1}", phase.trades_per_second)),
            };
            table.add_row([
                in_flight,
                phase.trades.to_string(),
                rate,
                ms(phase.settled.p50_us),
                ms(phase.settled.p99_us),
                ms(phase.settled.max_us),
                ms(phase.accepted.p50_us),
                format!("{:.2}", cost.batches),
                format!("{:.2}", cost.log_fsyncs + cost.guard_fsyncs),
                format!("{:.0}", cost.log_bytes),
                format!("{:.0}", cost.mesh_bytes),
                format!("{:.2}", cost.cpu_ms),
                format!("{:.2}", cost.append_ms),
                format!("{:.2}", cost.sign_ms),
            ]);
        }
        let mib = |bytes: u64| bytes / (1024 * 1024);
        let [maker, taker] = &self.pair;
        let [makers, takers] = self.resident_bytes.map(mib);
        let build = if self.optimised { "optimised" } else { "debug" };
        format!(
            "{}\n\n{} cores, {build} build, {} ledgers at each bank; a page written and synced \
             takes {} us here\nmemory: {maker} {makers} MiB, {taker} {takers} MiB\n{NOTES}",
            table.trim_fmt(),
            self.cores,
            self.ledgers,
            self.fdatasync_us
        )
    }
}

/// What the columns mean.
const NOTES: &str = "\
Latency: from before a take is sent over HTTP until the event streams of both banks have said \
settled; ACCEPT: until its bank's durable answer (median). Offers stand before the clock starts. \
Closed loop: a slow trade delays the next one, so high percentiles are too good for an open load.
BATCHES to CPU: per trade, both banks together, from the take on; FSYNCS: logs and guards; MESH: \
bytes in the session before encryption; APPEND, SIGN: means per batch. All on one machine.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let text = "# TYPE a counter\na_total_more 3\na_total 4\nb{x=\"y\"} 5\nc{} 0.25\n";
        assert!((value(text, "a_total").unwrap() - 4.0).abs() < f64::EPSILON);
        assert!((value(text, "c").unwrap() - 0.25).abs() < f64::EPSILON);
        for missing in ["a", "b", "d"] {
            assert_eq!(value(text, missing).unwrap_err().code, Code::BadAnswer, "{missing}");
        }
    }

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::new().unwrap();
        for ms in 1..=100 {
            latencies.record(Duration::from_millis(ms));
        }
        let Latency { p50_us, p99_us, max_us } = latencies.summary();
        for (found, wanted) in [(p50_us, 50_000), (p99_us, 99_000), (max_us, 100_000)] {
            assert!(found.abs_diff(wanted) <= wanted / 500, "{found} for {wanted}");
        }
    }
}
