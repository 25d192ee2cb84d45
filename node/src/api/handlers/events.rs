//! `/v1/events`: what happens, as Server-Sent Events, in the order of the log.
//!
//! Every subscriber reads the log at its own pace, up to where the index has come. So nothing is
//! lost for one that is slow, was away, or connects to the node after a restart: its last id says
//! where it goes on. One that takes nothing at all is disconnected by its connection's timeout.
//!
//! Live events (the book's changes, paused subscriptions) are told between those of the log to who
//! names them. They are of now: their id is the place in the log behind everything told before, so
//! that going on after one misses nothing of the log.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use futures::Stream;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{Height, Time, Uai, Ubi};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use utoipa::IntoParams;

use super::super::dto::{EventKind, EventView};
use super::super::extract::Params;
use super::super::problem::{Answered, ApiError};
use super::super::state::{Shared, stop};
use super::super::tokens::Bearer;
use super::super::view;
use super::super::watch::{BookWatch, LOOK};
use crate::engine::{Clock as _, SystemClock};
use crate::hooks::filter::{Filter, types_of};
use crate::index::EventId;
use crate::index::events::{Read, read_on};

/// How often a quiet stream says that it is still there, and that the token still counts.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events that are read from the log at once, or a batch if it has more.
const ENOUGH: usize = 256;

/// Set when the node stops: streams end then.
#[derive(Clone)]
pub(in super::super) struct Stopped(pub watch::Receiver<bool>);

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct EventQuery {
    /// Only these types, with commas between them, like `settlement.step,settlement.final`. All
    /// that come from the log when left out; the live ones (`offer.seen`, `offer.gone`,
    /// `subscription.paused`) only when named.
    types: Option<String>,
    /// Only events of this ledger.
    #[param(value_type = Option<String>)]
    ledger: Option<Ubi>,
    /// Only events of offers that give this asset.
    #[param(value_type = Option<String>)]
    give: Option<Uai>,
    /// Only events of offers that want this asset.
    #[param(value_type = Option<String>)]
    want: Option<Uai>,
    /// Begin after the event with this id; `0.0.0` for the beginning of the log. The header
    /// `Last-Event-ID` counts before it. From now on when both are left out.
    after: Option<String>,
}

/// Everything that happens, as Server-Sent Events.
///
/// The `id` of each is `height.leaf.n`; send the last one seen as `Last-Event-ID` to go on after
/// it. `data` is an `EventView` as JSON. With `offer.seen` among the types the matching offers
/// that are in the book now come first, then every change; these events cannot be had again.
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
        None => EventId::end_of(indexed),
    };
    let names = query.types.as_deref().into_iter().flat_map(|types| types.split(','));
    let types = types_of(names.map(str::trim))?;
    let (ledger, give, want) = (query.ledger, query.give, query.want);
    let watch = types.contains(&EventKind::OfferSeen) || types.contains(&EventKind::OfferGone);
    let watch = watch.then(|| BookWatch::new(give.clone(), want.clone()));
    let pauses = types.contains(&EventKind::SubscriptionPaused).then(|| api.node.hooks.pauses());
    let filter = Filter { types, ledger, give, want };
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
        watch,
        looked: Instant::now().checked_sub(LOOK).unwrap_or_else(Instant::now),
        pauses,
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

struct Subscriber {
    api: Shared,
    bearer: Bearer,
    stopped: watch::Receiver<bool>,
    filter: Filter,
    after: EventId,
    /// How far the index had come when the log was read last.
    read_to: Height,
    ready: VecDeque<Sent>,
    /// What it has been told of the book, if it wants to be.
    watch: Option<BookWatch>,
    /// When it looked last.
    looked: Instant,
    /// Paused subscriptions, if it wants to hear of them.
    pauses: Option<broadcast::Receiver<EventView>>,
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
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if *self.stopped.borrow() {
                return None;
            }
            let live = self.look().await;
            let read = self.read().await?;
            // Once for all that was read: the file is looked at each time.
            if !self.api.node.tokens.still(&self.bearer) {
                return None;
            }
            if !read && !live {
                self.wait().await;
            }
        }
    }

    /// Reads on; whether there was anything.
    async fn read(&mut self) -> Option<bool> {
        let (after, which) = (self.after, self.filter.which());
        let found = self
            .api
            .past(move |history| read_on(&history.log, &history.index, after, which, ENOUGH));
        let Read { events, end, indexed } = match found.await {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(?error, "events cannot be read");
                return None;
            }
        };
        self.after = end;
        self.read_to = indexed;
        for event in &events {
            let shown = view::event(event);
            if self.filter.wants(&shown) {
                self.ready.extend(sent(event.id, &shown));
            }
        }
        Some(!events.is_empty())
    }

    /// Looks for live events, if it is time; whether there were any. All that came before them is
    /// on its way.
    async fn look(&mut self) -> bool {
        let mut live = Vec::new();
        if let Some(watch) = self.watch.as_mut().filter(|_| self.looked.elapsed() >= LOOK) {
            self.looked = Instant::now();
            // An engine that is busy is looked at the next time.
            if let Ok(book) = self.api.look(watch.look()).await {
                live = watch.changes(book, now());
            }
        }
        if let Some(pauses) = &mut self.pauses {
            // One that is too slow for them misses the oldest.
            while let Ok(pause) = pauses.try_recv() {
                live.push(pause);
            }
        }
        let wanted = live.iter().filter(|event| self.filter.wants(event));
        let ready: Vec<Sent> = wanted.filter_map(|event| sent(self.after, event)).collect();
        let any = !ready.is_empty();
        self.ready.extend(ready);
        any
    }

    /// Waits for a batch behind those read, but looks at the token now and then.
    async fn wait(&mut self) {
        let index = &self.api.node.history.index;
        let live = self.watch.is_some() || self.pauses.is_some();
        let pause = if live { LOOK } else { HEARTBEAT };
        tokio::select! {
            reached = index.wait_for(self.read_to.next()) => if reached.is_err() {
                // Nothing more will come; the node stops in a moment.
                tokio::time::sleep(HEARTBEAT).await;
            },
            () = stop(&mut self.stopped) => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The time, for events that no batch has dated.
fn now() -> Time {
    SystemClock.now()
}

fn sent(id: EventId, shown: &EventView) -> Option<Sent> {
    // Names, numbers and texts: there is nothing in an event that JSON cannot say.
    let data = serde_json::to_string(shown).ok()?;
    Some(Sent::default().id(id.to_string()).event(shown.kind.name()).data(data))
}
