//! Money: double entry everywhere, one hash-linked chain per holder's ledger.

pub mod account;
pub mod asset;
pub mod books;
pub mod correspondent;
pub mod mirror;
pub mod opening;
pub mod order;
pub mod replacement;
pub mod supply;
pub mod transaction;

pub use account::Ledger;
pub use asset::{Asset, AssetProfile, Document};
pub use books::{Books, Postings};
pub use correspondent::Correspondent;
pub use mirror::{Mirror, Position, Tally};
pub use opening::{Opening, SignedOpening, VerifiedOpening};
pub use order::{Action, Order, Payment, SignedOrder, VerifiedOrder};
pub use replacement::{KeyReplaced, Replacement, SignedReplacement, VerifiedReplacement};
pub use supply::{Attestation, Supply};
pub use transaction::{Cause, Transaction};

#[cfg(test)]
mod tests;
