//! Evidence cut from real logs and verified with nothing but the anchors.

use std::sync::Arc;

use quadrille_node::evidence::{
    Bundle, Evidences, Paper, Report, Subject, Verdict, armour, verify_offline,
};
use quadrille_node::index::{Place, Said, SettlementFilter};
use quadrille_protocol::codec;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::Rotation;
use quadrille_protocol::identity::{Anchors, SignedRotation};
use quadrille_protocol::ledger::Action;
use quadrille_protocol::log::record::Decided;
use quadrille_protocol::log::{Evidence, Frame, Outcome, Record, Statement};
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Boot, Command, Input};

use crate::logs::{MemoryLog, indexed};
use crate::support::puppet::Puppet;
use crate::support::scene::{Market, REAL, account};
use crate::support::{Net, secret};

struct Node {
    evidences: Evidences<MemoryLog>,
    index: quadrille_node::index::Index,
    _dir: tempfile::TempDir,
}

fn node(net: &Net, at: usize) -> Node {
    let log = MemoryLog::of(&net.banks[at]);
    let dir = tempfile::tempdir().unwrap();
    let index = indexed(&dir.path().join("index"), &log);
    Node { evidences: Evidences::new(log, index.clone()), index, _dir: dir }
}

impl Node {
    fn last_settlement(&self) -> SettlementId {
        let page = self.index.settlements(SettlementFilter::All, None, 1).unwrap();
        page.items[0].settlement
    }

    fn last_bundle(&self) -> Bundle {
        self.evidences.settlement_bundle(&self.last_settlement()).unwrap()
    }
}

/// As a stranger reads it: from the file.
fn verified(bundle: &Bundle, anchors: &Anchors) -> Result<Report, Refusal> {
    let read = armour::read(&armour::to_text(bundle)?)?;
    assert_eq!(read, *bundle);
    verify_offline(&read, anchors)
}

fn settled() -> Market {
    let mut market = Market::new(2, REAL);
    let offer = market.offer(100, 200);
    let take = market.take(offer, 100, 200);
    market.bob_sends(take);
    market.net.run();
    market.net.check_quiet();
    market
}

fn with(bundle: &Bundle, evidence: Vec<Evidence>) -> Bundle {
    Bundle { evidence: Bounded::new(evidence).unwrap(), ..bundle.clone() }
}

/// Without what `drop` picks.
fn without(bundle: &Bundle, drop: impl Fn(&Evidence) -> bool) -> Bundle {
    let kept: Vec<Evidence> =
        bundle.evidence.iter().filter(|known| !drop(known)).cloned().collect();
    assert!(kept.len() < bundle.evidence.len());
    with(bundle, kept)
}

fn kind(evidence: &Evidence) -> &'static str {
    evidence.read().unwrap().kind()
}

#[test]
fn either_bank_proves_a_settled_trade_to_a_stranger() {
    let market = settled();
    let (a, b) = (market.net.domain(0), market.net.domain(1));
    for at in 0..2 {
        let bundle = node(&market.net, at).last_bundle();
        let report = verified(&bundle, &market.net.anchors).unwrap();
        assert_eq!(report.verdict, Verdict::Settled, "{report}");
        let owed: Vec<_> = report
            .claims
            .iter()
            .map(|claim| (claim.debtor.clone(), claim.asset.clone(), claim.amount.units()))
            .collect();
        let legs = [(a.clone(), market.bond.clone(), 100), (b.clone(), market.eur.clone(), 200)];
        assert_eq!(owed, legs, "{report}");
        assert!(report.summary.contains("decided to settle"), "{report}");
        assert_eq!(report.signers.len(), 2);
        assert!(report.facts.iter().any(|fact| fact.what.contains("locked its part")));
        // What a bank's own books did is there, and what the other's did is only claimed.
        let own = [&a, &b][at];
        assert!(
            report
                .facts
                .iter()
                .any(|fact| { fact.by == *own && fact.what.starts_with("booked the settlement") })
        );
        let told = report.to_string();
        assert!(told.contains("owes bank-"), "{told}");
        assert!(told.contains("Not proven by this:"), "{told}");
        let back: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!(back, report);
    }
}

