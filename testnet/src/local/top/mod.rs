//! `quadrille-testnet top`: what every bank does at this moment, drawn again and again in place.
//!
//! ```text
//!   interfaces, /proc, log folders --sample--> two samples --rows--> lines --> screen
//! ```
//!
//! Invariants:
//! * It changes nothing and holds no lock: other commands may change the network meanwhile.
//! * A bank that is dead, or silent for longer than [`sample::ANSWER`], is shown as that and holds
//!   nobody up.
//! * However it ends, the terminal is as it was.

mod draw;
mod sample;
mod screen;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use quadrille_protocol::error::Refusal;

use super::command::{self, Folder, Output, complain, print};
use super::layout::Layout;
use super::{clients, interrupt, state};
use draw::draw;
use sample::{Sample, Shown};
use screen::Screen;

/// Between two looks at whether to end.
const LOOK: Duration = Duration::from_millis(50);
/// Columns where nobody says how many there are.
const COLUMNS: usize = 100;

/// What `top` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Columns: peers with a session of those known; settlements per second that became final here; open
ones; those in doubt (open after their deadline); height and size of the log; processor and memory
of the process. It ends with q or Ctrl-C.

Examples:
  quadrille-testnet top
  quadrille-testnet top --interval 5 --dir /tmp/sixteen
  quadrille-testnet top --once -o json")]
pub struct TopArgs {
    #[command(flatten)]
    folder: Folder,
    /// Seconds between two looks
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Print once and end; so it is, too, when the output is no terminal
    #[arg(long)]
    once: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

impl TopArgs {
    /// Shows it.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let layout = self.folder.layout();
        let json = matches!(self.output, Output::Json);
        let once = self.once || json || !std::io::stdout().is_terminal();
        let done = if once { self.once(&layout, json) } else { self.again(&layout) };
        done.map_or_else(|refusal| complain(&refusal), |()| ExitCode::SUCCESS)
    }

    fn span(&self) -> Duration {
        Duration::from_secs(self.interval)
    }

    fn once(&self, layout: &Layout, json: bool) -> Result<(), Refusal> {
        let runtime = clients::runtime()?;
        let first = runtime.block_on(sample::take(layout, &state::load(layout)?));
        std::thread::sleep(self.span());
        let second = runtime.block_on(sample::take(layout, &state::load(layout)?));
        let shown = Shown::between(&first, &second);
        if json {
            return print(&command::json(&shown)?);
        }
        let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
        let lines = draw(&shown, columns.unwrap_or(COLUMNS), usize::MAX);
        print(&format!("{}\n", lines.join("\n")))
    }

    fn again(&self, layout: &Layout) -> Result<(), Refusal> {
        // Before the terminal is changed: most of what can go wrong goes wrong here.
        let mut before: Option<Sample> = None;
        let mut known = state::load(layout)?;
        interrupt::watch();
        let runtime = clients::runtime()?;
        let screen = Screen::enter()?;
        while !interrupt::asked() && !screen.quits() {
            let begun = Instant::now();
            // A command that changes the network replaces the file; until then the last counts.
            known = state::load(layout).unwrap_or(known);
            let now = runtime.block_on(sample::take(layout, &known));
            let shown = Shown::between(before.as_ref().unwrap_or(&now), &now);
            let (columns, rows) = screen.size();
            screen.show(&draw(&shown, columns, rows))?;
            before = Some(now);
            while begun.elapsed() < self.span() && !interrupt::asked() && !screen.quits() {
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }
}
