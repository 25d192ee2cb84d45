//! One subscriber of each node's events, with connections that break and a node that dies.
//!
//! The place in the log is moved by the node's own code (`quadrille_node::hooks::cursor`) and lies
//! on the node's disk: a crash forgets everything else, an old copy takes it along. At the end the
//! subscriber must have seen every event of the log at least once, and in its order.

use std::collections::BTreeMap;

use quadrille_node::hooks::cursor::Cursor;
use quadrille_node::index::events::events_of;
use quadrille_node::index::{Event, EventId, EventKind};
use quadrille_protocol::types::{Height, Ubi};

use super::broken::{Broken, Checked};
use super::node::Sealed;
use super::rng::Stream;
use super::world::World;
use crate::demand;

/// How often a connection breaks before an event is there, in ten thousand.
const BREAKS: u64 = 600;
/// How often the node's task dies between a delivery and its acknowledgement.
const DIES: u64 = 400;
/// Batches read at once.
const READ_AT_ONCE: usize = 8;
/// Events delivered after one turn.
const DELIVERED_AT_ONCE: usize = 64;

/// The beginning of every log.
const START: EventId = EventId { height: Height(0), leaf: 0, number: 0 };

/// One node's subscriber, and what the node knows of it.
#[derive(Debug)]
pub struct Subscriber {
    /// The place on the node's disk.
    place: EventId,
    /// What a crash forgets.
    running: Option<Running>,
    /// What the subscriber has seen, and as which delivery first.
    seen: BTreeMap<EventId, (u64, Event)>,
    deliveries: u64,
    random: Stream,
}

#[derive(Debug)]
struct Running {
    cursor: Cursor,
    read: Vec<Event>,
    end: EventId,
}

impl Subscriber {
    /// One that has heard nothing.
    #[must_use]
    pub fn new(random: Stream) -> Self {
        Self { place: START, running: None, seen: BTreeMap::new(), deliveries: 0, random }
    }

    /// The node dies.
    pub fn crash(&mut self) {
        self.running = None;
    }

    /// The node's disk is replaced by an old copy, whose log ends at `height`.
    pub fn restore(&mut self, height: Height) {
        self.running = None;
        self.place = self.place.min(EventId::end_of(height));
    }

    /// Delivers what `log` has, as far as nothing goes wrong. Whether anything is left.
    fn deliver(&mut self, log: &[Sealed], faults: bool) -> Checked<bool> {
        let place = self.place;
        for _ in 0..DELIVERED_AT_ONCE {
            let running = self.running.get_or_insert_with(|| Running {
                cursor: Cursor::behind(place),
                read: Vec::new(),
                end: place,
            });
            if running.cursor.acknowledged() >= running.end && !running.read_on(log)? {
                return Ok(false);
            }
            let Some(event) = running.cursor.offer(&running.read, running.end, |_| true) else {
                continue;
            };
            if faults && self.random.chance(BREAKS) {
                return Ok(true);
            }
            let known = self.seen.get(&event.id);
            if known.is_none_or(|(_, known)| known != event) {
                self.seen.insert(event.id, (self.deliveries, event.clone()));
            }
            self.deliveries += 1;
            if faults && self.random.chance(DIES) {
                self.running = None;
                return Ok(true);
            }
            let id = event.id;
            if running.cursor.acknowledge(id) {
                self.place = running.cursor.acknowledged();
            }
        }
        Ok(true)
    }

    /// Whether it has seen every event of `log`, in order.
    fn check(&self, domain: &str, log: &[Sealed]) -> Checked {
        let mut last: BTreeMap<Option<Ubi>, u64> = BTreeMap::new();
        for sealed in log.iter().filter(|sealed| sealed.signature.is_some()) {
            for event in read(sealed)? {
                let seen = self.seen.get(&event.id).filter(|(_, seen)| *seen == event);
                let Some((delivery, _)) = seen else {
                    let what = format!("{domain}: {} {:?} was never seen", event.id, event.kind);
                    return Err(Broken::safety("subscribers see every event", what));
                };
                let before = last.insert(ledger_of(&event.kind), *delivery);
                demand!(
                    before.is_none_or(|before| before < *delivery),
                    "subscribers see events in order",
                    "{domain}: {} was seen before its predecessor",
                    event.id
                );
            }
        }
        Ok(())
    }
}

impl Running {
    /// Reads the next batches of the log; whether there are any.
    fn read_on(&mut self, log: &[Sealed]) -> Checked<bool> {
        let after = self.cursor.acknowledged();
        let first = log
            .partition_point(|sealed| EventId::end_of(sealed.batch.checkpoint().height) <= after);
        let next = log[first..].iter().take_while(|sealed| sealed.signature.is_some());
        self.read.clear();
        for sealed in next.take(READ_AT_ONCE) {
            self.read.extend(read(sealed)?);
            self.end = EventId::end_of(sealed.batch.checkpoint().height);
        }
        Ok(self.end > after)
    }
}

fn read(sealed: &Sealed) -> Checked<Vec<Event>> {
    events_of(sealed.batch.stored()).map_err(|refusal| Broken::crash(refusal.to_string()))
}

fn ledger_of(kind: &EventKind) -> Option<Ubi> {
    match kind {
        EventKind::Entry { ledger, .. } | EventKind::OrderRefused { ledger, .. } => Some(*ledger),
        EventKind::TakeRefused { .. }
        | EventKind::OfferPosted { .. }
        | EventKind::OfferClosed { .. }
        | EventKind::SettlementStep { .. }
        | EventKind::SettlementFinal { .. }
        | EventKind::PeerSuspended { .. }
        | EventKind::PeerLifted { .. }
        | EventKind::CreditLimit { .. }
        | EventKind::MemberAdmitted { .. }
        | EventKind::MemberRotated { .. }
        | EventKind::MemberRevoked { .. }
        | EventKind::AssetRegistered { .. }
        | EventKind::AssetLocked { .. }
        | EventKind::AssetClosed { .. }
        | EventKind::AssetAttested { .. }
        | EventKind::RecoveryStarted { .. }
        | EventKind::RecoveryRecord { .. }
        | EventKind::RecoveryDone {}
        | EventKind::BooksBroken { .. }
        | EventKind::BooksExplained { .. }
        | EventKind::NettingChanged { .. } => None,
    }
}

impl World {
    /// A node that has said something tells its subscriber.
    pub(super) fn tell_subscriber(&mut self, node: usize) -> Checked {
        if !self.is_honest(node) {
            return Ok(());
        }
        let before = self.subscribers[node].deliveries;
        self.subscribers[node].deliver(&self.nodes[node].sealed, true)?;
        self.figures.delivered += self.subscribers[node].deliveries - before;
        Ok(())
    }

    /// When nothing goes wrong any more, every subscriber comes to the end of its log.
    pub(super) fn check_subscribers(&mut self) -> Checked {
        for node in 0..self.nodes.len() {
            if !self.is_honest(node) {
                continue;
            }
            let log = &self.nodes[node].sealed;
            while self.subscribers[node].deliver(log, false)? {}
            self.subscribers[node].check(self.nodes[node].domain.as_str(), log)?;
        }
        Ok(())
    }
}