#[test]
fn no_flipped_byte_goes_unnoticed() {
    let market = settled();
    let bundle = node(&market.net, 1).last_bundle();
    let bytes = bundle.to_bytes();
    let anchors = &market.net.anchors;
    let check = |bytes: &[u8]| {
        Bundle::from_bytes(bytes).and_then(|bundle| verify_offline(&bundle, anchors))
    };
    let whole = check(&bytes).unwrap();
    // A step that shares no factor with the sizes of keys and signatures.
    for at in (0..bytes.len()).step_by(41).chain(0..120) {
        let mut bent = bytes.clone();
        bent[at] ^= 1 << (at % 8);
        let outcome = check(&bent);
        assert!(outcome.is_err(), "byte {at} of {}: {outcome:?}", bytes.len());
    }
    assert_eq!(check(&bytes).unwrap(), whole);
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(check(&bytes[..cut]).is_err());
    }
}

#[test]
fn a_notary_decides_and_each_shows_what_it_may_know() {
    let mut market = Market::new(3, REAL);
    let mut terms = market.terms(100, 200);
    terms.notary = Some(market.net.domain(2));
    let offer = market.offer_terms(terms);
    let take = market.take(offer, 100, 200);
    market.bob_sends(take);
    market.net.run();
    for at in 0..3 {
        let report = verified(&node(&market.net, at).last_bundle(), &market.net.anchors).unwrap();
        assert_eq!(report.verdict, Verdict::Settled, "{report}");
        assert_eq!(report.claims.len(), if at == 2 { 0 } else { 2 }, "{report}");
        let blind = report.not_proven.iter().any(|line| line.starts_with("What moves"));
        assert_eq!(blind, at == 2, "{report}");
    }
}

/// The initiator draws up the agreement, hears no more and says no more; the deadline passes.
fn refunded() -> Market {
    let mut market = Market::new(2, REAL);
    let offer = market.offer(100, 200);
    let take = market.take(offer, 100, 200);
    market.bob_sends(take);
    for _ in 0..20 {
        market.net.turn(1);
        if !market.net.banks[0].said().contains(&"Agreed") {
            market.net.turn(0);
        }
        if let Some((from, to, wire)) = market.net.wire.pop_front() {
            market.net.deliver(from, to, wire).unwrap();
        }
    }
    market.net.wire.clear();
    market.net.banks[0].inputs.clear();
    market.net.now = market.net.now.after(Duration(40_000));
    market.net.banks[1].inputs.push_back(Input::Tick);
    market.net.turn(1);
    market
}

#[test]
fn a_refunded_trade_is_proven_refunded_and_owes_nothing() {
    let mut market = refunded();
    let decider = node(&market.net, 1).last_bundle();
    let report = verified(&decider, &market.net.anchors).unwrap();
    assert_eq!(report.verdict, Verdict::Refunded, "{report}");
    assert!(report.claims.is_empty());
    assert!(report.facts.iter().any(|fact| fact.what.contains("decided to REFUND")), "{report}");
    // The initiator alone can only show that it agreed.
    let initiator = node(&market.net, 0).last_bundle();
    let report = verified(&initiator, &market.net.anchors).unwrap();
    assert_eq!(report.verdict, Verdict::Undecided, "{report}");
    market.settle_down();
    let initiator = node(&market.net, 0).last_bundle();
    let report = verified(&initiator, &market.net.anchors).unwrap();
    assert_eq!(report.verdict, Verdict::Refunded, "{report}");
}

