//! A holder of the tour: it has its keys in memory and signs its orders itself, with a second key
//! where its ledger's rules ask for one.

use std::time::Duration;

use quadrille_node::api::dto::{IdentityView, NewPayment, OrderState, OrderView, PaymentState};
use quadrille_node::api::dto::{PaymentView, Receipt};
use quadrille_node::signer::generate_key;
use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{SecretKey, Suite};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::ledger::opening::Rules;
use quadrille_protocol::ledger::{Action, Opening, Order, Payment, SignedOpening, SignedOrder};
use quadrille_protocol::market::{OfferTerms, TakeTerms};
use quadrille_protocol::policy::identity::Identity;
use quadrille_protocol::policy::ivms101::Person;
use quadrille_protocol::policy::payload::Payload;
use quadrille_protocol::settlement::Account;
use quadrille_protocol::types::{
    Amount, AssetPair, Bounded, Bytes, Country, Domain, Duration as Span, Hash, Network, OrderId,
    Uai, Ubi,
};

use super::stage::Desk;
use crate::local::trader::{otherwise, wait};
use crate::local::up::now;

/// How long an order may be accepted after it was signed.
const ORDER_LIFE: Span = Span(10 * 60 * 1000);
/// How long anything may take that nothing holds up.
pub(super) const STEP: Duration = Duration::from_secs(30);

/// What somebody opens a ledger with.
pub(super) struct Registration {
    pub number: u32,
    pub tier: u8,
    pub jurisdiction: Country,
    pub identity: Option<Identity>,
    pub backups: Vec<Domain>,
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            number: 1,
            tier: 1,
            jurisdiction: Country::UNKNOWN,
            identity: None,
            backups: Vec::new(),
        }
    }
}

/// A holder with one ledger.
pub(super) struct Customer {
    /// Its bank.
    pub desk: Desk,
    /// Its ledger.
    pub ledger: Ubi,
    pub network: Network,
    pub key: SecretKey,
    pub second: Option<SecretKey>,
}

impl Customer {
    /// Opens a ledger of `local` at the bank, with a new key.
    pub fn open(desk: &Desk, local: &str, with: &Registration) -> Result<Self, Refusal> {
        let key = generate_key(Suite::HybridMlDsa65)?;
        Self::open_with(desk, local, with, key)
    }

    /// The same with a key that is there.
    pub fn open_with(
        desk: &Desk,
        local: &str,
        with: &Registration,
        key: SecretKey,
    ) -> Result<Self, Refusal> {
        let network = desk.ask(desk.client.status())?.network;
        let identity = with.identity.as_ref();
        let opening = Opening {
            network: network.clone(),
            holder: format!("{local}@{}", desk.domain).parse()?,
            number: with.number,
            key: key.public().clone(),
            tier: with.tier,
            jurisdiction: with.jurisdiction,
            identity: identity.map_or(Hash::ZERO, Identity::hash),
            rules: Rules { backups: Bounded::new(with.backups.clone())?, ..Rules::default() },
        };
        let ledger = opening.ubi();
        let signature = key.sign(Tag::Opening, &codec::encode(&opening));
        let signed = SignedOpening { opening, signature };
        let shown = identity.map(|identity| {
            let person = serde_json::to_value(&identity.person);
            let person = person.map_err(|error| otherwise(error.to_string()))?;
            Ok::<_, Refusal>(IdentityView { salt: hex::encode(identity.salt), person })
        });
        let shown = shown.transpose()?;
        desk.ask(desk.client.open_ledger_of(&signed, shown))?;
        Ok(Self { desk: desk.clone(), ledger, network, key, second: None })
    }

    /// Where others pay to.
    pub fn account(&self) -> Account {
        Account { domain: self.desk.domain.clone(), ledger: self.ledger }
    }

    /// What it has of an asset: free and held.
    pub fn has(&self, asset: &Uai) -> Result<(Amount, Amount), Refusal> {
        let view = self.desk.ask(self.desk.client.ledger(&self.ledger))?;
        let found = view.balances.into_iter().find(|balance| balance.asset == *asset);
        Ok(found.map_or((Amount::ZERO, Amount::ZERO), |balance| (balance.free, balance.held)))
    }

    /// Signs an order.
    pub fn sign(&self, action: Action) -> Result<SignedOrder, Refusal> {
        let view = self.desk.ask(self.desk.client.ledger(&self.ledger))?;
        let order = Order {
            network: self.network.clone(),
            ledger: self.ledger,
            nonce: view.highest_nonce.next(),
            expiry: now()?.after(ORDER_LIFE),
            action,
        };
        let bytes = codec::encode(&order);
        let second = self.second.as_ref();
        Ok(SignedOrder {
            order: Bytes::new(&bytes)?,
            key: self.key.public().id(),
            signature: self.key.sign(Tag::Order, &bytes),
            second: second.map(|key| (key.public().id(), key.sign(Tag::Order, &bytes))),
        })
    }

