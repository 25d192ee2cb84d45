//! From the data directory to a validator that may speak.
//!
//! The log is the truth: a last batch without its signature is signed now if the guard allows
//! it, and taken off if not, since then it was never said. What the guard knows decides whether
//! the validator takes part at once or asks its peers first what it has said.

use std::sync::Arc;

use quadrille_protocol::error::{Code, Fault, Refusal};
use quadrille_protocol::identity::VerifiedCertificate;
use quadrille_protocol::log::StoredBatch;
use quadrille_protocol::log::record::Founding;
use quadrille_protocol::types::{Height, Time};
use quadrille_protocol::validator::{Boot, Settings, Validator};

use crate::log_store::{LogReader, LogStore, Opening, SealedBatch, Snapshot};
use crate::signer::Signer;

/// What opening needs to know besides the log.
pub struct Boundary<'a> {
    /// Settings of the core; made anew for each attempt.
    pub settings: &'a dyn Fn() -> Settings,
    /// What the log begins with, should it be empty.
    pub founding: Founding,
    /// Our certificate, verified: only a new log needs it, an old one knows it.
    pub certificate: &'a dyn Fn() -> Result<VerifiedCertificate, Refusal>,
    /// The signer, with its guard.
    pub signer: &'a dyn Signer,
    /// Whether the guard is kept where a restored log does not take it along.
    pub guard_apart: bool,
    /// Now.
    pub now: Time,
}

/// The validator, and how it came to be, in words for the log.
pub struct Opened {
    /// The validator, booted.
    pub validator: Validator,
    /// The height it stands at.
    pub height: Height,
    /// The height of the snapshot it began from.
    pub snapshot: Option<Height>,
    /// How many batches were replayed.
    pub replayed: u64,
}

/// Brings the log in order and makes the validator of it.
///
/// # Errors
/// Those of the log store and the signer; `Q-1807` when the log does not hold together, `Q-1208`
/// when it is another domain's.
pub fn open(
    log: &mut LogStore,
    opening: &Opening,
    boundary: &Boundary<'_>,
) -> Result<Opened, Refusal> {
    if opening.unsealed {
        finish_last_batch(log, boundary.signer)?;
    }
    let reader = log.reader();
    let snapshot = log.latest_snapshot()?;
    let made = match make(&reader, snapshot.as_ref(), boundary)? {
        Some(made) => made,
        None => return found(boundary),
    };
    let Opened { mut validator, height, snapshot, replayed } = made;
    let (domain, network) = (&validator.state().domain, &validator.state().network);
    if *domain != boundary.founding.domain || *network != boundary.founding.network {
        let what = format!("the log is of {domain} in {network}");
        return Err(Refusal::new(Code::WrongDomain, what));
    }
    let boot = match (boundary.guard_apart, boundary.signer.guard()) {
        (true, Some(guard)) => Boot::GuardApart(guard),
        (_, guard) => Boot::GuardUnsure(guard),
    };
    validator.boot(boundary.now, boot);
    if validator.is_recovering() {
        tracing::warn!(
            guard = ?boundary.signer.guard(),
            apart = boundary.guard_apart,
            "nothing new is said before the peers have told what they heard from us"
        );
    }
    Ok(Opened { validator, height, snapshot, replayed })
}

/// Signs the last batch, which a hard stop has left unsigned, or takes it off.
fn finish_last_batch(log: &mut LogStore, signer: &dyn Signer) -> Result<(), Refusal> {
    let Some((height, _)) = log.head() else { return Ok(()) };
    let reader = log.reader();
    let missing = || Refusal::new(Code::NodeFault, format!("no batch at the head {height}"));
    let last = reader.batch(height)?.ok_or_else(missing)?;
    match signer.sign_checkpoint(&last.stored.checkpoint) {
        Ok(signature) => log.seal(height, &signature),
        Err(refusal) if refusal.code == Code::GuardRefused => {
            let behind = signer.guard().is_some_and(|guard| guard.height > height);
            match behind {
                true => tracing::error!(
                    %height,
                    %refusal,
                    "the log is older than what was signed; its last batch, which has lost its \
                     signature, is taken off, and the peers are asked for what was said"
                ),
                false => tracing::warn!(
                    %height,
                    %refusal,
                    "the last batch was never said; it is taken off"
                ),
            }
            log.drop_unsealed()
        }
        Err(refusal) => Err(refusal),
    }
}

fn found(boundary: &Boundary<'_>) -> Result<Opened, Refusal> {
    if let Some(guard) = boundary.signer.guard() {
        let what = format!("the log is empty, and the guard has signed height {}", guard.height);
        return Err(Refusal::new(Code::LogMissing, what));
    }
    let certificates = [(boundary.certificate)()?];
    let founding = boundary.founding.clone();
    let validator = Validator::found((boundary.settings)(), founding, &certificates);
    let validator = validator.map_err(fault)?;
    Ok(Opened { validator, height: Height(0), snapshot: None, replayed: 0 })
}

/// The validator of the log, from the snapshot if that can be used; `None` for an empty log.
fn make(
    reader: &LogReader,
    snapshot: Option<&Snapshot>,
    boundary: &Boundary<'_>,
) -> Result<Option<Opened>, Refusal> {
    if let Some(snapshot) = snapshot {
        let mut later = Later::new(reader, snapshot.height.next());
        let restored = Validator::restore((boundary.settings)(), &snapshot.state, &mut later);
        match later.end(restored) {
            Ok((validator, replayed)) => {
                let height = validator.state().height;
                let from = Some(snapshot.height);
                return Ok(Some(Opened { validator, height, snapshot: from, replayed }));
            }
            Err(refusal) => {
                tracing::warn!(%refusal, "snapshot cannot be used; the whole log is replayed");
            }
        }
    }
    if reader.from(Height(0)).next().transpose()?.is_none() {
        return Ok(None);
    }
    let mut all = Later::new(reader, Height(0));
    let replayed = Validator::replay((boundary.settings)(), &mut all);
    let (validator, replayed) = all.end(replayed)?;
    let height = validator.state().height;
    Ok(Some(Opened { validator, height, snapshot: None, replayed }))
}

/// Batches one after the other; keeps the first error, which ends them.
struct Later<I> {
    batches: I,
    read: u64,
    error: Option<Refusal>,
}

impl Later<()> {
    fn new(
        reader: &LogReader,
        from: Height,
    ) -> Later<impl Iterator<Item = Result<SealedBatch, Refusal>> + use<>> {
        Later { batches: reader.from(from), read: 0, error: None }
    }
}

impl<I: Iterator<Item = Result<SealedBatch, Refusal>>> Iterator for &mut Later<I> {
    type Item = StoredBatch;

    fn next(&mut self) -> Option<StoredBatch> {
        match self.batches.next()? {
            Ok(sealed) => {
                self.read = self.read.saturating_add(1);
                Some(Arc::unwrap_or_clone(sealed.stored))
            }
            Err(refusal) => {
                self.error = Some(refusal);
                None
            }
        }
    }
}

impl<I> Later<I> {
    fn end(self, made: Result<Validator, Fault>) -> Result<(Validator, u64), Refusal> {
        match self.error {
            Some(refusal) => Err(refusal),
            None => Ok((made.map_err(fault)?, self.read)),
        }
    }
}

fn fault(fault: Fault) -> Refusal {
    Refusal::new(Code::NodeFault, fault.what)
}
