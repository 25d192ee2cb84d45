//! From nothing to a node that runs.

use std::os::unix::fs::PermissionsExt as _;

use super::bank::{Bank, Ended, PASSPHRASE, wait_for};

#[test]
fn init_makes_a_directory_that_doctor_understands() {
    let bank = Bank::new();
    let made = bank.init().good();
    assert!(made.contains("bank-a.example of the network demo"), "{made}");
    let token = std::fs::read_to_string(bank.path("token")).unwrap();
    assert!(token.starts_with("qd_") && !made.contains(token.trim()), "{made}");
    for secret in ["node/identity", "node/identity/keys", "node/tokens.toml", "token"] {
        let mode = std::fs::metadata(bank.path(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{secret}");
    }
    let ended = bank.run(&["doctor", "-o", "json"]);
    assert_eq!(ended.exit, 1, "it is not enrolled: {ended:?}");
    let findings: Vec<serde_json::Value> = serde_json::from_str(&ended.out).unwrap();
    let verdict = |check: &str| {
        let found = findings.iter().find(|finding| finding["check"] == check).unwrap();
        found["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(verdict("certificate"), "fail");
    for check in ["configuration", "network file", "keys", "permissions", "guard", "ports"] {
        assert_eq!(verdict(check), "ok", "{findings:?}");
    }
}

#[test]
fn init_overwrites_nothing() {
    let bank = Bank::new();
    bank.init().good();
    let keys = std::fs::read(bank.path("node/identity/keys")).unwrap();
    let again = bank.init();
    assert_eq!(again.exit, 1, "{again:?}");
    assert!(again.err.contains("Q-2206"), "{again:?}");
    assert_eq!(std::fs::read(bank.path("node/identity/keys")).unwrap(), keys);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_made() {
    let bank = Bank::new();
    let arguments = ["init", "--network", "network.toml", "--domain", "bank-a.example"];
    let cases: [(&[&str], &str); 3] = [
        (&["--suite", "2"], "Q-1107"),
        (&["--set", "mesh.quik=true"], "Q-2203"),
        (&["--set", "settlement.life_ms=1"], "Q-2202"),
    ];
    for (more, code) in cases {
        let ended = bank.run(&[&arguments[..], more].concat());
        assert_ne!(ended.exit, 0);
        assert!(ended.err.contains(code), "{ended:?}");
        assert!(!bank.path("node").exists());
    }
}

#[test]
fn only_the_node_s_own_certificate_is_accepted() {
    let (ours, theirs) = (Bank::enrolled(), Bank::enrolled());
    assert!(ours.path("node/identity/certificate").exists());
    let foreign = theirs.text("certificate.json");
    let refused = ours.run(&["enroll", "accept", &foreign]);
    assert_eq!(refused.exit, 1, "{refused:?}");
    assert!(refused.err.contains("Q-2302"), "{refused:?}");
    let request = ours.run(&["enroll", "accept", "request.json"]);
    assert!(request.err.contains("Q-2207"), "{request:?}");
    std::fs::write(ours.path("passphrase"), "wrong\n").unwrap();
    let locked = ours.run(&["enroll", "accept", "certificate.json"]);
    assert!(locked.err.contains("Q-1915"), "{locked:?}");
}

#[test]
fn the_configuration_says_where_each_value_comes_from() {
    let bank = Bank::new();
    bank.init().good();
    let shown = bank
        .program()
        .args(["config", "show", "--origin", "-o", "json", "--set", "api.orders_per_second=7"])
        .env("QUADRILLE_ENGINE_QUEUE", "77")
        .output()
        .unwrap();
    let rows = Ended::from(shown).json();
    let row = |option: &str| {
        let rows = rows.as_array().unwrap();
        let row = rows.iter().find(|row| row["option"] == option).unwrap();
        (row["value"].as_str().unwrap().to_owned(), row["origin"].as_str().unwrap().to_owned())
    };
    let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(row("api.orders_per_second"), pair("7", "command line"));
    assert_eq!(row("engine.queue"), pair("77", "environment QUADRILLE_ENGINE_QUEUE"));
    assert!(row("api.listen").1.contains("quadrille.toml line"), "{rows}");
    assert_eq!(row("mesh.quic"), pair("false", "default"));
}

#[test]
fn tokens_are_shown_once_and_taken_back() {
    let bank = Bank::new();
    bank.init().good();
    let made = bank.run(&["token", "create", "--role", "auditor", "-o", "json"]).json();
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("qd_"));
    let listed = bank.run(&["token", "list"]).good();
    assert!(listed.contains("auditor") && !listed.contains(token), "{listed}");
    let id = made["id"].as_str().unwrap();
    bank.run(&["token", "revoke", id]).good();
    assert!(!bank.run(&["token", "list"]).good().contains("auditor"));
    assert_eq!(bank.run(&["token", "revoke", id]).exit, 1);
}

/// What one bank can do with its customers, against the real interface.
fn trade_alone(bank: &Bank, api: &str) {
    let run = |arguments: &[&str]| bank.run(&[arguments, &["--api", api]].concat());
    run(&["asset", "register", "EUR", "--name", "Euro", "--decimals", "2"]).good();
    run(&["asset", "register", "BOND", "--name", "Bond", "--decimals", "0"]).good();
    for holder in ["alice@bank-a.example", "bob@bank-a.example"] {
        bank.run(&["holder", "new", holder]).good();
        run(&["ledger", "open", holder]).good();
    }
    let ledger = |holder: &str| {
        let view = run(&["ledger", "show", holder, "-o", "json"]).json();
        view["ledger"].as_str().unwrap().to_owned()
    };
    let (alice, bob) = (ledger("alice@bank-a.example"), ledger("bob@bank-a.example"));
    for _ in 0..2 {
        // Under one id it happens once.
        run(&["asset", "issue", "1000 BOND", "--to", &alice, "--id", "first"]).good();
    }
    run(&["asset", "issue", "500.00 EUR:bank-a.example", "--to", &bob]).good();
    let offer = ["offer", "create", "--ledger", "alice@bank-a.example", "--give", "100 BOND"];
    let terms = ["--want", "98.50 EUR", "--id", "sale", "-o", "json"];
    let posted = run(&[&offer[..], &terms].concat()).json();
    let again = run(&[&offer[..], &terms].concat()).json();
    assert_eq!(posted["order"], again["order"]);
    assert_eq!((&posted["repeated"], &again["repeated"]), (&false.into(), &true.into()));
    let id = posted["order"].as_str().unwrap().get(..12).unwrap();
    let take = ["offer", "take", id, "--ledger", "bob@bank-a.example", "--amount", "40"];
    run(&[&take[..], &["--wait", "20s", "-o", "json"]].concat()).good();
    let shown = run(&["ledger", "show", &alice]).good();
    assert!(shown.contains("39.40 EUR:bank-a.example free"), "{shown}");
    assert!(shown.contains("900 BOND:bank-a.example free, 60 BOND"), "{shown}");
    run(&["offer", "cancel", id, "--ledger", "alice@bank-a.example"]).good();
    let too_much = ["pay", &alice, "1000", "EUR", "--ledger", "bob@bank-a.example"];
    let refused = run(&too_much);
    assert_eq!(refused.exit, 1, "{refused:?}");
    assert!(refused.err.contains("Q-1405"), "{refused:?}");
    run(&["pay", &alice, "10.60", "EUR", "--ledger", "bob@bank-a.example"]).good();
    let shown = run(&["ledger", "show", &alice]).good();
    assert!(shown.contains("50.00 EUR:bank-a.example free"), "{shown}");
    assert!(shown.contains("960 BOND:bank-a.example free, 0 BOND"), "{shown}");
    run(&["ledger", "entries", &alice]).good();
    let place = format!("{alice}/2");
    run(&["evidence", "get", &place, "--out", "entry.json"]).good();
    let network = bank.text("network.toml");
    let proven = bank.run(&["evidence", "verify", "entry.json", "--network", &network]).good();
    assert!(proven.contains("bank-a.example"), "{proven}");
    for list in
        [&["book"][..], &["trade", "list"], &["peers"], &["trust", "list"], &["asset", "list"]]
    {
        run(list).good();
    }
    run(&["drain"]).good();
    run(&["undrain"]).good();
}

#[test]
fn a_node_runs_answers_and_stops_when_it_is_asked_to() {
    let bank = Bank::enrolled();
    let (mut node, endpoints) = bank.start(&["--set", "engine.snapshot_batches=2"]);
    let api = endpoints["api"].as_str().unwrap();
    let status = bank.run(&["status", "--api", api, "-o", "json"]).json();
    assert_eq!(status["domain"], "bank-a.example");
    trade_alone(&bank, api);
    wait_for("a snapshot after so few batches", || {
        let saved = std::fs::read_dir(bank.path("node/snapshots")).ok()?.next();
        saved.map(|_| ())
    });
    let second = bank.run(&["run"]);
    assert_eq!(second.exit, 6, "two processes on one directory: {second:?}");
    assert!(second.err.contains("Q-1901"), "{second:?}");
    let pid = rustix::process::Pid::from_child(&node.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = wait_for("the end", || node.child.try_wait().unwrap());
    let log = bank.log();
    assert_eq!(ended.code(), Some(0), "{log}");
    let token = std::fs::read_to_string(bank.path("token")).unwrap();
    assert!(!log.contains(PASSPHRASE) && !log.contains(token.trim()), "{log}");
    let verified = bank.run(&["log", "verify", "node"]).good();
    assert!(verified.contains("good"), "{verified}");
    assert!(!bank.path("node/run/endpoints.json").exists());
}
