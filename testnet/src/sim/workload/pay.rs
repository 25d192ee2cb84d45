//! Payments: here, abroad, over others for a fee, with a conversion on the way, with something
//! enclosed.

use quadrille_protocol::crypto::seal::{OVERHEAD_BYTES, Sealed};
use quadrille_protocol::ledger::{Action, Payment};
use quadrille_protocol::log::{ReceivedFrame, Statement};
use quadrille_protocol::payment::{Fee, Finding, Hop, Opened, Plan, Route};
use quadrille_protocol::settlement::{Account, Enclosure};
use quadrille_protocol::types::{Bounded, Hash, Uai};
use quadrille_protocol::validator::Command;

use super::amount;
use crate::sim::world::World;

impl World {
    /// A payment for which this plan was made.
    fn pay_by(&mut self, payer: usize, payment: Payment, plan: Plan) {
        let order = self.sign(payer, Action::Pay(payment), None);
        self.hand_in(payer, order, Some(plan));
    }

    pub(super) fn account(&self, customer: usize) -> Account {
        let who = &self.cast.customers[customer];
        Account { domain: self.cast.banks[who.bank].domain.clone(), ledger: who.ubi }
    }

    pub(super) fn pay(&mut self, payer: usize, to: usize, asset: Uai, units: u64) {
        let payment = Payment::plain(self.account(to), asset, amount(units));
        let plan = self.enclosed(Plan::direct(&payment), &payment);
        self.pay_by(payer, payment, plan);
    }

    pub(super) fn pay_here(&mut self) {
        let Some((payer, asset, free)) = self.rich_trader() else { return };
        let bank = self.cast.customers[payer].bank;
        let holders = self.cast.banks[bank].holders.clone();
        let to = *self.workload.random.pick(&holders);
        let units = self.workload.random.between(1, free.min(150));
        self.pay(payer, to, asset, units);
    }

    pub(super) fn pay_abroad(&mut self) {
        let Some((payer, asset, free)) = self.rich_trader() else { return };
        let to = self.trader();
        let units = self.workload.random.between(1, free.min(150));
        self.pay(payer, to, asset, units);
    }

    /// Up to three ways, each over up to three others, for their fees.
    pub(super) fn pay_route(&mut self) {
        let Some((payer, asset, free)) = self.rich_trader() else { return };
        let to = self.trader();
        let units = self.workload.random.between(1, free.min(120));
        let slack = self.workload.random.below(30);
        let payment = Payment {
            max_cost: amount(units + slack),
            ..Payment::plain(self.account(to), asset, amount(units))
        };
        let ways = self.workload.random.between(1, 3);
        let routes = (0..ways).filter_map(|_| self.way_over_others(payer, to, &payment)).collect();
        let plan = self.enclosed(Plan::of(routes).expect("three at most"), &payment);
        self.pay_by(payer, payment, plan);
    }

    fn way_over_others(&mut self, payer: usize, to: usize, payment: &Payment) -> Option<Route> {
        let (first, last) = (self.cast.customers[payer].bank, self.cast.customers[to].bank);
        let mut between: Vec<usize> =
            (0..self.nodes.len()).filter(|bank| *bank != first && *bank != last).collect();
        let mut hops = vec![Hop {
            to: payment.to.clone(),
            asset: payment.asset.clone(),
            amount: payment.amount,
            offer: None,
        }];
        for _ in 0..self.workload.random.between(0, 3).min(between.len() as u64) {
            let at = self.workload.random.index(between.len());
            let bank = between.swap_remove(at);
            // Now and then somebody hopes that it costs nothing.
            let fee = if self.workload.random.chance(9_000) {
                self.fee(bank, &payment.asset)
            } else {
                Fee::default()
            };
            let passed_on = hops.first().map_or(payment.amount, |hop| hop.amount);
            let amount = passed_on.plus(fee.of(passed_on)?)?;
            let (to, asset) = (self.transit(bank), payment.asset.clone());
            hops.insert(0, Hop { to, asset, amount, offer: None });
        }
        Some(Route { hops: Bounded::new(hops).expect("four at most") })
    }

