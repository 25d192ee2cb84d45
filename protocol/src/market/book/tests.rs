use proptest::prelude::*;

use super::*;
use crate::codec;
use crate::error::Code;
use crate::limits::{CLOSED_OFFERS, CLOSED_OFFERS_PER_PEER, SNAPSHOT_BYTES};
use crate::market::tests::{EXPIRY, NOW, amount, any_amount, domain, notice, order, uai};
use crate::types::Amount;

fn book() -> Book {
    Book::new(domain("own"))
}

fn pair() -> AssetPair {
    AssetPair { give: uai("BOND"), want: uai("EUR") }
}

fn priced(validator: &str, number: u64, want: u128) -> OfferNotice {
    let mut notice = notice(validator, number);
    notice.terms.want_amount = amount(want);
    notice
}

fn closing(validator: &str, number: u64, version: u32) -> OfferClosed {
    let (offer, validator) = (order(number), domain(validator));
    OfferClosed { offer, validator, pair: pair(), version, reason: Code::OfferCancelled }
}

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> Code {
    result.unwrap_err().code
}

fn listed(book: &Book) -> Vec<OrderId> {
    book.iter_pair(&pair()).map(|notice| notice.offer).collect()
}

#[test]
fn the_cheapest_comes_first_and_the_earlier_of_equals() {
    let mut book = book();
    book.insert(priced("bank-a", 1, 300), 1, NOW).unwrap();
    book.insert(priced("bank-b", 2, 200), 3, NOW).unwrap();
    book.insert(priced("bank-c", 3, 200), 2, NOW).unwrap();
    let mut same_price = priced("own", 4, 400);
    (same_price.terms.give_amount, same_price.remaining) = (amount(200), amount(200));
    book.insert(same_price, 4, NOW).unwrap();
    assert_eq!(listed(&book), [order(3), order(2), order(4), order(1)]);
    assert_eq!(book.best(&pair()).unwrap().offer, order(3));
    let other_way = AssetPair { give: uai("EUR"), want: uai("BOND") };
    assert_eq!(book.best(&other_way), None);
    assert_eq!(book.pairs().collect::<Vec<_>>(), [&pair()]);
}

#[test]
fn a_version_must_rise() {
    let mut book = book();
    let second = OfferNotice { version: 2, ..notice("bank-a", 1) };
    book.insert(second.clone(), 1, NOW).unwrap();
    assert_eq!(code(book.insert(second.clone(), 2, NOW)), Code::StaleSequence);
    assert_eq!(code(book.insert(notice("bank-a", 1), 2, NOW)), Code::StaleSequence);
    let third = OfferNotice { version: 3, remaining: amount(7), ..second };
    book.insert(third.clone(), 2, NOW).unwrap();
    assert_eq!((book.get(&order(1)), book.len()), (Some(&third), 1));
}

#[test]
fn an_update_keeps_its_place_unless_the_terms_change() {
    let mut book = book();
    book.insert(notice("bank-a", 1), 1, NOW).unwrap();
    book.insert(notice("bank-b", 2), 2, NOW).unwrap();
    let update = OfferNotice { version: 2, remaining: amount(50), ..notice("bank-a", 1) };
    book.insert(update.clone(), 3, NOW).unwrap();
    assert_eq!(listed(&book), [order(1), order(2)]);
    let mut changed = OfferNotice { version: 3, ..update };
    changed.terms.minimum_fill = amount(50);
    book.insert(changed, 4, NOW).unwrap();
    assert_eq!(listed(&book), [order(2), order(1)]);
}

#[test]
fn an_offer_that_is_all_reserved_is_known_but_not_listed() {
    let mut book = book();
    let empty = OfferNotice { remaining: Amount::ZERO, ..notice("bank-a", 1) };
    book.insert(empty.clone(), 1, NOW).unwrap();
    assert!(listed(&book).is_empty());
    assert_eq!(book.live_of(&domain("bank-a")).collect::<Vec<_>>(), [&empty]);
    let again = OfferNotice { version: 2, ..notice("bank-a", 1) };
    book.insert(again, 2, NOW).unwrap();
    assert_eq!(listed(&book), [order(1)]);
}

