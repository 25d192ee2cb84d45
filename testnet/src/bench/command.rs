//! `quadrille-testnet bench`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use quadrille_node::files::{self, Access};
use quadrille_protocol::error::{Code, Refusal};

use super::cleanup::Cleanup;
use super::figures::Figures;
use super::keys::Part;
use super::machine::Machine;
use super::{Bench, Size, floor, gossip, markdown, payments, postgres, restart, scale, trades};
use crate::local::command::{Progress, complain, json, print};

/// What `bench` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every figure, its key, its unit and how it is measured: testnet/BENCHMARKS.md. Only a release build
on a machine that does nothing else gives figures that count; scripts/bench builds and runs it.

Parts: floor, postgres, trades, payments, paths, gossip, restart, scale.

Examples:
  quadrille-testnet bench --quick
  quadrille-testnet bench --json figures.json
  quadrille-testnet bench --only floor,postgres --dir /var/tmp/bench
  quadrille-testnet bench --markdown testnet/BENCHMARKS.md")]
pub struct BenchArgs {
    /// Rough figures in less than five minutes; all of it takes up to forty
    #[arg(long)]
    quick: bool,
    /// Write every figure to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the table between the marker lines of this Markdown file
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Measure only these parts
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
    /// A new folder to work in, on the disk that is to be measured; removed afterwards [default:
    /// one in the system's folder for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// A handful of everything, to test the benchmark itself
    #[arg(long, hide = true, conflicts_with = "quick")]
    tiny: bool,
}

impl BenchArgs {
    /// Measures.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        match self.measure() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => {
                let what = "the figures above that have a reason instead of a number";
                complain(&Refusal::new(Code::BenchFailed, what))
            }
            Err(refusal) => complain(&refusal),
        }
    }

    /// Whether every part gave its figures, or had a good reason not to.
    fn measure(&self) -> Result<bool, Refusal> {
        for path in [&self.json, &self.markdown].into_iter().flatten() {
            writable(path)?;
        }
        let dir = self.work_folder()?;
        let cleanup = Cleanup::default();
        cleanup.on_signals()?;
        cleanup.folder(&dir);
        let size = match (self.tiny, self.quick) {
            (true, _) => Size::Tiny,
            (false, true) => Size::Quick,
            (false, false) => Size::Full,
        };
        let machine = Machine::look(&dir);
        let (figures, progress) = (Figures::default(), Progress::new());
        let mut bench = Bench { size, dir, figures, progress, cleanup };
        bench.figures.parameter("size", size.name());
        let whole = self.parts(&mut bench);
        bench.cleanup.all();
        bench.figures.ratios()?;
        if !machine.optimised {
            bench.figures.note("a debug build: none of these figures counts");
        }
        print(&format!("{machine}\n\n{}", bench.figures.table()))?;
        if let Some(path) = &self.json {
            let text = json(&bench.figures.json(&machine))?;
            files::replace(path, text.as_bytes(), Access::Public)?;
        }
        if let Some(path) = &self.markdown {
            markdown::write(path, &bench.figures.markdown(&machine))?;
        }
        Ok(whole)
    }

    fn parts(&self, bench: &mut Bench) -> bool {
        let mut whole = true;
        for part in Part::ALL {
            if !self.only.is_empty() && !self.only.contains(&part) {
                bench.figures.miss(part, "left out by --only");
                continue;
            }
            bench.say(&format!("== {}", part.name()));
            if let Err(refusal) = measure(part, bench) {
                bench.say(&format!("{}: {refusal}", part.name()));
                // What is not installed is no failure, and is said in the report.
                whole &= refusal.code == Code::PostgresMissing;
                bench.figures.miss(part, refusal.to_string());
            }
        }
        whole
    }

    fn work_folder(&self) -> Result<PathBuf, Refusal> {
        let own = || std::env::temp_dir().join(format!("quadrille-bench-{}", std::process::id()));
        let dir = self.dir.clone().unwrap_or_else(own);
        // One of our own, since it is removed in the end.
        std::fs::create_dir(&dir).map_err(|error| files::cannot_write(&dir, &error))?;
        std::path::absolute(&dir).map_err(|error| files::cannot_read(&dir, &error))
    }
}

fn measure(part: Part, bench: &mut Bench) -> Result<(), Refusal> {
    match part {
        Part::Floor => floor::run(bench),
        Part::Postgres => postgres::run(bench),
        Part::Gossip => gossip::run(bench),
        Part::Restart => restart::run(bench),
        Part::Trades => trades::run(bench),
        Part::Payments => payments::same_bank(bench),
        Part::Paths => payments::paths(bench),
        Part::Scale => scale::run(bench),
    }
}

/// Known before half an hour has gone by.
fn writable(path: &Path) -> Result<(), Refusal> {
    let folder = files::folder_of(path);
    if folder.is_dir() {
        return Ok(());
    }
    let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
    Err(files::cannot_write(path, &missing))
}
