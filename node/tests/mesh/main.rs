//! The mesh over real sockets, with real certificates and signatures.

mod handshake;
mod sessions;
mod support;
mod transport;
