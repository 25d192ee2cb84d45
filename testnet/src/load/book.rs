//! The book of trades: which are due, which were sent, which have ended. No I/O and no clock.
//!
//! ```text
//!   moment - lead: offer sent -> stands -> moment: take sent -> accepted -> both ends said settled
//!   (a payment has no offer: its one order is sent at its moment)
//!        an order without an answer is sent again, the same bytes: it counts once
//! ```
//!
//! Invariants:
//! * A ledger has at most one trade under way, so its next ending is that trade's. Trades whose
//!   ledgers are in use wait for them, and their latency counts on.
//! * Every trade ends once: an ending of a ledger that has none under way changes nothing.
//! * At most `open` trades are open, waiting ones included.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use quadrille_protocol::error::Refusal;
use quadrille_protocol::types::{OrderId, SettlementId, Ubi};

use super::moments::Moments;
use super::outcome::Doubt;
pub(super) use super::parts::{Handed, Part, Posting, Question, Said, Signed, Which};
use super::plan::{Kind, LoadPlan, Pace};
use super::tally::{End, Tally};

/// Before an order that got no answer is sent again.
const AGAIN: Duration = Duration::from_millis(200);
/// After so long without an end a bank is asked, and again after as long.
const ASK_AFTER: Duration = Duration::from_secs(5);
/// Asked about at one time.
const ASKED: usize = 32;
/// Settlements that are remembered, to read their steps from the banks afterwards.
const REMEMBERED: usize = 400;

struct Trade {
    due: Instant,
    route: usize,
    lane: usize,
    first: Option<Part>,
    main: Option<Part>,
    ids: [Option<(usize, OrderId)>; 2],
    /// When the main order was first sent.
    sent: Option<Instant>,
    /// Whether it counts as in flight, in a closed loop.
    flying: bool,
    accepted: bool,
    ends: Option<[(usize, Ubi); 2]>,
    said: [Option<(Instant, Said)>; 2],
    settlement: Option<SettlementId>,
    /// When it is next asked about.
    ask: Instant,
    asked: bool,
}

#[derive(Default)]
struct Lane {
    busy: bool,
    waiting: VecDeque<(Option<Instant>, Signed)>,
}

/// What a timer is for.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The main order's moment.
    Main,
    /// To be sent again.
    Again(Which),
}

/// The book.
pub(super) struct Book {
    kind: Kind,
    pace: Pace,
    lead: Duration,
    most: u64,
    open_most: usize,
    pub begun: Instant,
    /// New ones are begun until then.
    pub window_end: Instant,
    moments: Moments,
    admitted: u64,
    lanes: Vec<Vec<Lane>>,
    waiting: usize,
    trades: HashMap<u64, Trade>,
    by_ledger: HashMap<Ubi, (u64, usize)>,
    again: HashMap<(u64, Which), Part>,
    timers: BinaryHeap<Reverse<(Instant, u64, Timer)>>,
    ready: VecDeque<u64>,
    in_flight: usize,
    next_number: u64,
    out: Vec<Posting>,
    asking: usize,
    /// Some settlements, and when their trade was due.
    pub remembered: Vec<Remembered>,
    seen_settled: u64,
    pub tally: Tally,
    pub stopped: bool,
}

/// A settlement whose steps are read afterwards.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub settlement: SettlementId,
    pub main: (usize, OrderId),
    pub route: usize,
}

impl Book {
    /// An empty one whose clock starts at `begun`.
    pub fn new(plan: &LoadPlan, holders: usize, begun: Instant) -> Result<Self, Refusal> {
        let lane = |_| (0..holders).map(|_| Lane::default()).collect();
        Ok(Self {
            kind: plan.kind,
            pace: plan.pace,
            lead: if plan.kind == Kind::Dvp { plan.lead } else { Duration::ZERO },
            most: plan.total().unwrap_or(u64::MAX),
            open_most: plan.open,
            begun,
            window_end: begun + plan.duration,
            moments: Moments::of(plan),
            admitted: 0,
            lanes: (0..plan.routes.len()).map(lane).collect(),
            waiting: 0,
            trades: HashMap::new(),
            by_ledger: HashMap::new(),
            again: HashMap::new(),
            timers: BinaryHeap::new(),
            ready: VecDeque::new(),
            in_flight: 0,
            next_number: 0,
            out: Vec::new(),
            asking: 0,
            remembered: Vec::new(),
            seen_settled: 0,
            tally: Tally::new(begun)?,
            stopped: false,
        })
    }

