//! One table per text form, and their common properties: over 600 lines of cases, no logic.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use std::cmp::Ordering;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use proptest::prelude::*;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::*;
use crate::codec;
use crate::error::{Code, Refusal};
use crate::limits;

const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Every way in and out of a text form: parse, show, deserialise, canonical bytes.
fn round_trip<T>(text: &str)
where
    T: FromStr<Err = Refusal> + Display + Debug + PartialEq,
    T: serde::de::DeserializeOwned + bincode::Encode + bincode::Decode<()>,
{
    let value: T = text.parse().unwrap_or_else(|refusal| panic!("`{text}`: {refusal}"));
    assert_eq!(value.to_string(), text);
    let deserialised = T::deserialize(StrDeserializer::<ValueError>::new(text)).unwrap();
    assert_eq!(deserialised, value);
    let bytes = codec::encode(&value);
    assert_eq!(codec::decode::<T, 1024>(&bytes).unwrap(), value);
}

/// Each bad text gets its code from every type that reads text.
fn refused<T>(cases: &[(&str, Code)])
where
    T: FromStr<Err = Refusal> + Display + serde::de::DeserializeOwned,
{
    for (text, code) in cases {
        match text.parse::<T>() {
            Err(refusal) => assert_eq!(refusal.code, *code, "`{text}`: {refusal}"),
            Ok(value) => panic!("`{text}` was taken for `{value}`"),
        }
        let error = T::deserialize(StrDeserializer::<ValueError>::new(text)).err().unwrap();
        assert!(error.to_string().starts_with(&code.to_string()), "`{text}`: {error}");
    }
}

fn long(length: usize) -> String {
    "a".repeat(length)
}

/// A domain name of exactly `length` bytes.
fn domain_of(length: usize) -> String {
    format!("{}.{}", long(30), long(length - 31))
}

fn domain_text() -> impl Strategy<Value = String> {
    let label = "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?";
    proptest::string::string_regex(&format!("{label}(\\.{label}){{1,3}}")).unwrap()
}

fn uai_text() -> impl Strategy<Value = String> {
    ("[A-Z0-9]{1,12}", domain_text(), "[0-9a-f]{16}")
        .prop_map(|(code, issuer, profile)| format!("{code}:{issuer}#{profile}"))
}

fn amount() -> impl Strategy<Value = Amount> {
    // Sizes spread over all 128 bits: uniform ones would nearly all be huge.
    let spread = (any::<u128>(), 0_u32..128).prop_map(|(units, shift)| units >> shift);
    let edges = prop::sample::select(vec![
        0,
        1,
        2,
        u128::from(u64::MAX),
        u128::from(u64::MAX) + 1,
        u128::MAX >> 1,
        (u128::MAX >> 1) + 1,
        u128::MAX - 1,
        u128::MAX,
    ]);
    prop_oneof![3 => spread, 1 => edges].prop_map(Amount::new)
}

