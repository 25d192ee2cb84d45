//! The commands for local networks.

use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};
use quadrille_node::files;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::{Code, Refusal};

use super::audit::command::AssertArgs;
use super::interrupt;
use super::layout::{BOOTSTRAP, Layout};
use super::ports;
use super::process::{self, Process};
use super::snapshot::{RestoreArgs, SnapshotArgs};
use super::start;
use super::state::{self, BANKS, Bank, Held, State};
use super::top::TopArgs;
use super::topology::{ExportArgs, ImportArgs};
use super::up::{self, Plan};

/// Banks of a new network when nobody says how many.
const NODES: usize = 3;
const EXIT_USAGE: u8 = 2;
const EXIT_UNREACHABLE: u8 = 3;
const EXIT_LOCKED: u8 = 6;
/// As of a program that SIGINT has ended.
const EXIT_BROKEN_OFF: u8 = 130;
/// Between two looks at a log that is followed.
const FOLLOW: Duration = Duration::from_millis(200);

/// What the process ends with, for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes: 0 done (assert: everything holds), 1 refused (assert: something does not hold), 2 \
asked wrongly, 3 a bank does not answer, 6 another command is changing the network, 130 broken off \
by a signal.";

/// Where the network is.
#[derive(Debug, Clone, clap::Args)]
pub struct Folder {
    /// The network's folder; each network has its own, and several run side by side
    #[arg(long, env = "QUADRILLE_TESTNET_DIR", default_value = ".quadrille-testnet")]
    dir: PathBuf,
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Columns for people.
    Table,
    /// One JSON document.
    Json,
}

/// What can be done with a local network.
#[derive(Debug, Subcommand)]
pub enum LocalCommand {
    /// Start a network of real processes, or what of it does not run
    #[command(after_help = "\
Every bank has the customers alice, bob and carol, a cash asset EUR and a BOND; all trust each
other.

Examples:
  quadrille-testnet up -n 3
  quadrille-testnet up -n 16 --dir /tmp/sixteen --seed 7 --suite 2")]
    Up(Up),
    /// Show every process
    #[command(
        after_help = "Examples:\n  quadrille-testnet status\n  quadrille-testnet status -o json"
    )]
    Status {
        #[command(flatten)]
        folder: Folder,
        /// How to print it
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Print what points the command line at a bank
    #[command(
        after_help = "Examples:\n  eval \"$(quadrille-testnet env bank-a)\"; quadrille status"
    )]
    Env {
        /// The bank
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Show the end of a process's log
    #[command(after_help = "Examples:\n  quadrille-testnet logs bank-a -n 100\n  \
            quadrille-testnet logs bootstrap -f")]
    Logs {
        /// The bank, or `bootstrap`
        name: String,
        #[command(flatten)]
        folder: Folder,
        /// Go on as it grows
        #[arg(short, long)]
        follow: bool,
        /// How many lines
        #[arg(short = 'n', long, default_value_t = 40)]
        lines: usize,
    },
    /// End every process of the network; its folder stays
    #[command(after_help = "Examples:\n  quadrille-testnet down\n  \
            quadrille-testnet down --dir /tmp/sixteen")]
    Down {
        #[command(flatten)]
        folder: Folder,
    },
    /// Kill a bank's process as a power cut would
    #[command(after_help = "Examples:\n  \
            quadrille-testnet kill bank-b && quadrille-testnet restart bank-b")]
    Kill {
        /// The bank
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// End a bank's process if it runs, and start it again under the same addresses
    #[command(after_help = "Examples:\n  quadrille-testnet restart bank-b")]
    Restart {
        /// The bank
        name: String,
        #[command(flatten)]
        folder: Folder,
        /// Have a debug build kill itself at a moment, like after-sign:Locked: before-append,
        /// after-append, after-sign or after-effects of a batch with such a record
        #[arg(long, value_name = "MOMENT:RECORD")]
        crash_point: Option<String>,
        /// Choose new ports, when another program has taken the old ones
        #[arg(long)]
        new_ports: bool,
    },
    /// Ask every bank and every log whether the network holds together: atomicity, conservation,
    /// mirrors, evidence, feeds, nothing stuck, logs
    Assert(AssertArgs),
    /// Pack the whole network into one file
    Snapshot(SnapshotArgs),
    /// Unpack a network from such a file
    Restore(RestoreArgs),
    /// Write down the shape of the network: banks, assets, holders, trust; no keys
    Export(ExportArgs),
    /// Build a new network of a shape that was written down
    Import(ImportArgs),
    /// Show what every bank does, again and again
    Top(TopArgs),
}

/// What `up` takes.
#[derive(Debug, clap::Args)]
pub struct Up {
    /// How many banks [default: those that are in the folder, or 3]
    #[arg(short = 'n', long = "nodes", value_parser = count)]
    nodes: Option<usize>,
    #[command(flatten)]
    folder: Folder,
    /// What the customers' balances are drawn from
    #[arg(long)]
    seed: Option<u64>,
    /// The suite of the banks' keys: 1 (Ed25519 + ML-DSA-65, the default) or 2 (Ed25519 +
    /// Dilithium3)
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    suite: Option<u8>,
    /// Leave what runs running when something does not start
    #[arg(long)]
    keep_going: bool,
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=BANKS).contains(count));
    count.ok_or_else(|| format!("a number from 1 to {BANKS}"))
}

