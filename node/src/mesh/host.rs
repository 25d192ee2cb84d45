//! What the mesh asks of the node behind it. The node implements it; tests have their own.

use std::sync::Arc;

use async_trait::async_trait;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::identity::{
    Anchors, Dealing, Directory, GatewayRecord, SignedCertificate, SignedGatewayRecord,
    SignedRevocation, SignedRotation, VerifiedCertificate, VerifiedRevocation, VerifiedRotation,
};
use quadrille_protocol::log::Evidence;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{AssetPair, Domain, Time, Ubi};
use tokio::sync::mpsc;

use super::ask::{Answer, Question};
use super::wire::Wire;

/// How we stand to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is a credit limit of ours for it.
    Trusted,
    /// A member, without a credit limit of ours.
    Member,
    /// Suspended on a proof of fraud, or blocked by the operator.
    Blocked,
}

/// What is to be done with a gossiped message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// Good: pass it on.
    Accept,
    /// Not useful now; nobody's fault.
    Ignore,
    /// Bad: the peer that passed it on is to be scored down.
    Reject,
}

/// A maker-validator's whole live list: the evidence of its `Book` record and of the newest
/// `OfferPosted` of each live public offer, sorted by offer.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct LiveOffers {
    /// Evidence of the root.
    pub root: Evidence,
    /// Evidence of each offer.
    pub offers: Vec<Evidence>,
}

/// What proves a membership to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDocuments {
    /// The certificate.
    pub certificate: SignedCertificate,
    /// The key rotations since that certificate, in their order.
    pub rotations: Vec<SignedRotation>,
}

/// What a gateway record says of what its domain deals in, and with whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// The ledger that payments pass through; none when nothing is passed on.
    pub transit: Option<Ubi>,
    /// Whether it is said with whom there are correspondent ledgers.
    pub named: bool,
    /// What is dealt in: as much of it as fits is said.
    pub dealings: Vec<Dealing>,
}

/// The node as the mesh sees it.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Our domain.
    fn domain(&self) -> &Domain;
    /// What the operator trusts.
    fn anchors(&self) -> &Anchors;
    /// The members known now.
    fn directory(&self) -> Arc<Directory>;
    /// Now, for validity of certificates and records.
    fn now(&self) -> Time;
    /// Our certificate.
    fn certificate(&self) -> SignedCertificate;
    /// Our key rotations since that certificate.
    fn rotations(&self) -> Vec<SignedRotation>;
    /// Whether we keep ledgers (feeds run) or only serve the directory (a bootstrap peer).
    fn is_validator(&self) -> bool;
    /// Signs our gateway record with the current key.
    ///
    /// # Errors
    /// When the signer refuses.
    fn sign_gateway(&self, record: &GatewayRecord) -> Result<SignedGatewayRecord, Refusal>;
    /// The epoch of the key that signs now.
    fn epoch(&self) -> quadrille_protocol::types::Epoch;
    /// What our gateway record is to say of what we deal in.
    fn published(&self) -> Published;
    /// How we stand to a member.
    fn standing(&self, domain: &Domain) -> Standing;
    /// Domains that we want a session with.
    fn wanted(&self) -> Vec<Domain>;
    /// Asset pairs whose offers we want to hear.
    fn pairs(&self) -> Vec<AssetPair>;

    /// Takes a certificate into the directory; returns when the directory has it.
    async fn admit(&self, certificate: VerifiedCertificate) -> Result<(), Refusal>;
    /// Takes a rotation into the directory.
    async fn rotate(&self, rotation: VerifiedRotation) -> Result<(), Refusal>;
    /// Takes a revocation into the directory.
    async fn revoke(&self, revocation: VerifiedRevocation) -> Result<(), Refusal>;
    /// Revocations known, to pass on with the member list.
    fn revocations(&self) -> Vec<SignedRevocation>;
    /// Members whose names sort after `after`, at most `most`, in the order of their names, to
    /// pass on with the member list. The mesh itself remembers those that came by since its
    /// start, so only who keeps a register (a bootstrap peer) needs to say more.
    fn members_after(
        &self,
        _after: Option<&Domain>,
        _most: usize,
    ) -> Vec<(Domain, MemberDocuments)> {
        Vec::new()
    }

    /// A session with `peer` stands; everything from an earlier one has been handed in before.
    async fn attach(&self, peer: &Domain, out: mpsc::Sender<Wire>) -> Result<(), Refusal>;
    /// Something came over the session, in order. An error is the peer's doing: it is named in
    /// the log and scored.
    async fn receive(&self, peer: &Domain, wire: Wire) -> Result<(), Refusal>;
    /// The session has ended and nothing more will come of it.
    async fn detach(&self, peer: &Domain);

    /// A gossiped notice: evidence of `OfferPosted`, `OfferClosed` or `Book`.
    async fn notice(&self, evidence: Evidence) -> (Acceptance, Option<Refusal>);
    /// Our live offers with a signed root.
    async fn live_offers(&self) -> Result<LiveOffers, Refusal>;
    /// A peer's live offers, to be verified against its root and taken up.
    async fn take_live_offers(&self, peer: &Domain, list: LiveOffers) -> Result<usize, Refusal>;

    /// Answers a member's question, if policy has it.
    ///
    /// # Errors
    /// What the asker is told instead of an answer.
    async fn answer(&self, asker: &Domain, _question: Question) -> Result<Answer, Refusal> {
        refuse!(QuestionRefused, "to {asker}");
    }
}
