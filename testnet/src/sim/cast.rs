//! Who takes part in a run: domains with keys and certificates, assets, holders.

use std::num::NonZeroU32;

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::{PreimageSeed, Tag};
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::identity::Directory;
use quadrille_protocol::identity::{Anchors, AuthorityKey, SuitePolicy};
use quadrille_protocol::identity::{
    Certificate, Issuer, Role, SignedCertificate, VerifiedCertificate,
};
use quadrille_protocol::ledger::opening::{DailyLimit, Opening, Rules, SignedOpening};
use quadrille_protocol::ledger::{AssetProfile, VerifiedOpening};
use quadrille_protocol::types::{
    Amount, Bounded, Country, Domain, Epoch, Hash, Network, Nonce, Time, Uai, Ubi,
};

use super::clock::START_MS;
use super::rng::Stream;
use super::signatures::{KeyMaker, Secret, Verifier};

/// Keys that one domain can have in a run, one per epoch.
pub const DOMAIN_KEYS: usize = 4;
/// Keys that one holder can have in a run.
pub const HOLDER_KEYS: usize = 3;

/// One institution.
#[derive(Debug)]
pub struct Bank {
    /// Its name.
    pub domain: Domain,
    /// Its keys; the first is that of epoch 1.
    pub keys: Vec<Secret>,
    /// What its settlements' secrets come from.
    pub preimage_seed: [u8; 32],
    /// Its certificate.
    pub certificate: VerifiedCertificate,
    /// The asset it issues.
    pub asset: AssetProfile,
    /// That asset's identifier.
    pub uai: Uai,
    /// Its holders; the last one is its own, for transit.
    pub holders: Vec<usize>,
}

/// One holder with one ledger.
#[derive(Debug)]
pub struct Customer {
    /// The bank's index.
    pub bank: usize,
    /// The ledger.
    pub ubi: Ubi,
    /// The opening.
    pub opening: VerifiedOpening,
    /// Its keys, the first of which opened the ledger.
    pub keys: Vec<Secret>,
    /// Which of them it uses now.
    pub key: usize,
    /// The key that signs too above the daily limit, where the ledger has one.
    pub second: Option<Secret>,
    /// The next nonce it will use.
    pub nonce: Nonce,
    /// Its name in traces.
    pub name: String,
}

/// Everybody.
#[derive(Debug)]
pub struct Cast {
    /// The network's name.
    pub network: Network,
    /// The institutions.
    pub banks: Vec<Bank>,
    /// All holders.
    pub customers: Vec<Customer>,
    /// Who checks signatures.
    pub verifier: Verifier,
    /// What everybody trusts.
    pub anchors: Anchors,
}

const NAMES: [&str; 8] = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "oak"];
const CODES: [&str; 8] = ["AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH"];

impl Cast {
    /// Draws the cast of `banks` banks. `real` asks for the real signature suites.
    #[must_use]
    pub fn draw(banks: usize, real: bool, random: &mut Stream) -> Self {
        let network: Network = "simnet".parse().expect("a network name");
        let mut maker = KeyMaker::new(real);
        let authority_name: Domain = "authority.example".parse().expect("a domain");
        let authority = maker.make(Suite::HybridMlDsa65, random.bytes());
        let mut drafts = Vec::new();
        for name in NAMES.iter().take(banks) {
            let domain: Domain = format!("{name}.example").parse().expect("a domain");
            // Some begin on suite 2 and rotate to suite 1.
            let old = random.chance(5_000);
            let keys: Vec<Secret> = (0..DOMAIN_KEYS)
                .map(|epoch| maker.make(suite_of_domain(old && epoch == 0), random.bytes()))
                .collect();
            drafts.push((domain, keys, random.bytes()));
        }
        let assets: Vec<AssetProfile> = drafts
            .iter()
            .enumerate()
            .map(|(bank, (domain, _, _))| draw_profile(CODES[bank], domain, random))
            .collect();
        let mut customers = Vec::new();
        for (bank, (domain, _, _)) in drafts.iter().enumerate() {
            let asset = assets[bank].uai();
            let count = random.between(2, 3) + 1;
            for number in 0..count {
                let transit = number + 1 == count;
                let at = (bank, domain, &asset);
                customers.push(draw_customer(&network, at, transit, &mut maker, random));
            }
        }
        let verifier = maker.verifier();
        let authorities = vec![AuthorityKey {
            authority: authority_name.clone(),
            key: authority.public().clone(),
        }];
        let anchors = Anchors {
            network: network.clone(),
            authorities: Bounded::new(authorities).expect("one"),
            endorsers: Bounded::default(),
            threshold: NonZeroU32::MIN,
            suites: if real { SuitePolicy::HYBRID } else { SuitePolicy::ANY },
        };
        let customers: Vec<Customer> =
            customers.into_iter().map(|draft| draft.verified(&verifier)).collect();
        let issue = |(bank, (domain, keys, preimage_seed)): (usize, (Domain, Vec<Secret>, _))| {
            let issuer = Issuer::Authority(authority_name.clone());
            let certificate = certificate_of(&network, &domain, &keys[0], issuer);
            let (tag, bytes) = certificate.to_sign();
            let signed =
                SignedCertificate::assemble(&certificate, authority.sign(tag, &bytes), Vec::new())
                    .expect("it fits");
            let certificate = anchors
                .verify_certificate(&signed, &Directory::new(), Time(START_MS), &verifier)
                .expect("the authority's own certificate");
            let asset = assets[bank].clone();
            let holders = (0..customers.len()).filter(|at| customers[*at].bank == bank).collect();
            let uai = asset.uai();
            Bank { domain, keys, preimage_seed, certificate, asset, uai, holders }
        };
        let banks = drafts.into_iter().enumerate().map(issue).collect();
        Self { network, banks, customers, verifier, anchors }
    }

