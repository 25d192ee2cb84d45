//! Several sorted layers read as one, in either direction.
//!
//! Invariant: of a key that several layers have, the newest layer's word counts, tombstones
//! included.

use std::cmp::Ordering;
use std::ops::{Bound, Range};
use std::sync::Arc;

use quadrille_protocol::error::Refusal;

use super::block::{BlockReader, Where};
use super::memory::Copied;
use super::run::Run;

/// Keys from one on up to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Interval {
    /// The first.
    pub from: Vec<u8>,
    /// The first that is not in it; none when there is no end.
    pub to: Option<Vec<u8>>,
}

impl Interval {
    /// Every key.
    pub const ALL: Self = Self { from: Vec::new(), to: None };

    /// Whether no key can be in it.
    pub fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }

    /// Whether all of it is below `key`.
    pub fn is_below(&self, key: &[u8]) -> bool {
        self.to.as_ref().is_some_and(|to| to.as_slice() <= key)
    }

    /// As a range of a map; only of one that is not empty.
    pub fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let to = self.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        (Bound::Included(self.from.as_slice()), to)
    }

    /// What is left of it behind `key`, read in that direction.
    pub fn behind(self, key: &[u8], ascending: bool) -> Self {
        match ascending {
            true => Self { from: [key, &[0]].concat(), to: self.to },
            false => Self { from: self.from, to: Some(key.to_vec()) },
        }
    }
}

/// One layer.
#[derive(Debug)]
pub(super) enum Source {
    /// Rows copied out of memory.
    Copied {
        rows: std::vec::IntoIter<Copied>,
        /// There are more than were copied.
        cut: bool,
    },
    /// A run.
    Run(Box<RunCursor>),
}

impl Source {
    fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Copied { rows, .. } => rows.as_slice().first().map(|(key, _)| key.as_slice()),
            Self::Run(cursor) => cursor.key(),
        }
    }

    fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Copied { rows, .. } => rows.as_slice().first()?.1.as_deref(),
            Self::Run(cursor) => cursor.value(),
        }
    }

    fn advance(&mut self) -> Result<(), Refusal> {
        match self {
            Self::Copied { rows, .. } => {
                rows.next();
                Ok(())
            }
            Self::Run(cursor) => cursor.advance(),
        }
    }

    fn is_cut_here(&self) -> bool {
        match self {
            Self::Copied { rows, cut } => *cut && rows.as_slice().is_empty(),
            Self::Run(_) => false,
        }
    }
}

/// A row, or a tombstone in its place.
pub(super) type Seen<'a> = (&'a [u8], Option<&'a [u8]>);

/// The layers, newest first.
#[derive(Debug)]
pub(super) struct Merge {
    sources: Vec<Source>,
    ascending: bool,
    key: Vec<u8>,
    begun: bool,
}

impl Merge {
    pub fn new(sources: Vec<Source>, ascending: bool) -> Self {
        Self { sources, ascending, key: Vec::new(), begun: false }
    }

    /// The next row or tombstone; none at the end, or where a copied layer was cut.
    pub fn next(&mut self) -> Result<Option<Seen<'_>>, Refusal> {
        if self.begun {
            for source in &mut self.sources {
                if source.key() == Some(self.key.as_slice()) {
                    source.advance()?;
                }
            }
        }
        if self.is_cut() {
            return Ok(None);
        }
        self.begun = true;
        let mut best: Option<(&Source, &[u8])> = None;
        for source in &self.sources {
            let Some(key) = source.key() else { continue };
            let wins = match best.map(|(_, known)| key.cmp(known)) {
                None => true,
                Some(Ordering::Less) => self.ascending,
                Some(Ordering::Greater) => !self.ascending,
                Some(Ordering::Equal) => false,
            };
            if wins {
                best = Some((source, key));
            }
        }
        let Some((source, key)) = best else { return Ok(None) };
        self.key.clear();
        self.key.extend_from_slice(key);
        Ok(Some((&self.key, source.value())))
    }

    /// Whether a layer has more than was copied of it; then go on behind [`Merge::last`].
    pub fn is_cut(&self) -> bool {
        self.sources.iter().any(Source::is_cut_here)
    }

    /// The last key that was read.
    pub fn last(&self) -> &[u8] {
        &self.key
    }
}

/// Reads a run block by block.
#[derive(Debug)]
pub(super) struct RunCursor {
    db: sled::Db,
    run: Arc<Run>,
    interval: Interval,
    ascending: bool,
    /// The block that is read next.
    next: Option<u32>,
    bytes: sled::IVec,
    keys: Vec<u8>,
    /// The rows of the block in hand, in the order in which they are read.
    rows: Vec<(Range<usize>, Where)>,
    at: usize,
}

impl RunCursor {
    /// At the first row of `interval` in that direction.
    pub fn new(
        db: &sled::Db,
        run: Arc<Run>,
        interval: &Interval,
        ascending: bool,
    ) -> Result<Self, Refusal> {
        let next = match (ascending, &interval.to) {
            _ if !run.overlaps(interval) => None,
            (true, _) => Some(run.block_with(&interval.from).unwrap_or(0)),
            (false, Some(to)) => run.block_with(to),
            (false, None) => run.head.blocks.checked_sub(1),
        };
        let mut cursor = Self {
            db: db.clone(),
            run,
            interval: interval.clone(),
            ascending,
            next,
            bytes: sled::IVec::default(),
            keys: Vec::new(),
            rows: Vec::new(),
            at: 0,
        };
        cursor.load()?;
        Ok(cursor)
    }

    fn key(&self) -> Option<&[u8]> {
        self.rows.get(self.at).and_then(|(key, _)| self.keys.get(key.clone()))
    }

    fn value(&self) -> Option<&[u8]> {
        self.rows.get(self.at).and_then(|(_, place)| self.bytes.get(place.clone()?))
    }

    fn advance(&mut self) -> Result<(), Refusal> {
        self.at = self.at.saturating_add(1);
        if self.at >= self.rows.len() { self.load() } else { Ok(()) }
    }

    /// Reads blocks until one has rows of the interval, or there is none any more.
    fn load(&mut self) -> Result<(), Refusal> {
        (self.at, self.rows) = (0, std::mem::take(&mut self.rows));
        self.rows.clear();
        while self.rows.is_empty() {
            let Some(block) = self.next else { return Ok(()) };
            self.bytes = self.run.block(&self.db, block)?;
            self.keys.clear();
            let ended = self.read_block()?;
            self.next = match self.ascending {
                _ if ended => None,
                true => block.checked_add(1).filter(|next| *next < self.run.head.blocks),
                false => block.checked_sub(1),
            };
        }
        if !self.ascending {
            self.rows.reverse();
        }
        Ok(())
    }

    /// Whether the block went beyond the interval's end in the cursor's direction.
    fn read_block(&mut self) -> Result<bool, Refusal> {
        let mut reader = BlockReader::new(&self.bytes)?;
        let mut ended = false;
        while let Some((key, place)) = reader.next()? {
            if key < self.interval.from.as_slice() {
                ended |= !self.ascending;
            } else if self.interval.is_below(key) {
                ended |= self.ascending;
                break;
            } else {
                let from = self.keys.len();
                self.keys.extend_from_slice(key);
                self.rows.push((from..self.keys.len(), place));
            }
        }
        Ok(ended)
    }
}
