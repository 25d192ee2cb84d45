//! Sealing: append and sync, note in the guard and sign, and only then speak.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use bytes::Bytes;
use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::log::{Batch, Record};
use quadrille_protocol::types::{AssetPair, Domain, Height};
use quadrille_protocol::validator::{Accepted, Effect, Event};
use tokio::sync::mpsc;

use super::crash::{CrashPoint, Moment};
use super::handle::{Answer, Deliver, Waiting};
use super::recent::{RecentBatches, Sealed};
use super::{Counters, Publication};
use crate::feeds::Feeds;
use crate::log_store::{LogStore, SealedBatch};
use crate::signer::Signer;
use crate::telemetry::Metrics;

/// Notices in one bundle: an offer's terms are at most some kilobytes, so that a bundle stays far
/// below the largest frame of a session.
const NOTICES_AT_ONCE: usize = 64;

const _: () = assert!(NOTICES_AT_ONCE <= limits::PAGE_ITEMS);
const _: () = assert!(NOTICES_AT_ONCE * limits::GOSSIP_BYTES <= limits::FRAME_BYTES);

/// Notices of one batch by whom they are for.
type Directed = BTreeMap<Domain, Vec<u32>>;

/// One turn's effects on their way.
pub(super) struct Turn {
    pub batch: Option<Arc<Batch>>,
    /// All but replies.
    pub effects: Vec<Effect>,
    pub replies: Vec<Reply>,
    pub delivers: Vec<Deliver>,
}

/// An answer and who waits for it.
pub(super) struct Reply {
    pub waiting: Waiting,
    pub result: Result<Accepted, Refusal>,
}

pub(super) struct Sealer {
    pub log: LogStore,
    pub signer: Arc<dyn Signer>,
    pub indexing: mpsc::Sender<Arc<SealedBatch>>,
    pub feeds: Feeds,
    pub recent: RecentBatches,
    pub events: mpsc::Sender<Event>,
    pub publications: mpsc::Sender<Publication>,
    pub counters: Arc<Counters>,
    pub metrics: Arc<Metrics>,
    pub crash: CrashPoint,
    /// The last sealed height.
    pub height: Height,
}

impl Sealer {
    /// Runs until no more turns come; then everything written is synced.
    pub(super) fn run(mut self, turns: Receiver<Turn>) -> Result<(), Refusal> {
        for turn in turns {
            let sealed = match &turn.batch {
                Some(batch) => Some(self.seal(batch)?),
                None => None,
            };
            let mut directed = Directed::new();
            for effect in turn.effects {
                self.carry_out(effect, sealed.as_deref(), &mut directed)?;
            }
            self.send_notices(directed, sealed.as_deref())?;
            if let Some(batch) = &turn.batch {
                self.crash.reach(Moment::AfterEffects, batch);
            }
            let height = sealed.as_ref().map(|sealed| sealed.batch.checkpoint().height);
            for Reply { waiting, result } in turn.replies {
                let answer = result.map(|accepted| Answer { accepted, height });
                // Whoever asked may have gone; the outcome can be looked up.
                let _ = waiting.send(answer);
            }
            for deliver in turn.delivers {
                deliver();
            }
        }
        self.log.sync()
    }

