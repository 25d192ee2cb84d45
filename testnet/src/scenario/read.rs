//! From a file's text to a scenario, or to everything that is wrong with it.
//!
//! ```text
//!   text -> tables with places -> banks -> assets -> holders -> trust -> names of steps -> steps
//! ```
//!
//! Invariant: a scenario that comes out names nothing that is not there.

use std::collections::BTreeSet;
use std::time::Duration;

use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::ledger::AssetProfile;
use quadrille_protocol::limits;
use quadrille_protocol::payment::Fee;
use quadrille_protocol::types::{Amount, Domain};
use toml::de::DeTable;

use super::plan::Scenario;
use super::source::{Field, Mistake, Mistakes, Table};
use super::steps;
use super::words::{self, AssetName, Who};
use crate::local::fund;
use crate::local::means::{CustomerMeans, LimitMeans, Means, ServiceMeans};
use crate::local::prepare::Timing;
use crate::local::state::BANKS;

/// Largest scenario file.
pub const FILE_BYTES: usize = 256 * 1024;
/// Most holders of a scenario: every one costs a key.
const HOLDERS: usize = 256;
/// Most assets of a scenario.
const ASSETS: usize = 64;
/// Longest title and name.
const NAME_CHARS: usize = 120;
/// How long a settlement lives when nothing is said.
const LIFE: Duration = Duration::from_secs(12);
/// How much of it must be left for the secret to be revealed, when nothing is said.
const MARGIN: Duration = Duration::from_secs(3);
/// How long a step may take when nothing is said.
const PATIENCE: Duration = Duration::from_secs(30);
/// Decimal places of an asset when nothing is said.
const DECIMALS: u64 = 2;

/// Who and what there is in a scenario, for the steps to name.
#[derive(Debug, Default)]
pub struct Cast {
    /// The banks.
    pub banks: Vec<String>,
    /// The assets.
    pub assets: Vec<AssetName>,
    /// The holders.
    pub holders: Vec<Who>,
    /// The steps, in the order of the file; empty for one without a name of its own.
    pub steps: Vec<String>,
}

/// Reads a scenario.
///
/// # Errors
/// Every mistake in it.
pub fn read(text: &str) -> Result<Scenario, Vec<Mistake>> {
    let mut mistakes = Mistakes::of(text);
    let (parsed, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        mistakes.add(error.span().unwrap_or(0..0), "", format!("no TOML: {}", error.message()));
    }
    // What did not parse would be missed below as well.
    if !errors.is_empty() {
        return Err(mistakes.all());
    }
    let root = Table::new(String::new(), parsed.span(), parsed.get_ref());
    let scenario = scenario(root, &mut mistakes);
    let found = mistakes.all();
    match scenario {
        Some(scenario) if found.is_empty() => Ok(scenario),
        Some(_) | None => Err(found),
    }
}

fn scenario(mut root: Table<'_, '_>, mistakes: &mut Mistakes<'_>) -> Option<Scenario> {
    let title = root.need(mistakes, "title", "a line that says what the scenario shows");
    let title = title.and_then(|field| field.parsed(mistakes, "a title", title_of));
    let network = root.need(mistakes, "network", "a table with the banks");
    let network = network.and_then(|field| network_of(&field, mistakes));
    let mut cast = Cast::default();
    let mut means = Means::default();
    if let Some(network) = &network {
        cast.banks.clone_from(&network.banks);
        means.notaries.clone_from(&network.notaries);
    }
    if let Some(field) = root.find("asset") {
        assets(&field, &mut cast, &mut means, mistakes);
    }
    if let Some(field) = root.find("holder") {
        holders(&field, &mut cast, &mut means, mistakes);
    }
    if let Some(field) = root.find("service") {
        services(&field, &cast, &mut means, mistakes);
    }
    if let Some(field) = root.find("trust") {
        trust(&field, &cast, &mut means, mistakes);
    }
    let steps = root.need(mistakes, "step", "at least one step");
    let steps = steps.map(|field| steps::read(&field, &mut cast, mistakes)).unwrap_or_default();
    root.done(mistakes);
    let network = network?;
    Some(Scenario {
        title: title?,
        suite: network.suite,
        timing: network.timing,
        patience: network.patience,
        banks: network.banks,
        means,
        steps,
    })
}

