//! Local networks for testers, and the deterministic simulator.

pub mod load;
pub mod local;
pub mod scenario;
pub mod scale;
pub mod sim;