    fn seal(&mut self, batch: &Arc<Batch>) -> Result<Arc<Sealed>, Refusal> {
        let checkpoint = batch.checkpoint();
        self.crash.reach(Moment::BeforeAppend, batch);
        let begun = Instant::now();
        self.log.append(batch)?;
        self.crash.reach(Moment::AfterAppend, batch);
        self.metrics.engine.append_seconds.observe(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let signature = self.signer.sign_checkpoint(checkpoint)?;
        self.metrics.engine.sign_seconds.observe(begun.elapsed().as_secs_f64());
        self.log.seal(checkpoint.height, &signature)?;
        self.crash.reach(Moment::AfterSign, batch);
        Counters::add(&self.counters.batches, 1);
        Counters::add(&self.counters.records, u64::from(checkpoint.count));
        self.metrics.engine.batch_records.observe(f64::from(checkpoint.count));
        self.metrics.engine.height.set(checkpoint.height.0);
        self.height = checkpoint.height;
        let stored = SealedBatch { stored: batch.share(), signature: Some(signature.clone()) };
        let bytes = batch.stored().records.iter().map(|record| record.len()).sum();
        let sealed = Arc::new(Sealed { batch: batch.clone(), signature, bytes });
        self.recent.push(sealed.clone());
        self.indexing
            .blocking_send(Arc::new(stored))
            .map_err(|_| Refusal::new(Code::NodeFault, "the indexing thread has ended"))?;
        Ok(sealed)
    }

    fn carry_out(
        &self,
        effect: Effect,
        sealed: Option<&Sealed>,
        directed: &mut Directed,
    ) -> Result<(), Refusal> {
        match effect {
            Effect::SendPage { to, height, page } => self.feeds.page(&to, height, page),
            Effect::Resend { to, after } => self.feeds.resend(&to, after, self.height),
            Effect::Return { to, after } => self.feeds.give_back(&to, after, self.height),
            Effect::Message { to, message } => {
                self.feeds.message(&to, Bytes::from(codec::encode(&message)));
            }
            Effect::Publish { leaf, only } if only.is_empty() => self.publish(leaf, sealed)?,
            Effect::Publish { leaf, only } => {
                for domain in only {
                    directed.entry(domain).or_default().push(leaf);
                }
            }
            Effect::LookUpDecision { header, from } => {
                self.feeds.look_up_decision(header, from, self.height);
            }
            Effect::Event(event) => self.event(event),
            // The loop has taken the replies out.
            Effect::Reply { .. } => {}
        }
        Ok(())
    }

    fn publish(&self, leaf: u32, sealed: Option<&Sealed>) -> Result<(), Refusal> {
        let sealed = sealed.ok_or_else(no_batch)?;
        let evidence = sealed.batch.evidence(leaf, &sealed.signature)?;
        let pair = pair_of(&evidence.read()?);
        let bytes = Bytes::from(codec::encode(&evidence));
        if self.publications.try_send(Publication { pair, evidence: bytes }).is_err() {
            Counters::add(&self.counters.publications_dropped, 1);
        }
        Ok(())
    }

    /// What is for named domains only: all of a batch for one of them goes under one proof.
    fn send_notices(&self, directed: Directed, sealed: Option<&Sealed>) -> Result<(), Refusal> {
        for (domain, mut leaves) in directed {
            let sealed = sealed.ok_or_else(no_batch)?;
            leaves.sort_unstable();
            leaves.dedup();
            for some in leaves.chunks(NOTICES_AT_ONCE) {
                let bundle = sealed.batch.bundle(some, &sealed.signature)?;
                self.feeds.notices(&domain, Bytes::from(codec::encode(&bundle)));
            }
        }
        Ok(())
    }

    fn event(&self, event: Event) {
        // What somebody must act upon is waited for; what is only told may be lost.
        let urgent =
            matches!(event, Event::Recovering { .. } | Event::Recovered | Event::Unresolved { .. });
        let lost = match urgent {
            true => self.events.blocking_send(event).is_err(),
            false => self.events.try_send(event).is_err(),
        };
        if lost {
            Counters::add(&self.counters.events_dropped, 1);
        }
    }
}

fn no_batch() -> Refusal {
    Refusal::new(Code::NodeFault, "a publication without a batch")
}

/// The pair that a published record is about.
fn pair_of(record: &Record) -> Option<AssetPair> {
    match record {
        Record::OfferPosted(notice) => Some(notice.terms.pair()),
        Record::OfferClosed(closed) => Some(closed.pair.clone()),
        _ => None,
    }
}
