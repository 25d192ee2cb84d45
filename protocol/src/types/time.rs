//! Points in time and spans, in whole milliseconds.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};

use super::domain::shown;
use super::text_serde;
use crate::error::{Code, Refusal};

/// Milliseconds since 1970-01-01T00:00:00Z. Text form: RFC 3339 in UTC with three decimals,
/// `2026-11-21T09:30:00.000Z`; on input the decimals may be left out. A time after
/// [`Time::MAX`] has no text form and is not decoded. Always an argument of the core, never
/// read by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

/// A span in milliseconds.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Encode,
    Decode,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Duration(pub u64);

impl Time {
    /// The last time that has a text form: 9998-12-31T23:59:59.999Z. (Calendars keep the last
    /// hours of the year 9999 free for offsets, how many depends on the calendar.)
    pub const MAX: Time = Time(253_370_764_799_999);

    fn checked(millis: u64) -> Result<Time, Refusal> {
        if millis > Time::MAX.0 {
            crate::refuse!(BadTime, "{millis} ms, at most {}", Time::MAX.0);
        }
        Ok(Time(millis))
    }

    /// This time and `span` later, but no later than [`Time::MAX`].
    #[must_use]
    pub const fn after(self, span: Duration) -> Time {
        let sum = self.0.saturating_add(span.0);
        if sum > Time::MAX.0 { Time::MAX } else { Time(sum) }
    }

    /// This time and `span` earlier.
    #[must_use]
    pub const fn before(self, span: Duration) -> Time {
        Time(self.0.saturating_sub(span.0))
    }

    /// The span from `earlier` to this time; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Time) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }

    /// The number of the UTC day, for daily limits.
    #[must_use]
    pub const fn day(self) -> u64 {
        self.0 / (24 * 60 * 60 * 1000)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = i64::try_from(self.0.min(Time::MAX.0))
            .ok()
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        match shown {
            Some(timestamp) => write!(f, "{timestamp:.3}"),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl FromStr for Time {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::new(Code::BadTime, shown(text));
        let timestamp: jiff::Timestamp = text.parse().map_err(|_| bad())?;
        // The calendar's parser knows more forms than one; a time here has only its own.
        if text != format!("{timestamp:.3}") && text != format!("{timestamp:.0}") {
            return Err(bad());
        }
        let millis = u64::try_from(timestamp.as_millisecond()).map_err(|_| bad())?;
        Time::checked(millis)
    }
}

crate::checked_codec!(Time, u64, |time| time.0, Time::checked);
text_serde!(Time);
