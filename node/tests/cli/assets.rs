//! The life of an asset, lost keys and delivery elsewhere, with two real nodes.

use super::bank::{Bank, Ended, Running, wait_for};

const A: &str = "bank-a.example";
const B: &str = "bank-b.example";
const ALICE: &str = "alice@bank-a.example";
const ALICE_AT_B: &str = "alice@bank-b.example";
const BOB: &str = "bob@bank-b.example";
const BOB_AT_A: &str = "bob@bank-a.example";

/// A node that runs, and the program as its client.
struct Up {
    bank: Bank,
    _node: Running,
    api: String,
    p2p: String,
}

fn up(domain: &str, options: &[&str]) -> Up {
    let bank = Bank::enrolled_as(domain);
    let (node, endpoints) = bank.start(options);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let (api, p2p) = (text(&endpoints["api"]), text(&endpoints["p2p"][0]));
    Up { bank, _node: node, api, p2p }
}

impl Up {
    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.bank.program();
        command.env("QUADRILLE_API", &self.api).args(arguments).output().unwrap().into()
    }

    fn refused(&self, arguments: &[&str], code: &str) {
        let ended = self.run(arguments);
        assert!(ended.err.contains(code), "{code} is wanted: {ended:?}");
        assert_ne!(ended.exit, 0, "{ended:?}");
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        self.run(&[arguments, &["-o", "json"]].concat()).json()
    }

    /// A holder with a key and a ledger; the ledger.
    fn customer(&self, holder: &str) -> String {
        self.run(&["holder", "new", holder]).good();
        self.run(&["ledger", "open", holder]).good();
        let view = self.json(&["ledger", "show", holder]);
        view["ledger"].as_str().unwrap().to_owned()
    }

    fn shows(&self, ledger: &str, what: &str) {
        wait_for(what, || {
            let shown = self.run(&["ledger", "show", ledger]).good();
            shown.contains(what).then_some(())
        });
    }
}

/// Two banks that have met; each knows both assets.
fn both() -> (Up, Up) {
    let a = up(A, &[]);
    let peers = format!("mesh.peers=[{{ domain = \"{A}\", addresses = [\"{}\"] }}]", a.p2p);
    let b = up(B, &["--set", &peers]);
    for node in [&a, &b] {
        for (code, issuer, denomination) in [("BOND", A, "10"), ("EUR", B, "1")] {
            let asset = ["asset", "register", code, "--name", code, "--decimals", "0"];
            let rest = ["--issuer", issuer, "--denomination", denomination];
            node.run(&[&asset[..], &rest].concat()).good();
        }
    }
    (a, b)
}

#[test]
fn holders_with_ledgers_at_both_banks_trade_without_any_credit_between_the_banks() {
    let (a, b) = both();
    let (alice, bob_at_a) = (a.customer(ALICE), a.customer(BOB_AT_A));
    let (alice_at_b, bob) = (b.customer(ALICE_AT_B), b.customer(BOB));
    a.run(&["asset", "issue", "100 BOND", "--to", &alice]).good();
    b.run(&["asset", "issue", "500 EUR", "--to", &bob]).good();
    let receive = format!("{alice_at_b}@{B}");
    let create = ["offer", "create", "--ledger", ALICE, "--receive-at", &receive];
    let terms = ["--give", "50 BOND", "--want", "200 EUR", "--minimum", "10"];
    let posted = a.json(&[&create[..], &terms].concat());
    let offer = posted["order"].as_str().unwrap();
    let shown = a.json(&["offer", "list"]);
    assert_eq!(shown[0]["receive"], receive.as_str());
    wait_for("the offer in the other bank's book", || {
        let book = b.run(&["book", "-o", "json"]).good();
        assert!(!book.contains(&alice_at_b), "where the maker receives is nobody's business");
        book.contains(offer).then_some(())
    });
    let receive = format!("{bob_at_a}@{A}");
    let take = ["offer", "take", offer, "--ledger", BOB, "--receive-at", &receive];
    for part in ["20", "30"] {
        let taken = b.run(&[&take[..], &["--amount", part, "--wait", "30s"]].concat());
        assert_eq!(taken.exit, 0, "{taken:?}\n{}\n{}", a.bank.log(), b.bank.log());
    }
    a.shows(&bob_at_a, "50 BOND:bank-a.example free");
    b.shows(&alice_at_b, "200 EUR:bank-b.example free");
    a.shows(&alice, "50 BOND:bank-a.example free, 0 BOND");
    b.refused(&[&take[..], &["--amount", "5"]].concat(), "Q-");
    let statement = b.run(&["ledger", "statement", &bob]).good();
    assert!(statement.contains("300 EUR:bank-b.example"), "{statement}");
}

