//! What all tasks of the mesh hold together.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use quadrille_protocol::types::Domain;
use tokio_util::sync::CancellationToken;

use super::admission::Members;
use super::ask::Wanted;
use super::conduct::{Conduct, Offence};
use super::config::MeshConfig;
use super::counters::Counters;
use super::host::Host;
use super::roster::Roster;

/// Shared by all tasks.
pub struct Shared {
    pub host: Arc<dyn Host>,
    pub config: MeshConfig,
    pub roster: Arc<Roster>,
    pub conduct: Arc<Conduct>,
    pub members: Arc<Members>,
    pub counters: Arc<Counters>,
    /// Somebody is wanted of whom nothing is known: ask for members without waiting.
    pub members_wanted: AtomicBool,
    /// Whom somebody wants to ask something now.
    pub asked: Wanted,
    /// Cancelled when the mesh is to stop.
    pub stop: CancellationToken,
}

impl Shared {
    /// Notes an offence; true when the peer is cut off now.
    pub fn offend(&self, domain: &Domain, offence: Offence, what: &str) -> bool {
        self.conduct.note(domain, offence, what)
    }

    /// As [`Shared::offend`] for what comes in floods: the points count, the log has a line for
    /// a flood only when it changes how the peer stands.
    pub fn offend_quietly(&self, domain: &Domain, offence: Offence) {
        self.conduct.note_quietly(domain, offence);
    }
}
