//! `quadrille log`.

use std::path::PathBuf;

use clap::Subcommand;
use quadrille_protocol::error::{Code, Refusal};

use super::connect::{Connection, converse};
use super::exit::Failure;
use super::output::Output;
use crate::log_store::verify::{Place, Report, verify};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check a whole log: checksums, chain, Merkle roots, signatures. For a stopped node or a copy
    #[command(after_help = "Examples:
  quadrille log verify /var/lib/quadrille
  quadrille log verify /backup/quadrille -o json")]
    Verify {
        /// The data directory whose log is checked
        dir: PathBuf,
    },
    /// Show the last checkpoint of a running node
    #[command(after_help = "Examples:
  quadrille log head
  quadrille log head -o json | jq -r .height")]
    Head {
        #[command(flatten)]
        connection: Connection,
    },
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Verify { dir } => {
            let report = verify(dir)?;
            tell(&report, output)?;
            match &report.bad {
                None => Ok(()),
                Some(bad) => Err(Refusal::new(Code::LogDamaged, place(bad)).into()),
            }
        }
        Command::Head { connection } => {
            let client = connection.client()?;
            let head = converse(async { Ok(client.log_head().await?) })?;
            output.one(
                &head,
                &[
                    ("domain", head.domain.to_string()),
                    ("height", head.height.to_string()),
                    ("hash", head.hash.to_string()),
                    ("time", head.time.to_string()),
                ],
            )
        }
    }
}

fn tell(report: &Report, output: Output) -> Result<(), Failure> {
    let head = report.head.as_ref();
    let head =
        head.map_or_else(|| "none".to_owned(), |h| format!("height {}, {}", h.height, h.hash));
    let torn = report.torn.as_ref();
    output.one(
        report,
        &[
            ("log", if report.is_good() { "good" } else { "DAMAGED" }.to_owned()),
            ("batches", format!("{} with {} records", report.batches, report.records)),
            ("signatures", format!("{} good", report.signatures)),
            ("size", format!("{} bytes in {} segments", report.bytes, report.segments)),
            ("last batch", if report.unsealed { format!("{head}, not signed yet") } else { head }),
            ("torn end", torn.map_or_else(|| "none".to_owned(), place)),
        ],
    )
}

/// A place in a file, in words.
pub(super) fn place(place: &Place) -> String {
    format!("{} at byte {}: {}", place.file.display(), place.offset, place.what)
}
