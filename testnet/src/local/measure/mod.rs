//! Measuring trades between two real banks at several numbers in flight: closed loads, one after
//! the other, with what each trade costs.
//!
//! Invariant: every trade settles, or the run fails: there are no figures of broken trades.

mod figures;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use quadrille_node::files;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::refuse;

use super::clients;
use super::command::{self, Output, Progress, complain, print};
use super::layout::Layout;
use super::start;
use super::state::Held;
use super::up::{self, Plan};
use crate::load::{self, LoadPlan, Machine, Pace, Program, Tick};
use figures::{Phase, Report};

/// Most trades of one way of trading.
const TRADES: u64 = 8_000;
/// Most trades in flight.
const IN_FLIGHT: usize = 256;
/// Trades with pauses in between, at most.
const IDLE_TRADES: u64 = 200;
/// The pause: longer than what a trade leaves to do behind it.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one way of trading may take.
const PHASE: Duration = Duration::from_secs(15 * 60);

/// What `measure` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A release build of all programs measures what counts; other load on the machine spoils it.

Examples:
  quadrille-testnet measure
  quadrille-testnet measure --dir /tmp/sixteen --pairs bank-c,bank-d --trades 2000 -o json")]
pub struct MeasureArgs {
    /// The folder of a network that is up [default: a new one of two banks, ended afterwards]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The maker's bank and the taker's
    #[arg(long, default_value = "bank-a,bank-b", value_parser = pair)]
    pairs: [String; 2],
    /// How many trades for each number in flight
    #[arg(long, default_value_t = 1_000, value_parser = trades)]
    trades: u64,
    /// How many trades are under way at one time, one run for each number
    #[arg(long, value_delimiter = ',', default_value = "1,16,256", value_parser = in_flight)]
    in_flight: Vec<usize>,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

fn pair(text: &str) -> Result<[String; 2], String> {
    match text.split_once(',') {
        Some((maker, taker)) if maker != taker => Ok([maker.to_owned(), taker.to_owned()]),
        Some(_) | None => Err("two banks, like bank-a,bank-b".to_owned()),
    }
}

fn trades(text: &str) -> Result<u64, String> {
    let count = text.parse().ok().filter(|count| (1..=TRADES).contains(count));
    count.ok_or_else(|| format!("a number from 1 to {TRADES}"))
}

fn in_flight(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=IN_FLIGHT).contains(count));
    count.ok_or_else(|| format!("numbers from 1 to {IN_FLIGHT}"))
}

impl MeasureArgs {
    /// Measures.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let told = match &self.dir {
            Some(dir) => Held::open(Layout::new(dir)).and_then(|held| self.measure(&held)),
            None => self.measure_own(),
        };
        let shown = told.and_then(|report| match self.output {
            Output::Table => print(&report.table()),
            Output::Json => print(&command::json(&report)?),
        });
        match shown {
            Ok(()) => ExitCode::SUCCESS,
            Err(refusal) => complain(&refusal),
        }
    }

    /// On a network that is made for it. It is left for a look when something fails.
    fn measure_own(&self) -> Result<Report, Refusal> {
        let own = format!("quadrille-measure-{}", std::process::id());
        let dir = std::env::temp_dir().join(own);
        let mut plan = Plan::of(0, None, Suite::HybridMlDsa65)?;
        plan.banks = self.pairs.iter().map(|name| (name.clone(), true)).collect();
        let progress = Progress::new();
        let mut held = match up::up(Layout::new(&dir), &plan, &mut |what| progress.say(what)) {
            Ok(held) => held,
            Err(failed) => {
                if let Some(mut held) = failed.held {
                    let _ = start::down(&mut held)?;
                }
                return Err(failed.refusal);
            }
        };
        let measured = self.measure(&held);
        let _ = start::down(&mut held)?;
        match measured {
            Ok(report) => {
                std::fs::remove_dir_all(&dir).map_err(|error| files::cannot_write(&dir, &error))?;
                Ok(report)
            }
            Err(refusal) => {
                eprintln!("the network's folder is left for a look: {}", dir.display());
                Err(refusal)
            }
        }
    }

    fn measure(&self, held: &Held) -> Result<Report, Refusal> {
        let progress = Progress::new();
        let fdatasync_us = load::fdatasync(held.layout.root())?;
        let [maker, taker] = &self.pairs;
        let (maker, taker) = (held.state.bank(maker)?, held.state.bank(taker)?);
        let runtime = clients::runtime()?;
        let phase =
            |in_flight, trades, pause| runtime.block_on(self.phase(held, in_flight, trades, pause));
        progress.say("trading one at a time, with pauses");
        let mut phases = vec![phase(1, self.trades.min(IDLE_TRADES), PAUSE)?];
        for in_flight in &self.in_flight {
            progress.say(&format!("trading with {in_flight} in flight"));
            phases.push(phase(*in_flight, self.trades, Duration::ZERO)?);
        }
        Ok(Report {
            machine: Machine::this(),
            program: Program::this(),
            pair: self.pairs.clone(),
            fdatasync_us,
            phases,
            resident_bytes: [
                load::usage_of(maker)?.resident_bytes,
                load::usage_of(taker)?.resident_bytes,
            ],
        })
    }

    /// One way of trading: a closed loop.
    async fn phase(
        &self,
        held: &Held,
        in_flight: usize,
        trades: u64,
        pause: Duration,
    ) -> Result<Phase, Refusal> {
        let [maker, taker] = &self.pairs;
        let plan = LoadPlan {
            pace: Pace::Closed { in_flight, pause },
            most: Some(trades),
            ..LoadPlan::dvp(maker, taker, 1.0, PHASE)
        };
        let go_on = |_: &Tick| ControlFlow::Continue(());
        let outcome = load::run(&held.layout, &held.state, &plan, go_on).await?;
        let (settled, cost) = (outcome.counts.settled, outcome.cost);
        let Some(cost) = cost.filter(|_| settled == trades) else {
            refuse!(StepFailed, "{settled} of {trades} trades have settled: {:?}", outcome.counts);
        };
        Ok(Phase {
            in_flight,
            idle_between: !pause.is_zero(),
            trades,
            seconds: outcome.window_s,
            trades_per_second: outcome.settled_per_s,
            accepted: outcome.accepted,
            settled: outcome.settled,
            cost,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_bounded_and_a_pair_is_two_banks() {
        assert!(trades("0").is_err() && trades("8001").is_err() && trades("x").is_err());
        assert_eq!(trades("8000"), Ok(8_000));
        assert!(in_flight("0").is_err() && in_flight("257").is_err());
        assert_eq!(pair("bank-a,bank-c"), Ok(["bank-a".to_owned(), "bank-c".to_owned()]));
        assert!(pair("bank-a").is_err() && pair("bank-a,bank-a").is_err());
    }
}
