//! `quadrille-bootstrap`: admission of members, their registry and the first peer to dial.
//! Admission arrives with the nodes; until then the program only says so.

use clap::Parser;

#[derive(Debug, Parser)]
#[command(
    name = "quadrille-bootstrap",
    version,
    about = "Admits members to a Quadrille network (not yet: admission arrives with the nodes)"
)]
struct Arguments {}

fn main() {
    let Arguments {} = Arguments::parse();
    eprintln!("quadrille-bootstrap: nothing to do yet: admission arrives with the nodes");
    std::process::exit(2);
}
