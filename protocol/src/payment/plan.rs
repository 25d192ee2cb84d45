//! Plans: the ways that a bank will try for one payment.
//!
//! ```text
//!  alice@A --first hop--> transit ledger of B --second hop--> carol@C
//!  alice@A --first hop--> a maker's ledger at B --its offer: another asset--> carol@C
//! ```
//!
//! Invariant: a route that passed `check` brings just what was ordered to whom it was ordered,
//! costs the payer no more than the holder signed, and nobody on it gives more than it gets.

use bincode::{Decode, Encode};

use crate::error::Refusal;
use crate::ledger::Payment;
use crate::limits;
use crate::refuse;
use crate::settlement::agreement::{Account, Enclosure, Leg};
use crate::types::{Amount, Bounded, Hash, OrderId, SettlementId, Uai};

/// What a domain keeps of what passes through its transit ledger, per settlement and asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Fee {
    /// In minor units, whatever the amount.
    pub flat: Amount,
    /// Millionths of what is passed on, rounded up.
    pub ppm: u32,
}

impl Fee {
    /// The whole of what is passed on, in millionths: no fee asks for more.
    pub const WHOLE: u32 = 1_000_000;

    /// The fee for passing `amount` on; `None` when it cannot be written.
    #[must_use]
    pub fn of(&self, amount: Amount) -> Option<Amount> {
        let part =
            amount.scaled_up(Amount::new(self.ppm.into()), Amount::new(Self::WHOLE.into()))?;
        self.flat.plus(part)
    }
}

/// One leg of a route: `amount` of `asset` to the account `to`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hop {
    /// Who receives: the payee, a transit ledger, or a market maker.
    pub to: Account,
    /// The asset.
    pub asset: Uai,
    /// How much.
    pub amount: Amount,
    /// The offer by which the receiver gives the next hop's asset for this one; `None` where it
    /// passes the same asset on, and for the payee.
    pub offer: Option<OrderId>,
}

/// One way from the payer to the payee.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Route {
    /// The hops, the payer's first.
    pub hops: Bounded<Hop, { limits::ROUTE_HOPS }>,
}

/// How a bank will carry out a payment.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Plan {
    /// The routes, to be tried in this order.
    pub routes: Bounded<Route, { limits::PAYMENT_ROUTES }>,
    /// Memo and identities, sealed to the payee's domain.
    pub enclosure: Option<Enclosure>,
    /// Whether the travel rule's data are in it.
    pub travel: bool,
}

impl Plan {
    /// The plan to try these routes, with nothing enclosed.
    ///
    /// # Errors
    /// `Q-1015` for too many.
    pub fn of(routes: Vec<Route>) -> Result<Self, Refusal> {
        Ok(Self { routes: Bounded::new(routes)?, enclosure: None, travel: false })
    }

    /// The plan to pay directly, bank to bank, with nothing enclosed.
    #[must_use]
    pub fn direct(payment: &Payment) -> Self {
        let routes =
            Route::through(payment, Vec::new()).and_then(|route| Bounded::new(vec![route]));
        Self { routes: routes.unwrap_or_default(), enclosure: None, travel: false }
    }
}

/// What the edge found in an enclosure that is for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The settlement.
    pub settlement: SettlementId,
    /// What is in it, or why it cannot be accepted: it does not open, a field is malformed or
    /// missing, or the sanctions screening said no.
    pub opened: Result<Opened, Refusal>,
}

/// An enclosure that was opened and can be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The hash of what is in it.
    pub hash: Hash,
    /// Whether the travel rule's data are in it.
    pub travel: bool,
}

impl Route {
    /// The way over these transit ledgers, in order, whose banks ask for no fee.
    ///
    /// # Errors
    /// `Q-1015` for too many.
    pub fn through(payment: &Payment, transits: Vec<Account>) -> Result<Self, Refusal> {
        let Payment { to, asset, amount, .. } = payment;
        let stops = transits.into_iter().chain([to.clone()]);
        let hop = |to| Hop { to, asset: asset.clone(), amount: *amount, offer: None };
        Ok(Self { hops: Bounded::new(stops.map(hop).collect())? })
    }

    /// The legs by which `payer` pays over this route on `order`.
    #[must_use]
    pub fn legs(&self, payer: &Account, order: OrderId) -> Vec<Leg> {
        let mut from = (payer.clone(), Some(order));
        let legs = self.hops.iter().map(|hop| {
            let (account, order) = std::mem::replace(&mut from, (hop.to.clone(), hop.offer));
            let (asset, to) = (hop.asset.clone(), hop.to.clone());
            Leg { asset, amount: hop.amount, from: account, to, order }
        });
        legs.collect()
    }

    /// Whether `legs` are those of this route.
    #[must_use]
    pub fn is_way_of(&self, legs: &[Leg]) -> bool {
        let same = |(hop, leg): (&Hop, &Leg)| {
            (&hop.to, &hop.asset, hop.amount) == (&leg.to, &leg.asset, leg.amount)
        };
        self.hops.len() == legs.len() && self.hops.iter().zip(legs).all(same)
    }

    /// What the payer gives.
    #[must_use]
    pub fn cost(&self) -> Amount {
        self.hops.first().map_or(Amount::ZERO, |hop| hop.amount)
    }

    /// Whether this is a way of making `payment` from the ledger `payer`.
    ///
    /// # Errors
    /// `Q-2604` it is not; `Q-2602` it costs more than the holder signed.
    pub fn check(&self, payment: &Payment, payer: &Account) -> Result<(), Refusal> {
        let (Some(first), Some(last)) = (self.hops.first(), self.hops.last()) else {
            refuse!(BadRoute, "no hops");
        };
        if (&last.to, &last.asset, last.amount) != (&payment.to, &payment.asset, payment.amount) {
            refuse!(BadRoute, "does not end where the payment ends");
        }
        if first.asset != payment.spend || last.offer.is_some() {
            refuse!(BadRoute, "begins with {} or goes on behind the payee", first.asset);
        }
        if first.amount > payment.max_cost {
            let (cost, most) = (first.amount, payment.max_cost);
            refuse!(CostTooHigh, "{cost} {}, at most {most}", first.asset.code());
        }
        let mut from = payer;
        for hop in &self.hops {
            let stays = hop.to.domain == from.domain && hop.offer.is_none();
            if hop.amount.is_zero() || hop.to == *payer || (stays && hop != last) {
                refuse!(BadRoute, "hop to {} at {}", hop.to.ledger, hop.to.domain);
            }
            from = &hop.to;
        }
        let pairs = self.hops.windows(2).filter_map(|pair| pair.first().zip(pair.last()));
        for (here, next) in pairs.filter(|(here, _)| here.offer.is_none()) {
            if here.asset != next.asset || here.amount < next.amount {
                refuse!(BadRoute, "{} gives what it does not get", here.to.domain);
            }
        }
        Ok(())
    }
}
