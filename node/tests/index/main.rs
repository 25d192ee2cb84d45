//! The index against logs that banks have really written: built again it is the same, and what
//! it says is what the validators know. Over 600 lines: one case after the other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod logs;
mod proofs;
#[path = "../../../protocol/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use logs::{MemoryLog, agrees, every_way, indexed, whole};
use quadrille_node::index::{
    Cursor, Ending, EntryCause, Index, Indexer, Order, OrderKind, OrderState, Part,
    SettlementFilter, Step, events,
};
use quadrille_protocol::error::Code;
use quadrille_protocol::ledger::Action;
use quadrille_protocol::ledger::opening::Rules;
use quadrille_protocol::log::{Batch, Record, Statement};
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Boot, Command, Input};
use support::scene::{Market, account};
use support::{Signing, secret};

/// Bonds for euros, settled.
fn traded() -> (Market, OrderId, OrderId) {
    let mut market = Market::new(2, Signing::Off);
    let offer = market.offer(100, 200);
    let take = market.take(offer, 30, 60);
    let take = market.bob_sends(take);
    market.net.run();
    market.net.check_quiet();
    (market, offer, take)
}

#[test]
fn an_index_built_again_has_the_same_rows_after_a_trade() {
    let (mut market, _, _) = traded();
    market.settle_down();
    every_way(&market.net);
}

#[test]
fn an_index_built_again_has_the_same_rows_with_a_notary_and_with_transit() {
    let mut market = Market::new(3, Signing::Off);
    let mut terms = market.terms(100, 200);
    terms.notary = Some(market.net.domain(2));
    let offer = market.offer_terms(terms);
    let take = market.take(offer, 100, 200);
    market.bob_sends(take);
    market.net.run();
    let transit = market.transit(2);
    let pay = market.pay(account(&market.net, &market.alice), 500, vec![transit]);
    market.bob_sends(pay);
    market.net.run();
    let indexes = every_way(&market.net);
    let parts = |at: usize| -> Vec<(Part, Option<Ending>)> {
        let (_, index) = &indexes[at];
        let rows = whole(1, |after, limit| index.settlements(SettlementFilter::All, after, limit));
        rows.iter().map(|row| (row.part, row.end.map(|end| end.outcome))).collect()
    };
    let settled = Some(Ending::Settled);
    assert_eq!(parts(0), [(Part::Participant, settled), (Part::Initiator, settled)]);
    assert_eq!(parts(1), [(Part::Initiator, settled), (Part::Participant, settled)]);
    assert_eq!(parts(2), [(Part::Participant, settled), (Part::Notary, settled)]);
}

/// After every single batch of every bank the index says what the state says.
#[test]
fn the_index_says_what_the_state_says_after_every_batch() {
    let mut market = Market::new(3, Signing::Off);
    let mut terms = market.terms(100, 200);
    terms.notary = Some(market.net.domain(2));
    let offer = market.offer_terms(terms);
    let take = market.take(offer, 60, 120);
    market.bob_sends(take);
    let dirs: Vec<_> = market.net.banks.iter().map(|_| tempfile::tempdir().unwrap()).collect();
    let indexes: Vec<Index> =
        dirs.iter().map(|dir| Index::open(&dir.path().join("index")).unwrap()).collect();
    for _ in 0..40 {
        for (at, index) in indexes.iter().enumerate() {
            market.net.turn(at);
            let log = MemoryLog::of(&market.net.banks[at]);
            index.catch_up(&log, log.head()).unwrap();
            agrees(index, market.net.banks[at].validator.state());
        }
        if let Some((from, to, wire)) = market.net.wire.pop_front() {
            market.net.deliver(from, to, wire).unwrap();
        }
    }
    let (row, _) = indexes[0]
        .settlements(SettlementFilter::Final, None, 1)
        .map(|page| (page.items[0].clone(), page.next))
        .unwrap();
    assert_eq!(row.end.map(|end| end.outcome), Some(Ending::Settled));
}

