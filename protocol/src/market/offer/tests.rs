use proptest::prelude::*;

use super::*;
use crate::market::tests::{EXPIRY, NOW, amount, any_amount, domain, order, take, terms};

const WINDOW: Duration = Duration(1_000);
const CLOSES: Time = NOW.after(WINDOW);

fn offer() -> Offer {
    Offer::new(order(1), Ubi([1; 32]), terms())
}

/// An offer that gathers takes before it selects.
fn gathering() -> Offer {
    Offer::new(order(1), Ubi([1; 32]), OfferTerms { selection_window: WINDOW, ..terms() })
}

fn with_counterparty(name: &str) -> Offer {
    let counterparties = Bounded::new(vec![domain(name)]).unwrap();
    Offer::new(order(1), Ubi([1; 32]), OfferTerms { counterparties, ..terms() })
}

fn ended(state: OfferState) -> Offer {
    let mut offer = offer();
    match state {
        OfferState::Live => {}
        OfferState::Cancelled => drop(offer.cancel().unwrap()),
        OfferState::Expired => drop(offer.expire(EXPIRY).unwrap()),
        OfferState::Filled => {
            offer.reserve(amount(100)).unwrap();
            offer.fill(amount(100)).unwrap();
        }
    }
    assert_eq!(offer.state(), state);
    offer
}

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> Code {
    result.unwrap_err().code
}

fn ids(takes: &[WaitingTake]) -> Vec<u64> {
    takes.iter().map(|take| take.received).collect()
}

fn losses(losers: &[(WaitingTake, Code)]) -> Vec<(u64, Code)> {
    losers.iter().map(|(take, code)| (take.received, *code)).collect()
}

#[test]
fn without_a_window_the_first_take_is_selected() {
    assert_eq!(arrive(&mut offer(), &take(1, 50, 100), NOW), Ok(Considered::SelectNow));
}

#[test]
fn a_take_must_fit_the_terms() {
    let consider = |take: &WaitingTake| code(arrive(&mut offer(), take, NOW));
    assert_eq!(consider(&take(1, 0, 0)), Code::ZeroAmount);
    assert_eq!(consider(&take(1, 9, 18)), Code::BelowMinimum);
    assert_eq!(consider(&take(1, 101, 202)), Code::AboveRemaining);
    assert_eq!(consider(&take(1, 50, 99)), Code::PriceTooLow);
    assert_eq!(consider(&WaitingTake { expiry: NOW, ..take(1, 50, 100) }), Code::OrderExpired);
}

#[test]
fn only_named_counterparties_may_take() {
    let taken = arrive(&mut with_counterparty("taker"), &take(1, 50, 100), NOW);
    assert_eq!(taken, Ok(Considered::SelectNow));
    let refused = arrive(&mut with_counterparty("somebody"), &take(1, 50, 100), NOW);
    assert_eq!(code(refused), Code::NotAllowedCounterparty);
}

#[test]
fn the_minimum_is_waived_for_all_of_a_small_rest() {
    let mut offer = offer();
    offer.reserve(amount(95)).unwrap();
    assert_eq!(code(arrive(&mut offer, &take(1, 4, 8), NOW)), Code::BelowMinimum);
    assert_eq!(code(arrive(&mut offer, &take(1, 6, 12), NOW)), Code::AboveRemaining);
    assert_eq!(arrive(&mut offer, &take(1, 5, 10), NOW), Ok(Considered::SelectNow));
}

#[test]
fn an_offer_past_its_expiry_refuses_takes_before_any_timer_has_run() {
    let late = WaitingTake { expiry: EXPIRY.after(WINDOW), ..take(1, 50, 100) };
    assert_eq!(code(arrive(&mut offer(), &late, EXPIRY)), Code::OfferExpired);
}

