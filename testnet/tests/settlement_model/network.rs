//! The domains of one agreement, what is under way between them, and what goes wrong.
//!
//! Purpose: the state graph to search. Every step is one of: a domain writes, makes the write
//! durable (and thereby says it), receives, asks, recovers; or a fault.
//!
//! How the feeds are modelled: a statement once said stays in `said` and may reach each domain
//! it is addressed to now, later, again or never. So loss, delay, reordering and duplication
//! are the order in which a search picks `Deliver`, and need no steps of their own. A Query is
//! volatile: it is in `queries` or lost.
//!
//! Invariants: a correct domain says nothing that is not durable; a crash keeps exactly what
//! the last durable write kept; there is no clock, so any timer may fire in any state.

use stateright::{Model, Property};

use crate::properties;
use crate::roles::{
    Decision, INPUTS, Input, Journal, Mutation, STATEMENTS, Seat, Shape, Stage, Statement,
    Statements, Verdict, View,
};

/// A set of seats.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Seats(u8);

impl Seats {
    pub const NONE: Seats = Seats(0);

    pub fn has(self, seat: Seat) -> bool {
        self.0 & Seats::bit(seat) != 0
    }

    pub fn with(self, seat: Seat) -> Seats {
        Seats(self.0 | Seats::bit(seat))
    }

    pub fn without(self, seat: Seat) -> Seats {
        Seats(self.0 & !Seats::bit(seat))
    }

    fn bit(seat: Seat) -> u8 {
        1 << index(seat)
    }
}

/// Whether a domain works, and how.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mode {
    Running,
    /// Restored from an old copy: it writes nothing until the peers have been asked for its own
    /// later statements. `asked`: the peers that have answered.
    Recovering {
        asked: Seats,
    },
    /// Stopped for good. Its statements may still be under way.
    Gone,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Domain {
    pub journal: Journal,
    /// Written but not yet durable. One write at a time: a batch is one write.
    pub unsynced: Option<Journal>,
    /// Received statements that are durable: they went to disk with the last write.
    pub kept: Statements,
    /// Received statements, durable or not.
    pub seen: Statements,
    pub mode: Mode,
}

/// What may go wrong besides the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Faults {
    /// Any domain, any number of times: a crash only takes away, so the graph stays finite.
    pub crashes: bool,
    /// Everyone but the decider may stop for good.
    pub departures: bool,
    /// One of these, once: its disk is replaced by an old copy.
    pub restorable: &'static [Seat],
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct State {
    pub domains: [Domain; 3],
    /// Every statement ever said, whatever its speaker remembers.
    pub said: Statements,
    pub queries: Seats,
    /// The Locked evidence that Reveal carries.
    pub revealed_with: Statements,
    /// The Locked evidence that Decided(settle) carries.
    pub decided_with: Statements,
    /// The domain that was restored from an old copy.
    pub restored: Option<Seat>,
    /// Peers that refuse what the restored domain said before. See `fetch_back`.
    pub fenced: Seats,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    Write(Seat, Input),
    /// The write becomes durable, and with it said.
    Sync(Seat),
    Deliver(Statement, Seat),
    Ask(Seat),
    AnswerQuery(Seat),
    LoseQuery(Seat),
    FetchBack {
        restored: Seat,
        peer: Seat,
    },
    Resume(Seat),
    Crash(Seat),
    Restore(Seat, Stage),
    Depart(Seat),
}

/// What a domain may be restored to, undecided. Copies of a later stage lack nothing that binds.
const OLD_COPIES: [Stage; 3] = [Stage::Idle, Stage::Locked, Stage::Revealed];

/// One search: who takes part, what may go wrong, which rule is broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settlement {
    pub shape: Shape,
    pub faults: Faults,
    pub mutation: Mutation,
}

fn index(seat: Seat) -> usize {
    match seat {
        Seat::Initiator => 0,
        Seat::Participant => 1,
        Seat::Decider => 2,
    }
}

impl State {
    pub fn domain(&self, seat: Seat) -> &Domain {
        &self.domains[index(seat)]
    }

    fn domain_mut(&mut self, seat: Seat) -> &mut Domain {
        &mut self.domains[index(seat)]
    }

    /// `statements` with the evidence that some of them carry.
    fn with_evidence(&self, statements: Statements) -> Statements {
        let mut all = statements;
        if all.has(Statement::Decided(Verdict::Settle)) {
            all = all.and(self.decided_with).with(Statement::Reveal);
        }
        if all.has(Statement::Reveal) {
            all = all.and(self.revealed_with).with(Statement::Locked(Seat::Initiator));
        }
        all
    }

