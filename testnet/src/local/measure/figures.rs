//! What was measured: latencies, rates, and what each trade cost both banks.

use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::load::latency::Latency;
use crate::load::{Cost, Machine, Program};

/// Everything that a run measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What it ran on.
    pub machine: Machine,
    /// The measuring program; the banks lie beside it.
    pub program: Program,
    /// The maker's and the taker's bank.
    pub pair: [String; 2],
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
    pub trades: u64,
    /// Seconds from the first take to the end of the last trade.
    pub seconds: f64,
    /// Trades per second; says nothing when there were pauses.
    pub trades_per_second: f64,
    /// From before a take is sent to its bank's durable answer.
    pub accepted: Latency,
    /// From before a take is sent until both banks have said that it is settled.
    pub settled: Latency,
    /// What each trade cost, its offer included.
    pub cost: Cost,
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
            let cost = &phase.cost;
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
        format!(
            "{}\n\n{} cores, {} build; a page written and synced takes {} us here\n\
             memory: {maker} {makers} MiB, {taker} {takers} MiB\n{NOTES}",
            table.trim_fmt(),
            self.machine.cores,
            self.program.profile,
            self.fdatasync_us
        )
    }
}

/// What the columns mean.
const NOTES: &str = "\
Latency: from before a take is sent over HTTP until the event streams of both banks have said \
settled; ACCEPT: until its bank's durable answer (median). Its offer stands before.
Closed loop: a slow trade delays the next one, so high percentiles are too good for an open load; \
see `load` for one.
BATCHES to CPU: per trade, offer included, both banks together; FSYNCS: logs and guards; MESH: \
bytes in the session before encryption; APPEND, SIGN: means per batch. All on one machine.
";
