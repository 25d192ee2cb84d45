//! Feeds: what each peer is sent, in order, over whatever session stands.
//!
//! ```text
//!   effects --> one bounded queue of signals per peer --> its link --> session
//!                    (page at height, resend after n, …)    |
//!                                            recent batches, index, log
//! ```
//!
//! A link is a cursor over the log, not a store of messages: a page is signalled by its place
//! and cut when it is sent. When a peer is slow its queue fills; pages that find no room, or are
//! no longer in memory when their turn comes, are left out, and the link reads them from the log
//! when it has caught up with the queue.
//!
//! Invariants: memory per peer is bounded; without a session nothing is kept (the peers compare
//! their numbers when they meet again); what binds us goes out in the order of the log.

mod link;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use quadrille_protocol::codec;
use quadrille_protocol::settlement::Header;
use quadrille_protocol::types::{Domain, Height, Sequence};
use quadrille_protocol::validator::Input;
use tokio::sync::mpsc;

use crate::engine::{Engine, RecentBatches};
use crate::evidence::Evidences;
use crate::index::Log;
use crate::mesh::wire::Wire;

/// Signals that may wait for one peer.
const SIGNALS: usize = 1_024;
/// Searches for decisions that may run at one time.
const SEARCHES: usize = 64;

/// All links. Cheap to clone.
#[derive(Clone)]
pub struct Feeds {
    inner: Arc<Inner>,
}

struct Inner {
    domain: Domain,
    links: Mutex<BTreeMap<Domain, Link>>,
    source: link::Source,
    engine: Engine,
    searches: Arc<tokio::sync::Semaphore>,
    runtime: tokio::runtime::Handle,
    dropped: AtomicU64,
}

/// What the rest knows of one link.
struct Link {
    signals: mpsc::Sender<Signal>,
    behind: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

/// What a link is told to send.
#[derive(Debug)]
enum Signal {
    /// The page at this place of this batch.
    Page { height: Height, page: u32 },
    /// All pages that end after this number, as the log has them at this height.
    Resend { after: Sequence, height: Height },
    /// All pages of the peer's own feed that end after this number.
    Return { after: Sequence, height: Height },
    /// As it is.
    Ready(Wire),
}

impl Feeds {
    pub(crate) fn new(
        domain: Domain,
        recent: RecentBatches,
        evidence: Arc<Evidences<Log>>,
        engine: Engine,
    ) -> Self {
        let source = link::Source { recent, evidence };
        let inner = Inner {
            domain,
            links: Mutex::default(),
            source,
            engine,
            searches: Arc::new(tokio::sync::Semaphore::new(SEARCHES)),
            runtime: tokio::runtime::Handle::current(),
            dropped: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// A session with `peer` stands: from now on its link writes to `out`.
    pub fn attach(&self, peer: &Domain, out: mpsc::Sender<Wire>) {
        let (signals, receiver) = mpsc::channel(SIGNALS);
        let behind = Arc::new(AtomicU64::new(0));
        let task = link::Task {
            peer: peer.clone(),
            source: self.inner.source.clone(),
            signals: receiver,
            behind: behind.clone(),
            out,
            cursor: None,
        };
        let task = self.inner.runtime.spawn(task.run());
        let link = Link { signals, behind, task };
        if let Some(old) = self.links().insert(peer.clone(), link) {
            old.task.abort();
        }
    }

    /// The session with `peer` has ended.
    pub fn detach(&self, peer: &Domain) {
        if let Some(old) = self.links().remove(peer) {
            old.task.abort();
        }
    }

    /// Peers with a session.
    #[must_use]
    pub fn attached(&self) -> Vec<Domain> {
        self.links().keys().cloned().collect()
    }

    /// Things left out because a peer was slow; pages among them follow later.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.inner.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn page(&self, to: &Domain, height: Height, page: u32) {
        self.signal(to, Signal::Page { height, page });
    }

    pub(crate) fn resend(&self, to: &Domain, after: Sequence, height: Height) {
        self.signal(to, Signal::Resend { after, height });
    }

    pub(crate) fn give_back(&self, to: &Domain, after: Sequence, height: Height) {
        self.signal(to, Signal::Return { after, height });
    }

    pub(crate) fn message(&self, to: &Domain, message: Bytes) {
        self.signal(to, Signal::Ready(Wire::Message(message)));
    }

    pub(crate) fn notices(&self, to: &Domain, bundle: Bytes) {
        self.signal(to, Signal::Ready(Wire::Notices(bundle)));
    }

    /// Searches the log up to `height` for a decision; shows it to whoever asked, or tells the
    /// core that there is none. When too many searches run, nothing happens: the peer asks again.
    pub(crate) fn look_up_decision(&self, header: Box<Header>, from: Domain, height: Height) {
        let Ok(permit) = self.inner.searches.clone().try_acquire_owned() else { return };
        let feeds = self.clone();
        self.inner.runtime.spawn(async move {
            let found = feeds.inner.source.decision(header.id(), height).await;
            drop(permit);
            match found {
                Ok(Some(evidence)) => {
                    let bytes = Bytes::from(codec::encode(&evidence));
                    feeds.signal(&from, Signal::Ready(Wire::Shown(bytes)));
                }
                Ok(None) => {
                    // An engine that has stopped needs no answer.
                    let _ = feeds.inner.engine.put(Input::NeverDecided { header, from }).await;
                }
                Err(refusal) => tracing::error!(%refusal, "decision cannot be looked up"),
            }
        });
    }

    fn signal(&self, to: &Domain, signal: Signal) {
        let links = self.links();
        let Some(link) = links.get(to) else { return };
        let Err(mpsc::error::TrySendError::Full(signal)) = link.signals.try_send(signal) else {
            return;
        };
        self.inner.dropped.fetch_add(1, Ordering::Relaxed);
        if let Signal::Page { height, .. } | Signal::Resend { height, .. } = &signal {
            link.behind.fetch_max(height.0, Ordering::AcqRel);
            // The link may have emptied its queue in this moment: then this wakes it up.
            let _ = link.signals.try_send(signal);
        }
    }

    fn links(&self) -> std::sync::MutexGuard<'_, BTreeMap<Domain, Link>> {
        self.inner.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Our domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.inner.domain
    }
}
