//! One holder's ledger: balances, chain, rules and used nonces.

use bincode::{Decode, Encode};

use super::opening::{Opening, Parameters};
use super::transaction::{Movement, MovementKind};
use crate::error::{Code, Fault, Refusal};
use crate::limits;
use crate::types::{Amount, Hash, Holder, KeyId, Nonce, OrderId, Sequence, Time, Uai};

/// Whether a ledger takes orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Status {
    /// It does.
    Open,
    /// The bank has frozen it: no new orders, no new locks. What is promised is still kept.
    Frozen,
    /// It is closed for good.
    Closed,
}

/// The balance of one asset: the held part is set aside for something.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Balance {
    /// The asset.
    pub asset: Uai,
    /// What the holder can dispose of.
    pub free: Amount,
    /// What is set aside under offers, takes and settlements.
    pub held: Amount,
}

/// What left a ledger on one UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Spent {
    asset: Uai,
    day: u64,
    amount: Amount,
}

/// A holder's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Ledger {
    /// Whose it is.
    pub holder: Holder,
    /// Its parameters.
    pub parameters: Parameters,
    /// The key its orders are signed with.
    pub key: KeyId,
    /// Whether it takes orders.
    pub status: Status,
    /// The number of its last entry.
    pub sequence: Sequence,
    /// The hash of its last entry.
    pub head: Hash,
    /// Open settlements that touch it.
    pub settlements: u32,
    balances: Vec<Balance>,
    nonces: Nonces,
    spent: Vec<Spent>,
}

impl Ledger {
    /// An empty ledger without any entry.
    #[must_use]
    pub fn new(opening: &Opening) -> Self {
        Self {
            holder: opening.holder.clone(),
            parameters: Parameters::of(opening),
            key: opening.key.id(),
            status: Status::Open,
            sequence: Sequence(0),
            head: Hash::ZERO,
            settlements: 0,
            balances: Vec::new(),
            nonces: Nonces::default(),
            spent: Vec::new(),
        }
    }

    /// Its balances.
    #[must_use]
    pub fn balances(&self) -> &[Balance] {
        &self.balances
    }

    /// The free and the held part of `asset`.
    #[must_use]
    pub fn balance(&self, asset: &Uai) -> (Amount, Amount) {
        self.balances
            .iter()
            .find(|balance| balance.asset == *asset)
            .map_or((Amount::ZERO, Amount::ZERO), |balance| (balance.free, balance.held))
    }

