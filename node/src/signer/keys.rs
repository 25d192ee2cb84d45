//! A domain's secrets and the form in which they are stored.
//!
//! ```text
//!   stored = network | domain | sealing seed (32) | preimage seed (32) | gateway seed (32)
//!            | count u32 | (epoch u32 | length u32 | secret key) ...
//! ```
//!
//! Names as in canonical bytes (a length byte, then the text), numbers little-endian. Always
//! encrypted before it leaves this process.

use std::fmt;

use quadrille_protocol::crypto::hash::PreimageSeed;
use quadrille_protocol::crypto::seal::SealingKey;
use quadrille_protocol::crypto::suite::{PublicKey, SecretKey, Suite};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Domain, Epoch, Network};
use zeroize::Zeroizing;

/// Room for a secret key of the longest suite.
const SECRET_KEY_BYTES: usize = 8 * 1024;

/// Everything secret that a domain has.
pub struct Keys {
    /// The network.
    pub network: Network,
    /// The domain.
    pub domain: Domain,
    /// The signing keys, oldest first.
    pub epochs: Vec<(Epoch, SecretKey)>,
    /// Opens what is sealed to the domain.
    pub sealing: SealingKey,
    /// What the secrets of settlements are derived from.
    pub preimage_seed: Zeroizing<[u8; 32]>,
    /// The Ed25519 seed of the gateway's peer identity.
    pub gateway_seed: Zeroizing<[u8; 32]>,
}

impl Keys {
    /// New keys, with a first signing key of `suite`.
    ///
    /// # Errors
    /// `Q-1922` when the system has no random bytes.
    pub fn generate(network: Network, domain: Domain, suite: Suite) -> Result<Self, Refusal> {
        Ok(Self {
            network,
            domain,
            epochs: vec![(Epoch(1), generate_key(suite)?)],
            sealing: SealingKey::generate(&*random()?),
            preimage_seed: random()?,
            gateway_seed: random()?,
        })
    }

    /// Adds a new signing key for the epoch after the last and says which that is. Store the
    /// keys before it is used.
    ///
    /// # Errors
    /// `Q-1922`; `Q-1015` more epochs than a domain may have.
    pub fn add_epoch(&mut self, suite: Suite) -> Result<Epoch, Refusal> {
        if self.epochs.len() >= limits::KEY_EPOCHS {
            refuse!(TooMany, "epochs of {}, at most {}", self.domain, limits::KEY_EPOCHS);
        }
        let epoch = self.latest().map_or(Epoch(1), |(epoch, _)| epoch.next());
        self.epochs.push((epoch, generate_key(suite)?));
        Ok(epoch)
    }

    /// The signing key of the latest epoch.
    #[must_use]
    pub fn latest(&self) -> Option<(Epoch, &SecretKey)> {
        self.epochs.iter().map(|(epoch, key)| (*epoch, key)).max_by_key(|(epoch, _)| *epoch)
    }

    /// The signing key of an epoch.
    #[must_use]
    pub fn key(&self, epoch: Epoch) -> Option<&SecretKey> {
        self.epochs.iter().find(|(known, _)| *known == epoch).map(|(_, key)| key)
    }

    /// The public key of an epoch.
    #[must_use]
    pub fn public_key(&self, epoch: Epoch) -> Option<PublicKey> {
        self.key(epoch).map(|key| key.public().clone())
    }

    /// The seed of the settlements' secrets, as the core wants it.
    #[must_use]
    pub fn preimages(&self) -> PreimageSeed {
        PreimageSeed::new(*self.preimage_seed)
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // Room for everything at once: growing would leave copies behind.
        let room = 1024 + self.epochs.len() * SECRET_KEY_BYTES;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        for name in [self.network.as_str(), self.domain.as_str()] {
            // A name has at most 64 bytes.
            bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes.extend_from_slice(&*self.sealing.to_bytes());
        bytes.extend_from_slice(&*self.preimage_seed);
        bytes.extend_from_slice(&*self.gateway_seed);
        bytes.extend_from_slice(&length(self.epochs.len()));
        for (epoch, key) in &self.epochs {
            let secret = key.to_bytes();
            bytes.extend_from_slice(&epoch.0.to_le_bytes());
            bytes.extend_from_slice(&length(secret.len()));
            bytes.extend_from_slice(&secret);
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let short = || Refusal::new(Code::SecretFileDamaged, "the keys in it are not whole");
        let mut rest = bytes;
        let network = take_name(&mut rest).ok_or_else(short)?.parse()?;
        let domain = take_name(&mut rest).ok_or_else(short)?.parse()?;
        let sealing = SealingKey::generate(&*take_seed(&mut rest).ok_or_else(short)?);
        let preimage_seed = take_seed(&mut rest).ok_or_else(short)?;
        let gateway_seed = take_seed(&mut rest).ok_or_else(short)?;
        let count = take_u32(&mut rest).ok_or_else(short)?;
        let mut epochs = Vec::new();
        for _ in 0..count {
            let epoch = Epoch(take_u32(&mut rest).ok_or_else(short)?);
            let length = take_u32(&mut rest).ok_or_else(short)?;
            let secret = take(&mut rest, usize::try_from(length).unwrap_or(usize::MAX));
            epochs.push((epoch, SecretKey::from_bytes(secret.ok_or_else(short)?)?));
        }
        if !rest.is_empty() || epochs.is_empty() {
            return Err(short());
        }
        Ok(Self { network, domain, epochs, sealing, preimage_seed, gateway_seed })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, domain, epochs, .. } = self;
        write!(f, "Keys(hidden, of {domain} in {network}, {} epochs)", epochs.len())
    }
}

/// 32 random bytes.
pub(super) fn random() -> Result<Zeroizing<[u8; 32]>, Refusal> {
    let mut bytes = Zeroizing::new([0; 32]);
    fill(bytes.as_mut_slice())?;
    Ok(bytes)
}

/// Fills `bytes` with random ones.
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), Refusal> {
    let none = |_| Refusal::new(Code::NoRandomness, "for keys");
    aws_lc_rs::rand::fill(bytes).map_err(none)
}

/// A new signing key; the holders' wallet makes theirs with it too.
///
/// # Errors
/// `Q-1922` when the system has no random bytes.
pub fn generate_key(suite: Suite) -> Result<SecretKey, Refusal> {
    Ok(SecretKey::generate(suite, &*random()?))
}

fn length(length: usize) -> [u8; 4] {
    // Both counts that are written are bounded far below.
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    take(rest, 4)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn take_seed(rest: &mut &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    take(rest, 32)?.first_chunk().copied().map(Zeroizing::new)
}

fn take_name<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = take(rest, 1)?.first().copied()?;
    std::str::from_utf8(take(rest, usize::from(length))?).ok()
}
