//! `quadrille-testnet`: the simulator's command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quadrille_testnet::sim::command::SimArgs;

/// Local networks for testers
#[derive(Debug, Parser)]
#[command(name = "quadrille-testnet", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run simulated banks against each other under faults and check every invariant
    Sim(SimArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Sim(args) => args.run(),
    }
}
