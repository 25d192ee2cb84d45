//! The engine: the one loop around the core, and what makes its batches durable.
//!
//! ```text
//!   requests, verified inputs, looks          (bounded queue)
//!                  |
//!            [ core loop ]   one thread: many inputs, one turn of the validator
//!                  |   rendezvous: the next turn waits until the last one is taken over
//!             [ sealing ]    one thread: append + fdatasync, guard, sign, then the effects
//!            /     |      \
//!        replies  feeds   index, publications, events
//! ```
//!
//! While one batch is on its way to the disk the core works on the next, and a busy core lets some
//! milliseconds' work come together; so a busy engine makes large batches and an idle one answers
//! at once.
//!
//! Invariants: nothing leaves before its batch is durable and signed, not even what a query has
//! seen; effects are carried out in the order of the turns; the first error of the disk, the
//! guard or the core stops both threads for good.

mod core_loop;
mod crash;
mod handle;
mod keys;
mod memo;
mod recent;
mod sealing;
mod verify;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::types::{Height, Time};
use quadrille_protocol::validator::{Event, Validator};
use tokio::sync::{mpsc, watch};

pub use handle::{Answer, Engine, EngineError};
pub use keys::HolderKeys;
pub use recent::{RecentBatches, RecentLog, Sealed};
pub use verify::Verifier;

use crate::evidence::Evidences;
use crate::feeds::Feeds;
use crate::index::Log;
use crate::log_store::{LogStore, SealedBatch};
use crate::signer::Signer;
use crate::telemetry::Metrics;

/// Jobs that may wait for the core, unless configured otherwise.
pub const QUEUE: usize = 8_192;
/// The largest queue that can be configured.
pub const QUEUE_MOST: usize = 1_048_576;
/// Kilobytes of peers' pages that may wait for the core or be in one turn: a page is up to a
/// megabyte, so their number alone would bound neither memory nor a batch.
pub const PAGES_KIB: usize = 64 * 1024;
/// Inputs that one turn is given at most.
pub const TURN_INPUTS: usize = 8_192;
/// Events that may wait for whoever logs them; further ones are counted and dropped.
pub const EVENTS: usize = 4_096;
/// Publications that may wait for the mesh; further ones are dropped, and late joiners' book
/// synchronisation makes up for them.
pub const PUBLICATIONS: usize = 1_024;

const _: () = assert!(limits::FRAME_BYTES < PAGES_KIB * 1024);

/// Where the engine takes the time from.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Time;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Time(since.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// A record to be published, with its evidence in canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Which offers it is about; `None` for a root of all of them.
    pub pair: Option<quadrille_protocol::types::AssetPair>,
    /// Canonical bytes of the `Evidence`.
    pub evidence: bytes::Bytes,
}

/// Figures of the engine since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Turns of the core.
    pub turns: AtomicU64,
    /// Inputs taken in.
    pub inputs: AtomicU64,
    /// Batches made durable.
    pub batches: AtomicU64,
    /// Records in them.
    pub records: AtomicU64,
    /// Events dropped because nobody took them.
    pub events_dropped: AtomicU64,
    /// Publications dropped because the mesh did not take them.
    pub publications_dropped: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, value: u64) {
        counter.fetch_add(value, Ordering::Relaxed);
    }
}

/// How the engine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It runs.
    Running,
    /// It was asked to stop and has.
    Stopped,
    /// It had to stop: the reason, coded.
    Failed(Refusal),
}

/// What the engine is made of.
pub struct Parts {
    /// The core, booted.
    pub validator: Validator,
    /// The log.
    pub log: LogStore,
    /// Signs checkpoints.
    pub signer: Arc<dyn Signer>,
    /// Reads the log back with the index's help, for the feeds.
    pub evidence: Arc<Evidences<Log>>,
    /// Where the last batches are kept in memory.
    pub recent: RecentBatches,
    /// Where batches go to be indexed.
    pub indexing: mpsc::Sender<Arc<SealedBatch>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where batches are measured.
    pub metrics: Arc<Metrics>,
    /// Jobs that may wait for the core, at least 1.
    pub queue: usize,
    /// Signatures that are checked at one time, at least 1.
    pub verify_workers: usize,
}

