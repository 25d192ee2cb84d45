//! The network file, `network.toml`: what a member must know of a network before it has heard
//! anybody. The network's authority hands it out; every node keeps a copy.
//!
//! Invariants:
//! * A [`NetworkFile`] that exists has a name, at least one suite, and anchors that can admit
//!   somebody: an authority, or as many endorsers as the threshold asks for.
//! * It is the operator's word: nothing that arrives over the network changes it.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::path::Path;

use quadrille_protocol::codec;
use quadrille_protocol::crypto::suite::{PublicKey, Suite};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{
    Address, Anchors, AuthorityKey, Endorser, PinnedKey, SuitePolicy,
};
use quadrille_protocol::limits;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Bounded, Domain, Epoch, Network};
use serde::Deserialize;

use crate::files::{self, Access};
use crate::toml_text;

/// Largest network file that is read.
pub const FILE_BYTES: usize = 1024 * 1024;

/// Bootstrap addresses that a network file may name.
pub const BOOTSTRAP_ADDRESSES: usize = 64;

/// A network as its members' operators know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFile {
    network: Network,
    anchors: Anchors,
    bootstrap: Vec<Address>,
}

impl NetworkFile {
    /// A network with these anchors, reached first at these addresses.
    ///
    /// # Errors
    /// `Q-2208` when the anchors could admit nobody, allow no suite for domains or allow
    /// suite 3, or there are too many addresses.
    pub fn new(anchors: Anchors, bootstrap: Vec<Address>) -> Result<Self, Refusal> {
        if bootstrap.len() > BOOTSTRAP_ADDRESSES {
            let count = bootstrap.len();
            refuse!(BadNetworkFile, "{count} bootstrap addresses, at most {BOOTSTRAP_ADDRESSES}");
        }
        let endorsers = u32::try_from(anchors.endorsers.len()).unwrap_or(u32::MAX);
        if anchors.authorities.is_empty() && endorsers < anchors.threshold.get() {
            let threshold = anchors.threshold;
            refuse!(
                BadNetworkFile,
                "no authority, and {endorsers} endorsers where the threshold is {threshold}: \
                 nobody could become a member"
            );
        }
        let suites = anchors.suites;
        if !suites.hybrid_ml_dsa65 && !suites.hybrid_dilithium3 {
            refuse!(BadNetworkFile, "no suite that a domain may have");
        }
        if suites.ed25519 {
            refuse!(BadNetworkFile, "suite `{}` is not for domains", Suite::Ed25519);
        }
        Ok(Self { network: anchors.network.clone(), anchors, bootstrap })
    }

    /// The network's name.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// Whom to trust to say who is a member.
    #[must_use]
    pub fn anchors(&self) -> Anchors {
        self.anchors.clone()
    }

    /// Where the network is reached first.
    #[must_use]
    pub fn bootstrap(&self) -> &[Address] {
        &self.bootstrap
    }

    /// The same network, reached first at other addresses.
    ///
    /// # Errors
    /// As [`NetworkFile::new`].
    pub fn with_bootstrap(self, bootstrap: Vec<Address>) -> Result<Self, Refusal> {
        Self::new(self.anchors, bootstrap)
    }

    /// Reads a network file.
    ///
    /// # Errors
    /// `Q-2204` when it cannot be read, `Q-2208` with the line when it is not as documented.
    pub fn load(path: &Path) -> Result<Self, Refusal> {
        Self::parse(path, &files::read_text(path, FILE_BYTES)?)
    }

