//! Correspondent ledgers: netting, mirrors, headroom.

use proptest::prelude::*;

use super::*;

fn correspondent(limit: u128, claim: u128, reserved: u128) -> Correspondent {
    let (limit, claim, reserved) = (amount(limit), amount(claim), amount(reserved));
    Correspondent { claim, limit, reserved, ..Correspondent::default() }
}

fn headroom(known: &Correspondent, units: u128) -> Result<(), Refusal> {
    known.check_headroom(&domain("peer"), &uai("EUR"), amount(units))
}

#[test]
fn what_is_owed_and_what_is_claimed_are_netted() {
    let mut known = Correspondent::default();
    let steps = [
        (Side::Debit, 10, (0, 10)),
        (Side::Credit, 4, (0, 6)),
        (Side::Credit, 6, (0, 0)),
        (Side::Credit, 3, (3, 0)),
        (Side::Debit, 5, (0, 2)),
        (Side::Credit, 9, (7, 0)),
        (Side::Debit, 0, (7, 0)),
    ];
    for (side, units, (owe, claim)) in steps {
        known.post(side, amount(units)).unwrap();
        assert_eq!((known.owe, known.claim), (amount(owe), amount(claim)));
    }
}

#[test]
fn a_sum_that_cannot_be_written_is_a_fault() {
    for side in [Side::Credit, Side::Debit] {
        let mut known = Correspondent::default();
        known.post(side, Amount::MAX).unwrap();
        known.post(side, amount(1)).unwrap_err();
    }
}

proptest! {
    #[test]
    fn mirrors_stay_mirrors(steps in prop::collection::vec((any::<bool>(), 0..1_000u32), 0..64)) {
        let (mut ours, mut theirs) = (Correspondent::default(), Correspondent::default());
        let mut sum: i64 = 0;
        for (credit, units) in steps {
            let (side, mirror, sign) = match credit {
                true => (Side::Credit, Side::Debit, 1),
                false => (Side::Debit, Side::Credit, -1),
            };
            ours.post(side, amount(u128::from(units))).unwrap();
            theirs.post(mirror, amount(u128::from(units))).unwrap();
            sum += sign * i64::from(units);
            prop_assert_eq!((ours.owe, ours.claim), (theirs.claim, theirs.owe));
            prop_assert!(ours.owe.is_zero() || ours.claim.is_zero());
            let owe = u128::try_from(sum.max(0)).unwrap();
            let claim = u128::try_from((-sum).max(0)).unwrap();
            prop_assert_eq!((ours.owe, ours.claim), (amount(owe), amount(claim)));
        }
    }

    /// Whatever is locked, settled and given back in whatever order, and whatever goes out in
    /// between: the peer never owes more than the limit.
    #[test]
    fn the_limit_is_never_passed(
        limit in 0..40u128,
        steps in prop::collection::vec((0..4u8, 1..30u128), 0..80),
    ) {
        let mut known = correspondent(limit, 0, 0);
        let mut open: Vec<Amount> = Vec::new();
        for (act, units) in steps {
            let units = amount(units);
            match (act, open.pop()) {
                // Something goes out: nobody's trust is needed on our side.
                (0, last) => {
                    known.post(Side::Credit, units).unwrap();
                    open.extend(last);
                }
                (1, Some(coming)) => {
                    known.release(coming).unwrap();
                    known.post(Side::Debit, coming).unwrap();
                }
                (2, Some(coming)) => known.release(coming).unwrap(),
                (_, last) => {
                    open.extend(last);
                    if headroom(&known, units.units()).is_ok() {
                        known.reserve(units).unwrap();
                        open.push(units);
                    }
                }
            }
            prop_assert!(known.claim <= known.limit, "{known:?}");
            prop_assert!(known.exposure() <= known.limit, "{known:?}");
            let room = limit + known.owe.units() - known.claim.units() - known.reserved.units();
            prop_assert_eq!(known.headroom(), amount(room));
        }
    }

    #[test]
    fn headroom_is_what_the_limit_leaves(limit in 0..50u128, claim in 0..50u128, set in 0..50u128) {
        let known = correspondent(limit, claim, set);
        let left = limit.saturating_sub(claim).saturating_sub(set);
        prop_assert_eq!(known.headroom(), amount(left));
        prop_assert_eq!(headroom(&known, left).is_ok(), limit > 0);
        prop_assert!(headroom(&known, left + 1).is_err());
    }
}

#[test]
fn no_limit_is_no_trust_and_a_used_up_limit_is_a_limit() {
    refused(Code::NoTrust, headroom(&correspondent(0, 0, 0), 1));
    refused(Code::NoTrust, headroom(&correspondent(0, 0, 0), 0));
    refused(Code::NoTrust, headroom(&correspondent(0, 5, 0), 1));
    // What only lowers our own debt needs no trust; what goes beyond it does.
    let indebted = Correspondent { owe: amount(7), ..correspondent(0, 0, 2) };
    headroom(&indebted, 5).unwrap();
    refused(Code::NoTrust, headroom(&indebted, 6));
    refused(Code::CreditLimit, headroom(&correspondent(10, 10, 0), 1));
    refused(Code::CreditLimit, headroom(&correspondent(10, 4, 4), 3));
    headroom(&correspondent(10, 4, 4), 2).unwrap();
    // A limit set below what is owed already.
    refused(Code::CreditLimit, headroom(&correspondent(3, 10, 0), 1));
    headroom(&correspondent(3, 10, 0), 0).unwrap();
}

#[test]
fn what_is_reserved_is_given_back_and_no_more() {
    let mut known = correspondent(10, 0, 0);
    known.reserve(amount(6)).unwrap();
    assert_eq!(known.headroom(), amount(4));
    known.release(amount(2)).unwrap();
    assert_eq!(known.reserved, amount(4));
    known.release(amount(5)).unwrap_err();
    assert_eq!(known.reserved, amount(4));
    known.reserve(Amount::MAX).unwrap_err();
}
