//! The market: what is offered, who takes it, and what the network is told of it.
//!
//! A maker's validator keeps an [`Offer`] for each order of its customers and decides alone who
//! takes it. Every validator keeps a [`Book`] of the notices that makers' validators publish: a
//! view, never an authority. A stale or false notice costs its reader a refused take, no money.
//!
//! ```text
//!   Live --cancel--> Cancelled     Nothing leaves Cancelled, Expired or Filled. What open
//!    | \--expire---> Expired       settlements have reserved outlives the offer: it is filled
//!    \--last fill--> Filled        or released as each of them ends.
//! ```
//!
//! Invariants: `reserved <= remaining <= give_amount` of every offer; prices are compared as
//! exact fractions and never divided; nothing here reads a clock or moves money. A time that is
//! wrong refuses a take or ends an offer early, no more.

mod book;
mod live;
mod notice;
mod offer;
mod price;
mod terms;
mod tombstones;

pub use book::Book;
pub use live::{live_root, verify_live};
pub use notice::{OfferClosed, OfferNotice};
pub use offer::{Considered, Offer, OfferState, Selection, WaitingTake, Withdrawal};
pub use price::Price;
pub use terms::{OfferTerms, TakeTerms};

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may overflow: it fails then")]
mod tests;
