//! `members`.

use comfy_table::{ContentArrangement, Table, presets};
use quadrille_node::enrol::role_name;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::types::Time;

use super::{Context, Output, json};
use crate::register::Reader;
use crate::roll::{Issued, Roll, Standing};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads the register only: it needs no passphrase and no lock.

Examples:
  quadrille-bootstrap --dir net members
  quadrille-bootstrap --dir net members --all -o json")]
pub(super) struct Arguments {
    /// Every certificate, also those that a newer one has superseded
    #[arg(long)]
    all: bool,
}

#[derive(serde::Serialize)]
struct Row {
    serial: String,
    domain: String,
    lei: Option<String>,
    roles: Vec<&'static str>,
    epoch: String,
    suite: String,
    key: String,
    valid_from: String,
    valid_until: String,
    standing: String,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<String, Refusal> {
    let mut roll = Roll::new(context.layout.network()?.anchors());
    for entry in Reader::new(context.layout.register()).news()? {
        roll.apply(&entry)?;
    }
    let rows: Vec<Row> = roll
        .issued()
        .map(|(serial, issued)| (serial, issued, roll.standing(&issued.certificate, context.now)))
        .filter(|(_, _, standing)| arguments.all || *standing != Standing::Superseded)
        .map(|(serial, issued, standing)| Row::of(serial, issued, standing))
        .collect();
    match context.output {
        Output::Table => Ok(table(&rows)),
        Output::Json => json(&rows, true),
        Output::Ndjson => rows.iter().map(|row| json(row, false)).collect(),
    }
}

impl Row {
    fn of(serial: u64, issued: &Issued, standing: Standing) -> Self {
        let certificate = &issued.certificate;
        let time = |time: Time| time.to_string();
        Self {
            serial: serial.to_string(),
            domain: certificate.domain.to_string(),
            lei: certificate.lei.map(|lei| lei.to_string()),
            roles: certificate.roles.iter().copied().map(role_name).collect(),
            epoch: certificate.epoch.to_string(),
            suite: certificate.signing_key.suite().to_string(),
            key: certificate.signing_key.id().to_string(),
            valid_from: time(certificate.valid_from),
            valid_until: time(certificate.valid_until),
            standing: standing.to_string(),
        }
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["SERIAL", "DOMAIN", "LEI", "ROLES", "EPOCH", "SUITE", "UNTIL", "STANDING"]);
    for row in rows {
        let none = || "-".to_owned();
        let roles = if row.roles.is_empty() { none() } else { row.roles.join(",") };
        table.add_row([
            row.serial.clone(),
            row.domain.clone(),
            row.lei.clone().unwrap_or_else(none),
            roles,
            row.epoch.clone(),
            row.suite.clone(),
            row.valid_until.clone(),
            row.standing.clone(),
        ]);
    }
    let text = table.trim_fmt();
    format!("{text}\n")
}
