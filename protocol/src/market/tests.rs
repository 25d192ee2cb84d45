//! What the market's tests share, and the tests of terms and prices.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;
use crate::codec;
use crate::error::{Code, Refusal};
use crate::limits::{
    NOTICE_LIFE_MAX_MS, OFFER_COUNTERPARTIES, ORDER_LIFE_MS, SELECTION_WINDOW_MAX_MS,
};
use crate::types::{Amount, Bounded, Domain, Duration, OrderId, TakeId, Time, Uai, Ubi};

pub(super) const NOW: Time = Time(1_800_000_000_000);
pub(super) const EXPIRY: Time = Time(1_800_000_060_000);

pub(super) fn amount(units: u128) -> Amount {
    Amount::new(units)
}

pub(super) fn domain(name: &str) -> Domain {
    format!("{name}.example").parse().unwrap()
}

pub(super) fn uai(code: &str) -> Uai {
    format!("{code}:issuer.example#0011223344556677").parse().unwrap()
}

pub(super) fn order(number: u64) -> OrderId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    OrderId(bytes)
}

/// 100 BOND for 200 EUR, anybody, first come.
pub(super) fn terms() -> OfferTerms {
    OfferTerms {
        give: uai("BOND"),
        give_amount: amount(100),
        want: uai("EUR"),
        want_amount: amount(200),
        minimum_fill: amount(10),
        expiry: EXPIRY,
        counterparties: Bounded::default(),
        notary: None,
        selection_window: Duration(0),
        receive: None,
    }
}

pub(super) fn notice(validator: &str, number: u64) -> OfferNotice {
    let terms = terms();
    let remaining = terms.give_amount;
    OfferNotice { offer: order(number), validator: domain(validator), version: 1, terms, remaining }
}

pub(super) fn take(number: u8, take: u128, pay: u128) -> WaitingTake {
    WaitingTake {
        id: TakeId([number; 32]),
        taker: domain("taker"),
        account: Ubi([7; 32]),
        receive: None,
        take: amount(take),
        pay: amount(pay),
        received: u64::from(number),
        expiry: EXPIRY,
    }
}

fn refusal_of(change: impl FnOnce(&mut OfferTerms)) -> Option<Code> {
    let mut changed = terms();
    change(&mut changed);
    changed.check(NOW).err().map(|refusal| refusal.code)
}

#[test]
fn terms_that_hold_together_pass() {
    assert_eq!(refusal_of(|_| {}), None);
    assert_eq!(refusal_of(|terms| terms.minimum_fill = Amount::ZERO), None);
    assert_eq!(refusal_of(|terms| terms.minimum_fill = terms.give_amount), None);
    assert_eq!(refusal_of(|terms| terms.expiry = NOW.after(Duration(ORDER_LIFE_MS))), None);
    let longest = Duration(SELECTION_WINDOW_MAX_MS);
    assert_eq!(refusal_of(|terms| terms.selection_window = longest), None);
}

#[test]
fn terms_that_do_not_hold_together_are_refused() {
    let bad = Some(Code::BadOffer);
    assert_eq!(refusal_of(|terms| terms.give_amount = Amount::ZERO), bad);
    assert_eq!(refusal_of(|terms| terms.want_amount = Amount::ZERO), bad);
    assert_eq!(refusal_of(|terms| terms.minimum_fill = amount(101)), bad);
    assert_eq!(refusal_of(|terms| terms.want = terms.give.clone()), bad);
    let too_long = Duration(SELECTION_WINDOW_MAX_MS + 1);
    assert_eq!(refusal_of(|terms| terms.selection_window = too_long), bad);
}

#[test]
fn terms_that_live_too_short_or_too_long_are_refused() {
    assert_eq!(refusal_of(|terms| terms.expiry = NOW), Some(Code::OfferExpired));
    let late = NOW.after(Duration(ORDER_LIFE_MS + 1));
    assert_eq!(refusal_of(|terms| terms.expiry = late), Some(Code::OrderLifeTooLong));
}

#[test]
fn a_notice_allows_for_a_maker_whose_clock_is_ahead() {
    let mut notice = notice("bank-a", 1);
    notice.terms.expiry = NOW.after(Duration(NOTICE_LIFE_MAX_MS));
    assert_eq!(notice.check(NOW), Ok(()));
    notice.terms.expiry = NOW.after(Duration(NOTICE_LIFE_MAX_MS + 1));
    assert_eq!(notice.check(NOW).unwrap_err().code, Code::OrderLifeTooLong);
}

#[test]
fn a_notice_of_more_than_was_offered_is_refused() {
    let mut notice = notice("bank-a", 1);
    notice.remaining = amount(101);
    assert_eq!(notice.check(NOW).unwrap_err().code, Code::BadOffer);
}

#[test]
fn an_offer_names_at_most_so_many_counterparties() {
    let many = vec![domain("bank-b"); OFFER_COUNTERPARTIES + 1];
    let refused = Bounded::<Domain, OFFER_COUNTERPARTIES>::new(many);
    assert_eq!(refused.unwrap_err().code, Code::TooMany);
}

#[test]
fn an_empty_list_of_counterparties_admits_anybody() {
    let mut terms = terms();
    assert!(terms.admits(&domain("bank-b")));
    terms.counterparties = Bounded::new(vec![domain("bank-b")]).unwrap();
    assert!(terms.admits(&domain("bank-b")));
    assert!(!terms.admits(&domain("bank-c")));
}

