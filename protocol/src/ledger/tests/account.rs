//! One ledger: balances, nonces, daily limits, status.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::limits::{NONCE_WINDOW, RECENT_ORDERS};

fn with_balance(free: u128, held: u128) -> Ledger {
    let mut ledger = ledger();
    let total = movement(MovementKind::Credit, "EUR", free + held);
    ledger.apply(&total).unwrap();
    ledger.apply(&movement(MovementKind::Hold, "EUR", held)).unwrap();
    ledger
}

fn balance(ledger: &Ledger) -> (u128, u128) {
    let (free, held) = ledger.balance(&uai("EUR"));
    (free.units(), held.units())
}

#[test]
fn every_kind_of_movement_moves_what_it_says() {
    use MovementKind::{Credit, Debit, Hold, Release, Spend};
    let table = [
        (Credit, 5, (15, 4)),
        (Debit, 10, (0, 4)),
        (Hold, 10, (0, 14)),
        (Release, 4, (14, 0)),
        (Spend, 4, (10, 0)),
        (Credit, 0, (10, 4)),
    ];
    for (kind, units, after) in table {
        let mut ledger = with_balance(10, 4);
        ledger.apply(&movement(kind, "EUR", units)).unwrap();
        assert_eq!(balance(&ledger), after, "{kind:?}");
    }
}

#[test]
fn a_movement_that_overdraws_is_a_fault_and_changes_no_balance() {
    use MovementKind::{Debit, Hold, Release, Spend};
    for (kind, units) in [(Debit, 11), (Hold, 11), (Release, 5), (Spend, 5)] {
        let mut ledger = with_balance(10, 4);
        ledger.apply(&movement(kind, "EUR", units)).unwrap_err();
        assert_eq!(balance(&ledger), (10, 4), "{kind:?}");
        ledger.apply(&movement(kind, "BOND", 1)).unwrap_err();
    }
}

#[test]
fn a_movement_beyond_what_can_be_written_is_a_fault() {
    use MovementKind::{Credit, Hold, Release};
    let mut full = ledger();
    full.apply(&movement(Credit, "EUR", u128::MAX)).unwrap();
    full.apply(&movement(Credit, "EUR", 1)).unwrap_err();
    full.apply(&movement(Hold, "EUR", u128::MAX)).unwrap();
    full.apply(&movement(Credit, "EUR", u128::MAX)).unwrap();
    full.apply(&movement(Hold, "EUR", 1)).unwrap_err();
    full.apply(&movement(Release, "EUR", 1)).unwrap_err();
    assert_eq!(balance(&full), (u128::MAX, u128::MAX));
}

#[test]
fn assets_are_kept_apart() {
    let mut ledger = with_balance(10, 4);
    ledger.apply(&movement(MovementKind::Credit, "BOND", 3)).unwrap();
    assert_eq!(balance(&ledger), (10, 4));
    assert_eq!(ledger.balance(&uai("BOND")), (amount(3), Amount::ZERO));
    assert_eq!(ledger.balance(&uai("GOLD")), (Amount::ZERO, Amount::ZERO));
    assert_eq!(ledger.balances().len(), 2);
}

#[test]
fn a_ledger_is_empty_when_nothing_is_free_or_held() {
    assert!(ledger().is_empty());
    assert!(!with_balance(1, 0).is_empty());
    let mut ledger = with_balance(0, 1);
    assert!(!ledger.is_empty());
    ledger.apply(&movement(MovementKind::Spend, "EUR", 1)).unwrap();
    assert!(ledger.is_empty());
}

#[test]
fn only_the_free_part_can_be_disposed_of() {
    let ledger = with_balance(10, 4);
    ledger.check_free(&uai("EUR"), amount(10)).unwrap();
    refused(Code::InsufficientFunds, ledger.check_free(&uai("EUR"), amount(11)));
    refused(Code::InsufficientFunds, ledger.check_free(&uai("BOND"), amount(1)));
    ledger.check_free(&uai("BOND"), Amount::ZERO).unwrap();
}

