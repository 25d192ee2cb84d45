//! One request, one answer, and what it means when there is none.

use std::time::Duration;

use futures::StreamExt as _;
use quadrille_protocol::error::{Code, Refusal};
use reqwest::{Method, StatusCode, Url, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ANSWER_BYTES, Client, ClientError};
use crate::api::dto::{Page, Problem};

/// A request under construction.
pub(super) struct Call<'a> {
    client: &'a Client,
    method: Method,
    url: Result<Url, Refusal>,
    body: Option<Result<Vec<u8>, Refusal>>,
    key: Option<&'a str>,
    after: Option<&'a str>,
}

impl Client {
    /// A request for the path made of `segments`, each of which may hold any character.
    pub(super) fn call(&self, method: Method, segments: &[&str]) -> Call<'_> {
        let mut url = self.base.clone();
        let made = match url.path_segments_mut() {
            Ok(mut path) => {
                path.pop_if_empty().extend(segments);
                Ok(())
            }
            Err(()) => Err(Refusal::new(Code::BadUsage, format!("--api `{}`", self.base))),
        };
        Call { client: self, method, url: made.map(|()| url), body: None, key: None, after: None }
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        segments: &[&str],
    ) -> Result<T, ClientError> {
        self.call(Method::GET, segments).answer().await
    }

    /// Rows of a list, page by page, until there are `most` or no more.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &[(&str, String)],
        most: usize,
    ) -> Result<Vec<T>, ClientError> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        while rows.len() < most {
            let wanted = most.saturating_sub(rows.len()).min(super::PAGE_ROWS);
            let mut call = self.call(Method::GET, segments);
            for (name, value) in query {
                call = call.query(name, value);
            }
            call = call.query("limit", &wanted.to_string());
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor);
            }
            let page: Page<T> = call.answer().await?;
            let came = page.items.len();
            rows.extend(page.items);
            cursor = page.next;
            if cursor.is_none() || came == 0 {
                break;
            }
        }
        rows.truncate(most);
        Ok(rows)
    }
}

impl<'a> Call<'a> {
    pub fn query(mut self, name: &str, value: &str) -> Self {
        if let Ok(url) = &mut self.url {
            url.query_pairs_mut().append_pair(name, value);
        }
        self
    }

    pub fn body(mut self, body: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(body)
            .map_err(|error| Refusal::new(Code::BadUsage, error.to_string()));
        self.body = Some(bytes);
        self
    }

    /// Names the request, so that it is carried out once however often it is sent.
    pub fn once(mut self, key: &'a str) -> Self {
        self.key = Some(key);
        self
    }

    /// Asks a stream to go on behind the event with this id.
    pub fn after(mut self, event: &'a str) -> Self {
        self.after = Some(event);
        self
    }

    /// Sends it and reads the answer.
    pub async fn answer<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let changes = self.changes();
        let timeout = self.client.timeout;
        let response = self.send(Some(timeout)).await?;
        let bytes = whole(response, changes).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let what = format!("the answer cannot be read: {error}");
            // It was accepted, but what exactly was is not known.
            if changes { ClientError::Unknown(what) } else { ClientError::BadAnswer(what) }
        })
    }

    /// Sends it and returns the answer as it is.
    pub async fn text(self) -> Result<String, ClientError> {
        let changes = self.changes();
        let timeout = self.client.timeout;
        let bytes = whole(self.send(Some(timeout)).await?, changes).await?;
        String::from_utf8(bytes).map_err(|error| ClientError::BadAnswer(error.to_string()))
    }

    /// Sends it; an answer that is a refusal is an error. Without a timeout the answer may go
    /// on for ever.
    pub async fn send(self, timeout: Option<Duration>) -> Result<reqwest::Response, ClientError> {
        let changes = self.changes();
        let request = self.request(timeout).map_err(ClientError::BadRequest)?;
        let response = request.send().await.map_err(|error| lost(&error, changes))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(refused(response, status, changes).await)
    }

    fn changes(&self) -> bool {
        self.method != Method::GET
    }

    fn request(self, timeout: Option<Duration>) -> Result<reqwest::RequestBuilder, Refusal> {
        let mut request = self.client.http.request(self.method, self.url?);
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        if let Some(token) = &self.client.token {
            request = request.bearer_auth(token.as_str());
        }
        if let Some(key) = self.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(after) = self.after {
            request = request.header("Last-Event-ID", after);
        }
        if let Some(body) = self.body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body?);
        }
        Ok(request)
    }
}

/// What it means that a request got no answer.
fn lost(error: &reqwest::Error, changes: bool) -> ClientError {
    let what = deepest(error);
    if changes && !error.is_connect() && !error.is_builder() {
        ClientError::Unknown(what)
    } else {
        ClientError::Unreachable(what)
    }
}

/// The last cause is the one that says something (`Connection refused`).
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let place = error.url().map(|url| format!("{}: ", url.origin().ascii_serialization()));
    format!("{}{cause}", place.unwrap_or_default())
}

async fn whole(response: reqwest::Response, changes: bool) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| lost(&error, changes))?;
        if bytes.len().saturating_add(chunk.len()) > ANSWER_BYTES {
            return Err(ClientError::BadAnswer(format!("more than {ANSWER_BYTES} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What an answer of 300 and above means.
async fn refused(response: reqwest::Response, status: StatusCode, changes: bool) -> ClientError {
    let read = whole(response, changes).await;
    let problem = read.ok().and_then(|bytes| serde_json::from_slice::<Problem>(&bytes).ok());
    let what = match &problem {
        Some(problem) => format!("{}: {}", problem.title, problem.detail),
        None => format!("HTTP {status} without a reason"),
    };
    match (problem, status) {
        // The node, or something before it, gave up waiting for the answer.
        (_, StatusCode::GATEWAY_TIMEOUT) if changes => ClientError::Unknown(what),
        (Some(problem), _) => ClientError::Refused(Box::new(problem)),
        (None, _) if changes && status.is_server_error() => ClientError::Unknown(what),
        (None, _) => ClientError::BadAnswer(what),
    }
}
