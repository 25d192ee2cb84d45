//! `quadrille-testnet snapshot` and `restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use quadrille_protocol::error::Refusal;

use super::super::command::{Folder, Progress, complain, print};
use super::super::interrupt;
use super::super::state::Held;
use super::{load, save};

/// What `snapshot` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every bank, its guard and its customers' keys go into the file, so keep it as you would keep them.
For a copy in which everything fits together, the banks are ended in order and started again.

Examples:
  quadrille-testnet snapshot before.snap
  quadrille-testnet snapshot /tmp/sixteen.snap --dir /tmp/sixteen")]
pub struct SnapshotArgs {
    /// The new file
    file: PathBuf,
    #[command(flatten)]
    folder: Folder,
}

/// What `restore` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The folder must be missing or empty. Ports are kept, or chosen anew where one is taken. The
network stands still then; `up` starts it. It is the same banks as the original: never run both.

Examples:
  quadrille-testnet restore before.snap --dir /tmp/again && quadrille-testnet up --dir /tmp/again
  quadrille-testnet restore before.snap --dir /tmp/again --new-ports")]
pub struct RestoreArgs {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    folder: Folder,
    /// Choose new ports even when the old ones are free
    #[arg(long)]
    new_ports: bool,
}

fn ended(done: Result<(), Refusal>) -> ExitCode {
    done.map_or_else(|refusal| complain(&refusal), |()| ExitCode::SUCCESS)
}

impl SnapshotArgs {
    /// Packs.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        interrupt::watch();
        let progress = Progress::new();
        ended(Held::open(self.folder.layout()).and_then(|mut held| {
            let packed = save(&mut held, &self.file, &mut |what| progress.say(what))?;
            let (files, bytes) = (packed.files, packed.bytes);
            print(&format!("{}: {files} files, {bytes} bytes\n", self.file.display()))
        }))
    }
}

impl RestoreArgs {
    /// Unpacks.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        interrupt::watch();
        let layout = self.folder.layout();
        ended(load(&self.file, layout.root(), self.new_ports).and_then(|(state, packed, renewed)| {
            let (count, files) = (state.banks.len(), packed.files);
            let ports = if renewed { "new ports" } else { "its own ports" };
            let dir = layout.root().display();
            print(&format!(
                "{count} banks, {files} files, {ports}\nstart it with: quadrille-testnet up --dir {dir}\n"
            ))
        }))
    }
}
