//! A member appoints us to decide among strangers and honest banks: neither may hurt us.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the core's own strictness is for code that faces the outside"
)]

mod support;

use quadrille_protocol::crypto::hash::{Preimage, hash_lock};
use quadrille_protocol::log::{Record, Statement};
use quadrille_protocol::settlement::Header;
use quadrille_protocol::types::*;
use support::puppet::Puppet;
use support::scene::Market;
use support::{Net, Signing};

fn appointment(net: &Net, number: u64, mut parties: Vec<Domain>) -> RecordBytes {
    parties.push(net.domain(0));
    parties.sort();
    let header = Header {
        network: net.network.clone(),
        number: AgreementNumber((1 << 40) + number),
        initiator: net.domain(0),
        decider: net.domain(1),
        parties: Bounded::new(parties).unwrap(),
        legs: Hash([7; 32]),
        lock: hash_lock(&Preimage([5; 32])),
        deadline: net.now.after(Duration(60_000)),
    };
    Record::Statement(Statement::Appointed(Box::new(header))).to_bytes().unwrap()
}

type RecordBytes = quadrille_protocol::log::RecordBytes;

/// `pages` full pages of appointments, `parties` beside the liar chosen by number.
fn flood(market: &mut Market, pages: u64, parties: impl Fn(&Net, u64) -> Vec<Domain>) {
    let net = &mut market.net;
    let mut puppet = Puppet::new(net, 0);
    for page in 0..pages {
        let numbers = page * 512..(page + 1) * 512;
        let records =
            numbers.map(|number| appointment(net, number, parties(net, number))).collect();
        let forged = puppet.seal(net, 1, records);
        puppet.deliver(net, 1, &forged).unwrap();
    }
    net.turn(1);
    net.turn(1);
}

#[test]
fn strangers_named_as_parties_leave_no_trace_and_stop_nothing() {
    let mut market = Market::new(3, Signing::Off);
    let known = market.net.banks[1].validator.state().peers.len();
    flood(&mut market, 7, |_, number| {
        (0..7).map(|i| format!("x{number}-{i}.example").parse().unwrap()).collect()
    });
    market.net.now = market.net.now.after(Duration(61_000));
    market.net.turn(1);
    let state = market.net.banks[1].validator.state();
    assert!(state.settlements.is_empty());
    assert_eq!(state.peers.len(), known.max(1));
}

#[test]
fn an_honest_bank_pays_for_no_appointment_that_another_made() {
    let mut market = Market::new(3, Signing::Off);
    flood(&mut market, 8, |net, _| vec![net.domain(2)]);
    let honest = market.net.domain(2);
    let state = market.net.banks[1].validator.state();
    assert!(!state.settlements.is_empty());
    assert_eq!(state.peer(&honest).map_or(0, |peer| peer.open), 0);
}
