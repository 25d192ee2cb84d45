//! The command `load`.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use quadrille_node::files;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;

use super::outcome::{Outcome, Tick};
use super::plan::{Kind, LoadPlan, OPEN, PARTIES, Pace};
use super::progress::Progress;
use super::{report, run};
use crate::local::clients;
use crate::local::command::{self, Folder, Output, complain, print};
use crate::local::layout::Layout;
use crate::local::state::{self, State};
use crate::local::up::{self, Plan};
use crate::local::{command::Progress as Say, start};

/// The process ends with this when it was interrupted.
const EXIT_INTERRUPTED: u8 = 130;

/// What `load` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --trades-per-second each trade has its moment, and its latency counts from that moment, \
however late it was sent: a bank that stalls for a second shows in every trade that was due in \
that second. With --in-flight alone the end of one trade begins the next.
Banks may be killed, started again and cut off meanwhile; orders without an answer are sent again \
as they are, and count once. Ctrl-C ends the load, and the report is of what was done (exit code \
130). Exit code 1: trades are in doubt, or one end settled and the other did not.
Use a release build for figures.

Examples:
  quadrille-testnet load --trades-per-second 200 --duration 60s --report /tmp/report
  quadrille-testnet load --in-flight 16 --duration 10s --suite 3 --pairs 'bank-a,bank-b;bank-c,bank-d'
  quadrille-testnet load --kind path --parties 3 --trades-per-second 50 --duration 30s
  quadrille-testnet load --own --kind payment --in-flight 64 --duration 10s -o json")]
pub struct LoadArgs {
    /// Open loop: so many trades a second
    #[arg(short = 'r', long, value_name = "R", required_unless_present = "in_flight")]
    trades_per_second: Option<f64>,
    /// For how long new trades are begun: 60s, 5m, 500ms
    #[arg(short, long, default_value = "30s", value_parser = span)]
    duration: Duration,
    /// Most trades under way; without a rate a closed loop with just so many
    #[arg(long, value_name = "N")]
    in_flight: Option<usize>,
    /// What is done
    #[arg(long, value_enum, default_value = "dvp")]
    kind: KindArg,
    /// Maker and taker of each pair, like bank-a,bank-b;bank-c,bank-d; of payments the bank, of
    /// paths all banks in order [default: the first ones of the network]
    #[arg(long, value_name = "A,B;C,D")]
    pairs: Option<String>,
    /// How many banks a path goes over
    #[arg(long, default_value_t = 3, value_parser = parties)]
    parties: usize,
    /// The suite of the holders' keys: 1 (Ed25519 + ML-DSA-65) or 3 (Ed25519 alone)
    #[arg(long, default_value_t = 1, value_parser = suite)]
    suite: u8,
    /// Holders at each end of each pair, of whom none has two trades at one time [default: by rate]
    #[arg(long, value_name = "N")]
    holders: Option<usize>,
    /// Moments at random distances (a Poisson process) instead of even ones
    #[arg(long)]
    random: bool,
    /// What random moments are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long before its moment the offer of a trade is handed in
    #[arg(long, default_value = "500ms", value_parser = span)]
    lead: Duration,
    /// How long what is open at the end may take to end
    #[arg(long, default_value = "60s", value_parser = span)]
    patience: Duration,
    #[command(flatten)]
    folder: Folder,
    /// Make a network for it and end it afterwards
    #[arg(long)]
    own: bool,
    /// Write index.html, samples.csv, latencies.csv and report.json into a folder that is new
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum KindArg {
    /// A bond at one bank against cash at another: offer and take.
    Dvp,
    /// Payments inside one bank.
    Payment,
    /// Payments over several banks.
    Path,
}

fn parties(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (3..=PARTIES).contains(count));
    count.ok_or_else(|| format!("a number from 3 to {PARTIES}"))
}

fn suite(text: &str) -> Result<u8, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("1 (Ed25519 + ML-DSA-65) or 3 (Ed25519 alone)".to_owned()),
    }
}

