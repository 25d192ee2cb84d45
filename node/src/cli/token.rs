//! `quadrille token`: who may use a node's HTTP interface. Works in the data directory; a running
//! node takes a change up at once.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;
use zeroize::Zeroizing;

use super::exit::Failure;
use super::output::Output;
use super::{DataDir, span};
use crate::api::tokens::{self, Role, TokenEntry};
use crate::config::Layout;
use crate::files::{self, Access};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token; it is shown once
    #[command(after_help = "Examples:
  quadrille token create --dir /var/lib/quadrille --role trader --label \"order desk\"
  quadrille token create --dir /var/lib/quadrille --role auditor --token-file auditor.token")]
    Create {
        /// What its bearer may do: operator, trader or auditor
        #[arg(long)]
        role: Role,
        /// For people
        #[arg(long, default_value = "")]
        label: String,
        /// Write the token to this file (0600) rather than to standard output
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        #[command(flatten)]
        dir: DataDir,
    },
    /// List tokens (their hashes are kept, not they)
    #[command(after_help = "Examples:
  quadrille token list --dir /var/lib/quadrille")]
    List {
        #[command(flatten)]
        dir: DataDir,
    },
    /// Take a token back: its next request is refused
    #[command(after_help = "Examples:
  quadrille token revoke t-0a1b2c3d --dir /var/lib/quadrille")]
    Revoke {
        /// The token's id
        id: String,
        #[command(flatten)]
        dir: DataDir,
    },
}

/// A token as programs read it; the token itself only when it was just made and no file holds it.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    role: &'static str,
    label: &'a str,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(entry: &'a TokenEntry) -> Self {
        Self {
            id: &entry.id,
            role: entry.role.name(),
            label: entry.label.as_str(),
            created: entry.created.to_string(),
            token: None,
        }
    }
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create { role, label, token_file, dir } => {
            if let Some(path) = token_file {
                refuse_existing(path)?;
            }
            let path = Layout::new(&dir.dir).tokens();
            let made = tokens::create(&path, *role, label, span::now()?)?;
            let (mut row, id) = (Row::of(&made.entry), &made.entry.id);
            match token_file {
                Some(file) => {
                    write_token(file, &made.token)?;
                    output.done(&row, format!("{id} ({role}) is in {}", file.display()))
                }
                None => {
                    row.token = Some(&made.token);
                    output.done(&row, &*made.token)
                }
            }
        }
        Command::List { dir } => {
            let entries = tokens::list(&Layout::new(&dir.dir).tokens())?;
            let rows: Vec<Row<'_>> = entries.iter().map(Row::of).collect();
            output.list(&rows, &["ID", "ROLE", "CREATED", "LABEL"], |row| {
                let words = [row.id, row.role, &row.created, row.label];
                words.map(ToOwned::to_owned).to_vec()
            })
        }
        Command::Revoke { id, dir } => {
            let entry = tokens::revoke(&Layout::new(&dir.dir).tokens(), id)?;
            output.done(&Row::of(&entry), format!("{id} is taken back"))
        }
    }
}

/// Refuses before a token is made that could then not be written.
pub(super) fn refuse_existing(path: &std::path::Path) -> Result<(), Failure> {
    use quadrille_protocol::error::{Code, Refusal};
    if path.exists() {
        return Err(Refusal::new(Code::FileExists, path.display().to_string()).into());
    }
    Ok(())
}

/// Writes a new token to a file that its owner alone can read.
pub(super) fn write_token(path: &std::path::Path, token: &str) -> Result<(), Failure> {
    let text = Zeroizing::new(format!("{token}\n"));
    Ok(files::create(path, text.as_bytes(), Access::Private)?)
}
