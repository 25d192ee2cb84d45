//! Settlements between validators: every step, every crash, every refusal, every liar.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the core's own strictness is for code that faces the outside"
)]

mod support;

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::{Preimage, hash_lock};
use quadrille_protocol::error::Code;
use quadrille_protocol::ledger::Action;
use quadrille_protocol::log::{OutcomeKind, Record, Statement};
use quadrille_protocol::settlement::{Account, Agreement, Header, Initiator, Leg, Purpose};
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Boot, Event, Input, Message};
use support::puppet::Puppet;
use support::scene::{Market, REAL, account, outcomes};
use support::{Crash, Net, Signing, Wire};

/// How a settlement of the sweeps begins.
type Opening = fn() -> Market;

/// Alice's bonds for bob's euros; bob's bank decides.
fn trade() -> Market {
    let mut market = Market::new(2, Signing::Off);
    let offer = market.offer(100, 200);
    let action = market.take(offer, 100, 200);
    market.bob_sends(action);
    market
}

/// Bob pays alice over a transit ledger at bank-c.
fn payment() -> Market {
    let mut market = Market::new(3, Signing::Off);
    let transit = market.transit(2);
    let action = market.pay(account(&market.net, &market.alice), 500, vec![transit]);
    market.bob_sends(action);
    market
}

/// As `trade`, with bank-c as notary.
fn notary() -> Market {
    let mut market = Market::new(3, Signing::Off);
    let mut terms = market.terms(100, 200);
    terms.notary = Some(market.net.domain(2));
    let offer = market.offer_terms(terms);
    let action = market.take(offer, 100, 200);
    market.bob_sends(action);
    market
}

fn lengths(net: &Net) -> Vec<usize> {
    net.banks.iter().map(|bank| bank.log.len()).collect()
}

/// Whether all banks say the same of the one settlement; which, where there was one.
fn one_outcome(market: &Market) -> Option<OutcomeKind> {
    let said: Vec<OutcomeKind> = outcomes(&market.net).into_iter().flatten().collect();
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "{said:?}");
    said.first().copied()
}

/// Stops each bank after each of its batches, with and without its last words.
fn stop_everywhere(open: Opening, settled: [(u128, u128); 4]) {
    let mut plain = open();
    let before = plain.balances();
    let first = lengths(&plain.net);
    plain.net.run();
    plain.settle_down();
    plain.net.check_quiet();
    assert_eq!(plain.balances(), settled);
    let last = lengths(&plain.net);
    for bank in 0..first.len() {
        for after in first[bank] + 1..=last[bank] {
            for spoken in [true, false] {
                let mut market = open();
                let crash = Crash { bank, after, keep: after, apart: true, spoken };
                market.net.crash = Some(crash);
                market.net.run();
                market.settle_down();
                market.net.check_quiet();
                let end = market.balances();
                let whole = match one_outcome(&market) {
                    Some(OutcomeKind::Settle) => end == settled,
                    // A take that came to nothing leaves its offer standing until it expires.
                    _ => end == before || end[1..] == [(0, 0), (0, 0), (5_000, 0)],
                };
                assert!(whole, "{crash:?}: {end:?}");
            }
        }
    }
}

#[test]
fn a_trade_survives_a_stop_of_either_bank_after_any_batch() {
    stop_everywhere(trade, [(900, 0), (200, 0), (100, 0), (4_800, 0)]);
}

#[test]
fn a_payment_in_transit_survives_a_stop_of_any_bank_after_any_batch() {
    stop_everywhere(payment, [(1_000, 0), (500, 0), (0, 0), (4_500, 0)]);
}

#[test]
fn a_notarised_trade_survives_a_stop_of_any_bank_after_any_batch() {
    stop_everywhere(notary, [(900, 0), (200, 0), (100, 0), (4_800, 0)]);
}

