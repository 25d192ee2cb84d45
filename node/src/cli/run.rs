//! `quadrille run`: the gateway daemon.
//!
//! SIGTERM and SIGINT drain: nothing new is taken, what is open gets some time, then the process
//! ends with 0. SIGHUP sets the log filter back to what the node began with.

use std::path::Path;

use quadrille_protocol::error::{Code, Refusal};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::enroll::OpenKeys;
use super::exit::Failure;
use super::overrides;
use crate::config::{Config, LogFormat};
use crate::files;
use crate::runtime::{Node, Setup};
use crate::telemetry::{self, Format, Levels};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille run --dir /var/lib/quadrille --passphrase-file /run/secrets/passphrase
  quadrille run --dir . --set node.log_level=debug --set api.listen=127.0.0.1:0
When the node is ready, DIR/run/endpoints.json says where it is reached.")]
pub(super) struct Arguments {
    /// Set an option of the configuration for this run (may be repeated)
    #[arg(long = "set", value_name = "SECTION.OPTION=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    keys: OpenKeys,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.keys.dir.dir, &overrides(&arguments.set)?)?.config;
    let format = match config.node.log_format {
        LogFormat::Human => Format::Human,
        LogFormat::Json => Format::Json,
    };
    let levels = telemetry::init(format, &config.node.log_level)?;
    let keys = arguments.keys.open()?;
    files::private_folder(files::folder_of(&config.layout().endpoints()))?;
    let dir = config.dir.clone();
    let setup = Setup::new(config, keys)?;
    let runtime = Runtime::new()
        .map_err(|error| Refusal::new(Code::NodeFault, format!("no runtime: {error}")))?;
    Ok(runtime.block_on(serve(setup, levels, &dir))?)
}

async fn serve(setup: Setup, levels: Levels, dir: &Path) -> Result<(), Refusal> {
    let mut stop = Stop::new()?;
    let hang_up = listen(SignalKind::hangup())?;
    let resetting = tokio::spawn(reset_on(hang_up, levels.clone()));
    let started = tokio::select! {
        started = Node::start(setup, levels) => started,
        // Whoever stops a node that has not begun needs no drain.
        () = stop.asked() => return Ok(()),
    };
    let node = started?;
    let endpoints = node.endpoints();
    tracing::info!(
        domain = %endpoints.domain,
        api = %endpoints.api,
        p2p = ?endpoints.p2p,
        dir = %dir.display(),
        "ready"
    );
    // Without a service manager there is nobody to tell.
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
    let ended = node.run_until(stop.asked()).await;
    resetting.abort();
    match &ended {
        Ok(()) => tracing::info!("stopped"),
        Err(refusal) => {
            tracing::error!(code = %refusal.code, what = %refusal.what, "stopped by a failure");
        }
    }
    ended
}

/// The signals that stop a node.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> Result<Self, Refusal> {
        let terminate = listen(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits until somebody asks the node to stop.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Refusal> {
    signal(kind).map_err(|error| Refusal::new(Code::NodeFault, format!("no signals: {error}")))
}

async fn reset_on(mut hang_up: Signal, levels: Levels) {
    while hang_up.recv().await.is_some() {
        if let Err(refusal) = levels.reset() {
            tracing::warn!(code = %refusal.code, what = %refusal.what, "log filter not reset");
        }
    }
}
