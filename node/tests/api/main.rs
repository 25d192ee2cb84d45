//! The HTTP interface over real connections, in front of banks that really trade.

mod bank;
mod events;
mod hooks;
mod hostile;
mod money;
mod names;
mod rules;
#[path = "../../../protocol/tests/support/mod.rs"]
mod support;
mod trade;
