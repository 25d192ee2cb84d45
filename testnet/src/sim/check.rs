//! The invariants of DESIGN section 10, held after every step.
//!
//! Each domain's log is audited on its own (see `audit`); here its books are compared with its
//! validator's, and the domains with one another. No check reads a clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use quadrille_protocol::crypto::suite::Signature;
use quadrille_protocol::log::{Batch, OutcomeKind};
use quadrille_protocol::types::{Amount, Domain, Hash, Height, SettlementId, Uai, Ubi};
use quadrille_protocol::validator::{Effect, Input, State, Validator};

use super::audit::{Audit, News};
use super::broken::{Broken, Checked};
use super::world::World;
use crate::demand;

/// What the checks remember.
#[derive(Debug)]
pub struct Checks {
    audits: Vec<Audit>,
    read: Vec<usize>,
    opening: Vec<usize>,
    left: Vec<BTreeMap<Height, Hash>>,
    decisions: BTreeMap<(SettlementId, usize), OutcomeKind>,
    outcomes: BTreeMap<SettlementId, BTreeMap<usize, OutcomeKind>>,
    expected: Vec<Option<Vec<u8>>>,
    exposures: BTreeMap<(usize, Domain, Uai), Amount>,
    /// Nodes whose operator must resolve something that no copy could give back.
    pub unresolved: BTreeSet<usize>,
    /// Whether a validator's books are believed: then only reconciliation can find what is wrong
    /// with them.
    trusting: bool,
}

impl Checks {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(domains: &[Domain], trusting: bool) -> Self {
        let count = domains.len();
        Self {
            audits: domains.iter().cloned().map(Audit::new).collect(),
            read: vec![0; count],
            opening: vec![0; count],
            left: vec![BTreeMap::new(); count],
            decisions: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            expected: vec![None; count],
            exposures: BTreeMap::new(),
            unresolved: BTreeSet::new(),
            trusting,
        }
    }

    /// The opening of `node` took this many batches: every copy has them.
    pub fn opened(&mut self, node: usize, batches: usize) {
        self.opening[node] = batches;
    }

    /// How many batches every copy has.
    #[must_use]
    pub fn opening_batches(&self, node: usize) -> usize {
        self.opening[node]
    }

    /// What replaying the disk of a node that just died must give, where that is known.
    pub fn expect_replay(&mut self, node: usize, snapshot: Option<Vec<u8>>) {
        self.expected[node] = snapshot;
    }

    /// The audit of a domain.
    #[must_use]
    pub fn audit_of(&self, node: usize) -> &Audit {
        &self.audits[node]
    }

    /// How each honest party ended a settlement.
    #[must_use]
    pub fn outcomes(&self) -> &BTreeMap<SettlementId, BTreeMap<usize, OutcomeKind>> {
        &self.outcomes
    }

    /// A node's guard went back in time with its log. What nobody has written down was never
    /// said: its heights may be used again.
    pub fn forget_unheard(&mut self, node: usize, kept: impl Iterator<Item = (Height, Hash)>) {
        let domain = self.audits[node].domain.clone();
        let mut heard: BTreeMap<Height, Hash> = kept.collect();
        for audit in &self.audits {
            heard.extend(audit.heard.get(&domain).into_iter().flatten());
        }
        self.left[node].retain(|height, hash| heard.get(height) == Some(hash));
    }

    fn leaves(&mut self, node: usize, height: Height, hash: Hash) -> Checked {
        let known = *self.left[node].entry(height).or_insert(hash);
        let domain = &self.audits[node].domain;
        demand!(known == hash, "one checkpoint per height", "{domain} said two at {height}");
        Ok(())
    }
}

impl World {
    /// Something of the batch at `height` is about to leave an honest node.
    pub(super) fn check_leaving(&mut self, node: usize, height: Height) -> Checked {
        let at = &self.nodes[node];
        let sealed = at.place_of(height).map(|place| &at.sealed[place]);
        let durable = at.disk.batches() >= at.sealed.len();
        let Some(sealed) = sealed.filter(|sealed| sealed.signature.is_some() && durable) else {
            let what = format!("{} says height {height}, which is not durable", at.domain);
            return Err(Broken::safety("appended before sent", what));
        };
        let hash = sealed.batch.checkpoint().hash();
        self.checks.leaves(node, height, hash)
    }

