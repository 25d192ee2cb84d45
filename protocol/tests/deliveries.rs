//! Trades whose holders receive somewhere else than they pay: at the other's bank, in another
//! ledger of their own, at a third bank.

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
use quadrille_protocol::ledger::Action;
use quadrille_protocol::log::{OutcomeKind, Record, Statement};
use quadrille_protocol::settlement::{Account, Agreement, Header, Leg, Purpose};
use quadrille_protocol::types::*;
use quadrille_protocol::validator::Command;
use support::puppet::Puppet;
use support::scene::{Market, REAL, account, outcomes};
use support::{Customer, Net, Signing};

/// Alice has bonds at bank-a and a ledger at bank-b, bob euros at bank-b and a ledger at bank-a,
/// and the banks do not trust each other at all.
struct Both {
    market: Market,
    alice_at_b: Customer,
    bob_at_a: Customer,
}

fn both(banks: usize, signing: Signing) -> Both {
    let mut net = Net::new(banks, signing);
    let (bond, eur) = (net.asset(0, "BOND"), net.asset(1, "EUR"));
    let (alice, bob) = (net.customer(0, "alice"), net.customer(1, "bob"));
    net.fund(&alice, &bond, 1_000);
    net.fund(&bob, &eur, 5_000);
    let (alice_at_b, bob_at_a) = (net.customer(1, "alice"), net.customer(0, "bob"));
    Both { market: Market { net, alice, bob, bond, eur }, alice_at_b, bob_at_a }
}

impl Both {
    fn offer(&mut self, receive: Option<Account>, give: u128, want: u128) -> OrderId {
        let mut terms = self.market.terms(give, want);
        terms.receive = receive;
        self.market.offer_terms(terms)
    }

    fn take(
        &mut self,
        offer: OrderId,
        receive: Option<Account>,
        take: u128,
        pay: u128,
    ) -> Result<OrderId, Code> {
        let mut action = self.market.take(offer, take, pay);
        let Action::Take { terms, .. } = &mut action else { unreachable!() };
        terms.receive = receive;
        let taken = self.market.net.order(&mut self.market.bob, action);
        taken.map(|(id, _)| id).map_err(|refusal| refusal.code)
    }

    fn balance(&self, customer: &Customer, asset: &Uai) -> (u128, u128) {
        self.market.net.balance(customer, asset)
    }

    /// Where alice gets euros and bob gets bonds.
    fn accounts(&self) -> (Account, Account) {
        (account(&self.market.net, &self.alice_at_b), account(&self.market.net, &self.bob_at_a))
    }
}

fn no_debts(net: &Net) {
    for bank in &net.banks {
        for (key, at) in &bank.validator.state().books.correspondents {
            assert!(at.owe.is_zero() && at.claim.is_zero(), "{}: {key:?}", bank.domain);
        }
    }
}

#[test]
fn with_ledgers_at_both_banks_both_legs_stay_inside_a_bank_and_no_credit_is_needed() {
    let mut both = both(2, REAL);
    let (euros, bonds) = both.accounts();
    let offer = both.offer(Some(euros), 100, 200);
    both.take(offer, Some(bonds.clone()), 60, 120).unwrap();
    both.take(offer, Some(bonds), 40, 80).unwrap();
    let (bond, eur) = (both.market.bond.clone(), both.market.eur.clone());
    assert_eq!(both.balance(&both.market.alice, &bond), (900, 0));
    assert_eq!(both.balance(&both.alice_at_b, &eur), (200, 0));
    assert_eq!(both.balance(&both.market.bob, &eur), (4_800, 0));
    assert_eq!(both.balance(&both.bob_at_a, &bond), (100, 0));
    both.market.net.check_quiet();
    no_debts(&both.market.net);
    assert_eq!(outcomes(&both.market.net), vec![vec![OutcomeKind::Settle; 2]; 2]);
}

#[test]
fn without_trust_a_take_that_asks_for_delivery_between_the_banks_is_refused() {
    let mut both = both(2, REAL);
    let (euros, bonds) = both.accounts();
    let offer = both.offer(Some(euros), 100, 200);
    assert_eq!(both.take(offer, None, 50, 100), Err(Code::NoTrust));
    let offer = both.offer(None, 100, 200);
    both.take(offer, Some(bonds), 50, 100).unwrap();
    assert_eq!(both.market.net.balance(&both.market.bob, &both.market.eur), (5_000, 0));
    both.market.net.check_quiet();
}

