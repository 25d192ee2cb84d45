//! Feeds: the ordered part of a log that is addressed to one peer.
//!
//! ```text
//! log of A:  ... [r1 r2 r3 page(B) page(C)] checkpoint 7 ... [r4 page(B)] checkpoint 9
//! feed A->B: page at 7 (sequences 11..12) ............... page at 9 (sequence 13)
//! ```
//!
//! Every batch that says something to a peer ends with a [`FeedPage`] for it, a record like
//! any other: it numbers the statements, names the height of the page before and acknowledges,
//! under the same signature, what we have received from that peer. So a gap, an omission or a
//! second statement under one number can be proven, and a peer that has lost its memory can be
//! given it back.
//!
//! Invariants: sequence numbers of a feed rise by one; a page is sent only after its batch is
//! durable and signed; delivery is at least once and in order. Reading a frame decodes pages and
//! statements only, never a frame inside it.

use bincode::{Decode, Encode};

use super::checkpoint::SignedCheckpoint;
use super::evidence::{Evidence, RecordBytes};
use super::record::{Record, Statement};
use crate::codec;
use crate::crypto::merkle::{self, Salt};
use crate::crypto::suite::Signatures;
use crate::error::{Code, Refusal};
use crate::identity::Directory;
use crate::limits;
use crate::types::{Bounded, Domain, Hash, Height, Network, Sequence, SettlementId};

/// The table of contents of one batch for one peer. A batch may hold several for one peer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FeedPage {
    /// Whose feed it is.
    pub to: Domain,
    /// The height of the feed's page before; zero for the first.
    pub previous: Height,
    /// The sequence number of the first statement.
    pub first: Sequence,
    /// The places of the statements in the batch, in order.
    pub items: Bounded<u32, { limits::PAGE_ITEMS }>,
    /// The last sequence number received from that peer when the batch was closed.
    pub acknowledged: Sequence,
}

impl FeedPage {
    /// The sequence number of the last statement.
    #[must_use]
    pub fn last(&self) -> Sequence {
        let count = u64::try_from(self.items.len()).unwrap_or(u64::MAX);
        Sequence(self.first.0.saturating_add(count).saturating_sub(1))
    }
}

/// One page of a feed on its way: the page, its statements and one proof for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Frame {
    /// The checkpoint that seals the batch.
    pub checkpoint: SignedCheckpoint,
    /// The page's place in the batch; it comes after its statements.
    pub page: u32,
    /// Salts of the statements, then of the page.
    pub salts: Bounded<Salt, { limits::PAGE_ITEMS + 1 }>,
    /// The statements, then the page.
    pub records: Bounded<RecordBytes, { limits::PAGE_ITEMS + 1 }>,
    /// The Merkle multi-proof of all of them.
    pub proof: Bounded<Hash, { limits::PAGE_PROOF_HASHES }>,
}

/// A statement of a peer's feed, read but not yet acted upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedItem {
    /// Its number in the feed.
    pub sequence: Sequence,
    /// What was said; `None` when the bytes are no statement we know. It still has its number.
    pub statement: Option<Statement>,
    /// For each evidence inside the statement: the lock it proves, if it proves one.
    pub locks: Vec<Option<Lock>>,
}

/// A domain's lock for a settlement, proven by evidence.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Lock {
    /// Who locked.
    pub domain: Domain,
    /// For which settlement.
    pub settlement: SettlementId,
}

/// A frame whose proof, signature and addressee were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedFrame {
    bytes: Vec<u8>,
    frame: Frame,
    page: FeedPage,
    items: Vec<FeedItem>,
}

