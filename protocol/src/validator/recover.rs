//! Recovery: getting back what an old disk has forgotten, before saying anything new.
//!
//! ```text
//!  boot --guard behind or unsure--> Gathering --everybody heard--> Adopting --> Live
//!           peers: our own pages back (Returned), their later pages (Frame)
//!           customers: their entries back (ReturnedEvidence)
//! ```
//!
//! Invariants: nothing is written, decided, refunded or revealed while gathering; the first
//! checkpoint afterwards stands above every height that was ever signed, as far as the guard
//! and all peers know; our lost records are applied in their old order, each peer's statements
//! interleaved as our own pages acknowledged them; what we reacted to before the loss is not
//! reacted to again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Validator;
use super::effect::Event;
use super::input::{Boot, Command, Guard, Input, Message, RequestId};
use crate::error::{Code, Fault, Refusal};
use crate::ledger::transaction::Cause;
use crate::limits;
use crate::log::{Evidence, FeedPage, ReceivedFrame, Record, Statement};
use crate::sabotage::{Bug, planted};
use crate::types::{Domain, Hash, Height, Sequence, SettlementId, Time};

/// What the validator is doing.
#[derive(Debug)]
pub(super) enum Mode {
    /// Taking part.
    Live,
    /// Asking everybody what it has said.
    Gathering(Box<Gathering>),
    /// Writing down again what came back.
    Adopting(VecDeque<Adoption>),
}

/// What has come back so far.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    awaiting: BTreeSet<Domain>,
    claims: BTreeMap<Domain, Claim>,
    own: BTreeMap<(Height, u32), Evidence>,
    pages: BTreeMap<(Height, u32), FeedPage>,
    returned: BTreeMap<Domain, Sequence>,
    inbound: BTreeMap<Domain, Vec<ReceivedFrame>>,
    guard: Option<Guard>,
    lost: bool,
    customers_heard: bool,
}

/// What a peer says of both feeds.
#[derive(Debug, Clone, Copy)]
struct Claim {
    sent: Sequence,
    received: Sequence,
}

/// One step of writing it down again.
#[derive(Debug)]
pub(super) enum Adoption {
    /// The heights up to here are taken.
    Begin(Height, Hash),
    /// A record of ours.
    Own(Box<Evidence>),
    /// We gave this settlement up, but what that booked touched no holder, so that nobody could
    /// give it back.
    Release(SettlementId),
    /// We have settled this, but nobody who was told so can say it.
    Confirm(SettlementId),
    /// A page of a peer that we had reacted to before.
    Heard(Box<ReceivedFrame>),
    /// A page of a peer that is new to us.
    React(Box<ReceivedFrame>),
}

impl Validator {
    pub(super) fn mode_at_boot(&self, boot: Boot) -> Mode {
        if planted(Bug::ActAfterRestore) {
            return Mode::Live;
        }
        let (guard, apart) = match boot {
            Boot::GuardApart(guard) => (Some(guard), true),
            Boot::GuardUnsure(guard) => (guard, false),
        };
        // A log one step ahead of its guard was cut between fsync and signature: all is well.
        let lost = guard.is_some_and(|guard| {
            let same = guard.hash == self.state.head;
            guard.height > self.state.height || (guard.height == self.state.height && !same)
        });
        let awaiting = self.acquaintances();
        if !lost && (apart || awaiting.is_empty()) {
            return Mode::Live;
        }
        Mode::Gathering(Box::new(Gathering { awaiting, guard, lost, ..Gathering::default() }))
    }

    /// Everybody who may have heard us: an old log need not know whom we have met since.
    fn acquaintances(&self) -> BTreeSet<Domain> {
        let members = self.state.directory.members().map(|(domain, _)| domain);
        members.filter(|domain| **domain != self.state.domain).cloned().collect()
    }

    pub(super) fn begin_recovery(&mut self, reason: String) {
        let awaiting = self.acquaintances();
        let gathering = Gathering { awaiting, lost: true, ..Gathering::default() };
        self.volatile.mode = Mode::Gathering(Box::new(gathering));
        self.volatile.searches.clear();
        self.event(Event::Recovering { reason });
        self.greet_peers();
    }

    pub(super) fn handle_recovering(&mut self, input: Input) -> Result<(), Fault> {
        match input {
            Input::Order { request, .. } | Input::Open { request, .. } => {
                self.refuse_while_recovering(request);
            }
            Input::Command { request, command } => self.command_recovering(request, command),
            Input::Frame(frame) => self.gather_inbound(*frame),
            Input::Message { from, message } => {
                let (sent, received) = match message {
                    Message::Resume { network, sent, received } => {
                        self.resume(&from, &network, sent, received);
                        (sent, received)
                    }
                    Message::Ack { sent, received } => (sent, received),
                    Message::Query(_) => return Ok(()),
                };
                if let Mode::Gathering(gathering) = &mut self.volatile.mode {
                    gathering.claims.insert(from, Claim { sent, received });
                }
            }
            Input::Returned { by, frame } => {
                if self.proves_loss(&by, &frame) {
                    self.gather_own(&by, &frame);
                }
            }
            Input::ReturnedEvidence(returned) => {
                let evidence = returned.evidence();
                if *evidence.domain() == self.state.domain {
                    self.keep_own(evidence.clone());
                }
            }
            Input::Connected(peer) => self.ask_to_resume(&peer),
            Input::Tick | Input::Notice(_) | Input::Shown(_) | Input::NeverDecided { .. } => {}
        }
        Ok(())
    }