proptest! {
    #[test]
    fn names_round_trip(domain in domain_text(), local in "[a-z0-9][a-z0-9._+-]{0,63}") {
        round_trip::<Domain>(&domain);
        round_trip::<Holder>(&format!("{local}@{domain}"));
    }

    #[test]
    fn networks_round_trip(network in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?") {
        round_trip::<Network>(&network);
    }

    #[test]
    fn assets_round_trip(give in uai_text(), want in uai_text()) {
        round_trip::<Uai>(&give);
        round_trip::<AssetCode>(give.split(':').next().unwrap());
        round_trip::<AssetPair>(&format!("{give}/{want}"));
    }

    #[test]
    fn amounts_round_trip(amount in amount()) {
        round_trip::<Amount>(&amount.to_string());
    }

    #[test]
    fn identifiers_round_trip(bytes in any::<[u8; 32]>()) {
        round_trip::<Hash>(&Hash(bytes).to_string());
        round_trip::<Ubi>(&Ubi(bytes).to_string());
        round_trip::<OrderId>(&OrderId(bytes).to_string());
        round_trip::<TakeId>(&TakeId(bytes).to_string());
        round_trip::<SettlementId>(&SettlementId(bytes).to_string());
        round_trip::<KeyId>(&KeyId(bytes).to_string());
    }

    #[test]
    fn counters_round_trip(number in any::<u64>(), epoch in any::<u32>()) {
        round_trip::<Height>(&number.to_string());
        round_trip::<Sequence>(&number.to_string());
        round_trip::<Nonce>(&number.to_string());
        round_trip::<AgreementNumber>(&number.to_string());
        round_trip::<Epoch>(&epoch.to_string());
    }

    #[test]
    fn times_round_trip(millis in 0..=Time::MAX.0) {
        round_trip::<Time>(&Time(millis).to_string());
        prop_assert_eq!(Time(millis).to_string().len(), 24);
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        let _ = text.parse::<Domain>();
        let _ = text.parse::<Network>();
        let _ = text.parse::<Holder>();
        let _ = text.parse::<AssetCode>();
        let _ = text.parse::<Uai>();
        let _ = text.parse::<AssetPair>();
        let _ = text.parse::<Amount>();
        let _ = text.parse::<Hash>();
        let _ = text.parse::<Height>();
        let _ = text.parse::<Time>();
        let _ = text.parse::<Detail>();
        let _ = text.parse::<Code>();
    }

    #[test]
    fn whatever_parses_shows_as_what_was_parsed(text in "[0-9a-zA-Z:#@./+-]{0,24}") {
        if let Ok(value) = text.parse::<Domain>() { prop_assert_eq!(value.to_string(), &*text); }
        if let Ok(value) = text.parse::<Network>() { prop_assert_eq!(value.to_string(), &*text); }
        if let Ok(value) = text.parse::<Holder>() { prop_assert_eq!(value.to_string(), &*text); }
        if let Ok(value) = text.parse::<AssetCode>() { prop_assert_eq!(value.to_string(), &*text); }
        if let Ok(value) = text.parse::<Amount>() { prop_assert_eq!(value.to_string(), &*text); }
        if let Ok(value) = text.parse::<Epoch>() { prop_assert_eq!(value.to_string(), &*text); }
    }

    #[test]
    fn shortened_text_always_fits_and_keeps_what_it_can(text in any::<String>()) {
        let short = Text::<16>::shortened(&text);
        prop_assert!(short.as_str().len() <= 16);
        prop_assert_eq!(short.as_str().parse::<Text<16>>().unwrap(), short.clone());
        if let Ok(whole) = text.parse::<Text<16>>() {
            prop_assert_eq!(whole, short);
        }
    }
}

#[test]
fn the_longest_names_are_allowed_and_one_byte_more_is_not() {
    let limit = limits::DOMAIN_BYTES;
    round_trip::<Domain>(&domain_of(limit));
    refused::<Domain>(&[(&domain_of(limit + 1), Code::BadDomain)]);
    round_trip::<Domain>(&format!("{}.x", "a.".repeat(30) + "a"));
    round_trip::<Network>(&long(63));
    refused::<Network>(&[(&long(64), Code::BadDomain)]);
    refused::<Domain>(&[(&format!("{}.b", long(64)), Code::BadDomain)]);
    let local = long(limits::HOLDER_LOCAL_BYTES);
    round_trip::<Holder>(&format!("{local}@{}", domain_of(limit)));
    refused::<Holder>(&[(&format!("a{local}@bank-a.example"), Code::BadHolder)]);
    round_trip::<AssetCode>("ABCDEFGHIJ12");
    refused::<AssetCode>(&[("ABCDEFGHIJ123", Code::BadAssetCode)]);
}

