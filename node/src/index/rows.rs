//! What the index keeps, one type per kind of row.
//!
//! Invariant: every row is a function of the records in the log and of nothing else, so an index
//! that is built again has the same rows, byte for byte. A little over 600 lines, as it is the one
//! list of them all.

use bincode::{Decode, Encode};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::order::Action;
use quadrille_protocol::ledger::transaction::{Cause, Movement};
use quadrille_protocol::limits;
use quadrille_protocol::log::OutcomeKind;
use quadrille_protocol::market::OfferTerms;
use quadrille_protocol::settlement::agreement::{Header, Leg, Purpose};
use quadrille_protocol::types::{
    Amount, Bounded, Domain, Hash, Height, Holder, KeyId, OrderId, Sequence, SettlementId, Time,
    Ubi,
};

/// Where a record is: the batch and its leaf there. Evidence is cut from the log with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Place {
    /// The batch.
    pub height: Height,
    /// The record in it.
    pub leaf: u32,
}

/// Where something was said: our record of it, and the statement's position in the page where
/// that record is a frame that we received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Said {
    /// Our record.
    pub place: Place,
    /// The position in the received page; `None` when the record itself says it.
    pub item: Option<u32>,
}

/// A ledger of ours.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LedgerRow {
    /// The ledger.
    pub ledger: Ubi,
    /// Its holder.
    pub holder: Holder,
    /// Tells several ledgers of one holder apart.
    pub number: u32,
    /// The record that opened it.
    pub opened: Place,
    /// When.
    pub time: Time,
    /// The key that signs its orders now.
    pub key: KeyId,
    /// Its second key, where its rules name one.
    pub second_key: Option<KeyId>,
    /// The number of its last entry.
    pub head: Sequence,
    /// The hash of its last entry.
    pub head_hash: Hash,
}

/// One entry of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct EntryRow {
    /// The ledger.
    pub ledger: Ubi,
    /// Its number.
    pub sequence: Sequence,
    /// The transaction's record.
    pub place: Place,
    /// The entry's hash.
    pub hash: Hash,
    /// The transaction's time.
    pub time: Time,
    /// Why.
    pub cause: EntryCause,
    /// What moved.
    pub movements: Bounded<Movement, { limits::ENTRY_MOVEMENTS }>,
}

/// Why an entry was made: a transaction's cause without its signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum EntryCause {
    /// The ledger was opened.
    Opened,
    /// An order was accepted.
    Ordered {
        /// The order.
        order: OrderId,
        /// What was ordered.
        kind: OrderKind,
    },
    /// An asset was put into circulation.
    Issued,
    /// The operator froze the ledger.
    Frozen,
    /// The operator thawed it.
    Unfrozen,
    /// A settlement was applied.
    Settled(SettlementId),
    /// A settlement was refunded.
    Refunded(SettlementId),
    /// An offer and a take at this validator were matched.
    Traded {
        /// The offer.
        offer: OrderId,
        /// The take.
        take: OrderId,
    },
    /// What was left of an offer was released.
    OfferEnded {
        /// The offer.
        offer: OrderId,
        /// Why.
        reason: Code,
    },
    /// A take led to nothing.
    TakeEnded {
        /// The take.
        take: OrderId,
        /// Why.
        reason: Code,
    },
    /// A payment led to nothing.
    PaymentEnded {
        /// The payment.
        order: OrderId,
        /// Why.
        reason: Code,
    },
    /// The bank gave the ledger another key.
    KeyReplaced,
}

impl EntryCause {
    /// The cause of a transaction.
    #[must_use]
    pub fn of(cause: &Cause) -> Self {
        match cause {
            Cause::Opened(_) => Self::Opened,
            Cause::Ordered(order) => {
                Self::Ordered { order: order.id(), kind: OrderKind::of(&order.order().action) }
            }
            Cause::Issued(_) => Self::Issued,
            Cause::Frozen => Self::Frozen,
            Cause::Unfrozen => Self::Unfrozen,
            Cause::Settled(id) => Self::Settled(*id),
            Cause::Refunded(id) => Self::Refunded(*id),
            Cause::Traded { offer, take } => Self::Traded { offer: *offer, take: *take },
            Cause::OfferEnded { offer, reason } => {
                Self::OfferEnded { offer: *offer, reason: *reason }
            }
            Cause::TakeEnded { take, reason } => Self::TakeEnded { take: *take, reason: *reason },
            Cause::PaymentEnded { order, reason } => {
                Self::PaymentEnded { order: *order, reason: *reason }
            }
            Cause::KeyReplaced(_) => Self::KeyReplaced,
        }
    }

