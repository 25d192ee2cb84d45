//! Trades and payments between validators over perfect links.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the core's own strictness is for code that faces the outside"
)]

mod support;

use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::Code;
use quadrille_protocol::ledger::{Action, Payment};
use quadrille_protocol::market::{OfferTerms, TakeTerms};
use quadrille_protocol::settlement::Account;
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Boot, Command};
use support::{Customer, Net, Signing};

const REAL: Signing = Signing::Real { domains: Suite::HybridMlDsa65, holders: Suite::Ed25519 };

struct Market {
    net: Net,
    alice: Customer,
    bob: Customer,
    bond: Uai,
    eur: Uai,
}

/// Alice at bank-a has bonds of bank-a, bob at bank-b has euros of bank-b.
fn market(banks: usize, signing: Signing) -> Market {
    let mut net = Net::new(banks, signing);
    let (bond, eur) = (net.asset(0, "BOND"), net.asset(1, "EUR"));
    net.trust(&bond, 1_000_000);
    net.trust(&eur, 1_000_000);
    let (alice, bob) = (net.customer(0, "alice"), net.customer(1, "bob"));
    net.fund(&alice, &bond, 1_000);
    net.fund(&bob, &eur, 5_000);
    Market { net, alice, bob, bond, eur }
}

fn terms(market: &Market, give: u128, want: u128) -> OfferTerms {
    OfferTerms {
        give: market.bond.clone(),
        give_amount: Amount::new(give),
        want: market.eur.clone(),
        want_amount: Amount::new(want),
        minimum_fill: Amount::ZERO,
        expiry: market.net.now.after(Duration(600_000)),
        counterparties: Bounded::default(),
        notary: None,
        selection_window: Duration(0),
        receive: None,
    }
}

/// What the taker sees in the offer's notice.
fn notary_of(market: &Market, offer: OrderId) -> Option<Domain> {
    let known = market.net.banks[0].validator.state().offers.get(&offer);
    known.and_then(|offer| offer.terms().notary.clone())
}

fn take(market: &Market, offer: OrderId, take: u128, pay: u128) -> Action {
    Action::Take {
        terms: TakeTerms {
            offer,
            maker: market.net.domain(0),
            take: Amount::new(take),
            pay: Amount::new(pay),
            notary: notary_of(market, offer),
            expiry: market.net.now.after(Duration(300_000)),
            receive: None,
        },
        pair: AssetPair { give: market.bond.clone(), want: market.eur.clone() },
    }
}

fn account(net: &Net, customer: &Customer) -> Account {
    Account { domain: net.domain(customer.bank), ledger: customer.ledger }
}

fn pay(market: &Market, to: Account, amount: u128, route: Vec<Account>) -> Action {
    let payment = Payment::plain(to, market.eur.clone(), Amount::new(amount));
    market.net.find_way(&payment, route);
    Action::Pay(payment)
}

#[test]
fn a_bond_is_sold_for_cash_between_two_banks() {
    let mut market = market(2, REAL);
    let offer = Action::Offer(terms(&market, 100, 200));
    let (offer, _) = market.net.order(&mut market.alice, offer).unwrap();
    assert_eq!(market.net.balance(&market.alice, &market.bond), (900, 100));
    let action = take(&market, offer, 100, 200);
    market.net.order(&mut market.bob, action).unwrap();
    assert_eq!(market.net.balance(&market.alice, &market.bond), (900, 0));
    assert_eq!(market.net.balance(&market.alice, &market.eur), (200, 0));
    assert_eq!(market.net.balance(&market.bob, &market.bond), (100, 0));
    assert_eq!(market.net.balance(&market.bob, &market.eur), (4_800, 0));
    assert_eq!(market.net.banks[0].said(), ["Agreed", "Revealed", "Finalised"]);
    assert_eq!(market.net.banks[1].said(), ["Take", "Locked", "Decided(settle)", "Finalised"]);
    market.net.check_quiet();
}

#[test]
fn a_partial_fill_leaves_the_rest_on_offer() {
    let mut market = market(2, REAL);
    let offer = Action::Offer(terms(&market, 100, 200));
    let (offer, _) = market.net.order(&mut market.alice, offer).unwrap();
    let action = take(&market, offer, 30, 60);
    market.net.order(&mut market.bob, action).unwrap();
    assert_eq!(market.net.balance(&market.alice, &market.bond), (900, 70));
    assert_eq!(market.net.banks[1].validator.book().get(&offer).unwrap().remaining.units(), 70);
    let action = take(&market, offer, 80, 160);
    market.net.order(&mut market.bob, action).unwrap();
    assert_eq!(market.net.banks[0].said().last(), Some(&"TakeRefused"));
    market.net.check_quiet();
}

#[test]
fn a_notary_decides_and_sees_no_legs() {
    let mut market = market(3, REAL);
    let mut offer = terms(&market, 100, 200);
    offer.notary = Some(market.net.domain(2));
    let (offer, _) = market.net.order(&mut market.alice, Action::Offer(offer)).unwrap();
    let action = take(&market, offer, 100, 200);
    market.net.order(&mut market.bob, action).unwrap();
    assert_eq!(market.net.balance(&market.bob, &market.bond), (100, 0));
    assert_eq!(market.net.banks[2].said(), ["Decided(settle)"]);
    let legs = format!("{:?}", market.net.banks[2].records());
    assert!(!legs.contains(&market.alice.ledger.to_string()));
    market.net.check_quiet();
}

