//! Hearing from a bank's event stream how the trades of its ledgers end.
//!
//! Invariant: a ledger has at most one trade under way, so its next ending is that trade's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use quadrille_node::api::dto::{EventKind, EventView};
use quadrille_node::client::{ClientError, Follower};
use quadrille_protocol::types::Ubi;
use tokio::sync::oneshot;

/// The types of events that say how a trade has ended.
pub(super) const TYPES: [&str; 1] = [EventKind::LedgerEntry.name()];

/// The end of a trade at one bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    /// When we were told.
    pub at: Instant,
    /// The cause of the ledger's entry: `settled`, or what else happened.
    pub cause: String,
}

/// Who waits for the next ending on which ledger.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<HashMap<Ubi, oneshot::Sender<Ending>>>);

impl Board {
    /// The next ending of a trade on this ledger.
    pub fn expect(&self, ledger: Ubi) -> oneshot::Receiver<Ending> {
        let (tell, told) = oneshot::channel();
        self.lock().insert(ledger, tell);
        told
    }

    /// Tells every ending that comes to whoever waits for it; returns when the bank refuses to
    /// go on.
    pub async fn watch(&self, mut events: Follower) -> ClientError {
        loop {
            match events.next().await {
                Ok(followed) => self.saw(&followed.event),
                Err(error) => return error,
            }
        }
    }

    fn saw(&self, event: &EventView) {
        let (Some(ledger), Some(cause)) = (event.ledger, &event.what) else { return };
        if !ends(cause) {
            return;
        }
        if let Some(waiting) = self.lock().remove(&ledger) {
            // Whoever waited may have given up.
            let _ = waiting.send(Ending { at: Instant::now(), cause: cause.clone() });
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Ubi, oneshot::Sender<Ending>>> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an entry with this cause ends a trade. An order's own entry, which holds the amount,
/// does not; neither does what happens to a ledger besides.
fn ends(cause: &str) -> bool {
    ["settled", "refunded", "take ended", "offer ended"].contains(&cause)
}

#[cfg(test)]
mod tests {
    use quadrille_node::api::dto::Place;
    use quadrille_protocol::types::{Height, Time};

    use super::*;

    fn event(ledger: u8, cause: &str) -> EventView {
        let place = Place { height: Height(1), leaf: 0 };
        EventView {
            ledger: Some(Ubi([ledger; 32])),
            what: Some(cause.to_owned()),
            ..EventView::blank(EventKind::LedgerEntry, Time(0), Some(place))
        }
    }

    #[test]
    fn an_ending_reaches_its_own_ledger_and_a_hold_is_none() {
        let board = Board::default();
        let mut one = board.expect(Ubi([1; 32]));
        let mut two = board.expect(Ubi([2; 32]));
        board.saw(&event(1, "ordered"));
        assert!(one.try_recv().is_err());
        board.saw(&event(1, "settled"));
        assert_eq!(one.try_recv().unwrap().cause, "settled");
        assert!(two.try_recv().is_err());
        board.saw(&event(2, "take ended"));
        assert_eq!(two.try_recv().unwrap().cause, "take ended");
    }
}
