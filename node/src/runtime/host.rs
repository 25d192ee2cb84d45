//! The node as the mesh sees it: verifies what peers send, and hands it to the engine.
//!
//! Everything from one peer comes in the order of its session and is verified in that order, so
//! a key that a page announces is known before the next page is checked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use quadrille_protocol::codec;
use quadrille_protocol::crypto::suite::HybridSignatures;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{
    Anchors, Directory, GatewayRecord, SignedCertificate, SignedGatewayRecord, SignedRevocation,
    SignedRotation, VerifiedCertificate, VerifiedRevocation, VerifiedRotation,
};
use quadrille_protocol::limits;
use quadrille_protocol::log::{
    Bundle, Evidence, Frame, ReceivedFrame, Record, Statement, VerifiedEvidence,
};
use quadrille_protocol::market::{OfferNotice, verify_live};
use quadrille_protocol::types::{AssetPair, Domain, Epoch, Time};
use quadrille_protocol::validator::{Command, Input, Message};
use tokio::sync::mpsc;

use super::answers::Answers;
use super::book::OwnBook;
use super::rotations::OwnRotations;
use crate::config::Correspondents;
use crate::engine::{Clock, Engine};
use crate::feeds::Feeds;
use crate::mesh::ask::{Answer, Question};
use crate::mesh::host::{Acceptance, Host, LiveOffers, Published, Standing};
use crate::mesh::wire::Wire;
use crate::payments::Opener;
use crate::signer::Signer;

/// Pairs that we say we want to hear of, at most.
const PAIRS: usize = 1_024;
/// Largest message that binds nobody.
const MESSAGE_BYTES: usize = limits::RECORD_BYTES;

/// The node behind the mesh.
pub struct NodeHost {
    engine: Engine,
    feeds: Feeds,
    anchors: Arc<Anchors>,
    signer: Arc<dyn Signer>,
    clock: Arc<dyn Clock>,
    certificate: SignedCertificate,
    rotations: OwnRotations,
    /// Revocations heard, to pass on.
    revocations: Mutex<BTreeMap<(Domain, Epoch), SignedRevocation>>,
    /// Domains that the operator wants a session with, whatever the books say.
    wanted: Vec<Domain>,
    book: OwnBook,
    correspondents: Correspondents,
    opener: Opener,
    answers: Arc<Answers>,
}

/// What a host is made of.
pub struct HostParts {
    /// The engine.
    pub engine: Engine,
    /// The feeds.
    pub feeds: Feeds,
    /// What the operator trusts.
    pub anchors: Anchors,
    /// Signs gateway records.
    pub signer: Arc<dyn Signer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Our certificate.
    pub certificate: SignedCertificate,
    /// Rotations of our own key since.
    pub rotations: OwnRotations,
    /// Domains of the configuration's static peers.
    pub wanted: Vec<Domain>,
    /// Our live offers, for late joiners.
    pub book: OwnBook,
    /// What is told of our correspondent ledgers.
    pub correspondents: Correspondents,
    /// Opens what comes sealed to us.
    pub opener: Opener,
    /// What we tell members that ask.
    pub answers: Arc<Answers>,
}

impl NodeHost {
    /// The host of these parts.
    #[must_use]
    pub fn new(parts: HostParts) -> Self {
        let HostParts {
            engine,
            feeds,
            anchors,
            signer,
            clock,
            certificate,
            rotations,
            wanted,
            book,
            correspondents,
            opener,
            answers,
        } = parts;
        Self {
            engine,
            feeds,
            anchors: Arc::new(anchors),
            signer,
            clock,
            certificate,
            rotations,
            revocations: Mutex::default(),
            wanted,
            book,
            correspondents,
            opener,
            answers,
        }
    }

    async fn put(&self, input: Input) -> Result<(), Refusal> {
        self.engine.put(input).await.map_err(crate::engine::EngineError::refusal)
    }

    async fn command(&self, command: Command) -> Result<(), Refusal> {
        let answer = self.engine.command(command).await;
        answer.map(|_| ()).map_err(crate::engine::EngineError::refusal)
    }