#[test]
fn bad_notices_are_refused() {
    let mut book = book();
    assert_eq!(code(book.insert(priced("bank-a", 1, 0), 1, NOW)), Code::BadOffer);
    assert_eq!(code(book.insert(notice("bank-a", 1), 1, EXPIRY)), Code::OfferExpired);
    let mut eternal = notice("bank-a", 1);
    eternal.terms.expiry = Time::MAX;
    assert_eq!(code(book.insert(eternal, 1, NOW)), Code::OrderLifeTooLong);
    assert!(book.is_empty());
}

#[test]
fn a_late_notice_does_not_revive_a_closed_offer() {
    let mut book = book();
    book.insert(notice("bank-a", 1), 1, NOW).unwrap();
    let removed = book.close(&closing("bank-a", 1, 2), NOW).unwrap();
    assert_eq!(removed, Some(notice("bank-a", 1)));
    assert!(book.is_empty());
    for version in [1, 2, 9] {
        let late = OfferNotice { version, ..notice("bank-a", 1) };
        assert_eq!(code(book.insert(late, 2, NOW)), Code::StaleSequence);
    }
    assert_eq!(code(book.close(&closing("bank-a", 1, 3), NOW)), Code::StaleSequence);
}

#[test]
fn a_closing_that_overtakes_its_notice_is_remembered() {
    let mut book = book();
    assert_eq!(book.close(&closing("bank-a", 1, 2), NOW), Ok(None));
    assert_eq!(code(book.insert(notice("bank-a", 1), 1, NOW)), Code::StaleSequence);
}

#[test]
fn a_stale_closing_is_refused() {
    let mut book = book();
    let third = OfferNotice { version: 3, ..notice("bank-a", 1) };
    book.insert(third, 1, NOW).unwrap();
    assert_eq!(code(book.close(&closing("bank-a", 1, 3), NOW)), Code::StaleSequence);
    assert_eq!(book.len(), 1);
}

#[test]
fn a_closing_is_forgotten_when_no_notice_can_live_any_more() {
    let mut book = book();
    book.insert(notice("bank-a", 1), 1, NOW).unwrap();
    book.close(&closing("bank-a", 1, 2), NOW).unwrap();
    book.expire(EXPIRY.before(Duration(1)));
    assert_eq!(book.closed.all().len(), 1);
    book.expire(EXPIRY);
    assert_eq!(book.closed, Tombstones::default());
    assert_eq!(code(book.insert(notice("bank-a", 1), 2, EXPIRY)), Code::OfferExpired);
}

#[test]
fn nobody_displaces_or_closes_what_another_published() {
    let mut book = book();
    book.insert(notice("bank-a", 1), 1, NOW).unwrap();
    let forged = OfferNotice { version: 9, ..priced("bank-z", 1, 1) };
    book.insert(forged, 2, NOW).unwrap();
    book.close(&closing("bank-z", 1, 10), NOW).unwrap();
    assert_eq!(book.get(&order(1)), Some(&notice("bank-a", 1)));
    assert_eq!(book.find(&domain("bank-z"), &order(1)), None);
}

#[test]
fn of_two_claims_to_an_offer_the_first_seen_counts() {
    let mut book = book();
    book.insert(notice("bank-z", 1), 1, NOW).unwrap();
    book.insert(notice("bank-a", 1), 2, NOW).unwrap();
    assert_eq!(book.get(&order(1)).unwrap().validator, domain("bank-z"));
    assert_eq!(book.find(&domain("bank-a"), &order(1)), Some(&notice("bank-a", 1)));
}

#[test]
fn expired_notices_leave_in_the_order_of_their_expiry() {
    let mut book = book();
    for number in 1..=3 {
        let mut notice = notice("bank-a", number);
        notice.terms.expiry = EXPIRY.before(Duration(number));
        book.insert(notice, number, NOW).unwrap();
    }
    assert_eq!(book.expire(NOW), []);
    let expired = book.expire(EXPIRY.before(Duration(2)));
    let ids: Vec<OrderId> = expired.iter().map(|notice| notice.offer).collect();
    assert_eq!(ids, [order(3), order(2)]);
    assert_eq!(listed(&book), [order(1)]);
}

