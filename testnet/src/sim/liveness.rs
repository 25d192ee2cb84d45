//! After the faults: everything must come to its end.
//!
//! The network delivers, clocks are right, everybody is up, nobody orders anything. Within a
//! bounded time every settlement must be final, nothing held but for live offers and takes,
//! every feed acknowledged, and all mirrors zero. What depends on a liar's decision is exempt:
//! DESIGN section 3 promises nothing there.

use std::collections::BTreeMap;

use quadrille_protocol::log::OutcomeKind;
use quadrille_protocol::settlement::Settlement;
use quadrille_protocol::types::Uai;
use quadrille_protocol::validator::Input;

use super::broken::{Broken, Checked};
use super::faults::NodeFaults;
use super::world::{Occasion, Phase, World};

/// How long the parties have to finish, on the true clock.
const PATIENCE_MS: u64 = 60 * 60 * 1000;
/// Most steps of the healing: whoever still talks after them will never stop.
const HEALING_STEPS: u64 = 30_000;
/// How often somebody looks whether they have.
const LOOK_MS: u64 = 2_000;

impl World {
    /// Stops all faults and waits for everything to end.
    pub fn heal(&mut self) -> Checked {
        self.phase = Phase::Healing;
        self.plan.nodes = NodeFaults::NONE;
        self.network.heal();
        self.trace.say(self.now_ms, || "all faults stop".to_owned());
        for node in 0..self.nodes.len() {
            self.nodes[node].clock.set_right();
            if self.nodes[node].validator.is_none() {
                self.plan_at(self.now_ms, Occasion::Start(node));
            }
            self.plan_turn(node, self.now_ms);
        }
        self.connect_everybody();
        let end_ms = self.now_ms + PATIENCE_MS;
        let mut look_ms = self.now_ms + LOOK_MS;
        let last_step = self.figures.steps + HEALING_STEPS;
        while self.now_ms < end_ms && self.figures.steps < last_step {
            if !self.step()? {
                break;
            }
            // What is said every few minutes wakes everybody up: rest is in between.
            let next = self.queue.first_key_value().map(|((at_ms, _), _)| *at_ms);
            let idle = next.is_none_or(|next| next > self.now_ms + LOOK_MS);
            if idle || self.now_ms >= look_ms {
                look_ms = self.now_ms + LOOK_MS;
                if self.at_rest().is_ok() {
                    break;
                }
            }
        }
        self.figures.healing_ms = self.figures.healing_ms.max(self.now_ms + PATIENCE_MS - end_ms);
        self.at_rest()?;
        self.check_subscribers()?;
        self.final_replay()
    }

    fn connect_everybody(&mut self) {
        for node in 0..self.nodes.len() {
            for peer in 0..self.nodes.len() {
                if peer != node {
                    let domain = self.nodes[peer].domain.clone();
                    self.submit(node, Input::Connected(domain));
                }
            }
        }
    }

