//! Legal entity identifiers (ISO 17442-1).
//!
//! Invariant: a [`Lei`] that exists has 20 characters of the standard's alphabet and the right
//! check digits. Whether the identifier was ever issued is for the authority to check.

use std::fmt;
use std::str::FromStr;

use crate::error::{Code, Refusal};
use crate::types::{shown, text_serde};

const LENGTH: usize = 20;
const CHECK_DIGITS: usize = 2;
const NEVER_GIVEN: [&[u8]; 3] = [b"00", b"01", b"99"];

/// A legal entity identifier: 18 capital letters or digits and two check digits by
/// ISO/IEC 7064 MOD 97-10. Text form: the 20 characters, no spaces.
///
/// The check digits catch every digit written for another digit, every letter written for
/// another letter, and every swap of two neighbours of one kind. They do not catch everything:
/// a letter counts as two digits, so a letter written for a digit passes about once in 97, and
/// the neighbours `B1`, `M2` and `X3` may be swapped unnoticed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lei([u8; LENGTH]);

impl Lei {
    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Lei {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::new(Code::BadLei, shown(text));
        let bytes: [u8; LENGTH] = text.as_bytes().try_into().map_err(|_| bad())?;
        let (body, check) = bytes.split_at(LENGTH.saturating_sub(CHECK_DIGITS));
        let body_ok = body.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        // The standard gives 02 to 98; 00, 01 and 99 would pass the sum as second spellings.
        let check_ok = check.iter().all(u8::is_ascii_digit) && !NEVER_GIVEN.contains(&check);
        if !body_ok || !check_ok || remainder(&bytes) != 1 {
            return Err(bad());
        }
        Ok(Self(bytes))
    }
}

/// The number that the characters write (`A` is 10, `Z` is 35), modulo 97.
fn remainder(characters: &[u8]) -> u32 {
    characters.iter().fold(0_u32, |sum, byte| {
        let value = char::from(*byte).to_digit(36).unwrap_or(0);
        let shift: u32 = if value < 10 { 10 } else { 100 };
        sum.saturating_mul(shift).saturating_add(value) % 97
    })
}

impl fmt::Display for Lei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

crate::checked_codec!(Lei, String, |lei| lei.as_str(), |text| text.parse());
text_serde!(Lei);

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use proptest::prelude::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error as ValueError, StrDeserializer};

    use super::*;
    use crate::codec;

    /// Identifiers in the public GLEIF register.
    const ISSUED: [&str; 8] = [
        "506700GE1G29325QX363",
        "7LTWFZYICNSX8D621K86",
        "7H6GLXDRUGQFU57RNE97",
        "5493001KJTIIGC8Y1R12",
        "R0MUWSFPU8MPRO8K5P83",
        "G5GSEF7VJP5I7OUK5573",
        "MLU0ZO3ML4LN2LL2TL39",
        "549300DTUYXVMJXZNY75",
    ];

    fn refused(text: &str) {
        let refusal = text.parse::<Lei>().unwrap_err();
        assert_eq!(refusal.code, Code::BadLei, "{text}");
    }

    /// Any valid identifier: 18 characters and the check digits that fit them.
    fn any_lei() -> impl Strategy<Value = String> {
        "[A-Z0-9]{18}".prop_map(|body| {
            let open = remainder(format!("{body}00").as_bytes());
            format!("{body}{:02}", 98 - open)
        })
    }

    #[test]
    fn issued_identifiers_pass() {
        for text in ISSUED {
            let lei: Lei = text.parse().unwrap();
            assert_eq!(lei.to_string(), text);
            let bytes = codec::encode(&lei);
            assert_eq!(codec::decode::<Lei, 64>(&bytes).unwrap(), lei);
            let reader: StrDeserializer<'_, ValueError> = text.into_deserializer();
            assert_eq!(<Lei as serde::Deserialize>::deserialize(reader), Ok(lei));
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        for text in [
            "",
            "506700GE1G29325QX36",
            "506700GE1G29325QX3633",
            "506700ge1g29325qx363",
            "506700GE1G29325QX36A",
            " 506700GE1G29325QX36",
            "506700GE1G29325QÄ363",
            "00000000000000000001",
        ] {
            refused(text);
        }
        let bytes = codec::encode(&"506700GE1G29325QX364".to_owned());
        assert_eq!(codec::decode::<Lei, 64>(&bytes).unwrap_err().code, Code::Malformed);
    }

    proptest! {
        #[test]
        fn fitting_check_digits_pass(text in any_lei()) {
            prop_assert!(text.parse::<Lei>().is_ok());
        }

        #[test]
        fn a_character_for_another_of_its_kind_is_caught(
            text in any_lei(), place in 0_usize..20, step in 1_u8..26,
        ) {
            let mut bytes = text.into_bytes();
            let byte = bytes[place];
            bytes[place] = match byte {
                b'0'..=b'9' => b'0' + (byte - b'0' + 1 + step % 9) % 10,
                _ => b'A' + (byte - b'A' + step) % 26,
            };
            prop_assume!(bytes[place] != byte);
            refused(&String::from_utf8(bytes).unwrap());
        }

        #[test]
        fn swapped_neighbours_are_caught(text in any_lei(), place in 0_usize..19) {
            let mut bytes = text.into_bytes();
            let (left, right) = (bytes[place], bytes[place + 1]);
            let mut pair = [left, right];
            pair.sort_unstable();
            prop_assume!(left != right && !BLIND.contains(&&pair));
            bytes.swap(place, place + 1);
            refused(&String::from_utf8(bytes).unwrap());
        }

        #[test]
        fn a_letter_for_a_digit_passes_only_by_congruence(
            text in any_lei(), place in 0_usize..18, letter in b'A'..=b'Z',
        ) {
            let mut bytes = text.into_bytes();
            prop_assume!(bytes[place].is_ascii_digit());
            let digit = u32::from(bytes[place] - b'0');
            let value = u32::from(letter - b'A') + 10;
            // The number changes by (90 * what stands before + letter - digit) * 10^n.
            let blind = (90 * remainder(&bytes[..place]) + value - digit).is_multiple_of(97);
            bytes[place] = letter;
            let text = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(text.parse::<Lei>().is_ok(), blind);
        }
    }

    /// The neighbours that MOD 97-10 takes for equal when swapped: 9 x letter = 2 x digit.
    const BLIND: [&[u8; 2]; 3] = [b"1B", b"2M", b"3X"];

    #[test]
    fn the_blind_pairs_are_the_only_ones() {
        let characters: Vec<u8> = (b'0'..=b'9').chain(b'A'..=b'Z').collect();
        for left in &characters {
            for right in &characters {
                let same = remainder(&[*left, *right]) == remainder(&[*right, *left]);
                let mut pair = [*left, *right];
                pair.sort_unstable();
                assert_eq!(same, left == right || BLIND.contains(&&pair), "{pair:?}");
            }
        }
    }
}
