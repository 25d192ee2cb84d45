//! What the core reports: into the log, and what the node does about it by itself.

use std::sync::Arc;

use quadrille_protocol::log::OutcomeKind;
use quadrille_protocol::validator::Event;
use tokio::sync::mpsc;

use crate::mesh::MeshHandle;
use crate::telemetry::{Metrics, Outcome};

/// Logs events until the engine is gone. When the core finds that it has lost statements, all
/// sessions are ended and connected anew: claims are made on connecting, and a new connection is
/// the fence behind which nothing of before can arrive.
pub async fn follow(mut events: mpsc::Receiver<Event>, mesh: MeshHandle, metrics: Arc<Metrics>) {
    while let Some(event) = events.recv().await {
        log(&event);
        count(&event, &metrics);
        if matches!(event, Event::Recovering { .. }) {
            mesh.reconnect_all();
        }
    }
}

fn log(event: &Event) {
    match event {
        Event::Entry { ledger, sequence, .. } => {
            tracing::debug!(%ledger, %sequence, "ledger entry");
        }
        Event::Refused { ledger, order, .. } => {
            tracing::info!(%ledger, %order, "order refused");
        }
        // Thousands a second on a busy node, and all in the log of record.
        Event::Settlement { id, step } => tracing::debug!(settlement = %id, step, "settlement"),
        Event::Final { id, outcome: OutcomeKind::Settle } => {
            tracing::debug!(settlement = %id, "settled");
        }
        Event::Final { id, outcome: OutcomeKind::Refund } => {
            tracing::info!(settlement = %id, "refunded");
        }
        Event::Misbehaved { peer, refusal } => {
            tracing::warn!(%peer, code = %refusal.code, %refusal, "peer misbehaved");
        }
        Event::Suspended { peer } => {
            tracing::error!(%peer, "peer suspended on a proof of fraud");
        }
        Event::ReconciliationBreak { broken } => {
            let (peer, asset) = (&broken.peer, &broken.theirs.asset);
            tracing::error!(%peer, %asset, "books differ; no new exposure until it is explained");
        }
        Event::PeerLostState { peer } => {
            tracing::warn!(%peer, "peer has lost statements it made to us; it gets them back");
        }
        Event::Recovering { reason } => {
            tracing::error!(reason, "statements of ours are lost; asking the peers for them");
        }
        Event::Recovered => tracing::info!("what was lost is back; taking part again"),
        Event::Unresolved { height, what } => {
            tracing::error!(%height, what, "a lost statement does not fit the books; frozen until resolved");
        }
    }
}

fn count(event: &Event, metrics: &Metrics) {
    match event {
        Event::Final { outcome: OutcomeKind::Settle, .. } => {
            metrics.settlement_final(Outcome::Settled);
        }
        Event::Final { outcome: OutcomeKind::Refund, .. } => {
            metrics.settlement_final(Outcome::Refunded);
        }
        Event::Misbehaved { refusal, .. } => metrics.refused(refusal.code),
        Event::Entry { .. }
        | Event::Refused { .. }
        | Event::Settlement { .. }
        | Event::Suspended { .. }
        | Event::ReconciliationBreak { .. }
        | Event::PeerLostState { .. }
        | Event::Recovering { .. }
        | Event::Recovered
        | Event::Unresolved { .. } => {}
    }
}
