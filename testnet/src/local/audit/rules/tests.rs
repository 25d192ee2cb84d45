//! Every rule finds its violation, and nothing where there is none.

use quadrille_node::api::dto::{AssetHolding, PartyRole};
use quadrille_protocol::types::{Hash, Time};

use super::*;

fn domain(name: &str) -> Domain {
    format!("{name}.example").parse().unwrap()
}

fn cash() -> Uai {
    format!("EUR:bank-b.example#{}", "0".repeat(16)).parse().unwrap()
}

fn asset(bank: &str, issued: u64, here: u64) -> AssetView {
    let amount = |units: u64| Amount::new(units.into());
    AssetView {
        asset: cash(),
        code: "EUR".parse().unwrap(),
        issuer: domain("bank-b"),
        name: String::new(),
        decimals: 2,
        supply_limit: None,
        terms: Hash::ZERO,
        minimum_tier: 0,
        denomination: Amount::new(1),
        documents: Vec::new(),
        jurisdictions: Vec::new(),
        holders: Vec::new(),
        closed: false,
        places: Vec::new(),
        ours: bank == "bank-b",
        locked: false,
        issued: amount(issued),
        redeemed: Amount::ZERO,
        here: Some(AssetHolding { free: amount(here), held: Amount::ZERO }),
    }
}

fn exposure(owe: u64, claim: u64) -> ExposureView {
    let amount = |units: u64| Amount::new(units.into());
    ExposureView {
        asset: cash(),
        owe: amount(owe),
        claim: amount(claim),
        reserved: Amount::ZERO,
        limit: amount(1_000),
        headroom: amount(1_000),
    }
}

fn settlement(outcome: SettlementOutcome) -> SettlementSummary {
    SettlementSummary {
        settlement: SettlementId([7; 32]),
        state: SettlementState::Final,
        outcome: Some(outcome),
        roles: vec![PartyRole::Participant],
        parties: vec![domain("bank-a"), domain("bank-b")],
        deadline: Time(1_790_000_000_000),
        begun: None,
    }
}

/// Two banks after one settled payment of 40 from b, which issued 100, to a.
fn sound() -> [Observed; 2] {
    let bank = |name: &str, asset, (owe, claim), peer: &str| Observed {
        domain: domain(name),
        settlements: vec![settlement(SettlementOutcome::Settled)],
        assets: vec![asset],
        exposures: vec![(domain(peer), exposure(owe, claim))],
    };
    [
        bank("bank-a", asset("bank-a", 0, 40), (0, 40), "bank-b"),
        bank("bank-b", asset("bank-b", 100, 60), (40, 0), "bank-a"),
    ]
}

/// The rules that are broken after `plant` has changed something.
fn broken(plant: impl FnOnce(&mut [Observed; 2])) -> Vec<Rule> {
    let mut banks = sound();
    plant(&mut banks);
    check(&banks).into_iter().map(|finding| finding.rule).collect()
}

#[test]
fn a_sound_network_has_no_findings() {
    assert_eq!(broken(|_| ()), []);
    assert_eq!(check(&[]), []);
}

#[test]
fn settled_here_and_refunded_there_breaks_atomicity() {
    let refunded = |banks: &mut [Observed; 2]| {
        banks[0].settlements[0].outcome = Some(SettlementOutcome::Refunded);
    };
    assert_eq!(broken(refunded), [Rule::Atomicity]);
    let unknown = |banks: &mut [Observed; 2]| banks[0].settlements.clear();
    assert_eq!(broken(unknown), [Rule::Atomicity]);
}

#[test]
fn a_refund_that_one_party_never_heard_of_is_sound() {
    let plant = |banks: &mut [Observed; 2]| {
        banks[0].settlements.clear();
        banks[1].settlements[0].outcome = Some(SettlementOutcome::Refunded);
    };
    assert_eq!(broken(plant), []);
}

#[test]
fn a_unit_too_many_or_too_few_breaks_conservation() {
    for here in [59, 61] {
        let plant = |banks: &mut [Observed; 2]| banks[1].assets[0] = asset("bank-b", 100, here);
        assert_eq!(broken(plant), [Rule::Conservation]);
    }
    let held = |banks: &mut [Observed; 2]| {
        let held = AssetHolding { free: Amount::new(60), held: Amount::new(1) };
        banks[1].assets[0].here = Some(held);
    };
    assert_eq!(broken(held), [Rule::Conservation]);
    let untold = |banks: &mut [Observed; 2]| banks[1].assets[0].here = None;
    assert_eq!(broken(untold), [Rule::Conservation], "a bank that does not say cannot be checked");
}

#[test]
fn books_that_differ_break_the_mirrors_once() {
    for (owe, claim) in [(0, 39), (1, 40), (40, 0)] {
        let plant = |banks: &mut [Observed; 2]| banks[0].exposures[0].1 = exposure(owe, claim);
        assert_eq!(broken(plant), [Rule::Mirrors], "{owe}, {claim}");
    }
    let silent = |banks: &mut [Observed; 2]| banks[1].exposures.clear();
    assert_eq!(broken(silent), [Rule::Mirrors]);
    let nothing = |banks: &mut [Observed; 2]| {
        banks[0].exposures[0].1 = exposure(0, 0);
        banks[1].exposures.clear();
    };
    assert_eq!(broken(nothing), [], "nothing is owed, and one side does not mention it");
}

#[test]
fn open_settlements_are_found() {
    let open = |banks: &mut [Observed; 2]| banks[0].settlements[0].state = SettlementState::Open;
    assert_eq!(broken(open), [Rule::NothingStuck]);
}