impl LocalCommand {
    /// Does it.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let done = match self {
            Self::Up(arguments) => run_up(arguments),
            Self::Status { folder, output } => status(&folder.layout(), *output),
            Self::Env { name, folder } => env(&folder.layout(), name),
            Self::Logs { name, folder, follow, lines } => {
                logs(&folder.layout(), name, *follow, *lines)
            }
            Self::Down { folder } => down(folder.layout()),
            Self::Kill { name, folder } => kill(folder.layout(), name),
            Self::Restart { name, folder, crash_point, new_ports } => {
                restart(folder.layout(), name, crash_point.as_deref(), *new_ports)
            }
            Self::Assert(arguments) => return arguments.run(),
            Self::Snapshot(arguments) => return arguments.run(),
            Self::Restore(arguments) => return arguments.run(),
            Self::Export(arguments) => return arguments.run(),
            Self::Import(arguments) => return arguments.run(),
            Self::Top(arguments) => return arguments.run(),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(refusal) => complain(&refusal),
        }
    }
}

impl Folder {
    /// The paths in it.
    #[must_use]
    pub fn layout(&self) -> Layout {
        Layout::new(&self.dir)
    }
}

/// Tells what went wrong; the code that the process ends with.
#[must_use]
pub fn complain(refusal: &Refusal) -> ExitCode {
    eprintln!("quadrille-testnet: {refusal}\n{}", refusal.code.remedy());
    ExitCode::from(match refusal.code {
        Code::BadUsage => EXIT_USAGE,
        Code::Unreachable => EXIT_UNREACHABLE,
        Code::LocalNetworkInUse => EXIT_LOCKED,
        Code::BrokenOff => EXIT_BROKEN_OFF,
        _ => 1,
    })
}

/// Says what is being done, with the time that has passed, on standard error.
#[derive(Debug)]
pub struct Progress {
    begun: Instant,
}

impl Progress {
    /// Begins to count.
    #[must_use]
    pub fn new() -> Self {
        Self { begun: Instant::now() }
    }

