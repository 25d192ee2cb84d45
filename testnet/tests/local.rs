//! A local network as its tester meets it: real processes, started, killed, asked, ended.
//!
//! The programs `quadrille` and `quadrille-bootstrap` are those beside the test's own; a test
//! run of the whole workspace builds them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

mod programs;

/// A network that is taken down when the test is over, whatever happened in it.
struct Network {
    folder: tempfile::TempDir,
}

impl Network {
    fn new() -> Self {
        programs::build_programs();
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("net")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille-testnet"));
        command.args(arguments).arg("--dir").arg(self.dir()).output().unwrap()
    }

    /// What a command that has to succeed prints.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The exit code and the complaint of a command that has to fail.
    fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        (output.status.code().unwrap(), complaint)
    }

    fn rows(&self) -> Vec<serde_json::Value> {
        serde_json::from_str(&self.ok(&["status", "-o", "json"])).unwrap()
    }

    fn states(&self) -> Vec<String> {
        self.rows().iter().map(|row| row["state"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

/// Whether the process runs. One that has ended and was not collected yet does not: who collects
/// it once its starter is gone is the machine's affair.
fn is_running(pid: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_network_comes_up_holds_together_loses_a_bank_and_goes_down() {
    let network = Network::new();
    let table = network.ok(&["up", "-n", "3", "--seed", "7"]);
    assert!(table.contains("bank-c.example") && table.contains("seed 7"), "{table}");
    assert_eq!(network.states(), ["up"; 5]);
    let verdict = network.ok(&["assert", "--wait", "20"]);
    assert!(verdict.contains("conservation   holds"), "{verdict}");
    assert!(verdict.contains("3 banks, 6 assets"), "{verdict}");
    let before = network.rows();

    assert!(network.ok(&["kill", "bank-b"]).contains("dead"));
    assert_eq!(network.states(), ["up", "up", "down", "up", "up"]);
    let (code, complaint) = network.fails(&["assert", "--wait", "1"]);
    assert_eq!(code, 3, "{complaint}");
    assert!(complaint.contains("bank-b does not run"), "{complaint}");
    network.ok(&["restart", "bank-b.example"]);
    assert_eq!(network.states(), ["up"; 5]);
    let after = network.rows();
    for (then, now) in before.iter().zip(&after) {
        assert_eq!((&then["api"], &then["p2p"]), (&now["api"], &now["p2p"]), "ports are kept");
    }
    assert_ne!(before[2]["pid"], after[2]["pid"]);
    network.ok(&["assert", "--wait", "20"]);
    network.ok(&["up", "-n", "3"]);
    assert_eq!(network.rows(), after, "up on a network that is up changes nothing");

    let pids: Vec<u64> = after.iter().map(|row| row["pid"].as_u64().unwrap()).collect();
    assert!(network.ok(&["down"]).contains("5 processes ended"));
    assert!(pids.iter().all(|pid| !is_running(*pid)));
    assert!(network.ok(&["down"]).contains("0 processes ended"));
    assert_eq!(network.states(), ["down"; 5]);

    network.ok(&["up", "-n", "3"]);
    network.ok(&["assert", "--wait", "20"]);
    let again: Vec<_> = network.rows().iter().map(|row| row["api"].clone()).collect();
    let first: Vec<_> = before.iter().map(|row| row["api"].clone()).collect();
    assert_eq!(again, first, "also over down and up");
}

#[test]
fn the_command_line_is_pointed_at_a_bank() {
    let network = Network::new();
    network.ok(&["up", "-n", "2", "--suite", "2"]);
    let env = network.ok(&["env", "bank-b"]);
    let program = Path::new(env!("CARGO_BIN_EXE_quadrille-testnet")).with_file_name("quadrille");
    let script = format!("{env}exec {} status -o json", program.display());
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["domain"], "bank-b.example");
    assert_eq!(status["suite"], 2, "the suite that was asked for");
    assert!(network.ok(&["logs", "bank-b", "-n", "5"]).lines().count() == 5);
    let (code, complaint) = network.fails(&["env", "bank-z"]);
    assert_eq!(code, 1);
    assert!(complaint.contains("there are bank-a, bank-b"), "{complaint}");
    let (_, complaint) = network.fails(&["up", "-n", "4"]);
    assert!(complaint.contains("Q-2328"), "{complaint}");
    assert_eq!(network.states(), ["up"; 4], "a refused up ends nothing");
}

#[test]
fn a_bank_that_does_not_start_shows_why() {
    let network = Network::new();
    network.ok(&["up", "-n", "1", "--direct"]);
    network.ok(&["down"]);
    let config = network.dir().join("nodes/bank-a/quadrille.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("[api]", "[api]\nlissten = 1")).unwrap();
    let (code, complaint) = network.fails(&["up", "-n", "1"]);
    assert_eq!(code, 1);
    assert!(complaint.contains("Q-2324"), "{complaint}");
    assert!(complaint.contains("bank-a.log") && complaint.contains("lissten"), "{complaint}");
    assert_eq!(network.states(), ["down", "down"], "nothing is left running");
}

#[test]
fn without_a_network_commands_say_so_and_wrong_ones_exit_with_2() {
    let network = Network::new();
    for command in [&["status"][..], &["assert"], &["kill", "bank-a"], &["logs", "bank-a"]] {
        let (code, complaint) = network.fails(command);
        assert_eq!(code, 1);
        assert!(complaint.contains("Q-2323"), "{complaint}");
    }
    network.ok(&["down"]);
    for wrong in [&["up", "-n", "0"][..], &["up", "-n", "65"], &["up", "--suite", "3"], &["env"]] {
        assert_eq!(network.fails(wrong).0, 2, "{wrong:?}");
    }
}
