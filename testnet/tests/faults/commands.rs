//! `quadrille-testnet fault` as a tester meets it.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a bank that was killed may take to be back after its time.
const BACK: Duration = Duration::from_secs(30);

/// The exit code when another command changes the network.
const IN_USE: i32 = 6;

/// A network that is taken down when the test is over, whatever happened in it.
struct Network {
    folder: tempfile::TempDir,
}

impl Network {
    fn new() -> Self {
        crate::programs::build_programs();
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn dir(&self) -> PathBuf {
        // Longer than a socket's address may be: the control socket is found all the same.
        self.folder.path().join("n".repeat(120))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille-testnet"));
        command.args(arguments).arg("--dir").arg(self.dir()).output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn row(&self, name: &str) -> Value {
        let rows: Vec<Value> = serde_json::from_str(&self.ok(&["status", "-o", "json"])).unwrap();
        rows.into_iter().find(|row| row["name"] == name).unwrap()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

#[test]
fn faults_are_made_shown_and_healed_from_the_command_line() {
    let network = Network::new();
    network.ok(&["up", "-n", "1"]);
    let made = network.ok(&["fault", "latency", "bank-a.example", "5ms", "--for", "1h"]);
    assert!(made.starts_with("fault 1: latency bank-a 5ms, until "), "{made}");
    network.ok(&["fault", "partition", "bank-a", "/", "bootstrap", "-o", "json"]);
    let status = network.ok(&["status"]);
    assert!(status.contains("latency partition"), "{status}");
    assert!(
        status.contains("fault 2: partition bank-a / bootstrap, until it is healed"),
        "{status}"
    );
    let row = network.row("bank-a");
    assert_eq!(row["faults"][0]["fault"]["delay"], "5ms");
    assert_eq!(row["faults"][1]["id"], 2);
    assert_eq!(network.row("bootstrap")["faults"][0]["fault"]["kind"], "partition");
    assert!(network.ok(&["fault", "heal", "1"]).contains("healed: latency"));
    let (code, complaint) = network.fails(&["fault", "heal", "1"]);
    assert_eq!(code, 1);
    assert!(complaint.contains("Q-2344"), "{complaint}");
    assert!(network.ok(&["fault", "reset", "bank-a"]).contains("done"));
    assert!(network.ok(&["fault", "heal"]).contains("healed: partition"));
    assert!(network.ok(&["fault", "heal"]).contains("nothing was in force"));

    for (wrong, code, what) in [
        (&["fault", "pause", "bank-z"][..], 1, "Q-2326"),
        (&["fault", "partition", "bank-a", "/", "bank-a"], 1, "Q-2341"),
        (&["fault", "partition", "bank-a"], 1, "Q-2341"),
        (&["fault", "loss", "bank-a", "100%"], 1, "Q-2341"),
        (&["fault", "latency", "bank-a", "150"], 2, "a span like"),
        (&["fault", "latency", "bank-a", "2m"], 1, "Q-2341"),
        (&["fault", "pause", "bank-a", "--for", "ever"], 2, "a span like"),
        (&["fault", "pause", "bank-a", "--for", "1ms"], 1, "Q-2341"),
        (&["fault", "bandwidth", "bank-a", "fast"], 2, "a rate like"),
        (&["fault", "skew", "bank-a", "30s"], 2, "with its sign"),
        (&["fault", "reset", "bank-a", "--for", "1s"], 2, "--for"),
        (&["fault"], 2, "Usage"),
    ] {
        let (found, complaint) = network.fails(wrong);
        assert_eq!(found, code, "{wrong:?}: {complaint}");
        assert!(complaint.contains(what), "{wrong:?}: {complaint}");
    }
    assert!(!network.ok(&["status"]).contains("fault "), "nothing of it is in force");

    // Nobody holds the network when the time is over: the proxy has the bank started.
    let pid = network.row("bank-a")["pid"].clone();
    network.ok(&["fault", "skew", "bank-a", "-30s"]);
    network.ok(&["fault", "kill", "bank-a", "--for", "1s"]);
    assert_eq!(network.row("bank-a")["state"], "down");
    let (_, complaint) = network.fails(&["fault", "pause", "bank-a"]);
    assert!(complaint.contains("Q-2345"), "{complaint}");
    let deadline = Instant::now() + BACK;
    while network.row("bank-a")["state"] != "up" {
        assert!(Instant::now() < deadline, "nobody has started it");
    }
    assert_ne!(network.row("bank-a")["pid"], pid);
    // Whoever has started it may still be about to let go of the network.
    while network.run(&["fault", "pause", "bank-a"]).status.code() == Some(IN_USE) {
        assert!(Instant::now() < deadline, "the network is never free");
    }
    assert!(network.row("bank-a")["faults"].to_string().contains("pause"));
    assert!(network.ok(&["down"]).contains("3 processes ended"), "a paused one ends, too");
    network.ok(&["up", "-n", "1"]);
    assert!(!network.ok(&["status"]).contains("fault "), "it went with the network");
}

#[test]
fn a_network_without_the_proxy_refuses_faults_of_links_and_keeps_others() {
    let network = Network::new();
    network.ok(&["up", "-n", "1", "--direct"]);
    assert!(!network.ok(&["status"]).contains("proxy"));
    for wrong in [
        &["fault", "reset", "bank-a"][..],
        &["fault", "latency", "bank-a", "1s"],
        &["fault", "partition", "bank-a", "/", "bootstrap"],
    ] {
        let (code, complaint) = network.fails(wrong);
        assert_eq!(code, 1);
        assert!(complaint.contains("Q-2340"), "{complaint}");
    }
    network.ok(&["fault", "pause", "bank-a", "--for", "500ms"]);
    let deadline = Instant::now() + BACK;
    while network.ok(&["status"]).contains("fault 1: pause") {
        assert!(Instant::now() < deadline, "nobody has ended it");
    }
    let (_, complaint) = network.fails(&["up", "-n", "2", "--direct"]);
    assert!(complaint.contains("Q-2328"), "{complaint}");
    network.ok(&["up", "-n", "1"]);
}
