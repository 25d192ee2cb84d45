//! What every bank does at one moment, and what has happened between two.

use std::time::{Duration, Instant};

use futures::future::join_all;
use quadrille_node::api::dto::SettlementState;
use quadrille_node::client::{Client, ClientError};
use quadrille_protocol::types::Time;
use serde::Serialize;

use super::super::clients;
use super::super::layout::{BOOTSTRAP, Layout};
use super::super::process::{Process, Usage};
use super::super::state::{Bank, State};
use super::super::up;

/// Longest wait for a bank.
pub const ANSWER: Duration = Duration::from_secs(2);
/// Open settlements whose deadlines are looked at.
const ROWS: usize = 200;

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It runs and answers.
    Up,
    /// It runs and does not answer.
    Silent,
    /// It should run, and does not.
    Dead,
    /// It was ended.
    Down,
}

/// What a bank says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub peers_up: u32,
    pub peers_known: u32,
    pub open: u32,
    pub in_doubt: u32,
    pub height: u64,
    pub settled: u64,
    pub refunded: u64,
}

/// One process at one moment.
#[derive(Debug, Clone)]
pub(super) struct One {
    pub name: String,
    pub standing: Standing,
    pub pid: Option<u32>,
    pub usage: Option<Usage>,
    pub log_bytes: u64,
    pub said: Option<Said>,
}

/// All of them.
#[derive(Debug, Clone)]
pub struct Sample {
    pub(super) at: Instant,
    pub(super) all: Vec<One>,
    pub(super) faults: Vec<String>,
}

/// Looks at all of them at once.
pub async fn take(layout: &Layout, state: &State) -> Sample {
    let at = Instant::now();
    let now = up::now().unwrap_or(Time(0));
    let peer = state.bootstrap.process.as_ref();
    let bootstrap = process(BOOTSTRAP, peer, 0);
    let banks = join_all(state.banks.iter().map(|known| bank(layout, known, now))).await;
    let all = std::iter::once(bootstrap).chain(banks).collect();
    Sample { at, all, faults: Vec::new() }
}

fn process(name: &str, process: Option<&Process>, log_bytes: u64) -> One {
    let standing = match process {
        None => Standing::Down,
        Some(process) if process.is_alive() => Standing::Up,
        Some(_) => Standing::Dead,
    };
    let pid = process.map(|process| process.pid).filter(|_| standing == Standing::Up);
    let usage = pid.and_then(Usage::of);
    One { name: name.to_owned(), standing, pid, usage, log_bytes, said: None }
}

async fn bank(layout: &Layout, bank: &Bank, now: Time) -> One {
    let size = log_bytes(layout, &bank.name);
    let mut one = process(&bank.name, bank.process.as_ref(), size);
    if one.standing == Standing::Up {
        let client = clients::of(layout, bank).ok().map(|client| client.with_timeout(ANSWER));
        one.said = match client {
            Some(client) => tokio::time::timeout(ANSWER, ask(&client, now)).await.ok(),
            None => None,
        }
        .and_then(Result::ok);
        if one.said.is_none() {
            one.standing = Standing::Silent;
        }
    }
    one
}

async fn ask(client: &Client, now: Time) -> Result<Said, ClientError> {
    let status = client.status().await?;
    let metrics = client.metrics().await?;
    let mut in_doubt = 0;
    if status.open_settlements > 0 {
        let open = client.settlements(Some(SettlementState::Open), ROWS).await?;
        let late = open.iter().filter(|known| known.deadline < now).count();
        in_doubt = u32::try_from(late).unwrap_or(u32::MAX);
    }
    Ok(Said {
        peers_up: status.peers_up,
        peers_known: status.peers_known,
        open: status.open_settlements,
        in_doubt,
        height: status.height.0,
        settled: counted(&metrics, "settled"),
        refunded: counted(&metrics, "refunded"),
    })
}

