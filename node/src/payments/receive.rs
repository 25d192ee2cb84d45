//! What comes sealed to us is opened, checked and screened before the core decides to lock.
//!
//! Invariant: an enclosure that does not open, or whose content is not acceptable, becomes a
//! finding with the reason; the page goes to the core in any case.

use std::sync::Arc;

use quadrille_protocol::crypto::seal::SealingKey;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::log::{ReceivedFrame, Statement};
use quadrille_protocol::payment::{Finding, Opened};
use quadrille_protocol::policy::payload::Payload;
use quadrille_protocol::policy::travel::Paid;
use quadrille_protocol::settlement::{Agreement, Enclosure};
use quadrille_protocol::types::{Amount, Domain};

use crate::engine::{Clock, Engine, EngineError};

/// Whether somebody may be paid by somebody: the bank's own rules, asked for each payload.
pub trait Screen: Send + Sync + 'static {
    /// Passes, or says why not. Runs where waiting is no harm.
    ///
    /// # Errors
    /// The reason with which the bank declines.
    fn screen(&self, agreement: &Agreement, payload: &Payload) -> Result<(), Refusal>;
}

/// Opens what is sealed to us.
#[derive(Clone)]
pub struct Opener {
    engine: Engine,
    clock: Arc<dyn Clock>,
    key: Arc<SealingKey>,
    screen: Option<Arc<dyn Screen>>,
}

impl Opener {
    /// With this key; `screen` where the bank has rules of its own.
    #[must_use]
    pub fn new(
        engine: Engine,
        clock: Arc<dyn Clock>,
        key: SealingKey,
        screen: Option<Arc<dyn Screen>>,
    ) -> Self {
        Self { engine, clock, key: Arc::new(key), screen }
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
        let mut findings = Vec::with_capacity(enclosed.len());
        for agreement in enclosed {
            findings.push(self.find(agreement).await?);
        }
        Ok(findings)
    }

    async fn find(&self, agreement: Agreement) -> Result<Finding, Refusal> {
        let asset = agreement.legs.last().map(|leg| leg.asset.clone());
        let look = move |validator: &quadrille_protocol::validator::Validator| {
            asset.and_then(|asset| validator.state().travel_rules.get(&asset).copied())
        };
        let threshold = self.engine.read(look).await.map_err(EngineError::refusal)?;
        let opener = self.clone();
        let run = move || Ok(opener.open(&agreement, threshold));
        self.engine.verifier().run(run).await
    }

    fn open(&self, agreement: &Agreement, threshold: Option<Amount>) -> Finding {
        let settlement = agreement.header.id();
        let opened = match &agreement.enclosure {
            Some(enclosure) => self.check(agreement, enclosure, threshold),
            None => Err(Refusal::new(
                quadrille_protocol::error::Code::EnclosureUnopened,
                "nothing is enclosed",
            )),
        };
        if let Err(refusal) = &opened {
            tracing::info!(%settlement, code = %refusal.code, "an enclosure is not acceptable");
        }
        Finding { settlement, opened }
    }

    fn check(
        &self,
        agreement: &Agreement,
        enclosure: &Enclosure,
        threshold: Option<Amount>,
    ) -> Result<Opened, Refusal> {
        let own: &Domain = self.engine.domain();
        let paid = agreement.legs.iter().rev().find(|leg| leg.to.domain == *own);
        let Some(leg) = paid else {
            quadrille_protocol::refuse!(BadAgreement, "nothing is paid to the one it is sealed to");
        };
        let (to, now) = (&leg.to.ledger, self.clock.now());
        let paid = Paid { amount: leg.amount, threshold, to, now };
        let screen = |payload: &Payload| match &self.screen {
            Some(screen) => screen.screen(agreement, payload),
            None => Ok(()),
        };
        Payload::find(&self.key, enclosure, &paid, screen).map(|(_, opened)| opened)
    }
}
