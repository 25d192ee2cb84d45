//! The programs of other packages, for tests that start them.

use std::process::Command;
use std::sync::Once;

static BUILT: Once = Once::new();

/// Has cargo build the programs of other packages, which it does not for this test alone.
pub fn build_programs() {
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
