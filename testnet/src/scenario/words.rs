//! What texts in a scenario file mean: spans of time, amounts, customers, moments.

use std::time::Duration;

use quadrille_protocol::types::{Amount, Uai};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// Longest span that a scenario may name.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The moments of the sealing at which a bank can be killed.
const MOMENTS: [&str; 4] = ["before-append", "after-append", "after-sign", "after-effects"];
/// The steps of a settlement, as logs have them.
pub const STEPS: [&str; 9] = [
    "Agreed",
    "Appointed",
    "Locked",
    "Declined",
    "Revealed",
    "Aborted",
    "Decided(settle)",
    "Decided(refund)",
    "Finalised",
];
/// What else a crash point can name.
const OTHERS: [&str; 8] = [
    "Take",
    "TakeRefused",
    "Transaction/ordered",
    "Transaction/settled",
    "Transaction/refunded",
    "OfferPosted",
    "OfferClosed",
    "Routed",
];

/// A value between two, drawn when the scenario runs; often both are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread<T> {
    /// The least.
    pub least: T,
    /// The most.
    pub most: T,
}

impl Spread<Duration> {
    /// One of them, in whole milliseconds.
    pub fn draw(&self, random: &mut ChaCha8Rng) -> Duration {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(random.random_range(millis(self.least)..=millis(self.most)))
    }
}

impl Spread<u128> {
    /// One of them.
    pub fn draw(&self, random: &mut ChaCha8Rng) -> Amount {
        Amount::new(random.random_range(self.least..=self.most))
    }
}

/// An amount of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// The asset.
    pub asset: Uai,
    /// Its decimal places.
    pub decimals: u8,
    /// In minor units.
    pub units: Spread<u128>,
}

/// An asset of the scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetName {
    /// As the file names it: `EUR:bank-b`.
    pub name: String,
    /// The asset.
    pub uai: Uai,
    /// Its decimal places.
    pub decimals: u8,
}

/// A customer: `alice@bank-a`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// The customer's name.
    pub local: String,
    /// The bank's.
    pub bank: String,
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.local, self.bank)
    }
}

