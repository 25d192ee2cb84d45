//! Crash points: a debug build ends itself, hard, at one named moment of the sealing.
//!
//! `QUADRILLE_CRASH_POINT=MOMENT:RECORD` with a moment `before-append`, `after-append`,
//! `after-sign` or `after-effects`, and a record kind like `Locked`, or `Received/Locked` for a
//! page of a peer that holds one. The process kills itself with SIGKILL the first time that a
//! batch with such a record is at that moment. Release builds know nothing of it.

#[cfg(debug_assertions)]
use quadrille_protocol::log::{Batch, Record};

/// A moment of the sealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Nothing of the batch is on the disk.
    BeforeAppend,
    /// The batch is durable and not signed.
    AfterAppend,
    /// The batch is signed and nothing of it was said.
    AfterSign,
    /// Everything was handed on.
    AfterEffects,
}

/// Where to end; nowhere in a release build.
#[derive(Debug, Default)]
pub(super) struct CrashPoint {
    #[cfg(debug_assertions)]
    at: Option<(Moment, String)>,
}

#[cfg(debug_assertions)]
impl CrashPoint {
    /// From the environment.
    pub(super) fn from_environment() -> Self {
        let text = std::env::var("QUADRILLE_CRASH_POINT").unwrap_or_default();
        let at = text.split_once(':').and_then(|(moment, kind)| {
            let moment = match moment {
                "before-append" => Moment::BeforeAppend,
                "after-append" => Moment::AfterAppend,
                "after-sign" => Moment::AfterSign,
                "after-effects" => Moment::AfterEffects,
                _ => return None,
            };
            Some((moment, kind.to_owned()))
        });
        if let Some((moment, kind)) = &at {
            tracing::warn!(?moment, kind, "this node will kill itself");
        }
        Self { at }
    }

    /// Ends the process if this is the moment.
    pub(super) fn reach(&self, moment: Moment, batch: &Batch) {
        let Some((at, kind)) = &self.at else { return };
        if *at == moment && kinds(batch).any(|found| found == *kind) {
            tracing::warn!(?moment, kind, "killing myself");
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
    }
}

#[cfg(not(debug_assertions))]
impl CrashPoint {
    pub(super) fn from_environment() -> Self {
        Self::default()
    }

    #[allow(clippy::unused_self, reason = "the debug build looks at it")]
    pub(super) fn reach(&self, _: Moment, _: &quadrille_protocol::log::Batch) {}
}

/// The kinds of the records of a batch, those on received pages with `Received/` before them.
#[cfg(debug_assertions)]
fn kinds(batch: &Batch) -> impl Iterator<Item = String> + '_ {
    let records = batch.stored().records.iter().filter_map(|bytes| Record::read(bytes).ok());
    records.flat_map(|record| match &record {
        Record::Received(frame) => {
            let statements = frame.items().iter().filter_map(|item| item.statement.as_ref());
            statements.map(|statement| format!("Received/{}", statement.kind())).collect()
        }
        Record::Transaction(transaction) => {
            vec![format!("Transaction/{}", transaction.cause.kind())]
        }
        other => vec![other.kind().to_owned()],
    })
}
