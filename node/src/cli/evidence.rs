//! `quadrille evidence`.

use std::path::PathBuf;

use clap::Subcommand;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{Height, Sequence};

use super::connect::{Connection, converse};
use super::exit::Failure;
use super::output::{Output, line};
use super::trade;
use crate::api::dto::Armour;
use crate::client::Client;
use crate::files::{self, Access};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Fetch evidence: of a settlement, of a ledger's entry, of one record
    #[command(after_help = "Examples:
  quadrille evidence get stl:0a4f… --out trade.json      all that this node holds about it
  quadrille evidence get ubi:7f…/12 --out entry.json     the twelfth entry of a ledger
  quadrille evidence get 118/3 > record.json             the record at height 118, leaf 3")]
    Get {
        /// stl:…, ubi:…/SEQUENCE or HEIGHT/LEAF
        what: String,
        /// Write it to this file rather than to standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Get { what, out, connection } => {
            let client = connection.client()?;
            let armour = converse(get(&client, what))?;
            let mut text = serde_json::to_string_pretty(&armour)
                .map_err(|error| Refusal::new(Code::BadAnswer, error.to_string()))?;
            match out {
                None => line(text),
                Some(path) => {
                    text.push('\n');
                    files::create(path, text.as_bytes(), Access::Public)?;
                    let kind = &armour.quadrille;
                    output.done(&armour, format!("{kind} written to {}", path.display()))
                }
            }
        }
    }
}

async fn get(client: &Client, what: &str) -> Result<Armour, Failure> {
    if what.starts_with("stl:") {
        let id = trade::resolve(client, what).await?;
        return Ok(client.settlement_evidence(&id).await?);
    }
    let wanted = || Failure::usage(format!("`{what}`: stl:…, ubi:…/SEQUENCE or HEIGHT/LEAF"));
    let (first, second) = what.split_once('/').ok_or_else(wanted)?;
    if first.starts_with("ubi:") {
        let sequence: Sequence = second.parse()?;
        return Ok(client.entry_evidence(&first.parse()?, sequence).await?);
    }
    let height: Height = first.parse()?;
    let leaf: u32 = second.parse().map_err(|_| wanted())?;
    Ok(client.evidence(height, leaf).await?)
}
