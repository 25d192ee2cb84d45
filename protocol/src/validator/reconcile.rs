//! Reconciliation: telling peers what we have booked with them, comparing what they tell us.
//!
//! ```text
//!  A books a leg, says Finalised ---------------->  B notes that A has booked it
//!  a little later: Position(count, digest, owe, claim) -->  B: own tally
//!                                                              - what A has not yet booked
//!                                                              + what B has not yet booked
//!                                                           must be A's, mirrored
//! ```
//!
//! Why the comparison is exact, with any number of settlements open. A says Finalised in the
//! batch in which it books, so in its feed a position stands behind the Finalised of every leg
//! that is in it and before that of every other one. B reads the feed in order. A settlement
//! that only one of the two has booked is in B's memory, since B forgets one only when it has
//! booked it and has heard A's Finalised. So B knows to the leg what A's position contains.
//!
//! Invariants: nothing here moves money; while our own books are being restored nobody is told
//! a position and none is held against a peer.

use super::Validator;
use super::effect::Event;
use super::input::Accepted;
use super::orders::Failure;
use super::state::State;
use super::volatile::Timer;
use crate::error::{Code, Fault, Refusal};
use crate::ledger::mirror::{Break, Position, Tally, other_side};
use crate::limits;
use crate::log::record::Explained;
use crate::log::{Record, Statement};
use crate::settlement::{Initiator, Leg, Participant, Settlement};
use crate::types::{Detail, Domain, Duration, SettlementId, Time, Uai};

impl State {
    /// What we have booked with `peer` in `asset`, as we tell it.
    #[must_use]
    pub fn position(&self, peer: &Domain, asset: &Uai) -> Position {
        let known = self.books.correspondent(peer, asset);
        Position {
            with: peer.clone(),
            asset: asset.clone(),
            owe: known.owe,
            claim: known.claim,
            count: known.mirror.count,
            digest: known.mirror.digest,
        }
    }

    /// Counts the legs of a settlement that was booked.
    pub(super) fn count_booked(&mut self, id: &SettlementId, legs: &[Leg]) {
        for (place, leg) in legs.iter().enumerate() {
            let Some(peer) = other_side(leg, &self.domain) else { continue };
            let tally = Tally::of_leg(id, place, leg, &self.domain);
            self.books.correspondent_mut(peer, &leg.asset).mirror.book(tally);
        }
    }

    /// What `peer` must have booked with us in `asset`, by all that its feed has told so far.
    fn expected_of(&self, peer: &Domain, asset: &Uai) -> Tally {
        let mut expected = self.position(peer, asset).tally();
        for (id, settlement) in self.settlements.sorted() {
            let (ours, theirs) = (is_booked(settlement), settlement.confirmed.contains(peer));
            if ours == theirs {
                continue;
            }
            for (place, leg) in settlement.legs.iter().enumerate() {
                if leg.asset != *asset || other_side(leg, &self.domain) != Some(peer) {
                    continue;
                }
                let leg = Tally::of_leg(id, place, leg, &self.domain);
                expected = if ours { expected.minus(leg) } else { expected.plus(leg) };
            }
        }
        expected.mirrored()
    }

    /// A peer tells its position: how it differs from what was to be expected is noted.
    pub(super) fn learn_position(&mut self, from: &Domain, told: &Position, at: Time) {
        // Only assets that we know: nobody can fill our books with others.
        if told.with != self.domain || !self.books.assets.contains_key(&told.asset) {
            return;
        }
        let difference = told.tally().minus(self.expected_of(from, &told.asset));
        let known = self.books.correspondent_mut(from, &told.asset);
        known.mirror.hear(told, at, difference);
    }
}

/// Whether we have applied the settlement.
fn is_booked(settlement: &Settlement) -> bool {
    settlement.initiator == Some(Initiator::Settled)
        || settlement.participant == Some(Participant::Settled)
}

