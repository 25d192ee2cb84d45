//! `quadrille book`.

use super::Output;
use super::amount::Assets;
use super::connect::{Connection, converse};
use super::exit::Failure;
use super::output::short;
use crate::api::dto::BookEntry;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille book
  quadrille book --give BOND:bank-a.example --want EUR:bank-b.example
  quadrille book -o json | jq -r '.[].offer'")]
pub(super) struct Arguments {
    /// Offers that give this asset
    #[arg(long, value_name = "ASSET")]
    give: Option<String>,
    /// Offers that want this asset
    #[arg(long, value_name = "ASSET")]
    want: Option<String>,
    /// Most rows
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let client = arguments.connection.client()?;
    converse(async {
        let assets = Assets::fetch(&client).await?;
        let find = |text: &Option<String>| {
            text.as_deref().map(|text| assets.find(text).map(|view| view.asset.clone())).transpose()
        };
        let (give, want) = (find(&arguments.give)?, find(&arguments.want)?);
        let entries = client.book(give.as_ref(), want.as_ref(), arguments.limit).await?;
        let columns = ["OFFER", "BANK", "AVAILABLE", "FOR AT LEAST", "MINIMUM", "EXPIRES"];
        output.list(&entries, &columns, |entry: &BookEntry| {
            vec![
                short(&entry.offer),
                if entry.ours {
                    format!("{} (ours)", entry.validator)
                } else {
                    entry.validator.to_string()
                },
                assets.show(&entry.give, entry.available),
                assets.show(&entry.want, entry.price),
                if entry.minimum_fill.is_zero() {
                    "-".to_owned()
                } else {
                    assets.show(&entry.give, entry.minimum_fill)
                },
                entry.expires.to_string(),
            ]
        })
    })
}
