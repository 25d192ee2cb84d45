//! `quadrille-testnet load` on a real network, with a bank that is killed in the middle.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

mod programs;

/// A network of two banks that is taken down when the test is over.
struct Network {
    folder: tempfile::TempDir,
}

impl Network {
    fn up() -> Self {
        programs::build_programs();
        let network = Self { folder: tempfile::tempdir().unwrap() };
        network.ok(&["up", "-n", "2"]);
        network
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille-testnet"));
        command.args(arguments).arg("--dir").arg(self.folder.path().join("net"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let complaint = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(0), "{arguments:?}: {complaint}");
        String::from_utf8(stdout).unwrap()
    }

    /// A load that has told so many times how it goes, the first time when its clock begins.
    fn load(&self, arguments: &[&str], times: usize) -> Load {
        let mut child = self.command(&[&["load"], arguments].concat()).spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        // Lines like `0/5 s  0/s  p50 …` begin when the clock does.
        for _ in 0..times {
            line.clear();
            while !line.contains("in flight") {
                line.clear();
                assert_ne!(told.read_line(&mut line).unwrap(), 0, "it has ended too early");
            }
        }
        // Nobody would read what it says next, and it must not wait for that.
        let rest = std::thread::spawn(move || {
            let mut rest = String::new();
            let _ = told.read_to_string(&mut rest);
            rest
        });
        Load { child, rest }
    }

    fn report(&self) -> PathBuf {
        self.folder.path().join("report")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.command(&["down"]).output();
    }
}

struct Load {
    child: Child,
    rest: std::thread::JoinHandle<String>,
}

impl Load {
    /// The exit code, what it printed, and what it complained of.
    fn end(mut self) -> (Option<i32>, String, String) {
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        let code = self.child.wait().unwrap().code();
        (code, out, self.rest.join().unwrap())
    }
}

fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {report}"))
}

#[test]
fn every_trade_ends_although_a_bank_is_killed_and_an_interrupted_load_reports() {
    let network = Network::up();
    let report = network.report();
    let dir = report.to_str().unwrap();
    let rate = ["-r", "20", "-d", "5s", "--suite", "3", "-o", "json", "--report", dir];
    let load = network.load(&rate, 1);
    // Longer than the time that offers are handed in ahead of their trades.
    network.ok(&["fault", "kill", "bank-b", "--for", "2s"]);
    let (code, out, complaint) = load.end();
    assert_eq!(code, Some(0), "{complaint}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(count(&told, "/counts/scheduled"), 100);
    assert_eq!(count(&told, "/counts/begun"), 100);
    let refused: u64 =
        told["counts"]["refused"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    let ended = count(&told, "/counts/settled") + count(&told, "/counts/refunded") + refused;
    assert_eq!(ended, 100, "each has ended, and none twice: {told}");
    assert!(count(&told, "/counts/settled") >= 50, "{told}");
    assert_eq!((count(&told, "/counts/torn"), count(&told, "/counts/in_doubt")), (0, 0));
    // What was due while the bank was down waited for it.
    assert!(count(&told, "/settled/max_us") > 300_000, "{told}");
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    assert!(page.contains("kill bank-b"), "the kill is marked");
    assert!(!told["steps"].as_array().unwrap().is_empty(), "{told}");
    network.ok(&["assert", "--wait", "60"]);

    let paid =
        network.ok(&["load", "--kind", "payment", "--in-flight", "8", "-d", "1s", "-o", "json"]);
    let paid: Value = serde_json::from_str(&paid).unwrap();
    assert!(count(&paid, "/counts/settled") > 8, "{paid}");
    assert_eq!(count(&paid, "/counts/settled"), count(&paid, "/counts/begun"), "{paid}");

    std::fs::remove_dir_all(&report).unwrap();
    let long = ["-r", "20", "-d", "10m", "--holders", "8", "--report", dir];
    let load = network.load(&long, 2);
    let pid = Pid::from_raw(load.child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let (code, _, complaint) = load.end();
    assert_eq!(code, Some(130), "{complaint}");
    assert!(complaint.contains("interrupted"), "{complaint}");
    let told = std::fs::read_to_string(report.join("report.json")).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["stopped"], true);
    let tokens = network.folder.path().join("net/nodes/bank-a/tokens.toml");
    let tokens = std::fs::read_to_string(tokens).unwrap();
    assert!(!tokens.contains("a load"), "its tokens are revoked: {tokens}");
    network.ok(&["assert", "--wait", "60"]);
}

#[test]
fn a_load_that_does_not_hold_together_is_refused_with_what_is_wanted() {
    let network = Network { folder: tempfile::tempdir().unwrap() };
    for (arguments, code, word) in [
        (&["load", "-r", "5"][..], 1, "Q-2323"),
        (&["load"][..], 2, "--trades-per-second"),
        (&["load", "-r", "5", "-d", "5 weeks"][..], 2, "a time like 60s"),
        (&["load", "-r", "5", "--suite", "2"][..], 2, "Ed25519 alone"),
    ] {
        let output = network.command(arguments).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {complaint}");
        assert!(complaint.contains(word), "{arguments:?}: {complaint}");
    }
}