fn title_of(text: &str) -> Result<String, String> {
    let good = !text.trim().is_empty() && text.chars().count() <= NAME_CHARS;
    let good = good && !text.contains(char::is_control);
    if good { Ok(text.to_owned()) } else { Err(format!("one line of 1 to {NAME_CHARS} letters")) }
}

struct Network {
    banks: Vec<String>,
    notaries: Vec<String>,
    suite: Suite,
    timing: Timing,
    patience: Duration,
}

fn network_of(field: &Field<'_, '_>, mistakes: &mut Mistakes<'_>) -> Option<Network> {
    let mut table = field.table(mistakes, "[network]")?;
    let mut banks: Vec<String> = Vec::new();
    let listed = table.need(mistakes, "banks", "a list like [\"bank-a\", \"bank-b\"]");
    for one in
        listed.iter().flat_map(|field| field.each(mistakes, "a bank's name")).collect::<Vec<_>>()
    {
        let Some(name) = one.parsed(mistakes, "a bank's name", bank_name) else { continue };
        if banks.contains(&name) {
            one.wrong(mistakes, format!("`{name}` is there twice"));
        } else {
            banks.push(name);
        }
    }
    if let (Some(field), true) = (&listed, banks.is_empty() || banks.len() > BANKS) {
        field.wrong(mistakes, format!("1 to {BANKS} banks are expected"));
    }
    let notaries = table.find("notaries").map_or_else(Vec::new, |field| {
        let names = field.each(mistakes, "a bank's name");
        let one = |field: &Field<'_, '_>, mistakes: &mut Mistakes<'_>| {
            field.parsed(mistakes, "a bank's name", |text| words::one_of(text, "bank", &banks))
        };
        names.iter().filter_map(|field| one(field, mistakes)).collect()
    });
    let suite = table.find("suite").and_then(|field| field.number(mistakes, 1..3));
    let suite = match suite {
        Some(2) => Suite::HybridDilithium3,
        Some(_) | None => Suite::HybridMlDsa65,
    };
    let mut span = |name, otherwise| {
        let field = table.find(name);
        let found = field.and_then(|field| field.parsed(mistakes, "a span", words::span));
        found.unwrap_or(otherwise)
    };
    let (life, margin) = (span("settlement-life", LIFE), span("reveal-margin", MARGIN));
    let patience = span("patience", PATIENCE);
    let timing = Timing { life_ms: millis(life), reveal_margin_ms: millis(margin) };
    if timing.life_ms > limits::SETTLEMENT_LIFE_MAX_MS || margin >= life {
        let what = "reveal-margin has to be shorter than settlement-life, and that at most ";
        let most = limits::SETTLEMENT_LIFE_MAX_MS;
        mistakes.add(table.at.clone(), &table.key, format!("{what}{most} ms"));
    }
    table.done(mistakes);
    Some(Network { banks, notaries, suite, timing, patience })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn bank_name(text: &str) -> Result<String, String> {
    let letters = |text: &str| text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
    if !letters(text) || domain(text).is_none() {
        return Err(format!("`{text}`: a name of small letters, digits and hyphens is expected"));
    }
    Ok(text.to_owned())
}

/// The domain of a bank.
fn domain(bank: &str) -> Option<Domain> {
    format!("{bank}.example").parse().ok()
}

fn assets(field: &Field<'_, '_>, cast: &mut Cast, means: &mut Means, mistakes: &mut Mistakes<'_>) {
    for mut table in field.tables(mistakes) {
        let name = table.need(mistakes, "name", "a code and its issuer, like EUR:bank-b");
        let decimals = table.find("decimals").and_then(|field| field.number(mistakes, 0..19));
        let decimals = u8::try_from(decimals.unwrap_or(DECIMALS)).unwrap_or(0);
        if let Some(field) = name {
            let made = field.parsed(mistakes, "an asset", |text| asset(text, decimals, cast));
            if let Some((name, profile)) = made {
                if cast.assets.len() >= ASSETS {
                    field.wrong(mistakes, format!("at most {ASSETS} assets"));
                }
                cast.assets.push(name);
                means.assets.push(profile);
            }
        }
        table.done(mistakes);
    }
}

