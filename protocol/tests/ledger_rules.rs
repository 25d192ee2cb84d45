//! Lost keys, daily limits and second keys, several ledgers of one holder.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the core's own strictness is for code that faces the outside"
)]

mod support;

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{HybridSignatures, PublicKey, SecretKey, Suite};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::opening::{DailyLimit, Rules};
use quadrille_protocol::ledger::transaction::Cause;
use quadrille_protocol::ledger::{Action, Replacement, SignedReplacement};
use quadrille_protocol::log::Record;
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Accepted, Command};
use support::scene::{Market, REAL, account};
use support::{Customer, Net, secret};

const HOUR_MS: u64 = 3_600_000;

fn replacement(net: &Net, ledger: Ubi, lost: KeyId, key: &SecretKey) -> Replacement {
    let (network, key) = (net.network.clone(), key.public().clone());
    Replacement { network, ledger, lost, key, second_key: None }
}

fn proven(replacement: Replacement, by: &SecretKey) -> SignedReplacement {
    let signature = by.sign(Tag::Replacement, &codec::encode(&replacement));
    SignedReplacement { replacement, signature }
}

fn replace(net: &mut Net, signed: SignedReplacement) -> Result<Accepted, Refusal> {
    let replacement = Box::new(signed.verify(&net.network, &HybridSignatures)?);
    let reason = "card was stolen".parse().unwrap();
    net.command(0, Command::ReplaceKey { replacement, reason })
}

fn key_of(net: &Net, ledger: &Ubi) -> KeyId {
    net.banks[0].validator.state().books.ledger(ledger).unwrap().key
}

#[test]
fn a_lost_key_is_replaced_by_the_bank_visibly_and_only_with_the_new_keys_proof() {
    let mut market = Market::new(2, REAL);
    let (new, stranger) = (secret(Suite::Ed25519, 50), secret(Suite::Ed25519, 51));
    let ledger = market.alice.ledger;
    let lost = key_of(&market.net, &ledger);
    let fair = replacement(&market.net, ledger, lost, &new);
    let forged = proven(fair.clone(), &stranger);
    assert_eq!(replace(&mut market.net, forged).unwrap_err().code, Code::BadSignature);
    let elsewhere = Replacement { network: "other-net".parse().unwrap(), ..fair.clone() };
    let elsewhere = replace(&mut market.net, proven(elsewhere, &new));
    assert_eq!(elsewhere.unwrap_err().code, Code::WrongNetwork);
    let other = replacement(&market.net, ledger, stranger.public().id(), &new);
    assert_eq!(replace(&mut market.net, proven(other, &new)).unwrap_err().code, Code::WrongKey);
    let nobody = replacement(&market.net, Ubi([9; 32]), lost, &new);
    let nobody = replace(&mut market.net, proven(nobody, &new));
    assert_eq!(nobody.unwrap_err().code, Code::UnknownLedger);
    assert_eq!(key_of(&market.net, &ledger), lost);

    assert!(!replace(&mut market.net, proven(fair.clone(), &new)).unwrap().repeated);
    let entries = market.net.evidence_of(&market.alice).len();
    assert!(replace(&mut market.net, proven(fair, &new)).unwrap().repeated);
    assert_eq!(market.net.evidence_of(&market.alice).len(), entries, "it is done once");
    let to = account(&market.net, &market.bob);
    let pay = Action::Redeem { asset: market.bond.clone(), amount: Amount::new(1) };
    let refused = market.net.order(&mut market.alice, pay.clone()).unwrap_err();
    assert_eq!((refused.code, to.domain), (Code::WrongKey, market.net.domain(1)));
    market.alice.key = new;
    market.net.order(&mut market.alice, pay).unwrap();

    let last = market.net.evidence_of(&market.alice);
    let told = last.iter().find_map(|evidence| match evidence.read().unwrap() {
        Record::Transaction(transaction) => match &transaction.cause {
            Cause::KeyReplaced(replaced) => Some(replaced.clone()),
            _ => None,
        },
        _ => None,
    });
    let told = told.unwrap();
    assert_eq!((told.signed.replacement.lost, told.reason.as_str()), (lost, "card was stolen"));
    let replayed = market.net.banks[0].validator.state().fingerprint();
    let (boot, log) = (market.net.banks[0].guard.unwrap(), market.net.banks[0].log.len());
    market.net.restart(0, log, quadrille_protocol::validator::Boot::GuardApart(boot));
    assert_eq!(market.net.banks[0].validator.state().fingerprint(), replayed);
}