    fn refuse_while_recovering(&mut self, request: RequestId) {
        let awaiting = match &self.volatile.mode {
            Mode::Gathering(gathering) => gathering.awaiting.len(),
            Mode::Live | Mode::Adopting(_) => 0,
        };
        let refusal = Refusal::new(Code::Recovering, format!("{awaiting} peers to be heard"));
        self.reply(request, Err(refusal));
    }

    fn command_recovering(&mut self, request: RequestId, command: Command) {
        let Mode::Gathering(gathering) = &mut self.volatile.mode else {
            return self.refuse_while_recovering(request);
        };
        match command {
            Command::GiveUpOn(domain) => {
                gathering.awaiting.remove(&domain);
            }
            Command::CustomersHeard => gathering.customers_heard = true,
            _ => return self.refuse_while_recovering(request),
        }
        self.reply(request, Ok(super::Accepted::default()));
    }

    pub(super) fn gather_own(&mut self, by: &Domain, frame: &ReceivedFrame) {
        let sent = self.state.peer(by).map_or(Sequence(0), |peer| peer.sent);
        let Mode::Gathering(gathering) = &mut self.volatile.mode else { return };
        gathering.lost = true;
        let known = gathering.returned.get(by).copied().unwrap_or(sent);
        let page = frame.page();
        if page.first > known.next() || page.last() <= known {
            return;
        }
        gathering.returned.insert(by.clone(), page.last());
        let height = frame.checkpoint().checkpoint.height;
        gathering.pages.insert((height, frame.frame().page), page.clone());
        for position in 0..=page.items.len() {
            if let Ok(evidence) = frame.evidence(position) {
                self.keep_own(evidence);
            }
        }
    }

    fn keep_own(&mut self, evidence: Evidence) {
        let height = evidence.checkpoint.checkpoint.height;
        let Mode::Gathering(gathering) = &mut self.volatile.mode else { return };
        if height > self.state.height && gathering.own.len() < limits::RECOVERED_RECORDS {
            gathering.lost = true;
            gathering.own.insert((height, evidence.index), evidence);
        }
    }

    fn gather_inbound(&mut self, frame: ReceivedFrame) {
        let from = frame.from().clone();
        let received = self.state.peer(&from).map_or(Sequence(0), |peer| peer.received);
        let Mode::Gathering(gathering) = &mut self.volatile.mode else { return };
        let frames = gathering.inbound.entry(from).or_default();
        let known = frames.last().map_or(received, |frame| frame.page().last());
        if frame.page().first == known.next() && frames.len() < limits::UNACKNOWLEDGED_PAGES {
            frames.push(frame);
        }
    }

    /// Whether a peer has shown everything that it says there is.
    fn is_heard(&self, gathering: &Gathering, peer: &Domain) -> bool {
        let Some(claim) = gathering.claims.get(peer) else { return false };
        let known = self.state.peer(peer);
        let (sent, received) = known.map_or((Sequence(0), Sequence(0)), |p| (p.sent, p.received));
        let returned = gathering.returned.get(peer).copied().unwrap_or(sent);
        let inbound = gathering.inbound.get(peer).and_then(|frames| frames.last());
        let inbound = inbound.map_or(received, |frame| frame.page().last());
        claim.received <= returned && claim.sent <= inbound
    }

    pub(super) fn has_more_to_recover(&self) -> bool {
        matches!(self.volatile.mode, Mode::Adopting(_))
    }

    /// Goes on with a recovery where it can.
    pub(super) fn continue_recovery(&mut self, now: Time) -> Result<(), Fault> {
        if let Mode::Gathering(gathering) = &self.volatile.mode {
            let complete = gathering.awaiting.iter().all(|peer| self.is_heard(gathering, peer))
                && (!gathering.lost || gathering.customers_heard);
            if !complete {
                return Ok(());
            }
            let mode = std::mem::replace(&mut self.volatile.mode, Mode::Live);
            if let Mode::Gathering(gathering) = mode {
                self.volatile.mode = Mode::Adopting(self.plan(*gathering));
            }
        }
        self.adopt(now)
    }

