//! Where a subscription stands: the place in the log behind which it goes on.
//!
//! ```text
//!   offer(events) --> the next wanted event --> deliver --taken--> acknowledge(its id)
//!        ^                                         |
//!        '---------------- not taken --------------'
//! ```
//!
//! Pure, so that the simulator runs the same code over its own logs. Invariants: a cursor only
//! moves forward, and over a wanted event only when that very event was acknowledged after it was
//! offered. So each is delivered at least once, in the order of the log.

use quadrille_protocol::sabotage::{Bug, planted};

use crate::index::{Event, EventId};

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    acknowledged: EventId,
    offered: Option<EventId>,
}

impl Cursor {
    /// One that goes on behind `id`.
    #[must_use]
    pub const fn behind(id: EventId) -> Self {
        Self { acknowledged: id, offered: None }
    }

    /// Behind which event it goes on: what is to be kept over a restart.
    #[must_use]
    pub const fn acknowledged(&self) -> EventId {
        self.acknowledged
    }

    /// The next event to deliver, among `events`: all that there are behind
    /// [`Cursor::acknowledged`] up to `end`, in order. When none of them is `wanted` the cursor
    /// moves to `end`.
    pub fn offer<'a>(
        &mut self,
        events: &'a [Event],
        end: EventId,
        wanted: impl Fn(&Event) -> bool,
    ) -> Option<&'a Event> {
        let after = self.acknowledged;
        let next = events.iter().find(|event| event.id > after && wanted(event));
        self.offered = next.map(|event| event.id);
        match next {
            None => self.acknowledged = after.max(end),
            Some(event) if planted(Bug::SubscriptionGap) => self.acknowledged = event.id,
            Some(_) => {}
        }
        next
    }

    /// The event with this id was taken. Whether the cursor moved: only what was offered last can
    /// be acknowledged, and only once.
    pub fn acknowledge(&mut self, id: EventId) -> bool {
        if self.offered != Some(id) {
            return false;
        }
        self.offered = None;
        self.acknowledged = self.acknowledged.max(id);
        true
    }
}

#[cfg(test)]
mod tests {
    use quadrille_protocol::types::{Height, Time};

    use super::*;
    use crate::index::EventKind;

    fn event(height: u64, leaf: u32) -> Event {
        let id = EventId { height: Height(height), leaf, number: 0 };
        Event { id, time: Time(1), kind: EventKind::RecoveryDone {} }
    }

    const START: EventId = EventId { height: Height(0), leaf: 0, number: 0 };

    #[test]
    fn an_event_that_was_not_taken_is_offered_again_and_again() {
        let events = [event(1, 0), event(1, 1)];
        let mut cursor = Cursor::behind(START);
        for _ in 0..3 {
            assert_eq!(
                cursor.offer(&events, EventId::end_of(Height(1)), |_| true),
                Some(&events[0])
            );
            assert_eq!(cursor.acknowledged(), START);
        }
    }

    #[test]
    fn each_event_is_offered_once_it_is_the_next_and_then_the_end() {
        let events = [event(1, 0), event(1, 1), event(3, 0)];
        let (mut cursor, end) = (Cursor::behind(START), EventId::end_of(Height(4)));
        for expected in &events {
            let next = cursor.offer(&events, end, |_| true);
            assert_eq!(next, Some(expected));
            assert!(cursor.acknowledge(expected.id));
            assert_eq!(cursor.acknowledged(), expected.id);
        }
        assert_eq!(cursor.offer(&events, end, |_| true), None);
        assert_eq!(cursor.acknowledged(), end);
    }

    #[test]
    fn nothing_but_what_was_offered_last_can_be_acknowledged_and_that_once() {
        let events = [event(1, 0), event(2, 0), event(3, 0)];
        let mut cursor = Cursor::behind(START);
        assert!(!cursor.acknowledge(events[0].id), "nothing was offered");
        cursor.offer(&events, EventId::end_of(Height(3)), |_| true);
        assert!(!cursor.acknowledge(events[1].id), "this would skip the first");
        assert!(cursor.acknowledge(events[0].id));
        assert!(!cursor.acknowledge(events[0].id));
        assert_eq!(cursor.acknowledged(), events[0].id);
    }

    #[test]
    fn events_that_are_not_wanted_are_passed_over_and_the_cursor_never_goes_back() {
        let events = [event(1, 0), event(2, 0)];
        let mut cursor = Cursor::behind(START);
        let second = |event: &Event| event.id.height == Height(2);
        assert_eq!(cursor.offer(&events, EventId::end_of(Height(2)), second), Some(&events[1]));
        assert!(cursor.acknowledge(events[1].id));
        assert_eq!(cursor.offer(&[], START, |_| true), None);
        assert_eq!(cursor.acknowledged(), events[1].id);
    }
}
