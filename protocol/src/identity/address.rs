//! Where a gateway is reached: multiaddresses and libp2p peer identifiers.
//!
//! Invariant: an [`Address`] or [`GatewayPeer`] that exists has the right shape. Nothing here
//! knows whether anybody listens there.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Code, Refusal};
use crate::limits;
use crate::types::{shown, text_serde};

/// A multiaddress in text form, at most 256 bytes: a host (`ip4`, `ip6`, `dns`, `dns4`, `dns6`
/// or `dnsaddr`), a port (`tcp` or `udp`; none after `dnsaddr`), then any of `tls`, `ws`, `wss`,
/// `quic-v1` and a last `p2p/<peer>`; for instance `/ip4/127.0.0.1/tcp/7000`.
/// Relayed addresses (`p2p-circuit`) are left out on purpose: gateways are reached directly.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Arc<str>);

impl Address {
    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Address {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.len() > limits::ADDRESS_BYTES || !is_address(text) {
            return Err(Refusal::new(Code::BadAddress, shown(text)));
        }
        Ok(Self(text.into()))
    }
}

fn is_address(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else { return false };
    if rest.split('/').count() > 2 * limits::ADDRESS_PARTS {
        return false;
    }
    let mut parts = rest.split('/');
    let (Some(kind), Some(host)) = (parts.next(), parts.next()) else { return false };
    let host_ok = match kind {
        "ip4" => is_canonical::<Ipv4Addr>(host),
        "ip6" => is_canonical::<Ipv6Addr>(host),
        "dns" | "dns4" | "dns6" | "dnsaddr" => is_host_name(host),
        _ => return false,
    };
    if !host_ok {
        return false;
    }
    if kind != "dnsaddr" {
        let (Some("tcp" | "udp"), Some(port)) = (parts.next(), parts.next()) else { return false };
        if !is_canonical::<u16>(port) {
            return false;
        }
    }
    while let Some(part) = parts.next() {
        match part {
            "tls" | "ws" | "wss" | "quic-v1" => {}
            "p2p" => return parts.next().is_some_and(is_peer_text) && parts.next().is_none(),
            _ => return false,
        }
    }
    true
}

/// Whether the text is a value and the one way to write it (no leading zeros or signs).
fn is_canonical<T: FromStr + ToString>(text: &str) -> bool {
    text.parse::<T>().is_ok_and(|value| value.to_string() == text)
}

fn is_host_name(text: &str) -> bool {
    text.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    })
}

/// Base58 with the Bitcoin alphabet, as long as an identity or SHA-256 multihash.
fn is_peer_text(text: &str) -> bool {
    (46..=52).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() && !b"0OIl".contains(&byte))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

crate::checked_codec!(Address, String, |address| address.as_str(), |text| text.parse());
text_serde!(Address);

/// What stands before the Ed25519 key: identity multihash (0x00) of 0x24 bytes, the protobuf
/// `PublicKey { Type: Ed25519 (0x08 0x01), Data: 0x20 bytes (0x12 0x20) }`.
const PEER_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
const PEER_BYTES: usize = PEER_PREFIX.len() + 32;

/// A libp2p peer identifier made of an Ed25519 key: 38 bytes, the identity multihash of the
/// key's protobuf form (libp2p specification `peer-ids`). Text form: hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayPeer([u8; 32]);

impl GatewayPeer {
    /// The identifier of the gateway that holds this Ed25519 key.
    #[must_use]
    pub const fn from_ed25519(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The identifier with these multihash bytes, as `PeerId::to_bytes` gives them.
    ///
    /// # Errors
    /// `Q-1212` for any other kind of multihash or key.
    pub fn from_multihash(bytes: &[u8]) -> Result<Self, Refusal> {
        let key = bytes
            .strip_prefix(PEER_PREFIX.as_slice())
            .and_then(|key| <[u8; 32]>::try_from(key).ok());
        match key {
            Some(key) => Ok(Self(key)),
            None => crate::refuse!(BadAddress, "{} bytes, not an Ed25519 peer", bytes.len()),
        }
    }

    /// The 38 multihash bytes, for `PeerId::from_bytes`.
    #[must_use]
    pub fn to_multihash(&self) -> [u8; PEER_BYTES] {
        let mut bytes = [0; PEER_BYTES];
        for (slot, byte) in bytes.iter_mut().zip(PEER_PREFIX.iter().chain(&self.0)) {
            *slot = *byte;
        }
        bytes
    }

    /// The Ed25519 key.
    #[must_use]
    pub const fn ed25519(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for GatewayPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.to_multihash()))
    }
}

impl fmt::Debug for GatewayPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

crate::checked_codec!(GatewayPeer, [u8; PEER_BYTES], |peer| peer.to_multihash(), |bytes| {
    GatewayPeer::from_multihash(&bytes)
});
