//! Cryptography: hashing, Merkle trees, signature suites and sealing.
//!
//! Invariants:
//! * Every hash and signature names its purpose with a [`hash::Tag`]: bytes made for one purpose
//!   never pass for another.
//! * Nothing here draws randomness by itself, with two exceptions that only the edge reaches:
//!   signing with a post-quantum half (hedged signatures) and generating a Dilithium3 key. What
//!   verifies, hashes or opens is a function of its arguments.
//! * Secrets are wiped when dropped and never shown by `Debug`.

pub mod hash;
pub mod merkle;
pub mod seal;
pub mod suite;
