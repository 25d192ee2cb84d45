//! The topology of a local network as a text that people can change: banks, assets, holders and
//! what they have, trust, services; no keys, no addresses, no history.
//!
//! It is a whole scenario file with one step that asks for nothing, so it can be run, extended
//! with steps, or built again as it is.
//!
//! Invariant: a holder is written down with what its own bank has issued to it and it still has
//! there: what came from elsewhere is the outcome of trades, which are no part of a topology.

mod command;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use quadrille_node::api::dto::LedgerStatus;
use quadrille_node::client::Client;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Amount, Domain, Uai};

pub use command::{ExportArgs, ImportArgs};

use super::clients;
use super::layout::Layout;
use super::ports;
use super::prepare::Timing;
use super::state::{Bank, State};

/// Rows of a list that are asked for at most.
const ROWS: usize = 100_000;

/// An asset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Asset {
    code: String,
    bank: String,
    decimals: u8,
}

/// A topology.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    title: String,
    suite: u8,
    timing: Timing,
    banks: Vec<String>,
    assets: BTreeMap<Uai, Asset>,
    /// Name, bank, and what it has.
    holders: Vec<(String, String, Vec<(Uai, Amount)>)>,
    /// By, to, asset, limit.
    trust: Vec<(String, String, Uai, Amount)>,
    /// Bank, transit holder, fees, netting.
    services: Vec<(String, Option<String>, Vec<(Uai, Amount)>, bool)>,
    /// What could not be written down.
    left_out: BTreeSet<String>,
}

/// Asks the banks for what is to be known.
///
/// # Errors
/// `Q-2209` a bank does not run or does not answer.
pub fn of(layout: &Layout, state: &State) -> Result<Topology, Refusal> {
    if let Some(bank) = state.banks.iter().find(|bank| !bank.is_up()) {
        refuse!(Unreachable, "{} does not run; start it again first", bank.name);
    }
    let mut topology = Topology {
        title: format!("A network of {} banks", state.banks.len()),
        suite: state.suite.number(),
        banks: state.banks.iter().map(|bank| bank.name.clone()).collect(),
        ..Topology::default()
    };
    if let Some(first) = state.banks.first() {
        let settlement = ports::config_of(layout, &first.name)?.settlement;
        let (life_ms, reveal_margin_ms) = (settlement.life_ms, settlement.reveal_margin_ms);
        topology.timing = Timing { life_ms, reveal_margin_ms };
    }
    clients::runtime()?.block_on(async {
        for bank in &state.banks {
            assets(&mut topology, layout, bank).await?;
        }
        for bank in &state.banks {
            rest(&mut topology, layout, state, bank).await?;
        }
        Ok(topology)
    })
}

async fn assets(topology: &mut Topology, layout: &Layout, bank: &Bank) -> Result<(), Refusal> {
    let client = clients::of(layout, bank)?;
    let told = |error| clients::refusal(&bank.name, error);
    for asset in client.assets(ROWS).await.map_err(told)?.into_iter().filter(|asset| asset.ours) {
        let (code, bank) = (asset.code.to_string(), bank.name.clone());
        topology.assets.insert(asset.asset, Asset { code, bank, decimals: asset.decimals });
    }
    Ok(())
}

async fn rest(
    topology: &mut Topology,
    layout: &Layout,
    state: &State,
    bank: &Bank,
) -> Result<(), Refusal> {
    let client = clients::of(layout, bank)?;
    let told = |error| clients::refusal(&bank.name, error);
    let transit = client.correspondents().await.map_err(told)?;
    let mut carries = None;
    let mut names = BTreeSet::new();
    for ledger in client.ledgers(None, ROWS).await.map_err(told)? {
        let holder = ledger.holder.to_string();
        let local = holder.split('@').next().unwrap_or_default().to_owned();
        if transit.transit == Some(ledger.ledger) {
            carries = Some(local.clone());
        }
        if ledger.status != LedgerStatus::Open || !names.insert(local.clone()) {
            topology.left_out.insert(format!("a further or closed ledger of {holder}"));
            continue;
        }
        let has = balances(topology, &client, bank, &ledger.ledger).await?;
        topology.holders.push((local, bank.name.clone(), has));
    }
    for line in client.trust(ROWS).await.map_err(told)? {
        let (asset, limit) = (line.exposure.asset, line.exposure.limit);
        let peer = state.banks.iter().find(|peer| peer.domain == line.domain);
        match peer.filter(|_| topology.assets.contains_key(&asset)) {
            Some(peer) if !limit.is_zero() => {
                topology.trust.push((bank.name.clone(), peer.name.clone(), asset, limit));
            }
            Some(_) | None => {}
        }
    }
    let mut fees: Vec<(Uai, Amount)> = Vec::new();
    for service in &transit.services {
        let Some(fee) = &service.fee else { continue };
        if fee.ppm > 0 {
            topology.left_out.insert(format!("the share of {}'s fees", bank.name));
        }
        if !fee.flat.is_zero() {
            fees.push((service.asset.clone(), fee.flat));
        }
    }
    let netting = client.standings().await.map_err(told)?.netting;
    if carries.is_some() || netting || !fees.is_empty() {
        topology.services.push((bank.name.clone(), carries, fees, netting));
    }
    Ok(())
}

