//! What a bundle proves, in values and in plain words.

use std::fmt;

use quadrille_protocol::types::{Amount, Domain, Epoch, Height, KeyId, Network, Time, Uai, Ubi};
use serde::{Deserialize, Serialize};

/// What the bundle as a whole proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The decider decided to settle.
    Settled,
    /// The decider decided to refund.
    Refunded,
    /// There is no decision in the bundle.
    Undecided,
    /// Its decider signed two decisions, or its initiator gave up and revealed: fraud.
    Fraud,
    /// A bank accepted the order.
    Accepted,
    /// A bank refused the order or the take.
    Refused,
    /// One record was said, no more.
    Said,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settled => "settled",
            Self::Refunded => "refunded",
            Self::Undecided => "undecided",
            Self::Fraud => "FRAUD",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Said => "said",
        })
    }
}

/// One thing that is proven: a domain said it, in its log, under its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Who said it.
    pub by: Domain,
    /// When, on its own clock.
    pub time: Time,
    /// The height in its log.
    pub height: Height,
    /// The record's place there.
    pub leaf: u32,
    /// What, in plain words.
    pub what: String,
}

/// A claim that is proven: the debtor was bound by its lock, and the decision was to settle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Who owes.
    pub debtor: Domain,
    /// Whom.
    pub creditor: Domain,
    /// What.
    pub asset: Uai,
    /// How much, in minor units.
    pub amount: Amount,
    /// From whose ledger.
    pub from: Ubi,
    /// To whose ledger.
    pub to: Ubi,
}

/// A key that signed something in the bundle, as the papers and anchors have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signer {
    /// The domain.
    pub domain: Domain,
    /// The key's number.
    pub epoch: Epoch,
    /// The key.
    pub key: KeyId,
    /// Its suite.
    pub suite: String,
}

/// The result of verifying a bundle offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The network.
    pub network: Network,
    /// What the bundle is about: a settlement's or an order's identifier, or `record`.
    pub about: String,
    /// What it proves as a whole.
    pub verdict: Verdict,
    /// The same in a sentence or two.
    pub summary: String,
    /// Who said what, oldest first.
    pub facts: Vec<Fact>,
    /// What is owed for it.
    pub claims: Vec<Claim>,
    /// The keys that signed.
    pub signers: Vec<Signer>,
    /// What the bundle does not prove, in plain words.
    pub not_proven: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} on {}: {}", self.about, self.network, self.verdict)?;
        writeln!(f, "{}", self.summary)?;
        writeln!(f, "\nProven, every signature and hash checked:")?;
        for fact in &self.facts {
            let Fact { by, time, height, leaf, what } = fact;
            writeln!(f, "  {time}  {by} (height {height}, record {leaf}): {what}")?;
        }
        if !self.claims.is_empty() {
            writeln!(f, "\nOwed:")?;
        }
        for claim in &self.claims {
            let Claim { debtor, creditor, asset, amount, .. } = claim;
            writeln!(f, "  {debtor} owes {creditor} {amount} minor units of {asset}")?;
        }
        writeln!(f, "\nSigned with:")?;
        for Signer { domain, epoch, key, suite } in &self.signers {
            writeln!(f, "  {domain}, key {epoch}, {suite}, {key}")?;
        }
        writeln!(f, "\nNot proven by this:")?;
        for line in &self.not_proven {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}