    /// Signs an order and hands it in.
    pub fn order(&self, action: Action) -> Result<(OrderId, Receipt), Refusal> {
        let receipt = self.desk.ask(self.desk.client.order(&self.sign(action)?))?;
        let order = receipt.order.ok_or_else(|| otherwise("a receipt without an order"))?;
        Ok((order, receipt))
    }

    /// Hands a payment in.
    pub fn pay(&self, payment: Payment) -> Result<OrderId, Refusal> {
        Ok(self.order(Action::Pay(payment))?.0)
    }

    /// Hands a payment in that encloses a memo, and the payee's data where there are some.
    pub fn pay_with(
        &self,
        mut payment: Payment,
        memo: &str,
        beneficiary: Option<Person>,
    ) -> Result<OrderId, Refusal> {
        let payload = Payload { salt: rand::random(), memo: memo.parse()?, travel: None };
        payment.memo = payload.memo_hash();
        let signed = self.sign(Action::Pay(payment))?;
        let new = NewPayment {
            bytes: hex::encode(codec::encode(&signed)),
            salt: Some(hex::encode(payload.salt)),
            memo: Some(memo.to_owned()),
            beneficiary,
        };
        let receipt = self.desk.ask(self.desk.client.pay(&new))?;
        receipt.order.ok_or_else(|| otherwise("a receipt without an order"))
    }

    /// Waits until a payment is over.
    pub fn paid(&self, order: &OrderId) -> Result<PaymentView, Refusal> {
        let what = format!("{order} is over at {}", self.desk.name);
        let client = &self.desk.client;
        self.desk.runtime.block_on(wait(&what, STEP, async || {
            let view = client.payment(order).await.ok()?;
            (view.state != PaymentState::Trying).then_some(view)
        }))
    }

    /// Waits until what became of an order is `enough`.
    pub fn outcome(
        &self,
        order: &OrderId,
        enough: impl Fn(&OrderView) -> bool,
    ) -> Result<OrderView, Refusal> {
        let what = format!("{} hears of {order}", self.desk.name);
        let client = &self.desk.client;
        self.desk.runtime.block_on(wait(&what, STEP, async || {
            client.order_state(order).await.ok().filter(|view| enough(view))
        }))
    }

    /// Waits until nothing more comes of an order.
    pub fn ended(&self, order: &OrderId) -> Result<OrderView, Refusal> {
        self.outcome(order, |view| match view.state {
            OrderState::Live | OrderState::Settling => false,
            OrderState::Done
            | OrderState::Settled
            | OrderState::Refunded
            | OrderState::Ended
            | OrderState::Refused => true,
        })
    }

    /// The order that takes a part of an offer for `pay`.
    pub fn taking(offer: &Standing, part: Amount, pay: Amount) -> Result<Action, Refusal> {
        let terms = TakeTerms {
            offer: offer.id,
            maker: offer.maker.clone(),
            take: part,
            pay,
            notary: offer.terms.notary.clone(),
            expiry: now()?.after(ORDER_LIFE),
            receive: offer.deliver.clone(),
        };
        let pair = AssetPair { give: offer.terms.give.clone(), want: offer.terms.want.clone() };
        Ok(Action::Take { terms, pair })
    }

    /// Takes a part of an offer for `pay`.
    pub fn take(&self, offer: &Standing, part: Amount, pay: Amount) -> Result<OrderId, Refusal> {
        Ok(self.order(Self::taking(offer, part, pay)?)?.0)
    }

    /// Offers something, and waits until `watcher` sees it in the book.
    pub fn offer(&self, terms: OfferTerms, watcher: &Desk) -> Result<Standing, Refusal> {
        let (id, _) = self.order(Action::Offer(terms.clone()))?;
        let what = format!("{} sees {id}", watcher.name);
        let client = &watcher.client;
        watcher.runtime.block_on(wait(&what, STEP, async || {
            let book = client.book(None, None, BOOK_ROWS).await.ok()?;
            book.iter().any(|entry| entry.offer == id).then_some(())
        }))?;
        Ok(Standing { id, maker: self.desk.domain.clone(), terms, deliver: None })
    }
}

/// Offers that a book shows at most.
const BOOK_ROWS: usize = 1_000;

/// An offer that others can take.
pub(super) struct Standing {
    pub id: OrderId,
    pub maker: Domain,
    pub terms: OfferTerms,
    /// Where a taker receives, when that is not its own ledger.
    pub deliver: Option<Account>,
}

/// An offer of any part of something for something else, to anybody.
pub(super) fn terms(give: (&Uai, Amount), want: (&Uai, Amount)) -> Result<OfferTerms, Refusal> {
    Ok(OfferTerms {
        give: give.0.clone(),
        give_amount: give.1,
        want: want.0.clone(),
        want_amount: want.1,
        minimum_fill: Amount::new(1),
        expiry: now()?.after(ORDER_LIFE),
        counterparties: Bounded::default(),
        notary: None,
        selection_window: Span(0),
        receive: None,
    })
}