#[test]
fn a_refusal_is_proven_with_its_reason() {
    let mut market = Market::new(2, REAL);
    let bond = market.bond.clone();
    let offer = market.offer(100, 200);
    // Too much for bob's account: his own bank refuses.
    let dear = market.take(offer, 100, 9_000);
    let dear = market.bob_sends(dear);
    market.net.run();
    let report = {
        let bundle = node(&market.net, 1).evidences.order_bundle(&dear).unwrap();
        verified(&bundle, &market.net.anchors).unwrap()
    };
    assert_eq!(report.verdict, Verdict::Refused, "{report}");
    assert!(report.summary.contains("Q-1405"), "{report}");
    // Too little for the offer: the maker's bank refuses.
    let cheap = market.take(offer, 100, 150);
    let cheap = market.bob_sends(cheap);
    market.net.run();
    let node_b = node(&market.net, 1);
    let bundle = node_b.evidences.order_bundle(&cheap).unwrap();
    let report = verified(&bundle, &market.net.anchors).unwrap();
    assert_eq!(report.verdict, Verdict::Refused, "{report}");
    assert!(report.summary.starts_with("bank-a.example refused the take"), "{report}");
    assert!(report.summary.contains("Q-1505"), "{report}");
    assert_eq!(report.facts.len(), 3, "{report}");
    // Nobody trusts: refused with a signed reason too.
    market.net.limit(0, 1, &market.eur.clone(), 0);
    let trusted = market.take(offer, 100, 200);
    let trusted = market.bob_sends(trusted);
    market.net.run();
    let bundle = node(&market.net, 1).evidences.order_bundle(&trusted).unwrap();
    let report = verified(&bundle, &market.net.anchors).unwrap();
    assert_eq!(report.verdict, Verdict::Refused, "{report}");
    // Accepted, and shown as such; a bundle of another order is not one of this.
    let redeem = Action::Redeem { asset: bond, amount: Amount::new(5) };
    let (redeemed, _) = market.net.order(&mut market.alice, redeem).unwrap();
    let bundle = node(&market.net, 0).evidences.order_bundle(&redeemed).unwrap();
    assert_eq!(verified(&bundle, &market.net.anchors).unwrap().verdict, Verdict::Accepted);
    let renamed = Bundle { subject: Subject::Order(cheap), ..bundle };
    let refusal = verified(&renamed, &market.net.anchors).unwrap_err();
    assert_eq!(refusal.code, Code::ForeignEvidence);
}

#[test]
fn only_the_readers_own_anchors_count() {
    let market = settled();
    let bundle = node(&market.net, 0).last_bundle();
    let mut anchors = market.net.anchors.clone();
    let stranger = secret(Suite::Ed25519, 31).public().clone();
    let mut keys = anchors.authorities.to_vec();
    keys[0].key = stranger;
    anchors.authorities = Bounded::new(keys).unwrap();
    assert_eq!(verified(&bundle, &anchors).unwrap_err().code, Code::BadSignature);
    let mut elsewhere = market.net.anchors.clone();
    elsewhere.network = "other-net".parse().unwrap();
    assert_eq!(verified(&bundle, &elsewhere).unwrap_err().code, Code::WrongNetwork);
    let bare = Bundle { papers: Bounded::default(), ..bundle };
    assert_eq!(verified(&bare, &market.net.anchors).unwrap_err().code, Code::UnknownDomain);
}

#[test]
fn two_decisions_are_named_a_fraud() {
    let market = settled();
    let bundle = node(&market.net, 0).last_bundle();
    let Subject::Settlement(id) = bundle.subject else { panic!() };
    let mut puppet = Puppet::new(&market.net, 1);
    let refund = Statement::Decided(Decided {
        settlement: id,
        outcome: Outcome::Refund { reason: Code::TimedOut },
    });
    let record = Record::Statement(refund).to_bytes().unwrap();
    let forged = puppet.seal(&market.net, 0, vec![record.clone()]);
    let second: Vec<Evidence> =
        bundle.evidence.iter().cloned().chain([forged.evidence(0)]).collect();
    let report = verified(&with(&bundle, second), &market.net.anchors).unwrap();
    assert_eq!(report.verdict, Verdict::Fraud, "{report}");
    // Two checkpoints for one height are one as well, whatever they hold.
    let heights =
        bundle.evidence.iter().filter(|known| known.domain() == forged.evidence(0).domain());
    puppet.height = heights
        .max_by_key(|known| known.checkpoint.checkpoint.height)
        .unwrap()
        .checkpoint
        .checkpoint
        .height;
    let finalised = Statement::Finalised {
        settlement: id,
        outcome: quadrille_protocol::log::OutcomeKind::Settle,
    };
    let record = Record::Statement(finalised).to_bytes().unwrap();
    let twin = puppet.forge(&market.net, 0, Sequence(99), vec![record]);
    let second: Vec<Evidence> = bundle.evidence.iter().cloned().chain([twin.evidence(0)]).collect();
    let report = verified(&with(&bundle, second), &market.net.anchors).unwrap();
    assert_eq!(report.verdict, Verdict::Fraud, "{report}");
}

