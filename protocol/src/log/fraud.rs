//! Proofs of fraud: two statements that an honest validator can never both have made.

use bincode::{Decode, Encode};

use super::checkpoint::SignedCheckpoint;
use super::evidence::Evidence;
use super::record::{Record, Statement};
use crate::crypto::suite::Signatures;
use crate::error::Refusal;
use crate::identity::Directory;
use crate::types::{Domain, Network};

/// A proof that needs nothing but the domain's certificate to be checked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum FraudProof {
    /// Two different checkpoints for one height of one log.
    Equivocation(Box<(SignedCheckpoint, SignedCheckpoint)>),
    /// Two different decisions for one settlement.
    ConflictingDecisions(Box<Evidence>, Box<Evidence>),
    /// An initiator that both gave up and revealed one settlement.
    AbortedAndRevealed(Box<Evidence>, Box<Evidence>),
}

impl FraudProof {
    /// The domain it convicts.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        match self {
            FraudProof::Equivocation(both) => &both.0.checkpoint.domain,
            FraudProof::ConflictingDecisions(one, _) | FraudProof::AbortedAndRevealed(one, _) => {
                one.domain()
            }
        }
    }

    /// Checks that both halves are the domain's and that they conflict.
    ///
    /// # Errors
    /// `Q-1309` when they do not conflict, and the errors of verifying either half.
    pub fn verify(
        &self,
        network: &Network,
        directory: &Directory,
        signatures: &dyn Signatures,
    ) -> Result<(), Refusal> {
        let conflict = match self {
            FraudProof::Equivocation(both) => {
                let (one, other) = both.as_ref();
                one.verify(network, directory, signatures)?;
                other.verify(network, directory, signatures)?;
                let (one, other) = (&one.checkpoint, &other.checkpoint);
                one.domain == other.domain && one.height == other.height && one != other
            }
            FraudProof::ConflictingDecisions(one, other)
            | FraudProof::AbortedAndRevealed(one, other) => {
                let first = one.verify(network, directory, signatures)?;
                let second = other.verify(network, directory, signatures)?;
                one.domain() == other.domain() && records_conflict(&first, &second)
            }
        };
        if !conflict {
            crate::refuse!(NotFraud, "by {}", self.domain());
        }
        Ok(())
    }
}

fn records_conflict(first: &Record, second: &Record) -> bool {
    match (first, second) {
        (
            Record::Statement(Statement::Decided(one)),
            Record::Statement(Statement::Decided(other)),
        ) => one.settlement == other.settlement && one.outcome.kind() != other.outcome.kind(),
        (
            Record::Statement(Statement::Aborted(one)),
            Record::Statement(Statement::Revealed(other)),
        )
        | (
            Record::Statement(Statement::Revealed(other)),
            Record::Statement(Statement::Aborted(one)),
        ) => one.settlement == other.settlement,
        _ => false,
    }
}
