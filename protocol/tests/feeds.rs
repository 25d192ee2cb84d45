//! Feeds between validators: repeated, reordered, lost, forged.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the core's own strictness is for code that faces the outside"
)]

mod support;

use quadrille_protocol::crypto::suite::HybridSignatures;
use quadrille_protocol::error::Code;
use quadrille_protocol::log::{FeedPage, Frame, Record, RecordBytes};
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Event, Input, Message};
use support::puppet::Puppet;
use support::scene::{Market, REAL, account};
use support::{Net, Signing, Wire};

fn fingerprint(net: &Net, at: usize) -> Hash {
    net.banks[at].validator.state().fingerprint()
}

/// The pages that a bank has sent another, as frames, in order.
fn pages(net: &Net, from: usize, to: usize) -> Vec<(FeedPage, Vec<u8>)> {
    let to = net.domain(to);
    let mut found = Vec::new();
    for (batch, signature) in net.banks[from].batches.values() {
        for (at, page) in batch.pages().iter().filter(|(_, page)| page.to == to) {
            let frame = batch.frame(*at, signature).unwrap();
            found.push((page.clone(), quadrille_protocol::codec::encode(&frame)));
        }
    }
    found
}

fn misbehaved(net: &Net, at: usize) -> Vec<Code> {
    let code = |event: &Event| match event {
        Event::Misbehaved { refusal, .. } => Some(refusal.code),
        _ => None,
    };
    net.banks[at].events.iter().filter_map(code).collect()
}

fn traded() -> Market {
    let mut market = Market::new(2, REAL);
    let offer = market.offer(100, 200);
    let action = market.take(offer, 100, 200);
    market.net.order(&mut market.bob, action).unwrap();
    market
}

#[test]
fn pages_that_come_again_change_nothing() {
    let mut market = traded();
    for (from, to) in [(0, 1), (1, 0)] {
        let before = fingerprint(&market.net, to);
        for (_, frame) in pages(&market.net, from, to).into_iter().rev() {
            for _ in 0..2 {
                market.net.deliver(from, to, Wire::Frame(frame.clone())).unwrap();
            }
        }
        market.net.run();
        assert_eq!(fingerprint(&market.net, to), before);
        assert_eq!(misbehaved(&market.net, to), []);
    }
}

#[test]
fn a_skipped_page_is_not_applied_but_asked_for() {
    let mut market = Market::new(2, REAL);
    let mut puppet = Puppet::new(&market.net, 0);
    let strange = Record::TransitLedger(None).to_bytes().unwrap();
    let first = puppet.seal(&market.net, 1, vec![strange.clone()]);
    let second = puppet.seal(&market.net, 1, vec![strange]);
    let before = fingerprint(&market.net, 1);
    puppet.deliver(&mut market.net, 1, &second).unwrap();
    market.net.turn(1);
    assert_eq!(fingerprint(&market.net, 1), before);
    let asked = market.net.wire.pop_front().unwrap().2;
    assert!(matches!(asked, Wire::Message(Message::Resume { received: Sequence(0), .. })));
    puppet.deliver(&mut market.net, 1, &first).unwrap();
    puppet.deliver(&mut market.net, 1, &second).unwrap();
    market.net.turn(1);
    let domain = market.net.domain(0);
    assert_eq!(market.net.banks[1].validator.state().peer(&domain).unwrap().received, Sequence(2));
}

#[test]
fn a_statement_of_an_unknown_kind_keeps_its_number_and_the_feed_going() {
    let mut market = Market::new(2, REAL);
    let mut puppet = Puppet::new(&market.net, 0);
    let unknown = RecordBytes::new(&[14, 0, 0, 0, 99, 0, 0, 0]).unwrap();
    let forged = puppet.seal(&market.net, 1, vec![unknown.clone(), unknown]);
    puppet.deliver(&mut market.net, 1, &forged).unwrap();
    market.net.turn(1);
    assert_eq!(misbehaved(&market.net, 1), [Code::WrongRecord, Code::WrongRecord]);
    let domain = market.net.domain(0);
    assert_eq!(market.net.banks[1].validator.state().peer(&domain).unwrap().received, Sequence(2));
    let guard = market.net.banks[1].guard.unwrap();
    let batches = market.net.banks[1].log.len();
    let before = fingerprint(&market.net, 1);
    let boot = quadrille_protocol::validator::Boot::GuardApart(guard);
    market.net.restart(1, batches, boot);
    assert_eq!(fingerprint(&market.net, 1), before);
}

