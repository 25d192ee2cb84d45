//! Positions: told, compared, broken, explained; debts that are netted or settled up.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod support;

use quadrille_protocol::error::Code;
use quadrille_protocol::ledger::mirror::{Position, Reconciled};
use quadrille_protocol::limits::{POSITION_REPEAT_MS, POSITION_WAIT_MS};
use quadrille_protocol::log::{OutcomeKind, Record, Statement};
use quadrille_protocol::settlement::Account;
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Accepted, Command, Event};
use support::puppet::Puppet;
use support::scene::{Market, account, outcomes};
use support::{Customer, Signing};

fn owes(market: &Market, debtor: usize, creditor: usize) -> u128 {
    let creditor = market.net.domain(creditor);
    let state = market.net.banks[debtor].validator.state();
    state.books.correspondent(&creditor, &market.eur).owe.units()
}

fn reconciled(market: &Market, at: usize, peer: usize) -> Option<Reconciled> {
    let peer = market.net.domain(peer);
    let state = market.net.banks[at].validator.state();
    state.books.correspondent(&peer, &market.eur).mirror.reconciled
}

fn breaks(market: &Market, at: usize) -> usize {
    let events = market.net.banks[at].events.iter();
    events.filter(|event| matches!(event, Event::ReconciliationBreak { .. })).count()
}

/// Bob pays euros to a customer of another bank.
fn pay(market: &mut Market, to: &Customer, amount: u128) {
    let action = market.pay(account(&market.net, to), amount, vec![]);
    market.net.order(&mut market.bob, action).unwrap();
}

/// B owes A 70, A owes C 60, C owes B 50, each for a payment; all have transit ledgers and have
/// opted in. The transit ledgers come back in the order of the banks.
fn ring() -> (Market, Vec<Account>) {
    let mut market = Market::new(3, Signing::Off);
    let mut carol = market.net.customer(2, "carol");
    let to_alice = account(&market.net, &market.alice);
    let (to_bob, to_carol) = (account(&market.net, &market.bob), account(&market.net, &carol));
    let action = market.pay(to_alice, 70, vec![]);
    market.net.order(&mut market.bob, action).unwrap();
    let action = market.pay(to_carol, 60, vec![]);
    market.net.order(&mut market.alice, action).unwrap();
    let action = market.pay(to_bob, 50, vec![]);
    market.net.order(&mut carol, action).unwrap();
    let transit = (0..3).map(|bank| market.transit(bank)).collect();
    for bank in 0..3 {
        market.net.command(bank, Command::SetNetting(true)).unwrap();
    }
    assert_eq!([owes(&market, 1, 0), owes(&market, 0, 2), owes(&market, 2, 1)], [70, 60, 50]);
    (market, transit)
}

fn net(
    market: &mut Market,
    cycle: &[&Account],
    amount: u128,
) -> Result<Accepted, quadrille_protocol::error::Refusal> {
    let at = market.net.index(&cycle[0].domain);
    let cycle = cycle.iter().map(|account| (*account).clone()).collect();
    let command = Command::Net { asset: market.eur.clone(), cycle, amount: Amount::new(amount) };
    let result = market.net.command(at, command);
    market.settle_down();
    result
}

#[test]
fn after_a_payment_both_banks_find_their_books_mirrored() {
    let mut market = Market::new(2, Signing::Off);
    let alice = account(&market.net, &market.alice);
    let action = market.pay(alice, 70, vec![]);
    market.net.order(&mut market.bob, action).unwrap();
    assert_eq!([reconciled(&market, 0, 1), reconciled(&market, 1, 0)], [None, None]);
    market.net.pass(POSITION_WAIT_MS);
    for (at, peer) in [(0, 1), (1, 0)] {
        assert_eq!(reconciled(&market, at, peer).unwrap().count, 1);
        assert_eq!(breaks(&market, at), 0);
    }
    // Nothing new, nothing said; but from time to time it is said again.
    let said = |market: &Market| {
        let said = market.net.banks[0].said();
        said.iter().filter(|kind| **kind == "Position").count()
    };
    market.net.pass(10 * POSITION_WAIT_MS);
    assert_eq!(said(&market), 1);
    market.net.pass(POSITION_REPEAT_MS);
    assert_eq!(said(&market), 2);
}

