#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use std::collections::BTreeMap;
use std::fmt::Debug;

use bincode::{Decode, Encode};
use proptest::prelude::*;

use super::{decode, decode_loose, encode, encode_into};
use crate::error::{Code, Refusal};
use crate::types::{
    Amount, AssetCode, Bounded, Bytes, Detail, Domain, Height, Holder, Table, Text, Time, Uai,
};

const LIMIT: usize = 4096;

/// One of each shape that values of the protocol are made of.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
enum Sample {
    Nothing,
    Pay { to: Holder, asset: Uai, amount: Amount, memo: Bytes<32>, urgent: bool },
    Note(Option<Text<16>>, Time),
    List(Bounded<Height, 4>),
    Map(BTreeMap<u16, Detail>),
    Index(Table<u16, u8>),
    Nested(Box<[Bounded<Bounded<u8, 4>, 4>; 2]>),
    Refused(Refusal),
}

fn pay() -> Sample {
    Sample::Pay {
        to: "alice@bank-a.example".parse().unwrap(),
        asset: "EUR:bank-b.example#0011223344556677".parse().unwrap(),
        amount: Amount::new(12_345),
        memo: Bytes::new(b"rent").unwrap(),
        urgent: true,
    }
}

fn samples() -> Vec<Sample> {
    let inner = |bytes: &[u8]| Bounded::new(bytes.to_vec()).unwrap();
    let outer = Bounded::new(vec![inner(b"abcd"), inner(b""), inner(b"e")]).unwrap();
    let mut table = Table::default();
    table.insert(700, 1);
    table.insert(3, 2);
    vec![
        Sample::Nothing,
        pay(),
        Sample::Note(None, Time(0)),
        Sample::Note(Some("hello".parse().unwrap()), Time::MAX),
        Sample::List(Bounded::new(vec![Height(1), Height(u64::MAX)]).unwrap()),
        Sample::Map([(1, "a".parse().unwrap()), (2, Detail::default())].into()),
        Sample::Index(table),
        Sample::Nested(Box::new([outer, Bounded::default()])),
        Sample::Refused(Refusal::new(Code::BadAmount, "`x`")),
    ]
}

fn code_of<T: Decode<()> + Encode + Debug>(bytes: &[u8]) -> Code {
    decode::<T, LIMIT>(bytes).unwrap_err().code
}

fn length(length: u64) -> Vec<u8> {
    length.to_le_bytes().to_vec()
}

#[test]
fn every_shape_round_trips() {
    for sample in samples() {
        let bytes = encode(&sample);
        assert_eq!(decode::<Sample, LIMIT>(&bytes).unwrap(), sample);
        assert_eq!(decode_loose::<Sample, LIMIT>(&bytes).unwrap(), sample);
        let mut behind = b"before".to_vec();
        encode_into(&sample, &mut behind);
        assert_eq!(behind, [b"before".as_slice(), &bytes].concat());
    }
}

#[test]
fn the_layout_is_the_documented_one() {
    assert_eq!(encode(&0x0102_0304_u32), [4, 3, 2, 1]);
    assert_eq!(encode(&Amount::new(1))[..], [[1].as_slice(), &[0; 15]].concat());
    assert_eq!(encode(&Sample::Nothing), [0; 4]);
    assert_eq!(encode(&Sample::Note(None, Time(7)))[..5], [2, 0, 0, 0, 0]);
    assert_eq!(encode(&Some(true)), [1, 1]);
    assert_eq!(encode(&"ab.c".parse::<Domain>().unwrap()), b"\x04ab.c");
    assert_eq!(encode(&Code::TooLarge), 1001_u16.to_le_bytes());
}

#[test]
fn every_truncation_is_malformed() {
    for sample in samples() {
        let bytes = encode(&sample);
        for end in 0..bytes.len() {
            assert_eq!(code_of::<Sample>(&bytes[..end]), Code::Malformed, "{sample:?} at {end}");
        }
    }
}

#[test]
fn trailing_bytes_are_refused() {
    for sample in samples() {
        let mut bytes = encode(&sample);
        bytes.push(0);
        assert_eq!(code_of::<Sample>(&bytes), Code::TrailingBytes, "{sample:?}");
        bytes.extend([7; 64]);
        assert_eq!(decode_loose::<Sample, LIMIT>(&bytes).unwrap_err().code, Code::TrailingBytes);
    }
}

#[test]
fn no_changed_byte_decodes_to_the_same_value() {
    for sample in samples() {
        let bytes = encode(&sample);
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << bit;
                if let Ok(other) = decode::<Sample, LIMIT>(&changed) {
                    assert_ne!(other, sample, "bit {bit} of byte {place}");
                }
            }
        }
    }
}

