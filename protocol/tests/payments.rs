//! Payments to other banks: one way after the other, over others for a fee, with a conversion by
//! a market maker's offer, with something enclosed for the payee's bank.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the core's own strictness is for code that faces the outside"
)]

mod support;

use quadrille_protocol::crypto::seal::{OVERHEAD_BYTES, Sealed};
use quadrille_protocol::error::Code;
use quadrille_protocol::ledger::transaction::Cause;
use quadrille_protocol::ledger::{Action, Payment};
use quadrille_protocol::log::{Record, Statement};
use quadrille_protocol::market::OfferTerms;
use quadrille_protocol::payment::{Fee, Hop, Opened, Plan, Route};
use quadrille_protocol::settlement::{Account, Enclosure};
use quadrille_protocol::types::*;
use quadrille_protocol::validator::Command;
use support::scene::{Market, account};
use support::{Customer, Net, Signing};

/// Bob at bank 1 has 5,000 euros, alice at bank 0 has 1,000 bonds, bank 2 carries for others.
struct Scene {
    market: Market,
    transit: Account,
}

impl Scene {
    fn new(banks: usize) -> Self {
        let mut market = Market::new(banks, Signing::Off);
        let transit = market.transit(2);
        Self { market, transit }
    }

    /// Euros of bob's to alice, for at most `max_cost`.
    fn payment(&self, amount: u128, max_cost: u128) -> Payment {
        let to = account(&self.market.net, &self.market.alice);
        let plain = Payment::plain(to, self.market.eur.clone(), Amount::new(amount));
        Payment { max_cost: Amount::new(max_cost), ..plain }
    }

    /// Over bank 2, which gets `gets` and passes on what is to arrive.
    fn over(&self, payment: &Payment, gets: u128) -> Route {
        let mut route = Route::through(payment, vec![self.transit.clone()]).unwrap();
        let mut hops = route.hops.to_vec();
        hops[0].amount = Amount::new(gets);
        route.hops = Bounded::new(hops).unwrap();
        route
    }

    fn pay(&mut self, payment: Payment, plan: Plan) -> Result<OrderId, Code> {
        self.market.net.plan(&payment, plan);
        let paid = self.market.net.order(&mut self.market.bob, Action::Pay(payment));
        paid.map(|(id, _)| id).map_err(|refusal| refusal.code)
    }

    fn ways(&mut self, payment: Payment, routes: Vec<Route>) -> Result<OrderId, Code> {
        self.pay(payment, Plan::of(routes).unwrap())
    }

    fn euros(&self, customer: &Customer) -> (u128, u128) {
        self.market.net.balance(customer, &self.market.eur)
    }

    /// The payment came to nothing, for this reason, and bob has everything back.
    fn came_to_nothing(&self, order: OrderId, because: Code) {
        assert_eq!(self.euros(&self.market.bob), (5_000, 0));
        assert_eq!(ends(&self.market.net, 1), vec![(order, because)]);
        self.market.net.check_quiet();
    }
}

fn direct(payment: &Payment) -> Route {
    Route::through(payment, Vec::new()).unwrap()
}

/// The payments that a bank has ended, and why.
fn ends(net: &Net, at: usize) -> Vec<(OrderId, Code)> {
    let records = net.banks[at].records();
    let ended = records.iter().filter_map(|record| match record {
        Record::Transaction(transaction) => match transaction.cause {
            Cause::PaymentEnded { order, reason } => Some((order, reason)),
            _ => None,
        },
        _ => None,
    });
    ended.collect()
}

/// The agreements that a bank drew up.
fn agreements(net: &Net, at: usize) -> usize {
    let records = net.banks[at].records();
    let agreed = |record: &&Record| matches!(record, Record::Statement(Statement::Agreed(_)));
    records.iter().filter(agreed).count()
}

