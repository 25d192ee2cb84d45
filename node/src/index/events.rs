//! Events: what subscribers are told, made again from the log whenever it is asked for.
//!
//! Invariant: an event is a function of one batch alone, so its id (height, leaf, number) means
//! the same event for ever, and a subscriber that comes back goes on after the last id it had.

use std::fmt;
use std::str::FromStr;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::transaction::{Cause, Transaction};
use quadrille_protocol::log::record::{Aborted, Decided, Revealed};
use quadrille_protocol::log::{OutcomeKind, Record, Statement, StoredBatch};
use quadrille_protocol::types::{
    Amount, AssetPair, Domain, Height, OrderId, Sequence, SettlementId, Time, Uai, Ubi,
};
use serde::{Deserialize, Serialize};

use super::Index;
use super::query::LIST_ROWS;
use super::rows::Step;
use super::source::BatchSource;

/// Where an event comes from: batch, record, and its number among the record's events. Text
/// form: `12.3.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// The batch.
    pub height: Height,
    /// The record in it.
    pub leaf: u32,
    /// Its number among the events of the record.
    pub number: u32,
}

impl EventId {
    /// The place behind every event of the batches up to `height`.
    #[must_use]
    pub const fn end_of(height: Height) -> Self {
        Self { height, leaf: u32::MAX, number: u32::MAX }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.height, self.leaf, self.number)
    }
}