    /// Its kind in a word, the same as the transaction's.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Ordered { .. } => "ordered",
            Self::Issued => "issued",
            Self::Frozen => "frozen",
            Self::Unfrozen => "unfrozen",
            Self::Settled(_) => "settled",
            Self::Refunded(_) => "refunded",
            Self::Traded { .. } => "traded",
            Self::OfferEnded { .. } => "offer ended",
            Self::TakeEnded { .. } => "take ended",
            Self::PaymentEnded { .. } => "payment ended",
            Self::KeyReplaced => "key replaced",
        }
    }

    /// The order that it names, if it names one; of a trade the take.
    #[must_use]
    pub const fn order(&self) -> Option<OrderId> {
        match self {
            Self::Ordered { order, .. } | Self::PaymentEnded { order, .. } => Some(*order),
            Self::Traded { take, .. } | Self::TakeEnded { take, .. } => Some(*take),
            Self::OfferEnded { offer, .. } => Some(*offer),
            Self::Opened
            | Self::Issued
            | Self::Frozen
            | Self::Unfrozen
            | Self::Settled(_)
            | Self::Refunded(_)
            | Self::KeyReplaced => None,
        }
    }

    /// The settlement that it names, if it names one.
    #[must_use]
    pub const fn settlement(&self) -> Option<SettlementId> {
        match self {
            Self::Settled(id) | Self::Refunded(id) => Some(*id),
            Self::Opened
            | Self::Ordered { .. }
            | Self::Issued
            | Self::Frozen
            | Self::Unfrozen
            | Self::Traded { .. }
            | Self::OfferEnded { .. }
            | Self::TakeEnded { .. }
            | Self::PaymentEnded { .. }
            | Self::KeyReplaced => None,
        }
    }
}

/// What a holder ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum OrderKind {
    /// A payment.
    Pay,
    /// An offer.
    Offer,
    /// A take.
    Take,
    /// The end of an offer.
    Cancel,
    /// New rules for the ledger.
    Amend,
    /// A new key.
    RotateKey,
    /// An asset given back to its issuer.
    Redeem,
    /// The end of the ledger.
    Close,
}

impl OrderKind {
    /// The kind of an action.
    #[must_use]
    pub const fn of(action: &Action) -> Self {
        match action {
            Action::Pay(_) => Self::Pay,
            Action::Offer(_) => Self::Offer,
            Action::Take { .. } => Self::Take,
            Action::Cancel { .. } => Self::Cancel,
            Action::Amend(_) => Self::Amend,
            Action::RotateKey { .. } => Self::RotateKey,
            Action::Redeem { .. } => Self::Redeem,
            Action::Close => Self::Close,
        }
    }

    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pay => "pay",
            Self::Offer => "offer",
            Self::Take => "take",
            Self::Cancel => "cancel",
            Self::Amend => "amend",
            Self::RotateKey => "rotate-key",
            Self::Redeem => "redeem",
            Self::Close => "close",
        }
    }
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OrderRow {
    /// The order.
    pub order: OrderId,
    /// Its ledger.
    pub ledger: Ubi,
    /// What was ordered; unknown of an order that was only ever refused.
    pub kind: Option<OrderKind>,
    /// The record that accepted or refused it.
    pub place: Place,
    /// When.
    pub time: Time,
    /// What became of it.
    pub state: OrderState,
    /// The newest settlement that it led to.
    pub settlement: Option<SettlementId>,
    /// Of a take: where the maker's bank refused it.
    pub refused_by: Option<Said>,
    /// The record with which its state was reached.
    pub changed: Place,
    /// When.
    pub changed_time: Time,
}

