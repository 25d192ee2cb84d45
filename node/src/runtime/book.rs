//! Our live offers with a signed root, for late joiners.
//!
//! The root is written down in a turn of its own and the list is read right after it, so both
//! are of one moment. What was made is shown to everybody for a short while: a crowd of late
//! joiners costs one root.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::Record;
use quadrille_protocol::market::{OfferNotice, verify_live};
use quadrille_protocol::types::Height;
use quadrille_protocol::validator::Command;
use tokio::sync::Mutex;

use crate::engine::{Engine, EngineError};
use crate::evidence::Evidences;
use crate::index::{Index, Log, Place};
use crate::mesh::host::LiveOffers;

/// How often it is tried to get a root and a list of one moment.
const ATTEMPTS: usize = 5;
/// For how long a list is shown again.
const FRESH: Duration = Duration::from_secs(5);

/// Makes the lists. Cheap to clone.
#[derive(Clone)]
pub struct OwnBook {
    index: Index,
    evidence: Arc<Evidences<Log>>,
    last: Arc<Mutex<Option<(Instant, LiveOffers)>>>,
}

impl OwnBook {
    /// From this index and log.
    #[must_use]
    pub fn new(index: Index, evidence: Arc<Evidences<Log>>) -> Self {
        Self { index, evidence, last: Arc::default() }
    }

    /// The list of now, or of a moment ago.
    ///
    /// # Errors
    /// `Q-1803` busy, `Q-1801` going down or recovering; those of reading the log.
    pub async fn live_offers(&self, engine: &Engine) -> Result<LiveOffers, Refusal> {
        let mut last = self.last.lock().await;
        if let Some((made, list)) = &*last
            && made.elapsed() < FRESH
        {
            return Ok(list.clone());
        }
        let mut list = self.make(engine).await;
        for _ in 1..ATTEMPTS {
            // An offer changed, or a timer fired, between the root and the look.
            if !list.as_ref().is_err_and(|refusal| changed(refusal.code)) {
                break;
            }
            list = self.make(engine).await;
        }
        let list = list?;
        *last = Some((Instant::now(), list.clone()));
        Ok(list)
    }

    async fn make(&self, engine: &Engine) -> Result<LiveOffers, Refusal> {
        let read = engine.command_and_read(Command::PublishBook, |validator| {
            let own = validator.book().live_of(&validator.state().domain);
            let public = own.filter(|notice| notice.terms.counterparties.is_empty());
            public.cloned().collect::<Vec<OfferNotice>>()
        });
        let (answer, offers) = read.await.map_err(EngineError::refusal)?;
        let missing = || Refusal::new(Code::NodeFault, "the root of our offers was not written");
        let height: Height = answer.height.ok_or_else(missing)?;
        let leaf = answer.accepted.leaf.ok_or_else(missing)?;
        self.index.wait_for(height).await?;
        let mut places = Vec::with_capacity(offers.len());
        for OfferNotice { offer, version, .. } in &offers {
            let row = self.index.offer(offer)?.filter(|row| row.version == *version);
            let place = row.and_then(|row| row.posted);
            places.push(place.ok_or_else(|| {
                Refusal::new(Code::StaleSequence, format!("{offer} has changed meanwhile"))
            })?);
        }
        let evidence = self.evidence.clone();
        let domain = engine.domain().clone();
        let cut = move || {
            let root = evidence.at(Place { height, leaf })?;
            if let Record::Book(signed) = root.read()? {
                verify_live(&domain, &offers, signed.root, signed.count)?;
            }
            let offers = places.into_iter().map(|place| evidence.at(place));
            Ok(LiveOffers { root, offers: offers.collect::<Result<_, Refusal>>()? })
        };
        engine.verifier().run(cut).await
    }
}

/// Whether a list could not be made only because the book moved meanwhile.
fn changed(code: Code) -> bool {
    matches!(code, Code::StaleSequence | Code::BadBookRoot)
}
