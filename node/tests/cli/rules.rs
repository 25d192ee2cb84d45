//! What a holder orders for its own ledger: limits, the second key, a new key, the end.

use super::bank::{Bank, Ended, Running};

const ALICE: &str = "alice@bank-a.example";
const BOB: &str = "bob@bank-a.example";
const CASH: &str = "EUR:bank-a.example";

struct Up {
    bank: Bank,
    _node: Running,
    api: String,
}

impl Up {
    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.bank.program();
        command.env("QUADRILLE_API", &self.api).args(arguments).output().unwrap().into()
    }

    fn refused(&self, arguments: &[&str], code: &str) {
        let ended = self.run(arguments);
        assert!(ended.err.contains(code), "{code} is wanted: {ended:?}");
        assert!(matches!(ended.exit, 1 | 4), "{ended:?}");
    }

    fn ledger(&self, holder: &str) -> String {
        let view = self.run(&["ledger", "show", holder, "-o", "json"]).json();
        view["ledger"].as_str().unwrap().to_owned()
    }
}

#[test]
fn above_a_daily_limit_only_both_keys_can_pay_and_neither_rules_nor_key_change_without_both() {
    let bank = Bank::enrolled_as("bank-a.example");
    let (node, endpoints) = bank.start(&[]);
    let api = endpoints["api"].as_str().unwrap().to_owned();
    let second = bank.text("second");
    let up = Up { bank, _node: node, api };
    up.run(&["asset", "register", "EUR", "--name", "euro", "--decimals", "2"]).good();
    for holder in [ALICE, BOB] {
        up.run(&["holder", "new", holder]).good();
    }
    up.run(&["holder", "new", ALICE, "--wallet", &second]).good();
    up.run(&["ledger", "open", BOB]).good();
    let limit = format!("100.00 {CASH}");
    let backup = ["--backup", "bank-b.example"];
    let open = ["ledger", "open", ALICE, "--daily-limit", &limit, "--second-wallet", &second];
    up.run(&[&open[..], &backup].concat()).good();
    let shown = up.run(&["ledger", "show", ALICE]).good();
    assert!(shown.contains("100.00 EUR") && shown.contains("bank-b.example"), "{shown}");
    let (alice, bob) = (up.ledger(ALICE), up.ledger(BOB));
    up.run(&["asset", "issue", &format!("500.00 {CASH}"), "--to", &alice]).good();
    let pay = ["pay", bob.as_str(), "60.00", CASH, "--ledger", ALICE];
    up.run(&pay).good();
    // Splitting does not help: the day's sum counts.
    up.refused(&pay, "Q-1411");
    let both = ["--second-wallet", second.as_str()];
    up.run(&[&pay[..], &both].concat()).good();
    let rules = ["ledger", "rules", "--ledger", ALICE];
    up.refused(&rules, "Q-1411");
    let fresh = up.bank.text("fresh");
    up.run(&["holder", "new", ALICE, "--wallet", &fresh]).good();
    let rotate = ["ledger", "rotate-key", "--ledger", ALICE, "--new-wallet", fresh.as_str()];
    up.refused(&rotate, "Q-1411");
    up.run(&[&rotate[..], &both].concat()).good();
    // The old key is none any more, the new one pays with the second.
    up.refused(&[&pay[..], &both].concat(), "Q-1412");
    up.run(&[&pay[..], &both, &["--wallet", fresh.as_str()]].concat()).good();
    up.refused(&["ledger", "close", "--ledger", ALICE, "--wallet", fresh.as_str()], "Q-1416");
    let all = ["pay", bob.as_str(), "320.00", CASH, "--ledger", ALICE];
    up.run(&[&all[..], &both, &["--wallet", fresh.as_str()]].concat()).good();
    up.run(&["ledger", "close", "--ledger", ALICE, "--wallet", fresh.as_str()]).good();
    let shown = up.run(&["ledger", "show", &alice]).good();
    assert!(shown.contains("closed"), "{shown}");
}