/// Delivers what is on the wire and lets the banks named have a turn each, in order.
fn turns(net: &mut Net, order: &[usize]) {
    for at in order {
        while let Some((from, to, wire)) = net.wire.pop_front() {
            net.deliver(from, to, wire).unwrap();
        }
        net.turn(*at);
    }
}

/// Until the initiator has drawn up the agreement and said so; nobody has heard it yet.
fn until_agreed(net: &mut Net, initiator: usize) {
    for at in [1, 0, 1, 0] {
        turns(net, &[at]);
        if net.banks[initiator].said().contains(&"Agreed") {
            return;
        }
    }
    panic!("no agreement");
}

/// Cuts a bank off: what it says and hears is lost.
fn silence(net: &mut Net, at: usize) {
    net.wire.retain(|(from, to, _)| *from != at && *to != at);
}

/// Time passes and a bank is cut off all the while.
fn pass_without(net: &mut Net, at: usize, span_ms: u64) {
    net.now = net.now.after(Duration(span_ms));
    for _ in 0..12 {
        for other in 0..net.banks.len() {
            if other != at {
                net.banks[other].inputs.push_back(Input::Tick);
                net.turn(other);
            }
        }
        silence(net, at);
        while let Some((from, to, wire)) = net.wire.pop_front() {
            let _ = net.deliver(from, to, wire);
        }
    }
}

#[test]
fn an_initiator_that_stops_before_its_reveal_costs_nobody_anything() {
    for (open, initiator) in [(trade as Opening, 0), (payment, 1), (notary, 0)] {
        let mut market = open();
        until_agreed(&mut market.net, initiator);
        while let Some((from, to, wire)) = market.net.wire.pop_front() {
            market.net.deliver(from, to, wire).unwrap();
        }
        for span_ms in [31_000, 6_000, 30_000] {
            pass_without(&mut market.net, initiator, span_ms);
        }
        for at in (0..market.net.banks.len()).filter(|at| *at != initiator) {
            let state = market.net.banks[at].validator.state();
            let open: Vec<_> = state.settlements.sorted();
            assert!(open.iter().all(|(_, known)| known.is_final()), "{at}: {open:?}");
        }
        market.net.run();
        market.settle_down();
        assert_ne!(one_outcome(&market), Some(OutcomeKind::Settle));
        market.net.check_quiet();
    }
}

#[test]
fn an_initiator_that_told_only_a_participant_is_refunded_by_the_tombstone_of_a_query() {
    let plays = [(payment as Opening, 1, 2, 0), (notary, 0, 1, 2)];
    for (open, initiator, participant, decider) in plays {
        let mut market = open();
        until_agreed(&mut market.net, initiator);
        market.net.wire.retain(|(_, to, _)| *to != decider);
        turns(&mut market.net, &[participant]);
        for span_ms in [31_000, 6_000, 30_000] {
            pass_without(&mut market.net, initiator, span_ms);
        }
        assert_eq!(market.net.banks[decider].said(), ["Decided(refund)"]);
        assert!(market.net.banks[participant].validator.state().takes.is_empty());
        // The agreement arrives late: it stays refunded.
        market.net.run();
        market.settle_down();
        assert_eq!(market.net.banks[decider].said(), ["Decided(refund)"]);
        assert_ne!(one_outcome(&market), Some(OutcomeKind::Settle));
        market.net.check_quiet();
        let accused = |at: usize| {
            let events = market.net.banks[at].events.iter();
            events.filter(|event| matches!(event, Event::Misbehaved { .. })).count()
        };
        assert_eq!((0..3).map(accused).sum::<usize>(), 0);
    }
}