    /// Whether a fence holds off `statement`: said, then lost and never given back.
    fn is_refused(&self, statement: Statement, to: Seat) -> bool {
        let speaker = statement.speaker();
        let is_in_log = self.domain(speaker).journal.statements(speaker).has(statement);
        self.restored == Some(speaker) && self.fenced.has(to) && !is_in_log
    }

    /// Adds to what has been said, with the evidence its speaker has at this moment.
    fn say(&mut self, seat: Seat, statements: Statements) {
        let evidence = self.domain(seat).seen.and(statements);
        let before = self.said;
        self.said = before.and(statements);
        if statements.has(Statement::Reveal) {
            self.revealed_with = locks(evidence);
        }
        let settle = Statement::Decided(Verdict::Settle);
        if statements.has(settle) && !before.has(settle) {
            self.decided_with = locks(self.with_evidence(evidence.with(Statement::Reveal)));
        }
    }
}

/// The Locked statements among `statements`.
fn locks(statements: Statements) -> Statements {
    STATEMENTS
        .into_iter()
        .filter(|part| statements.has(*part) && matches!(part, Statement::Locked(_)))
        .fold(Statements::NONE, Statements::with)
}

/// The statements of one speaker.
fn spoken_by(seat: Seat) -> Statements {
    STATEMENTS
        .into_iter()
        .filter(|statement| statement.speaker() == seat)
        .fold(Statements::NONE, Statements::with)
}

impl Settlement {
    fn view(&self, state: &State, me: Seat) -> View {
        let domain = state.domain(me);
        View {
            shape: self.shape,
            mutation: self.mutation,
            me,
            journal: domain.journal,
            seen: domain.seen,
            revealed_with: state.revealed_with,
            decided_with: state.decided_with,
        }
    }

    fn is_idle_runner(domain: &Domain) -> bool {
        domain.mode == Mode::Running && domain.unsynced.is_none()
    }

    fn write(&self, state: &State, seat: Seat, input: Input) -> Option<State> {
        if !Settlement::is_idle_runner(state.domain(seat)) {
            return None;
        }
        let view = self.view(state, seat);
        let journal = view.next_journal(input)?;
        let mut next = *state;
        if self.is_said_unwritten(&view, input) {
            next.said = next.said.with(Statement::Decided(Verdict::Refund));
            return Some(next);
        }
        next.domain_mut(seat).unsynced = Some(journal);
        if self.is_said_early(journal, view.journal) {
            next.say(seat, journal.statements(seat));
        }
        Some(next)
    }

    fn is_said_unwritten(&self, view: &View, input: Input) -> bool {
        let is_about_stranger = match input {
            Input::Asked | Input::AbortHeard => !view.knows_agreement(),
            Input::Lock
            | Input::Decline
            | Input::Reveal
            | Input::Abort
            | Input::Apply(_)
            | Input::Settle
            | Input::Deadline
            | Input::HoldTimer => false,
        };
        self.mutation == Mutation::NoTombstone && is_about_stranger
    }

    fn is_said_early(&self, written: Journal, before: Journal) -> bool {
        let locks_now = written.stage == Stage::Locked && before.stage == Stage::Idle;
        let decides_now = written.decision != before.decision;
        (self.mutation == Mutation::LockedBeforeDurable && locks_now)
            || (self.mutation == Mutation::RevealBeforeDurable && written.stage == Stage::Revealed)
            || (self.mutation == Mutation::DecidedBeforeDurable && decides_now)
    }

    /// With the write, what was received becomes durable too: a batch holds both.
    fn sync(state: &State, seat: Seat) -> Option<State> {
        let journal = state.domain(seat).unsynced?;
        let mut next = *state;
        let new = journal.statements(seat);
        let domain = next.domain_mut(seat);
        domain.journal = journal;
        domain.unsynced = None;
        domain.kept = domain.seen;
        next.say(seat, new);
        Some(next)
    }

    fn deliver(&self, state: &State, statement: Statement, to: Seat) -> Option<State> {
        let receiver = state.domain(to);
        let is_new = state.said.has(statement) && !receiver.seen.has(statement);
        if !is_new || receiver.mode == Mode::Gone || state.is_refused(statement, to) {
            return None;
        }
        let mut next = *state;
        let domain = next.domain_mut(to);
        domain.seen = domain.seen.with(statement);
        Some(next)
    }

    fn ask(&self, state: &State, seat: Seat) -> Option<State> {
        let is_able = Settlement::is_idle_runner(state.domain(seat))
            && self.mutation != Mutation::NoQuery
            && self.view(state, seat).is_waiting();
        (is_able && !state.queries.has(seat))
            .then(|| State { queries: state.queries.with(seat), ..*state })
    }

