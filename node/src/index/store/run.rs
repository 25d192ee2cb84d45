//! A run: sorted rows that never change, as blocks in sled.
//!
//! ```text
//!   sled:  'd' run              -> level, rows, blocks, parts     (it exists: written last)
//!          'b' run block        -> rows                           (block.rs)
//!          'f' run part         -> first keys, last key, Bloom filter, cut into parts
//! ```
//!
//! Invariants: a run exists from the one write that adds its head on, and is whole by then; its
//! blocks are deleted only when its head is gone and nobody reads it any more. In memory it
//! takes about 2.5 MB per million rows (filter 1.25 MB, first keys of ~8,000 blocks).

use bincode::{Decode, Encode};
use quadrille_protocol::codec;
use quadrille_protocol::error::Refusal;

use super::super::draft::failed;
use super::block::{BlockReader, BlockWriter, damaged};
use super::bloom::{Bloom, hash_of};
use super::memory::Found;

/// Rows in bytes from which on a block is full. sled keeps up to 17 values in one page and a page
/// above 128 KiB in a file of its own.
const BLOCK_BYTES: usize = 6 * 1024;
/// The largest fence of a run.
const FENCE_BYTES: usize = 1 << 30;

/// What a run is, short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct Head {
    /// How often its rows were merged.
    pub level: u32,
    pub rows: u64,
    pub blocks: u32,
    pub parts: u32,
    /// Of the fence.
    pub crc: u32,
}

/// What leads to a row.
#[derive(Debug, Encode, Decode)]
struct Fence {
    firsts: Vec<Vec<u8>>,
    last: Vec<u8>,
    bloom: Bloom,
}

/// A run.
#[derive(Debug)]
pub(super) struct Run {
    pub number: u64,
    pub head: Head,
    fence: Fence,
}

impl Run {
    /// Opens the run with that head.
    pub fn open(db: &sled::Db, number: u64, head: Head) -> Result<Self, Refusal> {
        let mut bytes = Vec::new();
        for part in 0..head.parts {
            let found = db.get(part_key(number, part)).map_err(failed)?;
            bytes.extend_from_slice(&found.ok_or_else(|| damaged("a run without its fence"))?);
        }
        if crc32fast::hash(&bytes) != head.crc {
            return Err(damaged("a fence whose checksum does not match"));
        }
        let fence = codec::decode_loose::<Fence, FENCE_BYTES>(&bytes)?;
        if fence.firsts.len() != usize::try_from(head.blocks).unwrap_or(usize::MAX) {
            return Err(damaged("a run whose blocks are not those of its fence"));
        }
        Ok(Self { number, head, fence })
    }

    /// All runs of a database, newest first.
    pub fn all(db: &sled::Db) -> Result<Vec<Self>, Refusal> {
        let mut runs = Vec::new();
        for found in db.scan_prefix([HEAD]) {
            let (key, value) = found.map_err(failed)?;
            let number = key.get(1..).and_then(|key| key.first_chunk().copied());
            let number = number.ok_or_else(|| damaged("a run without a number"))?;
            let head = codec::decode_loose::<Head, FENCE_BYTES>(&value)?;
            runs.push(Self::open(db, u64::from_be_bytes(number), head)?);
        }
        runs.sort_by_key(|run| (run.head.level, std::cmp::Reverse(run.number)));
        Ok(runs)
    }

    /// What the run has of a key.
    pub fn get(&self, db: &sled::Db, key: &[u8], hash: u64) -> Result<Found<Vec<u8>>, Refusal> {
        if !self.fence.bloom.may_have(hash) || key > self.fence.last.as_slice() {
            return Ok(None);
        }
        let Some(block) = self.block_with(key) else { return Ok(None) };
        let block = self.block(db, block)?;
        let found = BlockReader::new(&block)?.find(key)?;
        let copy = |place: std::ops::Range<usize>| block.get(place).unwrap_or_default().to_vec();
        Ok(found.map(|place| place.map(copy)))
    }

    /// The block that has a key, if any has.
    pub fn block_with(&self, key: &[u8]) -> Option<u32> {
        let after = self.fence.firsts.partition_point(|first| first.as_slice() <= key);
        after.checked_sub(1).and_then(|block| u32::try_from(block).ok())
    }

    /// Whether it may have rows of an interval.
    pub fn overlaps(&self, interval: &super::Interval) -> bool {
        let first = self.fence.firsts.first();
        first.is_some_and(|first| !interval.is_below(first)) && self.fence.last >= interval.from
    }

