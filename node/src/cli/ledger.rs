//! `quadrille ledger`.

mod identity;
pub(super) mod rules;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::ledger::opening::Rules;
use quadrille_protocol::ledger::{Opening, SignedOpening};
use quadrille_protocol::limits;
use quadrille_protocol::types::{Country, Hash, Holder, Network, Ubi};
use serde::Serialize;

use super::amount::Assets;
use super::connect::{Connection, converse};
use super::exit::Failure;
use super::output::{Output, or_dash, short};
use super::{OpenWallet, replace, statement};
use crate::api::dto::{
    EntryView, LedgerStatus, LedgerSummary, LedgerView, MovementKind, MovementView, Receipt,
};
use crate::armour::{self, Kind};
use crate::client::{Client, new_id};
use crate::signer::passphrase;
use crate::wallet::Wallet;
use quadrille_protocol::policy::identity::Identity;

/// Largest signed opening.
const OPENING_BYTES: usize = limits::ORDER_BYTES;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Open a ledger: the holder signs, the bank's operator approves
    #[command(after_help = "Examples:
  quadrille ledger open alice@bank-a.example --wallet ~/wallet
  quadrille ledger open alice@bank-a.example --wallet ~/wallet --network demo --out alice.json
  quadrille ledger open alice@bank-a.example --wallet ~/wallet --identity me.json --jurisdiction DE
  quadrille ledger approve alice.json
