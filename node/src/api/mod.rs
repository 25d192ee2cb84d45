//! The HTTP interface.

mod access;
pub mod dto;
mod extract;
mod idempotency;
pub mod ports;
mod problem;
mod rate;
pub mod tokens;
