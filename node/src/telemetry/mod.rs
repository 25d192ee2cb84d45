//! Logs and metrics.
//!
//! Logs go to standard error, for people or as JSON, one line per event, with the same field
//! names everywhere: `domain`, `peer`, `code`, `what`, `height`, `settlement`, `order`, `ledger`,
//! `route`, `status`, `token_id`, `elapsed_us`.
//!
//! Invariant: no secret is ever a field. Types that hold one have no `Debug` that shows it;
//! headers and bodies of requests are not logged.

mod levels;
mod metrics;

pub use levels::{Format, Levels, init, subscriber};
pub use metrics::{EngineMetrics, HttpMetrics, Kind, Metrics, Outcome, Sample};
