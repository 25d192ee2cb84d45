//! The folder of a local network: where everything is.
//!
//! ```text
//! DIR/state.json, lock      which processes there are; see `state`
//! DIR/passphrase            of every key in the folder (0600)
//! DIR/network/              the authority, the register, the bootstrap peer
//! DIR/nodes/NAME/           a bank's data directory
//! DIR/guards/NAME/          its signer's guard, outside of the data directory
//! DIR/wallets/NAME/         the keys of its customers
//! DIR/openings/…            signed openings of their ledgers, until the banks run
//! DIR/tokens/NAME           an operator's token for its HTTP interface (0600)
//! DIR/logs/NAME.log         what its process writes
//! DIR/evidence/             what the demo exports
//! DIR/faults/               the proxy's control socket, what is in force, and for each bank
//!                           what its process is told; see `faults`
//! ```

use std::path::{Path, PathBuf};

/// The name of the bootstrap peer among the processes.
pub const BOOTSTRAP: &str = "bootstrap";
/// The name of the proxy among the processes.
pub const PROXY: &str = "proxy";

/// The paths of a local network.
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

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The state file.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// The lock that changes need.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The passphrase file.
    #[must_use]
    pub fn passphrase(&self) -> PathBuf {
        self.root.join("passphrase")
    }

    /// The network's folder, as `quadrille-bootstrap` knows it.
    #[must_use]
    pub fn network(&self) -> quadrille_bootstrap::layout::Layout {
        quadrille_bootstrap::layout::Layout::new(&self.network_dir())
    }

    /// The same as a path.
    #[must_use]
    pub fn network_dir(&self) -> PathBuf {
        self.root.join("network")
    }

    /// A bank's data directory.
    #[must_use]
    pub fn node(&self, name: &str) -> PathBuf {
        self.root.join("nodes").join(name)
    }

    /// A bank's guard.
    #[must_use]
    pub fn guard(&self, name: &str) -> PathBuf {
        self.root.join("guards").join(name)
    }

    /// The wallet of a bank's customers.
    #[must_use]
    pub fn wallet(&self, name: &str) -> PathBuf {
        self.root.join("wallets").join(name)
    }

    /// A customer's signed opening, until its bank runs.
    #[must_use]
    pub fn opening(&self, name: &str, holder: &str) -> PathBuf {
        self.root.join("openings").join(format!("{name}-{holder}"))
    }

    /// The operator's token for a bank.
    #[must_use]
    pub fn token(&self, name: &str) -> PathBuf {
        self.root.join("tokens").join(name)
    }

    /// What a process writes.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }

    /// What has to do with faults.
    #[must_use]
    pub fn faults(&self) -> PathBuf {
        self.root.join("faults")
    }

    /// What the proxy is asked through.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.faults().join("control")
    }

    /// The faults that are in force.
    #[must_use]
    pub fn in_force(&self) -> PathBuf {
        self.faults().join("in-force.json")
    }

    /// Where the proxy says where it listens, once it does.
    #[must_use]
    pub fn fronts(&self) -> PathBuf {
        self.faults().join("fronts.json")
    }

    /// The folder in which a bank's process is told of its faults.
    #[must_use]
    pub fn faults_of(&self, name: &str) -> PathBuf {
        self.faults().join("of").join(name)
    }

    /// Exported evidence.
    #[must_use]
    pub fn evidence(&self) -> PathBuf {
        self.root.join("evidence")
    }
}