#[test]
fn unknown_tags_are_malformed() {
    for tag in [8_u32, 255, 1 << 16, u32::MAX] {
        assert_eq!(code_of::<Sample>(&tag.to_le_bytes()), Code::Malformed);
    }
    for byte in [2, 3, 128, 255] {
        assert_eq!(code_of::<bool>(&[byte]), Code::Malformed, "bool {byte}");
        assert_eq!(code_of::<Option<u8>>(&[byte, 0]), Code::Malformed, "option {byte}");
    }
    for number in [0_u16, 1, 1000, 1099, 9999, u16::MAX] {
        assert_eq!(code_of::<Code>(&number.to_le_bytes()), Code::Malformed);
    }
}

#[test]
fn length_prefixes_that_promise_more_than_there_is_are_malformed() {
    let lengths = [1, 5, 33, 4096, 4097, 1 << 31, 1 << 32, 1 << 40, u64::MAX / 2, u64::MAX];
    for count in lengths {
        let bytes = length(count);
        assert_eq!(code_of::<Bytes<32>>(&bytes), Code::Malformed, "{count}");
        assert_eq!(code_of::<Text<32>>(&bytes), Code::Malformed, "{count}");
        assert_eq!(code_of::<Domain>(&bytes), Code::Malformed, "{count}");
        assert_eq!(code_of::<Bounded<u8, 32>>(&bytes), Code::Malformed, "{count}");
        assert_eq!(code_of::<Bounded<Sample, 32>>(&bytes), Code::Malformed, "{count}");
        assert_eq!(code_of::<Vec<u128>>(&bytes), Code::Malformed, "{count}");
        assert_eq!(code_of::<BTreeMap<u64, Detail>>(&bytes), Code::Malformed, "{count}");
        assert_eq!(code_of::<Table<u64, Detail>>(&bytes), Code::Malformed, "{count}");
        // Nested, each promising as much again and the innermost missing.
        let deep = bytes.repeat(3);
        assert_eq!(code_of::<Vec<Vec<Vec<Vec<u8>>>>>(&deep), Code::Malformed, "{count}");
    }
}

#[test]
fn lists_without_content_on_the_wire_are_bounded_all_the_same() {
    // Elements of no bytes: a length prefix alone must not keep the decoder busy.
    assert_eq!(decode::<Bounded<(), 8>, LIMIT>(&length(8)).unwrap().len(), 8);
    for count in [9, 1 << 40, u64::MAX] {
        assert_eq!(code_of::<Bounded<(), 8>>(&length(count)), Code::Malformed);
    }
}

#[test]
fn bounds_in_the_type_hold_on_the_wire() {
    let list = |count: u8| {
        let mut bytes = length(u64::from(count));
        bytes.extend((0..count).collect::<Vec<u8>>());
        bytes
    };
    assert!(decode::<Bounded<u8, 4>, LIMIT>(&list(4)).is_ok());
    assert_eq!(code_of::<Bounded<u8, 4>>(&list(5)), Code::Malformed);
    assert!(decode::<Bytes<4>, LIMIT>(&list(4)).is_ok());
    assert_eq!(code_of::<Bytes<4>>(&list(5)), Code::Malformed);
    let text = |text: &str| [length(text.len() as u64), text.as_bytes().to_vec()].concat();
    assert!(decode::<Text<4>, LIMIT>(&text("abcd")).is_ok());
    assert_eq!(code_of::<Text<4>>(&text("abcde")), Code::Malformed);
    assert_eq!(code_of::<Text<4>>(&text("a\nb")), Code::Malformed);
    assert_eq!(code_of::<Domain>(&text("Bank.example")), Code::Malformed);
    assert_eq!(code_of::<AssetCode>(&text("eur")), Code::Malformed);
    let not_utf8 = [length(2), vec![0xc3, 0x28]].concat();
    assert_eq!(code_of::<Text<4>>(&not_utf8), Code::Malformed);
}

#[test]
fn elements_larger_in_memory_than_on_the_wire_do_not_count_against_the_limit() {
    // 64 elements of 4 bytes each on the wire and some hundred bytes each in memory.
    type Samples = Bounded<Sample, 64>;
    let list = Samples::new(vec![Sample::Nothing; 64]).unwrap();
    let bytes = encode(&list);
    assert_eq!(bytes.len(), 8 + 64 * 4);
    assert!(64 * size_of::<Sample>() > 264);
    assert_eq!(decode::<Samples, 264>(&bytes).unwrap(), list);
}

