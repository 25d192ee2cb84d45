//! The client of the HTTP interface: what the command line and programs use to talk to a node.
//!
//! Invariants:
//! * Nothing is repeated behind the caller's back.
//! * An error says whether anything can have happened: [`ClientError::Unreachable`] means that
//!   nothing has; [`ClientError::Unknown`] that a change was sent and its answer did not come.
//!   Then the same order, with the same bytes, may be sent again: it happens once.
//! * A token is in no error and in no `Debug` output.

mod events;
mod http;
mod routes;

use std::fmt;
use std::time::Duration;

use quadrille_protocol::error::{Code, Refusal};
use zeroize::Zeroizing;

use crate::api::dto::Problem;

pub use events::Follower;

/// Longest wait for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a whole answer, unless the caller says otherwise.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);
/// A connection that nothing has gone over for so long is not used again: the node closes one on
/// which no request comes for its `head_timeout`, and a request sent at that moment would be lost.
const IDLE: Duration = Duration::from_secs(4);
/// Largest answer that is read.
pub const ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Rows that are asked for at once.
pub const PAGE_ROWS: usize = 200;

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientError {
    /// The node was not reached, or a question was not answered: nothing has happened.
    Unreachable(String),
    /// The node answered no.
    Refused(Box<Problem>),
    /// A change was sent and no answer came: it may or may not have happened.
    Unknown(String),
    /// The answer to a question is not one of this interface.
    BadAnswer(String),
    /// The request could not be made at all.
    BadRequest(Refusal),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(problem) => {
                write!(f, "{} {}: {}", problem.code, problem.title, problem.detail)
            }
            Self::Unreachable(what) => Refusal::new(Code::Unreachable, what).fmt(f),
            Self::Unknown(what) => Refusal::new(Code::NoAnswer, what).fmt(f),
            Self::BadAnswer(what) => Refusal::new(Code::BadAnswer, what).fmt(f),
            Self::BadRequest(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for ClientError {}

/// A node, as a client sees it. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: reqwest::Url,
    token: Option<Zeroizing<String>>,
    timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the node at `api`, for instance `http://127.0.0.1:4000`, which shows `token`.
    ///
    /// # Errors
    /// `Q-2201` when `api` is no such address.
    pub fn new(api: &str, token: Option<Zeroizing<String>>) -> Result<Self, Refusal> {
        let bad = |what: &str| Refusal::new(Code::BadUsage, format!("--api `{api}`: {what}"));
        let base = reqwest::Url::parse(api).map_err(|error| bad(&error.to_string()))?;
        if base.scheme() != "http" {
            return Err(bad(
                "an address that begins with http:// is wanted; for another machine, \
                            use a tunnel or a TLS proxy on this one",
            ));
        }
        if base.cannot_be_a_base() || base.query().is_some() || base.fragment().is_some() {
            return Err(bad("an address like http://127.0.0.1:4000 is wanted"));
        }
        // A proxy that is set for browsing would see the token; a node redirects nobody.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| bad(&error.to_string()))?;
        Ok(Self { http, base, token, timeout: ANSWER_TIMEOUT })
    }

    /// The same client, with another longest wait for an answer.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The node's address.
    #[must_use]
    pub fn api(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }
}

/// Some random text, for requests that are to happen once: a new `--id`.
#[must_use]
pub fn new_id() -> String {
    hex::encode(rand::random::<[u8; 12]>())
}

#[cfg(test)]
mod tests;
