use super::*;
use crate::crypto::suite::Signatures as _;

#[test]
fn older_evidence_stays_good_whatever_the_clock_says() {
    let mut world = World::with_member();
    let said = sign(&key(1), (Tag::Checkpoint, b"height 50".to_vec()));
    assert_eq!(world.authority_revokes(&revocation()), Ok(Change::Applied));
    let good = world.key(1, 50).unwrap();
    SIGNATURES.verify(good, Tag::Checkpoint, b"height 50", &said).unwrap();
    refused(Code::CertificateRevoked, world.key(1, 51));
    // Neither does an expired certificate change the answer: nothing was asked for a time.
    let a = domain("a.example");
    refused(Code::CertificateExpired, world.directory.is_valid_at(&a, LATER, Role::Validator));
    assert_eq!(world.key(1, 50), Ok(key(1).public()));
}

#[test]
fn a_revoked_member_begins_nothing_new() {
    let mut world = World::with_member();
    world.authority_revokes(&revocation()).unwrap();
    let a = domain("a.example");
    refused(Code::CertificateRevoked, world.directory.is_valid_at(&a, NOW, Role::Validator));
    refused(Code::CertificateRevoked, world.directory.good_key(&a, Epoch(1)));
    refused(Code::CertificateRevoked, world.directory.sealing_key(&a));
}

#[test]
fn a_repeated_revocation_changes_nothing() {
    let mut world = World::with_member();
    let own = revoked(&own_revocation(60), &key(1));
    assert_eq!(world.revoke(&own), Ok(Change::Applied));
    let before = world.directory.clone();
    assert_eq!(world.revoke(&own), Ok(Change::Unchanged));
    assert_eq!(world.directory, before);
    let record = world.directory.record(&domain("a.example"), Epoch(1)).unwrap();
    assert_eq!(record.revoked_from(), Some(Height(60)));
}

#[test]
fn the_authority_overrules_and_a_revoked_key_does_not() {
    let mut world = World::with_member();
    world.revoke(&revoked(&own_revocation(60), &key(1))).unwrap();
    let thief = Revocation { serial: 9, ..own_revocation(1) };
    assert_eq!(world.revoke(&revoked(&thief, &key(1))), Ok(Change::Unchanged));
    world.key(1, 60).unwrap();
    let second = Revocation { serial: 2, from_height: Height(70), ..revocation() };
    assert_eq!(world.authority_revokes(&second), Ok(Change::Applied));
    world.key(1, 70).unwrap();
    assert_eq!(world.authority_revokes(&revocation()), Ok(Change::Unchanged));
    world.key(1, 70).unwrap();
    refused(Code::CertificateRevoked, world.key(1, 71));
    assert_eq!(world.revoke(&revoked(&thief, &key(1))), Ok(Change::Unchanged));
}

#[test]
fn a_domain_cannot_revoke_what_others_have_seen() {
    let mut world = World::with_member();
    world.directory.observe(&domain("a.example"), Epoch(1), Height(80)).unwrap();
    world.revoke(&revoked(&own_revocation(10), &key(1))).unwrap();
    assert_eq!(world.key(1, 80), Ok(key(1).public()));
    refused(Code::CertificateRevoked, world.key(1, 81));
    world.authority_revokes(&revocation()).unwrap();
    refused(Code::CertificateRevoked, world.key(1, 80));
}

#[test]
fn a_retired_key_cannot_revoke() {
    let mut world = World::with_member();
    world.rotate(&rotated(&rotation(&key(2)), &key(1), &key(2))).unwrap();
    refused(Code::BadSignature, world.revoke(&revoked(&own_revocation(10), &key(1))));
    assert_eq!(world.revoke(&revoked(&own_revocation(99), &key(2))), Ok(Change::Applied));
    // Revoked up to the switch: the rotation was signed by a key that was still good.
    assert_eq!(world.key(2, 100), Ok(key(2).public()));
    world.directory.is_valid_at(&domain("a.example"), NOW, Role::Validator).unwrap();
}

#[test]
fn a_domain_cannot_revoke_into_the_time_of_a_key_it_has_replaced() {
    let mut world = World::with_member();
    world.rotate(&rotated(&rotation(&key(2)), &key(1), &key(2))).unwrap();
    assert_eq!(world.revoke(&revoked(&own_revocation(10), &key(2))), Ok(Change::Applied));
    assert_eq!(world.key(1, 99), Ok(key(1).public()));
    assert_eq!(world.key(2, 100), Ok(key(2).public()));
}

