//! The node: the protocol's core on real disks and sockets.
//!
//! ```text
//!   cli --> api --> engine (core, one turn at a time) --> sealing (log_store, signer)
//!            |         ^                                     |            |
//!            v         | verified inputs                     v            v
//!          index <-----+------ mesh (sessions, gossip) <-- feeds        index
//! ```
//!
//! Data flows one way: inputs are verified, the core decides, the batch is made durable and
//! signed, and only then does anything leave. Everything outside `log_store` can be lost and
//! is rebuilt from it.

pub mod api;
pub mod armour;
pub mod cli;
pub mod client;
pub mod compliance;
pub mod config;
pub mod engine;
pub mod enrol;
pub mod evidence;
pub mod faults;
pub mod feeds;
pub mod files;
pub mod hooks;
pub mod index;
pub mod log_store;
pub mod mesh;
pub mod network_file;
pub mod payments;
pub mod relations;
pub mod runtime;
pub mod signer;
pub mod telemetry;
pub mod vault;
pub mod wallet;

mod toml_text;
