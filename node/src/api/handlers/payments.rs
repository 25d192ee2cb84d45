//! Payments, the ways they can take, and what this bank does for those of others.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::transaction::Cause;
use quadrille_protocol::ledger::{Action, Payment, SignedOrder};
use quadrille_protocol::log::Record;
use quadrille_protocol::payment::Wanted as PathWanted;
use quadrille_protocol::policy::payload::Memo;
use quadrille_protocol::types::{Amount, Domain, OrderId, Uai};
use quadrille_protocol::validator::Command;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::admit::BODY_BYTES;
use super::super::dto::{
    CorrespondentsView, FeeView, NewPayment, PathView, PaymentView, Receipt, ServiceView,
    TransitLedger,
};
use super::super::extract::{Body, Params, Segment};
use super::super::ports::History;
use super::super::problem::{Answered, ApiError};
use super::super::state::Shared;
use super::super::tokens::Bearer;
use super::super::view;
use super::orders::hand_in;
use crate::index::{OrderRow, SettlementRow};
use crate::payments::Enclosed;
use crate::relations::Relations;

/// Hands in a holder's signed payment with what the payee's bank is to read: a memo, and who is
/// paid. The bank finds the ways, seals what is to be read to the payee's bank, and tries way
/// after way. The same payment can be sent as often as one likes; it counts once.
#[utoipa::path(post, path = "/v1/payments", tag = "payments", request_body = NewPayment,
    responses((status = 202, body = Receipt)))]
pub(in super::super) async fn post(
    State(api): State<Shared>,
    Extension(bearer): Extension<Bearer>,
    Body(new): Body<NewPayment>,
) -> Answered<(StatusCode, Json<Receipt>)> {
    let bytes = hex::decode(&new.bytes);
    let bytes = bytes.map_err(|error| bad_body(format!("`bytes`: {error}")))?;
    let signed = codec::decode::<SignedOrder, BODY_BYTES>(&bytes)?;
    let salt = match &new.salt {
        Some(text) => read_salt(text)?,
        None => [0; 32],
    };
    let memo: Memo = new.memo.as_deref().unwrap_or_default().parse()?;
    let enclosed = Enclosed { salt, memo, beneficiary: new.beneficiary };
    hand_in(&api, &bearer, signed, enclosed).await
}

fn read_salt(text: &str) -> Result<[u8; 32], Refusal> {
    let mut salt = [0; 32];
    let read = hex::decode_to_slice(text, &mut salt);
    read.map_err(|error| bad_body(format!("`salt`: {error}")))?;
    Ok(salt)
}

fn bad_body(what: String) -> Refusal {
    Refusal::new(Code::BadBody, what)
}

/// What has become of a payment: the ways that were tried, every signed refusal with its place,
/// who is awaited until when, and what happens then.
#[utoipa::path(get, path = "/v1/payments/{order}", tag = "payments",
    params(("order" = String, Path, description = "The payment: its order's id")),
    responses((status = 200, body = PaymentView)))]
pub(in super::super) async fn show(
    State(api): State<Shared>,
    Segment(id): Segment<OrderId>,
) -> Answered<Json<PaymentView>> {
    let margin_ms = api.settings.reveal_margin_ms;
    let look = api.look(move |validator| {
        let state = validator.state();
        let known = state.payments.get(&id);
        let carried = known.and_then(|known| known.settlement);
        let settlement = carried.and_then(|carried| state.settlements.get(&carried));
        let outlook = settlement.map(|one| view::outlook(&state.domain, one, margin_ms));
        (state.height, state.domain.clone(), known.map(|known| known.expiry), outlook)
    });
    let (height, domain, expiry, outlook) = look.await?;
    api.indexed(height).await?;
    let found = api.past(move |history| found(history, id)).await?;
    let Some((row, ordered, tries)) = found else {
        return Err(ApiError::new(Code::UnknownOrder, format!("{id}, as of height {height}")));
    };
    let known = view::KnownPayment { row: &row, ordered, tries: &tries, expiry, outlook };
    Ok(Json(view::payment(&domain, known)))
}

type Found = (OrderRow, Option<(Payment, usize)>, Vec<SettlementRow>);

/// What the past knows of a payment.
fn found(history: &History, id: OrderId) -> Result<Option<Found>, Refusal> {
    let Some(row) = history.index.order(&id)? else { return Ok(None) };
    let mut tries =
        history.index.settlements_of(&id, None, quadrille_protocol::limits::PAYMENT_ROUTES)?.items;
    tries.reverse();
    let ordered = match history.log.batch(row.place.height)? {
        Some(batch) => ordered(batch.stored.records.iter().map(|it| Record::read(it)), id)?,
        None => None,
    };
    Ok(Some((row, ordered, tries)))
}

