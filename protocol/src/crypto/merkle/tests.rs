#![allow(clippy::arithmetic_side_effects, reason = "small numbers in tests")]

use proptest::prelude::*;

use super::*;
use crate::error::Code;

fn leaves(count: u32) -> Vec<Hash> {
    let entropy = [0x42; 32];
    derive_salts(&entropy, count as usize)
        .iter()
        .zip(0u32..)
        .map(|(salt, index)| leaf(salt, &index.to_le_bytes()))
        .collect()
}

/// RFC 6962, section 2.1, written down as it stands there: an independent second form.
fn rfc_6962_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => hash(Tag::Node, &[]),
        [alone] => *alone,
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(split);
            node(&rfc_6962_root(left), &rfc_6962_root(right))
        }
    }
}

fn chosen(leaves: &[Hash], indices: &[u32]) -> Vec<(u32, Hash)> {
    indices.iter().map(|index| (*index, leaves[*index as usize])).collect()
}

fn refused(result: Result<Hash, Refusal>) -> bool {
    result.is_err_and(|refusal| refusal.code == Code::BadProof)
}

/// A tree's leaves and a set of them, in rising order.
fn tree_and_set() -> impl Strategy<Value = (u32, Vec<u32>)> {
    (1_u32..=300).prop_flat_map(|count| {
        let few = proptest::collection::btree_set(0..count, 1..=(count.min(40) as usize));
        (Just(count), few.prop_map(|set| set.into_iter().collect()))
    })
}

/// The expected values come from an independent computation with Python's `hashlib`.
#[test]
fn formats_are_pinned() {
    let five: Vec<Hash> = (0_u8..5).map(|index| leaf(&Salt([index; 16]), &[index])).collect();
    assert_eq!(
        Tree::new(five).root().to_string(),
        "sha256:5d7bbaa96a2892e1278a5f25b606bc7d1ce8d8e6ef136fc3935d6a82a04283ef"
    );
    assert_eq!(
        Tree::new(Vec::new()).root().to_string(),
        "sha256:0bbcbc53cdc2c304d47d22346496403bebf53ba30ecd0f3f826e09fad5e88306"
    );
    assert_eq!(hex::encode(derive_salts(&[7; 32], 4)[3].0), "fb026cc094b7038371106880e7468195");
}

#[test]
fn the_shape_is_that_of_rfc_6962() {
    for count in 0..=130 {
        let leaves = leaves(count);
        let tree = Tree::new(leaves.clone());
        assert_eq!(tree.root(), rfc_6962_root(&leaves), "{count} leaves");
        assert_eq!(tree.count(), count as usize);
    }
}

#[test]
fn every_set_of_a_small_tree_is_proved_by_one_proof_only() {
    for count in 1..=9_u32 {
        let leaves = leaves(count);
        let tree = Tree::new(leaves.clone());
        for set in 1..(1_u32 << count) {
            let indices: Vec<u32> = (0..count).filter(|index| set >> index & 1 == 1).collect();
            let mut proof = tree.prove(&indices);
            let shown = chosen(&leaves, &indices);
            assert_eq!(root_from(count, &shown, &proof), Ok(tree.root()));
            proof.push(Hash::ZERO);
            assert!(refused(root_from(count, &shown, &proof)), "one too many");
            proof.pop();
            if proof.pop().is_some() {
                assert!(refused(root_from(count, &shown, &proof)), "one too few");
            }
        }
    }
}

#[test]
fn malformed_proofs_are_refused() {
    let leaves = leaves(5);
    let proof = Tree::new(leaves.clone()).prove(&[1, 4]);
    let (one, four) = ((1, leaves[1]), (4, leaves[4]));
    assert!(refused(root_from(5, &[], &proof)), "no leaves");
    assert!(refused(root_from(0, &[], &[])), "no tree");
    assert!(refused(root_from(5, &[four, one], &proof)), "out of order");
    assert!(refused(root_from(5, &[one, one, four], &proof)), "twice the same");
    assert!(refused(root_from(4, &[one, four], &proof)), "out of range");
    assert!(refused(root_from(u32::MAX, &[one, four], &proof)), "a giant tree");
    assert!(narrow(5, &[one, four], &proof, 2).is_err(), "not among the leaves");
    assert!(narrow(5, &[one, four], &[], 1).is_err(), "too few hashes");
}

