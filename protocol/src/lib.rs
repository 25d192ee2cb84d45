//! The pure core of Quadrille. See `SPEC.md` for the protocol and `GLOSSARY.md` for the words.

pub mod codec;
pub mod crypto;
pub mod error;
pub mod limits;
pub mod market;
pub mod types;
