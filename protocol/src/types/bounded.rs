//! Lists, bytes and text with a bound in their type.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use bincode::{Decode, Encode};

use super::domain::shown;
use crate::error::{Code, Refusal};
use crate::limits;

/// A list of at most `MAX` elements; a longer one cannot be built or decoded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct Bounded<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Bounded<T, MAX> {
    /// A list of `items`.
    ///
    /// # Errors
    /// `Q-1015` when there are more than `MAX`.
    pub fn new(items: Vec<T>) -> Result<Self, Refusal> {
        if items.len() > MAX {
            crate::refuse!(TooMany, "{} elements, at most {MAX}", items.len());
        }
        Ok(Self(items))
    }

    /// The list.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for Bounded<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for Bounded<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T, const MAX: usize> IntoIterator for &'a Bounded<T, MAX> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<Context, T: Decode<Context> + 'static, const MAX: usize> Decode<Context> for Bounded<T, MAX> {
    fn decode<D: bincode::de::Decoder<Context = Context>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        // Not `Vec::decode`: that holds the elements' size in memory against the byte limit,
        // and so refuses long lists of elements that are small on the wire. The bound is
        // checked first and memory grows with the bytes that are there.
        let length = u64::decode(decoder)?;
        if usize::try_from(length).map_or(true, |length| length > MAX) {
            let refusal = Refusal::new(Code::TooMany, format!("{length} elements, at most {MAX}"));
            return Err(bincode::error::DecodeError::OtherString(refusal.to_string()));
        }
        let likely = usize::try_from(length).unwrap_or(0).min(RESERVED);
        let mut items = Vec::with_capacity(likely);
        for _ in 0..length {
            items.push(T::decode(decoder)?);
        }
        Ok(Self(items))
    }
}

impl<'de, Context, T: Decode<Context> + 'static, const MAX: usize>
    bincode::BorrowDecode<'de, Context> for Bounded<T, MAX>
{
    fn borrow_decode<D: bincode::de::BorrowDecoder<'de, Context = Context>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        Self::decode(decoder)
    }
}

impl<T: serde::Serialize, const MAX: usize> serde::Serialize for Bounded<T, MAX> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl<'de, T: serde::Deserialize<'de>, const MAX: usize> serde::Deserialize<'de>
    for Bounded<T, MAX>
{
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const MAX: usize>(std::marker::PhantomData<T>);
        impl<'de, T: serde::Deserialize<'de>, const MAX: usize> serde::de::Visitor<'de> for Items<T, MAX> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX}")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Vec<T>, A::Error> {
                let mut items = Vec::new();
                // One too many is read to be refused, and no more of them.
                while let Some(item) = seq.next_element()? {
                    if items.len() >= MAX {
                        let what = format!("more than {MAX} elements");
                        return Err(serde::de::Error::custom(Refusal::new(Code::TooMany, what)));
                    }
                    items.push(item);
                }
                Ok(items)
            }
        }
        deserializer.deserialize_seq(Items::<T, MAX>(std::marker::PhantomData)).map(Self)
    }
}

/// Elements for which a list makes room before it has read them.
const RESERVED: usize = 256;

/// Shared, immutable bytes of at most `MAX`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes<const MAX: usize>(Arc<[u8]>);

impl<const MAX: usize> Bytes<MAX> {
    /// The bytes.
    ///
    /// # Errors
    /// `Q-1001` when there are more than `MAX`.
    pub fn new(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX {
            crate::refuse!(TooLarge, "{} bytes, at most {MAX}", bytes.len());
        }
        Ok(Self(bytes.into()))
    }
}

impl<const MAX: usize> Default for Bytes<MAX> {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl<const MAX: usize> Deref for Bytes<MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Bytes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<const MAX: usize> Encode for Bytes<MAX> {
    fn encode<E: bincode::enc::Encoder>(
        &self,
        encoder: &mut E,
    ) -> Result<(), bincode::error::EncodeError> {
        self.0.as_ref().encode(encoder)
    }
}

impl<Context, const MAX: usize> Decode<Context> for Bytes<MAX> {
    fn decode<D: bincode::de::Decoder<Context = Context>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        let length = u64::decode(decoder)?;
        crate::codec::read_bytes(decoder, length, MAX, Self::new)
    }
}

impl<'de, Context, const MAX: usize> bincode::BorrowDecode<'de, Context> for Bytes<MAX> {
    fn borrow_decode<D: bincode::de::BorrowDecoder<'de, Context = Context>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        Self::decode(decoder)
    }
}

/// Text of at most `MAX` bytes without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<const MAX: usize>(String);

/// A refusal's detail or a label.
pub type Detail = Text<{ limits::DETAIL_BYTES }>;

impl<const MAX: usize> Text<MAX> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As much of `text` as fits, each control character replaced by U+FFFD.
    #[must_use]
    pub fn shortened(text: &str) -> Self {
        let mut kept = String::new();
        for character in text.chars() {
            let shown =
                if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
            if kept.len().saturating_add(shown.len_utf8()) > MAX {
                break;
            }
            kept.push(shown);
        }
        Self(kept)
    }
}

impl<const MAX: usize> FromStr for Text<MAX> {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.len() > MAX || text.chars().any(char::is_control) {
            return Err(Refusal::new(Code::TextTooLong, shown(text)));
        }
        Ok(Self(text.to_owned()))
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<const MAX: usize> Encode for Text<MAX> {
    fn encode<E: bincode::enc::Encoder>(
        &self,
        encoder: &mut E,
    ) -> Result<(), bincode::error::EncodeError> {
        self.0.encode(encoder)
    }
}

impl<Context, const MAX: usize> Decode<Context> for Text<MAX> {
    fn decode<D: bincode::de::Decoder<Context = Context>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        String::decode(decoder)?.parse().map_err(|refusal: Refusal| {
            bincode::error::DecodeError::OtherString(refusal.to_string())
        })
    }
}

impl<'de, Context, const MAX: usize> bincode::BorrowDecode<'de, Context> for Text<MAX> {
    fn borrow_decode<D: bincode::de::BorrowDecoder<'de, Context = Context>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        Self::decode(decoder)
    }
}

impl<const MAX: usize> serde::Serialize for Text<MAX> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, const MAX: usize> serde::Deserialize<'de> for Text<MAX> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
