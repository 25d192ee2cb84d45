//! Spans of time, rates and clock errors as people write them: `150ms`, `64KiB/s`, `5%`, `+30s`.

use std::time::Duration;

use quadrille_node::cli::span;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;

/// A span like `150ms`, `20s` or `5m`.
///
/// # Errors
/// `Q-1016`.
pub fn parse(text: &str) -> Result<Duration, Refusal> {
    span::parse(text).map(|span| Duration::from_millis(span.0))
}

/// The span as [`parse`] reads it.
#[must_use]
pub fn show(span: Duration) -> String {
    let millis = span.as_millis();
    if millis > 0 && millis.is_multiple_of(1000) {
        format!("{}s", span.as_secs())
    } else {
        format!("{millis}ms")
    }
}

/// A rate like `64KiB/s`, `1MiB/s` or `500B/s`, in bytes per second.
///
/// # Errors
/// `Q-1016`.
pub fn rate(text: &str) -> Result<u64, Refusal> {
    let bad = || Refusal::new(Code::BadNumber, format!("`{text}`: a rate like 64KiB/s or 1MiB/s"));
    let plain = text.strip_suffix("/s").ok_or_else(bad)?;
    let digits = plain.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = plain.split_at_checked(digits).ok_or_else(bad)?;
    let unit: u64 = match unit {
        "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        "kB" => 1000,
        "MB" => 1_000_000,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(unit).ok_or_else(bad)
}

/// A share of a hundred like `5%` or `0.5%`.
///
/// # Errors
/// `Q-1016`.
pub fn percent(text: &str) -> Result<f64, Refusal> {
    let number = text.strip_suffix('%').and_then(|digits| digits.parse().ok());
    match number.filter(|number: &f64| number.is_finite()) {
        Some(number) => Ok(number),
        None => refuse!(BadNumber, "`{text}`: a share like 5%"),
    }
}

/// A clock's error like `+30s` or `-500ms`, in milliseconds.
///
/// # Errors
/// `Q-1016`.
pub fn skew(text: &str) -> Result<i64, Refusal> {
    let bad = || Refusal::new(Code::BadNumber, format!("`{text}`: a span with its sign, +30s"));
    let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (None, Some(rest)) => (-1, rest),
        (None, None) => return Err(bad()),
    };
    let span = span::parse(rest).map_err(|_| bad())?;
    i64::try_from(span.0).ok().and_then(|millis| millis.checked_mul(sign)).ok_or_else(bad)
}

/// Spans in JSON and TOML: text as people write it.
pub mod text {
    use std::time::Duration;

    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    /// As text.
    ///
    /// # Errors
    /// The serialiser's.
    pub fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::show(*span))
    }

    /// From text.
    ///
    /// # Errors
    /// For what is no span.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        super::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_rates_shares_and_clock_errors_have_units() {
        assert_eq!(parse("150ms").unwrap(), Duration::from_millis(150));
        for text in ["150ms", "20s", "0ms"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
        assert_eq!(rate("64KiB/s").unwrap(), 65_536);
        assert_eq!(rate("1MB/s").unwrap(), 1_000_000);
        assert!((percent("0.5%").unwrap() - 0.5).abs() < f64::EPSILON);
        assert_eq!(skew("+30s").unwrap(), 30_000);
        assert_eq!(skew("-500ms").unwrap(), -500);
    }

    #[test]
    fn without_their_units_they_are_refused() {
        let bad: [Result<(), Refusal>; 12] = [
            parse("20").map(|_| ()),
            parse("twenty").map(|_| ()),
            rate("64KiB").map(|_| ()),
            rate("64/s").map(|_| ()),
            rate("KiB/s").map(|_| ()),
            rate("99999999999999999999MiB/s").map(|_| ()),
            percent("5").map(|_| ()),
            percent("NaN%").map(|_| ()),
            percent("%").map(|_| ()),
            skew("30s").map(|_| ()),
            skew("+30").map(|_| ()),
            skew("+-3s").map(|_| ()),
        ];
        for refused in bad {
            assert_eq!(refused.unwrap_err().code, Code::BadNumber);
        }
    }
}