#[test]
fn a_frozen_receiving_ledger_refunds_both_sides_whole() {
    let mut both = both(2, REAL);
    let (euros, bonds) = both.accounts();
    let offer = both.offer(Some(euros), 100, 200);
    // The maker's ledger at the taker's bank: only that bank can say so.
    both.market.net.command(1, Command::Freeze(both.alice_at_b.ledger)).unwrap();
    both.take(offer, Some(bonds.clone()), 100, 200).unwrap();
    assert_eq!(both.balance(&both.market.alice, &both.market.bond), (900, 100));
    assert_eq!(both.balance(&both.market.bob, &both.market.eur), (5_000, 0));
    both.market.net.command(1, Command::Unfreeze(both.alice_at_b.ledger)).unwrap();
    // The taker's ledger at the maker's bank: refused before anything is agreed.
    both.market.net.command(0, Command::Freeze(both.bob_at_a.ledger)).unwrap();
    both.take(offer, Some(bonds.clone()), 100, 200).unwrap();
    assert_eq!(both.balance(&both.market.bob, &both.market.eur), (5_000, 0));
    both.market.net.command(0, Command::Unfreeze(both.bob_at_a.ledger)).unwrap();
    both.take(offer, Some(bonds), 100, 200).unwrap();
    assert_eq!(both.balance(&both.bob_at_a, &both.market.bond), (100, 0));
    both.market.net.check_quiet();
}

#[test]
fn something_can_be_delivered_at_a_third_bank_that_trusts_the_payer() {
    let mut both = both(3, REAL);
    let (bond, eur) = (both.market.bond.clone(), both.market.eur.clone());
    let alice_at_c = both.market.net.customer(2, "alice");
    let (_, bonds) = both.accounts();
    let receive = account(&both.market.net, &alice_at_c);
    let offer = both.offer(Some(receive), 100, 200);
    both.take(offer, Some(bonds.clone()), 50, 100).unwrap();
    assert_eq!(both.balance(&alice_at_c, &eur), (0, 0), "no trust, no settlement");
    both.market.net.limit(2, 1, &eur, 1_000);
    both.take(offer, Some(bonds), 50, 100).unwrap();
    assert_eq!(both.balance(&alice_at_c, &eur), (100, 0));
    assert_eq!(both.balance(&both.bob_at_a, &bond), (50, 0));
    both.market.net.check_quiet();
}

#[test]
fn delivery_into_another_ledger_of_the_same_bank_and_between_neighbours_works_too() {
    let mut both = both(2, REAL);
    both.market.net.trust(&both.market.eur.clone(), 10_000);
    let (bond, eur) = (both.market.bond.clone(), both.market.eur.clone());
    // Carol and alice bank at bank-a; carol has euros there, alice wants hers at bank-b.
    let mut carol = both.market.net.customer(0, "carol");
    let savings = both.market.net.customer_numbered(0, "carol", 2);
    let pay = both.market.pay(account(&both.market.net, &carol), 500, vec![]);
    both.market.net.order(&mut both.market.bob, pay).unwrap();
    let (euros, _) = both.accounts();
    for (receive, at) in [(None, 0), (Some(euros), 1)] {
        let offer = both.offer(receive, 100, 200);
        let mut action = both.market.take(offer, 100, 200);
        let Action::Take { terms, .. } = &mut action else { unreachable!() };
        terms.receive = Some(account(&both.market.net, &savings));
        both.market.net.order(&mut carol, action).unwrap();
        assert_eq!(both.balance(&savings, &bond), (100 * (at + 1), 0));
    }
    assert_eq!(both.balance(&both.market.alice, &eur), (200, 0));
    assert_eq!(both.balance(&both.alice_at_b, &eur), (200, 0));
    assert_eq!(both.balance(&carol, &eur), (100, 0));
    both.market.net.check_quiet();
}

#[test]
fn a_declined_delivery_between_neighbours_gives_everything_back() {
    let mut both = both(2, REAL);
    both.market.net.trust(&both.market.eur.clone(), 10_000);
    let mut carol = both.market.net.customer(0, "carol");
    let pay = both.market.pay(account(&both.market.net, &carol), 500, vec![]);
    both.market.net.order(&mut both.market.bob, pay).unwrap();
    let (euros, _) = both.accounts();
    both.market.net.command(1, Command::Freeze(both.alice_at_b.ledger)).unwrap();
    let offer = both.offer(Some(euros), 100, 200);
    let action = both.market.take(offer, 100, 200);
    both.market.net.order(&mut carol, action).unwrap();
    assert_eq!(both.balance(&carol, &both.market.eur), (500, 0));
    assert_eq!(both.balance(&both.market.alice, &both.market.bond), (900, 100));
    both.market.net.check_quiet();
}