#[test]
fn a_payment_refused_for_a_limit_takes_the_next_way_and_holds_its_cost_once() {
    let mut scene = Scene::new(3);
    let eur = scene.market.eur.clone();
    scene.market.net.limit(0, 1, &eur, 0);
    let payment = scene.payment(500, 520);
    let routes = vec![direct(&payment), scene.over(&payment, 510)];
    scene.ways(payment, routes).unwrap();
    assert_eq!(agreements(&scene.market.net, 1), 2);
    assert_eq!(scene.euros(&scene.market.bob), (4_490, 0));
    assert_eq!(scene.euros(&scene.market.alice), (500, 0));
    assert_eq!(ends(&scene.market.net, 1), vec![]);
    scene.market.net.check_quiet();
}

#[test]
fn when_every_way_is_refused_the_payer_has_everything_back() {
    let mut scene = Scene::new(3);
    let eur = scene.market.eur.clone();
    scene.market.net.limit(0, 1, &eur, 0);
    scene.market.net.limit(0, 2, &eur, 499);
    let payment = scene.payment(500, 520);
    let routes = vec![direct(&payment), scene.over(&payment, 510)];
    let order = scene.ways(payment, routes).unwrap();
    assert_eq!(agreements(&scene.market.net, 1), 2);
    scene.came_to_nothing(order, Code::CreditLimit);
}

#[test]
fn what_the_payees_bank_says_of_the_payee_is_the_last_word() {
    let mut scene = Scene::new(3);
    let alice = scene.market.alice.ledger;
    scene.market.net.command(0, Command::Freeze(alice)).unwrap();
    let payment = scene.payment(500, 520);
    let routes = vec![direct(&payment), scene.over(&payment, 510)];
    let order = scene.ways(payment, routes).unwrap();
    assert_eq!(agreements(&scene.market.net, 1), 1, "another way leads to the same ledger");
    scene.came_to_nothing(order, Code::LedgerFrozen);
}

#[test]
fn who_carries_a_payment_keeps_its_fee_and_declines_for_less() {
    let mut scene = Scene::new(3);
    let eur = scene.market.eur.clone();
    let fee = Fee { flat: Amount::new(2), ppm: 10_000 };
    let set = Command::SetTransitFee { asset: eur.clone(), fee };
    scene.market.net.command(2, set).unwrap();
    let payment = scene.payment(500, 520);
    let short = scene.over(&payment, 506);
    let order = scene.ways(payment.clone(), vec![short]).unwrap();
    scene.came_to_nothing(order, Code::FeeTooLow);
    let (short, exact) = (scene.over(&payment, 506), scene.over(&payment, 507));
    scene.ways(payment, vec![short, exact]).unwrap();
    assert_eq!(scene.euros(&scene.market.bob), (4_493, 0));
    assert_eq!(scene.euros(&scene.market.alice), (500, 0));
    let books = &scene.market.net.banks[2].validator.state().books;
    let (earned, _) = books.ledger(&scene.transit.ledger).unwrap().balance(&eur);
    assert_eq!(earned, Amount::new(7));
    scene.market.net.check_quiet();
}

#[test]
fn a_way_that_costs_more_than_the_payer_signed_is_never_taken() {
    let mut scene = Scene::new(3);
    let payment = scene.payment(500, 505);
    let dear = scene.over(&payment, 506);
    assert_eq!(scene.ways(payment, vec![dear]), Err(Code::CostTooHigh));
    assert_eq!(scene.euros(&scene.market.bob), (5_000, 0));
    assert_eq!(agreements(&scene.market.net, 1), 0);
}

#[test]
fn ways_that_do_not_make_the_payment_are_refused() {
    let mut scene = Scene::new(3);
    let payment = scene.payment(500, 520);
    let elsewhere = Payment { to: scene.transit.clone(), ..payment.clone() };
    let less = Payment { amount: Amount::new(499), ..payment.clone() };
    let mut gives_more = scene.over(&payment, 510);
    let mut hops = gives_more.hops.to_vec();
    hops[0].amount = Amount::new(499);
    gives_more.hops = Bounded::new(hops).unwrap();
    for route in [direct(&elsewhere), direct(&less), gives_more] {
        assert_eq!(scene.ways(payment.clone(), vec![route]), Err(Code::BadRoute));
    }
    assert_eq!(scene.ways(payment, Vec::new()), Err(Code::NoRoute));
    assert_eq!(scene.euros(&scene.market.bob), (5_000, 0));
}

