//! `quadrille trust`: credit limits.

use clap::Subcommand;
use quadrille_protocol::types::Domain;

use super::Output;
use super::amount::Assets;
use super::connect::{Connection, converse};
use super::exit::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Set how much a peer may owe this bank in an asset
    #[command(after_help = "Examples:
  quadrille trust add bank-b.example \"5000000.00 EUR:bank-b.example\"
  quadrille trust add bank-b.example \"500000000 EUR:bank-b.example\" --minor")]
    Add {
        /// The peer
        domain: Domain,
        /// The most that it may owe us: NUMBER ASSET
        limit: String,
        /// The number is of minor units
        #[arg(long)]
        minor: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// List credit limits and how much of them is used
    #[command(after_help = "Examples:
  quadrille trust list
  quadrille trust list -o json")]
    List {
        /// Most rows
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Take a credit limit away: no new settlements; what is open is kept
    #[command(after_help = "Examples:
  quadrille trust remove bank-b.example EUR:bank-b.example")]
    Remove {
        /// The peer
        domain: Domain,
        /// The asset
        asset: String,
        #[command(flatten)]
        connection: Connection,
    },
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Add { domain, limit, minor, connection } => {
            let client = connection.client()?;
            converse(async {
                let assets = Assets::fetch(&client).await?;
                let (asset, amount) = assets.read(limit, *minor)?;
                let receipt = client.set_trust(domain, &asset, amount).await?;
                let shown = assets.show(&asset, amount);
                output.done(&receipt, format!("{domain} may owe this bank up to {shown}"))
            })
        }
        Command::List { limit, connection } => {
            let client = connection.client()?;
            converse(async {
                let lines = client.trust(*limit).await?;
                let assets = Assets::fetch(&client).await?;
                let columns = ["PEER", "LIMIT", "OWES US", "RESERVED", "HEADROOM", "WE OWE"];
                output.list(&lines, &columns, |line| {
                    let exposure = &line.exposure;
                    let show = |amount| assets.show(&exposure.asset, amount);
                    vec![
                        line.domain.to_string(),
                        show(exposure.limit),
                        show(exposure.claim),
                        show(exposure.reserved),
                        show(exposure.headroom),
                        show(exposure.owe),
                    ]
                })
            })
        }
        Command::Remove { domain, asset, connection } => {
            let client = connection.client()?;
            converse(async {
                let assets = Assets::fetch(&client).await?;
                let asset = &assets.find(asset)?.asset;
                let receipt = client.remove_trust(domain, asset).await?;
                output.done(&receipt, format!("{domain} is not trusted in {asset} any more"))
            })
        }
    }
}
