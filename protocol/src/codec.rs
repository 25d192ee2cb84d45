//! Canonical bytes: the one place that knows how values are laid out.
//!
//! bincode 2 with fixed-width little-endian integers: an enum's tag is a `u32`, a length a
//! `u64` (of a name, one byte), an `Option`'s tag one byte. A value has exactly one byte form: decoding refuses
//! trailing bytes, takes at most `LIMIT` bytes and re-encodes to compare, so bytes that were
//! signed or hashed can be kept and passed on as received, never re-made.
//!
//! No type that comes off the wire is recursive: decoding recurses with the type, so the depth
//! of the stack is a property of the types and never of the bytes.
//!
//! bincode is finished and unmaintained software; nothing outside this file calls it except
//! the derives, so that one file could replace it.

use std::cell::Cell;

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::de::Decoder;
use bincode::de::read::Reader;
use bincode::enc::Encoder;
use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::error::{Code, Refusal};
use crate::limits;

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

/// What `read` makes of the canonical bytes of `value`, which live no longer than that.
pub fn with_encoded<T: Encode, R>(value: &T, read: impl FnOnce(&[u8]) -> R) -> R {
    with_scratch(|bytes| {
        encode_into(value, bytes);
        read(bytes)
    })
}

/// Lends `work` an empty buffer that keeps its memory from one use to the next.
pub fn with_scratch<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    // Taken out while it is lent: a use inside a use gets a buffer of its own.
    let mut bytes = SCRATCH.take();
    bytes.clear();
    let made = work(&mut bytes);
    if bytes.capacity() <= SCRATCH_BYTES {
        SCRATCH.set(bytes);
    }
    made
}

/// A buffer that has grown beyond this is not kept.
const SCRATCH_BYTES: usize = 2 * limits::FRAME_BYTES;

std::thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
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

/// Reads `length` bytes, at most `most`, and hands them to `make` where they lie.
///
/// # Errors
/// `Q-1001` for more than `most`, too few bytes, and what `make` refuses.
pub(crate) fn read_bytes<D: Decoder, R>(
    decoder: &mut D,
    length: u64,
    most: usize,
    make: impl FnOnce(&[u8]) -> Result<R, Refusal>,
) -> Result<R, DecodeError> {
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= most) else {
        let refusal = Refusal::new(Code::TooLarge, format!("{length} bytes, at most {most}"));
        return Err(DecodeError::OtherString(refusal.to_string()));
    };
    decoder.claim_bytes_read(length)?;
    let reader = decoder.reader();
    let made = match reader.peek_read(length) {
        Some(bytes) => {
            let made = make(bytes);
            reader.consume(length);
            made
        }
        None => {
            let mut bytes = vec![0; length];
            reader.read(&mut bytes)?;
            make(&bytes)
        }
    };
    made.map_err(|refusal| DecodeError::OtherString(refusal.to_string()))
}

/// Reads a name, which stands behind its length in one byte, and hands it to `parse`.
///
/// # Errors
/// Too few bytes, bytes that are no text, and what `parse` refuses.
pub(crate) fn read_name<D: Decoder, R>(
    decoder: &mut D,
    parse: impl FnOnce(&str) -> Result<R, Refusal>,
) -> Result<R, DecodeError> {
    let length = u8::decode(decoder)?;
    read_bytes(decoder, u64::from(length), usize::from(u8::MAX), |bytes| {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Refusal::new(Code::Malformed, error.to_string()))?;
        parse(text)
    })
}

/// Writes a name behind its length in one byte.
///
/// # Errors
/// A name of more than 255 bytes; no name is that long.
pub(crate) fn write_name<E: Encoder>(name: &str, encoder: &mut E) -> Result<(), EncodeError> {
    let length = u8::try_from(name.len()).map_err(|_| EncodeError::Other("a name too long"))?;
    length.encode(encoder)?;
    encoder.writer().write(name.as_bytes())
}

/// Implements `Encode`/`Decode` for a name: its text form behind its length in one byte.
#[macro_export]
macro_rules! name_codec {
    ($type:ty, |$value:ident| $as_str:expr, $parse:expr) => {
        impl bincode::Encode for $type {
            fn encode<E: bincode::enc::Encoder>(
                &self,
                encoder: &mut E,
            ) -> Result<(), bincode::error::EncodeError> {
                let $value = self;
                $crate::codec::write_name($as_str, encoder)
            }
        }
        impl<Context> bincode::Decode<Context> for $type {
            fn decode<D: bincode::de::Decoder<Context = Context>>(
                decoder: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                $crate::codec::read_name(decoder, $parse)
            }
        }
        bincode::impl_borrow_decode!($type);
    };
}

struct Sink<'a>(&'a mut Vec<u8>);

impl Writer for Sink<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Compares what is written with what was read, without a second buffer.
struct Compare<'a> {
    rest: &'a [u8],
    same: bool,
}

impl Writer for Compare<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
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