#[test]
fn an_offer_that_has_ended_refuses_everything_new() {
    for (state, expected) in [
        (OfferState::Cancelled, Code::OfferCancelled),
        (OfferState::Expired, Code::OfferExpired),
        (OfferState::Filled, Code::UnknownOffer),
    ] {
        let mut offer = ended(state);
        let before = offer.clone();
        assert_eq!(code(arrive(&mut offer, &take(1, 50, 100), NOW)), expected);
        assert_eq!(code(offer.reserve(amount(1))), expected);
        assert_eq!(code(offer.cancel()), expected);
        assert_eq!(offer.expire(EXPIRY), None);
        assert_eq!(close(&mut offer, NOW), Selection::default());
        assert!(offer.fill(amount(1)).is_err());
        assert!(offer.restore(amount(1)).is_err());
        assert_eq!(offer, before);
        assert_eq!(offer.closed(domain("maker")).unwrap().reason, expected);
        assert!(offer.is_done());
    }
}

#[test]
fn a_filled_offer_has_nothing_left_to_fill_or_restore() {
    let mut offer = ended(OfferState::Filled);
    assert!(offer.fill(Amount::ZERO).is_err());
    assert!(offer.restore(Amount::ZERO).is_err());
}

#[test]
fn the_first_take_opens_the_window_and_the_others_join_it() {
    let mut offer = gathering();
    let wait = Ok(Considered::Wait { until: CLOSES });
    assert_eq!(arrive(&mut offer, &take(1, 50, 100), NOW), wait);
    assert_eq!(arrive(&mut offer, &take(2, 50, 100), NOW.after(Duration(1))), wait);
    assert_eq!(offer.closes(), Some(CLOSES));
    assert_eq!(ids(offer.waiting()), [1, 2]);
    let selection = close(&mut offer, CLOSES);
    assert_eq!(ids(&selection.winners), [1, 2]);
    assert_eq!((offer.closes(), offer.waiting().len()), (None, 0));
    offer.check_invariants().unwrap();
}

#[test]
fn a_take_repeated_waits_once() {
    let mut offer = gathering();
    arrive(&mut offer, &take(1, 50, 100), NOW).unwrap();
    let before = offer.clone();
    let wait = Ok(Considered::Wait { until: CLOSES });
    assert_eq!(arrive(&mut offer, &take(1, 50, 100), CLOSES), wait);
    assert_eq!(offer, before);
}

#[test]
fn a_window_closes_before_the_offer_expires() {
    let mut offer = gathering();
    let last = EXPIRY.before(Duration(1));
    let take = WaitingTake { expiry: EXPIRY, ..take(1, 50, 100) };
    assert_eq!(arrive(&mut offer, &take, last), Ok(Considered::Wait { until: last }));
}

#[test]
fn a_take_that_cannot_live_until_selection_is_refused_at_once() {
    let take = WaitingTake { expiry: CLOSES, ..take(1, 50, 100) };
    assert_eq!(code(arrive(&mut gathering(), &take, NOW)), Code::OrderExpired);
}

#[test]
fn the_window_holds_so_many_takes_and_no_more() {
    let mut offer = gathering();
    let numbered = |number: usize| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        WaitingTake { id: TakeId(id), ..take(1, 10, 20) }
    };
    for number in 0..TAKES_PER_OFFER {
        arrive(&mut offer, &numbered(number), NOW).unwrap();
    }
    let before = offer.clone();
    assert_eq!(code(arrive(&mut offer, &numbered(TAKES_PER_OFFER), NOW)), Code::TooManyTakes);
    assert_eq!(offer, before);
}

#[test]
fn the_best_price_wins_and_the_earlier_of_equals() {
    let mut offer = gathering();
    for take in [take(1, 50, 100), take(2, 40, 81), take(3, 20, 42), take(4, 10, 21)] {
        arrive(&mut offer, &take, NOW).unwrap();
    }
    let selection = close(&mut offer, CLOSES);
    assert_eq!(ids(&selection.winners), [3, 4, 2]);
    assert_eq!(losses(&selection.losers), [(1, Code::AboveRemaining)]);
}