/// The settlements with this outcome, from the metrics.
fn counted(metrics: &str, outcome: &str) -> u64 {
    let name = format!("quadrille_settlements_total{{outcome=\"{outcome}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(name.as_str()));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

fn log_bytes(layout: &Layout, name: &str) -> u64 {
    let files = std::fs::read_dir(layout.node(name).join("log")).into_iter().flatten().flatten();
    files.filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum()
}

/// A row for people, and for programs.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The process.
    pub name: String,
    /// How it is.
    pub state: Standing,
    /// Its number.
    pub pid: Option<u32>,
    /// Peers with a session.
    pub peers_up: Option<u32>,
    /// Peers that it knows.
    pub peers_known: Option<u32>,
    /// Settlements that became final here, per second.
    pub settlements_per_second: Option<f64>,
    /// Settlements that ended well since the process started.
    pub settled: Option<u64>,
    /// Settlements that were refunded since the process started.
    pub refunded: Option<u64>,
    /// Settlements that are open.
    pub open: Option<u32>,
    /// Those that are open after their deadline.
    pub in_doubt: Option<u32>,
    /// The height of the log.
    pub height: Option<u64>,
    /// The size of the log.
    pub log_bytes: u64,
    /// Of one core, in per cent.
    pub cpu_percent: Option<f64>,
    /// Resident memory.
    pub memory_bytes: Option<u64>,
}

/// What is shown.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// The processes.
    pub rows: Vec<Row>,
    /// Faults in force.
    pub faults: Vec<String>,
}

impl Shown {
    /// Now, with what has happened since `before`.
    #[must_use]
    pub fn between(before: &Sample, now: &Sample) -> Self {
        let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
        let rows = now.all.iter().map(|one| {
            // After a restart counters begin anew.
            let same = |known: &&One| known.name == one.name && known.pid == one.pid;
            row(before.all.iter().find(same), one, seconds)
        });
        Self { rows: rows.collect(), faults: now.faults.clone() }
    }
}

fn row(before: Option<&One>, now: &One, seconds: f64) -> Row {
    let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
    let said = now.said;
    let final_now = said.map(|said| said.settled.saturating_add(said.refunded));
    let final_before = before
        .and_then(|before| before.said)
        .map(|said| said.settled.saturating_add(said.refunded));
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let settlements_per_second = final_now
        .zip(final_before)
        .map(|(now, before)| per_second(now.saturating_sub(before) as f64));
    let cpu = now.usage.zip(before.and_then(|before| before.usage));
    let cpu_percent = cpu
        .map(|(now, before)| 100.0 * per_second(now.cpu.saturating_sub(before.cpu).as_secs_f64()));
    Row {
        name: now.name.clone(),
        state: now.standing,
        pid: now.pid,
        peers_up: said.map(|said| said.peers_up),
        peers_known: said.map(|said| said.peers_known),
        settlements_per_second,
        settled: said.map(|said| said.settled),
        refunded: said.map(|said| said.refunded),
        open: said.map(|said| said.open),
        in_doubt: said.map(|said| said.in_doubt),
        height: said.map(|said| said.height),
        log_bytes: now.log_bytes,
        cpu_percent,
        memory_bytes: now.usage.map(|usage| usage.resident_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_between_two_looks_at_one_process() {
        let said = |settled| Said { settled, refunded: 1, ..Said::default() };
        let one = |pid, settled, cpu| One {
            name: "bank-a".to_owned(),
            standing: Standing::Up,
            pid: Some(pid),
            usage: Some(Usage { cpu: Duration::from_millis(cpu), resident_bytes: 5 }),
            log_bytes: 9,
            said: Some(said(settled)),
        };
        let at = Instant::now();
        let sample = |at, one| Sample { at, all: vec![one], faults: Vec::new() };
        let before = sample(at, one(7, 10, 500));
        let now = sample(at + Duration::from_secs(2), one(7, 30, 1_500));
        let shown = Shown::between(&before, &now);
        assert_eq!(shown.rows[0].settlements_per_second, Some(10.0));
        assert_eq!(shown.rows[0].cpu_percent, Some(50.0));
        let restarted = sample(at + Duration::from_secs(2), one(8, 0, 0));
        assert_eq!(Shown::between(&before, &restarted).rows[0].settlements_per_second, None);
    }

    #[test]
    fn outcomes_are_read_from_the_metrics() {
        let text = "# HELP x\nquadrille_settlements_total{outcome=\"settled\"} 12\n";
        assert_eq!((counted(text, "settled"), counted(text, "refunded")), (12, 0));
    }
}
