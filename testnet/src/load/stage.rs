//! Getting ready: the banks of all routes, holders with ledgers and funds there, tokens.
//!
//! Invariant: nothing of what other customers have is touched. Holders are new for each load; their
//! keys stay in this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use quadrille_node::api::dto::{FeeView, NewAsset};
use quadrille_node::api::tokens::{self, Role};
use quadrille_node::client::Client;
use quadrille_node::config;
use quadrille_node::signer::generate_key;
use quadrille_protocol::crypto::hash::{Tag, hash};
use quadrille_protocol::crypto::suite::{SecretKey, Suite};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::ledger::AssetProfile;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Amount, Domain, Holder, Network, Nonce, Uai, Ubi};
use zeroize::Zeroizing;

use super::plan::{Kind, LoadPlan};
use crate::local::clients;
use crate::local::fund::{self, BOND, CASH};
use crate::local::layout::Layout;
use crate::local::state::{Bank, State};
use crate::local::up::now;

/// Requests that are under way at one time while ledgers are opened.
const AT_A_TIME: usize = 48;
/// Tokens at each bank: one bearer may hand in some 200 orders a second, and many holders'
/// programs are played here.
const TOKENS: std::ops::RangeInclusive<usize> = 4..=128;
/// What one token is counted on for, per second.
const ORDERS_PER_TOKEN: f64 = 100.0;
/// What each ledger is given.
const FUNDS: Amount = Amount::new(1_000_000_000_000);
/// What each trade moves.
pub(super) const AMOUNT: Amount = Amount::new(100);
/// What a bank may owe another in the asset of a path.
const LIMIT: Amount = Amount::new(100_000_000_000_000);
/// How long the payer's bank may take to see the way.
const WAY_SEEN: Duration = Duration::from_secs(60);
/// Between two looks for it.
const LOOK: Duration = Duration::from_millis(100);

/// A bank of the load.
pub(super) struct Seat {
    pub bank: Bank,
    /// The operator's.
    pub client: Client,
    /// The traders'.
    pub traders: Vec<Client>,
    _tokens: Tokens,
}

/// What moves along a route.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// Its banks, by their place among the seats.
    pub seats: Vec<usize>,
    pub domains: Vec<Domain>,
    /// What the first bank's holder gives.
    pub give: Uai,
    /// What it gets, of a trade.
    pub want: Uai,
}

/// A holder who trades.
pub(super) struct Account {
    pub ledger: Ubi,
    pub key: SecretKey,
    pub nonce: Nonce,
}

/// Two holders who trade with each other, one at each end of a route.
pub(super) struct Pair {
    pub near: Account,
    pub far: Account,
}

/// Everything that is ready.
pub(super) struct Stage {
    pub network: Network,
    pub seats: Vec<Seat>,
    pub routes: Vec<Route>,
    /// Of each route.
    pub pairs: Vec<Vec<Pair>>,
}

impl Stage {
    /// Opens the ledgers and makes the tokens.
    pub async fn set(
        layout: &Layout,
        state: &State,
        plan: &LoadPlan,
        holders: usize,
    ) -> Result<Self, Refusal> {
        let mut seats: Vec<Seat> = Vec::new();
        let mut routes = Vec::new();
        let orders = plan.expected_rate();
        for names in &plan.routes {
            let mut places = Vec::new();
            for name in names {
                let bank = state.bank(name)?;
                let known = seats.iter().position(|seat| seat.bank.name == bank.name);
                let place = match known {
                    Some(place) => place,
                    None => {
                        seats.push(Seat::take(layout, bank, orders)?);
                        seats.len().saturating_sub(1)
                    }
                };
                places.push(place);
            }
            let domains = names.iter().map(|name| Ok(state.bank(name)?.domain.clone()));
            let domains = domains.collect::<Result<Vec<_>, Refusal>>()?;
            let (give, want) = assets(plan.kind, &domains)?;
            routes.push(Route { seats: places, domains, give, want });
        }
        let mut stage = Self { network: state.network.clone(), seats, routes, pairs: Vec::new() };
        let run = hex::encode(rand::random::<[u8; 4]>());
        for number in 0..stage.routes.len() {
            if plan.kind == Kind::Path {
                stage.way(number, &run).await?;
            }
            let pairs = stage.pairs(number, plan, holders, &run).await?;
            stage.pairs.push(pairs);
        }
        Ok(stage)
    }

