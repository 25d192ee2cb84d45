//! Assets.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::AssetProfile;
use quadrille_protocol::ledger::asset::Document;
use quadrille_protocol::types::{Amount, Bounded, Hash, Uai};
use quadrille_protocol::validator::{Command, Validator};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use super::super::dto::{
    Armour, AssetHolding, AssetPlace, AssetView, DocumentView, Issue, ListQuery, NewAsset, Page,
    Providers, Receipt,
};
use super::super::extract::{Body, Params, Segment};
use super::super::problem::{Answered, ApiError};
use super::super::state::Shared;
use super::super::view;
use super::{Wanted, node};

/// Assets known here, sorted.
#[utoipa::path(get, path = "/v1/assets", tag = "assets", params(ListQuery),
    responses((status = 200, body = Page<AssetView>)))]
pub(in super::super) async fn list(
    State(api): State<Shared>,
    Params(query): Params<ListQuery>,
) -> Answered<Json<Page<AssetView>>> {
    let wanted = Wanted::try_from(query)?;
    let after: Option<Uai> = wanted.after()?;
    let page = api.look(move |validator| {
        let state = validator.state();
        let known = state.books.assets.iter();
        let rest = known.filter(|(uai, _)| after.as_ref().is_none_or(|after| *uai > after));
        let page = wanted.take(rest, |(uai, _)| uai.to_string());
        let items = page.items.iter().map(|(uai, asset)| view::asset(&state.domain, uai, asset));
        Page { items: items.collect(), next: page.next }
    });
    Ok(Json(page.await?))
}

/// What is asked of an asset.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct AssetQuery {
    /// `true` to have what is on this node's ledgers added up. It goes through all of them while
    /// the engine waits: for audits.
    #[serde(default)]
    holdings: bool,
}

/// One asset.
#[utoipa::path(get, path = "/v1/assets/{asset}", tag = "assets",
    params(("asset" = String, Path, description = "The asset, `#` written %23"), AssetQuery),
    responses((status = 200, body = AssetView)))]
pub(in super::super) async fn show(
    State(api): State<Shared>,
    Segment(uai): Segment<Uai>,
    Params(query): Params<AssetQuery>,
) -> Answered<Json<AssetView>> {
    let found = api.look(move |validator| {
        let state = validator.state();
        let asset = state.books.asset(&uai)?;
        let mut shown = view::asset(&state.domain, &uai, asset);
        if query.holdings {
            shown.here = Some(holding(validator, &uai));
            shown.places = places(validator, &uai);
        }
        Ok::<_, quadrille_protocol::error::Refusal>(shown)
    });
    Ok(Json(found.await??))
}

/// What of an asset is on all ledgers here.
fn holding(validator: &Validator, uai: &Uai) -> AssetHolding {
    let mut sum = AssetHolding::default();
    for (_, ledger) in validator.state().books.ledgers.sorted() {
        let (free, held) = ledger.balance(uai);
        sum.free = sum.free.plus(free).unwrap_or(Amount::MAX);
        sum.held = sum.held.plus(held).unwrap_or(Amount::MAX);
    }
    sum
}

/// Where else an asset is: peers with whom something of it is owed.
fn places(validator: &Validator, uai: &Uai) -> Vec<AssetPlace> {
    let all = validator.state().books.correspondents.iter();
    let some =
        all.filter(|((_, asset), at)| asset == uai && !(at.owe.is_zero() && at.claim.is_zero()));
    some.map(|((peer, _), at)| AssetPlace { domain: peer.clone(), there: at.owe, claim: at.claim })
        .collect()
}

fn document(view: DocumentView) -> Document {
    Document { name: view.name, hash: view.hash }
}

/// Registers an asset: one of this domain's own, or another issuer's with the very same profile.
#[utoipa::path(post, path = "/v1/assets", tag = "assets", request_body = NewAsset,
    responses((status = 201, body = AssetView)))]
pub(in super::super) async fn register(
    State(api): State<Shared>,
    Body(new): Body<NewAsset>,
) -> Answered<(StatusCode, Json<AssetView>)> {
    let domain = api.look(|validator| validator.state().domain.clone()).await?;
    let profile = AssetProfile {
        code: new.code,
        issuer: new.issuer.unwrap_or_else(|| domain.clone()),
        name: new.name,
        decimals: new.decimals,
        supply_limit: new.supply_limit,
        terms: new.terms.unwrap_or(Hash::ZERO),
        minimum_tier: new.minimum_tier,
        denomination: new.denomination.unwrap_or(Amount::new(1)),
        documents: Bounded::new(new.documents.into_iter().map(document).collect())?,
        jurisdictions: Bounded::new(new.jurisdictions)?,
        holders: Bounded::new(new.holders)?,
    };
    let uai = profile.uai();
    let asset = quadrille_protocol::ledger::Asset::new(profile.clone());
    api.command(Command::RegisterAsset(profile)).await?;
    Ok((StatusCode::CREATED, Json(view::asset(&domain, &uai, &asset))))
}

/// Registers an asset of another issuer with the profile that the issuer gives over the mesh.
#[utoipa::path(post, path = "/v1/assets/{asset}/fetch", tag = "assets",
    params(("asset" = String, Path, description = "The asset, `#` written %23")),
    responses((status = 200, body = AssetView)))]
