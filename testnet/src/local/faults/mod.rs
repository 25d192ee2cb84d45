//! Faults on a running local network: cut and slowed links, stopped and killed processes, wrong
//! clocks, disks that fail.
//!
//! ```text
//!   fault ... --control socket--> proxy process  links: cut, delay, loss, rate, reset
//!                                   |            pause: SIGSTOP, and SIGCONT in time
//!                                   |            DIR/faults/NAME/faults: clock and disk
//!                                   v
//!                          DIR/faults/in-force.json   read by `status`
//! ```
//!
//! Whatever a fault is of, the proxy keeps it: what was asked for some time ends then, also when
//! the command that asked for it has long gone. What that means for links is told in `proxy`.
//!
//! A bank that was killed for some time is started again by whoever may change the network: by
//! [`keep`], which a long-running holder of the lock calls now and then, else by a command that
//! the proxy starts.
//!
//! Invariants:
//! * A fault that was answered with an identifier is in force, and stands in `in-force.json`.
//! * A fault whose time is over is in force no more, whoever has ended in between; only a kill
//!   waits for the lock of the network.
//! * Nothing is signalled but the processes of this network (see `process`).

pub mod command;
pub mod control;
mod list;
pub mod proxy;
pub mod spans;
pub mod start;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use quadrille_protocol::types::Time;
use serde::{Deserialize, Serialize};

use super::layout::{BOOTSTRAP, Layout};
use super::state::{Held, State};
use super::{start as local, up};
use control::{Answer, Request};

/// Most faults that are in force at one time.
pub const FAULTS: usize = 64;
/// Longest delay of a link, and longest jitter.
pub const DELAY: Duration = Duration::from_secs(60);
/// Shortest time that a fault can be asked for.
pub const SHORTEST: Duration = Duration::from_millis(100);
/// Longest time that a fault can be asked for.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The slowest link, in bytes per second.
pub const SLOWEST: u64 = 256;
/// A debug build of the node writes its process's number into a file of this name.
const ARMED: &str = "armed";
const ARMED_BYTES: usize = 64;
/// The most that a clock can be put wrong, in milliseconds: a year.
pub const SKEW_MS: u64 = 365 * 86_400_000;

/// Something that goes wrong. Names are those of banks, like `bank-a`, or `bootstrap` where the
/// fault is of links.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[serde(deny_unknown_fields)]
pub enum Fault {
    /// Nothing passes between the two sides; nobody is told.
    Partition {
        /// One side.
        a: Vec<String>,
        /// The other.
        b: Vec<String>,
        /// Only what `a` says to `b` is lost.
        #[serde(default)]
        one_way: bool,
    },
    /// Whatever is sent to or by a bank arrives later.
    Latency {
        /// The bank.
        of: String,
        /// By so much, in each direction.
        #[serde(with = "spans::text")]
        delay: Duration,
        /// And up to so much more, as it comes.
        #[serde(with = "spans::text", default)]
        jitter: Duration,
    },
    /// Segments to and from a bank are lost and sent again.
    Loss {
        /// The bank.
        of: String,
        /// Of a hundred segments, so many.
        percent: f64,
    },
    /// A bank's line carries little.
    Bandwidth {
        /// The bank.
        of: String,
        /// So much in each direction, over all links together.
        bytes_per_second: u64,
    },
    /// Every connection of a bank is reset, now.
    Reset {
        /// The bank.
        of: String,
    },
    /// A bank's process stands still.
    Pause {
        /// The bank.
        of: String,
    },
    /// A bank's process is killed as by a power cut.
    Kill {
        /// The bank.
        of: String,
    },
    /// A bank's clock is wrong.
    Skew {
        /// The bank.
        of: String,
        /// By so many milliseconds; it is fast where that is more than 0.
        by_ms: i64,
    },
    /// Nothing more can be written to a bank's log.
    DiskFull {
        /// The bank.
        of: String,
    },
    /// What a bank writes to its log is not known to reach the disk.
    FsyncError {
        /// The bank.
        of: String,
    },
}