#[test]
fn a_slow_search_of_the_log_does_not_bring_a_second_decision() {
    let mut market = trade();
    turns(&mut market.net, &[1, 0]);
    let header = header_of(&market.net, 0);
    // A query comes before the agreement; the search of the log takes its time.
    let from = market.net.domain(0);
    let message = Message::Query(Box::new(header.clone()));
    market.net.banks[1].inputs.push_back(Input::Message { from: from.clone(), message });
    market.net.turn(1);
    let found = market.net.banks[1].inputs.pop_back();
    assert!(matches!(found, Some(Input::NeverDecided { .. })), "{found:?}");
    market.net.run();
    assert_eq!(one_outcome(&market), Some(OutcomeKind::Settle));
    market.net.check_quiet();
    market.net.pass(60_000);
    market.net.banks[1].inputs.extend(found);
    market.net.run();
    let decided = market.net.banks[1].said().iter().filter(|said| said.starts_with("Dec")).count();
    assert_eq!(decided, 1);
    market.net.check_quiet();
}

#[test]
fn a_refund_that_is_shown_closes_what_was_given_up() {
    let mut market = trade();
    until_agreed(&mut market.net, 0);
    let header = header_of(&market.net, 0);
    // Nobody has heard the agreement when its initiator gives it up.
    market.net.now = header.deadline.after(Duration(10_000));
    market.net.turn(0);
    market.net.wire.clear();
    let known = |market: &Market, at: usize| {
        market.net.banks[at].validator.state().settlements.get(&header.id()).cloned()
    };
    assert_eq!(known(&market, 0).unwrap().initiator, Some(Initiator::Aborted));
    let query = Message::Query(Box::new(header.clone()));
    market.net.deliver(0, 1, Wire::Message(query)).unwrap();
    market.net.turn(1);
    market.net.turn(1);
    market.net.wire.clear();
    let decided = |record: &Record| matches!(record, Record::Statement(Statement::Decided(_)));
    let evidence = market.net.banks[1].prove(decided).unwrap();
    market.net.deliver(1, 0, Wire::Shown(codec::encode(&evidence))).unwrap();
    market.net.turn(0);
    assert!(known(&market, 0).is_none());
    market.settle_down();
    assert_eq!(one_outcome(&market), None);
    market.net.check_quiet();
}

/// The header of the last agreement that a bank drew up.
fn header_of(net: &Net, at: usize) -> Header {
    agreement_of(net, at).header
}

fn agreement_of(net: &Net, at: usize) -> Agreement {
    let records = net.banks[at].records();
    let agreed = records.into_iter().rev().find_map(|record| match record {
        Record::Statement(Statement::Agreed(agreement)) => Some(*agreement),
        _ => None,
    });
    agreed.unwrap()
}

/// An agreement that a liar at `initiator` draws up over `legs`.
fn drawn_up(net: &Net, initiator: usize, decider: usize, number: u64, legs: Vec<Leg>) -> Agreement {
    let header = Header {
        network: net.network.clone(),
        number: AgreementNumber(number),
        initiator: net.domain(initiator),
        decider: net.domain(decider),
        parties: Bounded::new(Agreement::parties_of(&legs)).unwrap(),
        legs: Agreement::terms_hash(Purpose::Trade, &legs, None, &[3; 32]),
        lock: hash_lock(&Preimage([5; 32])),
        deadline: net.now.after(Duration(30_000)),
    };
    let legs = Bounded::new(legs).unwrap();
    Agreement { header, purpose: Purpose::Trade, legs, enclosure: None, blinding: [3; 32] }
}

fn leg(asset: &Uai, amount: u128, from: &Account, to: &Account, order: Option<OrderId>) -> Leg {
    let (asset, amount) = (asset.clone(), Amount::new(amount));
    Leg { asset, amount, from: from.clone(), to: to.clone(), order }
}

struct Liar {
    market: Market,
    puppet: Puppet,
    /// Bob's takes on their way.
    takes: Vec<OrderId>,
    alice: Account,
    bob: Account,
}

/// Bank-a is a puppet; bob has taken 100 for 200 as often as asked.
fn liar(banks: usize, takes: usize) -> Liar {
    let mut market = Market::new(banks, REAL);
    let offer = market.offer(100, 200);
    let mut sent = Vec::new();
    for _ in 0..takes {
        let action = market.take(offer, 100, 200);
        sent.push(market.bob_sends(action));
    }
    market.net.turn(1);
    market.net.wire.clear();
    let puppet = Puppet::new(&market.net, 0);
    let (alice, bob) = (account(&market.net, &market.alice), account(&market.net, &market.bob));
    Liar { market, puppet, takes: sent, alice, bob }
}

