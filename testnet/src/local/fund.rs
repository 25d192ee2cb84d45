//! Giving a local network something to trade: assets, customers with balances, credit limits.
//!
//! Invariant: what is there already is left as it is, so that funding that was interrupted can
//! be done again.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use quadrille_node::api::dto::{LedgerView, NewAsset};
use quadrille_node::client::Client;
use quadrille_node::files::{self, Access};
use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::SecretKey;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::opening::Rules;
use quadrille_protocol::ledger::{AssetProfile, Opening, SignedOpening};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{
    Amount, Bounded, Country, Domain, Hash, Holder, Network, Uai, Ubi,
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::clients;
use super::interrupt;
use super::layout::Layout;
use super::state::{Bank, State};

/// The customers of every bank that the others trust.
pub const HOLDERS: [&str; 3] = ["alice", "bob", "carol"];
/// The customer of a bank that nobody trusts.
pub const STRANGERS: [&str; 1] = ["mallory"];
/// The code of every bank's cash and bond.
pub const CASH: &str = "EUR";
/// See [`CASH`].
pub const BOND: &str = "BOND";
/// Decimal places of both.
pub const DECIMALS: u8 = 2;
/// The KYC tier of every customer.
const TIER: u8 = 1;
/// What one bank may owe another in one asset, in minor units: a thousand billion.
const LIMIT: Amount = Amount::new(100_000_000_000_000);
/// A customer's balance of each asset of its bank, in units: drawn from this range.
const BALANCE_UNITS: std::ops::Range<u64> = 50_000_000..100_000_000;
/// Requests that are under way at one time.
const AT_A_TIME: usize = 48;
/// In a network with more banks each accepts only the partners' own assets and its own from them.
const EVERYTHING_UP_TO: usize = 6;
/// Ledgers and assets that are listed at most.
const ROWS: usize = 10_000;
/// How long the list of members may take to reach every bank.
const ACQUAINTED: Duration = Duration::from_secs(30);
/// Between two questions whether it has.
const LOOK: Duration = Duration::from_millis(100);
/// Largest opening in a file, in hexadecimal.
const OPENING_BYTES: usize = 64 * 1024;

/// Minor units of a number of units.
#[must_use]
pub fn minor(units: u64) -> Amount {
    Amount::new(u128::from(units).saturating_mul(100))
}

/// What a bank's customers are called.
#[must_use]
pub fn holders(bank: &Bank) -> &'static [&'static str] {
    if bank.trusted { &HOLDERS } else { &STRANGERS }
}

/// The profile of a bank's cash or bond.
///
/// # Errors
/// `Q-1010` for a code that is none.
pub fn profile(code: &str, issuer: &Domain) -> Result<AssetProfile, Refusal> {
    Ok(AssetProfile {
        code: code.parse()?,
        issuer: issuer.clone(),
        name: format!("{code} of {issuer}").parse()?,
        decimals: DECIMALS,
        supply_limit: None,
        terms: Hash::ZERO,
        minimum_tier: 0,
        denomination: Amount::new(1),
        documents: Bounded::default(),
        jurisdictions: Bounded::default(),
        holders: Bounded::default(),
    })
}

/// A customer's opening of its one ledger, signed.
#[must_use]
pub fn opening(network: &Network, holder: &Holder, key: &SecretKey) -> SignedOpening {
    let opening = Opening {
        network: network.clone(),
        holder: holder.clone(),
        number: 1,
        key: key.public().clone(),
        tier: TIER,
        jurisdiction: Country::UNKNOWN,
        identity: Hash::ZERO,
        rules: Rules::default(),
    };
    let signature = key.sign(Tag::Opening, &codec::encode(&opening));
    SignedOpening { opening, signature }
}

/// Keeps an opening, signed while the key was at hand, for when its bank runs.
///
/// # Errors
/// `Q-2205`.
pub fn keep_opening(path: &Path, opening: &SignedOpening) -> Result<(), Refusal> {
    files::private_folder(files::folder_of(path))?;
    files::replace(path, hex::encode(codec::encode(opening)).as_bytes(), Access::Private)
}

fn read_opening(layout: &Layout, bank: &Bank, local: &str) -> Result<SignedOpening, Refusal> {
    let path = layout.opening(&bank.name, local);
    let text = files::read_text(&path, OPENING_BYTES)?;
    let damaged = || Refusal::new(Code::CannotRead, format!("{}", path.display()));
    let bytes = hex::decode(text).map_err(|_| damaged())?;
    codec::decode::<SignedOpening, OPENING_BYTES>(&bytes)
}

/// A bank that is being funded.
struct Seat<'a> {
    bank: &'a Bank,
    client: Client,
}

/// Funds every bank.
///
/// # Errors
/// The first that any bank answered.
pub fn fund(layout: &Layout, state: &State) -> Result<(), Refusal> {
    let seats = state.banks.iter().map(|bank| {
        let client = clients::of(layout, bank)?;
        Ok(Seat { bank, client })
    });
    let seats: Vec<Seat<'_>> = seats.collect::<Result<_, Refusal>>()?;
    clients::runtime()?.block_on(interrupt::or(async {
        assets(&seats).await?;
        customers(layout, state.seed, &seats).await?;
        acquainted(&seats).await?;
        limits(&seats).await
    }))
}