#[test]
fn maps_out_of_order_are_not_canonical() {
    let pair = |key: u16, value: u8| [key.to_le_bytes().to_vec(), vec![value]].concat();
    let sorted = [length(2), pair(1, 9), pair(2, 8)].concat();
    let unsorted = [length(2), pair(2, 8), pair(1, 9)].concat();
    let doubled = [length(2), pair(1, 9), pair(1, 9)].concat();
    assert!(decode::<BTreeMap<u16, u8>, LIMIT>(&sorted).is_ok());
    assert!(decode::<Table<u16, u8>, LIMIT>(&sorted).is_ok());
    for bytes in [unsorted, doubled] {
        assert_eq!(code_of::<BTreeMap<u16, u8>>(&bytes), Code::NotCanonical);
        assert_eq!(code_of::<Table<u16, u8>>(&bytes), Code::NotCanonical);
        assert!(decode_loose::<Table<u16, u8>, LIMIT>(&bytes).is_ok());
    }
}

#[test]
fn a_refusal_with_too_long_a_detail_is_malformed_and_is_sent_shortened() {
    let refusal = Refusal::new(Code::BadAmount, "é".repeat(200));
    let received: Refusal = decode::<_, LIMIT>(&encode(&refusal)).unwrap();
    assert_eq!(received.code, refusal.code);
    assert_eq!(received.what, "é".repeat(120));
    let long = [1008_u16.to_le_bytes().to_vec(), length(241), vec![b'a'; 241]].concat();
    assert_eq!(code_of::<Refusal>(&long), Code::Malformed);
}

#[test]
fn the_limit_is_exact() {
    let bytes = encode(&pay());
    // The limit is a constant of the caller's: one value at it, one below.
    assert_eq!(encode(&[7_u8; 16]).len(), 16);
    assert!(decode::<[u8; 16], 16>(&[7; 16]).is_ok());
    assert_eq!(decode::<[u8; 16], 15>(&[7; 16]).unwrap_err().code, Code::TooLarge);
    assert!(decode::<Sample, LIMIT>(&bytes).is_ok());
    assert_eq!(decode::<Sample, 8>(&bytes).unwrap_err().code, Code::TooLarge);
    assert_eq!(code_of::<Sample>(&[]), Code::Malformed);
    assert_eq!(code_of::<Sample>(&vec![0; LIMIT + 1]), Code::TooLarge);
    assert_eq!(decode::<(), 0>(&[]), Ok(()));
    assert_eq!(decode::<(), 0>(&[0]).unwrap_err().code, Code::TooLarge);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn values_round_trip(
        numbers in prop::collection::vec(any::<u64>(), 0..=4),
        map in prop::collection::btree_map(any::<u16>(), "[ -~]{0,20}", 0..8),
        memo in prop::option::of("[a-z ]{0,16}"),
        millis in 0..=Time::MAX.0,
    ) {
        let list = numbers.into_iter().map(Height).collect();
        let map = map.into_iter().map(|(key, text)| (key, text.parse().unwrap())).collect();
        let values = [
            Sample::List(Bounded::new(list).unwrap()),
            Sample::Map(map),
            Sample::Note(memo.map(|memo| memo.parse().unwrap()), Time(millis)),
        ];
        for value in values {
            prop_assert_eq!(decode::<Sample, LIMIT>(&encode(&value)).unwrap(), value);
        }
    }

    #[test]
    fn whatever_decodes_re_encodes_to_the_same_bytes(
        tag in 0_u8..9, rest in prop::collection::vec(0_u8..4, 0..64),
    ) {
        // Small bytes, so that lengths and tags are often right.
        let bytes = [vec![tag, 0, 0, 0], rest].concat();
        if let Ok(value) = decode::<Sample, LIMIT>(&bytes) {
            prop_assert_eq!(encode(&value), bytes);
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = decode::<Sample, LIMIT>(&bytes);
        let _ = decode::<Bounded<Sample, 16>, LIMIT>(&bytes);
        let _ = decode::<Table<Domain, Amount>, LIMIT>(&bytes);
        let _ = decode::<Vec<Vec<Option<Text<8>>>>, LIMIT>(&bytes);
        let _ = decode_loose::<Refusal, LIMIT>(&bytes);
    }

    #[test]
    fn no_damaged_value_makes_the_decoder_panic(
        which in 0_usize..9, place in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = encode(&samples()[which]);
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok(value) = decode::<Sample, LIMIT>(&bytes) {
            prop_assert_eq!(encode(&value), bytes);
        }
    }
}
