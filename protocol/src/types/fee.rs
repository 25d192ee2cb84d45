//! What a domain asks for passing a payment on.

use bincode::{Decode, Encode};

use super::Amount;

/// The parts of an amount that a fee's share is counted in.
const MILLION: Amount = Amount::new(1_000_000);

/// A fee on what is passed on: a flat part and a share. It is asked for in the asset that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode)]
pub struct Fee {
    /// The part that does not depend on the amount, in minor units.
    pub flat: Amount,
    /// The share, in millionths of what goes out, rounded up to a whole minor unit.
    pub ppm: u32,
}

impl Fee {
    /// The fee for passing `out` on; `None` when it cannot be written.
    #[must_use]
    pub fn of(&self, out: Amount) -> Option<Amount> {
        let share = out.scaled_up(Amount::new(u128::from(self.ppm)), MILLION)?;
        self.flat.plus(share)
    }

    /// The least that must come in for `out` to go out; `None` when it cannot be written.
    #[must_use]
    pub fn gross(&self, out: Amount) -> Option<Amount> {
        out.plus(self.of(out)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_is_its_flat_part_and_its_share_rounded_up() {
        let fee = Fee { flat: Amount::new(3), ppm: 2_500 };
        for (out, wanted) in [(0, 3), (1, 4), (400, 4), (401, 5), (1_000_000, 2_503)] {
            assert_eq!(fee.of(Amount::new(out)), Some(Amount::new(wanted)), "of {out}");
            assert_eq!(fee.gross(Amount::new(out)), Some(Amount::new(out + wanted)));
        }
        assert_eq!(Fee::default().gross(Amount::MAX), Some(Amount::MAX));
        assert_eq!(fee.gross(Amount::MAX), None);
    }
}
