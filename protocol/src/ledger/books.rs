//! The books of one validator: assets, holders' ledgers, correspondent ledgers.
//!
//! The only way to change a balance is [`Books::post`], which takes whole transactions and
//! checks that they balance and continue every chain they touch.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};

use super::account::Ledger;
use super::asset::Asset;
use super::correspondent::Correspondent;
use super::transaction::{
    Cause, Contra, ContraAccount, Entry, Movement, MovementKind, Side, Transaction,
};
use crate::error::{Code, Fault, Refusal};
use crate::sabotage::{Bug, planted};
use crate::types::{Amount, Bounded, Domain, Hash, Sequence, Table, Time, Uai, Ubi};

/// The books.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Books {
    /// Assets by identifier.
    pub assets: BTreeMap<Uai, Asset>,
    /// Holders' ledgers.
    pub ledgers: Table<Ubi, Ledger>,
    /// Correspondent ledgers by peer and asset.
    pub correspondents: BTreeMap<(Domain, Uai), Correspondent>,
}

/// The parts of a transaction before it has its place in the chains.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Postings {
    movements: Vec<(Ubi, Movement)>,
    contras: Vec<Contra>,
}

impl Postings {
    /// No postings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a movement.
    #[must_use]
    pub fn with(mut self, ledger: Ubi, kind: MovementKind, asset: &Uai, amount: Amount) -> Self {
        self.movements.push((ledger, Movement { asset: asset.clone(), kind, amount }));
        self
    }

    /// Adds a contra.
    #[must_use]
    pub fn against(
        mut self,
        account: ContraAccount,
        side: Side,
        asset: &Uai,
        amount: Amount,
    ) -> Self {
        self.contras.push(Contra { account, asset: asset.clone(), side, amount });
        self
    }
}

impl Books {
    /// The ledger.
    ///
    /// # Errors
    /// `Q-1401`.
    pub fn ledger(&self, ubi: &Ubi) -> Result<&Ledger, Refusal> {
        self.ledgers.get(ubi).ok_or_else(|| Refusal::new(Code::UnknownLedger, ubi.to_string()))
    }

    /// The asset.
    ///
    /// # Errors
    /// `Q-1414`.
    pub fn asset(&self, uai: &Uai) -> Result<&Asset, Refusal> {
        self.assets.get(uai).ok_or_else(|| Refusal::new(Code::UnknownAsset, uai.to_string()))
    }

    /// What we and `peer` owe each other in `asset`.
    #[must_use]
    pub fn correspondent(&self, peer: &Domain, asset: &Uai) -> Correspondent {
        self.correspondents.get(&(peer.clone(), asset.clone())).cloned().unwrap_or_default()
    }

    /// The same, to change.
    pub fn correspondent_mut(&mut self, peer: &Domain, asset: &Uai) -> &mut Correspondent {
        self.correspondents.entry((peer.clone(), asset.clone())).or_default()
    }

    /// Gives `postings` their place in the chains: one entry per ledger, in the order of first
    /// mention. `touched` are ledgers that get an entry without movements.
    ///
    /// # Errors
    /// `Q-1015` more entries than a transaction can have, `Q-1401` a ledger that is not here.
    pub fn draw_up(
        &self,
        cause: Cause,
        time: Time,
        touched: &[Ubi],
        postings: Postings,
    ) -> Result<Transaction, Refusal> {
        let mut grouped: Vec<(Ubi, Vec<Movement>)> =
            touched.iter().map(|ubi| (*ubi, Vec::new())).collect();
        for (ubi, movement) in postings.movements {
            match grouped.iter_mut().find(|(known, _)| *known == ubi) {
                Some((_, movements)) => movements.push(movement),
                None => grouped.push((ubi, vec![movement])),
            }
        }
        let mut entries = Vec::with_capacity(grouped.len());
        for (ledger, movements) in grouped {
            let (sequence, previous) = match (&cause, self.ledgers.get(&ledger)) {
                (Cause::Opened(_), None) => (Sequence(0), Hash::ZERO),
                (_, Some(known)) => (known.sequence, known.head),
                (_, None) => return Err(Refusal::new(Code::UnknownLedger, ledger.to_string())),
            };
            let movements = Bounded::new(movements)?;
            entries.push(Entry { ledger, sequence: sequence.next(), previous, movements });
        }
        let contras = Bounded::new(postings.contras)?;
        Ok(Transaction { cause, time, entries: Bounded::new(entries)?, contras })
    }

