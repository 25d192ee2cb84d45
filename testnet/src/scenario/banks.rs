//! Ending, starting, copying and restoring the banks of a running scenario.
//!
//! Invariant: a process stands in the network's state before anything is asked of it, so that
//! whatever happens it is found and ended.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quadrille_node::client::Client;
use quadrille_node::evidence::armour;
use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::Evidence;

use super::stage::{Stage, Trouble};
use crate::local::process;
use crate::local::start;
use crate::local::state::Held;

/// Rows of a list that are asked for.
const ROWS: usize = 10_000;
/// Names the file with the passphrase to a process.
const PASSPHRASE_FILE: &str = "QUADRILLE_PASSPHRASE_FILE";

/// Kills a bank as a power cut would.
///
/// # Errors
/// `Q-2326`, `Q-2205`.
pub fn kill(stage: &Stage<'_>, bank: &str) -> Result<(), Refusal> {
    let mut held = stage.held();
    if let Some(process) = held.state.bank_mut(bank)?.process.take() {
        process.kill();
    }
    held.save()
}

/// Ends a bank if it runs, and starts it; to kill itself at a moment where one is named.
///
/// # Errors
/// Those of [`start::banks`].
pub fn restart(stage: &Stage<'_>, bank: &str, crash_point: Option<&str>) -> Result<(), Refusal> {
    let mut held = stage.held();
    stop(&mut held, bank)?;
    start::banks(&mut held, &[bank.to_owned()], crash_point, |_| ())
}

fn stop(held: &mut Held, bank: &str) -> Result<(), Refusal> {
    if let Some(process) = held.state.bank_mut(bank)?.process.take() {
        // One that does not end in time is killed, which a bank has to survive.
        let _ = process.stop(start::PATIENCE);
    }
    held.save()
}

/// Copies a bank's data directory while the bank stands still.
///
/// # Errors
/// `Q-2204`, `Q-2205`, those of [`start::banks`].
pub fn backup(stage: &Stage<'_>, bank: &str, name: &str) -> Result<PathBuf, Refusal> {
    let mut held = stage.held();
    let copy = stage.layout.root().join("copies").join(name);
    stop(&mut held, bank)?;
    copy_folder(&stage.layout.node(bank), &copy)?;
    start::banks(&mut held, &[bank.to_owned()], None, |_| ())?;
    Ok(copy)
}

/// Puts a bank's data directory back from an old copy, and has the bank recover as its operator
/// would: it hears its peers out, its customers hand in the evidence that they have kept, and it
/// goes on. Returns what came back.
///
/// # Errors
/// `Q-2204`, `Q-2205`; when it does not recover in time.
pub fn restore(
    stage: &Stage<'_>,
    bank: &str,
    copy: &Path,
    patience: Duration,
) -> Result<String, Trouble> {
    let client = stage.client(bank)?;
    let kept = stage.talk(kept_by_customers(&client))??;
    {
        let mut held = stage.held();
        stop(&mut held, bank)?;
        let data = stage.layout.node(bank);
        fs::remove_dir_all(&data).map_err(|error| files::cannot_write(&data, &error))?;
        copy_folder(copy, &data)?;
        start_unready(&mut held, bank)?;
    }
    let view = stage.until(patience, &format!("{bank} knows what it has lost"), || {
        let view = stage.ask(bank, client.recovery()).map_err(|refusal| refusal.to_string())?;
        let heard = view.recovering && view.lost && view.awaiting.is_empty();
        if heard { Ok(view) } else { Err(format!("{view:?}")) }
    })?;
    for evidence in &kept {
        stage.ask(bank, client.give_back(evidence))?;
    }
    stage.ask(bank, client.customers_heard())?;
    stage.until(patience, &format!("{bank} has recovered"), || {
        let status = stage.ask(bank, client.status()).map_err(|refusal| refusal.to_string())?;
        if status.recovering { Err("it is recovering".to_owned()) } else { Ok(()) }
    })?;
    stage.until(patience, &format!("{bank} is ready"), || {
        stage.ask(bank, client.ready()).map_err(|refusal| refusal.to_string())
    })?;
    Ok(format!("{} of its records came back from its peers", view.returned))
}

/// What the bank's customers have kept: the evidence of every entry of their ledgers.
async fn kept_by_customers(client: &Client) -> Result<Vec<Evidence>, Refusal> {
    let told = |error| crate::local::clients::refusal("the bank", error);
    let mut kept = Vec::new();
    for ledger in client.ledgers(None, ROWS).await.map_err(told)? {
        for entry in client.entries(&ledger.ledger, ROWS).await.map_err(told)? {
            let proof =
                client.entry_evidence(&ledger.ledger, entry.sequence).await.map_err(told)?;
            let text = serde_json::to_string(&proof)
                .map_err(|error| Refusal::new(Code::BadAnswer, error.to_string()))?;
            kept.extend(armour::read(&text)?.evidence.into_vec());
        }
    }
    kept.sort_by_key(|it| (it.checkpoint.checkpoint.height, it.index));
    kept.dedup_by_key(|it| (it.checkpoint.checkpoint.height, it.index));
    Ok(kept)
}

/// Starts a bank without waiting until it is ready for business: one that recovers is not.
fn start_unready(held: &mut Held, bank: &str) -> Result<(), Refusal> {
    let layout = held.layout.clone();
    let (dir, passphrase) = (layout.node(bank), layout.passphrase());
    let arguments: [&OsStr; 3] = ["run".as_ref(), "--dir".as_ref(), dir.as_ref()];
    let settings = [(PASSPHRASE_FILE, passphrase.as_ref())];
    let program = process::program("quadrille")?;
    let started = process::start(&program, &arguments, &settings, &layout.log(bank))?;
    held.state.bank_mut(bank)?.process = Some(started);
    held.save()
}

/// Starts every bank that does not run. Returns their names.
///
/// # Errors
/// Those of [`start::banks`].
pub fn start_all(stage: &Stage<'_>) -> Result<Vec<String>, Refusal> {
    let mut held = stage.held();
    let away = held.state.banks.iter().filter(|bank| !bank.is_up());
    let away: Vec<String> = away.map(|bank| bank.name.clone()).collect();
    start::banks(&mut held, &away, None, |_| ())?;
    Ok(away)
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Refusal> {
    let read = |error: std::io::Error| files::cannot_read(from, &error);
    let write = |error: std::io::Error| files::cannot_write(to, &error);
    fs::create_dir_all(to).map_err(write)?;
    for entry in fs::read_dir(from).map_err(read)? {
        let entry = entry.map_err(read)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(read)?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).map_err(write)?;
        }
    }
    let permissions = fs::metadata(from).map_err(read)?.permissions();
    fs::set_permissions(to, permissions).map_err(write)
}
