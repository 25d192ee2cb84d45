//! The command `scale`.

use std::path::PathBuf;
use std::process::ExitCode;

use quadrille_protocol::error::Refusal;
use quadrille_protocol::refuse;

use super::figures::Figures;
use super::report::{self, Report, Style};
use super::study::{Plan, Study};
use super::topology::Shape;
use crate::local::command::{Output, Progress, complain, json, print};

/// The smallest and the largest network.
const BANKS: (usize, usize) = (4, 10_000);
/// Networks of one run at most.
const NETWORKS: usize = 16;
/// Searches for ways in one network at most.
const SEARCHES: usize = 20_000;

/// What `scale` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is started: networks are drawn from the seed, ways are found by the real search, and what
each bank has to do is worked out from measured figures, or assumptions where there are none.

A file of figures is JSON with numbers under keys like cpu_us_per_party, notice_us or hop_ms (the
first table names all of them); other keys are left alone.

Examples:
  quadrille-testnet scale --banks 10,100
  quadrille-testnet scale --shape regional --banks 1000 --seed 7 -o json
  quadrille-testnet scale --figures figures.json --markdown testnet/SCALE.md")]
pub struct ScaleArgs {
    /// How many banks, one network for each number
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000,10000", value_parser = banks)]
    banks: Vec<usize>,
    /// The shapes [default: both]
    #[arg(long, value_enum, value_delimiter = ',')]
    shape: Vec<Shape>,
    /// What everything is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Searches for ways in each network [default: 400, fewer in large networks]
    #[arg(long, value_parser = searches)]
    searches: Option<usize>,
    /// Threads that search [default: one per core]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: Option<u8>,
    /// Measured figures
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
    /// Also put the tables into this file, between its two comment lines
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

fn banks(text: &str) -> Result<usize, String> {
    let (least, most) = BANKS;
    let count = text.parse().ok().filter(|count| (least..=most).contains(count));
    count.ok_or_else(|| format!("a number from {least} to {most}"))
}

fn searches(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (2..=SEARCHES).contains(count));
    count.ok_or_else(|| format!("a number from 2 to {SEARCHES}"))
}

/// As many as take a few seconds.
fn usual_searches(banks: usize) -> usize {
    match banks {
        0..=1_000 => 400,
        _ => 40,
    }
}

impl ScaleArgs {
    /// Works it out.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        match self.work_out() {
            Ok(()) => ExitCode::SUCCESS,
            Err(refusal) => complain(&refusal),
        }
    }

    fn work_out(&self) -> Result<(), Refusal> {
        let figures = match &self.figures {
            Some(path) => Figures::read(path)?,
            None => Figures::default(),
        };
        let plans = self.plans();
        if plans.len() > NETWORKS {
            refuse!(BadUsage, "{} networks, at most {NETWORKS} in one run", plans.len());
        }
        let progress = Progress::new();
        let mut studies = Vec::new();
        for plan in plans {
            progress.say(&format!("{} banks, {}", plan.banks, plan.shape.name()));
            studies.push(Study::of(&plan, &figures)?);
        }
        progress.say("done");
        let report = Report::of(self.command(), self.seed, figures, studies);
        if let Some(path) = &self.markdown {
            report::put_into(path, &report.command, &report.tables(Style::Markdown))?;
        }
        match self.output {
            Output::Table => print(&report.tables(Style::Plain)),
            Output::Json => print(&json(&report)?),
        }
    }

    fn shapes(&self) -> Vec<Shape> {
        match self.shape.is_empty() {
            true => vec![Shape::CorePeriphery, Shape::Regional],
            false => self.shape.clone(),
        }
    }

    fn plans(&self) -> Vec<Plan> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.jobs.map_or_else(cores, usize::from);
        let plans = self.shapes().into_iter().flat_map(|shape| {
            self.banks.iter().map(move |banks| {
                let searches = self.searches.unwrap_or_else(|| usual_searches(*banks));
                Plan { shape, banks: *banks, seed: self.seed, searches, jobs }
            })
        });
        plans.collect()
    }

    /// The command that gives the same again.
    fn command(&self) -> String {
        let banks: Vec<String> = self.banks.iter().map(usize::to_string).collect();
        let shapes: Vec<&str> = self.shapes().iter().map(|shape| shape.name()).collect();
        let mut command = format!(
            "quadrille-testnet scale --banks {} --shape {} --seed {}",
            banks.join(","),
            shapes.join(","),
            self.seed
        );
        if let Some(searches) = self.searches {
            command.push_str(&format!(" --searches {searches}"));
        }
        if let Some(name) = self.figures.as_deref().and_then(std::path::Path::file_name) {
            command.push_str(&format!(" --figures {}", name.to_string_lossy()));
        }
        command
    }
}
