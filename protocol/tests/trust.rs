//! Settlements that somebody declines, keys that change in the middle, offers with conditions.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the core's own strictness is for code that faces the outside"
)]

mod support;

use std::collections::VecDeque;

use quadrille_protocol::crypto::suite::{HybridSignatures, Suite};
use quadrille_protocol::error::Code;
use quadrille_protocol::identity::{Rotation, SignedRotation};
use quadrille_protocol::ledger::opening::Rules;
use quadrille_protocol::ledger::{Action, AssetProfile};
use quadrille_protocol::limits::BATCH_RECORDS;
use quadrille_protocol::log::record::Founding;
use quadrille_protocol::log::{Record, Statement};
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Command, Effect, Input, RequestId, Validator};
use support::scene::{Market, account};
use support::{Net, Signing, certify, secret, settings};

/// The reasons with which a bank has declined settlements.
fn declined(net: &Net, at: usize) -> Vec<Code> {
    let records = net.banks[at].records();
    let reason = |record: &Record| match record {
        Record::Statement(Statement::Declined { refusal, .. }) => Some(refusal.code),
        _ => None,
    };
    records.iter().filter_map(reason).collect()
}

#[test]
fn each_hop_declines_with_its_reason_and_the_money_comes_back() {
    type Spoil = fn(&mut Market);
    let cases: [(usize, Code, Spoil); 6] = [
        (0, Code::LedgerFrozen, |market| {
            market.net.command(0, Command::Freeze(market.alice.ledger)).unwrap();
        }),
        (0, Code::AssetNotAllowed, |market| {
            let assets = Bounded::new(vec![market.bond.clone()]).unwrap();
            let rules = Rules { assets, ..Rules::default() };
            market.net.order(&mut market.alice, Action::Amend(rules)).unwrap();
        }),
        (0, Code::NoTrust, |market| market.net.limit(0, 2, &market.eur.clone(), 0)),
        (0, Code::CreditLimit, |market| market.net.limit(0, 2, &market.eur.clone(), 499)),
        (2, Code::NoTrust, |market| market.net.limit(2, 1, &market.eur.clone(), 0)),
        (2, Code::TermsDiffer, |market| {
            market.net.command(2, Command::SetTransitLedger(None)).unwrap();
        }),
    ];
    for (hop, code, spoil) in cases {
        let mut market = Market::new(3, Signing::Off);
        let transit = market.transit(2);
        spoil(&mut market);
        let action = market.pay(account(&market.net, &market.alice), 500, vec![transit]);
        market.net.order(&mut market.bob, action).unwrap();
        market.settle_down();
        assert_eq!(declined(&market.net, hop), [code]);
        assert_eq!(market.net.balance(&market.bob, &market.eur), (5_000, 0));
        market.net.check_quiet();
    }
}

#[test]
fn a_receiver_of_too_low_a_tier_gets_nothing() {
    let mut market = Market::new(2, Signing::Off);
    let profile = AssetProfile {
        code: "GOLD".parse().unwrap(),
        issuer: market.net.domain(1),
        name: Detail::shortened("gold"),
        decimals: 0,
        supply_limit: None,
        terms: Hash::ZERO,
        minimum_tier: 1,
        denomination: Amount::new(1),
        documents: Bounded::default(),
        jurisdictions: Bounded::default(),
        holders: Bounded::default(),
    };
    let strict = AssetProfile { minimum_tier: 2, ..profile.clone() };
    for (profile, expected) in [(profile, vec![]), (strict, vec![Code::KycTierTooLow])] {
        for at in [0, 1] {
            market.net.command(at, Command::RegisterAsset(profile.clone())).unwrap();
        }
        let uai = profile.uai();
        market.net.trust(&uai, 1_000);
        let ledger = market.bob.ledger;
        let issue =
            Command::Issue { asset: uai.clone(), ledger, amount: Amount::new(10), name: None };
        if expected.is_empty() {
            market.net.command(1, issue).unwrap();
            market.eur = uai;
            let action = market.pay(account(&market.net, &market.alice), 5, vec![]);
            market.net.order(&mut market.bob, action).unwrap();
        } else {
            let refused = market.net.command(1, issue).unwrap_err();
            assert_eq!(refused.code, expected[0]);
        }
    }
    assert_eq!(market.net.balance(&market.alice, &market.eur), (5, 0));
    market.net.check_quiet();
}

