//! Orders: handed in one by one or many in one request, and what became of them.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use futures::{StreamExt as _, stream};
use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::{Tag, hash};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::{Action, Order, SignedOrder};
use quadrille_protocol::limits;
use quadrille_protocol::payment::Plan;
use quadrille_protocol::types::{OrderId, Ubi};

use super::super::admit::BODY_BYTES;
use super::super::dto::{
    Armour, BATCH_ORDERS, HandedIn, OrderBatch, OrderBatchAnswer, OrderView, Receipt, SignedBytes,
};
use super::super::extract::{Body, Segment};
use super::super::problem::{Answered, ApiError};
use super::super::state::{Api, Shared, receipt};
use super::super::tokens::Bearer;
use super::super::view;
use crate::engine::{Answer, EngineError};
use crate::evidence::armour;
use crate::index;
use crate::payments::Enclosed;

/// Payments to other banks of one request whose ways are looked for at one time.
const PLANS_AT_A_TIME: usize = 16;

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

/// Hands in many signed orders at once, in the order in which they are to be decided.
///
/// Each is decided for itself, as if it had come alone, and the answer has one item for each, in
/// the same order; payments to other banks, for which a way must be found, come after the rest.
/// The answer comes when all are decided and durable. Like single orders, a batch may be sent
/// again at any time.
#[utoipa::path(post, path = "/v1/orders/batch", tag = "orders", request_body = OrderBatch,
    responses((status = 200, body = OrderBatchAnswer)))]
pub(in super::super) async fn post_orders(
    State(api): State<Shared>,
    Extension(bearer): Extension<Bearer>,
    Body(OrderBatch { orders }): Body<OrderBatch>,
) -> Answered<Json<OrderBatchAnswer>> {
    if orders.is_empty() || orders.len() > BATCH_ORDERS {
        let what = format!("{} orders, 1 to {BATCH_ORDERS} in one request", orders.len());
        return Err(ApiError::new(Code::BadBody, what));
    }
    // What needs no plan is decided in one go; the rest, each as if it had come alone.
    let mut answers: Vec<Option<Answered<Receipt>>> = Vec::with_capacity(orders.len());
    let (mut together, mut signed, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for (place, bytes) in orders.iter().enumerate() {
        let read = bytes.decoded().and_then(|bytes| codec::decode::<_, BODY_BYTES>(&bytes));
        match read.map_err(ApiError::from).and_then(|signed| screen(&api, &bearer, signed)) {
            Ok(screened) if screened.refusal.is_some() || screened.needs_plan(&api) => {
                alone.push((place, screened));
                answers.push(None);
            }
            Ok(screened) => {
                together.push((place, screened.ledger, screened.id));
                signed.push(screened.signed);
                answers.push(None);
            }
            Err(error) => answers.push(Some(Err(error))),
        }
    }
    let decided = api.node.core.orders(signed).await;
    for ((place, ledger, id), decided) in together.into_iter().zip(decided) {
        put(&mut answers, place, answer(&api, ledger, id, decided).await);
    }
    let planned = alone.into_iter().map(|(place, screened)| {
        let api = &api;
        async move { (place, decide(api, screened, Enclosed::nothing()).await) }
    });
    let planned: Vec<_> = stream::iter(planned).buffered(PLANS_AT_A_TIME).collect().await;
    for (place, answer) in planned {
        put(&mut answers, place, answer);
    }
    let items = answers.into_iter().flatten().map(|answer| match answer {
        Ok(receipt) => HandedIn::Accepted { receipt },
        Err(error) => HandedIn::Problem { problem: error.problem() },
    });
    Ok(Json(OrderBatchAnswer { items: items.collect() }))
}

fn put(answers: &mut [Option<Answered<Receipt>>], place: usize, answer: Answered<Receipt>) {
    if let Some(known) = answers.get_mut(place) {
        *known = Some(answer);
    }
}

/// Has an order decided; one that pays somebody at another bank with a plan for it.
pub(super) async fn hand_in(
    api: &Shared,
    bearer: &Bearer,
    signed: SignedOrder,
    enclosed: Enclosed,
) -> Answered<(StatusCode, Json<Receipt>)> {
    let screened = screen(api, bearer, signed)?;
    Ok((StatusCode::ACCEPTED, Json(decide(api, screened, enclosed).await?)))
}

/// An order that may be looked at.
struct Screened {
    signed: SignedOrder,
    order: Order,
    ledger: Ubi,
    id: OrderId,
    /// Why the bank does not grant it, unless it was accepted before.
    refusal: Option<Refusal>,
}

impl Screened {
    fn needs_plan(&self, api: &Api) -> bool {
        match &self.order.action {
            Action::Pay(payment) => payment.to.domain != api.node.core.domain(),
            Action::Offer(_)
            | Action::Take { .. }
            | Action::Cancel { .. }
            | Action::Amend(_)
            | Action::RotateKey { .. }
            | Action::Redeem { .. }
            | Action::Close => false,
        }
    }
}

/// Whether there is room for the order, and what the bank says of it before it is verified.
fn screen(api: &Api, bearer: &Bearer, signed: SignedOrder) -> Answered<Screened> {
    let slow = |code, wait| ApiError::new(code, "").after(wait);
    let taken = api.orders.take(&bearer.id, Instant::now());
    taken.map_err(|wait| slow(Code::TooManyOrders, wait))?;
    let order = codec::decode::<Order, { limits::ORDER_BYTES }>(&signed.order)?;
    let (ledger, id) = (order.ledger, OrderId(hash(Tag::Order, &[&signed.order]).0));
    let room = api.refused.check(&ledger, Instant::now());
    room.map_err(|wait| slow(Code::TooManyRefused, wait))?;
    let refusal = api.settings.holders.check_action(&order.action).err();
    Ok(Screened { signed, order, ledger, id, refusal })
}

async fn decide(api: &Shared, screened: Screened, enclosed: Enclosed) -> Answered<Receipt> {
    let Screened { signed, order, ledger, id, refusal } = screened;
    if let Some(refusal) = refusal {
        // One that was accepted when the bank granted more stays accepted.
        return accepted_before(api, id, refusal).await;
    }
    let decided = match plan_for(api, &order, enclosed).await {
        Ok(None) => api.node.core.order(signed).await,
        Ok(Some(plan)) => api.node.core.pay(signed, plan).await,
        // A payment that was accepted when there was a way stays accepted.
        Err(refusal) => return accepted_before(api, id, refusal).await,
    };
    answer(api, ledger, id, decided).await
}

async fn answer(
    api: &Shared,
    ledger: Ubi,
    id: OrderId,
    decided: Result<Answer, EngineError>,
) -> Answered<Receipt> {
    match decided {
        Ok(answer) if answer.accepted.repeated => repeated(api, id).await,
        Ok(answer) => Ok(receipt(answer)),
        Err(EngineError::Refused(refusal)) => refused(api, ledger, id, refusal).await,
        Err(error) => Err(error.into()),
    }
}

/// What is refused now may be an order that was accepted before: then it stays accepted.
async fn accepted_before(api: &Shared, id: OrderId, refusal: Refusal) -> Answered<Receipt> {
    let known = repeated(api, id).await?;
    match known.height.is_some() {
        true => Ok(known),
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
