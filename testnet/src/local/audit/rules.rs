//! What must hold between banks, as pure questions to what each of them says over its interface.
//!
//! Invariant: a rule looks at nothing but what was observed, so that tests can plant every
//! violation.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use quadrille_node::api::dto::{
    AssetView, ExposureView, SettlementOutcome, SettlementState, SettlementSummary,
};
use quadrille_protocol::types::{Amount, Domain, SettlementId, Uai};

/// What a bank says of itself.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The bank.
    pub domain: Domain,
    /// Every settlement it took part in.
    pub settlements: Vec<SettlementSummary>,
    /// Every asset it knows.
    pub assets: Vec<AssetView>,
    /// What it and each peer owe each other.
    pub exposures: Vec<(Domain, ExposureView)>,
}

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// No settlement is settled here and refunded there.
    Atomicity,
    /// Of every asset, the holders have what was issued and not redeemed.
    Conservation,
    /// What one bank says it owes another, the other says it is owed.
    Mirrors,
    /// No settlement is open after its time.
    NothingStuck,
    /// Every log is whole: checksums, chain, Merkle roots, signatures.
    Logs,
    /// Nobody moves anything for a settlement without its own lock, the decision, and proof that
    /// whoever owes it is bound.
    Evidence,
    /// Transactions sum to zero, ledgers are chains, no balance is below zero, and holders' and
    /// issuers' rules are kept.
    Books,
    /// What a bank has heard of another is what that one has said, without gaps.
    Feeds,
    /// Nobody has said two things at one height.
    Equivocation,
}

impl Rule {
    /// Every rule, in the order of their numbers.
    pub const ALL: [Rule; 9] = [
        Rule::Atomicity,
        Rule::Conservation,
        Rule::Mirrors,
        Rule::NothingStuck,
        Rule::Logs,
        Rule::Evidence,
        Rule::Books,
        Rule::Feeds,
        Rule::Equivocation,
    ];
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Rule::Atomicity => "atomicity",
            Rule::Conservation => "conservation",
            Rule::Mirrors => "mirrors",
            Rule::NothingStuck => "nothing stuck",
            Rule::Logs => "logs",
            Rule::Evidence => "evidence",
            Rule::Books => "books",
            Rule::Feeds => "feeds",
            Rule::Equivocation => "equivocation",
        })
    }
}

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Finding {
    /// Which.
    pub rule: Rule,
    /// How.
    pub what: String,
}

/// Everything that is wrong, sorted.
#[must_use]
pub fn check(banks: &[Observed]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |rule, what: String| findings.push(Finding { rule, what });
    atomicity(banks, &mut |what| found(Rule::Atomicity, what));
    conservation(banks, &mut |what| found(Rule::Conservation, what));
    mirrors(banks, &mut |what| found(Rule::Mirrors, what));
    stuck(banks, &mut |what| found(Rule::NothingStuck, what));
    findings.sort();
    findings
}

fn atomicity(banks: &[Observed], found: &mut impl FnMut(String)) {
    let mut settlements: BTreeMap<SettlementId, Vec<(&Domain, &SettlementSummary)>> =
        BTreeMap::new();
    for bank in banks {
        for settlement in &bank.settlements {
            settlements.entry(settlement.settlement).or_default().push((&bank.domain, settlement));
        }
    }
    for (id, known) in settlements {
        let by = |outcome| {
            let with = known.iter().filter(move |(_, known)| known.outcome == Some(outcome));
            with.map(|(domain, _)| domain.as_str()).collect::<Vec<_>>()
        };
        let settled = by(SettlementOutcome::Settled);
        let refunded = by(SettlementOutcome::Refunded);
        if settled.is_empty() {
            continue;
        }
        if !refunded.is_empty() {
            let (settled, refunded) = (settled.join(", "), refunded.join(", "));
            found(format!("{id} is settled at {settled} and refunded at {refunded}"));
        }
        // A settlement moves nothing unless every party has locked, so each one knows it.
        let parties: BTreeSet<&Domain> =
            known.iter().flat_map(|(_, known)| known.parties.iter()).collect();
        for party in parties {
            let here = banks.iter().any(|bank| bank.domain == *party);
            if here && !known.iter().any(|(domain, _)| *domain == party) {
                found(format!("{id} is settled at {} and unknown at {party}", settled.join(", ")));
            }
        }
    }
}

fn conservation(banks: &[Observed], found: &mut impl FnMut(String)) {
    let mut held: BTreeMap<&Uai, Option<Amount>> = BTreeMap::new();
    for asset in banks.iter().flat_map(|bank| &bank.assets) {
        let here = asset.here.as_ref().and_then(|here| here.free.plus(here.held));
        let sum = held.entry(&asset.asset).or_insert(Some(Amount::ZERO));
        *sum = sum.zip(here).and_then(|(sum, here)| sum.plus(here));
    }
    for bank in banks {
        for asset in bank.assets.iter().filter(|asset| asset.ours) {
            let outstanding = asset.issued.minus(asset.redeemed);
            let sum = held.get(&asset.asset).copied().flatten();
            if outstanding.is_none() || sum != outstanding {
                let (issued, redeemed) = (asset.issued, asset.redeemed);
                let sum =
                    sum.map_or_else(|| "too much to add up".to_owned(), |sum| sum.to_string());
                let uai = &asset.asset;
                found(format!("{uai}: issued {issued}, redeemed {redeemed}, holders have {sum}"));
            }
        }
    }
}

fn mirrors(banks: &[Observed], found: &mut impl FnMut(String)) {
    let mut owed: BTreeMap<(&Domain, &Domain, &Uai), (Amount, Amount)> = BTreeMap::new();
    for bank in banks {
        for (peer, exposure) in &bank.exposures {
            let asset = &exposure.asset;
            owed.insert((&bank.domain, peer, asset), (exposure.owe, exposure.claim));
        }
    }
    let none = (Amount::ZERO, Amount::ZERO);
    for ((bank, peer, asset), (owe, claim)) in &owed {
        if !banks.iter().any(|known| known.domain == **peer) {
            continue;
        }
        let mirror = owed.get(&(*peer, *bank, *asset)).copied();
        // Each pair once, where both sides name it.
        if mirror.is_some() && bank > peer {
            continue;
        }
        let (their_owe, their_claim) = mirror.unwrap_or(none);
        if *owe != their_claim || *claim != their_owe {
            found(format!(
                "{asset}: {bank} says it owes {peer} {owe} and is owed {claim}; {peer} says it is \
                 owed {their_claim} and owes {their_owe}"
            ));
        }
    }
}

fn stuck(banks: &[Observed], found: &mut impl FnMut(String)) {
    for bank in banks {
        for settlement in &bank.settlements {
            if settlement.state == SettlementState::Open {
                let (id, deadline) = (settlement.settlement, settlement.deadline);
                found(format!("{id} is open at {}, its deadline was {deadline}", bank.domain));
            }
        }
    }
}

#[cfg(test)]
mod tests;