#[test]
fn whatever_is_lost_comes_again() {
    for lost in 1..24 {
        let mut market = Market::new(2, Signing::Off);
        let offer = market.offer(100, 200);
        let action = market.take(offer, 100, 200);
        market.bob_sends(action);
        // Every message with a number that `lost` divides is lost, for a while.
        let mut number = 0;
        for _ in 0..40 {
            while let Some((from, to, wire)) = market.net.wire.pop_front() {
                number += 1;
                if number % lost != 0 || number > 60 {
                    market.net.deliver(from, to, wire).unwrap();
                }
            }
            market.net.now = market.net.now.after(Duration(300));
            for at in 0..2 {
                market.net.banks[at].inputs.push_back(Input::Tick);
                market.net.turn(at);
            }
        }
        market.settle_down();
        market.net.check_quiet();
    }
}

#[test]
fn a_batch_that_says_very_much_to_a_peer_is_cut_into_pages() {
    let mut market = Market::new(2, Signing::Off);
    for _ in 0..1_200 {
        let action = market.pay(account(&market.net, &market.alice), 1, vec![]);
        market.bob_sends(action);
    }
    market.net.run();
    assert_eq!(market.balances()[1], (1_200, 0));
    let counts: Vec<usize> =
        pages(&market.net, 1, 0).iter().map(|(page, _)| page.items.len()).take(3).collect();
    assert_eq!(counts.iter().sum::<usize>(), 1_200);
    assert!(counts.iter().all(|count| *count <= 512));
    market.net.check_quiet();
}

#[test]
fn a_resume_from_another_network_is_answered_with_nothing() {
    let mut market = traded();
    let from = market.net.domain(1);
    let network: Network = "other-net".parse().unwrap();
    let message = Message::Resume { network, sent: Sequence(0), received: Sequence(0) };
    market.net.banks[0].inputs.push_back(Input::Message { from, message });
    market.net.turn(0);
    assert!(market.net.wire.is_empty());
    assert_eq!(misbehaved(&market.net, 0), [Code::WrongNetwork]);
}

#[test]
fn a_second_batch_for_one_height_suspends_its_bank_and_open_business_is_finished() {
    let mut market = Market::new(2, REAL);
    let offer = market.offer(100, 200);
    let action = market.take(offer, 50, 100);
    market.bob_sends(action);
    for at in [1, 0, 1] {
        while let Some((from, to, wire)) = market.net.wire.pop_front() {
            market.net.deliver(from, to, wire).unwrap();
        }
        market.net.turn(at);
    }
    assert_eq!(market.net.banks[1].said().last(), Some(&"Locked"));
    // Bank-a signs something else for the height of its agreement.
    let mut puppet = Puppet::new(&market.net, 0);
    let (height, sent) = (puppet.height, puppet.sent[1]);
    puppet.height = height;
    let strange = Record::TransitLedger(None).to_bytes().unwrap();
    let forged = puppet.forge(&market.net, 1, sent, vec![strange]);
    puppet.deliver(&mut market.net, 1, &forged).unwrap();
    market.net.turn(1);
    let records = market.net.banks[1].records();
    let Some(Record::Suspended(proof)) = records.last() else { unreachable!("{records:?}") };
    let directory = &market.net.banks[1].validator.state().directory;
    proof.verify(&market.net.network, directory, &HybridSignatures).unwrap();
    assert_eq!(*proof.domain(), market.net.domain(0));
    market.net.run();
    assert_eq!(market.net.balance(&market.bob, &market.bond), (50, 0));
    let action = market.take(offer, 50, 100);
    let refused = market.net.order(&mut market.bob, action).unwrap_err();
    assert_eq!(refused.code, Code::PeerSuspended);
    market.net.check_quiet();
}

#[test]
fn a_page_for_somebody_else_or_with_another_signature_is_no_page() {
    let mut market = Market::new(3, REAL);
    let mut puppet = Puppet::new(&market.net, 0);
    let strange = Record::TransitLedger(None).to_bytes().unwrap();
    let forged = puppet.seal(&market.net, 1, vec![strange]);
    let refused = puppet.deliver(&mut market.net, 2, &forged).unwrap_err();
    assert_eq!(refused.code, Code::NotAddressed);
    let bytes = forged.frames().remove(0);
    let refused = market.net.deliver(2, 1, Wire::Frame(bytes.clone())).unwrap_err();
    assert_eq!(refused.code, Code::WrongDomain);
    let mut frame = quadrille_protocol::codec::decode::<Frame, 1_048_576>(&bytes).unwrap();
    frame.checkpoint.checkpoint.time = Time(1);
    let bytes = quadrille_protocol::codec::encode(&frame);
    let refused = market.net.deliver(0, 1, Wire::Frame(bytes)).unwrap_err();
    assert_eq!(refused.code, Code::BadSignature);
}
