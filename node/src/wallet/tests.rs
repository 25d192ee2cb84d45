use std::os::unix::fs::PermissionsExt as _;

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::HybridSignatures;
use quadrille_protocol::ledger::opening::Rules;
use quadrille_protocol::ledger::{Action, Opening, SignedOpening};
use quadrille_protocol::types::{Country, Hash, Nonce, OrderId, Time};
use tempfile::TempDir;

use super::*;

const PASSPHRASE: &str = "correct horse";
const EXPIRY: Time = Time(1_800_000_000_000);

struct Purse {
    folder: TempDir,
    wallet: Wallet,
    ledger: WalletLedger,
    key: SecretKey,
}

fn alice() -> Holder {
    "alice@bank-a.example".parse().unwrap()
}

fn opening(key: &SecretKey, number: u32) -> Opening {
    Opening {
        network: "demo".parse().unwrap(),
        holder: alice(),
        number,
        key: key.public().clone(),
        tier: 1,
        jurisdiction: Country::UNKNOWN,
        identity: Hash::ZERO,
        rules: Rules::default(),
    }
}

fn purse() -> Purse {
    let folder = tempfile::tempdir().unwrap();
    let wallet = Wallet::open(folder.path()).unwrap();
    wallet.new_holder(&alice(), Suite::Ed25519, PASSPHRASE).unwrap();
    let key = wallet.unlock(&alice(), PASSPHRASE).unwrap();
    let ledger = wallet.note_ledger(&opening(&key, 0)).unwrap();
    Purse { folder, wallet, ledger, key }
}

impl Purse {
    fn draft<'a>(&'a self, id: &'a str, intent: &'a str) -> Draft<'a> {
        Draft {
            id,
            intent,
            ledger: &self.ledger,
            highest: None,
            expiry: EXPIRY,
            action: Action::Cancel { offer: OrderId([7; 32]) },
            enclosed: None,
            second: None,
        }
    }

    fn sign(&self, id: &str) -> StoredOrder {
        self.wallet.sign(&self.draft(id, "cancel"), &self.key).unwrap()
    }
}

#[test]
fn a_key_opens_with_its_passphrase_only_and_is_made_once() {
    let purse = purse();
    let refusal = purse.wallet.unlock(&alice(), "wrong").unwrap_err();
    assert_eq!(refusal.code, Code::WrongPassphrase);
    let again = purse.wallet.new_holder(&alice(), Suite::Ed25519, PASSPHRASE).unwrap_err();
    assert_eq!(again.code, Code::FileExists);
    let bob: Holder = "bob@bank-b.example".parse().unwrap();
    assert_eq!(purse.wallet.unlock(&bob, PASSPHRASE).unwrap_err().code, Code::NoHolderKey);
    let listed = purse.wallet.holders().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].key, *purse.key.public());
}

#[test]
fn a_key_whose_making_was_cut_short_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let wallet = Wallet::open(folder.path()).unwrap();
    std::fs::write(folder.path().join("holders/alice@bank-a.example.key"), "half").unwrap();
    wallet.new_holder(&alice(), Suite::Ed25519, PASSPHRASE).unwrap();
    wallet.unlock(&alice(), PASSPHRASE).unwrap();
}

#[test]
fn nothing_in_a_wallet_is_open_to_others_and_no_secret_lies_in_it() {
    let purse = purse();
    purse.sign("one");
    let secret = hex::encode(&purse.key.to_bytes()[1..]);
    let mut seen = 0;
    let mut folders = vec![purse.folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode & 0o077, 0, "{}", path.display());
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                let text = String::from_utf8_lossy(&bytes);
                assert!(
                    !text.contains(&secret) && !text.contains(PASSPHRASE),
                    "{}",
                    path.display()
                );
                seen += 1;
            }
        }
    }
    assert!(seen >= 5, "{seen} files");
}

#[test]
fn the_same_id_gives_the_same_bytes_for_ever() {
    let purse = purse();
    let first = purse.sign("rent");
    let second = purse.sign("rent");
    assert_eq!(first, second);
    let reopened = Wallet::open(purse.folder.path()).unwrap();
    let found = reopened.find_order("rent", "cancel").unwrap().unwrap();
    assert_eq!(codec::encode(&found.signed().unwrap()), codec::encode(&first.signed().unwrap()));
    let verified = found.signed().unwrap().verify(
        &"demo".parse().unwrap(),
        purse.key.public(),
        None,
        &HybridSignatures,
    );
    assert_eq!(verified.unwrap().id(), first.order);
}

#[test]
fn another_content_under_an_id_is_refused() {
    let purse = purse();
    purse.sign("rent");
    let refusal = purse.wallet.find_order("rent", "pay everything").unwrap_err();
    assert_eq!(refusal.code, Code::IdReused);
    assert!(refusal.what.contains("cancel"), "{refusal}");
    let draft = purse.draft("rent", "pay everything");
    assert_eq!(purse.wallet.sign(&draft, &purse.key).unwrap_err().code, Code::IdReused);
}

#[test]
fn a_stored_order_that_was_changed_is_not_sent() {
    let purse = purse();
    let stored = purse.sign("rent");
    let path = std::fs::read_dir(purse.folder.path().join("orders")).unwrap().next().unwrap();
    let path = path.unwrap().path();
    let other = hex::encode([9; 32]);
    let text = std::fs::read_to_string(&path).unwrap();
    let digits = hex::encode(stored.order.as_bytes());
    std::fs::write(&path, text.replace(&digits, &other)).unwrap();
    let found = purse.wallet.find_order("rent", "cancel").unwrap().unwrap();
    assert_eq!(found.signed().unwrap_err().code, Code::CannotRead);
}

