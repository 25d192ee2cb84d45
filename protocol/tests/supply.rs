//! The life of an asset: closing it, and showing that what is outstanding is what holders have.

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
use quadrille_protocol::ledger::{Action, Attestation, Supply};
use quadrille_protocol::log::Record;
use quadrille_protocol::types::*;
use quadrille_protocol::validator::Command;
use support::Net;
use support::scene::{Market, REAL, account};

/// `bank` attests, and the others check its signature.
fn attest(net: &mut Net, bank: usize, asset: &Uai) -> (Domain, Attestation) {
    net.command(bank, Command::AttestAsset(asset.clone())).unwrap();
    let evidence = net.banks[bank].prove(|record| matches!(record, Record::Attested(_))).unwrap();
    let directory = &net.banks[0].validator.state().directory;
    let proven = evidence.verify(&net.network, directory, &HybridSignatures).unwrap();
    let Record::Attested(attestation) = proven else { unreachable!() };
    assert_eq!(attestation.height, evidence.checkpoint.checkpoint.height);
    (evidence.domain().clone(), *attestation)
}

/// What the ledgers of a bank have of an asset, one by one.
fn counted(net: &Net, bank: usize, asset: &Uai) -> u128 {
    let state = net.banks[bank].validator.state();
    let balance = |ledger: &quadrille_protocol::ledger::Ledger| {
        let (free, held) = ledger.balance(asset);
        free.units() + held.units()
    };
    state.books.ledgers.sorted().into_iter().map(|(_, ledger)| balance(ledger)).sum()
}

/// Bonds at three banks, some of them on offer.
fn spread() -> Market {
    let mut market = Market::new(3, REAL);
    let carol = market.net.customer(2, "carol");
    for (to, units) in
        [(account(&market.net, &market.bob), 300), (account(&market.net, &carol), 50)]
    {
        let mut action = market.pay(to, units, vec![]);
        let Action::Pay(payment) = &mut action else { unreachable!() };
        (payment.asset, payment.spend) = (market.bond.clone(), market.bond.clone());
        market.net.order(&mut market.alice, action).unwrap();
    }
    market.offer(100, 200);
    let back = Action::Redeem { asset: market.bond.clone(), amount: Amount::new(25) };
    market.net.order(&mut market.alice, back).unwrap();
    market
}

#[test]
fn what_is_outstanding_is_what_all_holders_have() {
    let mut market = spread();
    let bond = market.bond.clone();
    let said: Vec<(Domain, Attestation)> =
        (0..3).map(|bank| attest(&mut market.net, bank, &bond)).collect();
    for (bank, (_, attestation)) in said.iter().enumerate() {
        assert_eq!(attestation.holders.units(), counted(&market.net, bank, &bond));
    }
    let supply = Supply::of(&said).unwrap();
    assert!(supply.holds(), "{supply:?}");
    assert_eq!((supply.total.units(), supply.outstanding), (975, Some(Amount::new(975))));
    let at = |bank: usize| supply.holders[&market.net.domain(bank)].units();
    assert_eq!([at(0), at(1), at(2)], [625, 300, 50]);

    let partly = Supply::of(&said[..2]).unwrap();
    assert!(!partly.holds());
    assert_eq!(Vec::from_iter(partly.missing), [market.net.domain(2)]);
    let without_issuer = Supply::of(&said[1..]).unwrap();
    assert_eq!((without_issuer.outstanding, without_issuer.holds()), (None, false));
}

#[test]
fn a_domain_that_counts_wrong_is_found() {
    let mut market = spread();
    let bond = market.bond.clone();
    let said: Vec<(Domain, Attestation)> =
        (0..3).map(|bank| attest(&mut market.net, bank, &bond)).collect();
    let lies: [fn(&mut Attestation); 4] = [
        |said| said.holders = Amount::new(299),
        |said| said.issued = Amount::new(1),
        |said| said.asset = "EUR:bank-b.example#0011223344556677".parse().unwrap(),
        |said| said.peers = Bounded::default(),
    ];
    for lie in lies {
        let mut lied = said.clone();
        lie(&mut lied[1].1);
        assert_eq!(Supply::of(&lied).unwrap_err().code, Code::SupplyMismatch);
    }
    // It hides what came in from the issuer together with the holders who have it.
    let mut hidden = said.clone();
    (hidden[1].1.holders, hidden[1].1.peers) = (Amount::ZERO, Bounded::default());
    let supply = Supply::of(&hidden).unwrap();
    let [mismatch] = &supply.mismatches[..] else { panic!("{supply:?}") };
    assert_eq!((mismatch.owed.units(), mismatch.claimed.units()), (300, 0));
    assert!(!supply.holds());
}

#[test]
fn an_asset_is_closed_when_nothing_is_outstanding_and_stays_closed() {
    let mut market = Market::new(2, REAL);
    let bond = market.bond.clone();
    let close = Command::CloseAsset(bond.clone());
    let refused = market.net.command(0, close.clone()).unwrap_err();
    assert_eq!(refused.code, Code::AssetOutstanding);
    let refused = market.net.command(1, close.clone()).unwrap_err();
    assert_eq!(refused.code, Code::NotIssuer);
    let back = Action::Redeem { asset: bond.clone(), amount: Amount::new(1_000) };
    market.net.order(&mut market.alice, back).unwrap();
    assert!(!market.net.command(0, close.clone()).unwrap().repeated);
    assert!(market.net.command(0, close).unwrap().repeated);
    let (ledger, amount) = (market.alice.ledger, Amount::new(1));
    let issue = Command::Issue { asset: bond.clone(), ledger, amount, name: None };
    assert_eq!(market.net.command(0, issue).unwrap_err().code, Code::AssetClosed);
    let (_, attestation) = attest(&mut market.net, 0, &bond);
    assert_eq!(
        (attestation.issued, attestation.redeemed),
        (Amount::new(1_000), Amount::new(1_000))
    );
}