async fn balances(
    topology: &mut Topology,
    client: &Client,
    bank: &Bank,
    ledger: &quadrille_protocol::types::Ubi,
) -> Result<Vec<(Uai, Amount)>, Refusal> {
    let told = |error| clients::refusal(&bank.name, error);
    let mut has = Vec::new();
    for balance in client.ledger(ledger).await.map_err(told)?.balances {
        let own: &Domain = balance.asset.issuer();
        let all = balance.free.plus(balance.held).unwrap_or(balance.free);
        if *own == bank.domain && !all.is_zero() {
            has.push((balance.asset, all));
        } else if !all.is_zero() {
            topology.left_out.insert(format!("what holders of {} have from others", bank.name));
        }
    }
    Ok(has)
}

/// Minor units with a point.
fn decimal(amount: Amount, decimals: u8) -> String {
    let digits = amount.units().to_string();
    let places = usize::from(decimals);
    if places == 0 {
        return digits;
    }
    let filled = format!("{digits:0>width$}", width = places.saturating_add(1));
    let (whole, part) = filled.split_at(filled.len().saturating_sub(places));
    format!("{whole}.{part}")
}

impl Topology {
    fn money(&self, asset: &Uai, amount: Amount) -> Option<String> {
        let known = self.assets.get(asset)?;
        Some(format!("{} {}:{}", decimal(amount, known.decimals), known.code, known.bank))
    }

    /// The limit that everybody gives everybody in everything, when that is so and can be said.
    fn same_limit(&self) -> Option<String> {
        let (_, _, _, limit) = self.trust.first()?;
        let pairs = self.banks.len().saturating_mul(self.banks.len().saturating_sub(1));
        let decimals = self.assets.values().next()?.decimals;
        let whole = self.trust.len() == pairs.saturating_mul(self.assets.len());
        let same = self.trust.iter().all(|(_, _, _, known)| known == limit);
        let alike = self.assets.values().all(|asset| asset.decimals == decimals);
        (whole && same && alike).then(|| decimal(*limit, decimals))
    }

