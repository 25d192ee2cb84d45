//! The rotations of our own key since our certificate, which prove to a peer that we have not
//! met yet that the key we sign with now is ours.
//!
//! They are in the log; the directory says when there is another one. Invariant: the list is
//! whole up to its last epoch, oldest first.

use std::sync::{Arc, Mutex, PoisonError};

use quadrille_protocol::error::Refusal;
use quadrille_protocol::identity::SignedRotation;
use quadrille_protocol::log::{Record, Statement};
use quadrille_protocol::types::{Domain, Epoch};

use crate::evidence::Evidences;
use crate::index::{Index, Log};

/// Finds them.
pub struct OwnRotations {
    index: Index,
    evidence: Arc<Evidences<Log>>,
    domain: Domain,
    /// The epoch of the certificate that we show.
    certified: Epoch,
    known: Mutex<Vec<(Epoch, SignedRotation)>>,
}

impl OwnRotations {
    /// Of `domain`, since the certificate of the epoch `certified`.
    #[must_use]
    pub fn new(
        index: Index,
        evidence: Arc<Evidences<Log>>,
        domain: Domain,
        certified: Epoch,
    ) -> Self {
        Self { index, evidence, domain, certified, known: Mutex::default() }
    }

    /// All of them, when `epoch` is the one that we sign with now. What the index does not have
    /// yet is missing for that moment; a peer that refuses us for it is tried again.
    pub fn up_to(&self, epoch: Epoch) -> Vec<SignedRotation> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let last = known.last().map_or(self.certified, |(last, _)| *last);
        if last < epoch {
            match self.read() {
                Ok(read) => *known = read,
                Err(refusal) => tracing::warn!(%refusal, "our own rotations cannot be read"),
            }
        }
        known.iter().map(|(_, signed)| signed.clone()).collect()
    }

    fn read(&self) -> Result<Vec<(Epoch, SignedRotation)>, Refusal> {
        let mut rotations = Vec::new();
        for place in self.index.papers(&self.domain)? {
            let record = match self.evidence.record(place)? {
                Record::Recovered(evidence) => evidence.read()?,
                record => record,
            };
            let signed = match record {
                Record::Rotated(signed) | Record::Statement(Statement::Rotated(signed)) => signed,
                // Certificates and revocations stand there, too.
                _ => continue,
            };
            let rotation = signed.parse()?;
            if rotation.domain == self.domain && rotation.to_epoch > self.certified {
                rotations.push((rotation.to_epoch, *signed));
            }
        }
        rotations.sort_by_key(|(epoch, _)| *epoch);
        Ok(rotations)
    }
}
