//! What the parts of the node count, sampled whenever the metrics are read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::Engine;
use crate::feeds::Feeds;
use crate::hooks::Hooks;
use crate::index::Index;
use crate::log_store::LogCounters;
use crate::mesh::MeshHandle;
use crate::signer::Signer;
use crate::telemetry::{Kind, Metrics, Sample};

fn sample(name: &'static str, help: &'static str, kind: Kind, value: u64) -> Sample {
    Sample { name, help, kind, labels: Vec::new(), value }
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}

/// Log, guard and index.
pub(super) fn storage(
    metrics: &Metrics,
    log: Arc<LogCounters>,
    guard: Arc<dyn Signer>,
    index: Index,
) {
    metrics.sample("storage", move || {
        vec![
            sample(
                "fsyncs",
                "Calls of fdatasync on the log",
                Kind::Counter,
                log.syncs.load(Ordering::Relaxed),
            ),
            sample(
                "guard_fsyncs",
                "Calls of fdatasync on the guard",
                Kind::Counter,
                guard.guard_syncs(),
            ),
            sample(
                "log_bytes",
                "Bytes appended to the log",
                Kind::Counter,
                log.bytes.load(Ordering::Relaxed),
            ),
            sample(
                "log_batches",
                "Batches appended to the log",
                Kind::Counter,
                log.batches.load(Ordering::Relaxed),
            ),
            sample("indexed_height", "Height of the index", Kind::Gauge, index.indexed().0),
        ]
    });
}

/// Engine, feeds and mesh.
pub(super) fn node(metrics: &Metrics, engine: Engine, feeds: Feeds, mesh: MeshHandle) {
    metrics.sample("node", move || {
        let counters = engine.counters();
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            sample("turns", "Turns of the core", Kind::Counter, read(&counters.turns)),
            sample("inputs", "Inputs taken by the core", Kind::Counter, read(&counters.inputs)),
            sample("batches", "Batches sealed", Kind::Counter, read(&counters.batches)),
            sample("records", "Records sealed", Kind::Counter, read(&counters.records)),
            sample("queued", "Jobs that wait for the core", Kind::Gauge, count(engine.queued())),
            sample(
                "events_dropped",
                "Events nobody took in time",
                Kind::Counter,
                read(&counters.events_dropped),
            ),
            sample(
                "publications_dropped",
                "Publications the mesh did not take in time",
                Kind::Counter,
                read(&counters.publications_dropped),
            ),
            sample("sessions", "Sessions with peers", Kind::Gauge, count(feeds.attached().len())),
            sample(
                "feed_signals_dropped",
                "Signals to slow peers left out; pages follow later",
                Kind::Counter,
                feeds.dropped(),
            ),
        ]
    });
    metrics.sample("mesh", move || {
        let counters = mesh.counters().all();
        let one = |(name, help, value): (_, &'static str, _)| {
            sample(name, help.trim_end_matches('.'), Kind::Counter, value)
        };
        counters.into_iter().map(one).collect()
    });
}

/// Events that are posted to other systems.
pub(super) fn hooks(metrics: &Metrics, hooks: &Hooks) {
    let counts = hooks.counts();
    metrics.sample("hooks", move || {
        let (delivered, failed) = counts();
        vec![
            sample("delivered", "Events that receivers have taken", Kind::Counter, delivered),
            sample("failed", "Attempts that receivers did not take", Kind::Counter, failed),
        ]
    });
}
