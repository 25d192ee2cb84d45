//! Adoption: what came back in a recovery is written down again, in an order that makes sense.
//!
//! ```text
//!  Begin (heights up to the lost one are taken), membership news
//!  per lost record of ours, in its old order:
//!     Heard    what it answered: peers' pages up to there, without reacting to them again
//!     Own      the record itself
//!     Repeat   a decision , lock or Finalised, to those who had not heard it yet
//!  React       what no record of ours had answered
//! ```
//!
//! What a record of ours answered is known twice: the page it was on acknowledges one peer's
//! feed, and its kind tells what must have come before (a decision: the reveal; a lock: the
//! agreement; a booking: the decision). The second matters when that page is lost for good
//! and another one, to somebody else, came back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Validator;
use super::effect::Event;
use super::input::Guard;
use super::recover::{Gathering, Mode};
use super::state::State;
use crate::error::Fault;
use crate::ledger::transaction::Cause;
use crate::log::record::{Aborted, Decided, Revealed};
use crate::log::{Evidence, Outcome, ReceivedFrame, Record, Statement};
use crate::types::{Domain, Hash, Height, Sequence, SettlementId, Time};

/// One step of writing it down again.
#[derive(Debug)]
pub(super) enum Adoption {
    /// The heights up to here are taken.
    Begin(Height, Hash),
    /// Membership news.
    News(Box<Record>),
    /// A record of ours, and who of those it was for has given it back.
    Own(Box<Evidence>, BTreeSet<Domain>),
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

/// What must have been heard before a record of ours could be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Agreement,
    Lock,
    Reveal,
    Decision,
}

/// Peers' pages that are not yet placed in the order, and where in them each word stands.
struct Inbound {
    frames: BTreeMap<Domain, VecDeque<ReceivedFrame>>,
    words: BTreeMap<(SettlementId, Word), Vec<(Domain, Sequence)>>,
}

impl Inbound {
    fn new(gathered: BTreeMap<Domain, Vec<ReceivedFrame>>) -> Self {
        let mut words: BTreeMap<(SettlementId, Word), Vec<(Domain, Sequence)>> = BTreeMap::new();
        let mut frames = BTreeMap::new();
        for (peer, pages) in gathered {
            for item in pages.iter().flat_map(ReceivedFrame::items) {
                if let Some(word) = item.statement.as_ref().and_then(word_of) {
                    words.entry(word).or_default().push((peer.clone(), item.sequence));
                }
            }
            frames.insert(peer, pages.into());
        }
        Self { frames, words }
    }

    /// Puts a peer's pages into the plan as heard, up to the one that has `sequence`.
    fn hear(&mut self, plan: &mut VecDeque<Adoption>, peer: &Domain, sequence: Sequence) {
        let Some(frames) = self.frames.get_mut(peer) else { return };
        while let Some(frame) = frames.pop_front_if(|frame| frame.page().first <= sequence) {
            plan.push_back(Adoption::Heard(Box::new(frame)));
        }
    }

    /// Hears what `record` of ours presupposes.
    fn hear_needs(&mut self, plan: &mut VecDeque<Adoption>, record: &Record) {
        for need in needs_of(record) {
            for (peer, sequence) in self.words.get(&need).cloned().unwrap_or_default() {
                self.hear(plan, &peer, sequence);
            }
        }
    }
}

fn word_of(statement: &Statement) -> Option<(SettlementId, Word)> {
    match statement {
        Statement::Agreed(agreement) => Some((agreement.header.id(), Word::Agreement)),
        Statement::Appointed(header) => Some((header.id(), Word::Agreement)),
        Statement::Locked(id) => Some((*id, Word::Lock)),
        Statement::Revealed(revealed) => Some((revealed.settlement, Word::Reveal)),
        Statement::Decided(decided) => Some((decided.settlement, Word::Decision)),
        Statement::Take(_)
        | Statement::TakeRefused { .. }
        | Statement::Declined { .. }
        | Statement::Aborted(_)
        | Statement::Finalised { .. }
        | Statement::Rotated(_)
        | Statement::Position(_) => None,
    }
}