fn asset(text: &str, decimals: u8, cast: &Cast) -> Result<(AssetName, AssetProfile), String> {
    let bad = || format!("`{text}`: CODE:BANK is expected, like EUR:bank-b");
    let (code, bank) = text.split_once(':').ok_or_else(bad)?;
    let issuer = domain(&words::one_of(bank, "bank", &cast.banks)?).ok_or_else(bad)?;
    let profile = fund::profile(code, &issuer).map_err(|refusal| refusal.to_string())?;
    let profile = AssetProfile { decimals, ..profile };
    if cast.assets.iter().any(|known| known.name == text) {
        return Err(format!("`{text}` is there twice"));
    }
    Ok((AssetName { name: text.to_owned(), uai: profile.uai(), decimals }, profile))
}

fn holders(field: &Field<'_, '_>, cast: &mut Cast, means: &mut Means, mistakes: &mut Mistakes<'_>) {
    for mut table in field.tables(mistakes) {
        let name = table.need(mistakes, "name", "a holder and its bank, like alice@bank-a");
        let who = name.and_then(|field| {
            let who = field.parsed(mistakes, "a holder", |text| holder(text, cast))?;
            if cast.holders.len() >= HOLDERS {
                field.wrong(mistakes, format!("at most {HOLDERS} holders"));
            }
            Some(who)
        });
        let mut has = Vec::new();
        for one in table.find("has").map_or_else(Vec::new, |it| it.each(mistakes, "an amount")) {
            let money = one.parsed(mistakes, "an amount", |text| words::money(text, &cast.assets));
            let (Some(money), Some(who)) = (money, &who) else { continue };
            let bank = domain(&who.bank);
            if bank.as_ref() != Some(money.asset.issuer()) {
                let what = format!(
                    "{} can only have at first what its own bank issues; let the issuer's holder \
                     pay the rest to it in a step",
                    who
                );
                one.wrong(mistakes, what);
            } else if has.iter().any(|(uai, _)| *uai == money.asset) {
                one.wrong(mistakes, "an asset is there twice");
            } else {
                has.push((money.asset.clone(), money.exact()));
            }
        }
        if let Some(who) = who {
            let (bank, local) = (who.bank.clone(), who.local.clone());
            means.customers.push(CustomerMeans { bank, local, has });
            cast.holders.push(who);
        }
        table.done(mistakes);
    }
}

fn holder(text: &str, cast: &Cast) -> Result<Who, String> {
    let bad = || format!("`{text}`: NAME@BANK is expected, like alice@bank-a");
    let (local, bank) = text.split_once('@').ok_or_else(bad)?;
    let bank = words::one_of(bank, "bank", &cast.banks)?;
    let who = Who { local: local.to_owned(), bank };
    if format!("{text}.example").parse::<quadrille_protocol::types::Holder>().is_err() {
        return Err(bad());
    }
    if cast.holders.contains(&who) {
        return Err(format!("`{text}` is there twice"));
    }
    Ok(who)
}

fn services(field: &Field<'_, '_>, cast: &Cast, means: &mut Means, mistakes: &mut Mistakes<'_>) {
    for mut table in field.tables(mistakes) {
        let bank = table.need(mistakes, "bank", "a bank's name").and_then(|field| {
            field.parsed(mistakes, "a bank", |text| words::one_of(text, "bank", &cast.banks))
        });
        let own: Vec<Who> =
            cast.holders.iter().filter(|who| Some(&who.bank) == bank.as_ref()).cloned().collect();
        let transit = table.find("transit").and_then(|field| {
            field.parsed(mistakes, "a holder at the bank", |text| words::who(text, &own))
        });
        let mut fees = Vec::new();
        for one in table.find("fee").map_or_else(Vec::new, |it| it.each(mistakes, "an amount")) {
            let money = one.parsed(mistakes, "an amount", |text| words::money(text, &cast.assets));
            fees.extend(money.map(|it| (it.asset.clone(), Fee { flat: it.exact(), ppm: 0 })));
        }
        let netting = table.find("netting").and_then(|field| field.flag(mistakes));
        if let Some(bank) = bank {
            let (transit, netting) = (transit.map(|who| who.local), netting.unwrap_or(false));
            means.services.push(ServiceMeans { bank, transit, fees, netting });
        }
        table.done(mistakes);
    }
}

