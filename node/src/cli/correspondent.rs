//! `quadrille correspondent`: what this bank does for payments of others.

use clap::Subcommand;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::Ubi;

use super::Output;
use super::amount::{Assets, read_number};
use super::connect::{Connection, converse};
use super::exit::Failure;
use super::output::or_dash;
use crate::api::dto::{FeeView, ServiceView};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the transit ledger, fees, and whose obligations are accepted
    #[command(after_help = "Examples:
  quadrille correspondent show
  quadrille correspondent show -o json")]
    Show {
        #[command(flatten)]
        connection: Connection,
    },
    /// Let payments of others pass through a ledger of this bank's treasury
    #[command(after_help = "Examples:
  quadrille correspondent transit ubi:7f…
  quadrille correspondent transit none")]
    Transit {
        /// The ledger, or `none` to let nothing pass any more
        ledger: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Set what is asked for passing an asset on
    #[command(after_help = "Examples:
  quadrille correspondent fee EUR:bank-b.example --flat 0.50 --ppm 250")]
    Fee {
        /// The asset
        asset: String,
        /// The part that does not depend on the amount, in units of the asset
        #[arg(long, value_name = "NUMBER", default_value = "0")]
        flat: String,
        /// The share, in millionths of what is passed on
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        ppm: u32,
        /// The number is of minor units
        #[arg(long)]
        minor: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Show { connection } => show(connection, output),
        Command::Transit { ledger, connection } => {
            let client = connection.client()?;
            let ledger: Option<Ubi> = match ledger.as_str() {
                "none" => None,
                text => Some(text.parse()?),
            };
            let receipt = converse(async { Ok(client.set_transit(ledger).await?) })?;
            let sentence = match ledger {
                Some(ledger) => format!("payments of others pass through {ledger}"),
                None => "nothing passes any more".to_owned(),
            };
            output.done(&receipt, sentence)
        }
        Command::Fee { asset, flat, ppm, minor, connection } => {
            if *ppm > 1_000_000 {
                let what = "--ppm: at most 1000000, which is all of it";
                return Err(Refusal::new(Code::BadUsage, what).into());
            }
            let client = connection.client()?;
            converse(async {
                let assets = Assets::fetch(&client).await?;
                let view = assets.find(asset)?;
                let flat = read_number(flat, view.decimals, *minor)?;
                let fee = FeeView { flat, ppm: *ppm };
                let receipt = client.set_fee(&view.asset, fee).await?;
                let name = assets.show(&view.asset, flat);
                output.done(&receipt, format!("asks {name} and {ppm} millionths"))
            })
        }
    }
}

fn show(connection: &Connection, output: Output) -> Result<(), Failure> {
    let client = connection.client()?;
    converse(async {
        let view = client.correspondents().await?;
        let assets = Assets::fetch(&client).await?;
        let service = |service: &ServiceView| {
            let fee = match service.fee {
                Some(fee) => {
                    format!("{} and {} ppm", assets.show(&service.asset, fee.flat), fee.ppm)
                }
                None => "not passed on".to_owned(),
            };
            let accepts: Vec<String> = service.accepts.iter().map(ToString::to_string).collect();
            format!("{}: {fee}; accepts {}", service.asset, accepts.join(", "))
        };
        let services: Vec<String> = view.services.iter().map(service).collect();
        output.one(
            &view,
            &[("transit", or_dash(view.transit.as_ref())), ("services", services.join("\n"))],
        )
    })
}
