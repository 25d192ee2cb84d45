//! The mirror: what two banks have booked with each other, in a form that can be compared.
//!
//! Each side keeps, per peer and asset, how many legs it has booked and a sum of their hashes.
//! A sum does not depend on the order, and taking a leg out is as easy as putting it in. So the
//! receiver of a position can take out what one side has booked and the other, as it knows,
//! not yet; what is left must be equal to the last unit.
//!
//! Invariant: all arithmetic here is modulo a power of two, so that nothing overflows and a
//! difference between two tallies is itself a tally.

use bincode::{Decode, Encode};

use crate::codec;
use crate::crypto::hash::{Tag, hash};
use crate::settlement::Leg;
use crate::types::{Amount, Domain, Hash, SettlementId, Time, Uai};

/// What was booked, as one can add it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Tally {
    /// How many legs.
    pub count: u64,
    /// The sum of their hashes modulo 2^256, the lowest byte first.
    pub digest: Hash,
    /// What the other side owes on balance, modulo 2^128.
    pub net: u128,
}

impl Tally {
    /// One leg, the `place`th of `settlement`, as `domain` books it.
    #[must_use]
    pub fn of_leg(settlement: &SettlementId, place: usize, leg: &Leg, domain: &Domain) -> Self {
        let place = u64::try_from(place).unwrap_or(u64::MAX).to_le_bytes();
        let digest = codec::with_encoded(leg, |bytes| {
            hash(Tag::Booked, &[settlement.as_bytes(), &place, bytes])
        });
        let units = leg.amount.units();
        let net = if leg.to.domain == *domain { units } else { units.wrapping_neg() };
        Self { count: 1, digest, net }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Tally) -> Self {
        Self {
            count: self.count.wrapping_add(other.count),
            digest: add(self.digest, other.digest),
            net: self.net.wrapping_add(other.net),
        }
    }

    /// This one without the other.
    #[must_use]
    pub fn minus(self, other: Tally) -> Self {
        Self {
            count: self.count.wrapping_sub(other.count),
            digest: add(self.digest, negated(other.digest)),
            net: self.net.wrapping_sub(other.net),
        }
    }

    /// The same legs as the other side books them.
    #[must_use]
    pub fn mirrored(self) -> Self {
        Self { net: self.net.wrapping_neg(), ..self }
    }

    /// Whether it is nothing at all.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

/// The domain on the other side of a leg of `domain`; `None` when it does not cross.
#[must_use]
pub fn other_side<'a>(leg: &'a Leg, domain: &Domain) -> Option<&'a Domain> {
    match (leg.from.domain == *domain, leg.to.domain == *domain) {
        (true, false) => Some(&leg.to.domain),
        (false, true) => Some(&leg.from.domain),
        (true, true) | (false, false) => None,
    }
}

/// The sum modulo 2^256.
fn add(one: Hash, other: Hash) -> Hash {
    let mut sum = [0; 32];
    let mut carry = 0_u16;
    for ((to, left), right) in sum.iter_mut().zip(one.0).zip(other.0) {
        let [low, high] =
            u16::from(left).wrapping_add(u16::from(right)).wrapping_add(carry).to_le_bytes();
        *to = low;
        carry = u16::from(high);
    }
    Hash(sum)
}

/// What gives zero when added.
fn negated(digest: Hash) -> Hash {
    let mut one = [0; 32];
    if let Some(lowest) = one.first_mut() {
        *lowest = 1;
    }
    add(Hash(digest.0.map(|byte| !byte)), Hash(one))
}

/// What one bank says it has booked with another.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Position {
    /// The listener.
    pub with: Domain,
    /// The asset.
    pub asset: Uai,
    /// What the speaker owes the listener.
    pub owe: Amount,
    /// What the listener owes the speaker.
    pub claim: Amount,
    /// How many legs the speaker has booked with the listener, ever.
    pub count: u64,
    /// The sum of their hashes.
    pub digest: Hash,
}

impl Position {
    /// As a tally, seen by the speaker.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let net = self.claim.units().wrapping_sub(self.owe.units());
        Tally { count: self.count, digest: self.digest, net }
    }
}

/// When a peer's position was last found to be the mirror of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Reconciled {
    /// When the peer said it, on its clock.
    pub at: Time,
    /// How many legs it had booked.
    pub count: u64,
}

/// A difference that the operator has to explain.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Break {
    /// The peer.
    pub peer: Domain,
    /// What we had booked with it.
    pub ours: Position,
    /// What it says that it had booked with us.
    pub theirs: Position,
}

/// What was booked with a peer in an asset, and how that compares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Mirror {
    /// How many legs we have booked.
    pub count: u64,
    /// The sum of their hashes.
    pub digest: Hash,
    /// How many they were when we last told the peer.
    pub said: u64,
    /// How the peer's last position differs from what ours lets expect.
    pub difference: Tally,
    /// A difference that the operator has explained.
    pub explained: Tally,
    /// The break that nobody has explained yet.
    pub broken: Option<Box<Break>>,
    /// When the two sides last agreed.
    pub reconciled: Option<Reconciled>,
}

impl Mirror {
    /// Notes a leg that was booked.
    pub fn book(&mut self, leg: Tally) {
        let sum = Tally { count: self.count, digest: self.digest, net: 0 }.plus(leg);
        (self.count, self.digest) = (sum.count, sum.digest);
    }

    /// Notes what the peer said, when, and how that differs from what was to be expected.
    pub fn hear(&mut self, told: &Position, at: Time, difference: Tally) {
        self.difference = difference;
        if !self.differs() && self.broken.is_none() {
            self.reconciled = Some(Reconciled { at, count: told.count });
        }
    }

    /// Whether the peer's last position differs by something that nobody has explained.
    #[must_use]
    pub fn differs(&self) -> bool {
        !self.difference.is_zero() && self.difference != self.explained
    }

    /// The operator has found out what the difference is.
    pub fn explain(&mut self) {
        self.explained = self.difference;
        self.broken = None;
    }
}