    /// Trades that are open, those that wait for their ledgers included.
    pub fn open(&self) -> usize {
        self.trades.len().saturating_add(self.waiting)
    }

    /// Those of them that wait for their ledgers.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Open, and due for longer than this.
    pub fn late(&self, now: Instant, than: Duration) -> u64 {
        let late = |trade: &&Trade| {
            trade.sent.is_some() && now.saturating_duration_since(trade.due) > than
        };
        u64::try_from(self.trades.values().filter(late).count()).unwrap_or(u64::MAX)
    }

    /// Whether nothing is open and nothing more will be begun.
    pub fn is_over(&self, now: Instant) -> bool {
        self.open() == 0 && self.is_all_begun(now)
    }

    fn is_all_begun(&self, now: Instant) -> bool {
        self.stopped
            || self.admitted >= self.most
            || (matches!(self.pace, Pace::Closed { .. }) && now >= self.window_end)
    }

    /// Begins nothing more: what is not on its way yet is left.
    pub fn stop(&mut self, now: Instant) {
        self.stopped = true;
        self.window_end = self.window_end.min(now);
        self.leave_unsent(now);
    }

    /// Forgets trades whose main order was never sent.
    fn leave_unsent(&mut self, now: Instant) {
        for lane in self.lanes.iter_mut().flatten() {
            self.waiting = self.waiting.saturating_sub(lane.waiting.len());
            lane.waiting.clear();
        }
        self.ready.clear();
        let unsent: Vec<u64> = self
            .trades
            .iter()
            .filter(|(_, trade)| trade.sent.is_none())
            .map(|(id, _)| *id)
            .collect();
        for number in unsent {
            self.again.remove(&(number, Which::First));
            let _ = self.close(number, now);
        }
    }

    /// Takes up what is due, from what `signed` gives; what is to be sent now.
    pub fn poll(
        &mut self,
        now: Instant,
        mut signed: impl FnMut() -> Option<Signed>,
    ) -> Vec<Posting> {
        self.fire(now);
        match self.pace {
            Pace::Open { .. } => self.poll_open(now, &mut signed),
            Pace::Closed { in_flight, pause } => {
                self.poll_closed(now, in_flight, pause, &mut signed);
            }
        }
        std::mem::take(&mut self.out)
    }

    fn poll_open(&mut self, now: Instant, signed: &mut impl FnMut() -> Option<Signed>) {
        while !self.is_all_begun(now) && self.open() < self.open_most {
            let due = self.begun + self.moments.next();
            if due.checked_sub(self.lead).is_some_and(|from| from > now) {
                return;
            }
            let Some(signed) = signed() else { return };
            self.moments.advance();
            self.admit(now, Some(due), signed);
        }
    }

    fn poll_closed(
        &mut self,
        now: Instant,
        in_flight: usize,
        pause: Duration,
        signed: &mut impl FnMut() -> Option<Signed>,
    ) {
        // Offers stand ahead, as many as are in flight.
        let ahead = if self.kind == Kind::Dvp { in_flight.max(4) } else { 0 };
        let room = in_flight.saturating_add(ahead).min(self.open_most);
        while !self.is_all_begun(now) && self.open() < room {
            let Some(signed) = signed() else { break };
            self.admit(now, None, signed);
        }
        while self.in_flight < in_flight && now < self.window_end && now >= self.begun {
            let Some(number) = self.ready.pop_front() else { break };
            let due = now + pause;
            if let Some(trade) = self.trades.get_mut(&number) {
                trade.due = due;
                trade.flying = true;
                self.in_flight = self.in_flight.saturating_add(1);
                self.at_moment(number, due, now);
            }
        }
        if now >= self.window_end && !self.ready.is_empty() {
            for number in std::mem::take(&mut self.ready) {
                let _ = self.close(number, now);
            }
        }
    }