#[test]
fn no_two_orders_have_one_nonce_also_when_signed_at_once() {
    let purse = purse();
    let signers: Vec<_> = (0..8)
        .map(|number| {
            let wallet = purse.wallet.clone();
            let ledger = purse.ledger.clone();
            std::thread::spawn(move || {
                let key = wallet.unlock(&alice(), PASSPHRASE).unwrap();
                let id = format!("order {number}");
                let action = Action::Cancel { offer: OrderId([number; 32]) };
                let draft = Draft {
                    id: &id,
                    intent: "cancel",
                    ledger: &ledger,
                    highest: None,
                    expiry: EXPIRY,
                    action,
                    enclosed: None,
                    second: None,
                };
                wallet.sign(&draft, &key).unwrap().nonce
            })
        })
        .collect();
    let mut nonces: Vec<Nonce> = signers.into_iter().map(|each| each.join().unwrap()).collect();
    nonces.sort_unstable();
    assert_eq!(nonces, (1..=8).map(Nonce).collect::<Vec<_>>());
}

#[test]
fn refusals_do_not_run_ahead_of_what_the_bank_accepts() {
    let purse = purse();
    for round in 0..100 {
        let stored = purse.sign(&format!("refused {round}"));
        assert_eq!(stored.nonce, Nonce(1));
        purse.wallet.note_answer(&stored, OrderStatus::Refused).unwrap();
    }
    let accepted = purse.sign("accepted");
    purse.wallet.note_answer(&accepted, OrderStatus::Accepted).unwrap();
    assert_eq!(purse.sign("next").nonce, Nonce(2));
}

#[test]
fn a_refusal_in_between_does_not_free_a_nonce_that_is_under_way() {
    let purse = purse();
    let (first, second) = (purse.sign("first"), purse.sign("second"));
    purse.wallet.note_answer(&first, OrderStatus::Refused).unwrap();
    assert_eq!(purse.sign("third").nonce, second.nonce.next());
    // Sent again and refused again, it must not free another's number either.
    purse.wallet.note_answer(&first, OrderStatus::Refused).unwrap();
    assert_eq!(purse.sign("fourth").nonce, Nonce(4));
}

#[test]
fn what_was_accepted_once_stays_accepted() {
    let purse = purse();
    let stored = purse.sign("one");
    purse.wallet.note_answer(&stored, OrderStatus::Accepted).unwrap();
    purse.wallet.note_answer(&stored, OrderStatus::Refused).unwrap();
    let found = purse.wallet.find_order("one", "cancel").unwrap().unwrap();
    assert_eq!(found.status, OrderStatus::Accepted);
    assert_eq!(purse.sign("two").nonce, Nonce(2), "its nonce is not free");
}

#[test]
fn a_wallet_that_lost_its_place_learns_it_from_the_bank() {
    let purse = purse();
    let nonce = |wallet: u64, highest: Option<u64>| {
        let mut ledger = purse.ledger.clone();
        ledger.next_nonce = Nonce(wallet);
        ledger.nonce(highest.map(Nonce)).0
    };
    assert_eq!(nonce(1, None), 1);
    assert_eq!(nonce(1, Some(40)), 41, "an older copy of the wallet");
    assert_eq!(nonce(43, Some(40)), 43, "two orders under way");
    assert_eq!(nonce(104, Some(40)), 104, "the farthest that the bank takes");
    assert_eq!(nonce(105, Some(40)), 41, "too far ahead");
}

#[test]
fn ledgers_are_found_by_identifier_holder_and_number() {
    let purse = purse();
    let ubi = purse.ledger.ledger.to_string();
    assert_eq!(purse.wallet.find_ledger(&ubi).unwrap(), purse.ledger);
    assert_eq!(purse.wallet.find_ledger("alice@bank-a.example").unwrap(), purse.ledger);
    let second = purse.wallet.note_ledger(&opening(&purse.key, 2)).unwrap();
    let several = purse.wallet.find_ledger("alice@bank-a.example").unwrap_err();
    assert_eq!(several.code, Code::BadUsage);
    assert_eq!(purse.wallet.find_ledger("alice@bank-a.example/2").unwrap(), second);
    let unknown = purse.wallet.find_ledger("alice@bank-a.example/3").unwrap_err();
    assert_eq!(unknown.code, Code::NoHolderKey);
    assert_eq!(purse.wallet.find_ledger("alice").unwrap_err().code, Code::BadHolder);
}

#[test]
fn noting_a_ledger_again_does_not_set_its_nonce_back() {
    let purse = purse();
    purse.sign("one");
    purse.wallet.note_ledger(&opening(&purse.key, 0)).unwrap();
    assert_eq!(purse.sign("two").nonce, Nonce(2));
}

#[test]
fn an_id_is_any_text_but_not_every_text() {
    let purse = purse();
    for id in ["../../etc/passwd", "Miete für November", "a/b", " "] {
        purse.sign(id);
        assert!(purse.wallet.find_order(id, "cancel").unwrap().is_some(), "{id}");
    }
    for id in ["", "a\nb", &"x".repeat(129)] {
        assert_eq!(purse.wallet.find_order(id, "cancel").unwrap_err().code, Code::BadUsage);
    }
}

#[test]
fn an_opening_signed_with_a_wallet_s_key_verifies() {
    let purse = purse();
    let opening = opening(&purse.key, 0);
    let signature = purse.key.sign(Tag::Opening, &codec::encode(&opening));
    assert!(SignedOpening { opening, signature }.verify(&HybridSignatures).is_ok());
}
