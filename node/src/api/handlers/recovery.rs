//! Getting back what the node has lost: who is awaited, and what its customers still hold.
//!
//! Evidence that is handed in is verified under our own directory before the core sees it, and
//! the core takes only what it has itself signed and does not know. So whoever holds an operator's
//! token can bring back the past, and cannot invent one.

use axum::Json;
use axum::extract::State;
use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::log::Evidence;
use quadrille_protocol::types::Domain;
use quadrille_protocol::validator::{Command, Validator};

use super::super::dto::{Receipt, RecoveryView, SignedBytes};
use super::super::extract::{Body, Segment};
use super::super::problem::{Answered, ApiError};
use super::super::state::Shared;
use super::super::view;

/// How far the node has come in getting back what it has lost.
#[utoipa::path(get, path = "/v1/recovery", tag = "recovery",
    responses((status = 200, body = RecoveryView)))]
pub(in super::super) async fn status(State(api): State<Shared>) -> Answered<Json<RecoveryView>> {
    Ok(Json(api.look(view_of).await?))
}

fn view_of(validator: &Validator) -> RecoveryView {
    let Some(recovery) = validator.recovery() else { return RecoveryView::default() };
    RecoveryView {
        recovering: true,
        awaiting: recovery.awaiting,
        lost: recovery.lost,
        customers_heard: recovery.customers_heard,
        returned: view::count(recovery.returned),
        overflow: recovery.overflow,
    }
}

/// While recovering: a record of ours whose evidence a customer has kept.
///
/// `bytes` are the canonical bytes of one `Evidence`. Handing it in again changes nothing.
#[utoipa::path(post, path = "/v1/recovery/evidence", tag = "recovery",
    request_body = SignedBytes, responses((status = 200, body = RecoveryView)))]
pub(in super::super) async fn evidence(
    State(api): State<Shared>,
    Body(body): Body<SignedBytes>,
) -> Answered<Json<RecoveryView>> {
    let evidence = codec::decode::<Evidence, { limits::FRAME_BYTES }>(&body.decoded()?)?;
    let (domain, recovering) =
        api.look(|validator| (validator.state().domain.clone(), validator.is_recovering())).await?;
    if !recovering {
        return Err(ApiError::new(Code::NotRecovering, "nothing is missing here"));
    }
    if *evidence.domain() != domain {
        let what = format!("this was said by {}, not by {domain}", evidence.domain());
        return Err(Refusal::new(Code::WrongDomain, what).into());
    }
    api.node.core.give_back(evidence).await?;
    // Behind it in the queue, so that what is answered knows of it.
    Ok(Json(api.look(view_of).await?))
}

/// While recovering: the domain is gone for good, go on without its copies.
#[utoipa::path(post, path = "/v1/recovery/give-up/{domain}", tag = "recovery",
    params(("domain" = String, Path, description = "The peer that will not answer any more")),
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn give_up(
    State(api): State<Shared>,
    Segment(domain): Segment<Domain>,
) -> Answered<Json<Receipt>> {
    Ok(Json(api.command(Command::GiveUpOn(domain)).await?))
}

/// While recovering: the customers' copies are all in.
#[utoipa::path(post, path = "/v1/recovery/customers-heard", tag = "recovery",
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn customers_heard(
    State(api): State<Shared>,
) -> Answered<Json<Receipt>> {
    Ok(Json(api.command(Command::CustomersHeard).await?))
}