/// `60s`, `5m`, `500ms`, `60`.
fn span(text: &str) -> Result<Duration, String> {
    let bad = || "a time like 60s, 5m or 500ms".to_owned();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: f64 = digits.parse().map_err(|_| bad())?;
    let seconds = match text.strip_prefix(digits).unwrap_or_default() {
        "ms" => number / 1e3,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3_600.0,
        _ => return Err(bad()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| bad())
}

impl LoadArgs {
    /// Runs it.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        match self.load() {
            Ok(outcome) if outcome.stopped => ExitCode::from(EXIT_INTERRUPTED),
            Ok(outcome) => match judged(&outcome) {
                Ok(()) => ExitCode::SUCCESS,
                Err(refusal) => complain(&refusal),
            },
            Err(refusal) if refusal.code == Code::LoadStopped => {
                let _ = complain(&refusal);
                ExitCode::from(EXIT_INTERRUPTED)
            }
            Err(refusal) => complain(&refusal),
        }
    }

    fn load(&self) -> Result<Outcome, Refusal> {
        if let Some(dir) = &self.report {
            report::check_free(dir)?;
        }
        let outcome = if self.own { self.load_own()? } else { self.load_on(self.folder.layout())? };
        if let Some(dir) = &self.report {
            report::write(dir, &outcome)?;
            eprintln!("report: {}", dir.join(report::PAGE).display());
        }
        match self.output {
            Output::Table => print(&report::text(&outcome))?,
            Output::Json => print(&command::json(&outcome)?)?,
        }
        Ok(outcome)
    }

    fn load_on(&self, layout: Layout) -> Result<Outcome, Refusal> {
        let state = state::load(&layout)?;
        let plan = self.plan(&state)?;
        plan.check()?;
        let runtime = clients::runtime()?;
        runtime.block_on(async {
            let interrupts = Rc::new(Cell::new(0_u32));
            let mut progress = Progress::new(&plan);
            let mut seen = 0;
            let counted = Rc::clone(&interrupts);
            let watch = |tick: &Tick| {
                progress.show(tick);
                if counted.get() > seen {
                    seen = counted.get();
                    progress.say("interrupted: waiting for what is open (again to give it up)");
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            };
            let done = tokio::select! {
                done = run(&layout, &state, &plan, watch) => done,
                () = count_interrupts(&interrupts) => {
                    Err(Refusal::new(Code::StepFailed, "signals are not told"))
                }
            };
            progress.end();
            done
        })
    }

    /// On a network that is made for it. It is left for a look when something fails.
    fn load_own(&self) -> Result<Outcome, Refusal> {
        let own = format!("quadrille-load-{}", std::process::id());
        let dir = std::env::temp_dir().join(own);
        let names = self.routes(None)?;
        let mut plan = Plan::of(0, None, Suite::HybridMlDsa65)?;
        for name in names.into_iter().flatten() {
            if plan.banks.iter().all(|(known, _)| *known != name) {
                plan.banks.push((name, true));
            }
        }
        let say = Say::new();
        let mut held = match up::up(Layout::new(&dir), &plan, &mut |what| say.say(what)) {
            Ok(held) => held,
            Err(failed) => {
                if let Some(mut held) = failed.held {
                    let _ = start::down(&mut held)?;
                }
                return Err(failed.refusal);
            }
        };
        let loaded = self.load_on(held.layout.clone());
        let _ = start::down(&mut held)?;
        drop(held);
        match loaded {
            Ok(outcome) => {
                std::fs::remove_dir_all(&dir).map_err(|error| files::cannot_write(&dir, &error))?;
                Ok(outcome)
            }
            Err(refusal) => {
                eprintln!("the network's folder is left for a look: {}", dir.display());
                Err(refusal)
            }
        }
    }

    fn plan(&self, state: &State) -> Result<LoadPlan, Refusal> {
        let kind = self.kind();
        let (pace, open) = match (self.trades_per_second, self.in_flight) {
            (Some(per_second), most) => {
                (Pace::Open { per_second, random: self.random }, most.unwrap_or(OPEN))
            }
            (None, Some(in_flight)) => (Pace::Closed { in_flight, pause: Duration::ZERO }, OPEN),
            (None, None) => refuse!(BadLoad, "--trades-per-second or --in-flight is needed"),
        };
        Ok(LoadPlan {
            kind,
            pace,
            duration: self.duration,
            most: None,
            open,
            routes: self.routes(Some(state))?,
            suite: Suite::from_number(self.suite)?,
            holders: self.holders,
            lead: self.lead,
            patience: self.patience,
            seed: self.seed,
        })
    }

    const fn kind(&self) -> Kind {
        match self.kind {
            KindArg::Dvp => Kind::Dvp,
            KindArg::Payment => Kind::Payment,
            KindArg::Path => Kind::Path,
        }
    }

    /// The banks of each route, of this network or of one that is yet to be made.
    fn routes(&self, state: Option<&State>) -> Result<Vec<Vec<String>>, Refusal> {
        let wanted = match self.kind() {
            Kind::Dvp => 2,
            Kind::Payment => 1,
            Kind::Path => self.parties,
        };
        let Some(pairs) = &self.pairs else {
            let names: Vec<String> = match state {
                Some(state) => state.banks.iter().map(|bank| bank.name.clone()).collect(),
                None => Plan::of(wanted, None, Suite::HybridMlDsa65)?
                    .banks
                    .into_iter()
                    .map(|(name, _)| name)
                    .collect(),
            };
            let Some(names) = names.get(..wanted) else {
                refuse!(BadLoad, "{wanted} banks are needed, there are {}", names.len());
            };
            return Ok(vec![names.to_vec()]);
        };
        let route = |text: &str| {
            text.split(',').map(|name| in_full(name.trim(), state)).collect::<Result<Vec<_>, _>>()
        };
        pairs.split(';').filter(|text| !text.trim().is_empty()).map(route).collect()
    }
}

/// A bank's name; `a` is short for `bank-a`.
fn in_full(name: &str, state: Option<&State>) -> Result<String, Refusal> {
    let long = format!("bank-{name}");
    match state {
        Some(state) => {
            let found = state.bank(name).or_else(|refusal| state.bank(&long).map_err(|_| refusal));
            found.map(|bank| bank.name.clone())
        }
        None if name.starts_with("bank-") => Ok(name.to_owned()),
        None => Ok(long),
    }
}

/// Counts Ctrl-C for as long as it is polled.
async fn count_interrupts(count: &Cell<u32>) {
    while tokio::signal::ctrl_c().await.is_ok() {
        count.set(count.get().saturating_add(1));
    }
}

/// What is wrong with an outcome.
fn judged(outcome: &Outcome) -> Result<(), Refusal> {
    let counts = &outcome.counts;
    if counts.torn > 0 {
        refuse!(DoesNotHold, "{} trades settled at one end and not at the other", counts.torn);
    }
    if counts.in_doubt > 0 {
        refuse!(LoadInDoubt, "{} of {}", counts.in_doubt, counts.begun);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(span("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(span("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("7"), Ok(Duration::from_secs(7)));
        for bad in ["", "s", "-1s", "5 weeks", "1e400s", "nan"] {
            assert!(span(bad).is_err(), "{bad}");
        }
        assert!(suite("2").is_err() && parties("2").is_err() && parties("6").is_err());
    }

    #[test]
    fn a_short_name_is_a_bank_s() {
        assert_eq!(in_full("a", None).unwrap(), "bank-a");
        assert_eq!(in_full("bank-b", None).unwrap(), "bank-b");
    }
}