#[test]
fn bad_domain_and_network_names() {
    let bad = [
        "",
        ".",
        "bank",
        "bank-a.",
        ".example",
        "bank..example",
        "Bank.example",
        "-a.example",
        "a-.example",
        "a.-b",
        "a_b.example",
        "bank a.example",
        " bank.example",
        "bank.example ",
        "bänk.example",
        "bank.example\n",
        "bank.example\0",
        "a/b.example",
        "a@b.example",
    ];
    for text in bad {
        refused::<Domain>(&[(text, Code::BadDomain)]);
    }
    for text in ["", "a.b", "Main", "-main", "main-", "a b", "ä", "main\n"] {
        refused::<Network>(&[(text, Code::BadDomain)]);
    }
}

#[test]
fn bad_holder_names() {
    refused::<Holder>(&[
        ("", Code::BadHolder),
        ("alice", Code::BadHolder),
        ("@bank-a.example", Code::BadHolder),
        ("Alice@bank-a.example", Code::BadHolder),
        (".alice@bank-a.example", Code::BadHolder),
        ("+alice@bank-a.example", Code::BadHolder),
        ("al ice@bank-a.example", Code::BadHolder),
        ("alicé@bank-a.example", Code::BadHolder),
        ("alice@", Code::BadDomain),
        ("alice@bank", Code::BadDomain),
        ("alice@bob@bank-a.example", Code::BadDomain),
        ("alice@bank-a.example ", Code::BadDomain),
    ]);
}

#[test]
fn bad_asset_codes_and_identifiers() {
    for text in ["", "eur", "EU R", "EUR ", "É", "EUR-1", "EUR\0"] {
        refused::<AssetCode>(&[(text, Code::BadAssetCode)]);
    }
    refused::<AssetCode>(&[(&"A".repeat(300), Code::BadAssetCode)]);
    refused::<Uai>(&[
        ("", Code::BadUai),
        ("EUR", Code::BadUai),
        ("EUR:bank-b.example", Code::BadUai),
        ("EUR#0011223344556677", Code::BadUai),
        ("EUR:bank-b.example#", Code::BadUai),
        ("EUR:bank-b.example#001122334455667", Code::BadUai),
        ("EUR:bank-b.example#00112233445566778", Code::BadUai),
        ("EUR:bank-b.example#001122334455667788", Code::BadUai),
        ("EUR:bank-b.example#001122334455667g", Code::BadUai),
        ("EUR:bank-b.example#AABBCCDDEEFF0011", Code::BadUai),
        ("EUR:bank-b.example#0011223344556677#", Code::BadUai),
        ("eur:bank-b.example#0011223344556677", Code::BadAssetCode),
        (":bank-b.example#0011223344556677", Code::BadAssetCode),
        ("EUR:bank-b#0011223344556677", Code::BadDomain),
        ("EUR::bank-b.example#0011223344556677", Code::BadDomain),
    ]);
    refused::<AssetPair>(&[
        ("EUR:bank-b.example#0011223344556677", Code::BadUai),
        ("EUR:bank-b.example#0011223344556677/", Code::BadUai),
        ("/EUR:bank-b.example#0011223344556677", Code::BadUai),
    ]);
}

