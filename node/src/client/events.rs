//! Following a node's events, over lost connections too.
//!
//! The stream is Server-Sent Events (WHATWG HTML, section 9.2). Invariant: after a lost
//! connection the stream goes on behind the last event that was heard, so that none is missed
//! and none comes twice.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use quadrille_protocol::types::{Uai, Ubi};
use reqwest::Method;
use tokio::time;

use super::{Client, ClientError};
use crate::api::dto::EventView;
use crate::index::EventId;

/// Longest line of a stream.
const LINE_BYTES: usize = 1024 * 1024;
/// A connection on which nothing came for this long (no heartbeat either) is given up.
const SILENCE: Duration = Duration::from_secs(60);
/// First wait before connecting again; it doubles up to [`WAIT_MAX`].
const WAIT_FIRST: Duration = Duration::from_millis(200);
/// Longest wait before connecting again.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// One event and its place in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Its place.
    pub id: EventId,
    /// What has happened.
    pub event: EventView,
}

/// Follows the events of a node.
pub struct Follower {
    client: Client,
    query: Vec<(&'static str, String)>,
    last: Option<EventId>,
    stream: Option<Stream>,
    wait: Duration,
}

impl Client {
    /// Follows events of these types, like `settlement.final` (of all, when none is named), of
    /// one ledger where one is named, from now on or behind the event `after`.
    #[must_use]
    pub fn follow(&self, types: &[&str], ledger: Option<&Ubi>, after: Option<EventId>) -> Follower {
        self.follow_offers(types, ledger, after, None, None)
    }

    /// The same of offers that give and want these assets, where they are named. With the type
    /// `offer.seen` the offers that are in the book now come first.
    #[must_use]
    pub fn follow_offers(
        &self,
        types: &[&str],
        ledger: Option<&Ubi>,
        after: Option<EventId>,
        give: Option<&Uai>,
        want: Option<&Uai>,
    ) -> Follower {
        let mut query = Vec::new();
        query.extend(give.map(|asset| ("give", asset.to_string())));
        query.extend(want.map(|asset| ("want", asset.to_string())));
        if !types.is_empty() {
            query.push(("types", types.join(",")));
        }
        query.extend(ledger.map(|ledger| ("ledger", ledger.to_string())));
        Follower { client: self.clone(), query, last: after, stream: None, wait: WAIT_FIRST }
    }
}

impl Follower {
    /// Connects, so that from here on no event is missed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect(&mut self) -> Result<(), ClientError> {
        let last = match self.last {
            Some(last) => last,
            // Where the log is now, so that nothing is missed if this connection is lost before
            // it has brought an event.
            None => EventId {
                height: self.client.status().await?.indexed,
                leaf: u32::MAX,
                number: u32::MAX,
            },
        };
        self.last = Some(last);
        let last = last.to_string();
        let mut call = self.client.call(Method::GET, &["v1", "events"]).after(&last);
        for (name, value) in &self.query {
            call = call.query(name, value);
        }
        let response =
            time::timeout(self.client.timeout, call.send(None)).await.map_err(|_| {
                ClientError::Unreachable("the stream did not begin in time".to_owned())
            })??;
        let chunks = response.bytes_stream().map(|chunk| chunk.map(|bytes| bytes.to_vec())).boxed();
        self.stream = Some(Stream { chunks, parser: Parser::default() });
        Ok(())
    }

    /// The next event. Connects again, with growing waits, for as long as it takes.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the node says no; a lost connection is none.
    pub async fn next(&mut self) -> Result<Followed, ClientError> {
        loop {
            match &mut self.stream {
                None => match self.connect().await {
                    Ok(()) => {}
                    Err(ClientError::Unreachable(_) | ClientError::BadAnswer(_)) => {
                        time::sleep(self.wait).await;
                        self.wait = self.wait.saturating_mul(2).min(WAIT_MAX);
                    }
                    Err(error) => return Err(error),
                },
                Some(stream) => match stream.next().await {
                    Some(event) => {
                        self.wait = WAIT_FIRST;
                        self.last = Some(event.id);
                        return Ok(event);
                    }
                    None => self.stream = None,
                },
            }
        }
    }

    /// The id behind which the stream goes on: of the last event that was heard.
    #[must_use]
    pub const fn last(&self) -> Option<EventId> {
        self.last
    }
}

struct Stream {
    chunks: BoxStream<'static, reqwest::Result<Vec<u8>>>,
    parser: Parser,
}

impl Stream {
    /// The next event; `None` when the connection is over.
    async fn next(&mut self) -> Option<Followed> {
        loop {
            if let Some(event) = self.parser.next() {
                return Some(event);
            }
            let chunk = time::timeout(SILENCE, self.chunks.next()).await.ok()??.ok()?;
            self.parser.feed(&chunk)?;
        }
    }
}

/// The stream's text, line by line.
#[derive(Default)]
pub(super) struct Parser {
    waiting: Vec<u8>,
    read: usize,
    id: Option<EventId>,
    data: String,
}

impl Parser {
    /// Takes more bytes; `None` when a line is longer than any of ours.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<()> {
        self.waiting.drain(..self.read.min(self.waiting.len()));
        self.read = 0;
        self.waiting.extend_from_slice(bytes);
        (self.waiting.len() <= LINE_BYTES).then_some(())
    }

    /// The next whole event.
    pub fn next(&mut self) -> Option<Followed> {
        while let Some(line) = self.line() {
            if let Some(event) = self.take(&line) {
                return Some(event);
            }
        }
        None
    }

    fn line(&mut self) -> Option<String> {
        let rest = self.waiting.get(self.read..)?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = String::from_utf8_lossy(rest.get(..end)?).trim_end_matches('\r').to_owned();
        self.read = self.read.saturating_add(end).saturating_add(1);
        Some(line)
    }

    fn take(&mut self, line: &str) -> Option<Followed> {
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            // Kinds of events that this program does not know yet are passed over.
            let event = serde_json::from_str(&data).ok()?;
            return self.id.take().map(|id| Followed { id, event });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        if field == "id" {
            self.id = value.parse().ok();
        }
        // Not comments (no field name), `event` (the data says it too) or `retry`.
        if field == "data" {
            if !self.data.is_empty() {
                self.data.push('\n');
            }
            self.data.push_str(value);
        }
        None
    }
}