    /// A decided decider repeats Decided, which `Deliver` does anyhow; so only the undecided case
    /// is a step. The Query stays: it may arrive twice.
    fn answer_query(&self, state: &State, from: Seat) -> Option<State> {
        let is_asked = state.queries.has(from);
        is_asked.then(|| self.write(state, Seat::Decider, Input::Asked)).flatten()
    }

    /// The peer hands back what it holds of the restored domain's statements, and from then on
    /// refuses what the restored domain had said before and the peer has not received: else a
    /// statement still under way could arrive after its speaker has decided otherwise.
    fn fetch_back(&self, state: &State, restored: Seat, peer: Seat) -> Option<State> {
        let asked = match state.domain(restored).mode {
            Mode::Recovering { asked } if !asked.has(peer) && peer != restored => asked,
            Mode::Recovering { asked: _ } | Mode::Running | Mode::Gone => return None,
        };
        if state.domain(peer).mode == Mode::Gone {
            return None;
        }
        let held = state.with_evidence(state.domain(peer).seen);
        let mut next = *state;
        let domain = next.domain_mut(restored);
        domain.seen = domain.seen.and(held.only(spoken_by(restored)));
        domain.mode = Mode::Recovering { asked: asked.with(peer) };
        if self.mutation != Mutation::RecoveryWithoutFence {
            next.fenced = next.fenced.with(peer);
        }
        Some(next)
    }

    fn resume(&self, state: &State, seat: Seat) -> Option<State> {
        let asked = match state.domain(seat).mode {
            Mode::Recovering { asked } => asked,
            Mode::Running | Mode::Gone => return None,
        };
        let mut peers = self.shape.seats().iter().filter(|peer| **peer != seat);
        let is_done = if self.mutation == Mutation::RecoveryAsksOnePeer {
            peers.any(|peer| asked.has(*peer))
        } else {
            peers.all(|peer| asked.has(*peer))
        };
        is_done.then(|| {
            let mut next = *state;
            let domain = next.domain_mut(seat);
            domain.journal = regained(seat, domain.journal, domain.seen);
            domain.kept = domain.seen;
            domain.mode = Mode::Running;
            next
        })
    }

    fn crash(&self, state: &State, seat: Seat) -> Option<State> {
        let mut next = *state;
        if self.mutation == Mutation::VolatileFence {
            next.fenced = next.fenced.without(seat);
        }
        let domain = next.domain_mut(seat);
        domain.unsynced = None;
        domain.seen = domain.kept;
        domain.mode = match domain.mode {
            Mode::Running => Mode::Running,
            Mode::Recovering { asked: _ } => Mode::Recovering { asked: Seats::NONE },
            Mode::Gone => return None,
        };
        // A crash that loses nothing is no step.
        (next != *state).then_some(next)
    }

    fn restore(&self, state: &State, seat: Seat, stage: Stage) -> Option<State> {
        let mut next = *state;
        next.restored = Some(seat);
        let old = Journal { stage, ..Journal::EMPTY };
        let now = state.domain(seat).journal;
        let was_written = match stage {
            Stage::Idle => true,
            Stage::Locked => state.said.has(Statement::Locked(seat)),
            Stage::Revealed => seat == Seat::Initiator && state.said.has(Statement::Reveal),
            Stage::Declined | Stage::Aborted | Stage::Settled | Stage::Refunded => false,
        };
        let is_older = rank(old.stage) < rank(now.stage) || old.decision != now.decision;
        if !was_written || !is_older || state.domain(seat).mode != Mode::Running {
            return None;
        }
        let kept = kept_with(state, seat, stage);
        let acts_at_once = self.mutation == Mutation::RestoredActsAtOnce;
        let mode =
            if acts_at_once { Mode::Running } else { Mode::Recovering { asked: Seats::NONE } };
        *next.domain_mut(seat) = Domain { journal: old, unsynced: None, kept, seen: kept, mode };
        Some(next)
    }

    /// Never the decider: one that is gone for good blocks the trade, by design.
    fn depart(state: &State, seat: Seat) -> Option<State> {
        let mut next = *state;
        let domain = next.domain_mut(seat);
        let is_able = seat != Seat::Decider && domain.mode == Mode::Running;
        domain.unsynced = None;
        domain.seen = domain.kept;
        domain.mode = Mode::Gone;
        is_able.then_some(next)
    }

    /// Whether the step is free of faults and choices and will be taken sooner or later.
    pub fn is_fair(&self, state: &State, action: Action) -> bool {
        match action {
            Action::Write(_, input) => input.is_duty(),
            Action::Deliver(statement, _) => {
                state.domain(statement.speaker()).mode == Mode::Running
            }
            Action::Sync(_)
            | Action::Ask(_)
            | Action::AnswerQuery(_)
            | Action::FetchBack { restored: _, peer: _ }
            | Action::Resume(_) => true,
            Action::LoseQuery(_) | Action::Crash(_) | Action::Restore(_, _) | Action::Depart(_) => {
                false
            }
        }
    }
}