    /// The file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let quoted = |names: &[String]| {
            names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
        };
        writeln!(
            text,
            "# The topology of a local network, without keys. It is a scenario file: add"
        )?;
        writeln!(text, "# steps to it and `quadrille-testnet run` it.")?;
        for what in &self.left_out {
            writeln!(text, "# Left out: {what}.")?;
        }
        writeln!(text, "\ntitle = \"{}\"\n\n[network]", self.title)?;
        writeln!(text, "banks = [{}]\nsuite = {}", quoted(&self.banks), self.suite)?;
        let Timing { life_ms, reveal_margin_ms } = self.timing;
        writeln!(
            text,
            "settlement-life = \"{life_ms}ms\"\nreveal-margin = \"{reveal_margin_ms}ms\""
        )?;
        for Asset { code, bank, decimals } in self.assets.values() {
            writeln!(text, "\n[[asset]]\nname = \"{code}:{bank}\"\ndecimals = {decimals}")?;
        }
        let money = |(asset, amount): &(Uai, Amount)| self.money(asset, *amount);
        for (name, bank, has) in &self.holders {
            writeln!(text, "\n[[holder]]\nname = \"{name}@{bank}\"")?;
            let has: Vec<String> = has.iter().filter_map(money).collect();
            if !has.is_empty() {
                writeln!(text, "has = [{}]", quoted(&has))?;
            }
        }
        if let Some(limit) = self.same_limit() {
            writeln!(text, "\n[[trust]]\nby = \"all\"\nto = \"all\"\nlimit = \"{limit} all\"")?;
        } else {
            let mut lines: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
            for (by, to, asset, limit) in &self.trust {
                lines.entry((by, to)).or_default().extend(self.money(asset, *limit));
            }
            for ((by, to), limits) in lines {
                writeln!(text, "\n[[trust]]\nby = \"{by}\"\nto = \"{to}\"")?;
                writeln!(text, "limit = [{}]", quoted(&limits))?;
            }
        }
        for (bank, transit, fees, netting) in &self.services {
            writeln!(text, "\n[[service]]\nbank = \"{bank}\"")?;
            if let Some(local) = transit {
                writeln!(text, "transit = \"{local}@{bank}\"")?;
            }
            let fees: Vec<String> = fees.iter().filter_map(money).collect();
            if !fees.is_empty() {
                writeln!(text, "fee = [{}]", quoted(&fees))?;
            }
            writeln!(text, "netting = {netting}")?;
        }
        let first = self.banks.first().map_or("bank-a", String::as_str);
        writeln!(text, "\n[[step]]\ncheck = {{ settled = 0, bank = \"{first}\" }}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uai(text: &str) -> Uai {
        format!("{text}.example#{}", "0".repeat(16)).parse().unwrap()
    }

    #[test]
    fn amounts_get_their_point() {
        let shown = |units, decimals| decimal(Amount::new(units), decimals);
        assert_eq!(shown(123_456, 2), "1234.56");
        assert_eq!(
            (shown(5, 2), shown(0, 3), shown(7, 0)),
            ("0.05".into(), "0.000".into(), "7".into())
        );
    }

    #[test]
    fn a_topology_reads_as_a_scenario_s() {
        let bank = |name: &str| name.to_owned();
        let asset =
            |code: &str, name: &str| Asset { code: code.into(), bank: bank(name), decimals: 2 };
        let (bond, cash) = (uai("BOND:bank-a"), uai("EUR:bank-b"));
        let assets =
            [(bond.clone(), asset("BOND", "bank-a")), (cash.clone(), asset("EUR", "bank-b"))];
        let limit = Amount::new(500_000);
        let pairs = [("bank-a", "bank-b"), ("bank-b", "bank-a")];
        let trust = pairs.into_iter().flat_map(|(by, to)| {
            [&bond, &cash].map(|asset| (bank(by), bank(to), asset.clone(), limit))
        });
        let mut topology = Topology {
            title: "Two".into(),
            suite: 1,
            banks: vec![bank("bank-a"), bank("bank-b")],
            assets: assets.into_iter().collect(),
            holders: vec![
                ("alice".into(), bank("bank-a"), vec![(bond.clone(), Amount::new(100))]),
                ("bob".into(), bank("bank-b"), Vec::new()),
            ],
            trust: trust.collect(),
            services: vec![(
                bank("bank-b"),
                Some("bob".into()),
                vec![(cash, Amount::new(5))],
                true,
            )],
            ..Topology::default()
        };
        let text = topology.to_toml();
        let scenario = crate::scenario::read::read(&text).unwrap();
        assert_eq!(scenario.banks, ["bank-a", "bank-b"]);
        assert_eq!((scenario.means.limits.len(), scenario.means.customers.len()), (4, 2));
        let read: toml::Table = text.parse().unwrap();
        assert_eq!(read["network"]["banks"].as_array().unwrap().len(), 2);
        assert_eq!(read["holder"][0]["has"][0].as_str(), Some("1.00 BOND:bank-a"));
        assert_eq!(read["trust"][0]["limit"].as_str(), Some("5000.00 all"));
        assert_eq!(read["service"][0]["fee"][0].as_str(), Some("0.05 EUR:bank-b"));
        topology.trust.pop();
        let read: toml::Table = topology.to_toml().parse().unwrap();
        assert_eq!(read["trust"].as_array().unwrap().len(), 2, "each pair for itself");
        assert_eq!(read["trust"][1]["limit"][0].as_str(), Some("5000.00 BOND:bank-a"));
    }
}
