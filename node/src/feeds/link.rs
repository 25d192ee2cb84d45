//! One link: the task that writes a peer's feed to its session.
//!
//! A page that was just sealed is cut from memory. One that is there no longer is left to the log:
//! the peer is behind, and gets it in its turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::{Evidence, Frame};
use quadrille_protocol::types::{Domain, Height, Sequence, SettlementId};
use tokio::sync::mpsc;

use super::Signal;
use crate::engine::RecentBatches;
use crate::evidence::Evidences;
use crate::index::{Log, Place};
use crate::mesh::wire::Wire;

/// Pages looked up in the index at one time.
const PAGES: usize = 256;

/// Where links read batches from.
#[derive(Clone)]
pub(super) struct Source {
    pub recent: RecentBatches,
    pub evidence: Arc<Evidences<Log>>,
}

pub(super) struct Task {
    pub peer: Domain,
    pub source: Source,
    pub signals: mpsc::Receiver<Signal>,
    /// Up to which height pages were left out; 0 when none were.
    pub behind: Arc<AtomicU64>,
    pub out: mpsc::Sender<Wire>,
    /// The last number sent over this session; `None` before the first page.
    pub cursor: Option<Sequence>,
}

/// The session has ended.
struct Ended;

impl Task {
    pub(super) async fn run(mut self) {
        while let Some(signal) = self.signals.recv().await {
            let obeyed = match self.obey(signal).await {
                Ok(Ok(())) => self.catch_up().await,
                other => other,
            };
            match obeyed {
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
            Signal::Page { height, page } => self.page(Place { height, leaf: page }).await,
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

    /// Sends the page at `place` unless it went out already. One that is in memory no longer is
    /// left out, and so is everything behind it, or the peer would meet a gap.
    async fn page(&mut self, place: Place) -> Result<Result<(), Ended>, Refusal> {
        let left_out = self.behind.load(Ordering::Acquire) > 0;
        let Some(sealed) = self.source.recent.get(place.height).filter(|_| !left_out) else {
            self.behind.fetch_max(place.height.0, Ordering::AcqRel);
            return Ok(Ok(()));
        };
        let known = sealed.batch.pages().iter().find(|(at, _)| *at == place.leaf);
        let last = known.map(|(_, page)| page.last());
        if last.is_some() && last <= self.cursor {
            return Ok(Ok(()));
        }
        let frame = sealed.batch.frame(place.leaf, &sealed.signature)?;
        self.cursor = last.or(self.cursor);
        Ok(self.send_frame(&frame).await)
    }

    /// Sends what was left out, once there is nothing else to do. As long as the peer has not
    /// said how far it has come there is nothing to go by: it asks when the session stands.
    async fn catch_up(&mut self) -> Result<Result<(), Ended>, Refusal> {
        let Some(cursor) = self.cursor.filter(|_| self.signals.is_empty()) else {
            return Ok(Ok(()));
        };
        match self.behind.swap(0, Ordering::AcqRel) {
            0 => Ok(Ok(())),
            height => self.resend(cursor, Height(height)).await,
        }
    }

    async fn resend(
        &mut self,
        mut after: Sequence,
        height: Height,
    ) -> Result<Result<(), Ended>, Refusal> {
        self.source.evidence.index().wait_for(height).await?;
        loop {
            let places = self.source.evidence.index().pages_after(&self.peer, after, PAGES)?;
            if places.is_empty() {
                return Ok(Ok(()));
            }
            for (last, place) in places {
                let frame = self.source.frame(place).await?;
                if let Err(ended) = self.send_frame(&frame).await {
                    return Ok(Err(ended));
                }
                after = last;
                self.cursor = Some(last);
            }
        }
    }

    async fn send_frame(&self, frame: &Frame) -> Result<(), Ended> {
        self.send(Wire::Frame(Bytes::from(codec::encode(frame)))).await
    }

    async fn give_back(
        &mut self,
        mut after: Sequence,
        height: Height,
    ) -> Result<Result<(), Ended>, Refusal> {
        self.source.evidence.index().wait_for(height).await?;
        loop {
            let places = self.source.evidence.index().received_after(&self.peer, after, PAGES)?;
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
    /// The frame of our page at `place`, from memory or from the log.
    async fn frame(&self, place: Place) -> Result<Frame, Refusal> {
        if let Some(sealed) = self.recent.get(place.height) {
            return sealed.batch.frame(place.leaf, &sealed.signature);
        }
        let evidence = self.evidence.clone();
        blocking(move || evidence.frame(place)).await
    }

    /// The bytes of the frame that our record at `place` says we received.
    async fn received(&self, place: Place) -> Result<Bytes, Refusal> {
        let evidence = self.evidence.clone();
        blocking(move || evidence.received(place).map(Bytes::from)).await
    }

    /// Evidence of the decision on `id`, if the log up to `height` has one.
    pub(super) async fn decision(
        &self,
        id: SettlementId,
        height: Height,
    ) -> Result<Option<Evidence>, Refusal> {
        self.evidence.index().wait_for(height).await?;
        let evidence = self.evidence.clone();
        blocking(move || evidence.decision(&id)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let stopping = |_| Refusal::new(Code::NotLive, "the node is going down");
    tokio::task::spawn_blocking(work).await.map_err(stopping)?
}
