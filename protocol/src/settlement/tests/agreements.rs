//! Headers and agreements: which hold together, and what their hashes bind.

use super::*;

fn header() -> Header {
    header_of(&ring())
}

fn bad_header(change: impl FnOnce(&mut Header)) {
    let mut header = header();
    change(&mut header);
    refused(Code::BadAgreement, header.check());
}

fn parties(names: &[&str]) -> Bounded<Domain, { crate::limits::AGREEMENT_PARTIES }> {
    Bounded::new(names.iter().map(|name| domain(name)).collect()).unwrap()
}

#[test]
fn an_agreement_that_holds_together_is_accepted() {
    agreement_of(ring()).check().unwrap();
    agreement_of(vec![leg("EUR", 1, "a", "b")]).check().unwrap();
}

#[test]
fn parties_must_be_two_or_more_sorted_and_each_once() {
    bad_header(|header| header.parties = Bounded::default());
    bad_header(|header| header.parties = parties(&["a"]));
    bad_header(|header| header.parties = parties(&["b", "a", "c"]));
    bad_header(|header| header.parties = parties(&["a", "a", "b", "c"]));
    bad_header(|header| header.parties = parties(&["a", "b", "c", "c"]));
}

#[test]
fn the_initiator_must_be_a_party_and_must_not_decide() {
    bad_header(|header| header.initiator = domain("d"));
    bad_header(|header| header.decider = domain("a"));
}

#[test]
fn a_decider_without_legs_is_a_notary() {
    let notarised = Header { decider: domain("notary"), ..header() };
    notarised.check().unwrap();
    assert!(notarised.has_notary() && !notarised.is_party(&domain("notary")));
    assert!(!header().has_notary() && header().is_party(&domain("b")));
    let told = |header: &Header, name: &str| {
        header.others(&domain(name)).map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(told(&notarised, "a"), ["b.example", "c.example", "notary.example"]);
    assert_eq!(told(&notarised, "notary"), ["a.example", "b.example", "c.example"]);
    assert_eq!(told(&header(), "b"), ["a.example", "c.example"]);
}

#[test]
fn the_settlements_id_binds_every_field_of_the_header() {
    let changes: [fn(&mut Header); 9] = [
        |h| h.network = "other".parse().unwrap(),
        |h| h.number = AgreementNumber(4),
        |h| h.initiator = domain("c"),
        |h| h.decider = domain("c"),
        |h| h.parties = parties(&["a", "b"]),
        |h| h.legs.0[0] ^= 1,
        |h| h.lock.0[0] ^= 1,
        |h| h.deadline = Time(30_001),
        |h| h.parties = parties(&["a", "b", "c", "d"]),
    ];
    let mut ids = vec![header().id()];
    for change in changes {
        let mut other = header();
        change(&mut other);
        ids.push(other.id());
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10);
    assert_eq!(header().id(), header().id());
}

#[test]
fn the_hash_of_the_legs_is_blinded_and_binds_every_field() {
    let hash = Agreement::terms_hash(Purpose::Trade, &ring(), None, &BLINDING);
    assert_ne!(
        Agreement::terms_hash(Purpose::Trade, &ring(), None, &[7; 32]),
        hash,
        "the same legs, blinded otherwise"
    );
    let changes: [fn(&mut Vec<Leg>); 10] = [
        |legs| legs[0].asset = uai("USD"),
        |legs| legs[0].amount = amount(6),
        |legs| legs[0].from.domain = domain("c"),
        |legs| legs[0].from.ledger = Ubi([2; 32]),
        |legs| legs[0].to.domain = domain("c"),
        |legs| legs[0].to.ledger = Ubi([2; 32]),
        |legs| legs[0].order = None,
        |legs| legs[0].order = Some(OrderId([4; 32])),
        |legs| legs.swap(0, 1),
        |legs| legs.truncate(2),
    ];
    for change in changes {
        let mut legs = ring();
        change(&mut legs);
        assert_ne!(Agreement::terms_hash(Purpose::Trade, &legs, None, &BLINDING), hash);
        let changed = Agreement { legs: Bounded::new(legs).unwrap(), ..agreement_of(ring()) };
        refused(Code::BadAgreement, changed.check());
    }
}

#[test]
fn another_blinding_than_the_hashed_one_is_refused() {
    let changed = Agreement { blinding: [7; 32], ..agreement_of(ring()) };
    refused(Code::BadAgreement, changed.check());
}

#[test]
fn the_parties_are_the_domains_of_the_legs() {
    assert_eq!(Agreement::parties_of(&ring()), *parties(&["a", "b", "c"]));
    for names in [&["a", "b"][..], &["a", "b", "c", "d"], &["a", "b", "d"]] {
        let mut changed = agreement_of(ring());
        changed.header.parties = parties(names);
        refused(Code::BadAgreement, changed.check());
    }
    let mut nothing = agreement_of(ring());
    nothing.legs = Bounded::default();
    nothing.header.legs = Agreement::terms_hash(Purpose::Trade, &[], None, &BLINDING);
    refused(Code::BadAgreement, nothing.check());
}

#[test]
fn a_leg_of_nothing_or_to_itself_is_refused() {
    let mut legs = ring();
    legs[1].amount = Amount::ZERO;
    refused(Code::BadAgreement, agreement_of(legs).check());
    let mut legs = ring();
    legs.push(Leg { to: account("b", 1), ..leg("EUR", 1, "b", "a") });
    refused(Code::BadAgreement, agreement_of(legs).check());
    let mut legs = ring();
    legs.push(Leg { to: account("b", 2), ..leg("EUR", 1, "b", "a") });
    agreement_of(legs).check().unwrap();
}