impl Frame {
    /// Reads and checks a frame that says it comes from `from` and is addressed to `to`.
    ///
    /// Statements whose bytes are unknown, or whose inner evidence does not hold, do not make
    /// the frame bad: the sender signed them in this order and they keep their numbers, but
    /// they count for nothing.
    ///
    /// # Errors
    /// `Q-1001` to `Q-1004` bytes, `Q-1001` too large to be written down with its locks, `Q-1015`
    /// a batch larger than one can be, `Q-1105` proof, `Q-1208` another sender, `Q-1304` another
    /// addressee, `Q-1308` no page, and the errors of [`SignedCheckpoint::verify`].
    pub fn verify(
        bytes: &[u8],
        from: &Domain,
        to: &Domain,
        network: &Network,
        directory: &Directory,
        signatures: &dyn Signatures,
    ) -> Result<ReceivedFrame, Refusal> {
        let frame = codec::decode::<Frame, { limits::FRAME_BYTES }>(bytes)?;
        if frame.checkpoint.checkpoint.domain != *from {
            crate::refuse!(WrongDomain, "{}", frame.checkpoint.checkpoint.domain);
        }
        let page = frame.check_proof()?;
        if page.to != *to {
            crate::refuse!(NotAddressed, "to {}", page.to);
        }
        frame.checkpoint.verify(network, directory, signatures)?;
        let items = frame.read_items(&page, |evidence| {
            match evidence.verify(network, directory, signatures) {
                Ok(record) => Ok(record.locks(evidence.domain())),
                // A key that we have not heard of yet: the frame comes again when we have.
                Err(refusal) if is_early(refusal.code) => Err(refusal),
                Err(_) => Ok(None),
            }
        })?;
        let received = ReceivedFrame { bytes: bytes.to_vec(), frame, page, items };
        received.check_size()?;
        Ok(received)
    }

    /// Checks the proof and returns the page.
    fn check_proof(&self) -> Result<FeedPage, Refusal> {
        let checkpoint = &self.checkpoint.checkpoint;
        checkpoint.check_count()?;
        let page = self.read_page()?;
        let leaves = self.leaves(&page)?;
        let root = merkle::root_from(checkpoint.count, &leaves, &self.proof)?;
        if root != checkpoint.records_root {
            crate::refuse!(BadProof, "page at height {}", checkpoint.height);
        }
        Ok(page)
    }

    fn read_page(&self) -> Result<FeedPage, Refusal> {
        let bytes = self.records.last().map(|bytes| &**bytes).unwrap_or_default();
        // Told by its tag first: a received frame holds records too, and to decode one inside
        // another would make the stack as deep as the bytes are long.
        if !Record::is_page(bytes) {
            crate::refuse!(WrongRecord, "where the page belongs");
        }
        match codec::decode::<Record, { limits::FRAME_BYTES }>(bytes)? {
            Record::Page(page) => Ok(page),
            other => crate::refuse!(WrongRecord, "{} where the page belongs", other.kind()),
        }
    }

    fn leaves(&self, page: &FeedPage) -> Result<Vec<(u32, Hash)>, Refusal> {
        let count = page.items.len().saturating_add(1);
        if self.records.len() != count || self.salts.len() != count {
            crate::refuse!(BadProof, "{} records for a page of {count}", self.records.len());
        }
        let places = page.items.iter().copied().chain([self.page]);
        let records = self.salts.iter().zip(&self.records);
        Ok(places
            .zip(records)
            .map(|(place, (salt, record))| (place, merkle::leaf(salt, record)))
            .collect())
    }

    fn read_items(
        &self,
        page: &FeedPage,
        mut lock_of: impl FnMut(&Evidence) -> Result<Option<Lock>, Refusal>,
    ) -> Result<Vec<FeedItem>, Refusal> {
        let mut sequence = page.first;
        let mut items = Vec::with_capacity(page.items.len());
        for bytes in self.records.iter().take(page.items.len()) {
            let statement = read_statement(bytes);
            let inner = statement.as_ref().map(Statement::evidence).unwrap_or_default();
            let locks = inner.iter().map(&mut lock_of).collect::<Result<_, _>>()?;
            items.push(FeedItem { sequence, statement, locks });
            sequence = sequence.next();
        }
        Ok(items)
    }

    /// Evidence for the statement at `position` of the page, to be shown to others; for the
    /// page itself at the position after the last.
    ///
    /// # Errors
    /// `Q-1105` when there is none.
    pub fn evidence(&self, page: &FeedPage, position: usize) -> Result<Evidence, Refusal> {
        let none = || Refusal::new(Code::BadProof, format!("no statement at {position}"));
        let leaves = self.leaves(page)?;
        let (index, _) = *leaves.get(position).ok_or_else(none)?;
        let count = self.checkpoint.checkpoint.count;
        let path = merkle::narrow(count, &leaves, &self.proof, index)?;
        Ok(Evidence {
            checkpoint: self.checkpoint.clone(),
            index,
            salt: self.salts.get(position).cloned().ok_or_else(none)?,
            record: self.records.get(position).cloned().ok_or_else(none)?,
            path: Bounded::new(path)?,
        })
    }
}

