//! The state is the fold of the log: replayed, restored and live it is the same, bit by bit.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the core's own strictness is for code that faces the outside"
)]

mod support;

use quadrille_protocol::error::Code;
use quadrille_protocol::ledger::Action;
use quadrille_protocol::log::{Record, StoredBatch};
use quadrille_protocol::market::{OfferNotice, verify_live};
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Command, Validator};
use support::scene::{Market, account};
use support::{Signing, settings};

/// A small generator: the runs must be the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
        (self.0 >> 33) % sides
    }
}

/// Snapshots of bank-a and bank-b after each of their batches.
type Snapshots = Vec<Vec<(usize, Vec<u8>)>>;

/// Offers, takes, payments, cancels and refusals, with some messages lost.
fn long_run(seed: u64, steps: usize) -> (Market, Snapshots) {
    let mut market = Market::new(2, Signing::Off);
    let mut dice = Dice(seed);
    let mut offers = Vec::new();
    let mut snapshots: Snapshots = vec![Vec::new(), Vec::new()];
    for _ in 0..steps {
        match dice.roll(6) {
            0 | 1 => {
                let mut terms = market.terms(10 + u128::from(dice.roll(20)), 50);
                terms.selection_window = Duration(dice.roll(2) * 500);
                let signed = market.net.sign(&mut market.alice, Action::Offer(terms));
                offers.push(market.net.submit(&market.alice, signed).1);
            }
            2 | 3 if !offers.is_empty() => {
                let offer = offers[dice.roll(offers.len() as u64) as usize];
                let action = market.take(offer, 1 + u128::from(dice.roll(15)), 60);
                market.bob_sends(action);
            }
            4 if !offers.is_empty() => {
                let offer = offers[dice.roll(offers.len() as u64) as usize];
                let signed = market.net.sign(&mut market.alice, Action::Cancel { offer });
                market.net.submit(&market.alice, signed);
            }
            _ => {
                let to = account(&market.net, &market.alice);
                let action = market.pay(to, u128::from(dice.roll(40)), vec![]);
                market.bob_sends(action);
            }
        }
        if dice.roll(9) == 0 {
            market.net.wire.clear();
        }
        while let Some((from, to, wire)) = market.net.wire.pop_front() {
            let _ = market.net.deliver(from, to, wire);
        }
        market.net.now = market.net.now.after(Duration(dice.roll(4_000)));
        for (at, kept) in snapshots.iter_mut().enumerate() {
            market.net.turn(at);
            let bank = &market.net.banks[at];
            kept.push((bank.log.len(), bank.validator.snapshot()));
        }
        market.net.banks.iter().for_each(|bank| {
            quadrille_protocol::invariant::check(bank.validator.state()).unwrap();
        });
    }
    market.settle_down();
    market.net.check_quiet();
    (market, snapshots)
}

#[test]
fn replayed_restored_and_live_states_are_equal_after_every_batch() {
    let (market, snapshots) = long_run(7, 120);
    for (at, kept) in snapshots.iter().enumerate() {
        let bank = &market.net.banks[at];
        let last = bank.validator.snapshot();
        for (batches, snapshot) in kept {
            let replayed = Validator::replay(settings(at), &bank.log[..*batches]).unwrap();
            assert_eq!(replayed.snapshot(), *snapshot, "{at}: {batches} batches replayed");
            let later: &[StoredBatch] = &bank.log[*batches..];
            let restored = Validator::restore(settings(at), snapshot, later).unwrap();
            assert_eq!(restored.snapshot(), last, "{at}: restored at {batches}");
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_log() {
    let logs = |seed| {
        let (market, _) = long_run(seed, 60);
        market.net.banks.into_iter().map(|bank| bank.log).collect::<Vec<_>>()
    };
    assert_eq!(logs(11), logs(11));
    assert_ne!(logs(11), logs(12));
}

#[test]
fn a_log_with_a_batch_left_out_or_altered_does_not_replay() {
    let (market, _) = long_run(3, 20);
    let log = &market.net.banks[0].log;
    for gap in 1..log.len() - 1 {
        let rest = log.iter().enumerate().filter(|(at, _)| *at != gap).map(|(_, batch)| batch);
        assert!(Validator::replay(settings(0), rest).is_err());
    }
    assert!(Validator::replay(settings(0), &[]).is_err());
    assert!(Validator::replay(settings(0), &log[1..]).is_err());
    assert!(Validator::restore(settings(0), &[1, 2, 3], &[] as &[StoredBatch]).is_err());
}

#[test]
fn a_late_joiner_sees_all_live_offers_or_that_one_is_missing() {
    let mut market = Market::new(2, Signing::Off);
    let offers: Vec<OrderId> = (1..6).map(|give| market.offer(10 * give, 50)).collect();
    market.net.order(&mut market.alice, Action::Cancel { offer: offers[1] }).unwrap();
    let action = market.take(offers[2], 5, 50);
    market.net.order(&mut market.bob, action).unwrap();
    market.net.command(0, Command::PublishBook).unwrap();
    let records = market.net.banks[0].records();
    let root = records.iter().rev().find_map(|record| match record {
        Record::Book(root) => Some(root.clone()),
        _ => None,
    });
    let root = root.unwrap();
    let domain = market.net.domain(0);
    let own = market.net.banks[0].validator.book();
    let mut list: Vec<OfferNotice> = own.live_of(&domain).cloned().collect();
    assert_eq!(list.len(), 4);
    // The other bank has heard the same by gossip.
    let heard = market.net.banks[1].validator.book();
    assert_eq!(heard.live_of(&domain).cloned().collect::<Vec<_>>(), list);
    verify_live(&domain, &list, root.root, root.count).unwrap();
    list.remove(2);
    let refused = verify_live(&domain, &list, root.root, root.count).unwrap_err();
    assert_eq!(refused.code, Code::BadBookRoot);
}

#[test]
fn a_list_of_live_offers_can_be_checked_by_those_whom_some_offers_exclude() {
    let mut market = Market::new(3, Signing::Off);
    market.offer(10, 50);
    let mut terms = market.terms(20, 50);
    terms.counterparties = Bounded::new(vec![market.net.domain(1)]).unwrap();
    market.offer_terms(terms);
    market.net.command(0, Command::PublishBook).unwrap();
    let records = market.net.banks[0].records();
    let root = records.iter().rev().find_map(|record| match record {
        Record::Book(root) => Some(root.clone()),
        _ => None,
    });
    let root = root.unwrap();
    let domain = market.net.domain(0);
    let heard = market.net.banks[2].validator.book();
    let list: Vec<OfferNotice> = heard.live_of(&domain).cloned().collect();
    assert_eq!(list.len(), 1);
    verify_live(&domain, &list, root.root, root.count).unwrap();
}