/// Every asset of the network and its issuer.
fn listing(seats: &[Seat<'_>]) -> Result<Vec<(Uai, AssetProfile)>, Refusal> {
    let mut listing = Vec::new();
    for seat in seats.iter().filter(|seat| seat.bank.trusted) {
        for code in [CASH, BOND] {
            let profile = profile(code, &seat.bank.domain)?;
            listing.push((profile.uai(), profile));
        }
    }
    Ok(listing)
}

/// Makes every asset known at every bank.
async fn assets(seats: &[Seat<'_>]) -> Result<(), Refusal> {
    let listing = listing(seats)?;
    let mut missing = Vec::new();
    for seat in seats {
        let told = |error| clients::refusal(&seat.bank.name, error);
        let known = seat.client.assets(ROWS).await.map_err(told)?;
        for (uai, profile) in &listing {
            if known.iter().all(|known| known.asset != *uai) {
                missing.push((seat, uai, profile));
            }
        }
    }
    let register = missing.into_iter().map(|(seat, uai, profile)| async move {
        let asset = NewAsset {
            code: profile.code,
            issuer: Some(profile.issuer.clone()),
            name: profile.name.clone(),
            decimals: profile.decimals,
            supply_limit: profile.supply_limit,
            terms: None,
            minimum_tier: profile.minimum_tier,
            denomination: Some(profile.denomination),
            documents: Vec::new(),
            jurisdictions: profile.jurisdictions.to_vec(),
            holders: profile.holders.to_vec(),
        };
        let answer = seat.client.register_asset(&asset, &format!("register:{uai}")).await;
        answer.map(|_| ()).map_err(|error| clients::refusal(&seat.bank.name, error))
    });
    all(register).await
}

/// Opens the customers' ledgers and issues to them what their bank issues.
async fn customers(layout: &Layout, seed: u64, seats: &[Seat<'_>]) -> Result<(), Refusal> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut wanted = Vec::new();
    for seat in seats {
        for local in holders(seat.bank) {
            let opening = read_opening(layout, seat.bank, local)?;
            let codes: &[&str] = if seat.bank.trusted { &[CASH, BOND] } else { &[] };
            let mut issues = Vec::new();
            for code in codes {
                let amount = minor(random.random_range(BALANCE_UNITS));
                issues.push((profile(code, &seat.bank.domain)?.uai(), amount));
            }
            wanted.push((seat, opening, issues));
        }
    }
    let open = wanted.into_iter().map(|(seat, opening, issues)| customer(seat, opening, issues));
    all(open).await
}

async fn customer(
    seat: &Seat<'_>,
    opening: SignedOpening,
    issues: Vec<(Uai, Amount)>,
) -> Result<(), Refusal> {
    let told = |error| clients::refusal(&seat.bank.name, error);
    let (ledger, holder) = (opening.opening.ubi(), &opening.opening.holder);
    let known = seat.client.ledgers(Some(holder), ROWS).await.map_err(told)?;
    if known.iter().all(|known| known.ledger != ledger) {
        seat.client.open_ledger(&opening).await.map_err(told)?;
    }
    let view = seat.client.ledger(&ledger).await.map_err(told)?;
    for (uai, amount) in issues {
        if !has(&view, &uai) {
            issue(seat, &uai, ledger, amount).await?;
        }
    }
    Ok(())
}

async fn issue(seat: &Seat<'_>, uai: &Uai, ledger: Ubi, amount: Amount) -> Result<(), Refusal> {
    let once = format!("issue:{uai}:{ledger}");
    let answer = seat.client.issue(uai, ledger, amount, &once).await;
    answer.map(|_| ()).map_err(|error| clients::refusal(&seat.bank.name, error))
}

fn has(view: &LedgerView, uai: &Uai) -> bool {
    view.balances.iter().any(|balance| balance.asset == *uai)
}

/// Waits until every bank has heard of every other one: credit is given to members only.
async fn acquainted(seats: &[Seat<'_>]) -> Result<(), Refusal> {
    let deadline = Instant::now() + ACQUAINTED;
    for seat in seats {
        loop {
            let members = seat.client.members(ROWS).await;
            let members = members.map_err(|error| clients::refusal(&seat.bank.name, error))?;
            let knows = |other: &Bank| members.iter().any(|known| known.domain == other.domain);
            let others = seats.iter().map(|other| other.bank);
            let Some(missing) = others.into_iter().find(|other| !knows(other)) else { break };
            if Instant::now() >= deadline {
                let (name, missing) = (&seat.bank.name, &missing.name);
                refuse!(NodeDidNotStart, "{name} has not heard of {missing}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

/// Has every bank give every trusted one credit.
async fn limits(seats: &[Seat<'_>]) -> Result<(), Refusal> {
    let listing = listing(seats)?;
    let everything = seats.len() <= EVERYTHING_UP_TO;
    let mut missing = Vec::new();
    for seat in seats {
        let told = |error| clients::refusal(&seat.bank.name, error);
        let lines = seat.client.trust(ROWS).await.map_err(told)?;
        let mut known: BTreeMap<(&Domain, &Uai), Amount> = BTreeMap::new();
        for line in &lines {
            known.insert((&line.domain, &line.exposure.asset), line.exposure.limit);
        }
        for peer in seats.iter().map(|peer| peer.bank).filter(|peer| peer.trusted) {
            if peer.domain == seat.bank.domain {
                continue;
            }
            for (uai, _) in &listing {
                let near = [&peer.domain, &seat.bank.domain].contains(&uai.issuer());
                if (everything || near) && known.get(&(&peer.domain, uai)) != Some(&LIMIT) {
                    missing.push((seat, &peer.domain, uai));
                }
            }
        }
    }
    let give = missing.into_iter().map(|(seat, domain, uai)| async move {
        let answer = seat.client.set_trust(domain, uai, LIMIT).await;
        answer.map(|_| ()).map_err(|error| clients::refusal(&seat.bank.name, error))
    });
    all(give).await
}

/// Does all of them, some at a time; ends with the first that fails.
async fn all(
    tasks: impl Iterator<Item = impl Future<Output = Result<(), Refusal>>>,
) -> Result<(), Refusal> {
    stream::iter(tasks).buffer_unordered(AT_A_TIME).try_collect().await
}