/// The number of a fault in its network; not given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A fault that is in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InForce {
    /// Its number.
    pub id: FaultId,
    /// What it is.
    pub fault: Fault,
    /// Since when.
    pub since: Time,
    /// When it ends by itself.
    pub until: Option<Time>,
}

impl Fault {
    /// Its name, as on the command line and in scenario files.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "partition",
            Self::Latency { .. } => "latency",
            Self::Loss { .. } => "loss",
            Self::Bandwidth { .. } => "bandwidth",
            Self::Reset { .. } => "reset",
            Self::Pause { .. } => "pause",
            Self::Kill { .. } => "kill",
            Self::Skew { .. } => "skew",
            Self::DiskFull { .. } => "disk-full",
            Self::FsyncError { .. } => "fsync-error",
        }
    }

    /// Whether it is made by the proxy in the links.
    #[must_use]
    pub const fn is_of_links(&self) -> bool {
        match self {
            Self::Partition { .. }
            | Self::Latency { .. }
            | Self::Loss { .. }
            | Self::Bandwidth { .. }
            | Self::Reset { .. } => true,
            Self::Pause { .. }
            | Self::Kill { .. }
            | Self::Skew { .. }
            | Self::DiskFull { .. }
            | Self::FsyncError { .. } => false,
        }
    }

    /// Whether it is made in the node itself, which only a debug build does.
    #[must_use]
    pub const fn is_of_the_node(&self) -> bool {
        match self {
            Self::Skew { .. } | Self::DiskFull { .. } | Self::FsyncError { .. } => true,
            Self::Partition { .. }
            | Self::Latency { .. }
            | Self::Loss { .. }
            | Self::Bandwidth { .. }
            | Self::Reset { .. }
            | Self::Pause { .. }
            | Self::Kill { .. } => false,
        }
    }

    /// Every name in it.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Partition { a, b, .. } => a.iter().chain(b).map(String::as_str).collect(),
            Self::Latency { of, .. }
            | Self::Loss { of, .. }
            | Self::Bandwidth { of, .. }
            | Self::Reset { of }
            | Self::Pause { of }
            | Self::Kill { of }
            | Self::Skew { of, .. }
            | Self::DiskFull { of }
            | Self::FsyncError { of } => vec![of.as_str()],
        }
    }

    /// The fault with the short names of the network's banks in it (`bank-a.example` is `bank-a`).
    ///
    /// # Errors
    /// `Q-2326` a bank that there is not; `Q-2341` a fault that makes no sense.
    pub fn of_network(&self, state: &State) -> Result<Self, Refusal> {
        let links = self.is_of_links();
        let known = |name: &String| -> Result<String, Refusal> {
            if links && name == BOOTSTRAP {
                return Ok(name.clone());
            }
            Ok(state.bank(name)?.name.clone())
        };
        let mut fault = self.clone();
        match &mut fault {
            Self::Partition { a, b, .. } => {
                for name in a.iter_mut().chain(b) {
                    *name = known(name)?;
                }
            }
            Self::Latency { of, .. }
            | Self::Loss { of, .. }
            | Self::Bandwidth { of, .. }
            | Self::Reset { of }
            | Self::Pause { of }
            | Self::Kill { of }
            | Self::Skew { of, .. }
            | Self::DiskFull { of }
            | Self::FsyncError { of } => *of = known(of)?,
        }
        fault.check()?;
        Ok(fault)
    }

    /// Whether its figures make sense; the names are not looked at but for a partition's sides.
    ///
    /// # Errors
    /// `Q-2341`.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::Partition { a, b, .. } => {
                let sides: [BTreeSet<&String>; 2] = [a.iter().collect(), b.iter().collect()];
                let [a, b] = &sides;
                if a.is_empty() || b.is_empty() {
                    refuse!(BadFault, "a partition has banks on both sides");
                }
                if let Some(both) = a.intersection(b).next() {
                    refuse!(BadFault, "{both} is on both sides of the partition");
                }
            }
            Self::Latency { delay, jitter, .. } => {
                if delay.is_zero() && jitter.is_zero() {
                    refuse!(BadFault, "a latency of nothing");
                }
                if *delay > DELAY || *jitter > DELAY {
                    refuse!(BadFault, "a latency is at most {} s", DELAY.as_secs());
                }
            }
            Self::Loss { percent, .. } => {
                if !(*percent > 0.0 && *percent < 100.0) {
                    refuse!(BadFault, "a loss of {percent} %: more than 0 %, less than 100 %");
                }
            }
            Self::Bandwidth { bytes_per_second, .. } => {
                if *bytes_per_second < SLOWEST {
                    refuse!(BadFault, "{bytes_per_second} B/s, at least {SLOWEST}");
                }
            }
            Self::Skew { by_ms, .. } => {
                if *by_ms == 0 || by_ms.unsigned_abs() > SKEW_MS {
                    refuse!(BadFault, "a clock is wrong by at least 1 ms, at most 365 d");
                }
            }
            Self::Reset { .. }
            | Self::Pause { .. }
            | Self::Kill { .. }
            | Self::DiskFull { .. }
            | Self::FsyncError { .. } => {}
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Partition { a, b, one_way } => {
                let way = if *one_way { " one way" } else { "" };
                write!(f, "{kind} {} / {}{way}", a.join(","), b.join(","))
            }
            Self::Latency { of, delay, jitter } => {
                write!(f, "{kind} {of} {}", spans::show(*delay))?;
                if !jitter.is_zero() {
                    write!(f, " jitter {}", spans::show(*jitter))?;
                }
                Ok(())
            }
            Self::Loss { of, percent } => write!(f, "{kind} {of} {percent}%"),
            Self::Bandwidth { of, bytes_per_second } => {
                write!(f, "{kind} {of} {bytes_per_second} B/s")
            }
            Self::Skew { of, by_ms } => write!(f, "{kind} {of} {by_ms:+} ms"),
            Self::Reset { of }
            | Self::Pause { of }
            | Self::Kill { of }
            | Self::DiskFull { of }
            | Self::FsyncError { of } => write!(f, "{kind} {of}"),
        }
    }
}

