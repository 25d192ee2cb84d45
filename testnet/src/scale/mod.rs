//! Models of networks of 10 to 10,000 banks.

pub mod draw;
pub mod map;
pub mod topology;
