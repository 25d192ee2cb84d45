//! What holds for every signed document: no byte can change, and no bytes can hurt.

use proptest::prelude::*;

use super::*;

/// Whether bytes verify as a document of one kind.
type Verifies = fn(&World, &[u8]) -> bool;

/// Every document of the fixtures as bytes, and what verifies it.
fn documents() -> (World, [(Vec<u8>, Verifies); 5]) {
    let mut world = World::with_member();
    let endorser = |name: &str, number: u8| Endorser {
        domain: domain(name),
        pinned: Some(PinnedKey { epoch: Epoch(1), key: key(number).public().clone() }),
    };
    let endorsers = vec![endorser("b.example", 2), endorser("c.example", 3)];
    world.anchors.endorsers = Bounded::new(endorsers).unwrap();
    let issued = world.authority_signed(&certificate("b.example", &key(2)));
    let own = Certificate { issuer: Issuer::SelfSigned, ..certificate("d.example", &key(4)) };
    let endorsed = [("b.example", &key(2)), ("c.example", &key(3))];
    let own = self_signed(&own, &key(4), &endorsed);
    let gateway = GatewayRecord {
        network: "test".parse().unwrap(),
        domain: domain("a.example"),
        epoch: Epoch(1),
        peer_id: GatewayPeer::from_ed25519([7; 32]),
        addresses: Bounded::new(vec!["/ip4/127.0.0.1/tcp/7000".parse().unwrap()]).unwrap(),
        sequence: 5,
        expires: Time(2_500),
        transit: None,
        correspondents: None,
        services: Bounded::default(),
    };
    let gateway = SignedGatewayRecord::assemble(&gateway, sign(&key(1), gateway.to_sign()));
    let rotation = rotated(&rotation(&key(2)), &key(1), &key(2));
    let revocation = revoked(&own_revocation(50), &key(1));
    let documents = [
        (issued.to_bytes(), is_certificate as Verifies),
        (own.to_bytes(), is_certificate),
        (rotation.to_bytes(), is_rotation),
        (revocation.to_bytes(), is_revocation),
        (gateway.unwrap().to_bytes(), is_gateway),
    ];
    (world, documents)
}

fn is_certificate(world: &World, bytes: &[u8]) -> bool {
    SignedCertificate::from_bytes(bytes).and_then(|signed| world.verify(&signed)).is_ok()
}

fn is_rotation(world: &World, bytes: &[u8]) -> bool {
    SignedRotation::from_bytes(bytes)
        .and_then(|it| world.anchors.verify_rotation(&it, &world.directory, &SIGNATURES))
        .is_ok()
}

fn is_revocation(world: &World, bytes: &[u8]) -> bool {
    SignedRevocation::from_bytes(bytes)
        .and_then(|it| world.anchors.verify_revocation(&it, &world.directory, &SIGNATURES))
        .is_ok()
}

fn is_gateway(world: &World, bytes: &[u8]) -> bool {
    let (anchors, directory) = (&world.anchors, &world.directory);
    SignedGatewayRecord::from_bytes(bytes)
        .and_then(|it| anchors.verify_gateway_record(&it, directory, None, NOW, &SIGNATURES))
        .is_ok()
}

#[test]
fn no_byte_of_a_document_can_change() {
    let (world, documents) = documents();
    for (number, (bytes, verifies)) in documents.iter().enumerate() {
        assert!(verifies(&world, bytes), "document {number}");
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(!verifies(&world, &changed), "document {number}, byte {place}");
        }
        for length in 0..bytes.len() {
            assert!(!verifies(&world, &bytes[..length]), "document {number} cut to {length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(!verifies(&world, &longer), "document {number} with a byte more");
    }
}

#[test]
fn no_document_passes_for_another_kind() {
    let (world, documents) = documents();
    for (left, (bytes, _)) in documents.iter().enumerate() {
        for (right, (_, verifies)) in documents.iter().enumerate() {
            let same_kind = left == right || left + right == 1;
            assert_eq!(verifies(&world, bytes), same_kind, "{left} as {right}");
        }
    }
}

#[test]
fn each_field_of_a_certificate_is_bound_by_its_hybrid_signature() {
    let hybrid = SecretKey::generate(Suite::HybridMlDsa65, &[1; 32]);
    let other = SecretKey::generate(Suite::HybridMlDsa65, &[2; 32]);
    let mut world = World::new();
    let trusted = AuthorityKey { authority: domain("root.example"), key: hybrid.public().clone() };
    let second = AuthorityKey { authority: domain("second.example"), ..trusted.clone() };
    world.anchors.authorities = Bounded::new(vec![trusted, second]).unwrap();
    let first = certificate("a.example", &hybrid);
    let signature = sign(&hybrid, first.to_sign());
    let fits = |wanted: &Certificate| {
        world.verify(&SignedCertificate::assemble(wanted, signature.clone(), vec![]).unwrap())
    };
    fits(&first).unwrap();
    // Each of these would pass if it were signed: only the signature stands against it.
    let changed = [
        Certificate { serial: 2, ..first.clone() },
        Certificate { domain: domain("b.example"), ..first.clone() },
        Certificate { lei: None, ..first.clone() },
        Certificate { roles: Bounded::new(vec![Role::Notary]).unwrap(), ..first.clone() },
        Certificate { epoch: Epoch(2), ..first.clone() },
        Certificate { signing_key: other.public().clone(), ..first.clone() },
        Certificate { sealing_key: Some(sealing(9)), ..first.clone() },
        Certificate { valid_from: Time(1_001), ..first.clone() },
        Certificate { valid_until: Time(2_001), ..first.clone() },
        Certificate { issuer: Issuer::Authority(domain("second.example")), ..first.clone() },
        Certificate { issuer: Issuer::SelfSigned, signing_key: other.public().clone(), ..first },
    ];
    for wanted in changed {
        refused(Code::BadSignature, fits(&wanted));
    }
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused_without_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let world = World::new();
        prop_assert!(!is_certificate(&world, &bytes));
        prop_assert!(!is_rotation(&world, &bytes));
        prop_assert!(!is_revocation(&world, &bytes));
        prop_assert!(!is_gateway(&world, &bytes));
    }

    #[test]
    fn damaged_documents_are_refused_without_harm(
        which in 0_usize..5, place in any::<prop::sample::Index>(),
        junk in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let (world, documents) = documents();
        let (bytes, verifies) = &documents[which];
        let mut damaged = bytes.clone();
        let from = place.index(damaged.len());
        for (slot, byte) in damaged[from..].iter_mut().zip(&junk) {
            *slot = *byte;
        }
        prop_assume!(damaged != *bytes);
        prop_assert!(!verifies(&world, &damaged));
    }
}
