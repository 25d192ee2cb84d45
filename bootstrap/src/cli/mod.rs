//! The command line. Answers go to standard output, what went wrong to standard error with its
//! code and what to do about it.

mod approve;
mod members;
mod network;
mod revoke;
mod serve;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use quadrille_node::signer::passphrase;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::Time;

use crate::found;
use crate::layout::Layout;
use crate::office::Office;

/// Refused.
const EXIT_REFUSED: u8 = 1;
/// Asked wrongly.
const EXIT_USAGE: u8 = 2;
/// Another process holds the register or is the bootstrap peer.
const EXIT_LOCKED: u8 = 6;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 refused, 2 asked wrongly, 6 another process holds the register or is the peer.
`quadrille explain Q-NNNN` explains a refusal's code.";

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// Columns for people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document on a line for each row.
    Ndjson,
}

#[derive(Debug, Parser)]
#[command(
    name = "quadrille-bootstrap",
    version,
    about = "Admits members to a Quadrille network and keeps the register of them",
    after_help = EXIT_CODES
)]
struct Arguments {
    /// The network's folder
    #[arg(long, global = true, env = "QUADRILLE_BOOTSTRAP_DIR", default_value = ".")]
    dir: PathBuf,
    /// How to print the answer
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    output: Output,
    /// A file with the passphrase of the keys; without it QUADRILLE_PASSPHRASE_FILE is looked at,
    /// then the terminal is asked
    #[arg(long, global = true, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Begin a network: make its authority, its first peer and the file for its members
    Network {
        #[command(subcommand)]
        command: NetworkCommand,
    },
    /// Give the domain that made a request its certificate
    Approve(approve::Arguments),
    /// Take the key of a certificate out of force
    Revoke(revoke::Arguments),
    /// List who was admitted
    Members(members::Arguments),
    /// Be the peer that members dial first, and serve the list of members and revocations
    Serve(serve::Arguments),
}

#[derive(Debug, Subcommand)]
enum NetworkCommand {
    /// Make a new network in an empty folder
    Init(network::Arguments),
}

/// What every command needs.
struct Context {
    layout: Layout,
    output: Output,
    passphrase_file: Option<PathBuf>,
    now: Time,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = now().and_then(|now| {
        let context = Context {
            layout: Layout::new(&arguments.dir),
            output: arguments.output,
            passphrase_file: arguments.passphrase_file,
            now,
        };
        match &arguments.command {
            Command::Network { command: NetworkCommand::Init(init) } => {
                network::run(&context, init)
            }
            Command::Approve(approve) => approve::run(&context, approve),
            Command::Revoke(revoke) => revoke::run(&context, revoke),
            Command::Members(members) => members::run(&context, members),
            Command::Serve(serve) => serve::run(&context, serve),
        }
    });
    match outcome {
        Ok(text) => print(&text),
        Err(refusal) => {
            complain(&refusal, arguments.output);
            ExitCode::from(exit_code(refusal.code))
        }
    }
}

impl Context {
    /// Opens the office with the authority's key.
    fn office(&self) -> Result<Office, Refusal> {
        // Before the passphrase is asked for, which would be in vain.
        self.layout.network()?;
        let file = self.passphrase_file.as_deref();
        let passphrase = passphrase::read(file, "Passphrase of the authority's key: ")?;
        let office = Office::open(&self.layout, found::authority_key(&self.layout, &passphrase)?)?;
        if office.torn_bytes() > 0 {
            let bytes = office.torn_bytes();
            eprintln!(
                "quadrille-bootstrap: cut {bytes} bytes of an unfinished entry off the register"
            );
        }
        Ok(office)
    }

    /// One answer: as lines for people, or as JSON.
    fn show(
        &self,
        rows: &[(&str, String)],
        answer: &impl serde::Serialize,
    ) -> Result<String, Refusal> {
        match self.output {
            Output::Table => {
                let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
                let line = |(name, value): &(&str, String)| format!("{name:width$}  {value}\n");
                Ok(rows.iter().map(line).collect())
            }
            Output::Json => json(answer, true),
            Output::Ndjson => json(answer, false),
        }
    }
}

fn json(answer: &impl serde::Serialize, pretty: bool) -> Result<String, Refusal> {
    let text =
        if pretty { serde_json::to_string_pretty(answer) } else { serde_json::to_string(answer) };
    let text = text.map_err(|error| Refusal::new(Code::CannotWrite, error.to_string()))?;
    Ok(format!("{text}\n"))
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        // A reader that has seen enough (`| head`) is no error.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("quadrille-bootstrap: cannot write the answer: {error}");
            ExitCode::from(EXIT_REFUSED)
        }
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

fn complain(refusal: &Refusal, output: Output) {
    match output {
        Output::Table => {
            eprintln!("quadrille-bootstrap: {refusal}\n{}", refusal.code.remedy());
        }
        Output::Json | Output::Ndjson => {
            let (code, remedy) = (refusal.code.to_string(), refusal.code.remedy());
            let (title, detail) = (refusal.code.title(), &refusal.what);
            let object = serde_json::json!({
                "code": code, "title": title, "detail": detail, "remedy": remedy,
            });
            eprintln!("{object}");
        }
    }
}

/// What the process exits with: a locked register and a wrong question apart from the rest.
const fn exit_code(code: Code) -> u8 {
    if matches!(code, Code::RegisterInUse | Code::PeerRuns) {
        EXIT_LOCKED
    } else if matches!(code, Code::BadUsage) {
        EXIT_USAGE
    } else {
        EXIT_REFUSED
    }
}

fn now() -> Result<Time, Refusal> {
    let bad = |what: String| Refusal::new(Code::BadTime, what);
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|_| bad("the machine's clock is before 1970".into()))?;
    u64::try_from(since.as_millis()).map(Time).map_err(|error| bad(error.to_string()))
}

/// A path as it is shown.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
