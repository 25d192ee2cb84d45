//! Settlements.

use axum::Json;
use axum::extract::State;
use quadrille_protocol::error::Code;
use quadrille_protocol::types::SettlementId;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::dto::{Armour, Page, SettlementState, SettlementSummary, SettlementView};
use super::super::extract::{Params, Segment};
use super::super::problem::{Answered, ApiError};
use super::super::state::Shared;
use super::super::view;
use super::Wanted;
use crate::evidence::armour;
use crate::index::SettlementFilter;

/// Which settlements.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct SettlementQuery {
    /// Only those that are open here, or final here.
    #[param(inline)]
    state: Option<SettlementState>,
    /// How many items at most: 1 to 200, 50 when it is left out.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Settlements that this node's domain is in, the newest first.
#[utoipa::path(get, path = "/v1/settlements", tag = "settlements", params(SettlementQuery),
    responses((status = 200, body = Page<SettlementSummary>)))]
pub(in super::super) async fn list(
    State(api): State<Shared>,
    Params(query): Params<SettlementQuery>,
) -> Answered<Json<Page<SettlementSummary>>> {
    let wanted = Wanted::of(query.limit, query.cursor)?;
    let after = wanted.position()?;
    let filter = match query.state {
        None => SettlementFilter::All,
        Some(SettlementState::Open) => SettlementFilter::Open,
        Some(SettlementState::Final) => SettlementFilter::Final,
    };
    api.up_to_date().await?;
    let page =
        api.past(move |history| history.index.settlements(filter, after.as_ref(), wanted.limit));
    let page = page.await?;
    let domain = api.look(|validator| validator.state().domain.clone()).await?;
    let items = page.items.iter().map(|row| view::settlement_summary(&domain, row)).collect();
    Ok(Json(Page { items, next: page.next.map(|next| next.to_string()) }))
}

/// One settlement: what has happened, who is awaited until when, and what happens then.
#[utoipa::path(get, path = "/v1/settlements/{settlement}", tag = "settlements",
    params(("settlement" = String, Path, description = "The settlement")),
    responses((status = 200, body = SettlementView)))]
pub(in super::super) async fn show(
    State(api): State<Shared>,
    Segment(id): Segment<SettlementId>,
) -> Answered<Json<SettlementView>> {
    let margin_ms = api.settings.reveal_margin_ms;
    let look = api.look(move |validator| {
        let state = validator.state();
        let known = state.settlements.get(&id);
        let outlook = known.map(|known| {
            let mut outlook = view::outlook(&state.domain, known, margin_ms);
            if validator.is_recovering() && !known.is_final() {
                outlook.then.insert_str(0, view::RECOVERING);
            }
            outlook
        });
        (state.height, state.domain.clone(), known.cloned(), outlook)
    });
    let (height, domain, known, outlook) = look.await?;
    api.indexed(height).await?;
    let row = api.past(move |history| history.index.settlement(&id)).await?;
    view::settlement(&domain, row.as_ref(), known.as_ref(), outlook)
        .map(Json)
        .ok_or_else(|| ApiError::new(Code::UnknownSettlement, id.to_string()))
}

/// All evidence that this node holds about a settlement, as text armour of the kind
/// `evidence-bundle`. It can be verified offline with nothing but the network file.
#[utoipa::path(get, path = "/v1/settlements/{settlement}/evidence", tag = "settlements",
    params(("settlement" = String, Path, description = "The settlement")),
    responses((status = 200, body = Armour)))]
pub(in super::super) async fn evidence(
    State(api): State<Shared>,
    Segment(id): Segment<SettlementId>,
) -> Answered<Json<serde_json::Value>> {
    api.up_to_date().await?;
    let bundle =
        api.past(move |history| Ok(armour::to_json(&history.evidences.settlement_bundle(&id)?)));
    Ok(Json(bundle.await?))
}
