//! What holders and operators do all day.
//!
//! Mostly sensible orders, with a share of those that a bank must refuse: repeated, under a
//! used nonce, beyond the funds, to a frozen ledger. The workload looks at balances as a holder
//! would look at a statement of account; it never looks at what the checks are after.

mod chores;
mod odd;
pub mod pay;
mod trade;

use std::collections::VecDeque;

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::ledger::{Action, Order, SignedOrder, VerifiedOrder};
use quadrille_protocol::market::OfferTerms;
use quadrille_protocol::payment::Plan;
use quadrille_protocol::types::{Amount, Bytes, Nonce, OrderId, Time, Uai};
use quadrille_protocol::validator::{Command, Input, RequestId};

use super::clock::START_MS;
use super::rng::Stream;
use super::world::World;
use chores::Chore;

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
    PayConverted,
    SetFee,
    SetTravelRule,
    Repeat,
    ReuseNonce,
    Overdraw,
    Freeze,
    RotateHolder,
    Redeem,
    PublishBook,
    RaiseLimit,
    Explain,
    Net,
    SettleUp,
    OptIn,
    Chore(Chore),
}

const WEIGHTS: [(Act, u64); 26] = [
    (Act::Offer, 24),
    (Act::Take, 26),
    (Act::Compete, 7),
    (Act::Cancel, 5),
    (Act::PayHere, 4),
    (Act::PayAbroad, 10),
    (Act::PayRoute, 9),
    (Act::PayConverted, 8),
    (Act::SetFee, 1),
    (Act::SetTravelRule, 1),
    (Act::Repeat, 5),
    (Act::ReuseNonce, 3),
    (Act::Overdraw, 2),
    (Act::Freeze, 1),
    (Act::RotateHolder, 1),
    (Act::Redeem, 1),
    (Act::PublishBook, 1),
    (Act::RaiseLimit, 1),
    (Act::Explain, 1),
    (Act::Net, 4),
    (Act::SettleUp, 2),
    (Act::OptIn, 1),
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
            Act::PayConverted => self.pay_converted(),
            Act::SetFee => self.set_fee(),
            Act::SetTravelRule => self.set_travel_rule(),
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
            Act::Explain => self.explain(),
            Act::Net => self.net(),
            Act::SettleUp => self.settle_up(),
            Act::OptIn => self.opt_in(),
            Act::Chore(chore) => self.do_chore(chore),
        }
    }

    /// Gives an operator's command to a bank.
    pub fn command(&mut self, bank: usize, command: Command) {
        let request = self.workload.request();
        self.submit(bank, Input::Command { request, command });
    }

    /// Signs an order for a customer.
    fn sign(&mut self, customer: usize, action: Action, nonce: Option<Nonce>) -> VerifiedOrder {
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

    fn order(&mut self, customer: usize, action: Action) -> OrderId {
        let order = self.sign(customer, action, None);
        let id = order.id();
        self.send_order(customer, order);
        id
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
    fn trader(&mut self) -> usize {
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
