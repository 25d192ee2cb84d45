//! Payments to other banks: the ways they can take, what those cost, what travels with them, and
//! to whom.
//!
//! The holder signs what must arrive and what it may cost; the bank finds the ways. Everything
//! here is pure: the validator acts on plans, the edge and the simulator make them.

pub mod atlas;
pub mod name;
pub mod netting;
pub mod path;
pub mod plan;

pub use atlas::Atlas;
pub use path::{NoWay, Wanted, Way, find};
pub use plan::{Fee, Finding, Hop, Opened, Plan, Route};
