//! Attestations of several domains, added up offline: is what an issuer says is outstanding what
//! holders have?
//!
//! Invariant: every attestation is verified like any other evidence before it counts.

use std::fmt;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::Anchors;
use quadrille_protocol::ledger::{Attestation, Supply};
use quadrille_protocol::log::Record;
use quadrille_protocol::types::{Amount, Domain, Height, Time, Uai};
use serde::{Deserialize, Serialize};

use super::{Bundle, verify_offline};

/// What one domain attested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The domain.
    pub domain: Domain,
    /// At which height of its log.
    pub height: Height,
    /// When, on its own clock.
    pub time: Time,
    /// What its holders have, in minor units.
    pub holders: Amount,
    /// What it owes peers and they owe it, in minor units.
    pub owed: Vec<Owed>,
}

/// What two domains owe each other, by the word of one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// The peer.
    pub peer: Domain,
    /// What the domain owes it.
    pub owe: Amount,
    /// What it owes the domain.
    pub claim: Amount,
}

/// Two mirrors that differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differs {
    /// Who owes.
    pub debtor: Domain,
    /// Whom.
    pub creditor: Domain,
    /// How much by the debtor's word.
    pub owed: Amount,
    /// How much by the creditor's.
    pub claimed: Amount,
}

/// What the attestations show together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupplyReport {
    /// The asset.
    pub asset: Uai,
    /// Whether what holders have is proven to be what is outstanding.
    pub holds: bool,
    /// Issued and not redeemed, by the issuer's word.
    pub outstanding: Option<Amount>,
    /// What the holders at all these domains have together.
    pub held: Amount,
    /// The attestations that were counted, the newest of each domain.
    pub said: Vec<Said>,
    /// Domains whose attestations are missing.
    pub missing: Vec<Domain>,
    /// Mirrors that differ.
    pub differs: Vec<Differs>,
}

/// Verifies attestations of one asset and adds them up.
///
/// # Errors
/// `Q-2405` one is of something else, `Q-1430` they do not agree with themselves, and those of
/// [`verify_offline`].
pub fn verify_supply(bundles: &[Bundle], anchors: &Anchors) -> Result<SupplyReport, Refusal> {
    let mut said: Vec<(Domain, Attestation)> = Vec::new();
    let mut facts: Vec<Said> = Vec::new();
    for bundle in bundles {
        verify_offline(bundle, anchors)?;
        for evidence in &bundle.evidence {
            let Record::Attested(attestation) = evidence.read()? else {
                return Err(Refusal::new(Code::ForeignEvidence, "no attestation of an asset"));
            };
            let checkpoint = &evidence.checkpoint.checkpoint;
            if checkpoint.height != attestation.height {
                let what = format!("of height {} at {}", attestation.height, checkpoint.height);
                return Err(Refusal::new(Code::ForeignEvidence, what));
            }
            facts.retain(|known| {
                known.domain != checkpoint.domain || known.height > attestation.height
            });
            if facts.iter().all(|known| known.domain != checkpoint.domain) {
                facts.push(fact(&checkpoint.domain, checkpoint.time, &attestation));
            }
            said.push((checkpoint.domain.clone(), *attestation));
        }
    }
    let supply = Supply::of(&said)?;
    facts.sort_by(|one, other| one.domain.cmp(&other.domain));
    Ok(report(supply, facts))
}

fn fact(domain: &Domain, time: Time, attestation: &Attestation) -> Said {
    let owed = attestation.peers.iter().map(|at| Owed {
        peer: at.peer.clone(),
        owe: at.owe,
        claim: at.claim,
    });
    Said {
        domain: domain.clone(),
        height: attestation.height,
        time,
        holders: attestation.holders,
        owed: owed.collect(),
    }
}

fn report(supply: Supply, said: Vec<Said>) -> SupplyReport {
    let holds = supply.holds();
    let differs = supply.mismatches.into_iter().map(|at| Differs {
        debtor: at.debtor,
        creditor: at.creditor,
        owed: at.owed,
        claimed: at.claimed,
    });
    SupplyReport {
        asset: supply.asset,
        holds,
        outstanding: supply.outstanding,
        held: supply.total,
        said,
        missing: supply.missing.into_iter().collect(),
        differs: differs.collect(),
    }
}

impl fmt::Display for SupplyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asset, outstanding, held, .. } = self;
        writeln!(f, "{asset}, in minor units")?;
        for said in &self.said {
            let Said { domain, height, time, holders, owed } = said;
            writeln!(f, "  {domain} (height {height}, {time}): holders have {holders}")?;
            for Owed { peer, owe, claim } in owed {
                writeln!(f, "    owes {peer} {owe}, is owed {claim}")?;
            }
        }
        match outstanding {
            Some(outstanding) => writeln!(f, "Outstanding {outstanding}, held {held}")?,
            None => writeln!(f, "Held {held}; the issuer's attestation is missing")?,
        }
        for Differs { debtor, creditor, owed, claimed } in &self.differs {
            writeln!(
                f,
                "{debtor} says that it owes {creditor} {owed}, {creditor} says {claimed}: \
                 something was under way, or one of them is wrong"
            )?;
        }
        if !self.missing.is_empty() {
            let missing: Vec<&str> = self.missing.iter().map(Domain::as_str).collect();
            writeln!(f, "Missing: {}", missing.join(", "))?;
        }
        f.write_str(if self.holds {
            "It holds: what is outstanding is what holders have"
        } else {
            "Not proven"
        })
    }
}
