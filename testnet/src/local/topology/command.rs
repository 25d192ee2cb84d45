//! `quadrille-testnet export`.

use std::path::PathBuf;
use std::process::ExitCode;

use quadrille_node::files::{self, Access};
use quadrille_protocol::error::Refusal;

use super::super::command::{Folder, complain, print};
use super::super::state;
use super::of;

/// What `export` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file is a scenario file: banks, assets, holders and what their own banks have issued to them,
trust, services. It has no keys and no history, and `import` builds a new network of that shape.

Examples:
  quadrille-testnet export shape.toml
  quadrille-testnet import shape.toml --dir /tmp/same-shape")]
pub struct ExportArgs {
    /// The new file
    file: PathBuf,
    #[command(flatten)]
    folder: Folder,
}

impl ExportArgs {
    /// Writes the file.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let done = self.write();
        done.map_or_else(|refusal| complain(&refusal), |()| ExitCode::SUCCESS)
    }

    fn write(&self) -> Result<(), Refusal> {
        let layout = self.folder.layout();
        let topology = of(&layout, &state::load(&layout)?)?;
        files::create(&self.file, topology.to_toml().as_bytes(), Access::Public)?;
        print(&format!("{}\n", self.file.display()))
    }
}