    /// Whether nothing is left on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.balances.iter().all(|balance| balance.free.is_zero() && balance.held.is_zero())
    }

    /// Whether it takes orders and new locks.
    ///
    /// # Errors
    /// `Q-1403` frozen, `Q-1404` closed.
    pub fn check_open(&self) -> Result<(), Refusal> {
        match self.status {
            Status::Open => Ok(()),
            Status::Frozen => crate::refuse!(LedgerFrozen, "of {}", self.holder),
            Status::Closed => crate::refuse!(LedgerClosed, "of {}", self.holder),
        }
    }

    /// Whether `amount` of `asset` is free.
    ///
    /// # Errors
    /// `Q-1405`.
    pub fn check_free(&self, asset: &Uai, amount: Amount) -> Result<(), Refusal> {
        let (free, _) = self.balance(asset);
        if free < amount {
            crate::refuse!(InsufficientFunds, "{amount} {} wanted, {free} free", asset.code());
        }
        Ok(())
    }

    /// Whether it may receive `asset`.
    ///
    /// # Errors
    /// `Q-1403`, `Q-1404`, `Q-1410`.
    pub fn check_receives(&self, asset: &Uai) -> Result<(), Refusal> {
        self.check_open()?;
        if !self.parameters.allows(asset) {
            crate::refuse!(AssetNotAllowed, "{asset}");
        }
        Ok(())
    }

    /// Applies one movement.
    ///
    /// # Errors
    /// A fault when a balance would go below zero or beyond what can be written.
    pub fn apply(&mut self, movement: &Movement) -> Result<(), Fault> {
        let holder = self.holder.clone();
        let broken = || {
            let kind = movement.kind;
            Fault::new(format!("{kind:?} of {} {} at {holder}", movement.amount, movement.asset))
        };
        let balance = self.balance_mut(&movement.asset);
        let (free, held, amount) = (balance.free, balance.held, movement.amount);
        let moved = match movement.kind {
            MovementKind::Credit => free.plus(amount).map(|free| (free, held)),
            MovementKind::Debit => free.minus(amount).map(|free| (free, held)),
            MovementKind::Hold => free.minus(amount).zip(held.plus(amount)),
            MovementKind::Release => free.plus(amount).zip(held.minus(amount)),
            MovementKind::Spend => held.minus(amount).map(|held| (free, held)),
        };
        (balance.free, balance.held) = moved.ok_or_else(broken)?;
        Ok(())
    }

    fn balance_mut(&mut self, asset: &Uai) -> &mut Balance {
        let at = self.balances.iter().position(|balance| balance.asset == *asset);
        let at = at.unwrap_or_else(|| {
            self.balances.push(Balance {
                asset: asset.clone(),
                free: Amount::ZERO,
                held: Amount::ZERO,
            });
            self.balances.len().saturating_sub(1)
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed on the line above")]
        &mut self.balances[at]
    }

    /// Whether an order with this nonce and id may be taken up.
    ///
    /// # Errors
    /// `Q-1406` used by another order, `Q-1407` too old to tell, `Q-1423` too far ahead.
    pub fn check_nonce(&self, nonce: Nonce, order: OrderId) -> Result<NonceState, Refusal> {
        self.nonces.check(nonce, order)
    }

    /// The highest nonce used; zero for none. A holder's next order is numbered behind it.
    #[must_use]
    pub fn highest_nonce(&self) -> Nonce {
        self.nonces.highest
    }

    /// Notes that a nonce was used.
    pub fn use_nonce(&mut self, nonce: Nonce, order: OrderId) {
        self.nonces.note(nonce, order);
    }

    /// What of `asset` left the ledger on the day of `now`.
    #[must_use]
    pub fn spent_today(&self, asset: &Uai, now: Time) -> Amount {
        self.spent
            .iter()
            .find(|spent| spent.asset == *asset && spent.day == now.day())
            .map_or(Amount::ZERO, |spent| spent.amount)
    }

    /// Notes that `amount` of `asset` was ordered away at `now`. Kept only for assets with a
    /// limit.
    pub fn note_spent(&mut self, asset: &Uai, amount: Amount, now: Time) {
        if self.parameters.daily_limit(asset).is_none() {
            return;
        }
        let before = self.spent_today(asset, now);
        self.spent.retain(|spent| spent.asset != *asset);
        self.spent.push(Spent {
            asset: asset.clone(),
            day: now.day(),
            amount: before.plus(amount).unwrap_or(Amount::MAX),
        });
    }
}

/// What is known of a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceState {
    /// It was never used.
    Fresh,
    /// This very order used it: its effect has happened, and happens once.
    Repeated,
}

/// The nonces a ledger has used: an anti-replay window, bounded and free of clocks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
struct Nonces {
    highest: Nonce,
    /// Bit `i` is set when `highest - i` was used.
    used: u64,
    recent: Vec<(Nonce, OrderId)>,
}

impl Nonces {
    fn check(&self, nonce: Nonce, order: OrderId) -> Result<NonceState, Refusal> {
        if self.recent.contains(&(nonce, order)) {
            return Ok(NonceState::Repeated);
        }
        if nonce > self.highest {
            // One order must not be able to use up all numbers there are.
            if nonce.0.saturating_sub(self.highest.0) > limits::NONCE_WINDOW {
                crate::refuse!(NonceTooFar, "{nonce}, highest used {}", self.highest);
            }
            return Ok(NonceState::Fresh);
        }
        let behind = self.highest.0.saturating_sub(nonce.0);
        if behind >= limits::NONCE_WINDOW {
            crate::refuse!(NonceTooOld, "{nonce}, highest used {}", self.highest);
        }
        if self.used.checked_shr(u32::try_from(behind).unwrap_or(u32::MAX)).unwrap_or(0) & 1 == 1 {
            return Err(Refusal::new(Code::NonceUsed, nonce.to_string()));
        }
        Ok(NonceState::Fresh)
    }

    fn note(&mut self, nonce: Nonce, order: OrderId) {
        if nonce > self.highest {
            let ahead = nonce.0.saturating_sub(self.highest.0);
            let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
            self.used = self.used.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = nonce;
        } else {
            let behind = self.highest.0.saturating_sub(nonce.0);
            let bit = 1u64.checked_shl(u32::try_from(behind).unwrap_or(u32::MAX)).unwrap_or(0);
            self.used |= bit;
        }
        if self.recent.len() >= limits::RECENT_ORDERS {
            self.recent.remove(0);
        }
        self.recent.push((nonce, order));
    }
}
