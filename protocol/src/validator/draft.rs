//! The open batch: records written in this turn, whom they are for, and what comes after.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Validator;
use super::effect::{Effect, Effects, Event};
use super::volatile::Timer;
use crate::error::{Fault, Refusal};
use crate::ledger::Transaction;
use crate::limits;
use crate::log::{Batch, FeedPage, Place, Record, RecordBytes, Statement};
use crate::types::{Bounded, Domain, Duration, OrderId, Time};

#[derive(Debug, Default)]
pub(super) struct Draft {
    records: Vec<RecordBytes>,
    /// Per peer, its statements in this batch: place and size.
    outgoing: BTreeMap<Domain, Vec<(u32, usize)>>,
    after: Vec<Effect>,
    /// Orders whose offers have a published notice that is out of date; one may be here twice.
    dirty: Vec<OrderId>,
}

impl Draft {
    /// Each peer that something was said to needs a page yet.
    pub fn is_full(&self) -> bool {
        self.records.len().saturating_add(self.outgoing.len()) >= limits::BATCH_FULL
    }

    pub fn after(&mut self, effect: Effect) {
        self.after.push(effect);
    }

    /// The number of the next record, for what must be unique within the batch.
    pub fn next_place(&self) -> u64 {
        u64::try_from(self.records.len()).unwrap_or(u64::MAX)
    }

    pub fn offer_changed(&mut self, offer: OrderId) {
        self.dirty.push(offer);
    }
}

fn too_large(refusal: Refusal) -> Fault {
    Fault::new(format!("a record of ours: {refusal}"))
}

impl Validator {
    /// Writes a record into the open batch and applies it. Returns its place.
    pub(super) fn commit(&mut self, record: &Record) -> Result<u32, Fault> {
        let height = self.state.height.next();
        let bytes = record.to_bytes().map_err(too_large)?;
        self.state.apply(record, height)?;
        let place = u32::try_from(self.draft.records.len()).unwrap_or(u32::MAX);
        self.draft.records.push(bytes);
        Ok(place)
    }

    /// Writes a statement and puts it into the feeds of `to`.
    pub(super) fn say<'a>(
        &mut self,
        statement: Statement,
        to: impl Iterator<Item = &'a Domain>,
    ) -> Result<u32, Fault> {
        let place = self.commit(&Record::Statement(statement))?;
        let last = self.draft.records.last();
        let size = last.map_or(0, |bytes| bytes.len());
        if size > limits::RECORD_BYTES {
            return Err(Fault::new(format!("a statement of {size} bytes")));
        }
        for peer in to {
            match self.draft.outgoing.get_mut(peer) {
                Some(items) => items.push((place, size)),
                None => {
                    self.draft.outgoing.insert(peer.clone(), vec![(place, size)]);
                }
            }
        }
        Ok(place)
    }

    /// Writes a transaction and tells the holders it touches.
    pub(super) fn post(&mut self, transaction: Transaction) -> Result<u32, Fault> {
        let entries: Vec<_> =
            transaction.entries.iter().map(|entry| (entry.ledger, entry.sequence)).collect();
        let leaf = self.commit(&Record::Transaction(Box::new(transaction)))?;
        for (ledger, sequence) in entries {
            self.event(Event::Entry { ledger, sequence, leaf });
        }
        Ok(leaf)
    }

    /// Closes the open batch: notices of changed offers, a page for each peer, the checkpoint.
    pub(super) fn close_batch(&mut self, now: Time, entropy: [u8; 32]) -> Result<Effects, Fault> {
        self.publish_changed_offers(now)?;
        let mut after = std::mem::take(&mut self.draft.after);
        let mut batch = None;
        if !self.draft.records.is_empty() {
            let height = self.state.height.next();
            for (to, page) in self.write_pages(now)? {
                after.push(Effect::SendPage { to, height, page });
            }
            batch = Some(Arc::new(self.seal(now, entropy)?));
        }
        let wake = self.volatile.timers.first();
        Ok(Effects { batch, after, wake, more: self.has_more_to_recover() })
    }

    fn write_pages(&mut self, now: Time) -> Result<Vec<(Domain, u32)>, Fault> {
        let mut sent = Vec::new();
        for (to, items) in std::mem::take(&mut self.draft.outgoing) {
            for chunk in chunks(&items) {
                let peer = self.state.peer_mut(&to);
                let page = FeedPage {
                    to: to.clone(),
                    previous: peer.sent_height,
                    first: peer.sent.next(),
                    items: Bounded::new(chunk).map_err(too_large)?,
                    acknowledged: peer.received,
                };
                sent.push((to.clone(), self.commit(&Record::Page(page))?));
            }
            self.schedule_probe(now, &to);
        }
        Ok(sent)
    }

    fn schedule_probe(&mut self, now: Time, peer: &Domain) {
        let link = self.volatile.link_mut(peer);
        if !link.probing {
            link.probing = true;
            let wait = Duration(limits::PROBE_FIRST_MS);
            self.volatile.schedule(now.after(wait), Timer::Probe(peer.clone(), wait));
        }
    }

    fn seal(&mut self, now: Time, entropy: [u8; 32]) -> Result<Batch, Fault> {
        let height = self.state.height.next();
        let place = Place {
            network: self.state.network.clone(),
            domain: self.state.domain.clone(),
            epoch: self.state.own_epoch_at(height)?,
            height,
            previous: self.state.head,
            time: now,
        };
        let records = std::mem::take(&mut self.draft.records);
        let batch = Batch::close(place, entropy, records).map_err(too_large)?;
        self.state.advance(batch.checkpoint());
        Ok(batch)
    }

    /// One notice per changed offer and batch, however often it changed.
    fn publish_changed_offers(&mut self, now: Time) -> Result<(), Fault> {
        let domain = self.state.domain.clone();
        let mut dirty = std::mem::take(&mut self.draft.dirty);
        dirty.sort_unstable();
        dirty.dedup();
        for id in dirty {
            let Some(offer) = self.state.offers.get(&id) else { continue };
            let only = offer.terms().counterparties.to_vec();
            let record = match offer.closed(domain.clone()) {
                Some(closed) => {
                    let _ = self.volatile.book.close(&closed, now);
                    Record::OfferClosed(closed)
                }
                None => {
                    let notice = offer.notice(domain.clone());
                    self.list_own(&notice, now);
                    Record::OfferPosted(notice)
                }
            };
            let leaf = self.commit(&record)?;
            self.draft.after(Effect::Publish { leaf, only });
        }
        Ok(())
    }
}

/// Cuts a peer's statements into pages within the bounds of a frame.
fn chunks(items: &[(u32, usize)]) -> Vec<Vec<u32>> {
    let mut pages: Vec<Vec<u32>> = Vec::new();
    let mut bytes: usize = 0;
    for (place, size) in items {
        let fits = bytes.saturating_add(*size) <= limits::PAGE_BYTES;
        match pages.last_mut().filter(|page| page.len() < limits::PAGE_ITEMS && fits) {
            Some(page) => {
                page.push(*place);
                bytes = bytes.saturating_add(*size);
            }
            None => {
                pages.push(vec![*place]);
                bytes = *size;
            }
        }
    }
    pages
}
