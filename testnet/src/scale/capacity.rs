//! Who owes whom, and how much more each accepts: what payments use up and give back.
//!
//! ```text
//!   a pays b 30:   a owes b rises by 30, the headroom from a to b falls, that from b to a rises
//!   a cycle of debts is cancelled: every headroom along it rises
//! ```
//!
//! Invariants, which [`Capacities::check`] looks at: nobody owes more than was accepted; what each
//! node owes on balance is what it gave less what it got, as told by those who pay and are paid
//! and not by the debts themselves.

use std::collections::BTreeMap;

use quadrille_protocol::error::Refusal;
use quadrille_protocol::payment::netting::{Cycle, Obligation};
use quadrille_protocol::refuse;
use quadrille_protocol::types::Amount;

use super::map::Map;

/// Who gives how much to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// Who gives: its debt rises.
    pub from: usize,
    /// Who gets.
    pub to: usize,
    /// How much.
    pub amount: i128,
}

/// Debts and limits in one asset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capacities {
    /// What the first owes the second, below zero where it is owed; the smaller number first.
    owed: BTreeMap<(usize, usize), i128>,
    /// How much of the first one's debt the second accepts.
    limits: BTreeMap<(usize, usize), i128>,
    /// What each node gave less what it got, by what it was told to do.
    told: BTreeMap<usize, i128>,
}

impl Capacities {
    /// No debts, and no trust yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `creditor` accepts that `debtor` owes it up to `limit`.
    pub fn accept(&mut self, debtor: usize, creditor: usize, limit: i128) {
        self.limits.insert((debtor, creditor), limit);
    }

    /// What `debtor` owes `creditor`; below zero where it is owed.
    #[must_use]
    pub fn owes(&self, debtor: usize, creditor: usize) -> i128 {
        let known = |a, b| self.owed.get(&(a, b)).copied().unwrap_or(0);
        if debtor < creditor { known(debtor, creditor) } else { -known(creditor, debtor) }
    }

    /// How much `debtor` can still pay `creditor`.
    #[must_use]
    pub fn headroom(&self, debtor: usize, creditor: usize) -> i128 {
        let limit = self.limits.get(&(debtor, creditor)).copied().unwrap_or(0);
        limit.saturating_sub(self.owes(debtor, creditor))
    }

    /// Carries out all legs of a payment, or none of them.
    ///
    /// # Errors
    /// The first leg for which there is no room.
    pub fn pay(&mut self, legs: &[Leg]) -> Result<(), Leg> {
        let full = |leg: &&Leg| leg.amount < 0 || self.headroom(leg.from, leg.to) < leg.amount;
        if let Some(leg) = legs.iter().find(full) {
            return Err(*leg);
        }
        for leg in legs {
            self.owe(leg.from, leg.to, leg.amount);
        }
        if let Some((first, last)) = legs.first().zip(legs.last()) {
            self.tell(first.from, first.amount);
            self.tell(last.to, -last.amount);
        }
        for (into, out) in legs.iter().zip(legs.iter().skip(1)) {
            self.tell(out.from, out.amount - into.amount);
        }
        Ok(())
    }

    fn owe(&mut self, debtor: usize, creditor: usize, more: i128) {
        let (pair, more) = match debtor < creditor {
            true => ((debtor, creditor), more),
            false => ((creditor, debtor), -more),
        };
        *self.owed.entry(pair).or_default() += more;
    }

    fn tell(&mut self, node: usize, more: i128) {
        *self.told.entry(node).or_default() += more;
    }

    /// What all owe, added up.
    #[must_use]
    pub fn gross(&self) -> i128 {
        self.owed.values().map(|owed| owed.abs()).sum()
    }

    /// Who owes whom, in the words of the search for cycles.
    #[must_use]
    pub fn obligations(&self, map: &Map) -> Vec<Obligation> {
        let debts = self.owed.iter().filter(|(_, owed)| **owed != 0).filter_map(|(pair, owed)| {
            let (debtor, creditor) = if *owed > 0 { *pair } else { (pair.1, pair.0) };
            Some(Obligation {
                debtor: map.domain(debtor)?.clone(),
                creditor: map.domain(creditor)?.clone(),
                asset: map.asset().clone(),
                amount: Amount::new(owed.unsigned_abs()),
            })
        });
        debts.collect()
    }

