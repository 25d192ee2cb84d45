//! `quadrille-testnet fault`: the commands for faults.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Subcommand;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use quadrille_protocol::types::Time;

use super::super::command::{Folder, Output, complain, json, print};
use super::super::state::Held;
use super::super::up;
use super::{Fault, FaultId, InForce, spans};

/// How long `keep` waits for the network's lock.
const WAIT: Duration = Duration::from_secs(20);
/// Between two tries to get it.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// Make faults in a running network, and end them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Links go through the network's own proxy, so no rights are needed. A fault with --for ends by
itself; another one ends with `fault heal`, or when the network goes down. What is in force stands
in `quadrille-testnet status`. skew, disk-full and fsync-error need a debug build of the node.

Examples:
  quadrille-testnet fault partition bank-a / bank-b,bank-c --for 20s
  quadrille-testnet fault latency bank-a 150ms --jitter 30ms
  quadrille-testnet fault kill bank-b --for 5s
  quadrille-testnet fault heal")]
pub struct FaultArgs {
    #[command(subcommand)]
    command: FaultCommand,
}

/// What every fault takes.
#[derive(Debug, Clone, clap::Args)]
struct Lasting {
    /// End it after so long, like 20s; without it, it stays until it is healed
    #[arg(long = "for", value_name = "SPAN", value_parser = span)]
    span: Option<Duration>,
    #[command(flatten)]
    how: How,
}

/// Where, and how to print it.
#[derive(Debug, Clone, clap::Args)]
struct How {
    #[command(flatten)]
    folder: Folder,
    /// How to print what was done
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum FaultCommand {
    /// Let nothing pass between two sides, and tell nobody
    #[command(
        after_help = "Connections stay open and say nothing; new ones hang.\n\nExamples:\n  \
        quadrille-testnet fault partition bank-a,bank-b / bank-c --for 20s\n  \
        quadrille-testnet fault partition bank-a / bank-b --one-way"
    )]
    Partition {
        /// The sides: names with commas between them, a slash, names
        #[arg(required = true, num_args = 1.., value_name = "A,B / C,D")]
        sides: Vec<String>,
        /// Lose only what the first side says to the second
        #[arg(long)]
        one_way: bool,
        #[command(flatten)]
        lasting: Lasting,
    },
    /// Have all that is sent to or by a bank arrive later
    #[command(after_help = "A round trip takes twice as much longer; what is sent first arrives \
        first.\n\nExamples:\n  quadrille-testnet fault latency bank-a 150ms --jitter 30ms")]
    Latency {
        /// The bank, or `bootstrap`
        name: String,
        /// How much later, in each direction
        #[arg(value_parser = span)]
        delay: Duration,
        /// Up to so much more, as it comes
        #[arg(long, value_parser = span, default_value = "0ms")]
        jitter: Duration,
        #[command(flatten)]
        lasting: Lasting,
    },
    /// Lose segments to and from a bank; TCP sends them again, and what is behind them waits
    #[command(after_help = "Examples:\n  quadrille-testnet fault loss bank-a 5% --for 1m")]
    Loss {
        /// The bank, or `bootstrap`
        name: String,
        /// How many of a hundred
        #[arg(value_parser = percent)]
        share: f64,
        #[command(flatten)]
        lasting: Lasting,
    },
    /// Let a bank send, and be sent, only so much
    #[command(after_help = "Examples:\n  quadrille-testnet fault bandwidth bank-a 64KiB/s")]
    Bandwidth {
        /// The bank, or `bootstrap`
        name: String,
        /// How much, over all its links together, in each direction
        #[arg(value_parser = rate)]
        rate: u64,
        #[command(flatten)]
        lasting: Lasting,
    },
    /// Reset every connection of a bank, once
    #[command(after_help = "Examples:\n  quadrille-testnet fault reset bank-a")]
    Reset {
        /// The bank, or `bootstrap`
        name: String,
        #[command(flatten)]
        how: How,
    },
    /// Have a bank's process stand still
    #[command(after_help = "Examples:\n  quadrille-testnet fault pause bank-b --for 10s")]
    Pause {
        /// The bank
        name: String,
        #[command(flatten)]
        lasting: Lasting,
    },
    /// Kill a bank's process as a power cut would; it is started again when the time is over
    #[command(after_help = "Examples:\n  quadrille-testnet fault kill bank-b --for 5s")]
    Kill {
        /// The bank
        name: String,
        #[command(flatten)]
        lasting: Lasting,
    },
    /// Have a bank's clock be wrong
    #[command(after_help = "Examples:\n  quadrille-testnet fault skew bank-b +30s --for 1m\n  \
        quadrille-testnet fault skew bank-b -5m")]
    Skew {
        /// The bank
        name: String,
        /// How wrong, with a sign: + is fast, - is slow
        #[arg(value_parser = skew, allow_hyphen_values = true)]
        by: i64,
        #[command(flatten)]
        lasting: Lasting,
    },
    /// Have no room left on the disk of a bank's log
    #[command(after_help = "The bank stops at its next record. Start it again with `restart`.\n\n\
        Examples:\n  quadrille-testnet fault disk-full bank-b --for 10s")]
    DiskFull {
        /// The bank
        name: String,
        #[command(flatten)]
        lasting: Lasting,
    },
    /// Have the disk of a bank's log fail to keep what it was given
    #[command(after_help = "The bank stops at its next record. Start it again with `restart`.\n\n\
        Examples:\n  quadrille-testnet fault fsync-error bank-b --for 10s")]
    FsyncError {
        /// The bank
        name: String,
        #[command(flatten)]
        lasting: Lasting,
    },
    /// End a fault, or all; banks that were killed are started
    #[command(after_help = "Examples:\n  quadrille-testnet fault heal 3\n  \
        quadrille-testnet fault heal")]
    Heal {
        /// Its number, as `status` shows it; all when it is left out
        id: Option<u64>,
        #[command(flatten)]
        how: How,
    },
    /// Start the banks whose kill is over, once nobody else changes the network
    #[command(hide = true)]
    Keep {
        #[command(flatten)]
        folder: Folder,
    },
}

