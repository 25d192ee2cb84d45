//! The three machines: every pair of state and event, and what no sequence of events can do.

use proptest::prelude::*;

use crate::error::Code;
use crate::settlement::decider::{self, Decider, DeciderAct, DeciderEvent};
use crate::settlement::initiator::{self, Initiator, InitiatorAct, InitiatorEvent};
use crate::settlement::participant::{self, Participant, ParticipantAct, ParticipantEvent};

const WHY: Code = Code::PeerDeclined;

#[test]
fn the_initiators_transitions() {
    use Initiator::{Aborted, Locking, Refunded, Revealed, Settled};
    use InitiatorAct as A;
    use InitiatorEvent::{AllLocked, DecidedRefund, DecidedSettle, GiveUp};
    let table = [
        (Locking, AllLocked, Revealed, A::Reveal),
        (Locking, GiveUp(WHY), Aborted, A::Abort(WHY)),
        (Locking, DecidedSettle, Locking, A::Misbehaviour),
        (Locking, DecidedRefund, Refunded, A::Refund),
        (Revealed, AllLocked, Revealed, A::Nothing),
        (Revealed, GiveUp(WHY), Revealed, A::TooLate),
        (Revealed, DecidedSettle, Settled, A::Settle),
        (Revealed, DecidedRefund, Refunded, A::Refund),
        (Aborted, AllLocked, Aborted, A::Nothing),
        (Aborted, GiveUp(WHY), Aborted, A::Nothing),
        (Aborted, DecidedSettle, Aborted, A::Misbehaviour),
        (Aborted, DecidedRefund, Refunded, A::Close),
        (Settled, AllLocked, Settled, A::Nothing),
        (Settled, GiveUp(WHY), Settled, A::TooLate),
        (Settled, DecidedSettle, Settled, A::Nothing),
        (Settled, DecidedRefund, Settled, A::Misbehaviour),
        (Refunded, AllLocked, Refunded, A::Nothing),
        (Refunded, GiveUp(WHY), Refunded, A::Nothing),
        (Refunded, DecidedSettle, Refunded, A::Misbehaviour),
        (Refunded, DecidedRefund, Refunded, A::Nothing),
    ];
    for (state, event, next, act) in table {
        assert_eq!(initiator::step(state, event), (next, act), "{state:?} {event:?}");
    }
}

#[test]
fn the_participants_transitions() {
    use Participant::{Declined, Locked, Proposed, Refunded, Settled};
    use ParticipantAct as A;
    use ParticipantEvent::{CanLock, CannotLock, DecidedRefund, DecidedSettle};
    let table = [
        (Proposed, CanLock, Locked, A::Lock),
        (Proposed, CannotLock, Declined, A::Decline),
        (Proposed, DecidedSettle, Proposed, A::Misbehaviour),
        (Proposed, DecidedRefund, Declined, A::Forget),
        (Locked, CanLock, Locked, A::Nothing),
        (Locked, CannotLock, Locked, A::Nothing),
        (Locked, DecidedSettle, Settled, A::Settle),
        (Locked, DecidedRefund, Refunded, A::Refund),
        (Declined, CanLock, Declined, A::Nothing),
        (Declined, CannotLock, Declined, A::Nothing),
        (Declined, DecidedSettle, Declined, A::Misbehaviour),
        (Declined, DecidedRefund, Declined, A::Nothing),
        (Settled, CanLock, Settled, A::Nothing),
        (Settled, CannotLock, Settled, A::Nothing),
        (Settled, DecidedSettle, Settled, A::Nothing),
        (Settled, DecidedRefund, Settled, A::Misbehaviour),
        (Refunded, CanLock, Refunded, A::Nothing),
        (Refunded, CannotLock, Refunded, A::Nothing),
        (Refunded, DecidedSettle, Refunded, A::Misbehaviour),
        (Refunded, DecidedRefund, Refunded, A::Nothing),
    ];
    for (state, event, next, act) in table {
        assert_eq!(participant::step(state, event), (next, act), "{state:?} {event:?}");
    }
}

#[test]
fn the_deciders_transitions() {
    use Decider::{Open, Refunded, Settled};
    use DeciderAct as A;
    use DeciderEvent::{Abort, BadReveal, Declined, Expired, Reveal};
    let table = [
        (Open, Reveal, Settled, A::Settle),
        (Open, BadReveal, Open, A::Misbehaviour),
        (Open, Expired, Refunded, A::Refund(Code::TimedOut)),
        (Open, Abort(WHY), Refunded, A::Refund(WHY)),
        (Open, Declined(WHY), Refunded, A::Refund(WHY)),
        (Settled, Reveal, Settled, A::Nothing),
        (Settled, BadReveal, Settled, A::Nothing),
        (Settled, Expired, Settled, A::Nothing),
        (Settled, Abort(WHY), Settled, A::Misbehaviour),
        (Settled, Declined(WHY), Settled, A::Nothing),
        (Refunded, Reveal, Refunded, A::Nothing),
        (Refunded, BadReveal, Refunded, A::Nothing),
        (Refunded, Expired, Refunded, A::Nothing),
        (Refunded, Abort(WHY), Refunded, A::Nothing),
        (Refunded, Declined(WHY), Refunded, A::Nothing),
    ];
    for (state, event, next, act) in table {
        assert_eq!(decider::step(state, event), (next, act), "{state:?} {event:?}");
    }
}

