//! A payment through four banks, one of which is killed on the way: it ends whole.

use std::time::Instant;

use quadrille_node::api::dto::PaymentState;
use quadrille_protocol::types::Amount;

use crate::stage::{PLENTY, Stage};

/// Who is killed and when. The first bank pays, two pass on, the last one decides.
const KILLS: [(&str, &str); 8] = [
    ("bank-b", "before-append:Locked"),
    ("bank-b", "after-sign:Locked"),
    ("bank-b", "before-append:Transaction/settled"),
    ("bank-c", "after-append:Locked"),
    ("bank-c", "after-append:Transaction/settled"),
    ("bank-d", "before-append:Decided(settle)"),
    ("bank-d", "after-append:Decided(settle)"),
    ("bank-a", "after-sign:Revealed"),
];

/// A kill after which the bank stays away until the payer's bank has given up: nothing moves.
const ABSENCE: (&str, &str) = ("bank-c", "before-append:Locked");

#[test]
fn a_payment_through_four_banks_ends_whole_whoever_is_killed_in_the_middle() {
    let mut stage = Stage::new();
    stage.trust(&[
        ("bank-b", "bank-a", PLENTY),
        ("bank-c", "bank-b", PLENTY),
        ("bank-d", "bank-c", PLENTY),
    ]);
    stage.transit("bank-b", 3);
    stage.transit("bank-c", 2);
    let euro = stage.euro.clone();
    println!("bank    moment:record                         payment   s");
    let absent = [(ABSENCE.0, ABSENCE.1, true)];
    let kills = KILLS.map(|(bank, point)| (bank, point, false)).into_iter().chain(absent);
    for (number, (bank, point, away)) in kills.enumerate() {
        stage.arm(bank, point);
        stage.ways(&euro, 1_000, |ways| {
            ways.len() == 1 && ways[0].parties == 4 && ways[0].cost == Amount::new(1_005)
        });
        let (alice, bob) =
            (stage.balance("alice", "bank-a", &euro), stage.balance("bob", "bank-d", &euro));
        let begun = Instant::now();
        let order = stage.pay(&format!("kill-{number}"), &euro, 1_000, 1_010);
        stage.dies_of(bank, point);
        if away {
            assert_eq!(stage.ended(&order).state, PaymentState::Refunded, "{point}: away");
        }
        stage.start(bank, None);
        let again = stage.pay(&format!("kill-{number}"), &euro, 1_000, 1_010);
        assert_eq!(again, order, "the same order");
        let view = stage.ended(&order);
        stage.audit();
        let (paid, got) = match view.state {
            PaymentState::Settled => (1_005, 1_000),
            PaymentState::Refunded => (0, 0),
            state => panic!("{state:?}: {view:#?}"),
        };
        assert_eq!(stage.balance("alice", "bank-a", &euro), (alice.0 - paid, alice.1), "{point}");
        assert_eq!(stage.balance("bob", "bank-d", &euro), (bob.0 + got, bob.1), "{point}");
        if point.contains("settled") || point.contains("after-sign:Revealed") {
            assert_eq!(view.state, PaymentState::Settled, "{point}: the secret was out");
        }
        let took = begun.elapsed().as_secs_f64();
        println!("{bank:7} {point:36} {:?}  {took:6.2}", view.state);
    }
}
