//! The bootstrap peer's process: the mesh with a host that knows the members, and an eye on the
//! register.
//!
//! Invariants:
//! * It reads the register and never writes it, so `approve` and `revoke` work while it runs.
//! * Trouble with the register while it runs is reported and does not stop it: members must
//!   still find each other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use quadrille_node::armour::{self, Kind};
use quadrille_node::files::{self, Access};
use quadrille_node::mesh::host::Host as _;
use quadrille_node::mesh::{Mesh, MeshConfig, MeshHandle, Multiaddr};
use quadrille_node::signer::{Keys, keyfile};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{Address, SignedCertificate};
use quadrille_protocol::refuse;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::host::BootstrapHost;
use crate::layout::Layout;
use crate::lock;
use crate::register::Reader;
use crate::roll::Roll;

/// Between two looks at the register.
const LOOK: Duration = Duration::from_millis(500);
/// Largest file of endpoints that is read.
const ENDPOINTS_BYTES: usize = 64 * 1024;

/// Where a running process of a network is reached; a node writes the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Endpoints {
    /// The process's number.
    pub pid: u32,
    /// The base of its HTTP interface; a bootstrap peer has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Its mesh addresses, each with its peer identifier.
    pub p2p: Vec<Address>,
    /// Its libp2p identifier.
    pub peer_id: String,
    /// Its domain.
    pub domain: String,
    /// Its network.
    pub network: String,
}

impl Endpoints {
    /// Reads what a process wrote when it was ready.
    ///
    /// # Errors
    /// `Q-2204` when it cannot be read or is something else.
    pub fn load(path: &Path) -> Result<Self, Refusal> {
        let text = files::read_text(path, ENDPOINTS_BYTES)?;
        serde_json::from_str(&text)
            .map_err(|error| Refusal::new(Code::CannotRead, format!("{}: {error}", path.display())))
    }

    fn save(&self, path: &Path) -> Result<(), Refusal> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| Refusal::new(Code::CannotWrite, error.to_string()))?;
        text.push(b'\n');
        files::replace(path, &text, Access::Public)
    }
}

/// Where to listen.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Addresses to listen on.
    pub listen: Vec<Address>,
    /// Addresses under which others reach it, where they differ.
    pub advertise: Vec<Address>,
}

/// Runs the bootstrap peer until SIGTERM or SIGINT.
///
/// # Errors
/// `Q-2330` it runs already; `Q-2320` the process cannot be set up; those of the key file, the
/// register and [`Mesh::start`].
pub async fn serve(layout: &Layout, options: &Options, passphrase: &str) -> Result<(), Refusal> {
    let network = layout.network()?;
    if let Some(folder) = layout.endpoints().parent() {
        files::private_folder(folder)?;
    }
    let _lock = lock::take(&layout.serve_lock(), Code::PeerRuns)?;
    let keys = keyfile::open(&layout.peer_keys(), passphrase)?;
    let seed = *keys.gateway_seed;
    let host = Arc::new(host(layout, keys)?);
    let mut reader = Reader::new(layout.register());
    let mut roll = Roll::new(network.anchors());
    follow(&mut reader, &mut roll, &host)?;
    let config = MeshConfig {
        listen: multiaddrs(&options.listen)?,
        advertise: multiaddrs(&options.advertise)?,
        bootstrap: others(multiaddrs(network.bootstrap())?, &seed)?,
        every_pair: false,
        ..MeshConfig::default()
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| failed(&error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| failed(&error))?;
    let mesh = Mesh::start(config, seed, host.clone()).await?;
    announce(layout, &mesh, &host)?;
    tracing::info!(members = host.members(), "the bootstrap peer is ready");
    let mut look = tokio::time::interval(LOOK);
    let mut trouble = None;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = look.tick() => report(follow(&mut reader, &mut roll, &host), &mut trouble),
        }
    }
    tracing::info!("asked to end");
    // First, so that nobody is sent to a peer that is closing.
    let _ = std::fs::remove_file(layout.endpoints());
    mesh.shutdown().await;
    Ok(())
}

fn host(layout: &Layout, mut keys: Keys) -> Result<BootstrapHost, Refusal> {
    let bytes = armour::load(Kind::Certificate, &layout.peer_certificate())?;
    let certificate = SignedCertificate::from_bytes(&bytes)?;
    let epoch = certificate.parse()?.epoch;
    let Some(place) = keys.epochs.iter().position(|(known, _)| *known == epoch) else {
        refuse!(NotOurCertificate, "no key of epoch {epoch}");
    };
    let (_, key) = keys.epochs.swap_remove(place);
    BootstrapHost::new(layout.network()?.anchors(), certificate, key)
}

/// Takes up what the register has more than before.
fn follow(reader: &mut Reader, roll: &mut Roll, host: &BootstrapHost) -> Result<(), Refusal> {
    for entry in reader.news()? {
        let news = roll.apply(&entry)?;
        tracing::info!(serial = entry.serial, "an entry of the register");
        host.take(&news);
    }
    Ok(())
}

/// Says what is wrong with the register, once for each thing, and when it is right again.
fn report(followed: Result<(), Refusal>, trouble: &mut Option<Refusal>) {
    match followed {
        Ok(()) if trouble.is_some() => {
            tracing::info!("the register can be read again");
            *trouble = None;
        }
        Ok(()) => {}
        Err(refusal) => {
            if trouble.as_ref() != Some(&refusal) {
                tracing::error!(%refusal, "the register; what was read before is served");
            }
            *trouble = Some(refusal);
        }
    }
}

fn announce(layout: &Layout, mesh: &MeshHandle, host: &BootstrapHost) -> Result<(), Refusal> {
    let listening = mesh.listen_addresses();
    let p2p = listening.iter().map(|address| address.to_string().parse());
    let endpoints = Endpoints {
        pid: std::process::id(),
        api: None,
        p2p: p2p.collect::<Result<_, _>>()?,
        peer_id: mesh.peer_id().to_string(),
        domain: host.domain().to_string(),
        network: host.anchors().network.to_string(),
    };
    endpoints.save(&layout.endpoints())
}

fn multiaddrs(addresses: &[Address]) -> Result<Vec<Multiaddr>, Refusal> {
    let parse = |address: &Address| {
        address
            .as_str()
            .parse()
            .map_err(|error| Refusal::new(Code::BadAddress, format!("{address}: {error}")))
    };
    addresses.iter().map(parse).collect()
}

/// The addresses that are not our own.
fn others(addresses: Vec<Multiaddr>, seed: &[u8; 32]) -> Result<Vec<Multiaddr>, Refusal> {
    let pair = libp2p::identity::Keypair::ed25519_from_bytes(*seed)
        .map_err(|error| Refusal::new(Code::BadKey, format!("gateway seed: {error}")))?;
    let own = Protocol::P2p(pair.public().to_peer_id());
    let foreign = |address: &Multiaddr| address.iter().all(|part| part != own);
    Ok(addresses.into_iter().filter(foreign).collect())
}

fn failed(error: &std::io::Error) -> Refusal {
    Refusal::new(Code::ServeFailed, error.to_string())
}
