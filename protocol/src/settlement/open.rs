//! What a domain knows of one settlement that is not yet closed.

use std::collections::{BTreeMap, BTreeSet};

use bincode::{Decode, Encode};

use super::agreement::{Agreement, Header, Leg, Purpose};
use super::{Decider, Initiator, Participant};
use crate::crypto::hash::Preimage;
use crate::error::Code;
use crate::limits;
use crate::log::{Evidence, OutcomeKind};
use crate::types::{Amount, Bounded, Domain, Hash, SettlementId, Uai, Ubi};

/// One settlement as one domain sees it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Settlement {
    /// The settlement's id.
    pub id: SettlementId,
    /// The header.
    pub header: Header,
    /// What for; a notary does not know and has it as a trade.
    pub purpose: Purpose,
    /// For whom something is enclosed, and the hash of what.
    pub enclosed: Option<(Domain, Hash)>,
    /// The legs; empty at a notary.
    pub legs: Bounded<Leg, { limits::AGREEMENT_LEGS }>,
    /// Our machine as initiator.
    pub initiator: Option<Initiator>,
    /// Our machine as participant.
    pub participant: Option<Participant>,
    /// Our machine as decider.
    pub decider: Option<Decider>,
    /// Parties whose lock is proven to us.
    pub locked: BTreeSet<Domain>,
    /// Those proofs that others will need: kept where there are more than two of us.
    pub evidence: BTreeMap<Domain, Evidence>,
    /// The secret, once it is known here.
    pub preimage: Option<Preimage>,
    /// The decision, once it is known here.
    pub decision: Option<OutcomeKind>,
    /// The first party that would not lock, and why.
    pub declined: Option<(Domain, Code)>,
    /// Counterparties that have said that they are final.
    pub confirmed: BTreeSet<Domain>,
    /// Who asked for it, while that is all we know it by: its initiator has not told us of it, and
    /// it is not open with anybody.
    pub asked: Option<Domain>,
}

/// What one ledger gives and gets in one settlement, in one asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetLeg {
    /// The ledger.
    pub ledger: Ubi,
    /// The asset.
    pub asset: Uai,
    /// What it gives on its holder's orders: set aside when those were accepted.
    pub ordered: Amount,
    /// What it gives in transit, without an order: covered by what it gets, as far as that goes.
    pub transit: Amount,
    /// What it gets.
    pub gets: Amount,
}

impl NetLeg {
    /// What must be held beyond what orders have set aside.
    #[must_use]
    pub fn to_hold(&self) -> Amount {
        self.transit.minus_or_zero(self.gets)
    }

    /// What remains for it to be credited.
    #[must_use]
    pub fn to_credit(&self) -> Amount {
        self.gets.minus_or_zero(self.transit)
    }
}

impl Settlement {
    /// A settlement of which nothing has happened yet.
    #[must_use]
    pub fn new(header: Header, legs: Bounded<Leg, { limits::AGREEMENT_LEGS }>) -> Self {
        Self::with_id(header.id(), header, legs)
    }

    fn with_id(
        id: SettlementId,
        header: Header,
        legs: Bounded<Leg, { limits::AGREEMENT_LEGS }>,
    ) -> Self {
        Self {
            id,
            header,
            purpose: Purpose::Trade,
            enclosed: None,
            legs,
            initiator: None,
            participant: None,
            decider: None,
            locked: BTreeSet::new(),
            evidence: BTreeMap::new(),
            preimage: None,
            decision: None,
            declined: None,
            confirmed: BTreeSet::new(),
            asked: None,
        }
    }

    /// A settlement for a party or notary that has just heard of it.
    #[must_use]
    pub fn of_agreement(agreement: &Agreement) -> Self {
        Self::of_agreement_with_id(agreement.header.id(), agreement)
    }

    /// As [`Settlement::of_agreement`] where the header's id is known already.
    #[must_use]
    pub(crate) fn of_agreement_with_id(id: SettlementId, agreement: &Agreement) -> Self {
        let mut known = Self::with_id(id, agreement.header.clone(), agreement.legs.clone());
        known.purpose = agreement.purpose;
        known.learn_enclosure(agreement);
        known
    }

    /// Takes over for whom something is enclosed.
    pub(crate) fn learn_enclosure(&mut self, agreement: &Agreement) {
        let enclosure = agreement.enclosure.as_ref();
        self.enclosed = enclosure.map(|enclosure| (enclosure.to.clone(), enclosure.hash));
    }

