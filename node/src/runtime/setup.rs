//! What a node is started with: configuration, keys and papers, checked together.

use std::time::Duration;

use libp2p::Multiaddr;
use quadrille_protocol::crypto::seal::SealingKey;
use quadrille_protocol::crypto::suite::{HybridSignatures, SecretKey};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{
    Address, Anchors, Certificate, Directory, SignedCertificate, VerifiedCertificate,
};
use quadrille_protocol::types::{Domain, Time};
use quadrille_protocol::validator::Settings;
use zeroize::Zeroizing;

use crate::api::{ApiSettings, HolderPolicy, Rate};
use crate::armour::{self, Kind};
use crate::compliance::Screening;
use crate::config::{Config, Layout};
use crate::hooks::HookSettings;
use crate::hooks::reach::Policy;
use crate::mesh::{self, MeshConfig};
use crate::network_file::NetworkFile;
use crate::signer::{GuardFile, Keys, LocalSigner, Syncing};
use crate::vault::Vault;

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
        core_settings(&self.config, Settings::new(self.keys.preimages()))
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

    /// The bank's own rules for payments.
    #[must_use]
    pub fn screening(&self) -> Screening {
        Screening::new(&self.config.compliance, &self.config.dir)
    }

    /// What opens payloads that are sealed to us.
    #[must_use]
    pub fn sealing_key(&self) -> SealingKey {
        SealingKey::generate(&self.keys.sealing.to_bytes())
    }

    /// The signer over our keys, with its guard.
    ///
    /// # Errors
    /// Those of opening the guard.
    pub fn signer(&self) -> Result<LocalSigner, Refusal> {
        let (network, domain) = (&self.keys.network, &self.keys.domain);
        let syncing = match self.config.guard_shares_disk() {
            true => Syncing::NowAndThen,
            false => Syncing::EachNote,
        };
        let guard = GuardFile::open(&self.config.guard_dir(), network, domain, syncing)?;
        LocalSigner::new(&self.keys, guard)
    }

    /// How events are posted to other systems.
    #[must_use]
    pub fn hook_settings(&self) -> HookSettings {
        let hooks = &self.config.hooks;
        HookSettings {
            dir: self.layout.hooks(),
            policy: Policy { allow_http: hooks.allow_http, allow_private: hooks.allow_private },
            timeout: Duration::from_millis(hooks.timeout_ms),
            patience: Duration::from_secs(hooks.patience_s),
            subscriptions: hooks.subscriptions,
        }
    }

    /// The vault of our holders' data.
    #[must_use]
    pub fn vault(&self) -> Vault {
        let key = SealingKey::generate(&self.keys.sealing.to_bytes());
        Vault::new(self.layout.vault(), key)
    }

    /// How the HTTP interface is to run.
    #[must_use]
    pub fn api_settings(&self) -> ApiSettings {
        api_settings(&self.config)
    }
}

fn core_settings(config: &Config, mut settings: Settings) -> Settings {
    settings.settlement_life_ms = config.settlement.life_ms;
    settings.reveal_margin_ms = config.settlement.reveal_margin_ms;
    settings
}

fn api_settings(config: &Config) -> ApiSettings {
    let (api, holders) = (&config.api, &config.holders);
    let per_second = f64::from(api.orders_per_second);
    let per_minute = f64::from(api.refusals_per_minute);
    let (suites, highest_tier) = (holders.suites.clone(), holders.highest_tier);
    ApiSettings {
        connections: api.max_connections,
        answer_timeout: Duration::from_millis(api.request_timeout_ms),
        subscribers: api.event_subscribers,
        orders: Rate { per_second, burst: 2.0 * per_second },
        refused: Rate { per_second: per_minute / 60.0, burst: per_minute },
        reveal_margin_ms: config.settlement.reveal_margin_ms,
        holders: HolderPolicy { suites, highest_tier },
        ..ApiSettings::at(api.listen)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use quadrille_protocol::crypto::suite::Suite;

    use super::*;
    use crate::config::Sources;

    fn config(text: &str) -> Config {
        let file = Some(text.to_owned());
        Sources { file, ..Sources::default() }.load().unwrap().config
    }

    #[test]
    fn the_options_of_the_http_interface_reach_it() {
        let config = config(
            "[api]\nlisten = \"127.0.0.1:1\"\nmax_connections = 2\nrequest_timeout_ms = 3\n\
             orders_per_second = 4\nrefusals_per_minute = 6\nevent_subscribers = 5\n\
             [settlement]\nlife_ms = 50000\nreveal_margin_ms = 7000\n\
             [holders]\nsuites = [\"hybrid-ml-dsa-65\"]\nhighest_tier = 1\n",
        );
        let settings = api_settings(&config);
        assert_eq!(settings.listen, "127.0.0.1:1".parse().unwrap());
        assert_eq!(settings.connections, 2);
        assert_eq!(settings.answer_timeout, Duration::from_millis(3));
        assert_eq!(settings.orders, Rate { per_second: 4.0, burst: 8.0 });
        assert_eq!(settings.refused, Rate { per_second: 0.1, burst: 6.0 });
        assert_eq!(settings.subscribers, 5);
        assert_eq!(settings.reveal_margin_ms, 7000);
        let holders = HolderPolicy { suites: vec![Suite::HybridMlDsa65], highest_tier: 1 };
        assert_eq!(settings.holders, holders);
        let keys = Keys::generate(
            "demo".parse().unwrap(),
            "bank-a.example".parse().unwrap(),
            Suite::HybridMlDsa65,
        );
        let core = core_settings(&config, Settings::new(keys.unwrap().preimages()));
        assert_eq!((core.settlement_life_ms, core.reveal_margin_ms), (50_000, 7_000));
    }

    #[test]
    fn the_options_of_the_mesh_reach_it() {
        let config = config(
            "[mesh]\nlisten = [\"/ip4/127.0.0.1/tcp/1\"]\nexternal = [\"/ip4/192.0.2.1/tcp/2\"]\n\
             bootstrap = [\"/ip4/192.0.2.2/tcp/3\"]\nmax_connections = 4\ngossip_per_10s = 5\n\
             gossip_burst = 6\n\
             peers = [{ domain = \"b.example\", addresses = [\"/ip4/192.0.2.3/tcp/7\"] }]\n",
        );
        let text = "network = \"demo\"\nbootstrap = [\"/ip4/192.0.2.4/tcp/8\"]\n\
                    [[endorser]]\ndomain = \"b.example\"\n";
        let network = NetworkFile::parse(Path::new("network.toml"), text).unwrap();
        let mesh = mesh_config(&config, &network).unwrap();
        let at = |text: &str| -> Multiaddr { text.parse().unwrap() };
        assert_eq!(mesh.listen, [at("/ip4/127.0.0.1/tcp/1")]);
        assert_eq!(mesh.advertise, [at("/ip4/192.0.2.1/tcp/2")]);
        assert_eq!(mesh.bootstrap, [at("/ip4/192.0.2.2/tcp/3"), at("/ip4/192.0.2.4/tcp/8")]);
        assert_eq!(mesh.peers, [("b.example".parse().unwrap(), at("/ip4/192.0.2.3/tcp/7"))]);
        assert_eq!(mesh.connections, 4);
        let rate = mesh::Rate { burst: 6, each: 5, period: GOSSIP_PERIOD };
        assert_eq!(mesh.notices_per_peer, rate);
    }
}