    /// Whether everything has come to its end.
    fn at_rest(&self) -> Checked {
        for node in (0..self.nodes.len()).filter(|node| self.is_honest(*node)) {
            self.node_at_rest(node)?;
            for peer in (0..self.nodes.len()).filter(|peer| self.is_honest(*peer)) {
                self.feed_at_rest(node, peer)?;
                if node != peer {
                    self.positions_at_rest(node, peer)?;
                }
                if node < peer {
                    self.mirror_at_rest(node, peer)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a settlement's end depends on somebody honest only.
    fn must_end(&self, settlement: &Settlement) -> bool {
        self.index(&settlement.header.decider).is_some_and(|decider| self.is_honest(decider))
    }

    fn involves_liar(&self, settlement: &Settlement) -> bool {
        let parties = settlement.header.parties.iter().chain([&settlement.header.decider]);
        parties.filter_map(|party| self.index(party)).any(|party| !self.is_honest(party))
    }

    fn node_at_rest(&self, node: usize) -> Checked {
        let at = &self.nodes[node];
        let domain = &at.domain;
        let Some(validator) = &at.validator else {
            return Err(Broken::liveness("everybody is up", format!("{domain}")));
        };
        if validator.is_recovering() {
            return Err(Broken::liveness("recovery ends", format!("{domain}")));
        }
        if self.checks.unresolved.contains(&node) {
            return Ok(());
        }
        let state = validator.state();
        let mut exempt = false;
        for (id, settlement) in state.settlements.sorted() {
            if !self.must_end(settlement) {
                exempt = true;
                continue;
            }
            if !settlement.is_final() {
                let what = format!("{domain}: {id} {:?}", settlement.participant);
                return Err(Broken::liveness("every settlement is final", what));
            }
            let buried = state.tombstones.iter().any(|(_, _, tombstone)| tombstone == id);
            if !buried && !self.involves_liar(settlement) {
                let what = format!("{domain}: {id}, confirmed by {:?}", settlement.confirmed);
                return Err(Broken::liveness("settlements are closed", what));
            }
        }
        let open = state.offers.len() + state.takes.len();
        if open > 0 && !exempt {
            let offers = state.offers.sorted().first().map(|(id, offer)| {
                format!("offer {id} {:?} of {} left", offer.state(), offer.remaining())
            });
            let takes = state.takes.sorted().first().map(|(id, take)| {
                format!("take {id} of {}, {:?}", take.terms.offer, take.settlement)
            });
            let what = format!("{domain}: {offers:?} {takes:?} long after their time");
            return Err(Broken::liveness("no orphan hold", what));
        }
        Ok(())
    }

    fn feed_at_rest(&self, node: usize, peer: usize) -> Checked {
        let (one, other) = (&self.nodes[node], &self.nodes[peer]);
        let (Some(left), Some(right)) = (&one.validator, &other.validator) else { return Ok(()) };
        let sent = left.state().peer(&other.domain).map_or_else(Default::default, |at| at.sent);
        let received =
            right.state().peer(&one.domain).map_or_else(Default::default, |at| at.received);
        let acknowledged = left.acknowledged(&other.domain);
        if sent != received || acknowledged != sent {
            let (from, to) = (&one.domain, &other.domain);
            let what =
                format!("{from} to {to}: {sent} sent, {received} taken, {acknowledged} acked");
            return Err(Broken::liveness("feeds are acknowledged", what));
        }
        Ok(())
    }

    /// The two images of what a pair owes each other cancel out, apart from settlements that
    /// only one of them was told to settle by a liar.
    fn mirror_at_rest(&self, one: usize, other: usize) -> Checked {
        if self.checks.unresolved.contains(&one) || self.checks.unresolved.contains(&other) {
            return Ok(());
        }
        let (left, right) = (self.checks.audit_of(one), self.checks.audit_of(other));
        let mut sums: BTreeMap<Uai, i128> = BTreeMap::new();
        for (audit, peer) in [(left, right), (right, left)] {
            for ((domain, asset), claim) in &audit.books.claims {
                if *domain == peer.domain {
                    *sums.entry(asset.clone()).or_default() += claim;
                }
            }
            for (id, settlement) in &audit.settlements {
                let settled = Some(OutcomeKind::Settle);
                let same = peer.settlement(id).is_some_and(|known| known.applied == settled);
                let decider = settlement.header.as_ref().and_then(|at| self.index(&at.decider));
                let honest = decider.is_none_or(|decider| self.is_honest(decider));
                if settlement.applied != settled || same || honest {
                    continue;
                }
                for ((domain, asset), amount) in &settlement.moved {
                    if *domain == peer.domain {
                        *sums.entry(asset.clone()).or_default() -= amount;
                    }
                }
            }
        }
        match sums.into_iter().find(|(_, sum)| *sum != 0) {
            None => Ok(()),
            Some((asset, sum)) => {
                let what = format!("{} and {}: {sum} of {asset}", left.domain, right.domain);
                Err(Broken::liveness("mirrors are zero at rest", what))
            }
        }
    }

    /// Every log, replayed once more, gives the state that its validator has.
    fn final_replay(&mut self) -> Checked {
        use quadrille_protocol::validator::{Settings, Validator};
        for node in (0..self.nodes.len()).filter(|node| self.is_honest(*node)) {
            let at = &self.nodes[node];
            let Some(validator) = &at.validator else { continue };
            let stored: Vec<_> = at.sealed.iter().map(|sealed| sealed.batch.stored()).collect();
            let settings = Settings::new(self.cast.preimage_seed(node));
            let broken = |fault| Broken::safety("replay gives the same state", format!("{fault}"));
            let replayed = Validator::replay(settings, stored).map_err(broken)?;
            crate::demand!(
                replayed.snapshot() == validator.snapshot(),
                "replay gives the same state",
                "{} at the end",
                at.domain
            );
        }
        Ok(())
    }
}