    /// Books a transaction.
    ///
    /// # Errors
    /// A fault when it does not balance, does not continue a chain, or overdraws.
    pub fn post(&mut self, transaction: &Transaction) -> Result<(), Fault> {
        let unbalanced = !transaction.is_balanced();
        if unbalanced && !crate::sabotage::planted(crate::sabotage::Bug::UnbalancedPosting) {
            let kind = transaction.cause.kind();
            return Err(Fault::new(format!("a transaction ({kind}) does not sum to zero")));
        }
        if let Cause::Opened(signed) = &transaction.cause {
            let opening = &signed.opening;
            if self.ledgers.insert(opening.ubi(), Ledger::new(opening)).is_some() {
                return Err(Fault::new(format!("ledger {} opened twice", opening.ubi())));
            }
        }
        for entry in &transaction.entries {
            self.post_entry(entry, &transaction.cause)?;
        }
        for contra in &transaction.contras {
            self.post_contra(contra)?;
        }
        Ok(())
    }

    /// Whether [`Books::post`] would take `transaction`: it balances, every entry continues its
    /// ledger's chain and can be paid, and what it issues is known. For records given back after
    /// a loss, of which not everything may be here.
    #[must_use]
    pub fn continues(&self, transaction: &Transaction) -> bool {
        let opened = match &transaction.cause {
            Cause::Opened(signed) => Some((signed.opening.ubi(), Ledger::new(&signed.opening))),
            _ => None,
        };
        if opened.as_ref().is_some_and(|(ubi, _)| self.ledgers.contains_key(ubi)) {
            return false;
        }
        let entries = transaction.entries.iter().all(|entry| {
            let opened = opened.as_ref().filter(|(ubi, _)| *ubi == entry.ledger);
            let known = self.ledgers.get(&entry.ledger).or(opened.map(|(_, ledger)| ledger));
            known.is_some_and(|ledger| can_take(ledger, entry))
        });
        let contras = transaction.contras.iter().all(|contra| match &contra.account {
            ContraAccount::Correspondent(_) => true,
            ContraAccount::Issuance => self.assets.contains_key(&contra.asset),
        });
        entries && contras && transaction.is_balanced()
    }

    fn post_entry(&mut self, entry: &Entry, cause: &Cause) -> Result<(), Fault> {
        let ledger = self
            .ledgers
            .get_mut(&entry.ledger)
            .ok_or_else(|| Fault::new(format!("entry for unknown ledger {}", entry.ledger)))?;
        if !follows(ledger, entry) {
            let what = format!("entry {} does not follow {}", entry.sequence, ledger.sequence);
            return Err(Fault::new(format!("{what} in the chain of {}", ledger.holder)));
        }
        for movement in &entry.movements {
            ledger.apply(movement)?;
        }
        ledger.sequence = entry.sequence;
        ledger.head = entry.hash(cause);
        Ok(())
    }

    fn post_contra(&mut self, contra: &Contra) -> Result<(), Fault> {
        match &contra.account {
            ContraAccount::Correspondent(peer) => {
                let known = self.correspondent_mut(peer, &contra.asset);
                if contra.side == Side::Debit && planted(Bug::MirrorDrifts) {
                    known.post(contra.side, contra.amount)?;
                }
                known.post(contra.side, contra.amount)
            }
            ContraAccount::Issuance => {
                let unknown = || Fault::new(format!("issuance of unknown {}", contra.asset));
                let asset = self.assets.get_mut(&contra.asset).ok_or_else(unknown)?;
                let total = match contra.side {
                    Side::Debit => &mut asset.issued,
                    Side::Credit => &mut asset.redeemed,
                };
                *total =
                    total.plus(contra.amount).ok_or_else(|| Fault::new("issuance overflow"))?;
                Ok(())
            }
        }
    }
}

fn follows(ledger: &Ledger, entry: &Entry) -> bool {
    entry.sequence == ledger.sequence.next() && entry.previous == ledger.head
}

/// Whether `entry` continues the chain of `ledger` and its movements can be made.
fn can_take(ledger: &Ledger, entry: &Entry) -> bool {
    let mut trial = ledger.clone();
    follows(ledger, entry) && entry.movements.iter().all(|movement| trial.apply(movement).is_ok())
}
