//! Models of networks of 10 to 10,000 banks: what they carry, what it costs each bank, and where
//! they break first.
//!
//! ```text
//!   topology --> map (real records, real search) --> ways --> work     who is full first
//!       |                                              \----> flow     what limits let pass
//!       |-> gossip   how offers spread                   (capacity, real netting)
//!       \-> directory  how far look-ups go
//!   figures (measured or assumed) -----------------------> ceilings, report
//! ```
//!
//! Nothing here runs a node. The search for ways, the records that it reads and the search for
//! cycles of debts are the protocol's own code; the rest is a model, and says so.

pub mod capacity;
pub mod ceilings;
pub mod command;
pub mod directory;
pub mod draw;
pub mod figures;
pub mod flow;
pub mod gossip;
pub mod map;
pub mod report;
pub mod study;
pub mod topology;
pub mod work;
