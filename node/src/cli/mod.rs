//! The command line. Every command prints its answer to standard output and what went wrong
//! to standard error, and exits with 0 when it did what was asked or 2 when it was asked wrongly.

mod explain;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// Columns for people.
    Table,
    /// One JSON document for programs.
    Json,
}

#[derive(Debug, Parser)]
#[command(
    name = "quadrille",
    version,
    about = "Settles trades between banks that keep separate ledgers",
    after_help = "Exit codes: 0 done, 1 the answer could not be written, 2 asked wrongly.\n\
                  The gateway daemon arrives in a later version; so far this explains refusals."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what a refusal code means and what to do about it
    Explain(explain::Arguments),
}

/// Runs the command that the process was started with.
pub(crate) fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Explain(arguments) => explain::run(&arguments),
    }
}
