//! Names, identities and assets between two real nodes.

use std::path::Path;

use super::bank::{Bank, Ended, Running};

const PERSON: &str = r#"{ "naturalPerson": {
    "name": { "nameIdentifier": [
        { "primaryIdentifier": "Liddell", "secondaryIdentifier": "Alice",
          "nameIdentifierType": "LEGL" }
    ]},
    "dateAndPlaceOfBirth": { "dateOfBirth": "1990-12-31", "placeOfBirth": "Guildford" },
    "customerIdentification": "CUST-77",
    "countryOfResidence": "GB"
}}"#;
const SECRETS: [&str; 3] = ["Liddell", "Guildford", "CUST-77"];

/// A node that runs, and the program as its client.
struct Up {
    bank: Bank,
    _node: Running,
    api: String,
    p2p: String,
}

fn up(domain: &str, options: &[&str]) -> Up {
    let bank = Bank::enrolled_as(domain);
    std::fs::write(bank.path("person.json"), PERSON).unwrap();
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
        assert_eq!(ended.exit, 1, "{ended:?}");
    }
}

#[test]
fn doctor_tells_when_what_payments_are_screened_with_is_missing() {
    let bank = Bank::enrolled();
    let look = || bank.run(&["doctor", "--offline", "--set", "compliance.deny_list=deny.txt"]);
    let missing = look();
    assert!(missing.out.contains("every payment is declined"), "{missing:?}");
    std::fs::write(bank.path("node/deny.txt"), "bad.example\n").unwrap();
    let there = look();
    assert!(there.out.contains("ok    compliance"), "{there:?}");
}

/// The content of every file in a folder.
fn files(folder: &Path, into: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, into),
            false => into.extend(std::fs::read(&path).unwrap()),
        }
    }
}

#[test]
fn a_name_is_resolved_over_the_mesh_for_those_that_the_bank_trusts() {
    let b = up("bank-b.example", &[]);
    b.run(&["holder", "new", "bob@bank-b.example"]).good();
    b.run(&["ledger", "open", "bob@bank-b.example", "--tier", "2"]).good();
    let eur = b.run(&["asset", "register", "EUR", "--name", "Euro", "--decimals", "2"]).good();
    let eur = eur.trim();
    let peers =
        format!("mesh.peers=[{{ domain = \"bank-b.example\", addresses = [\"{}\"] }}]", b.p2p);
    let a = up("bank-a.example", &["--set", &peers]);
    let name = ["name", "bob@bank-b.example"];
    let fresh = ["name", "bob@bank-b.example", "--fresh"];
    a.refused(&name, "Q-2503");
    b.run(&["trust", "add", "bank-a.example", "5 EUR"]).good();
    let json = |up: &Up, arguments: &[&str]| {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["-o", "json"]).collect();
        up.run(&arguments).json()
    };
    let found = json(&a, &fresh);
    assert_eq!((&found["tier"], &found["cached"]), (&2.into(), &false.into()));
    let own = json(&b, &name);
    assert_eq!((&found["ledger"], &found["validator"]), (&own["ledger"], &own["validator"]));
    assert_eq!(json(&a, &name)["cached"], true);
    a.refused(&["name", "nobody@bank-b.example"], "Q-2501");
    a.refused(&["asset", "show", "EUR"], "Q-");
    a.run(&["asset", "fetch", eur]).good();
    assert_eq!(json(&a, &["asset", "show", "EUR"])["asset"], eur);
    let wrong = format!("{}0000000000000000", eur.split('#').next().unwrap().to_owned() + "#");
    a.refused(&["asset", "fetch", &wrong], "Q-1414");
    a.run(&["travel-rule", "set", "1000.00 EUR"]).good();
    assert!(a.run(&["travel-rule", "list"]).good().contains("1000.00"));
    drop(b);
    assert_eq!(json(&a, &name)["cached"], true, "what the bank said still counts");
    a.refused(&fresh, "Q-2504");
    a.refused(&["name", "carol@bank-c.example"], "Q-1205");
}

#[test]
fn a_holder_s_data_are_signed_by_their_hash_and_are_nowhere_in_the_clear() {
    let a = up("bank-a.example", &["--set", "node.log_level=trace"]);
    a.run(&["holder", "new", "alice@bank-a.example"]).good();
    let holder = "alice@bank-a.example";
    let open = ["ledger", "open", holder, "--identity", "person.json", "--network", "demo"];
    a.run(&open).good();
    let view = a.run(&["ledger", "show", holder, "-o", "json"]).json();
    assert_eq!(view["jurisdiction"], "GB");
    assert!(view["identity"].as_str().unwrap().starts_with("sha256:"));
    let shown = a.run(&["ledger", "identity", holder]).good();
    assert!(shown.contains("Liddell"), "{shown}");
    let mut written = Vec::new();
    files(&a.bank.path("node"), &mut written);
    written.extend(a.bank.log().into_bytes());
    assert!(a.bank.log().contains("quadrille::audit"), "a look is written down");
    for secret in SECRETS {
        let found = written.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} is in the clear");
    }
}

#[test]
fn data_that_were_signed_elsewhere_are_approved_and_can_be_put_back() {
    let a = up("bank-a.example", &[]);
    let holder = "alice@bank-a.example";
    a.run(&["holder", "new", holder]).good();
    let open = ["ledger", "open", holder, "--identity", "person.json"];
    let written = [&open[..], &["--network", "demo", "--out", "alice.json"]].concat();
    a.run(&written).good();
    a.refused(&["ledger", "approve", "alice.json"], "Q-1709");
    a.run(&["ledger", "approve", "alice.json", "--identity", "alice.json.identity"]).good();
    std::fs::remove_dir_all(a.bank.path("node/vault")).unwrap();
    a.refused(&["ledger", "identity", holder], "Q-1710");
    a.run(&["ledger", "identity", holder, "--restore", "alice.json.identity"]).good();
    assert!(a.run(&["ledger", "identity", holder]).good().contains("CUST-77"));
    std::fs::write(a.bank.path("bad.json"), PERSON.replace("LEGL", "ALIA")).unwrap();
    let bad = a.run(&["ledger", "open", holder, "--number", "1", "--identity", "bad.json"]);
    assert!(bad.err.contains("naturalPerson.name.nameIdentifier"), "{bad:?}");
}
