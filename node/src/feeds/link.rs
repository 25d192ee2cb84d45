//! One link: the task that writes a peer's feed to its session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::{Batch, Evidence, Record};
use quadrille_protocol::types::{Domain, Height, Sequence, SettlementId};
use tokio::sync::mpsc;

use super::Signal;
use crate::engine::{RecentBatches, Sealed};
use crate::index::{Index, Place};
use crate::log_store::LogReader;
use crate::mesh::wire::Wire;

/// Pages looked up in the index at one time.
const PAGES: usize = 256;

/// Where links read batches from.
#[derive(Clone)]
pub(super) struct Source {
    pub recent: RecentBatches,
    pub index: Index,
    pub log: LogReader,
}

pub(super) struct Task {
    pub peer: Domain,
    pub source: Source,
    pub signals: mpsc::Receiver<Signal>,
    /// Set when a page or a resend found no room.
    pub behind: Arc<AtomicBool>,
    pub out: mpsc::Sender<Wire>,
    /// The last number sent over this session; `None` before the first page.
    pub cursor: Option<Sequence>,
}

/// The session has ended.
struct Ended;

impl Task {
    pub(super) async fn run(mut self) {
        while let Some(signal) = self.signals.recv().await {
            match self.obey(signal).await {
                Ok(Ok(())) => {}
                Ok(Err(Ended)) => return,
                // The peer will ask again; an unreadable log shows elsewhere too.
                Err(refusal) => tracing::error!(peer = %self.peer, %refusal, "feed cannot be read"),
            }
        }
    }

    async fn obey(&mut self, signal: Signal) -> Result<Result<(), Ended>, Refusal> {
        match signal {
            Signal::Ready(wire) => Ok(self.send(wire).await),
            Signal::Page { height, page } => {
                if let Err(ended) = self.page(Place { height, leaf: page }).await? {
                    return Ok(Err(ended));
                }
                // What found no room came before whatever is signalled from now on.
                if self.signals.is_empty() && self.behind.swap(false, Ordering::AcqRel) {
                    let after = self.cursor.unwrap_or_default();
                    return self.resend(after, height).await;
                }
                Ok(Ok(()))
            }
            Signal::Resend { after, height } => {
                self.cursor = Some(after);
                self.resend(after, height).await
            }
            Signal::Return { after, height } => self.give_back(after, height).await,
        }
    }

    async fn send(&self, wire: Wire) -> Result<(), Ended> {
        self.out.send(wire).await.map_err(|_| Ended)
    }

    /// Sends the page at `place` unless it went out already.
    async fn page(&mut self, place: Place) -> Result<Result<(), Ended>, Refusal> {
        let sealed = self.source.batch(place.height).await?;
        let known = sealed.batch.pages().iter().find(|(at, _)| *at == place.leaf);
        let last = known.map(|(_, page)| page.last());
        if last.is_some() && last <= self.cursor {
            return Ok(Ok(()));
        }
        let frame = sealed.batch.frame(place.leaf, &sealed.signature)?;
        let sent = self.send(Wire::Frame(Bytes::from(codec::encode(&frame)))).await;
        self.cursor = last.or(self.cursor);
        Ok(sent)
    }

    async fn resend(
        &mut self,
        mut after: Sequence,
        height: Height,
    ) -> Result<Result<(), Ended>, Refusal> {
        self.source.index.wait_for(height).await?;
        loop {
            let places = self.source.index.pages_after(&self.peer, after, PAGES)?;
            let Some((last, _)) = places.last() else { return Ok(Ok(())) };
            after = *last;
            for (_, place) in places {
                if let Err(ended) = self.page(place).await? {
                    return Ok(Err(ended));
                }
            }
        }
    }

    async fn give_back(
        &mut self,
        mut after: Sequence,
        height: Height,
    ) -> Result<Result<(), Ended>, Refusal> {
        self.source.index.wait_for(height).await?;
        loop {
            let places = self.source.index.received_after(&self.peer, after, PAGES)?;
            let Some((last, _)) = places.last() else { return Ok(Ok(())) };
            after = *last;
            for (_, place) in places {
                let bytes = self.source.received(place).await?;
                if let Err(ended) = self.send(Wire::Returned(bytes)).await {
                    return Ok(Err(ended));
                }
            }
        }
    }
}

impl Source {
    /// The batch at `height`, from memory or from the log.
    pub(super) async fn batch(&self, height: Height) -> Result<Arc<Sealed>, Refusal> {
        if let Some(sealed) = self.recent.get(height) {
            return Ok(sealed);
        }
        let log = self.log.clone();
        blocking(move || {
            let missing = || Refusal::new(Code::NodeFault, format!("no batch at height {height}"));
            let stored = log.batch(height)?.ok_or_else(missing)?;
            let unsigned = || Refusal::new(Code::NodeFault, format!("unsigned at {height}"));
            let signature = stored.signature.ok_or_else(unsigned)?;
            let batch = Arc::new(Batch::open(stored.stored)?);
            Ok(Arc::new(Sealed { batch, signature, bytes: 0 }))
        })
        .await
    }

    /// The bytes of the frame that our record at `place` says we received.
    async fn received(&self, place: Place) -> Result<Bytes, Refusal> {
        let sealed = self.batch(place.height).await?;
        let records = &sealed.batch.stored().records;
        let bytes = usize::try_from(place.leaf).ok().and_then(|leaf| records.get(leaf));
        match bytes.map(|bytes| Record::read(bytes)).transpose()? {
            Some(Record::Received(frame)) => Ok(Bytes::copy_from_slice(frame.bytes())),
            Some(_) | None => {
                let what = format!("no received page at {place:?}");
                Err(Refusal::new(Code::NodeFault, what))
            }
        }
    }

    /// Evidence of the decision on `id`, if the log up to `height` has one.
    pub(super) async fn decision(
        &self,
        id: &SettlementId,
        height: Height,
    ) -> Result<Option<Evidence>, Refusal> {
        self.index.wait_for(height).await?;
        let Some(place) = self.index.decision(id)? else { return Ok(None) };
        let sealed = self.batch(place.height).await?;
        Ok(sealed.batch.decision_on(id, &sealed.signature))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let stopping = |_| Refusal::new(Code::NotLive, "the node is going down");
    tokio::task::spawn_blocking(work).await.map_err(stopping)?
}