#[test]
fn what_is_missing_is_not_claimed() {
    let market = settled();
    let anchors = &market.net.anchors;
    let bundle = node(&market.net, 0).last_bundle();
    let unlocked = without(&bundle, |known| kind(known) == "Locked");
    let report = verified(&unlocked, anchors).unwrap();
    assert_eq!(report.verdict, Verdict::Settled);
    let debtors: Vec<&str> = report.claims.iter().map(|claim| claim.debtor.as_str()).collect();
    // Bank-b decided to settle: with that it has signed that it is bound.
    assert_eq!(debtors, ["bank-a.example", "bank-b.example"], "{report}");
    let open = without(&bundle, |known| kind(known) == "Decided(settle)");
    assert_eq!(verified(&open, anchors).unwrap().verdict, Verdict::Undecided);
    let blind = without(&bundle, |known| kind(known) == "Agreed");
    assert_eq!(verified(&blind, anchors).unwrap_err().code, Code::ForeignEvidence);
    let empty = with(&bundle, vec![]);
    assert_eq!(verified(&empty, anchors).unwrap_err().code, Code::ForeignEvidence);
}

#[test]
fn a_debtor_that_does_not_decide_is_bound_by_its_lock_alone() {
    let mut market = Market::new(3, REAL);
    let transit = market.transit(2);
    let action = market.pay(account(&market.net, &market.alice), 500, vec![transit]);
    market.net.order(&mut market.bob, action).unwrap();
    let bundle = node(&market.net, 0).last_bundle();
    let whole = verified(&bundle, &market.net.anchors).unwrap();
    assert!(whole.claims.iter().any(|claim| claim.debtor.as_str() == "bank-c.example"), "{whole}");
    // The decision carries the lock of bank-c as well: without either nothing binds it.
    let locks = |known: &Evidence| matches!(kind(known), "Locked" | "Decided(settle)" | "Revealed");
    let report = verified(&without(&bundle, locks), &market.net.anchors).unwrap();
    assert!(report.claims.is_empty(), "{report}");
}

#[test]
fn evidence_of_something_else_or_by_somebody_else_refuses_the_bundle() {
    let mut market = settled();
    let offer = market.offer(10, 20);
    let take = market.take(offer, 10, 20);
    market.bob_sends(take);
    market.net.run();
    let node_a = node(&market.net, 0);
    let page = node_a.index.settlements(SettlementFilter::All, None, 2).unwrap().items;
    let of = |row: usize| node_a.evidences.settlement_bundle(&page[row].settlement).unwrap();
    let mixed: Vec<Evidence> =
        of(0).evidence.iter().chain(of(1).evidence.iter()).cloned().collect();
    let refusal = verified(&with(&of(0), mixed), &market.net.anchors).unwrap_err();
    assert_eq!(refusal.code, Code::ForeignEvidence, "{refusal}");
    // Bank-a is not the decider: its word decides nothing.
    let mut puppet = Puppet::new(&market.net, 0);
    let refund = Statement::Decided(Decided {
        settlement: page[0].settlement,
        outcome: Outcome::Refund { reason: Code::TimedOut },
    });
    let forged = puppet.seal(&market.net, 1, vec![Record::Statement(refund).to_bytes().unwrap()]);
    let more: Vec<Evidence> = of(0).evidence.iter().cloned().chain([forged.evidence(0)]).collect();
    let refusal = verified(&with(&of(0), more), &market.net.anchors).unwrap_err();
    assert_eq!(refusal.code, Code::ForeignEvidence, "{refusal}");
}