#[test]
fn the_largest_counts_do_not_overflow() {
    let path = vec![Hash::ZERO; 32];
    let last = u32::MAX - 1;
    assert!(root_from(u32::MAX, &[(0, Hash::ZERO)], &path).is_ok());
    // The last of an odd number of leaves has no sibling on the lowest level.
    assert!(root_from(u32::MAX, &[(last, Hash::ZERO)], &path[1..]).is_ok());
    assert!(narrow(u32::MAX, &[(last, Hash::ZERO)], &path[1..], last).is_ok());
}

#[test]
fn an_inner_node_does_not_pass_for_a_leaf() {
    let leaves = leaves(4);
    let inner = node(&leaves[2], &leaves[3]);
    let content = [leaves[2].0, leaves[3].0].concat();
    assert_ne!(leaf(&Salt::default(), &content), inner);
    assert_ne!(hash(Tag::Leaf, &[&leaves[2].0, &leaves[3].0]), inner);
}

/// Why the count is signed beside the root: with another count, the hash of an inner node could be
/// called a leaf's. (Nobody could show that leaf's content.)
#[test]
fn the_root_does_not_contain_the_count() {
    let leaves = leaves(4);
    let tree = Tree::new(leaves.clone());
    let inner = node(&leaves[2], &leaves[3]);
    let claimed = root_from(3, &[(0, leaves[0]), (2, inner)], &[leaves[1]]);
    assert_eq!(claimed, Ok(tree.root()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn sets_are_proved_and_narrowed((count, indices) in tree_and_set()) {
        let leaves = leaves(count);
        let tree = Tree::new(leaves.clone());
        let shown = chosen(&leaves, &indices);
        let proof = tree.prove(&indices);
        prop_assert_eq!(root_from(count, &shown, &proof), Ok(tree.root()));
        for index in &indices {
            let single = narrow(count, &shown, &proof, *index).unwrap();
            prop_assert_eq!(&single, &tree.prove(&[*index]));
            let alone = [(*index, leaves[*index as usize])];
            prop_assert_eq!(root_from(count, &alone, &single), Ok(tree.root()));
        }
    }

    #[test]
    fn what_was_changed_does_not_lead_to_the_root(
        (count, indices) in tree_and_set(),
        place in any::<prop::sample::Index>(),
        bit in 0_usize..256,
        other in 0_u32..300,
    ) {
        let leaves = leaves(count);
        let tree = Tree::new(leaves.clone());
        let proof = tree.prove(&indices);
        let shown = chosen(&leaves, &indices);
        let good = Ok(tree.root());

        let mut changed = shown.clone();
        place.get_mut(&mut changed).1.0[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(root_from(count, &changed, &proof), good.clone(), "a leaf");

        let mut moved = shown.clone();
        let index = &mut place.get_mut(&mut moved).0;
        if *index != other {
            *index = other;
            prop_assert_ne!(root_from(count, &moved, &proof), good.clone(), "an index");
        }
        let mut fewer = shown.clone();
        fewer.remove(place.index(shown.len()));
        prop_assert_ne!(root_from(count, &fewer, &proof), good.clone(), "a leaf left out");

        if !proof.is_empty() {
            let mut changed = proof.clone();
            place.get_mut(&mut changed).0[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(root_from(count, &shown, &changed), good.clone(), "a hash");
            let mut fewer = proof.clone();
            fewer.remove(place.index(proof.len()));
            prop_assert!(refused(root_from(count, &shown, &fewer)), "a hash left out");
        }
    }

    /// All the leaves together are proved by no hash at all, under one count only.
    #[test]
    fn a_whole_tree_has_one_count(count in 1_u32..=300, other in 0_u32..=600) {
        let leaves = leaves(count);
        let indices: Vec<u32> = (0..count).collect();
        let root = root_from(other, &chosen(&leaves, &indices), &[]);
        prop_assert_eq!(root.is_ok(), other == count);
    }

    #[test]
    fn arbitrary_input_is_answered(
        count in any::<u32>(),
        leaves in proptest::collection::vec((any::<u32>(), any::<[u8; 32]>()), 0..6),
        proof in proptest::collection::vec(any::<[u8; 32]>(), 0..40),
        index in any::<u32>(),
    ) {
        let mut leaves: Vec<_> = leaves.into_iter().map(|(at, hash)| (at, Hash(hash))).collect();
        let proof: Vec<_> = proof.into_iter().map(Hash).collect();
        let _ = root_from(count, &leaves, &proof);
        leaves.sort();
        let _ = root_from(count, &leaves, &proof);
        let _ = narrow(count, &leaves, &proof, index);
    }
}
