use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use ml_dsa::signature::{Keypair, Verifier};
use ml_dsa::{MlDsa65, Signature as MlDsaSignature};
use pqcrypto_dilithium::dilithium3;
use pqcrypto_traits::sign::{DetachedSignature as _, PublicKey as _, SecretKey as _};
use sha2::{Digest, Sha256, Sha512};

use super::secret::{ml_dsa_65_from_seed, sign_dilithium3, sign_ml_dsa_65};
use super::verify::{verify_dilithium3, verify_ml_dsa_65};
use super::*;

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).expect("hexadecimal")
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().expect("the vector's length")
}

/// RFC 8032, section 7.1, tests 1 to 3: secret, public, message, signature.
#[test]
fn ed25519_gives_the_answers_of_rfc_8032() {
    let vectors = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            concat!(
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
                "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
            ),
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            concat!(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            ),
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            concat!(
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac",
                "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
            ),
        ),
    ];
    for (secret, public, message, signature) in vectors {
        let key = SigningKey::from_bytes(&array(secret));
        assert_eq!(hex::encode(key.verifying_key().to_bytes()), public);
        let made = key.sign(&bytes(message));
        assert_eq!(hex::encode(made.to_bytes()), signature);
        assert!(key.verifying_key().verify_strict(&bytes(message), &made).is_ok());
    }
}

/// NIST's ACVP vectors for ML-DSA-keyGen-FIPS204, ML-DSA-65, test case 26.
#[test]
fn ml_dsa_65_grows_the_key_of_acvp() {
    let seed = array("1bd67dc782b2958e189e315c040dd1f64c8ab232a6a170e1a7a52c33f10851b1");
    let pair = ml_dsa_65_from_seed(&seed);
    let public = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref();
    let first = bytes("43ad6560d3bb684667a559ee6ec7c816020e5b65671f270f2353a8c912b6c26b");
    let last = bytes("486432b090f0cce86aa84b661ff22d4a56035e821a1ce30f33afeb6c7b8fa9ce");
    assert!(public.starts_with(&first) && public.ends_with(&last));
    assert_eq!(
        hex::encode(Sha256::digest(public)),
        "6fb1146b85539fb5c53d35b66dae94202fcd5575a537172cf1156220476f7920"
    );
}

/// Two independent implementations of FIPS 204 accept one another's signatures.
#[test]
fn ml_dsa_65_agrees_with_a_second_implementation() {
    for number in 0..8_u8 {
        let (seed, message) = ([number; 32], [number; 49]);
        let ours = ml_dsa_65_from_seed(&seed);
        let public = aws_lc_rs::signature::KeyPair::public_key(&ours).as_ref();
        let theirs = ml_dsa::SigningKey::<MlDsa65>::from_seed(&seed.into());
        assert_eq!(public, theirs.verifying_key().encode().as_slice());

        let made = sign_ml_dsa_65(&ours, &message);
        let read = MlDsaSignature::<MlDsa65>::try_from(made.as_slice()).expect("well-formed");
        assert!(theirs.verifying_key().verify(&message, &read).is_ok());
        assert!(theirs.verifying_key().verify(b"other", &read).is_err());

        let made = theirs.sign(&message).encode();
        assert!(verify_ml_dsa_65(public, &message, &made).is_ok());
        assert!(verify_ml_dsa_65(public, b"other", &made).is_err());
    }
}

struct Stored {
    secret: Vec<u8>,
    public: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

fn stored_dilithium3() -> Stored {
    let text = include_str!("../../../../tests/vectors/dilithium3.txt");
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        bytes(line.trim())
    };
    Stored {
        secret: field("sk "),
        public: field("pk "),
        message: field("msg "),
        signature: field("sig "),
    }
}

/// Made once with `make_the_stored_dilithium3_vector`: what networks signed must stay valid.
#[test]
fn dilithium3_verifies_the_stored_signature() {
    let Stored { secret, public, message, signature } = stored_dilithium3();
    assert!(verify_dilithium3(&public, &message, &signature).is_ok());
    assert!(verify_dilithium3(&public, b"other", &signature).is_err());
    let again = sign_dilithium3(&secret, &message);
    assert!(verify_dilithium3(&public, &message, again.as_bytes()).is_ok());
}

/// Same lengths, another algorithm: a signature of one never passes for the other's.
#[test]
fn dilithium3_is_not_ml_dsa_65() {
    let Stored { public, message, signature, .. } = stored_dilithium3();
    assert!(verify_ml_dsa_65(&public, &message, &signature).is_err());

    let pair = ml_dsa_65_from_seed(&[1; 32]);
    let public = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref();
    let made = sign_ml_dsa_65(&pair, &message);
    assert!(verify_ml_dsa_65(public, &message, &made).is_ok());
    assert!(verify_dilithium3(public, &message, &made).is_err());
}

