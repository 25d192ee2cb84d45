//! What one domain may write: the initiator, the participant and the decider of ONE agreement.
//!
//! Purpose: the settlement rules of the engine as a pure function from what a domain has written
//! and seen to what it may write next. Nothing here knows of networks or faults; `network` does.
//!
//! ```text
//! hold      Idle --> Locked --> Settled | Refunded          on Decided only
//!                      |  \
//!                      |   Revealed --> Settled | Refunded  initiator: no way back but Decided
//!                      `--> Aborted                         initiator: its hold is free at once
//!           Idle --> Declined                               participant: takes no part
//! decision  Undecided --> Settle | Refund                   once, even if Idle (a tombstone)
//! ```
//!
//! Invariants: an input yields at most one new journal; `Input::Deadline` and `Input::HoldTimer`
//! are always possible when a rule allows them, because no rule here can see a clock.

/// A place at the agreement. A seat is also the domain that sits there.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Seat {
    Initiator,
    Participant,
    Decider,
}

pub const SEATS: [Seat; 3] = [Seat::Initiator, Seat::Participant, Seat::Decider];

/// Who takes part. A party has legs and a hold; a notary decides without either.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Shape {
    /// The common trade: the participant is the decider.
    TwoParties,
    ThreeParties,
    TwoPartiesAndNotary,
}

impl Shape {
    pub fn seats(self) -> &'static [Seat] {
        match self {
            Shape::TwoParties => &[Seat::Initiator, Seat::Decider],
            Shape::ThreeParties | Shape::TwoPartiesAndNotary => &SEATS,
        }
    }

    pub fn parties(self) -> &'static [Seat] {
        match self {
            Shape::TwoParties => &[Seat::Initiator, Seat::Decider],
            Shape::ThreeParties => &SEATS,
            Shape::TwoPartiesAndNotary => &[Seat::Initiator, Seat::Participant],
        }
    }

    pub fn is_party(self, seat: Seat) -> bool {
        self.parties().contains(&seat)
    }

    /// The party whose obligation `party` credits against: the legs form a ring.
    pub fn debtor(self, party: Seat) -> Seat {
        match (self, party) {
            (Shape::TwoParties, Seat::Decider) => Seat::Initiator,
            (Shape::TwoParties, Seat::Initiator | Seat::Participant) => Seat::Decider,
            (Shape::ThreeParties, Seat::Initiator) => Seat::Decider,
            (Shape::ThreeParties, Seat::Participant) => Seat::Initiator,
            (Shape::ThreeParties, Seat::Decider) => Seat::Participant,
            (Shape::TwoPartiesAndNotary, Seat::Participant) => Seat::Initiator,
            (Shape::TwoPartiesAndNotary, Seat::Initiator | Seat::Decider) => Seat::Participant,
        }
    }
}

/// What a domain says to others, having written it down.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Statement {
    /// The initiator's carries the agreement (Agreed).
    Locked(Seat),
    /// Carries the Locked evidence that its speaker held.
    Reveal,
    /// The initiator tells the decider that it gave up before Revealed.
    Aborted,
    Decided(Verdict),
}

pub const STATEMENTS: [Statement; 7] = [
    Statement::Locked(Seat::Initiator),
    Statement::Locked(Seat::Participant),
    Statement::Locked(Seat::Decider),
    Statement::Reveal,
    Statement::Aborted,
    Statement::Decided(Verdict::Settle),
    Statement::Decided(Verdict::Refund),
];

impl Statement {
    pub fn speaker(self) -> Seat {
        match self {
            Statement::Locked(seat) => seat,
            Statement::Reveal | Statement::Aborted => Seat::Initiator,
            Statement::Decided(Verdict::Settle | Verdict::Refund) => Seat::Decider,
        }
    }