#[test]
fn a_trade_can_be_followed_from_both_orders() {
    let (market, offer, take) = traded();
    let indexes = every_way(&market.net);
    let (_, maker) = &indexes[0];
    let (_, taker) = &indexes[1];
    let row = taker.order(&take).unwrap().unwrap();
    let OrderState::Settled(id) = row.state else { panic!("{row:?}") };
    assert_eq!((row.kind, row.settlement), (Some(OrderKind::Take), Some(id)));
    let made = maker.order(&offer).unwrap().unwrap();
    assert_eq!((made.state, made.settlement), (OrderState::Open, Some(id)));
    let led = maker.settlements_of(&offer, None, 10).unwrap().items;
    assert_eq!(led.iter().map(|row| row.settlement).collect::<Vec<_>>(), [id]);
    let steps: Vec<(Step, &str)> =
        led[0].steps.iter().map(|row| (row.step, row.by.as_str())).collect();
    let (a, b) = ("bank-a.example", "bank-b.example");
    assert_eq!(
        steps,
        [
            (Step::Agreed, a),
            (Step::Locked, b),
            (Step::Revealed, a),
            (Step::DecidedSettle, b),
            (Step::Finalised, b),
            (Step::Settled, a),
            (Step::Finalised, a),
        ]
    );
    assert!(led[0].awaiting(&market.net.domain(0)).is_empty());
    let notice = maker.offer(&offer).unwrap().unwrap();
    assert_eq!(notice.remaining, Amount::new(70));
    assert_eq!(notice.closed, None);
    let entries =
        whole(1, |after, limit| taker.entries(&market.bob.ledger, Order::Ascending, after, limit));
    let causes: Vec<&str> = entries.iter().map(|row| row.cause.kind()).collect();
    assert_eq!(causes, ["opened", "issued", "ordered", "settled"]);
    assert_eq!(entries[3].cause, EntryCause::Settled(id));
    let newest = taker.entries(&market.bob.ledger, Order::Descending, None, 1).unwrap();
    assert_eq!(newest.items, entries[3..]);
    assert!(newest.next.is_some());
}

#[test]
fn who_is_awaited_changes_with_every_step() {
    let mut market = Market::new(2, Signing::Off);
    let offer = market.offer(100, 200);
    let take = market.take(offer, 30, 60);
    market.bob_sends(take);
    let (a, b) = (market.net.domain(0), market.net.domain(1));
    let dir = tempfile::tempdir().unwrap();
    let mut awaited: Vec<Vec<Domain>> = Vec::new();
    for turn in 0.. {
        let log = MemoryLog::of(&market.net.banks[0]);
        let index = indexed(&dir.path().join(format!("{turn}")), &log);
        let page = index.settlements(SettlementFilter::All, None, 1).unwrap();
        if let Some(row) = page.items.first() {
            let now = row.awaiting(&a);
            if awaited.last() != Some(&now) {
                awaited.push(now);
            }
            if row.is_final() {
                break;
            }
        }
        for at in [1, 0] {
            market.net.turn(at);
            while let Some((from, to, wire)) = market.net.wire.pop_front() {
                market.net.deliver(from, to, wire).unwrap();
            }
        }
        assert!(turn < 50);
    }
    // The lock, then the decision: bank-b both times.
    assert_eq!(awaited, [vec![b], vec![]]);
}