    fn seat(&self, place: usize) -> Result<&Seat, Refusal> {
        let Some(seat) = self.seats.get(place) else { refuse!(StepFailed, "no seat {place}") };
        Ok(seat)
    }

    fn ends(&self, route: &Route) -> Result<(&Seat, &Seat), Refusal> {
        let (Some(near), Some(far)) = (route.seats.first(), route.seats.last()) else {
            refuse!(BadLoad, "a route without banks");
        };
        Ok((self.seat(*near)?, self.seat(*far)?))
    }

    /// Opens the ledgers of a route's holders.
    async fn pairs(
        &self,
        number: usize,
        plan: &LoadPlan,
        holders: usize,
        run: &str,
    ) -> Result<Vec<Pair>, Refusal> {
        let Some(route) = self.routes.get(number) else { return Ok(Vec::new()) };
        let (near, far) = self.ends(route)?;
        let (near_name, far_name) = (format!("l{run}-{number}n"), format!("l{run}-{number}f"));
        let given = Some(&route.give);
        let taken = (plan.kind == Kind::Dvp).then_some(&route.want);
        let at_near = self.accounts(near, (&near_name, holders), plan.suite, given);
        let at_far = self.accounts(far, (&far_name, holders), plan.suite, taken);
        let (at_near, at_far) = futures::try_join!(at_near, at_far)?;
        let pairs = at_near.into_iter().zip(at_far);
        Ok(pairs.map(|(near, far)| Pair { near, far }).collect())
    }

    /// Opens so many ledgers at a bank, and puts some of the asset there.
    async fn accounts(
        &self,
        seat: &Seat,
        (name, count): (&str, usize),
        suite: Suite,
        asset: Option<&Uai>,
    ) -> Result<Vec<Account>, Refusal> {
        let bank = &seat.bank;
        let mut accounts = Vec::with_capacity(count);
        let mut openings = Vec::with_capacity(count);
        for number in 0..count {
            let holder: Holder = format!("{name}{number}@{}", bank.domain).parse()?;
            let key = generate_key(suite)?;
            let opening = fund::opening(&self.network, &holder, &key);
            let ledger = opening.opening.ubi();
            openings.push(opening);
            accounts.push(Account { ledger, key, nonce: Nonce(0) });
        }
        let open = openings.iter().map(|opening| async move {
            let told = |error| clients::refusal(&bank.name, error);
            let ledger = opening.opening.ubi();
            seat.client.open_ledger(opening).await.map_err(told)?;
            if let Some(asset) = asset {
                let once = format!("load:{asset}:{ledger}");
                seat.client.issue(asset, ledger, FUNDS, &once).await.map_err(told)?;
            }
            Ok::<_, Refusal>(())
        });
        stream::iter(open).buffer_unordered(AT_A_TIME).try_collect::<()>().await?;
        Ok(accounts)
    }

    /// Makes a route the only way for its asset: each bank accepts it from the one before.
    async fn way(&self, number: usize, run: &str) -> Result<(), Refusal> {
        let Some(route) = self.routes.get(number) else { return Ok(()) };
        let Some(issuer) = route.domains.first() else { return Ok(()) };
        let profile = path_profile(&route.domains, issuer)?;
        for place in &route.seats {
            let seat = self.seat(*place)?;
            let told = |error| clients::refusal(&seat.bank.name, error);
            let once = format!("register:{}", route.give);
            seat.client.register_asset(&new_asset(&profile), &once).await.map_err(told)?;
        }
        for (before, place) in route.domains.iter().zip(route.seats.iter().skip(1)) {
            let seat = self.seat(*place)?;
            let told = |error| clients::refusal(&seat.bank.name, error);
            seat.client.set_trust(before, &route.give, LIMIT).await.map_err(told)?;
        }
        let between = route.seats.len().saturating_sub(2);
        for place in route.seats.iter().skip(1).take(between) {
            let seat = self.seat(*place)?;
            let told = |error| clients::refusal(&seat.bank.name, error);
            let name = format!("l{run}-{number}t");
            let transit = self.accounts(seat, (&name, 1), Suite::HybridMlDsa65, None).await?;
            let ledger = transit.first().map(|account| account.ledger);
            seat.client.set_transit(ledger).await.map_err(told)?;
            let free = FeeView { flat: Amount::ZERO, ppm: 0 };
            seat.client.set_fee(&route.give, free).await.map_err(told)?;
        }
        self.way_seen(route).await
    }