    /// Reads the text of a network file; `path` is for messages.
    ///
    /// # Errors
    /// `Q-2208`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Refusal> {
        let raw: Raw = toml_text::parse(path, text, Code::BadNetworkFile)?;
        let located = |refusal: Refusal| {
            let what = match refusal.code {
                Code::BadNetworkFile => refusal.what,
                other => format!("{}: {}", other.title(), refusal.what),
            };
            Refusal::new(Code::BadNetworkFile, format!("{}: {what}", path.display()))
        };
        raw.anchors().and_then(|anchors| Self::new(anchors, raw.bootstrap)).map_err(located)
    }

    /// Writes a new network file.
    ///
    /// # Errors
    /// `Q-2206` when it exists, `Q-2205` when it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Refusal> {
        files::create(path, self.to_toml().as_bytes(), Access::Public)
    }

    /// The text of the file, every option with its meaning.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::from(HEAD);
        // Writing to a string cannot fail.
        let _ = self.write_toml(&mut text);
        text
    }

    fn write_toml(&self, text: &mut String) -> std::fmt::Result {
        let quoted = |items: Vec<String>| items.join(", ");
        let suites = allowed(self.anchors.suites).map(|suite| format!("\"{suite}\"")).collect();
        let bootstrap = self.bootstrap.iter().map(|address| format!("\"{address}\"")).collect();
        writeln!(text, "# The network's name. Everything that is signed names it.")?;
        writeln!(text, "network = \"{}\"\n", self.network)?;
        writeln!(text, "# The signature suites that a domain's key may have.")?;
        writeln!(text, "suites = [{}]\n", quoted(suites))?;
        writeln!(text, "# Endorsements that a self-signed certificate needs.")?;
        writeln!(text, "threshold = {}\n", self.anchors.threshold)?;
        writeln!(text, "# Where a new node connects first: multiaddresses with the peer's id.")?;
        writeln!(text, "bootstrap = [{}]", quoted(bootstrap))?;
        for AuthorityKey { authority, key } in &self.anchors.authorities {
            writeln!(text, "\n# {} ({})", key.id(), key.suite())?;
            writeln!(text, "[[authority]]\ndomain = \"{authority}\"")?;
            writeln!(text, "key = \"{}\"", key_text(key))?;
        }
        for Endorser { domain, pinned } in &self.anchors.endorsers {
            writeln!(text, "\n[[endorser]]\ndomain = \"{domain}\"")?;
            if let Some(PinnedKey { epoch, key }) = pinned {
                writeln!(text, "epoch = {epoch}\nkey = \"{}\"", key_text(key))?;
            }
        }
        Ok(())
    }
}

const HEAD: &str = "\
# A Quadrille network, as its members' operators know it. Public; check with the network's
# authority, over another channel, that the authority's key below is the right one.

";

/// A public key in the text form that network files use: the hex of its canonical bytes.
#[must_use]
pub fn key_text(key: &PublicKey) -> String {
    hex::encode(codec::encode(key))
}

/// The key with this text form.
///
/// # Errors
/// `Q-1102` when it is not hexadecimal, and those of [`codec::decode`].
pub fn parse_key(text: &str) -> Result<PublicKey, Refusal> {
    let bytes = hex::decode(text)
        .map_err(|error| Refusal::new(Code::BadKey, format!("not hexadecimal: {error}")))?;
    codec::decode::<PublicKey, { limits::PUBLIC_KEY_BYTES }>(&bytes)
}

/// The suites that a policy allows.
pub fn allowed(policy: SuitePolicy) -> impl Iterator<Item = Suite> {
    Suite::ALL.into_iter().filter(move |suite| policy.allows(*suite))
}

