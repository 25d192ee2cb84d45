//! Processes of a local network: starting them so that they outlive us, knowing them again,
//! ending them.
//!
//! Invariant: a signal goes only to a process that we started. A process is known by its number,
//! the time it started and the machine's boot, and is signalled through a descriptor that was
//! opened before these were compared, so a number that was given to somebody else is never hit.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Between two looks at whether a process has ended.
const POLL: Duration = Duration::from_millis(20);
/// How long a killed process may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// Most of a log that is read to show its last lines.
const TAIL_BYTES: u64 = 256 * 1024;
/// The fields of `/proc/PID/stat` after the name: the state, and the start in ticks after boot.
const STATE_FIELD: usize = 0;
const STARTED_FIELD: usize = 19;
/// The fields with the time spent in the program and in the kernel for it, in ticks.
const CPU_FIELDS: [usize; 2] = [11, 12];
/// Milliseconds of a tick in `/proc`: a hundredth of a second in Linux's interface, whatever the
/// kernel's own clock does.
const TICK_MS: u64 = 10;

/// A process, told apart from every other one of this machine, also from later ones.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    started: u64,
    boot: String,
}

impl Process {
    /// The process that has the number now; `None` when there is none, or one that has ended and
    /// waits to be collected.
    fn with_number(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may hold anything, parentheses and spaces too.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        if matches!(*fields.get(STATE_FIELD)?, "Z" | "X") {
            return None;
        }
        let started = fields.get(STARTED_FIELD)?.parse().ok()?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(Self { pid, started, boot: boot.trim().to_owned() })
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Self::with_number(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal, unless it has ended. Returns whether it was sent.
    fn signal(&self, signal: Signal) -> bool {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return false;
        };
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else {
            return false;
        };
        self.is_alive() && pidfd_send_signal(descriptor, signal).is_ok()
    }

    /// Kills it as a power cut would: no cleaning up. Returns once it is gone.
    pub fn kill(&self) {
        if self.signal(Signal::KILL) {
            // One that does not react even to this is stuck in the kernel: nothing helps.
            let _ = self.await_end(KILL_PATIENCE);
        }
    }

    /// Has it stand still. Returns whether it was there to be told.
    #[must_use]
    pub fn pause(&self) -> bool {
        self.signal(Signal::STOP)
    }

    /// Has it go on. Returns whether it was there to be told.
    pub fn resume(&self) -> bool {
        self.signal(Signal::CONT)
    }

    /// Asks it to end, and kills it when it has not after `patience`. Returns whether it ended
    /// by itself. One that stands still is let go on, or it would not hear.
    #[must_use]
    pub fn stop(&self, patience: Duration) -> bool {
        if !self.signal(Signal::TERM) {
            return true;
        }
        self.resume();
        if self.await_end(patience) {
            return true;
        }
        self.kill();
        false
    }

    /// Waits until it has ended; whether it did.
    #[must_use]
    pub fn await_end(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Time on a core, of all its threads together, also those that have ended.
    pub cpu: Duration,
    /// Its memory that is resident now.
    pub resident_bytes: u64,
}

impl Usage {
    /// Of the process with this number; `None` when there is none.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = CPU_FIELDS.iter().try_fold(0_u64, |sum, at| {
            fields.get(*at)?.parse::<u64>().ok().map(|ticks| sum.saturating_add(ticks))
        })?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = resident.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        let cpu = Duration::from_millis(ticks.saturating_mul(TICK_MS));
        Some(Self { cpu, resident_bytes: kib.saturating_mul(1024) })
    }
}

/// Starts a program that outlives us: in a process group of its own, its output appended to the
/// file `log`, with these `QUADRILLE_…` settings and none of our own.
///
/// # Errors
/// `Q-2205` the log cannot be written; `Q-2324` the program cannot be started.
pub fn start(
    program: &Path,
    arguments: &[&OsStr],
    settings: &[(&str, &OsStr)],
    log: &Path,
) -> Result<Process, Refusal> {
    let failed = |error: io::Error| files::cannot_write(log, &error);
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let output = OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
    let errors = output.try_clone().map_err(failed)?;
    let mut command = plain(program, arguments);
    command
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .process_group(0);
    let child = command.spawn().map_err(|error| {
        Refusal::new(Code::NodeDidNotStart, format!("{}: {error}", program.display()))
    })?;
    let pid = child.id();
    // It stays our child; whoever takes over when we end collects it.
    match Process::with_number(pid) {
        Some(process) => Ok(process),
        None => refuse!(NodeDidNotStart, "{} ended at once", program.display()),
    }
}

