//! `quadrille recovery`: what an operator does for a node that was restored from an old copy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::log::Evidence;
use quadrille_protocol::types::{Domain, Height};
use serde::Serialize;

use super::connect::{Connection, converse};
use super::exit::Failure;
use super::output::Output;
use crate::api::dto::RecoveryView;
use crate::armour::FILE_BYTES;
use crate::client::Client;
use crate::evidence;
use crate::files;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show whether the node is recovering, and whom it waits for
    #[command(after_help = "Examples:
  quadrille recovery status")]
    Status {
        #[command(flatten)]
        connection: Connection,
    },
    /// Hand in evidence that customers have kept, before `customers-heard`
    #[command(after_help = "Examples:
  quadrille recovery evidence entry-12.json trade.json
Files are as `quadrille evidence get` writes them. Records of other domains in them are passed \
over.")]
    Evidence {
        /// Files of evidence
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Say that the customers' copies are all in
    #[command(after_help = "Examples:
  quadrille recovery customers-heard")]
    CustomersHeard {
        #[command(flatten)]
        connection: Connection,
    },
    /// Go on without the copies of a peer that is gone for good
    #[command(after_help = "Examples:
  quadrille recovery give-up bank-c.example")]
    GiveUp {
        /// The peer
        domain: Domain,
        #[command(flatten)]
        connection: Connection,
    },
}

/// What was handed in.
#[derive(Serialize)]
struct HandedIn {
    /// Records of this node that were handed in.
    records: usize,
    /// Records of other domains.
    passed_over: usize,
    /// How far the recovery has come.
    recovery: RecoveryView,
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Status { connection } => {
            let client = connection.client()?;
            let view = converse(async { Ok(client.recovery().await?) })?;
            output.one(&view, &facts(&view))
        }
        Command::Evidence { files, connection } => {
            let client = connection.client()?;
            let records = read(files)?;
            let done = converse(hand_in(&client, records))?;
            let (records, others) = (done.records, done.passed_over);
            let sentence = format!("{records} records handed in, {others} of others passed over");
            output.done(&done, sentence)
        }
        Command::CustomersHeard { connection } => {
            let client = connection.client()?;
            let receipt = converse(async { Ok(client.customers_heard().await?) })?;
            output.done(&receipt, "the customers' copies are all in")
        }
        Command::GiveUp { domain, connection } => {
            let client = connection.client()?;
            let receipt = converse(async { Ok(client.give_up_on(domain).await?) })?;
            output.done(&receipt, format!("the node goes on without {domain}"))
        }
    }
}

fn facts(view: &RecoveryView) -> Vec<(&'static str, String)> {
    if !view.recovering {
        return vec![("recovering", "no".to_owned())];
    }
    let yes = |known: bool| if known { "yes" } else { "no" }.to_owned();
    let awaiting: Vec<String> = view.awaiting.iter().map(ToString::to_string).collect();
    vec![
        ("recovering", "yes".to_owned()),
        ("something is lost", yes(view.lost)),
        (
            "waiting for",
            if awaiting.is_empty() { "nobody".to_owned() } else { awaiting.join(", ") },
        ),
        ("customers heard", yes(view.customers_heard)),
        ("records back", view.returned.to_string()),
        ("more than fits", yes(view.overflow)),
    ]
}

/// All records in the files, each once, in the order of their log.
fn read(paths: &[PathBuf]) -> Result<BTreeMap<(Domain, Height, u32), Evidence>, Failure> {
    let mut records = BTreeMap::new();
    for path in paths {
        for evidence in read_file(path)? {
            let height = evidence.checkpoint.checkpoint.height;
            records.insert((evidence.domain().clone(), height, evidence.index), evidence);
        }
    }
    Ok(records)
}

fn read_file(path: &Path) -> Result<Vec<Evidence>, Refusal> {
    let named = |refusal: Refusal| {
        Refusal::new(refusal.code, format!("{}: {}", path.display(), refusal.what))
    };
    let text = files::read_text(path, FILE_BYTES)?;
    let bundle = evidence::armour::read(&text).map_err(named)?;
    Ok(bundle.evidence.into_vec())
}

async fn hand_in(
    client: &Client,
    records: BTreeMap<(Domain, Height, u32), Evidence>,
) -> Result<HandedIn, Failure> {
    let own = client.status().await?.domain;
    let mut done = HandedIn { records: 0, passed_over: 0, recovery: client.recovery().await? };
    for ((domain, ..), evidence) in records {
        if domain != own {
            done.passed_over = done.passed_over.saturating_add(1);
            continue;
        }
        done.recovery = client.give_back(&evidence).await?;
        done.records = done.records.saturating_add(1);
    }
    Ok(done)
}
