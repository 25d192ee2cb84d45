//! One engine for every movement between domains: N parties, legs, one hash lock, one decider.
//!
//! ```text
//! initiator                participants                   decider
//!    |--Agreed (own legs locked)-->|--------------------------->|
//!    |<-----------Locked-----------|                            |
//!    |<--------------------------Locked (if it is a party)------|
//!    | journals Revealed           |                            |
//!    |--Revealed(secret, locks)-------------------------------->|
//!    |<----------Decided-----------|<---------Decided-----------|
//!    | Finalised                   | Finalised                  | Finalised
//! ```
//!
//! The roles are three machines, each an enum and one exhaustive match; a domain runs one or
//! two of them per settlement. All acting is in `validator::settle`.

pub mod agreement;
pub mod decider;
pub mod initiator;
pub mod open;
pub mod participant;

pub use agreement::{Account, Agreement, Enclosure, Header, Leg, Purpose};
pub use decider::Decider;
pub use initiator::Initiator;
pub use open::Settlement;
pub use participant::Participant;

#[cfg(test)]
mod tests;
