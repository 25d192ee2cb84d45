//! A whole local network copied and put back, its shape written down, and what happens when
//! something is in the way: real processes, real ports, real signals.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

mod programs;

/// Folders of networks that are taken down when the test is over, whatever happened in it.
struct Folders(tempfile::TempDir);

impl Drop for Folders {
    fn drop(&mut self) {
        for name in ["net", "again"] {
            let _ = self.run(name, &["down"]);
        }
    }
}

impl Folders {
    fn new() -> Self {
        programs::build_programs();
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille-testnet"));
        command.args(arguments).arg("--dir").arg(self.path(name));
        command
    }

    fn run(&self, name: &str, arguments: &[&str]) -> Output {
        self.command(name, arguments).output().unwrap()
    }

    fn ok(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.run(name, arguments);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The exit code of a command that has to fail, and its complaint.
    fn fails(&self, name: &str, arguments: &[&str]) -> (i32, String) {
        let output = self.run(name, arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success(), "{arguments:?}: {said}");
        (
            output.status.code().unwrap(),
            String::from_utf8_lossy(&output.stderr).into_owned() + &said,
        )
    }

    fn rows(&self, name: &str) -> Vec<serde_json::Value> {
        serde_json::from_str(&self.ok(name, &["status", "-o", "json"])).unwrap()
    }

    /// Of all but the proxy.
    fn states(&self, name: &str) -> Vec<String> {
        let rows = self.rows(name);
        let others = rows.iter().filter(|row| row["name"] != "proxy");
        others.map(|row| row["state"].as_str().unwrap().to_owned()).collect()
    }

    fn report(&self, name: &str, arguments: &[&str]) -> serde_json::Value {
        let all = [&["assert", "-o", "json"], arguments].concat();
        serde_json::from_str(&self.ok(name, &all)).unwrap()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_network_is_copied_while_it_stands_still_and_runs_again_elsewhere() {
    let folders = Folders::new();
    folders.ok("net", &["up", "-n", "2", "--seed", "5"]);
    let before = folders.report("net", &["--wait", "20"]);
    let (file, twice) = (folders.path("copy.snap"), folders.path("net/inside.snap"));
    let told = folders.ok("net", &["snapshot", text(&file)]);
    assert!(told.contains("files"), "{told}");
    assert_eq!(folders.states("net"), ["up"; 3], "what ran, runs again");
    let after = folders.report("net", &["--wait", "20"]);
    assert!(after["records"].as_u64() >= before["records"].as_u64());
    let (_, complaint) = folders.fails("net", &["snapshot", text(&file)]);
    assert!(complaint.contains("Q-2206"), "{complaint}");
    let (code, _) = folders.fails("net", &["snapshot", text(&twice)]);
    assert_eq!(code, 2, "a snapshot in what is packed");

    let (_, complaint) = folders.fails("net", &["restore", text(&file)]);
    assert!(complaint.contains("Q-2372"), "{complaint}");
    // The original still has its ports.
    let told = folders.ok("again", &["restore", text(&file)]);
    assert!(told.contains("2 banks") && told.contains("new ports"), "{told}");
    folders.ok("net", &["down"]);
    folders.ok("again", &["up", "-n", "2"]);
    let here = folders.report("again", &["--wait", "30"]);
    assert_eq!(here["findings"].as_array().unwrap().len(), 0, "{here}");
    assert!(here["records"].as_u64() >= before["records"].as_u64());
    let config = fs::read_to_string(folders.path("again/nodes/bank-a/quadrille.toml")).unwrap();
    assert!(config.contains(text(&folders.path("again/guards/bank-a"))), "{config}");
    folders.ok("again", &["down"]);

    let mut cut = fs::read(&file).unwrap();
    cut.truncate(cut.len() / 2);
    let half = folders.path("half.snap");
    fs::write(&half, cut).unwrap();
    let (_, complaint) = folders.fails("third", &["restore", text(&half)]);
    assert!(complaint.contains("Q-2370") && complaint.contains("cut off"), "{complaint}");
    let left = fs::read_dir(folders.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.map(|name| name.into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.contains("third")), "nothing half: {left:?}");
}

#[test]
fn logs_are_asked_alone_and_a_flipped_bit_in_one_is_found() {
    let folders = Folders::new();
    folders.ok("net", &["up", "-n", "2"]);
    folders.ok("net", &["down"]);
    let report = folders.report("net", &["--offline"]);
    assert!(report["signatures"].as_u64().unwrap() > 4, "{report}");
    assert_eq!(report["signatures"], report["batches"]);
    let sampled = folders.report("net", &["--offline", "--sample", "1000"]);
    assert!(sampled["signatures"].as_u64() < report["signatures"].as_u64());
    let log = folders.path("net/nodes/bank-b/log");
    let segment = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.into_iter().find(|path| path.extension().is_some()).unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let (code, told) = folders.fails("net", &["assert", "--offline"]);
    assert_eq!(code, 1);
    assert!(told.contains("logs           BROKEN") && told.contains("Q-2329"), "{told}");
    assert!(told.contains("bank-b.example"), "{told}");
}

#[test]
fn a_port_that_another_program_took_is_named_and_can_be_changed() {
    let folders = Folders::new();
    folders.ok("net", &["up", "-n", "2"]);
    folders.ok("net", &["kill", "bank-b"]);
    let api = folders.rows("net")[2]["api"].as_str().unwrap().to_owned();
    let thief = TcpListener::bind(api.trim_start_matches("http://")).unwrap();
    let (code, complaint) = folders.fails("net", &["restart", "bank-b"]);
    assert_eq!(code, 1);
    assert!(complaint.contains("Q-2373") && complaint.contains("--new-ports"), "{complaint}");
    assert_eq!(folders.states("net"), ["up", "up", "down"]);
    folders.ok("net", &["restart", "bank-b", "--new-ports"]);
    assert_ne!(folders.rows("net")[2]["api"].as_str().unwrap(), api);
    folders.report("net", &["--wait", "40"]);
    drop(thief);
}

#[test]
fn a_frame_of_top_shows_who_lives_and_who_is_dead() {
    let folders = Folders::new();
    folders.ok("net", &["up", "-n", "2"]);
    let pid = folders.rows("net")[2]["pid"].as_u64().unwrap();
    // Not through the network's own command, which would know.
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(10);
    while folders.states("net")[2] != "gone" {
        assert!(Instant::now() < deadline);
    }
    let frame = folders.ok("net", &["top", "--once"]);
    let line = |name: &str| frame.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line("bank-a").contains(" up ") && line("bank-b").contains("DEAD"), "{frame}");
    assert!(!frame.contains('\u{1b}'), "no escape sequences where there is no terminal");
    let shown: serde_json::Value =
        serde_json::from_str(&folders.ok("net", &["top", "-o", "json"])).unwrap();
    let rows = shown["rows"].as_array().unwrap();
    assert_eq!(rows[2]["state"], "dead");
    assert!(rows[1]["height"].as_u64().unwrap() > 1 && rows[1]["memory_bytes"].as_u64() > Some(1));
    let narrow = folders.command("net", &["top", "--once"]).env("COLUMNS", "30").output().unwrap();
    let narrow = String::from_utf8(narrow.stdout).unwrap();
    assert!(narrow.lines().all(|line| line.chars().count() <= 30), "{narrow}");
    let (code, complaint) = folders.fails("net", &["assert", "--wait", "1"]);
    assert_eq!(code, 3);
    assert!(complaint.contains("bank-b does not run"), "{complaint}");
    let (code, _) = folders.fails("net", &["export", text(&folders.path("shape.toml"))]);
    assert_eq!(code, 3, "the shape is asked of banks that run");
    folders.ok("net", &["restart", "bank-b"]);
    folders.ok("net", &["export", text(&folders.path("shape.toml"))]);
    let shape = fs::read_to_string(folders.path("shape.toml")).unwrap();
    assert!(shape.contains("banks = [\"bank-a\", \"bank-b\"]"), "{shape}");
    assert!(shape.contains("name = \"carol@bank-b\"") && shape.contains("all\""), "{shape}");
}

/// Sends SIGINT to a command once `ready` holds; its exit code and complaint.
fn broken_off(mut command: Command, ready: impl Fn() -> bool) -> (Option<i32>, String) {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ready() {
        assert!(Instant::now() < deadline, "it never came so far");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Whether a process of the network runs whose state nobody has read.
fn a_bank_runs(folder: &Path) -> bool {
    let state = fs::read_to_string(folder.join("state.json")).unwrap_or_default();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap_or_default();
    state["banks"][0]["process"]["pid"].is_u64()
}

#[test]
fn ctrl_c_in_the_middle_leaves_nothing_running_and_nothing_half_written() {
    let folders = Folders::new();
    let net = folders.path("net");
    let (code, complaint) =
        broken_off(folders.command("net", &["up", "-n", "3"]), || a_bank_runs(&net));
    assert_eq!(code, Some(130), "{complaint}");
    assert!(complaint.contains("Q-2352"), "{complaint}");
    assert_eq!(folders.states("net"), ["down"; 4], "nothing is left running");
    folders.ok("net", &["up", "-n", "3"]);
    folders.report("net", &["--wait", "20"]);
    let file = folders.path("copy.snap");
    let before = folders.rows("net");
    let (code, complaint) = broken_off(folders.command("net", &["snapshot", text(&file)]), || {
        // Once it has begun to end the banks.
        let first = before[1]["pid"].as_u64().unwrap();
        !Path::new(&format!("/proc/{first}/fd")).exists() || !a_bank_runs(&net)
    });
    if code == Some(0) {
        // It was done before the signal came.
        return;
    }
    assert_eq!(code, Some(130), "{complaint}");
    assert!(!file.exists(), "{complaint}");
    let left = fs::read_dir(folders.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_str().unwrap().contains("part")));
    assert_eq!(folders.states("net"), ["up"; 4], "what ran, runs again");
}