impl FromStr for EventId {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::new(Code::BadIdentifier, "an event's id is height.leaf.number");
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or_else(bad);
        let id = Self {
            height: part()?.parse().map_err(|_| bad())?,
            leaf: part()?.parse().map_err(|_| bad())?,
            number: part()?.parse().map_err(|_| bad())?,
        };
        // A sign or a leading zero would be a second text for the same event.
        if id.to_string() == text { Ok(id) } else { Err(bad()) }
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Something that has happened, by our log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// When the batch was sealed.
    pub time: Time,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The kinds of events; `type` in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum EventKind {
    /// A ledger has a new entry.
    #[serde(rename = "ledger.entry")]
    Entry {
        /// The ledger.
        ledger: Ubi,
        /// The entry's number.
        sequence: Sequence,
        /// Why, in a word.
        cause: String,
        /// The order that it names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order: Option<OrderId>,
        /// The settlement that it names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settlement: Option<SettlementId>,
    },
    /// An order was refused.
    #[serde(rename = "order.refused")]
    OrderRefused {
        /// Its ledger.
        ledger: Ubi,
        /// The order.
        order: OrderId,
        /// The code of the refusal.
        code: String,
        /// The refusal in words.
        refusal: String,
    },
    /// A take of ours was refused by the maker's bank.
    #[serde(rename = "take.refused")]
    TakeRefused {
        /// The take's order.
        order: OrderId,
        /// The offer.
        offer: OrderId,
        /// The maker's bank.
        by: Domain,
        /// The code of the refusal.
        code: String,
        /// The refusal in words.
        refusal: String,
    },
    /// An offer of ours was published, or published again.
    #[serde(rename = "offer.posted")]
    OfferPosted {
        /// The offer.
        offer: OrderId,
        /// Its version.
        version: u32,
        /// How much can be taken.
        remaining: Amount,
        /// What it is about.
        pair: AssetPair,
    },
    /// An offer of ours is gone.
    #[serde(rename = "offer.closed")]
    OfferClosed {
        /// The offer.
        offer: OrderId,
        /// Why.
        code: String,
        /// What it was about.
        pair: AssetPair,
    },
    /// Somebody has taken a step of a settlement: we by our own record, a peer by its word.
    #[serde(rename = "settlement.step")]
    SettlementStep {
        /// The settlement.
        settlement: SettlementId,
        /// The step, in the words of the statements.
        step: String,
        /// Who.
        by: Domain,
        /// Why, where it says why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A settlement is booked here: settled or refunded.
    #[serde(rename = "settlement.final")]
    SettlementFinal {
        /// The settlement.
        settlement: SettlementId,
        /// `settled` or `refunded`.
        outcome: String,
    },
    /// A peer is suspended on a proof of fraud.
    #[serde(rename = "peer.suspended")]
    PeerSuspended {
        /// The peer.
        peer: Domain,
    },
    /// The operator lifted a suspension.
    #[serde(rename = "peer.lifted")]
    PeerLifted {
        /// The peer.
        peer: Domain,
    },
    /// The operator set how much of an asset's exposure to a peer is accepted.
    #[serde(rename = "peer.credit-limit")]
    CreditLimit {
        /// The peer.
        peer: Domain,
        /// The asset.
        asset: Uai,
        /// The most it may owe us.
        limit: Amount,
    },
    /// A member's certificate entered the directory.
    #[serde(rename = "member.admitted")]
    MemberAdmitted {
        /// The member.
        domain: Domain,
    },
    /// A member's key was rotated.
    #[serde(rename = "member.rotated")]
    MemberRotated {
        /// The member.
        domain: Domain,
    },
    /// A member's key was revoked.
    #[serde(rename = "member.revoked")]
    MemberRevoked {
        /// The member.
        domain: Domain,
    },
    /// An asset is known here.
    #[serde(rename = "asset.registered")]
    AssetRegistered {
        /// The asset.
        asset: Uai,
    },
    /// An asset of ours was locked or unlocked.
    #[serde(rename = "asset.locked")]
    AssetLocked {
        /// The asset.
        asset: Uai,
        /// Whether it is locked from here on.
        locked: bool,
    },
    /// An asset of ours was closed.
    #[serde(rename = "asset.closed")]
    AssetClosed {
        /// The asset.
        asset: Uai,
    },
    /// We have attested how much of an asset there is here.
    #[serde(rename = "asset.attested")]
    AssetAttested {
        /// The asset.
        asset: Uai,
        /// What our holders have, in minor units.
        holders: Amount,
    },
    /// We have lost statements and are getting them back.
    #[serde(rename = "recovery.started")]
    RecoveryStarted {
        /// The last height that was lost, as far as anyone knows.
        lost_height: Height,
    },
    /// A record of ours that was lost is written down again.
    #[serde(rename = "recovery.record")]
    RecoveryRecord {
        /// Its kind.
        kind: String,
        /// Where it stood.
        height: Height,
    },
    /// All that came back is written down again.
    #[serde(rename = "recovery.done")]
    RecoveryDone {},
    /// A peer's books and ours differ: no new exposure to it in that asset.
    #[serde(rename = "books.broken")]
    BooksBroken {
        /// The peer.
        peer: Domain,
        /// The asset.
        asset: Uai,
    },
    /// The operator has explained the difference.
    #[serde(rename = "books.explained")]
    BooksExplained {
        /// The peer.
        peer: Domain,
        /// The asset.
        asset: Uai,
        /// What it was.
        note: String,
    },
    /// We take part in netting from here on, or no longer.
    #[serde(rename = "netting.changed")]
    NettingChanged {
        /// Whether we do.
        on: bool,
    },
}

/// Which events are made. Most of a log is what banks say to each other; whoever follows ledgers
/// alone does not pay for reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// Those of transactions: `ledger.entry` and `settlement.final`.
    Transactions,
}

/// The events of a batch, in order.
///
/// # Errors
/// `Q-1001` to `Q-1004` a record that cannot be read.
pub fn events_of(stored: &StoredBatch) -> Result<Vec<Event>, Refusal> {
    some_events_of(stored, Which::All)
}

fn some_events_of(stored: &StoredBatch, which: Which) -> Result<Vec<Event>, Refusal> {
    let checkpoint = &stored.checkpoint;
    let mut events = Vec::new();
    for (leaf, bytes) in (0u32..).zip(&stored.records) {
        let read = match which {
            // A page says nothing that its statements have not said.
            Which::All => !Record::is_page(bytes),
            Which::Transactions => Record::is_transaction(bytes),
        };
        if !read {
            continue;
        }
        let record = super::fold::read_record(bytes)?;
        let kinds = kinds_of(&record, &checkpoint.domain);
        events.extend((0u32..).zip(kinds).map(|(number, kind)| Event {
            id: EventId { height: checkpoint.height, leaf, number },
            time: checkpoint.time,
            kind,
        }));
    }
    Ok(events)
}

/// The events after `after`, oldest first, at most `limit` and [`LIST_ROWS`]; from the first
/// batch on when there is none. An empty answer means that the log has none yet.
///
/// # Errors
/// Those of reading the log.
pub fn events_after(
    source: &impl BatchSource,
    after: Option<EventId>,
    limit: usize,
) -> Result<Vec<Event>, Refusal> {
    let limit = limit.clamp(1, LIST_ROWS);
    let mut found = Vec::new();
    for batch in source.batches(after.map_or(Height(1), |id| id.height)) {
        let events = events_of(&batch?.stored)?;
        found.extend(events.into_iter().filter(|event| after.is_none_or(|id| event.id > id)));
        if found.len() >= limit {
            found.truncate(limit);
            break;
        }
    }
    Ok(found)
}

/// What was read for somebody who follows the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Up to where they are all that there are.
    pub end: EventId,
    /// How far the index had come.
    pub indexed: Height,
}

