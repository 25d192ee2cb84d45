//! What is published about an offer.
//!
//! Invariant: a notice names the maker's validator and never the maker or a ledger of its own. Who stands
//! behind an offer is learnt only by whom it trades with.

use bincode::{Decode, Encode};

use super::OfferTerms;
use crate::error::{Code, Refusal};
use crate::refuse;
use crate::types::{Amount, AssetPair, Domain, OrderId, Time};

/// A live offer, as its maker's validator publishes it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OfferNotice {
    /// The offer.
    pub offer: OrderId,
    /// The maker's validator.
    pub validator: Domain,
    /// Rises with everything published about the offer.
    pub version: u32,
    /// The terms.
    pub terms: OfferTerms,
    /// How much of `terms.give` can be taken now, in minor units. Zero while open settlements
    /// have reserved all of it.
    pub remaining: Amount,
}

impl OfferNotice {
    /// Checks a notice received at `now`. Allows for clocks that differ a little.
    ///
    /// # Errors
    /// `Q-1509` the terms do not hold together or more remains than was offered, `Q-1502` it has
    /// expired, `Q-1409` it lives too long.
    pub fn check(&self, now: Time) -> Result<(), Refusal> {
        self.terms.check_received(now)?;
        self.check_remaining()?;
        self.check_private()
    }

    /// The part of `check` that needs no time.
    pub(super) fn check_shape(&self) -> Result<(), Refusal> {
        self.terms.check_shape()?;
        self.check_remaining()
    }

    /// Where the maker receives is for whoever it trades with.
    fn check_private(&self) -> Result<(), Refusal> {
        if self.terms.receive.is_some() {
            refuse!(BadOffer, "a notice says where the maker receives");
        }
        Ok(())
    }

    fn check_remaining(&self) -> Result<(), Refusal> {
        if self.remaining > self.terms.give_amount {
            refuse!(BadOffer, "{} left of {}", self.remaining, self.terms.give_amount);
        }
        Ok(())
    }
}

/// An offer that is live no more, as its maker's validator publishes it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OfferClosed {
    /// The offer.
    pub offer: OrderId,
    /// The maker's validator.
    pub validator: Domain,
    /// What it gave and wanted: whoever follows the pair hears of its end.
    pub pair: AssetPair,
    /// Above that of every notice of the offer.
    pub version: u32,
    /// Why: cancelled, expired, or nothing left (`Q-1501`).
    pub reason: Code,
}
