//! The task of one subscription: reads the log, posts, and waits where it is not heard.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{Domain, Time};
use serde::Serialize;
use tokio::sync::Notify;

use super::cursor::Cursor;
use super::filter::Filter;
use super::reach::{Dialer, Line, Target};
use super::store::{Progress, Subscription};
use super::{Shared, sign};
use crate::api::dto::{EventKind, EventView};
use crate::api::ports::History;
use crate::api::{BookWatch, LOOK, view};
use crate::index::events::{Read, Which, read_on};
use crate::index::{Event, EventId};

/// Events read from the log at once.
const ENOUGH: usize = 64;
/// The first wait after a failure; it doubles up to [`WAIT_MOST`].
const WAIT_FIRST: Duration = Duration::from_millis(500);
/// The longest wait after a failure.
const WAIT_MOST: Duration = Duration::from_secs(60 * 60);
/// How long to wait where the log itself cannot be read.
const UNREADABLE: Duration = Duration::from_secs(10);
/// Batches without anything wanted, after which the place is kept all the same.
const PASSED_BATCHES: u64 = 1_024;

/// What the rest knows of a running subscription.
pub(super) struct Running {
    pub subscription: Arc<Subscription>,
    pub progress: Arc<Mutex<Progress>>,
    /// Tells it to try again at once.
    pub again: Arc<Notify>,
    pub task: tokio::task::AbortHandle,
}

/// The body of a delivery.
#[derive(Serialize)]
struct Body<'a> {
    delivery: &'a str,
    subscription: &'a str,
    bank: &'a Domain,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    #[serde(flatten)]
    event: &'a EventView,
}

/// The body of a delivery that only shows that deliveries arrive.
#[derive(Serialize)]
struct Test<'a> {
    delivery: &'a str,
    subscription: &'a str,
    bank: &'a Domain,
    #[serde(rename = "type")]
    kind: &'static str,
    time: Time,
}

/// What a test delivery calls itself.
const TEST: &str = "subscription.test";

pub(super) struct Worker {
    pub shared: Arc<Shared>,
    pub subscription: Arc<Subscription>,
    pub progress: Arc<Mutex<Progress>>,
    pub again: Arc<Notify>,
    pub target: Target,
    filter: Filter,
    cursor: Cursor,
    read: Read,
    line: Option<Line>,
    watch: Option<BookWatch>,
    looked: Instant,
    /// The place that is kept on the disk.
    kept: EventId,
}

impl Worker {
    pub fn new(
        shared: Arc<Shared>,
        subscription: Arc<Subscription>,
        progress: Arc<Mutex<Progress>>,
        again: Arc<Notify>,
        target: Target,
    ) -> Self {
        let filter = subscription.filter();
        let watches = filter.wants_live();
        let watch =
            watches.then(|| BookWatch::new(subscription.give.clone(), subscription.want.clone()));
        let after = progress.lock().unwrap_or_else(PoisonError::into_inner).after;
        let read = Read { events: Vec::new(), end: after, indexed: after.height };
        Self {
            shared,
            subscription,
            progress,
            again,
            target,
            filter,
            cursor: Cursor::behind(after),
            read,
            line: None,
            watch,
            looked: Instant::now(),
            kept: after,
        }
    }

    pub async fn run(mut self) {
        loop {
            if self.progress().paused {
                self.again.notified().await;
                continue;
            }
            if self.watch.is_some() && self.looked.elapsed() >= LOOK {
                self.looked = Instant::now();
                self.tell_changes().await;
            }
            match self.next().await {
                Ok(Some(event)) => self.deliver(&event).await,
                Ok(None) => self.rest().await,
                Err(refusal) => {
                    let id = &self.subscription.id;
                    tracing::error!(subscription = %id, %refusal, "events cannot be read");
                    tokio::time::sleep(UNREADABLE).await;
                }
            }
        }
    }

