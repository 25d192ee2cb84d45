//! Orders, openings and commands: every refusal, and what is accepted.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the core's own strictness is for code that faces the outside"
)]

mod support;

use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{HybridSignatures, SecretKey, Suite};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::opening::{DailyLimit, Rules};
use quadrille_protocol::ledger::{Action, AssetProfile, Opening, Payment, SignedOpening};
use quadrille_protocol::log::Record;
use quadrille_protocol::payment::Fee;
use quadrille_protocol::settlement::Account;
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Accepted, Boot, Command, Event, Input, State};
use support::scene::{Market, REAL, account};
use support::{Customer, Net, Signing, secret};

const HOUR_MS: u64 = 3_600_000;

/// The state without what every batch moves on.
fn contents(net: &Net, at: usize) -> State {
    let mut state = net.banks[at].validator.state().clone();
    (state.height, state.head, state.time) = (Height(0), Hash::ZERO, Time(0));
    state
}

fn send(
    net: &mut Net,
    customer: &Customer,
    nonce: u64,
    action: Action,
    expiry: Time,
) -> Result<Accepted, Refusal> {
    let signed = net.sign_with(customer, Nonce(nonce), action, expiry);
    let (request, _) = net.submit(customer, signed);
    net.run();
    net.banks[customer.bank].replies.remove(&request).unwrap()
}

fn transfer(asset: &Uai, amount: u128, to: Account) -> Action {
    Action::Pay(Payment::plain(to, asset.clone(), Amount::new(amount)))
}

fn profile(net: &Net, code: &str, limit: Option<u128>, minimum_tier: u8) -> AssetProfile {
    AssetProfile {
        code: code.parse().unwrap(),
        issuer: net.domain(0),
        name: Detail::shortened(code),
        decimals: 0,
        supply_limit: limit.map(Amount::new),
        terms: Hash::ZERO,
        minimum_tier,
        denomination: Amount::new(1),
        documents: Bounded::default(),
        jurisdictions: Bounded::default(),
        holders: Bounded::default(),
    }
}

/// Everything that alice can ask for in vain.
fn vain_orders(market: &Market, carol: &Account, dave: &Account) -> Vec<(Code, Action)> {
    let own = account(&market.net, &market.alice);
    let abroad = account(&market.net, &market.bob);
    let unknown = profile(&market.net, "NONE", None, 0).uai();
    let bad = |change: fn(&mut quadrille_protocol::market::OfferTerms)| {
        let mut terms = market.terms(100, 200);
        change(&mut terms);
        Action::Offer(terms)
    };
    let nowhere = Account { ledger: Ubi([1; 32]), ..own.clone() };
    let strange = Account { domain: "bank-z.example".parse().unwrap(), ..own.clone() };
    let bond = |amount, to: &Account| transfer(&market.bond, amount, to.clone());
    let offer = OrderId([9; 32]);
    let redeem = |asset: &Uai, amount| Action::Redeem { asset: asset.clone(), amount };
    vec![
        (Code::InsufficientFunds, bond(1_001, carol)),
        (Code::InsufficientFunds, bond(1_001, &abroad)),
        (Code::InsufficientFunds, redeem(&market.bond, Amount::new(1_001))),
        (Code::InsufficientFunds, bad(|terms| terms.give_amount = Amount::new(1_001))),
        (Code::ZeroAmount, bond(0, carol)),
        (Code::ZeroAmount, redeem(&market.bond, Amount::ZERO)),
        (Code::UnknownAsset, transfer(&unknown, 1, carol.clone())),
        (Code::NotIssuer, redeem(&market.eur, Amount::new(1))),
        (Code::SameLedger, bond(1, &own)),
        (Code::UnknownLedger, bond(1, &nowhere)),
        (Code::UnknownDomain, bond(1, &strange)),
        (Code::AssetNotAllowed, bond(1, dave)),
        (Code::LedgerNotEmpty, Action::Close),
        (Code::UnknownOffer, Action::Cancel { offer }),
        (Code::UnknownOffer, market.take(offer, 1, 1)),
        (Code::BadOffer, bad(|terms| terms.want_amount = Amount::ZERO)),
        (Code::BadOffer, bad(|terms| terms.want = terms.give.clone())),
        (Code::BadOffer, bad(|terms| terms.minimum_fill = Amount::new(101))),
        (Code::OfferExpired, bad(|terms| terms.expiry = Time(0))),
        (Code::OrderLifeTooLong, bad(|terms| terms.expiry = Time(terms.expiry.0 * 2))),
    ]
}

