//! Local networks of real processes, for testers: an authority, a bootstrap peer and banks, each
//! a `quadrille` process of its own, on this machine's loopback.
//!
//! Everything of a network is in one folder, so several run side by side. Nothing here is a part
//! of the protocol: banks are driven through the same files, programs and HTTP interface that
//! an operator has.

pub mod audit;
pub mod clients;
pub mod command;
pub mod demo;
pub mod fund;
pub mod interrupt;
pub mod layout;
pub mod means;
pub mod measure;
pub mod ports;
pub mod prepare;
pub mod process;
pub mod room;
pub mod snapshot;
pub mod start;
pub mod state;
pub mod top;
pub mod topology;
pub mod tour;
pub mod trader;
pub mod up;
