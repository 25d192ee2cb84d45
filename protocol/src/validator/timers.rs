//! Timers: what is looked at, and when. Whether anything is due is read from the state.

use super::Validator;
use super::volatile::Timer;
use crate::error::{Code, Fault};
use crate::limits;
use crate::log::OutcomeKind;
use crate::sabotage::{Bug, planted};
use crate::settlement::Initiator;
use crate::settlement::initiator::InitiatorEvent;
use crate::types::{Domain, Duration, OrderId, Sequence, SettlementId, Time};

const TICK: Duration = Duration(1);

impl Validator {
    pub(super) fn fire_timers(&mut self, now: Time) -> Result<(), Fault> {
        if self.is_recovering() {
            self.probe_while_recovering(now);
            return Ok(());
        }
        while !self.draft.is_full() {
            let Some(timer) = self.volatile.timers.pop_due(now) else { return Ok(()) };
            self.fire(now, timer)?;
        }
        Ok(())
    }

    fn fire(&mut self, now: Time, timer: Timer) -> Result<(), Fault> {
        match timer {
            Timer::Window(offer) => self.select_takes(now, offer),
            Timer::OfferEnds(offer) => self.expire_offer(now, offer),
            Timer::TakeEnds(take) => self.expire_take(now, take),
            Timer::GiveUp(id) => self.give_up(now, id),
            Timer::Decide(id) => self.decide_if_due(now, id),
            Timer::Query(id, wait) => {
                self.query(now, id, wait);
                Ok(())
            }
            Timer::Probe(peer, wait) => {
                self.probe(now, &peer, wait);
                Ok(())
            }
            Timer::Position(peer, asset) => self.position_due(now, peer, asset),
            Timer::PositionAgain(peer, asset) => self.position_again(now, peer, asset),
        }
    }

    fn give_up(&mut self, now: Time, id: SettlementId) -> Result<(), Fault> {
        if planted(Bug::RefundAfterReveal) {
            let revealed = self.state.settlements.get(&id);
            if revealed.is_some_and(|known| known.initiator == Some(Initiator::Revealed)) {
                return self.conclude(now, id, OutcomeKind::Refund);
            }
        }
        // The machine ignores it once the secret is out.
        self.initiate(now, id, InitiatorEvent::GiveUp(Code::TimedOut))
    }

    /// A peer has not acknowledged everything: tell it where we stand, less and less often.
    fn probe(&mut self, now: Time, peer: &Domain, wait: Duration) {
        let sent = self.state.peer(peer).map_or(Sequence(0), |known| known.sent);
        let link = self.volatile.link_mut(peer);
        if link.acknowledged >= sent {
            link.probing = false;
            return;
        }
        let next = Duration(wait.0.saturating_mul(2).min(limits::PROBE_MAX_MS));
        self.volatile.schedule(now.after(next), Timer::Probe(peer.clone(), next));
        self.ask_to_resume(peer);
    }

    /// While recovering only questions are asked, of everybody, over and over.
    fn probe_while_recovering(&mut self, now: Time) {
        let due = self.volatile.timers.first().is_none_or(|at| at <= now);
        if due {
            self.volatile.timers.clear();
            let wait = Duration(limits::PROBE_FIRST_MS);
            let own = self.state.domain.clone();
            self.volatile.schedule(now.after(wait), Timer::Probe(own, wait));
            self.greet_peers();
        }
    }

    pub(super) fn watch_offer(&mut self, id: OrderId) {
        self.draft.offer_changed(id);
        if let Some(offer) = self.state.offers.get(&id) {
            self.volatile.schedule(offer.terms().expiry, Timer::OfferEnds(id));
        }
    }

    pub(super) fn watch_window(&mut self, offer: OrderId, until: Time) {
        self.volatile.schedule(until, Timer::Window(offer));
    }

    pub(super) fn watch_take(&mut self, id: OrderId) {
        if let Some(take) = self.state.takes.get(&id) {
            self.volatile.schedule(take.terms.expiry, Timer::TakeEnds(id));
        }
    }

    pub(super) fn watch_give_up(&mut self, id: SettlementId, deadline: Time) {
        let last = deadline.before(Duration(self.settings.reveal_margin_ms));
        self.volatile.schedule(last.after(TICK), Timer::GiveUp(id));
    }

    pub(super) fn watch_decide(&mut self, id: SettlementId, deadline: Time) {
        self.volatile.schedule(deadline.after(TICK), Timer::Decide(id));
    }

    pub(super) fn watch_query(&mut self, now: Time, id: SettlementId, deadline: Time) {
        let wait = Duration(limits::QUERY_FIRST_MS);
        self.volatile.schedule(deadline.max(now).after(wait), Timer::Query(id, wait));
    }

    pub(super) fn watch_query_again(&mut self, now: Time, id: SettlementId, wait: Duration) {
        let next = Duration(wait.0.saturating_mul(2).min(limits::QUERY_MAX_MS));
        self.volatile.schedule(now.after(next), Timer::Query(id, next));
    }

    /// All timers that the state asks for.
    pub(super) fn rebuild_timers(&mut self, now: Time) {
        self.volatile.timers.clear();
        let offers: Vec<(OrderId, Option<Time>)> =
            self.state.offers.sorted().iter().map(|(id, offer)| (**id, offer.closes())).collect();
        for (id, closes) in offers {
            self.watch_offer_again(id);
            if let Some(until) = closes {
                self.watch_window(id, until);
            }
        }
        let takes: Vec<OrderId> = self.state.takes.sorted().iter().map(|(id, _)| **id).collect();
        for id in takes {
            self.watch_take(id);
        }
        let open: Vec<(SettlementId, Time, bool)> = self
            .state
            .settlements
            .sorted()
            .iter()
            .map(|(id, known)| (**id, known.header.deadline, known.initiator.is_some()))
            .collect();
        for (id, deadline, initiates) in open {
            if initiates {
                self.watch_give_up(id, deadline);
            }
            self.watch_decide(id, deadline);
            self.watch_query(now, id, deadline);
        }
        self.watch_positions(now);
        let peers: Vec<Domain> = self.state.peers.keys().cloned().collect();
        for peer in peers {
            let wait = Duration(limits::PROBE_FIRST_MS);
            self.volatile.link_mut(&peer).probing = true;
            self.volatile.schedule(now.after(wait), Timer::Probe(peer, wait));
        }
    }

    fn watch_offer_again(&mut self, id: OrderId) {
        if let Some(offer) = self.state.offers.get(&id) {
            self.volatile.schedule(offer.terms().expiry, Timer::OfferEnds(id));
        }
    }
}