#[test]
fn a_revoked_key_revokes_no_other() {
    let mut world = World::with_member();
    world.rotate(&rotated(&rotation(&key(2)), &key(1), &key(2))).unwrap();
    let own = Revocation { epoch: Epoch(2), ..own_revocation(150) };
    world.revoke(&revoked(&own, &key(2))).unwrap();
    assert_eq!(world.revoke(&revoked(&own, &key(2))), Ok(Change::Unchanged));
    let other = revoked(&own_revocation(10), &key(2));
    refused(Code::CertificateRevoked, world.revoke(&other));
}

#[test]
fn a_thief_who_rotated_revokes_nothing_once_found_out() {
    let mut world = World::with_member();
    world.rotate(&rotated(&rotation(&key(66)), &key(1), &key(66))).unwrap();
    world.authority_revokes(&revocation()).unwrap();
    for epoch in [Epoch(1), Epoch(2)] {
        let stolen = Revocation { epoch, ..own_revocation(0) };
        refused(Code::CertificateRevoked, world.revoke(&revoked(&stolen, &key(66))));
    }
}

#[test]
fn a_thiefs_rotation_does_not_count_in_either_order() {
    let stolen = rotated(&rotation(&key(66)), &key(1), &key(66));
    let mut late = World::with_member();
    late.authority_revokes(&revocation()).unwrap();
    refused(Code::CertificateRevoked, late.rotate(&stolen));
    refused(Code::UnknownEpoch, late.key(2, 100));

    let mut early = World::with_member();
    early.rotate(&stolen).unwrap();
    early.authority_revokes(&revocation()).unwrap();
    refused(Code::CertificateRevoked, early.key(2, 100));
    let a = domain("a.example");
    refused(Code::CertificateRevoked, early.directory.is_valid_at(&a, NOW, Role::Validator));
    let onward = Rotation {
        from_epoch: Epoch(2),
        to_epoch: Epoch(3),
        from_height: Height(200),
        ..rotation(&key(67))
    };
    let onward = rotated(&onward, &key(66), &key(67));
    refused(Code::CertificateRevoked, early.rotate(&onward));
    early.key(1, 50).unwrap();

    // The authority gives the domain a new key, past the thief's epoch.
    for world in [&mut late, &mut early] {
        let fresh = Certificate { serial: 2, epoch: Epoch(3), ..certificate("a.example", &key(3)) };
        world.admit(&world.authority_signed(&fresh)).unwrap();
        assert_eq!(world.key(3, 51), Ok(key(3).public()));
        world.directory.is_valid_at(&a, NOW, Role::Validator).unwrap();
    }
}

#[test]
fn the_authority_can_confirm_a_key_that_a_revoked_one_signed_in() {
    let mut world = World::with_member();
    world.rotate(&rotated(&rotation(&key(2)), &key(1), &key(2))).unwrap();
    world.authority_revokes(&revocation()).unwrap();
    refused(Code::CertificateRevoked, world.key(2, 100));
    let confirmed = Certificate { serial: 2, epoch: Epoch(2), ..certificate("a.example", &key(2)) };
    world.admit(&world.authority_signed(&confirmed)).unwrap();
    assert_eq!(world.key(2, 100), Ok(key(2).public()));
}

#[test]
fn endorsers_cannot_confirm_it() {
    let mut world = World::with_member();
    world.rotate(&rotated(&rotation(&key(2)), &key(1), &key(2))).unwrap();
    world.authority_revokes(&revocation()).unwrap();
    let own = Certificate {
        serial: 2,
        epoch: Epoch(2),
        issuer: Issuer::SelfSigned,
        ..certificate("a.example", &key(2))
    };
    let endorsed = self_signed(&own, &key(2), &[]);
    refused(Code::CertificateRevoked, world.directory.replay_certificate(&endorsed));
}

#[test]
fn revocations_that_do_not_hold_are_refused() {
    let mut world = World::with_member();
    let cases = [
        (Code::WrongNetwork, Revocation { network: "live".parse().unwrap(), ..revocation() }),
        (Code::UnknownDomain, Revocation { domain: domain("z.example"), ..revocation() }),
        (Code::UnknownEpoch, Revocation { epoch: Epoch(2), ..revocation() }),
        (
            Code::NotEndorsed,
            Revocation { issuer: Issuer::Authority(domain("other.example")), ..revocation() },
        ),
        (Code::BadSignature, own_revocation(50)),
    ];
    for (code, wanted) in cases {
        refused(code, world.authority_revokes(&wanted));
    }
    refused(Code::BadSignature, world.revoke(&revoked(&revocation(), &key(1))));
}