    /// The index of a domain.
    #[must_use]
    pub fn index(&self, domain: &Domain) -> Option<usize> {
        self.banks.iter().position(|bank| bank.domain == *domain)
    }

    /// The customer with this ledger.
    #[must_use]
    pub fn customer(&self, ubi: &Ubi) -> Option<usize> {
        self.customers.iter().position(|customer| customer.ubi == *ubi)
    }

    /// The seed of one bank's secrets.
    #[must_use]
    pub fn preimage_seed(&self, bank: usize) -> PreimageSeed {
        PreimageSeed::new(self.banks[bank].preimage_seed)
    }
}

const fn suite_of_domain(old: bool) -> Suite {
    if old { Suite::HybridDilithium3 } else { Suite::HybridMlDsa65 }
}

fn certificate_of(network: &Network, domain: &Domain, key: &Secret, issuer: Issuer) -> Certificate {
    const LIFE_MS: u64 = 365 * 24 * 60 * 60 * 1000;
    Certificate {
        network: network.clone(),
        serial: 1,
        domain: domain.clone(),
        lei: None,
        roles: Bounded::new(vec![Role::Validator, Role::Notary]).expect("two"),
        epoch: Epoch(1),
        signing_key: key.public().clone(),
        sealing_key: None,
        valid_from: Time(START_MS - LIFE_MS),
        valid_until: Time(START_MS + LIFE_MS),
        issuer,
    }
}

/// An asset; one issuer asks for more than the lowest tier, and some have further rules.
fn draw_profile(code: &str, issuer: &Domain, random: &mut Stream) -> AssetProfile {
    let mut profile = profile(code, issuer, if code == CODES[1] { 2 } else { 0 });
    if random.chance(2_500) {
        match random.below(2) {
            0 => profile.jurisdictions = Bounded::new(vec![home()]).expect("one"),
            _ => profile.holders = Bounded::new(vec![issuer.clone()]).expect("one"),
        }
    }
    if random.chance(1_000) {
        profile.denomination = Amount::new(2);
    }
    profile
}

fn home() -> Country {
    "LI".parse().expect("a country")
}

fn profile(code: &str, issuer: &Domain, minimum_tier: u8) -> AssetProfile {
    AssetProfile {
        code: code.parse().expect("a code"),
        issuer: issuer.clone(),
        name: "simulated".parse().expect("a text"),
        decimals: 2,
        supply_limit: None,
        terms: Hash::ZERO,
        minimum_tier,
        denomination: Amount::new(1),
        documents: Bounded::default(),
        jurisdictions: Bounded::default(),
        holders: Bounded::default(),
    }
}

struct CustomerDraft {
    bank: usize,
    signed: SignedOpening,
    keys: Vec<Secret>,
    second: Option<Secret>,
    name: String,
}

impl CustomerDraft {
    fn verified(self, verifier: &Verifier) -> Customer {
        let ubi = self.signed.opening.ubi();
        let opening = self.signed.verify(verifier).expect("the holder's own signature");
        let (keys, second, name) = (self.keys, self.second, self.name);
        Customer { bank: self.bank, ubi, opening, keys, key: 0, second, nonce: Nonce(1), name }
    }
}

fn draw_customer(
    network: &Network,
    (bank, domain, asset): (usize, &Domain, &Uai),
    transit: bool,
    maker: &mut KeyMaker,
    random: &mut Stream,
) -> CustomerDraft {
    let suite = if random.chance(3_000) { Suite::HybridMlDsa65 } else { Suite::Ed25519 };
    let keys: Vec<Secret> = (0..HOLDER_KEYS).map(|_| maker.make(suite, random.bytes())).collect();
    let serial = random.below(9_000);
    let local = if transit { "transit".to_owned() } else { format!("holder{serial}") };
    let name = format!("{local}@{domain}");
    let second = (!transit && random.chance(3_000)).then(|| maker.make(suite, random.bytes()));
    let limit = DailyLimit {
        asset: asset.clone(),
        amount: Amount::new(u128::from(random.between(50, 600))),
    };
    let limits = second.as_ref().map(|_| limit).into_iter().collect();
    let rules = Rules {
        daily_limits: Bounded::new(limits).expect("one at most"),
        second_key: second.as_ref().map(|second| second.public().clone()),
        ..Rules::default()
    };
    let known = transit || random.chance(6_000);
    let opening = Opening {
        network: network.clone(),
        holder: name.parse().expect("a holder"),
        number: 1,
        key: keys[0].public().clone(),
        tier: if transit || !serial.is_multiple_of(4) { 3 } else { 1 },
        jurisdiction: if known { home() } else { Country::UNKNOWN },
        identity: Hash::ZERO,
        rules,
    };
    let signature = keys[0].sign(Tag::Opening, &codec::encode(&opening));
    CustomerDraft { bank, signed: SignedOpening { opening, signature }, keys, second, name }
}
