//! What somebody's questions may and may not bring about at a decider.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the core's own strictness is for code that faces the outside"
)]

mod support;

use quadrille_protocol::crypto::hash::{Preimage, hash_lock};
use quadrille_protocol::error::Code;
use quadrille_protocol::limits::TOMBSTONES_PER_ASKER;
use quadrille_protocol::settlement::Header;
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Boot, Event, Input, Message};
use support::scene::Market;
use support::{Net, Signing};

/// The header of an agreement of bank-a and bank-c that there never was; bank-b is to decide.
fn invented(net: &Net, number: u64) -> Header {
    Header {
        network: net.network.clone(),
        number: AgreementNumber(number),
        initiator: net.domain(0),
        decider: net.domain(1),
        parties: Bounded::new(vec![net.domain(0), net.domain(2)]).unwrap(),
        legs: Hash([7; 32]),
        lock: hash_lock(&Preimage([5; 32])),
        deadline: net.now.before(Duration(1)),
    }
}

/// Bank-c asks bank-b.
fn ask(net: &mut Net, header: Header) {
    let message = Message::Query(Box::new(header));
    let from = net.domain(2);
    net.banks[1].inputs.push_back(Input::Message { from, message });
}

fn misbehaved(net: &Net, at: usize) -> Vec<(Domain, Code)> {
    let of = |event: &Event| match event {
        Event::Misbehaved { peer, refusal } => Some((peer.clone(), refusal.code)),
        _ => None,
    };
    net.banks[at].events.iter().filter_map(of).collect()
}

#[test]
fn invented_questions_do_not_stop_business_with_the_one_they_name() {
    let mut market = Market::new(3, Signing::Off);
    let net = &mut market.net;
    for number in 0..TOMBSTONES_PER_ASKER as u64 + 10 {
        let header = invented(net, u64::MAX - number);
        ask(net, header);
        if number % 256 == 0 {
            net.run();
        }
    }
    net.run();
    let state = net.banks[1].validator.state();
    assert_eq!(state.settlements.len(), TOMBSTONES_PER_ASKER);
    assert_eq!(state.tombstones.len(), TOMBSTONES_PER_ASKER);
    assert!(net.domain(0) != net.domain(1) && state.peers.values().all(|peer| peer.open == 0));
    let refused = vec![(net.domain(2), Code::TooManySettlements); 10];
    assert_eq!(misbehaved(net, 1), refused);
    net.check();
    let (batches, guard) = (net.banks[1].log.len(), net.banks[1].guard.unwrap());
    let before = net.banks[1].validator.snapshot();
    net.restart(1, batches, Boot::GuardApart(guard));
    assert_eq!(net.banks[1].validator.snapshot(), before);
    net.run();
    let offer = market.offer(100, 200);
    let action = market.take(offer, 100, 200);
    market.net.order(&mut market.bob, action).unwrap();
    assert_eq!(market.balances()[2], (100, 0));
    market.net.check();
}

#[test]
fn a_question_that_names_strangers_is_not_answered() {
    let mut market = Market::new(3, Signing::Off);
    let net = &mut market.net;
    let stranger: Domain = "bank-z.example".parse().unwrap();
    let mut by_stranger = invented(net, 1 << 40);
    by_stranger.initiator = stranger.clone();
    by_stranger.parties = Bounded::new(vec![net.domain(2), stranger.clone()]).unwrap();
    let mut with_stranger = invented(net, 1 << 40);
    let parties = vec![net.domain(0), net.domain(2), stranger];
    with_stranger.parties = Bounded::new(parties).unwrap();
    for header in [by_stranger, with_stranger] {
        ask(net, header);
        net.run();
        assert!(net.banks[1].validator.state().settlements.is_empty());
    }
    assert_eq!(misbehaved(net, 1), vec![(net.domain(2), Code::UnknownDomain); 2]);
    net.check_quiet();
}

#[test]
fn at_its_deadline_nothing_is_due_and_just_after_it_is() {
    let mut market = Market::new(3, Signing::Off);
    let net = &mut market.net;
    let mut header = invented(net, 1 << 40);
    header.deadline = net.now;
    ask(net, header.clone());
    net.run();
    assert!(net.banks[1].said().is_empty());
    assert!(net.banks[1].validator.state().settlements.is_empty());
    net.pass(1);
    ask(net, header);
    net.run();
    assert_eq!(net.banks[1].said(), ["Decided(refund)"]);
}

#[test]
fn an_open_decider_waits_for_its_timer_even_when_asked_at_the_deadline() {
    let mut market = Market::new(2, Signing::Off);
    let offer = market.offer(100, 200);
    let action = market.take(offer, 100, 200);
    market.bob_sends(action);
    let net = &mut market.net;
    for at in [1, 0, 1] {
        while let Some((from, to, wire)) = net.wire.pop_front() {
            net.deliver(from, to, wire).unwrap();
        }
        net.turn(at);
    }
    net.wire.clear();
    assert_eq!(net.banks[1].said().last(), Some(&"Locked"));
    let open = net.banks[1].validator.state().settlements.sorted();
    let header = open[0].1.header.clone();
    net.now = header.deadline;
    let (from, message) = (net.domain(0), Message::Query(Box::new(header)));
    net.banks[1].inputs.push_back(Input::Message { from, message });
    net.turn(1);
    assert_eq!(net.banks[1].said().last(), Some(&"Locked"));
    // Nobody asks again: its own timer is enough.
    net.now = net.now.after(Duration(1));
    net.turn(1);
    assert_eq!(net.banks[1].said().last(), Some(&"Decided(refund)"));
}