#[test]
fn an_offer_is_filled_in_parts_to_its_end_and_never_below_its_minimum() {
    let mut market = Market::new(2, Signing::Off);
    let mut terms = market.terms(100, 200);
    terms.minimum_fill = Amount::new(30);
    terms.counterparties = Bounded::new(vec![market.net.domain(1)]).unwrap();
    let offer = market.offer_terms(terms);
    for (take, pay, left) in [(29, 60, 100), (40, 80, 60), (40, 79, 60), (40, 80, 20), (19, 40, 20)]
    {
        let action = market.take(offer, take, pay);
        market.net.order(&mut market.bob, action).unwrap();
        assert_eq!(market.net.balance(&market.alice, &market.bond).1, left);
        market.net.check_quiet();
    }
    // The last rest is below the minimum and is taken whole.
    let action = market.take(offer, 20, 40);
    market.net.order(&mut market.bob, action).unwrap();
    assert_eq!(market.balances(), [(900, 0), (200, 0), (100, 0), (4_800, 0)]);
    assert!(market.net.banks[0].validator.state().offers.is_empty());
    market.net.check_quiet();
}

#[test]
fn an_offer_to_others_is_not_for_bob() {
    let mut market = Market::new(3, Signing::Off);
    let mut terms = market.terms(100, 200);
    terms.counterparties = Bounded::new(vec![market.net.domain(2)]).unwrap();
    let offer = market.offer_terms(terms);
    let action = market.take(offer, 100, 200);
    market.net.order(&mut market.bob, action).unwrap();
    assert_eq!(market.net.banks[0].said(), ["TakeRefused"]);
    assert_eq!(market.net.balance(&market.bob, &market.eur), (5_000, 0));
    assert!(market.net.banks[1].validator.book().get(&offer).is_none());
    market.net.check_quiet();
}

#[test]
fn a_cancel_and_a_take_race_and_one_of_them_wins() {
    for cancel_first in [true, false] {
        let mut market = Market::new(2, Signing::Off);
        let offer = market.offer(100, 200);
        let action = market.take(offer, 100, 200);
        market.bob_sends(action);
        market.net.turn(1);
        let signed = market.net.sign(&mut market.alice, Action::Cancel { offer });
        if cancel_first {
            market.net.submit(&market.alice, signed.clone());
        }
        while let Some((from, to, wire)) = market.net.wire.pop_front() {
            market.net.deliver(from, to, wire).unwrap();
        }
        if !cancel_first {
            market.net.submit(&market.alice, signed);
        }
        market.net.run();
        market.settle_down();
        let end = match cancel_first {
            true => [(1_000, 0), (0, 0), (0, 0), (5_000, 0)],
            false => [(900, 0), (200, 0), (100, 0), (4_800, 0)],
        };
        assert_eq!(market.balances(), end);
        market.net.check_quiet();
    }
}

#[test]
fn settlements_work_under_every_suite_that_a_network_may_name() {
    for domains in [Suite::HybridMlDsa65, Suite::HybridDilithium3] {
        for holders in [Suite::HybridMlDsa65, Suite::HybridDilithium3] {
            let mut market = Market::new(2, Signing::Real { domains, holders });
            let offer = market.offer(100, 200);
            let action = market.take(offer, 100, 200);
            market.net.order(&mut market.bob, action).unwrap();
            assert_eq!(market.balances(), [(900, 0), (200, 0), (100, 0), (4_800, 0)]);
            market.net.check_quiet();
        }
    }
}