/// The next events behind `after`, no further than the index: whoever is told of something can
/// look it up. Whole batches, until there are `enough` events: a batch is read once, however many
/// events it has.
///
/// # Errors
/// Those of reading the log.
pub fn read_on(
    source: &impl BatchSource,
    index: &Index,
    after: EventId,
    which: Which,
    enough: usize,
) -> Result<Read, Refusal> {
    let indexed = index.indexed();
    let mut events = Vec::new();
    let mut end = after;
    for batch in source.batches(after.height) {
        let stored = batch?.stored;
        let height = stored.checkpoint.height;
        if height > indexed {
            break;
        }
        let made = some_events_of(&stored, which)?;
        events.extend(made.into_iter().filter(|event| event.id > after));
        end = end.max(EventId::end_of(height));
        if events.len() >= enough.max(1) {
            return Ok(Read { events, end, indexed });
        }
    }
    // Heights without a batch need not be looked at again.
    end = end.max(EventId::end_of(indexed));
    Ok(Read { events, end, indexed })
}

/// What a record tells subscribers. Longer than a function should be, because it is one match
/// over every kind of record.
fn kinds_of(record: &Record, own: &Domain) -> Vec<EventKind> {
    match record {
        Record::Founded(_)
        | Record::TransitLedger(_)
        | Record::TakeWaiting { .. }
        | Record::Book(_)
        | Record::Queried(_)
        | Record::Page(_)
        | Record::Routed { .. }
        | Record::TransitFee { .. }
        | Record::TravelRule { .. } => Vec::new(),
        Record::Admitted(signed) => signed
            .parse()
            .map(|certificate| EventKind::MemberAdmitted { domain: certificate.domain })
            .into_iter()
            .collect(),
        Record::Revoked(signed) => signed
            .parse()
            .map(|revocation| EventKind::MemberRevoked { domain: revocation.domain })
            .into_iter()
            .collect(),
        Record::Rotated(signed) => signed
            .parse()
            .map(|rotation| EventKind::MemberRotated { domain: rotation.domain })
            .into_iter()
            .collect(),
        Record::CreditLimit(set) => vec![EventKind::CreditLimit {
            peer: set.peer.clone(),
            asset: set.asset.clone(),
            limit: set.limit,
        }],
        Record::Asset(profile) => vec![EventKind::AssetRegistered { asset: profile.uai() }],
        Record::AssetLocked { asset, locked } => {
            vec![EventKind::AssetLocked { asset: asset.clone(), locked: *locked }]
        }
        Record::Transaction(transaction) => of_transaction(transaction),
        Record::Refused(refused) => vec![EventKind::OrderRefused {
            ledger: refused.ledger,
            order: refused.order,
            code: refused.refusal.code.to_string(),
            refusal: refused.refusal.to_string(),
        }],
        Record::OfferPosted(notice) => vec![EventKind::OfferPosted {
            offer: notice.offer,
            version: notice.version,
            remaining: notice.remaining,
            pair: notice.terms.pair(),
        }],
        Record::OfferClosed(closed) => vec![EventKind::OfferClosed {
            offer: closed.offer,
            code: closed.reason.to_string(),
            pair: closed.pair.clone(),
        }],
        Record::Statement(statement) => of_statement(statement, own, own).into_iter().collect(),
        Record::Received(frame) => {
            let statements = frame.items().iter().filter_map(|item| item.statement.as_ref());
            statements.filter_map(|said| of_statement(said, frame.from(), own)).collect()
        }
        Record::Suspended(proof) => {
            vec![EventKind::PeerSuspended { peer: proof.domain().clone() }]
        }
        Record::Lifted(peer) => vec![EventKind::PeerLifted { peer: peer.clone() }],
        Record::Recovered(evidence) => {
            let kind = evidence.read().map_or("unreadable", |record| record.kind());
            let height = evidence.checkpoint.checkpoint.height;
            vec![EventKind::RecoveryRecord { kind: kind.to_owned(), height }]
        }
        Record::Recovering { lost_height, .. } => {
            vec![EventKind::RecoveryStarted { lost_height: *lost_height }]
        }
        Record::Shown(evidence) => match evidence.read() {
            Ok(Record::Statement(statement)) => {
                of_statement(&statement, evidence.domain(), own).into_iter().collect()
            }
            Ok(_) | Err(_) => Vec::new(),
        },
        Record::Restored => vec![EventKind::RecoveryDone {}],
        Record::Broken(broken) => vec![EventKind::BooksBroken {
            peer: broken.peer.clone(),
            asset: broken.theirs.asset.clone(),
        }],
        Record::Explained(word) => vec![EventKind::BooksExplained {
            peer: word.peer.clone(),
            asset: word.asset.clone(),
            note: word.note.to_string(),
        }],
        Record::Netting(on) => vec![EventKind::NettingChanged { on: *on }],
        Record::AssetClosed(asset) => vec![EventKind::AssetClosed { asset: asset.clone() }],
        Record::Attested(said) => {
            vec![EventKind::AssetAttested { asset: said.asset.clone(), holders: said.holders }]
        }
    }
}

