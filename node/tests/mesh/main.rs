//! The mesh over real sockets, with real certificates and signatures.

mod ask;
mod directory;
mod garbage;
mod gossip;
mod handshake;
mod pages;
mod rogue;
mod sessions;
mod support;
mod transport;
