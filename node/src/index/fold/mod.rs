//! Records become rows: the one place that says what a record means to the index.
//!
//! The core has judged every record before it was written, so nothing is judged here, with one
//! exception: what a peer says is in our log whether the core took it up or not, and a record
//! that a recovery gave back may not fit what is left. Of both, rows are made only by the core's
//! own conditions, as far as the log shows them.

mod books;
mod settle;

use bincode::Encode;
use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::log::{FeedPage, ReceivedFrame, Record, Statement, StoredBatch};
use quadrille_protocol::types::{Domain, Hash, Height, Time};

use super::draft::{Cache, Draft};
use super::keys::{Key, Kind};
use super::rows::{Counters, Place, Said};
use super::store::MemoryTable;

/// Where the record in hand is, and when it was said.
#[derive(Debug, Clone, Copy)]
struct At {
    said: Said,
    time: Time,
    /// Lost, and given back by somebody: it may not fit.
    recovered: bool,
}

impl At {
    fn place(self) -> Place {
        self.said.place
    }
}

/// A run of batches on its way into the index.
pub(super) struct Fold<'a> {
    draft: Draft<'a>,
    counters: Counters,
    /// Whose log it is; known from the first batch on.
    own: Option<Domain>,
}

impl<'a> Fold<'a> {
    pub fn new(draft: Draft<'a>) -> Result<Self, Refusal> {
        let counters = draft.get(Key::of(Kind::Counters))?.unwrap_or_default();
        Ok(Self { draft, counters, own: None })
    }

    /// The rows and how far they go, to be committed.
    pub fn finish(mut self, mark: &impl Encode) -> (MemoryTable, Cache) {
        self.draft.put(Key::of(Kind::Counters), &self.counters);
        self.draft.put(Key::of(Kind::Mark), mark);
        self.draft.finish()
    }

    /// Takes a batch in; `false` when it does not follow `head`.
    pub fn batch(
        &mut self,
        stored: &StoredBatch,
        head: Option<(Height, Hash)>,
    ) -> Result<bool, Refusal> {
        let checkpoint = &stored.checkpoint;
        let mut head = head.unwrap_or((Height(0), Hash::ZERO));
        self.own = Some(checkpoint.domain.clone());
        self.counters.batches = self.counters.batches.saturating_add(1);
        for (leaf, bytes) in (0u32..).zip(&stored.records) {
            let record = read_record(bytes)?;
            if let Record::Recovering { lost_height, lost_hash } = &record {
                // The log goes on above what was lost.
                head = (*lost_height, *lost_hash);
            }
            self.counters.records = self.counters.records.saturating_add(1);
            let place = Place { height: checkpoint.height, leaf };
            let said = Said { place, item: None };
            self.record(&record, At { said, time: checkpoint.time, recovered: false })?;
        }
        Ok(checkpoint.height == head.0.next() && checkpoint.previous == head.1)
    }

    fn record(&mut self, record: &Record, at: At) -> Result<(), Refusal> {
        match record {
            Record::Founded(_)
            | Record::CreditLimit(_)
            | Record::AssetLocked { .. }
            | Record::TransitLedger(_)
            | Record::TakeWaiting { .. }
            | Record::Lifted(_)
            | Record::Recovering { .. }
            | Record::Restored
            | Record::Routed { .. }
            | Record::TransitFee { .. }
            | Record::TravelRule { .. }
            | Record::Broken(_)
            | Record::Explained(_)
            | Record::Netting(_)
            | Record::AssetClosed(_) => Ok(()),
            Record::Attested(said) => {
                let key = Key::of(Kind::Attested).name(&said.asset.to_string());
                self.draft.put(key, &at.place());
                Ok(())
            }
            Record::Asset(profile) => {
                let key = Key::of(Kind::Asset).name(&profile.uai().to_string());
                self.draft.put(key, &at.place());
                Ok(())
            }
            Record::Admitted(signed) => {
                let domain = signed.parse()?.domain;
                self.paper(&domain, at);
                Ok(())
            }
            Record::Revoked(signed) => {
                let domain = signed.parse()?.domain;
                self.paper(&domain, at);
                Ok(())
            }
            Record::Rotated(signed) => {
                let domain = signed.parse()?.domain;
                self.paper(&domain, at);
                Ok(())
            }
            Record::Transaction(transaction) => self.transaction(transaction, at),
            Record::Refused(refused) => self.order_refused(refused, at),
            Record::OfferPosted(notice) => self.offer_posted(notice, at),
            Record::OfferClosed(closed) => self.offer_closed(closed, at),
            Record::Book(_) => {
                self.draft.put(Key::of(Kind::Book), &at.place());
                Ok(())
            }
            Record::Statement(statement) => {
                self.counters.statements_said = self.counters.statements_said.saturating_add(1);
                self.said(statement, at)
            }
            Record::Received(frame) => self.received(frame, at),
            Record::Queried(question) => self.queried(question, at),
            Record::Page(page) => {
                self.page(page, at);
                Ok(())
            }
            Record::Suspended(_) => {
                self.counters.suspensions = self.counters.suspensions.saturating_add(1);
                Ok(())
            }
            Record::Recovered(evidence) => {
                self.counters.recovered = self.counters.recovered.saturating_add(1);
                let Ok(record) = evidence.read() else { return Ok(()) };
                let time = evidence.checkpoint.checkpoint.time;
                self.recovered(&record, At { time, recovered: true, ..at })
            }
            Record::Shown(evidence) => match evidence.read() {
                Ok(Record::Statement(Statement::Decided(decided))) => {
                    self.heard_decision(evidence.domain(), &decided, at)
                }
                Ok(_) | Err(_) => Ok(()),
            },
        }
    }

