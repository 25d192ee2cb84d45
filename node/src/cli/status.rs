//! `quadrille status`.

use super::Output;
use super::connect::{Connection, converse};
use super::exit::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille status --api http://127.0.0.1:4000 --token-file operator.token
  QUADRILLE_TOKEN_FILE=operator.token quadrille status -o json")]
pub(super) struct Arguments {
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let client = arguments.connection.client()?;
    let status = converse(async { Ok(client.status().await?) })?;
    let mut modes = Vec::new();
    if status.recovering {
        modes.push("recovering statements that it has lost");
    }
    if status.draining {
        modes.push("taking no new business");
    }
    if modes.is_empty() {
        modes.push("live");
    }
    output.one(
        &status,
        &[
            ("domain", status.domain.to_string()),
            ("network", status.network.to_string()),
            ("state", modes.join(", ")),
            ("version", status.version.clone()),
            ("key", format!("epoch {}, suite {}", status.epoch, status.suite)),
            ("height", format!("{} at {}", status.height, status.time)),
            ("head", status.head.to_string()),
            ("indexed", status.indexed.to_string()),
            ("peers", format!("{} up of {} known", status.peers_up, status.peers_known)),
            ("open settlements", status.open_settlements.to_string()),
            ("up for", format!("{} ms", status.uptime_ms)),
        ],
    )
}