#[test]
fn a_trade_after_a_key_rotation_verifies_with_both_keys() {
    let mut market = settled();
    let next = secret(Suite::HybridMlDsa65, 77);
    let bank = &market.net.banks[1];
    let rotation = Rotation {
        network: market.net.network.clone(),
        domain: market.net.domain(1),
        from_epoch: Epoch(1),
        to_epoch: Epoch(2),
        new_key: next.public().clone(),
        new_sealing_key: None,
        from_height: bank.validator.state().height.next().next(),
    };
    let (tag, bytes) = rotation.to_sign();
    let (old, new) = (bank.key.sign(tag, &bytes), next.sign(tag, &bytes));
    let signed = SignedRotation::assemble(&rotation, old, new).unwrap();
    let directory = &bank.validator.state().directory;
    let verifier = quadrille_protocol::crypto::suite::HybridSignatures;
    let rotated = market.net.anchors.verify_rotation(&signed, directory, &verifier).unwrap();
    market.net.banks[1].next_key = Some(next);
    market.net.command(1, Command::Rotate(Box::new(rotated))).unwrap();
    let offer = market.offer(10, 20);
    let take = market.take(offer, 10, 20);
    market.bob_sends(take);
    market.net.run();
    for at in 0..2 {
        let bundle = node(&market.net, at).last_bundle();
        let report = verified(&bundle, &market.net.anchors).unwrap();
        assert_eq!(report.verdict, Verdict::Settled, "{report}");
        let epochs = report.signers.iter().map(|signer| (signer.domain.as_str(), signer.epoch.0));
        assert_eq!(
            epochs.collect::<Vec<_>>(),
            [("bank-a.example", 1), ("bank-b.example", 2)],
            "{report}"
        );
        let kept: Vec<Paper> = bundle
            .papers
            .iter()
            .filter(|paper| !matches!(paper, Paper::Rotation(_)))
            .cloned()
            .collect();
        assert!(kept.len() < bundle.papers.len());
        let unrotated = Bundle { papers: Bounded::new(kept).unwrap(), ..bundle };
        let refusal = verified(&unrotated, &market.net.anchors).unwrap_err();
        assert_eq!(refusal.code, Code::UnknownEpoch);
    }
}

#[test]
fn a_decision_that_a_recovery_gave_back_is_cut_as_it_was_said() {
    let mut market = settled();
    let id = node(&market.net, 1).last_settlement();
    let first = node(&market.net, 1).evidences.decision(&id).unwrap().unwrap();
    let (at, evidence) = (1, market.net.evidence_of(&market.bob));
    let lost = first.checkpoint.checkpoint.height;
    let keep = usize::try_from(lost.0).unwrap() - 1;
    let guard = market.net.banks[at].guard.unwrap();
    market.net.restart(at, keep, Boot::GuardApart(guard));
    market.net.run();
    market.net.give_back(at, evidence);
    market.net.command(at, Command::CustomersHeard).unwrap();
    market.settle_down();
    let again = node(&market.net, 1);
    assert_eq!(again.evidences.decision(&id).unwrap(), Some(first));
    let bundle = again.evidences.settlement_bundle(&id).unwrap();
    let report = verified(&bundle, &market.net.anchors).unwrap();
    assert_eq!(report.verdict, Verdict::Settled, "{report}");
    assert_eq!(report.claims.len(), 2);
}

