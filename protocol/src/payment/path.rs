//! Finding ways for a payment, on an [`Atlas`].
//!
//! The search goes backwards, from what must arrive to what the payer gives, since fees and prices
//! are known for what goes out: so every amount is exact. It goes in rounds, one domain further in
//! each, and keeps the cheapest labels of every place.
//!
//! ```text
//!   carol@C must get 100 USD          round 1
//!    \- a maker at C wants 90 EUR      (its offer gives the 100 USD)
//!        \- transit of B gets 90 + 1   round 2: C accepts B in EUR, B's fee is 1
//!            \- alice@A gives 91       round 3: B accepts A in EUR
//! ```
//!
//! Invariants: the same atlas and question give the same ways; no domain is passed twice; no way
//! has more parties or hops than an agreement may have; the work is bounded.

use std::collections::BTreeMap;

use super::atlas::{Atlas, Place, Standing};
use super::plan::{Hop, Route};
use crate::error::{Code, Refusal};
use crate::limits;
use crate::settlement::agreement::Account;
use crate::types::{Amount, Bounded, Domain, OrderId, Uai, Ubi};

/// Offers that are used one after the other at one domain.
const TURNS: usize = 2;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The payee's domain.
    pub payee: Domain,
    /// What must arrive.
    pub asset: Uai,
    /// How much of it.
    pub amount: Amount,
    /// What the payer gives.
    pub spend: Uai,
    /// The most that the payer gives.
    pub max_cost: Amount,
}

/// By what a domain on the way gives for what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// It is where the payee is.
    Payee,
    /// It passes the same asset on.
    Transit(Ubi),
    /// A maker's offer.
    Offer(OrderId),
}

/// One leg of a way: what the account at `domain` gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where.
    pub domain: Domain,
    /// What.
    pub asset: Uai,
    /// How much.
    pub amount: Amount,
    /// By what it goes on from there.
    pub by: By,
}

/// A way from the payer's bank to the payee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The steps, the one that the payer pays to first.
    pub steps: Vec<Step>,
    /// How many domains take part, the payer's and the payee's included.
    pub parties: usize,
}

impl Way {
    /// What the payer gives.
    #[must_use]
    pub fn cost(&self) -> Amount {
        self.steps.first().map_or(Amount::ZERO, |step| step.amount)
    }

    /// The offers on the way, whose accounts are to be asked for.
    pub fn offers(&self) -> impl Iterator<Item = (&Domain, OrderId)> {
        self.steps.iter().filter_map(|step| match step.by {
            By::Offer(offer) => Some((&step.domain, offer)),
            By::Payee | By::Transit(_) => None,
        })
    }

    /// The route to `payee`, with the account of each offer by `account_of`.
    ///
    /// # Errors
    /// Those of `account_of`.
    pub fn route<F>(&self, payee: &Account, mut account_of: F) -> Result<Route, Refusal>
    where
        F: FnMut(&Domain, OrderId) -> Result<Ubi, Refusal>,
    {
        let mut hops = Vec::with_capacity(self.steps.len());
        for Step { domain, asset, amount, by } in &self.steps {
            let (ledger, offer) = match by {
                By::Payee => (payee.ledger, None),
                By::Transit(ledger) => (*ledger, None),
                By::Offer(offer) => (account_of(domain, *offer)?, Some(*offer)),
            };
            let to = Account { domain: domain.clone(), ledger };
            hops.push(Hop { to, asset: asset.clone(), amount: *amount, offer });
        }
        Ok(Route { hops: Bounded::new(hops)? })
    }

    /// What ways of one cost and length are sorted by, so that the order is always the same.
    fn key(&self) -> impl Ord + '_ {
        self.steps.iter().map(|step| (&step.domain, &step.asset, step.by)).collect::<Vec<_>>()
    }
}

/// Why there is no way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoWay {
    /// Payer and payee are at one bank: nothing needs to be found.
    OneBank,
    /// The domain accepts nobody's obligations in the asset and nothing on offer there gives it.
    NobodyAccepted(Domain, Uai),
    /// Nobody accepts the payer's bank in the asset that it is to give.
    NotAccepted(Domain, Uai),
    /// Nothing leads from one to the other.
    Unconnected {
        /// What is to be given.
        spend: Uai,
        /// What is to arrive.
        asset: Uai,
        /// Where.
        payee: Domain,
    },
    /// All ways need too many domains; so many, at the least.
    TooLong(usize),
    /// The offers on the way do not give just this amount.
    OffersDoNotFit,
    /// The cheapest way costs more than the payer signed.
    TooDear {
        /// What it costs.
        cheapest: Amount,
        /// What was signed.
        max_cost: Amount,
    },
}