fn needs_of(record: &Record) -> Vec<(SettlementId, Word)> {
    let (id, words): (SettlementId, &[Word]) = match record {
        Record::Statement(Statement::Locked(id) | Statement::Declined { settlement: id, .. }) => {
            (*id, &[Word::Agreement])
        }
        Record::Statement(Statement::Revealed(Revealed { settlement, .. })) => {
            (*settlement, &[Word::Lock])
        }
        Record::Statement(Statement::Decided(Decided { settlement, outcome })) => match outcome {
            Outcome::Settle { .. } => (*settlement, &[Word::Agreement, Word::Reveal]),
            Outcome::Refund { .. } => (*settlement, &[Word::Agreement]),
        },
        Record::Statement(Statement::Finalised { settlement, .. }) => {
            (*settlement, &[Word::Agreement, Word::Lock, Word::Decision])
        }
        Record::Transaction(transaction) => match &transaction.cause {
            Cause::Settled(id) => (*id, &[Word::Agreement, Word::Lock, Word::Decision]),
            // After an abort of our own there may be no decision yet.
            Cause::Refunded(id) => (*id, &[Word::Agreement]),
            Cause::Opened(_)
            | Cause::Ordered(_)
            | Cause::Issued(_)
            | Cause::Frozen
            | Cause::Unfrozen
            | Cause::Traded { .. }
            | Cause::OfferEnded { .. }
            | Cause::TakeEnded { .. }
            | Cause::PaymentEnded { .. }
            | Cause::KeyReplaced(_) => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    words.iter().map(|word| (id, *word)).collect()
}

/// The order in which everything is written down again.
pub(super) fn plan(state: &State, gathering: Gathering) -> VecDeque<Adoption> {
    let mut plan = VecDeque::new();
    if gathering.lost {
        let (height, hash) = highest(state, gathering.guard, &gathering.own);
        plan.push_back(Adoption::Begin(height, hash));
    }
    plan.extend(gathering.news.into_iter().map(|record| Adoption::News(Box::new(record))));
    let mut inbound = Inbound::new(gathering.inbound);
    let records: Vec<((Height, u32), Evidence, Option<Record>)> = gathering
        .own
        .into_iter()
        .map(|(place, evidence)| {
            let record = evidence.read().ok();
            (place, evidence, record)
        })
        .collect();
    let (refunded, finalised) = (refunds(&records), finals(&records));
    let mut done = Height(0);
    for ((height, index), evidence, record) in records {
        let from_height = (height, 0)..=(height, u32::MAX);
        let pages = gathering.pages.range(from_height).map(|(_, page)| page);
        if height != done {
            done = height;
            // What our pages of this height acknowledge, we had heard before them.
            for page in pages.clone() {
                inbound.hear(&mut plan, &page.to, page.acknowledged);
            }
        }
        let told = pages.filter(|page| page.items.contains(&index)).map(|page| page.to.clone());
        let told: BTreeSet<Domain> = told.collect();
        let own = Adoption::Own(Box::new(evidence), told);
        let Some(record) = record else {
            plan.push_back(own);
            continue;
        };
        inbound.hear_needs(&mut plan, &record);
        if let Some(id) = settles(&record).filter(|id| !finalised.contains(id)) {
            plan.push_back(Adoption::Confirm(id));
        }
        plan.push_back(own);
        if let Some(id) = aborts(&record).filter(|id| !refunded.contains(id)) {
            plan.push_back(Adoption::Release(id));
        }
    }
    let rest = inbound.frames.into_values().flatten();
    plan.extend(rest.map(|frame| Adoption::React(Box::new(frame))));
    plan
}

impl Validator {
    /// Goes on with the plan as far as the batch has room.
    pub(super) fn adopt(&mut self, now: Time) -> Result<(), Fault> {
        while !self.draft.is_full() {
            let Mode::Adopting(plan) = &mut self.volatile.mode else { return Ok(()) };
            let Some(step) = plan.pop_front() else {
                self.finish_decided(now)?;
                self.end_unsaid_payments(now)?;
                self.volatile.mode = Mode::Live;
                self.volatile.settled.clear();
                if self.state.adopting.is_some() {
                    self.commit(&Record::Restored)?;
                }
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
                Adoption::News(record) => {
                    self.commit(&record)?;
                }
                Adoption::Own(evidence, told) => self.adopt_own(evidence, &told)?,
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

    fn adopt_own(&mut self, evidence: Box<Evidence>, told: &BTreeSet<Domain>) -> Result<(), Fault> {
        let height = evidence.checkpoint.checkpoint.height;
        let record = evidence.read();
        let fits = record.as_ref().is_ok_and(|record| self.state.fits(record));
        let what = record.as_ref().map_or_else(|_| "unreadable".to_owned(), described);
        let untold = record.as_ref().map(|record| self.untold(record, told)).unwrap_or_default();
        if let Some(id) = record.as_ref().ok().and_then(settles)
            && let Some(known) = self.state.settlements.get(&id)
        {
            // With this it may be closed, and who was told that it is settled is forgotten.
            let shared = known.counterparties(&self.state.domain);
            self.volatile.settled.insert(id, shared);
        }
        self.commit(&Record::Recovered(evidence))?;
        if !fits {
            self.event(Event::Unresolved { height, what });
        } else if let Ok(Record::Statement(statement)) = record
            && !untold.is_empty()
        {
            // Said once to some and lost on its way to the others.
            self.say(statement, untold.iter())?;
        }
        Ok(())
    }

    /// Who of those that a decider's word was for, or that we have settled, has not heard it.
    fn untold(&self, record: &Record, told: &BTreeSet<Domain>) -> BTreeSet<Domain> {
        let id = match record {
            Record::Statement(Statement::Decided(decided)) => decided.settlement,
            Record::Statement(Statement::Locked(id)) => *id,
            Record::Statement(Statement::Finalised { settlement, .. }) => {
                let shared = self.volatile.settled.get(settlement).cloned().unwrap_or_default();
                return shared.into_iter().filter(|other| !told.contains(other)).collect();
            }
            _ => return BTreeSet::new(),
        };
        let own = &self.state.domain;
        match self.state.settlements.get(&id) {
            Some(known) if known.header.decider == *own => {
                let others = known.header.others(own);
                others.filter(|other| !told.contains(*other)).cloned().collect()
            }
            Some(_) | None => BTreeSet::new(),
        }
    }
}

/// A record in a few words, for the operator who has to resolve it.
fn described(record: &Record) -> String {
    match record {
        Record::Transaction(transaction) => {
            let entries = transaction.entries.iter();
            let touched: Vec<String> =
                entries.map(|entry| format!("{} of {}", entry.sequence, entry.ledger)).collect();
            format!("{} (entry {})", transaction.cause.kind(), touched.join(", entry "))
        }
        Record::Statement(statement) => match word_of(statement) {
            Some((id, _)) => format!("{} {id}", statement.kind()),
            None => statement.kind().to_owned(),
        },
        other => other.kind().to_owned(),
    }
}

type Lost = ((Height, u32), Evidence, Option<Record>);

/// The settlement that a lost record of ours gave up.
fn aborts(record: &Record) -> Option<SettlementId> {
    match record {
        Record::Statement(Statement::Aborted(Aborted { settlement, .. })) => Some(*settlement),
        _ => None,
    }
}

/// The settlement that a lost record of ours settled.
fn settles(record: &Record) -> Option<SettlementId> {
    match record {
        Record::Transaction(transaction) => match &transaction.cause {
            Cause::Settled(id) => Some(*id),
            _ => None,
        },
        _ => None,
    }
}

/// The settlements of which we are known to have said that they are final here.
fn finals(records: &[Lost]) -> BTreeSet<SettlementId> {
    let said = |(_, _, record): &Lost| match record {
        Some(Record::Statement(Statement::Finalised { settlement, .. })) => Some(*settlement),
        _ => None,
    };
    records.iter().filter_map(said).collect()
}

/// The settlements whose refund came back.
fn refunds(records: &[Lost]) -> BTreeSet<SettlementId> {
    let refund = |(_, _, record): &Lost| match record {
        Some(Record::Transaction(transaction)) => match &transaction.cause {
            Cause::Refunded(id) => Some(*id),
            _ => None,
        },
        _ => None,
    };
    records.iter().filter_map(refund).collect()
}

/// The highest checkpoint that was ever signed, as far as guard and evidence know.
fn highest(
    state: &State,
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