#[test]
fn a_payment_travels_through_two_intermediaries() {
    let mut market = market(4, REAL);
    let transit: Vec<Account> = [2, 3]
        .into_iter()
        .map(|bank| {
            let house = market.net.customer(bank, "house");
            let command = Command::SetTransitLedger(Some(house.ledger));
            market.net.command(bank, command).unwrap();
            account(&market.net, &house)
        })
        .collect();
    let to = account(&market.net, &market.alice);
    let action = pay(&market, to, 500, transit);
    market.net.order(&mut market.bob, action).unwrap();
    assert_eq!(market.net.balance(&market.alice, &market.eur), (500, 0));
    assert_eq!(market.net.balance(&market.bob, &market.eur), (4_500, 0));
    market.net.check_quiet();
}

#[test]
fn without_a_credit_limit_there_is_no_settlement() {
    let mut market = market(3, REAL);
    let mut carol = market.net.customer(2, "carol");
    let to = account(&market.net, &carol);
    market.net.limit(2, 1, &market.eur.clone(), 0);
    let action = pay(&market, to, 500, vec![]);
    market.net.order(&mut market.bob, action).unwrap();
    assert_eq!(market.net.balance(&market.bob, &market.eur), (5_000, 0));
    assert_eq!(market.net.banks[2].said(), ["Declined", "Decided(refund)"]);
    market.net.check_quiet();
    let to = account(&market.net, &market.bob);
    let refused = pay(&market, to, 1, vec![]);
    let refused = market.net.order(&mut carol, refused).unwrap_err();
    assert_eq!(refused.code, Code::InsufficientFunds);
}

#[test]
fn the_best_of_competing_takes_is_selected_when_the_window_closes() {
    let mut market = market(3, REAL);
    let mut carol = market.net.customer(2, "carol");
    let to = account(&market.net, &carol);
    let action = pay(&market, to, 1_000, vec![]);
    market.net.order(&mut market.bob, action).unwrap();
    let mut offer = terms(&market, 100, 200);
    offer.selection_window = Duration(1_000);
    let (offer, _) = market.net.order(&mut market.alice, Action::Offer(offer)).unwrap();
    let action = take(&market, offer, 100, 200);
    market.net.order(&mut market.bob, action).unwrap();
    let action = take(&market, offer, 100, 201);
    market.net.order(&mut carol, action).unwrap();
    market.net.pass(1_000);
    assert_eq!(market.net.balance(&carol, &market.bond), (100, 0));
    assert_eq!(market.net.balance(&market.bob, &market.eur), (4_000, 0));
    market.net.check_quiet();
}

#[test]
fn a_lost_reveal_ends_in_a_refund_and_a_late_one_changes_nothing() {
    let mut market = market(2, REAL);
    let offer = Action::Offer(terms(&market, 100, 200));
    let (offer, _) = market.net.order(&mut market.alice, offer).unwrap();
    let action = take(&market, offer, 100, 200);
    let signed = market.net.sign(&mut market.bob, action);
    market.net.submit(&market.bob, signed);
    // Take, Agreed, Locked go through; the reveal stays on the wire.
    for at in [1, 0, 1, 0] {
        while let Some((from, to, wire)) = market.net.wire.pop_front() {
            market.net.deliver(from, to, wire).unwrap();
        }
        market.net.turn(at);
    }
    assert_eq!(market.net.banks[0].said(), ["Agreed", "Revealed"]);
    let late = std::mem::take(&mut market.net.wire);
    market.net.pass(31_000);
    assert_eq!(market.net.banks[1].said().last(), Some(&"Decided(refund)"));
    market.net.wire.extend(late);
    market.net.run();
    market.net.pass(60_000);
    assert_eq!(market.net.balance(&market.alice, &market.bond), (900, 100));
    assert_eq!(market.net.balance(&market.bob, &market.eur), (5_000, 0));
    market.net.check_quiet();
}

#[test]
fn a_restart_at_every_batch_replays_to_the_same_state_and_finishes() {
    let mut market = market(2, REAL);
    let offer = Action::Offer(terms(&market, 100, 200));
    let (offer, _) = market.net.order(&mut market.alice, offer).unwrap();
    let action = take(&market, offer, 100, 200);
    market.net.order(&mut market.bob, action).unwrap();
    for at in 0..2 {
        let bank = &market.net.banks[at];
        let (before, batches) = (bank.validator.snapshot(), bank.log.len());
        let guard = bank.guard.unwrap();
        market.net.restart(at, batches, Boot::GuardApart(guard));
        assert_eq!(market.net.banks[at].validator.snapshot(), before);
        market.net.run();
        market.net.check_quiet();
    }
}

#[test]
fn a_decider_restored_from_an_old_copy_gets_its_decision_back() {
    for apart in [true, false] {
        let mut market = market(2, REAL);
        let offer = Action::Offer(terms(&market, 100, 200));
        let (offer, _) = market.net.order(&mut market.alice, offer).unwrap();
        let action = take(&market, offer, 100, 200);
        let copy = market.net.banks[1].log.len();
        let signed = market.net.sign(&mut market.bob, action);
        market.net.submit(&market.bob, signed);
        market.net.run();
        let wallet = market.net.evidence_of(&market.bob);
        let boot = match apart {
            true => Boot::GuardApart(market.net.banks[1].guard.unwrap()),
            false => Boot::GuardUnsure(None),
        };
        market.net.restart(1, copy, boot);
        market.net.run();
        assert!(market.net.banks[1].validator.is_recovering());
        market.net.give_back(1, wallet);
        market.net.command(1, Command::CustomersHeard).unwrap();
        market.net.pass(10);
        assert!(!market.net.banks[1].validator.is_recovering());
        assert_eq!(market.net.balance(&market.bob, &market.bond), (100, 0));
        assert_eq!(market.net.balance(&market.bob, &market.eur), (4_800, 0));
        market.net.pass(60_000);
        market.net.check_quiet();
    }
}