    /// A page of `from`'s feed to `to`, one of which is us.
    async fn verify_frame(
        &self,
        bytes: Bytes,
        from: Domain,
        to: Domain,
    ) -> Result<ReceivedFrame, Refusal> {
        let directory = self.engine.directory();
        let network = self.engine.network().clone();
        let signatures = self.engine.verifier().signatures();
        let size = bytes.len();
        let check = move || Frame::verify(&bytes, &from, &to, &network, &directory, &*signatures);
        self.engine.verifier().run_sized(size, check).await
    }

    async fn verify_evidence(&self, evidence: Evidence) -> Result<VerifiedEvidence, Refusal> {
        let directory = self.engine.directory();
        let network = self.engine.network().clone();
        let signatures = self.engine.verifier().signatures();
        let check = move || VerifiedEvidence::check(evidence, &network, &directory, &*signatures);
        self.engine.verifier().run(check).await
    }

    async fn receive_frame(&self, peer: &Domain, bytes: Bytes) -> Result<(), Refusal> {
        let us = self.engine.domain().clone();
        let frame = match self.verify_frame(bytes, peer.clone(), us).await {
            // A key that we have not heard of yet: the page comes again when we have.
            Err(refusal) if is_early(refusal.code) => {
                tracing::info!(%peer, %refusal, "page before its key");
                return Ok(());
            }
            other => other?,
        };
        let rotations: Vec<SignedRotation> = frame
            .items()
            .iter()
            .filter_map(|item| match &item.statement {
                Some(Statement::Rotated(signed)) => Some((**signed).clone()),
                Some(_) | None => None,
            })
            .collect();
        let findings = self.opener.findings(&frame).await?;
        self.put(Input::Frame { frame: Box::new(frame), findings }).await?;
        for signed in rotations {
            let directory = self.engine.directory();
            let verified = self.anchors.verify_rotation(&signed, &directory, &HybridSignatures)?;
            self.rotate(verified).await?;
        }
        Ok(())
    }

    /// Notices that a peer has for us alone: its own, all of one batch.
    async fn receive_notices(&self, peer: &Domain, bytes: Bytes) -> Result<(), Refusal> {
        let directory = self.engine.directory();
        let network = self.engine.network().clone();
        let signatures = self.engine.verifier().signatures();
        let size = bytes.len();
        let check = move || Bundle::verify(&bytes, &network, &directory, &*signatures);
        let bundle = match self.engine.verifier().run_sized(size, check).await {
            Err(refusal) if is_early(refusal.code) => return Ok(()),
            other => other?,
        };
        if bundle.domain() != peer {
            let what = format!("{peer} brings notices of {}", bundle.domain());
            return Err(Refusal::new(Code::WrongDomain, what));
        }
        // The core judges each by itself.
        self.put(Input::Notices(Box::new(bundle))).await
    }

    async fn receive_notice(
        &self,
        evidence: Evidence,
    ) -> Result<(Acceptance, Option<Refusal>), Refusal> {
        let verified = match self.verify_evidence(evidence).await {
            Ok(verified) => verified,
            Err(refusal) if is_early(refusal.code) || refusal.code == Code::NotLive => {
                return Ok((Acceptance::Ignore, None));
            }
            Err(refusal) => return Ok((Acceptance::Reject, Some(refusal))),
        };
        let from = verified.evidence().domain();
        let named = match verified.record() {
            Record::OfferPosted(notice) => {
                if notice.check(self.clock.now()).is_err() {
                    return Ok((Acceptance::Ignore, None));
                }
                &notice.validator
            }
            Record::OfferClosed(closed) => &closed.validator,
            // The root of somebody's live offers: for whoever has the list to it.
            Record::Book(_) => return Ok((Acceptance::Accept, None)),
            other => {
                let refusal = Refusal::new(Code::WrongRecord, other.kind());
                return Ok((Acceptance::Reject, Some(refusal)));
            }
        };
        if named != from {
            let refusal = Refusal::new(Code::WrongDomain, format!("{from} speaks for {named}"));
            return Ok((Acceptance::Reject, Some(refusal)));
        }
        self.put(Input::Notice(Box::new(verified))).await?;
        Ok((Acceptance::Accept, None))
    }
}

