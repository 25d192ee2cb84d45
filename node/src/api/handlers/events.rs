//! `/v1/events`: what happens, as Server-Sent Events, in the order of the log.
//!
//! Every subscriber reads the log at its own pace, up to where the index has come. So nothing is
//! lost for one that is slow, was away, or connects to the node after a restart: its last id says
//! where it goes on. One that takes nothing at all is disconnected by its connection's timeout.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use futures::Stream;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{Height, Ubi};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::IntoParams;

use super::super::dto::{EventKind, EventView};
use super::super::extract::Params;
use super::super::problem::{Answered, ApiError};
use super::super::state::{Shared, stop};
use super::super::tokens::Bearer;
use super::super::view;
use crate::index::events::events_after;
use crate::index::{Event, EventId};

/// How often a quiet stream says that it is still there, and that the token still counts.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events read from the log at once.
const READ_AT_ONCE: usize = 256;

/// Set when the node stops: streams end then.
#[derive(Clone)]
pub(in super::super) struct Stopped(pub watch::Receiver<bool>);

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct EventQuery {
    /// Only these types, with commas between them, like `settlement.step,settlement.final`.
    types: Option<String>,
    /// Only events of this ledger.
    #[param(value_type = Option<String>)]
    ledger: Option<Ubi>,
    /// Begin after the event with this id; `0.0.0` for the beginning of the log. The header
    /// `Last-Event-ID` counts before it. From now on when both are left out.
    after: Option<String>,
}

/// Everything that happens, as Server-Sent Events.
///
/// The `id` of each is `height.leaf.n`; send the last one seen as `Last-Event-ID` to go on after
/// it. `data` is an `EventView` as JSON.
#[utoipa::path(get, path = "/v1/events", tag = "events",
    params(EventQuery, ("Last-Event-ID" = Option<String>, Header, description = "Go on after it")),
    responses((status = 200, body = EventView, content_type = "text/event-stream")))]
pub(in super::super) async fn stream(
    State(api): State<Shared>,
    Extension(bearer): Extension<Bearer>,
    Extension(Stopped(stopped)): Extension<Stopped>,
    Params(query): Params<EventQuery>,
    headers: HeaderMap,
) -> Answered<Sse<impl Stream<Item = Result<Sent, Infallible>>>> {
    let indexed = api.node.history.index.indexed();
    let named = match headers.get("last-event-id") {
        Some(value) => Some(value.to_str().unwrap_or("?")),
        None => query.after.as_deref(),
    };
    let after = match named.filter(|text| !text.is_empty()) {
        Some(text) => read_id(text, indexed)?,
        None => end_of(indexed),
    };
    let filter = Filter { types: types(query.types.as_deref())?, ledger: query.ledger };
    let permit = api.subscribers.clone().try_acquire_owned();
    let permit = permit.map_err(|_| {
        let most = api.settings.subscribers;
        ApiError::new(Code::TooManySubscribers, format!("at most {most}"))
    })?;
    api.node.metrics.http.subscribers.inc();
    let subscriber = Subscriber {
        api,
        bearer,
        stopped,
        filter,
        after,
        read_to: Height(0),
        ready: VecDeque::new(),
        _permit: permit,
    };
    let events = futures::stream::unfold(subscriber, |mut subscriber| async move {
        let event = subscriber.next().await?;
        Some((Ok(event), subscriber))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("still here")))
}

fn read_id(text: &str, indexed: Height) -> Result<EventId, Refusal> {
    let bad = |what: String| Refusal::new(Code::BadEventId, what);
    let id: EventId = text.parse().map_err(|_| bad("it is height.leaf.n".to_owned()))?;
    if id.height > indexed {
        return Err(bad(format!("the log is at height {indexed}")));
    }
    Ok(id)
}

fn types(text: Option<&str>) -> Result<Option<BTreeSet<EventKind>>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let known = |name: &str| EventKind::ALL.into_iter().find(|kind| kind.name() == name);
    let names = text.split(',').map(str::trim);
    let types = names.map(|name| {
        known(name).ok_or_else(|| {
            let all: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
            Refusal::new(Code::BadQuery, format!("types are {}", all.join(", ")))
        })
    });
    types.collect::<Result<_, _>>().map(Some)
}

struct Filter {
    types: Option<BTreeSet<EventKind>>,
    ledger: Option<Ubi>,
}

struct Subscriber {
    api: Shared,
    bearer: Bearer,
    stopped: watch::Receiver<bool>,
    filter: Filter,
    after: EventId,
    /// How far the index had come when the log was read last.
    read_to: Height,
    ready: VecDeque<Sent>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.api.node.metrics.http.subscribers.dec();
    }
}

impl Subscriber {
    /// The next event; `None` at the end of the stream: the node stops, the token was revoked, or
    /// the log cannot be read.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            if *self.stopped.borrow() || !self.api.node.tokens.still(&self.bearer) {
                return None;
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if !self.read().await? {
                self.wait().await;
            }
        }
    }

    /// Reads on; whether there was anything.
    async fn read(&mut self) -> Option<bool> {
        let after = self.after;
        let found = self.api.past(move |history| {
            // No further than the index, so that whoever is told can look it up.
            let indexed = history.index.indexed();
            let mut found = events_after(&history.log, Some(after), READ_AT_ONCE)?;
            let all = found.len() < READ_AT_ONCE;
            found.retain(|event| event.id.height <= indexed);
            Ok((indexed, all, found))
        });
        let (indexed, all, found) = match found.await {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(?error, "events cannot be read");
                return None;
            }
        };
        self.after = match found.last() {
            Some(last) if !all => last.id,
            // Batches without events need not be read again.
            Some(_) | None => self.after.max(end_of(indexed)),
        };
        self.read_to = indexed;
        self.ready.extend(found.iter().filter_map(|event| self.filter.pass(event)));
        Some(!found.is_empty())
    }

    /// Waits for a batch behind those read, but looks at the token now and then.
    async fn wait(&mut self) {
        let index = &self.api.node.history.index;
        tokio::select! {
            reached = index.wait_for(self.read_to.next()) => if reached.is_err() {
                // Nothing more will come; the node stops in a moment.
                tokio::time::sleep(HEARTBEAT).await;
            },
            () = stop(&mut self.stopped) => {}
            () = tokio::time::sleep(HEARTBEAT) => {}
        }
    }
}

/// The place behind every event of the batches up to `height`.
const fn end_of(height: Height) -> EventId {
    EventId { height, leaf: u32::MAX, number: u32::MAX }
}

impl Filter {
    fn pass(&self, event: &Event) -> Option<Sent> {
        let shown = view::event(event);
        let of_ledger = self.ledger.is_none_or(|ledger| shown.ledger == Some(ledger));
        let of_type = self.types.as_ref().is_none_or(|types| types.contains(&shown.kind));
        if !of_ledger || !of_type {
            return None;
        }
        // Names, numbers and texts: there is nothing in an event that JSON cannot say.
        let data = serde_json::to_string(&shown).ok()?;
        Some(Sent::default().id(event.id.to_string()).event(shown.kind.name()).data(data))
    }
}
