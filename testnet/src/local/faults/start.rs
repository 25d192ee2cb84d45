//! Starting the proxy, and the folders in which banks are told of faults.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};
use serde::{Deserialize, Serialize};

use super::super::layout::{BOOTSTRAP, Layout, PROXY};
use super::super::process::{self, Process};
use super::super::start::{LOOK, READY, check_alive, not_ready};
use super::super::state::Held;

/// Largest file of fronts.
const FRONTS_BYTES: usize = 64 * 1024;

/// Where a running proxy stands for the others, written when it listens there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fronts {
    /// Its process.
    pub pid: u32,
    /// By the name of whom it stands for; nobody in a network of direct links.
    pub fronts: BTreeMap<String, SocketAddr>,
}

/// Starts the proxy unless it runs or the links of the network go without it.
///
/// # Errors
/// `Q-2324` it did not become ready; `Q-2325` its program is missing.
pub fn proxy_of_links(held: &mut Held) -> Result<(), Refusal> {
    if held.state.direct { Ok(()) } else { proxy(held) }
}

/// Starts the proxy unless it runs. It takes up what was in force when it ended.
///
/// # Errors
/// As [`proxy_of_links`].
pub fn proxy(held: &mut Held) -> Result<(), Refusal> {
    if held.state.proxy.process.as_ref().is_some_and(Process::is_alive) {
        return Ok(());
    }
    let layout = held.layout.clone();
    files::private_folder(&layout.faults())?;
    // What another process wrote must not be taken for the new one's; its number says so, too.
    let _ = std::fs::remove_file(layout.fronts());
    let program = process::program("quadrille-testnet")?;
    let arguments: [&OsStr; 3] = [PROXY.as_ref(), "--dir".as_ref(), layout.root().as_ref()];
    let log = layout.log(PROXY);
    let started = process::start(&program, &arguments, &[], &log)?;
    held.state.proxy.process = Some(started.clone());
    held.save()?;
    let deadline = Instant::now() + READY;
    let found = loop {
        if let Ok(found) = load_fronts(&layout)
            && found.pid == started.pid
        {
            break found;
        }
        check_alive(PROXY, &started, &log)?;
        if Instant::now() >= deadline {
            return Err(not_ready(PROXY, "it did not say where it listens", &log));
        }
        std::thread::sleep(LOOK);
    };
    held.state.bootstrap.front = found.fronts.get(BOOTSTRAP).copied();
    for bank in &mut held.state.banks {
        bank.front = found.fronts.get(&bank.name).copied();
    }
    held.save()
}

fn load_fronts(layout: &Layout) -> Result<Fronts, Refusal> {
    let path = layout.fronts();
    let text = files::read_text(&path, FRONTS_BYTES)?;
    serde_json::from_str(&text)
        .map_err(|error| Refusal::new(Code::CannotRead, format!("{}: {error}", path.display())))
}

/// The folder in which the bank's process is told of faults, whole, for its environment.
///
/// # Errors
/// `Q-2205`.
pub fn folder_of(layout: &Layout, name: &str) -> Result<PathBuf, Refusal> {
    let path = layout.faults_of(name);
    files::private_folder(&path)?;
    std::path::absolute(&path).map_err(|error| files::cannot_read(&path, &error))
}