#[async_trait]
impl Host for NodeHost {
    fn domain(&self) -> &Domain {
        self.engine.domain()
    }

    fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    fn directory(&self) -> Arc<Directory> {
        self.engine.directory()
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    fn certificate(&self) -> SignedCertificate {
        self.certificate.clone()
    }

    fn rotations(&self) -> Vec<SignedRotation> {
        self.rotations.up_to(self.epoch())
    }

    fn is_validator(&self) -> bool {
        true
    }

    fn sign_gateway(&self, record: &GatewayRecord) -> Result<SignedGatewayRecord, Refusal> {
        let (tag, bytes) = record.to_sign();
        let signature = self.signer.sign(record.epoch, tag, &bytes)?;
        SignedGatewayRecord::assemble(record, signature)
    }

    fn epoch(&self) -> Epoch {
        let directory = self.engine.directory();
        let latest = directory.member(self.engine.domain()).and_then(|member| member.latest());
        latest.map_or(Epoch(1), |(epoch, _)| epoch)
    }

    fn published(&self) -> Published {
        let relations = self.engine.relations();
        let Correspondents { publish, conceal } = &self.correspondents;
        let mut dealings = relations.dealings.clone();
        for dealing in &mut dealings {
            dealing.accepts.retain(|peer| !conceal.contains(peer));
        }
        let transit = relations.transit.filter(|_| *publish);
        Published { transit, named: *publish, dealings }
    }

    fn standing(&self, domain: &Domain) -> Standing {
        let relations = self.engine.relations();
        if relations.suspended.contains(domain) {
            return Standing::Blocked;
        }
        match relations.trusted.contains(domain) {
            true => Standing::Trusted,
            false => Standing::Member,
        }
    }

    fn wanted(&self) -> Vec<Domain> {
        let relations = self.engine.relations();
        let mut wanted = relations.trusted.clone();
        wanted.extend(relations.partners.iter().cloned());
        wanted.extend(self.wanted.iter().cloned());
        wanted.remove(self.engine.domain());
        wanted.retain(|domain| !relations.suspended.contains(domain));
        wanted.into_iter().collect()
    }

    fn pairs(&self) -> Vec<AssetPair> {
        let assets = &self.engine.relations().assets;
        let all = assets.iter().flat_map(|give| {
            let others = assets.iter().filter(move |want| *want != give);
            others.map(move |want| AssetPair { give: give.clone(), want: want.clone() })
        });
        all.take(PAIRS).collect()
    }

    async fn admit(&self, certificate: VerifiedCertificate) -> Result<(), Refusal> {
        let directory = self.engine.directory();
        let known = directory.member(&certificate.certificate().domain);
        if known.is_ok_and(|member| member.certificate() == certificate.certificate()) {
            return Ok(());
        }
        self.command(Command::Admit(Box::new(certificate))).await
    }

    async fn rotate(&self, rotation: VerifiedRotation) -> Result<(), Refusal> {
        let directory = self.engine.directory();
        let known = rotation.rotation();
        if directory
            .record(&known.domain, known.to_epoch)
            .is_some_and(|key| key.key == known.new_key)
        {
            return Ok(());
        }
        self.command(Command::Rotate(Box::new(rotation))).await
    }

    async fn revoke(&self, revocation: VerifiedRevocation) -> Result<(), Refusal> {
        let known = revocation.revocation();
        let key = (known.domain.clone(), known.epoch);
        let signed = revocation.signed().clone();
        let heard = {
            let mut revocations = self.revocations.lock().unwrap_or_else(PoisonError::into_inner);
            revocations.insert(key, signed).is_some()
        };
        match heard {
            true => Ok(()),
            false => self.command(Command::Revoke(Box::new(revocation))).await,
        }
    }

    fn revocations(&self) -> Vec<SignedRevocation> {
        let revocations = self.revocations.lock().unwrap_or_else(PoisonError::into_inner);
        revocations.values().cloned().collect()
    }

    async fn attach(&self, peer: &Domain, out: mpsc::Sender<Wire>) -> Result<(), Refusal> {
        self.feeds.attach(peer, out);
        self.put(Input::Connected(peer.clone())).await
    }

    async fn receive(&self, peer: &Domain, wire: Wire) -> Result<(), Refusal> {
        match wire {
            Wire::Frame(bytes) => self.receive_frame(peer, bytes).await,
            Wire::Returned(bytes) => {
                let us = self.engine.domain().clone();
                let frame = self.verify_frame(bytes, us, peer.clone()).await?;
                self.put(Input::Returned { by: peer.clone(), frame: Box::new(frame) }).await
            }
            Wire::Message(bytes) => {
                let message = codec::decode::<Message, MESSAGE_BYTES>(&bytes)?;
                self.put(Input::Message { from: peer.clone(), message }).await
            }
            Wire::Shown(bytes) => {
                let evidence = codec::decode::<Evidence, { limits::FRAME_BYTES }>(&bytes)?;
                match self.verify_evidence(evidence).await {
                    Ok(verified) => self.put(Input::Shown(Box::new(verified))).await,
                    Err(refusal) if is_early(refusal.code) => Ok(()),
                    Err(refusal) => Err(refusal),
                }
            }
            Wire::Notices(bytes) => self.receive_notices(peer, bytes).await,
        }
    }

    async fn detach(&self, peer: &Domain) {
        self.feeds.detach(peer);
    }

    async fn notice(&self, evidence: Evidence) -> (Acceptance, Option<Refusal>) {
        match self.receive_notice(evidence).await {
            Ok(verdict) => verdict,
            // The engine is going down: nobody's fault.
            Err(_) => (Acceptance::Ignore, None),
        }
    }

    async fn live_offers(&self) -> Result<LiveOffers, Refusal> {
        self.book.live_offers(&self.engine).await
    }

    async fn take_live_offers(&self, peer: &Domain, list: LiveOffers) -> Result<usize, Refusal> {
        let directory = self.engine.directory();
        let network = self.engine.network().clone();
        let peer = peer.clone();
        let signatures = self.engine.verifier().signatures();
        let check = move || {
            let verify = |evidence: Evidence| {
                let verified =
                    VerifiedEvidence::check(evidence, &network, &directory, &*signatures)?;
                match *verified.evidence().domain() == peer {
                    true => Ok(verified),
                    false => Err(Refusal::new(Code::WrongDomain, format!("not said by {peer}"))),
                }
            };
            let root = verify(list.root)?;
            let Record::Book(root) = root.record() else {
                return Err(Refusal::new(Code::WrongRecord, root.record().kind()));
            };
            let offers: Vec<VerifiedEvidence> =
                list.offers.into_iter().map(verify).collect::<Result<_, _>>()?;
            let notices: Vec<OfferNotice> = offers.iter().map(posted).collect::<Result<_, _>>()?;
            verify_live(&peer, &notices, root.root, root.count)?;
            Ok(offers)
        };
        let offers = self.engine.verifier().run(check).await?;
        let count = offers.len();
        for offer in offers {
            self.put(Input::Notice(Box::new(offer))).await?;
        }
        Ok(count)
    }

    async fn answer(&self, asker: &Domain, question: Question) -> Result<Answer, Refusal> {
        self.answers.answer(asker, question).await
    }
}

fn posted(evidence: &VerifiedEvidence) -> Result<OfferNotice, Refusal> {
    match evidence.record() {
        Record::OfferPosted(notice) => Ok(notice.clone()),
        other => Err(Refusal::new(Code::WrongRecord, other.kind())),
    }
}

/// Whether something cannot be verified only because we do not know its signer's key yet.
fn is_early(code: Code) -> bool {
    matches!(code, Code::UnknownDomain | Code::UnknownEpoch)
}