    pub fn is_addressed_to(self, to: Seat) -> bool {
        match self {
            Statement::Locked(Seat::Initiator) => to != Seat::Initiator,
            Statement::Locked(Seat::Participant | Seat::Decider) => to == Seat::Initiator,
            Statement::Reveal | Statement::Aborted => to == Seat::Decider,
            Statement::Decided(Verdict::Settle | Verdict::Refund) => to != Seat::Decider,
        }
    }

    fn bit(self) -> u8 {
        match self {
            Statement::Locked(Seat::Initiator) => 1,
            Statement::Locked(Seat::Participant) => 1 << 1,
            Statement::Locked(Seat::Decider) => 1 << 2,
            Statement::Reveal => 1 << 3,
            Statement::Aborted => 1 << 4,
            Statement::Decided(Verdict::Settle) => 1 << 5,
            Statement::Decided(Verdict::Refund) => 1 << 6,
        }
    }
}

/// A set of statements.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Statements(u8);

impl Statements {
    pub const NONE: Statements = Statements(0);

    pub fn has(self, statement: Statement) -> bool {
        self.0 & statement.bit() != 0
    }

    pub fn with(self, statement: Statement) -> Statements {
        Statements(self.0 | statement.bit())
    }

    pub fn and(self, others: Statements) -> Statements {
        Statements(self.0 | others.0)
    }

    pub fn only(self, others: Statements) -> Statements {
        Statements(self.0 & others.0)
    }
}

/// What has become of a party's hold. One enum for every seat: a domain is a state machine of
/// the engine, and which steps it may take follows from its seat.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Stage {
    Idle,
    Declined,
    Locked,
    Revealed,
    Aborted,
    Settled,
    Refunded,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verdict {
    Settle,
    Refund,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Decision {
    Undecided,
    Decided(Verdict),
}

/// What a domain's log says of the agreement.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Journal {
    pub stage: Stage,
    pub decision: Decision,
}

impl Journal {
    pub const EMPTY: Journal = Journal { stage: Stage::Idle, decision: Decision::Undecided };

    /// The statements that this journal proves its owner to have written.
    pub fn statements(self, seat: Seat) -> Statements {
        let locked = Statements::NONE.with(Statement::Locked(seat));
        let of_hold = match self.stage {
            Stage::Idle | Stage::Declined => Statements::NONE,
            Stage::Settled if seat == Seat::Initiator => locked.with(Statement::Reveal),
            Stage::Locked | Stage::Settled | Stage::Refunded => locked,
            Stage::Revealed => locked.with(Statement::Reveal),
            Stage::Aborted => locked.with(Statement::Aborted),
        };
        match self.decision {
            Decision::Undecided => of_hold,
            Decision::Decided(verdict) => of_hold.with(Statement::Decided(verdict)),
        }
    }

    /// Whether the owner's funds are set aside and neither delivered nor given back.
    pub fn is_holding(self) -> bool {
        match self.stage {
            Stage::Locked | Stage::Revealed => true,
            Stage::Idle | Stage::Declined | Stage::Aborted | Stage::Settled | Stage::Refunded => {
                false
            }
        }
    }
}

/// What may happen inside a domain that makes it write.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Input {
    Lock,
    Decline,
    Reveal,
    Abort,
    Apply(Verdict),
    /// The decider finds Reveal and every Locked together.
    Settle,
    /// The decider's own timer for an agreement it knows of.
    Deadline,
    /// The decider acts on the initiator's Aborted.
    AbortHeard,
    /// The decider is asked by Query, past the deadline.
    Asked,
    /// A timer of a holding party. Only a mutant acts on it.
    HoldTimer,
}

/// The inputs that arise inside a domain. `Asked` is not among them: it takes a Query.
pub const INPUTS: [Input; 10] = [
    Input::Lock,
    Input::Decline,
    Input::Reveal,
    Input::Abort,
    Input::Apply(Verdict::Settle),
    Input::Apply(Verdict::Refund),
    Input::Settle,
    Input::Deadline,
    Input::AbortHeard,
    Input::HoldTimer,
];

