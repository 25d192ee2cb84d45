//! The benchmark: every figure that was promised, in one run, with its method in
//! `testnet/BENCHMARKS.md`.
//!
//! ```text
//!   parts, one after the other -> figures under documented keys -> ratios
//!     -> table on standard output, JSON report, table in a Markdown file
//! ```
//!
//! Invariants:
//! * Every figure is of real processes, real disks and real signatures, unless its key says
//!   otherwise; what did not settle or add up gives no figure.
//! * A part that fails leaves the others' figures standing, and the run ends with an error.
//! * Each part is bounded in count and in time, and ends what it started, also on a signal.

mod builder;
mod cleanup;
mod command;
mod figures;
mod floor;
mod gossip;
mod keys;
mod machine;
mod markdown;
mod payments;
mod postgres;
mod restart;
mod scale;
mod stage;
mod trades;

use std::path::PathBuf;

pub use command::BenchArgs;
pub use figures::Figures;
pub use keys::{Aim, KEYS, Key, Part};
pub use machine::Machine;

use crate::local::command::Progress;
use cleanup::Cleanup;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// A handful of everything, to test the benchmark itself.
    Tiny,
    /// Rough figures in some minutes.
    Quick,
    /// The figures that count.
    Full,
}

impl Size {
    /// Its name in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }
}

/// A run of the benchmark.
struct Bench {
    size: Size,
    /// The work folder; everything in it is ours.
    dir: PathBuf,
    figures: Figures,
    progress: Progress,
    cleanup: Cleanup,
}

impl Bench {
    fn say(&self, what: &str) {
        self.progress.say(what);
    }
}

/// The middle one of some figures; zero of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A count as a number to divide by.
fn many(count: u64) -> f64 {
    // Far below where a double loses whole numbers.
    count as f64
}