    /// Whether every party's lock is proven to us.
    #[must_use]
    pub fn all_locked(&self) -> bool {
        self.header.parties.iter().all(|party| self.locked.contains(party))
    }

    /// Whether the locks of all who owe `domain` something are proven to us.
    #[must_use]
    pub fn debtors_locked(&self, domain: &Domain) -> bool {
        self.legs.iter().all(|leg| {
            leg.to.domain != *domain
                || leg.from.domain == *domain
                || self.locked.contains(&leg.from.domain)
        })
    }

    /// Whether the proofs of locks must be passed on: somebody has not heard them itself.
    #[must_use]
    pub fn forwards_evidence(&self) -> bool {
        self.header.parties.len() > 2 || self.header.has_notary()
    }

    /// The domains that `domain` shares a leg with.
    #[must_use]
    pub fn counterparties(&self, domain: &Domain) -> BTreeSet<Domain> {
        self.across(domain).cloned().collect()
    }

    /// Whether all that `domain` shares a leg with have said that they are final.
    #[must_use]
    pub fn is_confirmed(&self, domain: &Domain) -> bool {
        self.across(domain).all(|peer| self.confirmed.contains(peer))
    }

    /// For each leg between `domain` and another one, that other one.
    fn across<'a>(&'a self, domain: &'a Domain) -> impl Iterator<Item = &'a Domain> {
        self.legs.iter().filter_map(move |leg| {
            match (leg.from.domain == *domain, leg.to.domain == *domain) {
                (true, false) => Some(&leg.to.domain),
                (false, true) => Some(&leg.from.domain),
                (true, true) | (false, false) => None,
            }
        })
    }

    /// What each ledger of `domain` gives and gets, per asset, in the order of the legs.
    ///
    /// `None` when a sum cannot be written.
    #[must_use]
    pub fn net_of(&self, domain: &Domain) -> Option<Vec<NetLeg>> {
        net_of(&self.legs, domain)
    }

    /// Whether `domain` has applied the decision, or has nothing to apply.
    #[must_use]
    pub fn is_final(&self) -> bool {
        let initiator = match self.initiator {
            None | Some(Initiator::Settled | Initiator::Refunded) => true,
            Some(Initiator::Locking | Initiator::Revealed | Initiator::Aborted) => false,
        };
        let participant = match self.participant {
            None | Some(Participant::Settled | Participant::Refunded | Participant::Declined) => {
                true
            }
            Some(Participant::Proposed | Participant::Locked) => false,
        };
        let decider = match self.decider {
            None | Some(Decider::Settled | Decider::Refunded) => true,
            Some(Decider::Open) => false,
        };
        initiator && participant && decider
    }

    /// Whether our legs are promised to others at this moment.
    #[must_use]
    pub fn holds_legs(&self) -> bool {
        let initiator = match self.initiator {
            Some(Initiator::Locking | Initiator::Revealed) => true,
            None | Some(Initiator::Aborted | Initiator::Settled | Initiator::Refunded) => false,
        };
        initiator || self.participant == Some(Participant::Locked)
    }
}

/// What each ledger of `domain` gives and gets over `legs`, per asset.
#[must_use]
pub fn net_of(legs: &[Leg], domain: &Domain) -> Option<Vec<NetLeg>> {
    let mut nets: Vec<NetLeg> = Vec::new();
    for leg in legs {
        for (account, gives) in [(&leg.from, true), (&leg.to, false)] {
            if account.domain != *domain {
                continue;
            }
            let net = net_for(&mut nets, account.ledger, &leg.asset)?;
            let sum = match (gives, leg.order) {
                (true, Some(_)) => &mut net.ordered,
                (true, None) => &mut net.transit,
                (false, _) => &mut net.gets,
            };
            *sum = sum.plus(leg.amount)?;
        }
    }
    Some(nets)
}

fn net_for<'a>(nets: &'a mut Vec<NetLeg>, ledger: Ubi, asset: &Uai) -> Option<&'a mut NetLeg> {
    let at = nets.iter().position(|net| net.ledger == ledger && net.asset == *asset);
    let at = at.unwrap_or_else(|| {
        let (ordered, transit, gets) = (Amount::ZERO, Amount::ZERO, Amount::ZERO);
        nets.push(NetLeg { ledger, asset: asset.clone(), ordered, transit, gets });
        nets.len().saturating_sub(1)
    });
    nets.get_mut(at)
}