impl Input {
    /// Whether the rules oblige a domain to do this sooner or later. The rest are choices, and
    /// nobody may need another's choice in order to finish.
    pub fn is_duty(self) -> bool {
        match self {
            Input::Apply(Verdict::Settle | Verdict::Refund)
            | Input::Settle
            | Input::Deadline
            | Input::AbortHeard
            | Input::Asked => true,
            Input::Lock | Input::Decline | Input::Reveal | Input::Abort | Input::HoldTimer => false,
        }
    }
}

/// A rule left out or broken on purpose, to show that the check of that rule can fail.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mutation {
    None,
    // Broken order of writing and saying.
    LockedBeforeDurable,
    RevealBeforeDurable,
    DecidedBeforeDurable,
    // Broken rules of the settlement itself.
    RefundOnTimerAfterLocked,
    /// Nobody counts Locked evidence: not the initiator, the decider or the receivers.
    SettleWithoutEveryLocked,
    TwoDecisions,
    InitiatorAbortsAfterReveal,
    /// The decider says Decided(refund) of an agreement it never joined, and writes nothing.
    NoTombstone,
    // Broken recovery of a domain restored from an old copy.
    RestoredActsAtOnce,
    RecoveryAsksOnePeer,
    /// Peers give back what they hold, and go on accepting what is still under way.
    RecoveryWithoutFence,
    /// Peers forget their refusal when they crash.
    VolatileFence,
    // One guard of two left out: the other must do.
    RevealWithoutEveryLocked,
    CreditWithoutEvidence,
    // Broken duties.
    NoQuery,
    NoDeadline,
    /// The decider ignores a Query for an agreement it never joined.
    SilentOnUnknown,
}

/// All that a domain's next step may depend on.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub shape: Shape,
    pub mutation: Mutation,
    pub me: Seat,
    pub journal: Journal,
    /// Statements of others received, and one's own fetched back in recovery.
    pub seen: Statements,
    /// The Locked evidence that came with Reveal.
    pub revealed_with: Statements,
    /// The Locked evidence that came with Decided(settle).
    pub decided_with: Statements,
}

impl View {
    /// What this domain writes on `input`; `None` when the rules give it nothing to write.
    pub fn next_journal(&self, input: Input) -> Option<Journal> {
        match input {
            Input::Lock => self.moved_if(self.may_lock(), Stage::Locked),
            Input::Decline => self.moved_if(self.may_decline(), Stage::Declined),
            Input::Reveal => self.moved_if(self.may_reveal(), Stage::Revealed),
            Input::Abort => self.moved_if(self.may_abort(), Stage::Aborted),
            Input::Apply(Verdict::Settle) => self.moved_if(self.may_credit(), Stage::Settled),
            Input::Apply(Verdict::Refund) => self.moved_if(self.may_refund(), Stage::Refunded),
            Input::HoldTimer => self.moved_if(self.may_release_by_timer(), Stage::Refunded),
            Input::Settle => self.decided_if(self.may_settle(), Verdict::Settle),
            Input::Deadline => self.decided_if(self.may_expire(), Verdict::Refund),
            Input::AbortHeard => {
                self.decided_if(self.seen.has(Statement::Aborted), Verdict::Refund)
            }
            Input::Asked => self.decided_if(self.may_answer(), Verdict::Refund),
        }
    }

    /// The decider has heard of the agreement other than by Query or Aborted.
    pub fn knows_agreement(&self) -> bool {
        self.journal.stage != Stage::Idle
            || self.seen.has(Statement::Locked(Seat::Initiator))
            || self.seen.has(Statement::Reveal)
    }

    /// A party that waits asks the decider.
    pub fn is_waiting(&self) -> bool {
        self.me != Seat::Decider && self.journal.is_holding()
    }