impl Liar {
    /// Says it to bank-b and lets that have a turn.
    fn say(&mut self, statement: Statement) {
        self.puppet.say(&mut self.market.net, 1, vec![statement]);
        self.market.net.turn(1);
        self.market.net.wire.clear();
    }

    fn agree(&mut self, number: u64, legs: Vec<Leg>) -> Agreement {
        let agreement = drawn_up(&self.market.net, 0, 1, number, legs);
        self.say(Statement::Agreed(Box::new(agreement.clone())));
        agreement
    }

    fn fair_legs(&self) -> Vec<Leg> {
        let Market { bond, eur, .. } = &self.market;
        vec![
            leg(bond, 100, &self.alice, &self.bob, None),
            leg(eur, 200, &self.bob, &self.alice, Some(self.takes[0])),
        ]
    }

    fn last_said(&self) -> &'static str {
        self.market.net.banks[1].said().last().unwrap()
    }

    fn declined(&self) -> Option<Code> {
        let records = self.market.net.banks[1].records();
        records.iter().rev().find_map(|record| match record {
            Record::Statement(Statement::Declined { refusal, .. }) => Some(refusal.code),
            _ => None,
        })
    }
}

#[test]
fn one_delivery_does_not_pay_for_two_takes() {
    let mut liar = liar(2, 2);
    let Market { bond, eur, .. } = &liar.market;
    let legs = vec![
        leg(bond, 100, &liar.alice, &liar.bob, None),
        leg(eur, 200, &liar.bob, &liar.alice, Some(liar.takes[0])),
        leg(eur, 200, &liar.bob, &liar.alice, Some(liar.takes[1])),
    ];
    liar.agree(1 << 40, legs);
    assert_eq!(liar.declined(), Some(Code::TermsDiffer));
}

#[test]
fn an_agreement_that_differs_from_the_take_is_declined() {
    let spoil: [fn(&mut Vec<Leg>); 6] = [
        |legs| legs[0].amount = Amount::new(99),
        |legs| legs[1].amount = Amount::new(201),
        |legs| legs[1].amount = Amount::new(199),
        |legs| legs[1].order = None,
        |legs| legs[1].order = Some(OrderId([1; 32])),
        |legs| legs[0].to.ledger = Ubi([1; 32]),
    ];
    for (case, spoil) in spoil.into_iter().enumerate() {
        let mut liar = liar(2, 1);
        let mut legs = liar.fair_legs();
        spoil(&mut legs);
        liar.agree(1 << 40, legs);
        let expected = if case == 5 { Code::UnknownLedger } else { Code::TermsDiffer };
        assert_eq!(liar.declined(), Some(expected), "case {case}");
        assert_eq!(liar.last_said(), "Decided(refund)");
    }
}

#[test]
fn an_agreement_that_lives_too_long_or_no_more_is_declined() {
    for (span_ms, code) in [(600_001, Code::DeadlineTooFar), (0, Code::DeadlinePassed)] {
        let mut liar = liar(2, 1);
        let mut agreement = drawn_up(&liar.market.net, 0, 1, 1 << 40, liar.fair_legs());
        agreement.header.deadline = liar.market.net.now.after(Duration(span_ms));
        liar.say(Statement::Agreed(Box::new(agreement)));
        assert_eq!(liar.declined(), Some(code));
    }
}

#[test]
fn a_second_agreement_with_a_number_that_does_not_rise_is_ignored() {
    let mut liar = liar(2, 2);
    let agreement = liar.agree(1 << 40, liar.fair_legs());
    assert_eq!(liar.last_said(), "Locked");
    let said = liar.market.net.banks[1].said().len();
    liar.say(Statement::Agreed(Box::new(agreement)));
    let mut legs = liar.fair_legs();
    legs[1].order = Some(liar.takes[1]);
    liar.agree((1 << 40) - 1, legs);
    assert_eq!(liar.market.net.banks[1].said().len(), said);
    assert_eq!(liar.market.net.banks[1].validator.state().settlements.sorted().len(), 1);
    liar.market.net.check();
}

