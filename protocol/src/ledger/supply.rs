//! How much of an asset there is, by one domain's word: what its holders have, what it owes
//! peers and what they owe it.
//!
//! ```text
//! at every domain     holders + sum of owe = issued - redeemed + sum of claim
//! between two         owe of the one = claim of the other
//! added up            what all holders have = issued - redeemed, at the issuer
//! ```
//!
//! Invariant: `holders` is computed by the first line and never by asking the second; a domain
//! that books right cannot make it come out wrong, and the sum of its ledgers must agree.

use std::collections::{BTreeMap, BTreeSet};

use bincode::{Decode, Encode};

use super::books::Books;
use crate::error::{Code, Refusal};
use crate::limits;
use crate::types::{Amount, Bounded, Domain, Height, Uai};

/// What a domain attests of one asset.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Attestation {
    /// The asset.
    pub asset: Uai,
    /// Issued in all; zero where the domain is not the issuer.
    pub issued: Amount,
    /// Redeemed in all.
    pub redeemed: Amount,
    /// What all its holders have, what is set aside included.
    pub holders: Amount,
    /// What it and each peer owe each other, sorted by peer; peers with nothing are left out.
    pub peers: Bounded<Position, { limits::ATTESTED_PEERS }>,
    /// The height of the batch that says so; what stands before it in the batch is counted.
    pub height: Height,
}

/// What a domain and one peer owe each other.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Position {
    /// The peer.
    pub peer: Domain,
    /// What the domain owes the peer: so much of the asset is there.
    pub owe: Amount,
    /// What the peer owes the domain.
    pub claim: Amount,
}

impl Attestation {
    /// What the books say of `asset`.
    ///
    /// # Errors
    /// `Q-1414` an asset that is not known here, `Q-1015` more peers than can be named,
    /// `Q-1009` a sum that cannot be written.
    pub fn of(books: &Books, asset: &Uai, height: Height) -> Result<Self, Refusal> {
        let known = books.asset(asset)?;
        let mut peers = Vec::new();
        let (mut owed, mut owned) = (Amount::ZERO, known.outstanding());
        for ((peer, of), at) in &books.correspondents {
            if of != asset || (at.owe.is_zero() && at.claim.is_zero()) {
                continue;
            }
            owed = owed.try_plus(at.owe)?;
            owned = owned.try_plus(at.claim)?;
            peers.push(Position { peer: peer.clone(), owe: at.owe, claim: at.claim });
        }
        let holders = owned.minus(owed);
        let holders = holders
            .ok_or_else(|| Refusal::new(Code::AmountOverflow, "owed beyond what is here"))?;
        let (issued, redeemed) = (known.issued, known.redeemed);
        let peers = Bounded::new(peers)?;
        Ok(Self { asset: asset.clone(), issued, redeemed, holders, peers, height })
    }

    /// Whether the sums agree with one another.
    ///
    /// # Errors
    /// `Q-1430`.
    pub fn check(&self) -> Result<(), Refusal> {
        let owed = sum(self.peers.iter().map(|peer| peer.owe).chain([self.holders]))?;
        let claims = self.peers.iter().map(|peer| peer.claim);
        let Some(outstanding) = self.issued.minus(self.redeemed) else {
            crate::refuse!(SupplyMismatch, "{} redeemed of {}", self.redeemed, self.issued);
        };
        let owned = sum(claims.chain([outstanding]))?;
        if owed != owned {
            crate::refuse!(SupplyMismatch, "{owed} owed to holders and peers, {owned} owned");
        }
        let sorted = self
            .peers
            .windows(2)
            .all(|two| two.first().map(|one| &one.peer) < two.last().map(|other| &other.peer));
        if !sorted {
            crate::refuse!(SupplyMismatch, "peers are not sorted, each once");
        }
        Ok(())
    }

    fn position(&self, peer: &Domain) -> (Amount, Amount) {
        let known = self.peers.iter().find(|known| known.peer == *peer);
        known.map_or((Amount::ZERO, Amount::ZERO), |known| (known.owe, known.claim))
    }
}

fn sum(amounts: impl Iterator<Item = Amount>) -> Result<Amount, Refusal> {
    amounts.into_iter().try_fold(Amount::ZERO, Amount::try_plus)
}

/// Two domains whose mirrors differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The one that owes.
    pub debtor: Domain,
    /// The one that is owed.
    pub creditor: Domain,
    /// What the debtor says that it owes.
    pub owed: Amount,
    /// What the creditor says that it is owed.
    pub claimed: Amount,
}

/// What the attestations of several domains say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supply {
    /// The asset.
    pub asset: Uai,
    /// Issued and not redeemed, by the issuer's word; `None` while its attestation is missing.
    pub outstanding: Option<Amount>,
    /// What holders have, by domain.
    pub holders: BTreeMap<Domain, Amount>,
    /// All of it together.
    pub total: Amount,
    /// Domains that some attestation names and none is from.
    pub missing: BTreeSet<Domain>,
    /// Mirrors that differ: settlements under way between the two attestations, or an error.
    pub mismatches: Vec<Mismatch>,
}

impl Supply {
    /// Adds the attestations up; the newest of each domain counts.
    ///
    /// # Errors
    /// `Q-1430` one does not agree with itself, or they are of different assets; `Q-1009`.
    pub fn of(said: &[(Domain, Attestation)]) -> Result<Self, Refusal> {
        let Some((_, first)) = said.first() else {
            crate::refuse!(SupplyMismatch, "no attestation");
        };
        let asset = first.asset.clone();
        let mut newest: BTreeMap<&Domain, &Attestation> = BTreeMap::new();
        for (domain, attestation) in said {
            attestation.check()?;
            if attestation.asset != asset {
                crate::refuse!(SupplyMismatch, "of {} and of {asset}", attestation.asset);
            }
            let issued = !attestation.issued.is_zero() || !attestation.redeemed.is_zero();
            if issued && asset.issuer() != domain {
                crate::refuse!(SupplyMismatch, "{domain} is not the issuer and issued");
            }
            let known = newest.entry(domain).or_insert(attestation);
            if known.height < attestation.height {
                *known = attestation;
            }
        }
        let issuer = newest.get(asset.issuer());
        let outstanding = issuer.map(|issuer| issuer.issued.minus_or_zero(issuer.redeemed));
        let holders: BTreeMap<Domain, Amount> =
            newest.iter().map(|(domain, said)| ((*domain).clone(), said.holders)).collect();
        let total = sum(holders.values().copied())?;
        let mut missing: BTreeSet<Domain> = newest
            .values()
            .flat_map(|said| said.peers.iter().map(|position| position.peer.clone()))
            .filter(|peer| !newest.contains_key(peer))
            .collect();
        if outstanding.is_none() {
            missing.insert(asset.issuer().clone());
        }
        let mismatches = mismatches(&newest);
        Ok(Self { asset, outstanding, holders, total, missing, mismatches })
    }

    /// Whether what holders have is proven to be what is outstanding.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.missing.is_empty()
            && self.mismatches.is_empty()
            && self.outstanding == Some(self.total)
    }
}

fn mismatches(newest: &BTreeMap<&Domain, &Attestation>) -> Vec<Mismatch> {
    let mut found = Vec::new();
    for (debtor, theirs) in newest {
        for (creditor, ours) in newest {
            let (owed, claimed) = (theirs.position(creditor).0, ours.position(debtor).1);
            if debtor != creditor && owed != claimed {
                let (debtor, creditor) = ((*debtor).clone(), (*creditor).clone());
                found.push(Mismatch { debtor, creditor, owed, claimed });
            }
        }
    }
    found
}
