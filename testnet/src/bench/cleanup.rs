//! What a run has started, so that it is ended however the run ends.
//!
//! Invariant: whatever is started is listed here before anything is asked of it; a signal ends
//! what is listed and then this process.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quadrille_protocol::error::{Code, Refusal};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::local::layout::Layout;
use crate::local::state;

/// How long a database may take to end.
const DATABASE: Duration = Duration::from_secs(20);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(20);
/// What a shell calls a process that was ended by an interrupt.
const INTERRUPTED: i32 = 130;

/// A list of what is to be ended. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Cleanup(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    networks: Vec<Layout>,
    databases: Vec<(PathBuf, Child)>,
    folders: Vec<PathBuf>,
}

impl Cleanup {
    /// Ends everything when this process is asked to end.
    ///
    /// # Errors
    /// `Q-2380` when the system gives no thread or no signals.
    pub fn on_signals(&self) -> Result<(), Refusal> {
        let failed = |error: std::io::Error| Refusal::new(Code::BenchFailed, error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let entered = runtime.enter();
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        drop(entered);
        let list = self.clone();
        let wait = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            eprintln!("asked to end: ending what was started");
            list.all();
            std::process::exit(INTERRUPTED);
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(failed)?;
        Ok(())
    }

    /// A local network that is about to be brought up.
    pub fn network(&self, layout: &Layout) {
        self.lock().networks.push(layout.clone());
    }

    /// A database that was just started, by its folder.
    pub fn database(&self, folder: &Path, child: Child) {
        self.lock().databases.push((folder.to_owned(), child));
    }

    /// A folder to be removed in the end.
    pub fn folder(&self, folder: &Path) {
        self.lock().folders.push(folder.to_owned());
    }

    /// Whether the database in this folder still runs.
    pub fn database_runs(&self, folder: &Path) -> bool {
        let mut list = self.lock();
        let found = list.databases.iter_mut().find(|(known, _)| known == folder);
        found.is_some_and(|(_, child)| matches!(child.try_wait(), Ok(None)))
    }

    /// Ends the database in this folder, in order.
    pub fn end_database(&self, folder: &Path) {
        let found = {
            let mut list = self.lock();
            let place = list.databases.iter().position(|(known, _)| known == folder);
            place.map(|place| list.databases.swap_remove(place))
        };
        if let Some((_, child)) = found {
            end(child);
        }
    }

    /// Kills what runs of this network, and forgets it.
    pub fn end_network(&self, layout: &Layout) {
        self.lock().networks.retain(|known| known.root() != layout.root());
        kill(layout);
    }

    /// Ends everything, and removes the folders.
    pub fn all(&self) {
        let List { networks, databases, folders } = std::mem::take(&mut *self.lock());
        for layout in &networks {
            kill(layout);
        }
        for (_, child) in databases {
            end(child);
        }
        for folder in folders {
            // What is left is a temporary folder.
            let _ = std::fs::remove_dir_all(folder);
        }
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kill(layout: &Layout) {
    // A network without a state has no processes.
    if let Ok(state) = state::load(layout) {
        for (_, process) in state.processes() {
            process.kill();
        }
    }
}

/// A fast shutdown; a plain kill would leave the database's shared memory behind.
fn end(mut child: Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Its number is its own until it is waited for.
        let _ = kill_process(pid, Signal::INT);
    }
    let deadline = Instant::now() + DATABASE;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
    let _ = child.kill();
    let _ = child.wait();
}
