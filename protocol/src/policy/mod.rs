//! What a bank must know and check of people: identities, travel rule data, sealed payloads.
//!
//! ```text
//!   holder's data --hash--> opening (signed by the holder)     data: sealed in the bank's vault
//!   memo, identities --Payload--hash--> agreement              payload: sealed to the payee's bank
//! ```
//!
//! Invariants:
//! * Personal data are in no record and in no `Debug` output: a record has their salted hash.
//! * A refusal names the field that is wrong and never its content.

pub mod identity;
pub mod ivms101;
pub mod payload;
pub mod travel;
