//! One domain's log, read the way a court would read it.
//!
//! The audit shares no code with the validator's own state: it keeps its own books from the
//! records of the durable log and holds every record against the rules of DESIGN section 3 and
//! 4. No rule in here takes a time.

mod books;
mod rules;
mod settle;

use std::collections::{BTreeMap, BTreeSet};

use quadrille_protocol::ledger::Attestation;
use quadrille_protocol::log::{
    Batch, Checkpoint, FeedPage, ReceivedFrame, Record, Statement, VerifiedEvidence,
};
use quadrille_protocol::types::{Domain, Hash, Height, Sequence, SettlementId, Uai};

pub use books::BooksAudit;
use rules::RulesAudit;
pub use settle::SettlementAudit;

use super::broken::{Broken, Checked};
use crate::demand;

/// What one log says.
#[derive(Debug, Clone)]
pub struct Audit {
    /// Whose log it is.
    pub domain: Domain,
    /// Height and hash of its last checkpoint.
    pub head: (Height, Hash),
    /// Its books.
    pub books: BooksAudit,
    /// What holders and issuers have laid down.
    rules: RulesAudit,
    /// Its settlements.
    pub settlements: BTreeMap<SettlementId, SettlementAudit>,
    /// Checkpoints of peers that are recorded in it.
    pub heard: BTreeMap<Domain, BTreeMap<Height, Hash>>,
    /// Breaks with peers that nobody has explained.
    pub breaks: BTreeSet<(Domain, Uai)>,
    /// Whether it takes part in netting.
    pub netting: bool,
    sent: BTreeMap<Domain, Sequence>,
    received: BTreeMap<Domain, Sequence>,
    /// What one batch has changed, for the checks between domains.
    pub news: Vec<News>,
    recovering: bool,
    opens_enclosures: bool,
    /// Lost records are being written down again; some are said again as they were.
    restoring: bool,
}

/// What the other checks must know of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A decision was written.
    Decided(SettlementId),
    /// A settlement was applied.
    Applied(SettlementId),
    /// The reveal was written.
    Revealed(SettlementId),
    /// A peer's position in an asset was found to differ.
    Broke(Domain, Uai),
}