/// The statement that these bytes are, if they are one. Its tag is looked at first, as a page's.
fn read_statement(bytes: &[u8]) -> Option<Statement> {
    if !Record::is_statement(bytes) {
        return None;
    }
    match codec::decode::<Record, { limits::RECORD_BYTES }>(bytes) {
        Ok(Record::Statement(statement)) => Some(statement),
        Ok(_) | Err(_) => None,
    }
}

/// What comes before the frame's bytes in its record: the tag and the length.
const RECEIVED_HEAD_BYTES: usize = 4 + 8;

/// Whether evidence fails only because we do not know its signer's key yet.
fn is_early(code: Code) -> bool {
    matches!(code, Code::UnknownDomain | Code::UnknownEpoch)
}

impl ReceivedFrame {
    /// Who said it.
    #[must_use]
    pub fn from(&self) -> &Domain {
        &self.frame.checkpoint.checkpoint.domain
    }

    /// The checkpoint that seals it.
    #[must_use]
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.frame.checkpoint
    }

    /// Its page.
    #[must_use]
    pub fn page(&self) -> &FeedPage {
        &self.page
    }

    /// Its statements in order.
    #[must_use]
    pub fn items(&self) -> &[FeedItem] {
        &self.items
    }

    /// The frame.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The canonical bytes as received.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Evidence for the statement at `position`.
    ///
    /// # Errors
    /// `Q-1105` when there is none.
    pub fn evidence(&self, position: usize) -> Result<Evidence, Refusal> {
        self.frame.evidence(&self.page, position)
    }

    /// The lock that each evidence inside proves, if it proves one, in order.
    fn proven(&self) -> Vec<&Option<Lock>> {
        self.items.iter().flat_map(|item| &item.locks).collect()
    }

    /// Whether the record of it fits into our log. An honest frame is far below the limit.
    fn check_size(&self) -> Result<(), Refusal> {
        let locks = codec::encode(&self.proven()).len();
        let size = self.bytes.len().saturating_add(locks).saturating_add(RECEIVED_HEAD_BYTES);
        if size > limits::FRAME_BYTES {
            crate::refuse!(
                TooLarge,
                "{size} bytes with its locks, at most {}",
                limits::FRAME_BYTES
            );
        }
        Ok(())
    }

    /// Reads a frame that was verified before it was written to our own log.
    fn reopen(bytes: Vec<u8>, proven: &[Option<Lock>]) -> Result<Self, Refusal> {
        let frame = codec::decode_loose::<Frame, { limits::FRAME_BYTES }>(&bytes)?;
        let page = frame.read_page()?;
        let mut proven = proven.iter();
        let items = frame.read_items(&page, |_| Ok(proven.next().cloned().flatten()))?;
        Ok(Self { bytes, frame, page, items })
    }
}

impl Encode for ReceivedFrame {
    fn encode<E: bincode::enc::Encoder>(
        &self,
        encoder: &mut E,
    ) -> Result<(), bincode::error::EncodeError> {
        self.bytes.encode(encoder)?;
        self.proven().encode(encoder)
    }
}

impl<Context> Decode<Context> for ReceivedFrame {
    fn decode<D: bincode::de::Decoder<Context = Context>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        let bytes = Vec::<u8>::decode(decoder)?;
        // Bounded, since a plain list holds the elements' size in memory against the byte limit:
        // the locks of a full frame are one byte each here.
        let proven = Bounded::<Option<Lock>, { limits::FRAME_LOCKS }>::decode(decoder)?;
        Self::reopen(bytes, &proven)
            .map_err(|refusal| bincode::error::DecodeError::OtherString(refusal.to_string()))
    }
}

bincode::impl_borrow_decode!(ReceivedFrame);
