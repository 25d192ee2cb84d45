//! Starting the processes of a local network and waiting until they can be used.
//!
//! Invariants:
//! * A process stands in the state file before it is waited for.
//! * Ports are chosen by the system at the first start and kept from then on.
//! * A process that ends instead of becoming ready is reported with the last lines of its log.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use quadrille_bootstrap::serve::Endpoints;
use quadrille_node::client::{Client, ClientError};
use quadrille_node::config;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::Address;
use quadrille_protocol::refuse;

use super::clients;
use super::layout::BOOTSTRAP;
use super::prepare;
use super::process::{self, Process};
use super::state::Held;
use super::{interrupt, ports};

/// How long one process may take until it is ready.
pub const READY: Duration = Duration::from_secs(60);
/// How long a process may take to end when it is asked to: its open settlements get some time.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at a process that starts.
const LOOK: Duration = Duration::from_millis(50);
/// Longest wait for one answer about readiness.
const ANSWER: Duration = Duration::from_secs(5);
/// Lines of a log that are shown when its process did not start.
const LAST_LINES: usize = 20;
/// Names the file with the passphrase to a process.
const PASSPHRASE_FILE: &str = "QUADRILLE_PASSPHRASE_FILE";
/// Names the moment at which a debug build kills itself.
const CRASH_POINT: &str = "QUADRILLE_CRASH_POINT";
const ANY_ADDRESS: &str = "/ip4/127.0.0.1/tcp/0";

/// Starts the bootstrap peer unless it runs, and returns its address.
///
/// # Errors
/// `Q-2324` it did not become ready; `Q-2325` its program is missing.
pub fn bootstrap(held: &mut Held) -> Result<Address, Refusal> {
    let running = held.state.bootstrap.process.as_ref().is_some_and(Process::is_alive);
    if let (true, Some(address)) = (running, &held.state.bootstrap.p2p) {
        return Ok(address.clone());
    }
    let layout = held.layout.clone();
    let listen = match &held.state.bootstrap.p2p {
        Some(known) => prepare::without_peer(known)?,
        None => ANY_ADDRESS.parse()?,
    };
    if let Some(known) = &held.state.bootstrap.p2p {
        ports::check_bootstrap(known)?;
    }
    let endpoints = layout.network().endpoints();
    forget(&endpoints);
    let program = process::program("quadrille-bootstrap")?;
    let dir = layout.network_dir();
    let arguments: [&OsStr; 5] = [
        "--dir".as_ref(),
        dir.as_ref(),
        "serve".as_ref(),
        "--listen".as_ref(),
        listen.as_str().as_ref(),
    ];
    let log = layout.log(BOOTSTRAP);
    let passphrase = layout.passphrase();
    let settings = [(PASSPHRASE_FILE, passphrase.as_ref())];
    let started = process::start(&program, &arguments, &settings, &log)?;
    held.state.bootstrap.process = Some(started.clone());
    held.save()?;
    let found = await_endpoints(BOOTSTRAP, &started, &endpoints, &log)?;
    let Some(address) = found.p2p.into_iter().next() else {
        refuse!(NodeDidNotStart, "{BOOTSTRAP} listens nowhere");
    };
    held.state.bootstrap.p2p = Some(address.clone());
    held.save()?;
    Ok(address)
}

/// Starts those of the named banks that do not run, all at once, and waits until each is ready.
/// With a `crash_point` (`after-sign:Locked`) they kill themselves at that moment, if they are
/// debug builds. `begun` is told of each that has become ready.
///
/// # Errors
/// `Q-2324` one did not become ready; the others are left running. `Q-2325` no program.
pub fn banks(
    held: &mut Held,
    names: &[String],
    crash_point: Option<&str>,
    mut begun: impl FnMut(&str),
) -> Result<(), Refusal> {
    let layout = held.layout.clone();
    let program = process::program("quadrille")?;
    let passphrase = layout.passphrase();
    let mut settings: Vec<(&str, &OsStr)> = vec![(PASSPHRASE_FILE, passphrase.as_ref())];
    settings.extend(crash_point.map(|point| (CRASH_POINT, OsStr::new(point))));
    let mut starting = BTreeMap::new();
    for name in names {
        let bank = held.state.bank_mut(name)?;
        if bank.is_up() {
            continue;
        }
        let (name, dir) = (bank.name.clone(), layout.node(&bank.name));
        interrupt::check()?;
        ports::check(&layout, &name)?;
        forget(&config::Layout::new(&dir).endpoints());
        let arguments: [&OsStr; 3] = ["run".as_ref(), "--dir".as_ref(), dir.as_ref()];
        let started = process::start(&program, &arguments, &settings, &layout.log(&name))?;
        bank.process = Some(started.clone());
        held.save()?;
        starting.insert(name, started);
    }
    for (name, started) in &starting {
        let endpoints = config::Layout::new(&layout.node(name)).endpoints();
        let found = await_endpoints(name, started, &endpoints, &layout.log(name))?;
        let unreadable = || {
            let what = format!("{name} listens at {:?}, {:?}", found.api, found.p2p);
            Refusal::new(Code::NodeDidNotStart, what)
        };
        let api = found.api.as_deref().and_then(|api| api.strip_prefix("http://"));
        let bank = held.state.bank_mut(name)?;
        bank.api = Some(api.and_then(|api| api.parse().ok()).ok_or_else(unreadable)?);
        bank.p2p = Some(found.p2p.first().cloned().ok_or_else(unreadable)?);
        let bank = bank.clone();
        held.save()?;
        prepare::pin(&layout, &bank)?;
        await_ready(held, name, started)?;
        begun(name);
    }
    Ok(())
}