#[test]
fn removing_a_validator_takes_its_notices_and_no_others() {
    let mut book = book();
    for (validator, number) in [("bank-a", 2), ("bank-b", 3), ("bank-a", 1)] {
        book.insert(notice(validator, number), number, NOW).unwrap();
    }
    let removed = book.remove_validator(&domain("bank-a"));
    assert_eq!(removed, [notice("bank-a", 1), notice("bank-a", 2)]);
    assert_eq!(listed(&book), [order(3)]);
    assert_eq!(book.count_of(&domain("bank-a")), 0);
}

#[test]
fn a_full_book_refuses_more_of_others_but_not_our_own() {
    let mut book = book();
    let per_peer = u64::try_from(REMOTE_OFFERS_PER_PEER).unwrap();
    let all = u64::try_from(REMOTE_OFFERS).unwrap();
    for number in 0..all {
        let validator = format!("bank-{}", number / per_peer);
        book.insert(notice(&validator, number), number, NOW).unwrap();
    }
    assert_eq!(code(book.insert(notice("bank-0", all), all, NOW)), Code::BookFull);
    assert_eq!(code(book.insert(notice("bank-new", all), all, NOW)), Code::BookFull);
    assert_eq!(book.insert(notice("own", all), all, NOW), Ok(()));
    let update = OfferNotice { version: 2, ..notice("bank-0", 0) };
    assert_eq!(book.insert(update, all, NOW), Ok(()));
    book.close(&closing("bank-0", 0, 3), NOW).unwrap();
    assert_eq!(book.insert(notice("bank-new", all), all, NOW), Ok(()));
    assert_eq!(code(book.insert(notice("bank-0", all), all, NOW)), Code::BookFull);
}

#[test]
fn a_peer_that_has_its_bound_is_refused_while_there_is_room_for_others() {
    let mut book = book();
    let per_peer = u64::try_from(REMOTE_OFFERS_PER_PEER).unwrap();
    for number in 0..per_peer {
        book.insert(notice("bank-a", number), number, NOW).unwrap();
    }
    assert_eq!(code(book.insert(notice("bank-a", per_peer), 0, NOW)), Code::BookFull);
    assert_eq!(book.insert(notice("bank-b", per_peer), 0, NOW), Ok(()));
}

#[test]
fn a_peer_that_closes_too_many_offers_pushes_out_only_its_own() {
    let mut book = book();
    book.insert(notice("bank-b", 0), 0, NOW).unwrap();
    book.close(&closing("bank-b", 0, 2), NOW).unwrap();
    for number in 0..=u64::try_from(CLOSED_OFFERS_PER_PEER).unwrap() {
        book.close(&closing("bank-a", number, 2), NOW.after(Duration(number))).unwrap();
    }
    assert_eq!(book.closed.all().len(), CLOSED_OFFERS_PER_PEER + 1);
    assert!(book.closed.contains(&domain("bank-b"), order(0)));
    assert!(!book.closed.contains(&domain("bank-a"), order(0)));
    assert!(book.closed.contains(&domain("bank-a"), order(1)));
}

#[test]
fn when_too_many_are_closed_the_first_to_end_is_forgotten() {
    let mut closed = Tombstones::default();
    let per_peer = u64::try_from(CLOSED_OFFERS_PER_PEER).unwrap();
    let all = u64::try_from(CLOSED_OFFERS).unwrap();
    for number in 0..=all {
        let validator = domain(&format!("bank-{}", number / per_peer));
        closed.add(&validator, order(number), NOW.after(Duration(number)));
    }
    assert_eq!(closed.all().len(), CLOSED_OFFERS);
    assert!(!closed.contains(&domain("bank-0"), order(0)));
    assert!(closed.contains(&domain("bank-0"), order(1)));
}

#[test]
fn our_own_offers_have_their_bound_too() {
    let mut book = book();
    let all = u64::try_from(LIVE_OFFERS).unwrap();
    let template = notice("own", 0);
    for number in 0..all {
        let next = OfferNotice { offer: order(number), ..template.clone() };
        book.insert(next, number, NOW).unwrap();
    }
    assert_eq!(code(book.insert(notice("own", all), all, NOW)), Code::BookFull);
    assert_eq!(book.insert(notice("bank-a", all), all, NOW), Ok(()));
}

#[derive(Debug, Clone)]
enum Act {
    Insert { who: u8, number: u64, version: u32, want: u128, remaining: u128, life: u64 },
    Close { who: u8, number: u64, version: u32 },
    Expire { life: u64 },
    Remove { who: u8 },
}

