//! What the logs themselves say, bank by bank and against each other.
//!
//! ```text
//!   segments --frames--> chunk --all cores: Merkle root, records, digests--> fold --> sheet
//!                          `--all cores: signatures (all, or one of N)            (one per log)
//!   sheets --> across: atomicity, mirrors, conservation, feeds, equivocation --> findings
//! ```
//!
//! Invariants:
//! * Nothing is copied, locked or changed: the banks may run. What one of them writes while it is
//!   read is left out.
//! * A chunk of records is in memory at a time, not a log. What stays is a row per settlement and
//!   log (some 130 bytes), 24 bytes per page and 40 per checkpoint that is said or heard, the
//!   balances, and the open settlements whole.
//! * The rules of one log are those of the simulator's audit, which shares no code with the
//!   validator's own state.

mod across;
mod sheet;
mod stream;

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use quadrille_protocol::error::Refusal;
use quadrille_protocol::types::{Domain, Network};

use super::super::layout::Layout;
use super::super::state::State;
use super::rules::{Finding, Rule};

pub use across::{Across, across};
pub use sheet::{Counts, Sheet};

/// Findings of one rule that are told one by one; of the others the number.
pub(super) const TOLD: usize = 20;

/// How the logs are read.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// The signature of one checkpoint of so many is checked, and that of the last. The others
    /// are covered by the chain of hashes.
    pub sample: NonZeroU64,
    /// Threads in all; at least one works.
    pub threads: usize,
}

impl Default for How {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self { sample: NonZeroU64::MIN, threads }
    }
}

/// A log that is to be read.
#[derive(Debug, Clone)]
pub struct Source {
    /// The bank's data directory.
    pub dir: PathBuf,
    /// Whose log it is.
    pub domain: Domain,
}

/// The logs of a local network.
#[must_use]
pub fn sources(layout: &Layout, state: &State) -> Vec<Source> {
    let source = |bank: &super::super::state::Bank| Source {
        dir: layout.node(&bank.name),
        domain: bank.domain.clone(),
    };
    state.banks.iter().map(source).collect()
}

/// Reads all of them.
///
/// # Errors
/// `Q-1905` when one cannot be read. What is wrong with them is in the sheets.
pub fn read(sources: &[Source], network: &Network, how: How) -> Result<Vec<Sheet>, Refusal> {
    let domains: Vec<Domain> = sources.iter().map(|source| source.domain.clone()).collect();
    let at_a_time = how.threads.clamp(1, sources.len().max(1));
    let each = (how.threads / at_a_time).max(1);
    let waiting: Mutex<VecDeque<(usize, &Source)>> =
        Mutex::new(sources.iter().enumerate().collect());
    let done: Mutex<Vec<(usize, Result<Sheet, Refusal>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while let Some((place, source)) = lock(&waiting).pop_front() {
                    let sheet = stream::read(source, network, &domains, how.sample, each);
                    lock(&done).push((place, sheet));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, sheet)| sheet).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A thread that panics ends the run: the scope passes it on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Findings, of which each rule has told enough at [`TOLD`].
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    told: Vec<Finding>,
    more: [u64; Rule::ALL.len()],
}

impl Findings {
    pub(super) fn add(&mut self, rule: Rule, what: impl FnOnce() -> String) {
        let told = self.told.iter().filter(|finding| finding.rule == rule).count();
        if told < TOLD {
            self.told.push(Finding { rule, what: what() });
        } else if let Some(more) = self.more.get_mut(rule as usize) {
            *more = more.saturating_add(1);
        }
    }

    /// All of them, with a line for those that were only counted.
    pub(super) fn into_list(self, of: &str) -> Vec<Finding> {
        let Self { mut told, more } = self;
        for (rule, more) in Rule::ALL.into_iter().zip(more).filter(|(_, more)| *more > 0) {
            told.push(Finding { rule, what: format!("{of}: {more} more") });
        }
        told
    }
}

#[cfg(test)]
mod tests;
