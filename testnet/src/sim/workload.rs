//! What holders and operators do all day.
//!
//! Mostly sensible orders, with a share of those that a bank must refuse: repeated, under a
//! used nonce, beyond the funds, to a frozen ledger. The workload looks at balances as a holder
//! would look at a statement of account; it never looks at what the checks are after.

use quadrille_protocol::payment::{Plan, Route};
use std::collections::VecDeque;

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::ledger::{Action, Order, Payment, SignedOrder, VerifiedOrder};
use quadrille_protocol::market::{OfferTerms, TakeTerms};
use quadrille_protocol::settlement::Account;
use quadrille_protocol::types::{
    Amount, AssetPair, Bounded, Bytes, Duration, Nonce, OrderId, Time, Uai,
};
use quadrille_protocol::validator::{Command, Input, RequestId};

use super::cast::HOLDER_KEYS;
use super::chores::Chore;
use super::clock::START_MS;
use super::rng::Stream;
use super::world::World;

/// An offer that holders have heard of.
#[derive(Debug, Clone)]
struct KnownOffer {
    id: OrderId,
    maker: usize,
    terms: OfferTerms,
}

/// The workload's memory.
#[derive(Debug)]
pub struct Workload {
    pub(super) random: Stream,
    next_request: u64,
    gap_max_ms: u64,
    windows: u64,
    notaries: u64,
    offers: VecDeque<KnownOffer>,
    recent: VecDeque<(usize, VerifiedOrder)>,
    frozen: VecDeque<usize>,
}

const KNOWN_OFFERS: usize = 24;
const RECENT_ORDERS: usize = 16;

#[derive(Debug, Clone, Copy)]
enum Act {
    Offer,
    Take,
    Compete,
    Cancel,
    PayHere,
    PayAbroad,
    PayRoute,
    Repeat,
    ReuseNonce,
    Overdraw,
    Freeze,
    RotateHolder,
    Redeem,
    PublishBook,
    RaiseLimit,
    Chore(Chore),
}

const WEIGHTS: [(Act, u64); 19] = [
    (Act::Offer, 24),
    (Act::Take, 26),
    (Act::Compete, 7),
    (Act::Cancel, 5),
    (Act::PayHere, 4),
    (Act::PayAbroad, 10),
    (Act::PayRoute, 9),
    (Act::Repeat, 5),
    (Act::ReuseNonce, 3),
    (Act::Overdraw, 2),
    (Act::Freeze, 1),
    (Act::RotateHolder, 1),
    (Act::Redeem, 1),
    (Act::PublishBook, 1),
    (Act::RaiseLimit, 1),
    (Act::Chore(Chore::ReplaceKey), 1),
    (Act::Chore(Chore::CloseLedger), 1),
    (Act::Chore(Chore::CloseAsset), 1),
    (Act::Chore(Chore::Attest), 3),
];

impl Workload {
    /// A workload whose pace and taste are drawn.
    #[must_use]
    pub fn new(mut random: Stream) -> Self {
        let gap_max_ms = *random.pick(&[20, 60, 150, 400]);
        let windows = *random.pick(&[0, 2_000, 6_000]);
        let notaries = *random.pick(&[0, 2_000, 5_000]);
        Self {
            random,
            next_request: 1,
            gap_max_ms,
            windows,
            notaries,
            offers: VecDeque::new(),
            recent: VecDeque::new(),
            frozen: VecDeque::new(),
        }
    }

    /// A request number nobody has used.
    pub fn request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    /// How long until something is done next.
    pub fn gap_ms(&mut self) -> u64 {
        self.random.between(1, self.gap_max_ms)
    }

    fn act(&mut self) -> Act {
        let total = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut at = self.random.below(total);
        for (act, weight) in WEIGHTS {
            if at < weight {
                return act;
            }
            at -= weight;
        }
        Act::Take
    }
}

impl World {
    /// Somebody does something.
    pub fn work(&mut self) {
        match self.workload.act() {
            Act::Offer => self.offer(),
            Act::Take => self.take(1),
            Act::Compete => {
                let takers = self.workload.random.between(2, 4);
                self.take(takers);
            }
            Act::Cancel => self.cancel(),
            Act::PayHere => self.pay_here(),
            Act::PayAbroad => self.pay_abroad(),
            Act::PayRoute => self.pay_route(),
            Act::Repeat => self.repeat(),
            Act::ReuseNonce => self.reuse_nonce(),
            Act::Overdraw => self.overdraw(),
            Act::Freeze => self.freeze(),
            Act::RotateHolder => self.rotate_holder(),
            Act::Redeem => self.redeem(),
            Act::PublishBook => {
                let bank = self.workload.random.index(self.nodes.len());
                self.command(bank, Command::PublishBook);
            }
            Act::RaiseLimit => self.raise_limit(),
            Act::Chore(chore) => self.do_chore(chore),
        }
    }

