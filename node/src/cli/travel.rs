//! `quadrille travel-rule`: from which amount on payments say who pays whom.

use clap::Subcommand;

use super::amount::Assets;
use super::connect::{Connection, converse};
use super::exit::Failure;
use super::output::Output;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Ask for the data of payer and payee from an amount on
    #[command(after_help = "Examples:
  quadrille travel-rule set \"1000.00 EUR:bank-b.example\"")]
    Set {
        /// The amount: NUMBER ASSET
        from: String,
        /// The number is of minor units
        #[arg(long)]
        minor: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// List the amounts
    #[command(after_help = "Examples:
  quadrille travel-rule list -o json")]
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Ask for the data no more
    #[command(after_help = "Examples:
  quadrille travel-rule remove EUR:bank-b.example")]
    Remove {
        /// The asset
        asset: String,
        #[command(flatten)]
        connection: Connection,
    },
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Set { from, minor, connection } => {
            let client = connection.client()?;
            converse(async {
                let assets = Assets::fetch(&client).await?;
                let (asset, from) = assets.read(from, *minor)?;
                let receipt = client.set_travel_rule(&asset, Some(from)).await?;
                let shown = assets.show(&asset, from);
                output.done(&receipt, format!("payments from {shown} on say who pays whom"))
            })
        }
        Command::List { connection } => {
            let client = connection.client()?;
            converse(async {
                let rules = client.travel_rules().await?;
                let assets = Assets::fetch(&client).await?;
                output.list(&rules, &["ASSET", "FROM"], |rule| {
                    vec![rule.asset.to_string(), assets.show(&rule.asset, rule.from)]
                })
            })
        }
        Command::Remove { asset, connection } => {
            let client = connection.client()?;
            converse(async {
                let assets = Assets::fetch(&client).await?;
                let asset = &assets.find(asset)?.asset;
                let receipt = client.set_travel_rule(asset, None).await?;
                output.done(&receipt, format!("payments of {asset} need no data"))
            })
        }
    }
}