#[test]
fn what_is_cancelled_refused_or_expired_says_so() {
    let mut market = Market::new(2, Signing::Off);
    let kept = market.offer(100, 200);
    let gone = market.offer(50, 100);
    market.net.order(&mut market.alice, Action::Cancel { offer: gone }).unwrap();
    let terms = market.terms(5_000, 1);
    let signed = market.net.sign(&mut market.alice, Action::Offer(terms));
    let (_, refused) = market.net.submit(&market.alice, signed);
    let cheap = market.take(kept, 100, 150);
    let cheap = market.bob_sends(cheap);
    market.net.run();
    let whole_offer = market.take(kept, 100, 200);
    market.net.order(&mut market.bob, whole_offer).unwrap();
    market.net.check_quiet();
    let indexes = every_way(&market.net);
    let (_, maker) = &indexes[0];
    let state = |id: &OrderId| maker.order(id).unwrap().unwrap().state;
    assert_eq!(state(&kept), OrderState::Filled);
    assert_eq!(state(&gone), OrderState::Ended(Code::OfferCancelled));
    assert!(
        matches!(state(&refused), OrderState::Refused(why) if why.code == Code::InsufficientFunds)
    );
    let closed = maker.offer(&gone).unwrap().unwrap().closed.unwrap();
    assert_eq!(closed.reason, Code::OfferCancelled);
    let offers = whole(1, |after, limit| maker.offers(None, false, after, limit));
    assert_eq!(offers.iter().map(|row| row.offer).collect::<Vec<_>>(), [gone, kept]);
    assert!(maker.offers(None, true, None, 10).unwrap().items.is_empty());
    assert!(maker.offers(Some(&market.alice.ledger), true, None, 10).unwrap().items.is_empty());
    let mine = maker.offers(Some(&market.alice.ledger), false, None, 1).unwrap();
    assert_eq!(mine.items[0].offer, gone);
    let orders = whole(1, |after, limit| maker.orders_of(&market.alice.ledger, after, limit));
    assert_eq!(orders.len(), 4);
    assert_eq!(orders[0].order, refused);
    let (_, taker) = &indexes[1];
    let row = taker.order(&cheap).unwrap().unwrap();
    assert_eq!(row.state, OrderState::Ended(Code::PriceTooLow));
    assert!(row.refused_by.is_some_and(|said| said.item.is_some()));
}

#[test]
fn an_order_that_was_refused_and_then_accepted_is_listed_once() {
    let mut market = Market::new(2, Signing::Off);
    let eur = market.eur.clone();
    let pay = market.pay(account(&market.net, &market.alice), 9_000, vec![]);
    let signed = market.net.sign(&mut market.bob, pay);
    let (_, id) = market.net.submit(&market.bob, signed.clone());
    market.net.run();
    market.net.fund(&market.bob, &eur, 10_000);
    market.net.submit(&market.bob, signed);
    market.net.run();
    let indexes = every_way(&market.net);
    let orders = indexes[1].1.orders_of(&market.bob.ledger, None, 10).unwrap().items;
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].order, id);
    assert!(matches!(orders[0].state, OrderState::Settled(_)), "{:?}", orders[0]);
}

#[test]
fn keys_are_found_by_their_identifiers_after_they_were_changed() {
    let mut market = Market::new(2, Signing::Off);
    let (next, second) = (
        secret(market.alice.key.public().suite(), 501),
        secret(market.alice.key.public().suite(), 502),
    );
    let old = market.alice.key.public().id();
    let rules = Rules { second_key: Some(second.public().clone()), ..Rules::default() };
    market.net.order(&mut market.alice, Action::Amend(rules)).unwrap();
    market.alice.second = Some(second);
    let rotate = Action::RotateKey { key: next.public().clone() };
    market.net.order(&mut market.alice, rotate).unwrap();
    let indexes = every_way(&market.net);
    let (_, index) = &indexes[0];
    let row = index.ledger(&market.alice.ledger).unwrap().unwrap();
    assert_eq!(row.key, next.public().id());
    assert_eq!(row.second_key, market.alice.second.as_ref().map(|key| key.public().id()));
    assert!(index.key(&old).unwrap().is_some());
    let holder: Holder = "alice@bank-a.example".parse().unwrap();
    let rows = index.ledgers_of(&holder, None, 10).unwrap().items;
    assert_eq!(rows, [row]);
    let nobody: Holder = "alic@bank-a.example".parse().unwrap();
    assert!(index.ledgers_of(&nobody, None, 10).unwrap().items.is_empty());
}