    /// One line.
    pub fn say(&self, what: &str) {
        eprintln!("{:7.2} s  {what}", self.begun.elapsed().as_secs_f64());
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

fn run_up(arguments: &Up) -> Result<(), Refusal> {
    let layout = arguments.folder.layout();
    let plan = match (arguments.nodes, state::load(&layout)) {
        (None, Ok(known)) => Plan { seed: arguments.seed, ..Plan::of_state(&known) },
        (Some(_), _) | (None, Err(_)) => {
            let suite = Suite::from_number(arguments.suite.unwrap_or(1))?;
            Plan::of(arguments.nodes.unwrap_or(NODES), arguments.seed, suite)?
        }
    };
    if let Some(suite) = arguments.suite {
        let suite = Suite::from_number(suite)?;
        return bring_up(layout, &Plan { suite, ..plan }, arguments.keep_going);
    }
    bring_up(layout, &plan, arguments.keep_going)
}

/// Brings the planned network up and shows it. What does not come up whole is ended, unless it
/// may stay.
///
/// # Errors
/// Those of [`up::up`].
pub fn bring_up(layout: Layout, plan: &Plan, keep_going: bool) -> Result<(), Refusal> {
    interrupt::watch();
    let progress = Progress::new();
    let mut say = |what: &str| progress.say(what);
    match up::up(layout, plan, &mut say) {
        Ok(held) => {
            progress.say("ready");
            print(&format!("{}{}", table(&held.state), hints(&held)))
        }
        Err(failed) => {
            match failed.held {
                Some(mut held) if !keep_going => {
                    let _shield = interrupt::shield();
                    progress.say("it did not come up; ending what runs");
                    let _ = start::down(&mut held)?;
                }
                Some(_) | None => {}
            }
            Err(failed.refusal)
        }
    }
}

/// How to go on from here.
#[must_use]
pub fn hints(held: &Held) -> String {
    let dir = quoted(held.layout.root());
    let name = held.state.banks.first().map_or("bank-a", |bank| bank.name.as_str());
    format!(
        "\nseed {}; point the command line at a bank:\n  \
         eval \"$(quadrille-testnet env {name} --dir {dir})\"\n  \
         quadrille status; quadrille ledger list; quadrille book\n\
         end it with: quadrille-testnet down --dir {dir}\n",
        held.state.seed
    )
}

#[derive(serde::Serialize)]
struct Row<'a> {
    name: &'a str,
    domain: &'a str,
    api: Option<String>,
    p2p: Option<&'a str>,
    pid: Option<u32>,
    state: &'static str,
}

fn rows(state: &State) -> Vec<Row<'_>> {
    let peer = &state.bootstrap;
    let bootstrap = Row {
        name: BOOTSTRAP,
        domain: "bootstrap.example",
        api: None,
        p2p: peer.p2p.as_ref().map(|address| address.as_str()),
        pid: pid(peer.process.as_ref()),
        state: standing(peer.process.as_ref()),
    };
    let bank = |bank: &'_ Bank| -> (Option<String>, Option<u32>, &'static str) {
        let process = bank.process.as_ref();
        (bank.api.map(|api| format!("http://{api}")), pid(process), standing(process))
    };
    let banks = state.banks.iter().map(|known| {
        let (api, pid, state) = bank(known);
        let p2p = known.p2p.as_ref().map(|address| address.as_str());
        Row { name: &known.name, domain: known.domain.as_str(), api, p2p, pid, state }
    });
    std::iter::once(bootstrap).chain(banks).collect()
}

fn pid(process: Option<&Process>) -> Option<u32> {
    process.filter(|process| process.is_alive()).map(|process| process.pid)
}

fn standing(process: Option<&Process>) -> &'static str {
    match process {
        None => "down",
        Some(process) if process.is_alive() => "up",
        Some(_) => "gone",
    }
}