#[test]
fn a_refused_order_changes_nothing_and_its_holder_can_prove_it() {
    let mut market = Market::new(2, REAL);
    let carol = market.net.customer(0, "carol");
    let rules =
        Rules { assets: Bounded::new(vec![market.eur.clone()]).unwrap(), ..Rules::default() };
    let dave = market.net.customer_with(0, "dave", rules, None);
    let (carol, dave) = (account(&market.net, &carol), account(&market.net, &dave));
    for (code, action) in vain_orders(&market, &carol, &dave) {
        let before = contents(&market.net, 0);
        let what = format!("{action:?}");
        let signed = market.net.sign(&mut market.alice, action);
        // A take by alice of an offer of her own bank must hold euros first.
        let (request, id) = market.net.submit(&market.alice, signed);
        market.net.run();
        let reply = market.net.banks[0].replies.remove(&request).unwrap();
        let refusal = reply.unwrap_err();
        let poor = code == Code::UnknownOffer && refusal.code == Code::InsufficientFunds;
        assert!(refusal.code == code || poor, "{code} for {what}, not {refusal}");
        assert_eq!(contents(&market.net, 0), before, "{code}");
        let mine = |record: &Record| matches!(record, Record::Refused(known) if known.order == id);
        let proof = market.net.banks[0].prove(mine).unwrap();
        let told = market.net.banks[0].events.iter().rev().find_map(|event| match event {
            Event::Refused { ledger, order, leaf } => Some((*ledger, *order, *leaf)),
            _ => None,
        });
        assert_eq!(told, Some((market.alice.ledger, id, proof.index)));
        let directory = &market.net.banks[1].validator.state().directory;
        let proven = proof.verify(&market.net.network, directory, &HybridSignatures).unwrap();
        let Record::Refused(proven) = proven else { unreachable!() };
        assert_eq!(proven.refusal, refusal);
    }
}

#[test]
fn a_nonce_serves_one_order_and_its_repetition_has_no_second_effect() {
    let mut market = Market::new(2, Signing::Off);
    let carol = market.net.customer(0, "carol");
    let to = account(&market.net, &carol);
    let expiry = market.net.now.after(Duration(HOUR_MS));
    let net = &mut market.net;
    let (alice, bond) = (&market.alice, &market.bond);
    let pay = |amount| transfer(bond, amount, to.clone());
    assert!(!send(net, alice, 1, pay(10), expiry).unwrap().repeated);
    assert!(send(net, alice, 1, pay(10), expiry).unwrap().repeated);
    assert_eq!(net.balance(alice, bond), (990, 0));
    assert_eq!(send(net, alice, 1, pay(11), expiry).unwrap_err().code, Code::NonceUsed);
    // A refused order has not used its nonce.
    assert_eq!(
        send(net, alice, 60, pay(10_000), expiry).unwrap_err().code,
        Code::InsufficientFunds
    );
    send(net, alice, 60, pay(5), expiry).unwrap();
    send(net, alice, 30, pay(5), expiry).unwrap();
    assert_eq!(send(net, alice, 30, pay(6), expiry).unwrap_err().code, Code::NonceUsed);
    send(net, alice, 100, pay(5), expiry).unwrap();
    assert_eq!(send(net, alice, 36, pay(6), expiry).unwrap_err().code, Code::NonceTooOld);
    send(net, alice, 37, pay(5), expiry).unwrap();
    assert_eq!(send(net, alice, 165, pay(6), expiry).unwrap_err().code, Code::NonceTooFar);
    assert_eq!(net.balance(alice, bond), (970, 0));
    net.check_quiet();
}

#[test]
fn an_order_has_its_time_and_its_key() {
    let mut market = Market::new(2, REAL);
    let carol = market.net.customer(0, "carol");
    let to = account(&market.net, &carol);
    let now = market.net.now;
    let pay = transfer(&market.bond, 1, to);
    let (net, alice) = (&mut market.net, &mut market.alice);
    let cases = [
        (Code::OrderExpired, now),
        (Code::OrderExpired, Time(0)),
        (Code::OrderLifeTooLong, now.after(Duration(24 * HOUR_MS + 1))),
    ];
    for (code, expiry) in cases {
        assert_eq!(send(net, alice, 1, pay.clone(), expiry).unwrap_err().code, code);
    }
    let last = now.after(Duration(24 * HOUR_MS));
    send(net, alice, 1, pay.clone(), last).unwrap();
    let new = secret(Suite::HybridMlDsa65, 77);
    let rotate = Action::RotateKey { key: new.public().clone() };
    send(net, alice, 2, rotate, last).unwrap();
    let records = net.banks[0].log.len();
    assert_eq!(send(net, alice, 3, pay.clone(), last).unwrap_err().code, Code::WrongKey);
    assert_eq!(net.banks[0].log.len(), records, "a stranger's refusal is not written down");
    alice.key = new;
    send(net, alice, 3, pay, last).unwrap();
    assert_eq!(net.balance(alice, &market.bond), (998, 0));
}

