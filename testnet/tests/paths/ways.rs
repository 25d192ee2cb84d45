//! Which ways payments take, and what they cost.

use quadrille_node::api::dto::{PathBy, PaymentState};
use quadrille_protocol::settlement::Purpose;
use quadrille_protocol::types::{Amount, Duration as Span};
use quadrille_testnet::local::fund::{self, CASH};

use crate::stage::{PLENTY, STEP, Stage};

#[test]
fn payments_find_their_way_over_other_banks() {
    let stage = Stage::new();
    a_payment_goes_through_the_correspondent_of_two_banks_without_trust(&stage);
    a_refusal_for_the_limit_is_followed_by_the_next_way(&stage);
    what_arrives_is_another_asset_than_what_is_paid(&stage);
    a_transfer_shows_the_messages_of_satp_beside_its_steps(&stage);
    without_a_way_it_says_why(&stage);
}

fn a_payment_goes_through_the_correspondent_of_two_banks_without_trust(stage: &Stage) {
    stage.trust(&[("bank-b", "bank-a", PLENTY), ("bank-d", "bank-b", PLENTY)]);
    stage.transit("bank-b", 5);
    let ways = stage
        .ways(&stage.euro, 10_000, |ways| ways.len() == 1 && ways[0].cost == Amount::new(10_005));
    assert_eq!((ways[0].parties, ways[0].legs[0].by), (3, PathBy::Transit));
    let before = stage.balance("alice", "bank-a", &stage.euro);
    let carol = stage.balance("carol", "bank-b", &stage.euro);
    let bob = stage.balance("bob", "bank-d", &stage.euro);
    let view = stage.ended(&stage.pay("rent", &stage.euro, 10_000, 10_100));
    assert_eq!(view.state, PaymentState::Settled, "{view:#?}");
    assert_eq!((view.cost, view.tries.len()), (Some(Amount::new(10_005)), 1));
    assert_eq!(stage.balance("alice", "bank-a", &stage.euro), (before.0 - 10_005, before.1));
    assert_eq!(stage.balance("carol", "bank-b", &stage.euro), (carol.0 + 5, carol.1));
    assert_eq!(stage.balance("bob", "bank-d", &stage.euro), (bob.0 + 10_000, bob.1));
    stage.audit();
}

fn a_refusal_for_the_limit_is_followed_by_the_next_way(stage: &Stage) {
    stage.trust(&[
        ("bank-b", "bank-a", PLENTY),
        ("bank-c", "bank-a", PLENTY),
        ("bank-d", "bank-b", Amount::new(1)),
        ("bank-d", "bank-c", PLENTY),
    ]);
    stage.transit("bank-c", 50);
    let ways = stage.ways(&stage.euro, 10_000, |ways| ways.len() == 2);
    assert_eq!(ways.iter().map(|way| way.cost.units()).collect::<Vec<_>>(), [10_005, 10_050]);
    let view = stage.ended(&stage.pay("rent-2", &stage.euro, 10_000, 10_100));
    assert_eq!(view.state, PaymentState::Settled, "{view:#?}");
    assert_eq!((view.cost, view.planned), (Some(Amount::new(10_050)), 2));
    let [first, second] = &view.tries[..] else { panic!("{view:#?}") };
    assert_eq!((first.settled, second.settled), (Some(false), Some(true)));
    let [refusal] = &first.refusals[..] else { panic!("{first:#?}") };
    assert_eq!((&refusal.by, refusal.reason.code.as_str()), (&stage.domain("bank-d"), "Q-1420"));
    stage.audit();
}

