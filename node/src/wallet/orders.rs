//! Signed orders: written down before they are sent, and sent again as they were.

use std::path::PathBuf;

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::{Tag, hash};
use quadrille_protocol::crypto::suite::SecretKey;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::{Action, Order, SignedOrder};
use quadrille_protocol::limits;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Bytes, Nonce, OrderId, Time, Ubi};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ledgers::WalletLedger;
use super::{Wallet, read, write};

/// Longest id that a user may give an order.
const ID_BYTES: usize = 128;
/// Largest signed order.
const SIGNED_BYTES: usize = limits::ORDER_BYTES + 2 * limits::SIGNATURE_BYTES + 256;

/// What is known of an order that was signed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// It was or may have been sent; no answer yet.
    Sent,
    /// The bank has accepted it.
    Accepted,
    /// The bank has refused it. It may be sent again.
    Refused,
}

/// A signed order in the wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredOrder {
    /// The user's id for it.
    pub id: String,
    /// What the user asked for, in the words of the command.
    pub intent: String,
    /// The ledger.
    pub ledger: Ubi,
    /// The order.
    pub order: OrderId,
    /// Its nonce.
    pub nonce: Nonce,
    /// Until when it may be accepted.
    pub expiry: Time,
    /// What is known of it.
    pub status: OrderStatus,
    /// What is sent along with it, for the bank to pass on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enclosed: Option<serde_json::Value>,
    /// The signed order, hex of its canonical bytes.
    bytes: String,
}

impl StoredOrder {
    /// The signed order.
    ///
    /// # Errors
    /// `Q-2204` when the file was tampered with.
    pub fn signed(&self) -> Result<SignedOrder, Refusal> {
        let damaged = || Refusal::new(Code::CannotRead, format!("stored order `{}`", self.id));
        let bytes = hex::decode(&self.bytes).map_err(|_| damaged())?;
        let signed = codec::decode::<SignedOrder, SIGNED_BYTES>(&bytes).map_err(|_| damaged())?;
        if order_id(&signed) != self.order {
            return Err(damaged());
        }
        Ok(signed)
    }
}

/// What is to be signed.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// The user's id for it.
    pub id: &'a str,
    /// What the user asked for, in the words of the command.
    pub intent: &'a str,
    /// The ledger.
    pub ledger: &'a WalletLedger,
    /// The highest nonce that the bank says was used.
    pub highest: Option<Nonce>,
    /// Until when it may be accepted.
    pub expiry: Time,
    /// What is ordered.
    pub action: Action,
    /// What is to be sent along with it.
    pub enclosed: Option<serde_json::Value>,
    /// The ledger's second key, where it is to sign too.
    pub second: Option<&'a SecretKey>,
}

fn order_id(signed: &SignedOrder) -> OrderId {
    OrderId(hash(Tag::Order, &[&signed.order]).0)
}

impl Wallet {
    /// The order that was signed under `id`, if any.
    ///
    /// # Errors
    /// `Q-2213` when it was asked for in other words than `intent`; `Q-2201` for an id that is
    /// none; `Q-2204`.
    pub fn find_order(&self, id: &str, intent: &str) -> Result<Option<StoredOrder>, Refusal> {
        let path = self.order_file(id)?;
        if !path.exists() {
            return Ok(None);
        }
        let stored: StoredOrder = read(&path)?;
        if stored.id != id || stored.intent != intent {
            refuse!(IdReused, "`{id}` was: {}", stored.intent);
        }
        Ok(Some(stored))
    }

    /// Signs an order and writes it down, before anybody can have seen it.
    ///
    /// # Errors
    /// Those of [`Wallet::find_order`]; `Q-2214`, `Q-2205`; `Q-1001` too large.
    pub fn sign(&self, draft: &Draft<'_>, key: &SecretKey) -> Result<StoredOrder, Refusal> {
        let _lock = self.lock()?;
        // Another process may have been quicker.
        if let Some(stored) = self.find_order(draft.id, draft.intent)? {
            return Ok(stored);
        }
        let path = self.ledger_file(&draft.ledger.ledger);
        let mut ledger: WalletLedger = read(&path)?;
        let nonce = ledger.nonce(draft.highest);
        let order = Order {
            network: ledger.network.clone(),
            ledger: ledger.ledger,
            nonce,
            expiry: draft.expiry,
            action: draft.action.clone(),
        };
        let bytes = codec::encode(&order);
        let signature = key.sign(Tag::Order, &bytes);
        let signed = SignedOrder {
            order: Bytes::new(&bytes)?,
            key: key.public().id(),
            signature,
            second: draft.second.map(|key| (key.public().id(), key.sign(Tag::Order, &bytes))),
        };
        let stored = StoredOrder {
            id: draft.id.to_owned(),
            intent: draft.intent.to_owned(),
            ledger: ledger.ledger,
            order: order_id(&signed),
            nonce,
            expiry: draft.expiry,
            status: OrderStatus::Sent,
            enclosed: draft.enclosed.clone(),
            bytes: hex::encode(codec::encode(&signed)),
        };
        // The nonce is used up first: a crash in between costs a number, not an order.
        ledger.next_nonce = nonce.next();
        write(&path, &ledger)?;
        write(&self.order_file(draft.id)?, &stored)?;
        Ok(stored)
    }

    /// Notes the bank's answer to an order. The nonce of a refused order is free again; if it
    /// was the last one, the next order takes it, so that refusals do not run ahead of what the
    /// bank accepts.
    ///
    /// # Errors
    /// `Q-2214`, `Q-2204`, `Q-2205`.
    pub fn note_answer(&self, order: &StoredOrder, status: OrderStatus) -> Result<(), Refusal> {
        let _lock = self.lock()?;
        let path = self.order_file(&order.id)?;
        let mut stored: StoredOrder = read(&path)?;
        let first_refusal = status == OrderStatus::Refused && stored.status == OrderStatus::Sent;
        // What was accepted once stays accepted: a repetition can be refused for its age.
        if stored.status != OrderStatus::Accepted && stored.status != status {
            stored.status = status;
            write(&path, &stored)?;
        }
        if first_refusal {
            let path = self.ledger_file(&order.ledger);
            let mut ledger: WalletLedger = read(&path)?;
            if ledger.next_nonce == order.nonce.next() {
                ledger.next_nonce = order.nonce;
                write(&path, &ledger)?;
            }
        }
        Ok(())
    }

    fn order_file(&self, id: &str) -> Result<PathBuf, Refusal> {
        if id.is_empty() || id.len() > ID_BYTES || id.chars().any(char::is_control) {
            refuse!(BadUsage, "--id: 1 to {ID_BYTES} bytes of text are wanted");
        }
        // Any text may be an id, so its hash names the file.
        let name = hex::encode(Sha256::digest(id.as_bytes()));
        Ok(self.dir.join("orders").join(format!("{name}.json")))
    }
}
