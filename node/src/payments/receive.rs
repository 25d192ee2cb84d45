//! What comes sealed to us is opened, checked and screened before the core decides to lock.
//!
//! Invariant: an enclosure that does not open, or whose content is not acceptable, becomes a
//! finding with the reason; the page goes to the core in any case.

use std::sync::Arc;

use futures::future::try_join_all;
use quadrille_protocol::crypto::seal::SealingKey;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::{ReceivedFrame, Statement};
use quadrille_protocol::payment::{Finding, Opened};
use quadrille_protocol::policy::payload::Payload;
use quadrille_protocol::policy::travel::Paid;
use quadrille_protocol::refuse;
use quadrille_protocol::settlement::Agreement;
use quadrille_protocol::validator::Validator;

use crate::compliance::{Direction, Facts, Screening};
use crate::engine::{Clock, Engine, EngineError};

/// Opens what is sealed to us.
#[derive(Clone)]
pub struct Opener {
    engine: Engine,
    clock: Arc<dyn Clock>,
    key: Arc<SealingKey>,
    screening: Arc<Screening>,
}

impl Opener {
    /// With this key and these rules.
    #[must_use]
    pub fn new(
        engine: Engine,
        clock: Arc<dyn Clock>,
        key: SealingKey,
        screening: Arc<Screening>,
    ) -> Self {
        Self { engine, clock, key: Arc::new(key), screening }
    }

    /// What is in the enclosures of a page that are for us.
    ///
    /// # Errors
    /// `Q-1801` while the node goes down.
    pub async fn findings(&self, frame: &ReceivedFrame) -> Result<Vec<Finding>, Refusal> {
        let own = self.engine.domain();
        let enclosed: Vec<Agreement> = frame
            .items()
            .iter()
            .filter_map(|item| match &item.statement {
                Some(Statement::Agreed(agreement)) => Some(agreement),
                Some(_) | None => None,
            })
            .filter(|agreement| agreement.enclosure.as_ref().is_some_and(|it| it.to == *own))
            .map(|agreement| (**agreement).clone())
            .collect();
        // All at once: a screening that takes its time must not add up over a page. How many run at
        // a time is bounded where they run.
        try_join_all(enclosed.into_iter().map(|agreement| self.find(agreement))).await
    }

    async fn find(&self, agreement: Agreement) -> Result<Finding, Refusal> {
        let settlement = agreement.header.id();
        let opened = self.open(agreement).await;
        if let Err(refusal) = &opened {
            tracing::info!(%settlement, code = %refusal.code, "an enclosure is not acceptable");
        }
        match opened {
            // Not what is enclosed, but we.
            Err(refusal) if refusal.code == Code::NotLive => Err(refusal),
            opened => Ok(Finding { settlement, opened }),
        }
    }

    async fn open(&self, agreement: Agreement) -> Result<Opened, Refusal> {
        let own = self.engine.domain();
        let paid = agreement.legs.iter().rev().find(|leg| leg.to.domain == *own).cloned();
        let Some(leg) = paid else {
            refuse!(BadAgreement, "nothing is paid to the one it is sealed to");
        };
        let (asset, ledger) = (leg.asset.clone(), leg.to.ledger);
        let look = move |validator: &Validator| {
            let state = validator.state();
            let holder = state.books.ledgers.get(&ledger).map(|known| known.holder.to_string());
            (state.travel_rules.get(&asset).copied(), holder)
        };
        let (threshold, holder) = self.engine.read(look).await.map_err(EngineError::refusal)?;
        let facts = Facts {
            direction: Direction::In,
            from: agreement.header.initiator.to_string(),
            to: holder.unwrap_or_else(|| ledger.to_string()),
            asset: leg.asset.clone(),
            amount: leg.amount,
        };
        let (key, now) = (self.key.clone(), self.clock.now());
        let check = move || {
            let Some(enclosure) = &agreement.enclosure else {
                refuse!(EnclosureUnopened, "nothing is enclosed");
            };
            let paid = Paid { amount: leg.amount, threshold, to: &leg.to.ledger, now };
            Payload::find(&key, enclosure, &paid, |_| Ok(()))
        };
        let (payload, opened) = self.engine.verifier().run(check).await?;
        self.screening.check(&facts, Some(&payload)).await?;
        Ok(opened)
    }
}
