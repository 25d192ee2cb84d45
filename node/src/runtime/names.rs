//! What we ask other members: names of their holders, accounts of their offers, profiles of
//! their assets.
//!
//! Invariants: an answer about a name counts when the bank's signature over it verifies, and as
//! long as the bank said, never longer; a profile counts when its hash is in the asset's
//! identifier.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quadrille_protocol::crypto::suite::HybridSignatures;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::AssetProfile;
use quadrille_protocol::payment::name::{
    self, Asking, NameCache, NameQuestion, SignedNameRecord, VerifiedName,
};
use quadrille_protocol::refuse;
use quadrille_protocol::settlement::agreement::Account;
use quadrille_protocol::types::{Domain, OrderId, Uai};

use super::answers::Answers;
use crate::api::ports::Resolved;
use crate::engine::{Clock, Engine};
use crate::mesh::MeshHandle;
use crate::mesh::ask::{Answer, Question};

/// Asks other members. What they said of names is remembered while it counts.
pub struct Names {
    engine: Engine,
    mesh: MeshHandle,
    clock: Arc<dyn Clock>,
    own: Arc<Answers>,
    cache: Mutex<NameCache>,
}

impl Names {
    /// With nothing remembered.
    #[must_use]
    pub fn new(engine: Engine, mesh: MeshHandle, clock: Arc<dyn Clock>, own: Arc<Answers>) -> Self {
        Self { engine, mesh, clock, own, cache: Mutex::default() }
    }

    fn cache(&self) -> MutexGuard<'_, NameCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a holder's bank says of the name. With `fresh` the bank is asked although it has
    /// answered before.
    ///
    /// # Errors
    /// `Q-1205` no such bank; `Q-2504` it cannot be asked now; `Q-2505`, `Q-2506` and those of
    /// [`SignedNameRecord::verify`] for an answer that does not count. That the name is unknown,
    /// closed or not told to us is in the answer: see `NameRecord::found`.
    pub async fn resolve(&self, question: NameQuestion, fresh: bool) -> Result<Resolved, Refusal> {
        let bank = question.holder.domain().clone();
        if bank == *self.engine.domain() {
            let record = self.own.record(&bank, question).await?;
            return Ok(Resolved { record, cached: false });
        }
        let known = self.cache().get(&question, self.clock.now()).cloned();
        if let Some(known) = known.filter(|_| !fresh) {
            return Ok(Resolved { record: known.record().clone(), cached: true });
        }
        let answer = match self.mesh.ask(&bank, &Question::Name(question.clone())).await {
            Ok(Answer::Name(answer)) => answer,
            Ok(_) => refuse!(OtherAnswer, "of {bank}"),
            Err(refusal) if refusal.code == Code::UnknownDomain => return Err(refusal),
            Err(refusal) => return Err(name::unreachable(&question.holder, &refusal)),
        };
        let verified = self.verify(question, answer).await?;
        let record = verified.record().clone();
        self.cache().insert(verified);
        Ok(Resolved { record, cached: false })
    }

    /// Forgets what was said of a name, since a payment to it was declined.
    pub fn forget(&self, question: &NameQuestion) {
        self.cache().forget(question);
    }

    async fn verify(
        &self,
        question: NameQuestion,
        answer: SignedNameRecord,
    ) -> Result<VerifiedName, Refusal> {
        let (engine, now) = (self.engine.clone(), self.clock.now());
        let check = move || {
            let directory = engine.directory();
            let asking = Asking {
                network: engine.network(),
                asker: engine.domain(),
                question: &question,
                directory: &directory,
                now,
            };
            answer.verify(&asking, &HybridSignatures)
        };
        self.engine.verifier().run(check).await
    }

    /// The account that gives and receives under a live offer of a holder at `bank`.
    ///
    /// # Errors
    /// `Q-1501` there is none, or not for us; those of `MeshHandle::ask`; `Q-2506`.
    pub async fn offer_account(&self, bank: &Domain, offer: &OrderId) -> Result<Account, Refusal> {
        match self.mesh.ask(bank, &Question::OfferAccount(*offer)).await? {
            Answer::OfferAccount(account) if account.domain == *bank => Ok(account),
            _ => refuse!(OtherAnswer, "of {bank}, about {offer}"),
        }
    }

    /// What its issuer says of an asset.
    ///
    /// # Errors
    /// `Q-1414` the issuer does not know it; those of `MeshHandle::ask`; `Q-2506` a profile of
    /// another asset.
    pub async fn profile(&self, asset: &Uai) -> Result<AssetProfile, Refusal> {
        let issuer = asset.issuer();
        match self.mesh.ask(issuer, &Question::AssetProfile(asset.clone())).await? {
            Answer::AssetProfile(profile) if profile.uai() == *asset => Ok(*profile),
            _ => refuse!(OtherAnswer, "of {issuer}, about {asset}"),
        }
    }
}
