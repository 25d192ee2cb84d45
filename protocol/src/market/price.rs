//! Prices as exact fractions.
//!
//! Invariant: `give` is above zero, so that comparing by cross multiplication is a total order.
//! No price is ever divided out: 1/3 stays 1/3.

use std::cmp::Ordering;

use crate::types::Amount;

/// How much of the wanted asset for how much of the given one: `want / give`, both in minor
/// units. Ordered and equal by value: 1/2 is 2/4.
#[derive(Debug, Clone, Copy)]
pub struct Price {
    want: Amount,
    give: Amount,
}

impl Price {
    /// The price `want / give`; `None` when `give` is zero.
    #[must_use]
    pub fn new(want: Amount, give: Amount) -> Option<Self> {
        (!give.is_zero()).then_some(Self { want, give })
    }

    /// The numerator: minor units of the wanted asset.
    #[must_use]
    pub const fn want(self) -> Amount {
        self.want
    }

    /// The denominator: minor units of the given asset, above zero.
    #[must_use]
    pub const fn give(self) -> Amount {
        self.give
    }
}

impl PartialEq for Price {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Price {}

impl PartialOrd for Price {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Price {
    fn cmp(&self, other: &Self) -> Ordering {
        self.want.compare_products(other.give, other.want, self.give)
    }
}