/// Waits until the process has written where it is reached.
fn await_endpoints(
    name: &str,
    process: &Process,
    path: &Path,
    log: &Path,
) -> Result<Endpoints, Refusal> {
    let deadline = Instant::now() + READY;
    loop {
        // Written whole at once; what another process left here was removed.
        if let Ok(found) = Endpoints::load(path)
            && found.pid == process.pid
        {
            return Ok(found);
        }
        interrupt::check()?;
        check_alive(name, process, log)?;
        if Instant::now() >= deadline {
            return Err(not_ready(name, "it did not say where it is reached", log));
        }
        std::thread::sleep(LOOK);
    }
}

/// Waits until the node says that it is ready for business.
fn await_ready(held: &Held, name: &str, process: &Process) -> Result<(), Refusal> {
    let log = held.layout.log(name);
    let client = clients::of(&held.layout, held.state.bank(name)?)?.with_timeout(ANSWER);
    let deadline = Instant::now() + READY;
    let runtime = clients::runtime()?;
    loop {
        let trouble = match runtime.block_on(ready(&client)) {
            Ok(()) => return Ok(()),
            Err(trouble) => trouble,
        };
        interrupt::check()?;
        check_alive(name, process, &log)?;
        if Instant::now() >= deadline {
            return Err(not_ready(name, &trouble.to_string(), &log));
        }
        std::thread::sleep(LOOK);
    }
}

async fn ready(client: &Client) -> Result<(), ClientError> {
    client.ready().await
}

fn check_alive(name: &str, process: &Process, log: &Path) -> Result<(), Refusal> {
    if process.is_alive() { Ok(()) } else { Err(not_ready(name, "its process ended", log)) }
}

/// The refusal with the last lines of the log in it.
fn not_ready(name: &str, what: &str, log: &Path) -> Refusal {
    let lines = process::tail(log, LAST_LINES).unwrap_or_default();
    let shown = if lines.is_empty() {
        format!("nothing in {}", log.display())
    } else {
        format!("the end of {}:\n  {}", log.display(), lines.join("\n  "))
    };
    Refusal::new(Code::NodeDidNotStart, format!("{name}: {what}; {shown}"))
}

/// What an earlier process wrote must not be taken for the new one's.
fn forget(endpoints: &Path) {
    // Where it cannot be removed, its process number gives it away.
    let _ = fs::remove_file(endpoints);
}

/// Ends every process of the network, the banks first and all at once, and forgets them. Returns
/// the names of those that had to be killed.
///
/// # Errors
/// `Q-2205` when the state cannot be written.
pub fn down(held: &mut Held) -> Result<Vec<String>, Refusal> {
    let banks: Vec<(String, Process)> = held
        .state
        .processes()
        .filter(|(name, _)| *name != BOOTSTRAP)
        .map(|(name, process)| (name.to_owned(), process.clone()))
        .collect();
    let mut killed: Vec<String> = Vec::new();
    std::thread::scope(|scope| {
        let ending: Vec<_> = banks
            .iter()
            .map(|(name, process)| scope.spawn(move || (name, process.stop(PATIENCE))))
            .collect();
        for thread in ending {
            if let Ok((name, false)) = thread.join() {
                killed.push(name.clone());
            }
        }
    });
    if let Some(process) = &held.state.bootstrap.process
        && !process.stop(PATIENCE)
    {
        killed.push(BOOTSTRAP.to_owned());
    }
    held.state.bootstrap.process = None;
    for bank in &mut held.state.banks {
        bank.process = None;
    }
    held.save()?;
    Ok(killed)
}