#[test]
fn a_smaller_take_behind_one_that_does_not_fit_still_wins() {
    let mut offer = gathering();
    for take in [take(1, 60, 180), take(2, 50, 125), take(3, 40, 80), take(4, 10, 20)] {
        arrive(&mut offer, &take, NOW).unwrap();
    }
    let selection = close(&mut offer, CLOSES);
    assert_eq!(ids(&selection.winners), [1, 3]);
    let lost = [(2, Code::AboveRemaining), (4, Code::TakeLost)];
    assert_eq!(losses(&selection.losers), lost);
}

#[test]
fn a_take_that_expired_while_it_waited_loses() {
    let mut offer = gathering();
    let short = WaitingTake { expiry: CLOSES.after(Duration(1)), ..take(1, 100, 900) };
    arrive(&mut offer, &short, NOW).unwrap();
    arrive(&mut offer, &take(2, 50, 100), NOW).unwrap();
    let selection = close(&mut offer, CLOSES.after(Duration(1)));
    assert_eq!(ids(&selection.winners), [2]);
    assert_eq!(losses(&selection.losers), [(1, Code::OrderExpired)]);
}

#[test]
fn a_take_of_a_small_rest_loses_when_the_rest_has_grown_again() {
    let mut offer = gathering();
    offer.reserve(amount(95)).unwrap();
    arrive(&mut offer, &take(1, 5, 10), NOW).unwrap();
    offer.restore(amount(95)).unwrap();
    let selection = close(&mut offer, CLOSES);
    assert_eq!(losses(&selection.losers), [(1, Code::BelowMinimum)]);
}

#[test]
fn takes_that_waited_for_a_rest_that_was_sold_lose() {
    let mut offer = gathering();
    arrive(&mut offer, &take(1, 50, 100), NOW).unwrap();
    offer.reserve(amount(100)).unwrap();
    offer.fill(amount(100)).unwrap();
    assert_eq!(offer.state(), OfferState::Filled);
    assert!(!offer.is_done());
    offer.check_invariants().unwrap();
    assert_eq!(losses(&close(&mut offer, CLOSES).losers), [(1, Code::TakeLost)]);
    assert!(offer.is_done());
}

#[test]
fn no_more_is_reserved_than_is_left() {
    let mut offer = offer();
    assert_eq!(code(offer.reserve(Amount::ZERO)), Code::ZeroAmount);
    offer.reserve(amount(60)).unwrap();
    let before = offer.clone();
    assert_eq!(code(offer.reserve(amount(41))), Code::AboveRemaining);
    assert_eq!(code(offer.reserve(Amount::MAX)), Code::AboveRemaining);
    assert_eq!(offer, before);
    offer.reserve(amount(40)).unwrap();
    assert_eq!(offer.available(), Amount::ZERO);
}

#[test]
fn no_more_is_filled_or_restored_than_is_reserved() {
    let mut offer = offer();
    offer.reserve(amount(60)).unwrap();
    let before = offer.clone();
    assert!(offer.fill(amount(61)).is_err());
    assert!(offer.restore(amount(61)).is_err());
    assert_eq!(offer, before);
}

#[test]
fn a_live_offer_is_offered_again_what_a_refund_restores() {
    let mut offer = offer();
    offer.reserve(amount(60)).unwrap();
    assert_eq!(offer.restore(amount(60)), Ok(Amount::ZERO));
    assert_eq!((offer.available(), offer.remaining()), (amount(100), amount(100)));
}

#[test]
fn ending_an_offer_releases_what_is_not_reserved_and_keeps_the_rest_locked() {
    let cancel: fn(&mut Offer) -> Withdrawal = |offer| offer.cancel().unwrap();
    let expire: fn(&mut Offer) -> Withdrawal = |offer| offer.expire(EXPIRY).unwrap();
    for (end, reason) in [(cancel, Code::OfferCancelled), (expire, Code::OfferExpired)] {
        let mut offer = gathering();
        offer.reserve(amount(60)).unwrap();
        arrive(&mut offer, &take(1, 30, 60), NOW).unwrap();
        let withdrawal = end(&mut offer);
        assert_eq!(withdrawal.release, amount(40));
        assert_eq!(losses(&withdrawal.losers), [(1, reason)]);
        assert!(!offer.is_done());
        offer.fill(amount(20)).unwrap();
        assert_eq!(offer.restore(amount(40)), Ok(amount(40)));
        assert_eq!(offer.remaining(), Amount::ZERO);
        assert!(offer.is_done());
        offer.check_invariants().unwrap();
    }
}

