//! Cutting evidence out of the log.
//!
//! Invariant: what is cut was sealed. A batch without its signature gives nothing.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use quadrille_protocol::crypto::suite::Signature;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::Issuer;
use quadrille_protocol::log::{Batch, Evidence, Frame, Record};
use quadrille_protocol::types::{Bounded, Domain, Height, Network, OrderId, SettlementId};

use super::{BUNDLE_EVIDENCE, Bundle, Paper, Subject};
use crate::index::{BatchSource, Index, Place, Said};

/// Opened batches that are kept: opening one hashes all its records.
const OPENED_BATCHES: usize = 32;

struct Opened {
    batch: Batch,
    signature: Signature,
}

/// Cuts evidence, frames and bundles from the log with the index's help.
pub struct Evidences<S> {
    source: S,
    index: Index,
    /// The batches opened last, the newest at the back.
    opened: Mutex<VecDeque<Arc<Opened>>>,
}

impl<S> std::fmt::Debug for Evidences<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evidences").field("index", &self.index).finish_non_exhaustive()
    }
}

impl<S: BatchSource> Evidences<S> {
    /// Of the log `source`, whose index is `index`.
    #[must_use]
    pub fn new(source: S, index: Index) -> Self {
        Self { source, index, opened: Mutex::new(VecDeque::with_capacity(OPENED_BATCHES)) }
    }

    /// The log that it reads.
    #[must_use]
    pub const fn source(&self) -> &S {
        &self.source
    }

    /// The index that it asks.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// Evidence of the record at `place`, whatever it is.
    ///
    /// # Errors
    /// `Q-2403` there is none, `Q-2404` its batch is not signed, and those of reading the log.
    pub fn at(&self, place: Place) -> Result<Evidence, Refusal> {
        let opened = self.open(place.height)?;
        let missing = |_| no_record(place);
        opened.batch.evidence(place.leaf, &opened.signature).map_err(missing)
    }

    /// The record at `place`.
    ///
    /// # Errors
    /// As [`Evidences::at`].
    pub fn record(&self, place: Place) -> Result<Record, Refusal> {
        let opened = self.open(place.height)?;
        let leaf = usize::try_from(place.leaf).unwrap_or(usize::MAX);
        let bytes = opened.batch.stored().records.get(leaf).ok_or_else(|| no_record(place))?;
        Record::read(bytes)
    }

    /// Evidence of what was said there: of a statement inside a frame that we received, in its
    /// sender's name; of what a recovery gave back or a decider showed us, as we were given it;
    /// of anything else, in ours.
    ///
    /// # Errors
    /// As [`Evidences::at`], and `Q-1105` when the frame has no such statement.
    pub fn said(&self, said: Said) -> Result<Evidence, Refusal> {
        match self.record(said.place)? {
            Record::Received(frame) => {
                let item = said.item.ok_or_else(|| no_record(said.place))?;
                frame.evidence(usize::try_from(item).unwrap_or(usize::MAX))
            }
            Record::Recovered(evidence) | Record::Shown(evidence) => Ok(*evidence),
            _ => self.at(said.place),
        }
    }

    /// The frame of our page at `place`, to be sent.
    ///
    /// # Errors
    /// As [`Evidences::at`], and `Q-1105` when it is no page.
    pub fn frame(&self, place: Place) -> Result<Frame, Refusal> {
        let opened = self.open(place.height)?;
        opened.batch.frame(place.leaf, &opened.signature)
    }

    /// The bytes of the frame that we received, to be given back to its author.
    ///
    /// # Errors
    /// As [`Evidences::at`], and `Q-2403` when the record is none.
    pub fn received(&self, place: Place) -> Result<Vec<u8>, Refusal> {
        match self.record(place)? {
            Record::Received(frame) => Ok(frame.bytes().to_vec()),
            _ => Err(no_record(place)),
        }
    }

    /// Evidence of our decision on a settlement; `None` when there is none in the log up to
    /// where the index has come. Wait for the index first where that must be the whole log.
    ///
    /// # Errors
    /// As [`Evidences::at`].
    pub fn decision(&self, id: &SettlementId) -> Result<Option<Evidence>, Refusal> {
        let Some(place) = self.index.decision(id)? else { return Ok(None) };
        self.said(Said { place, item: None }).map(Some)
    }

    /// One record with the papers to verify it.
    ///
    /// # Errors
    /// As [`Evidences::at`].
    pub fn record_bundle(&self, place: Place) -> Result<Bundle, Refusal> {
        self.bundle(Subject::Record, vec![self.at(place)?])
    }

    /// All that we can show about a settlement.
    ///
    /// # Errors
    /// `Q-1603` unknown settlement, and as [`Evidences::at`].
    pub fn settlement_bundle(&self, id: &SettlementId) -> Result<Bundle, Refusal> {
        let row = self
            .index
            .settlement(id)?
            .ok_or_else(|| Refusal::new(Code::UnknownSettlement, id.to_string()))?;
        let mut all: BTreeSet<Said> = row.steps.iter().map(|step| step.said).collect();
        for leg in &row.legs {
            let order = leg.order.map(|order| self.index.order(&order)).transpose()?.flatten();
            // Legs are their initiator's word: an order that it names as another bank's, or that
            // we never accepted, is not evidence of this settlement.
            if let Some(order) = order.filter(|order| order.kind.is_some()) {
                let said = Said { place: order.place, item: None };
                if *self.said(said)?.domain() == leg.from.domain {
                    all.insert(said);
                }
            }
        }
        self.bundle(Subject::Settlement(*id), self.all_said(all)?)
    }

