//! The index: what queries need to find in the log. Rebuilt from it whenever it is missing.

use quadrille_protocol::types::{Hash, Height, OrderId, Sequence, SettlementId, Time, Ubi};

/// Where a record is: the batch and its leaf there. Evidence is cut from the log with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, bincode::Encode, bincode::Decode)]
pub struct Place {
    /// The batch.
    pub height: Height,
    /// The record in it.
    pub leaf: u32,
}

/// One entry of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// The ledger.
    pub ledger: Ubi,
    /// Its number.
    pub sequence: Sequence,
    /// The transaction's record.
    pub place: Place,
    /// The entry's hash.
    pub hash: Hash,
    /// When it was sealed.
    pub time: Time,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRow {
    /// The order.
    pub order: OrderId,
    /// Its ledger.
    pub ledger: Ubi,
    /// The record that accepted or refused it.
    pub place: Place,
    /// When.
    pub time: Time,
}

/// One step of a settlement as our log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow {
    /// The settlement.
    pub settlement: SettlementId,
    /// The step's name: a statement's kind, or `Settled`, `Refunded`.
    pub step: String,
    /// Who said it.
    pub by: quadrille_protocol::types::Domain,
    /// Our record of it.
    pub place: Place,
    /// When our batch with it was sealed.
    pub time: Time,
}