#[test]
fn a_ledger_that_is_not_open_says_why() {
    let mut ledger = ledger();
    ledger.check_open().unwrap();
    ledger.check_receives(&uai("EUR")).unwrap();
    for (status, code) in
        [(Status::Frozen, Code::LedgerFrozen), (Status::Closed, Code::LedgerClosed)]
    {
        ledger.status = status;
        refused(code, ledger.check_open());
        refused(code, ledger.check_receives(&uai("EUR")));
    }
}

#[test]
fn a_ledger_takes_only_the_assets_of_its_rules() {
    let mut ledger = ledger();
    let assets = Bounded::new(vec![uai("EUR")]).unwrap();
    ledger.parameters.amend(&Rules { assets, ..Rules::default() });
    ledger.check_receives(&uai("EUR")).unwrap();
    refused(Code::AssetNotAllowed, ledger.check_receives(&uai("BOND")));
}

fn order(number: u64) -> OrderId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    OrderId(bytes)
}

/// Takes an order up if its nonce is fresh.
fn take_up(ledger: &mut Ledger, nonce: u64, id: OrderId) -> Result<NonceState, Code> {
    let state = ledger.check_nonce(Nonce(nonce), id).map_err(|refusal| refusal.code)?;
    if state == NonceState::Fresh {
        ledger.use_nonce(Nonce(nonce), id);
    }
    Ok(state)
}

#[test]
fn a_nonce_is_used_once() {
    let mut ledger = ledger();
    assert_eq!(take_up(&mut ledger, 1, order(1)), Ok(NonceState::Fresh));
    assert_eq!(take_up(&mut ledger, 1, order(2)), Err(Code::NonceUsed));
    assert_eq!(take_up(&mut ledger, 1, order(1)), Ok(NonceState::Repeated));
}

#[test]
fn nonces_may_come_out_of_order_within_the_window() {
    for first in [NONCE_WINDOW, 2 * NONCE_WINDOW, 1_000 * NONCE_WINDOW] {
        let mut ledger = ledger();
        for step in 1..first / NONCE_WINDOW {
            take_up(&mut ledger, step * NONCE_WINDOW, order(step)).unwrap();
        }
        take_up(&mut ledger, first, order(0)).unwrap();
        for behind in (1..NONCE_WINDOW).rev() {
            let nonce = first - behind;
            assert_eq!(take_up(&mut ledger, nonce, order(nonce)), Ok(NonceState::Fresh));
        }
        let oldest = first - NONCE_WINDOW;
        assert_eq!(take_up(&mut ledger, oldest, order(oldest)), Err(Code::NonceTooOld));
        for behind in 0..NONCE_WINDOW {
            assert_eq!(take_up(&mut ledger, first - behind, order(1)), Err(Code::NonceUsed));
        }
    }
}

#[test]
fn no_single_order_uses_up_all_nonces() {
    let mut ledger = ledger();
    assert_eq!(take_up(&mut ledger, u64::MAX, order(1)), Err(Code::NonceTooFar));
    assert_eq!(take_up(&mut ledger, NONCE_WINDOW + 1, order(1)), Err(Code::NonceTooFar));
    assert_eq!(take_up(&mut ledger, NONCE_WINDOW, order(1)), Ok(NonceState::Fresh));
}

#[test]
fn the_nonce_zero_is_a_nonce_like_any_other() {
    let mut ledger = ledger();
    assert_eq!(take_up(&mut ledger, 0, order(1)), Ok(NonceState::Fresh));
    assert_eq!(take_up(&mut ledger, 0, order(2)), Err(Code::NonceUsed));
    take_up(&mut ledger, 5, order(3)).unwrap();
    assert_eq!(take_up(&mut ledger, 0, order(2)), Err(Code::NonceUsed));
}

#[test]
fn a_jump_over_the_window_forgets_nothing_that_could_be_used_again() {
    let mut ledger = ledger();
    take_up(&mut ledger, 10, order(1)).unwrap();
    take_up(&mut ledger, 10 + NONCE_WINDOW - 1, order(2)).unwrap();
    assert_eq!(take_up(&mut ledger, 10, order(3)), Err(Code::NonceUsed));
    take_up(&mut ledger, 10 + NONCE_WINDOW, order(4)).unwrap();
    assert_eq!(take_up(&mut ledger, 10, order(5)), Err(Code::NonceTooOld));
}

