//! What travels with a payment, and who may say no to it: identities, memos, screening.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use quadrille_node::api::dto::{PaymentState, PaymentView};
use serde_json::{Value, json};

use crate::desk::Said;
use crate::stage::Stage;

/// The payer's and the payee's family names, which no other bank and no log may show.
const SECRETS: [&str; 3] = ["Liddell-Hargreaves", "Dodgson-Tennant", "for the looking-glass"];
const PAYER: &str = "dora@bank-a.example";
const EURO: &str = "EUR:bank-a.example";
/// What the payee's bank has somebody ask of each payment.
const SCREEN: &str = "#!/bin/sh\ndir=$(dirname \"$0\")\nread -r line\n\
    printf '%s\\n' \"$line\" >> \"$dir/screened\"\n\
    case \"$line\" in *unwanted*) echo 'case 77 is open'; exit 3;; esac\nexit 0\n";

/// The files beside the network.
struct Papers {
    folder: tempfile::TempDir,
}

impl Papers {
    fn new() -> Self {
        let papers = Self { folder: tempfile::tempdir().unwrap() };
        papers.write("payer.json", &person(SECRETS[0]).to_string());
        papers.write("payee.json", &person(SECRETS[1]).to_string());
        let mut nameless = person(SECRETS[1]);
        nameless["naturalPerson"]["name"]["nameIdentifier"][0]
            .as_object_mut()
            .unwrap()
            .remove("nameIdentifierType");
        papers.write("nameless.json", &nameless.to_string());
        papers.write("deny", "# nobody yet\n");
        papers.write("screen", SCREEN);
        let runs = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(papers.path("screen"), runs).unwrap();
        papers
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }
}

fn person(family: &str) -> Value {
    json!({ "naturalPerson": {
        "name": { "nameIdentifier": [
            { "primaryIdentifier": family, "nameIdentifierType": "LEGL" }
        ]},
        "customerIdentification": "CUST-77",
        "countryOfResidence": "GB",
    }})
}

fn pay(stage: &Stage, id: &str, more: &[&str]) -> Said {
    let line = format!(
        "pay bob@bank-b.example 250.00 {EURO} --ledger {PAYER} --id {id} --max-cost 250.00 -o json"
    );
    stage.quadrille("bank-a", &line, more)
}

#[test]
fn who_pays_whom_is_told_to_the_payee_s_bank_alone_and_it_may_say_no() {
    let papers = Papers::new();
    let mut stage = Stage::new();
    let (deny, screen) = (papers.text("deny"), papers.text("screen"));
    let rules = [("compliance.deny_list", &*deny), ("compliance.screening", &*screen)];
    stage.configure("bank-b", &rules);
    a_customer_shows_who_it_is(&stage, &papers);
    for bank in ["bank-a", "bank-b"] {
        stage.quadrille(bank, "travel-rule set", &[&format!("100.00 {EURO}")]).done();
    }
    without_the_data_nothing_is_begun(&stage, &papers);
    with_the_data_it_settles(&stage, &papers);
    the_payee_s_bank_asks_for_itself(&stage);
    who_is_on_the_list_gets_its_money_back(&stage, &papers);
    what_the_screening_declines_comes_back(&stage, &papers);
    stage.audit();
    nobody_else_has_read_it(&stage);
}

fn a_customer_shows_who_it_is(stage: &Stage, papers: &Papers) {
    stage.quadrille("bank-a", &format!("holder new {PAYER}"), &[]).done();
    let open = format!("ledger open {PAYER} --jurisdiction GB --identity");
    stage.quadrille("bank-a", &open, &[&papers.text("payer.json")]).done();
    let shown = stage.quadrille("bank-a", &format!("ledger identity {PAYER} -o json"), &[]).json();
    assert_eq!(shown["person"], person(SECRETS[0]));
    let issue = format!("--to {PAYER} --id issue-dora");
    let issue: Vec<&str> = issue.split(' ').collect();
    let amount = format!("10000.00 {EURO}");
    stage.quadrille("bank-a", "asset issue", &[&[amount.as_str()], &issue[..]].concat()).done();
}

/// What the payer has: free and held.
fn has(stage: &Stage) -> (u64, u64) {
    let shown = stage.quadrille("bank-a", &format!("ledger show {PAYER} -o json"), &[]).json();
    let euro = stage.euro.to_string();
    let balances = shown["balances"].as_array().unwrap();
    let balance = balances.iter().find(|balance| balance["asset"] == euro.as_str()).unwrap();
    let units = |name: &str| balance[name].as_str().unwrap().parse().unwrap();
    (units("free"), units("held"))
}

