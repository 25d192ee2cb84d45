//! The engine: the one loop around the core, and what seals its batches.

pub mod handle;

pub use handle::{Answer, Engine, EngineError};