/// Makes a fault, for `span` where one is given and until it is healed otherwise. It is in force
/// when this returns.
///
/// # Errors
/// `Q-2326` a bank that there is not; `Q-2341` a fault that makes no sense; `Q-2340` a fault of
/// links in a network whose links go directly; `Q-2343` one that the node's build cannot make;
/// `Q-2345` the bank's process does not run; `Q-2342` the proxy cannot do it.
pub fn apply(held: &mut Held, fault: &Fault, span: Option<Duration>) -> Result<FaultId, Refusal> {
    let fault = fault.of_network(&held.state)?;
    check_span(&fault, span)?;
    if fault.is_of_links() && held.state.direct {
        refuse!(NotProxied, "{fault}");
    }
    if !fault.is_of_links() {
        check_process(held, &fault)?;
    }
    start::proxy(held)?;
    let span_ms = span.and_then(|span| u64::try_from(span.as_millis()).ok());
    if let Fault::Kill { of } = &fault {
        let process = held.state.bank_mut(of)?.process.take();
        held.save()?;
        if let Some(process) = process {
            process.kill();
        }
    }
    match control::ask(&held.layout, &Request::Apply { fault, span_ms })? {
        Answer::Applied(id) => Ok(id),
        Answer::Healed(_) | Answer::Refused { .. } => Err(odd_answer()),
    }
}