#[test]
fn from_revealed_nothing_but_a_decision_leads_on() {
    for event in [InitiatorEvent::AllLocked, InitiatorEvent::GiveUp(WHY)] {
        assert_eq!(initiator::step(Initiator::Revealed, event).0, Initiator::Revealed);
    }
}

#[test]
fn a_participant_that_has_locked_moves_on_a_decision_only() {
    for event in [ParticipantEvent::CanLock, ParticipantEvent::CannotLock] {
        assert_eq!(participant::step(Participant::Locked, event).0, Participant::Locked);
    }
}

fn initiator_events() -> impl Strategy<Value = Vec<InitiatorEvent>> {
    use InitiatorEvent::{AllLocked, DecidedRefund, DecidedSettle, GiveUp};
    let all = vec![AllLocked, GiveUp(WHY), DecidedSettle, DecidedRefund];
    prop::collection::vec(prop::sample::select(all), 0..16)
}

fn participant_events() -> impl Strategy<Value = Vec<ParticipantEvent>> {
    use ParticipantEvent::{CanLock, CannotLock, DecidedRefund, DecidedSettle};
    let all = vec![CanLock, CannotLock, DecidedSettle, DecidedRefund];
    prop::collection::vec(prop::sample::select(all), 0..16)
}

fn decider_events() -> impl Strategy<Value = Vec<DeciderEvent>> {
    use DeciderEvent::{Abort, BadReveal, Declined, Expired, Reveal};
    let all = vec![Reveal, BadReveal, Expired, Abort(WHY), Declined(WHY)];
    prop::collection::vec(prop::sample::select(all), 0..16)
}

/// Every act of a machine over a sequence of events.
fn acts<S: Copy, E, A>(start: S, events: Vec<E>, step: fn(S, E) -> (S, A)) -> Vec<A> {
    let mut state = start;
    let mut acts = Vec::new();
    for event in events {
        let (next, act) = step(state, event);
        state = next;
        acts.push(act);
    }
    acts
}

proptest! {
    #[test]
    fn an_initiator_frees_its_legs_once_and_settles_or_refunds(events in initiator_events()) {
        use InitiatorAct as A;
        let acts = acts(Initiator::Locking, events, initiator::step);
        let ends = acts.iter().filter(|act| matches!(act, A::Settle | A::Refund | A::Abort(_)));
        prop_assert!(ends.count() <= 1);
        let reveal = acts.iter().position(|act| *act == A::Reveal);
        let abort = acts.iter().position(|act| matches!(act, A::Abort(_)));
        prop_assert!(reveal.is_none() || abort.is_none(), "revealed and aborted");
        let settle = acts.iter().position(|act| *act == A::Settle);
        prop_assert!(settle.is_none() || reveal < settle, "settled without a reveal");
    }

    #[test]
    fn a_participant_locks_once_and_settles_or_refunds_what_it_locked(
        events in participant_events(),
    ) {
        use ParticipantAct as A;
        let acts = acts(Participant::Proposed, events, participant::step);
        let ends = |act: &&A| matches!(act, A::Settle | A::Refund);
        prop_assert!(acts.iter().filter(ends).count() <= 1);
        prop_assert!(acts.iter().filter(|act| **act == A::Lock).count() <= 1);
        let lock = acts.iter().position(|act| *act == A::Lock);
        let end = acts.iter().position(|act| matches!(act, A::Settle | A::Refund));
        prop_assert!(end.is_none() || (lock.is_some() && lock < end), "an end without a lock");
        let refuses = acts.iter().any(|act| matches!(act, A::Decline | A::Forget));
        prop_assert!(lock.is_none() || !refuses, "locked and refused to");
    }

    #[test]
    fn a_decider_decides_at_most_once(events in decider_events()) {
        let acts = acts(Decider::Open, events, decider::step);
        let decides = |act: &&DeciderAct| matches!(act, DeciderAct::Settle | DeciderAct::Refund(_));
        prop_assert!(acts.iter().filter(decides).count() <= 1);
    }

    #[test]
    fn what_an_end_was_reached_by_stays_the_end(events in decider_events()) {
        let mut state = Decider::Open;
        for event in events {
            let (next, _) = decider::step(state, event);
            prop_assert!(state == Decider::Open || next == state);
            state = next;
        }
    }
}
