//! Old copies: a bank that has forgotten what it said gets it back before it says more.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the core's own strictness is for code that faces the outside"
)]

mod support;

use std::collections::BTreeMap;

use quadrille_protocol::error::Code;
use quadrille_protocol::ledger::account::Status;
use quadrille_protocol::log::{Evidence, OutcomeKind, Record};
use quadrille_protocol::settlement::Account;
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Boot, Command, Event, Input, Message};
use support::puppet::Puppet;
use support::scene::{Market, REAL, account, outcomes};
use support::{Net, Signing, Wire};

type Opening = fn() -> Market;

/// Banks that have dealt with one another before.
fn known(banks: usize) -> Market {
    let mut market = Market::new(banks, Signing::Off);
    let route = if banks > 2 { vec![market.transit(2)] } else { vec![] };
    let there = market.pay(account(&market.net, &market.alice), 100, route.clone());
    market.net.order(&mut market.bob, there).unwrap();
    let back = market.pay(account(&market.net, &market.bob), 100, route);
    market.net.order(&mut market.alice, back).unwrap();
    market.net.check_quiet();
    for bank in &mut market.net.banks {
        bank.events.clear();
    }
    market
}

fn trade() -> Market {
    let mut market = known(2);
    let offer = market.offer(100, 200);
    let action = market.take(offer, 100, 200);
    market.bob_sends(action);
    market
}

fn payment() -> Market {
    let mut market = known(3);
    let house = market.net.banks[2].validator.state().transit.unwrap();
    let transit = Account { domain: market.net.domain(2), ledger: house };
    let action = market.pay(account(&market.net, &market.alice), 500, vec![transit]);
    market.bob_sends(action);
    market
}

fn notary() -> Market {
    let mut market = known(3);
    let mut terms = market.terms(100, 200);
    terms.notary = Some(market.net.domain(2));
    let offer = market.offer_terms(terms);
    let action = market.take(offer, 100, 200);
    market.bob_sends(action);
    market
}

/// The checkpoints that a bank has signed, by height.
type Signed = BTreeMap<Height, Hash>;

fn signed(net: &Net, at: usize) -> Signed {
    let batches = net.banks[at].batches.iter();
    batches.map(|(height, (batch, _))| (*height, batch.checkpoint().hash())).collect()
}

/// Those of them that peers have seen.
fn shown(net: &Net, at: usize) -> Signed {
    let domain = net.domain(at);
    let peers = net.banks.iter().filter_map(|bank| bank.validator.state().peer(&domain));
    let checkpoints = peers.flat_map(|peer| &peer.checkpoints);
    checkpoints.map(|known| (known.checkpoint.height, known.checkpoint.hash())).collect()
}

/// Whether a bank has drawn up an agreement of which nobody has heard.
fn agreement_unheard(net: &Net, at: usize) -> bool {
    let state = net.banks[at].validator.state();
    let heard = |other: &SettlementId| {
        net.banks.iter().filter(|bank| bank.validator.state().settlement(other).is_ok()).count() > 1
    };
    state.settlements.sorted().iter().any(|(id, known)| known.initiator.is_some() && !heard(id))
}

/// What alice's and bob's wallets keep of their bank.
fn wallets(market: &Market, at: usize) -> Vec<Evidence> {
    let customers = [&market.alice, &market.bob];
    let own = customers.into_iter().filter(|customer| customer.bank == at);
    own.flat_map(|customer| market.net.evidence_of(customer)).collect()
}

fn boot(market: &Market, at: usize, apart: bool) -> Boot {
    match apart {
        true => Boot::GuardApart(market.net.banks[at].guard.unwrap()),
        false => Boot::GuardUnsure(None),
    }
}

/// Runs `turns` single turns of the banks that have something to do.
fn some_turns(net: &mut Net, turns: usize) -> bool {
    for _ in 0..turns {
        while let Some((from, to, wire)) = net.wire.pop_front() {
            let _ = net.deliver(from, to, wire);
        }
        let busy = (0..net.banks.len()).find(|at| !net.banks[*at].inputs.is_empty());
        let Some(at) = busy else { return false };
        net.turn(at);
    }
    true
}

/// A bank restored from every earlier copy, at every moment of a settlement, its customers
/// bringing back what they have.
fn restore_everywhere(open: Opening, bank: usize) {
    let first = open().net.banks[bank].log.len();
    for turns in 1.. {
        let mut at_moment = open();
        let more = some_turns(&mut at_moment.net, turns);
        for copy in first..=at_moment.net.banks[bank].log.len() {
            for apart in [true, false] {
                restored(open, bank, turns, copy, apart);
            }
        }
        if !more {
            return;
        }
    }
}

