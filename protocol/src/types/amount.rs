//! Amounts: whole minor units, checked.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};

use super::domain::shown;
use super::text_serde;
use crate::error::{Code, Refusal};

/// An amount in an asset's minor units (cents, shares, grams). Text form: decimal digits with
/// no sign, no separator and no leading zero. Arithmetic is always checked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
pub struct Amount(u128);

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);
    /// The largest amount that can be written.
    pub const MAX: Amount = Amount(u128::MAX);

    /// An amount of `units` minor units.
    #[must_use]
    pub const fn new(units: u128) -> Self {
        Self(units)
    }

    /// The number of minor units.
    #[must_use]
    pub const fn units(self) -> u128 {
        self.0
    }

    /// Whether it is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, unless it cannot be written.
    #[must_use]
    pub const fn plus(self, other: Amount) -> Option<Amount> {
        match self.0.checked_add(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The difference, unless it is below zero.
    #[must_use]
    pub const fn minus(self, other: Amount) -> Option<Amount> {
        match self.0.checked_sub(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The difference, or nothing where it would be below zero.
    #[must_use]
    pub const fn minus_or_zero(self, other: Amount) -> Amount {
        Self(self.0.saturating_sub(other.0))
    }

    /// The sum.
    ///
    /// # Errors
    /// `Q-1009` when it cannot be written.
    pub fn try_plus(self, other: Amount) -> Result<Amount, Refusal> {
        self.plus(other)
            .ok_or_else(|| Refusal::new(Code::AmountOverflow, format!("{self} + {other}")))
    }

    /// `self * numerator / denominator`, rounded up; exact in 256 bits inside.
    ///
    /// `None` when `denominator` is zero or the result cannot be written.
    #[must_use]
    pub fn scaled_up(self, numerator: Amount, denominator: Amount) -> Option<Amount> {
        let (high, low) = wide_product(self.0, numerator.0);
        let (quotient, remainder) = wide_quotient(high, low, denominator.0)?;
        if remainder == 0 { Some(Self(quotient)) } else { Self(quotient).plus(Self(1)) }
    }

    /// Compares `self * a` with `other * b` exactly, in 256 bits.
    #[must_use]
    pub fn compare_products(self, a: Amount, other: Amount, b: Amount) -> std::cmp::Ordering {
        wide_product(self.0, a.0).cmp(&wide_product(other.0, b.0))
    }
}

/// The 256-bit product as (high, low).
fn wide_product(a: u128, b: u128) -> (u128, u128) {
    const HALF: u128 = u64::MAX as u128;
    let (a1, a0, b1, b0) = (a >> 64, a & HALF, b >> 64, b & HALF);
    let low = a0.wrapping_mul(b0);
    let cross_a = a1.wrapping_mul(b0);
    let cross_b = a0.wrapping_mul(b1);
    let middle = (low >> 64).wrapping_add(cross_a & HALF).wrapping_add(cross_b & HALF);
    let high = a1
        .wrapping_mul(b1)
        .wrapping_add(cross_a >> 64)
        .wrapping_add(cross_b >> 64)
        .wrapping_add(middle >> 64);
    (high, (low & HALF) | middle.wrapping_shl(64))
}

/// The quotient and remainder of the 256-bit `(high, low)` by `divisor`; `None` when `divisor`
/// is zero or the quotient has more than 128 bits, which is so exactly when `high >= divisor`.
fn wide_quotient(high: u128, low: u128, divisor: u128) -> Option<(u128, u128)> {
    if high >= divisor {
        return None;
    }
    // Long division, one bit at a time. The remainder stays below the divisor, so that twice
    // the remainder has at most one bit more than fits: that bit is `carry`.
    let (mut remainder, mut rest, mut quotient) = (high, low, 0_u128);
    for _ in 0..u128::BITS {
        let carry = remainder >> 127;
        remainder = remainder.wrapping_shl(1) | (rest >> 127);
        rest = rest.wrapping_shl(1);
        quotient = quotient.wrapping_shl(1);
        if carry == 1 || remainder >= divisor {
            remainder = remainder.wrapping_sub(divisor);
            quotient |= 1;
        }
    }
    Some((quotient, remainder))
}

impl FromStr for Amount {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = text.len() > 1 && text.starts_with('0');
        if !digits_only || leading_zero {
            return Err(Refusal::new(Code::BadAmount, shown(text)));
        }
        text.parse().map(Self).map_err(|_| Refusal::new(Code::BadAmount, shown(text)))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

text_serde!(Amount);
