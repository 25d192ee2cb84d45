//! `quadrille`: the gateway daemon and its client. See `quadrille_node::cli` for the commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    quadrille_node::cli::run()
}