/// Bob pays carol at bank 2 in bonds, which he does not have: alice sells them on the way.
struct Conversion {
    scene: Scene,
    carol: Customer,
    payment: Payment,
}

impl Conversion {
    fn new(amount: u128, max_cost: u128) -> Self {
        let mut scene = Scene::new(3);
        let carol = scene.market.net.customer(2, "carol");
        let payment = Payment {
            spend: scene.market.eur.clone(),
            max_cost: Amount::new(max_cost),
            ..Payment::plain(
                account(&scene.market.net, &carol),
                scene.market.bond.clone(),
                Amount::new(amount),
            )
        };
        Self { scene, carol, payment }
    }

    fn by(&self, offer: OrderId, cost: u128) -> Route {
        let market = &self.scene.market;
        let hops = vec![
            Hop {
                to: account(&market.net, &market.alice),
                asset: market.eur.clone(),
                amount: Amount::new(cost),
                offer: Some(offer),
            },
            Hop {
                to: self.payment.to.clone(),
                asset: market.bond.clone(),
                amount: self.payment.amount,
                offer: None,
            },
        ];
        Route { hops: Bounded::new(hops).unwrap() }
    }

    fn pay(&mut self, offer: OrderId, cost: u128) -> OrderId {
        let route = self.by(offer, cost);
        self.scene.ways(self.payment.clone(), vec![route]).unwrap()
    }
}

#[test]
fn a_payment_is_converted_on_the_way_by_a_standing_offer_all_or_nothing() {
    let mut paid = Conversion::new(40, 90);
    let offer = paid.scene.market.offer(100, 200);
    paid.pay(offer, 80);
    let market = &paid.scene.market;
    assert_eq!(market.net.balance(&market.bob, &market.eur), (4_920, 0));
    assert_eq!(market.net.balance(&market.alice, &market.eur), (80, 0));
    assert_eq!(market.net.balance(&market.alice, &market.bond), (900, 60));
    assert_eq!(market.net.balance(&paid.carol, &market.bond), (40, 0));
    market.net.check_quiet();
    // What is left of the offer is still on offer.
    let left = market.net.banks[0].validator.state().offers.get(&offer).unwrap();
    assert_eq!(left.available(), Amount::new(60));
}

#[test]
fn a_market_makers_bank_keeps_to_what_the_offer_says() {
    type Spoil = fn(&mut Conversion, &mut OfferTerms);
    let cases: [(Code, u128, Spoil); 5] = [
        (Code::TermsDiffer, 79, |_, _| {}),
        (Code::OfferSelects, 80, |_, terms| terms.selection_window = Duration(1_000)),
        (Code::NotAllowedCounterparty, 80, |paid, terms| {
            let only = vec![paid.scene.market.net.domain(2)];
            terms.counterparties = Bounded::new(only).unwrap();
        }),
        (Code::BelowMinimum, 80, |_, terms| terms.minimum_fill = Amount::new(41)),
        (Code::NoTrust, 80, |paid, _| {
            let eur = paid.scene.market.eur.clone();
            paid.scene.market.net.limit(0, 1, &eur, 0);
        }),
    ];
    for (code, cost, spoil) in cases {
        let mut paid = Conversion::new(40, 90);
        let mut terms = paid.scene.market.terms(100, 200);
        spoil(&mut paid, &mut terms);
        let offer = paid.scene.market.offer_terms(terms);
        let order = paid.pay(offer, cost);
        paid.scene.came_to_nothing(order, code);
        let market = &paid.scene.market;
        assert_eq!(market.net.balance(&market.alice, &market.bond), (900, 100), "{code}");
    }
}

#[test]
fn an_offer_gives_no_more_than_is_left_of_it_however_many_payments_want_it() {
    let mut paid = Conversion::new(40, 90);
    let offer = paid.scene.market.offer(100, 200);
    paid.pay(offer, 80);
    paid.pay(offer, 80);
    let third = paid.pay(offer, 80);
    let market = &paid.scene.market;
    assert_eq!(ends(&market.net, 1), vec![(third, Code::AboveRemaining)]);
    assert_eq!(market.net.balance(&market.bob, &market.eur), (4_840, 0));
    assert_eq!(market.net.balance(&paid.carol, &market.bond), (80, 0));
    market.net.check_quiet();
}