#[test]
fn pages_come_in_order_from_any_number_on() {
    let (market, _, _) = traded();
    let indexes = every_way(&market.net);
    let (_, index) = &indexes[0];
    let peer = market.net.domain(1);
    let log = MemoryLog::of(&market.net.banks[0]);
    let mut said: Vec<(Sequence, Height, u32)> = Vec::new();
    for sealed in &log.0 {
        let batch = Batch::open(sealed.stored.clone()).unwrap();
        let pages = batch.pages().iter().filter(|(_, page)| page.to == peer);
        said.extend(pages.map(|(leaf, page)| (page.last(), batch.checkpoint().height, *leaf)));
    }
    assert!(said.len() > 2);
    for (count, (last, _, _)) in said.iter().enumerate() {
        let later = index.pages_after(&peer, *last, 100).unwrap();
        let later: Vec<_> =
            later.into_iter().map(|(last, place)| (last, place.height, place.leaf)).collect();
        assert_eq!(later, said[count + 1..]);
    }
    let first = index.pages_after(&peer, Sequence(0), 1).unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].0, said[0].0);
    assert!(
        index.pages_after(&"bank-z.example".parse().unwrap(), Sequence(0), 9).unwrap().is_empty()
    );
}

#[test]
fn a_decision_is_found_where_the_log_has_it_and_nowhere_else() {
    let (market, _, _) = traded();
    let indexes = every_way(&market.net);
    let row = indexes[1].1.settlements(SettlementFilter::All, None, 1).unwrap().items.remove(0);
    let place = indexes[1].1.decision(&row.settlement).unwrap().unwrap();
    let (batch, signature) = &market.net.banks[1].batches[&place.height];
    let found = batch.decision_on(&row.settlement, signature).unwrap();
    assert_eq!(found.index, place.leaf);
    // Bank-a has heard the decision; it is not its own.
    assert_eq!(indexes[0].1.decision(&row.settlement).unwrap(), None);
    assert_eq!(indexes[1].1.decision(&SettlementId([7; 32])).unwrap(), None);
}

#[test]
fn an_index_that_was_deleted_in_the_middle_is_built_again() {
    let (mut market, offer, _) = traded();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let half = MemoryLog::of(&market.net.banks[0]);
    drop(indexed(&path, &half));
    std::fs::remove_dir_all(&path).unwrap();
    let take = market.take(offer, 70, 140);
    market.bob_sends(take);
    market.net.run();
    let log = MemoryLog::of(&market.net.banks[0]);
    let again = indexed(&path, &log);
    let indexes = every_way(&market.net);
    assert_eq!(again.fingerprint().unwrap(), indexes[0].1.fingerprint().unwrap());
}

#[test]
fn an_index_that_was_closed_goes_on_where_it_was() {
    let (mut market, offer, _) = traded();
    let dir = tempfile::tempdir().unwrap();
    let half = MemoryLog::of(&market.net.banks[0]);
    drop(indexed(dir.path(), &half));
    let take = market.take(offer, 70, 140);
    market.bob_sends(take);
    market.net.run();
    let index = Index::open(dir.path()).unwrap();
    assert_eq!(index.head(), half.head());
    let log = MemoryLog::of(&market.net.banks[0]);
    // Only what is new is asked for.
    let rest = MemoryLog(log.0[half.0.len() - 1..].to_vec());
    index.catch_up(&rest, log.head()).unwrap();
    assert_eq!(index.fingerprint().unwrap(), every_way(&market.net)[0].1.fingerprint().unwrap());
}

