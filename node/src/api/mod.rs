//! The HTTP interface.

pub mod dto;