impl Validator {
    /// Whom we share a leg of a settlement with, and in which asset.
    pub(super) fn crossing(&self, settlement: &Settlement) -> Vec<(Domain, Uai)> {
        let crossing = settlement.legs.iter().filter_map(|leg| {
            let peer = other_side(leg, &self.state.domain)?;
            Some((peer.clone(), leg.asset.clone()))
        });
        crossing.collect()
    }

    /// Something was booked with a peer in an asset: it is told our position soon.
    pub(super) fn tell_soon(&mut self, now: Time, pair: (Domain, Uai)) {
        if self.volatile.booked.insert(pair.clone()) {
            let at = now.after(Duration(limits::POSITION_WAIT_MS));
            self.volatile.schedule(at, Timer::Position(pair.0, pair.1));
        }
    }

    /// All timers for positions that the state asks for.
    pub(super) fn watch_positions(&mut self, now: Time) {
        self.volatile.booked.clear();
        let booked = self.state.books.correspondents.iter();
        let booked = booked.filter(|(_, known)| known.mirror.count > 0);
        let all: Vec<((Domain, Uai), bool)> = booked
            .map(|(pair, known)| (pair.clone(), known.mirror.said != known.mirror.count))
            .collect();
        for (pair, news) in all {
            if news {
                self.tell_soon(now, pair.clone());
            }
            self.tell_again(now, pair.0, pair.1);
        }
    }

    fn tell_again(&mut self, now: Time, peer: Domain, asset: Uai) {
        let at = now.after(Duration(limits::POSITION_REPEAT_MS));
        self.volatile.schedule(at, Timer::PositionAgain(peer, asset));
    }

    pub(super) fn position_due(
        &mut self,
        now: Time,
        peer: Domain,
        asset: Uai,
    ) -> Result<(), Fault> {
        self.volatile.booked.remove(&(peer.clone(), asset.clone()));
        let mirror = self.state.books.correspondent(&peer, &asset).mirror;
        if mirror.said == mirror.count {
            return Ok(());
        }
        if mirror.said == 0 {
            self.tell_again(now, peer.clone(), asset.clone());
        }
        self.say_position(&peer, &asset)
    }

    pub(super) fn position_again(
        &mut self,
        now: Time,
        peer: Domain,
        asset: Uai,
    ) -> Result<(), Fault> {
        self.say_position(&peer, &asset)?;
        self.tell_again(now, peer, asset);
        Ok(())
    }

    fn say_position(&mut self, peer: &Domain, asset: &Uai) -> Result<(), Fault> {
        let position = self.state.position(peer, asset);
        self.say(Statement::Position(position), [peer].into_iter())?;
        Ok(())
    }

    /// A peer's position has arrived and is learnt: does it break with ours?
    pub(super) fn position_arrived(&mut self, from: &Domain, told: &Position) -> Result<(), Fault> {
        if self.is_recovering() {
            return Ok(());
        }
        if told.with != self.state.domain {
            let what = format!("a position with {}", told.with);
            self.misbehaved(from, Code::WrongDomain, what);
            return Ok(());
        }
        let mirror = self.state.books.correspondent(from, &told.asset).mirror;
        if mirror.broken.is_some() || !mirror.differs() {
            return Ok(());
        }
        let ours = self.state.position(from, &told.asset);
        let broken = Box::new(Break { peer: from.clone(), ours, theirs: told.clone() });
        self.commit(&Record::Broken(broken.clone()))?;
        self.event(Event::ReconciliationBreak { broken });
        Ok(())
    }

    /// The operator explains a break.
    pub(super) fn explain_break(
        &mut self,
        peer: Domain,
        asset: Uai,
        note: Detail,
    ) -> Result<Accepted, Failure> {
        if self.state.books.correspondent(&peer, &asset).mirror.broken.is_none() {
            let what = format!("{} with {peer}", asset.code());
            return Err(Refusal::new(Code::NoBreak, what).into());
        }
        self.write(Record::Explained(Explained { peer, asset, note }))
    }
}