/// The processes of a network, in columns.
#[must_use]
pub fn table(state: &State) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["NAME", "DOMAIN", "API", "P2P", "PID", "STATE"]);
    for row in rows(state) {
        let none = || "-".to_owned();
        // The peer's identifier makes the column too wide to read; -o json has it.
        let p2p = row.p2p.map(|text| text.split("/p2p/").next().unwrap_or(text).to_owned());
        table.add_row([
            row.name.to_owned(),
            row.domain.to_owned(),
            row.api.unwrap_or_else(none),
            p2p.unwrap_or_else(none),
            row.pid.map_or_else(none, |pid| pid.to_string()),
            row.state.to_owned(),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

fn status(layout: &Layout, output: Output) -> Result<(), Refusal> {
    let state = state::load(layout)?;
    match output {
        Output::Table => print(&table(&state)),
        Output::Json => print(&json(&rows(&state))?),
    }
}

fn env(layout: &Layout, name: &str) -> Result<(), Refusal> {
    let state = state::load(layout)?;
    let bank = state.bank(name)?;
    let Some(api) = bank.api else {
        return Err(Refusal::new(Code::Unreachable, format!("{name} has never run")));
    };
    let absolute = |path: PathBuf| {
        std::path::absolute(&path).map_err(|error| files::cannot_read(&path, &error))
    };
    let paths = [
        ("QUADRILLE_TOKEN_FILE", absolute(layout.token(&bank.name))?),
        ("QUADRILLE_WALLET", absolute(layout.wallet(&bank.name))?),
        ("QUADRILLE_PASSPHRASE_FILE", absolute(layout.passphrase())?),
        ("QUADRILLE_DIR", absolute(layout.node(&bank.name))?),
    ];
    let mut text = format!("export QUADRILLE_API='http://{api}'\n");
    for (variable, path) in paths {
        text.push_str(&format!("export {variable}={}\n", quoted(&path)));
    }
    print(&text)
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

fn logs(layout: &Layout, name: &str, follow: bool, lines: usize) -> Result<(), Refusal> {
    let state = state::load(layout)?;
    let name = if name == BOOTSTRAP { BOOTSTRAP } else { &state.bank(name)?.name };
    let path = layout.log(name);
    let mut shown: String = String::new();
    for line in process::tail(&path, lines)? {
        shown.push_str(&line);
        shown.push('\n');
    }
    print(&shown)?;
    if !follow {
        return Ok(());
    }
    let unreadable = |error: std::io::Error| files::cannot_read(&path, &error);
    let mut file = BufReader::new(std::fs::File::open(&path).map_err(unreadable)?);
    file.seek(SeekFrom::End(0)).map_err(unreadable)?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if file.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            std::thread::sleep(FOLLOW);
        } else {
            print(&String::from_utf8_lossy(&line))?;
        }
    }
}

fn down(layout: Layout) -> Result<(), Refusal> {
    let mut held = match Held::open(layout) {
        Ok(held) => held,
        // Nothing to end is as good as ended.
        Err(refusal) if refusal.code == Code::NoLocalNetwork => {
            return print("there is no network here\n");
        }
        Err(refusal) => return Err(refusal),
    };
    let running = held.state.processes().filter(|(_, process)| process.is_alive()).count();
    let killed = start::down(&mut held)?;
    for name in &killed {
        eprintln!("{name} did not end when it was asked to, and was killed");
    }
    print(&format!("{running} processes ended\n"))
}

fn kill(layout: Layout, name: &str) -> Result<(), Refusal> {
    let mut held = Held::open(layout)?;
    let bank = held.state.bank_mut(name)?;
    match bank.process.take() {
        Some(process) if process.is_alive() => process.kill(),
        Some(_) | None => {}
    }
    let name = bank.name.clone();
    held.save()?;
    print(&format!("{name} is dead\n"))
}

fn restart(
    layout: Layout,
    name: &str,
    crash_point: Option<&str>,
    new_ports: bool,
) -> Result<(), Refusal> {
    let mut held = Held::open(layout)?;
    let bank = held.state.bank_mut(name)?;
    let name = bank.name.clone();
    if let Some(process) = bank.process.take()
        && !process.stop(start::PATIENCE)
    {
        eprintln!("{name} did not end when it was asked to, and was killed");
    }
    if new_ports {
        let layout = held.layout.clone();
        ports::renew(&layout, held.state.bank_mut(&name)?)?;
    }
    held.save()?;
    start::banks(&mut held, std::slice::from_ref(&name), crash_point, |_| ())?;
    print(&format!("{name} is up\n"))
}

/// A value as one JSON document.
///
/// # Errors
/// `Q-2205` for a value that has no such form.
pub fn json(value: &impl serde::Serialize) -> Result<String, Refusal> {
    serde_json::to_string_pretty(value)
        .map(|text| format!("{text}\n"))
        .map_err(|error| Refusal::new(Code::CannotWrite, error.to_string()))
}

/// Prints an answer; a reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// `Q-2205`.
pub fn print(text: &str) -> Result<(), Refusal> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Refusal::new(Code::CannotWrite, format!("standard output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