fn without_the_data_nothing_is_begun(stage: &Stage, papers: &Papers) {
    let before = has(stage);
    pay(stage, "bare", &[]).refused("Q-2606", "originator, beneficiary");
    let nameless = papers.text("nameless.json");
    let field = "naturalPerson.name.nameIdentifier[0]: missing field `nameIdentifierType`";
    pay(stage, "nameless", &["--beneficiary", &nameless]).refused("Q-1703", field);
    assert_eq!(has(stage), before);
}

fn with_the_data_it_settles(stage: &Stage, papers: &Papers) {
    let (before, bob) = (has(stage), stage.balance("bob", "bank-b", &stage.euro));
    let payee = papers.text("payee.json");
    let sent = pay(stage, "whole", &["--beneficiary", &payee, "--memo", SECRETS[2]]).json();
    let view = stage.sent(&sent);
    assert_eq!(view.state, PaymentState::Settled, "{view:#?}");
    assert_eq!(has(stage), (before.0 - 25_000, 0));
    assert_eq!(stage.balance("bob", "bank-b", &stage.euro), (bob.0 + 25_000, bob.1));
    let screened = std::fs::read_to_string(papers.path("screened")).unwrap();
    for secret in SECRETS {
        assert!(screened.contains(secret), "the payee's bank reads it: {secret}");
    }
}

/// The payer has its money back, because of what the payee's bank has signed.
fn declined(stage: &Stage, view: &PaymentView, before: (u64, u64), code: &str, words: &str) {
    assert_eq!(view.state, PaymentState::Refunded, "{view:#?}");
    let [one] = &view.tries[..] else { panic!("{view:#?}") };
    let [refusal] = &one.refusals[..] else { panic!("{view:#?}") };
    assert_eq!((&refusal.by, refusal.reason.code.as_str()), (&stage.domain("bank-b"), code));
    assert!(refusal.reason.what.contains(words), "{refusal:#?}");
    assert_eq!(view.reason.as_ref().map(|reason| reason.code.as_str()), Some(code));
    let place = refusal.place;
    let client = stage.client("bank-a");
    stage.runtime.block_on(client.evidence(place.height, place.leaf)).unwrap();
    assert_eq!(has(stage), before);
    let shown = stage.quadrille("bank-a", &format!("payment show {}", view.order), &[]).done();
    assert!(shown.contains(code) && shown.contains("bank-b.example refused"), "{shown}");
}

fn the_payee_s_bank_asks_for_itself(stage: &Stage) {
    stage.quadrille("bank-a", "travel-rule remove", &[EURO]).done();
    let before = has(stage);
    let view = stage.sent(&pay(stage, "their-rule", &["--memo", "no names"]).json());
    declined(stage, &view, before, "Q-2606", "originator, beneficiary");
}

fn who_is_on_the_list_gets_its_money_back(stage: &Stage, papers: &Papers) {
    let before = has(stage);
    let payee = papers.text("payee.json");
    papers.write("deny", &format!("# since May\n{}\n", SECRETS[0]));
    let view = stage.sent(&pay(stage, "denied", &["--beneficiary", &payee]).json());
    // Who it is, only the bank that asks may know.
    declined(stage, &view, before, "Q-1708", "");
    assert!(!format!("{view:?}").contains(SECRETS[0]), "{view:#?}");
    papers.write("deny", "# nobody any more\n\n");
    let sent = pay(stage, "allowed", &["--beneficiary", &payee]).json();
    assert_eq!(stage.sent(&sent).state, PaymentState::Settled);
}

fn what_the_screening_declines_comes_back(stage: &Stage, papers: &Papers) {
    let before = has(stage);
    let payee = papers.text("payee.json");
    let more = ["--beneficiary", &payee, "--memo", "something unwanted"];
    let view = stage.sent(&pay(stage, "screened", &more).json());
    declined(stage, &view, before, "Q-1706", "case 77 is open");
}

/// Neither the other banks nor the banks' own files and logs show it in the clear. The payer's
/// wallet is its own affair.
fn nobody_else_has_read_it(stage: &Stage) {
    let root = stage.held.layout.root();
    let mut looked = 0;
    for folder in ["nodes", "guards", "logs", "network"] {
        search(&root.join(folder), &mut looked);
    }
    assert!(looked > 20, "{looked} files");
}

fn search(folder: &Path, looked: &mut u32) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, looked);
        } else if let Ok(bytes) = std::fs::read(&path) {
            *looked += 1;
            for secret in SECRETS {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{secret} is in the clear in {}", path.display());
            }
        }
    }
}