fn restored(open: Opening, bank: usize, turns: usize, copy: usize, apart: bool) {
    let what = format!("{bank} after {turns} turns from {copy}, apart {apart}");
    let mut market = open();
    some_turns(&mut market.net, turns);
    let wallet = wallets(&market, bank);
    let before = match apart {
        true => signed(&market.net, bank),
        // A guard that is lost too cannot know of what no peer has seen.
        false => shown(&market.net, bank),
    };
    // What was set aside for it comes back with the customer, the agreement with nobody.
    if agreement_unheard(&market.net, bank) {
        return;
    }
    let boot = boot(&market, bank, apart);
    market.net.restart(bank, copy, boot);
    market.net.run();
    if market.net.banks[bank].validator.is_recovering() {
        market.net.give_back(bank, wallet);
        market.net.command(bank, Command::CustomersHeard).unwrap();
        market.net.pass(10);
    }
    market.settle_down();
    assert!(!market.net.banks[bank].validator.is_recovering(), "{what}");
    for (height, hash) in signed(&market.net, bank) {
        assert!(before.get(&height).is_none_or(|known| *known == hash), "{what}: {height} twice");
    }
    let unresolved = |event: &&Event| matches!(event, Event::Unresolved { .. });
    let stuck: Vec<_> = market.net.banks[bank].events.iter().filter(unresolved).collect();
    assert!(stuck.is_empty(), "{what}: {stuck:?}");
    let said: Vec<OutcomeKind> = outcomes(&market.net).into_iter().flatten().collect();
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "{what}: {said:?}");
    let whole = [
        [(900, 0), (200, 0), (100, 0), (4_800, 0)],
        [(1_000, 0), (500, 0), (0, 0), (4_500, 0)],
        [(1_000, 0), (0, 0), (0, 0), (5_000, 0)],
        // The offer stands until it expires.
        [(900, 100), (0, 0), (0, 0), (5_000, 0)],
    ];
    assert!(whole.contains(&market.balances()), "{what}: {:?}", market.balances());
    market.net.check_quiet();
}

#[test]
fn a_restored_initiator_of_a_trade_finishes_like_the_others() {
    restore_everywhere(trade, 0);
}

#[test]
fn a_restored_decider_of_a_trade_finishes_like_the_others() {
    restore_everywhere(trade, 1);
}

#[test]
fn a_restored_initiator_of_a_payment_finishes_like_the_others() {
    restore_everywhere(payment, 1);
}

#[test]
fn a_restored_intermediary_finishes_like_the_others() {
    restore_everywhere(payment, 2);
}

#[test]
fn a_restored_decider_of_a_payment_finishes_like_the_others() {
    restore_everywhere(payment, 0);
}

#[test]
fn a_restored_notary_finishes_like_the_others() {
    restore_everywhere(notary, 2);
}

#[test]
fn restored_parties_of_a_notarised_trade_finish_like_the_others() {
    restore_everywhere(notary, 0);
    restore_everywhere(notary, 1);
}

#[test]
fn without_the_customers_copies_their_ledgers_are_frozen_and_the_node_stays_up() {
    for (open, bank) in [(trade as Opening, 0), (trade, 1), (payment, 0), (payment, 1)] {
        let mut market = open();
        let copy = market.net.banks[bank].log.len() - usize::from(bank == 0);
        market.net.run();
        let boot = boot(&market, bank, true);
        market.net.restart(bank, copy, boot);
        market.net.run();
        market.net.command(bank, Command::CustomersHeard).unwrap();
        market.settle_down();
        let bank = &market.net.banks[bank];
        assert!(!bank.validator.is_recovering());
        let unresolved = |event: &Event| matches!(event, Event::Unresolved { .. });
        if !bank.events.iter().any(unresolved) {
            market.net.check();
            continue;
        }
        let ledgers = &bank.validator.state().books.ledgers;
        let customer =
            if bank.domain.as_str() == "bank-a.example" { &market.alice } else { &market.bob };
        let ledger = ledgers.get(&customer.ledger).unwrap();
        assert_eq!(ledger.status, Status::Frozen, "{}", bank.domain);
    }
}

