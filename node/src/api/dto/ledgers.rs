//! Ledgers and their entries.

use quadrille_protocol::types::{
    Amount, Country, Detail, Domain, Hash, Holder, KeyId, Nonce, OrderId, Sequence, SettlementId,
    Time, Uai, Ubi,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Place, Reason};

/// Whether a ledger takes orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LedgerStatus {
    /// It does.
    Open,
    /// The bank has frozen it.
    Frozen,
    /// It is closed for good.
    Closed,
}

/// A ledger in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerSummary {
    /// The ledger.
    #[schema(value_type = String)]
    pub ledger: Ubi,
    /// Whose it is.
    #[schema(value_type = String, example = "alice@bank-a.example")]
    pub holder: Holder,
    /// Tells several ledgers of one holder apart.
    pub number: u32,
    /// Whether it takes orders.
    pub status: LedgerStatus,
    /// The number of its last entry.
    #[schema(value_type = String)]
    pub sequence: Sequence,
}

/// A ledger as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerView {
    /// The ledger.
    #[schema(value_type = String)]
    pub ledger: Ubi,
    /// Whose it is.
    #[schema(value_type = String, example = "alice@bank-a.example")]
    pub holder: Holder,
    /// Tells several ledgers of one holder apart.
    pub number: u32,
    /// Whether it takes orders.
    pub status: LedgerStatus,
    /// The key its orders are signed with.
    #[schema(value_type = String)]
    pub key: KeyId,
    /// The suite of that key: 1, 2 or 3.
    pub suite: u8,
    /// The holder's KYC tier.
    pub tier: u8,
    /// Where the holder is resident or incorporated (ISO 3166-1); `null` where that is not said.
    #[schema(value_type = Option<String>, example = "DE")]
    pub jurisdiction: Option<Country>,
    /// The salted hash of the holder's personal data, which the bank keeps sealed; `null` for
    /// none.
    #[schema(value_type = Option<String>)]
    pub identity: Option<Hash>,
    /// The rules.
    pub rules: RulesView,
    /// What is on it, per asset.
    pub balances: Vec<BalanceView>,
    /// Open settlements that touch it.
    pub open_settlements: u32,
    /// The highest nonce that an accepted order has used; 0 for none. A new order's nonce is
    /// above it, by 64 at most.
    #[schema(value_type = String)]
    pub highest_nonce: Nonce,
    /// The number of its last entry.
    #[schema(value_type = String)]
    pub sequence: Sequence,
    /// The hash of that entry.
    #[schema(value_type = String)]
    pub head: Hash,
}

/// What a ledger's holder has laid down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RulesView {
    /// Assets it takes; empty for all.
    #[schema(value_type = Vec<String>)]
    pub assets: Vec<Uai>,
    /// Above these the second key must sign too.
    pub daily_limits: Vec<DailyLimitView>,
    /// The second key.
    #[schema(value_type = Option<String>)]
    pub second_key: Option<KeyId>,
    /// Validators that may take over.
    #[schema(value_type = Vec<String>)]
    pub backups: Vec<Domain>,
}

/// How much of an asset may leave a ledger in one UTC day with the first key alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DailyLimitView {
    /// The asset.
    #[schema(value_type = String)]
    pub asset: Uai,
    /// The most, in minor units.
    #[schema(value_type = String)]
    pub amount: Amount,
}

/// The balance of one asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BalanceView {
    /// The asset.
    #[schema(value_type = String, example = "EUR:bank-b.example#0011223344556677")]
    pub asset: Uai,
    /// What the holder can dispose of, in minor units.
    #[schema(value_type = String)]
    pub free: Amount,
    /// What is set aside under offers, takes and settlements, in minor units.
    #[schema(value_type = String)]
    pub held: Amount,
}

/// Another key for a ledger whose holder has lost its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// The holder's proof (`SignedReplacement`), its canonical bytes in hexadecimal.
    pub bytes: String,
    /// Why, in the bank's words; it stands in the ledger. At most 240 bytes.
    #[schema(value_type = String)]
    pub reason: Detail,
}

/// One entry of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryView {
    /// Its number in the ledger; the opening is 1.
    #[schema(value_type = String)]
    pub sequence: Sequence,
    /// Its hash, which the next entry names.
    #[schema(value_type = String)]
    pub hash: Hash,
    /// When it was booked.
    #[schema(value_type = String)]
    pub time: Time,
    /// Why, in a word: opened, ordered, issued, frozen, unfrozen, settled, refunded, traded,
    /// offer ended, take ended, payment ended, key replaced.
    #[schema(example = "settled")]
    pub cause: String,
    /// The order behind it, where there is one.
    #[schema(value_type = Option<String>)]
    pub order: Option<OrderId>,
    /// The settlement behind it, where there is one.
    #[schema(value_type = Option<String>)]
    pub settlement: Option<SettlementId>,
    /// Why something ended, where something did.
    pub reason: Option<Reason>,
    /// What moved; may be empty.
    pub movements: Vec<MovementView>,
    /// Its transaction's place in the log.
    pub place: Place,
}

/// What a movement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
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

/// One movement of one asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MovementView {
    /// The asset.
    #[schema(value_type = String)]
    pub asset: Uai,
    /// What happens to it.
    pub kind: MovementKind,
    /// How much, in minor units.
    #[schema(value_type = String)]
    pub amount: Amount,
}