#[test]
fn frames_and_returned_pages_are_cut_as_they_were_sent() {
    let market = settled();
    let (node_a, node_b) = (node(&market.net, 0), node(&market.net, 1));
    let (a, b) = (market.net.domain(0), market.net.domain(1));
    let sent = node_a.index.pages_after(&b, Sequence(0), 100).unwrap();
    let kept = node_b.index.received_after(&a, Sequence(0), 100).unwrap();
    assert_eq!(sent.len(), kept.len());
    assert!(!sent.is_empty());
    for ((last, page), (heard, received)) in sent.into_iter().zip(kept) {
        assert_eq!(last, heard);
        let frame: Frame = node_a.evidences.frame(page).unwrap();
        assert_eq!(codec::encode(&frame), node_b.evidences.received(received).unwrap());
    }
}

#[test]
fn what_is_not_there_or_not_signed_gives_no_evidence() {
    let market = settled();
    let mut log = MemoryLog::of(&market.net.banks[0]);
    let last = log.0.last_mut().unwrap();
    last.signature = None;
    let (height, leaf) = (last.stored.checkpoint.height, 0);
    let dir = tempfile::tempdir().unwrap();
    let index = indexed(dir.path(), &log);
    let evidences = Evidences::new(Arc::new(log), index);
    let code = |place| evidences.at(place).unwrap_err().code;
    assert_eq!(code(Place { height, leaf }), Code::NotSealed);
    assert_eq!(code(Place { height: height.next(), leaf }), Code::NoSuchRecord);
    assert_eq!(code(Place { height: Height(1), leaf: 9_999 }), Code::NoSuchRecord);
    let first = Place { height: Height(1), leaf: 0 };
    let said = Said { place: first, item: None };
    assert_eq!(evidences.said(said).unwrap(), evidences.at(first).unwrap());
    let bundle = evidences.record_bundle(first).unwrap();
    let report = verified(&bundle, &market.net.anchors).unwrap();
    assert_eq!(report.verdict, Verdict::Said);
    assert!(evidences.settlement_bundle(&SettlementId([9; 32])).is_err());
    assert!(evidences.order_bundle(&OrderId([9; 32])).is_err());
}

#[test]
fn an_armour_says_its_kind_and_only_its_bytes_count() {
    let market = settled();
    let bundle = node(&market.net, 0).last_bundle();
    let mut value = armour::to_json(&bundle);
    assert_eq!(value["quadrille"], "evidence-bundle");
    value["about"] = "stl:something else".into();
    value["records"] = "gone".into();
    assert_eq!(armour::read(&value.to_string()).unwrap(), bundle);
    for (field, wrong) in [
        ("quadrille", serde_json::json!("certificate")),
        ("quadrille", serde_json::json!("evidence")),
        ("version", serde_json::json!(2)),
        ("bytes", serde_json::json!("xyz")),
    ] {
        let mut bent = armour::to_json(&bundle);
        bent[field] = wrong;
        assert_eq!(armour::read(&bent.to_string()).unwrap_err().code, Code::BadArmour);
    }
    assert_eq!(armour::read("no json").unwrap_err().code, Code::BadArmour);
}

#[test]
fn bare_evidence_verifies_with_the_readers_own_papers() {
    let market = settled();
    let node = node(&market.net, 0);
    let place = Place { height: Height(1), leaf: 0 };
    let evidence = node.evidences.at(place).unwrap();
    let bytes = codec::encode(&evidence);
    let text = quadrille_node::armour::wrap(
        quadrille_node::armour::Kind::Evidence,
        &bytes,
        &std::collections::BTreeMap::<&str, &str>::new(),
    );
    let bare = armour::read(&text.unwrap()).unwrap();
    let anchors = &market.net.anchors;
    assert_eq!(verify_offline(&bare, anchors).unwrap_err().code, Code::UnknownDomain);
    let papers = node.evidences.record_bundle(place).unwrap().papers.into_vec();
    let papered = bare.with_papers(papers.clone()).unwrap();
    assert_eq!(verify_offline(&papered, anchors).unwrap().verdict, Verdict::Said);
    assert_eq!(papered.clone().with_papers(papers).unwrap(), papered);
}
