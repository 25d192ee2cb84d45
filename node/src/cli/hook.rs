//! `quadrille hook`: events that a node posts to other systems.

use std::io::Read as _;
use std::path::PathBuf;

use clap::Subcommand;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::Duration;
use serde::Serialize;
use zeroize::Zeroizing;

use super::amount::Assets;
use super::connect::{Connection, converse};
use super::exit::Failure;
use super::ledger;
use super::output::{Output, or_dash};
use super::{span, token};
use crate::api::dto::{NewSubscription, SubscriptionState, SubscriptionView};
use crate::client::new_id;
use crate::files;
use crate::hooks::sign;

/// Largest secret file.
const SECRET_FILE_BYTES: usize = 4096;
/// Largest body of a delivery.
const BODY_BYTES: usize = 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Have events posted to an address, signed, each at least once and in order
    #[command(after_help = "Examples:
  quadrille hook add https://desk.example/quadrille --types settlement.final,ledger.entry \\
      --secret-file desk.secret
  quadrille hook add https://desk.example/quadrille --ledger alice@bank-a.example --after 0.0.0 \\
      --secret-file desk.secret
The secret file is written when it is not there (0600), and read when it is.
Types: ledger.entry, order.refused, take.refused, offer.posted, offer.closed, settlement.step,
settlement.final, peer.suspended, peer.lifted, trust.changed, asset.changed, member.changed,
recovery.started, recovery.record, recovery.done; live, each posted once: offer.seen, offer.gone.")]
    Add(Box<Add>),
    /// List subscriptions: how far each has come, and what holds it up
    #[command(after_help = "Examples:
  quadrille hook list
  quadrille hook list -o json")]
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Take a subscription away
    #[command(after_help = "Examples:
  quadrille hook remove h-0a1b2c3d")]
    Remove {
        /// The subscription
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Try a subscription's next event at once, also after a pause
    #[command(after_help = "Examples:
  quadrille hook resume h-0a1b2c3d")]
    Resume {
        /// The subscription
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Post a delivery that only shows that deliveries arrive
    #[command(after_help = "Examples:
  quadrille hook test h-0a1b2c3d")]
    Test {
        /// The subscription
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Check the signature of a delivery, as its receiver does
    #[command(after_help = "Examples:
  quadrille hook verify --secret-file desk.secret --signature \"$HEADER\" < body.json
  quadrille hook verify --secret-file desk.secret --signature \"t=1700000000,v1=6f…\" body.json
The body is to be as it came, byte for byte.")]
    Verify {
        /// The body; standard input when left out
        body: Option<PathBuf>,
        /// The subscription's secret
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
        /// The header Quadrille-Signature
        #[arg(long, value_name = "HEADER")]
        signature: String,
        /// How old a delivery may be
        #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = span::argument)]
        tolerance: Duration,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// Where events are posted to
    url: String,
    /// Only these types, with commas between them; all that come from the log when left out
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    types: Vec<String>,
    /// Only events of this ledger
    #[arg(long, value_name = "LEDGER")]
    ledger: Option<String>,
    /// Only events of offers that give this asset
    #[arg(long, value_name = "ASSET")]
    give: Option<String>,
    /// Only events of offers that want this asset
    #[arg(long, value_name = "ASSET")]
    want: Option<String>,
    /// Begin after the event with this id; 0.0.0 for the beginning of the log
    #[arg(long, value_name = "EVENT")]
    after: Option<String>,
    /// The secret under which deliveries are signed: read from this file, or made and written to it
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Add(add) => run_add(add, output),
        Command::List { connection } => {
            let client = connection.client()?;
            let all = converse(async { Ok(client.subscriptions().await?) })?;
            let columns = ["ID", "STATE", "AFTER", "TYPES", "URL", "TROUBLE"];
            output.list(&all, &columns, row)
        }
        Command::Remove { id, connection } => {
            let client = connection.client()?;
            let gone = converse(async { Ok(client.unsubscribe(id).await?) })?;
            output.done(&gone, format!("nothing more is sent to {}", gone.url))
        }
        Command::Resume { id, connection } => {
            let client = connection.client()?;
            let view = converse(async { Ok(client.resume_subscription(id).await?) })?;
            output.done(&view, format!("{id} goes on after {}", view.after))
        }
        Command::Test { id, connection } => {
            let client = connection.client()?;
            let view = converse(async { Ok(client.test_subscription(id).await?) })?;
            output.done(&view, format!("{} has taken a test delivery", view.url))
        }
        Command::Verify { body, secret_file, signature, tolerance } => {
            let secret = read_secret(secret_file)?;
            let body = read_body(body.as_ref())?;
            let sent = sign::verify(&secret, signature, &body, span::now()?, *tolerance)?;
            output.done(&Verified { sent: sent.to_string() }, format!("it fits; sent at {sent}"))
        }
    }
}

/// A delivery whose signature fits.
#[derive(Serialize)]
struct Verified {
    sent: String,
}

fn run_add(add: &Add, output: Output) -> Result<(), Failure> {
    let client = add.connection.client()?;
    let known = match add.secret_file.exists() {
        true => Some(read_secret(&add.secret_file)?),
        false => None,
    };
    let mut made = converse(async {
        let assets = match (&add.give, &add.want) {
            (None, None) => None,
            (Some(_), _) | (None, Some(_)) => Some(Assets::fetch(&client).await?),
        };
        let find = |name: &Option<String>| match (name, &assets) {
            (Some(name), Some(assets)) => Ok(Some(assets.find(name)?.asset.clone())),
            (_, None) | (None, Some(_)) => Ok::<_, Failure>(None),
        };
        let ledger = match &add.ledger {
            Some(name) => Some(ledger::resolve(&client, name).await?),
            None => None,
        };
        let new = NewSubscription {
            url: add.url.clone(),
            types: add.types.clone(),
            ledger,
            give: find(&add.give)?,
            want: find(&add.want)?,
            after: add.after.clone(),
            secret: known.as_ref().map(|secret| secret.to_string()),
        };
        Ok(client.subscribe(&new, &new_id()).await?)
    })?;
    // Shown nowhere: it is in the file.
    let secret = made.secret.take().map(Zeroizing::new);
    if known.is_none()
        && let Some(secret) = secret
    {
        token::write_token(&add.secret_file, &secret)?;
    }
    let file = add.secret_file.display();
    output.done(&made, format!("{} posts to {}; the secret is in {file}", made.id, made.url))
}

fn row(view: &SubscriptionView) -> Vec<String> {
    let state = match view.state {
        SubscriptionState::Active => "active".to_owned(),
        SubscriptionState::Failing => format!("failing ({} times)", view.attempts),
        SubscriptionState::Paused => "paused".to_owned(),
    };
    let types: Vec<&str> = view.types.iter().map(|kind| kind.name()).collect();
    let types = if types.is_empty() { "all".to_owned() } else { types.join(",") };
    vec![
        view.id.clone(),
        state,
        view.after.clone(),
        types,
        view.url.clone(),
        or_dash(view.trouble.as_ref()),
    ]
}

fn read_secret(path: &std::path::Path) -> Result<Zeroizing<String>, Failure> {
    let text = Zeroizing::new(files::read_text(path, SECRET_FILE_BYTES)?);
    Ok(Zeroizing::new(text.trim().to_owned()))
}

fn read_body(path: Option<&PathBuf>) -> Result<Vec<u8>, Failure> {
    if let Some(path) = path {
        return Ok(files::read(path, BODY_BYTES)?);
    }
    let mut body = Vec::new();
    let most = u64::try_from(BODY_BYTES).unwrap_or(u64::MAX);
    let read = std::io::stdin().lock().take(most).read_to_end(&mut body);
    read.map_err(|error| Refusal::new(Code::CannotRead, format!("standard input: {error}")))?;
    Ok(body)
}
