//! Making a local network's files: the authority, and each bank's data directory as `quadrille
//! init` and `quadrille enroll` would make it.
//!
//! Invariant: a folder that was prepared half is prepared anew from the beginning; nothing in it
//! has run yet.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use quadrille_bootstrap::found::{self, Founding};
use quadrille_bootstrap::office::{Office, Terms};
use quadrille_node::api::tokens::{self, Role as Bearer};
use quadrille_node::armour::{self, Kind};
use quadrille_node::config::{self, Config};
use quadrille_node::enrol::{EnrolmentRequest, Readable};
use quadrille_node::files::{self, Access};
use quadrille_node::network_file::NetworkFile;
use quadrille_node::signer::keyfile::{self, Cost};
use quadrille_node::signer::{Keys, generate_key};
use quadrille_node::wallet::Wallet;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{Address, Role};
use quadrille_protocol::limits;
use quadrille_protocol::types::{Bounded, Holder, Time};

use super::fund;
use super::interrupt;
use super::layout::Layout;
use super::means::Means;
use super::state::{Bank, State};

/// Keys are made by so many at a time: each takes a core.
const AT_A_TIME: usize = 2;
/// Random bytes of the passphrase: enough for [`Cost::RANDOM`].
const PASSPHRASE_BYTES: usize = 16;
/// The bank of this name is a notary, too, when nothing else is said.
pub const CENTRAL: &str = "central";
/// With whom a bank has no business, in its data directory: nobody at first.
pub const DENY_LIST: &str = "deny.txt";
const ANY_ADDRESS: &str = "/ip4/127.0.0.1/tcp/0";

/// How the settlements of a local network are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The life of a settlement that a bank initiates, in milliseconds.
    pub life_ms: u64,
    /// No secret is revealed when less than this is left of it, in milliseconds.
    pub reveal_margin_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { life_ms: limits::SETTLEMENT_LIFE_MS, reveal_margin_ms: limits::REVEAL_MARGIN_MS }
    }
}

/// Makes the authority's folder and the passphrase.
///
/// # Errors
/// Those of [`found::found`] and of the files.
pub fn authority(layout: &Layout, state: &State, now: Time) -> Result<String, Refusal> {
    for folder in ["network", "nodes", "guards", "wallets", "openings", "tokens", "logs"] {
        let path = layout.root().join(folder);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(|error| files::cannot_write(&path, &error))?;
        }
    }
    let passphrase = hex::encode(rand::random::<[u8; PASSPHRASE_BYTES]>());
    files::replace(&layout.passphrase(), passphrase.as_bytes(), Access::Private)?;
    let founding = Founding {
        network: state.network.clone(),
        authority: "authority.example".parse()?,
        peer: "bootstrap.example".parse()?,
        suite: Suite::HybridMlDsa65,
        suites: vec![Suite::HybridMlDsa65, Suite::HybridDilithium3],
        addresses: Vec::new(),
    };
    found::found(&layout.network(), &founding, &passphrase, now)?;
    Ok(passphrase)
}

/// Makes the data directories of all banks, and admits them. `bootstrap` is where they dial
/// first.
///
/// # Errors
/// The first that any of them met.
pub fn banks(
    layout: &Layout,
    state: &State,
    bootstrap: &Address,
    papers: &Papers<'_>,
    now: Time,
) -> Result<(), Refusal> {
    let key = found::authority_key(&layout.network(), papers.passphrase)?;
    let office = Mutex::new(Office::open(&layout.network(), key)?);
    let network = layout.network().network()?.with_bootstrap(vec![bootstrap.clone()])?;
    let maker = Maker { layout, network, suite: state.suite, papers, office, now };
    let waiting = Mutex::new(state.banks.iter());
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(bank) = lock(&waiting).next() {
                    if let Err(refusal) = interrupt::check().and_then(|()| maker.make(bank)) {
                        *lock(&failed) = Some(refusal);
                        return;
                    }
                }
            });
        }
    });
    let first = lock(&failed).take();
    first.map_or(Ok(()), Err)
}

/// What the banks' files are made from.
pub struct Papers<'a> {
    /// How settlements are timed.
    pub timing: Timing,
    /// The banks' customers, and which banks are notaries.
    pub means: &'a Means,
    /// Of every key.
    pub passphrase: &'a str,
}

/// What making a bank needs.
struct Maker<'a> {
    layout: &'a Layout,
    network: NetworkFile,
    suite: Suite,
    papers: &'a Papers<'a>,
    office: Mutex<Office>,
    now: Time,
}

