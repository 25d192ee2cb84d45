//! Local networks for testers, and the deterministic simulator.

pub mod local;
pub mod scale;
pub mod sim;
