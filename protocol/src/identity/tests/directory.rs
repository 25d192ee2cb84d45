use super::*;
use crate::limits;
use crate::types::KeyId;

#[test]
fn a_certificate_is_taken_up_once() {
    let mut world = World::new();
    let signed = world.authority_signed(&certificate("a.example", &key(1)));
    assert_eq!(world.admit(&signed), Ok(Change::Applied));
    let before = world.directory.clone();
    assert_eq!(world.admit(&signed), Ok(Change::Unchanged));
    assert_eq!(world.directory, before);
    let names: Vec<String> =
        world.directory.members().map(|(domain, _)| domain.to_string()).collect();
    assert_eq!(names, ["a.example"]);
    let member = world.directory.member(&domain("a.example")).unwrap();
    let keys: Vec<(Epoch, KeyId)> =
        member.keys().map(|(epoch, record)| (epoch, record.key_id)).collect();
    assert_eq!(keys, [(Epoch(1), key(1).public().id())]);
}

#[test]
fn a_renewal_carries_the_same_key_and_a_higher_serial() {
    let mut world = World::with_member();
    let first = certificate("a.example", &key(1));
    let renewal = Certificate {
        serial: 2,
        valid_until: Time(3_000),
        sealing_key: Some(sealing(5)),
        ..first.clone()
    };
    assert_eq!(world.admit(&world.authority_signed(&renewal)), Ok(Change::Applied));
    let member = world.directory.member(&domain("a.example")).unwrap();
    assert_eq!(member.certificate(), &renewal);
    assert_eq!(world.directory.sealing_key(&domain("a.example")), Ok(&sealing(5)));
    refused(Code::StaleSequence, world.admit(&world.authority_signed(&first)));
    let other_key = Certificate { serial: 3, ..certificate("a.example", &key(2)) };
    refused(Code::BadRotation, world.admit(&world.authority_signed(&other_key)));
    let same_serial = Certificate { valid_until: Time(4_000), ..renewal };
    refused(Code::StaleSequence, world.admit(&world.authority_signed(&same_serial)));
}

#[test]
fn a_new_epoch_comes_by_the_authoritys_word() {
    let mut world = World::with_member();
    let next = Certificate { serial: 2, epoch: Epoch(3), ..certificate("a.example", &key(3)) };
    assert_eq!(world.admit(&world.authority_signed(&next)), Ok(Change::Applied));
    assert_eq!(world.key(3, 1), Ok(key(3).public()));
    assert_eq!(world.key(1, 1), Ok(key(1).public()));
    let back = Certificate { serial: 3, ..certificate("a.example", &key(1)) };
    refused(Code::StaleSequence, world.admit(&world.authority_signed(&back)));
}

#[test]
fn a_new_epoch_by_the_domains_own_certificate_needs_a_rotation() {
    let mut world = World::with_member();
    let own = Certificate {
        serial: 2,
        epoch: Epoch(2),
        issuer: Issuer::SelfSigned,
        ..certificate("a.example", &key(2))
    };
    let pinned = Some(PinnedKey { epoch: Epoch(2), key: key(2).public().clone() });
    let trusted = Endorser { domain: domain("a.example"), pinned };
    world.anchors.endorsers = Bounded::new(vec![trusted]).unwrap();
    let signed = self_signed(&own, &key(2), &[]);
    refused(Code::BadRotation, world.admit(&signed));
    world.rotate(&rotated(&rotation(&key(2)), &key(1), &key(2))).unwrap();
    assert_eq!(world.admit(&signed), Ok(Change::Applied));
}

#[test]
fn expiry_stops_new_business_and_no_running_one() {
    let world = World::with_member();
    let (a, validator) = (domain("a.example"), Role::Validator);
    world.directory.is_valid_at(&a, NOW, validator).unwrap();
    refused(Code::CertificateExpired, world.directory.is_valid_at(&a, Time(2_000), validator));
    refused(Code::CertificateExpired, world.directory.is_valid_at(&a, Time(999), validator));
    refused(Code::MissingRole, world.directory.is_valid_at(&a, NOW, Role::Notary));
    // The look-up for statements has no clock to ask.
    assert_eq!(world.key(1, 77), Ok(key(1).public()));
}

