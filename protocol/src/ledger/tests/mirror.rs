//! Tallies: sums that do not depend on the order, and differences that can be explained.

use proptest::prelude::*;

use super::*;
use crate::ledger::mirror::{Mirror, Position, Tally, other_side};
use crate::settlement::{Account, Leg};

fn leg(from: &str, to: &str, units: u128) -> Leg {
    let account = |name: &str| Account { domain: domain(name), ledger: Ubi([3; 32]) };
    let (from, to) = (account(from), account(to));
    Leg { asset: uai("EUR"), amount: amount(units), from, to, order: None }
}

fn tally(number: u8, units: u128) -> Tally {
    let leg = leg("one", "other", units);
    Tally::of_leg(&SettlementId([number; 32]), 0, &leg, &domain("other"))
}

fn position(tally: Tally, owe: u128, claim: u128) -> Position {
    Position {
        with: domain("other"),
        asset: uai("EUR"),
        owe: amount(owe),
        claim: amount(claim),
        count: tally.count,
        digest: tally.digest,
    }
}

#[test]
fn the_two_ends_of_a_leg_are_mirrors() {
    let leg = leg("one", "other", 7);
    let id = SettlementId([1; 32]);
    let gives = Tally::of_leg(&id, 0, &leg, &domain("one"));
    let gets = Tally::of_leg(&id, 0, &leg, &domain("other"));
    assert_eq!(gives.mirrored(), gets);
    assert_eq!((gets.count, gets.net), (1, 7));
    assert_ne!(Tally::of_leg(&id, 1, &leg, &domain("other")).digest, gets.digest);
    assert_eq!(other_side(&leg, &domain("one")), Some(&domain("other")));
    assert_eq!(other_side(&leg, &domain("other")), Some(&domain("one")));
    assert_eq!(other_side(&leg, &domain("third")), None);
}

#[test]
fn a_carry_goes_through_all_bytes_and_out() {
    let most = Tally { count: u64::MAX, digest: Hash([0xff; 32]), net: u128::MAX };
    let mut one = [0; 32];
    one[0] = 1;
    let one = Tally { count: 1, digest: Hash(one), net: 1 };
    assert!(most.plus(one).is_zero());
    assert_eq!(Tally::default().minus(one), most);
}

proptest! {
    #[test]
    fn the_order_of_booking_does_not_matter(
        legs in prop::collection::vec((any::<u8>(), 1..1_000u128), 0..20),
        turn in 0..20usize,
    ) {
        let sum = |legs: &[(u8, u128)]| {
            legs.iter().fold(Tally::default(), |sum, (id, units)| sum.plus(tally(*id, *units)))
        };
        let mut turned = legs.clone();
        turned.rotate_left(turn.min(legs.len()));
        prop_assert_eq!(sum(&legs), sum(&turned));
        let taken = turned.iter().fold(sum(&legs), |left, (id, units)| {
            left.minus(tally(*id, *units))
        });
        prop_assert!(taken.is_zero());
    }
}

#[test]
fn an_explained_difference_is_none_and_another_one_is() {
    let (one, other) = (tally(1, 5), tally(2, 9));
    let mut mirror = Mirror::default();
    mirror.hear(&position(one, 0, 5), NOW, one);
    assert!(mirror.differs() && mirror.reconciled.is_none());
    mirror.explain();
    mirror.hear(&position(one, 0, 5), NOW, one);
    assert!(!mirror.differs());
    assert_eq!(mirror.reconciled.map(|known| known.count), Some(1));
    mirror.hear(&position(one.plus(other), 0, 14), NOW, one.plus(other));
    assert!(mirror.differs());
    // What was explained may also be put right.
    mirror.hear(&position(one, 0, 5), NOW, Tally::default());
    assert!(!mirror.differs());
}
