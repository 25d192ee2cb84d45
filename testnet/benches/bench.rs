//! `cargo bench`: the whole benchmark, by the programs built for release.
//!
//! `cargo bench -p quadrille-testnet -- --only floor,postgres` and the like are passed on to
//! `quadrille-testnet bench`; without arguments it is `--quick`.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    // What cargo itself says to a benchmark.
    let mut arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.is_empty() {
        arguments.push("--quick".to_owned());
    }
    let built = cargo()
        .args(["build", "--release", "--quiet", "--bins", "-p", "quadrille-node"])
        .args(["-p", "quadrille-bootstrap", "-p", "quadrille-testnet"])
        .status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("the programs cannot be built for release");
        return ExitCode::FAILURE;
    }
    let Some(program) = program() else {
        eprintln!("the build gave no quadrille-testnet");
        return ExitCode::FAILURE;
    };
    match Command::new(program).arg("bench").args(arguments).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("quadrille-testnet: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Cargo, without what it has said of this package: build scripts would run again for it.
fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
}

/// The program beside the folder of benchmarks, which is where cargo puts both.
fn program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let folders = own.ancestors().skip(1).take(2);
    folders.map(|folder| folder.join("quadrille-testnet")).find(|path| path.is_file())
}
