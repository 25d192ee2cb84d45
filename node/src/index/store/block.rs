//! A block: some neighbouring rows of a run as bytes, each key without what it shares with the
//! one before it.
//!
//! ```text
//!   row:   shared u16 | rest u16 | value u32, all ones for a tombstone | rest of key | value
//!   block: rows ... | CRC-32 of all before it, u32          (numbers little-endian)
//! ```
//!
//! Invariant: a block whose checksum does not match is never read as rows.

use std::ops::Range;

use quadrille_protocol::error::{Code, Refusal};

const TOMBSTONE: u32 = u32::MAX;
const CRC_BYTES: usize = 4;

/// A block being written.
#[derive(Debug, Default)]
pub(super) struct BlockWriter {
    bytes: Vec<u8>,
    last: Vec<u8>,
}

impl BlockWriter {
    /// Adds a row, whose key must be higher than the one before.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Refusal> {
        let too_long = |_| damaged("a row that is too long");
        let same = key.iter().zip(&self.last).take_while(|(a, b)| a == b).count();
        let rest = key.get(same..).unwrap_or_default();
        let length = match value {
            Some(value) => u32::try_from(value.len()).map_err(too_long)?,
            None => TOMBSTONE,
        };
        self.bytes.extend_from_slice(&u16::try_from(same).map_err(too_long)?.to_le_bytes());
        self.bytes.extend_from_slice(&u16::try_from(rest.len()).map_err(too_long)?.to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(rest);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.last.clear();
        self.last.extend_from_slice(key);
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The block; the writer begins the next one.
    pub fn finish(&mut self) -> Vec<u8> {
        self.last.clear();
        let room = Vec::with_capacity(self.bytes.capacity());
        let mut bytes = std::mem::replace(&mut self.bytes, room);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// The rows of a block, without its checksum.
pub(super) fn checked(block: &[u8]) -> Result<&[u8], Refusal> {
    let split = block.len().checked_sub(CRC_BYTES);
    let (rows, crc) = split
        .and_then(|at| block.split_at_checked(at))
        .ok_or_else(|| damaged("a block that is cut off"))?;
    if crc32fast::hash(rows).to_le_bytes() != *crc {
        return Err(damaged("a block whose checksum does not match"));
    }
    Ok(rows)
}

/// Where a row's value is in its block; `None` for a tombstone.
pub(super) type Where = Option<Range<usize>>;

/// Reads a block row by row.
#[derive(Debug)]
pub(super) struct BlockReader<'a> {
    rows: &'a [u8],
    at: usize,
    key: Vec<u8>,
}

impl<'a> BlockReader<'a> {
    pub fn new(block: &'a [u8]) -> Result<Self, Refusal> {
        Ok(Self { rows: checked(block)?, at: 0, key: Vec::with_capacity(64) })
    }

    /// The next row's key, and where its value is in the block.
    pub fn next(&mut self) -> Result<Option<(&[u8], Where)>, Refusal> {
        if self.at >= self.rows.len() {
            return Ok(None);
        }
        let shared = usize::from(u16::from_le_bytes(self.number()?));
        let rest = usize::from(u16::from_le_bytes(self.number()?));
        let value = u32::from_le_bytes(self.number()?);
        let rest = self.take(rest)?;
        self.key.truncate(shared);
        self.key.extend_from_slice(self.rows.get(rest).unwrap_or_default());
        let place = match value {
            TOMBSTONE => None,
            length => Some(self.take(usize::try_from(length).unwrap_or(usize::MAX))?),
        };
        Ok(Some((&self.key, place)))
    }

    /// The value of one key.
    pub fn find(mut self, wanted: &[u8]) -> Result<Option<Where>, Refusal> {
        while let Some((key, place)) = self.next()? {
            match key.cmp(wanted) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(Some(place)),
                std::cmp::Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let range = self.take(N)?;
        let bytes = self.rows.get(range).and_then(|bytes| bytes.first_chunk::<N>());
        bytes.copied().ok_or_else(|| damaged("a row that is cut off"))
    }

    fn take(&mut self, count: usize) -> Result<Range<usize>, Refusal> {
        let from = self.at;
        let to = from.saturating_add(count);
        if to > self.rows.len() {
            return Err(damaged("a row that is cut off"));
        }
        self.at = to;
        Ok(from..to)
    }
}

/// What is stored is not what was written.
pub(super) fn damaged(what: &str) -> Refusal {
    Refusal::new(Code::IndexFailed, format!("the index has {what}; the next start rebuilds it"))
}
