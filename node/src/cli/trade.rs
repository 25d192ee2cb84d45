//! `quadrille trade`: settlements.

use clap::Subcommand;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{SettlementId, Time};

use super::amount::Assets;
use super::connect::{Connection, converse};
use super::exit::{Exit, Failure};
use super::output::{Output, facts_text, json, line, lines_of, or_dash, plain_table, short};
use crate::api::dto::{
    EventKind, EventView, PartyRole, SettlementOutcome, SettlementState, SettlementSummary,
    SettlementView,
};
use crate::client::Client;

/// Settlements among which one is looked for by its first digits.
const ROWS: usize = 10_000;
/// The types of events that are about settlements.
const TYPES: [&str; 2] = ["settlement.step", "settlement.final"];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List settlements, the latest first
    #[command(after_help = "Examples:
  quadrille trade list
  quadrille trade list --state open")]
    List {
        /// Open or final ones only
        #[arg(long, value_parser = ["open", "final"])]
        state: Option<String>,
        /// Most rows
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show a settlement: what moves, what has happened when, who is awaited
    #[command(after_help = "Examples:
  quadrille trade show stl:0a4f…
  quadrille trade show stl:0a4f… -o json | jq .awaiting")]
    Show {
        /// The settlement, or its first digits
        settlement: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Follow settlements as they happen; of one, until it is final
    #[command(after_help = "Examples:
  quadrille trade watch
  quadrille trade watch stl:0a4f…
  quadrille trade watch -o ndjson")]
    Watch {
        /// The settlement, or its first digits; all when left out
        settlement: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::List { state, limit, connection } => {
            let client = connection.client()?;
            let state = state.as_deref().map(|state| match state {
                "open" => SettlementState::Open,
                _ => SettlementState::Final,
            });
            list(&converse(async { Ok(client.settlements(state, *limit).await?) })?, output)
        }
        Command::Show { settlement, connection } => {
            let client = connection.client()?;
            converse(async {
                let id = resolve(&client, settlement).await?;
                let view = client.settlement(&id).await?;
                match output {
                    Output::Table => line(text(&view, &Assets::fetch(&client).await?)),
                    Output::Json | Output::Ndjson => output.done(&view, ""),
                }
            })
        }
        Command::Watch { settlement, connection } => {
            let client = connection.client()?;
            converse(watch(&client, settlement.as_deref(), output))
        }
    }
}

/// An identifier as a table shows it, without the mark that it goes on.
pub(super) fn beginning(text: &str) -> &str {
    text.trim_end_matches('…')
}

/// The settlement that `text` names, by all of its identifier or the beginning.
pub(super) async fn resolve(client: &Client, text: &str) -> Result<SettlementId, Failure> {
    let text = beginning(text);
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    if !text.starts_with("stl:") {
        return Err(text
            .parse::<SettlementId>()
            .map_or_else(Failure::from, |_| Failure::usage(format!("`{text}`"))));
    }
    let rows = client.settlements(None, ROWS).await?;
    let mut found = rows.iter().filter(|row| row.settlement.to_string().starts_with(text));
    match (found.next(), found.next()) {
        (Some(row), None) => Ok(row.settlement),
        (None, _) => Err(Refusal::new(Code::UnknownSettlement, format!("`{text}`")).into()),
        (Some(_), Some(_)) => Err(Failure::usage(format!("`{text}` begins several settlements"))),
    }
}

fn list(rows: &[SettlementSummary], output: Output) -> Result<(), Failure> {
    let columns = ["SETTLEMENT", "STATE", "OUTCOME", "ROLE", "PARTIES", "DEADLINE", "BEGUN"];
    output.list(rows, &columns, |row| {
        let parties: Vec<String> = row.parties.iter().map(ToString::to_string).collect();
        vec![
            short(&row.settlement),
            state(row.state).to_owned(),
            outcome(row.outcome).to_owned(),
            roles(&row.roles),
            parties.join(", "),
            row.deadline.to_string(),
            or_dash(row.begun.as_ref()),
        ]
    })
}

fn text(view: &SettlementView, assets: &Assets) -> String {
    let legs: Vec<String> = view
        .legs
        .iter()
        .map(|leg| {
            let amount = assets.show(&leg.asset, leg.amount);
            let (from, to) = (short(&leg.from_ledger), short(&leg.to_ledger));
            format!("{amount} from {from}@{} to {to}@{}", leg.from_domain, leg.to_domain)
        })
        .collect();
    let awaiting: Vec<String> = view.awaiting.iter().map(ToString::to_string).collect();
    let mut facts = vec![
        ("settlement", view.settlement.to_string()),
        ("state", state(view.state).to_owned()),
        ("outcome", outcome(view.outcome).to_owned()),
        ("this bank is", roles(&view.roles)),
        ("initiator", view.initiator.to_string()),
        ("decider", view.decider.to_string()),
        ("moves", if legs.is_empty() { "not told".to_owned() } else { legs.join("\n") }),
        ("deadline", view.deadline.to_string()),
    ];
    if !awaiting.is_empty() {
        facts.push(("awaiting", awaiting.join(", ")));
        facts.push(("until", or_dash(view.until.as_ref())));
    }
    if !view.then.is_empty() {
        facts.push(("then", view.then.clone()));
    }
    format!("{}\n\n{}", facts_text(&facts), timeline(view))
}

/// The steps with the milliseconds since the first and since the one before.
fn timeline(view: &SettlementView) -> String {
    let Some(first) = view.steps.first().map(|step| step.time) else {
        return "nothing has happened yet".to_owned();
    };
    let mut table = plain_table();
    table.set_header(["STEP", "BY", "TIME", "AFTER", "STEP TOOK"]);
    let mut before: Time = first;
    for step in &view.steps {
        let since = |earlier| format!("{} ms", step.time.since(earlier).0);
        table.add_row([
            step.step.clone(),
            step.by.to_string(),
            step.time.to_string(),
            since(first),
            since(before),
        ]);
        before = step.time;
    }
    lines_of(&table)
}

async fn watch(client: &Client, one: Option<&str>, output: Output) -> Result<(), Failure> {
    let wanted = match one {
        Some(text) => Some(resolve(client, text).await?),
        None => None,
    };
    let mut follower = client.follow(&TYPES, None, None);
    // Connected first, so that nothing happens between the look and the events.
    follower.connect().await?;
    if let Some(id) = &wanted {
        let view = client.settlement(id).await?;
        for step in &view.steps {
            let (id, what, by) = (id.to_string(), &step.step, step.by.to_string());
            tell(output, &Line { time: step.time, settlement: &id, what, domain: &by })?;
        }
        if view.state == SettlementState::Final {
            return finished(view.outcome);
        }
    }
    loop {
        let event = follower.next().await?;
        let Some((id, is_final)) = tell_event(output, &event.event, wanted.as_ref())? else {
            continue;
        };
        if is_final && wanted.is_some() {
            return finished(client.settlement(&id).await?.outcome);
        }
    }
}

/// Whoever waits for a settlement learns from the exit code whether it was refunded.
fn finished(outcome: Option<SettlementOutcome>) -> Result<(), Failure> {
    match outcome {
        Some(SettlementOutcome::Settled) | None => Ok(()),
        Some(SettlementOutcome::Refunded) => Err(Failure {
            code: Code::Aborted.to_string(),
            title: "settlement was refunded".to_owned(),
            what: "nothing has moved".to_owned(),
            remedy: "`quadrille trade show` tells why.".to_owned(),
            exit: Exit::Refused,
        }),
    }
}

/// What has happened in a settlement, in a form for programs.
#[derive(serde::Serialize)]
struct Line<'a> {
    time: Time,
    settlement: &'a str,
    what: &'a str,
    domain: &'a str,
}

