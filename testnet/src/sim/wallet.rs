//! What holders keep: proof of every entry of their ledgers that they were told of.
//!
//! A bank that was restored from an old copy gets from here what only its customers have.

use std::collections::BTreeMap;
use std::sync::Arc;

use quadrille_protocol::crypto::suite::Signature;
use quadrille_protocol::log::{Batch, Evidence};
use quadrille_protocol::types::{Height, Sequence, Ubi};

use super::broken::Checked;
use crate::demand;

/// One proof: the batch, the place in it and the signature of its checkpoint.
#[derive(Debug, Clone)]
pub struct Slip {
    batch: Arc<Batch>,
    leaf: u32,
    signature: Signature,
}

impl Slip {
    /// The height of its batch.
    #[must_use]
    pub fn height(&self) -> Height {
        self.batch.checkpoint().height
    }

    /// The checkpoint's hash.
    #[must_use]
    pub fn hash(&self) -> quadrille_protocol::types::Hash {
        self.batch.checkpoint().hash()
    }

    /// The evidence.
    #[must_use]
    pub fn evidence(&self) -> Option<Evidence> {
        self.batch.evidence(self.leaf, &self.signature).ok()
    }

    fn record(&self) -> Option<&[u8]> {
        let place = usize::try_from(self.leaf).ok()?;
        self.batch.stored().records.get(place).map(|bytes| &**bytes)
    }
}

/// All holders' proofs.
#[derive(Debug, Default)]
pub struct Wallets {
    slips: BTreeMap<Ubi, BTreeMap<Sequence, Slip>>,
}

impl Wallets {
    /// A holder is told of entry `sequence` of its ledger.
    pub fn take(
        &mut self,
        ledger: Ubi,
        sequence: Sequence,
        batch: &Arc<Batch>,
        leaf: u32,
        signature: &Signature,
    ) -> Checked {
        let slip = Slip { batch: batch.clone(), leaf, signature: signature.clone() };
        let slips = self.slips.entry(ledger).or_default();
        if let Some(known) = slips.get(&sequence) {
            demand!(
                known.record() == slip.record(),
                "a holder is told one history",
                "{ledger} entry {sequence}"
            );
            return Ok(());
        }
        slips.insert(sequence, slip);
        Ok(())
    }

    /// What the holders of `ledgers` have from heights above `height`, in the order of the log.
    #[must_use]
    pub fn above(&self, ledgers: &[Ubi], height: Height) -> Vec<Slip> {
        let mut found: Vec<Slip> = ledgers
            .iter()
            .filter_map(|ledger| self.slips.get(ledger))
            .flat_map(BTreeMap::values)
            .filter(|slip| slip.height() > height)
            .cloned()
            .collect();
        found.sort_by_key(|slip| (slip.height(), slip.leaf));
        found.dedup_by_key(|slip| (slip.height(), slip.leaf));
        found
    }
}
