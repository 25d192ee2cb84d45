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
use crate::armour::FILE_BYTES;
use crate::client::Client;
use crate::evidence;
use crate::files::{self, Access};
use crate::network_file::NetworkFile;

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
    /// Check a file of evidence against the network file alone: no node, no connection
    #[command(after_help = "Examples:
  quadrille evidence verify trade.json --network network.toml
  quadrille evidence verify trade.json --network network.toml -o json | jq -r .verdict")]
    Verify {
        /// The file
        file: PathBuf,
        /// The network file: whom to trust to say who is a member
        #[arg(long, value_name = "FILE", env = "QUADRILLE_NETWORK")]
        network: PathBuf,
    },
    /// Add up attestations of an asset: is what is outstanding what holders have? No connection
    #[command(after_help = "Examples:
  quadrille evidence verify-supply a.json b.json c.json --network network.toml
Each file is an attestation as `quadrille asset attest --out` writes it, one of every bank that has
some of the asset. The exit code says whether it holds.")]
    VerifySupply {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The network file: whom to trust to say who is a member
        #[arg(long, value_name = "FILE", env = "QUADRILLE_NETWORK")]
        network: PathBuf,
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
        Command::Verify { file, network } => {
            let anchors = NetworkFile::load(network)?.anchors();
            let named = |refusal: Refusal| {
                Refusal::new(refusal.code, format!("{}: {}", file.display(), refusal.what))
            };
            let text = files::read_text(file, FILE_BYTES)?;
            let bundle = evidence::armour::read(&text).map_err(named)?;
            let report = evidence::verify_offline(&bundle, &anchors).map_err(named)?;
            output.done(&report, report.to_string().trim_end())
        }
        Command::VerifySupply { files, network } => {
            let anchors = NetworkFile::load(network)?.anchors();
            let bundle = |path: &PathBuf| {
                let text = files::read_text(path, FILE_BYTES)?;
                evidence::armour::read(&text).map_err(|refusal| {
                    Refusal::new(refusal.code, format!("{}: {}", path.display(), refusal.what))
                })
            };
            let bundles = files.iter().map(bundle).collect::<Result<Vec<_>, Refusal>>()?;
            let report = evidence::verify_supply(&bundles, &anchors)?;
            output.done(&report, &report)?;
            if report.holds {
                return Ok(());
            }
            Err(Refusal::new(Code::SupplyMismatch, "see what is missing or differs").into())
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
