//! Snapshots of the state, so that a start does not replay the whole log.

use std::sync::atomic::Ordering;
use std::time::Duration;

use quadrille_protocol::error::Refusal;
use quadrille_protocol::types::{Hash, Height};

use crate::engine::{Engine, EngineError};
use crate::log_store::{Snapshot, Snapshots};

/// How often it is looked whether a snapshot is due.
const LOOK: Duration = Duration::from_secs(10);

/// Saves a snapshot whenever `every` batches have been written since the last one.
pub async fn keep(engine: Engine, snapshots: Snapshots, every: u64) {
    let mut saved = engine.counters().batches.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(LOOK).await;
        let written = engine.counters().batches.load(Ordering::Relaxed);
        if written.saturating_sub(saved) < every {
            continue;
        }
        match save(&engine, &snapshots).await {
            Ok(height) => {
                saved = written;
                tracing::info!(%height, "snapshot saved");
            }
            Err(refusal) => tracing::warn!(%refusal, "snapshot not saved; the log has everything"),
        }
    }
}

/// Saves a snapshot of now.
///
/// # Errors
/// Those of the disk; `Q-1801` when the engine has stopped.
pub async fn save(engine: &Engine, snapshots: &Snapshots) -> Result<Height, Refusal> {
    let read = engine.read(|validator| {
        let state = validator.state();
        (state.height, state.head, validator.snapshot())
    });
    let (height, head, state): (Height, Hash, Vec<u8>) =
        read.await.map_err(EngineError::refusal)?;
    let snapshots = snapshots.clone();
    let write = move || snapshots.save(&Snapshot { height, head, state });
    engine.verifier().run(write).await?;
    Ok(height)
}
