//! Orders, offers and the book.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::{Tag, hash};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::{Action, Order, SignedOrder};
use quadrille_protocol::limits;
use quadrille_protocol::payment::Plan;
use quadrille_protocol::types::{AssetPair, OrderId, Uai, Ubi};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::admit::BODY_BYTES;
use super::super::dto::{Armour, BookEntry, OfferView, OrderView, Page, Receipt, SignedBytes};
use super::super::extract::{Body, Params, Segment};
use super::super::problem::{Answered, ApiError};
use super::super::state::{Api, Shared, receipt};
use super::super::tokens::Bearer;
use super::super::view;
use super::Wanted;
use crate::engine::EngineError;
use crate::evidence::armour;
use crate::index;
use crate::payments::Enclosed;

/// Hands in a holder's signed order: offer, take, cancel, pay, redeem, amend, rotate-key, close.
///
/// The answer comes when it is decided and durable. A take or a payment to another bank has only
/// begun then: see the order or its settlement for what becomes of it. The same order can be
/// sent as often as one likes; it counts once.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", request_body = SignedBytes,
    responses((status = 202, body = Receipt)))]
pub(in super::super) async fn post_order(
    State(api): State<Shared>,
    Extension(bearer): Extension<Bearer>,
    Body(signed): Body<SignedBytes>,
) -> Answered<(StatusCode, Json<Receipt>)> {
    let signed = codec::decode::<SignedOrder, BODY_BYTES>(&signed.decoded()?)?;
    hand_in(&api, &bearer, signed, Enclosed::nothing()).await
}

/// Has an order decided; one that pays somebody at another bank with a plan for it.
pub(super) async fn hand_in(
    api: &Shared,
    bearer: &Bearer,
    signed: SignedOrder,
    enclosed: Enclosed,
) -> Answered<(StatusCode, Json<Receipt>)> {
    let slow = |code, wait| ApiError::new(code, "").after(wait);
    let taken = api.orders.take(&bearer.id, Instant::now());
    taken.map_err(|wait| slow(Code::TooManyOrders, wait))?;
    let order = codec::decode::<Order, { limits::ORDER_BYTES }>(&signed.order)?;
    let (ledger, id) = (order.ledger, OrderId(hash(Tag::Order, &[&signed.order]).0));
    let room = api.refused.check(&ledger, Instant::now());
    room.map_err(|wait| slow(Code::TooManyRefused, wait))?;
    if let Err(refusal) = api.settings.holders.check_action(&order.action) {
        // One that was accepted when the bank granted more stays accepted.
        return accepted_before(api, id, refusal).await;
    }
    let decided = match plan_for(api, &order, enclosed).await {
        Ok(None) => api.node.core.order(signed).await,
        Ok(Some(plan)) => api.node.core.pay(signed, plan).await,
        // A payment that was accepted when there was a way stays accepted.
        Err(refusal) => return accepted_before(api, id, refusal).await,
    };
    let answered = match decided {
        Ok(answer) if answer.accepted.repeated => repeated(api, id).await?,
        Ok(answer) => receipt(answer),
        Err(EngineError::Refused(refusal)) => refused(api, ledger, id, refusal).await?,
        Err(error) => return Err(error.into()),
    };
    Ok((StatusCode::ACCEPTED, Json(answered)))
}

/// What is refused now may be an order that was accepted before: then it stays accepted.
async fn accepted_before(
    api: &Shared,
    id: OrderId,
    refusal: Refusal,
) -> Answered<(StatusCode, Json<Receipt>)> {
    let known = repeated(api, id).await?;
    match known.height.is_some() {
        true => Ok((StatusCode::ACCEPTED, Json(known))),
        false => Err(refusal.into()),
    }
}

/// The plan for an order that pays somebody at another bank; none for any other order.
async fn plan_for(
    api: &Shared,
    order: &Order,
    enclosed: Enclosed,
) -> Result<Option<Plan>, Refusal> {
    let Action::Pay(payment) = &order.action else { return Ok(None) };
    let own = api.node.core.domain();
    if payment.to.domain == own {
        return Ok(None);
    }
    api.node.payer.plan(order.ledger, payment, enclosed).await.map(Some)
}

/// The receipt of an order that was accepted before.
async fn repeated(api: &Arc<Api>, id: OrderId) -> Answered<Receipt> {
    api.up_to_date().await?;
    let row = api.past(move |history| history.index.order(&id)).await?;
    let accepted = row.filter(|row| !matches!(row.state, index::OrderState::Refused(_)));
    Ok(Receipt {
        order: Some(id),
        ledger: accepted.as_ref().map(|row| row.ledger),
        settlement: accepted.as_ref().and_then(|row| row.settlement),
        height: accepted.as_ref().map(|row| row.place.height),
        leaf: accepted.map(|row| row.place.leaf),
        repeated: true,
    })
}

/// A refused order. The engine has forgotten which old order used a nonce; the index has not:
/// when it was this very one, it is a repetition and no refusal.
async fn refused(api: &Arc<Api>, ledger: Ubi, id: OrderId, refusal: Refusal) -> Answered<Receipt> {
    if matches!(refusal.code, Code::NonceUsed | Code::NonceTooOld) {
        let known = repeated(api, id).await?;
        if known.height.is_some() {
            return Ok(known);
        }
    } else if is_recorded(refusal.code) {
        // What is left over is found out by the next order's check.
        let _ = api.refused.take(&ledger, Instant::now());
    }
    Err(refusal.into())
}

/// Whether a refusal with this code is on record and so costs room in the log. One of an order
/// that was not signed by the ledger's holder, or not looked at, is not: strangers must not be
/// able to use up a ledger's room.
fn is_recorded(code: Code) -> bool {
    let unread = matches!(code.number() / 100, 10..=12);
    let unsigned = matches!(code, Code::WrongKey | Code::UnknownLedger | Code::Recovering);
    !unread && !unsigned && code != Code::QueueFull
}

/// What has become of an order. `Q-2110` when there is no record of it, as of now: then it has
/// had no effect so far, and can have one until its expiry only if it is still on its way.
#[utoipa::path(get, path = "/v1/orders/{order}", tag = "orders",
    params(("order" = String, Path, description = "The order")),
    responses((status = 200, body = OrderView)))]
pub(in super::super) async fn order(
    State(api): State<Shared>,
    Segment(id): Segment<OrderId>,
) -> Answered<Json<OrderView>> {
    let height = api.up_to_date().await?;
    let row = api.past(move |history| history.index.order(&id)).await?;
    let Some(row) = row else {
        return Err(ApiError::new(Code::UnknownOrder, format!("{id}, as of height {height}")));
    };
    Ok(Json(view::order(&row)))
}

/// All evidence that this node holds about an order, the counterparty's signed refusal of a take
/// included, as text armour of the kind `evidence-bundle`.
#[utoipa::path(get, path = "/v1/orders/{order}/evidence", tag = "orders",
    params(("order" = String, Path, description = "The order")),
    responses((status = 200, body = Armour)))]
pub(in super::super) async fn order_evidence(
    State(api): State<Shared>,
    Segment(id): Segment<OrderId>,
) -> Answered<Json<serde_json::Value>> {
    api.up_to_date().await?;
    let bundle =
        api.past(move |history| Ok(armour::to_json(&history.evidences.order_bundle(&id)?)));
    Ok(Json(bundle.await?))
}

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