#[test]
fn a_replaced_key_can_replace_the_second_key_too_and_never_weakens_a_hybrid_ledger() {
    let mut market = Market::new(2, REAL);
    let mut eve = limited(&mut market, Some(secret(Suite::Ed25519, 5)));
    let (new, second) = (secret(Suite::HybridMlDsa65, 52), secret(Suite::Ed25519, 53));
    let lost = key_of(&market.net, &eve.ledger);
    let mut both = replacement(&market.net, eve.ledger, lost, &new);
    both.second_key = Some(second.public().clone());
    replace(&mut market.net, proven(both, &new)).unwrap();
    (eve.key, eve.second) = (new, Some(secret(Suite::Ed25519, 5)));
    let redeem = Action::Redeem { asset: market.bond.clone(), amount: Amount::new(101) };
    let refused = market.net.order(&mut eve, redeem.clone()).unwrap_err();
    assert_eq!(refused.code, Code::LimitNeedsSecondKey);
    eve.second = Some(second);
    market.net.order(&mut eve, redeem).unwrap();

    let weak = secret(Suite::Ed25519, 54);
    let lost = eve.key.public().id();
    let weaker = proven(replacement(&market.net, eve.ledger, lost, &weak), &weak);
    assert_eq!(replace(&mut market.net, weaker).unwrap_err().code, Code::SuiteNotAllowed);
    let mut carol = market.net.customer(0, "carol");
    market.net.order(&mut carol, Action::Close).unwrap();
    let closed = replacement(&market.net, carol.ledger, carol.key.public().id(), &weak);
    let closed = replace(&mut market.net, proven(closed, &weak));
    assert_eq!(closed.unwrap_err().code, Code::LedgerClosed);
}

fn limited(market: &mut Market, second: Option<SecretKey>) -> Customer {
    let limit = DailyLimit { asset: market.bond.clone(), amount: Amount::new(100) };
    let rules = Rules {
        daily_limits: Bounded::new(vec![limit]).unwrap(),
        second_key: second.as_ref().map(|key| key.public().clone()),
        ..Rules::default()
    };
    let customer = market.net.customer_with(0, "eve", rules, None);
    market.net.fund(&customer, &market.bond, 1_000);
    customer
}

fn redeem(market: &Market, units: u128) -> Action {
    Action::Redeem { asset: market.bond.clone(), amount: Amount::new(units) }
}

#[test]
fn offers_count_toward_the_limit_and_a_cancelled_one_gives_nothing_back_that_day() {
    let mut market = Market::new(2, REAL);
    let mut eve = limited(&mut market, Some(secret(Suite::Ed25519, 5)));
    let offer = Action::Offer(market.terms(60, 60));
    let (offer, _) = market.net.order(&mut eve, offer).unwrap();
    market.net.order(&mut eve, Action::Cancel { offer }).unwrap();
    assert_eq!(market.net.balance(&eve, &market.bond), (1_000, 0));
    let action = redeem(&market, 41);
    let refused = market.net.order(&mut eve, action).unwrap_err();
    assert_eq!(refused.code, Code::LimitNeedsSecondKey);
    let action = redeem(&market, 40);
    market.net.order(&mut eve, action).unwrap();
}

