//! `quadrille-testnet export` and `import`.

use std::path::PathBuf;
use std::process::ExitCode;

use quadrille_node::files::{self, Access};
use quadrille_protocol::error::{Code, Refusal};

use super::super::command::{self, Folder, complain, print};
use super::super::state;
use super::super::up::Plan;
use super::of;
use crate::scenario::read::{self, FILE_BYTES};

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

/// What `import` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Builds and starts a network with new keys: the banks, assets, holders, trust and services of the
file, which `export` wrote or which is any scenario file; its steps are left out.

Examples:
  quadrille-testnet import shape.toml --dir /tmp/same-shape
  quadrille-testnet import testnet/scenarios/dvp.toml --dir /tmp/dvp")]
pub struct ImportArgs {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    folder: Folder,
    /// Leave what runs running when something does not start
    #[arg(long)]
    keep_going: bool,
}

impl ImportArgs {
    /// Builds the network.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let done = self
            .plan()
            .and_then(|plan| command::bring_up(self.folder.layout(), &plan, self.keep_going));
        done.map_or_else(|refusal| complain(&refusal), |()| ExitCode::SUCCESS)
    }

    fn plan(&self) -> Result<Plan, Refusal> {
        let text = files::read_text(&self.file, FILE_BYTES)?;
        let scenario = read::read(&text).map_err(|mistakes| {
            let file = self.file.display();
            let told: Vec<String> =
                mistakes.iter().map(|mistake| format!("{file}:{mistake}")).collect();
            Refusal::new(Code::BadScenario, told.join("\n"))
        })?;
        Ok(Plan {
            banks: scenario.banks.into_iter().map(|name| (name, true)).collect(),
            seed: None,
            suite: scenario.suite,
            timing: scenario.timing,
            means: Some(scenario.means),
        })
    }
}
