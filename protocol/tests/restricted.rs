//! Assets that not everybody may have, and that move in whole denominations only.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the core's own strictness is for code that faces the outside"
)]

mod support;

use quadrille_protocol::error::Code;
use quadrille_protocol::ledger::{Action, AssetProfile};
use quadrille_protocol::settlement::Account;
use quadrille_protocol::types::*;
use quadrille_protocol::validator::Command;
use support::Customer;
use support::scene::{Market, REAL, account};

/// Shares of bank-a with a special profile, 1000 of them alice's, and carol at bank-b who may
/// have them.
struct Scene {
    market: Market,
    share: Uai,
    carol: Customer,
}

fn scene(change: impl FnOnce(&mut AssetProfile)) -> Scene {
    let mut market = Market::new(3, REAL);
    let share = market.net.asset_with(0, "SHARE", change);
    market.net.trust(&share, 1_000_000);
    let fit = |opening: &mut quadrille_protocol::ledger::Opening| {
        opening.jurisdiction = "LI".parse().unwrap();
        opening.tier = 3;
    };
    let carol = market.net.customer_as(1, "carol", fit, None);
    let alice = market.net.customer_as(0, "alicia", fit, None);
    market.net.fund(&alice, &share, 1_000);
    market.alice = alice;
    Scene { market, share, carol }
}

impl Scene {
    fn pay(&mut self, to: Account, units: u128) -> Option<Code> {
        let mut action = self.market.pay(to, units, vec![]);
        let Action::Pay(payment) = &mut action else { unreachable!() };
        (payment.asset, payment.spend) = (self.share.clone(), self.share.clone());
        let (free, _) = self.market.net.balance(&self.market.alice, &self.share);
        let accepted = self.market.net.order(&mut self.market.alice, action);
        let after = self.market.net.balance(&self.market.alice, &self.share);
        match accepted {
            Err(refusal) => {
                assert_eq!(after, (free, 0));
                Some(refusal.code)
            }
            Ok(_) if after == (free - units, 0) => None,
            Ok(_) => {
                assert_eq!(after, (free, 0), "declined: all of it is back");
                Some(Code::PeerDeclined)
            }
        }
    }

    fn to(&self, customer: &Customer) -> Account {
        account(&self.market.net, customer)
    }
}

fn excluded(change: impl FnOnce(&mut AssetProfile), code: Code) {
    let mut scene = scene(change);
    let outsider = scene.market.net.customer(0, "outsider");
    let (carol, bob) = (scene.to(&scene.carol), scene.to(&scene.market.bob));
    let (here, elsewhere) = (scene.to(&outsider), scene.market.net.customer(2, "zed"));
    let elsewhere = scene.to(&elsewhere);
    // Inside the bank, at another bank's word, and in an issue.
    assert_eq!(scene.pay(here, 10), (code != Code::HolderNotPermitted).then_some(code));
    assert_eq!(scene.pay(elsewhere, 10), Some(Code::PeerDeclined));
    let declined = (code != Code::HolderNotPermitted).then_some(Code::PeerDeclined);
    assert_eq!(scene.pay(bob, 10), declined);
    assert_eq!(scene.pay(carol, 10), None);
    if code != Code::HolderNotPermitted {
        let (asset, ledger) = (scene.share.clone(), outsider.ledger);
        let issue = Command::Issue { asset, ledger, amount: Amount::new(10), name: None };
        assert_eq!(scene.market.net.command(0, issue).unwrap_err().code, code);
        // He cannot buy them either: the offer that wants them is refused at once.
        let mut terms = scene.market.terms(10, 10);
        (terms.give, terms.want) = (scene.market.eur.clone(), scene.share.clone());
        let offer = scene.market.net.order(&mut scene.market.bob, Action::Offer(terms));
        assert_eq!(offer.unwrap_err().code, code);
    }
    scene.market.net.check_quiet();
}

#[test]
fn who_is_not_in_a_permitted_jurisdiction_does_not_receive_the_asset() {
    let countries = vec!["DE".parse().unwrap(), "LI".parse().unwrap()];
    let change = |profile: &mut AssetProfile| {
        profile.jurisdictions = Bounded::new(countries).unwrap();
    };
    excluded(change, Code::JurisdictionNotPermitted);
}

#[test]
fn who_has_too_low_a_tier_does_not_receive_the_asset() {
    excluded(|profile| profile.minimum_tier = 3, Code::KycTierTooLow);
}

#[test]
fn holders_of_domains_that_are_not_named_do_not_receive_the_asset() {
    let change = |profile: &mut AssetProfile| {
        let domains = ["bank-a.example", "bank-b.example"].map(|name| name.parse().unwrap());
        profile.holders = Bounded::new(domains.to_vec()).unwrap();
    };
    excluded(change, Code::HolderNotPermitted);
}

#[test]
fn every_amount_that_moves_is_a_multiple_of_the_denomination() {
    let mut scene = scene(|profile| profile.denomination = Amount::new(50));
    let carol = scene.to(&scene.carol);
    for (units, refused) in [(50, None), (100, None), (75, Some(Code::NotDenominated))] {
        assert_eq!(scene.pay(carol.clone(), units), refused);
    }
    let Scene { market, share, .. } = &mut scene;
    let (ledger, asset) = (market.alice.ledger, share.clone());
    let issue = Command::Issue { asset, ledger, amount: Amount::new(20), name: None };
    assert_eq!(market.net.command(0, issue).unwrap_err().code, Code::NotDenominated);
    let redeem = Action::Redeem { asset: share.clone(), amount: Amount::new(49) };
    let refused = market.net.order(&mut market.alice, redeem).unwrap_err();
    assert_eq!(refused.code, Code::NotDenominated);
    for (give, minimum, refused) in [(120, 0, true), (100, 30, true), (100, 50, false)] {
        let mut terms = market.terms(give, 200);
        (terms.give, terms.minimum_fill) = (share.clone(), Amount::new(minimum));
        let offer = market.net.order(&mut market.alice, Action::Offer(terms));
        assert_eq!(offer.is_err_and(|refusal| refusal.code == Code::NotDenominated), refused);
    }
    market.net.check();
}

#[test]
fn a_take_and_what_it_pays_are_multiples_of_their_denominations_too() {
    let mut scene = scene(|profile| profile.denomination = Amount::new(50));
    let Scene { market, share, .. } = &mut scene;
    let mut terms = market.terms(100, 200);
    terms.give = share.clone();
    let offer = market.offer_terms(terms);
    for (part, refused) in [(60, true), (50, false)] {
        let mut take = market.take(offer, part, 2 * part);
        let Action::Take { pair, .. } = &mut take else { unreachable!() };
        pair.give = share.clone();
        let taken = market.net.order(&mut market.bob, take);
        assert_eq!(taken.is_err_and(|refusal| refusal.code == Code::NotDenominated), refused);
    }
    // The price as well, where what is wanted has a denomination.
    let mut terms = market.terms(100, 130);
    terms.want = share.clone();
    terms.give = market.eur.clone();
    let refused = market.net.order(&mut market.bob, Action::Offer(terms)).unwrap_err();
    assert_eq!(refused.code, Code::NotDenominated);
    market.net.check_quiet();
}

#[test]
fn an_asset_without_a_denomination_is_not_registered() {
    let mut market = Market::new(2, REAL);
    let profile = market.net.banks[0].validator.state().books.asset(&market.bond).unwrap();
    let profile = AssetProfile { denomination: Amount::ZERO, ..profile.profile.clone() };
    let refused = market.net.command(0, Command::RegisterAsset(profile)).unwrap_err();
    assert_eq!(refused.code, Code::ZeroAmount);
}
