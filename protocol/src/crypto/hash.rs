//! Hashes with a purpose, hash locks and the preimages behind them.
//!
//! Invariants:
//! * [`hash`] is injective up to SHA-256: the purpose comes first, then each part behind its
//!   length, so no two lists of parts feed the function the same bytes.
//! * [`hash_lock`] alone carries no tag: it must equal what a hash-time-lock contract on another
//!   platform computes.

use std::fmt;

use bincode::{Decode, Encode};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::codec;
use crate::types::Hash;

pub use crate::types::HashLock;

macro_rules! tags {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {
        /// What a hash or signature is for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Tag {
            $($(#[$doc])* $name,)*
        }

        impl Tag {
            /// Every tag.
            pub const ALL: &'static [Tag] = &[$(Tag::$name,)*];

            /// The 16 bytes that come first in whatever is hashed or signed for this purpose.
            #[must_use]
            pub const fn prefix(self) -> &'static [u8; TAG_BYTES] {
                match self { $(Tag::$name => $prefix,)* }
            }
        }
    };
}

/// Length of a tag's prefix.
pub const TAG_BYTES: usize = 16;

tags! {
    /// A salted leaf of a Merkle tree.
    Leaf b"quadrille/leaf\0\0";
    /// An inner node of a Merkle tree.
    Node b"quadrille/node\0\0";
    /// The salt of a leaf.
    Salt b"quadrille/salt\0\0";
    /// A checkpoint of a domain's log.
    Checkpoint b"quadrille/check\0";
    /// A holder's order.
    Order b"quadrille/order\0";
    /// A take on its way to the maker's validator.
    Take b"quadrille/take\0\0";
    /// An entry of a ledger's chain.
    Entry b"quadrille/entry\0";
    /// A ledger's opening entry.
    Opening b"quadrille/open\0\0";
    /// A settlement's agreement.
    Agreement b"quadrille/agree\0";
    /// The legs of an agreement.
    Legs b"quadrille/legs\0\0";
    /// A validator's list of live offers.
    LiveOffers b"quadrille/offers";
    /// A domain's certificate.
    Certificate b"quadrille/cert\0\0";
    /// Somebody's endorsement of a certificate.
    Endorsement b"quadrille/endors";
    /// A gateway record.
    Gateway b"quadrille/gatewy";
    /// The revocation of a certificate.
    Revocation b"quadrille/revoke";
    /// The rotation of a domain's or ledger's key.
    Rotation b"quadrille/rotate";
    /// A public key, and what is derived from a key's seed.
    Key b"quadrille/key\0\0\0";
    /// An asset's profile.
    AssetProfile b"quadrille/asset\0";
    /// The derivation of a settlement's secret.
    Preimage b"quadrille/secret";
    /// A page of a feed.
    Page b"quadrille/page\0\0";
    /// A validator's whole state.
    State b"quadrille/state\0";
    /// A holder's registration.
    Registration b"quadrille/regist";
    /// A domain's answer about a name.
    Name b"quadrille/name\0\0";
    /// A payload that travels sealed: memo and identities.
    Payload b"quadrille/payld\0";
    /// A holder's personal data with their salt.
    Identity b"quadrille/ident\0";
    /// A leg as booked, one summand of what two banks compare.
    Booked b"quadrille/booked";
    /// The proof that a holder has the key that replaces a lost one.
    Replacement b"quadrille/replac";
}

/// The SHA-256 of `tag`'s prefix and, for each part, its length (`u64`, little-endian) and bytes.
#[must_use]
pub fn hash(tag: Tag, parts: &[&[u8]]) -> Hash {
    // Most of what is hashed is a few hundred bytes: gathered first, it is hashed in one go.
    let mut gathered = [0; GATHERED_BYTES];
    if let Some(bytes) = gather(&mut gathered, tag, parts) {
        return Hash(Sha256::digest(bytes).into());
    }
    let mut state = Sha256::new();
    state.update(tag.prefix());
    for part in parts {
        state.update(length_of(part));
        state.update(part);
    }
    Hash(state.finalize().into())
}

/// As [`hash`] over the canonical bytes of `value` as the only part.
#[must_use]
pub fn hash_of<T: Encode>(tag: Tag, value: &T) -> Hash {
    codec::with_encoded(value, |bytes| hash(tag, &[bytes]))
}

/// The longest input of [`hash`] that is copied together before it is hashed.
const GATHERED_BYTES: usize = 512;

fn length_of(part: &[u8]) -> [u8; 8] {
    // A usize is at most 64 bits wide on every platform there is.
    (part.len() as u64).to_le_bytes()
}

/// What [`hash`] hashes, in one piece; `None` where there is no room for it.
fn gather<'a>(room: &'a mut [u8; GATHERED_BYTES], tag: Tag, parts: &[&[u8]]) -> Option<&'a [u8]> {
    let mut rest = room.as_mut_slice();
    let mut put = |bytes: &[u8]| {
        let (here, after) = std::mem::take(&mut rest).split_at_mut_checked(bytes.len())?;
        here.copy_from_slice(bytes);
        rest = after;
        Some(())
    };
    put(tag.prefix())?;
    for part in parts {
        put(&length_of(part))?;
        put(part)?;
    }
    let used = GATHERED_BYTES.saturating_sub(rest.len());
    room.get(..used)
}

/// The secret of one settlement; whoever shows it can claim what is locked under its hash.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Preimage(pub [u8; 32]);

impl Preimage {
    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Preimage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Preimage(hidden)")
    }
}

/// The hash lock that `preimage` opens: its plain SHA-256.
#[must_use]
pub fn hash_lock(preimage: &Preimage) -> HashLock {
    HashLock(Sha256::digest(preimage.0).into())
}

/// What a domain derives its settlements' secrets from; wiped when dropped.
pub struct PreimageSeed([u8; 32]);

impl PreimageSeed {
    /// A seed of 32 bytes that were drawn at random once and are kept sealed.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Drop for PreimageSeed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for PreimageSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreimageSeed(hidden)")
    }
}

/// The secret with this number: the same after a restart, unlinkable to any other. A number must
/// never be used for two settlements.
#[must_use]
pub fn derive_preimage(seed: &PreimageSeed, number: &[u8]) -> Preimage {
    // Not a plain hash: secrets are shown to others one by one, and none may help to extend to
    // another.
    Preimage(hmac_sha256(&seed.0, &[Tag::Preimage.prefix(), number]))
}

/// HMAC-SHA-256 over `parts` one after the other.
#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
pub(super) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut state = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    for part in parts {
        state.update(part);
    }
    state.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