#[test]
fn an_offer_does_not_expire_early() {
    let mut offer = offer();
    assert_eq!(offer.expire(EXPIRY.before(Duration(1))), None);
    assert_eq!(offer.state(), OfferState::Live);
    assert_eq!(offer.closed(domain("maker")), None);
}

#[test]
fn every_change_that_shows_raises_the_version() {
    let mut offer = offer();
    assert_eq!(offer.version(), 1);
    offer.reserve(amount(50)).unwrap();
    assert_eq!((offer.version(), offer.notice(domain("maker")).remaining), (2, amount(50)));
    offer.restore(amount(25)).unwrap();
    assert_eq!((offer.version(), offer.notice(domain("maker")).remaining), (3, amount(75)));
    offer.fill(amount(25)).unwrap();
    assert_eq!((offer.version(), offer.notice(domain("maker")).remaining), (3, amount(75)));
    offer.cancel().unwrap();
    assert_eq!(offer.closed(domain("maker")).unwrap().version, 4);
}

#[test]
fn a_notice_names_the_validator_and_the_offer_and_nobody_else() {
    let notice = offer().notice(domain("maker"));
    assert_eq!((notice.offer, notice.validator.as_str()), (order(1), "maker.example"));
    let bytes = crate::codec::encode(&notice);
    assert!(!bytes.windows(32).any(|window| window == offer().ledger().as_bytes()));
}

#[derive(Debug, Clone)]
enum Act {
    Take(u128),
    Reserve(u128),
    Fill(u128),
    Restore(u128),
    Select,
    Cancel,
    Expire,
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_u128..130).prop_map(Act::Take),
        6 => (0_u128..130).prop_map(Act::Reserve),
        6 => (0_u128..130).prop_map(Act::Fill),
        6 => (0_u128..130).prop_map(Act::Restore),
        2 => Just(Act::Select),
        1 => Just(Act::Cancel),
        1 => Just(Act::Expire),
    ]
}