#[test]
fn nobody_but_the_initiator_reveals_and_a_wrong_secret_settles_nothing() {
    let mut liar = liar(3, 1);
    let id = liar.agree(1 << 40, liar.fair_legs()).header.id();
    let revealed = |byte: u8| {
        Statement::Revealed(quadrille_protocol::log::record::Revealed {
            settlement: id,
            preimage: Preimage([byte; 32]),
            evidence: Bounded::default(),
        })
    };
    liar.say(revealed(6));
    assert_eq!(liar.last_said(), "Locked");
    let mut other = Puppet::new(&liar.market.net, 2);
    other.say(&mut liar.market.net, 1, vec![revealed(5)]);
    liar.market.net.turn(1);
    assert_eq!(liar.last_said(), "Locked");
    liar.say(revealed(5));
    assert_eq!(liar.market.net.banks[1].said()[2..], ["Decided(settle)", "Finalised"]);
}

#[test]
fn a_losing_take_of_the_same_bank_is_forgotten_with_its_window() {
    let mut market = Market::new(2, Signing::Off);
    let mut carol = market.net.customer(0, "carol");
    let to = account(&market.net, &carol);
    let action = market.pay(to, 1_000, vec![]);
    market.net.order(&mut market.bob, action).unwrap();
    let mut terms = market.terms(100, 200);
    terms.selection_window = Duration(1_000);
    let offer = market.offer_terms(terms);
    let action = market.take(offer, 60, 130);
    market.net.order(&mut market.bob, action).unwrap();
    let action = market.take(offer, 60, 120);
    market.net.order(&mut carol, action).unwrap();
    // Bob wins, but bank-b stops before it hears of it; carol loses.
    market.net.now = market.net.now.after(Duration(1_000));
    market.net.turn(0);
    silence(&mut market.net, 1);
    assert_eq!(market.net.balance(&carol, &market.eur), (1_000, 0));
    let waiting = |market: &Market| {
        let offer = market.net.banks[0].validator.state().offers.get(&offer);
        offer.map_or(0, |offer| offer.waiting().len())
    };
    assert_eq!(waiting(&market), 0);
    // His settlement is given up and all of it is on offer again; carol's take is not.
    pass_without(&mut market.net, 1, 25_000);
    let (batches, guard) = (market.net.banks[0].log.len(), market.net.banks[0].guard.unwrap());
    market.net.restart(0, batches, Boot::GuardApart(guard));
    market.net.run();
    market.settle_down();
    market.net.check_quiet();
    assert_eq!(market.balances()[0], (1_000, 0));
}

#[test]
fn an_agreement_of_somebody_else_does_not_end_a_take() {
    let mut liar = liar(3, 1);
    let carol = Account { domain: liar.market.net.domain(2), ledger: Ubi([4; 32]) };
    let Market { bond, eur, .. } = &liar.market;
    let legs = vec![
        leg(bond, 100, &carol, &liar.bob, None),
        leg(eur, 200, &liar.bob, &carol, Some(liar.takes[0])),
    ];
    let agreement = drawn_up(&liar.market.net, 2, 1, 1 << 40, legs);
    let mut stranger = Puppet::new(&liar.market.net, 2);
    stranger.say(&mut liar.market.net, 1, vec![Statement::Agreed(Box::new(agreement))]);
    liar.market.net.turn(1);
    assert_eq!(liar.declined(), Some(Code::TermsDiffer));
    // The take still waits for the maker it was sent to.
    liar.agree(1 << 40, liar.fair_legs());
    assert_eq!(liar.last_said(), "Locked");
}

