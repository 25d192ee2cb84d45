//! Holders' public keys: the state knows only their ids.
//!
//! A key id is a hash of the key, so noting a key under its id is always right, whoever brings
//! it. Keys noted and not yet in the index are kept here; all others are found there.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use quadrille_protocol::crypto::suite::PublicKey;
use quadrille_protocol::types::KeyId;

use crate::index::Index;

/// Keys kept in memory.
const KEPT: usize = 65_536;

/// The keys. Cheap to clone.
#[derive(Clone)]
pub struct HolderKeys {
    index: Index,
    noted: Arc<Mutex<Noted>>,
}

#[derive(Default)]
struct Noted {
    keys: HashMap<KeyId, PublicKey>,
    order: VecDeque<KeyId>,
}

impl HolderKeys {
    pub(crate) fn new(index: Index) -> Self {
        Self { index, noted: Arc::default() }
    }

    /// Notes a key that is about to be used.
    pub(crate) fn note(&self, key: &PublicKey) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.keys.insert(key.id(), key.clone()).is_some() {
            return;
        }
        noted.order.push_back(key.id());
        if noted.order.len() > KEPT
            && let Some(oldest) = noted.order.pop_front()
        {
            noted.keys.remove(&oldest);
        }
    }

    /// The key with this id.
    #[must_use]
    pub fn get(&self, id: &KeyId) -> Option<PublicKey> {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner).keys.get(id).cloned();
        if noted.is_some() {
            return noted;
        }
        let found = self.index.key(id).ok().flatten()?;
        self.note(&found);
        Some(found)
    }
}
