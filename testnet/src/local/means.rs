//! What a local network has to trade with: assets, customers with balances, credit limits, and
//! what banks do for others.
//!
//! Invariant: it says everything that funding does, so that a network of any shape is funded in
//! one way.

use quadrille_protocol::error::Refusal;
use quadrille_protocol::ledger::AssetProfile;
use quadrille_protocol::payment::Fee;
use quadrille_protocol::types::{Amount, Domain, Uai};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::fund::{self, BOND, CASH, HOLDERS, STRANGERS};
use super::prepare::CENTRAL;
use super::state::{Bank, State};

/// What one bank may owe another in one asset, in minor units: a thousand billion.
const LIMIT: Amount = Amount::new(100_000_000_000_000);
/// A customer's balance of each asset of its bank, in units: drawn from this range.
const BALANCE_UNITS: std::ops::Range<u64> = 50_000_000..100_000_000;
/// In a network with more banks each accepts only the partners' own assets and its own from them.
const EVERYTHING_UP_TO: usize = 6;

/// A customer of a bank, with one ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerMeans {
    /// The bank's short name.
    pub bank: String,
    /// The customer's name there.
    pub local: String,
    /// What its bank issues to it, in minor units.
    pub has: Vec<(Uai, Amount)>,
}

/// A credit limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitMeans {
    /// Who gives credit.
    pub of: Domain,
    /// To whom.
    pub peer: Domain,
    /// In what.
    pub asset: Uai,
    /// Up to how much, in minor units.
    pub limit: Amount,
}

/// What a bank does for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceMeans {
    /// The bank's short name.
    pub bank: String,
    /// Its customer over whose ledger payments of others pass; `None` to let none pass.
    pub transit: Option<String>,
    /// What it asks for that.
    pub fees: Vec<(Uai, Fee)>,
    /// Whether it takes part in netting.
    pub netting: bool,
}

/// Everything that a network is funded with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Means {
    /// Known at every bank.
    pub assets: Vec<AssetProfile>,
    /// In the order in which their ledgers are opened.
    pub customers: Vec<CustomerMeans>,
    /// Every credit limit.
    pub limits: Vec<LimitMeans>,
    /// What banks do for others; a bank that does nothing has no line.
    pub services: Vec<ServiceMeans>,
    /// The banks that are notaries too.
    pub notaries: Vec<String>,
}

impl Means {
    /// What a network has when nothing else is said: every trusted bank a cash asset and a bond,
    /// three customers with both, and credit from everybody.
    ///
    /// # Errors
    /// `Q-1010` for an asset's code that is none.
    pub fn usual(state: &State) -> Result<Self, Refusal> {
        let mut assets = Vec::new();
        for bank in state.banks.iter().filter(|bank| bank.trusted) {
            for code in [CASH, BOND] {
                assets.push(fund::profile(code, &bank.domain)?);
            }
        }
        let limits = limits(&state.banks, &assets);
        let notaries = vec![CENTRAL.to_owned()];
        Ok(Self { assets, customers: customers(state)?, limits, services: Vec::new(), notaries })
    }

    /// Whether one of two banks gives the other credit in anything.
    #[must_use]
    pub fn credit_between(&self, one: &Domain, other: &Domain) -> bool {
        self.limits.iter().any(|line| {
            let pair = (&line.of, &line.peer);
            !line.limit.is_zero() && (pair == (one, other) || pair == (other, one))
        })
    }

    /// The names of a bank's customers.
    pub fn customers_of<'a>(&'a self, bank: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        let of_bank = self.customers.iter().filter(move |customer| customer.bank == bank);
        of_bank.map(|customer| customer.local.as_str())
    }
}

fn customers(state: &State) -> Result<Vec<CustomerMeans>, Refusal> {
    let mut random = ChaCha8Rng::seed_from_u64(state.seed);
    let mut customers = Vec::new();
    for bank in &state.banks {
        let locals: &[&str] = if bank.trusted { &HOLDERS } else { &STRANGERS };
        let codes: &[&str] = if bank.trusted { &[CASH, BOND] } else { &[] };
        for local in locals {
            let mut has = Vec::new();
            for code in codes {
                let amount = fund::minor(random.random_range(BALANCE_UNITS));
                has.push((fund::profile(code, &bank.domain)?.uai(), amount));
            }
            let (bank, local) = (bank.name.clone(), (*local).to_owned());
            customers.push(CustomerMeans { bank, local, has });
        }
    }
    Ok(customers)
}

fn limits(banks: &[Bank], assets: &[AssetProfile]) -> Vec<LimitMeans> {
    let everything = banks.len() <= EVERYTHING_UP_TO;
    let mut limits = Vec::new();
    for of in banks {
        for peer in banks.iter().filter(|peer| peer.trusted && peer.domain != of.domain) {
            for asset in assets {
                if everything || [&peer.domain, &of.domain].contains(&&asset.issuer) {
                    limits.push(LimitMeans {
                        of: of.domain.clone(),
                        peer: peer.domain.clone(),
                        asset: asset.uai(),
                        limit: LIMIT,
                    });
                }
            }
        }
    }
    limits
}
