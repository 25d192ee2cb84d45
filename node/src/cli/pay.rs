//! `quadrille pay` and `quadrille transfer`.

use std::path::PathBuf;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::{Action, Payment};
use quadrille_protocol::policy::ivms101::Person;
use quadrille_protocol::policy::payload::{Memo, Payload};
use quadrille_protocol::settlement::{Account, Purpose};
use quadrille_protocol::types::{Amount, Duration, Hash, Holder, Uai};

use super::amount::{Assets, read_number};
use super::exit::Failure;
use super::output::Output;
use super::span;
use super::submit::{Built, Desk, OrderOptions};
use crate::api::dto::NewPayment;
use crate::files;
use crate::vault::json;

/// Largest file with a person's data.
const PERSON_BYTES: usize = 64 * 1024;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille pay carol@bank-b.example 250.00 EUR:bank-b.example --ledger alice@bank-a.example \\
      --id rent-november --memo \"rent, November\" --wait 30s
  quadrille pay carol@bank-b.example 250.00 USD:bank-c.example --spend EUR:bank-a.example \\
      --max-cost 240.00 --ledger alice@bank-a.example
  quadrille transfer ubi:7f…@bank-b.example 100 BOND:bank-a.example --ledger alice@bank-a.example")]
pub(super) struct Arguments {
    /// Who receives: NAME@BANK, LEDGER@BANK, or LEDGER at this bank
    to: String,
    /// How much arrives
    amount: String,
    /// What arrives
    asset: String,
    /// What to pay with, where that is another asset
    #[arg(long, value_name = "ASSET")]
    spend: Option<String>,
    /// The most to pay, fees and conversions included; what the cheapest way costs now when left
    /// out
    #[arg(long, value_name = "NUMBER")]
    max_cost: Option<String>,
    /// Numbers are of minor units
    #[arg(long)]
    minor: bool,
    /// A text for the payee; only the payee's bank can read it
    #[arg(long, value_name = "TEXT", default_value = "")]
    memo: String,
    /// A file with who is paid (an IVMS101 person), where the travel rule asks for it
    #[arg(long, value_name = "FILE")]
    beneficiary: Option<PathBuf>,
    /// Wait for the outcome, at most so long
    #[arg(long, value_name = "SPAN", num_args = 0..=1, default_missing_value = "60s",
          value_parser = span::argument)]
    wait: Option<Duration>,
    #[command(flatten)]
    order: OrderOptions,
}

pub(super) fn run(arguments: &Arguments, purpose: Purpose, output: Output) -> Result<(), Failure> {
    let Arguments { to, amount, asset, spend, max_cost, minor, memo, beneficiary, .. } = arguments;
    let intent = format!(
        "{purpose:?} {to} {amount} {asset} --spend {spend:?} --max-cost {max_cost:?} \
         --minor={minor} --memo {memo:?} --beneficiary {beneficiary:?}"
    );
    arguments.order.submit(&intent, arguments.wait, output, async |desk| {
        build(arguments, purpose, &desk).await
    })
}

async fn build(arguments: &Arguments, purpose: Purpose, desk: &Desk<'_>) -> Result<Built, Failure> {
    let assets = Assets::fetch(desk.client).await?;
    let view = assets.find(&arguments.asset)?;
    let (asset, decimals) = (view.asset.clone(), view.decimals);
    let amount = read_number(&arguments.amount, decimals, arguments.minor)?;
    let spend = match &arguments.spend {
        Some(text) => assets.find(text)?,
        None => view,
    };
    let (spend, decimals) = (spend.asset.clone(), spend.decimals);
    let to = payee(&arguments.to, &asset, desk).await?;
    let max_cost = match &arguments.max_cost {
        Some(text) => read_number(text, decimals, arguments.minor)?,
        None => cheapest(&to, (&asset, amount), &spend, desk).await?,
    };
    let enclosed = enclosed(arguments)?;
    let memo = match &enclosed {
        Some((payload, _)) => payload.memo_hash(),
        None => Hash::ZERO,
    };
    let action = Action::Pay(Payment { to, asset, amount, spend, max_cost, purpose, memo });
    let enclosed = enclosed.map(|(_, new)| serde_json::to_value(new)).transpose();
    let enclosed = enclosed.map_err(|error| Refusal::new(Code::BadBody, error.to_string()))?;
    Ok(Built { action, enclosed })
}

/// The account that `text` names.
async fn payee(text: &str, asset: &Uai, desk: &Desk<'_>) -> Result<Account, Failure> {
    let own = desk.ledger.holder.domain();
    match text.split_once('@') {
        None => Ok(Account { domain: own.clone(), ledger: text.parse()? }),
        Some((ledger, domain)) if ledger.starts_with("ubi:") => {
            Ok(Account { domain: domain.parse()?, ledger: ledger.parse()? })
        }
        Some(_) => {
            let holder: Holder = text.parse()?;
            let found = desk.client.name(&holder, Some(asset), false).await?;
            Ok(Account { domain: holder.domain().clone(), ledger: found.ledger })
        }
    }
}

/// What the cheapest way costs now.
async fn cheapest(
    to: &Account,
    (asset, amount): (&Uai, Amount),
    spend: &Uai,
    desk: &Desk<'_>,
) -> Result<Amount, Failure> {
    if to.domain == *desk.ledger.holder.domain() {
        return Ok(amount);
    }
    let paths = desk.client.paths(&to.domain, (asset, amount), spend, None).await?;
    let none = || Refusal::new(Code::NoPath, format!("to {}", to.domain));
    Ok(paths.first().ok_or_else(none)?.cost)
}

/// What the payee's bank is to read, if anything.
fn enclosed(arguments: &Arguments) -> Result<Option<(Payload, NewPayment)>, Refusal> {
    let beneficiary: Option<Person> = match &arguments.beneficiary {
        Some(path) => Some(json::read(&files::read(path, PERSON_BYTES)?)?),
        None => None,
    };
    if arguments.memo.is_empty() && beneficiary.is_none() {
        return Ok(None);
    }
    let memo: Memo = arguments.memo.parse()?;
    let payload = Payload { salt: rand::random(), memo, travel: None };
    let new = NewPayment {
        bytes: String::new(),
        salt: Some(hex::encode(payload.salt)),
        memo: Some(arguments.memo.clone()),
        beneficiary,
    };
    Ok(Some((payload, new)))
}
