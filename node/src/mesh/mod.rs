//! The mesh: sessions with members over post-quantum TLS, gossip of offers, the directory of
//! gateways.

pub mod host;
pub mod wire;
