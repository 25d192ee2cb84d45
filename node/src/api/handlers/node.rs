//! The node itself: health, status, the log, draining, recovery.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::SignedCheckpoint;
use quadrille_protocol::types::{Epoch, Height};
use quadrille_protocol::validator::{Command, Validator};

use super::super::dto::{Armour, CheckpointView, Connection, LogHead, LogLevel, Receipt, Status};
use super::super::extract::{Body, Leaf, Segment, Segments};
use super::super::ports::History;
use super::super::problem::{Answered, ApiError};
use super::super::state::Shared;
use super::super::view;
use crate::evidence::armour;
use crate::index::Place;

/// Whether the process runs.
#[utoipa::path(get, path = "/livez", tag = "node", responses((status = 200, body = String)))]
pub(in super::super) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether the node can do its work. When it cannot, the problem's `detail` says why not.
///
/// Having no peers is no reason: a bank alone still keeps its ledgers.
#[utoipa::path(get, path = "/readyz", tag = "node", responses((status = 200, body = String)))]
pub(in super::super) async fn readyz(State(api): State<Shared>) -> Answered<&'static str> {
    let look = |validator: &Validator| {
        let draining = validator.is_draining();
        (validator.state().height, validator.is_recovering(), draining)
    };
    let (height, recovering, draining) = api.look(look).await?;
    let indexed = api.node.history.index.indexed();
    let mut reasons = Vec::new();
    if recovering {
        reasons.push("recovering statements that it has lost".to_owned());
    }
    if draining {
        reasons.push("draining: it takes no new business".to_owned());
    }
    if height.0.saturating_sub(indexed.0) > api.settings.index_lag {
        reasons.push(format!("index at height {indexed} of {height}"));
    }
    if reasons.is_empty() {
        return Ok("ready\n");
    }
    Err(ApiError::new(Code::NotReady, reasons.join("; ")))
}

/// Metrics, in the text form of OpenMetrics.
#[utoipa::path(get, path = "/metrics", tag = "node", responses((status = 200, body = String)))]
pub(in super::super) async fn metrics(State(api): State<Shared>) -> Response {
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, media)], api.node.metrics.text()).into_response()
}

/// How the node is.
#[utoipa::path(get, path = "/v1/status", tag = "node", responses((status = 200, body = Status)))]
pub(in super::super) async fn status(State(api): State<Shared>) -> Answered<Json<Status>> {
    let peers = api.node.mesh.peers();
    let up = peers.iter().filter(|peer| peer.connection == Connection::Up).count();
    let (peers_up, peers_known) = (view::count(up), view::count(peers.len()));
    let indexed = api.node.history.index.indexed();
    let uptime_ms = api.started.elapsed().as_millis().to_string();
    let status = api.look(move |validator| {
        let state = validator.state();
        let epoch = state.own_epoch_at(state.height.next()).unwrap_or(Epoch(0));
        let key = state.directory.record(&state.domain, epoch);
        Status {
            domain: state.domain.clone(),
            network: state.network.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch,
            suite: key.map_or(0, |record| record.key.suite().number()),
            height: state.height,
            head: state.head,
            time: state.time,
            indexed,
            peers_up,
            peers_known,
            open_settlements: view::count(state.settlements.len()),
            recovering: validator.is_recovering(),
            draining: validator.is_draining(),
            uptime_ms,
        }
    });
    Ok(Json(status.await?))
}

/// The last checkpoint.
#[utoipa::path(get, path = "/v1/log/head", tag = "log", responses((status = 200, body = LogHead)))]
pub(in super::super) async fn log_head(State(api): State<Shared>) -> Answered<Json<LogHead>> {
    let head = api.look(|validator| {
        let state = validator.state();
        LogHead {
            domain: state.domain.clone(),
            height: state.height,
            hash: state.head,
            time: state.time,
        }
    });
    Ok(Json(head.await?))
}

/// One checkpoint, with its signature.
#[utoipa::path(get, path = "/v1/log/checkpoints/{height}", tag = "log",
    params(("height" = String, Path, description = "The height")),
    responses((status = 200, body = CheckpointView)))]
pub(in super::super) async fn checkpoint(
    State(api): State<Shared>,
    Segment(height): Segment<Height>,
) -> Answered<Json<CheckpointView>> {
    let signed = api.past(move |history| signed_checkpoint(history, height)).await?;
    let checkpoint = &signed.checkpoint;
    Ok(Json(CheckpointView {
        domain: checkpoint.domain.clone(),
        epoch: checkpoint.epoch,
        height: checkpoint.height,
        hash: checkpoint.hash(),
        previous: checkpoint.previous,
        time: checkpoint.time,
        count: checkpoint.count,
        records_root: checkpoint.records_root,
        bytes: hex::encode(codec::encode(&signed)),
    }))
}

fn signed_checkpoint(history: &History, height: Height) -> Result<SignedCheckpoint, Refusal> {
    let sealed = history.log.batch(height)?;
    let sealed = sealed.ok_or_else(|| Refusal::new(Code::NoSuchRecord, height.to_string()))?;
    let signature =
        sealed.signature.ok_or_else(|| Refusal::new(Code::NotSealed, height.to_string()))?;
    Ok(SignedCheckpoint { checkpoint: sealed.stored.checkpoint.clone(), signature })
}

/// The evidence of one record with the certificates to verify it, as text armour.
#[utoipa::path(get, path = "/v1/evidence/{height}/{leaf}", tag = "log",
    params(("height" = String, Path, description = "The height of the batch"),
        ("leaf" = u32, Path, description = "The record in it, from 0")),
    responses((status = 200, body = Armour)))]
pub(in super::super) async fn evidence(
    State(api): State<Shared>,
    Segments(height, Leaf(leaf)): Segments<Height, Leaf>,
) -> Answered<Json<serde_json::Value>> {
    let place = Place { height, leaf };
    let indexed = api.node.history.index.indexed();
    if height > indexed {
        return Err(ApiError::new(Code::NoSuchRecord, format!("the log is at height {indexed}")));
    }
    Ok(Json(api.past(move |history| evidence_at(history, place)).await?))
}

/// The evidence of a record, with the papers to verify it.
pub(super) fn evidence_at(history: &History, place: Place) -> Result<serde_json::Value, Refusal> {
    Ok(armour::to_json(&history.evidences.record_bundle(place)?))
}

/// Takes no new business; what is open is finished.
#[utoipa::path(post, path = "/v1/drain", tag = "node", responses((status = 200, body = Receipt)))]
pub(in super::super) async fn drain(State(api): State<Shared>) -> Answered<Json<Receipt>> {
    Ok(Json(api.command(Command::Drain).await?))
}

/// Takes new business again.
#[utoipa::path(post, path = "/v1/undrain", tag = "node",
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn undrain(State(api): State<Shared>) -> Answered<Json<Receipt>> {
    Ok(Json(api.command(Command::Undrain).await?))
}

/// Sets what is logged, until the node is started again or reads its configuration again.
#[utoipa::path(put, path = "/v1/log-level", tag = "node", request_body = LogLevel,
    responses((status = 200, body = LogLevel)))]
pub(in super::super) async fn log_level(
    State(api): State<Shared>,
    Body(level): Body<LogLevel>,
) -> Answered<Json<LogLevel>> {
    api.node.levels.set(&level.filter)?;
    Ok(Json(level))
}
