//! The decider's machine: one decision per settlement, ever.
//!
//! ```text
//!  Open --Reveal: preimage, every lock, before the deadline--> Settled
//!    |---Reveal too late, deadline, abort, a party declines--> Refunded
//! ```
//!
//! Invariants: the decision is the only point where a settlement's fate is fixed; the clock
//! can only make it a refund; a settlement that was never opened here is opened by a query
//! and refunded (a tombstone), so that a later reveal finds it decided.

use bincode::{Decode, Encode};

use crate::error::Code;

/// Where the decider stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Decider {
    /// Nothing is decided.
    Open,
    /// Decided: everybody settles.
    Settled,
    /// Decided: everybody refunds.
    Refunded,
}

/// What may happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeciderEvent {
    /// The initiator's reveal came: preimage right, every lock proven, in time.
    Reveal,
    /// It came, but something is wrong with it: the deadline will refund.
    BadReveal,
    /// The deadline has passed on our clock, seen by a timer, a reveal or a query.
    Expired,
    /// The initiator gave up.
    Abort(Code),
    /// A party will not lock, or the notary will not serve.
    Declined(Code),
}

/// What it does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeciderAct {
    /// Nothing.
    Nothing,
    /// Write the decision to settle.
    Settle,
    /// Write the decision to refund.
    Refund(Code),
    /// Report whoever sent it.
    Misbehaviour,
}

/// One step.
#[must_use]
pub fn step(state: Decider, event: DeciderEvent) -> (Decider, DeciderAct) {
    use Decider as S;
    use DeciderAct as A;
    use DeciderEvent as E;
    match (state, event) {
        (S::Open, E::Reveal) => (S::Settled, A::Settle),
        (S::Open, E::BadReveal) => (S::Open, A::Misbehaviour),
        (S::Open, E::Expired) => (S::Refunded, A::Refund(Code::TimedOut)),
        (S::Open, E::Abort(reason)) => (S::Refunded, A::Refund(reason)),
        (S::Open, E::Declined(reason)) => (S::Refunded, A::Refund(reason)),
        // An initiator that reveals and then aborts lies; the decision stands.
        (S::Settled, E::Abort(_)) => (S::Settled, A::Misbehaviour),
        (S::Settled, E::Reveal | E::BadReveal | E::Expired | E::Declined(_)) => {
            (S::Settled, A::Nothing)
        }
        (S::Refunded, E::Reveal | E::BadReveal | E::Expired | E::Abort(_) | E::Declined(_)) => {
            (S::Refunded, A::Nothing)
        }
    }
}
