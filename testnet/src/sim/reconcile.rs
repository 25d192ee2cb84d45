//! Reconciliation in the simulator: breaks that must not be, breaks that must be explained,
//! and whether every bank has in the end heard that its mirrors are mirrors.

use quadrille_protocol::log::OutcomeKind;
use quadrille_protocol::types::{Domain, Uai};
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
}