#[test]
fn attestations_of_all_banks_prove_that_what_is_outstanding_is_what_holders_have() {
    let (a, b) = both();
    let (alice, bob) = (a.customer(ALICE), b.customer(BOB));
    a.run(&["asset", "issue", "100 BOND", "--to", &alice]).good();
    let limit = || b.run(&["trust", "add", A, "1000 BOND"]);
    wait_for("the banks to know each other", || (limit().exit == 0).then_some(()));
    let to = format!("{bob}@{B}");
    let pay = ["pay", to.as_str(), "40", "BOND", "--ledger", ALICE, "--wait", "30s"];
    wait_for("the payment", || (a.run(&pay).exit == 0).then_some(()));
    b.shows(&bob, "40 BOND:bank-a.example free");
    let show = a.run(&["asset", "show", "BOND"]).good();
    assert!(show.contains("40 at bank-b.example"), "{show}");
    let (mine, theirs) = (a.bank.text("a.json"), a.bank.text("b.json"));
    a.run(&["asset", "attest", "BOND", "--out", &mine]).good();
    b.run(&["asset", "attest", "BOND", "--out", &theirs]).good();
    let network = a.bank.text("network.toml");
    let verify = ["evidence", "verify-supply", "--network", &network, &mine];
    let partly = a.run(&verify);
    assert_eq!(partly.exit, 1, "{partly:?}");
    assert!(partly.out.contains("Missing: bank-b.example"), "{partly:?}");
    let whole = a.run(&[&verify[..], &[&theirs]].concat()).good();
    assert!(whole.contains("Outstanding 100, held 100"), "{whole}");
    let report = a.json(&[&verify[..], &[&theirs]].concat());
    assert_eq!((&report["holds"], &report["outstanding"]), (&true.into(), &"100".into()));
    a.refused(&["asset", "close", "BOND"], "Q-1426");
}

#[test]
fn an_asset_with_nothing_outstanding_is_closed_and_nothing_is_issued_any_more() {
    let a = up(A, &[]);
    std::fs::write(a.bank.path("prospectus.pdf"), "terms").unwrap();
    let register = ["asset", "register", "NOTE", "--name", "Note", "--decimals", "0"];
    let rules = ["--document", "prospectus=prospectus.pdf", "--jurisdiction", "LI"];
    a.run(&[&register[..], &rules].concat()).good();
    let alice = a.customer(ALICE);
    a.refused(&["asset", "issue", "10 NOTE", "--to", &alice], "Q-1428");
    let show = a.run(&["asset", "show", "NOTE"]).good();
    assert!(show.contains("prospectus sha256:") && show.contains("LI"), "{show}");
    a.run(&["asset", "close", "NOTE"]).good();
    a.refused(&["asset", "issue", "10 NOTE", "--to", &alice], "Q-1425");
}

#[test]
fn a_lost_key_is_replaced_and_the_ledger_says_so() {
    let a = up(A, &[]);
    a.run(&["asset", "register", "EUR", "--name", "Euro", "--decimals", "0"]).good();
    let alice = a.customer(ALICE);
    a.run(&["asset", "issue", "10 EUR", "--to", &alice]).good();
    let new = a.bank.text("new-wallet");
    a.run(&["holder", "new", ALICE, "--wallet", &new]).good();
    let prove = ["ledger", "prove-key", ALICE, "--out", "proof.json"];
    a.refused(&prove, "Q-1412");
    a.run(&[&prove[..], &["--wallet", &new]].concat()).good();
    let replace = ["ledger", "replace-key", "proof.json", "--reason", "device stolen"];
    a.run(&replace).good();
    a.run(&replace).good();
    let entries = a.json(&["ledger", "entries", &alice]);
    let replaced: Vec<_> =
        entries.as_array().unwrap().iter().filter(|at| at["cause"] == "key replaced").collect();
    assert_eq!(replaced.len(), 1, "{entries}");
    let place = format!("{alice}/{}", replaced[0]["sequence"].as_str().unwrap());
    a.run(&["evidence", "get", &place, "--out", "entry.json"]).good();
    let network = a.bank.text("network.toml");
    let proven = a.run(&["evidence", "verify", "entry.json", "--network", &network]).good();
    assert!(proven.contains("device stolen"), "{proven}");
    let redeem = ["asset", "redeem", "5 EUR", "--ledger", ALICE];
    a.refused(&redeem, "Q-1412");
    a.run(&[&redeem[..], &["--wallet", &new]].concat()).good();
    let statement = a.run(&["ledger", "statement", &alice, "-o", "ndjson"]).good();
    let last: serde_json::Value =
        serde_json::from_str(statement.lines().next_back().unwrap()).unwrap();
    assert_eq!((&last["given"], &last["free"]), (&"5".into(), &"5".into()));
}
