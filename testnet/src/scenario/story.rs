//! What a run tells: one line for each step as it happens, and what went wrong.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use quadrille_protocol::error::Refusal;
use serde::Serialize;

use super::history::{Heard, lock};
use crate::local::command::{Output, print};

/// A step that was done.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// When, in seconds of the run.
    pub at_s: f64,
    /// The step.
    pub step: String,
    /// What happened.
    pub what: String,
    /// Where that is written down.
    pub evidence: Option<String>,
}

/// Why a scenario has failed.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// The step.
    pub step: String,
    /// Its line in the file; 0 for what is asked at the end.
    pub line: usize,
    /// What was to be done.
    pub what: String,
    /// What had to be.
    pub expected: String,
    /// What was.
    pub found: String,
    /// What the banks told before it, the oldest first.
    pub before: Vec<Heard>,
    /// The last lines of each process's log that warn of something.
    pub warnings: Vec<String>,
}

/// How a run went.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// The file.
    pub file: String,
    /// What it shows.
    pub title: String,
    /// What everything was drawn from.
    pub seed: u64,
    /// Whether everything was as it had to be.
    pub passed: bool,
    /// Seconds from the network's being up to the end.
    pub seconds: f64,
    /// What was done.
    pub steps: Vec<Line>,
    /// What the audit looked at.
    pub audit: Option<String>,
    /// Why it has failed.
    pub failure: Option<Failure>,
    /// The network's folder, where it was left.
    pub folder: Option<PathBuf>,
}

/// Tells a run, as it happens or at its end.
#[derive(Debug)]
pub struct Teller {
    begun: Instant,
    output: Output,
    lines: Mutex<Vec<Line>>,
}

impl Teller {
    /// Nothing told yet.
    #[must_use]
    pub fn new(output: Output) -> Self {
        Self { begun: Instant::now(), output, lines: Mutex::default() }
    }

    /// Since when time is counted.
    #[must_use]
    pub const fn begun(&self) -> Instant {
        self.begun
    }

    /// A step that was done.
    ///
    /// # Errors
    /// `Q-2205`.
    pub fn tell(&self, step: &str, what: &str, evidence: Option<String>) -> Result<(), Refusal> {
        let at_s = self.begun.elapsed().as_secs_f64();
        let (step, what) = (step.to_owned(), what.to_owned());
        let line = Line { at_s, step, what, evidence };
        let shown = line.show();
        lock(&self.lines).push(line);
        self.say(&shown)
    }

    /// Something for people alone.
    ///
    /// # Errors
    /// `Q-2205`.
    pub fn say(&self, text: &str) -> Result<(), Refusal> {
        match self.output {
            Output::Table => print(text),
            Output::Json => Ok(()),
        }
    }

    /// Everything that was told.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        lock(&self.lines).clone()
    }
}

impl Line {
    fn show(&self) -> String {
        let evidence = self.evidence.as_ref().map_or_else(String::new, |at| format!("   [{at}]"));
        format!("{:8.2} s  {:14} {}{evidence}\n", self.at_s, self.step, self.what)
    }
}

impl Verdict {
    /// The end of the story.
    #[must_use]
    pub fn show(&self) -> String {
        let mut text = String::new();
        if let Some(failure) = &self.failure {
            failure.show(&self.file, &mut text);
        }
        let word = if self.passed { "passed" } else { "FAILED" };
        let _ =
            writeln!(text, "{word}  {} in {:.1} s (--seed {})", self.file, self.seconds, self.seed);
        if let Some(folder) = &self.folder {
            let _ = writeln!(text, "        the network's folder is {}", folder.display());
        }
        text
    }
}

impl Failure {
    fn show(&self, file: &str, text: &mut String) {
        let at = if self.line == 0 { file.to_owned() } else { format!("{file}:{}", self.line) };
        let _ = writeln!(text, "\n{at}: step `{}` is not as it has to be", self.step);
        for (name, value) in
            [("step", &self.what), ("expected", &self.expected), ("found", &self.found)]
        {
            let _ = writeln!(text, "  {name:9} {value}");
        }
        text.push_str("  before it, as the banks told:\n");
        if self.before.is_empty() {
            text.push_str("    nothing\n");
        }
        for event in &self.before {
            let _ = writeln!(text, "    {:7.2} s  {:9} {}", event.at_s, event.bank, event.what);
        }
        if !self.warnings.is_empty() {
            text.push_str("  what their processes warned of last:\n");
        }
        for line in &self.warnings {
            let _ = writeln!(text, "    {line}");
        }
        text.push('\n');
    }
}
