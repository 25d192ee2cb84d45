//! Evidence: what this node can show to others, and how anybody checks it without it.
//!
//! ```text
//!   index (where) + log (what) --> Evidences --> Bundle --> armour (a file)
//!                              anchors (whom one trusts) + file --> verify_offline --> Report
//! ```
//!
//! Invariants: a bundle is canonical bytes, so one fact has one file; everything in it is
//! verified or the whole is refused; the report claims what the bundle proves and says what it
//! does not.

pub mod armour;
mod cut;
mod report;
mod supply;
mod verify;

use bincode::{Decode, Encode};
use quadrille_protocol::codec;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::identity::{SignedCertificate, SignedRevocation, SignedRotation};
use quadrille_protocol::log::Evidence;
use quadrille_protocol::types::{Bounded, Network, OrderId, SettlementId};

pub use cut::Evidences;
pub use report::{Claim, Fact, Report, Signer, Verdict};
pub use supply::{SupplyReport, verify_supply};
pub use verify::verify_offline;

/// Evidence in one bundle: every step of every party of the largest agreement, and its orders.
pub const BUNDLE_EVIDENCE: usize = 256;
/// Certificates, rotations and revocations in one bundle.
pub const BUNDLE_PAPERS: usize = 512;
/// Largest bundle.
pub const BUNDLE_BYTES: usize = 8 * 1024 * 1024;

/// What a bundle is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Subject {
    /// One settlement: everything in it is of this one.
    Settlement(SettlementId),
    /// One order of a holder.
    Order(OrderId),
    /// The one record that it holds.
    Record,
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Settlement(id) => id.fmt(f),
            Self::Order(id) => id.fmt(f),
            Self::Record => f.write_str("record"),
        }
    }
}

/// What says which keys a domain has.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Paper {
    /// A certificate.
    Certificate(Box<SignedCertificate>),
    /// A key rotation.
    Rotation(Box<SignedRotation>),
    /// A revocation.
    Revocation(Box<SignedRevocation>),
}

/// Evidence that belongs together, with what is needed to verify it offline.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Bundle {
    /// The network.
    pub network: Network,
    /// What it is about.
    pub subject: Subject,
    /// The evidence, in the order of the log of the node that made the bundle.
    pub evidence: Bounded<Evidence, BUNDLE_EVIDENCE>,
    /// The papers of those who signed it, each domain's in the order in which they count.
    pub papers: Bounded<Paper, BUNDLE_PAPERS>,
}

impl Bundle {
    /// Reads canonical bytes. Verifies nothing.
    ///
    /// # Errors
    /// Those of [`codec::decode`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        codec::decode::<Self, BUNDLE_BYTES>(bytes)
    }

    /// The same with further papers, before its own: certificates that the reader has and whoever
    /// made the bundle did not put in.
    ///
    /// # Errors
    /// `Q-1015` too many.
    pub fn with_papers(mut self, papers: Vec<Paper>) -> Result<Self, Refusal> {
        let own = self.papers.into_vec();
        let mut all = papers;
        all.extend(own.into_iter().filter(|paper| !all.contains(paper)).collect::<Vec<_>>());
        self.papers = Bounded::new(all)?;
        Ok(self)
    }

    /// Its canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }
}
