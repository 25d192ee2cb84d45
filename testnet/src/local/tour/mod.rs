//! The tour: everything that the network does beside trading, once, between real processes.
//!
//! ```text
//!   bank-a .. bank-d   trust each other       central   trusts and is trusted, and is the notary
//!   bank-e             trusts, and is trusted by nobody
//! ```
//!
//! Each item is one line of what has happened and the evidence of it: a record, as
//! `quadrille evidence get HEIGHT/LEAF` takes it, or the id of an order or settlement.
//!
//! Invariant: an item is told only after its result was compared with what has to come; the first
//! one that differs ends the tour.

mod actions;
mod assets;
mod conversion;
mod correspondents;
mod customer;
mod names;
mod payments;
mod positions;
mod rules;
mod stage;
mod trading;
mod transfer;
mod travel;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use quadrille_node::files;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::refuse;

use super::audit;
use super::command::{self, complain, print};
use super::layout::Layout;
use super::prepare::{CENTRAL, Timing};
use super::start;
use super::state::Held;
use super::up::{self, Plan};
use stage::Stage;

/// How settlements are timed: what is refused for its deadline need not be waited for long.
const TIMING: Timing = Timing { life_ms: 15_000, reveal_margin_ms: 3_000 };
/// How long the network may take to come to rest at the end.
const REST: Duration = Duration::from_secs(30);

/// What `tour` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  quadrille-testnet tour\n  quadrille-testnet tour --keep")]
pub struct TourArgs {
    /// An empty folder for the network [default: one in the folder for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave the network up, also when an item goes another way, and say what to try next
    #[arg(long)]
    keep: bool,
}

impl TourArgs {
    /// Goes through it.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let own = format!("quadrille-tour-{}", std::process::id());
        let dir = self.dir.clone().unwrap_or_else(|| std::env::temp_dir().join(own));
        match show(&dir, self.keep) {
            Ok(()) => ExitCode::SUCCESS,
            Err(refusal) => {
                eprintln!("the network's folder is left for a look: {}", dir.display());
                complain(&refusal)
            }
        }
    }
}

fn show(dir: &Path, keep: bool) -> Result<(), Refusal> {
    let layout = Layout::new(dir);
    if layout.state().exists() {
        refuse!(OtherLocalNetwork, "{} holds one already", dir.display());
    }
    let mut banks: Vec<(String, bool)> = ["bank-a", "bank-b", "bank-c", "bank-d", CENTRAL]
        .map(|name| (name.to_owned(), true))
        .into();
    banks.push(("bank-e".to_owned(), false));
    let (suite, timing) = (Suite::HybridMlDsa65, TIMING);
    let plan = Plan { banks, seed: Some(1), suite, timing, means: None };
    let begun = Instant::now();
    let mut say = |what: &str| eprintln!("{:7.2} s  {what}", begun.elapsed().as_secs_f64());
    let mut held = match up::up(layout, &plan, &mut say) {
        Ok(held) => held,
        Err(failed) => {
            if let Some(mut held) = failed.held {
                let _ = start::down(&mut held)?;
            }
            return Err(failed.refusal);
        }
    };
    print(&command::table(&held.state))?;
    let shown = go(&mut held, begun);
    if !keep {
        let _ = start::down(&mut held)?;
    }
    shown?;
    if keep {
        return print(&command::hints(&held));
    }
    std::fs::remove_dir_all(dir).map_err(|error| files::cannot_write(dir, &error))
}

/// A chapter: its title, and what is done in it.
type Chapter = (&'static str, fn(&Stage<'_>) -> Result<(), Refusal>);

const CHAPTERS: &[Chapter] = &[
    ("Names and identities", names::chapter),
    ("Payments", payments::chapter),
    ("The travel rule", travel::chapter),
    ("The transfer of an asset", transfer::chapter),
    ("Correspondents and paths", correspondents::chapter),
    ("Payment with conversion", conversion::chapter),
    ("Trading", trading::chapter),
    ("The life of an asset", assets::chapter),
    ("Ledger rules", rules::chapter),
    ("Positions, netting, settle-up", positions::chapter),
    ("Dependent actions", actions::chapter),
];

fn go(held: &mut Held, begun: Instant) -> Result<(), Refusal> {
    let stage = Stage::new(held, begun)?;
    for (number, (title, chapter)) in (1..).zip(CHAPTERS) {
        stage.chapter(number, title)?;
        chapter(&stage).map_err(|refusal| {
            Refusal::new(refusal.code, format!("chapter {number} ({title}): {}", refusal.what))
        })?;
    }
    print(&format!("\n== every bank is asked ({:.1} s)\n", begun.elapsed().as_secs_f64()))?;
    let report = audit::audit(&stage.held.layout, &stage.held.state, REST)?;
    print(&audit::verdict(&report))?;
    if !report.findings.is_empty() {
        refuse!(DoesNotHold, "{} findings", report.findings.len());
    }
    print(&format!("\ntour: {} items shown in {} chapters\n", stage.told(), CHAPTERS.len()))
}
