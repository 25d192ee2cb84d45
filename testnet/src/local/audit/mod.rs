//! Asking a local network whether it holds together: every bank's interface, and every log.
//!
//! ```text
//!   interfaces --asked until nothing is under way--> rules
//!   logs       --read in place-----------------> sheets --> across     } report
//! ```
//!
//! Between two banks a settled movement is booked at different moments, so the questions are put
//! when nothing is under way, and a finding counts only when it is there twice in a row. The logs
//! alone can be asked, too, of banks that do not run.

pub mod command;
pub mod logs;
mod rules;

use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::{Duration, Instant};

use quadrille_node::client::Client;
use quadrille_node::files;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::refuse;

pub use command::verdict;
pub use rules::{Finding, Observed, Rule, check};

use super::clients;
use super::layout::Layout;
use super::state::{Bank, State};
use logs::{Across, How, Sheet};

/// Rows of a list that are asked for at most.
const ROWS: usize = 1_000_000;
/// Between two rounds of questions.
const LOOK: Duration = Duration::from_millis(200);

/// What was found, and how much was looked at.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Report {
    /// Banks asked.
    pub banks: usize,
    /// Settlements seen, each counted once for every bank that knows it.
    pub settlements: usize,
    /// Settlements that are not over everywhere.
    pub open: usize,
    /// Assets seen.
    pub assets: usize,
    /// Batches in all logs.
    pub batches: u64,
    /// Batches whose signatures were checked.
    pub signatures: u64,
    /// Records in all logs.
    pub records: u64,
    /// Entries of holders' ledgers.
    pub entries: u64,
    /// Bytes of all logs.
    pub log_bytes: u64,
    /// Pages that were said and not yet heard.
    pub unheard_pages: usize,
    /// How long reading and checking the logs took.
    pub seconds: f64,
    /// Records per second of that.
    pub records_per_second: f64,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
}

/// How thoroughly, and what of.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long what is under way may take to end.
    pub patience: Duration,
    /// The logs alone: banks need not run, and what is open is counted and no finding.
    pub offline: bool,
    /// How the logs are read.
    pub how: How,
}

impl Options {
    /// Everything, of banks that run.
    #[must_use]
    pub fn thorough(patience: Duration) -> Self {
        Self { patience, offline: false, how: How::default() }
    }

    /// The same with the signature of one checkpoint of `sample`.
    #[must_use]
    pub fn sampled(self, sample: NonZeroU64) -> Self {
        Self { how: How { sample, ..self.how }, ..self }
    }
}

/// Asks until nothing is wrong, or the same is wrong twice in a row after `patience`.
///
/// # Errors
/// `Q-2209` a bank does not answer or does not run; `Q-1905` a log cannot be read.
pub fn audit(layout: &Layout, state: &State, patience: Duration) -> Result<Report, Refusal> {
    audit_with(layout, state, Options::thorough(patience))
}

/// The same, in another way.
///
/// # Errors
/// As [`audit`].
pub fn audit_with(layout: &Layout, state: &State, options: Options) -> Result<Report, Refusal> {
    if options.offline {
        return by_logs(layout, state, options.how, false).map(|(report, _)| report);
    }
    if let Some(bank) = state.banks.iter().find(|bank| !bank.is_up()) {
        refuse!(
            Unreachable,
            "{} does not run; start it again first, or ask the logs alone with --offline",
            bank.name
        );
    }
    let deadline = Instant::now() + options.patience;
    let observed = at_rest(layout, state, deadline)?;
    let mut report = confirmed(layout, state, options.how, deadline)?;
    report.banks = observed.len();
    report.assets = observed.iter().map(|bank| bank.assets.len()).max().unwrap_or(0);
    report.settlements = observed.iter().map(|bank| bank.settlements.len()).sum();
    report.findings.extend(check(&observed));
    report.findings.sort();
    Ok(report)
}

/// What the banks say once nothing is wrong, or when the time is over.
fn at_rest(layout: &Layout, state: &State, deadline: Instant) -> Result<Vec<Observed>, Refusal> {
    let runtime = clients::runtime()?;
    let mut before: Option<Vec<Finding>> = None;
    loop {
        let mut banks = runtime.block_on(observe(layout, state))?;
        let findings = check(&banks);
        let again = before.as_ref() == Some(&findings);
        // A network under load has other things under way each time: that is enough, too.
        let over = Instant::now() >= deadline + LOOK;
        if findings.is_empty() || (again && Instant::now() >= deadline) {
            return Ok(banks);
        }
        if over {
            keep_common(&mut banks, before.as_deref().unwrap_or_default());
            return Ok(banks);
        }
        before = Some(findings);
        std::thread::sleep(LOOK);
    }
}

