//! Netting and settle-up: debts that cancel each other out, or move to another debtor, in one
//! settlement whose legs run over the transit ledgers, each against a debt.
//!
//! ```text
//!  netting, 50:    A owes B, B owes C, C owes A     legs  B -> A, C -> B, A -> C
//!  settle-up, 50:  A owes B, A has a claim on C     legs  B -> A, C -> B, A -> C
//!                  A and B are quits, C owes B what it owed A
//! ```
//!
//! Invariants: only who has opted in takes part; nobody's sum of debts and claims rises by it, for
//! one of the two legs of each party lowers a debt or a claim by as much as the other can raise
//! one; what rises stays within the limits.

use super::Validator;
use super::agree::Terms;
use super::input::Accepted;
use super::orders::Failure;
use crate::error::{Code, Refusal};
use crate::ledger::mirror::other_side;
use crate::limits;
use crate::settlement::agreement::{Account, Agreement, Leg, Purpose};
use crate::types::{Amount, Domain, Time, Uai};

impl Validator {
    /// Draws up an agreement that lets every debt of `cycle` fall.
    pub(super) fn net(
        &mut self,
        now: Time,
        asset: &Uai,
        cycle: &[Account],
        amount: Amount,
    ) -> Result<Accepted, Failure> {
        self.check_cycle(cycle)?;
        if amount.is_zero() {
            return Err(Refusal::new(Code::ZeroAmount, "to net").into());
        }
        let legs = legs_of(asset, cycle, amount);
        let own = self.state.domain.clone();
        for other in Agreement::parties_of(&legs).iter().filter(|party| **party != own) {
            self.check_new_business(now, other)?;
        }
        // Our creditor decides: it is the one that gives something up for us.
        let creditor = cycle.get(1).map(|account| account.domain.clone());
        let decider = creditor.ok_or_else(|| Refusal::new(Code::BadCycle, "of one"))?;
        self.check_terms(now, &legs, &decider)?;
        self.check_netting(Purpose::Netting, &legs)?;
        let terms = Terms { purpose: Purpose::Netting, legs, enclosure: None, decider };
        let settlement = self.draw_up(now, terms)?;
        Ok(Accepted { settlement: Some(settlement), ..Accepted::default() })
    }

    fn check_cycle(&self, cycle: &[Account]) -> Result<(), Refusal> {
        if cycle.len() < 3 || cycle.len() > limits::AGREEMENT_PARTIES {
            crate::refuse!(BadCycle, "of {} domains", cycle.len());
        }
        let mut domains: Vec<&Domain> = cycle.iter().map(|account| &account.domain).collect();
        if domains.first() != Some(&&self.state.domain) {
            crate::refuse!(BadCycle, "it does not begin with {}", self.state.domain);
        }
        domains.sort_unstable();
        domains.dedup();
        if domains.len() != cycle.len() {
            crate::refuse!(BadCycle, "a domain is in it twice");
        }
        Ok(())
    }

    /// Whether we take part in a settlement of this kind, and its legs are to our good.
    pub(super) fn check_netting(&self, purpose: Purpose, legs: &[Leg]) -> Result<(), Refusal> {
        match purpose {
            Purpose::Netting => {}
            Purpose::Trade | Purpose::Payment | Purpose::Transfer => return Ok(()),
        }
        if !self.state.netting {
            crate::refuse!(NettingOff, "{}", self.state.domain);
        }
        let own = &self.state.domain;
        let ours = |leg: &&Leg| other_side(leg, own).is_some();
        let (mut incoming, mut outgoing) = (None, None);
        for leg in legs.iter().filter(ours) {
            let (account, slot) = match leg.to.domain == *own {
                true => (&leg.to, &mut incoming),
                false => (&leg.from, &mut outgoing),
            };
            if Some(account.ledger) != self.state.transit || leg.order.is_some() {
                crate::refuse!(BadCycle, "{} does not carry transit here", account.ledger);
            }
            if slot.replace(leg).is_some() {
                crate::refuse!(BadCycle, "it comes through us twice");
            }
        }
        let (Some(incoming), Some(outgoing)) = (incoming, outgoing) else {
            crate::refuse!(BadCycle, "it does not go through us");
        };
        if (&incoming.asset, incoming.amount) != (&outgoing.asset, outgoing.amount) {
            crate::refuse!(BadCycle, "in and out differ");
        }
        if !self.lowers_debt(incoming) && !self.lowers_claim(outgoing) {
            crate::refuse!(NotNetting, "of {} {}", incoming.amount, incoming.asset.code());
        }
        Ok(())
    }

    /// Whether an incoming leg does no more than lower what we owe its giver.
    fn lowers_debt(&self, leg: &Leg) -> bool {
        let known = self.state.books.correspondent(&leg.from.domain, &leg.asset);
        known.owe.minus_or_zero(known.reserved) >= leg.amount
    }

    /// Whether an outgoing leg does no more than lower what its receiver owes us, with what is
    /// promised to it already.
    fn lowers_claim(&self, leg: &Leg) -> bool {
        let (peer, own) = (&leg.to.domain, &self.state.domain);
        let known = self.state.books.correspondent(peer, &leg.asset);
        let open = self.state.settlements.sorted().into_iter();
        let promised = open
            .filter(|(_, settlement)| settlement.holds_legs())
            .flat_map(|(_, settlement)| settlement.legs.iter())
            .filter(|other| {
                other.asset == leg.asset && other.from.domain == *own && other.to.domain == *peer
            })
            .try_fold(leg.amount, |sum, other| sum.plus(other.amount));
        promised.is_some_and(|promised| promised <= known.claim)
    }
}

/// A leg against each debt: from who is owed to who owes.
fn legs_of(asset: &Uai, cycle: &[Account], amount: Amount) -> Vec<Leg> {
    let creditors = cycle.iter().cycle().skip(1);
    let pairs = cycle.iter().zip(creditors);
    pairs
        .map(|(debtor, creditor)| Leg {
            asset: asset.clone(),
            amount,
            from: creditor.clone(),
            to: debtor.clone(),
            order: None,
        })
        .collect()
}
