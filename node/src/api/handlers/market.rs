//! Offers and the book.

use axum::Json;
use axum::extract::State;
use quadrille_protocol::error::Code;
use quadrille_protocol::types::{AssetPair, OrderId, Uai, Ubi};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::dto::{BookEntry, OfferView, Page};
use super::super::extract::{Params, Segment};
use super::super::problem::{Answered, ApiError};
use super::super::state::Shared;
use super::super::view;
use super::Wanted;

/// Which offers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct OfferQuery {
    /// Only this ledger's.
    #[param(value_type = Option<String>)]
    ledger: Option<Ubi>,
    /// `live` for those that can be taken, `all` for closed ones too; `live` when it is left out.
    #[serde(default)]
    #[param(inline)]
    state: OfferFilter,
    /// How many items at most: 1 to 200, 50 when it is left out.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum OfferFilter {
    #[default]
    Live,
    All,
}

/// Offers of this node's holders, the newest first.
#[utoipa::path(get, path = "/v1/offers", tag = "market", params(OfferQuery),
    responses((status = 200, body = Page<OfferView>)))]
pub(in super::super) async fn offers(
    State(api): State<Shared>,
    Params(query): Params<OfferQuery>,
) -> Answered<Json<Page<OfferView>>> {
    let wanted = Wanted::of(query.limit, query.cursor)?;
    let after = wanted.position()?;
    api.up_to_date().await?;
    let live = query.state == OfferFilter::Live;
    let page = api.past(move |history| {
        history.index.offers(query.ledger.as_ref(), live, after.as_ref(), wanted.limit)
    });
    let page = page.await?;
    let next = page.next.map(|next| next.to_string());
    let items = api.look(move |validator| {
        let known = &validator.state().offers;
        page.items.iter().map(|row| view::offer(row, known.get(&row.offer))).collect()
    });
    Ok(Json(Page { items: items.await?, next }))
}

/// One offer of this node's holders.
#[utoipa::path(get, path = "/v1/offers/{offer}", tag = "market",
    params(("offer" = String, Path, description = "The offer: its order's id")),
    responses((status = 200, body = OfferView)))]
pub(in super::super) async fn offer(
    State(api): State<Shared>,
    Segment(id): Segment<OrderId>,
) -> Answered<Json<OfferView>> {
    api.up_to_date().await?;
    let row = api.past(move |history| history.index.offer(&id)).await?;
    let row = row.ok_or_else(|| ApiError::new(Code::UnknownOffer, format!("{id} is not ours")))?;
    let shown = api.look(move |v| view::offer(&row, v.state().offers.get(&id)));
    Ok(Json(shown.await?))
}

/// Which part of the book.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct BookQuery {
    /// Only offers that give this asset.
    #[param(value_type = Option<String>)]
    give: Option<Uai>,
    /// Only offers that want this asset.
    #[param(value_type = Option<String>)]
    want: Option<Uai>,
    /// How many items at most: 1 to 200, 50 when it is left out.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Live offers of the whole network, as far as they are known here: by pair of assets, the best
/// price for a taker first. A view, never a promise: the maker's validator decides.
#[utoipa::path(get, path = "/v1/book", tag = "market", params(BookQuery),
    responses((status = 200, body = Page<BookEntry>)))]
pub(in super::super) async fn book(
    State(api): State<Shared>,
    Params(query): Params<BookQuery>,
) -> Answered<Json<Page<BookEntry>>> {
    let wanted = Wanted::of(query.limit, query.cursor)?;
    let skip = match &wanted.cursor {
        Some(text) => text
            .parse::<usize>()
            .map_err(|_| ApiError::new(Code::BadCursor, "not one that this list gave"))?,
        None => 0,
    };
    let page = api.look(move |validator| {
        let (own, book) = (&validator.state().domain, validator.book());
        let fits = |pair: &&AssetPair| {
            query.give.as_ref().is_none_or(|give| pair.give == *give)
                && query.want.as_ref().is_none_or(|want| pair.want == *want)
        };
        let notices = book.pairs().filter(fits).flat_map(|pair| book.iter_pair(pair));
        // A book changes between two pages; its cursor is a mere position.
        let rest = notices.skip(skip).map(|notice| view::book_entry(own, notice));
        let end = skip.saturating_add(wanted.limit);
        wanted.take(rest, |_| end.to_string())
    });
    Ok(Json(page.await?))
}