/// Ends a fault, or all of them, and returns what they were. A bank that was killed is started.
///
/// # Errors
/// `Q-2344` no such fault; `Q-2342` the proxy cannot do it; those of starting a bank.
pub fn heal(held: &mut Held, id: Option<FaultId>) -> Result<Vec<Fault>, Refusal> {
    let known = in_force(&held.layout)?;
    if known.is_empty() && id.is_none() {
        return Ok(Vec::new());
    }
    start::proxy(held)?;
    // A bank that comes back takes its kill off the list itself.
    let chosen = |found: &&InForce| id.is_none_or(|id| found.id == id);
    let mut healed: Vec<Fault> = Vec::new();
    for found in known.iter().filter(chosen) {
        if let Fault::Kill { of } = &found.fault {
            local::banks(held, std::slice::from_ref(of), None, |_| ())?;
            healed.push(found.fault.clone());
        }
    }
    if id.is_some() && !healed.is_empty() {
        return Ok(healed);
    }
    match control::ask(&held.layout, &Request::Heal { id })? {
        Answer::Healed(others) => {
            healed.extend(others);
            Ok(healed)
        }
        Answer::Applied(_) | Answer::Refused { .. } => Err(odd_answer()),
    }
}

/// What is in force now.
///
/// # Errors
/// `Q-2204` when it cannot be read.
pub fn in_force(layout: &Layout) -> Result<Vec<InForce>, Refusal> {
    let list = list::load(layout)?;
    Ok(list.kept.into_iter().map(|kept| kept.in_force).collect())
}

/// Starts the banks again whose kill was for some time that is over now; their names. Whoever
/// holds the network for long calls this every second or so; when nobody does, the proxy has it
/// done.
///
/// # Errors
/// Those of starting a bank, and of [`in_force`].
pub fn keep(held: &mut Held) -> Result<Vec<String>, Refusal> {
    let now = up::now()?;
    let over = |found: &InForce| found.until.is_some_and(|until| until <= now);
    let mut names: Vec<String> = Vec::new();
    for found in in_force(&held.layout)?.into_iter().filter(over) {
        if let Fault::Kill { of } = found.fault {
            names.push(of);
        }
    }
    if !names.is_empty() {
        local::banks(held, &names, None, |_| ())?;
    }
    Ok(names)
}

/// Takes kills off the list whose banks run again.
pub(super) fn came_back(held: &Held, names: &[String]) {
    // When it cannot be done now, the proxy sees itself a little later that the bank is there.
    let Ok(known) = in_force(&held.layout) else { return };
    for found in known {
        if let Fault::Kill { of } = &found.fault
            && names.contains(of)
        {
            let _ = control::ask(&held.layout, &Request::Heal { id: Some(found.id) });
        }
    }
}

/// Ends all faults of a network that is about to go down, as far as possible; what is left over
/// goes with the proxy.
pub(super) fn end_all(layout: &Layout) {
    if in_force(layout).is_ok_and(|known| !known.is_empty()) {
        let _ = control::ask(layout, &Request::Heal { id: None });
    }
}

fn odd_answer() -> Refusal {
    Refusal::new(Code::ProxyFailed, "it answers something else")
}

/// Whether there is a process that can have the fault.
fn check_process(held: &Held, fault: &Fault) -> Result<(), Refusal> {
    for name in fault.names() {
        let bank = held.state.bank(name)?;
        let Some(process) = bank.process.as_ref().filter(|process| process.is_alive()) else {
            refuse!(NotRunning, "{name}");
        };
        if !fault.is_of_the_node() {
            continue;
        }
        // Written by a debug build at its start; an earlier process's number is another one.
        let path = held.layout.faults_of(name).join(ARMED);
        let armed = files::read_text(&path, ARMED_BYTES).unwrap_or_default();
        if armed.trim() != process.pid.to_string() {
            refuse!(NoFaultHooks, "{fault}: {name} is a release build, or older");
        }
    }
    Ok(())
}

fn check_span(fault: &Fault, span: Option<Duration>) -> Result<(), Refusal> {
    let Some(span) = span else { return Ok(()) };
    if matches!(fault, Fault::Reset { .. }) {
        refuse!(BadFault, "a reset happens once and does not last");
    }
    if !(SHORTEST..=LONGEST).contains(&span) {
        let (least, most) = (spans::show(SHORTEST), LONGEST.as_secs() / 3600);
        refuse!(BadFault, "{fault} for {}: from {least} to {most}h", spans::show(span));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