#[test]
fn where_a_maker_receives_is_published_to_nobody() {
    let mut both = both(2, REAL);
    let (euros, _) = both.accounts();
    let offer = both.offer(Some(euros), 100, 200);
    for bank in &both.market.net.banks {
        let notice = bank.validator.book().get(&offer).unwrap();
        assert_eq!(notice.terms.receive, None, "{}", bank.domain);
    }
    let posted = |record: &Record| matches!(record, Record::OfferPosted(_));
    let evidence = both.market.net.banks[0].prove(posted).unwrap();
    let Record::OfferPosted(mut notice) = evidence.read().unwrap() else { unreachable!() };
    assert_eq!(notice.terms.receive, None);
    notice.terms.receive = Some(both.accounts().0);
    assert_eq!(notice.check(both.market.net.now).unwrap_err().code, Code::BadOffer);
}

#[test]
fn a_take_that_receives_on_the_makers_own_ledger_is_refused_and_nothing_breaks() {
    let mut both = both(2, REAL);
    let (euros, _) = both.accounts();
    let offer = both.offer(Some(euros), 100, 200);
    let maker = account(&both.market.net, &both.market.alice);
    both.take(offer, Some(maker), 100, 200).unwrap();
    assert_eq!(both.balance(&both.market.bob, &both.market.eur), (5_000, 0));
    assert_eq!(both.balance(&both.market.alice, &both.market.bond), (900, 100));
    both.market.net.check_quiet();
}

#[test]
fn every_stop_of_either_bank_leaves_a_trade_at_both_banks_whole() {
    for bank in 0..2 {
        for after in 0.. {
            let mut both = both(2, Signing::Off);
            let (euros, bonds) = both.accounts();
            let offer = both.offer(Some(euros), 100, 200);
            let begun = both.market.net.banks[bank].log.len();
            both.market.net.crash = Some(support::Crash {
                bank,
                after: begun + after + 1,
                keep: begun + after + 1,
                apart: true,
                spoken: false,
            });
            let mut action = both.market.take(offer, 100, 200);
            let Action::Take { terms, .. } = &mut action else { unreachable!() };
            terms.receive = Some(bonds);
            both.market.bob_sends(action);
            both.market.net.run();
            let over = both.market.net.crash.is_some();
            both.market.settle_down();
            let (bond, eur) = (both.market.bond.clone(), both.market.eur.clone());
            let got =
                [both.balance(&both.bob_at_a, &bond).0, both.balance(&both.alice_at_b, &eur).0];
            assert!(got == [100, 200] || got == [0, 0], "{got:?} after {after} of {bank}");
            both.market.net.check_quiet();
            if over {
                break;
            }
        }
    }
}

#[test]
fn an_agreement_that_uses_an_offer_and_pays_the_maker_nothing_is_declined() {
    let mut both = both(2, REAL);
    both.market.net.trust(&both.market.bond.clone(), 10_000);
    let offer = both.offer(None, 100, 200);
    let (alice, bob) = (
        account(&both.market.net, &both.market.alice),
        account(&both.market.net, &both.market.bob),
    );
    let legs = vec![Leg {
        asset: both.market.bond.clone(),
        amount: Amount::new(100),
        from: alice,
        to: bob,
        order: Some(offer),
    }];
    let net = &mut both.market.net;
    let header = Header {
        network: net.network.clone(),
        number: AgreementNumber(1 << 40),
        initiator: net.domain(1),
        decider: net.domain(0),
        parties: Bounded::new(Agreement::parties_of(&legs)).unwrap(),
        legs: Agreement::terms_hash(Purpose::Trade, &legs, None, &[3; 32]),
        lock: hash_lock(&Preimage([5; 32])),
        deadline: net.now.after(Duration(30_000)),
    };
    let legs = Bounded::new(legs).unwrap();
    let agreement =
        Agreement { header, purpose: Purpose::Trade, legs, enclosure: None, blinding: [3; 32] };
    let mut puppet = Puppet::new(net, 1);
    puppet.say(net, 0, vec![Statement::Agreed(Box::new(agreement))]);
    net.turn(0);
    let declined = net.banks[0].records().into_iter().find_map(|record| match record {
        Record::Statement(Statement::Declined { refusal, .. }) => Some(refusal.code),
        _ => None,
    });
    assert_eq!(declined, Some(Code::TermsDiffer));
    assert!(!net.banks[0].said().contains(&"Locked"));
}