    /// Gives an operator's command to a bank.
    pub fn command(&mut self, bank: usize, command: Command) {
        let request = self.workload.request();
        self.submit(bank, Input::Command { request, command });
    }

    /// Signs an order for a customer.
    pub(super) fn sign(
        &mut self,
        customer: usize,
        action: Action,
        nonce: Option<Nonce>,
    ) -> VerifiedOrder {
        let life_ms = self.workload.random.between(5_000, 90_000);
        let who = &mut self.cast.customers[customer];
        let nonce = nonce.unwrap_or_else(|| {
            let next = who.nonce;
            who.nonce = next.next();
            next
        });
        let order = Order {
            network: self.cast.network.clone(),
            ledger: who.ubi,
            nonce,
            expiry: Time(START_MS + self.now_ms + life_ms),
            action,
        };
        let key = &who.keys[who.key];
        let bytes = codec::encode(&order);
        // The second key is not always at hand.
        let second = who.second.as_ref().filter(|_| self.workload.random.chance(5_000));
        let public_second = second.map(|key| key.public().clone());
        let signed = SignedOrder {
            signature: key.sign(Tag::Order, &bytes),
            order: Bytes::new(&bytes).expect("an order fits"),
            key: key.public().id(),
            second: second.map(|key| (key.public().id(), key.sign(Tag::Order, &bytes))),
        };
        let public = key.public().clone();
        signed
            .verify(&self.cast.network, &public, public_second.as_ref(), &self.cast.verifier)
            .expect("the holder's own signature")
    }

    pub(super) fn order(&mut self, customer: usize, action: Action) -> OrderId {
        let order = self.sign(customer, action, None);
        let id = order.id();
        self.send_order(customer, order);
        id
    }

    /// A payment for which these routes were found.
    fn pay_by(&mut self, payer: usize, payment: Payment, routes: Vec<Route>) {
        let order = self.sign(payer, Action::Pay(payment), None);
        let plan = Plan::of(routes).expect("few routes");
        self.hand_in(payer, order, Some(plan));
    }

    fn send_order(&mut self, customer: usize, order: VerifiedOrder) {
        self.hand_in(customer, order, None);
    }

    fn hand_in(&mut self, customer: usize, order: VerifiedOrder, plan: Option<Plan>) {
        let recent = &mut self.workload.recent;
        if recent.len() >= RECENT_ORDERS {
            recent.pop_front();
        }
        recent.push_back((customer, order.clone()));
        let request = self.workload.request();
        let bank = self.cast.customers[customer].bank;
        let name = &self.cast.customers[customer].name;
        self.trace.say(self.now_ms, || {
            let kind = action_name(&order.order().action);
            format!("{name} orders {kind} {}", super::trace::short(&order.id()))
        });
        let order = Box::new(order);
        let input = match plan {
            None => Input::Order { request, order },
            Some(plan) => Input::Pay { request, order, plan: Box::new(plan) },
        };
        self.submit(bank, input);
    }

    fn free(&self, customer: usize, asset: &Uai) -> u64 {
        let who = &self.cast.customers[customer];
        let validator = self.nodes[who.bank].validator.as_ref();
        let ledger = validator.and_then(|at| at.state().books.ledgers.get(&who.ubi));
        let (free, _) = ledger.map(|ledger| ledger.balance(asset)).unwrap_or_default();
        u64::try_from(free.units()).unwrap_or(u64::MAX)
    }

    /// A customer who may trade: not a bank's own transit ledger.
    pub(super) fn trader(&mut self) -> usize {
        let bank = self.workload.random.index(self.nodes.len());
        let holders = &self.cast.banks[bank].holders;
        holders[self.workload.random.index(holders.len() - 1)]
    }

    /// A trader with some free asset, and how much of it.
    fn rich_trader(&mut self) -> Option<(usize, Uai, u64)> {
        let customer = self.trader();
        let first = self.workload.random.index(self.cast.banks.len());
        for step in 0..self.cast.banks.len() {
            let asset = self.cast.banks[(first + step) % self.cast.banks.len()].uai.clone();
            let free = self.free(customer, &asset);
            if free > 0 {
                return Some((customer, asset, free));
            }
        }
        None
    }

