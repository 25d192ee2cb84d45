//! From nothing to a running validator: founding, replay, snapshots, boot.

use std::borrow::Borrow;

use super::input::Boot;
use super::state::State;
use super::volatile::Volatile;
use super::{Draft, Settings, Validator};
use crate::codec;
use crate::error::{Code, Fault, Refusal};
use crate::identity::VerifiedCertificate;
use crate::limits;
use crate::log::record::Founding;
use crate::log::{Checkpoint, Record, StoredBatch};
use crate::types::Time;

impl State {
    /// The batch is closed: the next record belongs to the next height.
    pub(super) fn advance(&mut self, checkpoint: &Checkpoint) {
        self.height = checkpoint.height;
        self.head = checkpoint.hash();
        self.time = checkpoint.time;
    }

    /// Applies a batch read back from the log.
    ///
    /// # Errors
    /// A fault when it does not continue the log.
    fn replay(&mut self, batch: &StoredBatch) -> Result<(), Fault> {
        let checkpoint = &batch.checkpoint;
        let stray = |what: &str| Fault::new(format!("height {}: {what}", checkpoint.height));
        if checkpoint.domain != self.domain || checkpoint.network != self.network {
            return Err(stray("a checkpoint of another log"));
        }
        for bytes in &batch.records {
            let record = Record::read(bytes).map_err(|refusal| stray(&refusal.to_string()))?;
            let height = self.height.next();
            self.apply(&record, height)?;
        }
        if checkpoint.height != self.height.next() || checkpoint.previous != self.head {
            return Err(stray("does not follow the checkpoint before"));
        }
        self.advance(checkpoint);
        Ok(())
    }
}

impl Validator {
    /// A new validator with an empty log. `certificates` must hold the domain's own; the first
    /// turn writes them down.
    ///
    /// # Errors
    /// A fault when they do not fit the founding.
    pub fn found(
        settings: Settings,
        founding: Founding,
        certificates: &[VerifiedCertificate],
    ) -> Result<Self, Fault> {
        let mut validator = Self::with_state(settings, State::founded(&founding));
        validator.commit(&Record::Founded(founding))?;
        for certificate in certificates {
            validator.commit(&Record::Admitted(Box::new(certificate.signed().clone())))?;
        }
        let next = validator.state.height.next();
        validator.state.own_epoch_at(next)?;
        Ok(validator)
    }

    /// A validator whose state is what the batches make of it.
    ///
    /// # Errors
    /// A fault when the log does not begin with a founding or does not hold together.
    pub fn replay(
        settings: Settings,
        batches: impl IntoIterator<Item = impl Borrow<StoredBatch>>,
    ) -> Result<Self, Fault> {
        let mut batches = batches.into_iter().peekable();
        let first = batches.peek().and_then(|batch| batch.borrow().records.first());
        let first = first.ok_or_else(|| Fault::new("the log is empty"))?;
        let Ok(Record::Founded(founding)) = Record::read(first) else {
            return Err(Fault::new("the log does not begin with a founding"));
        };
        let mut state = State::founded(&founding);
        for batch in batches {
            state.replay(batch.borrow())?;
        }
        Ok(Self::with_state(settings, state))
    }

    /// A validator from a snapshot and the batches after it.
    ///
    /// # Errors
    /// A fault when the snapshot cannot be read or the batches do not continue it.
    pub fn restore(
        settings: Settings,
        snapshot: &[u8],
        later: impl IntoIterator<Item = impl Borrow<StoredBatch>>,
    ) -> Result<Self, Fault> {
        let mut state: State = codec::decode_loose::<State, { limits::SNAPSHOT_BYTES }>(snapshot)
            .map_err(|refusal: Refusal| {
            Fault::new(Refusal::new(Code::BadSnapshot, refusal.to_string()).to_string())
        })?;
        for batch in later {
            state.replay(batch.borrow())?;
        }
        Ok(Self::with_state(settings, state))
    }

    /// The state's canonical bytes: equal states give equal bytes.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        codec::encode(&self.state)
    }

    fn with_state(settings: Settings, state: State) -> Self {
        let volatile = Volatile::new(state.domain.clone());
        Self { settings, state, volatile, draft: Draft::default() }
    }

    /// Starts a validator that was replayed or restored: timers, the book, and the question
    /// whether the log is the newest there ever was.
    pub fn boot(&mut self, now: Time, boot: Boot) {
        self.rebuild_timers(now);
        self.list_own_offers(now);
        self.volatile.mode = self.mode_at_boot(boot);
        self.greet_peers();
    }
}