#[test]
fn bad_identifiers() {
    refused::<Ubi>(&[
        ("", Code::BadIdentifier),
        ("ubi", Code::BadIdentifier),
        ("ubi:", Code::BadIdentifier),
        (HEX, Code::BadIdentifier),
        (&format!("ord:{HEX}"), Code::BadIdentifier),
        (&format!("UBI:{HEX}"), Code::BadIdentifier),
        (&format!("ubi:{}", HEX.to_uppercase()), Code::BadIdentifier),
        (&format!("ubi:{}", &HEX[1..]), Code::BadIdentifier),
        (&format!("ubi:{HEX}0"), Code::BadIdentifier),
        (&format!("ubi:{HEX}00"), Code::BadIdentifier),
        (&format!("ubi::{HEX}"), Code::BadIdentifier),
        (&format!(" ubi:{HEX}"), Code::BadIdentifier),
        (&format!("ubi:{}é", &HEX[2..]), Code::BadIdentifier),
    ]);
    // No two kinds share a prefix: an identifier pasted into the wrong place is refused.
    let bytes = [7; 32];
    let texts = [
        Hash(bytes).to_string(),
        Ubi(bytes).to_string(),
        OrderId(bytes).to_string(),
        TakeId(bytes).to_string(),
        SettlementId(bytes).to_string(),
        KeyId(bytes).to_string(),
    ];
    for text in &texts {
        let readers = [
            text.parse::<Hash>().is_ok(),
            text.parse::<Ubi>().is_ok(),
            text.parse::<OrderId>().is_ok(),
            text.parse::<TakeId>().is_ok(),
            text.parse::<SettlementId>().is_ok(),
            text.parse::<KeyId>().is_ok(),
        ];
        assert_eq!(readers.iter().filter(|ok| **ok).count(), 1, "{text}");
    }
}

#[test]
fn bad_amounts() {
    round_trip::<Amount>("0");
    round_trip::<Amount>("340282366920938463463374607431768211455");
    let bad = [
        "",
        "-1",
        "+1",
        "01",
        "00",
        "1.0",
        "1,000",
        "1_000",
        "1e3",
        "0x10",
        " 1",
        "1 ",
        "١",
        "340282366920938463463374607431768211456",
        "99999999999999999999999999999999999999999999999999",
    ];
    for text in bad {
        refused::<Amount>(&[(text, Code::BadAmount)]);
    }
}

#[test]
fn bad_counters() {
    for text in ["", "-1", "+1", "1.0", "0x1", " 1", "01", "00", "18446744073709551616"] {
        refused::<Height>(&[(text, Code::BadNumber)]);
    }
    round_trip::<Height>("18446744073709551615");
    refused::<Epoch>(&[("4294967296", Code::BadNumber)]);
    round_trip::<Epoch>("4294967295");
    assert_eq!(Height(u64::MAX).next(), Height(u64::MAX));
    assert_eq!(Epoch(1).next(), Epoch(2));
}

#[test]
fn bad_texts() {
    let cases = ["a\nb", "\u{0}", "\u{7f}", "\u{85}", "tab\there"];
    for text in cases {
        refused::<Detail>(&[(text, Code::TextTooLong)]);
    }
    round_trip::<Detail>("");
    round_trip::<Detail>("grüße, 世界");
    round_trip::<Detail>(&long(limits::DETAIL_BYTES));
    refused::<Detail>(&[(&long(limits::DETAIL_BYTES + 1), Code::TextTooLong)]);
    // 121 two-byte letters are 242 bytes: the bound counts bytes, not letters.
    refused::<Detail>(&[(&"é".repeat(121), Code::TextTooLong)]);
    assert_eq!(Text::<4>::shortened("a\nb").as_str(), "a\u{fffd}");
    assert_eq!(Text::<3>::shortened("aéé").as_str(), "aé");
}

#[test]
fn a_refusal_never_repeats_more_than_a_little_of_what_it_refuses() {
    let refusal = "x\u{1b}[2J".repeat(100_000).parse::<Domain>().unwrap_err();
    assert!(refusal.what.len() < 1_000, "{} bytes", refusal.what.len());
    assert!(!refusal.what.chars().any(char::is_control));
    let refusal = "Q-\u{1b}".repeat(100_000).parse::<Code>().unwrap_err();
    assert!(refusal.what.len() < 1_000, "{} bytes", refusal.what.len());
    assert!(!refusal.what.chars().any(char::is_control));
}

