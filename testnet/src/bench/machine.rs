//! The machine and the build that figures were measured with.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;

/// What a figure depends on besides the program's parameters.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor's model.
    pub processor: String,
    /// Cores that may be used.
    pub cores: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The system's kernel.
    pub kernel: String,
    /// What else ran at the start: the load of the last minute.
    pub load_at_start: f64,
    /// The file system that the work folder is on.
    pub file_system: String,
    /// Whether this program was optimised; the banks lie beside it.
    pub optimised: bool,
    /// The version of this program.
    pub version: &'static str,
    /// The commit of the folder that it was run in, where it is one of git's.
    pub commit: String,
}

impl Machine {
    /// Looks around; what cannot be found out is `unknown` or zero.
    #[must_use]
    pub fn look(folder: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processor = after(&read("/proc/cpuinfo"), "model name");
        let memory = after(&read("/proc/meminfo"), "MemTotal");
        let kib: u64 =
            memory.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        let load = read("/proc/loadavg");
        let load = load.split_whitespace().next().and_then(|load| load.parse().ok());
        Self {
            processor,
            cores: cores(),
            memory_mib: kib / 1024,
            kernel: or_unknown(read("/proc/sys/kernel/osrelease").trim()),
            load_at_start: load.unwrap_or(0.0),
            file_system: file_system(&read("/proc/self/mounts"), folder),
            optimised: !cfg!(debug_assertions),
            version: env!("CARGO_PKG_VERSION"),
            commit: commit(),
        }
    }
}

/// Cores that may be used.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The value behind the first `name` and a colon.
fn after(text: &str, name: &str) -> String {
    let found = text.lines().find_map(|line| {
        line.strip_prefix(name)?.split_once(':').map(|(_, value)| value.trim().to_owned())
    });
    or_unknown(&found.unwrap_or_default())
}

fn or_unknown(text: &str) -> String {
    if text.is_empty() { "unknown".to_owned() } else { text.to_owned() }
}

/// The type of the innermost mount that holds the folder.
fn file_system(mounts: &str, folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let holding = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (place, kind) = (words.next()?, words.next()?);
        folder.starts_with(place).then_some((place.len(), kind))
    });
    or_unknown(holding.max_by_key(|(length, _)| *length).map_or("", |(_, kind)| kind))
}

fn commit() -> String {
    let ask = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let changed = ask(&["status", "--porcelain", "--untracked-files=no"]);
    let changed = changed.is_some_and(|changed| !changed.is_empty());
    match ask(&["rev-parse", "--short=12", "HEAD"]) {
        Some(commit) if changed => format!("{commit} and changes"),
        Some(commit) => or_unknown(&commit),
        None => "unknown".to_owned(),
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, memory_mib, kernel, load_at_start, file_system, .. } = self;
        let build = if self.optimised { "optimised" } else { "debug" };
        write!(
            f,
            "{processor}, {cores} cores, {memory_mib} MiB, Linux {kernel}, {file_system}; load at \
             the start {load_at_start:.2}; {build} build of {} at {}",
            self.version, self.commit
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_tells_about_itself() {
        let machine = Machine::look(Path::new("/"));
        assert!(machine.cores >= 1 && machine.memory_mib > 0);
        assert_ne!(machine.kernel, "unknown");
    }

    #[test]
    fn the_innermost_mount_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /none/deep tmpfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/none/deep/down")), "tmpfs");
        assert_eq!(file_system(mounts, Path::new("/none")), "ext4");
        assert_eq!(file_system("", Path::new("/none")), "unknown");
        assert_eq!(after("model name\t: Fast\n", "model name"), "Fast");
        assert_eq!(after("", "model name"), "unknown");
    }
}