    /// A batch of `node` is durable and signed.
    pub(super) fn audit(&mut self, node: usize, batch: &Batch) -> Checked {
        if !self.is_honest(node) {
            return Ok(());
        }
        self.checks.audits[node].read(batch)?;
        self.checks.read[node] += 1;
        let news = std::mem::take(&mut self.checks.audits[node].news);
        for item in news {
            match item {
                News::Decided(id) => self.check_decided(node, id)?,
                News::Applied(id) => self.check_applied(node, id)?,
                News::Revealed(_) => self.figures.reveals += 1,
                News::Broke(peer, asset) => self.check_break(node, &peer, &asset)?,
            }
        }
        Ok(())
    }

    /// Reads a node's log again where the audit is not at its end: after a restore.
    pub(super) fn reread(&mut self, node: usize) -> Checked {
        let signed: Vec<Arc<Batch>> = self.nodes[node]
            .sealed
            .iter()
            .filter(|sealed| sealed.signature.is_some())
            .map(|sealed| sealed.batch.clone())
            .collect();
        if signed.len() == self.checks.read[node] {
            return Ok(());
        }
        self.checks.audits[node] = Audit::new(self.nodes[node].domain.clone());
        self.checks.read[node] = 0;
        self.checks.unresolved.remove(&node);
        for batch in signed {
            self.audit(node, &batch)?;
        }
        Ok(())
    }

    fn check_decided(&mut self, node: usize, id: SettlementId) -> Checked {
        let decided = self.checks.audits[node].settlement(&id).and_then(|known| known.decided);
        let Some(outcome) = decided else { return Ok(()) };
        let mut known = *self.checks.decisions.entry((id, node)).or_insert(outcome);
        if known != outcome && self.restored == Some(node) && !self.is_decision_heard(node, id) {
            // Written, lost with the disk, and never heard by anybody: it was never said.
            self.checks.decisions.insert((id, node), outcome);
            if let Some(ends) = self.checks.outcomes.get_mut(&id) {
                ends.remove(&node);
            }
            known = outcome;
        }
        let domain = &self.nodes[node].domain;
        demand!(
            known == outcome,
            "one decision per settlement",
            "{domain} decided {known:?}, then {outcome:?} of {id}"
        );
        Ok(())
    }

    /// Whether anybody honest has written down that it heard a decision of `node`.
    fn is_decision_heard(&self, node: usize, id: SettlementId) -> bool {
        let others = (0..self.nodes.len()).filter(|other| *other != node);
        let mut heard = others.filter_map(|other| self.checks.audits[other].settlement(&id));
        heard.any(|known| known.heard.is_some())
    }

    /// An honest party has applied an outcome: the others must not have applied the other one,
    /// and what moved between any two of them must cancel out.
    fn check_applied(&mut self, node: usize, id: SettlementId) -> Checked {
        let Some(settlement) = self.checks.audits[node].settlement(&id) else { return Ok(()) };
        let Some(outcome) = settlement.applied else { return Ok(()) };
        let decider = settlement.header.as_ref().and_then(|header| self.index(&header.decider));
        let honest_decider = decider.is_some_and(|decider| self.is_honest(decider));
        let ends = self.checks.outcomes.entry(id).or_default();
        let new = ends.is_empty();
        let before = *ends.entry(node).or_insert(outcome);
        let ends: Vec<(usize, OutcomeKind)> = ends.iter().map(|(at, end)| (*at, *end)).collect();
        self.check_netted(node, &id)?;
        let domain = &self.nodes[node].domain;
        demand!(
            before == outcome,
            "settled everywhere or nowhere",
            "{domain} ended {id} as {before:?}, then as {outcome:?}"
        );
        if new {
            match outcome {
                OutcomeKind::Settle => self.figures.settled += 1,
                OutcomeKind::Refund => self.figures.refunded += 1,
            }
        }
        for (other, end) in ends {
            let peer = &self.nodes[other].domain;
            demand!(
                end == outcome || !honest_decider,
                "settled everywhere or nowhere",
                "{domain} ended {id} as {outcome:?}, {peer} as {end:?}"
            );
            if other != node && end == outcome {
                self.check_mirror(node, other, &id)?;
            }
        }
        Ok(())
    }