    fn admit(&mut self, now: Instant, due: Option<Instant>, signed: Signed) {
        self.admitted = self.admitted.saturating_add(1);
        let lanes = self.lanes.get_mut(signed.route);
        let Some(lane) = lanes.and_then(|lanes| lanes.get_mut(signed.lane)) else { return };
        if lane.busy {
            lane.waiting.push_back((due, signed));
            self.waiting = self.waiting.saturating_add(1);
            return;
        }
        lane.busy = true;
        self.start(now, due, signed);
    }

    fn start(&mut self, now: Instant, due: Option<Instant>, signed: Signed) {
        let number = self.next_number;
        self.next_number = self.next_number.saturating_add(1);
        for (end, (_, ledger)) in signed.ends.iter().flatten().enumerate() {
            self.by_ledger.insert(*ledger, (number, end));
        }
        let id = |part: &Part| (part.seat, part.id);
        let trade = Trade {
            due: due.unwrap_or(now),
            route: signed.route,
            lane: signed.lane,
            ids: [signed.first.as_ref().map(id), Some(id(&signed.main))],
            first: signed.first,
            main: Some(signed.main),
            sent: None,
            flying: false,
            accepted: false,
            ends: signed.ends,
            said: [None, None],
            settlement: None,
            ask: now + ASK_AFTER,
            asked: false,
        };
        self.trades.insert(number, trade);
        self.tally.begun();
        let first = self.trades.get_mut(&number).and_then(|trade| trade.first.take());
        match first {
            Some(part) => self.out.push(Posting { trade: number, which: Which::First, part }),
            None => self.stands(number, now),
        }
    }

    /// Its offer stands, or it needs none: its main order is sent at its moment.
    fn stands(&mut self, number: u64, now: Instant) {
        match self.pace {
            Pace::Open { .. } => {
                let due = self.trades.get(&number).map_or(now, |trade| trade.due);
                self.at_moment(number, due, now);
            }
            Pace::Closed { .. } => self.ready.push_back(number),
        }
    }

    fn at_moment(&mut self, number: u64, due: Instant, now: Instant) {
        if due > now {
            self.timers.push(Reverse((due, number, Timer::Main)));
        } else {
            self.send_main(number, now);
        }
    }

    fn send_main(&mut self, number: u64, now: Instant) {
        let Some(trade) = self.trades.get_mut(&number) else { return };
        let Some(part) = trade.main.take() else { return };
        trade.sent = Some(now);
        trade.ask = now + ASK_AFTER;
        self.out.push(Posting { trade: number, which: Which::Main, part });
    }

    fn fire(&mut self, now: Instant) {
        while let Some(Reverse((at, _, _))) = self.timers.peek() {
            if *at > now {
                return;
            }
            let Some(Reverse((_, number, timer))) = self.timers.pop() else { return };
            match timer {
                Timer::Main => self.send_main(number, now),
                Timer::Again(which) => {
                    if let Some(part) = self.again.remove(&(number, which))
                        && self.trades.contains_key(&number)
                    {
                        self.out.push(Posting { trade: number, which, part });
                    }
                }
            }
        }
    }

