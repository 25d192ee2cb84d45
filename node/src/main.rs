//! `quadrille`: the gateway daemon and its client. See `cli` for the commands.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