#[test]
fn what_one_bank_has_booked_and_the_other_not_yet_is_no_break() {
    let mut market = Market::new(2, Signing::Off);
    let alice = market.net.customer(0, "anna");
    pay(&mut market, &alice, 10);
    let action = market.pay(account(&market.net, &alice), 70, vec![]);
    let signed = market.net.sign(&mut market.bob, action);
    market.net.submit(&market.bob, signed);
    // Bank-a decides and books; its word is held up, and so is all that comes after it, until
    // both have told positions about books that differ.
    market.net.turn(1);
    let held = loop {
        let Some((from, to, wire)) = market.net.wire.pop_front() else { panic!("nothing sent") };
        market.net.deliver(from, to, wire).unwrap();
        market.net.turn(to);
        if market.net.banks[0].said().contains(&"Decided(settle)") {
            break std::mem::take(&mut market.net.wire);
        }
    };
    assert!(owes(&market, 1, 0) == 10 && !held.is_empty());
    market.net.pass(POSITION_WAIT_MS);
    for (from, to, wire) in held {
        market.net.deliver(from, to, wire).unwrap();
    }
    market.net.run();
    market.settle_down();
    assert_eq!(owes(&market, 1, 0), 80);
    assert_eq!([breaks(&market, 0), breaks(&market, 1)], [0, 0]);
    assert_eq!(reconciled(&market, 0, 1).unwrap().count, 2);
    assert_eq!(reconciled(&market, 1, 0).unwrap().count, 2);
    market.net.check_quiet();
}

#[test]
fn a_break_stops_new_exposure_until_it_is_explained() {
    let mut market = Market::new(2, Signing::Off);
    let alice = market.net.customer(0, "anna");
    pay(&mut market, &alice, 70);
    market.settle_down();
    let (eur, peer) = (market.eur.clone(), market.net.domain(1));
    // Bank-b says that it owes one less than it does.
    let honest = market.net.banks[1].validator.state().position(&market.net.domain(0), &eur);
    let lie = Position { owe: Amount::new(69), ..honest.clone() };
    let mut puppet = Puppet::new(&market.net, 1);
    puppet.say(&mut market.net, 0, vec![Statement::Position(lie.clone())]);
    market.net.turn(0);
    assert_eq!(breaks(&market, 0), 1);
    let state = market.net.banks[0].validator.state();
    let known = state.books.correspondent(&peer, &eur);
    let broken = known.mirror.broken.clone().unwrap();
    assert_eq!((&broken.theirs, broken.ours.claim), (&lie, Amount::new(70)));
    let stopped = known.check_headroom(&peer, &eur, Amount::new(1)).unwrap_err();
    assert_eq!(stopped.code, Code::BooksDiffer);
    let explain = Command::ExplainBreak {
        peer: peer.clone(),
        asset: eur.clone(),
        note: "written off by agreement".parse().unwrap(),
    };
    market.net.command(0, explain.clone()).unwrap();
    let again = market.net.command(0, explain).unwrap_err();
    assert_eq!(again.code, Code::NoBreak);
    // The same difference again is known; another one is a new break; a true word is no break.
    for (said, expected) in [(lie, 1), (honest.clone(), 1)] {
        puppet.say(&mut market.net, 0, vec![Statement::Position(said)]);
        market.net.turn(0);
        assert_eq!(breaks(&market, 0), expected);
    }
    let other = Position { count: honest.count + 1, ..honest };
    puppet.say(&mut market.net, 0, vec![Statement::Position(other)]);
    market.net.turn(0);
    assert_eq!(breaks(&market, 0), 2);
    let kinds: Vec<&str> = market.net.banks[0].records().iter().map(Record::kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "Broken").count(), 2);
    assert_eq!(kinds.iter().filter(|kind| **kind == "Explained").count(), 1);
}

#[test]
fn a_break_is_known_after_a_replay_and_positions_go_on() {
    let (mut market, _) = ring();
    market.settle_down();
    let log = market.net.banks[0].log.len();
    let before = market.net.banks[0].validator.state().clone();
    let guard = market.net.banks[0].guard.unwrap();
    market.net.restart(0, log, quadrille_protocol::validator::Boot::GuardApart(guard));
    assert!(market.net.banks[0].validator.state() == &before);
    market.settle_down();
    assert!((0..3).all(|at| breaks(&market, at) == 0));
}

#[test]
fn a_ring_of_debts_is_netted_in_one_settlement() {
    let (mut market, transit) = ring();
    let settled = net(&mut market, &[&transit[1], &transit[0], &transit[2]], 50).unwrap();
    assert!(settled.settlement.is_some());
    assert_eq!([owes(&market, 1, 0), owes(&market, 0, 2), owes(&market, 2, 1)], [20, 10, 0]);
    let last: Vec<_> = outcomes(&market.net).iter().map(|ends| *ends.last().unwrap()).collect();
    assert_eq!(last, [OutcomeKind::Settle; 3]);
    market.net.check_quiet();
    assert!((0..3).all(|at| breaks(&market, at) == 0));
}

