//! The audit's own books, from transactions alone.

use std::collections::BTreeMap;

use quadrille_protocol::ledger::transaction::{
    Cause, ContraAccount, Entry, Movement, MovementKind, Side, Transaction,
};
use quadrille_protocol::types::{Amount, Domain, Hash, Nonce, OrderId, Sequence, Uai, Ubi};

use super::super::broken::{Broken, Checked};
use crate::demand;

/// One holder's ledger.
#[derive(Debug, Clone, Default)]
pub struct LedgerAudit {
    /// Number and hash of its last entry.
    pub head: (Sequence, Hash),
    /// Free and held, per asset.
    pub balances: BTreeMap<Uai, (i128, i128)>,
    /// The holder's KYC tier.
    tier: u8,
    nonces: BTreeMap<Nonce, OrderId>,
}

/// One domain's books.
#[derive(Debug, Clone, Default)]
pub struct BooksAudit {
    /// Holders' ledgers.
    pub ledgers: BTreeMap<Ubi, LedgerAudit>,
    /// What peers owe us on balance; below zero where we owe.
    pub claims: BTreeMap<(Domain, Uai), i128>,
    /// What we have issued and not redeemed.
    pub issued: BTreeMap<Uai, i128>,
    /// The KYC tier that a holder needs, per asset.
    pub tiers: BTreeMap<Uai, u8>,
}

fn units(amount: Amount) -> i128 {
    i128::try_from(amount.units()).unwrap_or(i128::MAX)
}

impl BooksAudit {
    /// Books a transaction, holding it against the rules.
    pub fn post(&mut self, domain: &Domain, transaction: &Transaction) -> Checked {
        let mut sums: BTreeMap<&Uai, i128> = BTreeMap::new();
        for movement in transaction.entries.iter().flat_map(|entry| &entry.movements) {
            let sum = sums.entry(&movement.asset).or_default();
            *sum += match movement.kind {
                MovementKind::Credit => units(movement.amount),
                MovementKind::Debit | MovementKind::Spend => -units(movement.amount),
                MovementKind::Hold | MovementKind::Release => 0,
            };
        }
        for contra in &transaction.contras {
            *sums.entry(&contra.asset).or_default() += signed(contra.side, contra.amount);
        }
        let kind = transaction.cause.kind();
        if let Some((asset, sum)) = sums.iter().find(|(_, sum)| **sum != 0) {
            demand!(false, "transactions sum to zero", "{domain} {kind}: {sum} {asset}");
        }
        self.use_nonce(domain, &transaction.cause)?;
        if let Cause::Opened(signed) = &transaction.cause {
            let opening = &signed.opening;
            self.ledgers.entry(opening.ubi()).or_default().tier = opening.tier;
        }
        for entry in &transaction.entries {
            self.post_entry(domain, entry, &transaction.cause)?;
        }
        for contra in &transaction.contras {
            let amount = signed(contra.side, contra.amount);
            match &contra.account {
                ContraAccount::Correspondent(peer) => {
                    let key = (peer.clone(), contra.asset.clone());
                    *self.claims.entry(key).or_default() -= amount;
                }
                ContraAccount::Issuance => {
                    demand!(
                        contra.asset.issuer() == domain,
                        "only the issuer issues",
                        "{domain} books issuance of {}",
                        contra.asset
                    );
                    *self.issued.entry(contra.asset.clone()).or_default() -= amount;
                }
            }
        }
        Ok(())
    }

    /// Whether its entries follow those that are booked.
    #[must_use]
    pub fn continues(&self, transaction: &Transaction) -> bool {
        transaction.entries.iter().all(|entry| {
            let head = self.ledgers.get(&entry.ledger).map(|ledger| ledger.head);
            let (sequence, hash) = head.unwrap_or_default();
            entry.sequence == sequence.next() && entry.previous == hash
        })
    }

    fn use_nonce(&mut self, domain: &Domain, cause: &Cause) -> Checked {
        let Cause::Ordered(order) = cause else { return Ok(()) };
        let (ledger, nonce) = (order.order().ledger, order.order().nonce);
        let nonces = &mut self.ledgers.entry(ledger).or_default().nonces;
        let before = nonces.insert(nonce, order.id());
        demand!(before.is_none(), "an order counts once", "{domain} {ledger} nonce {nonce} twice");
        Ok(())
    }

    fn post_entry(&mut self, domain: &Domain, entry: &Entry, cause: &Cause) -> Checked {
        let ledger = self.ledgers.entry(entry.ledger).or_default();
        let (sequence, hash) = ledger.head;
        demand!(
            entry.sequence == sequence.next() && entry.previous == hash,
            "ledger chains are intact",
            "{domain} {}: entry {} after {sequence}",
            entry.ledger,
            entry.sequence
        );
        for movement in &entry.movements {
            let needed = self.tiers.get(&movement.asset).copied().unwrap_or_default();
            let tier = ledger.tier;
            demand!(
                movement.kind != MovementKind::Credit || tier >= needed,
                "a holder's tier allows what it receives",
                "{domain} {}: tier {tier}, {needed} needed for {}",
                entry.ledger,
                movement.asset
            );
            ledger.apply(movement).map_err(|what| {
                Broken::safety(
                    "no balance below zero",
                    format!("{domain} {}: {what}", entry.ledger),
                )
            })?;
        }
        ledger.head = (entry.sequence, entry.hash(cause));
        Ok(())
    }
}

impl LedgerAudit {
    fn apply(&mut self, movement: &Movement) -> Result<(), String> {
        let (free, held) = self.balances.entry(movement.asset.clone()).or_default();
        let amount = units(movement.amount);
        let (to_free, to_held) = match movement.kind {
            MovementKind::Credit => (amount, 0),
            MovementKind::Debit => (-amount, 0),
            MovementKind::Hold => (-amount, amount),
            MovementKind::Release => (amount, -amount),
            MovementKind::Spend => (0, -amount),
        };
        *free += to_free;
        *held += to_held;
        if *free < 0 || *held < 0 {
            return Err(format!("{free} free, {held} held of {}", movement.asset));
        }
        Ok(())
    }
}

fn signed(side: Side, amount: Amount) -> i128 {
    match side {
        Side::Credit => units(amount),
        Side::Debit => -units(amount),
    }
}
