//! The command line: one binary that sets a node up, runs it, and is its client.
//!
//! Invariants:
//! * Answers go to standard output, everything else to standard error; with `-o json` both are
//!   JSON.
//! * What the process ends with is decided in `exit` alone.
//! * No secret is an argument (others could see it), and none is printed but a new token, once.

mod amount;
mod asset;
mod book;
mod completions;
mod config;
mod connect;
mod correspondent;
mod doctor;
mod drain;
mod enroll;
mod evidence;
mod exit;
mod explain;
mod holder;
mod hook;
mod init;
mod ledger;
mod log;
mod name;
mod offer;
mod order;
mod output;
mod pathfinding;
mod pay;
mod payment;
mod peers;
mod positions;
mod recovery;
mod replace;
mod run;
pub mod span;
mod statement;
mod status;
mod submit;
mod token;
mod trade;
mod travel;
mod trust;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quadrille_protocol::error::Code;
use quadrille_protocol::settlement::Purpose;

pub use exit::{Exit, Failure};
pub use output::Output;

/// What the program is asked to do.
#[derive(Debug, Parser)]
#[command(
    name = "quadrille",
    version,
    about = "Settles trades between banks that keep separate ledgers",
    subcommand_required = true,
    arg_required_else_help = false,
    max_term_width = 100,
    after_help = exit::EXIT_CODES
)]
struct Arguments {
    /// How answers are printed
    #[arg(short, long, global = true, value_enum, default_value = "table", value_name = "FORM")]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new node's data directory
    Init(Box<init::Arguments>),
    /// Become a member: request a certificate, accept it
    #[command(subcommand)]
    Enroll(enroll::Command),
    /// Run the node
    Run(run::Arguments),
    /// Check a node: files, keys, certificate, guard, disk, log, ports, network
    Doctor(doctor::Arguments),
    /// How a node is
    Status(status::Arguments),
    /// Peers: connection, standing, feeds, exposure
    Peers(peers::Arguments),
    /// What this bank and its peers owe each other, and whether their books agree
    Positions(positions::Arguments),
    /// Say what a difference between two banks' books was; new exposure is allowed again
    ExplainBreak(positions::ExplainArguments),
    /// Take part in netting, or no longer
    #[command(subcommand)]
    Netting(positions::NettingCommand),
    /// Look for rings of debts through this bank and cancel them
    Net(positions::NetArguments),
    /// Pay a debt with a claim on a third bank, such as a central bank
    SettleUp(positions::SettleUpArguments),
    /// Credit limits: how much peers may owe this bank
    #[command(subcommand)]
    Trust(trust::Command),
    /// Assets: register, list, show, issue, redeem, lock
    #[command(subcommand)]
    Asset(asset::Command),
    /// Holders' keys in the wallet
    #[command(subcommand)]
    Holder(holder::Command),
    /// Ledgers: open, list, show, entries
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// What a holder's bank says of a name: ledger, assets, tier
    Name(name::Arguments),
    /// The travel rule: from which amount on payments say who pays whom
    #[command(subcommand)]
    TravelRule(travel::Command),
    /// Offers: create, list, cancel, take
    #[command(subcommand)]
    Offer(offer::Command),
    /// Pay somebody, at this bank or another
    Pay(pay::Arguments),
    /// Transfer an asset: extinguished here, recreated at another bank
    Transfer(pay::Arguments),
    /// The ways that a payment could take now
    Path(pathfinding::Arguments),
    /// Payments: what has become of one
    #[command(subcommand)]
    Payment(payment::Command),
    /// What this bank does for payments of others: transit ledger, fees
    #[command(subcommand)]
    Correspondent(correspondent::Command),
    /// What has become of an order
    Order(order::Arguments),
    /// All live offers that a node knows
    Book(book::Arguments),
    /// Settlements: list, show, watch
    #[command(subcommand)]
    Trade(trade::Command),
    /// Evidence: get it, verify it offline
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// The log: verify it, show its head
    #[command(subcommand)]
    Log(log::Command),
    /// Get back what a node has lost: who is awaited, what customers still hold
    #[command(subcommand)]
    Recovery(recovery::Command),
    /// Events posted to other systems: add, list, remove, resume, test, verify
    #[command(subcommand)]
    Hook(hook::Command),
    /// Bearer tokens of a node: create, list, revoke
    #[command(subcommand)]
    Token(token::Command),
    /// Take no new business; what is open goes on
    Drain(drain::Arguments),
    /// Take new business again
    Undrain(drain::Arguments),
    /// The configuration of a node
    #[command(subcommand)]
    Config(config::Command),
    /// Say what a refusal code means and what to do about it
    Explain(explain::Arguments),
    /// Print a shell's completions
    Completions(completions::Arguments),
}