#[test]
fn takes_count_toward_the_limit_whatever_becomes_of_them() {
    let mut market = Market::new(2, REAL);
    let mut eve = limited(&mut market, Some(secret(Suite::Ed25519, 5)));
    let mut terms = market.terms(10, 10);
    (terms.give, terms.want) = (market.eur.clone(), market.bond.clone());
    let (offer, _) = market.net.order(&mut market.bob, Action::Offer(terms)).unwrap();
    let mut take = market.take(offer, 10, 60);
    let Action::Take { terms, pair } = &mut take else { unreachable!() };
    terms.maker = market.net.domain(1);
    (pair.give, pair.want) = (market.eur.clone(), market.bond.clone());
    market.net.order(&mut eve, take.clone()).unwrap();
    market.net.run();
    // The offer is gone: the second take comes back unfilled, and has counted all the same.
    let Action::Take { terms, .. } = &mut take else { unreachable!() };
    terms.pay = Amount::new(40);
    market.net.order(&mut eve, take).unwrap();
    market.net.run();
    assert_eq!(market.net.balance(&eve, &market.bond), (940, 0));
    let action = redeem(&market, 1);
    let refused = market.net.order(&mut eve, action).unwrap_err();
    assert_eq!(refused.code, Code::LimitNeedsSecondKey);
}

#[test]
fn the_limit_begins_anew_at_midnight_utc_and_not_before() {
    let mut market = Market::new(2, REAL);
    let mut eve = limited(&mut market, Some(secret(Suite::Ed25519, 5)));
    let day_ms = 24 * HOUR_MS;
    let midnight = (market.net.now.0 / day_ms + 1) * day_ms;
    market.net.now = Time(midnight - 1);
    for units in [33, 33, 34] {
        let action = redeem(&market, units);
        market.net.order(&mut eve, action).unwrap();
    }
    let action = redeem(&market, 1);
    let refused = market.net.order(&mut eve, action.clone()).unwrap_err();
    assert_eq!(refused.code, Code::LimitNeedsSecondKey);
    market.net.now = Time(midnight);
    market.net.order(&mut eve, action).unwrap();
    let action = redeem(&market, 100);
    let refused = market.net.order(&mut eve, action).unwrap_err();
    assert_eq!(refused.code, Code::LimitNeedsSecondKey);
}

#[test]
fn rules_are_not_loosened_with_the_first_key_alone() {
    let mut market = Market::new(2, REAL);
    let mut eve = limited(&mut market, Some(secret(Suite::Ed25519, 5)));
    let refused = market.net.order(&mut eve, Action::Amend(Rules::default())).unwrap_err();
    assert_eq!(refused.code, Code::LimitNeedsSecondKey);
    let key: PublicKey = secret(Suite::Ed25519, 60).public().clone();
    let refused = market.net.order(&mut eve, Action::RotateKey { key }).unwrap_err();
    assert_eq!(refused.code, Code::LimitNeedsSecondKey);
}

#[test]
fn a_closed_ledger_keeps_its_history_and_its_holders_next_one_is_another() {
    let mut market = Market::new(2, REAL);
    let mut carol = market.net.customer(0, "carol");
    market.net.fund(&carol, &market.bond, 7);
    let action = redeem(&market, 7);
    market.net.order(&mut carol, action).unwrap();
    market.net.order(&mut carol, Action::Close).unwrap();
    let state = market.net.banks[0].validator.state();
    assert_eq!(state.books.ledger(&carol.ledger).unwrap().sequence, Sequence(4));
    assert_eq!(market.net.evidence_of(&carol).len(), 4);
    let refused = market.net.command(
        0,
        Command::Issue {
            asset: market.bond.clone(),
            ledger: carol.ledger,
            amount: Amount::new(1),
            name: None,
        },
    );
    assert_eq!(refused.unwrap_err().code, Code::LedgerClosed);
    let second = market.net.customer_numbered(0, "carol", 2);
    assert_ne!(second.ledger, carol.ledger);
    market.net.fund(&second, &market.bond, 7);
}