/// What was ordered and how many ways were planned, from the batch that accepted it.
fn ordered(
    records: impl Iterator<Item = Result<Record, Refusal>>,
    id: OrderId,
) -> Result<Option<(Payment, usize)>, Refusal> {
    let mut found = None;
    for record in records {
        match record? {
            Record::Transaction(transaction) => {
                if let Cause::Ordered(order) = &transaction.cause
                    && order.id() == id
                    && let Action::Pay(payment) = &order.order().action
                {
                    found = Some((payment.clone(), 0));
                }
            }
            Record::Routed { payment, plan } if payment == id => {
                return Ok(found.map(|(payment, _)| (payment, plan.routes.len())));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Which ways.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PathQuery {
    /// The payee's bank.
    #[param(value_type = String)]
    to: Domain,
    /// What is to arrive.
    #[param(value_type = String)]
    asset: Uai,
    /// How much of it, in minor units.
    #[param(value_type = String)]
    amount: Amount,
    /// What the payer gives; the same asset when it is left out.
    #[param(value_type = Option<String>)]
    spend: Option<Uai>,
    /// The most that the payer gives, in minor units; any amount when it is left out.
    #[param(value_type = Option<String>)]
    max_cost: Option<Amount>,
}

/// The ways that a payment from this bank could take now, the cheapest first, or why there is
/// none. Nothing is set aside; limits are private, so a way may still be refused.
#[utoipa::path(get, path = "/v1/paths", tag = "payments", params(PathQuery),
    responses((status = 200, body = Vec<PathView>)))]
pub(in super::super) async fn paths(
    State(api): State<Shared>,
    Params(query): Params<PathQuery>,
) -> Answered<Json<Vec<PathView>>> {
    if query.amount.is_zero() {
        return Err(Refusal::new(Code::ZeroAmount, "").into());
    }
    let spend = query.spend.unwrap_or_else(|| query.asset.clone());
    let wanted = PathWanted {
        payee: query.to,
        asset: query.asset,
        amount: query.amount,
        spend: spend.clone(),
        max_cost: query.max_cost.unwrap_or(Amount::MAX),
    };
    let ways = api.node.payer.ways(wanted).await?;
    Ok(Json(ways.iter().map(|way| view::path(&spend, way)).collect()))
}

/// What this bank does as a correspondent: its transit ledger, fees, and whom it accepts.
#[utoipa::path(get, path = "/v1/correspondents", tag = "payments",
    responses((status = 200, body = CorrespondentsView)))]
pub(in super::super) async fn correspondents(
    State(api): State<Shared>,
) -> Answered<Json<CorrespondentsView>> {
    let relations = api.look(|validator| Relations::of(validator.state())).await?;
    let service = |dealing: &quadrille_protocol::identity::Dealing| ServiceView {
        asset: dealing.asset.clone(),
        fee: dealing.fee.map(FeeView::from),
        accepts: dealing.accepts.iter().cloned().collect(),
    };
    let services = relations.dealings.iter().map(service).collect();
    Ok(Json(CorrespondentsView { transit: relations.transit, services }))
}

/// Lets payments of others pass through a ledger of this bank, or through none any more.
#[utoipa::path(put, path = "/v1/correspondents/transit", tag = "payments",
    request_body = TransitLedger, responses((status = 200, body = Receipt)))]
pub(in super::super) async fn set_transit(
    State(api): State<Shared>,
    Body(wanted): Body<TransitLedger>,
) -> Answered<Json<Receipt>> {
    Ok(Json(api.command(Command::SetTransitLedger(wanted.ledger)).await?))
}

/// Sets what this bank asks for passing an asset on.
#[utoipa::path(put, path = "/v1/correspondents/fees/{asset}", tag = "payments",
    params(("asset" = String, Path, description = "The asset")),
    request_body = FeeView, responses((status = 200, body = Receipt)))]
pub(in super::super) async fn set_fee(
    State(api): State<Shared>,
    Segment(asset): Segment<Uai>,
    Body(fee): Body<FeeView>,
) -> Answered<Json<Receipt>> {
    Ok(Json(api.command(Command::SetTransitFee { asset, fee: fee.into() }).await?))
}