    fn check_mirror(&self, one: usize, other: usize, id: &SettlementId) -> Checked {
        let (left, right) = (&self.checks.audits[one], &self.checks.audits[other]);
        let (Some(ours), Some(theirs)) = (left.settlement(id), right.settlement(id)) else {
            return Ok(());
        };
        if theirs.applied.is_none() {
            return Ok(());
        }
        let mut sums: BTreeMap<&Uai, i128> = BTreeMap::new();
        for ((peer, asset), amount) in &ours.moved {
            if *peer == right.domain {
                *sums.entry(asset).or_default() += amount;
            }
        }
        for ((peer, asset), amount) in &theirs.moved {
            if *peer == left.domain {
                *sums.entry(asset).or_default() += amount;
            }
        }
        let broken = sums.iter().find(|(_, sum)| **sum != 0);
        demand!(
            broken.is_none(),
            "correspondent mirrors sum to zero",
            "{} and {} after {id}: {broken:?}",
            left.domain,
            right.domain
        );
        Ok(())
    }

    /// The validator's state against the audit of its log, and against itself.
    pub(super) fn compare(&mut self, node: usize) -> Checked {
        let at = &self.nodes[node];
        let Some(validator) = &at.validator else { return Ok(()) };
        let audit = &self.checks.audits[node];
        let state = validator.state();
        if at.byzantine || audit.head.0 != state.height || self.checks.unresolved.contains(&node) {
            return Ok(());
        }
        let domain = &at.domain;
        demand!(audit.head.1 == state.head, "checkpoint chains are intact", "{domain}");
        if !self.checks.trusting {
            compare_books(domain, audit, state)?;
        }
        check_holds(domain, audit, state)?;
        check_headroom(domain, state)?;
        for ((peer, asset), known) in &state.books.correspondents {
            let exposure = known.exposure();
            let key = (node, peer.clone(), asset.clone());
            let before = self.checks.exposures.get(&key).copied().unwrap_or(Amount::ZERO);
            demand!(
                exposure <= known.limit.max(before),
                "exposure within limits",
                "{domain} to {peer}: {exposure} of {asset}, limit {}",
                known.limit
            );
            if exposure != before {
                self.checks.exposures.insert(key, exposure);
            }
        }
        Ok(())
    }

    /// A node was replayed from its disk: it must know what it knew when it died.
    pub(super) fn check_replay(&mut self, node: usize, validator: &Validator) -> Checked {
        let Some(expected) = self.checks.expected[node].take() else { return Ok(()) };
        self.figures.replays += 1;
        demand!(
            validator.snapshot() == expected,
            "replay gives the same state",
            "{} at height {}",
            self.nodes[node].domain,
            validator.state().height
        );
        Ok(())
    }

    /// A frame that a node has had already reaches it again: nothing may change.
    pub(super) fn redeliver(&mut self, node: usize) -> Checked {
        self.turn(node)?;
        let now_ms = self.now_ms;
        let at = &mut self.nodes[node];
        let Some(validator) = &mut at.validator else { return Ok(()) };
        if validator.is_recovering() || at.byzantine || !at.inputs.is_empty() {
            return Ok(());
        }
        let frame = at.sealed.iter().rev().take(40).find_map(|sealed| {
            sealed.batch.stored().records.iter().find_map(|bytes| {
                use quadrille_protocol::log::Record;
                match Record::read(bytes).ok()? {
                    Record::Received(frame) => Some(frame),
                    _ => None,
                }
            })
        });
        let Some(frame) = frame else { return Ok(()) };
        let before = validator.snapshot();
        let mut inputs = VecDeque::from([Input::Frame { frame, findings: Vec::new() }]);
        let now = at.clock.at(now_ms);
        let turned = validator.turn(now, at.entropy.bytes(), &mut inputs);
        let effects = turned.map_err(|fault| Broken::crash(fault.to_string()))?;
        self.figures.redeliveries += 1;
        demand!(
            effects.batch.is_none() && validator.snapshot() == before,
            "redelivery changes nothing",
            "{} wrote something",
            at.domain
        );
        Ok(())
    }

    /// What a second process on the same guard says before it is stopped.
    pub(super) fn say_as_twin(
        &mut self,
        node: usize,
        batch: &Arc<Batch>,
        signature: &Signature,
        after: &[Effect],
    ) -> Checked {
        use super::world::Packet;
        let checkpoint = batch.checkpoint();
        self.checks.leaves(node, checkpoint.height, checkpoint.hash())?;
        for effect in after {
            if let Effect::SendPage { to, page, .. } = effect
                && let Ok(frame) = batch.frame(*page, signature)
                && let Some(to) = self.index(to)
            {
                let bytes = quadrille_protocol::codec::encode(&frame);
                self.send(node, to, &Packet::Frame(bytes.into()));
            }
        }
        Ok(())
    }
}

