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

use super::clients;
use super::interrupt;
use super::layout::Layout;
use super::means::{CustomerMeans, LimitMeans, Means, ServiceMeans};
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
/// Requests that are under way at one time.
const AT_A_TIME: usize = 48;
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

/// Funds every bank with what `means` says.
///
/// # Errors
/// The first that any bank answered.
pub fn fund(layout: &Layout, state: &State, means: &Means) -> Result<(), Refusal> {
    let seats = state.banks.iter().map(|bank| {
        let client = clients::of(layout, bank)?;
        Ok(Seat { bank, client })
    });
    let seats: Vec<Seat<'_>> = seats.collect::<Result<_, Refusal>>()?;
    clients::runtime()?.block_on(interrupt::or(async {
        assets(&seats, &means.assets).await?;
        customers(layout, &seats, &means.customers).await?;
        services(layout, &seats, &means.services).await?;
        acquainted(&seats).await?;
        limits(&seats, &means.limits).await
    }))
}

fn seat_of<'a, 'b>(seats: &'a [Seat<'b>], name: &str) -> Result<&'a Seat<'b>, Refusal> {
    let found = seats.iter().find(|seat| seat.bank.name == name);
    found.ok_or_else(|| Refusal::new(Code::UnknownNode, format!("`{name}`")))
}

/// Makes every asset known at every bank.
async fn assets(seats: &[Seat<'_>], listing: &[AssetProfile]) -> Result<(), Refusal> {
    let mut missing = Vec::new();
    for seat in seats {
        let told = |error| clients::refusal(&seat.bank.name, error);
        let known = seat.client.assets(ROWS).await.map_err(told)?;
        for profile in listing {
            let uai = profile.uai();
            if known.iter().all(|known| known.asset != uai) {
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
async fn customers(
    layout: &Layout,
    seats: &[Seat<'_>],
    customers: &[CustomerMeans],
) -> Result<(), Refusal> {
    let mut wanted = Vec::new();
    for known in customers {
        let seat = seat_of(seats, &known.bank)?;
        wanted.push((seat, read_opening(layout, seat.bank, &known.local)?, &known.has));
    }
    all(wanted.into_iter().map(|(seat, opening, has)| customer(seat, opening, has))).await
}

async fn customer(
    seat: &Seat<'_>,
    opening: SignedOpening,
    issues: &[(Uai, Amount)],
) -> Result<(), Refusal> {
    let told = |error| clients::refusal(&seat.bank.name, error);
    let (ledger, holder) = (opening.opening.ubi(), &opening.opening.holder);
    let known = seat.client.ledgers(Some(holder), ROWS).await.map_err(told)?;
    if known.iter().all(|known| known.ledger != ledger) {
        seat.client.open_ledger(&opening).await.map_err(told)?;
    }
    let view = seat.client.ledger(&ledger).await.map_err(told)?;
    for (uai, amount) in issues {
        if !has(&view, uai) {
            issue(seat, uai, ledger, *amount).await?;
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

/// Has banks do for others what they are to do.
async fn services(
    layout: &Layout,
    seats: &[Seat<'_>],
    services: &[ServiceMeans],
) -> Result<(), Refusal> {
    for service in services {
        let seat = seat_of(seats, &service.bank)?;
        let told = |error| clients::refusal(&seat.bank.name, error);
        if let Some(local) = &service.transit {
            let ledger = read_opening(layout, seat.bank, local)?.opening.ubi();
            seat.client.set_transit(Some(ledger)).await.map_err(told)?;
        }
        for (uai, fee) in &service.fees {
            seat.client.set_fee(uai, (*fee).into()).await.map_err(told)?;
        }
        if service.netting {
            seat.client.switch_netting(true).await.map_err(told)?;
        }
    }
    Ok(())
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

/// Has every bank give the credit that it is to give.
async fn limits(seats: &[Seat<'_>], wanted: &[LimitMeans]) -> Result<(), Refusal> {
    let mut missing = Vec::new();
    for seat in seats {
        let told = |error| clients::refusal(&seat.bank.name, error);
        let lines = seat.client.trust(ROWS).await.map_err(told)?;
        let mut known: BTreeMap<(&Domain, &Uai), Amount> = BTreeMap::new();
        for line in &lines {
            known.insert((&line.domain, &line.exposure.asset), line.exposure.limit);
        }
        for line in wanted.iter().filter(|line| line.of == seat.bank.domain) {
            if known.get(&(&line.peer, &line.asset)) != Some(&line.limit) {
                missing.push((seat, line));
            }
        }
    }
    let give = missing.into_iter().map(|(seat, line)| async move {
        let answer = seat.client.set_trust(&line.peer, &line.asset, line.limit).await;
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
