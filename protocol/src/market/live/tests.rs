use proptest::prelude::*;

use super::*;
use crate::error::Code;
use crate::market::tests::{amount, domain, notice, order};

fn list(count: u64) -> Vec<OfferNotice> {
    (0..count).map(|number| notice("bank-a", number)).collect()
}

fn verdict(list: &[OfferNotice], root: Hash, count: u32) -> Option<Code> {
    verify_live(&domain("bank-a"), list, root, count).err().map(|refusal| refusal.code)
}

#[test]
fn what_was_signed_verifies() {
    for count in [0, 1, 2, 20] {
        let list = list(count);
        let (root, counted) = live_root(&list);
        assert_eq!(u64::from(counted), count);
        assert_eq!(verdict(&list, root, counted), None);
    }
    assert_eq!(live_root([]), (Hash::ZERO, 0));
}

#[test]
fn a_list_of_another_validators_offers_is_refused() {
    let mut list = list(3);
    list[1].validator = domain("bank-b");
    let (root, count) = live_root(&list);
    assert_eq!(verdict(&list, root, count), Some(Code::BadBookRoot));
}

#[test]
fn a_list_out_of_order_is_refused_though_its_root_matches() {
    let mut list = list(3);
    list.swap(0, 1);
    let (root, count) = live_root(&list);
    assert_eq!(verdict(&list, root, count), Some(Code::BadBookRoot));
    list[0] = list[1].clone();
    let (root, count) = live_root(&list);
    assert_eq!(verdict(&list, root, count), Some(Code::BadBookRoot));
}

#[test]
fn a_wrong_count_is_refused() {
    let list = list(3);
    let (root, count) = live_root(&list);
    assert_eq!(verdict(&list, root, count + 1), Some(Code::BadBookRoot));
}

#[derive(Debug, Clone)]
enum Tampering {
    Omit,
    Add,
    Version,
    Remaining,
    Price,
    Move,
    Cut,
}

fn tampered(mut list: Vec<OfferNotice>, place: usize, how: &Tampering) -> Vec<OfferNotice> {
    match how {
        Tampering::Omit => drop(list.remove(place)),
        Tampering::Add => list.push(notice("bank-a", 1_000)),
        Tampering::Version => list[place].version += 1,
        Tampering::Remaining => list[place].remaining = amount(99),
        Tampering::Price => list[place].terms.want_amount = amount(201),
        Tampering::Move => list[place].offer = order(1_000),
        Tampering::Cut => list.truncate(place),
    }
    list.sort_by_key(|notice| notice.offer);
    list
}

proptest! {
    #[test]
    fn a_late_joiner_notices_whatever_is_done_to_the_list(
        (length, place) in (1_u64..20).prop_flat_map(|n| (Just(n), 0..usize::try_from(n).unwrap())),
        how in prop_oneof![
            Just(Tampering::Omit), Just(Tampering::Add), Just(Tampering::Version),
            Just(Tampering::Remaining), Just(Tampering::Price), Just(Tampering::Move),
            Just(Tampering::Cut),
        ],
    ) {
        let honest = list(length);
        let (root, count) = live_root(&honest);
        let list = tampered(honest, place, &how);
        prop_assert_eq!(verdict(&list, root, count), Some(Code::BadBookRoot));
        let recounted = u32::try_from(list.len()).unwrap();
        prop_assert_eq!(verdict(&list, root, recounted), Some(Code::BadBookRoot));
    }
}
