//! Correspondent ledgers: what two validators owe each other, per asset.

use bincode::{Decode, Encode};

use super::mirror::Mirror;
use super::transaction::Side;
use crate::error::{Code, Fault, Refusal};
use crate::sabotage::{Bug, planted};
use crate::types::{Amount, Domain, Uai};

/// What we and one peer owe each other in one asset, and how far we trust it. Of `owe` and
/// `claim` at most one is above zero. The peer keeps the mirror image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Correspondent {
    /// What we owe the peer.
    pub owe: Amount,
    /// What the peer owes us: our exposure.
    pub claim: Amount,
    /// The most it may owe us; zero is no trust.
    pub limit: Amount,
    /// What open settlements will bring: less to owe, or more to claim.
    pub reserved: Amount,
    /// What was booked with the peer, to compare with what it has booked.
    pub mirror: Mirror,
}

impl Correspondent {
    /// Whether `amount` more may be owed to us.
    ///
    /// # Errors
    /// `Q-1421` no trust at all, `Q-1420` not that much, `Q-2701` its books and ours differ.
    pub fn check_headroom(
        &self,
        peer: &Domain,
        asset: &Uai,
        amount: Amount,
    ) -> Result<(), Refusal> {
        if self.mirror.broken.is_some() && !planted(Bug::BreakIgnored) {
            crate::refuse!(BooksDiffer, "{} with {peer}", asset.code());
        }
        let headroom = self.headroom();
        if self.limit.is_zero() && (headroom.is_zero() || headroom < amount) {
            crate::refuse!(NoTrust, "in {peer} for {}", asset.code());
        }
        if headroom < amount {
            let code = asset.code();
            crate::refuse!(CreditLimit, "of {peer}: {headroom} {code} left, {amount} wanted");
        }
        Ok(())
    }

    /// How much more may come in from the peer: what only lowers our own debt to it needs no
    /// trust, what goes beyond that counts against the limit.
    #[must_use]
    pub fn headroom(&self) -> Amount {
        // A sum that cannot be written is more than anybody can want.
        let room = self.limit.plus(self.owe).unwrap_or(Amount::MAX);
        room.minus_or_zero(self.claim).minus_or_zero(self.reserved)
    }

    /// What the peer owes us, or will when everything open settles: never more than the limit
    /// unless the limit was lowered.
    #[must_use]
    pub fn exposure(&self) -> Amount {
        let coming = self.claim.plus(self.reserved).unwrap_or(Amount::MAX);
        coming.minus_or_zero(self.owe)
    }

    /// Sets `amount` of the headroom aside.
    ///
    /// # Errors
    /// A fault beyond what can be written.
    pub fn reserve(&mut self, amount: Amount) -> Result<(), Fault> {
        self.reserved =
            self.reserved.plus(amount).ok_or_else(|| Fault::new("reserved overflow"))?;
        Ok(())
    }

    /// Gives `amount` of the headroom back.
    ///
    /// # Errors
    /// A fault when less was reserved.
    pub fn release(&mut self, amount: Amount) -> Result<(), Fault> {
        self.reserved = self
            .reserved
            .minus(amount)
            .ok_or_else(|| Fault::new("more credit released than reserved"))?;
        Ok(())
    }

    /// Books `amount` on one side.
    ///
    /// # Errors
    /// A fault beyond what can be written.
    pub fn post(&mut self, side: Side, amount: Amount) -> Result<(), Fault> {
        let (same, other) = match side {
            Side::Credit => (&mut self.owe, &mut self.claim),
            Side::Debit => (&mut self.claim, &mut self.owe),
        };
        let offset = (*other).min(amount);
        *other = other.minus_or_zero(offset);
        *same = same
            .plus(amount.minus_or_zero(offset))
            .ok_or_else(|| Fault::new(Code::AmountOverflow.title()))?;
        Ok(())
    }
}