proptest! {
    /// Whatever happens in whatever order: what was filled, what was released and what remains
    /// is what was offered, and what was reserved and has not come back is `reserved`.
    #[test]
    fn nothing_of_an_offer_is_lost_or_made(acts in prop::collection::vec(any_act(), 0..60)) {
        let mut offer = gathering();
        let (mut filled, mut released, mut open) = (0, 0, 0);
        let mut version = offer.version();
        for (number, act) in acts.into_iter().enumerate() {
            let before = offer.clone();
            let done = match act {
                Act::Take(units) => {
                    let take = take(u8::try_from(number).unwrap(), units, 2 * units);
                    arrive(&mut offer, &take, NOW).is_ok()
                }
                Act::Reserve(units) => {
                    let done = offer.reserve(amount(units)).is_ok();
                    open += if done { units } else { 0 };
                    done
                }
                Act::Fill(units) => {
                    let done = offer.fill(amount(units)).is_ok();
                    if done {
                        (open, filled) = (open - units, filled + units);
                    }
                    done
                }
                Act::Restore(units) => match offer.restore(amount(units)) {
                    Ok(release) => {
                        open -= units;
                        released += release.units();
                        true
                    }
                    Err(_) => false,
                },
                Act::Select => {
                    let selection = close(&mut offer, CLOSES);
                    let fits: u128 = selection.winners.iter().map(|take| take.take.units()).sum();
                    prop_assert!(fits <= offer.available().units());
                    true
                }
                Act::Cancel => {
                    let withdrawal = offer.cancel();
                    released += withdrawal.as_ref().map_or(0, |given| given.release.units());
                    withdrawal.is_ok()
                }
                Act::Expire => {
                    let withdrawal = offer.expire(EXPIRY);
                    released += withdrawal.as_ref().map_or(0, |given| given.release.units());
                    withdrawal.is_some()
                }
            };
            prop_assert!(done || offer == before, "a refusal changes nothing");
            prop_assert_eq!(offer.check_invariants(), Ok(()));
            prop_assert_eq!(offer.reserved().units(), open);
            prop_assert_eq!(filled + released + offer.remaining().units(), 100);
            let shows = |offer: &Offer| (offer.available(), offer.state());
            prop_assert!(shows(&offer) == shows(&before) || offer.version() > version);
            version = offer.version();
        }
    }

    #[test]
    fn selection_never_exceeds_what_is_left(
        give in any_amount(),
        reserved in any_amount(),
        takes in prop::collection::vec((any_amount(), any_amount()), 0..24),
    ) {
        let terms = OfferTerms {
            give_amount: amount(give),
            want_amount: amount(1),
            minimum_fill: Amount::ZERO,
            selection_window: WINDOW,
            ..terms()
        };
        let mut offer = Offer::new(order(1), Ubi([1; 32]), terms);
        offer.reserve(amount(reserved.min(give - 1))).ok();
        for (number, (wanted, pay)) in takes.into_iter().enumerate() {
            let _ = arrive(&mut offer, &take(u8::try_from(number).unwrap(), wanted, pay), NOW);
        }
        let waited = offer.waiting().len();
        let selection = close(&mut offer, CLOSES);
        prop_assert_eq!(selection.winners.len() + selection.losers.len(), waited);
        for winner in &selection.winners {
            // Each reservation goes through: they fit, all together.
            prop_assert_eq!(offer.reserve(winner.take), Ok(()));
        }
        prop_assert_eq!(offer.check_invariants(), Ok(()));
        for (loser, reason) in &selection.losers {
            prop_assert!(loser.take > offer.available());
            prop_assert!(matches!(reason, Code::AboveRemaining | Code::TakeLost));
        }
    }

    /// Of two takes that each fit, the one that pays more per unit is never the only loser.
    #[test]
    fn the_best_price_wins_against_a_worse_one(
        takes in prop::collection::vec((1_u128..=100, 0_u128..=50), 1..24),
    ) {
        let terms =
            OfferTerms { minimum_fill: Amount::ZERO, selection_window: WINDOW, ..terms() };
        let mut offer = Offer::new(order(1), Ubi([1; 32]), terms);
        for (number, (wanted, extra)) in takes.into_iter().enumerate() {
            let take = take(u8::try_from(number).unwrap(), wanted, 2 * wanted + extra);
            arrive(&mut offer, &take, NOW).unwrap();
        }
        let better = |a: &WaitingTake, b: &WaitingTake| {
            (a.pay.units() * b.take.units()).cmp(&(b.pay.units() * a.take.units()))
                .then(b.received.cmp(&a.received)).is_gt()
        };
        let waiting = offer.waiting().to_vec();
        let best = waiting.iter().find(|one| waiting.iter().all(|other| !better(other, one)));
        let Selection { winners, losers } = close(&mut offer, CLOSES);
        prop_assert_eq!(winners.first(), best);
        for (loser, _) in &losers {
            // What better takes left was less than it asked for.
            let ahead: u128 =
                winners.iter().filter(|one| better(one, loser)).map(|one| one.take.units()).sum();
            prop_assert!(loser.take.units() > 100 - ahead);
        }
    }
}

/// A take arrives: considered, and put among those that wait when told so.
fn arrive(offer: &mut Offer, take: &WaitingTake, now: Time) -> Result<Considered, Refusal> {
    let considered = offer.consider(take, now)?;
    if let Considered::Wait { until } = considered {
        offer.enqueue(take.clone(), until).unwrap();
    }
    Ok(considered)
}

/// The window closes: selected, and everybody answered.
fn close(offer: &mut Offer, now: Time) -> Selection {
    let selection = offer.select(now);
    let losers = selection.losers.iter().map(|(take, _)| take.id);
    for id in selection.winners.iter().map(|take| take.id).chain(losers).collect::<Vec<_>>() {
        offer.dismiss(id);
    }
    selection
}