/// A node's data directory, for commands that work in it.
#[derive(Debug, Clone, clap::Args)]
struct DataDir {
    /// The node's data directory
    #[arg(long, value_name = "DIR", env = "QUADRILLE_DIR")]
    dir: PathBuf,
}

/// A wallet, for commands that use holders' keys.
#[derive(Debug, Clone, clap::Args)]
struct WalletDir {
    /// The holders' wallet
    #[arg(long, value_name = "DIR", env = "QUADRILLE_WALLET", help_heading = "Wallet")]
    wallet: PathBuf,
}

/// A wallet whose keys are to be opened.
#[derive(Debug, Clone, clap::Args)]
struct OpenWallet {
    #[command(flatten)]
    dir: WalletDir,
    /// A file with the wallet's passphrase (or QUADRILLE_PASSPHRASE_FILE, or a prompt)
    #[arg(long, value_name = "FILE", help_heading = "Wallet")]
    passphrase_file: Option<PathBuf>,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse_arguments(&error),
    };
    let output = arguments.output;
    match arguments.command.run(output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(output);
            ExitCode::from(failure.exit as u8)
        }
    }
}

impl Command {
    fn run(self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Init(arguments) => init::run(&arguments, output),
            Self::Enroll(command) => enroll::run(&command, output),
            Self::Run(arguments) => run::run(&arguments),
            Self::Doctor(arguments) => doctor::run(&arguments, output),
            Self::Status(arguments) => status::run(&arguments, output),
            Self::Peers(arguments) => peers::run(&arguments, output),
            Self::Positions(arguments) => positions::run(&arguments, output),
            Self::ExplainBreak(arguments) => positions::explain(&arguments, output),
            Self::Netting(command) => positions::switch(&command, output),
            Self::Net(arguments) => positions::net(&arguments, output),
            Self::SettleUp(arguments) => positions::settle_up(&arguments, output),
            Self::Trust(command) => trust::run(&command, output),
            Self::Asset(command) => asset::run(&command, output),
            Self::Holder(command) => holder::run(&command, output),
            Self::Ledger(command) => ledger::run(&command, output),
            Self::Name(arguments) => name::run(&arguments, output),
            Self::TravelRule(command) => travel::run(&command, output),
            Self::Offer(command) => offer::run(&command, output),
            Self::Pay(arguments) => pay::run(&arguments, Purpose::Payment, output),
            Self::Transfer(arguments) => pay::run(&arguments, Purpose::Transfer, output),
            Self::Path(arguments) => pathfinding::run(&arguments, output),
            Self::Payment(command) => payment::run(&command, output),
            Self::Correspondent(command) => correspondent::run(&command, output),
            Self::Order(arguments) => order::run(&arguments, output),
            Self::Book(arguments) => book::run(&arguments, output),
            Self::Trade(command) => trade::run(&command, output),
            Self::Evidence(command) => evidence::run(&command, output),
            Self::Log(command) => log::run(&command, output),
            Self::Recovery(command) => recovery::run(&command, output),
            Self::Hook(command) => hook::run(&command, output),
            Self::Token(command) => token::run(&command, output),
            Self::Drain(arguments) => drain::run(&arguments, true, output),
            Self::Undrain(arguments) => drain::run(&arguments, false, output),
            Self::Config(command) => config::run(&command, output),
            Self::Explain(arguments) => explain::run(&arguments, output),
            Self::Completions(arguments) => completions::run(&arguments),
        }
    }
}

/// The options that `--set section.option=value` sets.
fn overrides(set: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let split = |text: &String| match text.split_once('=') {
        Some((option, value)) => Ok((option.trim().to_owned(), value.trim().to_owned())),
        None => Err(Failure::usage(format!("--set `{text}`: section.option=value is wanted"))),
    };
    set.iter().map(split).collect()
}

/// What clap says about the arguments: help and version are answers, the rest is wrong usage.
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    // Printing can only fail when nobody reads it.
    let _ = error.print();
    if error.exit_code() == 0 {
        return ExitCode::SUCCESS;
    }
    let code = Code::BadUsage;
    eprintln!("\n{code} {}: {}", code.title(), code.remedy());
    ExitCode::from(Exit::Usage as u8)
}

#[cfg(test)]
mod tests;