/// How far an order has come.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum OrderState {
    /// Refused; the record is the holder's proof.
    Refused(Refusal),
    /// Carried out at once, nothing is left of it.
    Done,
    /// Accepted, and not yet at its end: an offer that is live, a take or payment under way.
    Open,
    /// A settlement carries it.
    Settling(SettlementId),
    /// That settlement was applied.
    Settled(SettlementId),
    /// That settlement was refunded.
    Refunded(SettlementId),
    /// A take or an offer that was matched to the full at this validator, or in settlements.
    Filled,
    /// It ended without being carried out in full.
    Ended(Code),
}

impl OrderState {
    /// In a word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Done => "done",
            Self::Open => "open",
            Self::Settling(_) => "settling",
            Self::Settled(_) => "settled",
            Self::Refunded(_) => "refunded",
            Self::Filled => "filled",
            Self::Ended(_) => "ended",
        }
    }
}

/// An offer of a ledger of ours.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OfferRow {
    /// The offer.
    pub offer: OrderId,
    /// The maker's ledger.
    pub ledger: Ubi,
    /// The record of the order.
    pub ordered: Place,
    /// When.
    pub time: Time,
    /// The terms.
    pub terms: OfferTerms,
    /// The version of its newest publication; zero before the first.
    pub version: u32,
    /// What could be taken by that publication, in minor units of the asset that it gives.
    pub remaining: Amount,
    /// Its newest `OfferPosted`.
    pub posted: Option<Place>,
    /// Its end.
    pub closed: Option<OfferEnd>,
}

/// How an offer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct OfferEnd {
    /// The `OfferClosed`.
    pub place: Place,
    /// When.
    pub time: Time,
    /// Why: cancelled, expired, or nothing left (`Q-1501`).
    pub reason: Code,
}

/// What we are in a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Part {
    /// We drew it up.
    Initiator,
    /// We have legs in it; we decide it where the header says so.
    Participant,
    /// We only decide it.
    Notary,
    /// We were asked about it before its initiator had told us of it.
    Asked,
}

impl Part {
    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initiator => "initiator",
            Self::Participant => "participant",
            Self::Notary => "notary",
            Self::Asked => "asked",
        }
    }
}

/// A settlement as our log has it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SettlementRow {
    /// The settlement.
    pub settlement: SettlementId,
    /// What we are in it.
    pub part: Part,
    /// Its header: initiator, decider, parties, deadline.
    pub header: Header,
    /// Its legs; empty where we are its notary or were only asked.
    pub legs: Bounded<Leg, { limits::AGREEMENT_LEGS }>,
    /// What for; unknown where we are its notary or were only asked.
    pub purpose: Option<Purpose>,
    /// Where we first wrote of it.
    pub opened: Said,
    /// When.
    pub time: Time,
    /// What was said and done, in the order of our log; each step of each domain once.
    pub steps: Vec<StepRow>,
    /// What its decider decided, as soon as we know.
    pub decision: Option<OutcomeKind>,
    /// Its end here.
    pub end: Option<SettlementEnd>,
}

/// One step of a settlement as our log has it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StepRow {
    /// The step.
    pub step: Step,
    /// Who took it.
    pub by: Domain,
    /// Why, where it says why.
    pub reason: Option<Refusal>,
    /// Our record of it.
    pub said: Said,
    /// When our batch with it was sealed.
    pub time: Time,
}

/// The steps: the statements' kinds, a question, and the two bookings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Step {
    /// The agreement was drawn up, the initiator's legs are locked.
    Agreed,
    /// The notary was appointed.
    Appointed,
    /// A party asked for the decision.
    Queried,
    /// A party has locked.
    Locked,
    /// A party will not lock.
    Declined,
    /// The initiator revealed the secret.
    Revealed,
    /// The initiator gave up.
    Aborted,
    /// The decider decided to settle.
    DecidedSettle,
    /// The decider decided to refund.
    DecidedRefund,
    /// Our books have applied it.
    Settled,
    /// Our books have released it.
    Refunded,
    /// A party has applied it.
    Finalised,
}