    fn offer(&mut self) {
        let Some((maker, give, free)) = self.rich_trader() else { return };
        let count = self.cast.banks.len();
        let want = self.cast.banks[self.workload.random.index(count)].uai.clone();
        let random = &mut self.workload.random;
        let give_amount = random.between(1, free.min(240));
        let want_amount = random.between(1, give_amount * 2);
        let minimum = if random.chance(3_000) { random.between(1, give_amount) } else { 0 };
        let window_ms =
            if random.chance(self.workload.windows) { random.between(200, 4_000) } else { 0 };
        let notary = random.chance(self.workload.notaries).then(|| random.index(count));
        let allowed: Vec<usize> =
            if random.chance(1_500) { vec![random.index(count)] } else { Vec::new() };
        let life_ms = random.between(3_000, 40_000);
        let maker_bank = self.cast.customers[maker].bank;
        let notary = notary.filter(|at| *at != maker_bank);
        let receive = self.other_ledger();
        let domain = |at: usize| self.cast.banks[at].domain.clone();
        let terms = OfferTerms {
            give,
            give_amount: amount(give_amount),
            want,
            want_amount: amount(want_amount),
            minimum_fill: amount(minimum),
            expiry: Time(START_MS + self.now_ms + life_ms),
            counterparties: Bounded::new(allowed.into_iter().map(domain).collect())
                .expect("one at most"),
            notary: notary.map(domain),
            selection_window: Duration(window_ms),
            receive,
        };
        let id = self.order(maker, Action::Offer(terms.clone()));
        if self.workload.offers.len() >= KNOWN_OFFERS {
            self.workload.offers.pop_front();
        }
        self.workload.offers.push_back(KnownOffer { id, maker, terms });
    }

    fn known_offer(&mut self) -> Option<KnownOffer> {
        let length = self.workload.offers.len();
        if length == 0 {
            return None;
        }
        // The newest are the likeliest to be alive.
        let (one, other) = (self.workload.random.index(length), self.workload.random.index(length));
        self.workload.offers.get(one.max(other)).cloned()
    }

    fn take(&mut self, takers: u64) {
        let Some(offer) = self.known_offer() else { return };
        let give = u64::try_from(offer.terms.give_amount.units()).unwrap_or(u64::MAX);
        for _ in 0..takers {
            let Some(taker) = self.payer_of(&offer) else { continue };
            let random = &mut self.workload.random;
            let part = if random.chance(5_000) { give } else { random.between(1, give) };
            let Some(fair) = offer.terms.fair_price(amount(part)) else { continue };
            let fair = u64::try_from(fair.units()).unwrap_or(u64::MAX);
            let pay = match random.below(10) {
                0 => fair.saturating_sub(1).max(1),
                1..=3 => fair + random.below(fair / 4 + 2),
                _ => fair,
            };
            let life_ms = random.between(3_000, 30_000);
            let receive = self.other_ledger();
            let terms = TakeTerms {
                offer: offer.id,
                maker: self.cast.banks[self.cast.customers[offer.maker].bank].domain.clone(),
                take: amount(part),
                pay: amount(pay),
                notary: offer.terms.notary.clone(),
                expiry: Time(START_MS + self.now_ms + life_ms),
                receive,
            };
            let pair = AssetPair { give: offer.terms.give.clone(), want: offer.terms.want.clone() };
            self.order(taker, Action::Take { terms, pair });
        }
    }

    /// Somebody who has some of what `offer` wants.
    fn payer_of(&mut self, offer: &KnownOffer) -> Option<usize> {
        for _ in 0..6 {
            let customer = self.trader();
            if customer != offer.maker && self.free(customer, &offer.terms.want) > 0 {
                return Some(customer);
            }
        }
        None
    }

    fn cancel(&mut self) {
        let Some(offer) = self.known_offer() else { return };
        self.order(offer.maker, Action::Cancel { offer: offer.id });
    }

    pub(super) fn account(&self, customer: usize) -> Account {
        let who = &self.cast.customers[customer];
        Account { domain: self.cast.banks[who.bank].domain.clone(), ledger: who.ubi }
    }

    fn pay(&mut self, payer: usize, to: usize, asset: Uai, units: u64, route: Vec<usize>) {
        let transits = route.into_iter().map(|bank| {
            let own = self.cast.banks[bank].holders.last().copied().unwrap_or_default();
            self.account(own)
        });
        let payment = Payment::plain(self.account(to), asset, amount(units));
        let route = Route::through(&payment, transits.collect()).expect("at most three");
        self.pay_by(payer, payment, vec![route]);
    }

