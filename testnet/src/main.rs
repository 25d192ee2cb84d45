//! `quadrille-testnet`: local networks of real processes, and the simulator.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quadrille_testnet::load::command::LoadArgs;
use quadrille_testnet::local::command::{EXIT_CODES, LocalCommand};
use quadrille_testnet::local::demo::DemoArgs;
use quadrille_testnet::local::measure::MeasureArgs;
use quadrille_testnet::local::tour::TourArgs;
use quadrille_testnet::scenario::command::{NewArgs, RunArgs};
use quadrille_testnet::scale::command::ScaleArgs;
use quadrille_testnet::sim::command::SimArgs;

/// Local networks for testers
#[derive(Debug, Parser)]
#[command(name = "quadrille-testnet", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run simulated banks against each other under faults and check every invariant
    Sim(SimArgs),
    /// Show three trades between banks: one competes, one survives a kill -9, one is refunded
    Demo(DemoArgs),
    /// Go through everything that the network does, item by item, with the evidence of each
    Tour(TourArgs),
    /// Measure trades between two banks: latency, rate, and what each costs
    Measure(MeasureArgs),
    /// Put a load of trades or payments on a network, and report how it bears it
    Load(LoadArgs),
    /// Run scenario files: what happens to a network, and what has to come of it
    Run(RunArgs),
    /// Write a commented scenario file to begin with, which runs as it is
    NewScenario(NewArgs),
    /// Work out what networks of 10 to 10,000 banks carry, and where they break first
    Scale(ScaleArgs),
    #[command(flatten)]
    Local(LocalCommand),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Sim(args) => args.run(),
        Command::Demo(args) => args.run(),
        Command::Tour(args) => args.run(),
        Command::Measure(args) => args.run(),
        Command::Load(args) => args.run(),
        Command::Run(args) => args.run(),
        Command::NewScenario(args) => args.run(),
        Command::Scale(args) => args.run(),
        Command::Local(command) => command.run(),
    }
}