    /// A lost record of ours: what others need of it, they had. So only what has rows counts;
    /// its pages stay where they were said.
    fn recovered(&mut self, record: &Record, at: At) -> Result<(), Refusal> {
        match record {
            Record::Transaction(_)
            | Record::Refused(_)
            | Record::OfferPosted(_)
            | Record::OfferClosed(_)
            | Record::Statement(_) => self.record(record, at),
            Record::Founded(_)
            | Record::Admitted(_)
            | Record::Revoked(_)
            | Record::Rotated(_)
            | Record::CreditLimit(_)
            | Record::Asset(_)
            | Record::AssetLocked { .. }
            | Record::TransitLedger(_)
            | Record::TakeWaiting { .. }
            | Record::Book(_)
            | Record::Received(_)
            | Record::Queried(_)
            | Record::Page(_)
            | Record::Suspended(_)
            | Record::Lifted(_)
            | Record::Recovered(_)
            | Record::Recovering { .. }
            | Record::Shown(_)
            | Record::Restored
            | Record::Routed { .. }
            | Record::TransitFee { .. }
            | Record::TravelRule { .. }
            | Record::Broken(_)
            | Record::Explained(_)
            | Record::Netting(_)
            | Record::AssetClosed(_)
            | Record::Attested(_) => Ok(()),
        }
    }

    fn paper(&mut self, domain: &Domain, at: At) {
        self.draft.put(Key::paper(domain, at.place()), &at.place());
    }

    fn is_member(&mut self, domain: &Domain) -> Result<bool, Refusal> {
        self.draft.is_member(domain, Key::of(Kind::Paper).name(domain.as_str()))
    }

    fn page(&mut self, page: &FeedPage, at: At) {
        self.counters.pages_out = self.counters.pages_out.saturating_add(1);
        self.draft.put(Key::page(Kind::PageOut, &page.to, page.last()), &at.place());
    }

    fn received(&mut self, frame: &ReceivedFrame, at: At) -> Result<(), Refusal> {
        self.counters.pages_in = self.counters.pages_in.saturating_add(1);
        let (from, last) = (frame.from(), frame.page().last());
        self.draft.put(Key::page(Kind::PageIn, from, last), &at.place());
        for (item, heard) in (0u32..).zip(frame.items()) {
            self.counters.statements_heard = self.counters.statements_heard.saturating_add(1);
            if let Some(statement) = &heard.statement {
                let said = Said { place: at.place(), item: Some(item) };
                self.heard(from, statement, At { said, ..at })?;
            }
        }
        Ok(())
    }

    fn own(&self) -> Result<Domain, Refusal> {
        let none = || Refusal::new(Code::IndexFailed, "a record outside of any batch");
        self.own.clone().ok_or_else(none)
    }
}

/// Reads a record of our own log: its batch's checksum covers it.
pub(super) fn read_record(bytes: &[u8]) -> Result<Record, Refusal> {
    codec::decode_loose::<Record, { limits::FRAME_BYTES + limits::RECORD_BYTES }>(bytes)
}