#[test]
fn times_have_one_text_form_and_may_leave_the_decimals_out() {
    assert_eq!(Time(0).to_string(), "1970-01-01T00:00:00.000Z");
    assert_eq!(Time(1).to_string(), "1970-01-01T00:00:00.001Z");
    assert_eq!(Time(1_795_253_400_000).to_string(), "2026-11-21T09:30:00.000Z");
    assert_eq!("2026-11-21T09:30:00Z".parse(), Ok(Time(1_795_253_400_000)));
    let bad = [
        "",
        "2026-11-21",
        "2026-11-21T09:30:00.000",
        "2026-11-21T09:30:00.000+00:00",
        "2026-11-21T10:30:00.000+01:00",
        "2026-11-21 09:30:00.000Z",
        "2026-11-21t09:30:00.000Z",
        "2026-11-21T09:30:00.000z",
        "2026-11-21T09:30Z",
        "20261121T093000Z",
        "2026-11-21T09:30:00.0Z",
        "2026-11-21T09:30:00,000Z",
        "2026-11-21T09:30:00.0005Z",
        "2026-11-21T09:30:60.000Z",
        "2026-11-21T24:00:00.000Z",
        "2026-02-29T00:00:00.000Z",
        "2026-13-01T00:00:00.000Z",
        "1969-12-31T23:59:59.999Z",
        "-000001-01-01T00:00:00.000Z",
        " 2026-11-21T09:30:00.000Z",
        "2026-11-21T09:30:00.000Z ",
        "1795253400000",
    ];
    for text in bad {
        refused::<Time>(&[(text, Code::BadTime)]);
    }
}

#[test]
fn the_last_time_has_a_text_form_and_no_later_one_is_decoded() {
    round_trip::<Time>("9998-12-31T23:59:59.999Z");
    assert_eq!(Time::MAX.to_string(), "9998-12-31T23:59:59.999Z");
    for late in ["9999-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"] {
        refused::<Time>(&[(late, Code::BadTime)]);
    }
    let late = codec::encode(&(Time::MAX.0 + 1));
    assert_eq!(codec::decode::<Time, 8>(&late).unwrap_err().code, Code::Malformed);
    assert_eq!(Time::MAX.after(Duration(1)), Time::MAX);
    assert_eq!(Time(5).after(Duration(u64::MAX)), Time::MAX);
    // A later one made inside shows as the last rather than as something unreadable.
    assert_eq!(Time(u64::MAX).to_string(), Time::MAX.to_string());
}

#[test]
fn time_arithmetic_stops_at_its_ends() {
    assert_eq!(Time(10).after(Duration(5)), Time(15));
    assert_eq!(Time(10).before(Duration(15)), Time(0));
    assert_eq!(Time(10).since(Time(4)), Duration(6));
    assert_eq!(Time(4).since(Time(10)), Duration(0));
    assert_eq!((Time(86_399_999).day(), Time(86_400_000).day()), (0, 1));
}

#[test]
fn names_and_codes_are_ordered_as_text() {
    let domains = ["a-b.example", "a.b", "aa.b", "b.a", "b.a.c"];
    for pair in domains.windows(2) {
        let (low, high): (Domain, Domain) = (pair[0].parse().unwrap(), pair[1].parse().unwrap());
        assert_eq!(low.cmp(&high), pair[0].cmp(pair[1]));
        assert!(low < high, "{low} {high}");
    }
    let codes = ["1", "A", "A1", "AA", "AB", "B"];
    for pair in codes.windows(2) {
        let (low, high): (AssetCode, AssetCode) =
            (pair[0].parse().unwrap(), pair[1].parse().unwrap());
        assert!(low < high, "{low} {high}");
    }
    // Holders sort by bank first, so that one bank's customers stand together.
    let (zoe, adam): (Holder, Holder) =
        ("zoe@bank-a.example".parse().unwrap(), "adam@bank-b.example".parse().unwrap());
    assert!(zoe < adam);
}

