//! `quadrille explain`: the titles and remedies of the refusal codes.

use std::io::Write;
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use quadrille_protocol::error::{Code, Refusal};

use super::Output;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The code, like Q-1008
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    code: Option<String>,
    /// List every code
    #[arg(long)]
    all: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// One code as programs read it.
#[derive(serde::Serialize)]
struct Row {
    code: String,
    title: &'static str,
    remedy: &'static str,
}

impl Row {
    fn of(code: Code) -> Self {
        Self { code: code.to_string(), title: code.title(), remedy: code.remedy() }
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let text = match arguments.code.as_deref().map(str::parse::<Code>) {
        Some(Ok(code)) => one(code, arguments.output),
        Some(Err(refusal)) => return refused(&refusal),
        None => all(arguments.output),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // A reader that has seen enough (`| head`) is no error.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("quadrille: cannot write the answer: {error}");
            ExitCode::FAILURE
        }
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

fn refused(refusal: &Refusal) -> ExitCode {
    eprintln!("quadrille: {refusal}");
    eprintln!("{} `quadrille explain --all` prints it.", refusal.code.remedy());
    ExitCode::from(2)
}

fn one(code: Code, output: Output) -> String {
    match output {
        Output::Table => format!("{code} {}\n{}\n", code.title(), code.remedy()),
        Output::Json => json(&Row::of(code)),
    }
}

fn all(output: Output) -> String {
    let rows = Code::ALL.iter().copied().map(Row::of);
    match output {
        Output::Json => json(&rows.collect::<Vec<Row>>()),
        Output::Table => {
            let mut table = Table::new();
            table.load_preset(presets::NOTHING);
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_header(["CODE", "TITLE", "REMEDY"]);
            table.add_rows(rows.map(|row| [row.code, row.title.into(), row.remedy.into()]));
            format!("{table}\n")
        }
    }
}

fn json(value: &impl serde::Serialize) -> String {
    // Strings in lists and structs: there is nothing in them that JSON cannot say.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    format!("{text}\n")
}
