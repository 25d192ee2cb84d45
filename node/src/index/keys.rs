//! The keys of the rows: one byte for the kind, then what the rows are found and sorted by.
//!
//! Numbers are written big-endian, so that the order of the bytes is that of the numbers. A
//! domain's or holder's name ends with a zero byte, which no name contains, so that no name's
//! keys begin with another's.

use std::fmt;
use std::str::FromStr;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{Domain, Holder, KeyId, OrderId, Sequence, SettlementId, Ubi};

use super::rows::Place;

/// The kinds of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// How far the log is indexed.
    Mark = 0,
    /// [`super::Counters`].
    Counters = 1,
    /// A ledger, by its identifier.
    Ledger = 2,
    /// A ledger, by its holder.
    Holder = 3,
    /// A public key of a holder, by its identifier.
    Key = 4,
    /// An entry, by ledger and number.
    Entry = 5,
    /// An order, by its identifier.
    Order = 6,
    /// An order, by ledger and place.
    LedgerOrder = 7,
    /// An offer, by its order.
    Offer = 8,
    /// An offer, by the place of its order.
    OfferByPlace = 9,
    /// An offer that is live, by the place of its order.
    LiveOffer = 10,
    /// An offer, by ledger and place.
    LedgerOffer = 11,
    /// An offer that is live, by ledger and place.
    LedgerLiveOffer = 12,
    /// A settlement, by its identifier.
    Settlement = 13,
    /// A settlement, by where it began.
    SettlementByPlace = 14,
    /// One that is open, by where it began.
    OpenSettlement = 15,
    /// One that is final, by where it began.
    FinalSettlement = 16,
    /// A settlement, by an order of ours in it and where it began.
    OrderSettlement = 17,
    /// A page of ours, by peer and last sequence.
    PageOut = 18,
    /// A page of a peer, by peer and last sequence.
    PageIn = 19,
    /// A decision of ours, by settlement.
    Decision = 20,
    /// What says who a domain is and which keys it has: certificates, rotations, revocations;
    /// by domain and place.
    Paper = 21,
    /// The newest root of our live offers.
    Book = 22,
    /// The highest agreement number of an initiator, by domain.
    Number = 23,
    /// An asset whose profile is known, by its text.
    Asset = 24,
    /// Our newest attestation of an asset, by its text.
    Attested = 25,
}

/// A key under construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key(Vec<u8>);

impl Key {
    pub fn of(kind: Kind) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(kind as u8);
        Self(bytes)
    }

    pub fn id(mut self, id: &[u8; 32]) -> Self {
        self.0.extend_from_slice(id);
        self
    }

    pub fn name(mut self, name: &str) -> Self {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        self
    }

    pub fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub fn place(mut self, place: Place) -> Self {
        self.0.extend_from_slice(&place.height.0.to_be_bytes());
        self.0.extend_from_slice(&place.leaf.to_be_bytes());
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0
    }

    pub fn ledger(id: &Ubi) -> Self {
        Self::of(Kind::Ledger).id(id.as_bytes())
    }

    pub fn holder(holder: &Holder, number: u32, ledger: &Ubi) -> Self {
        let key = Self::of(Kind::Holder).name(&holder.to_string());
        key.number(u64::from(number)).id(ledger.as_bytes())
    }

    pub fn public_key(id: &KeyId) -> Self {
        Self::of(Kind::Key).id(id.as_bytes())
    }

    pub fn entry(ledger: &Ubi, sequence: Sequence) -> Self {
        Self::of(Kind::Entry).id(ledger.as_bytes()).number(sequence.0)
    }

    pub fn order(id: &OrderId) -> Self {
        Self::of(Kind::Order).id(id.as_bytes())
    }

    pub fn offer(id: &OrderId) -> Self {
        Self::of(Kind::Offer).id(id.as_bytes())
    }

    pub fn settlement(id: &SettlementId) -> Self {
        Self::of(Kind::Settlement).id(id.as_bytes())
    }

    pub fn decision(id: &SettlementId) -> Self {
        Self::of(Kind::Decision).id(id.as_bytes())
    }

    pub fn page(kind: Kind, peer: &Domain, last: Sequence) -> Self {
        Self::of(kind).name(peer.as_str()).number(last.0)
    }

    pub fn peer_number(peer: &Domain) -> Self {
        Self::of(Kind::Number).name(peer.as_str())
    }

    /// Two rows of one record about one domain there cannot be.
    pub fn paper(domain: &Domain, place: Place) -> Self {
        Self::of(Kind::Paper).name(domain.as_str()).place(place)
    }
}

/// The first key after all that begin with `prefix`; `None` when there is none.
pub(super) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// Where a list goes on: the position of its last item. Text form: hexadecimal digits, to be
/// handed back as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

/// The longest position there is: a name with its end, a number, an identifier.
const CURSOR_BYTES: usize = 256;

impl Cursor {
    pub(super) fn new(position: &[u8]) -> Self {
        Self(position.to_vec())
    }

    pub(super) fn position(&self) -> &[u8] {
        &self.0
    }

    /// The position before the entry after `sequence` of a ledger: where a list of entries goes
    /// on when the last number is known and its cursor is not.
    #[must_use]
    pub fn after_sequence(sequence: Sequence) -> Self {
        Self(sequence.0.to_be_bytes().to_vec())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl FromStr for Cursor {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::new(Code::BadIdentifier, "not a cursor of this list");
        if text.is_empty() || text.len() > 2 * CURSOR_BYTES {
            return Err(bad());
        }
        let position = hex::decode(text).map_err(|_| bad())?;
        Ok(Self(position))
    }
}
