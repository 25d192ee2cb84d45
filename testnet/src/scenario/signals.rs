//! What a signal from the terminal does to a scenario that runs.
//!
//! Invariant: a network that is still coming up has its processes ended at once, for nobody asks
//! it whether it should go on; one that runs is ended by whoever runs it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use quadrille_protocol::error::{Code, Refusal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::history::lock;
use crate::local::layout::Layout;
use crate::local::process::Process;
use crate::local::state;

/// What runs now.
#[derive(Debug, Default)]
struct Now {
    broken_off: bool,
    run: Option<(PathBuf, watch::Sender<bool>)>,
}

/// Who hears signals.
#[derive(Debug, Clone)]
pub struct Signals {
    now: Arc<Mutex<Now>>,
}

impl Signals {
    /// Hears SIGINT and SIGTERM from now on.
    ///
    /// # Errors
    /// `Q-2320` when the system does not let us.
    pub fn listen() -> Result<Self, Refusal> {
        let failed = |error: std::io::Error| Refusal::new(Code::ServeFailed, error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::interrupt()).map_err(failed)?,
                signal(SignalKind::terminate()).map_err(failed)?,
            )
        };
        let signals = Self { now: Arc::default() };
        let heard = signals.clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    heard.break_off();
                }
            });
        });
        Ok(signals)
    }

    /// A scenario is run in a folder from now on. Returns what is sent when it is to end.
    ///
    /// # Errors
    /// `Q-2352` when a signal came before.
    pub fn begin(&self, dir: &Path) -> Result<watch::Sender<bool>, Refusal> {
        let mut now = lock(&self.now);
        if now.broken_off {
            return Err(Refusal::new(Code::BrokenOff, "a signal came"));
        }
        let (halt, _) = watch::channel(false);
        now.run = Some((dir.to_owned(), halt.clone()));
        Ok(halt)
    }

    fn break_off(&self) {
        let mut now = lock(&self.now);
        now.broken_off = true;
        let Some((dir, halt)) = &now.run else { return };
        eprintln!("\nbroken off; ending what runs");
        halt.send_replace(true);
        let layout = Layout::new(dir);
        // Every process stands in the state before anything waits for it.
        let Ok(known) = state::load(&layout) else { return };
        if !known.funded {
            known.processes().map(|(_, process)| process).for_each(Process::kill);
        }
    }
}
