//! What we tell other members that ask: names of holders, accounts of offers, asset profiles,
//! obligations. Policy decides here who is told what.
//!
//! | question     | who is told                                                              |
//! | ------------ | ------------------------------------------------------------------------ |
//! | name         | as `names.answer_to` says; everybody else gets a signed «refused»          |
//! | offer        | whom the offer admits                                                    |
//! | profile      | every member, of assets that we issue                                    |
//! | obligations  | whom we trust or owe, while we take part in netting                     |
//!
//! Nothing here binds us: a payment to an answer that has become false is declined.

use std::sync::Arc;
use std::time::Duration as Wait;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::payment::name::{
    self, NameQuestion, NameRecord, NameStatus, SignedNameRecord,
};
use quadrille_protocol::refuse;
use quadrille_protocol::settlement::agreement::Account;
use quadrille_protocol::types::{Bounded, Domain, Duration, Epoch, OrderId, Ubi};
use quadrille_protocol::types::{Holder, Uai};
use quadrille_protocol::validator::Validator;

use crate::config::AnswerTo;
use crate::engine::{Clock, Engine, EngineError};
use crate::index::Index;
use crate::mesh::ask::{Answer, CREDITORS, Owing, Question};
use crate::signer::Signer;

/// Ledgers of one holder that are looked at.
const LEDGERS: usize = 64;
/// How long an answer that says no may be used: the holder may come any moment.
const NO_LIFE: Duration = Duration(10_000);
/// How long a question waits for the index to know what is durable now.
const INDEX_WAIT: Wait = Wait::from_secs(2);

/// What the answers are made from.
pub struct AnswerParts {
    /// The engine.
    pub engine: Engine,
    /// The index, which knows the ledgers of a holder.
    pub index: Index,
    /// Signs answers about names.
    pub signer: Arc<dyn Signer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who is told of our holders.
    pub answer_to: AnswerTo,
    /// How long an answer about a name may be used.
    pub life: Duration,
}

/// Answers members' questions.
pub struct Answers(AnswerParts);

impl Answers {
    /// Of these parts.
    #[must_use]
    pub const fn new(parts: AnswerParts) -> Self {
        Self(parts)
    }

    /// Answers a member.
    ///
    /// # Errors
    /// What the member is told instead: `Q-2507`, `Q-1501`, `Q-1414`, or that we cannot answer
    /// now.
    pub async fn answer(&self, asker: &Domain, question: Question) -> Result<Answer, Refusal> {
        let parts = &self.0;
        if parts.engine.relations().suspended.contains(asker) {
            refuse!(QuestionRefused, "to {asker}, which is suspended");
        }
        match question {
            Question::Name(question) => {
                let record = self.record(asker, question).await?;
                let (tag, bytes) = record.to_sign();
                let signature = parts.signer.sign(record.epoch, tag, &bytes)?;
                Ok(Answer::Name(SignedNameRecord::assemble(&record, signature)?))
            }
            Question::OfferAccount(order) => {
                let asker = asker.clone();
                let found = self.look(move |validator| offer_account(validator, &asker, &order));
                Ok(Answer::OfferAccount(found.await??))
            }
            Question::AssetProfile(asset) => {
                let found = self.look(move |validator| {
                    let state = validator.state();
                    if *asset.issuer() != state.domain {
                        refuse!(UnknownAsset, "{asset} is not issued here");
                    }
                    Ok(state.books.asset(&asset)?.profile.clone())
                });
                Ok(Answer::AssetProfile(Box::new(found.await??)))
            }
            Question::Obligations(asset) => {
                let trusted = parts.engine.relations().trusted.contains(asker);
                let asker = asker.clone();
                let found = self.look(move |validator| {
                    // Whom we owe may offer us another debtor, or to cancel it.
                    let state = validator.state();
                    let owed = !state.books.correspondent(&asker, &asset).owe.is_zero();
                    if !trusted && !owed {
                        refuse!(QuestionRefused, "to {asker}, which is not trusted here");
                    }
                    owing(validator, &asset)
                });
                Ok(Answer::Obligations(found.await??))
            }
        }
    }

