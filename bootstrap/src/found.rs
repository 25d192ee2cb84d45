//! A new network: the authority's key, the bootstrap peer's keys and certificate, the network
//! file for members.
//!
//! Invariant: nothing that is there already is overwritten, and what was made is taken away
//! again when the network cannot be finished.

use std::num::NonZeroU32;

use quadrille_node::armour::{self, Kind};
use quadrille_node::enrol::{EnrolmentRequest, Readable};
use quadrille_node::files;
use quadrille_node::network_file::NetworkFile;
use quadrille_node::signer::{Keys, generate_key, keyfile};
use quadrille_protocol::crypto::suite::{SecretKey, Suite};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{Address, Anchors, AuthorityKey, SuitePolicy};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Bounded, Domain, Network, Time};

use crate::layout::Layout;
use crate::office::Office;

/// What the authority's key file says it is.
const AUTHORITY_KEY: &str = "authority";

/// What a network begins with.
#[derive(Debug, Clone)]
pub struct Founding {
    /// Its name.
    pub network: Network,
    /// Its authority.
    pub authority: Domain,
    /// The bootstrap peer's own domain.
    pub peer: Domain,
    /// The suite of both keys.
    pub suite: Suite,
    /// The suites that members may use.
    pub suites: Vec<Suite>,
    /// Where the bootstrap peer will be reached, as far as this is known already.
    pub addresses: Vec<Address>,
}

/// Makes the network. Its folder is made where it is missing.
///
/// # Errors
/// `Q-2313` when the folder holds one already; `Q-2202` for suites that do not fit; those of
/// the key files and of [`Office`].
pub fn found(
    layout: &Layout,
    founding: &Founding,
    passphrase: &str,
    now: Time,
) -> Result<NetworkFile, Refusal> {
    check_empty(layout)?;
    make(layout, founding, passphrase, now).inspect_err(|_| {
        // None of these was there before; what cannot be taken away is named by the next try.
        let _ = std::fs::remove_file(layout.network_file());
        let _ = std::fs::remove_dir_all(layout.authority());
        let _ = std::fs::remove_dir_all(layout.peer());
    })
}

/// Checks that there is no network in the folder.
///
/// # Errors
/// `Q-2313`.
pub fn check_empty(layout: &Layout) -> Result<(), Refusal> {
    for path in [layout.network_file(), layout.authority(), layout.peer()] {
        if path.exists() {
            refuse!(NetworkExists, "{} is there", path.display());
        }
    }
    Ok(())
}

fn make(
    layout: &Layout,
    founding: &Founding,
    passphrase: &str,
    now: Time,
) -> Result<NetworkFile, Refusal> {
    let suites = policy(founding)?;
    let keys = Keys::generate(founding.network.clone(), founding.peer.clone(), founding.suite)?;
    let authority = generate_key(founding.suite)?;
    let peer = peer_id(&keys)?;
    let addresses = founding.addresses.iter().map(|address| with_peer(address, &peer));
    let anchors = Anchors {
        network: founding.network.clone(),
        authorities: Bounded::new(vec![AuthorityKey {
            authority: founding.authority.clone(),
            key: authority.public().clone(),
        }])?,
        endorsers: Bounded::default(),
        threshold: NonZeroU32::MIN,
        suites,
    };
    let network = NetworkFile::new(anchors, addresses.collect::<Result<_, _>>()?)?;
    files::private_folder(&layout.authority())?;
    files::private_folder(&layout.peer())?;
    keyfile::seal_bytes(&layout.authority_key(), AUTHORITY_KEY, &authority.to_bytes(), passphrase)?;
    keyfile::create(&layout.peer_keys(), &keys, passphrase)?;
    network.save(&layout.network_file())?;
    let mut office = Office::open(layout, authority)?;
    let certificate = office.certify_peer(&peer_request(&keys, now)?, now)?.signed;
    let readable = Readable::from(&certificate.parse()?);
    let path = layout.peer_certificate();
    armour::save(Kind::Certificate, &path, &certificate.to_bytes(), &readable)?;
    Ok(network)
}

/// Opens the authority's key.
///
/// # Errors
/// Those of [`keyfile::open_bytes`] and [`SecretKey::from_bytes`]; `Q-2314` no network here.
pub fn authority_key(layout: &Layout, passphrase: &str) -> Result<SecretKey, Refusal> {
    layout.network()?;
    let bytes = keyfile::open_bytes(&layout.authority_key(), AUTHORITY_KEY, passphrase)?;
    SecretKey::from_bytes(&bytes)
}

fn policy(founding: &Founding) -> Result<SuitePolicy, Refusal> {
    let has = |suite| founding.suites.contains(&suite);
    let policy = SuitePolicy {
        hybrid_ml_dsa65: has(Suite::HybridMlDsa65),
        hybrid_dilithium3: has(Suite::HybridDilithium3),
        ed25519: has(Suite::Ed25519),
    };
    if !policy.allows(founding.suite) {
        refuse!(BadConfiguration, "the authority's own suite {} is left out", founding.suite);
    }
    Ok(policy)
}

fn peer_request(keys: &Keys, now: Time) -> Result<EnrolmentRequest, Refusal> {
    let (epoch, key) = keys.latest().ok_or_else(|| Refusal::new(Code::UnknownEpoch, "no key"))?;
    Ok(EnrolmentRequest {
        network: keys.network.clone(),
        domain: keys.domain.clone(),
        lei: None,
        roles: Bounded::default(),
        epoch,
        signing_key: key.public().clone(),
        sealing_key: None,
        time: now,
    })
}

/// The address with the peer's identifier at its end, unless it has one.
fn with_peer(address: &Address, peer: &str) -> Result<Address, Refusal> {
    let text = address.as_str();
    if text.contains("/p2p/") { Ok(address.clone()) } else { format!("{text}/p2p/{peer}").parse() }
}

/// The libp2p identifier of whoever has these keys, as addresses name it.
fn peer_id(keys: &Keys) -> Result<String, Refusal> {
    let mut seed = *keys.gateway_seed;
    let pair = libp2p::identity::Keypair::ed25519_from_bytes(&mut seed)
        .map_err(|error| Refusal::new(Code::BadKey, format!("gateway seed: {error}")))?;
    Ok(pair.public().to_peer_id().to_string())
}
