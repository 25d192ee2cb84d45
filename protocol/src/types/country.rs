//! Countries.

use std::fmt;
use std::str::FromStr;

use super::domain::shown;
use super::text_serde;
use crate::error::{Code, Refusal};

/// A country or territory by its ISO 3166-1 code of two capital letters, for instance `DE`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// The code that the standard leaves to its users for «unknown»: `ZZ`.
    pub const UNKNOWN: Self = Self(*b"ZZ");

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Country {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let letters = text.as_bytes().first_chunk::<2>().filter(|_| text.len() == 2);
        let letters = letters.filter(|letters| letters.iter().all(u8::is_ascii_uppercase));
        letters
            .map(|letters| Self(*letters))
            .ok_or_else(|| Refusal::new(Code::BadCountry, shown(text)))
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

crate::name_codec!(Country, |country| country.as_str(), str::parse);
text_serde!(Country);
