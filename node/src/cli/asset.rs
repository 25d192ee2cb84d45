//! `quadrille asset`.

use clap::Subcommand;
use quadrille_protocol::crypto::hash::{Tag, hash};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::Action;
use quadrille_protocol::types::{Amount, AssetCode, Country, Detail, Domain, Hash, Uai};
use sha2::{Digest, Sha256};

use super::amount::{Assets, read_number, write_number};
use super::connect::{Connection, converse};
use super::exit::Failure;
use super::output::Output;
use super::submit::OrderOptions;
use crate::api::dto::{AssetPlace, AssetView, DocumentView, NewAsset};
use crate::client::{Client, new_id};
use crate::files::{self, Access};

/// Largest document with an asset's terms.
const TERMS_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an asset known to the node, its own or another issuer's
    #[command(after_help = "Examples:
  quadrille asset register EUR --name \"Euro at bank-b\" --decimals 2
  quadrille asset register EUR --name \"Euro at bank-b\" --decimals 2 --issuer bank-b.example
An asset of another issuer must be registered with the very same values as there: they are part of
its identifier.")]
    Register(Box<Register>),
    /// Make another issuer's asset known to the node, with the profile that the issuer gives
    #[command(after_help = "Examples:
  quadrille asset fetch EUR:bank-b.example#0011223344556677
The issuer is asked over the mesh. Its answer counts only if its hash is in the identifier.")]
    Fetch {
        /// The asset, with its whole identifier
        asset: Uai,
        #[command(flatten)]
        connection: Connection,
    },
    /// List the assets that the node knows
    #[command(after_help = "Examples:
  quadrille asset list
  quadrille asset list -o ndjson | jq -r .asset")]
    List {
        /// Most rows
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show an asset
    #[command(after_help = "Examples:
  quadrille asset show EUR:bank-b.example")]
    Show {
        /// The asset, or the beginning of its identifier
        asset: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Put an asset of this bank into circulation
    #[command(after_help = "Examples:
  quadrille asset issue \"1000000.00 EUR\" --to ubi:7f… --id first-issue")]
    Issue {
        /// How much: NUMBER ASSET
        amount: String,
        /// The ledger that gets it, or its holder
        #[arg(long, value_name = "LEDGER")]
        to: String,
        /// The number is of minor units
        #[arg(long)]
        minor: bool,
        /// Your name for this issue: repeated, it happens once
        #[arg(long, value_name = "TEXT")]
        id: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Give an asset back to its issuer, the holder's bank
    #[command(after_help = "Examples:
  quadrille asset redeem \"250.00 EUR\" --ledger bob@bank-b.example")]
    Redeem {
        /// How much: NUMBER ASSET
        amount: String,
        /// The number is of minor units
        #[arg(long)]
        minor: bool,
        #[command(flatten)]
        order: Box<OrderOptions>,
    },
    /// Lock an asset of this bank: no new movements
    #[command(after_help = "Examples:
  quadrille asset lock BOND:bank-a.example")]
    Lock {
        /// The asset
        asset: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Close an asset of this bank of which nothing is left, for good
    #[command(after_help = "Examples:
  quadrille asset close BOND:bank-a.example")]
    Close {
        /// The asset
        asset: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Attest how much of an asset this bank has: issued, redeemed, with holders, owed to peers
    #[command(after_help = "Examples:
  quadrille asset attest BOND:bank-a.example --out bank-a.json
With one such file of every bank that has some of it, anybody can check that what is outstanding is
what holders have: quadrille evidence verify-supply *.json --network network.toml")]
    Attest {
        /// The asset
        asset: String,
        /// Write the evidence of it to this file
        #[arg(long, value_name = "FILE")]
        out: Option<std::path::PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Unlock an asset of this bank
    #[command(after_help = "Examples:
  quadrille asset unlock BOND:bank-a.example")]
    Unlock {
        /// The asset
        asset: String,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Register {
    /// The code: 1 to 12 capital letters and digits
    code: AssetCode,
    /// A name for people
    #[arg(long)]
    name: Detail,
    /// Decimal places of one unit: 2 for cents
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=30))]
    decimals: u8,
    /// The issuer; this bank when left out
    #[arg(long)]
    issuer: Option<Domain>,
    /// The most that may be outstanding, in units
    #[arg(long, value_name = "NUMBER")]
    supply_limit: Option<String>,
    /// A document with the terms, whose hash goes into the asset's profile
    #[arg(long, value_name = "FILE")]
    terms: Option<std::path::PathBuf>,
    /// The lowest KYC tier of a holder that may receive it
    #[arg(long, default_value_t = 0)]
    minimum_tier: u8,
    /// The smallest amount that moves, and of which all others are multiples, in units
    #[arg(long, value_name = "NUMBER")]
    denomination: Option<String>,
    /// A further document, whose SHA-256 goes into the profile; may be given several times
    #[arg(long, value_name = "NAME=FILE", value_parser = document)]
    document: Vec<(Detail, std::path::PathBuf)>,
    /// A jurisdiction whose holders may receive it, like DE; all when left out
    #[arg(long, value_name = "COUNTRY")]
    jurisdiction: Vec<Country>,
    /// A bank whose holders may receive it; all when left out
    #[arg(long, value_name = "BANK")]
    holders: Vec<Domain>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Register(register) => register.run(output),
        Command::Fetch { asset, connection } => {
            let client = connection.client()?;
            let known = converse(async { Ok(client.fetch_asset(asset).await?) })?;
            output.done(&known, format!("{} is {}", known.asset, known.name))
        }
        Command::List { limit, connection } => {
            let client = connection.client()?;
            list(&converse(async { Ok(client.assets(*limit).await?) })?, output)
        }
        Command::Show { asset, connection } => {
            let client = connection.client()?;
            let assets = converse(Assets::fetch(&client))?;
            let asset = assets.find(asset)?.asset.clone();
            show(&converse(async { Ok(client.asset(&asset).await?) })?, output)
        }
        Command::Issue { amount, to, minor, id, connection } => {
            let client = connection.client()?;
            let id = id.clone().unwrap_or_else(new_id);
            converse(async {
                let assets = Assets::fetch(&client).await?;
                let (asset, amount) = assets.read(amount, *minor)?;
                let to = super::ledger::resolve(&client, to).await?;
                let receipt = client.issue(&asset, to, amount, &id).await.map_err(|error| {
                    Failure::from(error).with_remedy(&format!("Its --id is {id}."))
                })?;
                output.done(&receipt, format!("issued {} to {to}", assets.show(&asset, amount)))
            })
        }
        Command::Redeem { amount, minor, order } => {
            let intent = format!("asset redeem {amount:?} --minor={minor}");
            order.submit(&intent, None, output, async |desk| {
                let (asset, amount) = Assets::fetch(desk.client).await?.read(amount, *minor)?;
                Ok(Action::Redeem { asset, amount })
            })
        }
        Command::Lock { asset, connection } => lock(&connection.client()?, asset, true, output),
        Command::Close { asset, connection } => {
            let client = connection.client()?;
            converse(async {
                let assets = Assets::fetch(&client).await?;
                let asset = &assets.find(asset)?.asset;
                let receipt = client.close_asset(asset, &new_id()).await?;
                output.done(&receipt, format!("{asset} is closed"))
            })
        }
        Command::Attest { asset, out, connection } => {
            attest(&connection.client()?, asset, out.as_deref(), output)
        }
        Command::Unlock { asset, connection } => lock(&connection.client()?, asset, false, output),
    }
}

