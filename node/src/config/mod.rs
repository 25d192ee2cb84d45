//! Configuration: what an operator decides about a node.
//!
//! ```text
//!   defaults < DIR/quadrille.toml < QUADRILLE_<SECTION>_<OPTION> < --set section.option=value
//! ```
//!
//! Invariants:
//! * `options.rs` is the one table of all options; the struct, the defaults, the commented file
//!   that `init` writes, the environment's names and `config show` all come from it.
//! * An option that is not in the table is refused, wherever it stands.
//! * A [`Config`] that was loaded has been checked as a whole. It holds no secret.

mod layout;
mod load;
mod options;
mod template;
mod value;

use std::path::{Path, PathBuf};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::refuse;

use crate::engine::QUEUE_MOST;

pub use layout::Layout;
pub use load::{Loaded, Origin, Row, Sources};
pub use options::{
    Api, Compliance, Config, Correspondents, Engine, Holders, Hooks, Mesh, Names, Node, Settlement,
};
pub use template::template;
pub use value::{AnswerTo, LogFormat, StaticPeer};

/// Largest configuration file that is read.
pub const FILE_BYTES: usize = 1024 * 1024;
/// Most entries of a list in the configuration.
pub const LIST_ENTRIES: usize = 256;

impl Config {
    /// Loads the configuration of the data directory `dir`: its file, this process's environment,
    /// and `flags` (`section.option`, value).
    ///
    /// # Errors
    /// `Q-2204` when the file cannot be read, `Q-2203` for an unknown option, `Q-2202` for a
    /// value that is none or that does not go with the others.
    pub fn load(dir: &Path, flags: &[(String, String)]) -> Result<Loaded, Refusal> {
        Sources::of_process(dir, flags)?.load()
    }

    /// Where everything in the data directory is.
    #[must_use]
    pub fn layout(&self) -> Layout {
        Layout::new(&self.dir)
    }

    /// The guard's folder; a relative path is taken from the data directory.
    #[must_use]
    pub fn guard_dir(&self) -> PathBuf {
        self.dir.join(&self.node.guard_dir)
    }

    /// Whether the guard is kept apart from the log, so that it cannot have been restored
    /// together with it: only outside of the data directory.
    #[must_use]
    pub fn guard_is_apart(&self) -> bool {
        match (resolved(&self.guard_dir()), resolved(&self.dir)) {
            (Some(guard), Some(dir)) => !guard.starts_with(dir),
            // Where that cannot be found out, nothing may rely on it.
            (None, _) | (_, None) => false,
        }
    }

    /// Whether guard and log are on one disk, as far as can be told.
    #[must_use]
    pub fn guard_shares_disk(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let device = |path: &Path| std::fs::metadata(path).ok().map(|about| about.dev());
        let guard = self.guard_dir();
        // The folder may not be there yet.
        let there = guard.ancestors().find(|folder| folder.exists());
        let (guard, log) = (there.and_then(device), device(&self.dir));
        guard.is_some() && guard == log
    }

    /// Worker threads that verify signatures: as configured, or one for each core.
    #[must_use]
    pub fn verify_workers(&self) -> usize {
        match self.engine.verify_workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            configured => configured,
        }
    }

    /// Checks that the values go together.
    ///
    /// # Errors
    /// `Q-2202`.
    pub fn check(&self) -> Result<(), Refusal> {
        let Settlement { life_ms, reveal_margin_ms } = self.settlement;
        if life_ms > limits::SETTLEMENT_LIFE_MAX_MS {
            let most = limits::SETTLEMENT_LIFE_MAX_MS;
            refuse!(BadConfiguration, "settlement.life_ms is {life_ms}, at most {most}");
        }
        if reveal_margin_ms >= life_ms {
            refuse!(
                BadConfiguration,
                "settlement.reveal_margin_ms is {reveal_margin_ms}, which leaves nothing of \
                 settlement.life_ms {life_ms}"
            );
        }
        if self.holders.suites.is_empty() {
            refuse!(BadConfiguration, "holders.suites is empty: nobody could open a ledger");
        }
        if self.mesh.listen.is_empty() {
            refuse!(BadConfiguration, "mesh.listen is empty: nobody could reach this node");
        }
        if self.names.life_ms > limits::NAME_LIFE_MAX_MS {
            let most = limits::NAME_LIFE_MAX_MS;
            refuse!(BadConfiguration, "names.life_ms is {}, at most {most}", self.names.life_ms);
        }
        self.check_counts()?;
        self.check_addresses()
    }

    fn check_counts(&self) -> Result<(), Refusal> {
        let counts = [
            ("api.max_connections", self.api.max_connections),
            ("api.event_subscribers", self.api.event_subscribers),
            ("mesh.max_connections", self.mesh.max_connections),
            ("engine.queue", self.engine.queue),
            ("hooks.subscriptions", self.hooks.subscriptions),
            ("compliance.screening_at_once", self.compliance.screening_at_once),
        ];
        for (name, count) in counts {
            if count == 0 {
                refuse!(BadConfiguration, "{name} is 0, at least 1");
            }
        }
        if self.engine.queue > QUEUE_MOST {
            refuse!(
                BadConfiguration,
                "engine.queue is {}, at most {QUEUE_MOST}",
                self.engine.queue
            );
        }
        let rates = [
            ("api.request_timeout_ms", self.api.request_timeout_ms),
            ("api.orders_per_second", u64::from(self.api.orders_per_second)),
            ("api.refusals_per_minute", u64::from(self.api.refusals_per_minute)),
            ("mesh.gossip_per_10s", u64::from(self.mesh.gossip_per_10s)),
            ("engine.snapshot_batches", self.engine.snapshot_batches),
            ("hooks.timeout_ms", self.hooks.timeout_ms),
            ("hooks.patience_s", self.hooks.patience_s),
            ("names.life_ms", self.names.life_ms),
            ("compliance.screening_timeout_ms", self.compliance.screening_timeout_ms),
        ];
        for (name, rate) in rates {
            if rate == 0 {
                refuse!(BadConfiguration, "{name} is 0, at least 1");
            }
        }
        Ok(())
    }

    fn check_addresses(&self) -> Result<(), Refusal> {
        let mesh = &self.mesh;
        let listed = mesh.listen.iter().chain(&mesh.external).chain(&mesh.bootstrap);
        let peers = mesh.peers.iter().flat_map(|peer| &peer.addresses);
        for address in listed.chain(peers) {
            if !mesh.quic && address.as_str().contains("/quic-v1") {
                refuse!(BadConfiguration, "{address} is a QUIC address, and mesh.quic is false");
            }
        }
        for (index, peer) in mesh.peers.iter().enumerate() {
            if mesh.peers.iter().take(index).any(|other| other.domain == peer.domain) {
                refuse!(BadConfiguration, "mesh.peers names {} twice", peer.domain);
            }
        }
        Ok(())
    }
}

/// The path without links; of what does not exist yet, the part that does.
fn resolved(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find_map(|known| {
        let missing = path.strip_prefix(known).ok()?;
        Some(known.canonicalize().ok()?.join(missing))
    })
}

fn bad(what: impl Into<String>) -> Refusal {
    Refusal::new(Code::BadConfiguration, what)
}

#[cfg(test)]
mod tests;
