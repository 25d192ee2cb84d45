//! Amounts and assets as people write them: `250.00 EUR:bank-b.example`.
//!
//! A node counts whole minor units. Here a decimal number is converted with the asset's decimal
//! places, exactly: nothing is rounded, and what does not fit is refused.

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Amount, Uai};

use super::exit::Failure;
use crate::api::dto::AssetView;
use crate::client::Client;

/// Assets that are fetched to resolve names.
const ASSETS: usize = 10_000;

/// The assets that a node knows.
#[derive(Debug, Clone)]
pub struct Assets(Vec<AssetView>);

impl Assets {
    /// Fetches them.
    pub async fn fetch(client: &Client) -> Result<Self, Failure> {
        Ok(Self(client.assets(ASSETS).await?))
    }

    /// The asset that `text` names: its identifier, or the beginning of just one (`EUR`,
    /// `EUR:bank-b.example`).
    ///
    /// # Errors
    /// `Q-1414` when there is none, `Q-2216` when there are several.
    pub fn find(&self, text: &str) -> Result<&AssetView, Refusal> {
        match self.named(text).as_slice() {
            [view] => Ok(view),
            [] => refuse!(UnknownAsset, "`{text}`"),
            [first, second, ..] => {
                refuse!(AmbiguousAsset, "`{text}`: {} and {}", first.asset, second.asset)
            }
        }
    }

    /// The assets that `text` may name.
    #[must_use]
    pub fn named(&self, text: &str) -> Vec<&AssetView> {
        let named = |view: &&AssetView| {
            let code = view.code.to_string();
            text == view.asset.to_string()
                || text == format!("{code}:{}", view.issuer)
                || text == code
        };
        self.0.iter().filter(named).collect()
    }

    /// Reads an amount with its asset, `250.00 EUR:bank-b.example`; with `minor` the number is
    /// of minor units.
    ///
    /// # Errors
    /// `Q-1008`, `Q-2217`, and those of [`Assets::find`].
    pub fn read(&self, text: &str, minor: bool) -> Result<(Uai, Amount), Refusal> {
        let bad = || Refusal::new(Code::BadAmount, format!("`{text}`: NUMBER ASSET is wanted"));
        let (number, asset) = text.trim().split_once(' ').ok_or_else(bad)?;
        let view = self.find(asset.trim())?;
        Ok((view.asset.clone(), read_number(number, view.decimals, minor)?))
    }

    /// An amount in the asset's units with its code, for people.
    #[must_use]
    pub fn show(&self, asset: &Uai, amount: Amount) -> String {
        match self.0.iter().find(|view| view.asset == *asset) {
            Some(view) => {
                format!("{} {}", write_number(amount, view.decimals), self.name(asset))
            }
            None => format!("{amount} minor units of {asset}"),
        }
    }

    /// The asset without the digits of its profile, where they are not needed to tell it from
    /// another one that is registered here.
    fn name(&self, asset: &Uai) -> String {
        let short = format!("{}:{}", asset.code(), asset.issuer());
        if self.named(&short).len() > 1 { asset.to_string() } else { short }
    }
}

/// A number of units with this many decimal places, or of minor units, in minor units.
///
/// # Errors
/// `Q-1008` no number, `Q-2217` more places than the asset has, `Q-1009` too much.
pub fn read_number(text: &str, decimals: u8, minor: bool) -> Result<Amount, Refusal> {
    if minor {
        return text.parse();
    }
    let bad = || {
        let what = format!("`{text}`: digits with at most one point are wanted");
        Refusal::new(Code::BadAmount, what)
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let point_alone = text.contains('.') && part.is_empty();
    if whole.is_empty() || point_alone || !digits(whole) || !digits(part) {
        return Err(bad());
    }
    if part.len() > usize::from(decimals) {
        refuse!(TooManyDecimals, "`{text}`, the asset has {decimals}");
    }
    let zeros = usize::from(decimals).saturating_sub(part.len());
    let minor = format!("{whole}{part}{}", "0".repeat(zeros));
    let minor = minor.trim_start_matches('0');
    let overflow = |_| Refusal::new(Code::AmountOverflow, format!("`{text}`"));
    if minor.is_empty() { Ok(Amount::ZERO) } else { minor.parse().map_err(overflow) }
}

/// An amount in units with this many decimal places.
#[must_use]
pub fn write_number(amount: Amount, decimals: u8) -> String {
    let places = usize::from(decimals);
    let digits = format!("{:0>width$}", amount.to_string(), width = places.saturating_add(1));
    let (whole, part) = digits.split_at(digits.len().saturating_sub(places));
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_minor_units_exactly() {
        let cases = [
            ("250.00", 2, 25_000),
            ("250", 2, 25_000),
            ("250.5", 2, 25_050),
            ("0.01", 2, 1),
            ("0", 2, 0),
            ("007", 0, 7),
            ("1", 0, 1),
            ("0.000001", 6, 1),
        ];
        for (text, decimals, minor) in cases {
            assert_eq!(read_number(text, decimals, false), Ok(Amount::new(minor)), "{text}");
        }
        assert_eq!(read_number("250", 2, true), Ok(Amount::new(250)));
        let most = write_number(Amount::MAX, 2);
        assert_eq!(read_number(&most, 2, false), Ok(Amount::MAX));
    }

    #[test]
    fn what_is_no_exact_amount_is_refused() {
        let bad = ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,000", "1 000", "0x1", "1.2.3", "١"];
        for text in bad {
            assert_eq!(read_number(text, 2, false).unwrap_err().code, Code::BadAmount, "{text}");
        }
        let refused = |text: &str, decimals| read_number(text, decimals, false).unwrap_err().code;
        assert_eq!(refused("0.001", 2), Code::TooManyDecimals);
        assert_eq!(refused("0.0", 0), Code::TooManyDecimals);
        let nines = "9".repeat(39);
        assert_eq!(refused(&nines, 0), Code::AmountOverflow);
        assert_eq!(read_number("1.5", 2, true).unwrap_err().code, Code::BadAmount);
    }

    #[test]
    fn amounts_are_written_with_their_places() {
        let cases = [(0, 2, "0.00"), (1, 2, "0.01"), (25_000, 2, "250.00"), (7, 0, "7")];
        for (minor, decimals, text) in cases {
            assert_eq!(write_number(Amount::new(minor), decimals), text);
        }
    }
}
