//! `quadrille ledger statement`: a statement of account, every entry with the balance after it.

use std::collections::BTreeMap;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{Amount, Sequence, Time, Uai};
use serde::Serialize;

use super::amount::Assets;
use super::exit::Failure;
use super::output::Output;
use crate::api::dto::{EntryView, MovementKind};

/// One line: an entry and one asset that it moves.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    entry: Sequence,
    time: Time,
    cause: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    asset: Option<Uai>,
    /// What came in.
    received: Amount,
    /// What left.
    given: Amount,
    /// What can be disposed of after the entry.
    free: Amount,
    /// What is set aside after the entry.
    held: Amount,
}

/// The lines of all entries of a ledger, from its first one on.
pub(super) fn lines(entries: &[EntryView]) -> Result<Vec<Line>, Refusal> {
    let mut balances: BTreeMap<Uai, (Amount, Amount)> = BTreeMap::new();
    let mut lines = Vec::new();
    for entry in entries {
        let mut touched: Vec<(Uai, Amount, Amount)> = Vec::new();
        for movement in &entry.movements {
            let (free, held) = balances.entry(movement.asset.clone()).or_default();
            let amount = movement.amount;
            let moved = match movement.kind {
                MovementKind::Credit => free.plus(amount).map(|free| (free, *held)),
                MovementKind::Debit => free.minus(amount).map(|free| (free, *held)),
                MovementKind::Hold => free.minus(amount).zip(held.plus(amount)),
                MovementKind::Release => free.plus(amount).zip(held.minus(amount)),
                MovementKind::Spend => held.minus(amount).map(|held| (*free, held)),
            };
            let broken = || {
                let what = format!("entry {} does not add up", entry.sequence);
                Refusal::new(Code::BadAnswer, what)
            };
            (*free, *held) = moved.ok_or_else(broken)?;
            let (received, given) = match movement.kind {
                MovementKind::Credit => (amount, Amount::ZERO),
                MovementKind::Debit | MovementKind::Spend => (Amount::ZERO, amount),
                MovementKind::Hold | MovementKind::Release => (Amount::ZERO, Amount::ZERO),
            };
            match touched.iter_mut().find(|(asset, _, _)| *asset == movement.asset) {
                Some((_, into, out)) => {
                    *into = into.try_plus(received)?;
                    *out = out.try_plus(given)?;
                }
                None => touched.push((movement.asset.clone(), received, given)),
            }
        }
        let line = |asset, received, given, (free, held)| Line {
            entry: entry.sequence,
            time: entry.time,
            cause: entry.cause.clone(),
            asset,
            received,
            given,
            free,
            held,
        };
        if touched.is_empty() {
            lines.push(line(None, Amount::ZERO, Amount::ZERO, (Amount::ZERO, Amount::ZERO)));
        }
        for (asset, received, given) in touched {
            let after = balances.get(&asset).copied().unwrap_or_default();
            lines.push(line(Some(asset), received, given, after));
        }
    }
    Ok(lines)
}

pub(super) fn show(entries: &[EntryView], assets: &Assets, output: Output) -> Result<(), Failure> {
    let columns = ["ENTRY", "TIME", "CAUSE", "IN", "OUT", "FREE", "HELD"];
    output.list(&lines(entries)?, &columns, |line| {
        let show = |amount: Amount| match (&line.asset, amount.is_zero()) {
            (Some(asset), false) => assets.show(asset, amount),
            (Some(_) | None, _) => "-".to_owned(),
        };
        vec![
            line.entry.to_string(),
            line.time.to_string(),
            line.cause.clone(),
            show(line.received),
            show(line.given),
            line.asset.as_ref().map_or_else(|| "-".to_owned(), |of| assets.show(of, line.free)),
            show(line.held),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::dto::{MovementView, Place};
    use quadrille_protocol::types::{Hash, Height};

    fn entry(sequence: u64, movements: &[(MovementKind, u128)]) -> EntryView {
        let asset: Uai = "EUR:bank-b.example#0011223344556677".parse().unwrap();
        let moved = |(kind, units): &(MovementKind, u128)| MovementView {
            asset: asset.clone(),
            kind: *kind,
            amount: Amount::new(*units),
        };
        EntryView {
            sequence: Sequence(sequence),
            hash: Hash::ZERO,
            time: Time(1_790_000_000_000),
            cause: "settled".to_owned(),
            order: None,
            settlement: None,
            reason: None,
            movements: movements.iter().map(moved).collect(),
            place: Place { height: Height(1), leaf: 0 },
        }
    }

    #[test]
    fn each_line_has_the_balance_after_it() {
        use MovementKind::{Credit, Debit, Hold, Release, Spend};
        let entries = [
            entry(1, &[]),
            entry(2, &[(Credit, 100)]),
            entry(3, &[(Hold, 60)]),
            entry(4, &[(Spend, 40), (Release, 20)]),
            entry(5, &[(Debit, 10)]),
        ];
        let lines = lines(&entries).unwrap();
        let numbers = |line: &Line| {
            [line.received, line.given, line.free, line.held].map(|amount| amount.units())
        };
        let expected = [[0; 4], [100, 0, 100, 0], [0, 0, 40, 60], [0, 40, 60, 0], [0, 10, 50, 0]];
        assert_eq!(lines.iter().map(numbers).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn entries_that_do_not_add_up_are_no_statement() {
        let refused = lines(&[entry(1, &[(MovementKind::Debit, 1)])]).unwrap_err();
        assert_eq!(refused.code, Code::BadAnswer);
    }
}
