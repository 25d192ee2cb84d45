//! What one log says, short enough to be held against the other logs.
//!
//! Invariant: a settlement that was applied is a row of fixed size; only open ones are whole. From
//! the first recovery in a log on all are kept whole, since what was lost may be said again.

use std::collections::{BTreeMap, HashMap};

use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::log::{OutcomeKind, Record};
use quadrille_protocol::types::{Domain, Hash, Height, SettlementId, Uai};

use super::super::rules::{Finding, Rule};
use super::Findings;
use super::stream::Opened;
use crate::sim::audit::{Audit, News, SettlementAudit};
use crate::sim::broken::Broken;

/// How much was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes of segments.
    pub bytes: u64,
    /// Batches.
    pub batches: u64,
    /// Records.
    pub records: u64,
    /// Entries of holders' ledgers.
    pub entries: u64,
    /// Checkpoints whose signatures were checked.
    pub signatures: u64,
}

/// A page of a feed, at its sender or its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The number of its first statement.
    pub first: u64,
    /// The number of its last statement.
    pub last: u64,
    /// The sender's height.
    pub height: u64,
    /// Of its contents and of the checkpoint.
    pub digest: [u8; 16],
}

/// What a log says of a settlement that concerns the other parties.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Row {
    /// The parties that are banks of this network, one bit each.
    pub parties: u64,
    /// The same with the decider.
    pub concerned: u64,
    /// Whether there is a party that is none of them.
    pub strangers: bool,
    /// Whether this domain is bound by it.
    pub locked: bool,
    /// What this domain decided.
    pub decided: Option<OutcomeKind>,
    /// What this domain applied.
    pub applied: Option<OutcomeKind>,
    /// What it moved between this domain and its peers, each amount times a number that stands for
    /// the two and the asset: over all parties these add up to nothing.
    pub moved: u128,
}

/// What one log says.
#[derive(Debug)]
pub struct Sheet {
    /// Whose log it is.
    pub domain: Domain,
    /// How much was read.
    pub counts: Counts,
    /// The settlements.
    pub rows: HashMap<SettlementId, Row>,
    /// Its own checkpoints, rising.
    pub own: Vec<(Height, Hash)>,
    /// Heights that were lost and skipped: from, to.
    pub lost: Vec<(u64, u64)>,
    /// What was sent to each peer, rising.
    pub sent: HashMap<Domain, Vec<Page>>,
    /// What each peer was heard to say.
    pub received: HashMap<Domain, Vec<Page>>,
    /// Checkpoints of others in evidence.
    pub shown: HashMap<Domain, Vec<(Height, Hash)>>,
    /// Checkpoints of peers in their pages, its books, and what is open.
    pub audit: Audit,
    /// What all holders have.
    pub held: BTreeMap<Uai, i128>,
    banks: HashMap<Domain, u64>,
    weights: HashMap<(Domain, Uai), u128>,
    found: Findings,
    recovered: bool,
}

impl Sheet {
    /// Of an empty log, in a network of these banks.
    #[must_use]
    pub fn new(domain: Domain, banks: &[Domain]) -> Self {
        let bit =
            |place: usize| u32::try_from(place).ok().and_then(|place| 1_u64.checked_shl(place));
        let banks = banks.iter().enumerate();
        Self {
            audit: Audit::of_real_log(domain.clone()),
            domain,
            counts: Counts::default(),
            rows: HashMap::new(),
            own: Vec::new(),
            lost: Vec::new(),
            sent: HashMap::new(),
            received: HashMap::new(),
            shown: HashMap::new(),
            held: BTreeMap::new(),
            banks: banks
                .filter_map(|(place, bank)| bit(place).map(|bit| (bank.clone(), bit)))
                .collect(),
            weights: HashMap::new(),
            found: Findings::default(),
            recovered: false,
        }
    }