    async fn way_seen(&self, route: &Route) -> Result<(), Refusal> {
        let (payer, _) = self.ends(route)?;
        let Some(to) = route.domains.last() else { return Ok(()) };
        let deadline = Instant::now() + WAY_SEEN;
        loop {
            let asked = payer.client.paths(to, (&route.give, AMOUNT), &route.give, None).await;
            let parties = route.domains.len();
            let fits = |ways: &[quadrille_node::api::dto::PathView]| {
                ways.iter().any(|way| usize::try_from(way.parties) == Ok(parties))
            };
            match asked {
                Ok(ways) if fits(&ways) => return Ok(()),
                Ok(_) | Err(_) if Instant::now() < deadline => tokio::time::sleep(LOOK).await,
                Ok(ways) => {
                    refuse!(StepFailed, "{} ways to {to}, none over {parties} banks", ways.len());
                }
                Err(error) => return Err(clients::refusal(&payer.bank.name, error)),
            }
        }
    }
}

/// What a route's first holder gives and what it gets.
fn assets(kind: Kind, domains: &[Domain]) -> Result<(Uai, Uai), Refusal> {
    let (Some(near), Some(far)) = (domains.first(), domains.last()) else {
        refuse!(BadLoad, "a route without banks");
    };
    Ok(match kind {
        Kind::Dvp => (fund::profile(BOND, near)?.uai(), fund::profile(CASH, far)?.uai()),
        Kind::Payment => {
            let cash = fund::profile(CASH, near)?.uai();
            (cash.clone(), cash)
        }
        Kind::Path => {
            let asset = path_profile(domains, near)?.uai();
            (asset.clone(), asset)
        }
    })
}

/// An asset of this route alone, so that what banks accept for it makes one way and no other.
fn path_profile(domains: &[Domain], issuer: &Domain) -> Result<AssetProfile, Refusal> {
    let names: Vec<&str> = domains.iter().map(Domain::as_str).collect();
    let digest = hash(Tag::Order, &[names.join(",").as_bytes()]).0;
    let short = digest.iter().take(4).map(|byte| format!("{byte:02X}")).collect::<String>();
    fund::profile(&format!("L{short}"), issuer)
}

fn new_asset(profile: &AssetProfile) -> NewAsset {
    NewAsset {
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
    }
}

impl Seat {
    fn take(layout: &Layout, bank: &Bank, orders_per_second: f64) -> Result<Self, Refusal> {
        let client = clients::of(layout, bank)?;
        let wanted = (orders_per_second / ORDERS_PER_TOKEN).ceil().max(0.0) as usize;
        let count = wanted.clamp(*TOKENS.start(), *TOKENS.end());
        let tokens = Tokens::make(layout, bank, count)?;
        let traders = tokens.clients(client.api())?;
        Ok(Self { bank: bank.clone(), client, traders, _tokens: tokens })
    }
}

/// Traders' tokens at one bank, revoked when dropped.
struct Tokens {
    file: std::path::PathBuf,
    made: Vec<(String, Zeroizing<String>)>,
}

impl Tokens {
    fn make(layout: &Layout, bank: &Bank, count: usize) -> Result<Self, Refusal> {
        let file = config::Layout::new(&layout.node(&bank.name)).tokens();
        let mut tokens = Self { file, made: Vec::with_capacity(count) };
        for _ in 0..count {
            let made = tokens::create(&tokens.file, Role::Trader, "a load", now()?)?;
            tokens.made.push((made.entry.id, made.token));
        }
        Ok(tokens)
    }

    /// A client for each.
    fn clients(&self, api: &str) -> Result<Vec<Client>, Refusal> {
        self.made.iter().map(|(_, token)| Client::new(api, Some(token.clone()))).collect()
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        for (id, _) in &self.made {
            if let Err(refusal) = tokens::revoke(&self.file, id) {
                eprintln!("the token {id} of a load is left: {refusal}");
            }
        }
    }
}

/// Names for the banks, shared with what runs beside.
pub(super) fn names(stage: &Stage) -> Arc<[String]> {
    stage.seats.iter().map(|seat| seat.bank.name.clone()).collect()
}