    /// A payment in another asset than the payer's, by a known offer.
    pub(super) fn pay_converted(&mut self) {
        let Some(offer) = self.known_offer() else { return };
        let Some(payer) = self.payer_of(&offer) else { return };
        let to = self.trader();
        let give = u64::try_from(offer.terms.give_amount.units()).unwrap_or(u64::MAX);
        let part = amount(self.workload.random.between(1, give));
        let Some(cost) = offer.terms.fair_price(part) else { return };
        let (asset, spend) = (offer.terms.give.clone(), offer.terms.want.clone());
        let payment = Payment {
            spend: spend.clone(),
            max_cost: cost.plus(amount(self.workload.random.below(5))).unwrap_or(cost),
            ..Payment::plain(self.account(to), asset.clone(), part)
        };
        let maker = self.account(offer.maker);
        let hops = vec![
            Hop { to: maker, asset: spend, amount: cost, offer: Some(offer.id) },
            Hop { to: payment.to.clone(), asset, amount: part, offer: None },
        ];
        let route = Route { hops: Bounded::new(hops).expect("two") };
        let direct = Route::through(&payment, Vec::new()).expect("one");
        // The direct way begins with the wrong asset: it is never taken.
        let routes =
            if self.workload.random.chance(2_000) { vec![direct, route] } else { vec![route] };
        let plan = self.enclosed(Plan::of(routes).expect("two at most"), &payment);
        self.pay_by(payer, payment, plan);
    }

    /// The transit ledger of a bank.
    fn transit(&self, bank: usize) -> Account {
        let own = self.cast.banks[bank].holders.last().copied().unwrap_or_default();
        self.account(own)
    }

    /// What a bank publishes as its fee.
    fn fee(&self, bank: usize, asset: &Uai) -> Fee {
        let validator = self.nodes[bank].validator.as_ref();
        validator.and_then(|at| at.state().fees.get(asset).copied()).unwrap_or_default()
    }

    pub(super) fn set_fee(&mut self) {
        let count = self.cast.banks.len();
        let random = &mut self.workload.random;
        let (bank, asset) = (random.index(count), random.index(count));
        let fee = Fee {
            flat: amount(random.below(4)),
            ppm: u32::try_from(random.below(30_000)).unwrap_or_default(),
        };
        let asset = self.cast.banks[asset].uai.clone();
        self.command(bank, Command::SetTransitFee { asset, fee });
    }

    pub(super) fn set_travel_rule(&mut self) {
        let count = self.cast.banks.len();
        let random = &mut self.workload.random;
        let (bank, asset) = (random.index(count), random.index(count));
        let threshold = random.chance(7_000).then(|| amount(random.between(20, 120)));
        let asset = self.cast.banks[asset].uai.clone();
        self.command(bank, Command::SetTravelRule { asset, threshold });
    }

    /// Encloses something for the payee's bank; now and then not what the agreement will name.
    fn enclosed(&mut self, plan: Plan, payment: &Payment) -> Plan {
        let random = &mut self.workload.random;
        if !random.chance(4_000) {
            return plan;
        }
        let (hash, travel) = (Hash(random.bytes()), random.chance(7_000));
        let inside = if random.chance(9_000) { hash } else { Hash(random.bytes()) };
        let to = payment.to.domain.clone();
        let enclosure = Enclosure { to, hash, sealed: sealed(inside, travel) };
        Plan { enclosure: Some(enclosure), travel, ..plan }
    }
}

/// What stands for a sealed enclosure: its bytes show what is in it.
fn sealed(inside: Hash, travel: bool) -> Sealed {
    let mut bytes = vec![0; OVERHEAD_BYTES];
    bytes.extend_from_slice(&inside.0);
    bytes.push(u8::from(travel));
    Sealed::from_bytes(&bytes).expect("long enough")
}

/// What is in an enclosure.
#[must_use]
pub fn opened(sealed: &Sealed) -> Option<Opened> {
    let (travel, rest) = sealed.as_bytes().split_last()?;
    let hash = Hash(*rest.last_chunk::<32>()?);
    Some(Opened { hash, travel: *travel == 1 })
}

/// What the edge of the receiving bank finds in the enclosures of a page that are for it.
#[must_use]
pub fn findings(frame: &ReceivedFrame) -> Vec<Finding> {
    let agreements = frame.items().iter().filter_map(|item| match &item.statement {
        Some(Statement::Agreed(agreement)) => Some(agreement),
        Some(_) | None => None,
    });
    let found = agreements.filter_map(|agreement| {
        let enclosure = agreement.enclosure.as_ref()?;
        let settlement = agreement.header.id();
        let opened = opened(&enclosure.sealed).filter(|_| enclosure.to == frame.page().to)?;
        Some(Finding { settlement, opened: Ok(opened) })
    });
    found.collect()
}