#[test]
fn a_take_is_of_something_and_for_a_time() {
    let good = TakeTerms {
        offer: order(1),
        maker: domain("maker"),
        take: amount(1),
        pay: amount(1),
        notary: None,
        expiry: EXPIRY,
        receive: None,
    };
    let code = |terms: TakeTerms| terms.check(NOW).err().map(|refusal| refusal.code);
    assert_eq!(code(good.clone()), None);
    assert_eq!(code(TakeTerms { take: Amount::ZERO, ..good.clone() }), Some(Code::ZeroAmount));
    assert_eq!(code(TakeTerms { pay: Amount::ZERO, ..good.clone() }), Some(Code::ZeroAmount));
    assert_eq!(code(TakeTerms { expiry: NOW, ..good.clone() }), Some(Code::OrderExpired));
    let late = NOW.after(Duration(ORDER_LIFE_MS + 1));
    assert_eq!(code(TakeTerms { expiry: late, ..good }), Some(Code::OrderLifeTooLong));
}

#[test]
fn rounding_is_in_the_makers_favour() {
    let third = OfferTerms { give_amount: amount(3), want_amount: amount(1), ..terms() };
    assert_eq!(third.fair_price(amount(1)), Some(amount(1)));
    assert_eq!(third.fair_price(amount(3)), Some(amount(1)));
    assert!(third.price_accepts(amount(3), amount(1)));
    assert!(!third.price_accepts(amount(4), amount(1)));
    let whole = OfferTerms { give_amount: Amount::MAX, want_amount: Amount::MAX, ..terms() };
    assert_eq!(whole.fair_price(Amount::MAX), Some(Amount::MAX));
    let dear = OfferTerms { give_amount: amount(1), want_amount: Amount::MAX, ..terms() };
    assert_eq!(dear.fair_price(amount(2)), None);
}

#[test]
fn everything_published_or_kept_has_canonical_bytes() {
    let notice = notice("bank-a", 1);
    assert_eq!(codec::decode::<OfferNotice, 4096>(&codec::encode(&notice)), Ok(notice));
    let closed = OfferClosed {
        offer: order(1),
        validator: domain("bank-a"),
        pair: terms().pair(),
        version: 2,
        reason: Code::OfferCancelled,
    };
    assert_eq!(codec::decode::<OfferClosed, 4096>(&codec::encode(&closed)), Ok(closed));
    let mut offer = Offer::new(
        order(1),
        Ubi([1; 32]),
        OfferTerms { selection_window: Duration(1_000), ..terms() },
    );
    arrive(&mut offer, &take(1, 10, 20), NOW).unwrap();
    assert_eq!(codec::decode::<Offer, 4096>(&codec::encode(&offer)), Ok(offer));
}

/// Amounts of every size, the extremes often.
pub(super) fn any_amount() -> impl Strategy<Value = u128> {
    prop_oneof![
        1 => Just(1),
        1 => Just(u128::MAX),
        1 => Just(u128::MAX - 1),
        1 => Just(1 << 64),
        2 => 1_u128..=12,
        2 => 1_u128..=u128::MAX,
        2 => u128::MAX - 12..=u128::MAX,
    ]
}

fn any_price() -> impl Strategy<Value = Price> {
    (prop_oneof![1 => Just(0), 9 => any_amount()], any_amount())
        .prop_map(|(want, give)| Price::new(amount(want), amount(give)).unwrap())
}

/// The 256-bit product, digit by digit in base 2^32: slow, and plainly right.
fn long_product(a: u128, b: u128) -> [u32; 8] {
    let digit = |number: u128, place: usize| (number >> (32 * place)) & 0xffff_ffff;
    let mut product = [0_u32; 8];
    for i in 0..4 {
        let mut carry = 0_u128;
        for j in 0..4 {
            let sum = u128::from(product[i + j]) + digit(a, i) * digit(b, j) + carry;
            product[i + j] = u32::try_from(sum & 0xffff_ffff).unwrap();
            carry = sum >> 32;
        }
        product[i + 4] = u32::try_from(carry).unwrap();
    }
    product.reverse();
    product
}

#[test]
fn a_price_has_a_denominator() {
    assert!(Price::new(amount(1), Amount::ZERO).is_none());
}

proptest! {
    #[test]
    fn prices_compare_as_their_cross_products(a in any_price(), b in any_price()) {
        let left = long_product(a.want().units(), b.give().units());
        let right = long_product(b.want().units(), a.give().units());
        prop_assert_eq!(a.cmp(&b), left.cmp(&right));
        prop_assert_eq!(a == b, left == right);
    }

    #[test]
    fn prices_are_totally_ordered(a in any_price(), b in any_price(), c in any_price()) {
        prop_assert_eq!(a.cmp(&a), Ordering::Equal);
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
        if a == b {
            prop_assert_eq!(a.cmp(&c), b.cmp(&c));
        }
    }

    #[test]
    fn the_fair_price_is_the_least_that_is_accepted(
        give in any_amount(),
        want in any_amount(),
        part in any_amount(),
    ) {
        let offer = OfferTerms { give_amount: amount(give), want_amount: amount(want), ..terms() };
        let take = amount(part.min(give));
        let fair = offer.fair_price(take).expect("a part costs no more than the whole");
        prop_assert!(fair <= offer.want_amount);
        prop_assert!(offer.price_accepts(take, fair));
        let less = fair.minus(amount(1)).expect("a part of something costs something");
        prop_assert!(!offer.price_accepts(take, less));
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
