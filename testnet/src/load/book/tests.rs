//! The book under a clock of its own, against banks that stall, fall silent or say no.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use quadrille_node::signer::generate_key;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::ledger::SignedOrder;
use quadrille_protocol::types::Bytes;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn id(number: u64, place: u8) -> [u8; 32] {
    let mut bytes = [place; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// Trades of so many pairs of holders, with empty orders.
struct Source {
    next: u64,
    lanes: u64,
    order: SignedOrder,
    dvp: bool,
}

impl Source {
    fn new(lanes: u64, dvp: bool) -> Self {
        let key = generate_key(Suite::Ed25519).unwrap();
        let signature = key.sign(Tag::Order, b"");
        let order = Bytes::new(b"").unwrap();
        let order = SignedOrder { order, key: key.public().id(), signature, second: None };
        Self { next: 0, lanes, order, dvp }
    }

    fn ledgers(lane: u64) -> [(usize, Ubi); 2] {
        [(0, Ubi(id(lane, 1))), (1, Ubi(id(lane, 2)))]
    }

    fn signed(&mut self) -> Signed {
        let (number, lane) = (self.next, self.next % self.lanes);
        self.next += 1;
        let part =
            |seat, place| Part { seat, id: OrderId(id(number, place)), order: self.order.clone() };
        Signed {
            route: 0,
            lane: usize::try_from(lane).unwrap(),
            first: self.dvp.then(|| part(0, 3)),
            main: part(usize::from(self.dvp), 4),
            ends: self.dvp.then(|| Self::ledgers(lane)),
        }
    }
}

fn plan(per_second: f64, seconds: u64) -> LoadPlan {
    LoadPlan::dvp("bank-a", "bank-b", per_second, Duration::from_secs(seconds))
}

fn payments(per_second: f64, seconds: u64) -> LoadPlan {
    let routes = vec![vec!["bank-a".to_owned()]];
    LoadPlan { kind: Kind::Payment, routes, ..plan(per_second, seconds) }
}

/// A bank that answers at once, but for a stall from one second to the next.
fn stalled(answer_at: impl Fn(Duration) -> Duration) -> Book {
    let (begun, mut source) = (Instant::now(), Source::new(1_000, false));
    let mut book = Book::new(&payments(100.0, 10), 1_000, begun).unwrap();
    let mut underway: Vec<(Duration, Posting)> = Vec::new();
    for step in 0..12_000 {
        let at = MS * step;
        for posting in book.poll(begun + at, || Some(source.signed())) {
            underway.push((answer_at(at), posting));
        }
        let (done, rest) = underway.into_iter().partition(|(when, _)| *when <= at);
        underway = rest;
        for (_, posting) in done {
            book.answered(begun + at, posting, Handed::Accepted);
        }
        book.tally.roll(begun + at, book.open(), book.waiting(), false);
    }
    assert!(book.is_over(begun + MS * 12_000));
    book
}

#[test]
fn a_stall_of_a_second_shows_in_every_trade_that_was_due_in_it() {
    // From 5 s to 6 s nothing is answered; otherwise an answer takes 2 ms.
    let stall = |at: Duration| {
        let normal = at + MS * 2;
        let (from, to) = (Duration::from_secs(5), Duration::from_secs(6));
        if normal >= from && normal < to { to } else { normal }
    };
    let tally = stalled(stall).tally;
    assert_eq!((tally.counts.settled, tally.counts.begun), (1_000, 1_000));
    // The 100 that were due in the stall waited 1,000, 990, … 10 ms: a tenth of all.
    let near = |percentile: f64, ms: u64| {
        let found = tally.settled.at(percentile) / 1_000;
        assert!(found.abs_diff(ms) <= 12, "p{percentile}: {found} ms, not {ms}");
    };
    near(50.0, 2);
    near(89.0, 2);
    near(95.0, 500);
    near(99.0, 900);
    near(100.0, 1_000);
    assert!(stalled(|at| at + MS * 2).tally.settled.at(100.0) < 4_000, "without a stall");
}

#[test]
fn a_driver_that_is_late_counts_the_waiting_too() {
    // The program itself sleeps for a second: what was due then is sent late, and counts so.
    let (begun, mut source) = (Instant::now(), Source::new(1_000, false));
    let mut book = Book::new(&payments(100.0, 2), 1_000, begun).unwrap();
    for at in [MS * 1_000, MS * 2_000] {
        for posting in book.poll(begun + at, || Some(source.signed())) {
            book.answered(begun + at + MS, posting, Handed::Accepted);
        }
    }
    let tally = &book.tally;
    assert_eq!(tally.counts.settled, 200);
    assert!(tally.settled.at(50.0).abs_diff(500_000) < 20_000, "{}", tally.settled.at(50.0));
    assert!(tally.uncorrected.at(100.0) < 2_000, "what one would believe otherwise");
}

/// A trade at its moment: the book, and when its take was sent.
fn taken() -> (Book, Source, Instant, Posting) {
    let (begun, mut source) = (Instant::now(), Source::new(1, true));
    let mut book = Book::new(&LoadPlan { most: Some(2), ..plan(1.0, 10) }, 1, begun).unwrap();
    let early = begun - Duration::from_millis(500);
    let mut offers = book.poll(early, || Some(source.signed()));
    let offer = offers.remove(0);
    assert_eq!(offer.which, Which::First);
    book.answered(early + MS, offer, Handed::Accepted);
    assert!(book.poll(early + MS, || None).is_empty(), "not before its moment");
    let take = book.poll(begun, || None).remove(0);
    (book, source, begun, take)
}

fn settled(book: &mut Book, at: Instant, end: usize) {
    book.heard(at, Source::ledgers(0)[end].1, Said::Settled, Some(SettlementId([9; 32])));
}

#[test]
fn a_trade_counts_once_when_both_banks_have_said_settled() {
    let (mut book, _, begun, take) = taken();
    book.answered(begun + MS * 3, take, Handed::Accepted);
    settled(&mut book, begun + MS * 8, 1);
    assert_eq!(book.tally.counts.settled, 0);
    settled(&mut book, begun + MS * 9, 0);
    assert_eq!(book.tally.counts.settled, 1);
    assert_eq!(book.tally.settled.at(100.0) / 1_000, 9);
    assert_eq!(book.tally.accepted.at(100.0) / 1_000, 3);
    for end in [0, 1] {
        settled(&mut book, begun + MS * 10, end);
    }
    assert_eq!(book.tally.counts.settled, 1, "an echo is not counted");
}

#[test]
fn an_order_without_an_answer_is_sent_again_as_it_is() {
    let (mut book, _, begun, take) = taken();
    let first = take.part.id;
    book.answered(begun + MS, take, Handed::Again);
    assert!(book.poll(begun + MS * 2, || None).is_empty());
    let again = book.poll(begun + MS + AGAIN, || None).remove(0);
    assert_eq!((again.which, again.part.id), (Which::Main, first));
    assert_eq!(book.tally.counts.resent, 1);
    // It had been accepted the first time; both ends are heard before the answer.
    settled(&mut book, begun + MS * 300, 0);
    settled(&mut book, begun + MS * 300, 1);
    book.answered(begun + MS * 301, again, Handed::Accepted);
    assert_eq!((book.tally.counts.settled, book.open()), (1, 0));
}

#[test]
fn one_end_settled_and_the_other_refunded_is_torn() {
    let (mut book, _, begun, take) = taken();
    book.answered(begun + MS, take, Handed::Accepted);
    settled(&mut book, begun + MS, 0);
    book.heard(begun + MS, Source::ledgers(0)[1].1, Said::Refunded, Some(SettlementId([9; 32])));
    assert_eq!((book.tally.counts.torn, book.tally.counts.settled), (1, 0));
}

#[test]
fn a_take_that_ended_is_asked_about_and_counts_by_its_code() {
    let (mut book, _, begun, take) = taken();
    book.answered(begun + MS, take, Handed::Accepted);
    book.heard(begun + MS * 2, Source::ledgers(0)[1].1, Said::Ended(None), None);
    let question = book.questions(begun + MS * 3).remove(0);
    assert!(book.questions(begun + MS * 4).is_empty(), "asked once at a time");
    let why = Some(Said::Ended(Some("Q-1405".to_owned())));
    book.told(begun + MS * 5, question.trade, [None, why], None);
    assert_eq!(book.tally.counts.refused.get("Q-1405"), Some(&1));
    assert_eq!(book.open(), 0);
}

#[test]
fn the_next_trade_of_a_holder_waits_and_what_never_ends_is_in_doubt() {
    let (mut book, mut source, begun, take) = taken();
    book.answered(begun + MS, take, Handed::Accepted);
    let due = begun + Duration::from_secs(1);
    assert!(book.poll(due, || Some(source.signed())).is_empty(), "its holders are in use");
    assert_eq!((book.open(), book.waiting()), (2, 1));
    let doubts = book.give_up(|seat| format!("bank {seat}"), 10);
    let counts = &book.tally.counts;
    assert_eq!((counts.scheduled, counts.in_doubt, counts.unsent), (2, 1, 1));
    assert_eq!(doubts[0].orders.len(), 2);
    assert!(doubts[0].known.starts_with("accepted; first end: nothing heard"), "{doubts:?}");
}

#[test]
fn a_closed_loop_keeps_its_number_in_flight_and_stops_at_the_end() {
    let (begun, mut source) = (Instant::now(), Source::new(64, false));
    let pace = Pace::Closed { in_flight: 4, pause: Duration::ZERO };
    let plan = LoadPlan { pace, ..payments(1.0, 1) };
    let mut book = Book::new(&plan, 64, begun).unwrap();
    let mut flying = book.poll(begun, || Some(source.signed()));
    assert_eq!(flying.len(), 4);
    for step in 1..=10 {
        assert!(book.poll(begun + MS * step, || Some(source.signed())).is_empty());
        book.answered(begun + MS * step, flying.remove(0), Handed::Accepted);
        flying.extend(book.poll(begun + MS * step, || Some(source.signed())));
        assert_eq!(flying.len(), 4);
    }
    let end = begun + Duration::from_secs(1);
    for posting in flying {
        book.answered(end, posting, Handed::Accepted);
    }
    assert!(book.poll(end, || Some(source.signed())).is_empty() && book.is_over(end));
    assert_eq!(book.tally.counts.settled, 14);
}

#[test]
fn stopping_leaves_what_was_not_sent_and_waits_for_the_rest() {
    let (mut book, mut source, begun, take) = taken();
    let due = begun + Duration::from_secs(1);
    let _ = book.poll(due, || Some(source.signed()));
    book.stop(due);
    assert_eq!((book.open(), book.waiting()), (1, 0));
    book.answered(due + MS, take, Handed::Refused("Q-1803".to_owned()));
    assert!(book.is_over(due + MS) && book.tally.counts.refused_all() == 1);
}
