#![allow(clippy::arithmetic_side_effects, reason = "small numbers in tests")]

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::codec;

/// What the algorithms answer to published and stored vectors.
mod vectors;

struct Keys {
    one: SecretKey,
    other: SecretKey,
}

/// Two keys of each suite.
static KEYS: LazyLock<[Keys; 3]> = LazyLock::new(|| {
    Suite::ALL.map(|suite| Keys {
        one: SecretKey::generate(suite, &[1; 32]),
        other: SecretKey::generate(suite, &[2; 32]),
    })
});

fn keys(suite: Suite) -> &'static Keys {
    KEYS.iter().find(|keys| keys.one.suite() == suite).expect("every suite has keys")
}

fn check(key: &PublicKey, tag: Tag, message: &[u8], signature: &Signature) -> Result<(), Code> {
    HybridSignatures.verify(key, tag, message, signature).map_err(|refusal| refusal.code)
}

/// A signature with the halves of two others.
fn joined(ed25519: &Signature, post_quantum: &Signature) -> Signature {
    Signature::from_parts(ed25519.suite(), *ed25519.ed25519(), post_quantum.post_quantum())
        .expect("of one suite")
}

fn any_suite() -> impl Strategy<Value = Suite> {
    prop::sample::select(Suite::ALL.to_vec())
}

fn hybrid_suite() -> impl Strategy<Value = Suite> {
    prop::sample::select(vec![Suite::HybridMlDsa65, Suite::HybridDilithium3])
}

#[test]
fn suites_have_numbers_and_names() {
    for suite in Suite::ALL {
        assert_eq!(Suite::from_number(suite.number()), Ok(suite));
        assert_eq!(suite.to_string().parse::<Suite>(), Ok(suite));
        assert_eq!(codec::encode(&suite), [suite.number()]);
    }
    for number in [0, 4, 255] {
        assert_eq!(Suite::from_number(number).map_err(|e| e.code), Err(Code::UnknownSuite));
        assert!(codec::decode::<Suite, 1>(&[number]).is_err());
    }
    assert_eq!("rsa".parse::<Suite>().map_err(|e| e.code), Err(Code::UnknownSuite));
}

/// The expected values come from an independent computation with Python's `hashlib`.
#[test]
fn formats_are_pinned() {
    let key = PublicKey::from_parts(Suite::Ed25519, [2; 32], &[]).expect("lengths");
    assert_eq!(
        key.id().to_string(),
        "key:e3f1a0e206a46502c0c2a8ef722cf77fcae0d2805fd701a432e771b08718c045"
    );
    assert_eq!(
        hex::encode(statement(&key, Tag::Order, b"message")),
        concat!(
            "7175616472696c6c652f6f726465720003",
            "465632afca0270569dcdce0f24613e18f46f6a716a86a9aaaebc1c94a342d0c3"
        )
    );
    let seed = [1; 32];
    assert_eq!(
        hex::encode(&SecretKey::generate(Suite::Ed25519, &seed).to_bytes()[1..]),
        "65de863549e332d2cdc65107f19fadf7fc3d968e69637030a6552ef29344e44e"
    );
    assert_eq!(
        hex::encode(&SecretKey::generate(Suite::HybridMlDsa65, &seed).to_bytes()[33..]),
        "4692f0375a1f2d7058fb1be4f452f58a679cda1c85e759c895714eeaf554a5a1"
    );
}

#[test]
fn a_signature_is_for_its_purpose_only() {
    for Keys { one, .. } in KEYS.iter() {
        let signature = one.sign(Tag::Order, b"pay");
        for tag in Tag::ALL {
            let expected = if *tag == Tag::Order { Ok(()) } else { Err(Code::BadSignature) };
            assert_eq!(check(one.public(), *tag, b"pay", &signature), expected);
        }
    }
}