pub(in super::super) async fn fetch(
    State(api): State<Shared>,
    Segment(uai): Segment<Uai>,
) -> Answered<Json<AssetView>> {
    let wanted = uai.clone();
    let known = api.look(move |validator| {
        let state = validator.state();
        let asset = state.books.assets.get(&wanted);
        (state.domain.clone(), asset.map(|asset| view::asset(&state.domain, &wanted, asset)))
    });
    let (domain, known) = known.await?;
    if let Some(known) = known {
        return Ok(Json(known));
    }
    if *uai.issuer() == domain {
        return Err(ApiError::new(Code::UnknownAsset, uai.to_string()));
    }
    let profile = api.node.mesh.profile(&uai).await?;
    let asset = quadrille_protocol::ledger::Asset::new(profile.clone());
    api.command(Command::RegisterAsset(profile)).await?;
    Ok(Json(view::asset(&domain, &uai, &asset)))
}

/// Who says that it deals in an asset, looked up over the mesh.
#[utoipa::path(get, path = "/v1/assets/{asset}/providers", tag = "assets",
    params(("asset" = String, Path, description = "The asset, `#` written %23")),
    responses((status = 200, body = Providers)))]
pub(in super::super) async fn providers(
    State(api): State<Shared>,
    Segment(asset): Segment<Uai>,
) -> Answered<Json<Providers>> {
    let mut domains = api.node.mesh.providers(&asset).await?;
    domains.sort();
    domains.dedup();
    Ok(Json(Providers { asset, domains }))
}

/// Puts an asset of this domain into circulation. Send an `Idempotency-Key`: it is the name of the
/// issue, is written into the log with it, and makes it happen once, over restarts too.
#[utoipa::path(post, path = "/v1/assets/{asset}/issue", tag = "assets", request_body = Issue,
    params(("asset" = String, Path, description = "The asset, `#` written %23")),
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn issue(
    State(api): State<Shared>,
    Segment(asset): Segment<Uai>,
    headers: HeaderMap,
    Body(Issue { ledger, amount }): Body<Issue>,
) -> Answered<Json<Receipt>> {
    let key = headers.get("idempotency-key");
    let name = key.map(|key| Hash(Sha256::digest(key.as_bytes()).into()));
    Ok(Json(api.command(Command::Issue { asset, ledger, amount, name }).await?))
}

/// Locks an asset of this domain: it cannot be ordered away or locked for anything new.
#[utoipa::path(post, path = "/v1/assets/{asset}/lock", tag = "assets",
    params(("asset" = String, Path, description = "The asset, `#` written %23")),
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn lock(
    State(api): State<Shared>,
    Segment(asset): Segment<Uai>,
) -> Answered<Json<Receipt>> {
    Ok(Json(api.command(Command::LockAsset { asset, locked: true }).await?))
}

/// Unlocks an asset of this domain.
#[utoipa::path(post, path = "/v1/assets/{asset}/unlock", tag = "assets",
    params(("asset" = String, Path, description = "The asset, `#` written %23")),
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn unlock(
    State(api): State<Shared>,
    Segment(asset): Segment<Uai>,
) -> Answered<Json<Receipt>> {
    Ok(Json(api.command(Command::LockAsset { asset, locked: false }).await?))
}

/// Closes an asset of this domain of which nothing is outstanding, for good: nothing is issued any
/// more.
#[utoipa::path(post, path = "/v1/assets/{asset}/close", tag = "assets",
    params(("asset" = String, Path, description = "The asset, `#` written %23")),
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn close(
    State(api): State<Shared>,
    Segment(asset): Segment<Uai>,
) -> Answered<Json<Receipt>> {
    Ok(Json(api.command(Command::CloseAsset(asset)).await?))
}

/// Writes into the log how much of an asset there is here: issued, redeemed, with holders, and
/// owed between this domain and each peer. Its evidence is this domain's word, which others add
/// up with those of the other domains.
#[utoipa::path(post, path = "/v1/assets/{asset}/attest", tag = "assets",
    params(("asset" = String, Path, description = "The asset, `#` written %23")),
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn attest(
    State(api): State<Shared>,
    Segment(asset): Segment<Uai>,
) -> Answered<Json<Receipt>> {
    Ok(Json(api.command(Command::AttestAsset(asset)).await?))
}

/// The evidence of this domain's newest attestation of an asset, as text armour.
#[utoipa::path(get, path = "/v1/assets/{asset}/attestation", tag = "assets",
    params(("asset" = String, Path, description = "The asset, `#` written %23")),
    responses((status = 200, body = Armour)))]
pub(in super::super) async fn attestation(
    State(api): State<Shared>,
    Segment(asset): Segment<Uai>,
) -> Answered<Json<serde_json::Value>> {
    api.up_to_date().await?;
    let evidence = api.past(move |history| {
        let Some(place) = history.index.attested(&asset)? else {
            let what = format!("attestation of {asset}");
            return Err(Refusal::new(Code::NoSuchRecord, what));
        };
        node::evidence_at(history, place)
    });
    Ok(Json(evidence.await?))
}