fn units(amount: Amount) -> i128 {
    i128::try_from(amount.units()).unwrap_or(i128::MAX)
}

fn compare_books(domain: &Domain, audit: &Audit, state: &State) -> Checked {
    let mut sums: BTreeMap<&Uai, i128> = BTreeMap::new();
    for (ubi, known) in &audit.books.ledgers {
        let Some(ledger) = state.books.ledgers.get(ubi) else {
            return Err(Broken::safety("books follow the log", format!("{domain}: no {ubi}")));
        };
        demand!(
            known.head == (ledger.sequence, ledger.head),
            "ledger chains are intact",
            "{domain} {ubi} at {}",
            ledger.sequence
        );
        for (asset, balance) in &known.balances {
            let (free, held) = ledger.balance(asset);
            demand!(
                *balance == (units(free), units(held)),
                "books follow the log",
                "{domain} {ubi}: {balance:?} by the log, {free} and {held} in the books"
            );
            *sums.entry(asset).or_default() += balance.0 + balance.1;
        }
    }
    for ((peer, asset), claim) in &audit.books.claims {
        let known = state.books.correspondent(peer, asset);
        demand!(
            units(known.claim) - units(known.owe) == *claim,
            "books follow the log",
            "{domain} and {peer}: {claim} {asset} by the log, {known:?} in the books"
        );
        *sums.entry(asset).or_default() -= claim;
    }
    for (asset, issued) in &audit.books.issued {
        *sums.entry(asset).or_default() -= issued;
    }
    let broken = sums.iter().find(|(_, sum)| **sum != 0);
    demand!(broken.is_none(), "conservation per asset", "{domain}: {broken:?}");
    Ok(())
}

/// What is held is what live offers, takes and payments have set aside, to the unit.
fn check_holds(domain: &Domain, audit: &Audit, state: &State) -> Checked {
    let mut due: BTreeMap<(Ubi, &Uai), i128> = BTreeMap::new();
    let offers = state.offers.sorted();
    for (_, offer) in &offers {
        *due.entry((offer.ledger(), &offer.terms().give)).or_default() += units(offer.remaining());
    }
    let takes = state.takes.sorted();
    for (_, take) in &takes {
        *due.entry((take.ledger, &take.pair.want)).or_default() += units(take.terms.pay);
    }
    let payments = state.payments.sorted();
    for (_, known) in &payments {
        let payment = &known.payment;
        *due.entry((known.ledger, &payment.spend)).or_default() += units(payment.max_cost);
    }
    due.retain(|_, amount| *amount != 0);
    let held: BTreeMap<(Ubi, &Uai), i128> = audit
        .books
        .ledgers
        .iter()
        .flat_map(|(ubi, ledger)| {
            ledger.balances.iter().map(move |(asset, balance)| ((*ubi, asset), balance.1))
        })
        .filter(|(_, held)| *held != 0)
        .collect();
    if due == held {
        return Ok(());
    }
    let differs = held.iter().find(|(key, amount)| due.get(*key) != Some(*amount));
    let differs =
        differs.or_else(|| due.iter().find(|(key, amount)| held.get(*key) != Some(*amount)));
    Err(Broken::safety("held is what is set aside", format!("{domain}: {differs:?}")))
}

/// The headroom set aside is what the open settlements will bring, to the unit.
fn check_headroom(domain: &Domain, state: &State) -> Checked {
    let mut due: BTreeMap<(&Domain, &Uai), i128> = BTreeMap::new();
    let settlements = state.settlements.sorted();
    for (_, settlement) in settlements.iter().filter(|(_, known)| known.holds_legs()) {
        for leg in &settlement.legs {
            if leg.to.domain == *domain && leg.from.domain != *domain {
                *due.entry((&leg.from.domain, &leg.asset)).or_default() += units(leg.amount);
            }
        }
    }
    for ((peer, asset), known) in &state.books.correspondents {
        let wanted = due.remove(&(peer, asset)).unwrap_or(0);
        demand!(
            units(known.reserved) == wanted,
            "limits are reserved when legs are locked",
            "{domain} for {peer}: {} of {asset} reserved, {wanted} due",
            known.reserved
        );
    }
    demand!(
        due.values().all(|amount| *amount == 0),
        "limits are reserved when legs are locked",
        "{domain}: {due:?}"
    );
    Ok(())
}