    /// When there is something to do next, if nothing is heard before.
    pub fn wake(&self, now: Instant) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((at, _, _))| *at);
        let due = match self.pace {
            Pace::Open { .. } if !self.is_all_begun(now) && self.open() < self.open_most => {
                (self.begun + self.moments.next()).checked_sub(self.lead)
            }
            Pace::Closed { .. } if now < self.begun => Some(self.begun),
            Pace::Open { .. } | Pace::Closed { .. } => None,
        };
        timer.into_iter().chain(due).min()
    }

    /// The answer to an order that was sent.
    pub fn answered(&mut self, at: Instant, posting: Posting, handed: Handed) {
        let Posting { trade: number, which, part } = posting;
        let Some(trade) = self.trades.get_mut(&number) else { return };
        match (which, handed) {
            (which, Handed::Again) => {
                self.tally.resent();
                if self.stopped && trade.sent.is_none() {
                    let _ = self.close(number, at);
                    return;
                }
                self.again.insert((number, which), part);
                self.timers.push(Reverse((at + AGAIN, number, Timer::Again(which))));
            }
            (Which::First, Handed::Accepted) => {
                if trade.sent.is_none() {
                    self.stands(number, at);
                }
            }
            (Which::Main, Handed::Accepted) => {
                if !trade.accepted {
                    trade.accepted = true;
                    trade.ask = at + ASK_AFTER;
                    self.tally.accepted(trade.due, at);
                }
                if trade.ends.is_none() {
                    self.settle(number, at);
                }
            }
            (Which::First | Which::Main, Handed::Refused(code)) => {
                self.end(number, at, End::Refused(code));
            }
        }
    }

    /// An entry of a ledger that ends what is under way on it.
    pub fn heard(&mut self, at: Instant, ledger: Ubi, said: Said, carried: Option<SettlementId>) {
        let Some((number, end)) = self.by_ledger.get(&ledger).copied() else { return };
        let Some(trade) = self.trades.get_mut(&number) else { return };
        // Of a trade that is not sent yet nothing can have ended: it is an older one's echo.
        let other = trade.settlement.is_some() && carried.is_some() && trade.settlement != carried;
        if trade.sent.is_none() || other {
            return;
        }
        trade.settlement = trade.settlement.or(carried);
        self.note(number, end, at, said);
    }

    /// What a bank answered when it was asked about a trade.
    pub fn told(
        &mut self,
        at: Instant,
        number: u64,
        said: [Option<Said>; 2],
        id: Option<SettlementId>,
    ) {
        self.asking = self.asking.saturating_sub(1);
        let Some(trade) = self.trades.get_mut(&number) else { return };
        trade.asked = false;
        trade.ask = at + ASK_AFTER;
        trade.settlement = trade.settlement.or(id);
        for (end, said) in said.into_iter().enumerate() {
            if let Some(said) = said {
                self.note(number, end, at, said);
            }
        }
    }

    fn note(&mut self, number: u64, end: usize, at: Instant, said: Said) {
        let Some(trade) = self.trades.get_mut(&number) else { return };
        if let Some(slot) = trade.said.get_mut(end) {
            // A reason that was not known before counts; otherwise the first word does.
            let better = matches!((&*slot, &said), (Some((_, Said::Ended(None))), Said::Ended(_)));
            if slot.is_none() || better {
                *slot = Some((at, said));
            }
        }
        let [first, main] = &trade.said;
        match (first, main) {
            (Some((one, Said::Settled)), Some((other, Said::Settled))) => {
                let at = (*one).max(*other);
                self.settle(number, at);
            }
            (Some((_, Said::Settled)), Some((_, Said::Refunded)))
            | (Some((_, Said::Refunded)), Some((_, Said::Settled))) => {
                self.end(number, at, End::Torn);
            }
            (Some((_, Said::Refunded)), Some((_, Said::Refunded))) => {
                self.end(number, at, End::Refunded);
            }
            // The payee's ledger hears nothing of a payment that does not arrive.
            (Some((_, Said::Refunded)), None) if self.kind == Kind::Path => {
                self.end(number, at, End::Refunded);
            }
            (_, Some((_, Said::Ended(Some(code))))) | (Some((_, Said::Ended(Some(code)))), _) => {
                let code = code.clone();
                self.end(number, at, End::Refused(code));
            }
            // Why it ended is asked for at once.
            (_, Some((_, Said::Ended(None)))) | (Some((_, Said::Ended(None))), _) => trade.ask = at,
            (None, _) | (_, None) => {}
        }
    }

    fn settle(&mut self, number: u64, at: Instant) {
        let Some(trade) = self.close(number, at) else { return };
        let sent = trade.sent.unwrap_or(trade.due);
        self.tally.settled(trade.due, sent, at, at <= self.window_end);
        self.remember(&trade);
    }

    /// Keeps some settlements from all over the load, each as likely as the others.
    fn remember(&mut self, trade: &Trade) {
        let (Some(settlement), [_, Some(main)]) = (trade.settlement, trade.ids) else { return };
        let kept = Remembered { settlement, main, route: trade.route };
        self.seen_settled = self.seen_settled.saturating_add(1);
        if self.remembered.len() < REMEMBERED {
            self.remembered.push(kept);
            return;
        }
        let slot = rand::random_range(0..self.seen_settled);
        if let Some(slot) = usize::try_from(slot).ok().and_then(|at| self.remembered.get_mut(at)) {
            *slot = kept;
        }
    }

    fn end(&mut self, number: u64, at: Instant, end: End) {
        if self.close(number, at).is_some() {
            self.tally.ended(end);
        }
    }

    /// Takes a trade out of the book and lets the next one have its ledgers.
    fn close(&mut self, number: u64, now: Instant) -> Option<Trade> {
        let trade = self.trades.remove(&number)?;
        if trade.asked {
            self.asking = self.asking.saturating_sub(1);
        }
        for (_, ledger) in trade.ends.iter().flatten() {
            self.by_ledger.remove(ledger);
        }
        self.again.remove(&(number, Which::Main));
        if trade.flying {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        let lane = self.lanes.get_mut(trade.route).and_then(|lanes| lanes.get_mut(trade.lane));
        if let Some(lane) = lane {
            match lane.waiting.pop_front() {
                Some((due, signed)) => {
                    self.waiting = self.waiting.saturating_sub(1);
                    self.start(now, due, signed);
                }
                None => lane.busy = false,
            }
        }
        Some(trade)
    }

    /// What banks are to be asked about: trades that have had no end for long.
    pub fn questions(&mut self, now: Instant) -> Vec<Question> {
        let mut questions = Vec::new();
        let room = ASKED.saturating_sub(self.asking);
        let kind = self.kind;
        let silent = self.trades.iter_mut().filter(|(_, trade)| {
            trade.sent.is_some() && !trade.asked && trade.ask <= now && trade.ends.is_some()
        });
        for (number, trade) in silent.take(room) {
            let [first, Some(main)] = trade.ids else { continue };
            let far = trade.ends.map(|[_, (seat, _)]| seat).filter(|_| kind == Kind::Path);
            let settlement = trade.settlement;
            trade.asked = true;
            questions.push(Question { trade: *number, kind, first, main, far, settlement });
        }
        self.asking = self.asking.saturating_add(questions.len());
        questions
    }

    /// Ends the book: what is still open is in doubt, or was never sent.
    pub fn give_up(&mut self, bank: impl Fn(usize) -> String, listed: usize) -> Vec<Doubt> {
        let waiting = u64::try_from(self.waiting).unwrap_or(u64::MAX);
        let mut unsent = waiting;
        let mut doubts = Vec::new();
        let mut numbers: Vec<u64> = self.trades.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            let Some(trade) = self.trades.get(&number) else { continue };
            if trade.sent.is_none() {
                unsent = unsent.saturating_add(1);
                continue;
            }
            self.tally.counts.in_doubt = self.tally.counts.in_doubt.saturating_add(1);
            if doubts.len() < listed {
                let ids = trade.ids.iter().flatten();
                let orders = ids.map(|(seat, order)| (bank(*seat), *order)).collect();
                doubts.push(Doubt { number, orders, known: known(trade) });
            }
        }
        let begun = self.tally.counts.begun;
        self.tally.counts.scheduled = match self.pace {
            Pace::Open { .. } if self.stopped => begun.saturating_add(waiting),
            Pace::Open { .. } => self.most,
            Pace::Closed { .. } => begun,
        };
        let due_not_admitted = match self.pace {
            Pace::Open { .. } if !self.stopped => self.most.saturating_sub(self.admitted),
            Pace::Open { .. } | Pace::Closed { .. } => 0,
        };
        self.tally.counts.unsent = unsent.saturating_add(due_not_admitted);
        doubts
    }
}

fn known(trade: &Trade) -> String {
    let word = |said: &Option<(Instant, Said)>| match said {
        None => "nothing heard",
        Some((_, Said::Settled)) => "settled",
        Some((_, Said::Refunded)) => "refunded",
        Some((_, Said::Ended(_))) => "ended",
    };
    let [first, main] = &trade.said;
    let accepted = if trade.accepted { "accepted" } else { "no answer to the order" };
    format!("{accepted}; first end: {}; second end: {}", word(first), word(main))
}

#[cfg(test)]
mod tests;
