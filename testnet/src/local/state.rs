//! What a local network's folder remembers: its banks, their addresses and processes.
//!
//! Invariant: `state.json` is replaced whole, by the one command that holds the lock. A process
//! stands in it before anything is asked of it, so `down` finds it whatever happened since.

use std::net::SocketAddr;

use quadrille_bootstrap::lock::{self, Lock};
use quadrille_node::files::{self, Access};
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::Address;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Domain, Network};
use serde::{Deserialize, Serialize};

use super::layout::{BOOTSTRAP, Layout};
use super::process::Process;

/// Most banks of one local network.
pub const BANKS: usize = 64;
/// The layout of the file.
const VERSION: u32 = 1;
/// Largest state file.
const STATE_BYTES: usize = 1024 * 1024;

/// A bank of the network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bank {
    /// Its short name, like `bank-a`.
    pub name: String,
    /// Its domain.
    pub domain: Domain,
    /// Whether the others give it credit and it has customers; otherwise it is a member only.
    pub trusted: bool,
    /// Its HTTP interface, once it has run; kept over restarts.
    pub api: Option<SocketAddr>,
    /// Its mesh address with its peer identifier, once it has run; kept over restarts.
    pub p2p: Option<Address>,
    /// Its process, while it should run.
    pub process: Option<Process>,
}

/// The bootstrap peer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BootstrapPeer {
    /// Its mesh address with its peer identifier, once it has run; kept over restarts.
    pub p2p: Option<Address>,
    /// Its process, while it should run.
    pub process: Option<Process>,
}

/// A local network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// Its name.
    pub network: Network,
    /// What every key and amount in it was derived from.
    pub seed: u64,
    /// The suite of the domains' keys.
    #[serde(with = "suite_name")]
    pub suite: Suite,
    /// Whether the banks' keys and papers are there.
    pub prepared: bool,
    /// Whether assets, customers and credit limits are there.
    pub funded: bool,
    /// The bootstrap peer.
    pub bootstrap: BootstrapPeer,
    /// The banks.
    pub banks: Vec<Bank>,
}

impl State {
    /// A network in which nothing runs yet.
    #[must_use]
    pub fn new(network: Network, seed: u64, suite: Suite, banks: Vec<Bank>) -> Self {
        let bootstrap = BootstrapPeer::default();
        let (version, prepared, funded) = (VERSION, false, false);
        Self { version, network, seed, suite, prepared, funded, bootstrap, banks }
    }

    /// The bank of this name (`bank-a` or `bank-a.example`).
    ///
    /// # Errors
    /// `Q-2326`.
    pub fn bank(&self, name: &str) -> Result<&Bank, Refusal> {
        let found = self.banks.iter().find(|bank| bank.is_called(name));
        found.ok_or_else(|| self.unknown(name))
    }

    /// As [`State::bank`], to be changed.
    ///
    /// # Errors
    /// `Q-2326`.
    pub fn bank_mut(&mut self, name: &str) -> Result<&mut Bank, Refusal> {
        let unknown = self.unknown(name);
        self.banks.iter_mut().find(|bank| bank.is_called(name)).ok_or(unknown)
    }

    fn unknown(&self, name: &str) -> Refusal {
        let names: Vec<&str> = self.banks.iter().map(|bank| bank.name.as_str()).collect();
        let what = format!("`{name}`; there are {}", names.join(", "));
        Refusal::new(Code::UnknownNode, what)
    }

    /// Every process that should run, by name.
    pub fn processes(&self) -> impl Iterator<Item = (&str, &Process)> {
        let bootstrap = self.bootstrap.process.iter().map(|process| (BOOTSTRAP, process));
        let banks = self
            .banks
            .iter()
            .filter_map(|bank| bank.process.as_ref().map(|process| (bank.name.as_str(), process)));
        bootstrap.chain(banks)
    }
}

impl Bank {
    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.domain.as_str() == name
    }

    /// Whether its process runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.process.as_ref().is_some_and(Process::is_alive)
    }
}

/// Reads the state without the lock, to look at it.
///
/// # Errors
/// `Q-2323` no local network here; `Q-2204`, `Q-2327` when the file cannot be read.
pub fn load(layout: &Layout) -> Result<State, Refusal> {
    let path = layout.state();
    if !path.exists() {
        refuse!(NoLocalNetwork, "{} is not there", path.display());
    }
    let text = files::read_text(&path, STATE_BYTES)?;
    let bad =
        |what: String| Refusal::new(Code::LocalStateDamaged, format!("{}: {what}", path.display()));
    let state: State = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    if state.version != VERSION {
        return Err(bad(format!("version {}, this program reads {VERSION}", state.version)));
    }
    Ok(state)
}

/// The state in the hands of the one command that may change it.
#[derive(Debug)]
pub struct Held {
    /// The folder.
    pub layout: Layout,
    /// What is known of the network.
    pub state: State,
    _lock: Lock,
}

impl Held {
    /// Takes the lock and reads the state.
    ///
    /// # Errors
    /// `Q-2322` another command has the lock; those of [`load`].
    pub fn open(layout: Layout) -> Result<Self, Refusal> {
        if !layout.state().exists() {
            refuse!(NoLocalNetwork, "{} is not there", layout.state().display());
        }
        let lock = lock::take(&layout.lock(), Code::LocalNetworkInUse)?;
        let state = load(&layout)?;
        Ok(Self { layout, state, _lock: lock })
    }

    /// Takes the lock in a folder that is made where it is missing, and puts down a first state
    /// unless there is one. Also returns whether it is new.
    ///
    /// # Errors
    /// `Q-2322` another command has the lock; `Q-2205`; those of [`load`].
    pub fn open_or_begin(
        layout: Layout,
        first: impl FnOnce() -> Result<State, Refusal>,
    ) -> Result<(Self, bool), Refusal> {
        files::private_folder(layout.root())?;
        let lock = lock::take(&layout.lock(), Code::LocalNetworkInUse)?;
        if layout.state().exists() {
            let state = load(&layout)?;
            return Ok((Self { layout, state, _lock: lock }, false));
        }
        let held = Self { layout, state: first()?, _lock: lock };
        held.save()?;
        Ok((held, true))
    }

    /// Writes the state down.
    ///
    /// # Errors
    /// `Q-2205`.
    pub fn save(&self) -> Result<(), Refusal> {
        save(&self.layout, &self.state)
    }
}

/// Writes the state into a folder that nobody else knows of yet; elsewhere [`Held::save`] does.
///
/// # Errors
/// `Q-2205`.
pub fn save(layout: &Layout, state: &State) -> Result<(), Refusal> {
    let mut text = serde_json::to_vec_pretty(state)
        .map_err(|error| Refusal::new(Code::CannotWrite, error.to_string()))?;
    text.push(b'\n');
    files::replace(&layout.state(), &text, Access::Private)
}

/// Suites by their names.
mod suite_name {
    use quadrille_protocol::crypto::suite::Suite;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(suite: &Suite, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(suite)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Suite, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
