//! What a node is started with: configuration, keys and papers, checked together.

use std::time::Duration;

use libp2p::Multiaddr;
use quadrille_protocol::crypto::suite::{HybridSignatures, SecretKey};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{
    Address, Anchors, Certificate, Directory, SignedCertificate, VerifiedCertificate,
};
use quadrille_protocol::types::{Domain, Time};
use quadrille_protocol::validator::Settings;
use zeroize::Zeroizing;

use crate::api::{ApiSettings, Rate};
use crate::armour::{self, Kind};
use crate::config::{Config, Layout};
use crate::mesh::{self, MeshConfig};
use crate::network_file::NetworkFile;
use crate::signer::{GuardFile, Keys, LocalSigner};

/// How long a stopping node waits for open settlements.
const DRAIN: Duration = Duration::from_secs(10);
/// The span that the configured gossip rates are for.
const GOSSIP_PERIOD: Duration = Duration::from_secs(10);

/// Everything a node needs to start. Holds secrets: not to be shown.
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// Where things are.
    pub layout: Layout,
    /// Our keys.
    pub keys: Keys,
    /// What the operator trusts.
    pub anchors: Anchors,
    /// Our certificate, as the authority or we signed it.
    pub certificate: SignedCertificate,
    /// How the mesh is to run.
    pub mesh: MeshConfig,
    /// Domains of the static peers.
    pub wanted: Vec<Domain>,
    /// How long to wait for open settlements when stopping.
    pub drain: Duration,
}

impl Setup {
    /// Of a data directory's configuration and opened keys.
    ///
    /// # Errors
    /// `Q-2208` network file, `Q-2219` not enrolled yet, `Q-1208` papers of another domain,
    /// `Q-1102` keys that the certificate does not name, `Q-1212` addresses.
    pub fn new(config: Config, keys: Keys) -> Result<Self, Refusal> {
        let layout = config.layout();
        let network = NetworkFile::load(&layout.network())?;
        let anchors = network.anchors();
        let path = layout.certificate();
        if !path.exists() {
            let what = format!("{} is missing: enrol the domain first", path.display());
            return Err(Refusal::new(Code::NotEnrolled, what));
        }
        let bytes = armour::load(Kind::Certificate, &path)?;
        let certificate = SignedCertificate::from_bytes(&bytes)?;
        check_papers(&certificate.parse()?, &keys, &anchors)?;
        let mesh = mesh_config(&config, &network)?;
        let wanted = config.mesh.peers.iter().map(|peer| peer.domain.clone()).collect();
        Ok(Self { config, layout, keys, anchors, certificate, mesh, wanted, drain: DRAIN })
    }

    /// The core's settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.keys.preimages());
        settings.settlement_life_ms = self.config.settlement.life_ms;
        settings.reveal_margin_ms = self.config.settlement.reveal_margin_ms;
        settings
    }

    /// Our certificate, verified at `now`.
    ///
    /// # Errors
    /// Those of `Anchors::verify_certificate`.
    pub fn verified_certificate(&self, now: Time) -> Result<VerifiedCertificate, Refusal> {
        let nobody = Directory::new();
        self.anchors.verify_certificate(&self.certificate, &nobody, now, &HybridSignatures)
    }

    /// What the node's libp2p key is made from.
    #[must_use]
    pub fn gateway_seed(&self) -> Zeroizing<[u8; 32]> {
        self.keys.gateway_seed.clone()
    }

    /// The signer over our keys, with its guard.
    ///
    /// # Errors
    /// Those of opening the guard.
    pub fn signer(&self) -> Result<LocalSigner, Refusal> {
        let (network, domain) = (&self.keys.network, &self.keys.domain);
        let guard = GuardFile::open(&self.config.guard_dir(), network, domain)?;
        LocalSigner::new(&self.keys, guard)
    }

    /// How the HTTP interface is to run.
    #[must_use]
    pub fn api_settings(&self) -> ApiSettings {
        let api = &self.config.api;
        let per_second = f64::from(api.orders_per_second);
        let per_minute = f64::from(api.refusals_per_minute);
        ApiSettings {
            connections: api.max_connections,
            answer_timeout: Duration::from_millis(api.request_timeout_ms),
            subscribers: api.event_subscribers,
            orders: Rate { per_second, burst: 2.0 * per_second },
            refused: Rate { per_second: per_minute / 60.0, burst: per_minute },
            reveal_margin_ms: self.config.settlement.reveal_margin_ms,
            ..ApiSettings::at(api.listen)
        }
    }
}

fn check_papers(certificate: &Certificate, keys: &Keys, anchors: &Anchors) -> Result<(), Refusal> {
    let (domain, network) = (&certificate.domain, &certificate.network);
    if *domain != keys.domain || *network != keys.network {
        let what = format!("the certificate is of {domain} in {network}");
        return Err(Refusal::new(Code::WrongDomain, what));
    }
    if *network != anchors.network {
        let what = format!("the network file is of {}, not of {network}", anchors.network);
        return Err(Refusal::new(Code::WrongNetwork, what));
    }
    let ours = keys.key(certificate.epoch).map(SecretKey::public);
    if ours != Some(&certificate.signing_key) {
        let epoch = certificate.epoch;
        let what = format!("the key file has no such key for epoch {epoch}");
        return Err(Refusal::new(Code::BadKey, what));
    }
    Ok(())
}

fn mesh_config(config: &Config, network: &NetworkFile) -> Result<MeshConfig, Refusal> {
    let options = &config.mesh;
    let all = |addresses: &[Address]| -> Result<Vec<Multiaddr>, Refusal> {
        addresses.iter().map(multiaddr).collect()
    };
    let mut bootstrap = all(&options.bootstrap)?;
    bootstrap.extend(all(network.bootstrap())?);
    let mut peers = Vec::new();
    for peer in &options.peers {
        for address in &peer.addresses {
            peers.push((peer.domain.clone(), multiaddr(address)?));
        }
    }
    Ok(MeshConfig {
        listen: all(&options.listen)?,
        advertise: all(&options.external)?,
        bootstrap,
        peers,
        quic: options.quic,
        connections: u32::try_from(options.max_connections).unwrap_or(u32::MAX),
        notices_per_peer: mesh::Rate {
            burst: options.gossip_burst,
            each: options.gossip_per_10s,
            period: GOSSIP_PERIOD,
        },
        ..MeshConfig::default()
    })
}

fn multiaddr(address: &Address) -> Result<Multiaddr, Refusal> {
    address
        .as_str()
        .parse()
        .map_err(|error| Refusal::new(Code::BadAddress, format!("{address}: {error}")))
}
