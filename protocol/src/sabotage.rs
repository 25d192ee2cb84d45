//! Bugs on purpose, to prove that the checks find them.
//!
//! With the feature `sabotage` a thread can plant one named bug; without it every question
//! here is a constant `false` and the compiler removes the branch. The feature needs debug
//! assertions, so no release artefact can contain it.

#[cfg(all(feature = "sabotage", not(debug_assertions)))]
compile_error!("the feature `sabotage` plants bugs and is never part of a release build");

/// The bugs that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// The reveal leaves before its batch is durable.
    RevealBeforeDurable,
    /// The initiator's timer refunds although it has revealed.
    RefundAfterReveal,
    /// The decider settles without every party's lock.
    SettleWithoutEveryLock,
    /// The decider decides again when it is asked again.
    TwoDecisions,
    /// A party credits although a debtor's lock is not proven.
    CreditWithoutEvidence,
    /// A validator restored from an old copy acts at once.
    ActAfterRestore,
    /// A nonce may be used twice.
    NonceUsedTwice,
    /// Credit limits are not reserved when legs are locked.
    LimitNotReserved,
    /// A settlement credits one unit too much.
    UnbalancedPosting,
    /// A feed that skips numbers is accepted.
    FeedGapAccepted,
    /// The decider settles on anybody's preimage, without the initiator's reveal.
    BarePreimageAccepted,
    /// The signer signs a second checkpoint for a height.
    GuardIgnored,
    /// A payment that costs less than it may keeps the rest.
    CostTakenWhole,
    /// A payment that takes another way has its cost released first.
    ReleasedOnRetry,
    /// The payee's bank does not compare what is enclosed with what was agreed upon.
    EnclosureNotBound,
    /// The payee's KYC tier is not checked when a payment comes through others.
    TierSkippedOnRoute,
    /// A subscription's event counts as taken before it was delivered.
    SubscriptionGap,
    /// An answer about a name is used beyond its life.
    NameCachedTooLong,
    /// What comes in from a peer is booked twice.
    MirrorDrifts,
    /// A break of the books does not stop new exposure.
    BreakIgnored,
    /// One leg of a netting settlement is a cent smaller than the others.
    NettingLosesACent,
    /// What left a ledger today is not added up: a limit is passed by splitting.
    SecondKeyBypassed,
    /// A settlement credits a ledger that was frozen before its bank locked.
    FrozenLedgerCredited,
    /// Whom an asset's profile excludes may have it.
    TransferUnrestricted,
    /// An attestation leaves out what is set aside for offers.
    SupplyCountedWrong,
}

impl Bug {
    /// All of them.
    pub const ALL: &'static [Bug] = &[
        Bug::RevealBeforeDurable,
        Bug::RefundAfterReveal,
        Bug::SettleWithoutEveryLock,
        Bug::TwoDecisions,
        Bug::CreditWithoutEvidence,
        Bug::ActAfterRestore,
        Bug::NonceUsedTwice,
        Bug::LimitNotReserved,
        Bug::UnbalancedPosting,
        Bug::FeedGapAccepted,
        Bug::BarePreimageAccepted,
        Bug::GuardIgnored,
        Bug::CostTakenWhole,
        Bug::ReleasedOnRetry,
        Bug::EnclosureNotBound,
        Bug::TierSkippedOnRoute,
        Bug::SubscriptionGap,
        Bug::MirrorDrifts,
        Bug::BreakIgnored,
        Bug::NettingLosesACent,
        Bug::SecondKeyBypassed,
        Bug::FrozenLedgerCredited,
        Bug::TransferUnrestricted,
        Bug::SupplyCountedWrong,
    ];
}

#[cfg(feature = "sabotage")]
mod planting {
    use super::Bug;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Plants `bug` for the current thread, or none.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether `bug` is planted.
    #[must_use]
    pub fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(feature = "sabotage")]
pub use planting::{plant, planted};

/// Whether `bug` is planted: never, without the feature.
#[cfg(not(feature = "sabotage"))]
#[must_use]
pub const fn planted(_bug: Bug) -> bool {
    false
}