fn tell(output: Output, said: &Line<'_>) -> Result<(), Failure> {
    let Line { time, settlement, what, domain } = said;
    match output {
        Output::Table => {
            line(format!("{time}  {}  {what:<18}  {domain}", short(settlement)).trim_end())
        }
        Output::Json | Output::Ndjson => line(json(said)?),
    }
}

/// Tells an event of a settlement, of `wanted` where that is one; says of which it was, and
/// whether it was its last.
fn tell_event(
    output: Output,
    event: &EventView,
    wanted: Option<&SettlementId>,
) -> Result<Option<(SettlementId, bool)>, Failure> {
    let is_final = match event.kind {
        EventKind::SettlementStep => false,
        EventKind::SettlementFinal => true,
        // Not asked for.
        _ => return Ok(None),
    };
    let (Some(settlement), Some(what)) = (&event.settlement, &event.what) else { return Ok(None) };
    let domain = event.domain.as_ref().map(ToString::to_string).unwrap_or_default();
    if wanted.is_some_and(|wanted| wanted != settlement) {
        return Ok(None);
    }
    let id = settlement.to_string();
    tell(output, &Line { time: event.time, settlement: &id, what, domain: &domain })?;
    Ok(Some((*settlement, is_final)))
}

const fn state(state: SettlementState) -> &'static str {
    match state {
        SettlementState::Open => "open",
        SettlementState::Final => "final",
    }
}

const fn outcome(outcome: Option<SettlementOutcome>) -> &'static str {
    match outcome {
        None => "-",
        Some(SettlementOutcome::Settled) => "settled",
        Some(SettlementOutcome::Refunded) => "refunded",
    }
}

fn roles(roles: &[PartyRole]) -> String {
    let word = |role: &PartyRole| match role {
        PartyRole::Initiator => "initiator",
        PartyRole::Participant => "participant",
        PartyRole::Decider => "decider",
    };
    roles.iter().map(word).collect::<Vec<_>>().join(", ")
}
