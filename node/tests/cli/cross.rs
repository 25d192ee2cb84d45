//! Two banks without an authority and without a bootstrap peer: they vouch for each other, meet
//! at configured addresses and trade.

use super::bank::{Bank, wait_for};

const A: &str = "bank-a.example";
const B: &str = "bank-b.example";

/// A network file that names both and knows no key.
const NETWORK: &str = "network = \"demo\"\nsuites = [\"hybrid-ml-dsa-65\"]\n\
    [[endorser]]\ndomain = \"bank-a.example\"\n\
    [[endorser]]\ndomain = \"bank-b.example\"\n";

/// A bank with keys and its self-signed certificate, and its key's name.
fn founder(domain: &str) -> (Bank, String) {
    let bank = Bank::new();
    std::fs::write(bank.path("network.toml"), NETWORK).unwrap();
    bank.init_as(domain).good();
    let signed = ["enroll", "self-sign", "--out", "self.json", "-o", "json"];
    let made = bank.run(&signed).json();
    assert_eq!(made["issuer"], "itself");
    (bank, made["key"].as_str().unwrap().to_owned())
}

/// `bank` pins and endorses what `other` has signed itself.
fn vouch(bank: &Bank, other: &Bank, key: &str) {
    let theirs = other.text("self.json");
    bank.run(&["enroll", "pin", &theirs, "--key", key]).good();
    let endorsed = other.text("endorsed.json");
    bank.run(&["enroll", "endorse", &theirs, "--key", key, "--out", &endorsed]).good();
}

/// Cash of a bank and a customer who has some of it; credit for the other bank in both assets.
fn fund(bank: &Bank, api: &str, domain: &str, holder: &str) {
    let run = |arguments: &[&str]| bank.run(&[arguments, &["--api", api]].concat());
    for issuer in [A, B] {
        let asset = ["asset", "register", "CASH", "--name", "Cash", "--decimals", "0"];
        run(&[&asset[..], &["--issuer", issuer]].concat()).good();
    }
    bank.run(&["holder", "new", holder]).good();
    run(&["ledger", "open", holder]).good();
    let ledger = run(&["ledger", "show", holder, "-o", "json"]).json();
    let ledger = ledger["ledger"].as_str().unwrap().to_owned();
    run(&["asset", "issue", &format!("1000 CASH:{domain}"), "--to", &ledger]).good();
}

fn credit(bank: &Bank, api: &str, peer: &str) {
    for issuer in [A, B] {
        let limit = format!("500 CASH:{issuer}");
        wait_for("the peer to be a member", || {
            let ended = bank.run(&["trust", "add", peer, &limit, "--api", api]);
            assert!(ended.exit == 0 || ended.err.contains("Q-1205"), "{ended:?}");
            (ended.exit == 0).then_some(())
        });
    }
}

#[test]
fn banks_that_share_no_authority_vouch_for_each_other_and_trade() {
    let ((a, key_a), (b, key_b)) = (founder(A), founder(B));
    let lonely = a.run(&["enroll", "accept", "self.json"]);
    assert!(lonely.err.contains("Q-1204"), "nobody vouches for it yet: {lonely:?}");
    let wrong = a.run(&["enroll", "pin", &b.text("self.json"), "--key", &key_a]);
    assert!(wrong.err.contains("Q-2333"), "{wrong:?}");
    vouch(&a, &b, &key_b);
    vouch(&b, &a, &key_a);
    for bank in [&a, &b] {
        bank.run(&["enroll", "accept", "endorsed.json"]).good();
    }
    let (_node_a, at_a) = a.start(&[]);
    let address = at_a["p2p"][0].as_str().unwrap();
    let peer = format!("mesh.peers=[{{ domain = \"{A}\", addresses = [\"{address}\"] }}]");
    let (_node_b, at_b) = b.start(&["--set", &peer]);
    let (api_a, api_b) = (at_a["api"].as_str().unwrap(), at_b["api"].as_str().unwrap());
    let (alice, bob) = ("alice@bank-a.example", "bob@bank-b.example");
    fund(&a, api_a, A, alice);
    fund(&b, api_b, B, bob);
    credit(&a, api_a, B);
    credit(&b, api_b, A);
    let terms = ["--give", "100 CASH:bank-a.example", "--want", "90 CASH:bank-b.example"];
    let create = ["offer", "create", "--ledger", alice, "--api", api_a, "-o", "json"];
    let posted = a.run(&[&create[..], &terms].concat()).json();
    let offer = posted["order"].as_str().unwrap();
    wait_for("the offer in the other bank's book", || {
        let book = b.run(&["book", "--api", api_b, "-o", "json"]).good();
        book.contains(offer).then_some(())
    });
    let take = ["offer", "take", offer, "--ledger", bob, "--wait", "30s", "--api", api_b];
    let taken = b.run(&take);
    assert_eq!(taken.exit, 0, "{taken:?}\n{}\n{}", a.log(), b.log());
    let shown = b.run(&["ledger", "show", bob, "--api", api_b]).good();
    assert!(shown.contains("100 CASH:bank-a.example free"), "{shown}");
    wait_for("the payment at the seller's bank", || {
        let shown = a.run(&["ledger", "show", alice, "--api", api_a]).good();
        shown.contains("90 CASH:bank-b.example free").then_some(())
    });
}
