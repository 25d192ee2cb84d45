//! Names, holders' identities, and the travel rule.

use axum::extract::State;
use axum::{Extension, Json};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::payment::name::NameQuestion;
use quadrille_protocol::policy::identity::Identity;
use quadrille_protocol::types::{Hash, Holder, Time, Uai, Ubi};
use quadrille_protocol::validator::Command;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::dto::{
    IdentityReceipt, IdentityView, NameView, Receipt, TravelRuleView, TravelThreshold,
};
use super::super::extract::{Body, Params, Segment};
use super::super::problem::{Answered, ApiError};
use super::super::state::Shared;
use super::super::tokens::Bearer;
use crate::vault::json;

/// What is asked of a name.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct NameQuery {
    /// The asset that is to arrive: where the holder has several ledgers, one that takes it.
    #[param(value_type = Option<String>)]
    asset: Option<Uai>,
    /// `true` to have the bank asked although its last answer still counts.
    #[serde(default)]
    fresh: bool,
}

/// What a holder's bank says of the holder, asked over the mesh and verified.
#[utoipa::path(get, path = "/v1/names/{holder}", tag = "names",
    params(("holder" = String, Path, description = "Like alice@bank-b.example"), NameQuery),
    responses((status = 200, body = NameView)))]
pub(in super::super) async fn resolve(
    State(api): State<Shared>,
    Segment(holder): Segment<Holder>,
    Params(NameQuery { asset, fresh }): Params<NameQuery>,
) -> Answered<Json<NameView>> {
    let question = NameQuestion { holder: holder.clone(), asset };
    let resolved = api.node.mesh.resolve(question, fresh).await?;
    let found = resolved.record.found()?;
    Ok(Json(NameView {
        holder,
        ledger: found.account.ledger,
        validator: found.account.domain.clone(),
        assets: found.assets.iter().cloned().collect(),
        tier: found.tier,
        issued: resolved.record.issued,
        expires: resolved.record.expires,
        cached: resolved.cached,
    }))
}

/// The personal data of a ledger's holder. Each look is written to the node's log.
#[utoipa::path(get, path = "/v1/ledgers/{ledger}/identity", tag = "ledgers",
    params(("ledger" = String, Path, description = "The ledger")),
    responses((status = 200, body = IdentityView)))]
pub(in super::super) async fn identity(
    State(api): State<Shared>,
    Segment(ledger): Segment<Ubi>,
    Extension(bearer): Extension<Bearer>,
) -> Answered<Json<IdentityView>> {
    let signed = signed_identity(&api, ledger).await?;
    let vault = api.node.vault.clone();
    let read = tokio::task::spawn_blocking(move || vault.read(&ledger, &signed)).await;
    let read = read.map_err(|_| ApiError::new(Code::NotReady, "the node is stopping"))?;
    let outcome = read.as_ref().map_or_else(|refusal| refusal.code.to_string(), |_| "shown".into());
    tracing::info!(target: "quadrille::audit", %ledger, token_id = %bearer.id, outcome, "identity");
    let identity = read?;
    let person = serde_json::to_value(&identity.person)
        .map_err(|error| ApiError::new(Code::IdentityLost, error.to_string()))?;
    Ok(Json(IdentityView { salt: hex::encode(identity.salt), person }))
}

/// Puts the data of a ledger's holder back into the vault: those whose hash its opening names.
#[utoipa::path(put, path = "/v1/ledgers/{ledger}/identity", tag = "ledgers",
    request_body = IdentityView,
    params(("ledger" = String, Path, description = "The ledger")),
    responses((status = 200, body = IdentityReceipt)))]
pub(in super::super) async fn restore_identity(
    State(api): State<Shared>,
    Segment(ledger): Segment<Ubi>,
    Extension(bearer): Extension<Bearer>,
    Body(view): Body<IdentityView>,
) -> Answered<Json<IdentityReceipt>> {
    let signed = signed_identity(&api, ledger).await?;
    let now = now(&api).await?;
    let identity = read_identity(&view)?;
    identity.check(&signed, now)?;
    keep(&api, ledger, identity).await?;
    tracing::info!(target: "quadrille::audit", %ledger, token_id = %bearer.id, "identity restored");
    Ok(Json(IdentityReceipt { ledger, identity: signed }))
}

