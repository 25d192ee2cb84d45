//! `quadrille pay`.

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::{Action, Payment};
use quadrille_protocol::settlement::agreement::Account;
use quadrille_protocol::types::Duration;

use super::amount::Assets;
use super::exit::Failure;
use super::output::Output;
use super::span;
use super::submit::OrderOptions;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille pay \"250.00 EUR:bank-b.example\" --to ubi:7f…@bank-b.example \\
      --ledger alice@bank-a.example --id rent-november --wait 30s")]
pub(super) struct Arguments {
    /// How much arrives: NUMBER ASSET
    amount: String,
    /// Who receives: LEDGER@BANK, or LEDGER at this bank
    #[arg(long, value_name = "LEDGER@BANK")]
    to: String,
    /// The number is of minor units
    #[arg(long)]
    minor: bool,
    /// Wait for the outcome, at most so long
    #[arg(long, value_name = "SPAN", num_args = 0..=1, default_missing_value = "60s",
          value_parser = span::argument)]
    wait: Option<Duration>,
    #[command(flatten)]
    order: OrderOptions,
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let Arguments { amount, to, minor, wait, order } = arguments;
    let intent = format!("pay {amount:?} --to {to} --minor={minor}");
    order.submit(&intent, *wait, output, async |desk| {
        let assets = Assets::fetch(desk.client).await?;
        let (asset, amount) = assets.read(amount, *minor)?;
        let to = match to.contains('@') {
            true => account(to)?,
            false => {
                let domain = desk.ledger.holder.domain().clone();
                Account { domain, ledger: to.parse()? }
            }
        };
        Ok(Action::Pay(Payment::plain(to, asset, amount)))
    })
}

/// Reads `ubi:…@bank-b.example`.
fn account(text: &str) -> Result<Account, Refusal> {
    let (ledger, domain) = text
        .split_once('@')
        .ok_or_else(|| Refusal::new(Code::BadUsage, format!("`{text}`: LEDGER@BANK is wanted")))?;
    Ok(Account { domain: domain.parse()?, ledger: ledger.parse()? })
}