    /// Cancels a cycle of debts.
    ///
    /// # Errors
    /// `Q-2390` when one of its debts is smaller than what is cancelled.
    pub fn cancel(&mut self, cycle: &Cycle, map: &Map) -> Result<(), Refusal> {
        let amount = i128::try_from(cycle.amount.units()).unwrap_or(i128::MAX);
        for (debtor, creditor) in cycle.pairs() {
            let Some((debtor, creditor)) = map.node(debtor).zip(map.node(creditor)) else {
                refuse!(ModelDoesNotHold, "a cycle over {debtor}, which is not in the model");
            };
            if self.owes(debtor, creditor) < amount {
                refuse!(ModelDoesNotHold, "a cycle cancels more than {debtor} owes {creditor}");
            }
            self.owe(debtor, creditor, -amount);
        }
        Ok(())
    }

    /// Whether debts are what payments made them, and within the limits.
    ///
    /// # Errors
    /// `Q-2390` where not.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut balances: BTreeMap<usize, i128> = BTreeMap::new();
        for ((a, b), owed) in &self.owed {
            *balances.entry(*a).or_default() += owed;
            *balances.entry(*b).or_default() -= owed;
            for (debtor, creditor) in [(*a, *b), (*b, *a)] {
                if self.owes(debtor, creditor) > 0 && self.headroom(debtor, creditor) < 0 {
                    refuse!(ModelDoesNotHold, "{debtor} owes {creditor} more than it accepts");
                }
            }
        }
        for node in self.told.keys().chain(balances.keys()) {
            let told = self.told.get(node).copied().unwrap_or(0);
            let owes = balances.get(node).copied().unwrap_or(0);
            if told != owes {
                refuse!(ModelDoesNotHold, "{node} owes {owes} on balance, and gave {told}");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::topology::Network;
    use quadrille_protocol::error::Code;
    use quadrille_protocol::payment::netting::find_cycles;

    fn leg(from: usize, to: usize, amount: i128) -> Leg {
        Leg { from, to, amount }
    }

    /// Three that accept 100 of each other.
    fn triangle() -> Capacities {
        let mut all = Capacities::new();
        for (a, b) in [(0, 1), (1, 2), (2, 0)] {
            all.accept(a, b, 100);
            all.accept(b, a, 100);
        }
        all
    }

    #[test]
    fn what_a_payment_uses_up_the_other_direction_gives_back() {
        let mut all = triangle();
        all.pay(&[leg(0, 1, 61), leg(1, 2, 60)]).unwrap();
        assert_eq!((all.headroom(0, 1), all.headroom(1, 0)), (39, 161));
        assert_eq!(all.pay(&[leg(0, 1, 40)]), Err(leg(0, 1, 40)));
        all.pay(&[leg(1, 0, 61)]).unwrap();
        assert_eq!((all.headroom(0, 1), all.headroom(1, 0)), (100, 100));
        all.check().unwrap();
    }

    #[test]
    fn a_payment_without_room_on_one_leg_changes_nothing() {
        let mut all = triangle();
        all.pay(&[leg(1, 2, 90)]).unwrap();
        let before = all.clone();
        assert_eq!(all.pay(&[leg(0, 1, 20), leg(1, 2, 20)]), Err(leg(1, 2, 20)));
        assert_eq!(all, before);
    }

    #[test]
    fn a_cancelled_cycle_gives_all_its_headroom_back() {
        let map = Map::of(&Network::star(2), 1).unwrap();
        let mut all = triangle();
        for (from, to, amount) in [(0, 1, 70), (1, 2, 50), (2, 0, 60)] {
            all.pay(&[leg(from, to, amount)]).unwrap();
        }
        let own = map.domain(0).unwrap();
        let cycles = find_cycles(own, map.asset(), &all.obligations(&map));
        assert_eq!((all.gross(), cycles.len()), (180, 1));
        all.cancel(&cycles[0], &map).unwrap();
        assert_eq!(all.gross(), 30);
        all.check().unwrap();
        assert_eq!(all.cancel(&cycles[0], &map).unwrap_err().code, Code::ModelDoesNotHold);
    }

    #[test]
    fn a_model_that_does_not_use_capacity_up_is_found_out() {
        let mut all = triangle();
        all.pay(&[leg(0, 1, 60), leg(1, 2, 60)]).unwrap();
        all.check().unwrap();
        let mut forgetful = all.clone();
        forgetful.owed.insert((1, 2), 0);
        assert_eq!(forgetful.check().unwrap_err().code, Code::ModelDoesNotHold);
        let mut generous = all;
        generous.accept(0, 1, 59);
        assert_eq!(generous.check().unwrap_err().code, Code::ModelDoesNotHold);
    }
}
