use hpke::rand_core::{TryCryptoRng, TryRng, utils};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use x_wing::Decapsulate;

use super::*;
use crate::codec;

const INFO: &[u8] = b"travel rule";
const AAD: &[u8] = b"agreement 1";

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([3; 32])
}

fn key() -> SealingKey {
    SealingKey::generate(&[1; 32])
}

fn code<T>(result: Result<T, Refusal>) -> Option<Code> {
    result.err().map(|refusal| refusal.code)
}

/// Gives out the bytes of a test vector as if they were random.
struct Given(std::vec::IntoIter<u8>);

impl TryRng for Given {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill_with(|| self.0.next().expect("enough bytes in the vector"));
        Ok(())
    }
}

impl TryCryptoRng for Given {}

/// X-Wing alone: the first vector of draft-connolly-cfrg-xwing-kem.
#[test]
fn x_wing_gives_the_answers_of_its_draft() {
    let text = include_str!("../../../tests/vectors/x-wing.txt");
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        hex::decode(line.trim()).expect(name)
    };
    let secret = <XWing as Kem>::PrivateKey::from_bytes(&field("sk ")).expect("a secret key");
    assert_eq!(XWing::sk_to_pk(&secret).to_bytes().to_vec(), field("pk "));

    let seed: [u8; 32] = field("sk ").try_into().expect("32 bytes");
    let secret = x_wing::DecapsulationKey::from(seed);
    let ciphertext = x_wing::Ciphertext::try_from(field("ct ").as_slice()).expect("a ciphertext");
    assert_eq!(secret.decapsulate(&ciphertext).to_vec(), field("ss "));
}

/// The whole of it: the vector of draft-ietf-hpke-pq for KEM 0x647a (X-Wing), KDF 1
/// (HKDF-SHA-256), AEAD 3 (ChaCha20-Poly1305), first encryption.
#[test]
fn sealing_gives_the_answers_of_hpke() {
    let bytes = |text: &str| hex::decode(text).expect("hexadecimal");
    // The vector's texts are hexadecimal digits themselves.
    let info = b"4f6465206f6e2061204772656369616e2055726e";
    let plaintext = b"4265617574792069732074727574682c20747275746820626561757479";
    let aad = b"Count-0";
    let seed = bytes("b86e76a59fabfc87b30cd7b1f7aaa28a834eb64e7a261c197b9a842893fbce56");
    let random = bytes(concat!(
        "2a1c0a3745fe8a48fb62034d300f54dfe1974a5b2e169e580a8789cb1cf5fd19",
        "0fc00f3fd899594e01a8b15334b9f3fa03d8de44da86e19f5776850fb689e6c8"
    ));
    let key = SealingKey::generate(&seed.try_into().expect("32 bytes"));
    assert_eq!(
        hex::encode(key.secret.to_bytes()),
        "3ec47fa82dd5689d27c6190e724c74ec8f608df3331ce331929e37b829676630"
    );
    let public = key.public().as_bytes();
    assert!(public.starts_with(&bytes("f5fb01a5db909ac907ecc9524de9b9ea")));

    let mut given = Given(random.into_iter());
    let sealed = seal(key.public(), info, aad, plaintext, &mut given).expect("seals");
    assert!(sealed.as_bytes().starts_with(&bytes("26759c7b22923ea5cc9c78e3e14c8fc6")));
    assert_eq!(
        hex::encode(&sealed.as_bytes()[ENCAPSULATED_BYTES..]),
        concat!(
            "c5c591f99092d5e38df0a52699af249c66f8275a863423c076de8147a53e65cc",
            "584041c963b77a7e59ea93841b1339b5efda8909b71f74bb0073ad62e899de31",
            "0c1566dea2fd29eba377"
        )
    );
    assert_eq!(key.open(info, aad, &sealed).expect("opens").as_slice(), plaintext);
}

#[test]
fn what_was_sealed_opens_for_its_holder_alone() {
    let (key, stranger) = (key(), SealingKey::generate(&[2; 32]));
    let sealed = seal(key.public(), INFO, AAD, b"Alice", &mut rng()).expect("seals");
    assert_eq!(key.open(INFO, AAD, &sealed).expect("opens").as_slice(), b"Alice");
    assert_eq!(code(stranger.open(INFO, AAD, &sealed)), Some(Code::CannotOpen));
    assert_eq!(code(key.open(b"other", AAD, &sealed)), Some(Code::CannotOpen));
    assert_eq!(code(key.open(INFO, b"agreement 2", &sealed)), Some(Code::CannotOpen));
}