fn text(refusal: &Refusal) -> String {
    refusal.to_string()
}

fn span(given: &str) -> Result<Duration, String> {
    spans::parse(given).map_err(|refusal| text(&refusal))
}

fn rate(given: &str) -> Result<u64, String> {
    spans::rate(given).map_err(|refusal| text(&refusal))
}

fn percent(given: &str) -> Result<f64, String> {
    spans::percent(given).map_err(|refusal| text(&refusal))
}

fn skew(given: &str) -> Result<i64, String> {
    spans::skew(given).map_err(|refusal| text(&refusal))
}

impl FaultArgs {
    /// Does it.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let done = match &self.command {
            FaultCommand::Heal { id, how } => heal(how, id.map(FaultId)),
            FaultCommand::Keep { folder } => keep(folder),
            other => other.fault().and_then(|(fault, span, how)| apply(&fault, span, how)),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(refusal) => complain(&refusal),
        }
    }
}

impl FaultCommand {
    /// The fault that is asked for.
    fn fault(&self) -> Result<(Fault, Option<Duration>, &How), Refusal> {
        let lasting = |fault, lasting: &'_ Lasting| (fault, lasting.span);
        let ((fault, span), how) = match self {
            Self::Partition { sides, one_way, lasting: last } => {
                let (a, b) = read_sides(sides)?;
                (lasting(Fault::Partition { a, b, one_way: *one_way }, last), &last.how)
            }
            Self::Latency { name, delay, jitter, lasting: last } => {
                let (of, delay, jitter) = (name.clone(), *delay, *jitter);
                (lasting(Fault::Latency { of, delay, jitter }, last), &last.how)
            }
            Self::Loss { name, share, lasting: last } => {
                let fault = Fault::Loss { of: name.clone(), percent: *share };
                (lasting(fault, last), &last.how)
            }
            Self::Bandwidth { name, rate, lasting: last } => {
                let fault = Fault::Bandwidth { of: name.clone(), bytes_per_second: *rate };
                (lasting(fault, last), &last.how)
            }
            Self::Reset { name, how } => ((Fault::Reset { of: name.clone() }, None), how),
            Self::Pause { name, lasting: last } => {
                (lasting(Fault::Pause { of: name.clone() }, last), &last.how)
            }
            Self::Kill { name, lasting: last } => {
                (lasting(Fault::Kill { of: name.clone() }, last), &last.how)
            }
            Self::Skew { name, by, lasting: last } => {
                (lasting(Fault::Skew { of: name.clone(), by_ms: *by }, last), &last.how)
            }
            Self::DiskFull { name, lasting: last } => {
                (lasting(Fault::DiskFull { of: name.clone() }, last), &last.how)
            }
            Self::FsyncError { name, lasting: last } => {
                (lasting(Fault::FsyncError { of: name.clone() }, last), &last.how)
            }
            Self::Heal { .. } | Self::Keep { .. } => refuse!(BadUsage, "this makes no fault"),
        };
        Ok((fault, span, how))
    }
}