impl Maker<'_> {
    fn make(&self, bank: &Bank) -> Result<(), Refusal> {
        let name = &bank.name;
        let config = self.config(name)?;
        let data = config.layout();
        for folder in [data.dir(), &data.identity(), &config.guard_dir()] {
            files::private_folder(folder)?;
        }
        let network = self.network.network().clone();
        let keys = Keys::generate(network, bank.domain.clone(), self.suite)?;
        keyfile::create_at(Cost::RANDOM, &data.keys(), &keys, self.papers.passphrase)?;
        self.enrol(name, &keys, &data.certificate())?;
        self.network.save(&data.network())?;
        write_config(&config)?;
        files::create(&data.dir().join(DENY_LIST), b"", Access::Public)?;
        let label = "made by quadrille-testnet";
        let token = tokens::create(&data.tokens(), Bearer::Operator, label, self.now)?.token;
        let path = self.layout.token(name);
        files::private_folder(files::folder_of(&path))?;
        files::create(&path, token.as_bytes(), Access::Private)?;
        self.customers(bank)
    }

    fn config(&self, name: &str) -> Result<Config, Refusal> {
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|error| files::cannot_read(path, &error))
        };
        let mut config = Config::defaults(&absolute(&self.layout.node(name))?);
        config.node.guard_dir = absolute(&self.layout.guard(name))?;
        config.api.listen.set_port(0);
        // Whoever tests subscriptions listens on this machine.
        config.hooks.allow_private = true;
        DENY_LIST.clone_into(&mut config.compliance.deny_list);
        config.mesh.listen = vec![ANY_ADDRESS.parse()?];
        config.settlement.life_ms = self.papers.timing.life_ms;
        config.settlement.reveal_margin_ms = self.papers.timing.reveal_margin_ms;
        config.check()?;
        Ok(config)
    }

    /// Asks for a certificate and gets it, as by `enroll request`, `approve`, `enroll accept`.
    fn enrol(&self, name: &str, keys: &Keys, certificate: &Path) -> Result<(), Refusal> {
        let none = || Refusal::new(Code::UnknownEpoch, keys.domain.to_string());
        let (epoch, key) = keys.latest().ok_or_else(none)?;
        let roles = if self.papers.means.notaries.iter().any(|notary| notary == name) {
            vec![Role::Validator, Role::Notary]
        } else {
            vec![Role::Validator]
        };
        let request = EnrolmentRequest {
            network: keys.network.clone(),
            domain: keys.domain.clone(),
            lei: None,
            roles: Bounded::new(roles)?,
            epoch,
            signing_key: key.public().clone(),
            sealing_key: Some(keys.sealing.public().clone()),
            time: self.now,
        };
        let signed = request.sign(key)?;
        // Any bank may be asked to decide the trades of two others.
        let terms = Terms { roles: Some(vec![Role::Validator, Role::Notary]), ..Terms::default() };
        let answer = lock(&self.office).approve(&signed, &terms, self.now)?.signed;
        let readable = Readable::from(&answer.parse()?);
        armour::save(Kind::Certificate, certificate, &answer.to_bytes(), &readable)
    }

    fn customers(&self, bank: &Bank) -> Result<(), Refusal> {
        let path = self.layout.wallet(&bank.name);
        let wallet = Wallet::open(&path)?;
        for local in self.papers.means.customers_of(&bank.name) {
            let holder: Holder = format!("{local}@{}", bank.domain).parse()?;
            let key = generate_key(Suite::HybridMlDsa65)?;
            wallet.add_holder_at(Cost::RANDOM, &holder, &key, self.papers.passphrase)?;
            let opening = fund::opening(self.network.network(), &holder, &key);
            wallet.note_ledger(&opening.opening)?;
            fund::keep_opening(&self.layout.opening(&bank.name, local), &opening)?;
        }
        Ok(())
    }
}

/// Has a bank keep the ports that it was given, over restarts.
///
/// # Errors
/// Those of [`Config::load`] and of the file.
pub fn pin(layout: &Layout, bank: &Bank) -> Result<(), Refusal> {
    let (Some(api), Some(p2p)) = (bank.api, &bank.p2p) else {
        return Ok(());
    };
    let (api, mesh) = (api.to_string(), without_peer(p2p)?.to_string());
    configure(&layout.node(&bank.name), &[("api.listen", &api), ("mesh.listen", &mesh)])
}

/// Changes options (`section.option`, value) in the file of a bank's data directory.
///
/// # Errors
/// Those of [`Config::load`] and of the file.
pub fn configure(dir: &Path, options: &[(&str, &str)]) -> Result<(), Refusal> {
    let file = files::read_text(&config::Layout::new(dir).config(), config::FILE_BYTES)?;
    let flags = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    // Without our own environment, which is not the node's.
    let environment = Vec::new();
    let (dir, flags) = (dir.to_owned(), flags.collect());
    let sources = config::Sources { dir, file: Some(file), environment, flags };
    write_config(&sources.load()?.config)
}

/// Has every bank dial the bootstrap peer first where it is now, which may be elsewhere than
/// before.
///
/// # Errors
/// Those of the network files.
pub fn point_to(layout: &Layout, state: &State, bootstrap: &Address) -> Result<(), Refusal> {
    for bank in &state.banks {
        let path = config::Layout::new(&layout.node(&bank.name)).network();
        let file = NetworkFile::load(&path)?;
        if file.bootstrap() != std::slice::from_ref(bootstrap) {
            let file = file.with_bootstrap(vec![bootstrap.clone()])?;
            files::replace(&path, file.to_toml().as_bytes(), Access::Public)?;
        }
    }
    Ok(())
}

/// The address without the peer's identifier at its end, to listen on.
///
/// # Errors
/// `Q-1212`, for an address that was nothing but an identifier.
pub fn without_peer(address: &Address) -> Result<Address, Refusal> {
    let text = address.as_str();
    text.split_once("/p2p/").map_or(text, |(before, _)| before).parse()
}

fn write_config(config: &Config) -> Result<(), Refusal> {
    let text = config::template(config);
    files::replace(&config.layout().config(), text.as_bytes(), Access::Public)
}

/// A thread that panicked while it held the lock has failed the run already.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