#[test]
fn assets_differ_by_code_issuer_and_profile() {
    let text = "EUR:bank-b.example#0011223344556677";
    let uai: Uai = text.parse().unwrap();
    assert_eq!(uai.code().as_str(), "EUR");
    assert_eq!(uai.issuer().as_str(), "bank-b.example");
    assert_eq!(uai.profile(), &[0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77]);
    let mut profile = [9; 32];
    profile[..8].copy_from_slice(uai.profile());
    assert_eq!(Uai::new(uai.code(), uai.issuer().clone(), &Hash(profile)), uai);
    let larger = [
        "EUR:bank-b.example#0011223344556678",
        "EUR:bank-c.example#0011223344556677",
        "EURO:bank-b.example#0011223344556677",
    ];
    for other in larger {
        let other: Uai = other.parse().unwrap();
        assert_eq!((uai.cmp(&other), other.cmp(&uai)), (Ordering::Less, Ordering::Greater));
        assert_ne!(uai, other);
    }
    assert_eq!(uai.cmp(&text.parse().unwrap()), Ordering::Equal);
}

#[test]
fn a_table_shows_itself_in_key_order() {
    let mut table = Table::default();
    for key in (0..200_u32).rev() {
        assert_eq!(table.insert(key, ()), None);
    }
    let sorted: std::collections::BTreeMap<u32, ()> = (0..200).map(|key| (key, ())).collect();
    assert_eq!(format!("{table:?}"), format!("{sorted:?}"));
    assert!(table.sorted().windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(codec::encode(&table), codec::encode(&sorted));
}

/// A number as 32-bit digits, lowest first: as slow and as plain as arithmetic at school.
#[derive(Debug, PartialEq, Eq)]
struct Big([u64; 12]);

impl Big {
    fn of(number: u128) -> Self {
        let mut digits = [0; 12];
        for (place, digit) in digits.iter_mut().take(4).enumerate() {
            *digit = u64::try_from((number >> (32 * place)) & 0xffff_ffff).unwrap();
        }
        Self(digits)
    }

    fn times(a: u128, b: u128) -> Self {
        let (a, b, mut sum) = (Self::of(a), Self::of(b), [0_u64; 12]);
        for i in 0..4 {
            for j in 0..4 {
                let product = a.0[i] * b.0[j];
                sum[i + j] += product & 0xffff_ffff;
                sum[i + j + 1] += product >> 32;
            }
        }
        for place in 0..11 {
            sum[place + 1] += sum[place] >> 32;
            sum[place] &= 0xffff_ffff;
        }
        Self(sum)
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

/// `quotient` is `a * n / d` rounded up exactly when it is the least number with
/// `quotient * d >= a * n`; there is none when even the largest number falls short.
fn check_scaled_up(a: Amount, n: Amount, d: Amount) {
    let product = Big::times(a.units(), n.units());
    match a.scaled_up(n, d) {
        Some(quotient) => {
            let enough = Big::times(quotient.units(), d.units());
            assert_ne!(enough.compare(&product), Ordering::Less, "{a} * {n} / {d} = {quotient}");
            if let Some(less) = quotient.units().checked_sub(1) {
                let short = Big::times(less, d.units());
                assert_eq!(short.compare(&product), Ordering::Less, "{a} * {n} / {d} = {quotient}");
            }
            assert!(!d.is_zero(), "{a} * {n} / 0 = {quotient}");
        }
        None => {
            let most = Big::times(u128::MAX, d.units());
            let unwritable = most.compare(&product) == Ordering::Less;
            assert!(d.is_zero() || unwritable, "{a} * {n} / {d} can be written");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn amounts_add_and_subtract_like_whole_numbers(a in amount(), b in amount()) {
        let (sum, carried) = a.units().overflowing_add(b.units());
        let expected = (!carried).then_some(Amount::new(sum));
        prop_assert_eq!(a.plus(b), expected);
        prop_assert_eq!(a.try_plus(b).ok(), expected);
        if carried {
            prop_assert_eq!(a.try_plus(b).unwrap_err().code, Code::AmountOverflow);
        }
        prop_assert_eq!(a.minus(b).is_some(), a >= b);
        prop_assert_eq!(a.minus(b).unwrap_or(Amount::ZERO), a.minus_or_zero(b));
        if let Some(rest) = a.minus(b) {
            prop_assert_eq!(rest.plus(b), Some(a));
        }
    }

    #[test]
    fn scaling_up_agrees_with_school_arithmetic(a in amount(), n in amount(), d in amount()) {
        check_scaled_up(a, n, d);
        // Quotients near one are where rounding and the top bit go wrong.
        check_scaled_up(a, d, d);
        check_scaled_up(a, n, n.plus(Amount::new(1)).unwrap_or(n));
        check_scaled_up(a, n.plus(Amount::new(1)).unwrap_or(n), n);
    }

    #[test]
    fn products_compare_as_in_school_arithmetic(
        a in amount(), b in amount(), c in amount(), d in amount(),
    ) {
        let expected =
            Big::times(a.units(), b.units()).compare(&Big::times(c.units(), d.units()));
        prop_assert_eq!(a.compare_products(b, c, d), expected);
        prop_assert_eq!(c.compare_products(d, a, b), expected.reverse());
        prop_assert_eq!(a.compare_products(b, b, a), Ordering::Equal);
    }
}

#[test]
fn scaling_up_at_the_extremes() {
    let (zero, one, two, max) = (Amount::ZERO, Amount::new(1), Amount::new(2), Amount::MAX);
    let most_but_one = Amount::new(u128::MAX - 1);
    let top = Amount::new(1 << 127);
    let cases = [
        ((zero, zero, zero), None),
        ((one, one, zero), None),
        ((zero, max, one), Some(zero)),
        ((one, one, max), Some(one)),
        ((max, one, one), Some(max)),
        ((max, max, max), Some(max)),
        ((max, max, most_but_one), None),
        ((max, most_but_one, max), Some(most_but_one)),
        ((max, two, one), None),
        ((max, one, two), Some(top)),
        ((top, two, max), Some(two)),
        ((top, max, top), Some(max)),
        ((top, Amount::new(3), Amount::new(2)), Some(Amount::new(3 << 126))),
        ((Amount::new(7), Amount::new(10), Amount::new(3)), Some(Amount::new(24))),
    ];
    for ((a, n, d), expected) in cases {
        assert_eq!(a.scaled_up(n, d), expected, "{a} * {n} / {d}");
        check_scaled_up(a, n, d);
    }
    for (a, n, d) in [
        (max, most_but_one, Amount::new(u128::MAX - 2)),
        (max, Amount::new((1 << 64) + 1), Amount::new(1 << 64)),
        (top, most_but_one, Amount::new((1 << 127) - 1)),
    ] {
        check_scaled_up(a, n, d);
    }
}

#[test]
fn rounding_up_past_the_largest_amount_is_none_and_not_zero() {
    // a * 10 = MAX * 9 + 5: the quotient is MAX with a remainder.
    let a = u128::MAX - (u128::MAX - 5) / 10;
    let (n, d) = (Amount::new(10), Amount::new(9));
    assert_eq!(Amount::new(a).scaled_up(n, d), None);
    assert_eq!(Amount::new(a - 1).scaled_up(n, d), Some(Amount::MAX));
    check_scaled_up(Amount::new(a), n, d);
    check_scaled_up(Amount::new(a - 1), n, d);
}

#[test]
fn bounded_lists_and_bytes_take_what_fits_and_no_more() {
    assert_eq!(Bounded::<u8, 3>::new(vec![1, 2, 3]).unwrap().into_vec(), [1, 2, 3]);
    assert_eq!(Bounded::<u8, 3>::new(vec![0; 4]).unwrap_err().code, Code::TooMany);
    assert_eq!(&*Bytes::<3>::new(&[1, 2, 3]).unwrap(), &[1, 2, 3]);
    assert_eq!(Bytes::<3>::new(&[0; 4]).unwrap_err().code, Code::TooLarge);
}