#[test]
fn bounds_hold() {
    let key = key();
    let longest = vec![0; PLAINTEXT_BYTES];
    let sealed = seal(key.public(), INFO, AAD, &longest, &mut rng()).expect("seals");
    assert_eq!(sealed.as_bytes().len(), limits::SEALED_BYTES);
    assert_eq!(key.open(INFO, AAD, &sealed).expect("opens").len(), PLAINTEXT_BYTES);
    let longer = vec![0; PLAINTEXT_BYTES.saturating_add(1)];
    assert_eq!(code(seal(key.public(), INFO, AAD, &longer, &mut rng())), Some(Code::TooLarge));
    let empty = seal(key.public(), INFO, AAD, b"", &mut rng()).expect("seals");
    assert_eq!(empty.as_bytes().len(), OVERHEAD_BYTES);
    assert_eq!(code(Sealed::from_bytes(&[0; OVERHEAD_BYTES - 1])), Some(Code::CannotOpen));
    assert_eq!(
        code(Sealed::from_bytes(&vec![0; limits::SEALED_BYTES.saturating_add(1)])),
        Some(Code::TooLarge)
    );
}

#[test]
fn bytes_that_are_no_key_are_refused() {
    assert_eq!(code(SealingPublicKey::from_bytes(&[0; 1215])), Some(Code::BadKey));
    // Every coefficient out of range for ML-KEM.
    let bad = SealingPublicKey::from_bytes(&[0xff; PUBLIC_KEY_BYTES]).expect("the length is right");
    assert_eq!(code(seal(&bad, INFO, AAD, b"Alice", &mut rng())), Some(Code::BadKey));
}

#[test]
fn the_stored_form_brings_the_key_back_and_nothing_shows_it() {
    let key = key();
    let again = SealingKey::generate(&key.to_bytes());
    assert_eq!(again.public(), key.public());
    let shown = format!("{key:?}");
    assert!(shown.starts_with("SealingKey(hidden"), "{shown}");
    assert!(!shown.contains("0101"), "{shown}");
}

#[test]
fn the_codec_keeps_values() {
    let key = key();
    let sealed = seal(key.public(), INFO, AAD, b"Alice", &mut rng()).expect("seals");
    let bytes = codec::encode(&sealed);
    assert_eq!(codec::decode::<Sealed, { 1 << 15 }>(&bytes), Ok(sealed));
    let bytes = codec::encode(key.public());
    assert_eq!(codec::decode::<SealingPublicKey, 2048>(&bytes).as_ref(), Ok(key.public()));
    assert!(codec::decode::<SealingPublicKey, 2048>(&codec::encode(&vec![0_u8; 1215])).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_flipped_bit_or_a_missing_byte_keeps_it_shut(
        plaintext in proptest::collection::vec(any::<u8>(), 0..200),
        place in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let key = key();
        let sealed = seal(key.public(), INFO, AAD, &plaintext, &mut rng()).unwrap();
        let opened = key.open(INFO, AAD, &sealed).unwrap();
        prop_assert_eq!(opened.as_slice(), &plaintext);

        let mut flipped = sealed.as_bytes().to_vec();
        *place.get_mut(&mut flipped) ^= 1 << bit;
        let flipped = Sealed::from_bytes(&flipped).unwrap();
        prop_assert_eq!(code(key.open(INFO, AAD, &flipped)), Some(Code::CannotOpen));

        let (shorter, _) = sealed.as_bytes().split_at(place.index(sealed.as_bytes().len()));
        let opened = Sealed::from_bytes(shorter).and_then(|cut| key.open(INFO, AAD, &cut));
        prop_assert_eq!(code(opened), Some(Code::CannotOpen));
    }

    #[test]
    fn arbitrary_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let _ = codec::decode::<Sealed, 4096>(&bytes);
        let _ = codec::decode::<SealingPublicKey, 4096>(&bytes);
        if let Ok(sealed) = Sealed::from_bytes(&bytes) {
            prop_assert_eq!(code(key().open(INFO, AAD, &sealed)), Some(Code::CannotOpen));
        }
    }
}
