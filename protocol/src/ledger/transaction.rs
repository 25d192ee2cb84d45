//! Transactions: everything that moves money or changes a ledger, in one atomic record.
//!
//! ```text
//! leg of asset A, alice@V1 -> bob@V2        V1: alice -x, correspondent:V2 +x (we owe V2)
//!                                           V2: correspondent:V1 -x, bob +x (V1 owes us)
//! issue                                     issuance -x, holder +x
//! ```
//!
//! Invariant: the movements and contras of a transaction sum to zero per asset. Holds and
//! releases only move an amount between the free and the held part of one balance.

use bincode::{Decode, Encode};

use super::opening::SignedOpening;
use super::order::VerifiedOrder;
use super::replacement::KeyReplaced;
use crate::codec;
use crate::crypto::hash::{Tag, hash};
use crate::error::Code;
use crate::limits;
use crate::types::{
    Amount, Bounded, Domain, Hash, OrderId, Sequence, SettlementId, Time, Uai, Ubi,
};

/// One atomic change of this validator's books.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Transaction {
    /// Why.
    pub cause: Cause,
    /// When, on this domain's clock.
    pub time: Time,
    /// The holders' ledgers it touches, each once.
    pub entries: Bounded<Entry, { limits::TRANSACTION_ENTRIES }>,
    /// The other side, where it is not a holder's ledger.
    pub contras: Bounded<Contra, { limits::TRANSACTION_CONTRAS }>,
}

/// Why books change.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Cause {
    /// A ledger was opened.
    Opened(Box<SignedOpening>),
    /// A holder's order was accepted.
    Ordered(Box<VerifiedOrder>),
    /// The issuer (this domain) put an asset into circulation; with the issue's own name, hashed,
    /// where the operator gave one.
    Issued(Option<Hash>),
    /// The operator froze a ledger.
    Frozen,
    /// The operator thawed a ledger.
    Unfrozen,
    /// A settlement was decided: everything of it that is ours, at once.
    Settled(SettlementId),
    /// A settlement was refunded.
    Refunded(SettlementId),
    /// An offer and a take at this same validator were matched.
    Traded {
        /// The offer.
        offer: OrderId,
        /// The take.
        take: OrderId,
    },
    /// What was left of an offer was released.
    OfferEnded {
        /// The offer.
        offer: OrderId,
        /// Why.
        reason: Code,
    },
    /// A take led to nothing.
    TakeEnded {
        /// The take.
        take: OrderId,
        /// Why.
        reason: Code,
    },
    /// A payment led to nothing before anybody else had heard of it.
    PaymentEnded {
        /// The payment.
        order: OrderId,
        /// Why.
        reason: Code,
    },
    /// The bank gave the ledger another key, because its holder had lost it.
    KeyReplaced(Box<KeyReplaced>),
}

impl Cause {
    /// Writes what the entry hash binds of the cause.
    fn bind(&self, bytes: &mut Vec<u8>) {
        match self {
            Cause::Ordered(order) => codec::encode_into(&(1u32, order.id()), bytes),
            Cause::Opened(_)
            | Cause::Issued(_)
            | Cause::Frozen
            | Cause::Unfrozen
            | Cause::Settled(_)
            | Cause::Refunded(_)
            | Cause::Traded { .. }
            | Cause::OfferEnded { .. }
            | Cause::TakeEnded { .. }
            | Cause::PaymentEnded { .. }
            | Cause::KeyReplaced(_) => codec::encode_into(self, bytes),
        }
    }

    /// Its kind in a word, for traces and statements of account.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Cause::Opened(_) => "opened",
            Cause::Ordered(_) => "ordered",
            Cause::Issued(_) => "issued",
            Cause::Frozen => "frozen",
            Cause::Unfrozen => "unfrozen",
            Cause::Settled(_) => "settled",
            Cause::Refunded(_) => "refunded",
            Cause::Traded { .. } => "traded",
            Cause::OfferEnded { .. } => "offer ended",
            Cause::TakeEnded { .. } => "take ended",
            Cause::PaymentEnded { .. } => "payment ended",
            Cause::KeyReplaced(_) => "key replaced",
        }
    }
}

/// One link of a holder's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// The ledger.
    pub ledger: Ubi,
    /// Its number in the ledger; the opening is 1.
    pub sequence: Sequence,
    /// The hash of the entry before; zero for the opening.
    pub previous: Hash,
    /// What moves; may be empty (a freeze, a key rotation).
    pub movements: Bounded<Movement, { limits::ENTRY_MOVEMENTS }>,
}

impl Entry {
    /// Its hash, which the next entry names.
    #[must_use]
    pub fn hash(&self, cause: &Cause) -> Hash {
        codec::with_scratch(|bytes| {
            cause.bind(bytes);
            let bound = bytes.len();
            codec::encode_into(self, bytes);
            let (binding, entry) = bytes.split_at_checked(bound).unwrap_or_default();
            hash(Tag::Entry, &[binding, entry])
        })
    }
}

/// One movement of one asset in one ledger.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Movement {
    /// The asset.
    pub asset: Uai,
    /// What happens to it.
    pub kind: MovementKind,
    /// How much.
    pub amount: Amount,
}

/// What a movement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum MovementKind {
    /// Adds to the free part.
    Credit,
    /// Takes from the free part.
    Debit,
    /// Moves from free to held.
    Hold,
    /// Moves from held to free.
    Release,
    /// Takes from the held part.
    Spend,
}

/// The other side of a movement that has no holder's ledger here.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Contra {
    /// The account.
    pub account: ContraAccount,
    /// The asset.
    pub asset: Uai,
    /// Which way.
    pub side: Side,
    /// How much.
    pub amount: Amount,
}

/// An account of the validator itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum ContraAccount {
    /// What we and a peer owe each other.
    Correspondent(Domain),
    /// What we have issued.
    Issuance,
}

/// Credit: we owe more. Debit: we owe less, or are owed more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Side {
    /// We owe more.
    Credit,
    /// We owe less, or are owed more.
    Debit,
}

impl Transaction {
    /// Whether it sums to zero per asset.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let mut sums: Vec<(&Uai, Amount, Amount)> = Vec::with_capacity(4);
        let movements = self.entries.iter().flat_map(|entry| &entry.movements);
        let moved = movements.filter_map(|movement| {
            let side = match movement.kind {
                MovementKind::Credit => Side::Credit,
                MovementKind::Debit | MovementKind::Spend => Side::Debit,
                MovementKind::Hold | MovementKind::Release => return None,
            };
            Some((&movement.asset, side, movement.amount))
        });
        let contras = self.contras.iter().map(|contra| (&contra.asset, contra.side, contra.amount));
        for (asset, side, amount) in moved.chain(contras) {
            let at = sums.iter().position(|(known, _, _)| *known == asset);
            let at = at.unwrap_or_else(|| {
                sums.push((asset, Amount::ZERO, Amount::ZERO));
                sums.len().saturating_sub(1)
            });
            let Some((_, credits, debits)) = sums.get_mut(at) else { return false };
            let sum = match side {
                Side::Credit => credits,
                Side::Debit => debits,
            };
            let Some(total) = sum.plus(amount) else { return false };
            *sum = total;
        }
        sums.iter().all(|(_, credits, debits)| credits == debits)
    }
}
