//! The folder of a network: where everything is.
//!
//! ```text
//! DIR/network.toml          the network file, for every member
//! DIR/authority/keys        the authority's signing key, encrypted
//! DIR/authority/register    every certificate and revocation, in the order of serial numbers
//! DIR/peer/keys             the bootstrap peer's keys, encrypted
//! DIR/peer/certificate      the bootstrap peer's certificate
//! DIR/run/endpoints.json    where the running bootstrap peer is reached
//! ```
//!
//! `authority/` may be kept on another machine than `peer/`, with a copy of the register there.

use std::path::{Path, PathBuf};

use quadrille_node::network_file::NetworkFile;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::refuse;

/// The paths inside a network's folder.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The folder `root`, whether or not there is a network in it.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The network file.
    #[must_use]
    pub fn network_file(&self) -> PathBuf {
        self.root.join("network.toml")
    }

    /// The authority's folder.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.root.join("authority")
    }

    /// The authority's key.
    #[must_use]
    pub fn authority_key(&self) -> PathBuf {
        self.authority().join("keys")
    }

    /// The register.
    #[must_use]
    pub fn register(&self) -> PathBuf {
        self.authority().join("register")
    }

    /// The bootstrap peer's folder.
    #[must_use]
    pub fn peer(&self) -> PathBuf {
        self.root.join("peer")
    }

    /// The bootstrap peer's keys.
    #[must_use]
    pub fn peer_keys(&self) -> PathBuf {
        self.peer().join("keys")
    }

    /// The bootstrap peer's certificate.
    #[must_use]
    pub fn peer_certificate(&self) -> PathBuf {
        self.peer().join("certificate")
    }

    /// Where the running bootstrap peer is reached.
    #[must_use]
    pub fn endpoints(&self) -> PathBuf {
        self.root.join("run").join("endpoints.json")
    }

    /// The running bootstrap peer's lock.
    #[must_use]
    pub fn serve_lock(&self) -> PathBuf {
        self.root.join("run").join("lock")
    }

    /// Reads the network file.
    ///
    /// # Errors
    /// `Q-2314` when there is no network here; those of [`NetworkFile::load`].
    pub fn network(&self) -> Result<NetworkFile, Refusal> {
        let path = self.network_file();
        if !path.exists() {
            refuse!(NoNetworkHere, "{} is not there", path.display());
        }
        NetworkFile::load(&path)
    }
}
