use super::*;
use crate::crypto::suite::Signatures as _;

#[test]
fn each_key_counts_on_its_side_of_the_switch() {
    let mut world = World::with_member();
    let signed = rotated(&rotation(&key(2)), &key(1), &key(2));
    assert_eq!(world.rotate(&signed), Ok(Change::Applied));
    let before = world.directory.clone();
    assert_eq!(world.rotate(&signed), Ok(Change::Unchanged));
    assert_eq!(world.directory, before);
    assert_eq!(world.key(1, 99), Ok(key(1).public()));
    refused(Code::KeyNotInForce, world.key(1, 100));
    refused(Code::KeyNotInForce, world.key(2, 99));
    assert_eq!(world.key(2, 100), Ok(key(2).public()));
    assert_eq!(world.directory.sealing_key(&domain("a.example")), Ok(&sealing(2)));
    // The certificate names the old key and still admits new business.
    world.directory.is_valid_at(&domain("a.example"), NOW, Role::Validator).unwrap();
}

#[test]
fn a_rotation_without_a_sealing_key_keeps_the_old_one() {
    let mut world = World::with_member();
    let plain = Rotation { new_sealing_key: None, ..rotation(&key(2)) };
    world.rotate(&rotated(&plain, &key(1), &key(2))).unwrap();
    assert_eq!(world.directory.sealing_key(&domain("a.example")), Ok(&sealing(1)));
}

#[test]
fn a_live_domain_moves_from_dilithium3_to_ml_dsa_65() {
    let mut world = World::new();
    world.anchors.suites = SuitePolicy::default();
    let old = SecretKey::generate(Suite::HybridDilithium3, &[1; 32]);
    let new = SecretKey::generate(Suite::HybridMlDsa65, &[2; 32]);
    world.admit(&world.authority_signed(&certificate("a.example", &old))).unwrap();
    let said_before = sign(&old, (Tag::Checkpoint, b"height 99".to_vec()));
    // The network has decided to end suite 2: who has it must still be able to leave it.
    world.anchors.suites = SuitePolicy::FINAL;
    let signed = rotated(&rotation(&new), &old, &new);
    let received = SignedRotation::from_bytes(&signed.to_bytes()).unwrap();
    assert_eq!(world.rotate(&received), Ok(Change::Applied));
    let renewal = Certificate { serial: 2, epoch: Epoch(2), ..certificate("a.example", &new) };
    assert_eq!(world.admit(&world.authority_signed(&renewal)), Ok(Change::Applied));
    let said_after = sign(&new, (Tag::Checkpoint, b"height 100".to_vec()));
    for (epoch, height, message, signature) in
        [(1, 99, b"height 99".as_slice(), said_before), (2, 100, b"height 100", said_after)]
    {
        let key = world.key(epoch, height).unwrap();
        SIGNATURES.verify(key, Tag::Checkpoint, message, &signature).unwrap();
    }
}

#[test]
fn giving_up_a_hybrid_key_for_ed25519_alone_is_refused_by_default() {
    let mut world = World::new();
    world.anchors.suites = SuitePolicy::default();
    let old = SecretKey::generate(Suite::HybridMlDsa65, &[1; 32]);
    world.admit(&world.authority_signed(&certificate("a.example", &old))).unwrap();
    let signed = rotated(&rotation(&key(2)), &old, &key(2));
    refused(Code::SuiteNotAllowed, world.rotate(&signed));
}

#[test]
fn both_keys_must_sign() {
    let mut world = World::with_member();
    let wanted = rotation(&key(2));
    for (old, new) in [(key(9), key(2)), (key(1), key(9)), (key(2), key(1))] {
        refused(Code::BadSignature, world.rotate(&rotated(&wanted, &old, &new)));
    }
    let hybrid = SecretKey::generate(Suite::HybridMlDsa65, &[9; 32]);
    refused(Code::SuiteMismatch, world.rotate(&rotated(&wanted, &hybrid, &key(2))));
}

#[test]
fn a_rotation_that_does_not_follow_is_refused() {
    type Spoil = fn(&mut Rotation);
    let spoiled: [(Code, Spoil); 8] = [
        (Code::WrongNetwork, |it| it.network = "live".parse().unwrap()),
        (Code::UnknownDomain, |it| it.domain = domain("z.example")),
        (Code::BadRotation, |it| it.to_epoch = Epoch(3)),
        (Code::BadRotation, |it| it.to_epoch = Epoch(1)),
        (Code::UnknownEpoch, |it| (it.from_epoch, it.to_epoch) = (Epoch(4), Epoch(5))),
        (Code::BadRotation, |it| (it.from_epoch, it.to_epoch) = (Epoch(u32::MAX), Epoch(0))),
        (Code::BadRotation, |it| it.new_key = key(1).public().clone()),
        (Code::BadRotation, |it| it.from_height = Height(0)),
    ];
    for (code, spoil) in spoiled {
        let mut world = World::with_member();
        let mut wanted = rotation(&key(2));
        spoil(&mut wanted);
        refused(code, world.rotate(&rotated(&wanted, &key(1), &key(2))));
    }
}

#[test]
fn a_second_rotation_of_one_epoch_is_refused() {
    let mut world = World::with_member();
    world.rotate(&rotated(&rotation(&key(2)), &key(1), &key(2))).unwrap();
    let other_key = rotated(&rotation(&key(3)), &key(1), &key(3));
    refused(Code::BadRotation, world.rotate(&other_key));
    let other_height = Rotation { from_height: Height(101), ..rotation(&key(2)) };
    refused(Code::BadRotation, world.rotate(&rotated(&other_height, &key(1), &key(2))));
}

#[test]
fn an_epoch_before_the_latest_cannot_rotate() {
    let mut world = World::with_member();
    let later = Certificate { serial: 2, epoch: Epoch(3), ..certificate("a.example", &key(3)) };
    world.admit(&world.authority_signed(&later)).unwrap();
    let late = rotated(&rotation(&key(2)), &key(1), &key(2));
    refused(Code::BadRotation, world.rotate(&late));
}

#[test]
fn a_rotation_cannot_take_back_what_was_observed() {
    let mut world = World::with_member();
    world.directory.observe(&domain("a.example"), Epoch(1), Height(100)).unwrap();
    world.directory.observe(&domain("a.example"), Epoch(1), Height(40)).unwrap();
    let signed = rotated(&rotation(&key(2)), &key(1), &key(2));
    refused(Code::BadRotation, world.rotate(&signed));
    assert_eq!(world.key(1, 100), Ok(key(1).public()));
}

#[test]
fn rotation_and_the_authoritys_certificate_meet_in_one_state() {
    let wanted = Certificate {
        serial: 2,
        epoch: Epoch(2),
        sealing_key: Some(sealing(2)),
        ..certificate("a.example", &key(2))
    };
    let signed = rotated(&rotation(&key(2)), &key(1), &key(2));
    let mut rotation_first = World::with_member();
    rotation_first.rotate(&signed).unwrap();
    rotation_first.admit(&rotation_first.authority_signed(&wanted)).unwrap();
    let mut certificate_first = World::with_member();
    certificate_first.admit(&certificate_first.authority_signed(&wanted)).unwrap();
    certificate_first.rotate(&signed).unwrap();
    assert_eq!(rotation_first.directory, certificate_first.directory);
}