/// The order of the stages within one log.
fn rank(stage: Stage) -> u8 {
    match stage {
        Stage::Idle => 0,
        Stage::Locked => 1,
        Stage::Revealed => 2,
        Stage::Declined | Stage::Aborted | Stage::Settled | Stage::Refunded => 3,
    }
}

/// The received evidence that went into the log no later than `stage`: the least there can be.
fn kept_with(state: &State, seat: Seat, stage: Stage) -> Statements {
    match (seat, stage) {
        (Seat::Participant | Seat::Decider, Stage::Locked) => {
            Statements::NONE.with(Statement::Locked(Seat::Initiator))
        }
        (Seat::Initiator, Stage::Revealed) => state.revealed_with,
        (Seat::Initiator, Stage::Locked)
        | (Seat::Participant | Seat::Decider, Stage::Revealed)
        | (_, Stage::Idle | Stage::Declined)
        | (_, Stage::Aborted | Stage::Settled | Stage::Refunded) => Statements::NONE,
    }
}

/// The journal of a restored domain once its own statements, fetched back, are in it again.
fn regained(seat: Seat, journal: Journal, seen: Statements) -> Journal {
    let stage = if seen.has(Statement::Aborted) && seat == Seat::Initiator {
        Stage::Aborted
    } else if seen.has(Statement::Reveal) && seat == Seat::Initiator {
        Stage::Revealed
    } else if seen.has(Statement::Locked(seat)) && journal.stage == Stage::Idle {
        Stage::Locked
    } else {
        journal.stage
    };
    let decision = match (seat, journal.decision) {
        (Seat::Decider, Decision::Undecided) => [Verdict::Settle, Verdict::Refund]
            .into_iter()
            .find(|verdict| seen.has(Statement::Decided(*verdict)))
            .map_or(Decision::Undecided, Decision::Decided),
        (Seat::Decider, Decision::Decided(_)) | (Seat::Initiator | Seat::Participant, _) => {
            journal.decision
        }
    };
    Journal { stage, decision }
}

impl Model for Settlement {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let domain = Domain {
            journal: Journal::EMPTY,
            unsynced: None,
            kept: Statements::NONE,
            seen: Statements::NONE,
            mode: Mode::Running,
        };
        vec![State {
            domains: [domain; 3],
            said: Statements::NONE,
            queries: Seats::NONE,
            revealed_with: Statements::NONE,
            decided_with: Statements::NONE,
            restored: None,
            fenced: Seats::NONE,
        }]
    }

    /// Every step that one could think of; `next_state` drops those that the rules exclude.
    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for seat in self.shape.seats().iter().copied() {
            if Settlement::is_idle_runner(state.domain(seat)) {
                actions.extend(INPUTS.into_iter().map(|input| Action::Write(seat, input)));
            }
            let to_seat = STATEMENTS
                .into_iter()
                .filter(|statement| state.said.has(*statement) && statement.is_addressed_to(seat));
            actions.extend(to_seat.map(|statement| Action::Deliver(statement, seat)));
            actions.push(Action::Sync(seat));
            actions.push(Action::Ask(seat));
            if state.queries.has(seat) {
                actions.push(Action::AnswerQuery(seat));
                actions.push(Action::LoseQuery(seat));
            }
            if self.faults.crashes {
                actions.push(Action::Crash(seat));
            }
            if self.faults.restorable.contains(&seat) && state.restored.is_none() {
                let copies = OLD_COPIES.into_iter().map(|stage| Action::Restore(seat, stage));
                actions.extend(copies);
            }
            if self.faults.departures {
                actions.push(Action::Depart(seat));
            }
            if let Mode::Recovering { asked: _ } = state.domain(seat).mode {
                let peers = self.shape.seats().iter().copied();
                actions.extend(peers.map(|peer| Action::FetchBack { restored: seat, peer }));
                actions.push(Action::Resume(seat));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        match action {
            Action::Write(seat, input) => self.write(state, seat, input),
            Action::Sync(seat) => Settlement::sync(state, seat),
            Action::Deliver(statement, to) => self.deliver(state, statement, to),
            Action::Ask(seat) => self.ask(state, seat),
            Action::AnswerQuery(from) => self.answer_query(state, from),
            Action::LoseQuery(from) => {
                Some(State { queries: state.queries.without(from), ..*state })
            }
            Action::FetchBack { restored, peer } => self.fetch_back(state, restored, peer),
            Action::Resume(seat) => self.resume(state, seat),
            Action::Crash(seat) => self.crash(state, seat),
            Action::Restore(seat, stage) => self.restore(state, seat, stage),
            Action::Depart(seat) => Settlement::depart(state, seat),
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
