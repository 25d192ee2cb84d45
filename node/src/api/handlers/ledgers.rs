//! Ledgers and their entries.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use quadrille_protocol::codec;
use quadrille_protocol::crypto::suite::HybridSignatures;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::{Ledger, SignedOpening, SignedReplacement};
use quadrille_protocol::types::{Holder, Sequence, Ubi};
use quadrille_protocol::validator::Command;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::admit::BODY_BYTES;
use super::super::dto::{
    Armour, EntryView, LedgerSummary, LedgerView, ListQuery, NewKey, NewLedger, Page, Receipt,
    SignedBytes,
};
use super::super::extract::{Body, Params, Segment, Segments};
use super::super::problem::{Answered, ApiError};
use super::super::state::{Shared, receipt};
use super::super::view;
use super::{Wanted, names, node};
use crate::engine::EngineError;
use crate::index::Order;

/// Which ledgers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct LedgerQuery {
    /// Only this holder's, like `alice@bank-a.example`.
    #[param(value_type = Option<String>)]
    holder: Option<Holder>,
    /// How many items at most: 1 to 200, 50 when it is left out.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Ledgers of this node, of one holder or all.
#[utoipa::path(get, path = "/v1/ledgers", tag = "ledgers", params(LedgerQuery),
    responses((status = 200, body = Page<LedgerSummary>)))]
pub(in super::super) async fn list(
    State(api): State<Shared>,
    Params(query): Params<LedgerQuery>,
) -> Answered<Json<Page<LedgerSummary>>> {
    let wanted = Wanted::of(query.limit, query.cursor)?;
    let after = wanted.position()?;
    api.up_to_date().await?;
    let page = api.past(move |history| match &query.holder {
        Some(holder) => history.index.ledgers_of(holder, after.as_ref(), wanted.limit),
        None => history.index.ledgers(after.as_ref(), wanted.limit),
    });
    let page = page.await?;
    let items = api.look(move |validator| {
        let ledgers = &validator.state().books.ledgers;
        let summary = |row: crate::index::LedgerRow| {
            let ledger = ledgers.get(&row.ledger)?;
            Some(LedgerSummary {
                ledger: row.ledger,
                holder: row.holder,
                number: row.number,
                status: view::ledger_status(ledger.status),
                sequence: ledger.sequence,
            })
        };
        page.items.into_iter().filter_map(summary).collect()
    });
    Ok(Json(Page { items: items.await?, next: page.next.map(|next| next.to_string()) }))
}

/// Opens a ledger. By the operator's token the bank approves holder, key and tier.
/// Where the opening names a hash of the holder's data, the data come with it.
#[utoipa::path(post, path = "/v1/ledgers", tag = "ledgers", request_body = NewLedger,
    responses((status = 201, body = Receipt)))]
pub(in super::super) async fn open(
    State(api): State<Shared>,
    Body(NewLedger { bytes, identity }): Body<NewLedger>,
) -> Answered<(StatusCode, Json<Receipt>)> {
    let opening = codec::decode::<SignedOpening, BODY_BYTES>(&SignedBytes { bytes }.decoded()?)?;
    api.settings.holders.check_opening(&opening.opening)?;
    let (ubi, signed) = (opening.opening.ubi(), opening.opening.identity);
    // Kept first: there is no ledger whose holder's data were lost by a crash in between.
    let kept = names::keep_with_opening(&api, ubi, signed, identity.as_ref()).await?;
    let opened = api.node.core.open(opening).await;
    if kept && matches!(opened, Err(EngineError::Refused(_) | EngineError::Busy)) {
        api.node.vault.forget(&ubi);
    }
    Ok((StatusCode::CREATED, Json(receipt(opened?))))
}

/// One ledger as it is now.
#[utoipa::path(get, path = "/v1/ledgers/{ledger}", tag = "ledgers",
    params(("ledger" = String, Path, description = "The ledger")),
    responses((status = 200, body = LedgerView)))]
pub(in super::super) async fn show(
    State(api): State<Shared>,
    Segment(ubi): Segment<Ubi>,
) -> Answered<Json<LedgerView>> {
    let (height, ledger) = api.look(move |v| (v.state().height, find(v, &ubi))).await?;
    let ledger = ledger?;
    api.indexed(height).await?;
    let row = api.past(move |history| history.index.ledger(&ubi)).await?;
    let number = row.map_or(0, |row| row.number);
    Ok(Json(view::ledger(ubi, number, &ledger)))
}

