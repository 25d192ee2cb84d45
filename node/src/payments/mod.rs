//! Payments at the edge: ways are found, data are sealed, and what comes sealed is opened.
//!
//! ```text
//!  payer's bank:  gateway records, book, own books --> Atlas --> ways --> accounts of offers (asked)
//!                 memo, identities --> Payload --sealed to the payee's bank--> Plan --> core
//!  payee's bank:  page --> enclosures for us opened, checked, screened --> Finding --> core
//! ```
//!
//! Invariants: nothing here moves money or decides; the core checks every plan and finding. What
//! was opened is kept nowhere and shown in no log line.

mod plan;
mod receive;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::payment::{Atlas, NoWay, Wanted, Way, find};
use quadrille_protocol::types::{Domain, Uai};
use quadrille_protocol::validator::Validator;

use crate::compliance::Screening;
use crate::engine::{Clock, Engine, EngineError};
use crate::mesh::MeshHandle;
use crate::vault::Vault;

pub use plan::Enclosed;
pub use receive::Opener;

/// Members whose gateway records are looked up for one search, at most.
const LOOKUPS: usize = 16;
/// How often a search that finds no trust is tried again with newer records.
const REFRESHES: u32 = 3;
/// How long it waits for them.
const REFRESH: Duration = Duration::from_millis(400);
/// Longest time for these.
const LOOKUP: Duration = Duration::from_secs(3);

/// What finding ways and making plans needs.
pub struct PaymentParts {
    /// The engine.
    pub engine: Engine,
    /// The mesh.
    pub mesh: MeshHandle,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Our holders' data.
    pub vault: Arc<Vault>,
    /// The bank's own rules.
    pub screening: Arc<Screening>,
}

/// Finds ways and makes plans. Cheap to clone.
#[derive(Clone)]
pub struct Payments {
    engine: Engine,
    mesh: MeshHandle,
    clock: Arc<dyn Clock>,
    vault: Arc<Vault>,
    screening: Arc<Screening>,
}

impl Payments {
    /// Of these parts.
    #[must_use]
    pub fn new(parts: PaymentParts) -> Self {
        let PaymentParts { engine, mesh, clock, vault, screening } = parts;
        Self { engine, mesh, clock, vault, screening }
    }

    /// The ways for what is wanted, the cheapest first.
    ///
    /// # Errors
    /// `Q-1205` the payee's bank is no member; `Q-2621` to `Q-2625` why there is none.
    pub async fn ways(&self, wanted: Wanted) -> Result<Vec<Way>, Refusal> {
        if wanted.payee == *self.engine.domain() {
            return Err(NoWay::OneBank.into());
        }
        self.engine.directory().member(&wanted.payee)?;
        let mut refreshed = 0;
        loop {
            let atlas = self.atlas(&wanted.payee, [&wanted.asset, &wanted.spend]).await?;
            let asked = wanted.clone();
            let search = move || Ok(find(&atlas, &asked));
            let refusal = match self.engine.verifier().run(search).await? {
                Ok(ways) => return Ok(ways),
                Err(no) if refreshed == REFRESHES || !is_of_trust(&no) => no.into(),
                Err(_) => {
                    // Somebody's word of a new credit limit may be on its way to us.
                    refreshed = refreshed.saturating_add(1);
                    self.refresh(&wanted.payee).await;
                    continue;
                }
            };
            return Err(refusal);
        }
    }

    /// Looks the payee's record up again, a little later.
    async fn refresh(&self, payee: &Domain) {
        tokio::time::sleep(REFRESH).await;
        let found = tokio::time::timeout(LOOKUP, self.mesh.find_gateway(payee)).await;
        if let Ok(Err(refusal)) = found {
            tracing::debug!(%payee, %refusal, "its gateway record is not found");
        }
    }

    /// What is known now of who accepts whom, of fees and offers.
    async fn atlas(&self, payee: &Domain, assets: [&Uai; 2]) -> Result<Atlas, Refusal> {
        self.look_up_missing(payee).await;
        let now = self.clock.now();
        let own = self.engine.domain().clone();
        let look = move |validator: &Validator| {
            let mut atlas = Atlas::new(own.clone());
            atlas.add_book(validator.book(), now);
            // Whoever owes us takes its own obligations from us.
            for ((peer, asset), known) in &validator.state().books.correspondents {
                if !known.claim.is_zero() {
                    atlas.add_trust(peer, &own, asset);
                }
            }
            atlas
        };
        let mut atlas = self.engine.read(look).await.map_err(EngineError::refusal)?;
        let suspended = self.engine.relations().suspended.clone();
        for gateway in self.mesh.gateways() {
            let record = gateway.record();
            if now < record.expires && !suspended.contains(&record.domain) {
                atlas.add_record(record);
            }
        }
        atlas.presume(payee, &assets.map(Clone::clone));
        Ok(atlas)
    }

    /// Looks up the records of members that are not known here, the payee's first.
    async fn look_up_missing(&self, payee: &Domain) {
        let known: std::collections::BTreeSet<Domain> =
            self.mesh.gateways().iter().map(|gateway| gateway.record().domain.clone()).collect();
        let own = self.engine.domain();
        let directory = self.engine.directory();
        let others = directory.members().map(|(domain, _)| domain);
        let missing = std::iter::once(payee)
            .chain(others.filter(|domain| *domain != payee))
            .filter(|domain| *domain != own && !known.contains(*domain))
            .take(LOOKUPS);
        let lookups = missing.map(|domain| {
            let (mesh, domain) = (self.mesh.clone(), domain.clone());
            async move {
                let found = tokio::time::timeout(LOOKUP, mesh.find_gateway(&domain)).await;
                if let Ok(Err(refusal)) = found {
                    tracing::debug!(%domain, %refusal, "its gateway record is not found");
                }
            }
        });
        join_all(lookups.collect::<Vec<_>>()).await;
    }
}

/// Whether there is no way for want of somebody's trust, which newer records may say of.
fn is_of_trust(no: &NoWay) -> bool {
    match no {
        NoWay::NobodyAccepted(..) | NoWay::NotAccepted(..) | NoWay::Unconnected { .. } => true,
        NoWay::OneBank | NoWay::TooLong(_) | NoWay::OffersDoNotFit | NoWay::TooDear { .. } => false,
    }
}

/// The refusal for an account that was not told.
fn untold(domain: &Domain, why: &Refusal) -> Refusal {
    Refusal::new(Code::NoFittingOffer, format!("{domain} does not tell an offer's ledger: {why}"))
}