impl Audit {
    /// The audit of an empty log.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        Self {
            domain,
            head: (Height(0), Hash::ZERO),
            books: BooksAudit::default(),
            rules: RulesAudit::default(),
            settlements: BTreeMap::new(),
            heard: BTreeMap::new(),
            breaks: BTreeSet::new(),
            netting: false,
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
            news: Vec::new(),
            recovering: false,
            opens_enclosures: true,
            restoring: false,
        }
    }

    /// The audit of an empty log of a real node: what is sealed in its agreements is for others,
    /// and is not opened.
    #[must_use]
    pub fn of_real_log(domain: Domain) -> Self {
        Self { opens_enclosures: false, ..Self::new(domain) }
    }

    /// Reads the next batch of the log.
    pub fn read(&mut self, batch: &Batch) -> Checked {
        self.news.clear();
        for bytes in &batch.stored().records {
            let record = Record::read(bytes).map_err(|refusal| {
                Broken::safety("logs can be read", format!("{}: {refusal}", self.domain))
            })?;
            self.read_record(&record)?;
        }
        self.read_checkpoint(batch.checkpoint())
    }

    /// Reads the checkpoint that seals the records read since the one before.
    pub fn read_checkpoint(&mut self, checkpoint: &Checkpoint) -> Checked {
        let (height, hash) = self.head;
        let follows = checkpoint.height == height.next() && checkpoint.previous == hash;
        demand!(
            follows && checkpoint.domain == self.domain,
            "checkpoint chains are intact",
            "{} height {} after {height}",
            self.domain,
            checkpoint.height
        );
        self.head = (checkpoint.height, checkpoint.hash());
        Ok(())
    }

    /// Reads the next record of a batch; the batch's checkpoint comes last. Who goes on after
    /// something broken may meet what follows from it, too.
    pub fn read_record(&mut self, record: &Record) -> Checked {
        match record {
            Record::Transaction(transaction) => {
                self.books.post(&self.domain, transaction)?;
                self.rules.read(&self.domain, transaction, !self.recovering)?;
                self.settle_transaction(transaction)
            }
            Record::Statement(statement) => {
                self.read_promise(statement)?;
                self.read_own(statement)
            }
            Record::Asset(profile) => {
                self.rules.note_asset(profile);
                self.books.tiers.insert(profile.uai(), profile.minimum_tier);
                Ok(())
            }
            Record::Attested(said) => self.read_attestation(said),
            Record::Received(frame) => self.read_received(frame),
            Record::Queried(question) => {
                self.note_header(&question.header);
                Ok(())
            }
            Record::Page(page) => self.read_page(page),
            Record::Recovered(evidence) => {
                self.recovering = true;
                let lost = evidence.read();
                let lost = lost.map_err(|refusal| {
                    Broken::safety("logs can be read", format!("{}: {refusal}", self.domain))
                })?;
                let read = self.read_recovered(&lost);
                self.recovering = false;
                read
            }
            Record::Recovering { lost_height, lost_hash } => {
                demand!(
                    *lost_height >= self.head.0,
                    "checkpoint chains are intact",
                    "{} fell back to {lost_height}",
                    self.domain
                );
                self.head = (*lost_height, *lost_hash);
                self.restoring = true;
                Ok(())
            }
            Record::Shown(evidence) => {
                if let Ok(Record::Statement(statement)) = evidence.read() {
                    self.hear(evidence.domain(), &statement, &[]);
                }
                Ok(())
            }
            Record::Routed { .. }
            | Record::TransitFee { .. }
            | Record::TravelRule { .. }
            | Record::CreditLimit(_)
            | Record::Founded(_)
            | Record::Admitted(_)
            | Record::Revoked(_)
            | Record::Rotated(_)
            | Record::AssetLocked { .. }
            | Record::TransitLedger(_)
            | Record::Refused(_)
            | Record::TakeWaiting { .. }
            | Record::OfferPosted(_)
            | Record::OfferClosed(_)
            | Record::Book(_)
            | Record::Suspended(_)
            | Record::Lifted(_)
            | Record::AssetClosed(_) => Ok(()),
            Record::Restored => {
                self.restoring = false;
                Ok(())
            }
            Record::Broken(broken) => {
                let pair = (broken.peer.clone(), broken.theirs.asset.clone());
                self.news.push(News::Broke(pair.0.clone(), pair.1.clone()));
                self.breaks.insert(pair);
                Ok(())
            }
            Record::Netting(on) => {
                self.netting = *on;
                Ok(())
            }
            Record::Explained(word) => {
                self.breaks.remove(&(word.peer.clone(), word.asset.clone()));
                Ok(())
            }
        }
    }

    /// What an attestation says that holders have is what the ledgers add up to.
    fn read_attestation(&self, said: &Attestation) -> Checked {
        let domain = &self.domain;
        let has = |ledger: &books::LedgerAudit| {
            ledger.balances.get(&said.asset).map_or(0, |(free, held)| free + held)
        };
        let counted: i128 = self.books.ledgers.values().map(has).sum();
        let units = i128::try_from(said.holders.units()).unwrap_or(i128::MAX);
        demand!(
            units == counted && said.check().is_ok(),
            "an attestation is the sum of the ledgers",
            "{domain} attests {units} of {}, its ledgers have {counted}",
            said.asset
        );
        Ok(())
    }

    /// No ledger that is frozen or closed is newly bound, on either side.
    fn read_promise(&self, statement: &Statement) -> Checked {
        let legs = match statement {
            Statement::Agreed(agreement) => &agreement.legs[..],
            Statement::Locked(id) => {
                let known = self.settlements.get(id);
                known.filter(|known| !known.locked).map_or(&[][..], |known| &known.legs[..])
            }
            _ => &[],
        };
        if self.recovering {
            return Ok(());
        }
        let accounts = legs.iter().flat_map(|leg| [&leg.from, &leg.to]);
        for account in accounts.filter(|account| account.domain == self.domain) {
            self.rules.check_open(&self.domain, &account.ledger, statement.kind())?;
        }
        Ok(())
    }

    /// One of our own lost records, given back. It was held against the rules when it was first
    /// written; what it needed may be lost now.
    fn read_recovered(&mut self, record: &Record) -> Checked {
        match record {
            Record::Transaction(transaction) if !self.books.continues(transaction) => Ok(()),
            Record::Transaction(_)
            | Record::Statement(_)
            | Record::Received(_)
            | Record::Queried(_)
            | Record::Page(_) => self.read_record(record),
            _ => Ok(()),
        }
    }

    fn read_page(&mut self, page: &FeedPage) -> Checked {
        let last = self.sent.entry(page.to.clone()).or_default();
        demand!(
            page.first == last.next() || self.recovering,
            "feeds have no gaps",
            "{} to {}: {} after {last}",
            self.domain,
            page.to,
            page.first
        );
        *last = page.last().max(*last);
        Ok(())
    }

    fn read_received(&mut self, frame: &ReceivedFrame) -> Checked {
        let from = frame.from().clone();
        let page = frame.page();
        let last = self.received.entry(from.clone()).or_default();
        demand!(
            page.first == last.next(),
            "feeds have no gaps",
            "{} took {} from {from} after {last}",
            self.domain,
            page.first
        );
        *last = page.last();
        let checkpoint = &frame.checkpoint().checkpoint;
        let heights = self.heard.entry(from.clone()).or_default();
        let hash = checkpoint.hash();
        let known = *heights.entry(checkpoint.height).or_insert(hash);
        demand!(
            known == hash,
            "one checkpoint per height",
            "{} took a second one of {from} at {}",
            self.domain,
            checkpoint.height
        );
        for item in frame.items() {
            if let Some(statement) = &item.statement {
                self.hear(&from, statement, &item.locks);
            }
        }
        Ok(())
    }

    /// Whether this log contains evidence that the settlement's debtors have locked.
    #[must_use]
    pub fn settlement(&self, id: &SettlementId) -> Option<&SettlementAudit> {
        self.settlements.get(id)
    }
}

/// Whether `evidence` shows a statement; for traces.
#[must_use]
pub fn statement_of(evidence: &VerifiedEvidence) -> Option<&Statement> {
    match evidence.record() {
        Record::Statement(statement) => Some(statement),
        _ => None,
    }
}