async fn signed_identity(api: &Shared, ledger: Ubi) -> Answered<Hash> {
    let found = api.look(move |validator| {
        let books = &validator.state().books;
        books.ledger(&ledger).map(|ledger| ledger.parameters.identity)
    });
    Ok(found.await??)
}

async fn now(api: &Shared) -> Answered<Time> {
    // The last checkpoint's: days matter here, not seconds.
    api.look(|validator| validator.state().time).await
}

fn read_identity(view: &IdentityView) -> Result<Identity, Refusal> {
    let mut salt = [0; 32];
    hex::decode_to_slice(&view.salt, &mut salt).map_err(|_| {
        Refusal::new(Code::TravelFieldBad, "salt: 64 hexadecimal digits are wanted")
    })?;
    let text = serde_json::to_vec(&view.person)
        .map_err(|error| Refusal::new(Code::BadBody, error.to_string()))?;
    let person = json::read(&text)
        .map_err(|refusal| Refusal::new(refusal.code, format!("person.{}", refusal.what)))?;
    Ok(Identity { salt, person })
}

/// Checks the data that come with an opening, and keeps them. Returns whether there is anything to
/// take back, should the ledger not be opened.
pub(super) async fn keep_with_opening(
    api: &Shared,
    ledger: Ubi,
    signed: Hash,
    view: Option<&IdentityView>,
) -> Answered<bool> {
    let has = api.node.vault.has(&ledger);
    let Some(view) = view else {
        if signed != Hash::ZERO && !has {
            return Err(ApiError::new(Code::IdentityMissing, "identity: its hash alone has come"));
        }
        return Ok(false);
    };
    let identity = read_identity(view)?;
    identity.check(&signed, now(api).await?)?;
    keep(api, ledger, identity).await?;
    Ok(!has)
}

async fn keep(api: &Shared, ledger: Ubi, identity: Identity) -> Answered<()> {
    let vault = api.node.vault.clone();
    let kept = tokio::task::spawn_blocking(move || vault.keep(&ledger, &identity)).await;
    Ok(kept.map_err(|_| ApiError::new(Code::NotReady, "the node is stopping"))??)
}

/// From which amounts on payments need the travel rule's data, by asset.
#[utoipa::path(get, path = "/v1/travel-rule", tag = "names",
    responses((status = 200, body = Vec<TravelRuleView>)))]
pub(in super::super) async fn travel_rules(
    State(api): State<Shared>,
) -> Answered<Json<Vec<TravelRuleView>>> {
    let rules = api.look(|validator| {
        let rules = validator.state().travel_rules.iter();
        rules.map(|(asset, from)| TravelRuleView { asset: asset.clone(), from: *from }).collect()
    });
    Ok(Json(rules.await?))
}

/// Asks for the travel rule's data from an amount on.
#[utoipa::path(put, path = "/v1/travel-rule/{asset}", tag = "names",
    request_body = TravelThreshold,
    params(("asset" = String, Path, description = "The asset, `#` written %23")),
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn set_travel_rule(
    State(api): State<Shared>,
    Segment(asset): Segment<Uai>,
    Body(TravelThreshold { from }): Body<TravelThreshold>,
) -> Answered<Json<Receipt>> {
    let threshold = Some(from);
    Ok(Json(api.command(Command::SetTravelRule { asset, threshold }).await?))
}

/// Asks for the travel rule's data no more.
#[utoipa::path(delete, path = "/v1/travel-rule/{asset}", tag = "names",
    params(("asset" = String, Path, description = "The asset, `#` written %23")),
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn end_travel_rule(
    State(api): State<Shared>,
    Segment(asset): Segment<Uai>,
) -> Answered<Json<Receipt>> {
    Ok(Json(api.command(Command::SetTravelRule { asset, threshold: None }).await?))
}
