//! The command `sim`: many seeds with a table at the end, or one seed with its story.

use std::io::{IsTerminal, Write};
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::report::{Outcome, exit_code, table};
use super::run::{DEFAULT_STEPS, Options, run_seed, run_seeds};

/// What `sim` takes.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 everything held, 129 a safety invariant broke, 128 \
    something never ended although all faults had stopped, 127 a validator or the simulator \
    crashed, 2 bad arguments. A failure prints its seed and the command that replays it.")]
pub struct SimArgs {
    /// Seeds to run, both ends included: 1..5000 runs 5000 seeds
    #[arg(long, value_name = "A..B", value_parser = parse_range, conflicts_with = "seed",
        required_unless_present = "seed")]
    seeds: Option<RangeInclusive<u64>>,
    /// One seed to run
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Domains in each run, 2 to 8; drawn from the seed when not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=8))]
    domains: Option<u64>,
    /// Steps before the faults stop [default: 2000, fewer where the real suites run]
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    steps: Option<u64>,
    /// Threads [default: one per core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// Print the story of the run, message by message (with --seed)
    #[arg(long, requires = "seed", conflicts_with = "seeds")]
    trace: bool,
}

const _: () = assert!(DEFAULT_STEPS == 2_000, "the help says so");

fn parse_range(text: &str) -> Result<RangeInclusive<u64>, String> {
    let remedy = "use two numbers with two dots, the smaller one first, like 1..500";
    let (first, last) = text.split_once("..").ok_or(remedy)?;
    let number = |digits: &str| digits.parse::<u64>().map_err(|_| remedy.to_owned());
    let (first, last) = (number(first)?, number(last)?);
    if first > last || last == u64::MAX {
        return Err(remedy.to_owned());
    }
    Ok(first..=last)
}

impl SimArgs {
    fn options(&self) -> Options {
        Options {
            domains: self.domains.and_then(|domains| usize::try_from(domains).ok()),
            steps: self.steps,
            trace: self.trace,
            trusting: false,
        }
    }

    fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.and_then(|jobs| usize::try_from(jobs).ok()).unwrap_or_else(cores)
    }

    fn replay_command(&self, seed: u64) -> String {
        let mut command = format!("quadrille-testnet sim --seed {seed}");
        if let Some(domains) = self.domains {
            command.push_str(&format!(" --domains {domains}"));
        }
        if let Some(steps) = self.steps {
            command.push_str(&format!(" --steps {steps}"));
        }
        command + " --trace"
    }

    /// Runs it. The story and the table go to the standard output, the rest to the error output.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        // A panic is caught and reported with its seed.
        std::panic::set_hook(Box::new(|_| {}));
        let broken = match (self.seed, &self.seeds) {
            (Some(seed), _) => self.run_one(seed),
            (None, Some(seeds)) => self.run_many(seeds),
            (None, None) => None,
        };
        if let Some(outcome) = &broken {
            self.report(outcome);
        }
        ExitCode::from(exit_code(broken.as_ref().and_then(|outcome| outcome.broken.as_ref())))
    }

    fn run_one(&self, seed: u64) -> Option<Outcome> {
        let outcome = run_seed(seed, self.options());
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(outcome.trace.as_bytes());
        let _ = writeln!(out, "{}", table(&outcome.figures));
        outcome.broken.is_some().then_some(outcome)
    }

    fn run_many(&self, seeds: &RangeInclusive<u64>) -> Option<Outcome> {
        let (first, last) = (*seeds.start(), *seeds.end());
        let count = last - first + 1;
        let began = Instant::now();
        let progress = Progress::new(count);
        let (figures, broken) =
            run_seeds(first, last, self.options(), self.jobs(), &|done| progress.tell(done));
        progress.finish();
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{}", table(&figures));
        let millis = began.elapsed().as_millis().max(1);
        let rate = u128::from(figures.seeds) * 10_000 / millis;
        eprintln!("{}.{} seeds/s on {} threads", rate / 10, rate % 10, self.jobs());
        if broken.is_none() {
            let _ = writeln!(out, "seeds {first}..{last}: everything held");
        }
        broken
    }

    fn report(&self, outcome: &Outcome) {
        let Some(broken) = &outcome.broken else { return };
        eprintln!("seed {} failed ({:?}): {broken}", outcome.seed, broken.kind);
        eprintln!("replay: {}", self.replay_command(outcome.seed));
    }
}

/// A bar on a terminal, a plain line now and then elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    count: u64,
}

impl Progress {
    fn new(count: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {eta} left");
            let bar = ProgressBar::new(count);
            style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
        });
        Self { bar, count }
    }

    fn tell(&self, done: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None if done.is_multiple_of((self.count / 10).max(1)) => {
                eprintln!("{done}/{} seeds", self.count);
            }
            None => {}
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
