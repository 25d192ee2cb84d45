//! The programs of other packages, for tests that start them.

use std::process::Command;
use std::sync::Once;

static BUILT: Once = Once::new();

/// Set where the whole workspace was built for the tests, programs included: building two packages
/// by themselves would choose other features of what they share, and build all of that again.
const ALL_BUILT: &str = "QUADRILLE_PROGRAMS_BUILT";

/// Has cargo build the programs of other packages, which it does not for this test alone.
pub fn build_programs() {
    if std::env::var_os(ALL_BUILT).is_some() {
        return;
    }
    BUILT.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        // What cargo has said of this package: build scripts of others would run again for it.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(&name);
            }
        }
        let built = cargo
            .args(["build", "--quiet", "--bins", "-p", "quadrille-node", "-p"])
            .arg("quadrille-bootstrap")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success());
    });
}
