//! The HTTP interface.
//!
//! ```text
//!  connection -> server -> admit (room, token, role, body, key) -> handlers -> ports
//!                 events <- index (what is durable, in order) <------------------'
//! ```
//!
//! Invariants: nothing is answered that is not durable; every answer of 400 and above is a
//! problem with a code; a route that the table of access does not name is closed; every number
//! (connections, requests, bodies, keys, subscribers) has a bound.

mod access;
mod admit;
pub mod dto;
mod extract;
mod handlers;
mod holders;
mod idempotency;
pub mod ports;
mod problem;
mod rate;
mod router;
mod server;
mod state;
pub mod tokens;
pub(crate) mod view;
mod watch;

pub use holders::HolderPolicy;
pub use rate::Rate;
pub use server::Server;
pub use state::{ApiSettings, Node};
pub(crate) use watch::{BookWatch, LOOK};
