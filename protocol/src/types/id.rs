//! Hashes, identifiers and counters.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};

use super::domain::shown;
use super::text_serde;
use crate::error::{Code, Refusal};

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[doc = concat!("\n\nText form: `", $prefix, ":` and 64 lower-case hexadecimal digits.")]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, ":{}"), hex::encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = Refusal;

            fn from_str(text: &str) -> Result<Self, Refusal> {
                parse_prefixed($prefix, text).map(Self)
            }
        }

        text_serde!($name);
    };
}

fn parse_prefixed(prefix: &str, text: &str) -> Result<[u8; 32], Refusal> {
    let bad = || Refusal::new(Code::BadIdentifier, format!("{} for a `{prefix}:`", shown(text)));
    let digits =
        text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(':')).ok_or_else(bad)?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| bad())?;
    if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(bad());
    }
    Ok(bytes)
}

hash_type!(
    /// A domain-separated SHA-256.
    Hash, "sha256");
hash_type!(
    /// A ledger: the hash of its opening entry (unified blockchain identifier).
    Ubi, "ubi");
hash_type!(
    /// An order: the hash of its canonical bytes. An offer is named by its order.
    OrderId, "ord");
hash_type!(
    /// A take on its way to the maker's validator: the hash of its terms.
    TakeId, "take");
hash_type!(
    /// A settlement: the hash of its agreement's header.
    SettlementId, "stl");
hash_type!(
    /// A public key: the hash of its suite and halves.
    KeyId, "key");
hash_type!(
    /// A hash lock: the plain SHA-256 of a preimage, as hash-time-lock contracts elsewhere use it.
    HashLock, "lock");

impl Hash {
    /// 32 zero bytes: the predecessor of a first entry.
    pub const ZERO: Hash = Hash([0; 32]);
}

macro_rules! counter_type {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[doc = "\n\nText form: decimal digits without a leading zero."]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
        pub struct $name(pub $inner);

        impl $name {
            /// The next one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = Refusal;

            fn from_str(text: &str) -> Result<Self, Refusal> {
                let bad = || Refusal::new(Code::BadNumber, shown(text));
                let number = text.parse().map(Self).map_err(|_| bad())?;
                // A sign or a leading zero would be a second text for the same number.
                if number.to_string() == text { Ok(number) } else { Err(bad()) }
            }
        }

        text_serde!($name);
    };
}

counter_type!(
    /// The number of a checkpoint in its domain's log; the first is 1.
    Height, u64);
counter_type!(
    /// A position in a feed or a ledger's chain; the first is 1, 0 means none yet.
    Sequence, u64);
counter_type!(
    /// The number of a domain's signing key; the first is 1, each rotation counts up.
    Epoch, u32);
counter_type!(
    /// A holder's number for an order: never used twice on one ledger.
    Nonce, u64);
counter_type!(
    /// An initiator's number for an agreement: rises over all its agreements.
    AgreementNumber, u64);