    /// The findings of this log alone.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.found.clone().into_list(self.domain.as_str())
    }

    /// The last height that was read.
    #[must_use]
    pub fn head(&self) -> Height {
        self.own.last().map_or(Height(0), |(height, _)| *height)
    }

    /// Whether the height was lost and skipped.
    #[must_use]
    pub fn is_lost(&self, height: u64) -> bool {
        self.lost.iter().any(|(from, to)| (*from..=*to).contains(&height))
    }

    /// Notes that the log itself is not as it should be.
    pub(super) fn bad_log(&mut self, what: String) {
        let domain = self.domain.clone();
        self.found.add(Rule::Logs, || format!("{domain}: {what}"));
    }

    /// Takes up the next batch.
    pub(super) fn take(&mut self, opened: Opened) {
        let Opened { checkpoint, signature: _, records, sent, received, shown } = opened;
        for record in &records {
            self.note(record);
            if let Err(broken) = self.audit.read_record(record) {
                self.broken(&broken);
            }
        }
        if let Err(broken) = self.audit.read_checkpoint(&checkpoint) {
            self.broken(&broken);
            // Go on from here: what follows is held against this one.
            self.audit.head = (checkpoint.height, checkpoint.hash());
        }
        self.own.push((checkpoint.height, self.audit.head.1));
        for (to, page) in sent {
            self.sent.entry(to).or_default().push(page);
        }
        for (from, page) in received {
            self.received.entry(from).or_default().push(page);
        }
        for (domain, height, hash) in shown {
            self.shown.entry(domain).or_default().push((height, hash));
        }
        self.counts.batches = self.counts.batches.saturating_add(1);
        for news in std::mem::take(&mut self.audit.news) {
            match news {
                News::Applied(id) => self.close(id),
                News::Decided(_) | News::Revealed(_) | News::Broke(..) => {}
            }
        }
    }

    fn note(&mut self, record: &Record) {
        self.counts.records = self.counts.records.saturating_add(1);
        match record {
            Record::Transaction(transaction) => {
                let entries = u64::try_from(transaction.entries.len()).unwrap_or(u64::MAX);
                self.counts.entries = self.counts.entries.saturating_add(entries);
            }
            Record::Recovering { lost_height, .. } => {
                self.recovered = true;
                self.lost.push((self.head().next().0, lost_height.0));
            }
            Record::Suspended(proof) => {
                let domain = &self.domain;
                let fraud = || format!("{domain} holds a proof of fraud by {}", proof.domain());
                self.found.add(Rule::Equivocation, fraud);
            }
            // The audit reads them.
            _ => {}
        }
    }

    fn broken(&mut self, broken: &Broken) {
        self.found.add(rule_of(broken.invariant), || broken.to_string());
    }

    /// A settlement was applied: its row is all that is needed from here on.
    fn close(&mut self, id: SettlementId) {
        let known = self.audit.settlements.get(&id).cloned();
        if !self.recovered {
            self.audit.settlements.remove(&id);
        }
        let Some(known) = known else { return };
        let row = self.row(&known);
        let before = self.rows.insert(id, row);
        if let Some(before) = before.filter(|before| before.applied.is_some() && !self.recovered) {
            let (domain, then, now) = (&self.domain, before.applied, row.applied);
            let twice = || format!("{domain} applied {id} twice: {then:?}, then {now:?}");
            self.found.add(Rule::Evidence, twice);
        }
    }

    fn row(&mut self, known: &SettlementAudit) -> Row {
        let mut row = Row {
            locked: known.locked,
            decided: known.decided,
            applied: known.applied,
            ..Row::default()
        };
        if let Some(header) = &known.header {
            for party in &header.parties {
                match self.banks.get(party) {
                    Some(bit) => row.parties |= bit,
                    None => row.strangers = true,
                }
            }
            row.concerned = row.parties | self.banks.get(&header.decider).copied().unwrap_or(0);
        }
        for ((peer, asset), amount) in &known.moved {
            let weight = self.weight(peer, asset);
            let share = amount.cast_unsigned().wrapping_mul(weight);
            row.moved = row.moved.wrapping_add(share);
        }
        row
    }

    /// The number that stands for this domain, a peer and an asset, the same at both.
    fn weight(&mut self, peer: &Domain, asset: &Uai) -> u128 {
        let key = (peer.clone(), asset.clone());
        if let Some(weight) = self.weights.get(&key) {
            return *weight;
        }
        let (one, other) =
            if self.domain < *peer { (&self.domain, peer) } else { (peer, &self.domain) };
        let named = format!("{one} {other} {asset}");
        let hash = quadrille_protocol::crypto::hash::hash(Tag::Entry, &[named.as_bytes()]);
        let half = hash.0.first_chunk::<16>().copied().unwrap_or_default();
        // Odd, so that no amount times it is nothing.
        let weight = u128::from_le_bytes(half) | 1;
        self.weights.insert(key, weight);
        weight
    }

    /// The log is at its end.
    pub(super) fn finish(&mut self) {
        for (id, known) in std::mem::take(&mut self.audit.settlements) {
            let row = self.row(&known);
            let bound = row.locked || row.applied.is_some() || row.decided.is_some();
            // What is heard of a settlement after its end says nothing new.
            if bound && !self.rows.contains_key(&id) {
                self.rows.insert(id, row);
            }
        }
        for pages in self.sent.values_mut() {
            pages.sort_by_key(|page| page.first);
        }
        for ledger in self.audit.books.ledgers.values() {
            for (asset, (free, held)) in &ledger.balances {
                let sum = self.held.entry(asset.clone()).or_default();
                *sum = sum.saturating_add(*free).saturating_add(*held);
            }
        }
    }
}

/// Invariants of the simulator's audit about what a settlement stands on.
const EVIDENCE: [&str; 19] = [
    "what is enclosed is what was agreed upon",
    "a party locks once",
    "nobody locks after the decision",
    "no way back from a reveal",
    "a break stops new exposure",
    "who nets has opted in",
    "no reveal after an abort",
    "the reveal follows every lock",
    "one decision per settlement",
    "settled only on the initiator's reveal",
    "settled only on every lock",
    "only the decider decides",
    "a settlement is applied once",
    "nothing moves without a lock",
    "holds end only on the decision",
    "a refund moves nothing",
    "settled only on the decision",
    "evidence for what is owed",
    "a settlement books its legs",
];

/// Under which rule a broken invariant of one log is told.
fn rule_of(invariant: &str) -> Rule {
    match invariant {
        "checkpoint chains are intact" | "logs can be read" => Rule::Logs,
        "feeds have no gaps" => Rule::Feeds,
        "one checkpoint per height" => Rule::Equivocation,
        other if EVIDENCE.contains(&other) => Rule::Evidence,
        _ => Rule::Books,
    }
}
