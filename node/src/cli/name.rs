//! `quadrille name`.

use quadrille_protocol::types::Holder;

use super::amount::Assets;
use super::connect::{Connection, converse};
use super::exit::Failure;
use super::output::Output;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille name alice@bank-b.example
  quadrille name alice@bank-b.example --asset EUR:bank-b.example --fresh
The holder's bank is asked over the mesh and signs its answer. An answer is used again until it
expires; --fresh asks anew. Q-2501 there is no such holder, Q-2502 it has closed its ledgers,
Q-2503 the bank does not tell this bank, Q-2504 the bank cannot be asked now, Q-1205 there is no
such bank.")]
pub(super) struct Arguments {
    /// The name
    holder: Holder,
    /// The asset that is to arrive: among several ledgers, one that takes it
    #[arg(long)]
    asset: Option<String>,
    /// Ask the bank although its last answer still counts
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let client = arguments.connection.client()?;
    let name = converse(async {
        let asset = match &arguments.asset {
            Some(text) => Some(Assets::fetch(&client).await?.find(text)?.asset.clone()),
            None => None,
        };
        Ok(client.name(&arguments.holder, asset.as_ref(), arguments.fresh).await?)
    })?;
    let assets: Vec<String> = name.assets.iter().map(ToString::to_string).collect();
    let said = if name.cached { "before, and it still counts" } else { "now" };
    output.one(
        &name,
        &[
            ("holder", name.holder.to_string()),
            ("ledger", name.ledger.to_string()),
            ("validator", name.validator.to_string()),
            ("assets", if assets.is_empty() { "all".to_owned() } else { assets.join("\n") }),
            ("tier", name.tier.to_string()),
            ("expires", name.expires.to_string()),
            ("asked", said.to_owned()),
        ],
    )
}
