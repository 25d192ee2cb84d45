//! Canonical bytes: the one place that knows how values are laid out.
//!
//! bincode 2 with fixed-width little-endian integers: an enum's tag is a `u32`, a length a
//! `u64`, an `Option`'s tag one byte. A value has exactly one byte form: decoding refuses
//! trailing bytes, takes at most `LIMIT` bytes and re-encodes to compare, so bytes that were
//! signed or hashed can be kept and passed on as received, never re-made.
//!
//! No type that comes off the wire is recursive: decoding recurses with the type, so the depth
//! of the stack is a property of the types and never of the bytes.
//!
//! bincode is finished and unmaintained software; nothing outside this file calls it except
//! the derives, so that one file could replace it.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::{Decode, Encode};

use crate::error::{Code, Refusal};

type Layout<const LIMIT: usize> = Configuration<LittleEndian, Fixint, Limit<LIMIT>>;
const UNBOUNDED: Configuration<LittleEndian, Fixint> = bincode::config::legacy();

/// The canonical bytes of `value`.
#[must_use]
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    encode_into(value, &mut bytes);
    bytes
}

/// Appends the canonical bytes of `value` to `bytes`.
#[expect(clippy::expect_used, reason = "our encoders write to memory and return no error")]
pub fn encode_into<T: Encode>(value: &T, bytes: &mut Vec<u8>) {
    bincode::encode_into_writer(value, Sink(bytes), UNBOUNDED)
        .expect("encoding to memory cannot fail");
}

/// Decodes canonical bytes of at most `LIMIT` bytes.
///
/// # Errors
/// `Q-1001` over the limit, `Q-1002` not a value of this type (truncated, unknown tag or
/// version, a field out of range), `Q-1003` trailing bytes, `Q-1004` not the canonical form.
pub fn decode<T, const LIMIT: usize>(bytes: &[u8]) -> Result<T, Refusal>
where
    T: Decode<()> + Encode,
{
    let value = decode_loose::<T, LIMIT>(bytes)?;
    let mut check = Compare { rest: bytes, same: true };
    let encoded = bincode::encode_into_writer(&value, &mut check, UNBOUNDED);
    if encoded.is_err() || !check.same || !check.rest.is_empty() {
        return Err(Refusal::new(Code::NotCanonical, "the bytes do not re-encode to themselves"));
    }
    Ok(value)
}

/// Decodes bytes that we wrote ourselves and that a checksum covers: no re-encoding.
///
/// # Errors
/// As [`decode`], except `Q-1004`.
pub fn decode_loose<T, const LIMIT: usize>(bytes: &[u8]) -> Result<T, Refusal>
where
    T: Decode<()>,
{
    if bytes.len() > LIMIT {
        let what = format!("{} bytes, at most {LIMIT}", bytes.len());
        return Err(Refusal::new(Code::TooLarge, what));
    }
    let layout = Layout::<LIMIT>::default();
    let (value, used) = bincode::decode_from_slice::<T, _>(bytes, layout)
        .map_err(|error| Refusal::new(Code::Malformed, error.to_string()))?;
    if used != bytes.len() {
        let what = format!("{} bytes after the value", bytes.len().saturating_sub(used));
        return Err(Refusal::new(Code::TrailingBytes, what));
    }
    Ok(value)
}

struct Sink<'a>(&'a mut Vec<u8>);

impl bincode::enc::write::Writer for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Compares what is written with what was read, without a second buffer.
struct Compare<'a> {
    rest: &'a [u8],
    same: bool,
}

impl bincode::enc::write::Writer for Compare<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        match self.rest.split_at_checked(bytes.len()) {
            Some((head, rest)) if head == bytes => self.rest = rest,
            Some(_) | None => self.same = false,
        }
        Ok(())
    }
}

/// Implements `Encode`/`Decode` for a newtype whose values must pass a check: the inner value
/// is decoded, then handed to `$parse`, so that no invalid value can come off the wire.
#[macro_export]
macro_rules! checked_codec {
    ($type:ty, $inner:ty, |$value:ident| $as_inner:expr, $parse:expr) => {
        impl bincode::Encode for $type {
            fn encode<E: bincode::enc::Encoder>(
                &self,
                encoder: &mut E,
            ) -> Result<(), bincode::error::EncodeError> {
                let $value = self;
                bincode::Encode::encode(&$as_inner, encoder)
            }
        }
        impl<Context> bincode::Decode<Context> for $type {
            fn decode<D: bincode::de::Decoder<Context = Context>>(
                decoder: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                let inner = <$inner as bincode::Decode<Context>>::decode(decoder)?;
                let parse: fn($inner) -> Result<$type, $crate::error::Refusal> = $parse;
                parse(inner).map_err(|refusal| {
                    bincode::error::DecodeError::OtherString(refusal.to_string())
                })
            }
        }
        impl<'de, Context> bincode::BorrowDecode<'de, Context> for $type {
            fn borrow_decode<D: bincode::de::BorrowDecoder<'de, Context = Context>>(
                decoder: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                <Self as bincode::Decode<Context>>::decode(decoder)
            }
        }
    };
}

#[cfg(test)]
mod tests;