With an operator's token both happen at once; with --out the signed opening is only written to a
file, for the bank to approve.
The identity is a person as IVMS101 has it, in JSON. The holder signs its salted hash; the data
themselves stay at the bank, sealed. With --out they are written beside, to FILE.identity.")]
    Open(Box<Open>),
    /// Approve an opening that a holder has signed
    #[command(after_help = "Examples:
  quadrille ledger approve alice.json --token-file operator.token")]
    Approve {
        /// The file that `ledger open --out` has written
        file: PathBuf,
        /// The holder's data, which `ledger open --identity --out` has written
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show the personal data of a ledger's holder, or put them back
    #[command(after_help = "Examples:
  quadrille ledger identity ubi:7f… --token-file operator.token
  quadrille ledger identity ubi:7f… --restore alice.json.identity
Every look is written to the node's log.")]
    Identity {
        /// The ledger: ubi:…, or its holder
        ledger: String,
        /// Put the data in this file back into the node's vault
        #[arg(long, value_name = "FILE")]
        restore: Option<PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
    /// List ledgers
    #[command(after_help = "Examples:
  quadrille ledger list
  quadrille ledger list --holder alice@bank-a.example")]
    List {
        /// Of one holder
        #[arg(long)]
        holder: Option<Holder>,
        /// Most rows
        #[arg(long, default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show a ledger: balances, rules, the last entry
    #[command(after_help = "Examples:
  quadrille ledger show alice@bank-a.example
  quadrille ledger show ubi:7f… -o json")]
    Show {
        /// The ledger: ubi:…, or its holder
        ledger: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// List a ledger's entries
    #[command(after_help = "Examples:
  quadrille ledger entries alice@bank-a.example
  quadrille ledger entries ubi:7f… --limit 1000 -o ndjson")]
    Entries {
        /// The ledger: ubi:…, or its holder
        ledger: String,
        /// Most rows
        #[arg(long, default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show a statement of account: every entry with the balance after it
    #[command(after_help = "Examples:
  quadrille ledger statement alice@bank-a.example
  quadrille ledger statement ubi:7f… -o ndjson")]
    Statement {
        /// The ledger: ubi:…, or its holder
        ledger: String,
        /// Most entries, from the first on: the balances need them all
        #[arg(long, default_value_t = 1_000_000)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Prove that you have the key that is to replace a lost one
    #[command(after_help = "Examples:
  quadrille holder new alice@bank-a.example --wallet ~/new-wallet
  quadrille ledger prove-key alice@bank-a.example --wallet ~/new-wallet --out proof.json
Then the bank, which must know that it is you: quadrille ledger replace-key proof.json --reason …")]
    ProveKey(Box<replace::ProveKey>),
    /// Give a ledger another key, because its holder has lost it; the ledger shows it and why
    #[command(after_help = "Examples:
  quadrille ledger replace-key proof.json --reason \"device stolen, passport seen\"")]
    ReplaceKey(Box<replace::ReplaceKey>),
    /// Set a ledger's rules: daily limits, second key, assets, backups; all of them at once
    #[command(after_help = "Examples:
  quadrille ledger rules --ledger alice@bank-a.example --daily-limit \"500.00 EUR:bank-b.example\" \\
      --new-second-wallet /media/stick/wallet
  quadrille ledger rules --ledger alice@bank-a.example --second-wallet /media/stick/wallet
What is left out is no rule any more. Where there is a second key, it must sign too.")]
    Rules(Box<rules::SetRules>),
    /// Change a ledger's key to the same holder's key in another wallet
    #[command(after_help = "Examples:
  quadrille holder new alice@bank-a.example --wallet NEW-WALLET
  quadrille ledger rotate-key --ledger alice@bank-a.example --new-wallet NEW-WALLET
From then on orders are signed in the new wallet.")]
    RotateKey(Box<rules::RotateKey>),
    /// Close an empty ledger for good
    #[command(after_help = "Examples:
  quadrille ledger close --ledger alice@bank-a.example")]
    Close(Box<rules::Close>),
    /// Freeze a ledger: no new orders; what is promised is kept
    #[command(after_help = "Examples:
  quadrille ledger freeze ubi:7f…")]
    Freeze {
        /// The ledger
        ledger: Ubi,
        #[command(flatten)]
        connection: Connection,
    },
    /// Let a frozen ledger take orders again
    #[command(after_help = "Examples:
  quadrille ledger unfreeze ubi:7f…")]
    Unfreeze {
        /// The ledger
        ledger: Ubi,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Open {
    /// The holder; its key must be in the wallet
    holder: Holder,
    /// Tells several ledgers of one holder apart
    #[arg(long, default_value_t = 0)]
    number: u32,
    /// The holder's KYC tier, as the bank grants it
    #[arg(long, default_value_t = 1)]
    tier: u8,
    /// A file with who the holder is: a person as IVMS101 has it, in JSON
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Where the holder is resident or incorporated: ISO 3166-1, like DE
    #[arg(long, value_name = "COUNTRY")]
    jurisdiction: Option<Country>,
    #[command(flatten)]
    rules: rules::RuleOptions,
    #[command(flatten)]
    second: rules::SecondKey,
    /// Only write the signed opening to this file, for the bank to approve
    #[arg(long, value_name = "FILE", requires = "network")]
    out: Option<PathBuf>,
    /// The network; asked of the node when left out
    #[arg(long)]
    network: Option<Network>,
    #[command(flatten)]
    wallet: OpenWallet,
    #[command(flatten)]
    connection: Connection,
}

/// What people see of a signed opening in its file.
#[derive(Serialize)]
struct Readable {
    network: String,
    holder: String,
    number: u32,
    tier: u8,
    suite: String,
    key: String,
    ledger: String,
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Open(open) => open.run(output),
        Command::Approve { file, identity, connection } => {
            let bytes = armour::load(Kind::LedgerOpening, file)?;
            let signed = codec::decode::<SignedOpening, OPENING_BYTES>(&bytes)?;
            let identity = identity.as_deref().map(identity::load).transpose()?;
            let client = connection.client()?;
            let open = async { Ok(client.open_ledger_of(&signed, identity).await?) };
            opened(&signed.opening, &converse(open)?, output)
        }
        Command::Identity { ledger, restore, connection } => {
            identity::run(&connection.client()?, ledger, restore.as_deref(), output)
        }
        Command::List { holder, limit, connection } => {
            let client = connection.client()?;
            let ledgers = converse(async { Ok(client.ledgers(holder.as_ref(), *limit).await?) })?;
            list(&ledgers, output)
        }
        Command::Show { ledger, connection } => {
            let client = connection.client()?;
            converse(async {
                let ubi = resolve(&client, ledger).await?;
                let view = client.ledger(&ubi).await?;
                show(&view, &Assets::fetch(&client).await?, output)
            })
        }
        Command::Entries { ledger, limit, connection } => {
            let client = connection.client()?;
            converse(async {
                let ubi = resolve(&client, ledger).await?;
                let entries = client.entries(&ubi, *limit).await?;
                list_entries(&entries, &Assets::fetch(&client).await?, output)
            })
        }
        Command::Statement { ledger, limit, connection } => {
            let client = connection.client()?;
            converse(async {
                let ubi = resolve(&client, ledger).await?;
                let entries = client.entries(&ubi, *limit).await?;
                statement::show(&entries, &Assets::fetch(&client).await?, output)
            })
        }
        Command::ProveKey(prove) => prove.run(output),
        Command::ReplaceKey(replace) => replace.run(output),
        Command::Rules(rules) => rules.run(output),
        Command::RotateKey(rotate) => rotate.run(output),
        Command::Close(close) => close.run(output),
        Command::Freeze { ledger, connection } => {
            freeze(&connection.client()?, ledger, true, output)
        }
        Command::Unfreeze { ledger, connection } => {
            freeze(&connection.client()?, ledger, false, output)
        }
    }
}

impl Open {
    fn run(&self, output: Output) -> Result<(), Failure> {
        let wallet = Wallet::open(&self.wallet.dir.wallet)?;
        // First what can be refused without a passphrase.
        let holder = wallet.holder(&self.holder)?;
        let client = match &self.out {
            Some(_) => None,
            None => Some(self.connection.client()?),
        };
        let network = match (&self.network, &client) {
            (Some(network), _) => network.clone(),
            (None, Some(client)) => converse(async { Ok(client.status().await?) })?.network,
            (None, None) => return Err(Failure::usage("--out needs --network")),
        };
        let prompt = format!("Passphrase of the wallet, for {}: ", self.holder);
        let secret = passphrase::read(self.wallet.passphrase_file.as_deref(), &prompt)?;
        let key = wallet.unlock(&self.holder, &secret)?;
        let identity = self.identity.as_deref().map(identity::draw).transpose()?;
        let opening = Opening {
            network,
            holder: self.holder.clone(),
            number: self.number,
            key: holder.key,
            tier: self.tier,
            jurisdiction: self.jurisdiction(identity.as_ref()),
            identity: identity.as_ref().map_or(Hash::ZERO, Identity::hash),
            rules: self.rules(client.as_ref())?,
        };
        let signature = key.sign(Tag::Opening, &codec::encode(&opening));
        let signed = SignedOpening { opening, signature };
        wallet.note_ledger(&signed.opening)?;
        let view = identity.as_ref().map(identity::view).transpose()?;
        match (&self.out, client) {
            (Some(path), _) => {
                if let Some(view) = &view {
                    identity::save(path, view)?;
                }
                written(path, &signed, output)
            }
            (None, Some(client)) => {
                let open = async { Ok(client.open_ledger_of(&signed, view).await?) };
                opened(&signed.opening, &converse(open)?, output)
            }
            (None, None) => Err(Failure::usage("--out needs --network")),
        }
    }
}

impl Open {
    fn rules(&self, client: Option<&Client>) -> Result<Rules, Failure> {
        let second = self.second.public(&self.holder)?;
        let assets = match client {
            Some(client) if self.rules.name_assets() => Some(converse(Assets::fetch(client))?),
            None if self.rules.name_assets() => {
                return Err(Failure::usage("with --out no asset can be named: set it afterwards"));
            }
            Some(_) | None => None,
        };
        self.rules.read(assets.as_ref(), second)
    }

    /// As said, else where the holder's data have it.
    fn jurisdiction(&self, identity: Option<&Identity>) -> Country {
        let named = identity.and_then(|identity| identity.person.country());
        self.jurisdiction.or(named).unwrap_or(Country::UNKNOWN)
    }
}

fn written(path: &Path, signed: &SignedOpening, output: Output) -> Result<(), Failure> {
    let opening = &signed.opening;
    let readable = Readable {
        network: opening.network.to_string(),
        holder: opening.holder.to_string(),
        number: opening.number,
        tier: opening.tier,
        suite: opening.key.suite().to_string(),
        key: opening.key.id().to_string(),
        ledger: opening.ubi().to_string(),
    };
    armour::save(Kind::LedgerOpening, path, &codec::encode(signed), &readable)?;
    let sentence = format!("{} is in {}, for the bank to approve", opening.ubi(), path.display());
    output.done(&readable, sentence)
}

fn opened(opening: &Opening, receipt: &Receipt, output: Output) -> Result<(), Failure> {
    output.done(receipt, format!("{} of {} is open", opening.ubi(), opening.holder))
}

/// The ledger that `text` names: its identifier, or its holder where that has just one.
pub(super) async fn resolve(client: &Client, text: &str) -> Result<Ubi, Failure> {
    if text.starts_with("ubi:") {
        return text.parse::<Ubi>().map_err(Failure::from);
    }
    let (name, number) = match text.split_once('/') {
        None => (text, None),
        Some((name, number)) => (name, Some(number)),
    };
    let holder: Holder = name.parse()?;
    let ledgers = client.ledgers(Some(&holder), 1000).await?;
    let wanted = |row: &&LedgerSummary| number.is_none_or(|n| row.number.to_string() == n);
    let found: Vec<&LedgerSummary> = ledgers.iter().filter(wanted).collect();
    match found.as_slice() {
        [row] => Ok(row.ledger),
        [] => {
            Err(Refusal::new(quadrille_protocol::error::Code::UnknownLedger, format!("`{text}`"))
                .into())
        }
        [_, _, ..] => {
            Err(Failure::usage(format!("{holder} has several ledgers: write {holder}/NUMBER")))
        }
    }
}

fn freeze(client: &Client, ledger: &Ubi, frozen: bool, output: Output) -> Result<(), Failure> {
    let receipt = converse(async { Ok(client.freeze(ledger, frozen, &new_id()).await?) })?;
    let word = if frozen { "frozen" } else { "open again" };
    output.done(&receipt, format!("{ledger} is {word}"))
}

fn list(ledgers: &[LedgerSummary], output: Output) -> Result<(), Failure> {
    output.list(ledgers, &["LEDGER", "HOLDER", "NUMBER", "STATUS", "ENTRIES"], |row| {
        vec![
            row.ledger.to_string(),
            row.holder.to_string(),
            row.number.to_string(),
            status(row.status).to_owned(),
            row.sequence.to_string(),
        ]
    })
}

fn show(view: &LedgerView, assets: &Assets, output: Output) -> Result<(), Failure> {
    let balance = |balance: &crate::api::dto::BalanceView| {
        let show = |amount| assets.show(&balance.asset, amount);
        format!("{} free, {} held", show(balance.free), show(balance.held))
    };
    let balances: Vec<String> = view.balances.iter().map(balance).collect();
    let balances = if balances.is_empty() { "none".to_owned() } else { balances.join("\n") };
    output.one(
        view,
        &[
            ("ledger", view.ledger.to_string()),
            ("holder", format!("{} (number {}, tier {})", view.holder, view.number, view.tier)),
            ("status", status(view.status).to_owned()),
            ("balances", balances),
            ("jurisdiction", or_dash(view.jurisdiction.as_ref())),
            ("assets", listed(&view.rules.assets, "all")),
            ("daily limits", limits(view, assets)),
            ("second key", or_dash(view.rules.second_key.as_ref())),
            ("backups", listed(&view.rules.backups, "none")),
            ("open settlements", view.open_settlements.to_string()),
            ("key", format!("{} (suite {})", view.key, view.suite)),
            ("last entry", format!("{} {}", view.sequence, view.head)),
        ],
    )
}

fn listed(items: &[impl ToString], none: &str) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    if items.is_empty() { none.to_owned() } else { items.join("\n") }
}

fn limits(view: &LedgerView, assets: &Assets) -> String {
    let limits = view.rules.daily_limits.iter();
    let limits: Vec<String> = limits.map(|limit| assets.show(&limit.asset, limit.amount)).collect();
    listed(&limits, "none")
}

fn list_entries(entries: &[EntryView], assets: &Assets, output: Output) -> Result<(), Failure> {
    output.list(entries, &["ENTRY", "TIME", "CAUSE", "MOVED", "ORDER", "SETTLEMENT"], |entry| {
        let moved: Vec<String> =
            entry.movements.iter().map(|movement| moved(movement, assets)).collect();
        vec![
            entry.sequence.to_string(),
            entry.time.to_string(),
            entry.cause.clone(),
            if moved.is_empty() { "-".to_owned() } else { moved.join("\n") },
            entry.order.map_or_else(|| "-".to_owned(), |order| short(&order)),
            entry.settlement.map_or_else(|| "-".to_owned(), |settlement| short(&settlement)),
        ]
    })
}

fn moved(movement: &MovementView, assets: &Assets) -> String {
    let word = match movement.kind {
        MovementKind::Credit => "credit",
        MovementKind::Debit => "debit",
        MovementKind::Hold => "hold",
        MovementKind::Release => "release",
        MovementKind::Spend => "spend",
    };
    format!("{word} {}", assets.show(&movement.asset, movement.amount))
}

const fn status(status: LedgerStatus) -> &'static str {
    match status {
        LedgerStatus::Open => "open",
        LedgerStatus::Frozen => "frozen",
        LedgerStatus::Closed => "closed",
    }
}
