//! Transactions sum to zero per asset, or are not booked.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const CODES: [&str; 3] = ["EUR", "BOND", "GOLD"];
const KINDS: [MovementKind; 5] = [
    MovementKind::Credit,
    MovementKind::Debit,
    MovementKind::Hold,
    MovementKind::Release,
    MovementKind::Spend,
];
const SIDES: [Side; 2] = [Side::Credit, Side::Debit];

fn transaction(entries: Vec<Vec<Movement>>, contras: Vec<Contra>) -> Transaction {
    let entry = |movements: Vec<Movement>| Entry {
        ledger: Ubi([1; 32]),
        sequence: Sequence(1),
        previous: Hash::ZERO,
        movements: Bounded::new(movements).unwrap(),
    };
    Transaction {
        cause: Cause::Issued(None),
        time: NOW,
        entries: Bounded::new(entries.into_iter().map(entry).collect()).unwrap(),
        contras: Bounded::new(contras).unwrap(),
    }
}

fn contra(side: Side, code: &str, units: u128) -> Contra {
    Contra { account: ContraAccount::Issuance, asset: uai(code), side, amount: amount(units) }
}

fn any_movements() -> impl Strategy<Value = Vec<Vec<Movement>>> {
    let one = (prop::sample::select(KINDS.to_vec()), 0..3usize, 0..4u128)
        .prop_map(|(kind, code, units)| movement(kind, CODES[code], units));
    prop::collection::vec(prop::collection::vec(one, 0..4), 0..4)
}

fn any_contras() -> impl Strategy<Value = Vec<Contra>> {
    let one = (prop::sample::select(SIDES.to_vec()), 0..3usize, 0..4u128)
        .prop_map(|(side, code, units)| contra(side, CODES[code], units));
    prop::collection::vec(one, 0..4)
}

/// Credits less debits, per asset.
fn sums(entries: &[Vec<Movement>], contras: &[Contra]) -> BTreeMap<Uai, i128> {
    let mut sums: BTreeMap<Uai, i128> = BTreeMap::new();
    for movement in entries.iter().flatten() {
        let sign = match movement.kind {
            MovementKind::Credit => 1,
            MovementKind::Debit | MovementKind::Spend => -1,
            MovementKind::Hold | MovementKind::Release => 0,
        };
        let units = i128::try_from(movement.amount.units()).unwrap();
        *sums.entry(movement.asset.clone()).or_default() += sign * units;
    }
    for contra in contras {
        let sign = if contra.side == Side::Credit { 1 } else { -1 };
        let units = i128::try_from(contra.amount.units()).unwrap();
        *sums.entry(contra.asset.clone()).or_default() += sign * units;
    }
    sums
}

proptest! {
    #[test]
    fn a_transaction_is_balanced_if_and_only_if_every_asset_sums_to_zero(
        entries in any_movements(), contras in any_contras(),
    ) {
        let zero = sums(&entries, &contras).values().all(|sum| *sum == 0);
        prop_assert_eq!(transaction(entries, contras).is_balanced(), zero);
    }

    #[test]
    fn what_is_missing_on_one_side_balances_it(
        entries in any_movements(), contras in any_contras(),
    ) {
        let mut contras = contras;
        for (asset, sum) in sums(&entries, &contras) {
            let side = if sum > 0 { Side::Debit } else { Side::Credit };
            let missing = Contra { asset, ..contra(side, "EUR", sum.unsigned_abs()) };
            contras.push(missing);
        }
        prop_assert!(transaction(entries.clone(), contras.clone()).is_balanced());
        contras.push(contra(Side::Credit, "EUR", 1));
        prop_assert!(!transaction(entries, contras).is_balanced());
    }
}

#[test]
fn one_asset_does_not_make_up_for_another() {
    let credit = movement(MovementKind::Credit, "EUR", 5);
    let debit = movement(MovementKind::Debit, "BOND", 5);
    assert!(!transaction(vec![vec![credit, debit]], Vec::new()).is_balanced());
}

#[test]
fn sums_that_cannot_be_written_are_not_balanced() {
    let all = |kind| movement(kind, "EUR", u128::MAX);
    let (credit, debit) = (MovementKind::Credit, MovementKind::Debit);
    assert!(transaction(vec![vec![all(credit), all(debit)]], Vec::new()).is_balanced());
    let twice = vec![vec![all(credit), all(credit), all(debit), all(debit)]];
    assert!(!transaction(twice, Vec::new()).is_balanced());
}
