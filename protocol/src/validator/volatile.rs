//! What a validator may forget: timers, connections, other validators' offers.
//!
//! Nothing here is a fact. It is rebuilt from the state and from what peers say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::recover::Mode;
use crate::limits;
use crate::market::Book;
use crate::payment::Finding;
use crate::types::{Domain, Duration, OrderId, Sequence, SettlementId, Time, Uai};

/// A timer. It only says «look»: whether something is due is read from the state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// An offer's selection window closes.
    Window(OrderId),
    /// An offer expires.
    OfferEnds(OrderId),
    /// A take expires.
    TakeEnds(OrderId),
    /// The initiator's last moment for a reveal has passed.
    GiveUp(SettlementId),
    /// The decider's deadline has passed.
    Decide(SettlementId),
    /// A waiting party asks the decider; the wait before the next time.
    Query(SettlementId, Duration),
    /// A peer has not acknowledged everything; the wait before the next time.
    Probe(Domain, Duration),
    /// A while ago something was booked with a peer in an asset: it is told.
    Position(Domain, Uai),
    /// A peer is told again how we stand in an asset.
    PositionAgain(Domain, Uai),
}

/// The timers by time. One batch sets thousands for the same few moments, and hardly any fires
/// before what it watches is over: setting one must cost nothing.
#[derive(Debug, Default)]
pub(super) struct Timers {
    later: BTreeMap<Time, Vec<Timer>>,
    /// What is left of a moment that has come, the next one last.
    due: Vec<Timer>,
    came: Time,
}

impl Timers {
    pub fn insert(&mut self, at: Time, timer: Timer) {
        self.later.entry(at).or_default().push(timer);
    }

    /// When the first one fires.
    pub fn first(&self) -> Option<Time> {
        let later = self.later.first_key_value().map(|(at, _)| *at);
        if self.due.is_empty() { later } else { Some(self.came) }
    }

    /// Takes out one that is due at `now`; of those of one moment the smallest first, each once.
    pub fn pop_due(&mut self, now: Time) -> Option<Timer> {
        if self.due.is_empty() {
            let moment = self.later.first_entry().filter(|moment| *moment.key() <= now)?;
            (self.came, self.due) = moment.remove_entry();
            self.due.sort_unstable_by(|left, right| right.cmp(left));
            self.due.dedup();
        }
        self.due.pop()
    }

    pub fn clear(&mut self) {
        self.later.clear();
        self.due.clear();
    }
}

/// What is known of the connection to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Link {
    /// How far it has acknowledged our feed.
    pub acknowledged: Sequence,
    /// What it and we last said of both feeds when we asked it to resume: the same again is no
    /// news, and two that contradict one another would ask for ever.
    pub asked: Option<[Sequence; 4]>,
    /// The last number we had when a gap made us ask: every later page shows the same gap, and
    /// one question brings them all. The peer's probe makes us ask again.
    pub gap: Option<Sequence>,
    /// Whether a probe is scheduled.
    pub probing: bool,
}

/// The part of a validator that is not in the log.
#[derive(Debug)]
pub(super) struct Volatile {
    pub timers: Timers,
    pub book: Book,
    pub links: BTreeMap<Domain, Link>,
    pub mode: Mode,
    pub draining: bool,
    pub notices_seen: u64,
    /// What the edge found in the enclosures of the page that is being taken in.
    pub findings: Vec<Finding>,
    /// While lost records are written down again: settlements of which the booking came back, and
    /// with whom we share a leg of them.
    pub settled: BTreeMap<SettlementId, BTreeSet<Domain>>,
    /// Settlements for whose decision the log is being searched, the oldest search first. One
    /// that is decided meanwhile is taken out: what the search then says is out of date.
    pub searches: VecDeque<SettlementId>,
    /// Peers and assets in which something was booked that the peer is soon told of.
    pub booked: BTreeSet<(Domain, Uai)>,
}

impl Volatile {
    pub fn new(own: Domain) -> Self {
        Self {
            timers: Timers::default(),
            book: Book::new(own),
            links: BTreeMap::new(),
            mode: Mode::Live,
            draining: false,
            notices_seen: 0,
            findings: Vec::new(),
            settled: BTreeMap::new(),
            searches: VecDeque::new(),
            booked: BTreeSet::new(),
        }
    }

    pub fn link(&self, peer: &Domain) -> Option<&Link> {
        self.links.get(peer)
    }

    pub fn link_mut(&mut self, peer: &Domain) -> &mut Link {
        if !self.links.contains_key(peer) {
            self.links.insert(peer.clone(), Link::default());
        }
        self.links.entry(peer.clone()).or_default()
    }

    /// Notes that the log is searched for the decision on `id`. Too many at a time, and the
    /// oldest is forgotten: whoever asked will ask again.
    pub fn search(&mut self, id: SettlementId) {
        self.end_search(&id);
        if self.searches.len() >= limits::DECISION_SEARCHES {
            self.searches.pop_front();
        }
        self.searches.push_back(id);
    }

    /// Whether a search for `id` was still of use; it is over now.
    pub fn end_search(&mut self, id: &SettlementId) -> bool {
        let before = self.searches.len();
        self.searches.retain(|known| known != id);
        self.searches.len() < before
    }

    pub fn schedule(&mut self, at: Time, timer: Timer) {
        self.timers.insert(at, timer);
    }
}