#[test]
fn halves_of_a_wrong_length_are_refused() {
    let Stored { public, message, signature, .. } = stored_dilithium3();
    let (short, _) = signature.split_at(3308);
    assert!(verify_dilithium3(&public, &message, short).is_err());
    assert!(verify_dilithium3(&public[1..], &message, &signature).is_err());
    assert!(verify_ml_dsa_65(&public, &message, short).is_err());
    assert!(verify_ml_dsa_65(&public[1..], &message, &signature).is_err());
    assert!(verify_ml_dsa_65(&[], &message, &[]).is_err());
}

#[test]
#[ignore = "prints a new vector for tests/vectors/dilithium3.txt"]
fn make_the_stored_dilithium3_vector() {
    let (public, secret) = dilithium3::keypair();
    let message = b"Quadrille: Dilithium3, round 3";
    let signature = dilithium3::detached_sign(message, &secret);
    println!("sk {}", hex::encode(secret.as_bytes()));
    println!("pk {}", hex::encode(public.as_bytes()));
    println!("msg {}", hex::encode(message));
    println!("sig {}", hex::encode(signature.as_bytes()));
}

fn ed25519_verdict(key: [u8; 32], message: &[u8], signature: [u8; 64]) -> Result<(), Code> {
    let key = PublicKey::from_parts(Suite::Ed25519, key, &[]).expect("lengths");
    let signature = Signature::from_parts(Suite::Ed25519, signature, &[]).expect("lengths");
    check(&key, Tag::Order, message, &signature)
}

/// Under a key of small order one signature fits (nearly) every message.
#[test]
fn keys_of_small_order_are_refused() {
    for point in EIGHT_TORSION {
        let key = point.compress().to_bytes();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&key);
        assert_eq!(ed25519_verdict(key, b"pay", signature), Err(Code::BadKey));
    }
    assert_eq!(ed25519_verdict([2; 32], b"pay", [0; 64]), Err(Code::BadKey), "no point at all");
}

/// Adding the group's order to a signature's scalar makes other bytes of the same meaning.
#[test]
fn a_signature_has_one_form() {
    let order = array::<32>("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let Keys { one, .. } = keys(Suite::Ed25519);
    let mut signature = *one.sign(Tag::Order, b"pay").ed25519();
    let mut carry = 0_u16;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let [low, high] = (u16::from(*byte) + u16::from(add) + carry).to_le_bytes();
        *byte = low;
        carry = u16::from(high);
    }
    let key = *one.public().ed25519();
    assert_eq!(ed25519_verdict(key, b"pay", signature), Err(Code::BadSignature));
}

/// A signature by `secret` whose commitment has a component of order two added to it.
fn signature_with_torsion(secret: Scalar, nonce: Scalar, statement: &[u8]) -> [u8; 64] {
    let public = (ED25519_BASEPOINT_POINT * secret).compress();
    let commitment = (ED25519_BASEPOINT_POINT * nonce + EIGHT_TORSION[4]).compress();
    let mut state = Sha512::new();
    state.update(commitment.as_bytes());
    state.update(public.as_bytes());
    state.update(statement);
    let challenge = Scalar::from_bytes_mod_order_wide(&state.finalize().into());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(commitment.as_bytes());
    signature[32..].copy_from_slice((nonce + challenge * secret).as_bytes());
    signature
}

/// Why Ed25519 halves are not checked by the batch equation: a signer with a perfectly good key
/// makes signatures that a batch lets through every other time and the strict check never.
#[test]
fn the_batch_equation_accepts_what_the_strict_one_refuses() {
    let secret = Scalar::from(1_234_567_u64);
    let key = (ED25519_BASEPOINT_POINT * secret).compress().to_bytes();
    let point = VerifyingKey::from_bytes(&key).expect("a point");
    assert!(!point.is_weak());
    let public = PublicKey::from_parts(Suite::Ed25519, key, &[]).expect("lengths");
    let mut accepted_in_batch = 0_u32;
    for number in 1..=32_u8 {
        let message = [number];
        let statement = statement(&public, Tag::Order, &message);
        let signature = signature_with_torsion(secret, Scalar::from(number), &statement);
        let half = ed25519_dalek::Signature::from_bytes(&signature);
        if ed25519_dalek::verify_batch(&[&statement], &[half], &[point]).is_ok() {
            accepted_in_batch += 1;
        }
        let signature = Signature::from_parts(Suite::Ed25519, signature, &[]).expect("lengths");
        let item =
            Signed { key: &public, tag: Tag::Order, message: &message, signature: &signature };
        let verdicts = HybridSignatures.verify_batch(&[item]);
        assert!(
            matches!(verdicts.as_slice(), [Err(refusal)] if refusal.code == Code::BadSignature)
        );
    }
    assert!((4..=28).contains(&accepted_in_batch), "{accepted_in_batch} of 32");
}