#[test]
fn who_has_not_opted_in_or_owes_nothing_takes_no_part() {
    for (spoil, code) in [(0, Code::NettingOff), (1, Code::NotNetting), (2, Code::BadCycle)] {
        let (mut market, mut transit) = ring();
        let mut amount = 50;
        match spoil {
            0 => drop(market.net.command(2, Command::SetNetting(false)).unwrap()),
            1 => amount = 71,
            _ => transit[2].ledger = market.net.customer(2, "other").ledger,
        }
        let result = net(&mut market, &[&transit[1], &transit[0], &transit[2]], amount);
        let declined: Vec<Code> = market.net.banks[2]
            .records()
            .iter()
            .filter_map(|record| match record {
                Record::Statement(Statement::Declined { refusal, .. }) => Some(refusal.code),
                _ => None,
            })
            .collect();
        match result {
            Ok(_) => assert_eq!(declined, [code]),
            Err(refusal) => assert_eq!(refusal.code, code),
        }
        assert_eq!([owes(&market, 1, 0), owes(&market, 0, 2), owes(&market, 2, 1)], [70, 60, 50]);
        market.net.check_quiet();
    }
}

#[test]
fn two_nettings_of_one_debt_race_and_it_falls_once() {
    let (mut market, transit) = ring();
    let cycles = [[1, 0, 2], [0, 2, 1], [2, 1, 0]];
    for at in cycles {
        let cycle: Vec<Account> = at.iter().map(|bank| transit[*bank].clone()).collect();
        let command = Command::Net { asset: market.eur.clone(), cycle, amount: Amount::new(50) };
        let request = market.net.banks[at[0]].request();
        let input = quadrille_protocol::validator::Input::Command { request, command };
        market.net.banks[at[0]].inputs.push_back(input);
    }
    market.net.run();
    market.settle_down();
    let debts = [owes(&market, 1, 0), owes(&market, 0, 2), owes(&market, 2, 1)];
    assert!(debts == [20, 10, 0] || debts == [70, 60, 50], "{debts:?}");
    market.net.check_quiet();
}

#[test]
fn a_debt_is_settled_up_with_a_claim_on_a_third_bank() {
    let mut market = Market::new(4, Signing::Off);
    let anna = market.net.customer(0, "anna");
    let (mut carol, mut dave) = (market.net.customer(2, "carol"), market.net.customer(3, "dave"));
    pay(&mut market, &anna, 70);
    pay(&mut market, &dave, 80);
    let action = market.pay(account(&market.net, &carol), 80, vec![]);
    market.net.order(&mut dave, action).unwrap();
    let action = market.pay(account(&market.net, &market.bob), 40, vec![]);
    market.net.order(&mut carol, action).unwrap();
    let debts = |market: &Market| [owes(market, 1, 0), owes(market, 2, 1), owes(market, 2, 0)];
    assert_eq!(debts(&market), [70, 40, 0]);
    let transit: Vec<Account> = (0..4).map(|bank| market.transit(bank)).collect();
    for bank in 0..4 {
        market.net.command(bank, Command::SetNetting(true)).unwrap();
    }
    let cycle = [&transit[1], &transit[0], &transit[2]];
    // More than the claim would be a loan of C's, and no settling up.
    net(&mut market, &cycle, 41).unwrap();
    assert_eq!(debts(&market), [70, 40, 0]);
    // B pays A with its claim on C: C owes A what it owed B.
    net(&mut market, &cycle, 40).unwrap();
    assert_eq!(debts(&market), [30, 0, 40]);
    market.net.check_quiet();
    assert!((0..4).all(|at| breaks(&market, at) == 0));
}

#[test]
fn a_settle_up_stays_within_the_limit_for_the_new_debtor() {
    let mut market = Market::new(4, Signing::Off);
    let anna = market.net.customer(0, "anna");
    let (mut carol, mut dave) = (market.net.customer(2, "carol"), market.net.customer(3, "dave"));
    pay(&mut market, &anna, 70);
    pay(&mut market, &dave, 80);
    let action = market.pay(account(&market.net, &carol), 80, vec![]);
    market.net.order(&mut dave, action).unwrap();
    let action = market.pay(account(&market.net, &market.bob), 40, vec![]);
    market.net.order(&mut carol, action).unwrap();
    let transit: Vec<Account> = (0..4).map(|bank| market.transit(bank)).collect();
    for bank in 0..4 {
        market.net.command(bank, Command::SetNetting(true)).unwrap();
    }
    market.net.limit(0, 2, &market.eur.clone(), 39);
    net(&mut market, &[&transit[1], &transit[0], &transit[2]], 40).unwrap();
    assert_eq!([owes(&market, 1, 0), owes(&market, 2, 0)], [70, 0]);
    net(&mut market, &[&transit[1], &transit[0], &transit[2]], 39).unwrap();
    assert_eq!([owes(&market, 1, 0), owes(&market, 2, 0)], [31, 39]);
    market.net.check_quiet();
}
