//! Scenes: a market of two banks or more, and the ways to play one through.

use super::{Customer, Net, Signing};
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::ledger::{Action, Payment};
use quadrille_protocol::log::OutcomeKind;
use quadrille_protocol::market::{OfferTerms, TakeTerms};
use quadrille_protocol::settlement::Account;
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Command, Event};

pub const REAL: Signing = Signing::Real { domains: Suite::HybridMlDsa65, holders: Suite::Ed25519 };

/// Alice at bank-a has bonds of bank-a, bob at bank-b has euros of bank-b.
pub struct Market {
    pub net: Net,
    pub alice: Customer,
    pub bob: Customer,
    pub bond: Uai,
    pub eur: Uai,
}

pub fn account(net: &Net, customer: &Customer) -> Account {
    Account { domain: net.domain(customer.bank), ledger: customer.ledger }
}

impl Market {
    pub fn new(banks: usize, signing: Signing) -> Self {
        let mut net = Net::new(banks, signing);
        let (bond, eur) = (net.asset(0, "BOND"), net.asset(1, "EUR"));
        net.trust(&bond, 1_000_000);
        net.trust(&eur, 1_000_000);
        let (alice, bob) = (net.customer(0, "alice"), net.customer(1, "bob"));
        net.fund(&alice, &bond, 1_000);
        net.fund(&bob, &eur, 5_000);
        Self { net, alice, bob, bond, eur }
    }

    /// Bonds for euros.
    pub fn terms(&self, give: u128, want: u128) -> OfferTerms {
        OfferTerms {
            give: self.bond.clone(),
            give_amount: Amount::new(give),
            want: self.eur.clone(),
            want_amount: Amount::new(want),
            minimum_fill: Amount::ZERO,
            expiry: self.net.now.after(Duration(600_000)),
            counterparties: Bounded::default(),
            notary: None,
            selection_window: Duration(0),
            receive: None,
        }
    }

    /// A take of `offer` with the notary that its notice names.
    pub fn take(&self, offer: OrderId, take: u128, pay: u128) -> Action {
        let known = self.net.banks[0].validator.state().offers.get(&offer);
        let notary = known.and_then(|offer| offer.terms().notary.clone());
        self.take_with(offer, take, pay, notary)
    }

    pub fn take_with(
        &self,
        offer: OrderId,
        take: u128,
        pay: u128,
        notary: Option<Domain>,
    ) -> Action {
        Action::Take {
            terms: TakeTerms {
                offer,
                maker: self.net.domain(0),
                take: Amount::new(take),
                pay: Amount::new(pay),
                notary,
                expiry: self.net.now.after(Duration(300_000)),
                receive: None,
            },
            pair: AssetPair { give: self.bond.clone(), want: self.eur.clone() },
        }
    }

    /// Euros to somebody, by a route.
    pub fn pay(&self, to: Account, amount: u128, route: Vec<Account>) -> Action {
        let payment = Payment::plain(to, self.eur.clone(), Amount::new(amount));
        self.net.find_way(&payment, route);
        Action::Pay(payment)
    }

    /// Alice offers `give` bonds for `want` euros.
    pub fn offer(&mut self, give: u128, want: u128) -> OrderId {
        let terms = self.terms(give, want);
        self.offer_terms(terms)
    }

    pub fn offer_terms(&mut self, terms: OfferTerms) -> OrderId {
        self.net.order(&mut self.alice, Action::Offer(terms)).unwrap().0
    }

    /// Bob's take reaches his bank's queue, and nothing has happened yet.
    pub fn bob_sends(&mut self, action: Action) -> OrderId {
        let signed = self.net.sign(&mut self.bob, action);
        self.net.submit(&self.bob, signed).1
    }

    /// A ledger that carries transit payments at `bank`.
    pub fn transit(&mut self, bank: usize) -> Account {
        let house = self.net.customer(bank, "house");
        let command = Command::SetTransitLedger(Some(house.ledger));
        self.net.command(bank, command).unwrap();
        account(&self.net, &house)
    }

    /// Time passes until every timer, query and probe has had its turn.
    pub fn settle_down(&mut self) {
        for span_ms in [3_000, 10_000, 20_000, 10_000, 30_000, 60_000, 120_000, 400_000] {
            self.net.pass(span_ms);
        }
    }

    /// What each bank's holders have: alice and bob, bonds and euros, free and held.
    pub fn balances(&self) -> [(u128, u128); 4] {
        let Self { net, alice, bob, bond, eur } = self;
        [
            net.balance(alice, bond),
            net.balance(alice, eur),
            net.balance(bob, bond),
            net.balance(bob, eur),
        ]
    }
}

/// Everybody's last word on settlements.
pub fn outcomes(net: &Net) -> Vec<Vec<OutcomeKind>> {
    let of = |event: &Event| match event {
        Event::Final { outcome, .. } => Some(*outcome),
        _ => None,
    };
    net.banks.iter().map(|bank| bank.events.iter().filter_map(of).collect()).collect()
}