fn what_arrives_is_another_asset_than_what_is_paid(stage: &Stage) {
    let other = fund::profile(CASH, &stage.domain("bank-d")).unwrap().uai();
    let maker = stage.trader("carol", "bank-d");
    stage.runtime.block_on(async {
        // 3 of bank-d's euro for 4 of bank-a's; all of it, or a part.
        let terms = quadrille_protocol::market::OfferTerms {
            give: other.clone(),
            give_amount: Amount::new(300_000),
            want: stage.euro.clone(),
            want_amount: Amount::new(400_000),
            minimum_fill: Amount::new(1),
            expiry: quadrille_testnet::local::up::now().unwrap().after(Span(600_000)),
            counterparties: quadrille_protocol::types::Bounded::default(),
            notary: None,
            selection_window: Span(0),
            receive: None,
        };
        let action = quadrille_protocol::ledger::Action::Offer(terms);
        let offer = maker.order("change", action).await.unwrap();
        stage.trader("alice", "bank-a").sees(&offer, STEP).await.unwrap();
    });
    let ways = stage.ways(&other, 3_000, |ways| !ways.is_empty());
    // Over bank-b, whose limit will not do, and over bank-c.
    assert_eq!(ways[0].cost, Amount::new(4_005));
    let bob = stage.balance("bob", "bank-d", &other);
    let carol = stage.balance("carol", "bank-d", &stage.euro);
    let view = stage.ended(&stage.pay("change-1", &other, 3_000, 4_060));
    assert_eq!(view.state, PaymentState::Settled, "{view:#?}");
    assert_eq!(view.cost, Some(Amount::new(4_050)), "{view:#?}");
    assert_eq!(stage.balance("bob", "bank-d", &other), (bob.0 + 3_000, bob.1));
    assert_eq!(stage.balance("carol", "bank-d", &stage.euro), (carol.0 + 4_000, carol.1));
    stage.audit();
}

fn a_transfer_shows_the_messages_of_satp_beside_its_steps(stage: &Stage) {
    stage.trust(&[("bank-d", "bank-a", PLENTY)]);
    stage.ways(&stage.euro, 500, |ways| ways.iter().any(|way| way.parties == 2));
    let paid = stage.ended(&stage.pay("no-transfer", &stage.euro, 500, 500));
    let bob = stage.balance("bob", "bank-d", &stage.euro);
    let order = stage.send("transfer", (&stage.euro, 500), 500, Purpose::Transfer);
    let moved = stage.ended(&order);
    assert_eq!((paid.state, moved.state), (PaymentState::Settled, PaymentState::Settled));
    assert_eq!(stage.balance("bob", "bank-d", &stage.euro), (bob.0 + 500, bob.1));
    stage.audit();
    for bank in ["bank-a", "bank-d"] {
        let steps = stage.steps(bank, &moved);
        let place = |step: &str| steps.iter().position(|(name, _)| name == step).unwrap();
        let named = |step: &str| steps[place(step)].1.clone().unwrap();
        assert_eq!(named("Agreed"), "transfer-proposal, transfer-commence, lock-assert");
        assert_eq!(named("Locked"), "ack-commence, assertion-receipt");
        assert_eq!(named("Revealed"), "commit-prepare, commit-ready, commit-final");
        assert_eq!(named("Decided(settle)"), "ack-commit-final");
        assert_eq!(named("Finalised"), "commit-transfer-complete");
        let order = ["Agreed", "Locked", "Revealed", "Decided(settle)", "Finalised"].map(place);
        assert!(order.is_sorted(), "{bank}: {steps:#?}");
        assert!(stage.steps(bank, &paid).iter().all(|(_, satp)| satp.is_none()), "{bank}");
    }
}

fn without_a_way_it_says_why(stage: &Stage) {
    stage.trust(&[("bank-b", "bank-a", PLENTY)]);
    let alice = stage.trader("alice", "bank-a");
    let (client, to) = (stage.client("bank-a"), stage.domain("bank-d"));
    let why = quadrille_testnet::local::trader::wait("there is no way", STEP, async || {
        client.paths(&to, (&stage.euro, Amount::new(100)), &stage.euro, None).await.err()
    });
    let why = stage.runtime.block_on(why).unwrap();
    assert!(why.to_string().contains("Q-2621"), "{why}");
    let before = stage.balance("alice", "bank-a", &stage.euro);
    let payment = quadrille_protocol::ledger::Payment::plain(
        stage.trader("bob", "bank-d").account(),
        stage.euro.clone(),
        Amount::new(100),
    );
    let action = quadrille_protocol::ledger::Action::Pay(payment);
    let refusal = stage.runtime.block_on(alice.order("no-way", action)).unwrap_err();
    assert!(refusal.to_string().contains("Q-2621"), "{refusal}");
    assert_eq!(stage.balance("alice", "bank-a", &stage.euro), before);
}