/// The policy that allows these suites.
#[must_use]
pub fn policy(suites: &[Suite]) -> SuitePolicy {
    SuitePolicy {
        hybrid_ml_dsa65: suites.contains(&Suite::HybridMlDsa65),
        hybrid_dilithium3: suites.contains(&Suite::HybridDilithium3),
        ed25519: suites.contains(&Suite::Ed25519),
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    network: Network,
    suites: Option<Vec<String>>,
    threshold: Option<NonZeroU32>,
    #[serde(default)]
    bootstrap: Vec<Address>,
    #[serde(default)]
    authority: Vec<RawAuthority>,
    #[serde(default)]
    endorser: Vec<RawEndorser>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAuthority {
    domain: Domain,
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEndorser {
    domain: Domain,
    epoch: Option<u32>,
    key: Option<String>,
}

impl Raw {
    fn anchors(&self) -> Result<Anchors, Refusal> {
        let suites = match &self.suites {
            None => SuitePolicy::HYBRID,
            Some(names) => {
                let suites: Result<Vec<Suite>, Refusal> =
                    names.iter().map(|name| name.parse()).collect();
                policy(&suites?)
            }
        };
        let authorities: Result<Vec<_>, Refusal> =
            self.authority.iter().map(RawAuthority::read).collect();
        let endorsers: Result<Vec<_>, Refusal> =
            self.endorser.iter().map(RawEndorser::read).collect();
        Ok(Anchors {
            network: self.network.clone(),
            authorities: Bounded::new(authorities?)?,
            endorsers: Bounded::new(endorsers?)?,
            threshold: self.threshold.unwrap_or(NonZeroU32::MIN),
            suites,
        })
    }
}

impl RawAuthority {
    fn read(&self) -> Result<AuthorityKey, Refusal> {
        let domain = &self.domain;
        let key = parse_key(&self.key).map_err(|refusal| about(domain, refusal))?;
        Ok(AuthorityKey { authority: domain.clone(), key })
    }
}

impl RawEndorser {
    fn read(&self) -> Result<Endorser, Refusal> {
        let domain = &self.domain;
        let pinned = match (self.epoch, &self.key) {
            (None, None) => None,
            (epoch, Some(key)) => {
                let key = parse_key(key).map_err(|refusal| about(domain, refusal))?;
                Some(PinnedKey { epoch: Epoch(epoch.unwrap_or(1)), key })
            }
            (Some(epoch), None) => {
                refuse!(BadNetworkFile, "endorser {domain} has epoch {epoch} and no key");
            }
        };
        Ok(Endorser { domain: domain.clone(), pinned })
    }
}

fn about(domain: &Domain, refusal: Refusal) -> Refusal {
    Refusal::new(refusal.code, format!("key of {domain}: {}", refusal.what))
}

#[cfg(test)]
mod tests {
    use quadrille_protocol::crypto::suite::SecretKey;

    use super::*;

    fn key(number: u8) -> PublicKey {
        SecretKey::generate(Suite::HybridMlDsa65, &[number; 32]).public().clone()
    }

    fn example() -> NetworkFile {
        let pinned = PinnedKey { epoch: Epoch(2), key: key(2) };
        let anchors = Anchors {
            network: "demo".parse().unwrap(),
            authorities: Bounded::new(vec![AuthorityKey {
                authority: "authority.example".parse().unwrap(),
                key: key(1),
            }])
            .unwrap(),
            endorsers: Bounded::new(vec![
                Endorser { domain: "bank-a.example".parse().unwrap(), pinned: Some(pinned) },
                Endorser { domain: "bank-b.example".parse().unwrap(), pinned: None },
            ])
            .unwrap(),
            threshold: NonZeroU32::new(2).unwrap(),
            suites: SuitePolicy::HYBRID,
        };
        NetworkFile::new(anchors, vec!["/ip4/127.0.0.1/tcp/7000".parse().unwrap()]).unwrap()
    }

    fn parse(text: &str) -> Result<NetworkFile, Refusal> {
        NetworkFile::parse(Path::new("network.toml"), text)
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(parse(&example().to_toml()), Ok(example()));
    }

    #[test]
    fn a_minimal_file_gets_the_defaults() {
        let text = format!(
            "network = \"demo\"\n[[authority]]\ndomain = \"a.example\"\nkey = \"{}\"\n",
            key_text(&key(1))
        );
        let file = parse(&text).unwrap();
        assert_eq!(file.anchors().suites, SuitePolicy::HYBRID);
        assert_eq!(file.anchors().threshold.get(), 1);
        assert!(file.bootstrap().is_empty());
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let cases = [
            ("network = \"demo\"\nthreshhold = 1\n", "line 2: unknown field `threshhold`"),
            ("network = \"Demo\"\n", "line 1: Q-1006"),
            ("network = \"demo\n", "line 1:"),
            ("", "missing field `network`"),
            ("network = \"demo\"\n", "nobody could become a member"),
            ("network = \"demo\"\nthreshold = 0\n", "line 2:"),
            ("network = \"demo\"\nsuites = [\"rsa\"]\n", "unknown signature suite: `rsa`"),
            ("network = \"demo\"\nbootstrap = [\"here\"]\n", "line 2: Q-1212"),
            (
                "network = \"demo\"\n[[authority]]\ndomain = \"a.example\"\nkey = \"zz\"\n",
                "key of a.example",
            ),
            ("network = \"demo\"\n[[endorser]]\ndomain = \"a.example\"\nepoch = 1\n", "no key"),
        ];
        for (text, expected) in cases {
            let refusal = parse(text).unwrap_err();
            assert_eq!(refusal.code, Code::BadNetworkFile, "{text}");
            assert!(refusal.what.contains(expected), "{text}: {refusal}");
            assert!(refusal.what.starts_with("network.toml"), "{refusal}");
        }
    }

    #[test]
    fn a_domain_s_suite_cannot_be_a_holder_s() {
        let text = example().to_toml().replace("\"hybrid-dilithium3\"", "\"ed25519\"");
        assert!(parse(&text).unwrap_err().what.contains("not for domains"));
    }
}