impl Register {
    fn run(&self, output: Output) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let limit = self.supply_limit.as_deref();
        let terms: Option<Hash> = match &self.terms {
            Some(path) => Some(hash(Tag::AssetProfile, &[&files::read(path, TERMS_BYTES)?])),
            None => None,
        };
        let asset = NewAsset {
            code: self.code,
            issuer: self.issuer.clone(),
            name: self.name.clone(),
            decimals: self.decimals,
            supply_limit: limit.map(|text| read_number(text, self.decimals, false)).transpose()?,
            terms,
            minimum_tier: self.minimum_tier,
            denomination: self
                .denomination
                .as_deref()
                .map(|text| read_number(text, self.decimals, false))
                .transpose()?,
            documents: self.document.iter().map(hashed).collect::<Result<_, _>>()?,
            jurisdictions: self.jurisdiction.clone(),
            holders: self.holders.clone(),
        };
        converse(async {
            let known = client.register_asset(&asset, &new_id()).await?;
            output.done(&known, known.asset.to_string())
        })
    }
}

/// `NAME=FILE`.
fn document(text: &str) -> Result<(Detail, std::path::PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("NAME=FILE is wanted")?;
    let name = name.parse::<Detail>().map_err(|refusal| refusal.to_string())?;
    Ok((name, path.into()))
}

