//! The pure core of Quadrille. See `SPEC.md` for the protocol and `GLOSSARY.md` for the words.
//!
//! ```text
//! types <- codec <- crypto <- identity <- log, ledger, market, settlement <- validator
//! ```
//!
//! Absent on purpose: I/O, clocks, randomness, private keys, async, unordered iteration.

pub mod codec;
pub mod crypto;
pub mod error;
pub mod identity;
pub mod invariant;
pub mod ledger;
pub mod limits;
pub mod log;
pub mod market;
pub mod payment;
pub mod policy;
pub mod sabotage;
pub mod settlement;
pub mod types;
pub mod validator;
