//! Errors as `application/problem+json`, and which status each code has.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use quadrille_protocol::error::{Code, Refusal};

use super::dto::{Problem, Reason};
use crate::engine::EngineError;

/// How long a client waits before it tries again, where nothing more is known, in seconds.
const RETRY_S: u64 = 1;
/// The media type of problems.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// An answer that is a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    refusal: Refusal,
    status: StatusCode,
    retry_after_s: Option<u64>,
}

/// The code of a problem, for those who count and log answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProblemCode(pub Code);

/// What a handler answers.
pub(super) type Answered<T> = Result<T, ApiError>;

impl ApiError {
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Refusal::new(code, what).into()
    }

    /// With the time after which another attempt makes sense.
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after_s = Some(wait.as_secs().saturating_add(1));
        self
    }

    /// What was refused, for an answer that holds several.
    pub fn reason(&self) -> Reason {
        Reason::from(&self.refusal)
    }

    /// As it stands in an answer that holds several.
    pub fn problem(&self) -> Problem {
        Problem::new(self.status.as_u16(), &self.refusal)
    }

    /// Nothing is known of what became of a change.
    pub fn outcome_unknown(what: impl Into<String>) -> Self {
        Self::new(Code::OutcomeUnknown, what)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = status_of(refusal.code);
        let again = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
        let busy = again.contains(&status) || refusal.code == Code::IdempotencyBusy;
        Self { refusal, status, retry_after_s: busy.then_some(RETRY_S) }
    }
}

/// Of a change. Where a look fails, see [`ApiError::of_look`].
impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Refused(refusal) => refusal.into(),
            EngineError::Busy => EngineError::Busy.refusal().into(),
            EngineError::Unknown => {
                Self::outcome_unknown("the node stopped before the answer was there")
            }
        }
    }
}

impl ApiError {
    /// Of a mere look at the state: that it failed leaves nothing unknown.
    pub fn of_look(error: EngineError) -> Self {
        match error {
            EngineError::Unknown => Self::new(Code::NotReady, "the engine has stopped"),
            EngineError::Refused(_) | EngineError::Busy => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = self.problem();
        // Strings and numbers: there is nothing in them that JSON cannot say.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"quadrille\"");
            headers.insert(axum::http::header::WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(ProblemCode(self.refusal.code));
        response
    }
}

/// The status that goes with a code: single ones first, then by their hundreds. 401 is for
/// tokens alone, so that a client can tell «not you» from «not so».
pub(super) fn status_of(code: Code) -> StatusCode {
    match code {
        Code::UnknownDomain
        | Code::UnknownLedger
        | Code::UnknownAsset
        | Code::UnknownOffer
        | Code::UnknownSettlement
        | Code::PeerUnknown
        | Code::UnknownRoute
        | Code::UnknownOrder
        | Code::UnknownGateway
        | Code::UnknownToken
        | Code::NameUnknown
        | Code::IdentityMissing
        | Code::UnknownSubscription
        | Code::NoSuchRecord => StatusCode::NOT_FOUND,
        Code::WrongKey | Code::NotIssuer | Code::NotYours | Code::NotPermitted => {
            StatusCode::FORBIDDEN
        }
        Code::NameClosed | Code::IdentityLost => StatusCode::GONE,
        Code::LedgerExists
        | Code::AssetExists
        | Code::LedgerFrozen
        | Code::LedgerClosed
        | Code::NonceUsed
        | Code::NonceTooOld
        | Code::LedgerNotEmpty
        | Code::AssetLocked
        | Code::IdempotencyConflict
        | Code::IdempotencyBusy => StatusCode::CONFLICT,
        Code::Recovering
        | Code::NotLive
        | Code::QueueFull
        | Code::BatchFull
        | Code::Overloaded
        | Code::TooManySubscribers
        | Code::NameUnreachable
        | Code::ScreeningSilent
        | Code::NotReady => StatusCode::SERVICE_UNAVAILABLE,
        Code::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
        Code::WrongContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::RequestTooSlow => StatusCode::REQUEST_TIMEOUT,
        Code::NotAuthenticated => StatusCode::UNAUTHORIZED,
        Code::TooManyOrders | Code::TooManyRefused => StatusCode::TOO_MANY_REQUESTS,
        Code::OutcomeUnknown => StatusCode::GATEWAY_TIMEOUT,
        Code::BadTokenFile => StatusCode::SERVICE_UNAVAILABLE,
        Code::BadOffer | Code::TierTooHigh => StatusCode::UNPROCESSABLE_ENTITY,
        other => status_of_hundred(other.number() / 100),
    }
}

/// 10 bytes and text: the request is not well formed. 13, 15, 16, 18: it does not fit how things
/// stand. 19, 20 and 24: our disk, the mesh or the index failed, which is not the client's doing.
/// 21: what is left of this interface's own. The rest: understood, and not acceptable.
fn status_of_hundred(hundred: u16) -> StatusCode {
    match hundred {
        10 | 21 => StatusCode::BAD_REQUEST,
        13 | 15 | 16 | 18 => StatusCode::CONFLICT,
        19 | 20 | 24 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_answers_with_success_or_an_unannounced_server_error() {
        let coded = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        for code in Code::ALL {
            let status = status_of(*code);
            assert!(status.is_client_error() || coded.contains(&status), "{code} is {status}");
        }
    }

    #[test]
    fn only_a_missing_token_is_unauthorised_and_only_an_unknown_outcome_is_a_gateway_timeout() {
        for code in Code::ALL {
            let status = status_of(*code);
            assert_eq!(status == StatusCode::UNAUTHORIZED, *code == Code::NotAuthenticated);
            assert_eq!(status == StatusCode::GATEWAY_TIMEOUT, *code == Code::OutcomeUnknown);
        }
    }

    #[test]
    fn what_may_be_tried_again_says_when() {
        for code in Code::ALL {
            let response = ApiError::new(*code, "x").into_response();
            let again = matches!(response.status().as_u16(), 429 | 503);
            assert!(!again || response.headers().contains_key(RETRY_AFTER), "{code}");
        }
    }
}