impl Step {
    /// Its counterpart among the messages of SATP-core, in the transfer of an asset; none for what
    /// that protocol has no message for.
    #[must_use]
    pub const fn satp(self) -> Option<&'static str> {
        match self {
            Self::Agreed => Some("transfer-proposal, transfer-commence, lock-assert"),
            Self::Locked => Some("ack-commence, assertion-receipt"),
            Self::Revealed => Some("commit-prepare, commit-ready, commit-final"),
            Self::DecidedSettle => Some("ack-commit-final"),
            Self::Finalised => Some("commit-transfer-complete"),
            Self::Declined | Self::Aborted | Self::DecidedRefund => Some("session-abort"),
            Self::Appointed | Self::Queried | Self::Settled | Self::Refunded => None,
        }
    }

    /// Its name, in the words of the statements.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agreed => "Agreed",
            Self::Appointed => "Appointed",
            Self::Queried => "Queried",
            Self::Locked => "Locked",
            Self::Declined => "Declined",
            Self::Revealed => "Revealed",
            Self::Aborted => "Aborted",
            Self::DecidedSettle => "Decided(settle)",
            Self::DecidedRefund => "Decided(refund)",
            Self::Settled => "Settled",
            Self::Refunded => "Refunded",
            Self::Finalised => "Finalised",
        }
    }
}

/// How a settlement ended here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SettlementEnd {
    /// How.
    pub outcome: Ending,
    /// The record that ended it.
    pub place: Place,
    /// When.
    pub time: Time,
}

/// The ways a settlement ends here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Ending {
    /// Applied (by a notary: decided so).
    Settled,
    /// Refunded; nothing of ours moved.
    Refunded,
    /// We did not lock and are not waited for.
    Declined,
}

impl Ending {
    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Refunded => "refunded",
            Self::Declined => "declined",
        }
    }
}

impl SettlementRow {
    /// Whether it is at its end here.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.end.is_some()
    }

    /// Whether `by` has taken `step`.
    #[must_use]
    pub fn has_step(&self, step: Step, by: &Domain) -> bool {
        self.steps.iter().any(|known| known.step == step && known.by == *by)
    }

    /// Whether `party` is bound: it locked, or it is the initiator and drew the agreement up.
    #[must_use]
    pub fn is_locked(&self, party: &Domain) -> bool {
        let by_initiator = *party == self.header.initiator
            && (self.has_step(Step::Agreed, party) || self.has_step(Step::Appointed, party));
        by_initiator || self.has_step(Step::Locked, party)
    }

    /// Who has to act next for it to go on, `us` (our domain) included. Empty at its end, and
    /// when the decision is known and only our own booking is left.
    #[must_use]
    pub fn awaiting(&self, us: &Domain) -> Vec<Domain> {
        if self.is_final() || self.decision.is_some() {
            return Vec::new();
        }
        let Header { initiator, decider, parties, .. } = &self.header;
        let revealed = self.has_step(Step::Revealed, initiator);
        if revealed || self.has_step(Step::Aborted, initiator) {
            return vec![decider.clone()];
        }
        match self.part {
            Part::Initiator => {
                parties.iter().filter(|party| !self.is_locked(party)).cloned().collect()
            }
            Part::Participant if !self.is_locked(us) => vec![us.clone()],
            // A participant that does not decide hears no more until the decision.
            Part::Participant if decider != us => vec![decider.clone()],
            Part::Participant | Part::Notary | Part::Asked => vec![initiator.clone()],
        }
    }
}

/// What the index has counted, for metrics; from the log, so the same after a rebuild.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Counters {
    /// Batches.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Transactions.
    pub transactions: u64,
    /// Entries of holders' ledgers.
    pub entries: u64,
    /// Ledgers opened.
    pub ledgers: u64,
    /// Orders accepted.
    pub orders_accepted: u64,
    /// Orders refused.
    pub orders_refused: u64,
    /// Statements of ours.
    pub statements_said: u64,
    /// Statements of peers.
    pub statements_heard: u64,
    /// Pages to peers.
    pub pages_out: u64,
    /// Pages from peers.
    pub pages_in: u64,
    /// Offers made.
    pub offers: u64,
    /// Offers ended.
    pub offers_closed: u64,
    /// Settlements that we wrote of.
    pub settlements: u64,
    /// Settlements that ended settled here.
    pub settled: u64,
    /// Settlements that ended refunded here.
    pub refunded: u64,
    /// Settlements that we declined.
    pub declined: u64,
    /// Decisions of ours.
    pub decisions: u64,
    /// Peers suspended.
    pub suspensions: u64,
    /// Own records that a recovery gave back.
    pub recovered: u64,
}