#[test]
fn a_recovering_bank_takes_no_orders() {
    let mut market = Market::new(2, REAL);
    let copy = market.net.banks[1].log.len();
    let action = market.pay(account(&market.net, &market.alice), 500, vec![]);
    market.net.order(&mut market.bob, action.clone()).unwrap();
    let boot = boot(&market, 1, true);
    market.net.restart(1, copy, boot);
    market.net.run();
    let refused = market.net.order(&mut market.bob, action).unwrap_err();
    assert_eq!(refused.code, Code::Recovering);
    let refused = market.net.command(1, Command::Drain).unwrap_err();
    assert_eq!(refused.code, Code::Recovering);
    let refused = market.net.command(0, Command::CustomersHeard).unwrap_err();
    assert_eq!(refused.code, Code::NotRecovering);
    assert_eq!(market.net.banks[1].log.len(), copy);
}

#[test]
fn an_unsure_bank_waits_for_all_its_peers_and_goes_on() {
    let mut market = payment();
    market.net.run();
    let batches = market.net.banks[1].log.len();
    market.net.restart(1, batches, Boot::GuardUnsure(market.net.banks[1].guard));
    // Bank-c does not answer.
    market.net.banks[2].inputs.clear();
    market.net.wire.retain(|(from, to, _)| *from != 2 && *to != 2);
    for _ in 0..4 {
        market.net.turn(1);
        market.net.turn(0);
        market.net.wire.retain(|(from, to, _)| *from != 2 && *to != 2);
        while let Some((from, to, wire)) = market.net.wire.pop_front() {
            market.net.deliver(from, to, wire).unwrap();
        }
    }
    assert!(market.net.banks[1].validator.is_recovering());
    for (at, other) in [(1, 2), (2, 1)] {
        let other = market.net.domain(other);
        market.net.banks[at].inputs.push_back(Input::Connected(other));
    }
    market.net.pass(3_000);
    assert!(!market.net.banks[1].validator.is_recovering());
    // Nothing was lost: what it has written since is new, its positions toward the others.
    let since = market.net.banks[1].log.iter().skip(batches);
    let since = since.flat_map(|batch| &batch.records).map(|bytes| Record::read(bytes).unwrap());
    let kinds: Vec<&str> = since.map(|record| record.kind()).collect();
    assert!(!kinds.contains(&"Recovering"), "{kinds:?}");
    market.settle_down();
    market.net.check_quiet();
}

#[test]
fn a_peer_that_is_gone_can_be_given_up_on() {
    let mut market = payment();
    market.net.run();
    let batches = market.net.banks[1].log.len();
    market.net.restart(1, batches, Boot::GuardUnsure(None));
    market.net.banks[1].inputs.clear();
    market.net.banks[2].inputs.clear();
    let gone = market.net.domain(2);
    market.net.wire.clear();
    let request = market.net.banks[1].request();
    let command = Command::GiveUpOn(gone);
    market.net.banks[1].inputs.push_back(Input::Command { request, command });
    let other = market.net.domain(0);
    market.net.banks[1].inputs.push_back(Input::Connected(other));
    for at in [1, 0, 1, 1] {
        market.net.turn(at);
        market.net.wire.retain(|(from, to, _)| *from != 2 && *to != 2);
        while let Some((from, to, wire)) = market.net.wire.pop_front() {
            market.net.deliver(from, to, wire).unwrap();
        }
    }
    assert!(!market.net.banks[1].validator.is_recovering());
}

#[test]
fn a_peer_that_claims_more_than_it_shows_does_not_stop_a_live_bank() {
    let mut market = trade();
    market.net.run();
    let network = market.net.network.clone();
    let message = Message::Resume { network, sent: Sequence(999), received: Sequence(999) };
    let from = market.net.domain(1);
    market.net.banks[0].inputs.push_back(Input::Message { from, message });
    market.net.run();
    assert!(!market.net.banks[0].validator.is_recovering());
    assert!(market.net.banks[0].validator.acknowledged(&market.net.domain(1)) < Sequence(999));
    let offer = market.offer(10, 20);
    let action = market.take(offer, 10, 20);
    market.net.order(&mut market.bob, action).unwrap();
    market.settle_down();
    market.net.check_quiet();
}

