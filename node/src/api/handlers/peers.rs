//! Peers, trust and members.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use quadrille_protocol::error::Code;
use quadrille_protocol::types::{Amount, Domain, Uai};
use quadrille_protocol::validator::{Command, Validator};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::dto::{
    GatewayView, ListQuery, MemberView, Page, PeerView, Receipt, TrustLimit, TrustLine,
};
use super::super::extract::{Body, Params, Segment, Segments};
use super::super::ports::MeshPeer;
use super::super::problem::{Answered, ApiError};
use super::super::state::Shared;
use super::super::view;
use super::Wanted;

/// Peers: everybody that this node has a feed with, trusts, or has met on the mesh; sorted.
#[utoipa::path(get, path = "/v1/peers", tag = "peers", params(ListQuery),
    responses((status = 200, body = Page<PeerView>)))]
pub(in super::super) async fn list(
    State(api): State<Shared>,
    Params(query): Params<ListQuery>,
) -> Answered<Json<Page<PeerView>>> {
    let wanted = Wanted::try_from(query)?;
    let after: Option<Domain> = wanted.after()?;
    let met = met(&api);
    let page = api.look(move |validator| {
        let mut domains = known(validator);
        domains.extend(met.keys().cloned());
        domains.remove(&validator.state().domain);
        let rest = domains.into_iter().filter(|one| after.as_ref().is_none_or(|after| one > after));
        let page = wanted.take(rest, Domain::to_string);
        let items = page.items.iter().map(|one| view::peer(validator, one, met.get(one)));
        Page { items: items.collect(), next: page.next }
    });
    Ok(Json(page.await?))
}

/// One peer: connection, standing, feeds, and what it and we owe each other.
#[utoipa::path(get, path = "/v1/peers/{domain}", tag = "peers",
    params(("domain" = String, Path, description = "The peer")),
    responses((status = 200, body = PeerView)))]
pub(in super::super) async fn show(
    State(api): State<Shared>,
    Segment(domain): Segment<Domain>,
) -> Answered<Json<PeerView>> {
    let met = met(&api);
    let shown = api.look(move |validator| {
        let member = validator.state().directory.member(&domain).is_ok();
        if !member && !met.contains_key(&domain) && !known(validator).contains(&domain) {
            return Err(ApiError::new(Code::PeerUnknown, domain.to_string()));
        }
        Ok(view::peer(validator, &domain, met.get(&domain)))
    });
    Ok(Json(shown.await??))
}

fn met(api: &Shared) -> BTreeMap<Domain, MeshPeer> {
    api.node.mesh.peers().into_iter().map(|peer| (peer.domain.clone(), peer)).collect()
}

/// Everybody that the state knows something of beyond membership.
fn known(validator: &Validator) -> BTreeSet<Domain> {
    let state = validator.state();
    let fed = state.peers.keys();
    let owed = state.books.correspondents.keys().map(|(peer, _)| peer);
    fed.chain(owed).cloned().collect()
}

/// Lifts a suspension.
#[utoipa::path(post, path = "/v1/peers/{domain}/lift", tag = "peers",
    params(("domain" = String, Path, description = "The suspended peer")),
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn lift(
    State(api): State<Shared>,
    Segment(domain): Segment<Domain>,
) -> Answered<Json<Receipt>> {
    let peer = domain.clone();
    let known = api.look(move |validator| validator.state().peer(&peer).is_some()).await?;
    if !known {
        return Err(ApiError::new(Code::PeerUnknown, domain.to_string()));
    }
    Ok(Json(api.command(Command::Lift(domain)).await?))
}

/// Which lines of trust.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct TrustQuery {
    /// Only with this peer.
    #[param(value_type = Option<String>)]
    domain: Option<Domain>,
    /// How many items at most: 1 to 200, 50 when it is left out.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Behind which line of peer and asset a page begins.
pub(super) fn line_after(wanted: &Wanted) -> Answered<Option<(Domain, Uai)>> {
    let bad = || ApiError::new(Code::BadCursor, "not one that this list gave");
    let Some(text) = &wanted.cursor else { return Ok(None) };
    let (domain, asset) = text.split_once('/').ok_or_else(bad)?;
    let parsed = domain.parse().ok().zip(asset.parse().ok());
    Ok(Some(parsed.ok_or_else(bad)?))
}