#[test]
fn lengths_are_those_of_the_suite() {
    for suite in Suite::ALL {
        let (key, signature) =
            (suite.post_quantum_key_bytes(), suite.post_quantum_signature_bytes());
        for wrong in [0, 1, key.saturating_sub(1), key.saturating_add(1), 4096, 5000] {
            let made = PublicKey::from_parts(suite, [0; 32], &vec![0; wrong]);
            assert_eq!(made.is_ok(), wrong == key, "{suite} {wrong}");
        }
        for wrong in [0, 1, signature.saturating_sub(1), signature.saturating_add(1), 8192, 9000] {
            let made = Signature::from_parts(suite, [0; 64], &vec![0; wrong]);
            assert_eq!(made.is_ok(), wrong == signature, "{suite} {wrong}");
        }
    }
    let bare = (Suite::HybridMlDsa65, [0_u8; 64], Vec::<u8>::new());
    assert!(codec::decode::<Signature, 8192>(&codec::encode(&bare)).is_err());
    let bare = (Suite::HybridMlDsa65, [0_u8; 32], Vec::<u8>::new());
    assert!(codec::decode::<PublicKey, 4096>(&codec::encode(&bare)).is_err());
}

#[test]
fn the_longest_values_fit_their_limits() {
    let Keys { one, .. } = keys(Suite::HybridMlDsa65);
    assert!(codec::encode(one.public()).len() <= limits::PUBLIC_KEY_BYTES);
    assert!(codec::encode(&one.sign(Tag::Order, b"")).len() <= limits::SIGNATURE_BYTES);
}

#[test]
fn the_codec_keeps_values() {
    for Keys { one, .. } in KEYS.iter() {
        let bytes = codec::encode(one.public());
        let key = codec::decode::<PublicKey, { limits::PUBLIC_KEY_BYTES }>(&bytes);
        assert_eq!(key.as_ref(), Ok(one.public()));
        assert_eq!(key.map(|key| key.id()), Ok(one.public().id()));
        let signature = one.sign(Tag::Order, b"pay");
        let bytes = codec::encode(&signature);
        assert_eq!(codec::decode::<Signature, { limits::SIGNATURE_BYTES }>(&bytes), Ok(signature));
    }
}

/// The two hybrid suites have halves of the same lengths: only the suite tells them apart.
#[test]
fn halves_cannot_be_moved_between_suites() {
    let signatures = KEYS.each_ref().map(|keys| keys.one.sign(Tag::Order, b"pay"));
    for keys in KEYS.iter() {
        for signature in &signatures {
            let expected = if signature.suite() == keys.one.suite() {
                Ok(())
            } else {
                Err(Code::SuiteMismatch)
            };
            assert_eq!(check(keys.one.public(), Tag::Order, b"pay", signature), expected);
        }
    }
    let (one, two) = (&keys(Suite::HybridMlDsa65).one, &keys(Suite::HybridDilithium3).one);
    let signature = one.sign(Tag::Order, b"pay");
    // The same halves under the name of the other suite, key and signature alike.
    let key = one.public();
    let renamed_key =
        PublicKey::from_parts(two.suite(), *key.ed25519(), key.post_quantum()).expect("lengths");
    let renamed =
        Signature::from_parts(two.suite(), *signature.ed25519(), signature.post_quantum())
            .expect("lengths");
    assert_ne!(renamed_key.id(), key.id());
    assert_eq!(check(&renamed_key, Tag::Order, b"pay", &renamed), Err(Code::BadSignature));
    // The Ed25519 half alone, under the same Ed25519 key.
    let alone = PublicKey::from_parts(Suite::Ed25519, *key.ed25519(), &[]).expect("lengths");
    let half = Signature::from_parts(Suite::Ed25519, *signature.ed25519(), &[]).expect("lengths");
    assert_eq!(check(&alone, Tag::Order, b"pay", &half), Err(Code::BadSignature));
}

/// A hybrid key of somebody's Ed25519 half and somebody else's post-quantum half is a third key.
#[test]
fn halves_of_two_signers_do_not_make_a_third() {
    for suite in [Suite::HybridMlDsa65, Suite::HybridDilithium3] {
        let Keys { one, other } = keys(suite);
        let (left, right) = (one.sign(Tag::Order, b"pay"), other.sign(Tag::Order, b"pay"));
        let mixed =
            PublicKey::from_parts(suite, *one.public().ed25519(), other.public().post_quantum())
                .expect("lengths");
        let signature = joined(&left, &right);
        assert_eq!(check(&mixed, Tag::Order, b"pay", &signature), Err(Code::BadSignature));
    }
}

