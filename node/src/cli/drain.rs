//! `quadrille drain` and `quadrille undrain`.

use super::Output;
use super::connect::{Connection, converse};
use super::exit::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille drain        before maintenance: no new business, what is open goes on
  quadrille undrain      take new business again")]
pub(super) struct Arguments {
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(arguments: &Arguments, draining: bool, output: Output) -> Result<(), Failure> {
    let client = arguments.connection.client()?;
    let receipt = converse(async { Ok(client.drain(draining).await?) })?;
    let sentence = if draining {
        "no new business is taken; `quadrille trade list --state open` shows what is still open"
    } else {
        "new business is taken again"
    };
    output.done(&receipt, sentence)
}
