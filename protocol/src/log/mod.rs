//! A validator is a signed log, and everything it says is a feed of it.
//!
//! ```text
//! records --> batch --(append, fdatasync)--> checkpoint --(sign)--> frames, evidence, replies
//! ```
//!
//! Invariants: nothing is said that was not first written down; one checkpoint per height,
//! ever; state is what the records make of it and nothing else.

pub mod batch;
pub mod bundle;
pub mod checkpoint;
pub mod evidence;
pub mod feed;
pub mod fraud;
pub mod record;

pub use batch::{Batch, Place, StoredBatch};
pub use bundle::{Bundle, Bundled, VerifiedBundle};
pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use evidence::{Evidence, RecordBytes, VerifiedEvidence};
pub use feed::{FeedItem, FeedPage, Frame, Lock, ReceivedFrame};
pub use fraud::FraudProof;
pub use record::{Outcome, OutcomeKind, Record, Statement};

#[cfg(test)]
mod tests;