    /// What we say of a holder of ours to `asker`; to ourselves everything.
    ///
    /// # Errors
    /// `Q-1208` another bank's holder; when engine or index cannot be asked.
    pub async fn record(
        &self,
        asker: &Domain,
        question: NameQuestion,
    ) -> Result<NameRecord, Refusal> {
        let parts = &self.0;
        let domain = parts.engine.domain();
        if question.holder.domain() != domain {
            refuse!(WrongDomain, "{} is no holder of {domain}", question.holder);
        }
        let status = match asker == domain || self.admits(asker) {
            true => self.look_up(&question).await?,
            false => NameStatus::Refused,
        };
        let issued = parts.clock.now();
        let life = match &status {
            NameStatus::Found(_) => parts.life,
            NameStatus::Unknown | NameStatus::Closed | NameStatus::Refused => {
                NO_LIFE.min(parts.life)
            }
        };
        Ok(NameRecord {
            network: parts.engine.network().clone(),
            domain: domain.clone(),
            epoch: self.epoch(),
            asker: asker.clone(),
            question,
            status,
            issued,
            expires: issued.after(life),
        })
    }

    fn admits(&self, asker: &Domain) -> bool {
        let trusted = || self.0.engine.relations().trusted.contains(asker);
        match &self.0.answer_to {
            AnswerTo::Members => true,
            AnswerTo::Trusted => trusted(),
            AnswerTo::Listed(domains) => domains.contains(asker) || trusted(),
        }
    }

    fn epoch(&self) -> Epoch {
        let directory = self.0.engine.directory();
        let latest = directory.member(self.0.engine.domain()).and_then(|member| member.latest());
        latest.map_or(Epoch(1), |(epoch, _)| epoch)
    }

    async fn look_up(&self, question: &NameQuestion) -> Result<NameStatus, Refusal> {
        let height = self.look(|validator| validator.state().height).await?;
        let waited = tokio::time::timeout(INDEX_WAIT, self.0.index.wait_for(height)).await;
        waited.map_err(|_| Refusal::new(Code::NotReady, format!("index behind {height}")))??;
        let ledgers = self.ledgers(question.holder.clone()).await?;
        let asset = question.asset.clone();
        self.look(move |validator| {
            let state = validator.state();
            let known =
                ledgers.iter().filter_map(|ubi| Some((*ubi, state.books.ledgers.get(ubi)?)));
            name::look_up(&state.domain, known, asset.as_ref())
        })
        .await
    }

    /// A holder's ledgers, by their numbers.
    async fn ledgers(&self, holder: Holder) -> Result<Vec<Ubi>, Refusal> {
        let index = self.0.index.clone();
        let read = move || index.ledgers_of(&holder, None, LEDGERS);
        let page = tokio::task::spawn_blocking(read).await;
        let page = page.map_err(|error| Refusal::new(Code::IndexFailed, error.to_string()))??;
        let mut rows = page.items;
        rows.sort_by_key(|row| row.number);
        Ok(rows.into_iter().map(|row| row.ledger).collect())
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Validator) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        self.0.engine.read(look).await.map_err(EngineError::refusal)
    }
}

fn offer_account(
    validator: &Validator,
    asker: &Domain,
    order: &OrderId,
) -> Result<Account, Refusal> {
    let state = validator.state();
    let none = || Refusal::new(Code::UnknownOffer, order.to_string());
    let offer = state.offers.get(order).ok_or_else(none)?;
    // Whom the offer is not for learns nothing of it, not even that it is there.
    if offer.is_done() || !offer.terms().admits(asker) {
        return Err(none());
    }
    Ok(Account { domain: state.domain.clone(), ledger: offer.ledger() })
}

/// Whom we owe an asset, the most first where there are more than fit.
///
/// # Errors
/// `Q-2703` we take no part in netting.
pub fn owing(validator: &Validator, asset: &Uai) -> Result<Owing, Refusal> {
    let state = validator.state();
    if !state.netting {
        refuse!(NettingOff, "{}", state.domain);
    }
    let correspondents = state.books.correspondents.iter();
    let owed = correspondents.filter(|((_, held), line)| held == asset && !line.owe.is_zero());
    let mut owed: Vec<_> = owed.map(|((peer, _), line)| (peer.clone(), line.owe)).collect();
    owed.sort_by_key(|(_, owe)| std::cmp::Reverse(*owe));
    owed.truncate(CREDITORS);
    Ok(Owing { transit: state.transit, creditors: Bounded::new(owed)? })
}
