//! Answers about names: what verifies, and for how long it counts.

use std::num::NonZeroU32;

use super::*;
use crate::crypto::suite::{HybridSignatures, SecretKey, Suite};
use crate::identity::SuitePolicy;
use crate::identity::{Anchors, AuthorityKey, Certificate, Issuer, Role, SignedCertificate};
use crate::ledger::Opening;
use crate::ledger::opening::Rules;
use crate::types::{Country, Hash, Height};

const NOW: Time = Time(1_000_000);

fn domain(name: &str) -> Domain {
    format!("{name}.example").parse().unwrap()
}

fn secret(number: u8) -> SecretKey {
    SecretKey::generate(Suite::HybridMlDsa65, &[number; 32])
}

fn network() -> Network {
    "test-net".parse().unwrap()
}

fn directory(name: &str, key: &SecretKey) -> Directory {
    let authority = secret(200);
    let anchors = Anchors {
        network: network(),
        authorities: Bounded::new(vec![AuthorityKey {
            authority: domain("authority"),
            key: authority.public().clone(),
        }])
        .unwrap(),
        endorsers: Bounded::default(),
        threshold: NonZeroU32::MIN,
        suites: SuitePolicy::HYBRID,
    };
    let certificate = Certificate {
        network: network(),
        serial: 1,
        domain: domain(name),
        lei: None,
        roles: Bounded::new(vec![Role::Validator]).unwrap(),
        epoch: Epoch(1),
        signing_key: key.public().clone(),
        sealing_key: None,
        valid_from: Time(0),
        valid_until: Time::MAX,
        issuer: Issuer::Authority(domain("authority")),
    };
    let (tag, bytes) = certificate.to_sign();
    let signed =
        SignedCertificate::assemble(&certificate, authority.sign(tag, &bytes), vec![]).unwrap();
    let mut directory = Directory::new();
    let verified = anchors.verify_certificate(&signed, &directory, NOW, &HybridSignatures).unwrap();
    directory.admit(&verified).unwrap();
    directory.observe(&domain(name), Epoch(1), Height(1)).unwrap();
    directory
}

fn question() -> NameQuestion {
    NameQuestion { holder: "alice@bank-b.example".parse().unwrap(), asset: None }
}

fn record() -> NameRecord {
    NameRecord {
        network: network(),
        domain: domain("bank-b"),
        epoch: Epoch(1),
        asker: domain("bank-a"),
        question: question(),
        status: NameStatus::Found(Found {
            account: Account { domain: domain("bank-b"), ledger: Ubi([1; 32]) },
            assets: Bounded::default(),
            tier: 2,
        }),
        issued: NOW,
        expires: NOW.after(Duration(60_000)),
    }
}

fn signed(record: &NameRecord, key: &SecretKey) -> SignedNameRecord {
    let (tag, bytes) = record.to_sign();
    SignedNameRecord::assemble(record, key.sign(tag, &bytes)).unwrap()
}

fn verify_at(record: &NameRecord, key: &SecretKey, now: Time) -> Result<VerifiedName, Refusal> {
    let (network, asker, question) = (network(), domain("bank-a"), question());
    let directory = directory("bank-b", &secret(1));
    let asking = Asking {
        network: &network,
        asker: &asker,
        question: &question,
        directory: &directory,
        now,
    };
    let bytes = codec::encode(&signed(record, key));
    let signed = codec::decode::<SignedNameRecord, { limits::SIGNED_NAME_BYTES }>(&bytes).unwrap();
    signed.verify(&asking, &HybridSignatures)
}

fn verified(record: &NameRecord) -> VerifiedName {
    VerifiedName { record: record.clone() }
}

#[test]
fn an_answer_of_the_bank_itself_to_this_question_verifies() {
    let name = verify_at(&record(), &secret(1), NOW).unwrap();
    assert_eq!(name.found().unwrap().tier, 2);
}