#[test]
fn a_decider_without_the_role_of_a_notary_is_declined() {
    let mut liar = liar(3, 0);
    liar.market.net.demote(2);
    liar.puppet = Puppet::new(&liar.market.net, 0);
    let legs = vec![leg(&liar.market.bond, 100, &liar.alice, &liar.bob, None)];
    let agreement = drawn_up(&liar.market.net, 0, 2, 1 << 40, legs);
    liar.say(Statement::Agreed(Box::new(agreement)));
    assert_eq!(liar.declined(), Some(Code::MissingRole));
}

#[test]
fn a_decider_that_the_taker_did_not_agree_to_is_declined() {
    // The take names none: then bob's own bank decides.
    let mut liar = liar(3, 1);
    let agreement = drawn_up(&liar.market.net, 0, 2, 1 << 40, liar.fair_legs());
    liar.say(Statement::Agreed(Box::new(agreement)));
    assert_eq!(liar.declined(), Some(Code::TermsDiffer));
}

#[test]
fn a_take_binds_the_notary_of_the_offer() {
    for (named, code) in [(None, None), (Some(3), None), (Some(2), Some(OutcomeKind::Settle))] {
        let mut market = Market::new(4, Signing::Off);
        let mut terms = market.terms(100, 200);
        terms.notary = Some(market.net.domain(2));
        let offer = market.offer_terms(terms);
        let notary = named.map(|at| market.net.domain(at));
        let action = market.take_with(offer, 100, 200, notary);
        market.net.order(&mut market.bob, action).unwrap();
        market.settle_down();
        assert_eq!(one_outcome(&market).filter(|said| *said == OutcomeKind::Settle), code);
        market.net.check_quiet();
    }
}

#[test]
fn a_take_of_an_offer_at_the_own_bank_names_its_notary_too() {
    let mut market = Market::new(3, Signing::Off);
    let mut carol = market.net.customer(0, "carol");
    let to = account(&market.net, &carol);
    let action = market.pay(to, 1_000, vec![]);
    market.net.order(&mut market.bob, action).unwrap();
    let mut terms = market.terms(100, 200);
    terms.notary = Some(market.net.domain(2));
    let offer = market.offer_terms(terms);
    let action = market.take_with(offer, 100, 200, None);
    let refused = market.net.order(&mut carol, action).unwrap_err();
    assert_eq!(refused.code, Code::TermsDiffer);
    let notary = Some(market.net.domain(2));
    let action = market.take_with(offer, 100, 200, notary);
    market.net.order(&mut carol, action).unwrap();
    assert_eq!(market.net.balance(&carol, &market.bond), (100, 0));
}

#[test]
fn an_offer_names_a_notary_that_can_decide() {
    let mut market = Market::new(3, Signing::Off);
    market.net.demote(2);
    for (at, code) in [(2, Code::MissingRole), (0, Code::BadOffer)] {
        let mut terms = market.terms(100, 200);
        terms.notary = Some(market.net.domain(at));
        let refused = market.net.order(&mut market.alice, Action::Offer(terms)).unwrap_err();
        assert_eq!(refused.code, code);
    }
    for (at, code) in [(2, Code::MissingRole), (0, Code::BadOffer)] {
        let notary = Some(market.net.domain(at));
        let action = market.take_with(OrderId([1; 32]), 100, 200, notary);
        let refused = market.net.order(&mut market.bob, action).unwrap_err();
        assert_eq!(refused.code, code);
    }
}

#[test]
fn a_notary_that_loses_its_role_decides_nothing_new() {
    let mut market = Market::new(3, Signing::Off);
    let mut terms = market.terms(100, 200);
    terms.notary = Some(market.net.domain(2));
    let offer = market.offer_terms(terms);
    market.net.demote_at(2, &[0]);
    let notary = Some(market.net.domain(2));
    let action = market.take_with(offer, 100, 200, notary);
    market.net.order(&mut market.bob, action).unwrap();
    assert_eq!(market.net.banks[0].said(), ["TakeRefused"]);
    market.net.check_quiet();
}
