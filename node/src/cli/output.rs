//! Answers on standard output: columns for people, JSON for programs.

use std::fmt;
use std::io::{self, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use quadrille_protocol::error::{Code, Refusal};
use serde::Serialize;

use super::exit::Failure;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    /// Columns for people.
    #[default]
    Table,
    /// One JSON document for programs.
    Json,
    /// One JSON document a line.
    Ndjson,
}

impl Output {
    /// Prints a list: a table with these `columns`, a JSON array, or a line each.
    pub fn list<T: Serialize>(
        self,
        items: &[T],
        columns: &[&str],
        row: impl Fn(&T) -> Vec<String>,
    ) -> Result<(), Failure> {
        match self {
            Self::Table if items.is_empty() => line("none"),
            Self::Table => {
                let mut table = plain_table();
                table.set_header(columns);
                table.add_rows(items.iter().map(row));
                line(lines_of(&table))
            }
            Self::Json => document(&items),
            Self::Ndjson => items.iter().try_for_each(|item| line(json(item)?)),
        }
    }

    /// Prints one thing: `facts` (name, value) below one another, or JSON.
    pub fn one<T: Serialize>(self, item: &T, facts: &[(&str, String)]) -> Result<(), Failure> {
        match self {
            Self::Table => line(facts_text(facts)),
            Self::Json => document(item),
            Self::Ndjson => line(json(item)?),
        }
    }

    /// Prints what was done: a sentence, or JSON.
    pub fn done<T: Serialize>(self, item: &T, sentence: impl fmt::Display) -> Result<(), Failure> {
        match self {
            Self::Table => line(sentence),
            Self::Json => document(item),
            Self::Ndjson => line(json(item)?),
        }
    }
}

/// Names and values below one another; values with several lines stay behind their name.
pub fn facts_text(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let indented = |value: &str| value.replace('\n', &format!("\n{:width$}  ", ""));
    let lines: Vec<String> = facts
        .iter()
        .map(|(name, value)| format!("{name:width$}  {}", indented(value)).trim_end().to_owned())
        .collect();
    lines.join("\n")
}

/// A table without lines.
pub fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// The table's text, without blanks at the ends of lines.
pub fn lines_of(table: &Table) -> String {
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// Prints a line (or several).
pub fn line(text: impl fmt::Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // A reader that has seen enough (`| head`) is no error.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Refusal::new(Code::CannotWrite, format!("standard output: {error}")).into())
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn document(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| unprintable(&error))?;
    line(text)
}

/// One line of JSON.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| unprintable(&error))
}

fn unprintable(error: &serde_json::Error) -> Failure {
    Refusal::new(Code::CannotWrite, format!("as JSON: {error}")).into()
}

/// `-` for what is not there.
pub fn or_dash(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// The start of an identifier, for tables: the prefix and twelve digits.
pub fn short(id: &impl ToString) -> String {
    let text = id.to_string();
    match text.split_once(':') {
        Some((prefix, digits)) if digits.len() > 12 && digits.is_ascii() => {
            format!("{prefix}:{}…", digits.get(..12).unwrap_or_default())
        }
        Some(_) | None => text,
    }
}