fn find(
    validator: &quadrille_protocol::validator::Validator,
    ubi: &Ubi,
) -> Result<Ledger, Refusal> {
    validator.state().books.ledger(ubi).cloned()
}

/// Entries of a ledger, the oldest first.
#[utoipa::path(get, path = "/v1/ledgers/{ledger}/entries", tag = "ledgers",
    params(("ledger" = String, Path, description = "The ledger"), ListQuery),
    responses((status = 200, body = Page<EntryView>)))]
pub(in super::super) async fn entries(
    State(api): State<Shared>,
    Segment(ubi): Segment<Ubi>,
    Params(query): Params<ListQuery>,
) -> Answered<Json<Page<EntryView>>> {
    let wanted = Wanted::try_from(query)?;
    let after = wanted.position()?;
    api.up_to_date().await?;
    let page = api.past(move |history| {
        if history.index.ledger(&ubi)?.is_none() {
            return Err(Refusal::new(Code::UnknownLedger, ubi.to_string()));
        }
        history.index.entries(&ubi, Order::Ascending, after.as_ref(), wanted.limit)
    });
    let page = page.await?;
    let items = page.items.iter().map(view::entry).collect();
    Ok(Json(Page { items, next: page.next.map(|next| next.to_string()) }))
}

/// The evidence of one entry with the certificates to verify it, as text armour: the holder's
/// proof.
#[utoipa::path(get, path = "/v1/ledgers/{ledger}/entries/{sequence}/evidence", tag = "ledgers",
    params(("ledger" = String, Path, description = "The ledger"),
        ("sequence" = String, Path, description = "The entry's number")),
    responses((status = 200, body = Armour)))]
pub(in super::super) async fn entry_evidence(
    State(api): State<Shared>,
    Segments(ubi, sequence): Segments<Ubi, Sequence>,
) -> Answered<Json<serde_json::Value>> {
    api.up_to_date().await?;
    let evidence = api.past(move |history| {
        let Some(row) = history.index.entry(&ubi, sequence)? else {
            let what = format!("entry {sequence} of {ubi}");
            return Err(Refusal::new(Code::NoSuchRecord, what));
        };
        node::evidence_at(history, row.place)
    });
    Ok(Json(evidence.await?))
}

/// Freezes a ledger: no new orders and locks; what is promised is kept.
#[utoipa::path(post, path = "/v1/ledgers/{ledger}/freeze", tag = "ledgers",
    params(("ledger" = String, Path, description = "The ledger")),
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn freeze(
    State(api): State<Shared>,
    Segment(ubi): Segment<Ubi>,
) -> Result<Json<Receipt>, ApiError> {
    Ok(Json(api.command(Command::Freeze(ubi)).await?))
}

/// Thaws a ledger.
#[utoipa::path(post, path = "/v1/ledgers/{ledger}/unfreeze", tag = "ledgers",
    params(("ledger" = String, Path, description = "The ledger")),
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn unfreeze(
    State(api): State<Shared>,
    Segment(ubi): Segment<Ubi>,
) -> Result<Json<Receipt>, ApiError> {
    Ok(Json(api.command(Command::Unfreeze(ubi)).await?))
}

/// Gives a ledger another key, because its holder has lost it. The holder proves with the new key
/// that it has it; the entry in the ledger shows both keys and the reason. Asked for again with
/// the same key, nothing happens again.
#[utoipa::path(post, path = "/v1/ledgers/{ledger}/replace-key", tag = "ledgers",
    params(("ledger" = String, Path, description = "The ledger")),
    request_body = NewKey, responses((status = 200, body = Receipt)))]
pub(in super::super) async fn replace_key(
    State(api): State<Shared>,
    Segment(ubi): Segment<Ubi>,
    Body(NewKey { bytes, reason }): Body<NewKey>,
) -> Answered<Json<Receipt>> {
    let signed = SignedBytes { bytes }.decoded()?;
    let signed = codec::decode::<SignedReplacement, BODY_BYTES>(&signed)?;
    if signed.replacement.ledger != ubi {
        let what = format!("the proof is for {}", signed.replacement.ledger);
        return Err(Refusal::new(Code::BadBody, what).into());
    }
    api.settings.holders.check_replacement(&signed.replacement)?;
    let network = api.look(|validator| validator.state().network.clone()).await?;
    let replacement = Box::new(signed.verify(&network, &HybridSignatures)?);
    Ok(Json(api.command(Command::ReplaceKey { replacement, reason }).await?))
}
