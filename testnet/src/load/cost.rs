//! What trades cost the banks that carry them: fsyncs, bytes, processor time, by the banks' own
//! counters and the system's.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use quadrille_node::client::Client;
use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};
use serde::Serialize;

use crate::local::clients;
use crate::local::process::Usage;
use crate::local::state::Bank;

/// Writes of one page that are timed.
const PAGES: usize = 101;

/// What one trade cost on average, at all banks of the load together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
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
    /// CPU milliseconds of this program, on the same cores.
    pub own_cpu_ms: f64,
    /// Milliseconds to append one batch and sync it: the mean.
    pub append_ms: f64,
    /// Milliseconds to note one batch in the guard and sign it: the mean.
    pub sign_ms: f64,
}

/// What the banks and this program have used up to a moment.
#[derive(Debug, Clone)]
pub struct Spent {
    own_cpu: Duration,
    /// The banks' processes: other ones count from nothing.
    pids: Vec<Option<u32>>,
    /// All banks' counters, added up.
    batches: f64,
    log_fsyncs: f64,
    log_bytes: f64,
    mesh_bytes: f64,
    cpu: Duration,
    append: Mean,
    sign: Mean,
}

/// A sum of seconds and how many it is of.
#[derive(Debug, Clone, Copy, Default)]
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

impl Spent {
    /// Asks the banks, and the system.
    ///
    /// # Errors
    /// What a bank answers; `Q-2209` when one does not run.
    pub async fn so_far<'a>(
        seats: impl IntoIterator<Item = (&'a Bank, &'a Client)>,
    ) -> Result<Self, Refusal> {
        let mut spent = Self {
            own_cpu: own_cpu()?,
            pids: Vec::new(),
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
            spent.batches += value(&text, "quadrille_storage_log_batches_total")?;
            spent.log_fsyncs += value(&text, "quadrille_storage_fsyncs_total")?;
            spent.log_bytes += value(&text, "quadrille_storage_log_bytes_total")?;
            spent.mesh_bytes += value(&text, "quadrille_mesh_bytes_out_total")?;
            let (sum, count) =
                ("quadrille_engine_append_seconds_sum", "quadrille_engine_append_seconds_count");
            spent.append.add(&text, sum, count)?;
            let (sum, count) =
                ("quadrille_engine_sign_seconds_sum", "quadrille_engine_sign_seconds_count");
            spent.sign.add(&text, sum, count)?;
            spent.cpu = spent.cpu.saturating_add(usage_of(bank)?.cpu);
            spent.pids.push(bank.process.as_ref().map(|process| process.pid));
        }
        Ok(spent)
    }

    /// What each of so many trades has cost since `before`; none when a bank was restarted in
    /// between, for its counters began anew.
    #[must_use]
    pub fn cost_since(&self, before: &Self, trades: u64) -> Option<Cost> {
        if self.pids != before.pids || trades == 0 {
            return None;
        }
        let each = |now: f64, then: f64| (now - then) / trades as f64;
        let batches = each(self.batches, before.batches);
        Some(Cost {
            own_cpu_ms: each(self.own_cpu.as_secs_f64(), before.own_cpu.as_secs_f64()) * 1e3,
            batches,
            log_fsyncs: each(self.log_fsyncs, before.log_fsyncs),
            guard_fsyncs: batches,
            log_bytes: each(self.log_bytes, before.log_bytes),
            mesh_bytes: each(self.mesh_bytes, before.mesh_bytes),
            cpu_ms: each(self.cpu.as_secs_f64(), before.cpu.as_secs_f64()) * 1e3,
            append_ms: self.append.since(before.append),
            sign_ms: self.sign.since(before.sign),
        })
    }
}

/// CPU time of this program.
///
/// # Errors
/// `Q-2204`.
pub fn own_cpu() -> Result<Duration, Refusal> {
    Ok(usage(std::process::id())?.cpu)
}

/// What a bank's process has used.
///
/// # Errors
/// `Q-2209` when it does not run.
pub fn usage_of(bank: &Bank) -> Result<Usage, Refusal> {
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

/// How long a page takes to be written and synced in this folder, in microseconds: the median.
///
/// # Errors
/// `Q-2205`.
pub fn fdatasync(folder: &Path) -> Result<u64, Refusal> {
    let path = folder.join(format!("fdatasync-{}", std::process::id()));
    let failed = |error: std::io::Error| files::cannot_write(&path, &error);
    let mut file = File::create_new(&path).map_err(failed)?;
    let mut took = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        let begun = Instant::now();
        file.write_all(&[1; 4096]).and_then(|()| file.sync_data()).map_err(failed)?;
        took.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    std::fs::remove_file(&path).map_err(failed)?;
    took.sort_unstable();
    Ok(took.get(PAGES / 2).copied().unwrap_or_default())
}