impl From<NoWay> for Refusal {
    fn from(no: NoWay) -> Self {
        let (code, what) = match no {
            NoWay::OneBank => (Code::NoPath, "payer and payee are at one bank".to_owned()),
            NoWay::NobodyAccepted(domain, asset) => {
                (Code::NoPathTrust, format!("{domain} accepts nobody in {asset}"))
            }
            NoWay::NotAccepted(domain, asset) => {
                (Code::NoPathTrust, format!("nobody accepts {domain} in {asset}"))
            }
            NoWay::Unconnected { spend, asset, payee } => {
                (Code::NoPath, format!("from {spend} here to {asset} at {payee}"))
            }
            NoWay::TooLong(parties) => {
                let most = limits::AGREEMENT_PARTIES;
                (Code::PathTooLong, format!("{parties} domains, at most {most}"))
            }
            NoWay::OffersDoNotFit => {
                (Code::NoFittingOffer, "no offer on the way gives just this amount".to_owned())
            }
            NoWay::TooDear { cheapest, max_cost } => {
                (Code::PathTooDear, format!("the cheapest costs {cheapest}, at most {max_cost}"))
            }
        };
        Self::new(code, what)
    }
}

/// The ways for what is wanted: the cheapest first, of one cost the shorter first, at most
/// [`limits::PAYMENT_ROUTES`].
///
/// # Errors
/// Why there is none.
pub fn find(atlas: &Atlas, wanted: &Wanted) -> Result<Vec<Way>, NoWay> {
    if wanted.payee == *atlas.own() {
        return Err(NoWay::OneBank);
    }
    let distances = atlas.distances(&wanted.spend);
    check_reach(atlas, wanted, &distances)?;
    let mut ways = Search { atlas, wanted, distances, labels: Vec::new(), made: 0 }.run();
    ways.sort_by(|a, b| {
        let order = (a.cost(), a.parties, a.steps.len()).cmp(&(b.cost(), b.parties, b.steps.len()));
        order.then_with(|| a.key().cmp(&b.key()))
    });
    let Some(cheapest) = ways.first().map(Way::cost) else { return Err(NoWay::OffersDoNotFit) };
    let max_cost = wanted.max_cost;
    ways.retain(|way| way.cost() <= max_cost);
    if ways.is_empty() {
        return Err(NoWay::TooDear { cheapest, max_cost });
    }
    ways.truncate(limits::PAYMENT_ROUTES);
    Ok(ways)
}

/// Whether anything leads to the payee at all, whatever the amounts.
fn check_reach(
    atlas: &Atlas,
    wanted: &Wanted,
    distances: &BTreeMap<Place, usize>,
) -> Result<(), NoWay> {
    let Wanted { payee, asset, spend, .. } = wanted;
    let end = (payee.clone(), asset.clone());
    match distances.get(&end) {
        Some(parties) if *parties <= limits::AGREEMENT_PARTIES => return Ok(()),
        Some(parties) => return Err(NoWay::TooLong(*parties)),
        None => {}
    }
    if atlas.payers(&end).next().is_none() && atlas.offers(&end).is_empty() {
        return Err(NoWay::NobodyAccepted(payee.clone(), asset.clone()));
    }
    let start = (atlas.own().clone(), spend.clone());
    if atlas.receivers(&start).next().is_none() && atlas.turns(&start).next().is_none() {
        return Err(NoWay::NotAccepted(atlas.own().clone(), spend.clone()));
    }
    let (spend, asset, payee) = (spend.clone(), asset.clone(), payee.clone());
    Err(NoWay::Unconnected { spend, asset, payee })
}

/// A step with those behind it, towards the payee.
struct Label {
    step: Step,
    next: Option<usize>,
    /// Domains from here to the payee, both included.
    parties: usize,
    /// Steps from here to the payee.
    steps: usize,
    /// Offers used one after the other at this domain.
    turns: usize,
}

struct Search<'a> {
    atlas: &'a Atlas,
    wanted: &'a Wanted,
    distances: BTreeMap<Place, usize>,
    labels: Vec<Label>,
    /// Labels made, kept or not.
    made: usize,
}

