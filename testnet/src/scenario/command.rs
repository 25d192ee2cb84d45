//! `quadrille-testnet run` and `new-scenario`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use quadrille_node::files::{self, Access};
use quadrille_protocol::error::{Code, Refusal};

use super::plan::Scenario;
use super::read::{self, FILE_BYTES};
use super::run::{self, Wish};
use super::signals::Signals;
use super::source::Mistake;
use super::story::{Teller, Verdict};
use crate::local::command::{Output, complain, json, print};

/// What `new-scenario` writes.
pub const TEMPLATE: &str = include_str!("template.toml");
/// The seed when none is named.
const SEED: u64 = 1;
const EXIT_USAGE: u8 = 2;

/// What `run` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each scenario gets a network of its own in a folder of its own, which is removed when everything
was as the file says, and left when something was not. testnet/scenarios/README.md documents the
files; `new-scenario` writes one to begin with.

Examples:
  quadrille-testnet run testnet/scenarios/dvp.toml
  quadrille-testnet run testnet/scenarios/*.toml --seed 7
  quadrille-testnet run my.toml --check
  quadrille-testnet run my.toml --keep --dir /tmp/net -o json")]
pub struct RunArgs {
    /// Scenario files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What everything random is drawn from
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Leave the network up when all is well, and say where it is
    #[arg(long)]
    keep: bool,
    /// A folder that is not there yet, for the network; of several files, for a folder of each
    /// [default: one in the folder for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Only read the files, and say everything that is wrong with them
    #[arg(long)]
    check: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// What `new-scenario` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quadrille-testnet new-scenario my.toml && quadrille-testnet run my.toml")]
pub struct NewArgs {
    /// The file, which must not be there yet
    file: PathBuf,
}

impl NewArgs {
    /// Writes it.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        match files::create(&self.file, TEMPLATE.as_bytes(), Access::Public) {
            Ok(()) => {
                eprintln!("run it with: quadrille-testnet run {}", self.file.display());
                ExitCode::SUCCESS
            }
            Err(refusal) => complain(&refusal),
        }
    }
}

/// A file that was read.
struct Read {
    name: String,
    scenario: Scenario,
}

impl RunArgs {
    /// Runs them, one after the other.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let scenarios = match self.read() {
            Ok(scenarios) => scenarios,
            Err(code) => return code,
        };
        if self.check {
            for one in &scenarios {
                eprintln!("{}: {} steps, nothing wrong", one.name, one.scenario.steps.len());
            }
            return ExitCode::SUCCESS;
        }
        match self.all(&scenarios) {
            Ok(verdicts) => self.summary(&verdicts),
            Err(refusal) => complain(&refusal),
        }
    }

    /// Reads all files before anything is run.
    fn read(&self) -> Result<Vec<Read>, ExitCode> {
        let (mut scenarios, mut wrong) = (Vec::new(), 0_usize);
        for path in &self.files {
            let name = path.display().to_string();
            let text = files::read_text(path, FILE_BYTES).map_err(|refusal| complain(&refusal))?;
            match read::read(&text) {
                Ok(scenario) => scenarios.push(Read { name, scenario }),
                Err(mistakes) => {
                    wrong = wrong.saturating_add(mistakes.len());
                    tell_mistakes(&name, &mistakes);
                }
            }
        }
        if wrong == 0 {
            return Ok(scenarios);
        }
        let what = format!("{wrong} mistakes");
        let _ = complain(&Refusal::new(Code::BadScenario, what));
        Err(ExitCode::from(EXIT_USAGE))
    }

    fn all(&self, scenarios: &[Read]) -> Result<Vec<Verdict>, Refusal> {
        let signals = Signals::listen()?;
        let mut verdicts = Vec::new();
        for one in scenarios {
            let dir = self.folder(&one.name, scenarios.len());
            let halt = signals.begin(&dir)?;
            let wish = Wish { file: &one.name, dir: &dir, seed: self.seed, keep: self.keep };
            let teller = Teller::new(self.output);
            let verdict = run::run(&one.scenario, &wish, &halt, &teller)?;
            teller.say(&verdict.show())?;
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }

    fn folder(&self, file: &str, of: usize) -> PathBuf {
        let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match &self.dir {
            Some(dir) if of == 1 => dir.clone(),
            Some(dir) => dir.join(stem),
            None => {
                let own = format!("quadrille-{stem}-{}", std::process::id());
                std::env::temp_dir().join(own)
            }
        }
    }

    fn summary(&self, verdicts: &[Verdict]) -> ExitCode {
        let failed = verdicts.iter().filter(|verdict| !verdict.passed).count();
        let told = match self.output {
            Output::Json => json(&verdicts).and_then(|text| print(&text)),
            Output::Table if verdicts.len() > 1 => {
                let passed = verdicts.len().saturating_sub(failed);
                print(&format!("\n{passed} of {} scenarios passed\n", verdicts.len()))
            }
            Output::Table => Ok(()),
        };
        if let Err(refusal) = told {
            return complain(&refusal);
        }
        if failed == 0 {
            return ExitCode::SUCCESS;
        }
        let what = format!("{failed} of {} scenarios", verdicts.len());
        complain(&Refusal::new(Code::ScenarioFailed, what))
    }
}

fn tell_mistakes(file: &str, mistakes: &[Mistake]) {
    for mistake in mistakes {
        eprintln!("{file}:{mistake}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_a_scenario() {
        assert_eq!(read::read(TEMPLATE).map(|scenario| scenario.steps.is_empty()), Ok(false));
    }
}