/// Leaves out the open settlements that were not there a moment ago.
fn keep_common(banks: &mut [Observed], before: &[Finding]) {
    use quadrille_node::api::dto::SettlementState;
    for bank in banks {
        let there = |id: &str| {
            let stuck = before.iter().filter(|finding| finding.rule == Rule::NothingStuck);
            stuck.into_iter().any(|finding| finding.what.contains(id))
        };
        bank.settlements.retain(|known| {
            known.state != SettlementState::Open || there(&known.settlement.to_string())
        });
    }
}

/// The logs, read again while something is wrong in them that may be under way.
fn confirmed(
    layout: &Layout,
    state: &State,
    how: How,
    deadline: Instant,
) -> Result<Report, Refusal> {
    let (mut report, _) = by_logs(layout, state, how, true)?;
    while !report.findings.is_empty() {
        std::thread::sleep(LOOK);
        let late = Instant::now() >= deadline;
        let (mut again, _) = by_logs(layout, state, how, true)?;
        let there = again.findings.clone();
        again.findings.retain(|finding| report.findings.contains(finding));
        let same = again.findings.len() == report.findings.len();
        // What was said may be on its way for a while.
        let under_way = again.findings.iter().any(|finding| finding.rule == Rule::Feeds);
        if late || (same && !under_way) {
            return Ok(again);
        }
        again.findings = there;
        report = again;
    }
    Ok(report)
}

/// What the logs alone say.
fn by_logs(
    layout: &Layout,
    state: &State,
    how: How,
    all_said: bool,
) -> Result<(Report, Vec<Sheet>), Refusal> {
    let begun = Instant::now();
    let sheets = logs::read(&logs::sources(layout, state), &state.network, how)?;
    let across = logs::across(&sheets, all_said);
    let seconds = begun.elapsed().as_secs_f64();
    Ok((summary(&sheets, across, seconds), sheets))
}

fn summary(sheets: &[Sheet], across: Across, seconds: f64) -> Report {
    let sum = |of: fn(&logs::Counts) -> u64| {
        sheets.iter().fold(0_u64, |sum, sheet| sum.saturating_add(of(&sheet.counts)))
    };
    let records = sum(|counts| counts.records);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let records_per_second = if seconds > 0.0 { records as f64 / seconds } else { 0.0 };
    let assets: std::collections::BTreeSet<_> =
        sheets.iter().flat_map(|sheet| sheet.held.keys()).collect();
    Report {
        banks: sheets.len(),
        settlements: sheets.iter().map(|sheet| sheet.rows.len()).sum(),
        open: across.open,
        assets: assets.len(),
        batches: sum(|counts| counts.batches),
        signatures: sum(|counts| counts.signatures),
        records,
        entries: sum(|counts| counts.entries),
        log_bytes: sum(|counts| counts.bytes),
        unheard_pages: across.unheard,
        seconds,
        records_per_second,
        findings: across.findings,
    }
}

/// What every bank says of itself at this moment.
///
/// # Errors
/// `Q-2209` when a bank does not answer.
pub async fn observe(layout: &Layout, state: &State) -> Result<Vec<Observed>, Refusal> {
    let mut banks = Vec::with_capacity(state.banks.len());
    for bank in &state.banks {
        banks.push(observe_bank(layout, bank).await?);
    }
    Ok(banks)
}

async fn observe_bank(layout: &Layout, bank: &Bank) -> Result<Observed, Refusal> {
    let client: Client = clients::of(layout, bank)?;
    let told = |error| clients::refusal(&bank.name, error);
    let settlements = client.settlements(None, ROWS).await.map_err(told)?;
    let mut assets = Vec::new();
    // One by one: a list does not say how much of each is on the node.
    for listed in client.assets(ROWS).await.map_err(told)? {
        assets.push(client.asset(&listed.asset).await.map_err(told)?);
    }
    let peers = client.peers(ROWS).await.map_err(told)?;
    let exposures = peers.into_iter().flat_map(|peer| {
        let domain = peer.domain;
        peer.exposure.into_iter().map(move |exposure| (domain.clone(), exposure))
    });
    Ok(Observed {
        domain: bank.domain.clone(),
        settlements,
        assets,
        exposures: exposures.collect(),
    })
}

/// Copies a bank's log into the data directory `target`. The bank may run: the copy is then the
/// log of some moment, perhaps with a torn end.
///
/// # Errors
/// `Q-2204`, `Q-2205`.
pub fn copy_log(layout: &Layout, bank: &Bank, target: &Path) -> Result<(), Refusal> {
    let (source, target) = (layout.node(&bank.name).join("log"), target.join("log"));
    fs::create_dir_all(&target).map_err(|error| files::cannot_write(&target, &error))?;
    let unreadable = |error: std::io::Error| files::cannot_read(&source, &error);
    let mut names: Vec<_> = fs::read_dir(&source)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    names.retain(|name| Path::new(name).extension().is_some_and(|ending| ending == "seg"));
    // The oldest first: only the newest is still written to.
    names.sort();
    for name in names {
        let path = target.join(&name);
        fs::copy(source.join(&name), &path).map_err(|error| files::cannot_write(&path, &error))?;
    }
    Ok(())
}
