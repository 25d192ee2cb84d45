//! Reading requests: whatever is wrong with one becomes a problem with a code.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use quadrille_protocol::error::{Code, Refusal};
use serde::de::DeserializeOwned;

use super::dto::SignedBytes;
use super::problem::ApiError;

/// One parameter of the path, read from its text form.
pub(super) struct Segment<T>(pub T);

impl<S: Send + Sync, T: FromStr<Err = Refusal>> FromRequestParts<S> for Segment<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::new(Code::BadQuery, rejection.body_text()))?;
        Ok(Self(text.parse()?))
    }
}

/// Two parameters of the path.
pub(super) struct Segments<A, B>(pub A, pub B);

impl<S, A, B> FromRequestParts<S> for Segments<A, B>
where
    S: Send + Sync,
    A: FromStr<Err = Refusal>,
    B: FromStr<Err = Refusal>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path((first, second)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::new(Code::BadQuery, rejection.body_text()))?;
        Ok(Self(first.parse()?, second.parse()?))
    }
}

/// One parameter of the path, as it is.
pub(super) struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::new(Code::BadQuery, rejection.body_text()))?;
        Ok(Self(text))
    }
}

/// A record's place in its batch, in a path.
pub(super) struct Leaf(pub u32);

impl FromStr for Leaf {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::new(Code::BadNumber, "leaf: decimal digits");
        let number: u32 = text.parse().map_err(|_| bad())?;
        if number.to_string() == text { Ok(Self(number)) } else { Err(bad()) }
    }
}

/// The parameters after the `?`.
pub(super) struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(value) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::new(Code::BadQuery, rejection.body_text()))?;
        Ok(Self(value))
    }
}

/// A JSON body.
pub(super) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let announced = request.headers().get(CONTENT_TYPE).cloned();
        let named = announced.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = named.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(ApiError::new(Code::WrongContentType, format!("`{}`", short(essence))));
        }
        // The whole body has been read before, within its limits of size and time.
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| ApiError::new(Code::BadBody, rejection.body_text()))?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| ApiError::new(Code::BadBody, error.to_string()))
    }
}

fn short(text: &str) -> String {
    text.chars().take(60).collect::<String>().escape_debug().to_string()
}

impl SignedBytes {
    /// The canonical bytes.
    pub(super) fn decoded(&self) -> Result<Vec<u8>, Refusal> {
        hex::decode(&self.bytes)
            .map_err(|error| Refusal::new(Code::BadBody, format!("`bytes`: {error}")))
    }
}