/// Runs a program to its end. What it printed, or what it complained of.
///
/// # Errors
/// `Q-2324` the program cannot be started.
pub fn ask(program: &Path, arguments: &[&OsStr]) -> Result<Result<String, String>, Refusal> {
    ask_with(program, arguments, &[])
}

/// The same, with these `QUADRILLE_…` settings.
///
/// # Errors
/// As [`ask`].
pub fn ask_with(
    program: &Path,
    arguments: &[&OsStr],
    settings: &[(&str, &OsStr)],
) -> Result<Result<String, String>, Refusal> {
    let mut command = plain(program, arguments);
    command.envs(settings.iter().copied()).stdin(Stdio::null());
    let output = command.output().map_err(|error| {
        Refusal::new(Code::NodeDidNotStart, format!("{}: {error}", program.display()))
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}

/// A command without our own `QUADRILLE_…` settings.
fn plain(program: &Path, arguments: &[&OsStr]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("QUADRILLE_") {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// The program of this name beside our own, which is where a build puts both.
///
/// # Errors
/// `Q-2325`.
pub fn program(name: &str) -> Result<PathBuf, Refusal> {
    let own = std::env::current_exe()
        .map_err(|error| Refusal::new(Code::ProgramMissing, format!("our own path: {error}")))?;
    // Test programs are one folder below the others.
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        Refusal::new(Code::ProgramMissing, format!("{name} beside {}", own.display()))
    })
}

/// The last lines of a log, at most `count`.
///
/// # Errors
/// `Q-2204`.
pub fn tail(log: &Path, count: usize) -> Result<Vec<String>, Refusal> {
    let failed = |error: io::Error| files::cannot_read(log, &error);
    let mut file = fs::File::open(log).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let skipped = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(skipped)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line may have lost its beginning.
    let lines: Vec<&str> = text.lines().skip(usize::from(skipped > 0)).collect();
    let first = lines.len().saturating_sub(count);
    Ok(lines.iter().skip(first).map(|line| (*line).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start_sleep(folder: &Path, seconds: &str) -> Process {
        let log = folder.join("logs").join("sleep.log");
        let arguments = [OsStr::new(seconds)];
        start(Path::new("sleep"), &arguments, &[], &log).unwrap()
    }

    #[test]
    fn a_process_is_stopped_and_its_end_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let process = start_sleep(folder.path(), "600");
        assert!(process.is_alive());
        assert!(process.stop(Duration::from_secs(10)), "sleep ends when asked");
        assert!(!process.is_alive());
        assert!(process.stop(Duration::ZERO), "a second time nothing happens");
        let killed = start_sleep(folder.path(), "600");
        killed.kill();
        assert!(!killed.is_alive());
    }

    #[test]
    fn a_process_that_stands_still_is_alive_and_ends_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let process = start_sleep(folder.path(), "600");
        assert!(process.pause());
        assert!(process.is_alive());
        assert!(process.stop(Duration::from_secs(10)), "it is let go on for that");
        assert!(!process.pause() && !process.resume(), "nobody is there");
    }

    #[test]
    fn a_stranger_with_our_process_s_number_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let process = start_sleep(folder.path(), "600");
        let earlier = Process { started: process.started - 1, ..process.clone() };
        let rebooted = Process { boot: "another".to_owned(), ..process.clone() };
        for stranger in [earlier, rebooted] {
            assert!(!stranger.is_alive());
            assert!(stranger.stop(Duration::ZERO));
            stranger.kill();
        }
        assert!(process.is_alive(), "nobody has ended it");
        process.kill();
    }

    #[test]
    fn work_shows_in_what_a_process_has_used() {
        let before = Usage::of(std::process::id()).unwrap();
        assert!(before.resident_bytes > 0);
        let deadline = Instant::now() + Duration::from_secs(20);
        // Two ticks or more, however busy the machine is.
        while Usage::of(std::process::id()).unwrap().cpu < before.cpu + Duration::from_millis(20) {
            assert!(Instant::now() < deadline, "no time is counted");
        }
        assert!(Usage::of(u32::MAX).is_none());
    }

    #[test]
    fn the_end_of_a_log_is_its_last_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        fs::write(&log, "one\ntwo\nthree\n").unwrap();
        assert_eq!(tail(&log, 2).unwrap(), ["two", "three"]);
        assert_eq!(tail(&log, 9).unwrap().len(), 3);
        let long = format!("{}\nlast\n", "x".repeat(usize::try_from(TAIL_BYTES).unwrap()));
        fs::write(&log, long).unwrap();
        assert_eq!(tail(&log, 9).unwrap(), ["last"]);
        assert_eq!(tail(&folder.path().join("none"), 1).unwrap_err().code, Code::CannotRead);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        assert_eq!(program("no-such-program").unwrap_err().code, Code::ProgramMissing);
    }
}