    /// The bytes of a block.
    pub fn block(&self, db: &sled::Db, block: u32) -> Result<sled::IVec, Refusal> {
        let found = db.get(block_key(self.number, block)).map_err(failed)?;
        found.ok_or_else(|| damaged("a block that is missing"))
    }
}

/// Writes one run.
pub(super) struct RunWriter<'a> {
    db: &'a sled::Db,
    number: u64,
    level: u32,
    rows: u64,
    block: BlockWriter,
    fence: Fence,
}

impl<'a> RunWriter<'a> {
    /// One for about `rows` rows.
    pub fn new(db: &'a sled::Db, number: u64, level: u32, rows: usize) -> Self {
        let bloom = Bloom::with_room(rows);
        let fence = Fence { firsts: Vec::new(), last: Vec::new(), bloom };
        Self { db, number, level, rows: 0, block: BlockWriter::default(), fence }
    }

    /// Adds a row or a tombstone, in the order of the keys.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Refusal> {
        if self.block.len() == 0 {
            self.fence.firsts.push(key.to_vec());
        }
        self.block.push(key, value)?;
        self.fence.bloom.add(hash_of(key));
        self.rows = self.rows.saturating_add(1);
        if self.block.len() >= BLOCK_BYTES {
            self.write(key)?;
        } else {
            self.fence.last.clear();
            self.fence.last.extend_from_slice(key);
        }
        Ok(())
    }

    fn write(&mut self, last: &[u8]) -> Result<(), Refusal> {
        let many = |_| damaged("too many blocks");
        let block = u32::try_from(self.fence.firsts.len().saturating_sub(1)).map_err(many)?;
        self.fence.last = last.to_vec();
        let key = block_key(self.number, block);
        self.db.insert(key, self.block.finish()).map(|_| ()).map_err(failed)
    }

    /// The run; `None` where there was no row. It exists when the head is written.
    pub fn finish(mut self) -> Result<Option<Run>, Refusal> {
        if self.rows == 0 {
            return Ok(None);
        }
        if self.block.len() > 0 {
            let last = std::mem::take(&mut self.fence.last);
            self.write(&last)?;
        }
        let bytes = codec::encode(&self.fence);
        let mut parts = 0u32;
        for part in bytes.chunks(BLOCK_BYTES) {
            self.db.insert(part_key(self.number, parts), part).map_err(failed)?;
            parts = parts.saturating_add(1);
        }
        let blocks = u32::try_from(self.fence.firsts.len()).unwrap_or(u32::MAX);
        let crc = crc32fast::hash(&bytes);
        let head = Head { level: self.level, rows: self.rows, blocks, parts, crc };
        Ok(Some(Run { number: self.number, head, fence: self.fence }))
    }
}

const HEAD: u8 = b'd';
const BLOCK: u8 = b'b';
const PART: u8 = b'f';

/// The key of a run's head.
pub(super) fn head_key(run: u64) -> Vec<u8> {
    let mut key = vec![HEAD];
    key.extend_from_slice(&run.to_be_bytes());
    key
}

fn block_key(run: u64, block: u32) -> Vec<u8> {
    numbered(BLOCK, run, block)
}

fn part_key(run: u64, part: u32) -> Vec<u8> {
    numbered(PART, run, part)
}

fn numbered(kind: u8, run: u64, number: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(13);
    key.push(kind);
    key.extend_from_slice(&run.to_be_bytes());
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// Deletes what a run had, when its head is gone.
pub(super) fn delete(db: &sled::Db, run: u64) -> Result<(), Refusal> {
    for kind in [BLOCK, PART] {
        let mut prefix = vec![kind];
        prefix.extend_from_slice(&run.to_be_bytes());
        for key in db.scan_prefix(prefix).keys() {
            db.remove(key.map_err(failed)?).map_err(failed)?;
        }
    }
    Ok(())
}

/// The runs of which there are blocks or parts, whether they exist or were never finished.
pub(super) fn begun(db: &sled::Db) -> Result<Vec<u64>, Refusal> {
    let mut runs = Vec::new();
    for kind in [BLOCK, PART] {
        let mut from = vec![kind];
        while let Some((key, _)) = db.get_gt(&from).map_err(failed)? {
            let number = key.strip_prefix(&[kind]).and_then(|key| key.first_chunk().copied());
            let Some(number) = number.map(u64::from_be_bytes) else { break };
            runs.push(number);
            from = numbered(kind, number, u32::MAX);
        }
    }
    runs.sort_unstable();
    runs.dedup();
    Ok(runs)
}
