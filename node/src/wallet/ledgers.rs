//! The ledgers that a wallet's holders have, and which nonce comes next on each.

use std::path::PathBuf;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::Opening;
use quadrille_protocol::limits;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Holder, Network, Nonce, Ubi};
use serde::{Deserialize, Serialize};

use super::{Wallet, read, write};

/// A ledger of a holder with a key in the wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletLedger {
    /// The network.
    pub network: Network,
    /// The ledger.
    pub ledger: Ubi,
    /// Whose it is.
    pub holder: Holder,
    /// Tells several ledgers of one holder apart.
    pub number: u32,
    /// The nonce that the next order will have.
    pub(super) next_nonce: Nonce,
}

impl WalletLedger {
    /// The nonce for a new order, where the bank says that `highest` was used.
    ///
    /// It lies behind every nonce that this wallet has used, so that no order of ours takes
    /// another's place; unless that has run too far ahead of what the bank takes (orders that
    /// never arrived): then it begins again behind the bank's. No nonce takes effect twice at
    /// the bank, so a wrong guess here costs a refusal and nothing else.
    pub(super) fn nonce(&self, highest: Option<Nonce>) -> Nonce {
        let Some(highest) = highest else { return self.next_nonce };
        let after = highest.next();
        let farthest = highest.0.saturating_add(limits::NONCE_WINDOW);
        if self.next_nonce.0 > farthest { after } else { self.next_nonce.max(after) }
    }
}

impl Wallet {
    /// Notes a ledger that was opened with a holder's key. Noting it again changes nothing.
    ///
    /// # Errors
    /// `Q-2205`, `Q-2214`.
    pub fn note_ledger(&self, opening: &Opening) -> Result<WalletLedger, Refusal> {
        let _lock = self.lock()?;
        let ledger = opening.ubi();
        let path = self.ledger_file(&ledger);
        if path.exists() {
            return read(&path);
        }
        let entry = WalletLedger {
            network: opening.network.clone(),
            ledger,
            holder: opening.holder.clone(),
            number: opening.number,
            next_nonce: Nonce(1),
        };
        write(&path, &entry)?;
        Ok(entry)
    }

    /// Notes a ledger that got a new key, which is in this wallet. Noting it again changes nothing.
    ///
    /// # Errors
    /// `Q-2205`, `Q-2214`.
    pub fn note_known(
        &self,
        network: &Network,
        ledger: Ubi,
        holder: &Holder,
        number: u32,
    ) -> Result<WalletLedger, Refusal> {
        let _lock = self.lock()?;
        let path = self.ledger_file(&ledger);
        if path.exists() {
            return read(&path);
        }
        let (network, holder) = (network.clone(), holder.clone());
        let entry = WalletLedger { network, ledger, holder, number, next_nonce: Nonce(1) };
        write(&path, &entry)?;
        Ok(entry)
    }

    /// The ledgers known here, by holder and number.
    ///
    /// # Errors
    /// `Q-2204`.
    pub fn ledgers(&self) -> Result<Vec<WalletLedger>, Refusal> {
        let mut ledgers = Vec::new();
        for path in self.json_files("ledgers")? {
            ledgers.push(read::<WalletLedger>(&path)?);
        }
        ledgers
            .sort_by(|left, right| (&left.holder, left.number).cmp(&(&right.holder, right.number)));
        Ok(ledgers)
    }

    /// The ledger that `text` names: its identifier, its holder, or its holder and number
    /// (`alice@bank-a.example/2`).
    ///
    /// # Errors
    /// `Q-2215` when no such ledger is known here, `Q-2201` when several are.
    pub fn find_ledger(&self, text: &str) -> Result<WalletLedger, Refusal> {
        let ledgers = self.ledgers()?;
        let unknown = || {
            Refusal::new(
                Code::NoHolderKey,
                format!(
                    "no ledger `{text}` in {}; see `quadrille ledger open`",
                    self.dir.display()
                ),
            )
        };
        if text.starts_with("ubi:") {
            let ubi: Ubi = text.parse()?;
            return ledgers.into_iter().find(|known| known.ledger == ubi).ok_or_else(unknown);
        }
        let (name, number) = match text.split_once('/') {
            None => (text, None),
            Some((name, number)) => {
                let number = number.parse::<u32>();
                let bad = |_| Refusal::new(Code::BadNumber, format!("`{text}`"));
                (name, Some(number.map_err(bad)?))
            }
        };
        let holder: Holder = name.parse()?;
        let fits = |known: &WalletLedger| {
            known.holder == holder && number.is_none_or(|number| known.number == number)
        };
        let mut found = ledgers.into_iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(ledger), None) => Ok(ledger),
            (None, _) => Err(unknown()),
            (Some(_), Some(_)) => {
                refuse!(BadUsage, "{holder} has several ledgers: write {holder}/NUMBER")
            }
        }
    }

    pub(super) fn ledger_file(&self, ledger: &Ubi) -> PathBuf {
        self.dir.join("ledgers").join(format!("{}.json", hex::encode(ledger.as_bytes())))
    }
}