#[test]
fn strangers_have_no_keys() {
    let mut world = World::with_member();
    let stranger = domain("z.example");
    refused(Code::UnknownDomain, world.directory.key(&stranger, Epoch(1), Height(1)));
    refused(Code::UnknownDomain, world.directory.good_key(&stranger, Epoch(1)));
    refused(Code::UnknownDomain, world.directory.sealing_key(&stranger));
    refused(Code::UnknownDomain, world.directory.is_valid_at(&stranger, NOW, Role::Notary));
    refused(Code::UnknownDomain, world.directory.observe(&stranger, Epoch(1), Height(1)));
    refused(Code::UnknownEpoch, world.key(2, 1));
    refused(Code::UnknownEpoch, world.directory.good_key(&domain("a.example"), Epoch(2)));
    let observed = world.directory.observe(&domain("a.example"), Epoch(2), Height(1));
    refused(Code::UnknownEpoch, observed);
}

#[test]
fn a_member_without_a_sealing_key_says_so() {
    let mut world = World::new();
    let plain = Certificate { sealing_key: None, ..certificate("a.example", &key(1)) };
    world.admit(&world.authority_signed(&plain)).unwrap();
    refused(Code::BadKey, world.directory.sealing_key(&domain("a.example")));
}

#[test]
fn a_domain_has_a_bounded_number_of_keys() {
    let mut world = World::with_member();
    let last = u32::try_from(limits::KEY_EPOCHS).unwrap();
    let at = |epoch: u32| Certificate {
        serial: u64::from(epoch),
        epoch: Epoch(epoch),
        ..certificate("a.example", &key(u8::try_from(epoch).unwrap()))
    };
    for epoch in 2..=last {
        world.admit(&world.authority_signed(&at(epoch))).unwrap();
    }
    refused(Code::TooMany, world.admit(&world.authority_signed(&at(last + 1))));
    let over =
        Rotation { from_epoch: Epoch(last), to_epoch: Epoch(last + 1), ..rotation(&key(150)) };
    let old = key(u8::try_from(last).unwrap());
    refused(Code::TooMany, world.rotate(&rotated(&over, &old, &key(150))));
}

#[test]
fn the_directory_has_a_bounded_number_of_members() {
    let mut directory = Directory::new();
    let (first, no_matter) = (certificate("a.example", &key(1)), key(1).sign(Tag::Order, b""));
    let mut replay = |name: &str, serial: u64| {
        let wanted = Certificate { serial, domain: domain(name), ..first.clone() };
        let signed = SignedCertificate::assemble(&wanted, no_matter.clone(), Vec::new());
        directory.replay_certificate(&signed.unwrap())
    };
    for number in 0..limits::MEMBERS {
        assert_eq!(replay(&format!("m{number}.example"), 1), Ok(Change::Applied));
    }
    refused(Code::TooMany, replay("a.example", 1));
    assert_eq!(replay("m0.example", 2), Ok(Change::Applied));
}

#[test]
fn a_replay_gives_the_state_that_the_verified_documents_gave() {
    let mut world = World::with_member();
    let certificate = world.authority_signed(&certificate("a.example", &key(1)));
    let rotation = rotated(&rotation(&key(2)), &key(1), &key(2));
    let revocation = revoked(&own_revocation(120), &key(2));
    world.rotate(&rotation).unwrap();
    world.revoke(&revocation).unwrap();
    let mut replayed = Directory::new();
    replayed.replay_certificate(&certificate).unwrap();
    replayed.replay_rotation(&rotation).unwrap();
    replayed.replay_revocation(&revocation).unwrap();
    assert_eq!(replayed, world.directory);
    let bytes = crate::codec::encode(&replayed);
    assert_eq!(crate::codec::decode::<Directory, 65_536>(&bytes), Ok(replayed));
}
