//! Asking every bank of a local network whether the network holds together.
//!
//! Between two banks a settled movement is booked at different moments, so the questions are put
//! when nothing is under way, and a finding counts only when it is there twice in a row.

mod rules;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use quadrille_node::client::Client;
use quadrille_node::files;
use quadrille_node::log_store::verify;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::refuse;

pub use rules::{Finding, Observed, Rule, check};

use super::clients;
use super::layout::Layout;
use super::state::{Bank, State};

/// Rows of a list that are asked for at most.
const ROWS: usize = 1_000_000;
/// Between two rounds of questions.
const LOOK: Duration = Duration::from_millis(200);

/// What was found, and how much was looked at.
#[derive(Debug, serde::Serialize)]
pub struct Report {
    /// Banks asked.
    pub banks: usize,
    /// Settlements seen, each counted once for every bank that knows it.
    pub settlements: usize,
    /// Assets seen.
    pub assets: usize,
    /// Batches whose signatures were checked.
    pub batches: u64,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
}

/// Asks until nothing is wrong, or the same is wrong twice in a row after `patience`.
///
/// # Errors
/// `Q-2209` a bank does not answer or does not run; `Q-2204` a log cannot be read.
pub fn audit(layout: &Layout, state: &State, patience: Duration) -> Result<Report, Refusal> {
    if let Some(bank) = state.banks.iter().find(|bank| !bank.is_up()) {
        refuse!(Unreachable, "{} does not run; start it again first", bank.name);
    }
    let deadline = Instant::now() + patience;
    let runtime = clients::runtime()?;
    let mut before: Option<Vec<Finding>> = None;
    loop {
        let banks = runtime.block_on(observe(layout, state))?;
        let findings = check(&banks);
        let settled = findings.is_empty();
        let again = before.as_ref() == Some(&findings) && Instant::now() >= deadline;
        if settled || again {
            return finish(layout, state, banks);
        }
        before = Some(findings);
        std::thread::sleep(LOOK);
    }
}

/// The logs last: copying them takes a while, and they only grow.
fn finish(layout: &Layout, state: &State, mut banks: Vec<Observed>) -> Result<Report, Refusal> {
    let mut batches = 0_u64;
    for (bank, observed) in state.banks.iter().zip(&mut banks) {
        let checked = check_log(layout, bank)?;
        batches = batches.saturating_add(checked.batches);
        observed.log = match (checked.bad, checked.head) {
            (Some(bad), _) => {
                Some(format!("{} at byte {}: {}", bad.file.display(), bad.offset, bad.what))
            }
            (None, None) => Some("there is nothing in it".to_owned()),
            (None, Some(_)) => None,
        };
    }
    Ok(Report {
        banks: banks.len(),
        settlements: banks.iter().map(|bank| bank.settlements.len()).sum(),
        assets: banks.iter().map(|bank| bank.assets.len()).max().unwrap_or(0),
        batches,
        findings: check(&banks),
    })
}

/// What every bank says of itself at this moment; of the logs nothing is said.
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
        log: None,
    })
}

/// Checks a copy of the bank's log: the bank goes on writing the original.
fn check_log(layout: &Layout, bank: &Bank) -> Result<verify::Report, Refusal> {
    let copy = layout.root().join("check").join(&bank.name);
    let _ = fs::remove_dir_all(&copy);
    copy_log(layout, bank, &copy)?;
    let report = verify::verify(&copy);
    let _ = fs::remove_dir_all(&copy);
    report
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
