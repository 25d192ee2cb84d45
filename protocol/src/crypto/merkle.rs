//! Merkle trees over salted leaves, and proofs for any set of them.
//!
//! The shape is that of RFC 6962: neighbours are paired from the left, level by level, and a node
//! without a neighbour moves up as it is.
//!
//! ```text
//!           root              count = 5
//!         /      \
//!      n0123      |           the proof of leaves {1, 4} is [l0, n23]:
//!      /   \      |           level by level, from left to right, the siblings that cannot
//!    n01   n23    |           be computed from the leaves themselves
//!    / \   / \    |
//!   l0 l1 l2 l3  l4
//! ```
//!
//! Invariants:
//! * Leaves and inner nodes are hashed under different tags, so an inner node never passes for a
//!   leaf.
//! * The number of leaves is not in the root. The shape, and so what a proof proves, depends on
//!   it: whoever signs a root signs the count beside it (a checkpoint does).
//! * Each leaf has a salt of its own: a proof says nothing of the neighbours' content, not even
//!   to one who can guess it.
//! * For a count and a set of leaves there is exactly one proof of a root: no spare hashes.

use bincode::{Decode, Encode};

use super::hash::{Tag, hash};
use crate::error::Refusal;
use crate::refuse;
use crate::types::Hash;

/// What is hashed with a leaf's content to keep it from being guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
pub struct Salt(pub [u8; 16]);

/// The salts of a tree of `count` leaves that was given 32 random bytes: one hash for each pair
/// of leaves, its first half for the left one, its second half for the right one.
///
/// Salts of one tree reveal nothing of one another; `entropy` must never leave the validator.
#[must_use]
pub fn derive_salts(entropy: &[u8; 32], count: usize) -> Vec<Salt> {
    let mut salts = Vec::with_capacity(count.saturating_add(1));
    for pair in 0_u32.. {
        if salts.len() >= count {
            break;
        }
        let Hash(bytes) = hash(Tag::Salt, &[entropy, &pair.to_le_bytes()]);
        salts.extend(bytes.as_chunks().0.iter().copied().map(Salt));
    }
    salts.truncate(count);
    salts
}

/// The hash of a leaf with this salt and content.
#[must_use]
pub fn leaf(salt: &Salt, content: &[u8]) -> Hash {
    hash(Tag::Leaf, &[&salt.0, content])
}

/// The hash of the node above `left` and `right`.
#[must_use]
pub fn node(left: &Hash, right: &Hash) -> Hash {
    hash(Tag::Node, &[&left.0, &right.0])
}

