//! Openings: the identifier binds every field, the holder signs all of it.

use super::*;
use crate::types::KeyId;

fn changes() -> [fn(&mut Opening); 10] {
    [
        |o| o.network = "other".parse().unwrap(),
        |o| o.holder = "bob@bank.example".parse().unwrap(),
        |o| o.holder = "alice@other.example".parse().unwrap(),
        |o| o.number = 2,
        |o| o.key = key(2).public().clone(),
        |o| o.tier = 2,
        |o| o.rules.assets = Bounded::new(vec![uai("EUR")]).unwrap(),
        |o| {
            let limit = DailyLimit { asset: uai("EUR"), amount: amount(1) };
            o.rules.daily_limits = Bounded::new(vec![limit]).unwrap();
        },
        |o| o.rules.second_key = Some(key(3).public().clone()),
        |o| o.rules.backups = Bounded::new(vec![domain("backup")]).unwrap(),
    ]
}

#[test]
fn a_ledgers_identifier_depends_on_every_field_of_its_opening() {
    let mut ubis = vec![opening(1).ubi()];
    for change in changes() {
        let mut changed = opening(1);
        change(&mut changed);
        ubis.push(changed.ubi());
    }
    ubis.sort_unstable();
    ubis.dedup();
    assert_eq!(ubis.len(), 11);
}

#[test]
fn an_opening_is_verified_with_the_key_in_it() {
    let verified = signed(opening(1)).verify(&SIGNATURES).unwrap();
    assert_eq!(verified.signed(), &signed(opening(1)));
}

#[test]
fn a_changed_opening_is_refused() {
    for change in changes() {
        let mut changed = signed(opening(1));
        change(&mut changed.opening);
        refused(Code::BadSignature, changed.verify(&SIGNATURES));
    }
}

#[test]
fn an_opening_signed_otherwise_is_refused() {
    let bytes = codec::encode(&opening(1));
    let opening = opening(1);
    let by_other = key(2).sign(Tag::Opening, &bytes);
    let for_other = key(1).sign(Tag::Order, &bytes);
    for signature in [by_other, for_other] {
        let signed = SignedOpening { opening: opening.clone(), signature };
        refused(Code::BadSignature, signed.verify(&SIGNATURES));
    }
    let signature = SecretKey::generate(Suite::HybridMlDsa65, &[1; 32]).sign(Tag::Opening, &bytes);
    refused(Code::SuiteMismatch, SignedOpening { opening, signature }.verify(&SIGNATURES));
}

#[test]
fn a_ledger_keeps_its_parameters_and_the_ids_of_its_keys() {
    let mut opening = opening(1);
    for change in &changes()[6..] {
        change(&mut opening);
    }
    let ledger = Ledger::new(&opening);
    let parameters = &ledger.parameters;
    assert_eq!((ledger.key, parameters.suite), (key(1).public().id(), Suite::Ed25519));
    assert_eq!(parameters.second_key, Some::<KeyId>(key(3).public().id()));
    assert_eq!(*parameters.backups, [domain("backup")]);
    assert!(parameters.allows(&uai("EUR")) && !parameters.allows(&uai("BOND")));
    assert_eq!(parameters.daily_limit(&uai("EUR")), Some(amount(1)));
    let mut amended = ledger.clone();
    amended.parameters.amend(&Rules::default());
    assert_eq!(amended.parameters, Ledger::new(&super::opening(1)).parameters);
}
