//! Reconciliation and netting in the simulator: breaks that must not be, breaks that must be
//! explained, rings of debts that operators net, and what must hold of all this.

use std::collections::BTreeMap;

use quadrille_protocol::log::OutcomeKind;
use quadrille_protocol::payment::netting::{Obligation, find_cycles};
use quadrille_protocol::settlement::Account;
use quadrille_protocol::types::{Amount, Domain, SettlementId, Uai};
use quadrille_protocol::validator::Command;

use super::broken::{Broken, Checked};
use super::world::World;
use crate::demand;

impl World {
    /// An honest bank finds that a peer's books differ from its own: between two honest banks
    /// that cannot be, unless a liar decided one of their settlements both ways.
    pub(super) fn check_break(&self, node: usize, peer: &Domain, asset: &Uai) -> Checked {
        let Some(other) = self.index(peer) else { return Ok(()) };
        demand!(
            !self.is_honest(other) || self.may_differ(node, other),
            "honest books reconcile",
            "{} finds that {peer} differs in {asset}",
            self.nodes[node].domain
        );
        Ok(())
    }

    /// Whether something beyond the two banks' power may have made their books differ.
    fn may_differ(&self, one: usize, other: usize) -> bool {
        if self.checks.unresolved.contains(&one) || self.checks.unresolved.contains(&other) {
            return true;
        }
        let (left, right) = (self.checks.audit_of(one), self.checks.audit_of(other));
        let settled = Some(OutcomeKind::Settle);
        [(left, right), (right, left)].into_iter().any(|(audit, peer)| {
            audit.settlements.iter().any(|(id, known)| {
                let decider = known.header.as_ref().and_then(|at| self.index(&at.decider));
                let lied = decider.is_some_and(|decider| !self.is_honest(decider));
                let same = peer.settlement(id).is_some_and(|theirs| theirs.applied == settled);
                lied && known.applied == settled && !same
            })
        })
    }

    /// Whether `node` has told `peer` all its positions, and `peer` found them right.
    pub(super) fn positions_at_rest(&self, node: usize, peer: usize) -> Checked {
        if self.may_differ(node, peer) {
            return Ok(());
        }
        let (one, other) = (&self.nodes[node], &self.nodes[peer]);
        let (Some(left), Some(right)) = (&one.validator, &other.validator) else { return Ok(()) };
        for ((domain, asset), known) in &left.state().books.correspondents {
            let books = &right.state().books;
            if *domain != other.domain || known.mirror.count == 0 {
                continue;
            }
            // A profile that was lost with the disk: its positions are not looked at.
            if !books.assets.contains_key(asset) {
                continue;
            }
            let heard = books.correspondent(&one.domain, asset).mirror.reconciled;
            if heard.map(|heard| heard.count) != Some(known.mirror.count) {
                let what = format!(
                    "{} has booked {} of {asset}, {} has compared {heard:?}",
                    one.domain, known.mirror.count, other.domain
                );
                return Err(Broken::liveness("positions are compared", what));
            }
        }
        Ok(())
    }

    /// An operator explains a break.
    pub(super) fn explain(&mut self) {
        let broken = (0..self.nodes.len()).find_map(|node| {
            let state = self.nodes[node].validator.as_ref()?.state();
            let mut known = state.books.correspondents.iter();
            let (pair, _) = known.find(|(_, known)| known.mirror.broken.is_some())?;
            Some((node, pair.clone()))
        });
        let Some((node, (peer, asset))) = broken else { return };
        let note = "looked into it".parse().expect("a short text");
        self.command(node, Command::ExplainBreak { peer, asset, note });
    }

    /// Netting and settling up move debts; what a bank owes and is owed on balance stays.
    pub(super) fn check_netted(&mut self, node: usize, id: &SettlementId) -> Checked {
        let audit = self.checks.audit_of(node);
        let Some(known) = audit.settlement(id) else { return Ok(()) };
        if known.applied != Some(OutcomeKind::Settle) || !known.is_netting() {
            return Ok(());
        }
        let mut sums: BTreeMap<&Uai, i128> = BTreeMap::new();
        for ((_, asset), amount) in &known.moved {
            *sums.entry(asset).or_default() += amount;
        }
        demand!(
            sums.values().all(|sum| *sum == 0),
            "netting changes nobody's balance",
            "{} by {id}: {sums:?}",
            audit.domain
        );
        self.figures.netted += 1;
        Ok(())
    }

    /// What the banks would say they owe in `asset`: those that have opted in.
    fn obligations(&self, asset: &Uai) -> Vec<Obligation> {
        let mut known = Vec::new();
        let states = self.nodes.iter().filter_map(|node| node.validator.as_ref());
        for state in states.map(|validator| validator.state()).filter(|state| state.netting) {
            let owing = state.books.correspondents.iter().filter(|((_, of), _)| of == asset);
            known.extend(owing.map(|((creditor, _), line)| Obligation {
                debtor: state.domain.clone(),
                creditor: creditor.clone(),
                asset: asset.clone(),
                amount: line.owe,
            }));
        }
        known
    }

    fn transit_of(&self, domain: &Domain) -> Option<Account> {
        let bank = self.index(domain)?;
        let ledger = self.cast.customers[*self.cast.banks[bank].holders.last()?].ubi;
        Some(Account { domain: domain.clone(), ledger })
    }

    fn some_asset(&mut self) -> Uai {
        let at = self.workload.random.index(self.cast.banks.len());
        self.cast.banks[at].uai.clone()
    }

    /// An operator looks for rings of debts and nets the best one.
    pub(super) fn net(&mut self) {
        let first = self.workload.random.index(self.cast.banks.len());
        for step in 0..self.cast.banks.len() {
            let asset = self.cast.banks[(first + step) % self.cast.banks.len()].uai.clone();
            let obligations = self.obligations(&asset);
            let at = self.workload.random.index(self.nodes.len());
            let domain = self.nodes[at].domain.clone();
            let Some(found) = find_cycles(&domain, &asset, &obligations).into_iter().next() else {
                continue;
            };
            let cycle = found.parties.iter().filter_map(|party| self.transit_of(party)).collect();
            self.command(at, Command::Net { asset, cycle, amount: found.amount });
            return;
        }
    }

    /// An operator pays a debt with a claim on a third bank.
    pub(super) fn settle_up(&mut self) {
        let asset = self.some_asset();
        let obligations = self.obligations(&asset);
        if obligations.is_empty() {
            return;
        }
        let at = self.workload.random.index(obligations.len());
        let debt = obligations[at].clone();
        let claim = obligations
            .iter()
            .find(|known| known.creditor == debt.debtor && known.debtor != debt.creditor);
        let Some(claim) = claim.filter(|claim| !claim.amount.is_zero()) else { return };
        let amount = Amount::new(debt.amount.units().min(claim.amount.units()));
        let parties = [&debt.debtor, &debt.creditor, &claim.debtor];
        let cycle = parties.iter().filter_map(|party| self.transit_of(party)).collect();
        if let Some(debtor) = self.index(&debt.debtor) {
            self.command(debtor, Command::Net { asset, cycle, amount });
        }
    }

    /// An operator opts in to netting, now and then one out of it.
    pub(super) fn opt_in(&mut self) {
        let at = self.workload.random.index(self.nodes.len());
        let on = self.workload.random.chance(8_000);
        self.command(at, Command::SetNetting(on));
    }
}
