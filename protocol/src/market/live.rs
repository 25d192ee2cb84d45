//! The root over a validator's live offers, by which a late joiner knows that it has them all.
//!
//! The validator signs `(root, count)`; the joiner fetches the list and recomputes both. The
//! root is a chain: `root(0)` is 32 zero bytes, `root(i)` the hash of `root(i - 1)` and the
//! canonical bytes of the i-th notice, sorted by offer.
//!
//! Invariant: no other list than the one that was signed verifies; leaving out, altering, adding
//! or moving a notice changes the root.

use super::OfferNotice;
use crate::codec;
use crate::crypto::hash::{Tag, hash};
use crate::error::Refusal;
use crate::limits::LIVE_OFFERS;
use crate::refuse;
use crate::types::{Domain, Hash};

/// The root over `offers`, which one validator published and which come sorted by offer, and
/// how many they are.
#[must_use]
pub fn live_root<'a>(offers: impl IntoIterator<Item = &'a OfferNotice>) -> (Hash, u32) {
    let mut root = Hash::ZERO;
    let mut count: u32 = 0;
    let mut bytes = Vec::new();
    for notice in offers {
        bytes.clear();
        codec::encode_into(notice, &mut bytes);
        root = hash(Tag::LiveOffers, &[root.as_bytes(), &bytes]);
        count = count.saturating_add(1);
    }
    (root, count)
}

/// Checks that `list` is all that `validator` has live, as it signed by `root` and `count`.
///
/// # Errors
/// `Q-1512` the list is too long, names another validator, is not sorted by offer without
/// repetition, or has another root or count.
pub fn verify_live(
    validator: &Domain,
    list: &[OfferNotice],
    root: Hash,
    count: u32,
) -> Result<(), Refusal> {
    if list.len() > LIVE_OFFERS {
        refuse!(BadBookRoot, "{} offers, at most {LIVE_OFFERS}", list.len());
    }
    if let Some(notice) = list.iter().find(|notice| notice.validator != *validator) {
        refuse!(BadBookRoot, "{validator} lists an offer of {}", notice.validator);
    }
    let sorted = list.iter().zip(list.iter().skip(1)).all(|(one, next)| one.offer < next.offer);
    if !sorted {
        refuse!(BadBookRoot, "the list of {validator} is not sorted by offer");
    }
    let (found_root, found_count) = live_root(list);
    if found_root != root || found_count != count {
        refuse!(BadBookRoot, "{found_count} offers of {count}, {found_root} for {root}");
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may overflow: it fails then")]
mod tests;
