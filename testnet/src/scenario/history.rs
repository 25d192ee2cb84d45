//! What the banks tell of themselves while a scenario runs: the last events of each.
//!
//! ```text
//!   a bank's event stream -> its follower -> the last events, numbered -> conditions, the story
//! ```
//!
//! Invariant: a bank that is killed and comes back goes on behind the last event that was heard,
//! so that a condition misses none.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quadrille_node::api::dto::{EventKind, EventView};
use quadrille_node::client::Client;
use quadrille_node::index::EventId;
use quadrille_protocol::types::Domain;
use serde::Serialize;

use super::words::Happening;

/// Events of one bank that are kept.
const KEPT: usize = 4_096;
/// How long a stream is listened to before it is asked whether the bank was started anew.
const LISTEN: Duration = Duration::from_millis(250);
/// Between two tries to hear a bank that is away.
const AGAIN: Duration = Duration::from_millis(100);
/// What is listened to.
const TYPES: [EventKind; 10] = [
    EventKind::OrderRefused,
    EventKind::TakeRefused,
    EventKind::OfferClosed,
    EventKind::SettlementStep,
    EventKind::SettlementFinal,
    EventKind::PeerSuspended,
    EventKind::RecoveryStarted,
    EventKind::RecoveryDone,
    EventKind::BooksBroken,
    EventKind::NettingChanged,
];

/// An event that was heard.
#[derive(Debug, Clone, Serialize)]
pub struct Heard {
    /// Its number, over all banks.
    #[serde(skip)]
    pub number: u64,
    /// When it was heard, in seconds of the run.
    pub at_s: f64,
    /// At which bank.
    pub bank: String,
    /// In words.
    pub what: String,
    /// The step of a settlement, where it is one.
    #[serde(skip)]
    step: Option<String>,
    /// Whether the bank said it itself.
    #[serde(skip)]
    own: bool,
    #[serde(skip)]
    is_end: bool,
}

/// What was heard of all banks.
#[derive(Debug)]
pub struct History {
    begun: Instant,
    next: AtomicU64,
    banks: Mutex<BTreeMap<String, VecDeque<Heard>>>,
}

impl History {
    /// Nothing yet.
    #[must_use]
    pub fn new(begun: Instant) -> Self {
        Self { begun, next: AtomicU64::new(1), banks: Mutex::default() }
    }

    /// The number that the next event will have.
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    fn hear(&self, bank: &str, own: &Domain, event: &EventView) {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let is_step = event.kind == EventKind::SettlementStep;
        let heard = Heard {
            number,
            at_s: self.begun.elapsed().as_secs_f64(),
            bank: bank.to_owned(),
            what: words(event),
            step: event.what.clone().filter(|_| is_step),
            own: event.domain.as_ref() == Some(own),
            is_end: event.kind == EventKind::SettlementFinal,
        };
        let mut banks = lock(&self.banks);
        let of_bank = banks.entry(bank.to_owned()).or_default();
        if of_bank.len() >= KEPT {
            of_bank.pop_front();
        }
        of_bank.push_back(heard);
    }

    /// Whether something has happened at a bank since a mark; a death is no event.
    #[must_use]
    pub fn has(&self, bank: &str, happening: &Happening, since: u64) -> bool {
        let banks = lock(&self.banks);
        let mut events = banks.get(bank).into_iter().flatten();
        events.any(|event| event.number >= since && event.is(happening))
    }

    /// The last events of every bank, at most `count` of each, the oldest first.
    #[must_use]
    pub fn last(&self, count: usize) -> Vec<Heard> {
        let banks = lock(&self.banks);
        let of_each = banks.values().flat_map(|all| all.iter().rev().take(count));
        let mut last: Vec<Heard> = of_each.cloned().collect();
        last.sort_by_key(|event| event.number);
        last
    }

    /// Follows a bank for as long as it is asked to.
    pub async fn follow(&self, bank: String, domain: Domain, client: Client) {
        let types = TYPES.map(EventKind::name);
        let mut last: Option<EventId> = None;
        loop {
            let mut follower = client.follow(&types, None, last);
            if follower.connect().await.is_err() {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            last = follower.last();
            // As long as the bank answers, the stream is good.
            loop {
                match tokio::time::timeout(LISTEN, follower.next()).await {
                    Ok(Ok(followed)) => {
                        last = Some(followed.id);
                        self.hear(&bank, &domain, &followed.event);
                    }
                    Ok(Err(_)) => break,
                    Err(_) if client.status().await.is_err() => break,
                    Err(_) => {}
                }
            }
        }
    }
}

impl Heard {
    fn is(&self, happening: &Happening) -> bool {
        let step = |wanted: &String| self.step.as_ref() == Some(wanted);
        match happening {
            Happening::Logs(wanted) => step(wanted),
            Happening::Says(wanted) => self.own && step(wanted),
            Happening::Hears(wanted) => !self.own && step(wanted),
            Happening::Ends => self.is_end,
            Happening::Dies => false,
        }
    }
}

/// An event in words.
fn words(event: &EventView) -> String {
    let mut text = event.kind.name().to_owned();
    let mut say = |word: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!(" {word}{value}"));
        }
    };
    say("", event.what.clone());
    say("by ", event.domain.as_ref().map(ToString::to_string));
    say("of ", event.settlement.map(|id| short(&id.to_string())));
    say("of order ", event.order.map(|id| short(&id.to_string())));
    let reason = event.reason.as_ref();
    say("because ", reason.map(|it| format!("{} {} {}", it.code, it.title, it.what)));
    say("at ", event.place.map(|place| format!("{}.{}", place.height, place.leaf)));
    text
}

/// The first digits of an identifier.
#[must_use]
pub fn short(id: &str) -> String {
    id.chars().take(16).collect()
}

/// Whoever panicked with it has failed the run already.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quadrille_protocol::types::Time;

    #[test]
    fn a_condition_sees_what_came_after_its_mark_and_who_said_it() {
        let history = History::new(Instant::now());
        let (own, other): (Domain, Domain) =
            ("bank-a.example".parse().unwrap(), "bank-b.example".parse().unwrap());
        let step = |by: &Domain| {
            let mut event = EventView::blank(EventKind::SettlementStep, Time(1), None);
            event.what = Some("Locked".to_owned());
            event.domain = Some(by.clone());
            event
        };
        let locked = || "Locked".to_owned();
        let before = history.mark();
        history.hear("bank-a", &own, &step(&other));
        assert!(history.has("bank-a", &Happening::Logs(locked()), before));
        assert!(history.has("bank-a", &Happening::Hears(locked()), before));
        assert!(!history.has("bank-a", &Happening::Says(locked()), before));
        assert!(!history.has("bank-b", &Happening::Logs(locked()), before));
        let after = history.mark();
        assert!(!history.has("bank-a", &Happening::Logs(locked()), after));
        history.hear("bank-a", &own, &step(&own));
        assert!(history.has("bank-a", &Happening::Says(locked()), after));
        assert_eq!(history.last(1).len(), 1);
    }

    #[test]
    fn only_so_many_events_of_a_bank_are_kept() {
        let history = History::new(Instant::now());
        let own: Domain = "bank-a.example".parse().unwrap();
        let event = EventView::blank(EventKind::SettlementFinal, Time(1), None);
        for _ in 0..KEPT + 10 {
            history.hear("bank-a", &own, &event);
        }
        assert_eq!(history.last(KEPT * 2).len(), KEPT);
    }
}
