//! `quadrille-bootstrap`: admission of members, their registry and the first peer to dial.

use std::process::ExitCode;

fn main() -> ExitCode {
    quadrille_bootstrap::cli::run()
}