#[test]
fn a_domain_moves_to_another_suite_in_the_middle_of_a_settlement() {
    let domains = Suite::HybridDilithium3;
    let mut market = Market::new(2, Signing::Real { domains, holders: Suite::Ed25519 });
    let offer = market.offer(100, 200);
    let action = market.take(offer, 100, 200);
    market.bob_sends(action);
    for at in [1, 0, 1] {
        while let Some((from, to, wire)) = market.net.wire.pop_front() {
            market.net.deliver(from, to, wire).unwrap();
        }
        market.net.turn(at);
    }
    assert_eq!(market.net.banks[1].said().last(), Some(&"Locked"));
    let next = secret(Suite::HybridMlDsa65, 900);
    let height = market.net.banks[1].validator.state().height;
    let rotation = Rotation {
        network: market.net.network.clone(),
        domain: market.net.domain(1),
        from_epoch: Epoch(1),
        to_epoch: Epoch(2),
        new_key: next.public().clone(),
        new_sealing_key: None,
        from_height: Height(height.0 + 2),
    };
    let (tag, bytes) = rotation.to_sign();
    let by_old = market.net.banks[1].key.sign(tag, &bytes);
    let signed = SignedRotation::assemble(&rotation, by_old, next.sign(tag, &bytes)).unwrap();
    let directory = &market.net.banks[1].validator.state().directory;
    let verified = market.net.anchors.verify_rotation(&signed, directory, &HybridSignatures);
    market.net.banks[1].next_key = Some(next);
    market.net.command(1, Command::Rotate(Box::new(verified.unwrap()))).unwrap();
    market.settle_down();
    assert_eq!(market.balances(), [(900, 0), (200, 0), (100, 0), (4_800, 0)]);
    market.net.check_quiet();
    for (height, (batch, signature)) in &market.net.banks[1].batches {
        let epoch = if *height < rotation.from_height { Epoch(1) } else { Epoch(2) };
        assert_eq!(batch.checkpoint().epoch, epoch);
        let evidence = batch.evidence(0, signature).unwrap();
        let directory = &market.net.banks[0].validator.state().directory;
        evidence.verify(&market.net.network, directory, &HybridSignatures).unwrap();
    }
    let said = market.net.banks[1].said();
    assert!(said.contains(&"Rotated") && said.contains(&"Decided(settle)"), "{said:?}");
    assert!(market.net.banks[1].log.last().unwrap().checkpoint.epoch == Epoch(2));
}

#[test]
fn a_rotation_in_a_network_too_large_for_a_batch_is_told_to_acquaintances_only() {
    let net = Net::new(2, Signing::Off);
    let (authority, key) = (secret(Suite::Ed25519, 1_000), secret(Suite::Ed25519, 0));
    let members = (0..BATCH_RECORDS / 4).map(|number| {
        let domain = format!("member-{number}.example").parse().unwrap();
        certify(&net.network, domain, &key, &authority, &net.anchors)
    });
    let certificates: Vec<_> = net.certificates.iter().cloned().chain(members).collect();
    let founding = Founding {
        network: net.network.clone(),
        domain: net.domain(0),
        epoch: Epoch(1),
        time: net.now,
    };
    let mut validator = Validator::found(settings(0), founding, &certificates).unwrap();
    validator.turn(net.now, [1; 32], &mut VecDeque::new()).unwrap();
    let next = secret(Suite::HybridMlDsa65, 900);
    let rotation = Rotation {
        network: net.network.clone(),
        domain: net.domain(0),
        from_epoch: Epoch(1),
        to_epoch: Epoch(2),
        new_key: next.public().clone(),
        new_sealing_key: None,
        from_height: Height(9),
    };
    let (tag, bytes) = rotation.to_sign();
    let by_old = net.banks[0].key.sign(tag, &bytes);
    let signed = SignedRotation::assemble(&rotation, by_old, next.sign(tag, &bytes)).unwrap();
    let directory = &validator.state().directory;
    let verified = net.anchors.verify_rotation(&signed, directory, &HybridSignatures).unwrap();
    let command = Command::Rotate(Box::new(verified));
    let mut inputs = VecDeque::from([Input::Command { request: RequestId(1), command }]);
    let effects = validator.turn(net.now, [2; 32], &mut inputs).unwrap();
    let replied = |effect: &Effect| matches!(effect, Effect::Reply { result: Ok(_), .. });
    assert!(effects.after.iter().any(replied));
    let told = |effect: &&Effect| matches!(effect, Effect::SendPage { .. });
    assert_eq!(effects.after.iter().filter(told).count(), 0);
}