    /// All that we can show about an order, settlements that it led to aside.
    ///
    /// # Errors
    /// `Q-2403` unknown order, and as [`Evidences::at`].
    pub fn order_bundle(&self, id: &OrderId) -> Result<Bundle, Refusal> {
        let row = self
            .index
            .order(id)?
            .ok_or_else(|| Refusal::new(Code::NoSuchRecord, id.to_string()))?;
        let mut all = BTreeSet::from([Said { place: row.place, item: None }]);
        all.extend(row.refused_by);
        // How it ended is about the order only where the booking names it.
        let changed = Said { place: row.changed, item: None };
        let names = |record: &Record| super::verify::names_order(record, id);
        if self.said(changed)?.read().is_ok_and(|record| names(&record)) {
            all.insert(changed);
        }
        self.bundle(Subject::Order(*id), self.all_said(all)?)
    }

    fn all_said(&self, all: BTreeSet<Said>) -> Result<Vec<Evidence>, Refusal> {
        all.into_iter().take(BUNDLE_EVIDENCE).map(|said| self.said(said)).collect()
    }

    fn bundle(&self, subject: Subject, evidence: Vec<Evidence>) -> Result<Bundle, Refusal> {
        let network = match evidence.first() {
            Some(first) => first.checkpoint.checkpoint.network.clone(),
            None => return Err(Refusal::new(Code::NoSuchRecord, "nothing to show")),
        };
        let papers = self.papers_of(&signers(&evidence), &network)?;
        let (evidence, papers) = (Bounded::new(evidence)?, Bounded::new(papers)?);
        Ok(Bundle { network, subject, evidence, papers })
    }

    /// The papers of `domains`, and of whoever vouches for them.
    fn papers_of(
        &self,
        domains: &BTreeSet<Domain>,
        network: &Network,
    ) -> Result<Vec<Paper>, Refusal> {
        let mut places = BTreeSet::new();
        let mut done: BTreeSet<Domain> = BTreeSet::new();
        let mut left: Vec<Domain> = domains.iter().cloned().collect();
        while let Some(domain) = left.pop() {
            if !done.insert(domain.clone()) {
                continue;
            }
            for place in self.index.papers(&domain)? {
                places.insert(place);
                left.extend(self.endorsers(place)?);
            }
        }
        let papers = places.into_iter().map(|place| self.paper(place));
        let papers: Vec<Paper> = papers.collect::<Result<_, _>>()?;
        if papers.is_empty() {
            return Err(Refusal::new(Code::UnknownDomain, format!("nobody of {network}")));
        }
        Ok(papers)
    }

    fn endorsers(&self, place: Place) -> Result<Vec<Domain>, Refusal> {
        match self.record(place)? {
            Record::Admitted(signed) if signed.parse()?.issuer == Issuer::SelfSigned => {
                Ok(signed.endorsements().iter().map(|known| known.by.clone()).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn paper(&self, place: Place) -> Result<Paper, Refusal> {
        use quadrille_protocol::log::Statement;
        let record = match self.record(place)? {
            Record::Recovered(evidence) => evidence.read()?,
            record => record,
        };
        match record {
            Record::Admitted(signed) => Ok(Paper::Certificate(signed)),
            Record::Rotated(signed) | Record::Statement(Statement::Rotated(signed)) => {
                Ok(Paper::Rotation(signed))
            }
            Record::Revoked(signed) => Ok(Paper::Revocation(signed)),
            _ => Err(no_record(place)),
        }
    }

    fn open(&self, height: Height) -> Result<Arc<Opened>, Refusal> {
        if let Some(known) = self.known(height) {
            return Ok(known);
        }
        let none = || Refusal::new(Code::NoSuchRecord, format!("height {height}"));
        let sealed = self.source.batch(height)?.ok_or_else(none)?;
        let unsigned = || Refusal::new(Code::NotSealed, format!("height {height}"));
        let signature = sealed.signature.ok_or_else(unsigned)?;
        let opened = Arc::new(Opened { batch: Batch::open(sealed.stored)?, signature });
        let mut all = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= OPENED_BATCHES {
            all.pop_front();
        }
        all.push_back(opened.clone());
        Ok(opened)
    }

    fn known(&self, height: Height) -> Option<Arc<Opened>> {
        let mut all = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|known| known.batch.checkpoint().height == height)?;
        let known = all.remove(at)?;
        all.push_back(known.clone());
        Some(known)
    }
}

fn no_record(place: Place) -> Refusal {
    Refusal::new(Code::NoSuchRecord, format!("{} at height {}", place.leaf, place.height))
}

/// Who signed the evidence, and the evidence that its statements carry.
fn signers(evidence: &[Evidence]) -> BTreeSet<Domain> {
    let mut signers: BTreeSet<Domain> = BTreeSet::new();
    for known in evidence {
        signers.insert(known.domain().clone());
        if let Ok(Record::Statement(statement)) = known.read() {
            signers.extend(statement.evidence().iter().map(|inner| inner.domain().clone()));
        }
    }
    signers
}
