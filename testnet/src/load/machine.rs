//! What a load ran on, as far as the system says.

use std::fs;

use serde::Serialize;

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Cores that this program may use; the banks use the same ones.
    pub cores: usize,
    /// The processor.
    pub processor: String,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// The system's kernel.
    pub kernel: String,
}

/// The program that measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Program {
    /// Its version.
    pub version: &'static str,
    /// The commit of the source it was run from, where that is known.
    pub commit: Option<String>,
    /// `optimised` or `debug`.
    pub profile: &'static str,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let unknown = || "unknown".to_owned();
        let kib = field(&read("/proc/meminfo"), "MemTotal");
        let kib = kib.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
            memory_bytes: kib.unwrap_or(0).saturating_mul(1024),
            kernel: Some(read("/proc/sys/kernel/osrelease").trim().to_owned())
                .filter(|text| !text.is_empty())
                .unwrap_or_else(unknown),
        }
    }
}

impl Program {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: commit(),
            profile: if cfg!(debug_assertions) { "debug" } else { "optimised" },
        }
    }
}

/// The commit of the working copy that this program lies in, if it does.
fn commit() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let git = |folder: &std::path::Path| {
        let output = std::process::Command::new("git")
            .args(["rev-parse", "--short=12", "HEAD"])
            .current_dir(folder)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    };
    // Beside the program, else where it was called.
    git(program.parent()?).or_else(|| git(std::path::Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_and_the_program_say_what_they_are() {
        let machine = Machine::this();
        assert!(machine.cores >= 1 && machine.memory_bytes > 1024 * 1024);
        assert_ne!(machine.kernel, "unknown");
        assert_eq!(Program::this().version, env!("CARGO_PKG_VERSION"));
    }
}