/// What peers may owe us, and owe us, per asset; sorted by peer and asset.
#[utoipa::path(get, path = "/v1/trust", tag = "peers", params(TrustQuery),
    responses((status = 200, body = Page<TrustLine>)))]
pub(in super::super) async fn trust(
    State(api): State<Shared>,
    Params(query): Params<TrustQuery>,
) -> Answered<Json<Page<TrustLine>>> {
    let wanted = Wanted::of(query.limit, query.cursor)?;
    let after = line_after(&wanted)?;
    let page = api.look(move |validator| {
        let lines = validator.state().books.correspondents.iter();
        let rest = lines.filter(|(key, _)| {
            after.as_ref().is_none_or(|after| *key > after)
                && query.domain.as_ref().is_none_or(|domain| key.0 == *domain)
        });
        let page = wanted.take(rest, |((domain, asset), _)| format!("{domain}/{asset}"));
        let items = page.items.iter().map(|((domain, asset), line)| TrustLine {
            domain: domain.clone(),
            exposure: view::exposure(asset, line),
        });
        Page { items: items.collect(), next: page.next }
    });
    Ok(Json(page.await?))
}

/// Sets how much of an asset a peer may owe us.
#[utoipa::path(put, path = "/v1/trust/{domain}/{asset}", tag = "peers", request_body = TrustLimit,
    params(("domain" = String, Path, description = "The peer"),
        ("asset" = String, Path, description = "The asset, `#` written %23")),
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn set_trust(
    State(api): State<Shared>,
    Segments(peer, asset): Segments<Domain, Uai>,
    Body(TrustLimit { limit }): Body<TrustLimit>,
) -> Answered<Json<Receipt>> {
    Ok(Json(api.command(Command::SetCreditLimit { peer, asset, limit }).await?))
}

/// Ends trust: nothing new may be owed. What is owed already is still owed.
#[utoipa::path(delete, path = "/v1/trust/{domain}/{asset}", tag = "peers",
    params(("domain" = String, Path, description = "The peer"),
        ("asset" = String, Path, description = "The asset, `#` written %23")),
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn end_trust(
    State(api): State<Shared>,
    Segments(peer, asset): Segments<Domain, Uai>,
) -> Answered<Json<Receipt>> {
    let limit = Amount::ZERO;
    Ok(Json(api.command(Command::SetCreditLimit { peer, asset, limit }).await?))
}

/// Members of the network, as far as they are known here; sorted.
#[utoipa::path(get, path = "/v1/members", tag = "peers", params(ListQuery),
    responses((status = 200, body = Page<MemberView>)))]
pub(in super::super) async fn members(
    State(api): State<Shared>,
    Params(query): Params<ListQuery>,
) -> Answered<Json<Page<MemberView>>> {
    let wanted = Wanted::try_from(query)?;
    let after: Option<Domain> = wanted.after()?;
    let page = api.look(move |validator| {
        let members = validator.state().directory.members();
        let rest = members.filter(|(domain, _)| after.as_ref().is_none_or(|after| *domain > after));
        let page = wanted.take(rest, |(domain, _)| domain.to_string());
        let items = page.items.iter().map(|(domain, member)| view::member(domain, member));
        Page { items: items.collect(), next: page.next }
    });
    Ok(Json(page.await?))
}

/// Where a domain's gateway is, looked up over the mesh and verified.
#[utoipa::path(get, path = "/v1/gateways/{domain}", tag = "peers",
    params(("domain" = String, Path, description = "The domain")),
    responses((status = 200, body = GatewayView)))]
pub(in super::super) async fn gateway(
    State(api): State<Shared>,
    Segment(domain): Segment<Domain>,
) -> Answered<Json<GatewayView>> {
    let found = api.node.mesh.find_gateway(&domain).await?;
    found.map(Json).ok_or_else(|| ApiError::new(Code::UnknownGateway, domain.to_string()))
}
