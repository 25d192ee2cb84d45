//! `quadrille path`: the ways that a payment could take.

use quadrille_protocol::types::Domain;

use super::Output;
use super::amount::{Assets, read_number};
use super::connect::{Connection, converse};
use super::exit::Failure;
use crate::api::dto::{PathBy, PathLegView, PathView};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille path bank-d.example 250.00 EUR:bank-b.example
  quadrille path bank-d.example 250.00 USD:bank-c.example --spend EUR:bank-b.example -o json")]
pub(super) struct Arguments {
    /// The payee's bank, or somebody there
    to: String,
    /// How much is to arrive
    amount: String,
    /// What is to arrive
    asset: String,
    /// What to pay with, where that is another asset
    #[arg(long, value_name = "ASSET")]
    spend: Option<String>,
    /// The number is of minor units
    #[arg(long)]
    minor: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let client = arguments.connection.client()?;
    let to = arguments.to.rsplit('@').next().unwrap_or_default();
    let to: Domain = to.parse()?;
    converse(async {
        let assets = Assets::fetch(&client).await?;
        let view = assets.find(&arguments.asset)?;
        let amount = read_number(&arguments.amount, view.decimals, arguments.minor)?;
        let spend = match &arguments.spend {
            Some(text) => &assets.find(text)?.asset,
            None => &view.asset,
        };
        let paths = client.paths(&to, (&view.asset, amount), spend, None).await?;
        output.list(&paths, &["COST", "BANKS", "WAY"], |path: &PathView| {
            let legs = path.legs.iter().map(|leg| leg_words(&assets, leg));
            vec![
                assets.show(&path.spend, path.cost),
                path.parties.to_string(),
                legs.collect::<Vec<_>>().join(", "),
            ]
        })
    })
}

fn leg_words(assets: &Assets, leg: &PathLegView) -> String {
    let what = assets.show(&leg.asset, leg.amount);
    let by = match leg.by {
        PathBy::Payee => "arrives",
        PathBy::Transit => "passes on",
        PathBy::Offer => "is converted",
    };
    format!("{what} {by} at {}", leg.domain)
}
