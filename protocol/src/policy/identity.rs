//! Who a holder is: the data that the holder signs and the bank keeps.
//!
//! The opening of a ledger carries the salted hash of the data, so the holder's signature over
//! the opening is a signature over the data. The bank can later show both; without the salt the
//! hash says nothing.

use std::fmt;

use bincode::{Decode, Encode};

use super::ivms101::Person;
use crate::codec;
use crate::crypto::hash::{Tag, hash};
use crate::error::{Code, Refusal};
use crate::limits;
use crate::types::{Bytes, Hash, Time};

/// A holder's data with their salt.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Identity {
    /// 32 bytes that were drawn at random for these data alone.
    pub salt: [u8; 32],
    /// The data.
    pub person: Person,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(hidden)")
    }
}

impl Identity {
    /// From canonical bytes.
    ///
    /// # Errors
    /// Those of [`codec::decode`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        codec::decode::<Self, { limits::IDENTITY_BYTES }>(bytes)
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// `Q-1001` over [`limits::IDENTITY_BYTES`].
    pub fn to_bytes(&self) -> Result<Bytes<{ limits::IDENTITY_BYTES }>, Refusal> {
        Bytes::new(&codec::encode(self))
    }

    /// What the opening names.
    #[must_use]
    pub fn hash(&self) -> Hash {
        codec::with_encoded(self, |bytes| hash(Tag::Identity, &[bytes]))
    }

    /// Holds the data against what the holder has signed, and against the standard.
    ///
    /// # Errors
    /// `Q-1711` another hash; `Q-1001` too large; those of [`Person::check`].
    pub fn check(&self, signed: &Hash, now: Time) -> Result<(), Refusal> {
        self.to_bytes()?;
        if self.hash() != *signed {
            return Err(Refusal::new(Code::IdentityMismatch, format!("signed is {signed}")));
        }
        self.person.check(now)
    }
}