    fn moved_if(&self, may: bool, stage: Stage) -> Option<Journal> {
        may.then_some(Journal { stage, ..self.journal })
    }

    /// The decider's entry is the only point of decision: one per agreement, ever, and whether
    /// or not it joined.
    fn decided_if(&self, may: bool, verdict: Verdict) -> Option<Journal> {
        let is_open = match self.journal.decision {
            Decision::Undecided => true,
            Decision::Decided(written) => {
                self.mutation == Mutation::TwoDecisions && written != verdict
            }
        };
        let decision = Decision::Decided(verdict);
        (may && is_open && self.me == Seat::Decider).then_some(Journal { decision, ..self.journal })
    }

    fn may_lock(&self) -> bool {
        let is_invited = match self.me {
            Seat::Initiator => true,
            Seat::Participant | Seat::Decider => self.seen.has(Statement::Locked(Seat::Initiator)),
        };
        self.journal == Journal::EMPTY
            && self.shape.is_party(self.me)
            && is_invited
            && !self.seen.has(Statement::Decided(Verdict::Refund))
    }

    /// A decider that declines writes Decided(refund) instead, see `may_expire`.
    fn may_decline(&self) -> bool {
        self.me == Seat::Participant
            && self.journal.stage == Stage::Idle
            && self.seen.has(Statement::Locked(Seat::Initiator))
    }

    fn may_reveal(&self) -> bool {
        let is_hasty = matches!(
            self.mutation,
            Mutation::RevealWithoutEveryLocked | Mutation::SettleWithoutEveryLocked
        );
        self.me == Seat::Initiator
            && self.journal.stage == Stage::Locked
            && (is_hasty || self.has_every_locked(self.seen))
    }

    /// Once Revealed is in the journal, someone else may settle.
    fn may_abort(&self) -> bool {
        let is_too_late = self.journal.stage == Stage::Revealed;
        self.me == Seat::Initiator
            && self.journal.is_holding()
            && (!is_too_late || self.mutation == Mutation::InitiatorAbortsAfterReveal)
    }

    /// A credit needs the debtor's Locked in the bundle of Decided(settle).
    fn may_credit(&self) -> bool {
        let is_careless = matches!(
            self.mutation,
            Mutation::CreditWithoutEvidence | Mutation::SettleWithoutEveryLocked
        );
        let debt = Statement::Locked(self.shape.debtor(self.me));
        self.journal.is_holding()
            && self.is_told(Verdict::Settle)
            && (is_careless || self.decided_with.has(debt))
    }

    fn may_refund(&self) -> bool {
        self.journal.is_holding() && self.is_told(Verdict::Refund)
    }

    fn may_release_by_timer(&self) -> bool {
        self.mutation == Mutation::RefundOnTimerAfterLocked && self.is_waiting()
    }

    fn may_settle(&self) -> bool {
        let is_careless = self.mutation == Mutation::SettleWithoutEveryLocked;
        self.seen.has(Statement::Reveal)
            && (is_careless || self.has_every_locked(self.revealed_with))
    }

    fn may_expire(&self) -> bool {
        self.knows_agreement() && self.mutation != Mutation::NoDeadline
    }

    fn may_answer(&self) -> bool {
        self.knows_agreement() || self.mutation != Mutation::SilentOnUnknown
    }

    /// The decider reads its own log, the others what they were told.
    fn is_told(&self, verdict: Verdict) -> bool {
        match self.me {
            Seat::Decider => self.journal.decision == Decision::Decided(verdict),
            Seat::Initiator | Seat::Participant => self.seen.has(Statement::Decided(verdict)),
        }
    }

    /// One's own Locked counts only from one's own journal.
    fn has_every_locked(&self, evidence: Statements) -> bool {
        self.shape.parties().iter().all(|party| {
            let locked = Statement::Locked(*party);
            if *party == self.me {
                self.journal.statements(self.me).has(locked)
            } else {
                evidence.has(locked)
            }
        })
    }
}
