//! Admission to a network: the authority's keys, the register of members, and the peer that
//! everybody can dial first.
//!
//! ```text
//!  request file --> office (authority key) --> register on disk --> certificate file
//!                                                   |
//!                                                   v
//!                                  serve: roll in memory --> mesh: member list, revocations
//! ```
//!
//! Two keys, apart: the authority's signs certificates and revocations and is needed only while
//! `approve` or `revoke` runs; the bootstrap peer has a key of its own, which can admit nobody.

pub mod cli;
pub mod found;
pub mod host;
pub mod layout;
pub mod lock;
pub mod office;
pub mod register;
pub mod roll;
pub mod serve;
