//! Local networks for testers, and the deterministic simulator.

pub mod bench;
pub mod load;
pub mod local;
pub mod scale;
pub mod scenario;
pub mod sim;