/// A span: `150ms`, `2s`, `1.5s`, `2m`.
///
/// # Errors
/// What was expected.
pub fn span(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}`: a span of time is expected, like 150ms, 2s, 1.5s or 2m");
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(bad)?;
    // As an amount with three decimal places, so that nothing is rounded.
    let (places, factor) = match unit {
        "ms" => (0, 1),
        "s" => (3, 1),
        "m" => (3, 60),
        _ => return Err(bad()),
    };
    let units = minor_units(number, places).map_err(|_| bad())?;
    let millis = u64::try_from(units).ok().and_then(|units| units.checked_mul(factor));
    let span = Duration::from_millis(millis.ok_or_else(bad)?);
    if span > LONGEST {
        return Err(format!("`{text}`: at most {} s", LONGEST.as_secs()));
    }
    Ok(span)
}

/// A span, or a range of which one is drawn: `1s..3s`.
///
/// # Errors
/// What was expected.
pub fn spans(text: &str) -> Result<Spread<Duration>, String> {
    spread(text, span)
}

fn spread<T: PartialOrd + Copy>(
    text: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Spread<T>, String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (least, most) = (read(least)?, read(most)?);
    if least > most {
        return Err(format!("`{text}`: the smaller of the two comes first"));
    }
    Ok(Spread { least, most })
}

/// A number of units with decimal places, in minor units.
fn minor_units(text: &str, decimals: u8) -> Result<u128, String> {
    let bad = || format!("`{text}` is no number with at most {decimals} decimal places");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let zeros = usize::from(decimals).checked_sub(part.len()).ok_or_else(bad)?;
    if whole.is_empty() || !digits(whole) || !digits(part) || text.ends_with('.') {
        return Err(bad());
    }
    format!("{whole}{part}{}", "0".repeat(zeros)).parse().map_err(|_| bad())
}

/// Minor units as people write them.
#[must_use]
pub fn show_units(units: u128, decimals: u8) -> String {
    let places = usize::from(decimals);
    let digits = format!("{units:0>width$}", width = places.saturating_add(1));
    let (whole, part) = digits.split_at(digits.len().saturating_sub(places));
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

/// An amount of a known asset, or a range: `10.00 EUR:bank-b`, `1.00..9.00 EUR:bank-b`.
///
/// # Errors
/// What was expected.
pub fn money(text: &str, assets: &[AssetName]) -> Result<Money, String> {
    let Some((number, name)) = text.split_once(' ') else {
        return Err(format!("`{text}`: an amount is expected, like 10.00 EUR:bank-b"));
    };
    let known = asset(name.trim(), assets)?;
    let units = spread(number, |number| minor_units(number, known.decimals))?;
    Ok(Money { asset: known.uai.clone(), decimals: known.decimals, units })
}

/// A known asset.
///
/// # Errors
/// What was expected.
pub fn asset<'a>(name: &str, assets: &'a [AssetName]) -> Result<&'a AssetName, String> {
    let found = assets.iter().find(|known| known.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = assets.iter().map(|known| known.name.as_str()).collect();
        format!("there is no asset `{name}`; there are {}", listed(&names))
    })
}

/// A known customer.
///
/// # Errors
/// What was expected.
pub fn who(text: &str, customers: &[Who]) -> Result<Who, String> {
    let found = customers.iter().find(|known| known.to_string() == text);
    found.cloned().ok_or_else(|| {
        let names: Vec<String> = customers.iter().map(Who::to_string).collect();
        format!("there is no holder `{text}`; there are {}", listed(&names))
    })
}

/// One of some names.
///
/// # Errors
/// What was expected.
pub fn one_of(text: &str, what: &str, names: &[impl AsRef<str>]) -> Result<String, String> {
    if names.iter().any(|name| name.as_ref() == text) {
        return Ok(text.to_owned());
    }
    Err(format!("there is no {what} `{text}`; there are {}", listed(names)))
}

/// Names for people.
fn listed(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// A moment at which a debug build kills itself: `after-append:Locked`.
///
/// # Errors
/// What was expected.
pub fn crash_point(text: &str) -> Result<String, String> {
    let (moment, kind) = text
        .split_once(':')
        .ok_or_else(|| format!("`{text}`: MOMENT:RECORD is expected, like after-append:Locked"))?;
    one_of(moment, "moment", &MOMENTS)?;
    let record = kind.strip_prefix("Received/").unwrap_or(kind);
    let all: Vec<&str> = STEPS.iter().chain(&OTHERS).copied().collect();
    one_of(record, "record", &all)?;
    Ok(text.to_owned())
}

/// What a step may wait for at a bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A step of a settlement is in its log, whoever said it.
    Logs(String),
    /// It says a step itself.
    Says(String),
    /// It hears a step from another bank.
    Hears(String),
    /// A settlement is over there.
    Ends,
    /// Its process has ended.
    Dies,
}

/// `bank-b logs Locked`, `bank-b says Locked`, `bank-a hears Locked`, `bank-a ends`, `bank-b dies`.
///
/// # Errors
/// What was expected.
pub fn when(text: &str, banks: &[String]) -> Result<(String, Happening), String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (bank, rest) = words.split_first().ok_or("a condition is expected")?;
    let bank = one_of(bank, "bank", banks)?;
    let happening = match rest {
        ["logs", step] => Happening::Logs(one_of(step, "step", &STEPS)?),
        ["says", step] => Happening::Says(one_of(step, "step", &STEPS)?),
        ["hears", step] => Happening::Hears(one_of(step, "step", &STEPS)?),
        ["ends"] => Happening::Ends,
        ["dies"] => Happening::Dies,
        _ => {
            return Err(format!(
                "`{text}`: BANK logs|says|hears STEP, BANK ends or BANK dies is expected"
            ));
        }
    };
    Ok((bank, happening))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::fund;

    fn assets() -> Vec<AssetName> {
        let uai = fund::profile("EUR", &"bank-b.example".parse().unwrap()).unwrap().uai();
        vec![AssetName { name: "EUR:bank-b".to_owned(), uai, decimals: 2 }]
    }

    #[test]
    fn spans_have_a_unit_and_may_have_a_part() {
        let cases = [("150ms", 150), ("2s", 2_000), ("1.5s", 1_500), ("2m", 120_000)];
        for (text, millis) in cases {
            assert_eq!(span(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1.5ms", "1 s", "1.s", "99999999m", "é", "1..2s"] {
            assert!(span(text).is_err(), "{text}");
        }
        let drawn = spans("1s..3s").unwrap();
        assert_eq!((drawn.least.as_secs(), drawn.most.as_secs()), (1, 3));
        assert!(spans("3s..1s").is_err());
    }

    #[test]
    fn amounts_are_exact_and_of_known_assets() {
        let amount = |text| money(text, &assets()).map(|money| money.units);
        assert_eq!(amount("10.00 EUR:bank-b"), Ok(Spread { least: 1_000, most: 1_000 }));
        assert_eq!(amount("1..2.5 EUR:bank-b"), Ok(Spread { least: 100, most: 250 }));
        for text in ["10", "10.001 EUR:bank-b", "x EUR:bank-b", "1 USD:bank-b", "2..1 EUR:bank-b"] {
            assert!(amount(text).is_err(), "{text}");
        }
        for (units, decimals, text) in [(1_050, 2, "10.50"), (5, 2, "0.05"), (7, 0, "7")] {
            assert_eq!(show_units(units, decimals), text);
        }
    }

    #[test]
    fn conditions_and_crash_points_name_known_moments() {
        let banks = ["bank-a".to_owned()];
        assert_eq!(when("bank-a dies", &banks), Ok(("bank-a".to_owned(), Happening::Dies)));
        assert!(when("bank-a says Locked", &banks).is_ok());
        for text in ["", "bank-z dies", "bank-a says", "bank-a says Lockd", "bank-a sings Locked"] {
            assert!(when(text, &banks).is_err(), "{text}");
        }
        assert!(crash_point("after-append:Received/Locked").is_ok());
        for text in ["Locked", "after:Locked", "after-append:Lock"] {
            assert!(crash_point(text).is_err(), "{text}");
        }
    }
}