/// Reads `a,b / c,d`, with or without spaces.
fn read_sides(words: &[String]) -> Result<(Vec<String>, Vec<String>), Refusal> {
    let text = words.join(" ");
    let bad = || Refusal::new(Code::BadFault, format!("`{text}`: sides like bank-a / bank-b"));
    let (a, b) = text.split_once('/').ok_or_else(bad)?;
    let names = |side: &str| -> Vec<String> {
        let names = side.split([',', ' ']).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    };
    if b.contains('/') {
        return Err(bad());
    }
    Ok((names(a), names(b)))
}

fn apply(fault: &Fault, span: Option<Duration>, how: &How) -> Result<(), Refusal> {
    let mut held = Held::open(how.folder.layout())?;
    let id = super::apply(&mut held, fault, span)?;
    let found = super::in_force(&held.layout)?.into_iter().find(|found| found.id == id);
    match (found, how.output) {
        (Some(found), Output::Table) => print(&format!("{}\n", line(&found, up::now()?))),
        (Some(found), Output::Json) => print(&json(&found)?),
        // It happened, and is over.
        (None, Output::Table) => print(&format!("{fault}: done\n")),
        (None, Output::Json) => print(&json(fault)?),
    }
}

fn heal(how: &How, id: Option<FaultId>) -> Result<(), Refusal> {
    let mut held = Held::open(how.folder.layout())?;
    let healed = super::heal(&mut held, id)?;
    match how.output {
        Output::Json => print(&json(&healed)?),
        Output::Table if healed.is_empty() => print("nothing was in force\n"),
        Output::Table => {
            let lines = healed.iter().map(|fault| format!("healed: {fault}\n"));
            print(&lines.collect::<String>())
        }
    }
}

fn keep(folder: &Folder) -> Result<(), Refusal> {
    let deadline = Instant::now() + WAIT;
    let mut held = loop {
        match Held::open(folder.layout()) {
            Err(refusal)
                if refusal.code == Code::LocalNetworkInUse && Instant::now() < deadline =>
            {
                std::thread::sleep(TRY_AGAIN);
            }
            held => break held?,
        }
    };
    super::keep(&mut held).map(|_| ())
}

/// A fault in force, in one line: `fault 3: partition bank-a / bank-b, for 17 s more`.
#[must_use]
pub fn line(found: &InForce, now: Time) -> String {
    format!("fault {}: {}, {}", found.id, found.fault, left(found, now))
}

/// How long it stays in force.
fn left(found: &InForce, now: Time) -> String {
    match found.until {
        None => "until it is healed".to_owned(),
        Some(until) if until <= now => "over as soon as the network is free".to_owned(),
        Some(until) => {
            let seconds = until.0.saturating_sub(now.0).div_ceil(1000);
            format!("until {until}, {seconds} s more")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_sides_of_a_partition_are_read_with_and_without_spaces() {
        let expected = (words("a b"), words("c"));
        for text in ["a,b / c", "a,b/c", "a, b / c", "a b / c"] {
            assert_eq!(read_sides(&words(text)).unwrap(), expected, "{text}");
        }
        for text in ["a,b", "a / b / c"] {
            assert_eq!(read_sides(&words(text)).unwrap_err().code, Code::BadFault, "{text}");
        }
    }

    #[test]
    fn a_line_says_what_and_until_when() {
        let fault = Fault::Pause { of: "bank-a".to_owned() };
        let found = |until| InForce { id: FaultId(3), fault: fault.clone(), since: Time(0), until };
        let now = Time(1_000);
        let said = line(&found(Some(Time(3_500))), now);
        assert!(said.starts_with("fault 3: pause bank-a, until 1970-01-01T00:00:03"), "{said}");
        assert!(said.ends_with("3 s more"), "{said}");
        assert!(line(&found(None), now).ends_with("until it is healed"));
        assert!(line(&found(Some(now)), now).contains("as soon as the network is free"));
    }
}
