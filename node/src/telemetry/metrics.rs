//! Metrics in the text form of OpenMetrics.
//!
//! Counted here are requests, refusals, and what the engine reports. What others count anyway
//! (the mesh, the log store, the index) is fetched from them when `/metrics` is asked for, by
//! the closures given to [`Metrics::sample`].
//!
//! Invariant: label values come from closed sets (routes, statuses, codes, kinds), never from
//! requests, so the number of series is bounded.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, LabelSetEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use quadrille_protocol::error::Code;

/// One number that somebody else counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its name, without a prefix; of a counter without `_total`.
    pub name: &'static str,
    /// What it is, in a sentence without its full stop.
    pub help: &'static str,
    /// Whether it only rises.
    pub kind: Kind,
    /// Labels; samples of one name come one after the other.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: u64,
}

/// Whether a number only rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It does.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// Labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

impl EncodeLabelSet for RequestLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let status = self.status.to_string();
        let pairs = [("method", self.method), ("route", &self.route), ("status", &status)];
        pairs.encode(encoder)
    }
}

type Labelled = Family<Vec<(&'static str, String)>, Counter>;

/// Requests over HTTP.
#[derive(Debug)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Histogram,
    /// Requests in progress.
    pub in_flight: Gauge,
    /// Open connections.
    pub connections: Gauge,
    /// Subscribers of events.
    pub subscribers: Gauge,
}

/// What the engine reports.
#[derive(Debug)]
pub struct EngineMetrics {
    /// Records per batch.
    pub batch_records: Histogram,
    /// Seconds to append a batch and make it durable.
    pub append_seconds: Histogram,
    /// Seconds to sign a checkpoint, the guard's write included.
    pub sign_seconds: Histogram,
    /// The height of the last batch.
    pub height: Gauge<u64, AtomicU64>,
}

/// How a settlement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Settled.
    Settled,
    /// Refunded.
    Refunded,
}

/// All metrics of a node.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Requests.
    pub http: HttpMetrics,
    /// The engine.
    pub engine: EngineMetrics,
    settlements: Labelled,
    refused: Labelled,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn seconds() -> Histogram {
    // 50 us to 6.5 s.
    Histogram::new(exponential_buckets(0.000_05, 2.0, 18))
}

impl Metrics {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("quadrille");
        let http = HttpMetrics::registered(registry.sub_registry_with_prefix("http"));
        let engine = EngineMetrics::registered(registry.sub_registry_with_prefix("engine"));
        let (settlements, refused) = (Labelled::default(), Labelled::default());
        registry.register("settlements", "Settlements that became final here", settlements.clone());
        registry.register("refused", "Refusals by code", refused.clone());
        Self { registry: Mutex::new(registry), http, engine, settlements, refused }
    }

    /// A settlement became final here.
    pub fn settlement_final(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Settled => "settled",
            Outcome::Refunded => "refunded",
        };
        self.settlements.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
    }

    /// Something was refused.
    pub fn refused(&self, code: Code) {
        self.refused.get_or_create(&vec![("code", code.to_string())]).inc();
    }

    /// Adds what `fetch` counts, under names that begin with `quadrille_` and `prefix`.
    pub fn sample(
        &self,
        prefix: &'static str,
        fetch: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let sampled = Sampled(Box::new(fetch));
        registry.sub_registry_with_prefix(prefix).register_collector(Box::new(sampled));
    }

    /// All of it as text (`application/openmetrics-text`).
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing into a string fails only where an encoder says so, and ours do not.
        if encode(&mut text, &registry).is_err() {
            tracing::error!("metrics could not be written");
        }
        text
    }
}

impl HttpMetrics {
    fn registered(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            seconds: seconds(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            subscribers: Gauge::default(),
        };
        registry.register("requests", "Requests by route and status", metrics.requests.clone());
        let help = "Seconds from a request's head to its answer's";
        registry.register("request_seconds", help, metrics.seconds.clone());
        registry.register("in_flight", "Requests in progress", metrics.in_flight.clone());
        registry.register("connections", "Open connections", metrics.connections.clone());
        registry.register("subscribers", "Subscribers of events", metrics.subscribers.clone());
        metrics
    }

    /// A request was answered.
    pub fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let labels = RequestLabels { method, route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.seconds.observe(took.as_secs_f64());
    }
}

impl EngineMetrics {
    fn registered(registry: &mut Registry) -> Self {
        let metrics = Self {
            batch_records: Histogram::new(exponential_buckets(1.0, 2.0, 15)),
            append_seconds: seconds(),
            sign_seconds: seconds(),
            height: Gauge::default(),
        };
        registry.register("batch_records", "Records per batch", metrics.batch_records.clone());
        let help = "Seconds to append a batch and make it durable";
        registry.register("append_seconds", help, metrics.append_seconds.clone());
        let help = "Seconds to sign a checkpoint";
        registry.register("sign_seconds", help, metrics.sign_seconds.clone());
        registry.register("height", "Height of the last batch", metrics.height.clone());
        metrics
    }
}

struct Sampled(Box<dyn Fn() -> Vec<Sample> + Send + Sync>);

impl fmt::Debug for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sampled")
    }
}

impl Collector for Sampled {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let samples = (self.0)();
        for group in samples.chunk_by(|one, next| one.name == next.name) {
            let Some(first) = group.first() else { continue };
            let kind = match first.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let mut metric = encoder.encode_descriptor(first.name, first.help, None, kind)?;
            for sample in group {
                let labelled = metric.encode_family(&sample.labels)?;
                match first.kind {
                    Kind::Counter => ConstCounter::new(sample.value).encode(labelled)?,
                    Kind::Gauge => ConstGauge::new(sample.value).encode(labelled)?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_and_what_is_fetched_is_in_the_text() {
        let metrics = Metrics::new();
        metrics.http.answered("GET", "/v1/status", 200, Duration::from_millis(3));
        metrics.engine.height.set(1);
        metrics.engine.batch_records.observe(7.0);
        metrics.settlement_final(Outcome::Refunded);
        metrics.refused(Code::InsufficientFunds);
        metrics.sample("mesh", || {
            let sample = |peer: &str, value| Sample {
                name: "frames",
                help: "Frames sent",
                kind: Kind::Counter,
                labels: vec![("kind", peer.to_owned())],
                value,
            };
            vec![sample("one", 3), sample("two", 4)]
        });
        let text = metrics.text();
        for line in [
            "quadrille_http_requests_total{method=\"GET\",route=\"/v1/status\",status=\"200\"} 1",
            "quadrille_engine_height 1",
            "quadrille_engine_batch_records_count 1",
            "quadrille_settlements_total{outcome=\"refunded\"} 1",
            "quadrille_refused_total{code=\"Q-1405\"} 1",
            "quadrille_mesh_frames_total{kind=\"one\"} 3",
            "quadrille_mesh_frames_total{kind=\"two\"} 4",
        ] {
            assert!(text.lines().any(|known| known == line), "no `{line}` in\n{text}");
        }
        assert_eq!(text.matches("# HELP quadrille_mesh_frames").count(), 1);
        assert!(text.ends_with("# EOF\n"));
    }
}