    /// The order in which everything is written down again.
    fn plan(&self, gathering: Gathering) -> VecDeque<Adoption> {
        let mut plan = VecDeque::new();
        let mut inbound: BTreeMap<Domain, VecDeque<ReceivedFrame>> = BTreeMap::new();
        for (peer, frames) in gathering.inbound {
            inbound.insert(peer, frames.into());
        }
        if gathering.lost {
            let (height, hash) = highest(&self.state, gathering.guard, &gathering.own);
            plan.push_back(Adoption::Begin(height, hash));
        }
        let refunded = refunds(&gathering.own);
        let finalised = finals(&gathering.own);
        let mut done = Height(0);
        for ((height, _), evidence) in gathering.own {
            if height != done {
                done = height;
                // What our pages of this height acknowledge, we had heard before them.
                let from = (height, 0);
                for page in gathering.pages.range(from..=(height, u32::MAX)).map(|(_, page)| page) {
                    let Some(frames) = inbound.get_mut(&page.to) else { continue };
                    while let Some(frame) =
                        frames.pop_front_if(|frame| frame.page().last() <= page.acknowledged)
                    {
                        plan.push_back(Adoption::Heard(Box::new(frame)));
                    }
                }
            }
            if let Some(id) = settles(&evidence).filter(|id| !finalised.contains(id)) {
                plan.push_back(Adoption::Confirm(id));
            }
            let aborted = aborts(&evidence);
            plan.push_back(Adoption::Own(Box::new(evidence)));
            if let Some(id) = aborted.filter(|id| !refunded.contains(id)) {
                plan.push_back(Adoption::Release(id));
            }
        }
        for frame in inbound.into_values().flatten() {
            plan.push_back(Adoption::React(Box::new(frame)));
        }
        plan
    }

    fn adopt(&mut self, now: Time) -> Result<(), Fault> {
        while !self.draft.is_full() {
            let Mode::Adopting(plan) = &mut self.volatile.mode else { return Ok(()) };
            let Some(step) = plan.pop_front() else {
                self.finish_decided(now)?;
                self.volatile.mode = Mode::Live;
                self.rebuild_timers(now);
                self.list_own_offers(now);
                self.greet_peers();
                self.event(Event::Recovered);
                return Ok(());
            };
            match step {
                Adoption::Begin(lost_height, lost_hash) => {
                    self.commit(&Record::Recovering { lost_height, lost_hash })?;
                }
                Adoption::Own(evidence) => self.adopt_own(evidence)?,
                Adoption::Release(id) => self.release_aborted(now, id)?,
                Adoption::Confirm(id) => self.confirm_settled(id)?,
                Adoption::Heard(frame) => {
                    self.commit(&Record::Received(frame))?;
                }
                Adoption::React(frame) => self.handle_frame(now, *frame)?,
            }
        }
        Ok(())
    }

    fn adopt_own(&mut self, evidence: Box<Evidence>) -> Result<(), Fault> {
        let height = evidence.checkpoint.checkpoint.height;
        let fits = evidence.read().is_ok_and(|record| self.state.fits(&record));
        let what = evidence.read().map_or("unreadable", |record| record.kind());
        self.commit(&Record::Recovered(evidence))?;
        if !fits {
            self.event(Event::Unresolved { height, what: what.to_owned() });
        }
        Ok(())
    }
}

/// The settlement that a lost record of ours gave up.
fn aborts(evidence: &Evidence) -> Option<SettlementId> {
    match evidence.read() {
        Ok(Record::Statement(Statement::Aborted(aborted))) => Some(aborted.settlement),
        Ok(_) | Err(_) => None,
    }
}

/// The settlement that a lost record of ours settled.
fn settles(evidence: &Evidence) -> Option<SettlementId> {
    match evidence.read() {
        Ok(Record::Transaction(transaction)) => match transaction.cause {
            Cause::Settled(id) => Some(id),
            _ => None,
        },
        Ok(_) | Err(_) => None,
    }
}

/// The settlements of which we are known to have said that they are final here.
fn finals(own: &BTreeMap<(Height, u32), Evidence>) -> BTreeSet<SettlementId> {
    let said = |evidence: &Evidence| match evidence.read() {
        Ok(Record::Statement(Statement::Finalised { settlement, .. })) => Some(settlement),
        Ok(_) | Err(_) => None,
    };
    own.values().filter_map(said).collect()
}

/// The settlements whose refund came back.
fn refunds(own: &BTreeMap<(Height, u32), Evidence>) -> BTreeSet<SettlementId> {
    let refund = |evidence: &Evidence| match evidence.read() {
        Ok(Record::Transaction(transaction)) => match transaction.cause {
            Cause::Refunded(id) => Some(id),
            _ => None,
        },
        Ok(_) | Err(_) => None,
    };
    own.values().filter_map(refund).collect()
}

/// The highest checkpoint that was ever signed, as far as guard and evidence know.
fn highest(
    state: &super::State,
    guard: Option<Guard>,
    own: &BTreeMap<(Height, u32), Evidence>,
) -> (Height, Hash) {
    let mut highest = (state.height, state.head);
    if let Some(evidence) = own.last_key_value().map(|(_, evidence)| evidence) {
        let checkpoint = &evidence.checkpoint.checkpoint;
        if checkpoint.height > highest.0 {
            highest = (checkpoint.height, checkpoint.hash());
        }
    }
    if let Some(guard) = guard.filter(|guard| guard.height > highest.0) {
        highest = (guard.height, guard.hash);
    }
    highest
}