impl Search<'_> {
    fn run(mut self) -> Vec<Way> {
        let mut ways = Vec::new();
        let Wanted { payee, asset, amount, .. } = self.wanted;
        let (domain, asset) = (payee.clone(), asset.clone());
        let first = Step { domain, asset, amount: *amount, by: By::Payee };
        let mut round = Vec::new();
        self.keep(first, None, &mut round);
        while !round.is_empty() && self.made < limits::PATH_LABELS {
            let mut all = round.clone();
            for _ in 0..TURNS {
                let mut turned = Vec::new();
                for at in &round {
                    self.turn(*at, &mut turned);
                }
                all.extend(&turned);
                round = turned;
            }
            let mut next = Vec::new();
            for at in self.cheapest(all) {
                self.cross(at, &mut next, &mut ways);
            }
            round = next;
        }
        ways
    }

    /// The cheapest labels of every place.
    fn cheapest(&self, all: Vec<usize>) -> Vec<usize> {
        let mut places: BTreeMap<(&Domain, &Uai), Vec<(Amount, usize)>> = BTreeMap::new();
        for at in all {
            let Some(Label { step, .. }) = self.labels.get(at) else { continue };
            places.entry((&step.domain, &step.asset)).or_default().push((step.amount, at));
        }
        let kept = places.into_values().flat_map(|mut labels| {
            labels.sort_unstable();
            labels.truncate(limits::PATH_LABELS_PER_PLACE);
            labels
        });
        kept.map(|(_, at)| at).collect()
    }

    /// Who at the same domain gives what the label `at` needs for something else.
    fn turn(&mut self, at: usize, turned: &mut Vec<usize>) {
        let Some(Label { step, turns, .. }) = self.labels.get(at) else { return };
        // A transit fed by an offer is dearer than the offer that feeds the next one itself.
        if *turns >= TURNS || matches!(step.by, By::Transit(_)) {
            return;
        }
        let (place, amount) = ((step.domain.clone(), step.asset.clone()), step.amount);
        self.offer_for(&place, amount, at, turned);
    }

    /// A step for each offer of `place` that gives `amount`.
    fn offer_for(&mut self, place: &Place, amount: Amount, at: usize, made: &mut Vec<usize>) {
        let atlas = self.atlas;
        for standing in atlas.offers(place) {
            let Standing { offer, terms, .. } = standing;
            let Some(price) = standing.price_of(amount) else { continue };
            let (domain, asset) = (place.0.clone(), terms.want.clone());
            let by = By::Offer(*offer);
            self.keep(Step { domain, asset, amount: price, by }, Some(at), made);
        }
    }

    /// Who may pay what the label `at` needs: the payer, or a domain one further away.
    fn cross(&mut self, at: usize, next: &mut Vec<usize>, ways: &mut Vec<Way>) {
        let Some(Label { step, .. }) = self.labels.get(at) else { return };
        let place = (step.domain.clone(), step.asset.clone());
        let amount = step.amount;
        let (atlas, wanted) = (self.atlas, self.wanted);
        if place.0 == *atlas.own() {
            if place.1 == wanted.spend {
                ways.extend(self.way(at));
            }
            return;
        }
        for payer in atlas.payers(&place) {
            if self.passes(at, payer) {
                continue;
            }
            let source = (payer.clone(), place.1.clone());
            if payer == atlas.own() {
                if place.1 == wanted.spend {
                    ways.extend(self.way(at));
                }
            } else if let Some(passage) = atlas.passage(&source)
                && let Some(fee) = passage.fee.of(amount)
                && let Some(gross) = amount.plus(fee)
            {
                let (domain, asset) = source.clone();
                let by = By::Transit(passage.transit);
                self.keep(Step { domain, asset, amount: gross, by }, Some(at), next);
            }
            self.offer_for(&source, amount, at, next);
        }
    }

    /// Whether the way from the label `at` on passes `domain`.
    fn passes(&self, at: usize, domain: &Domain) -> bool {
        self.behind(at).any(|label| label.step.domain == *domain)
    }

    /// The label `at` and those behind it.
    fn behind(&self, at: usize) -> impl Iterator<Item = &Label> {
        let first = self.labels.get(at);
        std::iter::successors(first, |label| self.labels.get(label.next?))
    }

    /// Keeps a step that can still be part of a way.
    fn keep(&mut self, step: Step, next: Option<usize>, kept: &mut Vec<usize>) {
        self.made = self.made.saturating_add(1);
        if self.made > limits::PATH_LABELS {
            return;
        }
        let behind = next.and_then(|next| self.labels.get(next));
        let same = behind.is_some_and(|behind| behind.step.domain == step.domain);
        let parties = behind.map_or(0, |behind| behind.parties);
        let parties = if same { parties } else { parties.saturating_add(1) };
        let steps = behind.map_or(0, |behind| behind.steps).saturating_add(1);
        let turns = match (same, behind) {
            (true, Some(behind)) => behind.turns.saturating_add(1),
            (true, None) | (false, _) => usize::from(matches!(step.by, By::Offer(_))),
        };
        let place = (step.domain.clone(), step.asset.clone());
        let Some(distance) = self.distances.get(&place) else { return };
        let total = parties.saturating_add(*distance).saturating_sub(1);
        let again = next.is_some_and(|next| {
            self.behind(next)
                .any(|label| label.step.domain == place.0 && label.step.asset == place.1)
        });
        if total > limits::AGREEMENT_PARTIES || steps > limits::ROUTE_HOPS || again {
            return;
        }
        kept.push(self.labels.len());
        self.labels.push(Label { step, next, parties, steps, turns });
    }

    fn way(&self, at: usize) -> Option<Way> {
        let label = self.labels.get(at)?;
        let steps: Vec<Step> = self.behind(at).map(|label| label.step.clone()).collect();
        let own = steps.iter().any(|step| step.domain == *self.atlas.own());
        let parties = label.parties.saturating_add(usize::from(!own));
        (parties <= limits::AGREEMENT_PARTIES).then_some(Way { steps, parties })
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may overflow: it fails then")]
mod tests;