    /// The next event that is wanted; `None` when the log has none yet.
    async fn next(&mut self) -> Result<Option<Event>, Refusal> {
        loop {
            let after = self.cursor.acknowledged();
            let fresh = after >= self.read.end;
            if fresh {
                let which = self.filter.which();
                self.read = read(self.shared.history.clone(), after, which).await?;
            }
            let filter = &self.filter;
            let wanted = |event: &Event| filter.wants(&view::event(event));
            if let Some(event) = self.cursor.offer(&self.read.events, self.read.end, wanted) {
                return Ok(Some(event.clone()));
            }
            if fresh && self.read.events.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Tries once to deliver, and waits if that fails.
    async fn deliver(&mut self, event: &Event) {
        let delivery = format!("{}.{}", self.subscription.id, event.id);
        let shown = view::event(event);
        match self.post(&delivery, Some(event.id), &shown).await {
            Ok(()) => {
                // Only what was offered last, which this is, can be acknowledged.
                if self.cursor.acknowledge(event.id) {
                    self.keep(Progress::at(event.id)).await;
                }
                self.shared.count_delivered();
            }
            Err(refusal) => self.not_taken(&refusal).await,
        }
    }

    async fn not_taken(&mut self, refusal: &Refusal) {
        let now = self.shared.clock.now();
        let mut progress = self.progress();
        let since = *progress.failing_since.get_or_insert(now);
        progress.attempts = progress.attempts.saturating_add(1);
        progress.trouble = Some(refusal.to_string());
        progress.paused = now.since(since).0 >= self.shared.patience_ms;
        let (id, attempts, paused) = (&self.subscription.id, progress.attempts, progress.paused);
        tracing::warn!(subscription = %id, attempts, paused, %refusal, "event not taken");
        self.shared.count_failed();
        self.keep(progress).await;
        if paused {
            self.shared.tell_paused(&self.subscription.id, refusal, now);
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(wait_after(attempts)) => {}
            () = self.again.notified() => {}
        }
    }

    /// Waits for more in the log, or for the next look at the book.
    async fn rest(&mut self) {
        let after = self.cursor.acknowledged();
        if after.height.0.saturating_sub(self.kept.height.0) >= PASSED_BATCHES {
            self.keep(Progress::at(after)).await;
        }
        let index = self.shared.history.index.clone();
        let more = async {
            if index.wait_for(self.read.indexed.next()).await.is_err() {
                // Nothing more will come; the node stops in a moment.
                tokio::time::sleep(UNREADABLE).await;
            }
        };
        match &self.watch {
            None => more.await,
            Some(_) => {
                tokio::select! {
                    () = more => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        }
    }

    /// Posts what has changed in the book, each change once: what is not taken is lost.
    async fn tell_changes(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        let Ok(book) = self.shared.look(watch.look()).await else { return };
        let changes = watch.changes(book, self.shared.clock.now());
        for event in changes {
            if !self.filter.wants(&event) {
                continue;
            }
            let name = hex::encode(rand::random::<[u8; 8]>());
            let delivery = format!("{}.live.{name}", self.subscription.id);
            match self.post(&delivery, None, &event).await {
                Ok(()) => self.shared.count_delivered(),
                Err(refusal) => {
                    self.shared.count_failed();
                    let id = &self.subscription.id;
                    tracing::debug!(subscription = %id, %refusal, "live event not taken");
                }
            }
        }
    }

    async fn post(
        &mut self,
        delivery: &str,
        id: Option<EventId>,
        event: &EventView,
    ) -> Result<(), Refusal> {
        let (subscription, bank) = (&self.subscription.id, &self.shared.domain);
        let body = Body { delivery, subscription, bank, id, event };
        let body = json(&body)?;
        let _slot = self.shared.slots.acquire().await.map_err(|_| stopping())?;
        let parts = (&*self.subscription, delivery, event.kind.name());
        send(
            &self.shared.dialer,
            self.shared.clock.now(),
            parts,
            &self.target,
            &mut self.line,
            body,
        )
        .await
    }

    fn progress(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the place on the disk before anything else is offered. Where that fails, an event
    /// may come twice after a restart, and none is lost.
    async fn keep(&mut self, progress: Progress) {
        self.kept = progress.after;
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress.clone();
        let (store, id) = (self.shared.store.clone(), self.subscription.id.clone());
        let kept = tokio::task::spawn_blocking(move || store.advance(&id, &progress)).await;
        if let Ok(Err(refusal)) = kept {
            let id = &self.subscription.id;
            tracing::error!(subscription = %id, %refusal, "its place is not kept");
        }
    }
}

/// Posts one delivery that says nothing but that deliveries arrive.
///
/// # Errors
/// Those of [`Dialer::post`].
pub(super) async fn test(
    shared: &Shared,
    subscription: &Subscription,
    target: &Target,
) -> Result<(), Refusal> {
    let now = shared.clock.now();
    let delivery = format!("{}.test.{}", subscription.id, hex::encode(rand::random::<[u8; 8]>()));
    let (id, bank) = (&subscription.id, &shared.domain);
    let body = Test { delivery: &delivery, subscription: id, bank, kind: TEST, time: now };
    let parts = (subscription, delivery.as_str(), TEST);
    let _slot = shared.slots.acquire().await.map_err(|_| stopping())?;
    send(&shared.dialer, now, parts, target, &mut None, json(&body)?).await
}

async fn send(
    dialer: &Dialer,
    now: Time,
    (subscription, delivery, kind): (&Subscription, &str, &str),
    target: &Target,
    line: &mut Option<Line>,
    body: Bytes,
) -> Result<(), Refusal> {
    let signature = sign::signature(subscription.secret.text(), &body, now)?;
    let headers = [
        ("quadrille-signature", signature.as_str()),
        ("quadrille-event", kind),
        ("quadrille-delivery", delivery),
    ];
    dialer.post(target, line, &headers, body).await
}

fn json(body: &impl Serialize) -> Result<Bytes, Refusal> {
    let text = serde_json::to_vec(body);
    // Names, numbers and texts: there is nothing in an event that JSON cannot say.
    text.map(Bytes::from).map_err(|error| Refusal::new(Code::NodeFault, error.to_string()))
}

fn stopping() -> Refusal {
    Refusal::new(Code::NotLive, "the node is going down")
}

async fn read(history: History, after: EventId, which: Which) -> Result<Read, Refusal> {
    let read = move || read_on(&history.log, &history.index, after, which, ENOUGH);
    tokio::task::spawn_blocking(read).await.map_err(|_| stopping())?
}

/// The wait after so many failures: doubling, and up to a half less, so that receivers that come
/// back are not met by everybody at once.
fn wait_after(attempts: u32) -> Duration {
    let doubled = 2u32.saturating_pow(attempts.saturating_sub(1).min(16));
    let whole = WAIT_FIRST.saturating_mul(doubled).min(WAIT_MOST);
    whole.mul_f64(rand::random_range(0.5..=1.0))
}

impl Shared {
    /// A live event for those who watch the node itself.
    fn tell_paused(&self, id: &str, refusal: &Refusal, now: Time) {
        let event = EventView {
            what: Some(id.to_owned()),
            reason: Some(refusal.into()),
            ..EventView::blank(EventKind::SubscriptionPaused, now, None)
        };
        // Nobody may be watching.
        let _ = self.paused.send(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_at_an_hour() {
        let within = |attempts, whole: Duration| {
            let wait = wait_after(attempts);
            assert!(wait <= whole && wait >= whole / 2, "{attempts}: {wait:?}");
        };
        within(1, WAIT_FIRST);
        within(2, WAIT_FIRST * 2);
        within(5, WAIT_FIRST * 16);
        within(14, WAIT_MOST);
        within(u32::MAX, WAIT_MOST);
    }
}
