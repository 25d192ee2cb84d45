//! Cycles: found, cancelled, never too much.

#![allow(clippy::arithmetic_side_effects, reason = "small numbers in tests")]

use proptest::prelude::*;

use super::*;

fn domain(name: u8) -> Domain {
    format!("bank-{}.example", char::from(b'a' + name)).parse().unwrap()
}

fn eur() -> Uai {
    "EUR:issuer.example#0011223344556677".parse().unwrap()
}

fn owes(debtor: u8, creditor: u8, units: u128) -> Obligation {
    let (debtor, creditor) = (domain(debtor), domain(creditor));
    Obligation { debtor, creditor, asset: eur(), amount: Amount::new(units) }
}

#[test]
fn a_ring_of_three_is_cancelled_by_its_smallest_debt() {
    let known = [owes(0, 1, 70), owes(1, 2, 50), owes(2, 0, 60)];
    let cycles = find_cycles(&domain(0), &eur(), &known);
    let parties = vec![domain(0), domain(1), domain(2)];
    assert_eq!(cycles, [Cycle { parties, amount: Amount::new(50) }]);
    let mut debts = Debts::of(&eur(), &known);
    debts.cancel(&cycles[0]);
    assert_eq!(debts.owed(&domain(0), &domain(1)), Amount::new(20));
    assert_eq!(debts.owed(&domain(1), &domain(2)), Amount::ZERO);
}

#[test]
fn the_cycle_that_takes_most_away_comes_first_and_the_shorter_of_two_alike() {
    // By way of d the debts are smaller, but there are more of them.
    let known = [
        owes(0, 1, 100),
        owes(1, 0, 0),
        owes(1, 2, 40),
        owes(2, 0, 40),
        owes(1, 3, 30),
        owes(3, 4, 30),
        owes(4, 0, 30),
    ];
    let cycles = find_cycles(&domain(0), &eur(), &known);
    let found: Vec<(usize, u128)> =
        cycles.iter().map(|cycle| (cycle.parties.len(), cycle.amount.units())).collect();
    assert_eq!(found, [(3, 40), (4, 30)]);
}

#[test]
fn what_is_no_cycle_through_us_is_none() {
    let around = [owes(1, 2, 5), owes(2, 3, 5), owes(3, 1, 5), owes(0, 1, 5)];
    assert!(find_cycles(&domain(0), &eur(), &around).is_empty());
    // Two that owe each other keep one balance; no two debts.
    assert!(find_cycles(&domain(0), &eur(), &[owes(0, 1, 5), owes(1, 0, 5)]).is_empty());
    let other: Uai = "USD:issuer.example#0011223344556677".parse().unwrap();
    let ring = [owes(0, 1, 5), owes(1, 2, 5), owes(2, 0, 5)];
    assert!(find_cycles(&domain(0), &other, &ring).is_empty());
}

#[test]
fn a_cycle_has_as_many_parties_as_an_agreement_and_no_more() {
    let ring = |count: u8| -> Vec<Obligation> {
        (0..count).map(|at| owes(at, (at + 1) % count, 9)).collect()
    };
    assert_eq!(find_cycles(&domain(0), &eur(), &ring(8)).len(), 1);
    assert!(find_cycles(&domain(0), &eur(), &ring(9)).is_empty());
}

#[test]
fn of_two_words_on_one_debt_the_smaller_counts() {
    let known = [owes(0, 1, 9), owes(1, 2, 9), owes(1, 2, 4), owes(2, 0, 9)];
    assert_eq!(find_cycles(&domain(0), &eur(), &known)[0].amount, Amount::new(4));
}

#[test]
fn a_thicket_of_debts_is_searched_within_bounds() {
    let all = (0..26).flat_map(|one| (0..26).map(move |other| (one, other)));
    let known: Vec<Obligation> = all
        .filter(|(one, other)| one != other)
        .map(|(one, other)| owes(one, other, 1 + u128::from(one) * 7 % 13))
        .collect();
    assert!(!find_cycles(&domain(0), &eur(), &known).is_empty());
}

fn debts() -> impl Strategy<Value = Vec<Obligation>> {
    prop::collection::vec((0..6u8, 0..6u8, 1..50u128), 0..24).prop_map(|all| {
        all.into_iter().map(|(one, other, units)| owes(one, other, units)).collect()
    })
}

proptest! {
    #[test]
    fn netting_takes_debt_away_and_changes_nobodys_balance(known in debts()) {
        let before = Debts::of(&eur(), &known);
        let mut after = before.clone();
        for cycle in find_cycles(&domain(0), &eur(), &known) {
            prop_assert!(cycle.parties.first() == Some(&domain(0)) && cycle.parties.len() >= 3);
            let names: BTreeSet<&Domain> = cycle.parties.iter().collect();
            prop_assert_eq!(names.len(), cycle.parties.len());
            let smallest = cycle.pairs().map(|(debtor, creditor)| after.owed(debtor, creditor));
            prop_assert_eq!(smallest.min(), Some(cycle.amount));
            prop_assert!(!cycle.amount.is_zero());
            let gross = |debts: &Debts| -> u128 {
                debts.standings().values().map(|known| known.owes.units()).sum()
            };
            let was = gross(&after);
            after.cancel(&cycle);
            prop_assert_eq!(was - gross(&after), cycle.relief().units());
        }
        prop_assert_eq!(after.best_cycle(&domain(0)), None);
        for (domain, was) in before.standings() {
            let is = after.standings().get(&domain).copied().unwrap_or_default();
            prop_assert!(is.gross() <= was.gross());
            prop_assert_eq!(is.net(), was.net());
            let fell = (was.owes.units() - is.owes.units(), was.owed.units() - is.owed.units());
            prop_assert_eq!(fell.0, fell.1);
        }
    }

    #[test]
    fn what_is_found_does_not_depend_on_the_order(known in debts(), turn in 0..24usize) {
        let mut turned = known.clone();
        turned.rotate_left(turn.min(known.len()));
        turned.reverse();
        let found = find_cycles(&domain(0), &eur(), &known);
        prop_assert_eq!(found, find_cycles(&domain(0), &eur(), &turned));
    }
}
