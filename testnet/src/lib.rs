//! Local networks for testers, and the deterministic simulator.

pub mod local;
pub mod scenario;
pub mod sim;