fn of_transaction(transaction: &Transaction) -> Vec<EventKind> {
    let cause = super::rows::EntryCause::of(&transaction.cause);
    let mut events: Vec<EventKind> = transaction
        .entries
        .iter()
        .map(|entry| EventKind::Entry {
            ledger: entry.ledger,
            sequence: entry.sequence,
            cause: cause.kind().to_owned(),
            order: cause.order(),
            settlement: cause.settlement(),
        })
        .collect();
    let outcome = match &transaction.cause {
        Cause::Settled(settlement) => Some((*settlement, "settled")),
        Cause::Refunded(settlement) => Some((*settlement, "refunded")),
        Cause::Opened(_)
        | Cause::Ordered(_)
        | Cause::Issued(_)
        | Cause::Frozen
        | Cause::Unfrozen
        | Cause::Traded { .. }
        | Cause::OfferEnded { .. }
        | Cause::TakeEnded { .. }
        | Cause::PaymentEnded { .. }
        | Cause::KeyReplaced(_) => None,
    };
    events.extend(outcome.map(|(settlement, outcome)| EventKind::SettlementFinal {
        settlement,
        outcome: outcome.to_owned(),
    }));
    events
}

fn of_statement(statement: &Statement, by: &Domain, own: &Domain) -> Option<EventKind> {
    let (settlement, step, reason) = match statement {
        Statement::Take(_) | Statement::Rotated(_) | Statement::Position(_) => return None,
        Statement::TakeRefused { offer, take, refusal } => {
            // What we refuse others is their news.
            return (by != own).then(|| EventKind::TakeRefused {
                order: OrderId(take.0),
                offer: *offer,
                by: by.clone(),
                code: refusal.code.to_string(),
                refusal: refusal.to_string(),
            });
        }
        Statement::Agreed(agreement) => (agreement.header.id(), Step::Agreed, None),
        Statement::Appointed(header) => (header.id(), Step::Appointed, None),
        Statement::Locked(id) => (*id, Step::Locked, None),
        Statement::Declined { settlement, refusal } => {
            (*settlement, Step::Declined, Some(refusal.to_string()))
        }
        Statement::Revealed(Revealed { settlement, .. }) => (*settlement, Step::Revealed, None),
        Statement::Aborted(Aborted { settlement, reason }) => {
            (*settlement, Step::Aborted, Some(reason.to_string()))
        }
        Statement::Decided(Decided { settlement, outcome }) => {
            let step = match outcome.kind() {
                OutcomeKind::Settle => Step::DecidedSettle,
                OutcomeKind::Refund => Step::DecidedRefund,
            };
            (*settlement, step, None)
        }
        Statement::Finalised { settlement, .. } => (*settlement, Step::Finalised, None),
    };
    let step = step.name().to_owned();
    Some(EventKind::SettlementStep { settlement, step, by: by.clone(), reason })
}
