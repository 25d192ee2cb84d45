//! The participant's machine: once locked, it moves only on the decision.
//!
//! ```text
//!  Proposed --locks--> Locked --Decided(settle), evidence complete--> Settled
//!     |                   |----Decided(refund)----------------------> Refunded
//!     |--declines, or Decided(refund)-------------------------------> Declined
//! ```
//!
//! Invariant: no timer appears here at all.

use bincode::{Decode, Encode};

/// Where a participant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Participant {
    /// The agreement came; nothing is promised yet.
    Proposed,
    /// It has promised its legs.
    Locked,
    /// It has refused to lock, or it was decided before it did.
    Declined,
    /// It has applied the settlement.
    Settled,
    /// It has applied the refund.
    Refunded,
}

/// What may happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParticipantEvent {
    /// Its own checks passed.
    CanLock,
    /// Its own checks failed.
    CannotLock,
    /// The decider decided to settle; every debtor's lock is in hand.
    DecidedSettle,
    /// The decider decided to refund.
    DecidedRefund,
}

/// What it does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParticipantAct {
    /// Nothing.
    Nothing,
    /// Hold its legs and say so.
    Lock,
    /// Say that it will not.
    Decline,
    /// Apply the settlement.
    Settle,
    /// Release its legs.
    Refund,
    /// Forget it: nothing was promised.
    Forget,
    /// The decider says what it cannot honestly say: keep still and report it.
    Misbehaviour,
}

/// One step.
#[must_use]
pub fn step(state: Participant, event: ParticipantEvent) -> (Participant, ParticipantAct) {
    use Participant as S;
    use ParticipantAct as A;
    use ParticipantEvent as E;
    match (state, event) {
        (S::Proposed, E::CanLock) => (S::Locked, A::Lock),
        (S::Proposed, E::CannotLock) => (S::Declined, A::Decline),
        (S::Proposed, E::DecidedRefund) => (S::Declined, A::Forget),
        (S::Locked, E::DecidedSettle) => (S::Settled, A::Settle),
        (S::Locked, E::DecidedRefund) => (S::Refunded, A::Refund),
        (S::Locked | S::Declined | S::Settled | S::Refunded, E::CanLock | E::CannotLock)
        | (S::Settled, E::DecidedSettle)
        | (S::Refunded | S::Declined, E::DecidedRefund) => (state, A::Nothing),
        // It never locked, or it was decided otherwise before.
        (S::Proposed | S::Declined | S::Refunded, E::DecidedSettle)
        | (S::Settled, E::DecidedRefund) => (state, A::Misbehaviour),
    }
}
