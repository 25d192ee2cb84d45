//! What a maker and a taker sign.
//!
//! Invariant: terms that passed `check` have a price, and taking any part of them at
//! `fair_price` never gives the maker less than the price asks for: rounding is in its favour.

use bincode::{Decode, Encode};

use super::Price;
use crate::error::Refusal;
use crate::limits::{
    NOTICE_LIFE_MAX_MS, OFFER_COUNTERPARTIES, ORDER_LIFE_MS, SELECTION_WINDOW_MAX_MS,
};
use crate::refuse;
use crate::settlement::agreement::Account;
use crate::types::{Amount, AssetPair, Bounded, Domain, Duration, OrderId, Time, Uai};

/// The terms of an offer: up to `give_amount` of `give` at `want_amount / give_amount` or better.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OfferTerms {
    /// The asset that the maker gives.
    pub give: Uai,
    /// How much of it at most, in minor units.
    pub give_amount: Amount,
    /// The asset that the maker wants.
    pub want: Uai,
    /// How much of it for the whole, in minor units.
    pub want_amount: Amount,
    /// The least of `give` in one take; zero for no minimum. Waived for a take of all that is
    /// left once less than this is left.
    pub minimum_fill: Amount,
    /// From this time on the offer takes no takes.
    pub expiry: Time,
    /// The domains whose holders may take it; empty for anybody.
    pub counterparties: Bounded<Domain, OFFER_COUNTERPARTIES>,
    /// The domain that is to decide the settlement, where the maker asks for one.
    pub notary: Option<Domain>,
    /// How long takes are gathered after the first one before the best are selected; zero for
    /// first come, first served.
    pub selection_window: Duration,
    /// Where the maker receives, when that is not the ledger that gives. It is not published.
    pub receive: Option<Account>,
}

impl OfferTerms {
    /// Checks the terms of an offer placed at `now`.
    ///
    /// # Errors
    /// `Q-1509` an amount is zero, the minimum is above the amount, both assets are the same or
    /// the selection window is too long; `Q-1502` it has expired; `Q-1409` it lives too long.
    pub fn check(&self, now: Time) -> Result<(), Refusal> {
        self.check_life(now, Duration(ORDER_LIFE_MS))
    }

    /// As `check`, for terms that another validator has checked by its own clock.
    pub(super) fn check_received(&self, now: Time) -> Result<(), Refusal> {
        self.check_life(now, Duration(NOTICE_LIFE_MAX_MS))
    }

    fn check_life(&self, now: Time, life_max: Duration) -> Result<(), Refusal> {
        self.check_shape()?;
        if self.expiry <= now {
            refuse!(OfferExpired, "expired {}", self.expiry);
        }
        if self.expiry > now.after(life_max) {
            refuse!(OrderLifeTooLong, "expires {}, at most {} ms ahead", self.expiry, life_max.0);
        }
        Ok(())
    }

    /// The part of `check` that needs no time.
    pub(super) fn check_shape(&self) -> Result<(), Refusal> {
        if self.give_amount.is_zero() || self.want_amount.is_zero() {
            refuse!(BadOffer, "gives {} for {}", self.give_amount, self.want_amount);
        }
        if self.minimum_fill > self.give_amount {
            refuse!(BadOffer, "minimum {} of {}", self.minimum_fill, self.give_amount);
        }
        if self.give == self.want {
            refuse!(BadOffer, "gives and wants {}", self.give);
        }
        if self.selection_window > Duration(SELECTION_WINDOW_MAX_MS) {
            let window_ms = self.selection_window.0;
            refuse!(BadOffer, "window of {window_ms} ms, at most {SELECTION_WINDOW_MAX_MS}");
        }
        Ok(())
    }

    /// What is given and what is wanted.
    #[must_use]
    pub fn pair(&self) -> AssetPair {
        AssetPair { give: self.give.clone(), want: self.want.clone() }
    }

    /// The price asked for; `None` only for terms that `check` refuses.
    #[must_use]
    pub fn price(&self) -> Option<Price> {
        Price::new(self.want_amount, self.give_amount)
    }

    /// Whether a holder at `domain` may take the offer.
    #[must_use]
    pub fn admits(&self, domain: &Domain) -> bool {
        self.counterparties.is_empty() || self.counterparties.contains(domain)
    }

    /// Whether paying `pay_amount` of `want` for `take_amount` of `give` is the offer's price or
    /// better for the maker: `pay / take >= want / give`, exactly.
    #[must_use]
    pub fn price_accepts(&self, take_amount: Amount, pay_amount: Amount) -> bool {
        pay_amount.compare_products(self.give_amount, self.want_amount, take_amount).is_ge()
    }

    /// The least of `want` that is accepted for `take_amount` of `give`, rounded up to a whole
    /// minor unit. `None` when it cannot be written, which takes more than `give_amount`.
    #[must_use]
    pub fn fair_price(&self, take_amount: Amount) -> Option<Amount> {
        take_amount.scaled_up(self.want_amount, self.give_amount)
    }
}

/// The terms of a take: all of `take` for `pay`, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TakeTerms {
    /// The offer.
    pub offer: OrderId,
    /// The maker's validator.
    pub maker: Domain,
    /// How much of the asset that the offer gives, in minor units.
    pub take: Amount,
    /// How much of the asset that the offer wants, in minor units.
    pub pay: Amount,
    /// The offer's notary, to which the taker agrees; `None` where the taker's own bank decides.
    pub notary: Option<Domain>,
    /// From this time on the take no longer stands.
    pub expiry: Time,
    /// Where the taker receives, when that is not the ledger that pays.
    pub receive: Option<Account>,
}

impl TakeTerms {
    /// Checks the terms of a take signed for `now`.
    ///
    /// # Errors
    /// `Q-1417` an amount is zero, `Q-1408` it has expired, `Q-1409` it lives too long.
    pub fn check(&self, now: Time) -> Result<(), Refusal> {
        if self.take.is_zero() || self.pay.is_zero() {
            refuse!(ZeroAmount, "takes {} for {}", self.take, self.pay);
        }
        if self.expiry <= now {
            refuse!(OrderExpired, "expired {}", self.expiry);
        }
        if self.expiry > now.after(Duration(ORDER_LIFE_MS)) {
            refuse!(OrderLifeTooLong, "expires {}", self.expiry);
        }
        Ok(())
    }
}
