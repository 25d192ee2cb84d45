//! What is where in a data directory.

use std::path::{Path, PathBuf};

/// The paths of a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    dir: PathBuf,
}

macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident $path:literal;)*) => {
        impl Layout {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(&self) -> PathBuf {
                self.dir.join($path)
            })*
        }
    };
}

paths! {
    /// The configuration file.
    config "quadrille.toml";
    /// The node's copy of the network file.
    network "network.toml";
    /// Keys and certificate.
    identity "identity";
    /// The encrypted key file.
    keys "identity/keys";
    /// The domain's certificate, armoured.
    certificate "identity/certificate";
    /// The log's segments.
    log "log";
    /// Saved states.
    snapshots "snapshots";
    /// The index, which is rebuilt from the log.
    index "index";
    /// Holders' personal data, sealed.
    vault "vault";
    /// The hashed bearer tokens.
    tokens "tokens.toml";
    /// Subscriptions of other systems, and how far each has been told.
    hooks "hooks";
    /// Where the running node is reached.
    endpoints "run/endpoints.json";
}

impl Layout {
    /// The paths in `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}
