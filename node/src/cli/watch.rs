//! `quadrille offer watch`: the offers of a pair as they come, change and go.

use serde::Serialize;

use super::amount::Assets;
use super::connect::{Connection, converse};
use super::exit::Failure;
use super::output::{Output, json, line, short};
use crate::api::dto::{BookEntry, EventKind, EventView};

/// What is followed.
const TYPES: [&str; 2] = ["offer.seen", "offer.gone"];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Offers that give this asset
    #[arg(long, value_name = "ASSET")]
    give: Option<String>,
    /// Offers that want this asset
    #[arg(long, value_name = "ASSET")]
    want: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// One line for programs.
#[derive(Serialize)]
struct Row<'a> {
    what: &'static str,
    time: String,
    offer: &'a BookEntry,
}

/// Follows the book until the program is ended.
pub(super) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let client = arguments.connection.client()?;
    converse(async {
        let assets = Assets::fetch(&client).await?;
        let find = |text: &Option<String>| {
            text.as_deref().map(|text| assets.find(text).map(|view| view.asset.clone())).transpose()
        };
        let (give, want) = (find(&arguments.give)?, find(&arguments.want)?);
        let mut follower = client.follow_offers(&TYPES, None, None, give.as_ref(), want.as_ref());
        loop {
            tell(&follower.next().await?.event, &assets, output)?;
        }
    })
}

fn tell(event: &EventView, assets: &Assets, output: Output) -> Result<(), Failure> {
    let what = match event.kind {
        EventKind::OfferSeen => "seen",
        EventKind::OfferGone => "gone",
        // Not asked for.
        _ => return Ok(()),
    };
    let Some(offer) = &event.offer else { return Ok(()) };
    match output {
        Output::Table => {
            let (give, want) =
                (assets.show(&offer.give, offer.available), assets.show(&offer.want, offer.price));
            let (time, id, bank) = (event.time, short(&offer.offer), &offer.validator);
            line(format!("{time}  {what}  {id}  {give} for {want}  {bank}"))
        }
        Output::Json | Output::Ndjson => {
            line(json(&Row { what, time: event.time.to_string(), offer })?)
        }
    }
}