fn any_act() -> impl Strategy<Value = Act> {
    let inserted = (0..3_u8, 0..8_u64, 1..5_u32, any_amount(), 0..3_u128, 1..20_u64);
    prop_oneof![
        12 => inserted.prop_map(|(who, number, version, want, remaining, life)| {
            Act::Insert { who, number, version, want, remaining, life }
        }),
        3 => (0..3_u8, 0..8_u64, 1..6_u32)
            .prop_map(|(who, number, version)| Act::Close { who, number, version }),
        1 => (0..20_u64).prop_map(|life| Act::Expire { life }),
        1 => (0..3_u8).prop_map(|who| Act::Remove { who }),
    ]
}

fn name(who: u8) -> String {
    format!("bank-{who}")
}

/// The book, done the slow and plain way.
#[derive(Default)]
struct Naive {
    notices: Vec<(u64, OfferNotice)>,
}

impl Naive {
    fn remove(&mut self, keep: impl Fn(&OfferNotice) -> bool) {
        self.notices.retain(|(_, notice)| keep(notice));
    }

    fn insert(&mut self, notice: OfferNotice, mut seen: u64) {
        let same =
            |one: &OfferNotice| (one.offer, &one.validator) == (notice.offer, &notice.validator);
        if let Some((known, old)) = self.notices.iter().find(|(_, one)| same(one))
            && old.terms == notice.terms
        {
            seen = *known;
        }
        self.remove(|one| !same(one));
        self.notices.push((seen, notice));
    }

    fn listed(&self) -> Vec<&OfferNotice> {
        let mut listed: Vec<_> =
            self.notices.iter().filter(|(_, notice)| !notice.remaining.is_zero()).collect();
        listed.sort_by(|(a_seen, a), (b_seen, b)| {
            let (a, b) = (&a.terms, &b.terms);
            let price = a.want_amount.compare_products(b.give_amount, b.want_amount, a.give_amount);
            price.then(a_seen.cmp(b_seen))
        });
        listed.into_iter().map(|(_, notice)| notice).collect()
    }

    fn live_of(&self, validator: &Domain) -> Vec<&OfferNotice> {
        let mut live: Vec<_> = self.notices.iter().map(|(_, notice)| notice).collect();
        live.retain(|notice| notice.validator == *validator);
        live.sort_by_key(|notice| notice.offer);
        live
    }
}

proptest! {
    #[test]
    fn the_book_is_a_sorted_list(acts in prop::collection::vec(any_act(), 0..80)) {
        let mut book = book();
        let mut naive = Naive::default();
        for (seen, act) in (0_u64..).zip(acts) {
            match act {
                Act::Insert { who, number, version, want, remaining, life } => {
                    let mut notice = priced(&name(who), number, want);
                    notice.version = version;
                    notice.remaining = amount(remaining);
                    notice.terms.expiry = NOW.after(Duration(life));
                    if book.insert(notice.clone(), seen, NOW).is_ok() {
                        naive.insert(notice, seen);
                    }
                }
                Act::Close { who, number, version } => {
                    let closing = closing(&name(who), number, version);
                    if let Ok(Some(closed)) = book.close(&closing, NOW) {
                        naive.remove(|notice| *notice != closed);
                    }
                }
                Act::Expire { life } => {
                    let now = NOW.after(Duration(life));
                    book.expire(now);
                    naive.remove(|notice| notice.terms.expiry > now);
                }
                Act::Remove { who } => {
                    book.remove_validator(&domain(&name(who)));
                    naive.remove(|notice| notice.validator != domain(&name(who)));
                }
            }
            prop_assert_eq!(book.iter_pair(&pair()).collect::<Vec<_>>(), naive.listed());
            for who in 0..3 {
                let validator = domain(&name(who));
                prop_assert_eq!(
                    book.live_of(&validator).collect::<Vec<_>>(),
                    naive.live_of(&validator)
                );
            }
            prop_assert_eq!(book.len(), naive.notices.len());
        }
        // A snapshot brings back the same book, indexes included.
        let restored = codec::decode::<Book, SNAPSHOT_BYTES>(&codec::encode(&book));
        prop_assert_eq!(restored, Ok(book));
    }
}
