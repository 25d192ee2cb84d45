//! The small values of IVMS101: dates and the codes of its lists.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};
use jiff::civil;
use serde::{Deserialize, Serialize};

use crate::error::{Code, Refusal};
use crate::types::{Time, shown, text_serde};

/// A day. Text form: `1990-12-31`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(civil::Date);

impl Date {
    /// The UTC day of `time`.
    #[must_use]
    pub fn of(time: Time) -> Self {
        let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
        let day = jiff::Timestamp::from_millisecond(millis)
            .map(|timestamp| timestamp.to_zoned(jiff::tz::TimeZone::UTC).date());
        Self(day.unwrap_or(civil::Date::MAX))
    }
}

impl FromStr for Date {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::new(Code::BadTime, format!("{}: a day like 1990-12-31", shown(text)));
        let day: civil::Date = text.parse().map_err(|_| bad())?;
        // The calendar's parser knows more forms than one; a day here has only its own.
        if day.to_string() == text { Ok(Self(day)) } else { Err(bad()) }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

crate::name_codec!(Date, |day| &day.to_string(), str::parse);
text_serde!(Date);

macro_rules! code_list {
    ($(#[$doc:meta])* $name:ident { $($(#[$code_doc:meta])* $code:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$code_doc])* #[serde(rename = $text)] $code,)*
        }
    };
}

code_list! {
    /// What kind of name a natural person has.
    NaturalNameType {
        /// Another name.
        Alias = "ALIA",
        /// The name at birth.
        Birth = "BIRT",
        /// The maiden name.
        Maiden = "MAID",
        /// The legal name.
        Legal = "LEGL",
        /// None of these.
        Misc = "MISC",
    }
}

code_list! {
    /// What kind of name a legal person has.
    LegalNameType {
        /// The legal name.
        Legal = "LEGL",
        /// A short name.
        Short = "SHRT",
        /// The name in trade.
        Trading = "TRAD",
    }
}

code_list! {
    /// What kind of address.
    AddressType {
        /// A home.
        Home = "HOME",
        /// A place of business.
        Business = "BIZZ",
        /// Not specified.
        Geographic = "GEOG",
    }
}

code_list! {
    /// What kind of number a state or register has given.
    NationalIdType {
        /// Of an alien.
        Alien = "ARNU",
        /// Of a passport.
        Passport = "CCPT",
        /// Of a register of companies.
        Register = "RAID",
        /// Of a driving licence.
        Licence = "DRLC",
        /// Of a foreign investor.
        Investor = "FIIN",
        /// Of a tax office.
        Tax = "TXID",
        /// Of social security.
        SocialSecurity = "SOCS",
        /// Of an identity card.
        IdentityCard = "IDCD",
        /// A legal entity identifier (ISO 17442).
        Lei = "LEIX",
        /// None of these.
        Misc = "MISC",
    }
}
