//! What every request passes before its handler, and its answer afterwards.
//!
//! ```text
//!  request --> counted --> room? --> token, role --> body read --> key seen before? --> handler
//!                           503        401 403        408 413        409, same answer     504
//! ```
//!
//! Invariants: a handler that changes something is not cut off by its client's leaving or by
//! time: it is let finish, and whoever repeats the key gets its answer. Nothing of a request but
//! its route, the token's id and the outcome is logged.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use prometheus_client::metrics::gauge::Gauge;
use quadrille_protocol::error::Code;
use sha2::{Digest, Sha256};

use super::access::{Access, access_to, methods_of};
use super::idempotency::{Answer, Key, Seen};
use super::problem::{Answered, ApiError, ProblemCode};
use super::state::Shared;
use super::tokens::Bearer;

/// Largest body.
pub(super) const BODY_BYTES: usize = 64 * 1024;
/// Where many orders are handed in.
const BATCH_PATH: &str = "/v1/orders/batch";
/// Largest such body: as many hybrid-signed orders as a batch may have, in two digits a byte.
const BATCH_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Where evidence is handed in.
const EVIDENCE_PATH: &str = "/v1/recovery/evidence";
/// Largest such body: evidence of the largest record, in two digits a byte.
const EVIDENCE_BODY_BYTES: usize = 256 * 1024;
/// Largest answer that is remembered for a key; receipts and problems are far smaller.
const REMEMBERED_BYTES: usize = 256 * 1024;
/// Longest `Authorization` that is looked at.
const AUTHORIZATION_BYTES: usize = 512;

/// Counts and logs, and lets the request in if there is room.
pub(super) async fn observe(State(api): State<Shared>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = method_label(request.method());
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map_or("unmatched", MatchedPath::as_str);
    let http = &api.node.metrics.http;
    let counted = InFlight::new(&http.in_flight);
    let mut response = match api.in_flight.try_acquire() {
        Ok(_room) => admit(&api, request, next).await.unwrap_or_else(ApiError::into_response),
        Err(_) => ApiError::new(Code::Overloaded, "requests in progress").into_response(),
    };
    drop(counted);
    // Balances and evidence are no matter for caches between the node and its client.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let (status, took) = (response.status(), began.elapsed());
    http.answered(method, route, status.as_u16(), took);
    let elapsed_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let token_id = response.extensions().get::<Bearer>().map(|bearer| bearer.id.clone());
    let token_id = token_id.as_deref().unwrap_or("-");
    if let Some(ProblemCode(code)) = response.extensions().get::<ProblemCode>() {
        api.node.metrics.refused(*code);
        let status = status.as_u16();
        tracing::info!(method, route, status, %code, token_id, elapsed_us, "http");
    } else {
        tracing::debug!(method, route, status = status.as_u16(), token_id, elapsed_us, "http");
    }
    response
}

/// A request in progress; one whose client leaves is over, too.
struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A closed set, so that a made-up method makes no new series.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

async fn admit(api: &Shared, request: Request, next: Next) -> Answered<Response> {
    let (mut parts, body) = request.into_parts();
    let Some(path) = parts.extensions.get::<MatchedPath>().cloned() else {
        // The router's own answer: there is no such path.
        return Ok(next.run(Request::from_parts(parts, Body::empty())).await);
    };
    let Some(access) = access_to(&parts.method, path.as_str()) else {
        // Not handed to the router: a handler that nobody gave a place in the table is closed.
        return closed(&parts.method, path.as_str());
    };
    let bearer = authorise(api, access, &parts.headers)?;
    if let Some(bearer) = &bearer {
        parts.extensions.insert(bearer.clone());
    }
    let body = read_body(api, path.as_str(), &parts, body).await?;
    let response = carry_out(api, bearer.as_ref(), parts, body, next).await;
    let mut response = response.unwrap_or_else(ApiError::into_response);
    if let Some(bearer) = bearer {
        response.extensions_mut().insert(bearer);
    }
    Ok(response)
}

/// What a route that is not in the table answers: the methods that its path has, if any.
fn closed(method: &Method, path: &str) -> Answered<Response> {
    let methods = methods_of(path);
    if methods.is_empty() {
        return Err(ApiError::new(Code::UnknownRoute, path));
    }
    let mut response = ApiError::new(Code::WrongMethod, method.as_str()).into_response();
    if let Ok(allow) = HeaderValue::from_str(&methods.join(",")) {
        response.headers_mut().insert(ALLOW, allow);
    }
    Ok(response)
}