/// The engine's outlets and its end.
pub struct Running {
    /// The handle to share.
    pub engine: Engine,
    /// Feeds to the peers.
    pub feeds: Feeds,
    events: Option<mpsc::Receiver<Event>>,
    publications: Option<mpsc::Receiver<Publication>>,
    /// Tells when the engine has ended, and how.
    pub end: watch::Receiver<End>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// What happened, for logs and reactions. To be had once.
    ///
    /// # Errors
    /// `Q-1807` the second time.
    pub fn events(&mut self) -> Result<mpsc::Receiver<Event>, Refusal> {
        let taken = || Refusal::new(Code::NodeFault, "the events are followed already");
        self.events.take().ok_or_else(taken)
    }

    /// What is to be published. To be had once.
    ///
    /// # Errors
    /// `Q-1807` the second time.
    pub fn publications(&mut self) -> Result<mpsc::Receiver<Publication>, Refusal> {
        let taken = || Refusal::new(Code::NodeFault, "the publications are taken already");
        self.publications.take().ok_or_else(taken)
    }

    /// Waits until both threads are gone. The engine ends when asked to
    /// ([`Engine::stop`]) or on a failure.
    pub async fn joined(self) -> End {
        let Self { threads, end, .. } = self;
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A thread that panicked has reported its end as a failure.
                let _ = thread.join();
            }
        });
        let _ = joined.await;
        end.borrow().clone()
    }
}

/// Starts the two threads. Must be called inside a runtime.
///
/// # Errors
/// When a thread cannot be started.
pub fn start(parts: Parts) -> Result<Running, Refusal> {
    let Parts { validator, log, signer, evidence, recent, indexing, clock, metrics, .. } = parts;
    let (jobs, queue) = mpsc::channel(parts.queue.clamp(1, QUEUE_MOST));
    let verifier = Verifier::new(parts.verify_workers);
    let (seal, sealing) = std::sync::mpsc::sync_channel(0);
    let (event_sender, events) = mpsc::channel(EVENTS);
    let (publication_sender, publications) = mpsc::channel(PUBLICATIONS);
    let (end_sender, end) = watch::channel(End::Running);
    let end_sender = Arc::new(end_sender);
    let counters = Arc::new(Counters::default());
    let keys = HolderKeys::new(evidence.index().clone());
    let shared = Arc::new(handle::Shared::new(&validator, keys, verifier, counters.clone()));
    let engine = Engine::new(jobs, shared.clone());
    let head: Height = validator.state().height;
    let feeds =
        Feeds::new(validator.state().domain.clone(), recent.clone(), evidence, engine.clone());
    let sealer = sealing::Sealer {
        log,
        signer,
        indexing,
        feeds: feeds.clone(),
        recent,
        events: event_sender,
        publications: publication_sender,
        counters: counters.clone(),
        metrics,
        crash: crash::CrashPoint::from_environment(),
        height: head,
    };
    let looping = core_loop::CoreLoop::new(validator, queue, seal, clock, shared, counters)?;
    let threads = vec![
        spawn("core", end_sender.clone(), move || looping.run())?,
        spawn("sealing", end_sender, move || sealer.run(sealing))?,
    ];
    let (events, publications) = (Some(events), Some(publications));
    Ok(Running { engine, feeds, events, publications, end, threads })
}

/// Runs `work` on a thread of its own and reports how it ended. The first report of a failure
/// stands.
fn spawn(
    name: &str,
    end: Arc<watch::Sender<End>>,
    work: impl FnOnce() -> Result<(), Refusal> + Send + 'static,
) -> Result<JoinHandle<()>, Refusal> {
    let body = move || {
        let guard = Ended { end, how: None };
        let how = match work() {
            Ok(()) => End::Stopped,
            Err(refusal) => End::Failed(refusal),
        };
        guard.finish(how);
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| Refusal::new(Code::NodeFault, format!("thread {name}: {error}")))
}

/// Reports the end of a thread even when it panics.
struct Ended {
    end: Arc<watch::Sender<End>>,
    how: Option<End>,
}

impl Ended {
    fn finish(mut self, how: End) {
        self.how = Some(how);
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let how = self.how.take().unwrap_or_else(|| {
            End::Failed(Refusal::new(Code::NodeFault, "a thread of the engine panicked"))
        });
        self.end.send_if_modified(|known| match known {
            End::Failed(_) => false,
            End::Running | End::Stopped => {
                *known = how;
                true
            }
        });
    }
}