#[test]
fn a_half_of_zeros_is_no_half() {
    for suite in [Suite::HybridMlDsa65, Suite::HybridDilithium3] {
        let Keys { one, .. } = keys(suite);
        let signature = one.sign(Tag::Order, b"pay");
        let zeros = vec![0; suite.post_quantum_signature_bytes()];
        let classical =
            Signature::from_parts(suite, *signature.ed25519(), &zeros).expect("lengths");
        let quantum =
            Signature::from_parts(suite, [0; 64], signature.post_quantum()).expect("lengths");
        for half in [classical, quantum] {
            assert_eq!(check(one.public(), Tag::Order, b"pay", &half), Err(Code::BadSignature));
        }
    }
}

#[test]
fn the_stored_form_brings_the_key_back() {
    for Keys { one, .. } in KEYS.iter() {
        let bytes = one.to_bytes();
        let again = SecretKey::from_bytes(&bytes).expect("as stored");
        assert_eq!(again.public(), one.public());
        assert_eq!(again.to_bytes(), bytes);
        let signature = again.sign(Tag::Order, b"pay");
        assert_eq!(check(one.public(), Tag::Order, b"pay", &signature), Ok(()));
        for length in [0, 1, 32, 33, 64, bytes.len().saturating_sub(1)] {
            if length < bytes.len() {
                assert!(SecretKey::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
            }
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(SecretKey::from_bytes(&longer).is_err());
    }
    assert!(SecretKey::from_bytes(&[9; 65]).is_err(), "an unknown suite");
}

#[test]
fn a_stored_pair_that_does_not_belong_together_is_refused() {
    let Keys { one, other } = keys(Suite::HybridDilithium3);
    let (one, other) = (one.to_bytes(), other.to_bytes());
    let split = 33 + ML_DSA_65_KEY_BYTES;
    let mixed = [&one[..split], &other[split..]].concat();
    let refusal = SecretKey::from_bytes(&mixed).expect_err("two halves of two pairs");
    assert_eq!(refusal.code, Code::BadKey);
}

#[test]
fn keys_grow_from_their_seed() {
    for suite in [Suite::HybridMlDsa65, Suite::Ed25519] {
        let again = SecretKey::generate(suite, &[1; 32]);
        assert_eq!(again.public(), keys(suite).one.public());
        assert_ne!(again.public(), keys(suite).other.public());
    }
    let [one, two, three] = KEYS.each_ref().map(|keys| *keys.one.public().ed25519());
    assert!(one != two && two != three && one != three, "one seed, unrelated keys");
}

#[test]
fn secrets_are_not_shown() {
    for Keys { one, .. } in KEYS.iter() {
        let shown = format!("{one:?}");
        let secret = hex::encode(&one.to_bytes()[1..9]);
        assert!(shown.starts_with("SecretKey(hidden"), "{shown}");
        assert!(!shown.contains(&secret), "{shown}");
        let signature = format!("{:?}", one.sign(Tag::Order, b"pay"));
        assert!(signature.len() < 60, "{signature}");
    }
}

#[test]
fn a_batch_gives_the_verdicts_of_single_checks() {
    let messages: Vec<[u8; 1]> = (0..12).map(|number| [number]).collect();
    let mut signed = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let Keys { one, other } = &KEYS[index % 3];
        let signer = if index % 4 == 3 { other } else { one };
        signed.push((one.public(), message, signer.sign(Tag::Order, message)));
    }
    let items: Vec<Signed<'_>> = signed
        .iter()
        .map(|(key, message, signature)| Signed {
            key,
            tag: Tag::Order,
            message: message.as_slice(),
            signature,
        })
        .collect();
    let verdicts = HybridSignatures.verify_batch(&items);
    assert_eq!(verdicts.len(), items.len());
    for (index, (verdict, item)) in verdicts.into_iter().zip(&items).enumerate() {
        assert_eq!(verdict.is_ok(), index % 4 != 3);
        let single = HybridSignatures.verify(item.key, item.tag, item.message, item.signature);
        assert_eq!(verdict, single);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_signed_verifies_and_nothing_else(
        suite in any_suite(),
        message in proptest::collection::vec(any::<u8>(), 0..300),
        another in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let Keys { one, other } = keys(suite);
        let signature = one.sign(Tag::Order, &message);
        prop_assert_eq!(check(one.public(), Tag::Order, &message, &signature), Ok(()));
        prop_assert_eq!(
            check(other.public(), Tag::Order, &message, &signature),
            Err(Code::BadSignature)
        );
        if another != message {
            prop_assert_eq!(
                check(one.public(), Tag::Order, &another, &signature),
                Err(Code::BadSignature)
            );
        }
    }

    #[test]
    fn a_half_from_elsewhere_never_verifies(
        suite in hybrid_suite(),
        message in any::<[u8; 8]>(),
        another in any::<[u8; 8]>(),
    ) {
        prop_assume!(message != another);
        let Keys { one, other } = keys(suite);
        let good = one.sign(Tag::Order, &message);
        let elsewhere = [
            one.sign(Tag::Order, &another),
            other.sign(Tag::Order, &message),
            one.sign(Tag::Take, &message),
        ];
        for foreign in elsewhere {
            for mixed in [joined(&good, &foreign), joined(&foreign, &good)] {
                prop_assert_eq!(
                    check(one.public(), Tag::Order, &message, &mixed),
                    Err(Code::BadSignature)
                );
            }
        }
    }

    #[test]
    fn a_flipped_bit_never_verifies(
        suite in any_suite(),
        message in any::<[u8; 16]>(),
        place in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let Keys { one, .. } = keys(suite);
        let signature = one.sign(Tag::Order, &message);
        let flip = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            *place.get_mut(&mut bytes) ^= 1 << bit;
            bytes
        };
        let changed = flip(&message);
        prop_assert!(check(one.public(), Tag::Order, &changed, &signature).is_err(), "message");

        let changed = flip(&codec::encode(&signature));
        if let Ok(changed) = codec::decode::<Signature, { limits::SIGNATURE_BYTES }>(&changed) {
            let verdict = check(one.public(), Tag::Order, &message, &changed);
            prop_assert!(verdict.is_err(), "signature");
        }
        let ed25519: [u8; 64] = flip(signature.ed25519()).try_into().unwrap();
        let changed = Signature::from_parts(suite, ed25519, signature.post_quantum()).unwrap();
        prop_assert!(check(one.public(), Tag::Order, &message, &changed).is_err(), "Ed25519");

        let changed = flip(&codec::encode(one.public()));
        if let Ok(changed) = codec::decode::<PublicKey, { limits::PUBLIC_KEY_BYTES }>(&changed) {
            prop_assert!(check(&changed, Tag::Order, &message, &signature).is_err(), "key");
            prop_assert_ne!(changed.id(), one.public().id());
        }
    }

    #[test]
    fn arbitrary_bytes_are_answered(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..4000),
        suite in 0_u8..5,
        halves in any::<([u8; 32], [u8; 32], [u8; 32])>(),
    ) {
        let _ = codec::decode::<Signature, { limits::SIGNATURE_BYTES }>(&bytes);
        let _ = SecretKey::from_bytes(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = suite;
        }
        let _ = codec::decode::<PublicKey, { limits::PUBLIC_KEY_BYTES }>(&bytes);
        let _ = SecretKey::from_bytes(&bytes);

        let (point, left, right) = halves;
        let signature: [u8; 64] = [left, right].concat().try_into().unwrap();
        for suite in Suite::ALL {
            let key = vec![left[0]; suite.post_quantum_key_bytes()];
            let key = PublicKey::from_parts(suite, point, &key).unwrap();
            let half = vec![right[0]; suite.post_quantum_signature_bytes()];
            let signature = Signature::from_parts(suite, signature, &half).unwrap();
            prop_assert!(check(&key, Tag::Order, &bytes, &signature).is_err());
        }
    }
}
