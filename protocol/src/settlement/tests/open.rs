//! What a domain knows of an open settlement.

use super::*;
use crate::log::OutcomeKind;
use crate::settlement::open::NetLeg;

fn net(code: &str, ordered: u128, transit: u128, gets: u128) -> NetLeg {
    NetLeg {
        ledger: Ubi([1; 32]),
        asset: uai(code),
        ordered: amount(ordered),
        transit: amount(transit),
        gets: amount(gets),
    }
}

fn lock(settlement: &mut Settlement, names: &[&str]) {
    settlement.locked = names.iter().map(|name| domain(name)).collect();
}

#[test]
fn a_new_settlement_knows_its_terms_and_nothing_else() {
    let agreement = agreement_of(ring());
    let settlement = Settlement::of_agreement(&agreement);
    assert_eq!(settlement.id, agreement.header.id());
    assert_ne!(settlement.id, SettlementId::default());
    assert_eq!(settlement.legs, agreement.legs);
    assert!(settlement.locked.is_empty() && settlement.evidence.is_empty());
    assert_eq!((settlement.preimage.is_some(), settlement.decision), (false, None::<OutcomeKind>));
    assert_ne!(settlement.header.legs, Hash::ZERO);
}

#[test]
fn all_are_locked_when_every_party_is() {
    let mut settlement = settlement_of(ring());
    for names in [&[][..], &["a"], &["a", "c"], &["a", "c", "d"]] {
        lock(&mut settlement, names);
        assert!(!settlement.all_locked(), "{names:?}");
    }
    lock(&mut settlement, &["a", "b", "c"]);
    assert!(settlement.all_locked());
    settlement.header.decider = domain("notary");
    assert!(settlement.all_locked(), "a notary locks nothing");
}

#[test]
fn the_locks_that_count_for_a_receiver_are_its_debtors() {
    let mut settlement = settlement_of(ring());
    for (receiver, debtor) in [("a", "c"), ("b", "a"), ("c", "b")] {
        lock(&mut settlement, &[receiver]);
        assert!(!settlement.debtors_locked(&domain(receiver)));
        lock(&mut settlement, &[debtor]);
        assert!(settlement.debtors_locked(&domain(receiver)));
    }
    lock(&mut settlement, &[]);
    assert!(settlement.debtors_locked(&domain("d")), "nobody owes it anything");
    let mut within = ring();
    within.push(Leg { to: account("a", 2), ..leg("EUR", 1, "a", "b") });
    let mut settlement = settlement_of(within);
    lock(&mut settlement, &["c"]);
    assert!(settlement.debtors_locked(&domain("a")), "it owes itself without a lock");
}

#[test]
fn evidence_is_passed_on_where_somebody_has_not_heard_it() {
    assert!(settlement_of(ring()).forwards_evidence());
    let mut two = settlement_of(vec![leg("EUR", 1, "a", "b"), leg("BOND", 1, "b", "a")]);
    assert!(!two.forwards_evidence());
    two.header.decider = domain("notary");
    assert!(two.forwards_evidence());
}

#[test]
fn counterparties_share_a_leg() {
    let chain = settlement_of(vec![transit("EUR", 1, "a", "b"), transit("EUR", 1, "b", "c")]);
    let of = |name: &str| chain.counterparties(&domain(name)).into_iter().collect::<Vec<_>>();
    assert_eq!(of("a"), [domain("b")]);
    assert_eq!(of("b"), [domain("a"), domain("c")]);
    assert_eq!(of("c"), [domain("b")]);
    assert_eq!(of("d"), []);
    let within = settlement_of(vec![Leg { to: account("a", 2), ..leg("EUR", 1, "a", "b") }]);
    assert!(within.counterparties(&domain("a")).is_empty());
}

#[test]
fn what_a_ledger_gives_and_gets_is_summed_per_asset() {
    let legs = vec![
        leg("EUR", 5, "a", "b"),
        leg("EUR", 6, "a", "c"),
        leg("BOND", 7, "b", "a"),
        leg("EUR", 1, "b", "a"),
    ];
    let settlement = settlement_of(legs);
    let nets = settlement.net_of(&domain("a")).unwrap();
    assert_eq!(nets, [net("EUR", 11, 0, 1), net("BOND", 0, 0, 7)]);
    assert_eq!(settlement.net_of(&domain("d")), Some(Vec::new()));
    let credits: Vec<Amount> = nets.iter().map(NetLeg::to_credit).collect();
    assert_eq!(credits, [amount(1), amount(7)], "what was ordered away is not netted");
    assert!(nets.iter().all(|net| net.to_hold().is_zero()));
}

#[test]
fn what_passes_through_is_covered_by_what_it_brings() {
    let table = [(5, 5, 0, 0), (5, 7, 0, 2), (7, 5, 2, 0), (0, 3, 0, 3), (3, 0, 3, 0)];
    for (gives, gets, hold, credit) in table {
        let net = net("EUR", 9, gives, gets);
        assert_eq!((net.to_hold(), net.to_credit()), (amount(hold), amount(credit)));
    }
    let legs = vec![transit("EUR", 5, "a", "b"), transit("EUR", 5, "b", "c")];
    let nets = settlement_of(legs).net_of(&domain("b")).unwrap();
    assert_eq!(nets, [net("EUR", 0, 5, 5)]);
}

#[test]
fn ledgers_of_one_domain_are_kept_apart() {
    let inside = Leg { to: account("a", 2), ..leg("EUR", 4, "a", "b") };
    let nets = settlement_of(vec![inside]).net_of(&domain("a")).unwrap();
    let other = NetLeg { ledger: Ubi([2; 32]), ..net("EUR", 0, 0, 4) };
    assert_eq!(nets, [net("EUR", 4, 0, 0), other]);
}

#[test]
fn a_sum_that_cannot_be_written_is_none() {
    let huge = Leg { amount: Amount::MAX, ..leg("EUR", 1, "a", "b") };
    let settlement = settlement_of(vec![huge, leg("EUR", 1, "a", "c")]);
    assert_eq!(settlement.net_of(&domain("a")), None);
    assert!(settlement.net_of(&domain("c")).is_some());
}

#[test]
fn a_settlement_is_final_when_each_of_our_machines_is() {
    let mut settlement = settlement_of(ring());
    assert!(settlement.is_final(), "nothing to apply");
    let initiator = [
        (Initiator::Locking, false, true),
        (Initiator::Revealed, false, true),
        (Initiator::Aborted, false, false),
        (Initiator::Settled, true, false),
        (Initiator::Refunded, true, false),
    ];
    for (state, is_final, holds) in initiator {
        settlement.initiator = Some(state);
        assert_eq!((settlement.is_final(), settlement.holds_legs()), (is_final, holds));
    }
    settlement.initiator = None;
    let participant = [
        (Participant::Proposed, false, false),
        (Participant::Locked, false, true),
        (Participant::Declined, true, false),
        (Participant::Settled, true, false),
        (Participant::Refunded, true, false),
    ];
    for (state, is_final, holds) in participant {
        settlement.participant = Some(state);
        assert_eq!((settlement.is_final(), settlement.holds_legs()), (is_final, holds));
    }
    let decider = [(Decider::Open, false), (Decider::Settled, true), (Decider::Refunded, true)];
    for (state, is_final) in decider {
        settlement.decider = Some(state);
        assert_eq!(settlement.is_final(), is_final);
    }
    settlement.participant = Some(Participant::Locked);
    assert!(!settlement.is_final(), "decided, and not yet applied");
}
