//! `quadrille positions`, `explain-break`, `netting`, `net` and `settle-up`.

use std::time::Duration as Wait;

use clap::Subcommand;
use quadrille_protocol::types::{Amount, Detail, Domain, Duration, SettlementId, Uai};
use tokio::time::{Instant, sleep};

use super::Output;
use super::amount::Assets;
use super::connect::{Connection, converse};
use super::exit::Failure;
use super::output::{facts_text, line, lines_of, or_dash, plain_table, short};
use super::span;
use crate::api::dto::{
    CycleView, NettingView, PositionView, SettleUp, SettlementOutcome, SettlementState,
    StandingView, StandingsView,
};
use crate::client::{Client, new_id};

/// How often it is asked whether a settlement has ended.
const POLL: Wait = Wait::from_millis(100);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille positions
  quadrille positions bank-b.example --asset EUR:bank-b.example
  quadrille positions -o ndjson | jq -r 'select(.broken).domain'")]
pub(super) struct Arguments {
    /// Only with this peer
    domain: Option<Domain>,
    /// Only in this asset
    #[arg(long)]
    asset: Option<String>,
    /// Most rows
    #[arg(long, default_value_t = 1000)]
    limit: usize,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let client = arguments.connection.client()?;
    converse(async {
        let assets = Assets::fetch(&client).await?;
        let asset = arguments.asset.as_ref().map(|text| assets.find(text)).transpose()?;
        let asset = asset.map(|view| &view.asset);
        let domain = arguments.domain.as_ref();
        let lines = client.positions(domain, asset, arguments.limit).await?;
        match output {
            Output::Table => {
                let totals = client.standings().await?;
                line(format!("{}\n\n{}", table(&lines, &assets), total_text(&totals, &assets)))
            }
            Output::Json | Output::Ndjson => output.list(&lines, &[], |_| Vec::new()),
        }
    })
}

fn table(lines: &[PositionView], assets: &Assets) -> String {
    if lines.is_empty() {
        return "nothing is owed, and nobody is trusted".to_owned();
    }
    let mut table = plain_table();
    let columns =
        ["PEER", "WE OWE", "OWES US", "LIMIT", "RESERVED", "HEADROOM", "BOOKED", "RECONCILED"];
    table.set_header(columns);
    for known in lines {
        let exposure = &known.exposure;
        let show = |amount| assets.show(&exposure.asset, amount);
        let compared = match (&known.broken, &known.reconciled) {
            (Some(broken), _) => format!(
                "BREAK: it says {} legs, owes {}, is owed {}",
                broken.theirs.booked,
                show(broken.theirs.owe),
                show(broken.theirs.claim)
            ),
            (None, Some(known)) => format!("{} legs at {}", known.booked, known.at),
            (None, None) => "never".to_owned(),
        };
        table.add_row([
            known.domain.to_string(),
            show(exposure.owe),
            show(exposure.claim),
            show(exposure.limit),
            show(exposure.reserved),
            show(exposure.headroom),
            known.booked.clone(),
            compared,
        ]);
    }
    lines_of(&table)
}

fn total_text(totals: &StandingsView, assets: &Assets) -> String {
    let netting = if totals.netting { "on" } else { "off" };
    let facts = [("netting", netting.to_owned()), ("breaks", totals.breaks.to_string())];
    format!("{}\n\n{}", standings(&totals.totals, assets), facts_text(&facts))
}

fn standings(all: &[StandingView], assets: &Assets) -> String {
    let mut table = plain_table();
    table.set_header(["DOMAIN", "OWES", "IS OWED", "GROSS", "NET"]);
    for known in all {
        let show = |amount| assets.show(&known.asset, amount);
        table.add_row([
            known.domain.to_string(),
            show(known.owes),
            show(known.owed),
            show(known.gross),
            show(known.net),
        ]);
    }
    lines_of(&table)
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille explain-break bank-b.example EUR:bank-b.example --note \"their wrong entry of 3 May\"")]
pub(super) struct ExplainArguments {
    /// The peer
    domain: Domain,
    /// The asset
    asset: String,
    /// What the difference was; kept in the log
    #[arg(long)]
    note: Detail,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn explain(arguments: &ExplainArguments, output: Output) -> Result<(), Failure> {
    let client = arguments.connection.client()?;
    converse(async {
        let assets = Assets::fetch(&client).await?;
        let asset = &assets.find(&arguments.asset)?.asset;
        let domain = &arguments.domain;
        let receipt = client.explain_break(domain, asset, &arguments.note, &new_id()).await?;
        output.done(&receipt, format!("{domain} may owe this bank {} again", asset.code()))
    })
}

#[derive(Debug, Subcommand)]
pub(super) enum NettingCommand {
    /// Take part: pass cycles of debts on for nothing, tell trusted peers whom this bank owes
    #[command(after_help = "Examples:
  quadrille netting on")]
    On {
        #[command(flatten)]
        connection: Connection,
    },
    /// Take no part any longer
    #[command(after_help = "Examples:
  quadrille netting off")]
    Off {
        #[command(flatten)]
        connection: Connection,
    },
}

pub(super) fn switch(command: &NettingCommand, output: Output) -> Result<(), Failure> {
    let (connection, on) = match command {
        NettingCommand::On { connection } => (connection, true),
        NettingCommand::Off { connection } => (connection, false),
    };
    let client = connection.client()?;
    let receipt = converse(async { Ok(client.switch_netting(on).await?) })?;
    let sentence = match on {
        true => "this bank takes part in netting; it needs a transit ledger for it",
        false => "this bank takes no part in netting",
    };
    output.done(&receipt, sentence)
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille net --asset EUR:bank-b.example --dry-run
  quadrille net --asset EUR:bank-b.example --wait 60s")]
pub(super) struct NetArguments {
    /// The asset
    #[arg(long)]
    asset: String,
    /// Only look, and say what would fall
    #[arg(long)]
    dry_run: bool,
    /// Wait for the settlements to end, at most so long
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = span::argument)]
    wait: Duration,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn net(arguments: &NetArguments, output: Output) -> Result<(), Failure> {
    let client = arguments.connection.client()?;
    converse(async {
        let assets = Assets::fetch(&client).await?;
        let asset = &assets.find(&arguments.asset)?.asset;
        let was = client.standings().await?;
        let found = client.net(asset, arguments.dry_run, &new_id()).await?;
        let until = Instant::now() + Wait::from_millis(arguments.wait.0);
        let mut ends = Vec::new();
        for cycle in &found.cycles {
            ends.push(end_of(&client, cycle.settlement, until).await?);
        }
        let is = client.standings().await?;
        match output {
            Output::Table => line(netted(&found, &ends, &assets, &fell(asset, &was, &is, &assets))),
            Output::Json | Output::Ndjson => output.done(&found, ""),
        }
    })
}

/// How a settlement has ended, in a word.
async fn end_of(
    client: &Client,
    settlement: Option<SettlementId>,
    until: Instant,
) -> Result<&'static str, Failure> {
    let Some(id) = settlement else { return Ok("not proposed") };
    loop {
        let view = client.settlement(&id).await?;
        if view.state == SettlementState::Final {
            return Ok(match view.outcome {
                Some(SettlementOutcome::Settled) => "settled",
                Some(SettlementOutcome::Refunded) | None => "refunded: nothing has changed",
            });
        }
        if Instant::now() >= until {
            return Ok("still open");
        }
        sleep(POLL).await;
    }
}