fn enclosure(scene: &Scene, hash: u8) -> Enclosure {
    let sealed = Sealed::from_bytes(&[7; OVERHEAD_BYTES]).unwrap();
    Enclosure { to: scene.market.net.domain(0), hash: Hash([hash; 32]), sealed }
}

fn enclosing(scene: &Scene, payment: &Payment, travel: bool) -> Plan {
    let plan = Plan::of(vec![direct(payment)]).unwrap();
    Plan { enclosure: Some(enclosure(scene, 9)), travel, ..plan }
}

#[test]
fn the_payees_bank_locks_only_for_what_it_opened_and_finds_agreed_upon() {
    type Found = Option<Result<Opened, Code>>;
    let good = || Opened { hash: Hash([9; 32]), travel: true };
    let other = Opened { hash: Hash([8; 32]), travel: true };
    let cases: [(Found, Option<Code>); 4] = [
        (Some(Ok(good())), None),
        (None, Some(Code::EnclosureUnopened)),
        (Some(Ok(other)), Some(Code::EnclosureDiffers)),
        (Some(Err(Code::CannotOpen)), Some(Code::CannotOpen)),
    ];
    for (found, refused) in cases {
        let mut scene = Scene::new(3);
        scene.market.net.opened = found;
        let payment = scene.payment(500, 500);
        let plan = enclosing(&scene, &payment, true);
        let order = scene.pay(payment, plan).unwrap();
        match refused {
            None => assert_eq!(scene.euros(&scene.market.bob), (4_500, 0)),
            Some(code) => scene.came_to_nothing(order, code),
        }
    }
}

#[test]
fn from_the_threshold_on_both_banks_ask_for_the_travel_rules_data() {
    let rule = |scene: &Scene| Command::SetTravelRule {
        asset: scene.market.eur.clone(),
        threshold: Some(Amount::new(500)),
    };
    for bank in [0, 1] {
        let mut scene = Scene::new(3);
        let set = rule(&scene);
        scene.market.net.command(bank, set).unwrap();
        scene.market.net.opened = Some(Ok(Opened { hash: Hash([9; 32]), travel: false }));
        let below = scene.payment(499, 499);
        let routes = vec![direct(&below)];
        scene.ways(below, routes).unwrap();
        assert_eq!(scene.euros(&scene.market.bob), (4_501, 0));
        let from_there = scene.payment(500, 500);
        let plan = enclosing(&scene, &from_there, false);
        match scene.pay(from_there, plan) {
            Ok(order) => {
                assert_eq!(bank, 0, "the payer's own bank refuses at once");
                assert_eq!(ends(&scene.market.net, 1), vec![(order, Code::TravelDataMissing)]);
            }
            Err(code) => assert_eq!((bank, code), (1, Code::TravelDataMissing)),
        }
        assert_eq!(scene.euros(&scene.market.bob), (4_501, 0));
        scene.market.net.opened = Some(Ok(Opened { hash: Hash([9; 32]), travel: true }));
        let again = scene.payment(501, 501);
        let plan = enclosing(&scene, &again, true);
        scene.pay(again, plan).unwrap();
        assert_eq!(scene.euros(&scene.market.bob), (4_000, 0));
        scene.market.net.check_quiet();
    }
}

#[test]
fn the_travel_rule_counts_what_arrives_whatever_the_way() {
    let mut scene = Scene::new(3);
    let threshold = Some(Amount::new(500));
    let set = Command::SetTravelRule { asset: scene.market.eur.clone(), threshold };
    scene.market.net.command(0, set).unwrap();
    let payment = scene.payment(500, 520);
    let routes = vec![scene.over(&payment, 510)];
    let order = scene.ways(payment, routes).unwrap();
    scene.came_to_nothing(order, Code::TravelDataMissing);
}
