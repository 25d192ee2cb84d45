//! `quadrille config show`.

use clap::Subcommand;

use super::exit::Failure;
use super::output::{Output, line};
use super::{DataDir, overrides};
use crate::config::{Config, Row};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print every option's value
    #[command(after_help = "Examples:
  quadrille config show --dir /var/lib/quadrille
  quadrille config show --dir /var/lib/quadrille --origin
  QUADRILLE_MESH_QUIC=true quadrille config show --dir . --origin -o json")]
    Show {
        /// Say where each value comes from
        #[arg(long)]
        origin: bool,
        /// Set an option for this run
        #[arg(long = "set", value_name = "SECTION.OPTION=VALUE")]
        set: Vec<String>,
        #[command(flatten)]
        dir: DataDir,
    },
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    let Command::Show { origin, set, dir } = command;
    let loaded = Config::load(&dir.dir, &overrides(set)?)?;
    let rows = loaded.rows();
    if *origin || output != Output::Table {
        return output.list(&rows, &["OPTION", "VALUE", "FROM"], |row: &Row| {
            vec![row.option.clone(), row.value.clone(), row.origin.clone()]
        });
    }
    let lines: Vec<String> =
        rows.iter().map(|row| format!("{} = {}", row.option, row.value)).collect();
    line(lines.join("\n"))
}