/// Who gives credit to whom: every pair of the two lists, in every asset that is named.
fn trust(field: &Field<'_, '_>, cast: &Cast, means: &mut Means, mistakes: &mut Mistakes<'_>) {
    for mut table in field.tables(mistakes) {
        let by = table.need(mistakes, "by", "who gives credit: a bank, a list, or all");
        let by = by.map_or_else(Vec::new, |field| banks(&field, cast, mistakes));
        let to = table.need(mistakes, "to", "who gets credit: a bank, a list, or all");
        let to = to.map_or_else(Vec::new, |field| banks(&field, cast, mistakes));
        let limit = table.need(mistakes, "limit", "an amount, like 5000.00 EUR:bank-b");
        for one in limit.map_or_else(Vec::new, |it| it.each(mistakes, "an amount")) {
            let money = one.parsed(mistakes, "an amount", |text| limits_of(text, &cast.assets));
            for (asset, limit) in money.unwrap_or_default() {
                let pairs = by.iter().flat_map(|of| to.iter().map(move |peer| (of, peer)));
                for (of, peer) in pairs.filter(|(of, peer)| of != peer) {
                    let line = LimitMeans {
                        of: of.clone(),
                        peer: peer.clone(),
                        asset: asset.uai.clone(),
                        limit,
                    };
                    add_limit(line, &asset.name, means, &one, mistakes);
                }
            }
        }
        if let ([of], [peer]) = (&by[..], &to[..])
            && of == peer
        {
            mistakes.add(table.at.clone(), &table.key, format!("{of} cannot trust itself"));
        }
        table.done(mistakes);
    }
}

/// A later line stands for an earlier one only where it says the same.
fn add_limit(
    line: LimitMeans,
    asset: &str,
    means: &mut Means,
    at: &Field<'_, '_>,
    mistakes: &mut Mistakes<'_>,
) {
    let same = |known: &&LimitMeans| {
        known.of == line.of && known.peer == line.peer && known.asset == line.asset
    };
    match means.limits.iter().find(same) {
        None => means.limits.push(line),
        Some(known) if known.limit == line.limit => {}
        Some(_) => {
            let (of, peer) = (&line.of, &line.peer);
            at.wrong(mistakes, format!("{of} has another limit for {peer} in {asset} already"));
        }
    }
}

/// `5000.00 EUR:bank-b`, or `5000.00 all` for every asset.
fn limits_of(text: &str, assets: &[AssetName]) -> Result<Vec<(AssetName, Amount)>, String> {
    let Some(number) = text.strip_suffix(" all") else {
        let money = words::money(text, assets)?;
        let known = assets.iter().find(|known| known.uai == money.asset);
        return Ok(known.map(|known| (known.clone(), money.exact())).into_iter().collect());
    };
    let every = assets.iter().map(|known| {
        let money = words::money(&format!("{number} {}", known.name), assets)?;
        Ok((known.clone(), money.exact()))
    });
    every.collect()
}

fn banks(field: &Field<'_, '_>, cast: &Cast, mistakes: &mut Mistakes<'_>) -> Vec<Domain> {
    let mut found = BTreeSet::new();
    for one in field.each(mistakes, "a bank's name") {
        let names = one.parsed(mistakes, "a bank's name", |text| {
            if text == "all" {
                return Ok(cast.banks.clone());
            }
            words::one_of(text, "bank", &cast.banks).map(|name| vec![name])
        });
        found.extend(names.unwrap_or_default().iter().filter_map(|name| domain(name)));
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests;
