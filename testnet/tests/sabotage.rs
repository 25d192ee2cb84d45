//! Bugs on purpose: the simulator must find each of them, and nothing without them.
//!
//! The workload and the faults never know which bug is planted. Run with
//! `cargo nextest run -p quadrille-testnet --features sabotage --cargo-profile simulate`;
//! `--no-capture` shows how many seeds each took and which invariant found it.

#![cfg(feature = "sabotage")]

use quadrille_protocol::sabotage::{Bug, plant};
use quadrille_testnet::sim::{Options, run_seed};

/// Within so many seeds each bug must be found.
const SEEDS: u64 = 500;

/// Finds `bug` and shows that the seed which finds it holds without it.
fn is_found(bug: Bug) {
    let found = (1..=SEEDS).find_map(|seed| {
        plant(Some(bug));
        let outcome = run_seed(seed, Options::default());
        plant(None);
        outcome.broken.map(|broken| (seed, broken))
    });
    let Some((seeds, broken)) = found else { panic!("{bug:?} not found within {SEEDS} seeds") };
    println!("planted {bug:?}: found by seed {seeds}: {:?}: {}", broken.kind, broken.invariant);
    let clean = run_seed(seeds, Options::default()).broken;
    assert!(clean.is_none(), "seed {seeds} fails without {bug:?} too: {clean:?}");
}

/// Where nobody but the banks themselves looks at their books: what one of them has booked wrong
/// the other one finds.
#[test]
fn a_mirror_that_drifts_is_found_by_reconciliation_alone() {
    let options = Options { trusting: true, ..Options::default() };
    let found = (1..=SEEDS).find_map(|seed| {
        plant(Some(Bug::MirrorDrifts));
        let outcome = run_seed(seed, options);
        plant(None);
        outcome.broken
    });
    let broken = found.expect("it is found");
    assert_eq!(broken.invariant, "honest books reconcile", "{broken:?}");
}

macro_rules! planted {
    ($($test:ident: $bug:ident,)*) => {
        $(#[test]
        fn $test() {
            is_found(Bug::$bug);
        })*

        #[test]
        fn every_bug_that_can_be_planted_is_tried() {
            assert_eq!(Bug::ALL, [$(Bug::$bug),*]);
        }
    };
}

planted! {
    reveal_sent_before_durable: RevealBeforeDurable,
    refund_on_a_timer_after_the_reveal: RefundAfterReveal,
    settled_without_every_lock: SettleWithoutEveryLock,
    two_decisions: TwoDecisions,
    credit_without_evidence: CreditWithoutEvidence,
    acting_at_once_after_a_restore: ActAfterRestore,
    nonce_used_twice: NonceUsedTwice,
    limit_not_reserved_at_lock_time: LimitNotReserved,
    unbalanced_posting: UnbalancedPosting,
    feed_gap_accepted: FeedGapAccepted,
    bare_preimage_accepted: BarePreimageAccepted,
    guard_ignored: GuardIgnored,
    cost_taken_whole: CostTakenWhole,
    payment_released_on_retry: ReleasedOnRetry,
    enclosure_not_bound: EnclosureNotBound,
    tier_skipped_on_a_route: TierSkippedOnRoute,
    subscription_gap: SubscriptionGap,
    mirror_drifts: MirrorDrifts,
    break_does_not_stop_new_exposure: BreakIgnored,
    netting_loses_a_cent: NettingLosesACent,
    second_key_bypassed_by_splitting: SecondKeyBypassed,
    frozen_ledger_credited_through_a_settlement: FrozenLedgerCredited,
    transfer_restriction_skipped: TransferUnrestricted,
    supply_counted_wrong: SupplyCountedWrong,
}