    fn pay_here(&mut self) {
        let Some((payer, asset, free)) = self.rich_trader() else { return };
        let bank = self.cast.customers[payer].bank;
        let holders = self.cast.banks[bank].holders.clone();
        let to = *self.workload.random.pick(&holders);
        let units = self.workload.random.between(1, free.min(150));
        self.pay(payer, to, asset, units, Vec::new());
    }

    fn pay_abroad(&mut self) {
        let Some((payer, asset, free)) = self.rich_trader() else { return };
        let to = self.trader();
        let units = self.workload.random.between(1, free.min(150));
        self.pay(payer, to, asset, units, Vec::new());
    }

    fn pay_route(&mut self) {
        let Some((payer, asset, free)) = self.rich_trader() else { return };
        let to = self.trader();
        let (first, last) = (self.cast.customers[payer].bank, self.cast.customers[to].bank);
        let mut between: Vec<usize> =
            (0..self.nodes.len()).filter(|bank| *bank != first && *bank != last).collect();
        let hops = self.workload.random.between(1, 3);
        let mut route = Vec::new();
        for _ in 0..hops {
            if between.is_empty() {
                break;
            }
            let at = self.workload.random.index(between.len());
            route.push(between.swap_remove(at));
        }
        let units = self.workload.random.between(1, free.min(120));
        self.pay(payer, to, asset, units, route);
    }

    fn repeat(&mut self) {
        let length = self.workload.recent.len();
        let at = self.workload.random.index(length);
        let Some((customer, order)) = self.workload.recent.get(at).cloned() else { return };
        self.send_order(customer, order);
    }

    fn reuse_nonce(&mut self) {
        let length = self.workload.recent.len();
        let at = self.workload.random.index(length);
        let Some((customer, old)) = self.workload.recent.get(at).cloned() else { return };
        let nonce = old.order().nonce;
        let asset = self.cast.banks[self.cast.customers[customer].bank].uai.clone();
        let to = self.trader();
        let units = self.workload.random.between(1, 20);
        let payment = Payment::plain(self.account(to), asset, amount(units));
        let order = self.sign(customer, Action::Pay(payment), Some(nonce));
        self.send_order(customer, order);
    }

    fn overdraw(&mut self) {
        let Some((payer, asset, free)) = self.rich_trader() else { return };
        let to = self.trader();
        self.pay(payer, to, asset, free + 1, Vec::new());
    }

    fn freeze(&mut self) {
        if let Some(customer) = self.workload.frozen.pop_front() {
            let who = &self.cast.customers[customer];
            let (bank, ubi) = (who.bank, who.ubi);
            self.command(bank, Command::Unfreeze(ubi));
            return;
        }
        let customer = self.trader();
        let who = &self.cast.customers[customer];
        let (bank, ubi) = (who.bank, who.ubi);
        self.workload.frozen.push_back(customer);
        self.command(bank, Command::Freeze(ubi));
    }

    fn rotate_holder(&mut self) {
        let customer = self.trader();
        let who = &self.cast.customers[customer];
        if who.key + 1 >= HOLDER_KEYS {
            return;
        }
        let key = who.keys[who.key + 1].public().clone();
        self.order(customer, Action::RotateKey { key });
        // From here on it signs with the new key; if the order was lost, it is refused for ever,
        // which is a holder's misfortune and nobody's loss.
        self.cast.customers[customer].key += 1;
    }

    fn redeem(&mut self) {
        let customer = self.trader();
        let asset = self.cast.banks[self.cast.customers[customer].bank].uai.clone();
        let units = self.workload.random.between(1, 30);
        self.order(customer, Action::Redeem { asset, amount: amount(units) });
    }

    fn raise_limit(&mut self) {
        let count = self.cast.banks.len();
        let random = &mut self.workload.random;
        let (bank, peer, asset) = (random.index(count), random.index(count), random.index(count));
        if bank == peer {
            return;
        }
        let limit = amount(random.between(2_000, 4_000));
        let peer = self.cast.banks[peer].domain.clone();
        let asset = self.cast.banks[asset].uai.clone();
        self.command(bank, Command::SetCreditLimit { peer, asset, limit });
    }
}

/// An amount of `units`.
#[must_use]
pub const fn amount(units: u64) -> Amount {
    Amount::new(units as u128)
}

fn action_name(action: &Action) -> &'static str {
    match action {
        Action::Pay(_) => "Pay",
        Action::Offer(_) => "Offer",
        Action::Take { .. } => "Take",
        Action::Cancel { .. } => "Cancel",
        Action::Amend(_) => "Amend",
        Action::RotateKey { .. } => "RotateKey",
        Action::Redeem { .. } => "Redeem",
        Action::Close => "Close",
    }
}
