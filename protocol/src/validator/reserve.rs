//! Bookkeeping around open settlements: credit headroom, counts, closing.

use super::state::State;
use crate::error::Fault;
use crate::log::OutcomeKind;
use crate::sabotage::{Bug, planted};
use crate::settlement::Decider;
use crate::settlement::agreement::{Header, Leg};
use crate::types::{Amount, Domain, SettlementId, Uai};

/// What each peer will owe us by `legs`, per asset.
pub(super) fn incoming<'a>(
    legs: &'a [Leg],
    domain: &'a Domain,
) -> impl Iterator<Item = (&'a Domain, &'a Uai, Amount)> {
    legs.iter()
        .filter(move |leg| leg.to.domain == *domain && leg.from.domain != *domain)
        .map(|leg| (&leg.from.domain, &leg.asset, leg.amount))
}

impl State {
    pub(super) fn reserve_headroom(&mut self, legs: &[Leg]) -> Result<(), Fault> {
        if planted(Bug::LimitNotReserved) {
            return Ok(());
        }
        for (peer, asset, amount) in incoming(legs, &self.domain) {
            self.books.correspondent_mut(peer, asset).reserve(amount)?;
        }
        Ok(())
    }

    pub(super) fn release_headroom(&mut self, legs: &[Leg]) -> Result<(), Fault> {
        if planted(Bug::LimitNotReserved) {
            return Ok(());
        }
        for (peer, asset, amount) in incoming(legs, &self.domain) {
            self.books.correspondent_mut(peer, asset).release(amount)?;
        }
        Ok(())
    }

    /// Counts our ledgers' open settlements: one that has any cannot be closed.
    pub(super) fn touch_ledgers(&mut self, legs: &[Leg], opens: bool) {
        for leg in legs {
            for account in [&leg.from, &leg.to] {
                if account.domain != self.domain {
                    continue;
                }
                if let Some(ledger) = self.books.ledgers.get_mut(&account.ledger) {
                    ledger.settlements = count(ledger.settlements, opens);
                }
            }
        }
    }

    /// Counts what somebody only asked about.
    pub(super) fn count_asked(&mut self, by: &Domain, opens: bool) {
        let peer = self.peer_mut(by);
        peer.asked = count(peer.asked, opens);
    }

    /// Its initiator tells us of a settlement: one that somebody asked about is open from now on.
    pub(super) fn note_told(&mut self, id: &SettlementId) {
        let Some(settlement) = self.settlements.get_mut(id) else { return };
        let Some(by) = settlement.asked.take() else { return };
        let header = settlement.header.clone();
        self.count_asked(&by, false);
        self.count_open(&header, true);
    }

    /// Counts an open settlement with whoever brought it about.
    pub(super) fn count_open(&mut self, header: &Header, opens: bool) {
        let domain = self.domain.clone();
        for other in header.counted_with(&domain) {
            let peer = self.peer_mut(other);
            peer.open = count(peer.open, opens);
        }
    }

    /// Forgets a settlement that is final here and confirmed by those who share a leg with us.
    pub(super) fn close_if_done(&mut self, id: &SettlementId) {
        let Some(settlement) = self.settlements.get(id) else { return };
        if !settlement.is_final() {
            return;
        }
        let confirmed = match settlement.decision {
            Some(OutcomeKind::Settle) => settlement.is_confirmed(&self.domain),
            Some(OutcomeKind::Refund) => true,
            // Nothing was promised, so nobody's decision matters here.
            None => settlement.participant.is_some() && settlement.decider.is_none(),
        };
        let header = &settlement.header;
        let buried = || {
            let key = (header.initiator.clone(), header.number, *id);
            self.tombstones.contains(&key)
        };
        if !confirmed || buried() {
            return;
        }
        if let Some(closed) = self.settlements.remove(id) {
            match &closed.asked {
                Some(by) => self.count_asked(by, false),
                None => self.count_open(&closed.header, false),
            }
        }
    }

    /// The initiator's numbers have passed these tombstones: it can never bring them up again.
    pub(super) fn bury_tombstones(&mut self, initiator: &Domain, header: &Header) {
        if self.tombstones.is_empty() {
            return;
        }
        let passed: Vec<_> = self
            .tombstones
            .range((initiator.clone(), crate::types::AgreementNumber(0), SettlementId::default())..)
            .take_while(|(domain, number, _)| domain == initiator && *number <= header.number)
            .cloned()
            .collect();
        let current = header.id();
        for key in passed {
            let id = key.2;
            self.tombstones.remove(&key);
            if id == current {
                continue;
            }
            let decided = self.settlements.get(&id).is_some_and(|settlement| {
                matches!(settlement.decider, Some(Decider::Settled | Decider::Refunded))
            });
            if decided {
                self.close_if_done(&id);
            }
        }
    }
}

fn count(value: u32, up: bool) -> u32 {
    if up { value.saturating_add(1) } else { value.saturating_sub(1) }
}
