//! One bank's core on its own files.

use std::collections::VecDeque;
use std::sync::Arc;

use quadrille_node::index::{INDEX_QUEUE, Index, Indexer};
use quadrille_node::log_store::{LogStore, SealedBatch, Snapshot};
use quadrille_node::runtime::Setup;
use quadrille_node::signer::{LocalSigner, Signer as _};
use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::Signature;
use quadrille_protocol::error::{Code, Fault, Refusal};
use quadrille_protocol::identity::{Directory, VerifiedCertificate};
use quadrille_protocol::log::Batch;
use quadrille_protocol::log::record::Founding;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Domain, Epoch};
use quadrille_protocol::validator::{Effect, Effects, Input, RequestId, Validator};
use tokio::sync::mpsc;

use super::Wire;
use crate::local::up::now;

/// What a bank has written.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::bench) struct Written {
    /// Batches in its log.
    pub batches: u64,
    /// Bytes of its records, as they are in the log.
    pub bytes: u64,
}

/// A bank.
pub(super) struct Desk {
    setup: Setup,
    validator: Validator,
    files: Option<Files>,
    pub inputs: VecDeque<Input>,
    requests: u64,
    written: Written,
    epoch: Epoch,
}

/// Where it writes.
struct Files {
    log: LogStore,
    signer: LocalSigner,
    batches: mpsc::Sender<Arc<SealedBatch>>,
    indexer: Indexer,
    /// Batches between two snapshots.
    every: u64,
}

impl Desk {
    /// A bank that begins its log.
    pub fn found(
        setup: Setup,
        certificates: &[VerifiedCertificate],
        keep: bool,
    ) -> Result<Self, Refusal> {
        let certificate = setup.certificate.parse()?;
        let epoch = certificate.epoch;
        let (network, domain) = (certificate.network, certificate.domain);
        let founding = Founding { network, domain, epoch, time: now()? };
        let validator =
            Validator::found(setup.settings(), founding, certificates).map_err(fault)?;
        let files = if keep { Some(Files::open(&setup)?) } else { None };
        let mut desk = Self {
            setup,
            validator,
            files,
            inputs: VecDeque::new(),
            requests: 0,
            written: Written::default(),
            epoch,
        };
        let said = desk.turn()?;
        if !said.is_empty() {
            refuse!(BenchFailed, "a new bank speaks before it was asked anything");
        }
        Ok(desk)
    }

    pub fn domain(&self) -> &Domain {
        &self.validator.state().domain
    }

    pub fn directory(&self) -> &Directory {
        &self.validator.state().directory
    }

    pub fn open_settlements(&self) -> usize {
        self.validator.state().settlements.len()
    }

    /// The number of the next request.
    pub fn request(&mut self) -> RequestId {
        self.requests = self.requests.wrapping_add(1);
        RequestId(self.requests)
    }

    /// Takes turns until nothing waits; what it says to the other bank.
    ///
    /// # Errors
    /// `Q-2380` when it refuses anything: all of it is meant to be accepted.
    pub fn turn(&mut self) -> Result<Vec<Wire>, Refusal> {
        let mut said = Vec::new();
        loop {
            let effects = self.validator.turn(now()?, rand::random(), &mut self.inputs);
            let Effects { batch, after, more, .. } = effects.map_err(fault)?;
            let sealed = match batch {
                Some(batch) => Some(self.seal(batch)?),
                None => None,
            };
            for effect in after {
                said.extend(carry_out(effect, sealed.as_ref())?);
            }
            if self.inputs.is_empty() && !more {
                return Ok(said);
            }
        }
    }

    /// Makes a batch durable, signs it, has it indexed, as a node does.
    fn seal(&mut self, batch: Arc<Batch>) -> Result<(Arc<Batch>, Signature), Refusal> {
        let checkpoint = batch.checkpoint();
        self.written.batches += 1;
        let records = batch.stored().records.iter();
        self.written.bytes += records.map(|record| record.len() as u64).sum::<u64>();
        let Some(files) = &mut self.files else {
            let missing = || Refusal::new(Code::UnknownEpoch, self.epoch.to_string());
            let key = self.setup.keys.key(self.epoch).ok_or_else(missing)?;
            let signature = key.sign(Tag::Checkpoint, &checkpoint.to_sign());
            return Ok((batch, signature));
        };
        files.log.append(&batch)?;
        let signature = files.signer.sign_checkpoint(checkpoint)?;
        files.log.seal(checkpoint.height, &signature)?;
        let stored = SealedBatch { stored: batch.share(), signature: Some(signature.clone()) };
        let gone = |_| Refusal::new(Code::BenchFailed, "the indexing thread has ended");
        files.batches.blocking_send(Arc::new(stored)).map_err(gone)?;
        if self.written.batches.is_multiple_of(files.every) {
            self.snapshot()?;
        }
        Ok((batch, signature))
    }

    /// Saves a snapshot of now.
    pub fn snapshot(&self) -> Result<(), Refusal> {
        let Some(files) = &self.files else { return Ok(()) };
        let state = self.validator.state();
        let (height, head) = (state.height, state.head);
        let snapshot = Snapshot { height, head, state: self.validator.snapshot() };
        files.log.save_snapshot(&snapshot)
    }

    pub fn finish(self) -> Result<Written, Refusal> {
        if let Some(files) = self.files {
            let Files { mut log, batches, indexer, .. } = files;
            log.sync()?;
            drop(batches);
            indexer.join()?;
        }
        Ok(self.written)
    }
}

impl Files {
    fn open(setup: &Setup) -> Result<Self, Refusal> {
        let (log, _) = LogStore::open(&setup.config.dir)?;
        let index = Index::open(&setup.layout.index())?;
        let (batches, indexing) = mpsc::channel(INDEX_QUEUE);
        let indexer = Indexer::spawn(index, indexing)?;
        let every = setup.config.engine.snapshot_batches.max(1);
        Ok(Self { log, signer: setup.signer()?, batches, indexer, every })
    }
}

/// What an effect says to the other bank, if anything.
fn carry_out(
    effect: Effect,
    sealed: Option<&(Arc<Batch>, Signature)>,
) -> Result<Option<Wire>, Refusal> {
    match effect {
        Effect::SendPage { page, .. } => {
            let Some((batch, signature)) = sealed else {
                refuse!(BenchFailed, "a page without a batch");
            };
            Ok(Some(Wire::Frame(codec::encode(&batch.frame(page, signature)?))))
        }
        Effect::Message { message, .. } => Ok(Some(Wire::Message(message))),
        Effect::Reply { result, .. } => result.map(|_| None),
        // Nothing is lost here: what would be said again is still on its way.
        Effect::Resend { .. } | Effect::Publish { .. } | Effect::Event(_) => Ok(None),
        Effect::Return { .. } | Effect::LookUpDecision { .. } => {
            refuse!(BenchFailed, "one of the two banks has lost something");
        }
    }
}

fn fault(fault: Fault) -> Refusal {
    Refusal::new(Code::NodeFault, fault.what)
}