/// A tree with all its levels, to draw proofs from.
#[derive(Debug, Clone)]
pub struct Tree {
    /// From the leaves up to the root; only the tree of no leaves has no level.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// The tree over `leaves`, in linear time.
    #[must_use]
    pub fn new(leaves: Vec<Hash>) -> Self {
        let mut levels = Vec::new();
        let mut level = leaves;
        while level.len() > 1 {
            let above = level
                .chunks(2)
                .filter_map(|pair| match pair {
                    [left, right] => Some(node(left, right)),
                    [alone] => Some(*alone),
                    _ => None,
                })
                .collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        if !level.is_empty() {
            levels.push(level);
        }
        Self { levels }
    }

    /// The number of leaves.
    #[must_use]
    pub fn count(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// The root. A tree of no leaves has one too (the hash of nothing under the nodes' tag), but
    /// nothing can be proved of it.
    #[must_use]
    pub fn root(&self) -> Hash {
        let top = self.levels.last().and_then(|level| level.first());
        top.copied().unwrap_or_else(|| hash(Tag::Node, &[]))
    }

    /// The proof of the leaves with these numbers, which rise strictly and are below the count:
    /// the sibling hashes, level by level, from left to right. Any other numbers give a proof
    /// that [`root_from`] does not accept.
    #[must_use]
    pub fn prove(&self, indices: &[u32]) -> Vec<Hash> {
        let mut proof = Vec::new();
        let mut known = indices.to_vec();
        for level in &self.levels {
            let mut rest = known.iter().copied().peekable();
            let mut above = Vec::with_capacity(known.len());
            while let Some(index) = rest.next() {
                let sibling = index ^ 1;
                if rest.next_if_eq(&sibling).is_none() {
                    // At the right edge there may be no sibling.
                    proof.extend(level.get(sibling as usize));
                }
                above.push(index >> 1);
            }
            known = above;
        }
        proof
    }
}

/// The root of the tree of `count` leaves that has these leaves, by `proof`.
///
/// `leaves` are numbered from 0, in strictly rising order. The caller compares the result with a
/// root that was signed together with `count`.
///
/// # Errors
/// `Q-1105` for no leaves, leaves out of order or range, too few or too many hashes.
pub fn root_from(count: u32, leaves: &[(u32, Hash)], proof: &[Hash]) -> Result<Hash, Refusal> {
    climb(count, leaves, proof, |_, _| {})
}

/// The proof of leaf `index` alone, out of a proof of several leaves that includes it.
///
/// The caller has verified `proof` with [`root_from`]; what comes of one that has not been
/// verified does not lead to the root either.
///
/// # Errors
/// `Q-1105` as [`root_from`], and when `index` is none of `leaves`.
pub fn narrow(
    count: u32,
    leaves: &[(u32, Hash)],
    proof: &[Hash],
    index: u32,
) -> Result<Vec<Hash>, Refusal> {
    if leaves.binary_search_by_key(&index, |(index, _)| *index).is_err() {
        refuse!(BadProof, "leaf {index} is not among those proved");
    }
    let mut path = Vec::new();
    climb(count, leaves, proof, |level, pair| {
        let position = index.checked_shr(level).unwrap_or(0);
        match pair {
            Pair { left: (at, _), right } if at == position => path.push(right),
            Pair { left: (at, hash), .. } if at ^ 1 == position => path.push(hash),
            Pair { .. } => {}
        }
    })?;
    Ok(path)
}

/// Two siblings, with the number of the left one on its level.
struct Pair {
    left: (u32, Hash),
    right: Hash,
}

/// Computes the root, showing `visit` each pair of siblings on the way with its level.
fn climb(
    count: u32,
    leaves: &[(u32, Hash)],
    proof: &[Hash],
    mut visit: impl FnMut(u32, Pair),
) -> Result<Hash, Refusal> {
    check_leaves(count, leaves)?;
    let mut hashes = proof.iter().copied();
    let mut known = leaves.to_vec();
    let mut above = Vec::with_capacity(known.len());
    let mut width = count;
    let mut level = 0_u32;
    while width > 1 {
        let mut rest = known.drain(..).peekable();
        while let Some((index, hash)) = rest.next() {
            let sibling = index ^ 1;
            let beside = rest.next_if(|(next, _)| *next == sibling).map(|(_, hash)| hash);
            let parent = if beside.is_none() && sibling >= width {
                hash
            } else {
                let Some(other) = beside.or_else(|| hashes.next()) else {
                    refuse!(BadProof, "{} hashes are too few", proof.len());
                };
                let (left, right) = if index < sibling { (hash, other) } else { (other, hash) };
                visit(level, Pair { left: (index & !1, left), right });
                node(&left, &right)
            };
            above.push((index >> 1, parent));
        }
        drop(rest);
        std::mem::swap(&mut known, &mut above);
        width = width.div_ceil(2);
        level = level.saturating_add(1);
    }
    match (known.first(), hashes.next()) {
        (Some((_, root)), None) => Ok(*root),
        (Some(_) | None, Some(_)) | (None, None) => {
            refuse!(BadProof, "{} hashes are too many", proof.len())
        }
    }
}

fn check_leaves(count: u32, leaves: &[(u32, Hash)]) -> Result<(), Refusal> {
    let Some((last, _)) = leaves.last() else {
        refuse!(BadProof, "it proves no leaf");
    };
    if *last >= count {
        refuse!(BadProof, "leaf {last} of {count}");
    }
    if !leaves.is_sorted_by(|(left, _), (right, _)| left < right) {
        refuse!(BadProof, "its leaves are out of order");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