#[test]
fn a_stop_in_the_middle_of_adopting_loses_nothing() {
    let mut market = known(2);
    let copy = market.net.banks[0].log.len();
    // More than one batch can take.
    for _ in 0..8_300 {
        let (asset, ledger) = (market.bond.clone(), market.alice.ledger);
        let command = Command::Issue { asset, ledger, amount: Amount::new(1), name: None };
        let request = market.net.banks[0].request();
        market.net.banks[0].inputs.push_back(Input::Command { request, command });
    }
    market.net.run();
    let action = market.pay(account(&market.net, &market.alice), 500, vec![]);
    market.net.order(&mut market.bob, action).unwrap();
    let wallet = wallets(&market, 0);
    let boot_as = boot(&market, 0, true);
    market.net.restart(0, copy, boot_as);
    market.net.run();
    let adopts = market.net.banks[0].log.len() + 1;
    market.net.crash =
        Some(support::Crash { bank: 0, after: adopts, keep: adopts, apart: true, spoken: true });
    market.net.give_back(0, wallet.clone());
    market.net.command(0, Command::CustomersHeard).unwrap();
    market.net.pass(10);
    assert!(market.net.crash.is_none());
    assert!(market.net.banks[0].validator.is_recovering(), "it must know that it is not done");
    market.net.give_back(0, wallet);
    market.net.command(0, Command::CustomersHeard).unwrap();
    market.settle_down();
    assert!(!market.net.banks[0].validator.is_recovering());
    assert_eq!(market.balances()[..2], [(9_300, 0), (500, 0)]);
    market.net.check_quiet();
}

#[test]
fn a_decision_given_back_without_its_settlement_is_not_made_otherwise_later() {
    let mut market = payment();
    let copy = market.net.banks[0].log.len();
    market.net.run();
    assert_eq!(market.balances()[1], (500, 0));
    let boot = boot(&market, 0, true);
    market.net.restart(0, copy, boot);
    // The initiator is away, and is given up on.
    market.net.wire.clear();
    market.net.banks[1].inputs.clear();
    market.net.banks[0].inputs.clear();
    let there = market.net.domain(2);
    market.net.banks[0].inputs.push_back(Input::Connected(there));
    for command in [Command::GiveUpOn(market.net.domain(1)), Command::CustomersHeard] {
        let request = market.net.banks[0].request();
        market.net.banks[0].inputs.push_back(Input::Command { request, command });
    }
    for at in [0, 2, 0, 0].repeat(4) {
        market.net.turn(at);
        market.net.wire.retain(|(from, to, _)| *from != 1 && *to != 1);
        while let Some((from, to, wire)) = market.net.wire.pop_front() {
            let _ = market.net.deliver(from, to, wire);
        }
    }
    assert!(!market.net.banks[0].validator.is_recovering());
    // It comes back with its agreement and its reveal, too late.
    market.net.now = market.net.now.after(Duration(60_000));
    for (at, other) in [(0, 1), (1, 0)] {
        let other = market.net.domain(other);
        market.net.banks[at].inputs.push_back(Input::Connected(other));
    }
    market.net.run();
    for span_ms in [3_000, 30_000, 60_000] {
        market.net.pass(span_ms);
    }
    assert!(!market.net.banks[0].said().contains(&"Decided(refund)"));
}

#[test]
fn a_peer_whose_feed_contradicts_itself_does_not_hold_a_recovery_up() {
    let mut market = known(2);
    let mut puppet = Puppet::new(&market.net, 0);
    let strange = Record::TransitLedger(None).to_bytes().unwrap();
    let first = puppet.sent[1].next();
    let one = puppet.seal(&market.net, 1, vec![strange.clone()]);
    puppet.deliver(&mut market.net, 1, &one).unwrap();
    market.net.turn(1);
    let said = market.net.banks[1].validator.state().peer(&market.net.domain(0)).unwrap().sent;
    let batches = market.net.banks[1].log.len();
    market.net.restart(1, batches, Boot::GuardUnsure(None));
    let turn = |market: &mut Market| {
        // Bank 0 is the puppet: it answers nothing by itself.
        market.net.turn(1);
        market.net.turn(1);
        market.net.wire.clear();
        market.net.banks[1].validator.is_recovering()
    };
    let claim = |market: &mut Market, received: Sequence| {
        let (network, sent) = (market.net.network.clone(), first.next());
        let resume = Message::Resume { network, sent, received };
        market.net.deliver(0, 1, Wire::Message(resume)).unwrap();
    };
    claim(&mut market, said.next());
    assert!(turn(&mut market));
    // The same number again, on another page: neither goes with the other.
    puppet.height = puppet.height.next();
    let other = puppet.forge(&market.net, 1, first, vec![strange.clone(), strange]);
    puppet.deliver(&mut market.net, 1, &other).unwrap();
    puppet.deliver(&mut market.net, 1, &other).unwrap();
    assert!(turn(&mut market), "it has heard more of us than our log has");
    let replays = market.net.banks[1].events.iter().filter(
        |event| matches!(event, Event::Misbehaved { refusal, .. } if refusal.code == Code::FeedReplay),
    );
    assert_eq!(replays.count(), 1);
    claim(&mut market, said);
    assert!(!turn(&mut market));
}
