//! What the state file says now: who listens where, and under which process number.
//!
//! Read without the lock, anew when it has changed: banks are restarted while the proxy runs.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::super::super::layout::{BOOTSTRAP, Layout};
use super::super::super::prepare;
use super::super::super::state::{self, State};

/// When the file was written, and which file it is: it is always replaced whole.
type Edition = (SystemTime, u64);

/// The state file.
#[derive(Debug)]
pub struct Book {
    layout: Layout,
    read: Mutex<Option<(Edition, Arc<State>)>>,
}

impl Book {
    /// Of the network in `layout`.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { layout, read: Mutex::default() }
    }

    /// The state; what was read last when it cannot be read now.
    #[must_use]
    pub fn state(&self) -> Option<Arc<State>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let edition = fs::metadata(self.layout.state())
            .and_then(|about| Ok((about.modified()?, about.ino())))
            .ok();
        let same = match (&*read, edition) {
            (Some((known, _)), Some(edition)) => *known == edition,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if !same && let (Ok(state), Some(edition)) = (state::load(&self.layout), edition) {
            *read = Some((edition, Arc::new(state)));
        }
        read.as_ref().map(|(_, state)| state.clone())
    }

    /// Where the process of this name listens.
    #[must_use]
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        let state = self.state()?;
        let known = match name {
            BOOTSTRAP => state.bootstrap.p2p.clone(),
            bank => state.bank(bank).ok()?.p2p.clone(),
        };
        prepare::socket_address(&known?)
    }
}
