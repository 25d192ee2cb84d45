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

use super::audit::{self, Report, Rule};
use super::faults::{self, InForce};
use super::layout::{BOOTSTRAP, Layout, PROXY};
use super::process::{self, Process};
use super::start;
use super::state::{self, BANKS, Bank, Held, State};
use super::up::{self, Plan};

const EXIT_USAGE: u8 = 2;
const EXIT_UNREACHABLE: u8 = 3;
const EXIT_LOCKED: u8 = 6;
/// Between two looks at a log that is followed.
const FOLLOW: Duration = Duration::from_millis(200);

/// What the process ends with, for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes: 0 done (assert: everything holds), 1 refused (assert: something does not hold), 2 \
asked wrongly, 3 a bank does not answer, 6 another command is changing the network.";

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
  quadrille-testnet up -n 16 --dir /tmp/sixteen --seed 7 --suite 2
  quadrille-testnet up -n 3 --direct            # no proxy between the banks, no faults of links")]
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
        /// The bank, `bootstrap` or `proxy`
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
    },
    /// Ask every bank whether the network holds together: atomicity, conservation, mirrors, nothing
    /// stuck, logs
    #[command(after_help = "Examples:\n  quadrille-testnet assert && echo holds\n  \
            quadrille-testnet assert --wait 120 -o json")]
    Assert {
        #[command(flatten)]
        folder: Folder,
        /// Seconds that what is under way may take to end
        #[arg(long, default_value_t = 60)]
        wait: u64,
        /// How to print it
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
}

/// What `up` takes.
#[derive(Debug, clap::Args)]
pub struct Up {
    /// How many banks
    #[arg(short = 'n', long = "nodes", default_value_t = 3, value_parser = count)]
    nodes: usize,
    #[command(flatten)]
    folder: Folder,
    /// What the customers' balances are drawn from
    #[arg(long)]
    seed: Option<u64>,
    /// The suite of the banks' keys: 1 (Ed25519 + ML-DSA-65) or 2 (Ed25519 + Dilithium3)
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    suite: u8,
    /// Leave what runs running when something does not start
    #[arg(long)]
    keep_going: bool,
    /// Have the links go from bank to bank, without the proxy that faults of links need
    #[arg(long)]
    direct: bool,
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
            Self::Restart { name, folder, crash_point } => {
                restart(folder.layout(), name, crash_point.as_deref())
            }
            Self::Assert { folder, wait, output } => {
                return assert(&folder.layout(), Duration::from_secs(*wait), *output);
            }
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
    let suite = Suite::from_number(arguments.suite)?;
    let plan = Plan::of(arguments.nodes, arguments.seed, suite)?;
    let plan = Plan { direct: arguments.direct, ..plan };
    let progress = Progress::new();
    let mut say = |what: &str| progress.say(what);
    match up::up(arguments.folder.layout(), &plan, &mut say) {
        Ok(held) => {
            progress.say("ready");
            print(&format!("{}{}", table(&held.state), hints(&held)))
        }
        Err(failed) => {
            match failed.held {
                Some(mut held) if !arguments.keep_going => {
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
    faults: Vec<&'a InForce>,
}

fn rows<'a>(state: &'a State, known: &'a [InForce]) -> Vec<Row<'a>> {
    let peer = &state.bootstrap;
    let of =
        |name: &str| known.iter().filter(|found| found.fault.names().contains(&name)).collect();
    let bootstrap = Row {
        name: BOOTSTRAP,
        domain: "bootstrap.example",
        api: None,
        p2p: peer.p2p.as_ref().map(|address| address.as_str()),
        pid: pid(peer.process.as_ref()),
        state: standing(peer.process.as_ref()),
        faults: of(BOOTSTRAP),
    };
    let process = state.proxy.process.as_ref();
    let proxy = (!state.direct || process.is_some()).then(|| Row {
        name: PROXY,
        domain: "-",
        api: None,
        p2p: None,
        pid: pid(process),
        state: standing(process),
        faults: Vec::new(),
    });
    let bank = |bank: &'_ Bank| -> (Option<String>, Option<u32>, &'static str) {
        let process = bank.process.as_ref();
        (bank.api.map(|api| format!("http://{api}")), pid(process), standing(process))
    };
    let banks = state.banks.iter().map(|known| {
        let (api, pid, state) = bank(known);
        let p2p = known.p2p.as_ref().map(|address| address.as_str());
        let (name, domain, faults) = (&known.name, known.domain.as_str(), of(&known.name));
        Row { name, domain, api, p2p, pid, state, faults }
    });
    std::iter::once(bootstrap).chain(banks).chain(proxy).collect()
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
    table_with(state, &[])
}

/// The same, with the faults in force.
fn table_with(state: &State, known: &[InForce]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["NAME", "DOMAIN", "API", "P2P", "PID", "STATE", "FAULTS"]);
    for row in rows(state, known) {
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
            row.faults.iter().map(|found| found.fault.kind()).collect::<Vec<_>>().join(" "),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

fn status(layout: &Layout, output: Output) -> Result<(), Refusal> {
    let state = state::load(layout)?;
    let known = faults::in_force(layout)?;
    match output {
        Output::Table => {
            let now = up::now()?;
            let lines =
                known.iter().map(|found| format!("{}\n", faults::command::line(found, now)));
            print(&format!("{}{}", table_with(&state, &known), lines.collect::<String>()))
        }
        Output::Json => print(&json(&rows(&state, &known))?),
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
    let name = match name {
        BOOTSTRAP | PROXY => name,
        bank => &state.bank(bank)?.name,
    };
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

fn restart(layout: Layout, name: &str, crash_point: Option<&str>) -> Result<(), Refusal> {
    let mut held = Held::open(layout)?;
    let bank = held.state.bank_mut(name)?;
    let name = bank.name.clone();
    if let Some(process) = bank.process.take()
        && !process.stop(start::PATIENCE)
    {
        eprintln!("{name} did not end when it was asked to, and was killed");
    }
    held.save()?;
    start::banks(&mut held, std::slice::from_ref(&name), crash_point, |_| ())?;
    print(&format!("{name} is up\n"))
}

fn assert(layout: &Layout, wait: Duration, output: Output) -> ExitCode {
    let report = state::load(layout).and_then(|state| audit::audit(layout, &state, wait));
    let told = report.and_then(|report| {
        match output {
            Output::Table => print(&verdict(&report))?,
            Output::Json => print(&json(&report)?)?,
        }
        Ok(report.findings.len())
    });
    match told {
        Ok(0) => ExitCode::SUCCESS,
        Ok(broken) => complain(&Refusal::new(Code::DoesNotHold, format!("{broken} findings"))),
        Err(refusal) => complain(&refusal),
    }
}

/// What an audit found, in lines: each rule, and under it what breaks it.
#[must_use]
pub fn verdict(report: &Report) -> String {
    let (banks, settlements) = (report.banks, report.settlements);
    let (assets, batches) = (report.assets, report.batches);
    let mut text = format!(
        "{banks} banks, {assets} assets, {settlements} views of settlements, {batches} signed \
         batches\n"
    );
    for rule in Rule::ALL {
        let broken: Vec<_> = report.findings.iter().filter(|found| found.rule == rule).collect();
        let word = if broken.is_empty() { "holds" } else { "BROKEN" };
        text.push_str(&format!("{rule:14} {word}\n"));
        for finding in broken {
            text.push_str(&format!("  {}\n", finding.what));
        }
    }
    text
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
