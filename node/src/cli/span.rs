//! Spans of time as people write them: `90s`, `15m`, `8h`, `1500ms`.

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{Duration, Time};

/// The span that `text` says.
///
/// # Errors
/// `Q-1016`.
pub fn parse(text: &str) -> Result<Duration, Refusal> {
    let bad = || Refusal::new(Code::BadNumber, format!("`{text}`: a span like 90s, 15m or 8h"));
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(bad)?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(unit_ms).map(Duration).ok_or_else(bad)
}

/// For clap.
pub fn argument(text: &str) -> Result<Duration, String> {
    parse(text).map_err(|refusal| refusal.to_string())
}

/// Now, by this machine's clock.
///
/// # Errors
/// `Q-1012` when the clock stands before 1970 or after the last time that can be written.
pub fn now() -> Result<Time, Refusal> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since.ok().and_then(|span| u64::try_from(span.as_millis()).ok());
    millis
        .filter(|millis| *millis <= Time::MAX.0)
        .map(Time)
        .ok_or_else(|| Refusal::new(Code::BadTime, "this machine's clock is not set"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit() {
        let cases = [("90s", 90_000), ("15m", 900_000), ("8h", 28_800_000), ("1500ms", 1500)];
        for (text, millis) in cases {
            assert_eq!(parse(text), Ok(Duration(millis)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1.5h", "1 h", "99999999999999999999d", "é"] {
            assert_eq!(parse(text).unwrap_err().code, Code::BadNumber, "{text}");
        }
    }
}