fn with_limit(market: &mut Market, second: Option<SecretKey>) -> Customer {
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

#[test]
fn above_the_daily_limit_the_second_key_signs_too_however_it_is_split() {
    let mut market = Market::new(2, REAL);
    let mut eve = with_limit(&mut market, Some(secret(Suite::Ed25519, 5)));
    let to = account(&market.net, &market.alice);
    let pay = |market: &Market, amount| transfer(&market.bond, amount, to.clone());
    for amount in [60, 40] {
        let action = pay(&market, amount);
        market.net.order(&mut eve, action).unwrap();
    }
    let mut terms = market.terms(1, 1);
    terms.expiry = market.net.now.after(Duration(HOUR_MS));
    let redeem = Action::Redeem { asset: market.bond.clone(), amount: Amount::new(1) };
    for action in [pay(&market, 1), Action::Offer(terms), redeem] {
        let refused = market.net.order(&mut eve, action).unwrap_err();
        assert_eq!(refused.code, Code::LimitNeedsSecondKey);
    }
    eve.second = Some(secret(Suite::Ed25519, 6));
    let refused = {
        let action = pay(&market, 1);
        market.net.order(&mut eve, action)
    };
    assert_eq!(refused.unwrap_err().code, Code::LimitNeedsSecondKey);
    eve.second = Some(secret(Suite::Ed25519, 5));
    let action = pay(&market, 500);
    market.net.order(&mut eve, action).unwrap();
    eve.second = None;
    market.net.now = market.net.now.after(Duration(24 * HOUR_MS));
    let action = pay(&market, 100);
    market.net.order(&mut eve, action).unwrap();
}

#[test]
fn without_a_second_key_the_daily_limit_is_the_end() {
    let mut market = Market::new(2, REAL);
    let mut eve = with_limit(&mut market, None);
    let to = account(&market.net, &market.alice);
    let action = transfer(&market.bond, 101, to);
    let refused = market.net.order(&mut eve, action).unwrap_err();
    assert_eq!(refused.code, Code::SecondKeyMissing);
}

#[test]
fn a_frozen_ledger_waits_and_a_closed_one_is_gone() {
    let mut market = Market::new(2, REAL);
    let mut carol = market.net.customer(0, "carol");
    let (from, to) = (account(&market.net, &market.alice), account(&market.net, &carol));
    let pay = transfer(&market.bond, 1, to);
    market.net.command(0, Command::Freeze(market.alice.ledger)).unwrap();
    let refused = market.net.order(&mut market.alice, pay.clone()).unwrap_err();
    assert_eq!(refused.code, Code::LedgerFrozen);
    market.net.command(0, Command::Unfreeze(market.alice.ledger)).unwrap();
    market.net.order(&mut market.alice, pay.clone()).unwrap();
    let back = transfer(&market.bond, 1, from);
    market.net.order(&mut carol, back).unwrap();
    market.net.order(&mut carol, Action::Close).unwrap();
    let refused = market.net.order(&mut carol, Action::Close).unwrap_err();
    assert_eq!(refused.code, Code::LedgerClosed);
    let refused = market.net.order(&mut market.alice, pay).unwrap_err();
    assert_eq!(refused.code, Code::LedgerClosed);
    for command in [Command::Freeze(carol.ledger), Command::Unfreeze(carol.ledger)] {
        assert_eq!(market.net.command(0, command).unwrap_err().code, Code::LedgerClosed);
    }
}

#[test]
fn a_ledger_with_an_open_settlement_is_not_closed() {
    let mut market = Market::new(2, Signing::Off);
    let mut carol = market.net.customer(0, "carol");
    let action = market.pay(account(&market.net, &carol), 5, vec![]);
    market.bob_sends(action);
    market.net.turn(1);
    while let Some((from, to, wire)) = market.net.wire.pop_front() {
        market.net.deliver(from, to, wire).unwrap();
    }
    market.net.turn(0);
    let expiry = market.net.now.after(Duration(HOUR_MS));
    let signed = market.net.sign_with(&carol, Nonce(1), Action::Close, expiry);
    let (request, _) = market.net.submit(&carol, signed);
    market.net.turn(0);
    let reply = market.net.banks[0].replies.remove(&request).unwrap();
    assert_eq!(reply.unwrap_err().code, Code::LedgerNotEmpty);
    market.net.run();
    let refused = market.net.order(&mut carol, Action::Close).unwrap_err();
    assert_eq!(refused.code, Code::LedgerNotEmpty);
    market.net.check_quiet();
}

#[test]
fn commands_are_refused_with_their_codes() {
    let mut market = Market::new(2, REAL);
    let (capped, gold) =
        (profile(&market.net, "CAP", Some(10), 0), profile(&market.net, "GOLD", None, 2));
    let unknown = profile(&market.net, "NONE", None, 0).uai();
    for profile in [&capped, &gold] {
        market.net.command(0, Command::RegisterAsset(profile.clone())).unwrap();
    }
    let (ledger, amount) = (market.alice.ledger, Amount::new(11));
    let issue = |asset: &Uai, ledger, amount| Command::Issue {
        asset: asset.clone(),
        ledger,
        amount,
        name: None,
    };
    let limit = |peer: &str, asset: &Uai| Command::SetCreditLimit {
        peer: peer.parse().unwrap(),
        asset: asset.clone(),
        limit: amount,
    };
    let lock = |asset: &Uai| Command::LockAsset { asset: asset.clone(), locked: true };
    let fee = |asset: &Uai, ppm| Command::SetTransitFee {
        asset: asset.clone(),
        fee: Fee { flat: Amount::ZERO, ppm },
    };
    let cases = [
        (Code::SupplyExceeded, issue(&capped.uai(), ledger, amount)),
        (Code::KycTierTooLow, issue(&gold.uai(), ledger, amount)),
        (Code::NotIssuer, issue(&market.eur, ledger, amount)),
        (Code::UnknownAsset, issue(&unknown, ledger, amount)),
        (Code::UnknownLedger, issue(&market.bond, Ubi([1; 32]), amount)),
        (Code::ZeroAmount, issue(&market.bond, ledger, Amount::ZERO)),
        (Code::AmountOverflow, issue(&market.bond, ledger, Amount::MAX)),
        (Code::AssetExists, Command::RegisterAsset(capped)),
        (Code::NotIssuer, lock(&market.eur)),
        (Code::UnknownAsset, lock(&unknown)),
        (Code::UnknownDomain, limit("bank-z.example", &market.eur)),
        (Code::WrongDomain, limit("bank-a.example", &market.eur)),
        (Code::UnknownAsset, limit("bank-b.example", &unknown)),
        (Code::UnknownLedger, Command::SetTransitLedger(Some(Ubi([1; 32])))),
        (Code::UnknownAsset, fee(&unknown, 1)),
        (Code::FeeTooHigh, fee(&market.eur, 1_000_001)),
        (Code::UnknownLedger, Command::Freeze(Ubi([1; 32]))),
        (Code::NotRecovering, Command::CustomersHeard),
        (Code::NotRecovering, Command::GiveUpOn(market.net.domain(1))),
    ];
    for (code, command) in cases {
        let before = contents(&market.net, 0);
        let what = format!("{command:?}");
        assert_eq!(market.net.command(0, command).unwrap_err().code, code, "{what}");
        assert_eq!(contents(&market.net, 0), before, "{what}");
    }
}

#[test]
fn a_locked_asset_moves_nowhere_and_a_draining_bank_begins_nothing() {
    let mut market = Market::new(2, REAL);
    let carol = market.net.customer(0, "carol");
    let to = account(&market.net, &carol);
    let mut frank = market.net.customer(0, "frank");
    let mine = market.offer(10, 20);
    let cancel = Action::Cancel { offer: mine };
    let refused = market.net.order(&mut frank, cancel.clone()).unwrap_err();
    assert_eq!(refused.code, Code::NotYours);
    let asset = market.bond.clone();
    let lock = |locked| Command::LockAsset { asset: asset.clone(), locked };
    market.net.command(0, lock(true)).unwrap();
    let pay = transfer(&market.bond, 1, to);
    let refused = market.net.order(&mut market.alice, pay.clone()).unwrap_err();
    assert_eq!(refused.code, Code::AssetLocked);
    market.net.command(0, lock(false)).unwrap();
    market.net.command(0, Command::Drain).unwrap();
    let offer = Action::Offer(market.terms(10, 20));
    let abroad = transfer(&market.bond, 1, account(&market.net, &market.bob));
    for action in [offer, abroad] {
        let refused = market.net.order(&mut market.alice, action).unwrap_err();
        assert_eq!(refused.code, Code::NotLive);
    }
    // What is open can still be ended.
    market.net.order(&mut market.alice, cancel).unwrap();
    market.net.command(0, Command::Undrain).unwrap();
    market.net.order(&mut market.alice, pay).unwrap();
    market.net.check_quiet();
}

#[test]
fn an_opening_is_for_this_bank_and_network_and_once() {
    let mut market = Market::new(2, REAL);
    let key = secret(Suite::Ed25519, 40);
    let opening = |network: &str, holder: &str| Opening {
        network: network.parse().unwrap(),
        holder: holder.parse().unwrap(),
        number: 1,
        key: key.public().clone(),
        tier: 1,
        jurisdiction: Country::UNKNOWN,
        identity: Hash::ZERO,
        rules: Rules::default(),
    };
    let cases = [
        (Some(Code::WrongDomain), opening("test-net", "gina@bank-b.example")),
        (Some(Code::WrongNetwork), opening("other-net", "gina@bank-a.example")),
        (None, opening("test-net", "gina@bank-a.example")),
        (Some(Code::LedgerExists), opening("test-net", "gina@bank-a.example")),
    ];
    for (code, opening) in cases {
        let signature = key.sign(Tag::Opening, &quadrille_protocol::codec::encode(&opening));
        let verified = SignedOpening { opening, signature }.verify(&HybridSignatures).unwrap();
        let request = market.net.banks[0].request();
        let input = Input::Open { request, opening: Box::new(verified) };
        market.net.banks[0].inputs.push_back(input);
        market.net.run();
        let reply = market.net.banks[0].replies.remove(&request).unwrap();
        assert_eq!(reply.err().map(|refusal| refusal.code), code);
    }
}

#[test]
fn an_order_repeated_long_after_it_was_accepted_is_not_refused_on_record() {
    let mut market = Market::new(2, Signing::Off);
    let carol = market.net.customer(0, "carol");
    let to = account(&market.net, &carol);
    let expiry = market.net.now.after(Duration(HOUR_MS));
    let net = &mut market.net;
    let (alice, bond) = (&market.alice, &market.bond);
    let refusals = |net: &Net| {
        let records = net.banks[0].records();
        records.iter().filter(|record| matches!(record, Record::Refused(_))).count()
    };
    for nonce in 1..=10 {
        send(net, alice, nonce, transfer(bond, 10, to.clone()), expiry).unwrap();
    }
    let again = send(net, alice, 1, transfer(bond, 10, to.clone()), expiry).unwrap_err();
    assert_eq!(again.code, Code::NonceUsed);
    for nonce in [70, 130] {
        send(net, alice, nonce, transfer(bond, 10, to.clone()), expiry).unwrap();
    }
    let again = send(net, alice, 1, transfer(bond, 10, to.clone()), expiry).unwrap_err();
    assert_eq!(again.code, Code::NonceTooOld);
    assert_eq!(refusals(net), 0);
    let refused = send(net, alice, 131, transfer(bond, 10_000, to), expiry).unwrap_err();
    assert_eq!(refused.code, Code::InsufficientFunds);
    assert_eq!(refusals(net), 1);
}

#[test]
fn an_issue_with_a_name_happens_once_over_replays_too() {
    let mut scene = Market::new(2, REAL);
    let (ledger, asset) = (scene.alice.ledger, scene.bond.clone());
    let named = |amount: u128, name: u8| Command::Issue {
        asset: asset.clone(),
        ledger,
        amount: Amount::new(amount),
        name: Some(Hash([name; 32])),
    };
    let before = scene.balances()[0].0;
    assert!(!scene.net.command(0, named(5, 1)).unwrap().repeated);
    assert!(scene.net.command(0, named(5, 1)).unwrap().repeated);
    assert_eq!(scene.net.command(0, named(6, 1)).unwrap_err().code, Code::IssueNameUsed);
    let batches = scene.net.banks[0].log.len();
    let guard = scene.net.banks[0].guard.unwrap();
    scene.net.restart(0, batches, Boot::GuardApart(guard));
    assert!(scene.net.command(0, named(5, 1)).unwrap().repeated);
    assert!(!scene.net.command(0, named(5, 2)).unwrap().repeated);
    assert_eq!(scene.balances()[0].0, before + 10);
}
