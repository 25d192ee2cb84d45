//! Every route, and the OpenAPI document made from them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use quadrille_protocol::error::Code;
use tokio::sync::watch;
use utoipa::PartialSchema;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Ref,
    ResponseBuilder,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Access, access_to};
use super::dto::Problem;
use super::handlers::{
    assets, events, hooks, ledgers, market, names, node, orders, payments, peers, positions,
    recovery, settlements,
};
use super::problem::{ApiError, PROBLEM_JSON};
use super::state::Shared;
use super::{admit, dto};

/// The name of the security scheme.
const SCHEME: &str = "token";

/// The routes, and behind them what every request passes.
pub(super) fn router(api: &Shared, stopped: watch::Receiver<bool>) -> Router {
    let (router, document) = documented().split_for_parts();
    // Made once: it does not change.
    let document: Arc<str> = document.to_json().unwrap_or_default().into();
    router
        .route("/v1/openapi.json", axum::routing::get(move || openapi(document)))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(api.clone(), admit::observe))
        .layer(axum::Extension(events::Stopped(stopped)))
        .with_state(api.clone())
}

fn documented() -> OpenApiRouter<Shared> {
    let mut components = Components::new();
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme(SCHEME, scheme);
    let info = InfoBuilder::new()
        .title("Quadrille node")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(dto::ABOUT))
        .build();
    let base = OpenApiBuilder::new().info(info).components(Some(components)).build();
    let mut router = OpenApiRouter::with_openapi(base)
        .routes(routes!(node::livez))
        .routes(routes!(node::readyz))
        .routes(routes!(node::metrics))
        .routes(routes!(node::status))
        .routes(routes!(node::log_head))
        .routes(routes!(node::checkpoint))
        .routes(routes!(node::evidence))
        .routes(routes!(node::drain))
        .routes(routes!(node::undrain))
        .routes(routes!(node::log_level))
        .routes(routes!(recovery::status))
        .routes(routes!(recovery::evidence))
        .routes(routes!(recovery::give_up))
        .routes(routes!(recovery::customers_heard))
        .routes(routes!(ledgers::list, ledgers::open))
        .routes(routes!(ledgers::show))
        .routes(routes!(ledgers::entries))
        .routes(routes!(ledgers::entry_evidence))
        .routes(routes!(ledgers::freeze))
        .routes(routes!(ledgers::unfreeze))
        .routes(routes!(names::identity, names::restore_identity))
        .routes(routes!(names::resolve))
        .routes(routes!(names::travel_rules))
        .routes(routes!(names::set_travel_rule, names::end_travel_rule))
        .routes(routes!(ledgers::replace_key))
        .routes(routes!(assets::list, assets::register))
        .routes(routes!(assets::show))
        .routes(routes!(assets::providers))
        .routes(routes!(assets::fetch))
        .routes(routes!(assets::issue))
        .routes(routes!(assets::lock))
        .routes(routes!(assets::unlock))
        .routes(routes!(assets::close))
        .routes(routes!(assets::attest))
        .routes(routes!(assets::attestation))
        .routes(routes!(orders::post_order))
        .routes(routes!(orders::post_orders))
        .routes(routes!(orders::order))
        .routes(routes!(orders::order_evidence))
        .routes(routes!(market::offers))
        .routes(routes!(market::offer))
        .routes(routes!(market::book))
        .routes(routes!(settlements::list))
        .routes(routes!(settlements::show))
        .routes(routes!(settlements::evidence))
        .routes(routes!(peers::list))
        .routes(routes!(peers::show))
        .routes(routes!(peers::lift))
        .routes(routes!(peers::trust))
        .routes(routes!(peers::set_trust, peers::end_trust))
        .routes(routes!(peers::members))
        .routes(routes!(peers::gateway))
        .routes(routes!(positions::list))
        .routes(routes!(positions::standings))
        .routes(routes!(positions::explain))
        .routes(routes!(positions::switch, positions::net))
        .routes(routes!(positions::settle_up))
        .routes(routes!(payments::post))
        .routes(routes!(payments::show))
        .routes(routes!(payments::paths))
        .routes(routes!(payments::correspondents))
        .routes(routes!(payments::set_transit))
        .routes(routes!(payments::set_fee))
        .routes(routes!(events::stream))
        .routes(routes!(hooks::list, hooks::add))
        .routes(routes!(hooks::remove))
        .routes(routes!(hooks::resume))
        .routes(routes!(hooks::test));
    finish(router.get_openapi_mut());
    router
}

/// What all routes have in common: the token, and problems.
fn finish(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    components.schemas.insert("Problem".to_owned(), Problem::schema());
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
            let response = ResponseBuilder::new()
                .description("Refused, or not possible now: `code` says why")
                .content(PROBLEM_JSON, problem.build())
                .build();
            operation.operation_id = Some(operation_id(&method, path));
            operation.responses.responses.insert("default".to_owned(), response.into());
            match access_to(&method, path) {
                Some(Access::Open) | None => {}
                Some(access @ (Access::Read | Access::Trade | Access::Operate)) => {
                    let none: [&str; 0] = [];
                    let required = SecurityRequirement::new(SCHEME, none);
                    operation.security = Some(vec![required]);
                    let said = operation.description.take().unwrap_or_default();
                    let roles = format!("{said}\n\nRole: {}.", access.roles());
                    operation.description = Some(roles.trim().to_owned());
                }
            }
        }
    }
}

/// A name for generated clients: `get_v1_ledgers_ledger_entries`.
fn operation_id(method: &axum::http::Method, path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let words = parts.map(|part| part.trim_matches(['{', '}']).replace(['-', '.'], "_"));
    words.fold(method.as_str().to_lowercase(), |name, word| format!("{name}_{word}"))
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (axum::http::Method, &mut Operation)> {
    use axum::http::Method;
    [
        (Method::GET, item.get.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::PUT, item.put.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.map(|operation| (method, operation)))
}

async fn openapi(document: Arc<str>) -> Response {
    ([(CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}

async fn unknown_route(request: Request) -> ApiError {
    let path: String = request.uri().path().chars().take(120).collect();
    ApiError::new(Code::UnknownRoute, path)
}

async fn wrong_method(State(_): State<Shared>, request: Request) -> ApiError {
    let method: String = request.method().as_str().chars().take(20).collect();
    ApiError::new(Code::WrongMethod, method)
}

#[cfg(test)]
mod tests {
    use super::super::access::TABLE;
    use super::*;

    #[test]
    fn every_documented_route_is_in_the_table_of_access_and_the_other_way_round() {
        let (_, mut document) = documented().split_for_parts();
        let (mut known, mut names) = (0, std::collections::BTreeSet::new());
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                assert!(access_to(&method, path).is_some(), "{method} {path}");
                assert!(operation.responses.responses.contains_key("default"));
                assert!(names.insert(operation.operation_id.clone()), "{method} {path}");
                known += 1;
            }
        }
        // The document does not describe itself.
        assert_eq!(known + 1, TABLE.len());
    }
}