#[test]
fn an_answer_to_somebody_else_or_about_something_else_or_out_of_date_does_not_count() {
    let refused = |change: &dyn Fn(&mut NameRecord)| {
        let mut record = record();
        change(&mut record);
        verify_at(&record, &secret(1), NOW).unwrap_err().code
    };
    let other = Account { domain: domain("bank-c"), ledger: Ubi([1; 32]) };
    assert_eq!(refused(&|r| r.asker = domain("bank-c")), Code::OtherAnswer);
    assert_eq!(
        refused(&|r| r.question.holder = "bob@bank-b.example".parse().unwrap()),
        Code::OtherAnswer
    );
    assert_eq!(refused(&|r| r.domain = domain("bank-c")), Code::OtherAnswer);
    assert_eq!(
        refused(&|r| {
            if let NameStatus::Found(found) = &mut r.status {
                found.account = other.clone();
            }
        }),
        Code::OtherAnswer
    );
    assert_eq!(refused(&|r| r.network = "other".parse().unwrap()), Code::WrongNetwork);
    assert_eq!(refused(&|r| r.expires = NOW), Code::NameStale);
    assert_eq!(refused(&|r| r.expires = Time::MAX), Code::NameStale);
    assert_eq!(refused(&|r| r.issued = NOW.after(Duration(61_000))), Code::NameStale);
    assert_eq!(refused(&|r| r.epoch = Epoch(2)), Code::UnknownEpoch);
    let forged = verify_at(&record(), &secret(2), NOW).unwrap_err();
    assert_eq!(forged.code, Code::BadSignature);
}

#[test]
fn unknown_closed_and_refused_names_have_codes_of_their_own() {
    let code =
        |status: NameStatus| verified(&NameRecord { status, ..record() }).found().unwrap_err().code;
    assert_eq!(code(NameStatus::Unknown), Code::NameUnknown);
    assert_eq!(code(NameStatus::Closed), Code::NameClosed);
    assert_eq!(code(NameStatus::Refused), Code::NameRefused);
}

#[test]
fn the_cache_gives_no_answer_beyond_its_life() {
    let mut cache = NameCache::default();
    cache.insert(verified(&record()));
    let end = record().expires;
    assert!(cache.get(&question(), Time(end.0 - 1)).is_some());
    assert!(cache.get(&question(), end).is_none());
    let longer = NameRecord { expires: end.after(Duration(1)), ..record() };
    cache.insert(verified(&longer));
    assert!(cache.get(&question(), end).is_some());
    assert_eq!(cache.len(), 1);
    cache.forget(&question());
    assert!(cache.is_empty() && cache.ends.is_empty());
}

#[test]
fn the_cache_is_bounded_and_the_shortest_life_makes_room() {
    let mut cache = NameCache::default();
    for number in 0..=limits::NAMES_CACHED {
        let holder: Holder = format!("h{number}@bank-b.example").parse().unwrap();
        let question = NameQuestion { holder, asset: None };
        let expires = NOW.after(Duration(1_000_000 - number as u64));
        cache.insert(verified(&NameRecord { question, expires, ..record() }));
    }
    assert_eq!(cache.len(), limits::NAMES_CACHED);
    assert_eq!(cache.ends.len(), limits::NAMES_CACHED);
    let last: Holder = format!("h{}@bank-b.example", limits::NAMES_CACHED).parse().unwrap();
    assert!(cache.get(&NameQuestion { holder: last, asset: None }, NOW).is_none());
}

fn ledger(number: u32, assets: &[&Uai], status: Status) -> Ledger {
    let opening = Opening {
        network: network(),
        holder: question().holder,
        number,
        key: secret(9).public().clone(),
        tier: u8::try_from(number).unwrap(),
        jurisdiction: Country::UNKNOWN,
        identity: Hash::ZERO,
        rules: Rules {
            assets: Bounded::new(assets.iter().map(|asset| (*asset).clone()).collect()).unwrap(),
            ..Rules::default()
        },
    };
    let mut ledger = Ledger::new(&opening);
    ledger.status = status;
    ledger
}

#[test]
fn the_first_open_ledger_that_takes_the_asset_is_found() {
    let asset = |code: &str| Uai::new(code.parse().unwrap(), domain("bank-b"), &Hash::ZERO);
    let (eur, usd, gbp) = (asset("EUR"), asset("USD"), asset("GBP"));
    let ledgers = [
        ledger(0, &[], Status::Closed),
        ledger(1, &[&eur], Status::Open),
        ledger(2, &[&usd], Status::Frozen),
    ];
    let look = |asset: Option<&Uai>, count: usize| {
        let known = ledgers.iter().take(count);
        let known = known.map(|ledger| (Ubi([ledger.parameters.tier; 32]), ledger));
        look_up(&domain("bank-b"), known, asset)
    };
    let tier = |status: NameStatus| match status {
        NameStatus::Found(found) => found.tier,
        other => panic!("{other:?}"),
    };
    assert_eq!(tier(look(None, 3)), 1);
    assert_eq!(tier(look(Some(&usd), 3)), 2, "a frozen ledger is found like an open one");
    assert_eq!(tier(look(Some(&gbp), 3)), 1, "what it takes is in the answer");
    assert_eq!(look(None, 1), NameStatus::Closed);
    assert_eq!(look(None, 0), NameStatus::Unknown);
}