#[test]
fn a_repeated_order_is_known_for_a_while_and_never_fresh_again() {
    let mut ledger = ledger();
    for number in 0..100 {
        take_up(&mut ledger, number, order(number)).unwrap();
    }
    for number in 0..100 {
        let expected = match 99 - number {
            age if age < RECENT_ORDERS as u64 => Ok(NonceState::Repeated),
            age if age < NONCE_WINDOW => Err(Code::NonceUsed),
            _ => Err(Code::NonceTooOld),
        };
        assert_eq!(take_up(&mut ledger, number, order(number)), expected, "{number}");
    }
}

/// Around the start, and too far ahead.
fn any_nonce() -> impl Strategy<Value = u64> {
    prop_oneof![0..200u64, 0..200u64, 1_000..1_080u64]
}

proptest! {
    #[test]
    fn no_nonce_is_ever_accepted_twice(
        attempts in prop::collection::vec((any_nonce(), 0..3u64), 1..400),
    ) {
        let mut ledger = ledger();
        let mut used: BTreeSet<u64> = BTreeSet::new();
        let mut orders: BTreeSet<(u64, u64)> = BTreeSet::new();
        for (nonce, number) in attempts {
            let highest = used.last().copied();
            let too_old = highest.is_some_and(|highest| nonce + NONCE_WINDOW <= highest);
            match take_up(&mut ledger, nonce, order(number)) {
                Ok(NonceState::Fresh) => {
                    prop_assert!(!too_old);
                    prop_assert!(used.insert(nonce), "{} twice", nonce);
                    orders.insert((nonce, number));
                }
                Ok(NonceState::Repeated) => prop_assert!(orders.contains(&(nonce, number))),
                Err(Code::NonceUsed) => prop_assert!(used.contains(&nonce) && !too_old),
                Err(Code::NonceTooFar) => {
                    prop_assert!(nonce > highest.unwrap_or(0) + NONCE_WINDOW);
                }
                Err(code) => prop_assert!(code == Code::NonceTooOld && too_old),
            }
        }
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn limited() -> Ledger {
    let limit = |code| DailyLimit { asset: uai(code), amount: amount(100) };
    let daily_limits = Bounded::new(vec![limit("EUR"), limit("BOND")]).unwrap();
    let mut ledger = ledger();
    ledger.parameters.amend(&Rules { daily_limits, ..Rules::default() });
    ledger
}

#[test]
fn what_left_a_ledger_is_summed_per_asset_and_day() {
    let mut ledger = limited();
    let midnight = Time(NOW.day() * DAY_MS);
    ledger.note_spent(&uai("EUR"), amount(30), midnight);
    ledger.note_spent(&uai("BOND"), amount(5), midnight);
    ledger.note_spent(&uai("EUR"), amount(40), Time(midnight.0 + DAY_MS - 1));
    assert_eq!(ledger.spent_today(&uai("EUR"), midnight), amount(70));
    assert_eq!(ledger.spent_today(&uai("BOND"), midnight), amount(5));
    let tomorrow = Time(midnight.0 + DAY_MS);
    assert_eq!(ledger.spent_today(&uai("EUR"), tomorrow), Amount::ZERO);
    ledger.note_spent(&uai("EUR"), amount(1), tomorrow);
    assert_eq!(ledger.spent_today(&uai("EUR"), tomorrow), amount(1));
}

#[test]
fn nothing_is_kept_of_an_asset_without_a_limit() {
    let mut ledger = limited();
    let before = ledger.clone();
    ledger.note_spent(&uai("GOLD"), amount(30), NOW);
    assert_eq!(ledger, before);
    assert_eq!(ledger.parameters.daily_limit(&uai("EUR")), Some(amount(100)));
    assert_eq!(ledger.parameters.daily_limit(&uai("GOLD")), None);
}

#[test]
fn a_sum_of_spending_that_cannot_be_written_stays_at_the_most() {
    let mut ledger = limited();
    ledger.note_spent(&uai("EUR"), Amount::MAX, NOW);
    ledger.note_spent(&uai("EUR"), amount(1), NOW);
    assert_eq!(ledger.spent_today(&uai("EUR"), NOW), Amount::MAX);
}
