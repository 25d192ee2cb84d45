use std::collections::BTreeSet;

use super::*;

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[test]
fn sha256_gives_the_answers_of_fips_180() {
    let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    let million = vec![b'a'; 1_000_000];
    assert_eq!(sha256(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(
        sha256(two_blocks),
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    );
    assert_eq!(
        sha256(&million),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    );
}

#[test]
fn hmac_gives_the_answers_of_rfc_4231() {
    let cases: [(&[u8], &[u8], &str); 3] = [
        (
            &[0x0b; 20],
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ];
    for (key, message, expected) in cases {
        assert_eq!(hex::encode(hmac_sha256(key, &[message])), expected);
        let (left, right) = message.split_at(3);
        assert_eq!(hex::encode(hmac_sha256(key, &[left, right])), expected);
    }
}

#[test]
fn tags_are_unique_and_name_the_protocol() {
    let prefixes: BTreeSet<_> = Tag::ALL.iter().map(|tag| tag.prefix()).collect();
    assert_eq!(prefixes.len(), Tag::ALL.len());
    assert!(prefixes.iter().all(|prefix| prefix.starts_with(b"quadrille/")));
}

/// The expected values come from an independent computation with Python's `hashlib`.
#[test]
fn formats_are_pinned() {
    let order = hash(Tag::Order, &[b"ab", b"", b"c"]);
    assert_eq!(
        order.to_string(),
        "sha256:c6247527298560f4efcf8c27c611c143288b589adf65b94607a0114295d1208f"
    );
    let preimage = derive_preimage(&PreimageSeed::new([9; 32]), &1_u64.to_le_bytes());
    assert_eq!(
        hex::encode(preimage.as_bytes()),
        "369c86b05f31fee9ed696d664653c59fe08b2c81a683f5c069f7df4f31bc07b7"
    );
    assert_eq!(
        hash_lock(&Preimage([0; 32])).to_string(),
        "lock:66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
    );
}

#[test]
fn parts_cannot_be_cut_elsewhere() {
    let whole = hash(Tag::Order, &[b"abc"]);
    assert_ne!(whole, hash(Tag::Order, &[b"ab", b"c"]));
    assert_ne!(whole, hash(Tag::Order, &[b"abc", b""]));
    assert_ne!(whole, hash(Tag::Take, &[b"abc"]));
}

#[test]
fn secrets_are_not_shown() {
    let seed = PreimageSeed::new([0x5a; 32]);
    let preimage = derive_preimage(&seed, b"1");
    let shown = format!("{seed:?} {preimage:?}");
    assert_eq!(shown, "PreimageSeed(hidden) Preimage(hidden)");
}

#[test]
fn preimages_differ_by_number_and_seed() {
    let (one, other) = (PreimageSeed::new([1; 32]), PreimageSeed::new([2; 32]));
    assert_eq!(derive_preimage(&one, b"1"), derive_preimage(&one, b"1"));
    assert_ne!(derive_preimage(&one, b"1"), derive_preimage(&one, b"2"));
    assert_ne!(derive_preimage(&one, b"1"), derive_preimage(&other, b"1"));
}
