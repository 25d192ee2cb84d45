//! Subscriptions of other systems: events that this node posts to them.

use axum::Json;
use axum::extract::State;
use quadrille_protocol::error::{Code, Refusal};

use super::super::dto::{NewSubscription, SubscriptionView};
use super::super::extract::{Body, Name};
use super::super::problem::{Answered, ApiError};
use super::super::state::Shared;
use crate::hooks::Hooks;

/// All subscriptions.
#[utoipa::path(get, path = "/v1/subscriptions", tag = "subscriptions",
    responses((status = 200, body = Vec<SubscriptionView>)))]
pub(in super::super) async fn list(
    State(api): State<Shared>,
) -> Answered<Json<Vec<SubscriptionView>>> {
    Ok(Json(api.node.hooks.list()))
}

/// Makes a subscription: from now on its events are posted to its address, signed, each at least
/// once and in the order of the log.
///
/// The answer alone has its secret. `Quadrille-Signature: t=SECONDS,v1=HEX` of a delivery is
/// HMAC-SHA256 under it over `SECONDS.BODY`; `Quadrille-Delivery` names a delivery, the same each
/// time it is tried. Anything but 2xx is tried again, with growing waits, and pauses the
/// subscription after `hooks.patience_s`.
#[utoipa::path(post, path = "/v1/subscriptions", tag = "subscriptions",
    request_body = NewSubscription, responses((status = 200, body = SubscriptionView)))]
pub(in super::super) async fn add(
    State(api): State<Shared>,
    Body(new): Body<NewSubscription>,
) -> Answered<Json<SubscriptionView>> {
    on_disk(&api, move |hooks| hooks.add(&new)).await
}

/// Takes a subscription away.
#[utoipa::path(delete, path = "/v1/subscriptions/{subscription}", tag = "subscriptions",
    params(("subscription" = String, Path, description = "Its name")),
    responses((status = 200, body = SubscriptionView)))]
pub(in super::super) async fn remove(
    State(api): State<Shared>,
    Name(id): Name,
) -> Answered<Json<SubscriptionView>> {
    on_disk(&api, move |hooks| hooks.remove(&id)).await
}

/// Tries the next event at once, also after a pause.
#[utoipa::path(post, path = "/v1/subscriptions/{subscription}/resume", tag = "subscriptions",
    params(("subscription" = String, Path, description = "Its name")),
    responses((status = 200, body = SubscriptionView)))]
pub(in super::super) async fn resume(
    State(api): State<Shared>,
    Name(id): Name,
) -> Answered<Json<SubscriptionView>> {
    on_disk(&api, move |hooks| hooks.resume(&id)).await
}

/// Posts a delivery of the type `subscription.test`, once; refused when it is not taken.
#[utoipa::path(post, path = "/v1/subscriptions/{subscription}/test", tag = "subscriptions",
    params(("subscription" = String, Path, description = "Its name")),
    responses((status = 200, body = SubscriptionView)))]
pub(in super::super) async fn test(
    State(api): State<Shared>,
    Name(id): Name,
) -> Answered<Json<SubscriptionView>> {
    Ok(Json(api.node.hooks.test(&id).await?))
}

/// On a thread where waiting for the disk is no harm.
async fn on_disk(
    api: &Shared,
    change: impl FnOnce(&Hooks) -> Result<SubscriptionView, Refusal> + Send + 'static,
) -> Answered<Json<SubscriptionView>> {
    let hooks = api.node.hooks.clone();
    let changed = tokio::task::spawn_blocking(move || change(&hooks)).await;
    Ok(Json(changed.map_err(|_| ApiError::new(Code::NotReady, "the node is stopping"))??))
}