fn hashed((name, path): &(Detail, std::path::PathBuf)) -> Result<DocumentView, Failure> {
    let bytes = files::read(path, TERMS_BYTES)?;
    Ok(DocumentView { name: name.clone(), hash: Hash(Sha256::digest(&bytes).into()) })
}

fn attest(
    client: &Client,
    asset: &str,
    out: Option<&std::path::Path>,
    output: Output,
) -> Result<(), Failure> {
    converse(async {
        let assets = Assets::fetch(client).await?;
        let asset = &assets.find(asset)?.asset;
        client.attest_asset(asset, &new_id()).await?;
        let armour = client.attestation(asset).await?;
        let Some(path) = out else {
            return output.done(&armour, format!("attested {asset}; --out writes the evidence"));
        };
        let mut text = serde_json::to_string_pretty(&armour)
            .map_err(|error| Refusal::new(Code::BadAnswer, error.to_string()))?;
        text.push('\n');
        files::create(path, text.as_bytes(), Access::Public)?;
        output.done(&armour, format!("attestation of {asset} written to {}", path.display()))
    })
}

fn lock(client: &Client, asset: &str, locked: bool, output: Output) -> Result<(), Failure> {
    converse(async {
        let assets = Assets::fetch(client).await?;
        let asset = &assets.find(asset)?.asset;
        let receipt = client.lock_asset(asset, locked, &new_id()).await?;
        let word = if locked { "locked" } else { "unlocked" };
        output.done(&receipt, format!("{asset} is {word}"))
    })
}

fn list(assets: &[AssetView], output: Output) -> Result<(), Failure> {
    let columns = ["ASSET", "NAME", "DECIMALS", "OUTSTANDING", "LOCKED"];
    output.list(assets, &columns, |view| {
        vec![
            view.asset.to_string(),
            view.name.clone(),
            view.decimals.to_string(),
            outstanding(view),
            if view.locked { "yes".to_owned() } else { "no".to_owned() },
        ]
    })
}

fn show(view: &AssetView, output: Output) -> Result<(), Failure> {
    let number = |amount| write_number(amount, view.decimals);
    let limit = view.supply_limit.map_or_else(|| "none".to_owned(), number);
    output.one(
        view,
        &[
            ("asset", view.asset.to_string()),
            ("name", view.name.clone()),
            ("issuer", view.issuer.to_string()),
            ("decimals", view.decimals.to_string()),
            ("supply limit", limit),
            ("terms", view.terms.to_string()),
            ("documents", documents(view)),
            ("minimum tier", view.minimum_tier.to_string()),
            ("jurisdictions", listed(&view.jurisdictions)),
            ("holders at", listed(&view.holders)),
            ("denomination", number(view.denomination)),
            ("issued", ours(view, view.issued)),
            ("redeemed", ours(view, view.redeemed)),
            ("outstanding", outstanding(view)),
            ("on this node", here(view)),
            ("elsewhere", places(view)),
            ("locked", view.locked.to_string()),
            ("closed", view.closed.to_string()),
        ],
    )
}

fn outstanding(view: &AssetView) -> String {
    if view.ours {
        write_number(view.issued.minus_or_zero(view.redeemed), view.decimals)
    } else {
        "-".to_owned()
    }
}

fn ours(view: &AssetView, amount: Amount) -> String {
    if view.ours { write_number(amount, view.decimals) } else { "-".to_owned() }
}

fn listed(items: &[impl ToString]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    if items.is_empty() { "all".to_owned() } else { items.join(", ") }
}

fn documents(view: &AssetView) -> String {
    let line = |known: &DocumentView| format!("{} {}", known.name, known.hash);
    let lines: Vec<String> = view.documents.iter().map(line).collect();
    if lines.is_empty() { "none".to_owned() } else { lines.join("\n") }
}

/// Where else the asset is, as far as this domain owes it to peers or is owed by them.
fn places(view: &AssetView) -> String {
    let number = |amount| write_number(amount, view.decimals);
    let line = |at: &AssetPlace| match at.claim.is_zero() {
        true => format!("{} at {}", number(at.there), at.domain),
        false => format!("{} owed to us by {}", number(at.claim), at.domain),
    };
    let lines: Vec<String> = view.places.iter().map(line).collect();
    if lines.is_empty() { "-".to_owned() } else { lines.join("\n") }
}

/// What of an asset is on the node; in the list it is left out.
fn here(view: &AssetView) -> String {
    let number = |amount| write_number(amount, view.decimals);
    view.here.as_ref().map_or_else(
        || "-".to_owned(),
        |here| format!("{} free, {} held", number(here.free), number(here.held)),
    )
}
