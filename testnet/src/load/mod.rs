//! Load: trades and payments at a rate, against real banks, measured without looking away.
//!
//! ```text
//!   plan -> ledgers opened -> orders signed -> clock: due, sent, accepted, ended -> outcome -> report
//! ```
//!
//! Invariants:
//! * Latencies count from the moment each trade was due (no coordinated omission).
//! * Orders that get no answer are sent again as they are; nothing is counted twice; whatever has
//!   not ended when patience has is reported in doubt, with its orders.
//! * Time, trades, queues and everything that is kept are bounded.

mod ask;
mod book;
pub mod command;
mod cost;
mod hear;
pub mod latency;
mod machine;
mod moments;
mod observe;
mod outcome;
mod parts;
mod plan;
mod progress;
pub mod report;
mod run;
mod send;
mod sign;
mod stage;
mod tally;

pub use cost::{Cost, Spent, fdatasync, usage_of};
pub use machine::{Machine, Program};
pub use outcome::{
    Counts, Doubt, Exposure, ExposurePoint, NetworkFacts, Outcome, Second, Signing, Span, Stage,
    Step, Tick,
};
pub use plan::{Kind, LoadPlan, Pace};
pub use run::run;