fn netted(found: &NettingView, ends: &[&str], assets: &Assets, fell: &str) -> String {
    let Some(asset) = found.before.first().map(|known| known.asset.clone()) else {
        return "nobody owes anybody anything".to_owned();
    };
    let cycle = |(cycle, end): (&CycleView, &&str)| {
        let parties: Vec<&str> = cycle.parties.iter().map(Domain::as_str).collect();
        let amount = assets.show(&asset, cycle.amount);
        let settlement = cycle.settlement.as_ref().map(short);
        let why = cycle.refused.as_ref().map(|why| format!(" ({} {})", why.code, why.title));
        format!(
            "{amount} around {}: {end}{}, {}",
            parties.join(" -> "),
            why.unwrap_or_default(),
            or_dash(settlement.as_ref())
        )
    };
    let cycles: Vec<String> = found.cycles.iter().zip(ends).map(cycle).collect();
    let cycles =
        if cycles.is_empty() { "no ring of debts found".to_owned() } else { cycles.join("\n") };
    let silent = found.silent.iter().map(|one| {
        format!("{} said nothing: {} {}", one.domain, one.reason.code, one.reason.title)
    });
    let silent: String = silent.map(|text| format!("\n{text}")).collect();
    format!(
        "{cycles}{silent}\n\nbefore\n{}\n\nafter, when all have settled\n{}\n\n{fell}",
        standings(&found.before, assets),
        standings(&found.after, assets)
    )
}

/// By how much this bank's own gross debts and claims fell.
fn fell(asset: &Uai, was: &StandingsView, is: &StandingsView, assets: &Assets) -> String {
    let of = |all: &StandingsView| {
        let known = all.totals.iter().find(|known| known.asset == *asset);
        known.map(|known| (known.gross, known.net)).unwrap_or_default()
    };
    let (before, after) = (of(was), of(is));
    let show = |amount: Amount| assets.show(asset, amount);
    format!(
        "this bank: gross {} -> {}, net {} -> {}",
        show(before.0),
        show(after.0),
        show(before.1),
        show(after.1)
    )
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille settle-up bank-b.example \"500.00 EUR:central.example\" --through central.example")]
pub(super) struct SettleUpArguments {
    /// The peer that this bank owes
    peer: Domain,
    /// How much: NUMBER ASSET
    amount: String,
    /// The bank that is to owe it to the peer
    #[arg(long, value_name = "DOMAIN")]
    through: Domain,
    /// The number is of minor units
    #[arg(long)]
    minor: bool,
    /// Wait for the settlement to end, at most so long
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = span::argument)]
    wait: Duration,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn settle_up(arguments: &SettleUpArguments, output: Output) -> Result<(), Failure> {
    let client = arguments.connection.client()?;
    converse(async {
        let assets = Assets::fetch(&client).await?;
        let (asset, amount) = assets.read(&arguments.amount, arguments.minor)?;
        let (peer, through) = (arguments.peer.clone(), arguments.through.clone());
        let what = SettleUp { peer, asset: asset.clone(), amount, through };
        let receipt = client.settle_up(&what, &new_id()).await?;
        let until = Instant::now() + Wait::from_millis(arguments.wait.0);
        let end = end_of(&client, receipt.settlement, until).await?;
        let shown = assets.show(&asset, amount);
        let sentence = format!(
            "{shown} to {} through {}: {end}, {}",
            what.peer,
            what.through,
            or_dash(receipt.settlement.as_ref())
        );
        output.done(&receipt, sentence)
    })
}