#[test]
fn an_index_that_goes_further_than_the_log_or_knows_another_is_built_anew() {
    let (market, _, _) = traded();
    let (ours, theirs) = (MemoryLog::of(&market.net.banks[0]), MemoryLog::of(&market.net.banks[1]));
    let dir = tempfile::tempdir().unwrap();
    let index = indexed(dir.path(), &ours);
    let cut = MemoryLog(ours.0[..ours.0.len() - 2].to_vec());
    index.catch_up(&cut, cut.head()).unwrap();
    assert_eq!(index.head(), cut.head());
    let fresh = tempfile::tempdir().unwrap();
    assert_eq!(index.fingerprint().unwrap(), indexed(fresh.path(), &cut).fingerprint().unwrap());
    index.catch_up(&theirs, theirs.head()).unwrap();
    assert_eq!(index.head(), theirs.head());
    let fresh = tempfile::tempdir().unwrap();
    assert_eq!(index.fingerprint().unwrap(), indexed(fresh.path(), &theirs).fingerprint().unwrap());
    index.catch_up(&MemoryLog::default(), None).unwrap();
    assert_eq!(index.indexed(), Height(0));
}

#[test]
fn a_damaged_index_is_built_anew() {
    let (market, _, _) = traded();
    let log = MemoryLog::of(&market.net.banks[0]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let index = indexed(&path, &log);
    let whole = index.fingerprint().unwrap();
    drop(index);
    for file in ["conf", "db"] {
        let file = path.join("rows").join(file);
        let size = std::fs::metadata(&file).unwrap().len();
        std::fs::write(&file, vec![0xa5; usize::try_from(size).unwrap()]).unwrap();
        let index = indexed(&path, &log);
        assert_eq!(index.fingerprint().unwrap(), whole);
    }
    // A start that never came to its end, as after a panic inside sled.
    std::fs::write(path.join("opening"), b"").unwrap();
    let index = Index::open(&path).unwrap();
    assert_eq!(index.indexed(), Height(0));
    index.catch_up(&log, log.head()).unwrap();
    assert_eq!(index.fingerprint().unwrap(), whole);
}

/// Whichever block it is that cannot be read.
#[test]
fn an_index_with_a_damaged_block_is_built_anew() {
    let (market, _, _) = traded();
    let log = MemoryLog::of(&market.net.banks[0]);
    let dir = tempfile::tempdir().unwrap();
    let index = indexed(dir.path(), &log);
    let whole = index.fingerprint().unwrap();
    drop(index);
    let rows = || sled::open(dir.path().join("rows")).unwrap();
    let blocks = rows().scan_prefix(b"b").keys().map(Result::unwrap).collect::<Vec<_>>();
    assert!(!blocks.is_empty());
    for at in 0..blocks.len() {
        let db = rows();
        let key = db.scan_prefix(b"b").keys().nth(at).unwrap().unwrap();
        let mut block = db.get(&key).unwrap().unwrap().to_vec();
        let middle = block.len() / 2;
        block[middle] ^= 1;
        db.insert(&key, block).unwrap();
        db.flush().unwrap();
        drop(db);
        let index = Index::open(dir.path()).unwrap();
        let asked = index.fingerprint();
        assert!(asked.is_err() || index.head().is_none(), "it was not noticed");
        // The same process builds it again, as the next one would.
        index.catch_up(&log, None).unwrap();
        index.catch_up(&log, log.head()).unwrap();
        assert_eq!(index.fingerprint().unwrap(), whole);
    }
}

#[test]
fn what_was_applied_and_never_written_is_applied_again() {
    let (market, _, _) = traded();
    let log = MemoryLog::of(&market.net.banks[0]);
    let dir = tempfile::tempdir().unwrap();
    let half = MemoryLog(log.0[..log.0.len() / 2].to_vec());
    let index = indexed(dir.path(), &half);
    for batch in &log.0[half.0.len()..] {
        index.apply(batch).unwrap();
    }
    assert_eq!(index.head(), log.head());
    let whole = index.fingerprint().unwrap();
    drop(index);
    let index = Index::open(dir.path()).unwrap();
    assert_eq!(index.head(), half.head(), "what nobody wrote is not there");
    index.catch_up(&log, log.head()).unwrap();
    assert_eq!(index.fingerprint().unwrap(), whole);
}

#[test]
fn an_index_that_is_open_elsewhere_is_not_deleted() {
    let (market, _, _) = traded();
    let log = MemoryLog::of(&market.net.banks[0]);
    let dir = tempfile::tempdir().unwrap();
    let index = indexed(dir.path(), &log);
    let whole = index.fingerprint().unwrap();
    assert_eq!(Index::open(dir.path()).unwrap_err().code, Code::IndexFailed);
    assert_eq!(index.fingerprint().unwrap(), whole);
    drop(index);
    assert_eq!(Index::open(dir.path()).unwrap().fingerprint().unwrap(), whole);
}

#[test]
fn a_batch_that_does_not_follow_is_refused_and_changes_nothing() {
    let (market, _, _) = traded();
    let log = MemoryLog::of(&market.net.banks[0]);
    let other = MemoryLog::of(&market.net.banks[1]);
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(dir.path()).unwrap();
    index.apply_run(&log.0[..3]).unwrap();
    let before = index.fingerprint().unwrap();
    let skipped = index.apply(&log.0[4]).unwrap_err();
    assert_eq!(skipped.code, Code::IndexGap);
    assert_eq!(index.apply(&other.0[3]).unwrap_err().code, Code::IndexGap);
    // The first of a run that does not follow takes the whole run with it.
    let run = [log.0[3].clone(), log.0[5].clone()];
    assert_eq!(index.apply_run(&run).unwrap_err().code, Code::IndexGap);
    index.apply(&log.0[1]).unwrap();
    assert_eq!(index.apply(&other.0[2]).unwrap_err().code, Code::IndexGap, "another third");
    assert_eq!(index.fingerprint().unwrap(), before);
    assert_eq!(index.indexed(), Height(3));
}

#[test]
fn a_recovery_leaves_the_index_and_the_state_of_one_mind() {
    let at = 1;
    let batches = traded().0.net.banks[at].log.len();
    let mut recovered = 0;
    for keep in 4..batches {
        let (mut market, _, _) = traded();
        let evidence = market.net.evidence_of(&market.bob);
        let guard = market.net.banks[at].guard.unwrap();
        market.net.restart(at, keep, Boot::GuardApart(guard));
        market.net.run();
        market.net.give_back(at, evidence);
        market.net.command(at, Command::CustomersHeard).unwrap();
        market.settle_down();
        let indexes = every_way(&market.net);
        recovered += indexes[at].1.counters().unwrap().recovered;
        let rows = indexes[at].1.settlements(SettlementFilter::All, None, 10).unwrap().items;
        for row in rows {
            let decided = indexes[at].1.decision(&row.settlement).unwrap();
            assert_eq!(decided.is_some(), row.header.decider == market.net.domain(at));
        }
    }
    assert!(recovered > 0, "no record of ours ever came back");
}

/// Whatever trade a bank has lost and got back, its index is of one mind with it. What only the
/// bank itself had (assets, limits) is kept: without it records do not fit, and what does not fit
/// stays open in the index until the operator has resolved it.
#[test]
fn losses_of_any_length_in_any_seat_leave_index_and_state_of_one_mind() {
    for notary in [false, true] {
        let play = || {
            let mut market = Market::new(3, Signing::Off);
            let transit = market.transit(2);
            let kept: Vec<usize> = market.net.banks.iter().map(|bank| bank.log.len()).collect();
            let mut terms = market.terms(100, 200);
            terms.notary = notary.then(|| market.net.domain(2));
            let offer = market.offer_terms(terms);
            let take = market.take(offer, 100, 200);
            market.bob_sends(take);
            market.net.run();
            let pay = market.pay(account(&market.net, &market.alice), 500, vec![transit]);
            market.bob_sends(pay);
            market.net.run();
            (market, kept)
        };
        for at in 0..3 {
            let (plain, kept) = play();
            for keep in kept[at]..plain.net.banks[at].log.len() {
                let (mut market, _) = play();
                let customers = [&market.alice, &market.bob];
                let own = customers.into_iter().filter(|customer| customer.bank == at);
                let evidence = own.flat_map(|customer| market.net.evidence_of(customer)).collect();
                let guard = market.net.banks[at].guard.unwrap();
                market.net.restart(at, keep, Boot::GuardApart(guard));
                market.net.run();
                market.net.give_back(at, evidence);
                market.net.command(at, Command::CustomersHeard).unwrap();
                market.settle_down();
                every_way(&market.net);
            }
        }
    }
}

#[test]
fn a_tombstone_for_a_question_is_listed_and_final() {
    let mut market = Market::new(3, Signing::Off);
    let mut terms = market.terms(100, 200);
    terms.notary = Some(market.net.domain(2));
    let offer = market.offer_terms(terms);
    let take = market.take(offer, 100, 200);
    market.bob_sends(take);
    // The notary never hears of its appointment.
    for _ in 0..60 {
        for at in 0..3 {
            market.net.turn(at);
        }
        market.net.wire.retain(|(from, to, _)| !(*from == 0 && *to == 2));
        if let Some((from, to, wire)) = market.net.wire.pop_front() {
            market.net.deliver(from, to, wire).unwrap();
        }
    }
    for span_ms in [31_000, 6_000, 30_000] {
        market.net.now = market.net.now.after(Duration(span_ms));
        for _ in 0..12 {
            for at in [1, 2] {
                market.net.banks[at].inputs.push_back(Input::Tick);
                market.net.turn(at);
            }
            market.net.wire.retain(|(from, to, _)| *from != 0 && *to != 0);
            while let Some((from, to, wire)) = market.net.wire.pop_front() {
                market.net.deliver(from, to, wire).unwrap();
            }
        }
    }
    let indexes = every_way(&market.net);
    let row = indexes[2].1.settlements(SettlementFilter::Final, None, 1).unwrap().items.remove(0);
    assert_eq!(row.part, Part::Asked);
    assert_eq!(row.end.map(|end| end.outcome), Some(Ending::Refunded));
    assert!(indexes[2].1.decision(&row.settlement).unwrap().is_some());
    market.settle_down();
    every_way(&market.net);
}

#[test]
fn events_go_on_after_the_last_one_that_was_seen() {
    let (market, offer, take) = traded();
    let log = MemoryLog::of(&market.net.banks[1]);
    let all = events::events_after(&log, None, 1_000).unwrap();
    let mut after = None;
    let mut pieces = Vec::new();
    loop {
        let piece = events::events_after(&log, after, 2).unwrap();
        let Some(last) = piece.last() else { break };
        after = Some(last.id.to_string().parse().unwrap());
        pieces.extend(piece);
    }
    assert_eq!(pieces, all);
    assert!(all.windows(2).all(|pair| pair[0].id < pair[1].id));
    let json: Vec<String> = all.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    for (text, event) in json.iter().zip(&all) {
        let back: events::Event = serde_json::from_str(text).unwrap();
        assert_eq!(back, *event);
    }
    let text = json.join("\n");
    for wanted in ["ledger.entry", "settlement.step", "settlement.final", "peer.credit-limit"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert!(text.contains(&take.to_string()));
    let makers = events::events_after(&MemoryLog::of(&market.net.banks[0]), None, 1_000).unwrap();
    let posted = makers.iter().filter_map(|event| match &event.kind {
        events::EventKind::OfferPosted { offer: id, remaining, .. } if *id == offer => {
            Some(remaining.units())
        }
        _ => None,
    });
    let posted: Vec<u128> = posted.collect();
    assert_eq!((posted.first(), posted.last()), (Some(&100), Some(&70)), "{posted:?}");
    assert!("1.2".parse::<events::EventId>().is_err());
    assert!("01.2.3".parse::<events::EventId>().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_indexing_thread_keeps_up_and_whoever_waits_is_told() {
    let (market, _, _) = traded();
    let log = MemoryLog::of(&market.net.banks[0]);
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(dir.path()).unwrap();
    let (send, receive) = tokio::sync::mpsc::channel(4);
    let indexer = Indexer::spawn(index.clone(), receive).unwrap();
    let (last, _) = log.head().unwrap();
    let waiting = tokio::spawn({
        let index = index.clone();
        async move { index.wait_for(last).await }
    });
    for batch in &log.0 {
        send.send(Arc::new(batch.clone())).await.unwrap();
    }
    let limit = std::time::Duration::from_secs(30);
    tokio::time::timeout(limit, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(index.indexed(), last);
    drop(send);
    tokio::task::spawn_blocking(|| indexer.join()).await.unwrap().unwrap();
    // What is here is here; what never comes is not waited for.
    index.wait_for(last).await.unwrap();
    assert_eq!(index.wait_for(last.next()).await.unwrap_err().code, Code::IndexFailed);
    assert_eq!(index.fingerprint().unwrap(), every_way(&market.net)[0].1.fingerprint().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_indexing_thread_that_meets_a_gap_stops_and_says_so() {
    let (market, _, _) = traded();
    let log = MemoryLog::of(&market.net.banks[0]);
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(dir.path()).unwrap();
    let (send, receive) = tokio::sync::mpsc::channel(4);
    let indexer = Indexer::spawn(index.clone(), receive).unwrap();
    send.send(Arc::new(log.0[1].clone())).await.unwrap();
    let limit = std::time::Duration::from_secs(30);
    let told = tokio::time::timeout(limit, index.wait_for(Height(2))).await.unwrap();
    assert_eq!(told.unwrap_err().code, Code::IndexFailed);
    let ended = tokio::task::spawn_blocking(|| indexer.join()).await.unwrap();
    assert_eq!(ended.unwrap_err().code, Code::IndexGap);
}

#[test]
fn a_cursor_that_is_none_is_refused_and_a_foreign_one_is_harmless() {
    let (market, _, _) = traded();
    let indexes = every_way(&market.net);
    for text in ["", "x", "abc", "zz", &"00".repeat(300)] {
        assert_eq!(text.parse::<Cursor>().unwrap_err().code, Code::BadIdentifier, "{text}");
    }
    for text in ["00", "ff", "ffffffffffffffffffffffffffffffffffffffff"] {
        let cursor: Cursor = text.parse().unwrap();
        let index = &indexes[0].1;
        let page = index.ledgers(Some(&cursor), 10).unwrap();
        assert!(page.items.len() <= 1);
        let page = index.settlements(SettlementFilter::All, Some(&cursor), 10).unwrap();
        assert!(page.items.len() <= 1);
    }
}

/// A peer may say what it likes about settlements that nobody knows: no row comes of it.
#[test]
fn what_a_peer_makes_up_makes_no_rows() {
    let mut market = Market::new(2, Signing::Off);
    market.net.run();
    let mut puppet = support::puppet::Puppet::new(&market.net, 1);
    let statements = (0..20u8).map(|number| Statement::Locked(SettlementId([number; 32])));
    puppet.say(&mut market.net, 0, statements.collect());
    market.net.turn(0);
    let log = MemoryLog::of(&market.net.banks[0]);
    let heard = |record: &Record| matches!(record, Record::Received(_));
    assert!(market.net.banks[0].records().iter().any(heard));
    let dir = tempfile::tempdir().unwrap();
    let index = indexed(dir.path(), &log);
    assert!(index.settlements(SettlementFilter::All, None, 10).unwrap().items.is_empty());
    assert_eq!(index.settlement(&SettlementId([3; 32])).unwrap(), None);
    assert_eq!(index.counters().unwrap().settlements, 0);
}
