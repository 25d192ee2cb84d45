//! Refusals: what bad input gets. Every one has a stable code, a title and a remedy.
//!
//! Three kinds of trouble, kept apart: a [`Refusal`] answers bad input from outside and is part
//! of the public contract (`Q-1042` never changes its meaning); an operating error belongs to
//! the edge that met it; a [`Fault`] is a broken invariant of our own and stops the node.

use std::fmt;

/// Bad input, refused: a stable code and what was wrong this time.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// What was wrong, with the offending value where that is safe to show.
    pub what: String,
}

impl Refusal {
    /// A refusal with `code` because of `what`.
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code, self.code.title(), self.what)
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Refusal {}

/// A broken invariant of our own: the node must stop rather than go on from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which invariant broke and how.
    pub what: String,
}

impl Fault {
    /// A fault described by `what`.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }

    /// A refusal where there can be none, because everything was checked before: our own books
    /// are wrong. Named, and no `From`, so that no bad input stops a node by a mere `?`.
    #[must_use]
    pub fn of(refusal: Refusal) -> Self {
        Self::new(refusal.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken invariant: {}", self.what)
    }
}

impl std::error::Error for Fault {}

macro_rules! codes {
    ($($number:literal $name:ident $title:literal, $remedy:literal;)*) => {
        /// A stable refusal code, shown as `Q-1042`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Code {
            $(#[doc = $title] $name = $number,)*
        }

        impl Code {
            /// Every code, in the order of its number.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The number after `Q-`.
            #[must_use]
            pub const fn number(self) -> u16 {
                self as u16
            }

            /// A few words that say what is wrong.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }

            /// What the reader can do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Code::$name => $remedy,)* }
            }

            /// The code with this number.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Code> {
                match number { $($number => Some(Code::$name),)* _ => None }
            }
        }
    };
}

mod codes;
pub use codes::Code;

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Q-{:04}", self.number())
    }
}

impl std::str::FromStr for Code {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        text.strip_prefix("Q-")
            .and_then(|digits| digits.parse().ok())
            .and_then(Code::from_number)
            // A sign or a leading zero would be a second text for the same code.
            .filter(|code| code.to_string() == text)
            .ok_or_else(|| Refusal::new(Code::UnknownCode, crate::types::shown(text)))
    }
}

crate::checked_codec!(Code, u16, |code| code.number(), |number| {
    Code::from_number(number)
        .ok_or_else(|| Refusal::new(Code::UnknownCode, format!("number {number}")))
});

crate::checked_codec!(
    Refusal,
    (Code, crate::types::Detail),
    |refusal| (refusal.code, crate::types::Detail::shortened(&refusal.what)),
    |(code, detail)| Ok(Refusal::new(code, detail.as_str()))
);

/// `return Err(Refusal)` with a formatted detail.
#[macro_export]
macro_rules! refuse {
    ($code:ident, $($what:tt)*) => {
        return Err($crate::error::Refusal::new($crate::error::Code::$code, format!($($what)*)))
    };
}
