//! Hearing from the banks' event streams how trades end.
//!
//! A stream that is lost goes on behind the last event that was heard, so nothing is missed and
//! nothing is counted twice.

use std::time::{Duration, Instant};

use futures::FutureExt as _;
use quadrille_node::api::dto::{EventKind, EventView};
use quadrille_node::client::{Client, Follower};
use quadrille_protocol::types::{SettlementId, Ubi};
use tokio::sync::mpsc;

use super::book::Said;
use super::run::Note;

/// The types of events that say how a trade has ended.
const TYPES: [&str; 1] = [EventKind::LedgerEntry.name()];
/// How long one wait for an event is.
const PATIENCE: Duration = Duration::from_millis(500);
/// Events that are passed on at once.
const AT_ONCE: usize = 512;

/// One ending.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub ledger: Ubi,
    pub said: Said,
    pub settlement: Option<SettlementId>,
}

/// The stream of a bank, not connected yet.
pub(super) fn stream(client: &Client) -> Follower {
    client.follow(&TYPES, None, None)
}

/// Passes on every ending until nobody listens any more, or the bank refuses to go on.
pub(super) async fn listen(bank: String, mut events: Follower, inbox: mpsc::Sender<Note>) {
    loop {
        let mut heard = Vec::new();
        // A bank that was started again is heard again soon, however long it was gone: waiting
        // anew connects anew where there is no connection.
        let Ok(next) = tokio::time::timeout(PATIENCE, events.next()).await else { continue };
        match next {
            Ok(followed) => heard.extend(ending(&followed.event)),
            Err(error) => {
                let _ = inbox.send(Note::Deaf(bank, error.to_string())).await;
                return;
            }
        }
        // What has come besides goes along.
        for _ in 0..AT_ONCE {
            match events.next().now_or_never() {
                Some(Ok(followed)) => heard.extend(ending(&followed.event)),
                Some(Err(_)) | None => break,
            }
        }
        if !heard.is_empty() && inbox.send(Note::Heard(Instant::now(), heard)).await.is_err() {
            return;
        }
    }
}

/// What an event says of a trade's end. An order's own entry, which holds the amount, is none;
/// nor is the end of an offer, which is known from its take.
fn ending(event: &EventView) -> Option<Heard> {
    let said = match event.what.as_deref()? {
        "settled" => Said::Settled,
        "refunded" => Said::Refunded,
        "take ended" | "payment ended" => Said::Ended(None),
        _ => return None,
    };
    Some(Heard { ledger: event.ledger?, said, settlement: event.settlement })
}

#[cfg(test)]
mod tests {
    use quadrille_node::api::dto::Place;
    use quadrille_protocol::types::{Height, Time};

    use super::*;

    fn event(cause: &str) -> EventView {
        let place = Place { height: Height(1), leaf: 0 };
        EventView {
            ledger: Some(Ubi([3; 32])),
            what: Some(cause.to_owned()),
            ..EventView::blank(EventKind::LedgerEntry, Time(0), Some(place))
        }
    }

    #[test]
    fn a_settled_entry_is_an_ending_and_a_hold_is_none() {
        assert_eq!(ending(&event("settled")).unwrap().said, Said::Settled);
        assert_eq!(ending(&event("refunded")).unwrap().said, Said::Refunded);
        assert_eq!(ending(&event("take ended")).unwrap().said, Said::Ended(None));
        for other in ["ordered", "offer ended", "issued"] {
            assert_eq!(ending(&event(other)), None, "{other}");
        }
    }
}
