//! Netting: cycles of debts that can be cancelled, found in what domains say they owe.
//!
//! ```text
//!   A owes B 70, B owes C 50, C owes A 60      gross 180
//!   cycle A B C, 50: each debt falls by 50     gross  30, what each is owed on balance as before
//! ```
//!
//! Everything here is pure and gives the same answer whatever the order of what it is told. What
//! it finds is a proposal: each domain checks its own two debts again before it locks.
//!
//! Invariants: no debt falls below zero; nobody's balance of debts and claims changes; work and
//! results are bounded.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits;
use crate::types::{Amount, Domain, Uai};

/// One domain owes another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obligation {
    /// Who owes.
    pub debtor: Domain,
    /// Who is owed.
    pub creditor: Domain,
    /// The asset.
    pub asset: Uai,
    /// How much.
    pub amount: Amount,
}

/// Domains of which each owes the next one, and the last one the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// The domains.
    pub parties: Vec<Domain>,
    /// How much all their debts can fall.
    pub amount: Amount,
}

/// What one domain owes and is owed in one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// What it owes, over all creditors.
    pub owes: Amount,
    /// What it is owed, over all debtors.
    pub owed: Amount,
}

impl Standing {
    /// What it owes and is owed, added up.
    #[must_use]
    pub fn gross(&self) -> Amount {
        self.owes.plus(self.owed).unwrap_or(Amount::MAX)
    }

    /// What is left when the one is set against the other.
    #[must_use]
    pub fn net(&self) -> Amount {
        self.owes
            .minus_or_zero(self.owed)
            .plus(self.owed.minus_or_zero(self.owes))
            .unwrap_or(Amount::MAX)
    }
}

/// Debts in one asset: who owes whom how much.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Debts(BTreeMap<Domain, BTreeMap<Domain, Amount>>);

impl Debts {
    /// The debts in `asset` among `obligations`. Told twice, the smaller amount counts.
    #[must_use]
    pub fn of(asset: &Uai, obligations: &[Obligation]) -> Self {
        let mut debts = Self::default();
        for known in obligations.iter().take(limits::NETTING_OBLIGATIONS) {
            if known.asset != *asset || known.amount.is_zero() || known.debtor == known.creditor {
                continue;
            }
            let creditors = debts.0.entry(known.debtor.clone()).or_default();
            let amount = creditors.entry(known.creditor.clone()).or_insert(known.amount);
            *amount = known.amount.min(*amount);
        }
        debts
    }

    /// What `debtor` owes `creditor`.
    #[must_use]
    pub fn owed(&self, debtor: &Domain, creditor: &Domain) -> Amount {
        let creditors = self.0.get(debtor);
        creditors.and_then(|known| known.get(creditor)).copied().unwrap_or_default()
    }

    /// What each domain owes and is owed.
    #[must_use]
    pub fn standings(&self) -> BTreeMap<Domain, Standing> {
        let mut standings: BTreeMap<Domain, Standing> = BTreeMap::new();
        for (debtor, creditors) in &self.0 {
            for (creditor, amount) in creditors {
                let owes = &mut standings.entry(debtor.clone()).or_default().owes;
                *owes = owes.plus(*amount).unwrap_or(Amount::MAX);
                let owed = &mut standings.entry(creditor.clone()).or_default().owed;
                *owed = owed.plus(*amount).unwrap_or(Amount::MAX);
            }
        }
        standings
    }

    /// Lets every debt of `cycle` fall by its amount.
    pub fn cancel(&mut self, cycle: &Cycle) {
        for (debtor, creditor) in cycle.pairs() {
            let Some(creditors) = self.0.get_mut(debtor) else { continue };
            let Some(amount) = creditors.get_mut(creditor) else { continue };
            *amount = amount.minus_or_zero(cycle.amount);
            if amount.is_zero() {
                creditors.remove(creditor);
            }
        }
    }

    /// The cycle through `own` by which most debt falls; of equal ones the shortest, then the
    /// first by name.
    #[must_use]
    pub fn best_cycle(&self, own: &Domain) -> Option<Cycle> {
        let mut search = Search {
            debts: self,
            own,
            path: vec![own.clone()],
            on_path: BTreeSet::from([own.clone()]),
            steps: 0,
            best: None,
        };
        search.extend(own, Amount::MAX);
        search.best
    }
}

impl Cycle {
    /// Debtor and creditor, all around.
    pub fn pairs(&self) -> impl Iterator<Item = (&Domain, &Domain)> {
        self.parties.iter().zip(self.parties.iter().cycle().skip(1))
    }

    /// By how much the debts of all together fall.
    #[must_use]
    pub fn relief(&self) -> Amount {
        let count = u128::try_from(self.parties.len()).unwrap_or(u128::MAX);
        Amount::new(self.amount.units().saturating_mul(count))
    }
}

/// Cycles through `own` that can be cancelled one after the other, the best first.
#[must_use]
pub fn find_cycles(own: &Domain, asset: &Uai, obligations: &[Obligation]) -> Vec<Cycle> {
    let mut debts = Debts::of(asset, obligations);
    let mut cycles = Vec::new();
    while cycles.len() < limits::NETTING_CYCLES {
        let Some(cycle) = debts.best_cycle(own) else { break };
        debts.cancel(&cycle);
        cycles.push(cycle);
    }
    cycles
}

/// A search in depth, debtor by debtor in the order of their names, of bounded depth and work.
struct Search<'a> {
    debts: &'a Debts,
    own: &'a Domain,
    path: Vec<Domain>,
    on_path: BTreeSet<Domain>,
    steps: usize,
    best: Option<Cycle>,
}

impl Search<'_> {
    /// Goes on from `debtor`, where the smallest debt on the way is `amount`.
    fn extend(&mut self, debtor: &Domain, amount: Amount) {
        let debts = self.debts;
        for (creditor, owed) in debts.0.get(debtor).into_iter().flatten() {
            self.steps = self.steps.saturating_add(1);
            if self.steps > limits::NETTING_STEPS {
                return;
            }
            let amount = amount.min(*owed);
            if creditor == self.own {
                self.close(amount);
            } else if self.path.len() < limits::AGREEMENT_PARTIES
                && self.on_path.insert(creditor.clone())
            {
                self.path.push(creditor.clone());
                self.extend(creditor, amount);
                self.path.pop();
                self.on_path.remove(creditor);
            }
        }
    }

    fn close(&mut self, amount: Amount) {
        // What two owe each other is one balance already.
        if self.path.len() < 3 {
            return;
        }
        let found = Cycle { parties: self.path.clone(), amount };
        let better = self.best.as_ref().is_none_or(|best| {
            let (ours, theirs) = (found.relief(), best.relief());
            ours > theirs || (ours == theirs && found.parties.len() < best.parties.len())
        });
        if better {
            self.best = Some(found);
        }
    }
}

#[cfg(test)]
mod tests;