fn authorise(api: &Shared, access: Access, headers: &HeaderMap) -> Answered<Option<Bearer>> {
    if access == Access::Open {
        return Ok(None);
    }
    let refused = |what: &str| ApiError::new(Code::NotAuthenticated, what);
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused("one `Authorization` header"));
    };
    if value.len() > AUTHORIZATION_BYTES {
        return Err(refused("too long"));
    }
    let text = value.to_str().unwrap_or_default();
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        Some(_) | None => return Err(refused("not of the form `Bearer qd_…`")),
    };
    let bearer = api.node.tokens.bearer(token).ok_or_else(|| refused("nobody's token"))?;
    if !access.permits(bearer.role) {
        let what = format!("{} is needed, this is {}", access.roles(), bearer.role);
        return Err(ApiError::new(Code::NotPermitted, what));
    }
    Ok(Some(bearer))
}

async fn read_body(api: &Shared, path: &str, parts: &Parts, body: Body) -> Answered<Bytes> {
    // Nothing that is read has a body; what comes with it is not waited for.
    if parts.method == Method::GET || parts.method == Method::HEAD {
        return Ok(Bytes::new());
    }
    let limit = match path {
        BATCH_PATH => BATCH_BODY_BYTES,
        EVIDENCE_PATH => EVIDENCE_BODY_BYTES,
        _ => BODY_BYTES,
    };
    let read = Limited::new(body, limit).collect();
    match tokio::time::timeout(api.settings.body_timeout, read).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(ApiError::new(Code::BodyTooLarge, format!("at most {limit} bytes")))
        }
        Ok(Err(_)) => Err(ApiError::new(Code::BadBody, "it did not arrive whole")),
        Err(_) => {
            let limit_ms = api.settings.body_timeout.as_millis();
            Err(ApiError::new(Code::RequestTooSlow, format!("not within {limit_ms} ms")))
        }
    }
}

async fn carry_out(
    api: &Shared,
    bearer: Option<&Bearer>,
    parts: Parts,
    body: Bytes,
    next: Next,
) -> Answered<Response> {
    if parts.method == Method::GET || parts.method == Method::HEAD {
        let run = next.run(Request::from_parts(parts, Body::from(body)));
        return match tokio::time::timeout(api.settings.answer_timeout, run).await {
            Ok(response) => Ok(response),
            Err(_) => Err(ApiError::new(Code::Overloaded, "the answer took too long")),
        };
    }
    let key = match parts.headers.get("idempotency-key") {
        Some(value) => Some(Key::read(bearer.map_or("", |bearer| &bearer.id), value)?),
        None => None,
    };
    if let Some(key) = &key {
        let request = fingerprint(&parts, &body);
        match api.memory.begin(key, request)? {
            Seen::New => {}
            Seen::Answered(answer) => return Ok(again(answer)),
        }
    }
    // On its own, so that neither a client that leaves nor a timeout takes the answer with it.
    let shared = Arc::clone(api);
    let run = tokio::spawn(async move {
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        match key {
            Some(key) => remember(&shared, &key, response).await,
            None => response,
        }
    });
    match tokio::time::timeout(api.settings.answer_timeout, run).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(_)) => Err(ApiError::outcome_unknown("the node is stopping")),
        Err(_) => {
            let limit_ms = api.settings.answer_timeout.as_millis();
            Err(ApiError::outcome_unknown(format!("no answer within {limit_ms} ms")))
        }
    }
}

fn fingerprint(parts: &Parts, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    for part in [parts.method.as_str().as_bytes(), path.as_bytes(), body] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn again(answer: Answer) -> Response {
    let mut response = (answer.status, answer.body).into_response();
    if let Some(content_type) = answer.content_type {
        response.headers_mut().insert(axum::http::header::CONTENT_TYPE, content_type);
    }
    response
}

async fn remember(api: &Shared, key: &Key, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let read = Limited::new(body, REMEMBERED_BYTES).collect().await;
    let Ok(body) = read.map(http_body_util::Collected::to_bytes) else {
        // No handler answers a change at such length.
        api.memory.settle(key, None);
        return ApiError::outcome_unknown("the answer was too long").into_response();
    };
    let content_type = parts.headers.get(axum::http::header::CONTENT_TYPE).cloned();
    let answer = Answer { status: parts.status, content_type, body: body.clone() };
    api.memory.settle(key, Some(answer));
    Response::from_parts(parts, Body::from(body))
}
