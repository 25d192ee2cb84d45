//! The initiator's machine: it alone can give a settlement up, and only before its reveal.
//!
//! ```text
//!            every lock seen, in time
//!  Locking ---------------------------> Revealed --Decided(settle)--> Settled
//!     |  give up, declined, too late        |-------Decided(refund)--> Refunded
//!     v                                     |
//!  Aborted --Decided(refund)----------> Refunded
//! ```
//!
//! Invariants: `Revealed` is journalled before the secret leaves; from it no timer and nobody
//! here leads back; an abort is journalled before the hold is released.

use bincode::{Decode, Encode};

use crate::error::Code;

/// Where the initiator stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Initiator {
    /// Its own legs are locked; it waits for the others' locks.
    Locking,
    /// The secret is out: only the decider's word counts.
    Revealed,
    /// It gave up before the reveal and has released its own legs.
    Aborted,
    /// It has applied the settlement.
    Settled,
    /// It has applied the refund.
    Refunded,
}

/// What may happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitiatorEvent {
    /// The last missing lock came, while a reveal is still allowed.
    AllLocked,
    /// A party will not lock, the time for a reveal has passed, or the operator gives up.
    GiveUp(Code),
    /// The decider decided to settle; every debtor's lock is in hand.
    DecidedSettle,
    /// The decider decided to refund.
    DecidedRefund,
}

/// What it does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitiatorAct {
    /// Nothing.
    Nothing,
    /// Journal and send the reveal.
    Reveal,
    /// Journal and send the abort, release the own legs.
    Abort(Code),
    /// Apply the settlement.
    Settle,
    /// Release the own legs.
    Refund,
    /// Note that the decider holds the refund that was asked for.
    Close,
    /// Too late: tell whoever asked.
    TooLate,
    /// The decider says what it cannot honestly say: keep still and report it.
    Misbehaviour,
}

/// One step.
#[must_use]
pub fn step(state: Initiator, event: InitiatorEvent) -> (Initiator, InitiatorAct) {
    use Initiator as S;
    use InitiatorAct as A;
    use InitiatorEvent as E;
    match (state, event) {
        (S::Locking, E::AllLocked) => (S::Revealed, A::Reveal),
        (S::Locking, E::GiveUp(reason)) => (S::Aborted, A::Abort(reason)),
        (S::Locking, E::DecidedRefund) => (S::Refunded, A::Refund),
        (S::Revealed, E::DecidedSettle) => (S::Settled, A::Settle),
        (S::Revealed, E::DecidedRefund) => (S::Refunded, A::Refund),
        (S::Aborted, E::DecidedRefund) => (S::Refunded, A::Close),
        (S::Revealed | S::Settled, E::GiveUp(_)) => (state, A::TooLate),
        (S::Aborted | S::Refunded, E::GiveUp(_)) => (state, A::Nothing),
        (S::Revealed | S::Aborted | S::Settled | S::Refunded, E::AllLocked) => (state, A::Nothing),
        (S::Settled, E::DecidedSettle) | (S::Refunded, E::DecidedRefund) => (state, A::Nothing),
        // Nobody else knew the secret, or it was decided otherwise before.
        (S::Locking | S::Aborted | S::Refunded, E::DecidedSettle)
        | (S::Settled, E::DecidedRefund) => (state, A::Misbehaviour),
    }
}
