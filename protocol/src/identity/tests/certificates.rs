use super::*;
use crate::limits;

/// A network without an authority: `a`, `b` and `c` endorse, two are needed.
fn cross_certified(pin_all: bool) -> World {
    let mut world = World::new();
    world.anchors.authorities = Bounded::default();
    let endorser = |(name, number): (&str, u8)| Endorser {
        domain: domain(name),
        pinned: pin_all.then(|| PinnedKey { epoch: Epoch(1), key: key(number).public().clone() }),
    };
    let endorsers = [("a.example", 1), ("b.example", 2), ("c.example", 3)].map(endorser);
    world.anchors.endorsers = Bounded::new(endorsers.to_vec()).unwrap();
    world
}

fn own_certificate(name: &str, key: &SecretKey) -> Certificate {
    Certificate { issuer: Issuer::SelfSigned, ..certificate(name, key) }
}

#[test]
fn the_authority_vouches_with_any_of_its_keys() {
    let mut world = World::new();
    let next = key(201);
    let mut keys = world.anchors.authorities.to_vec();
    keys.push(AuthorityKey { authority: domain("root.example"), key: next.public().clone() });
    world.anchors.authorities = Bounded::new(keys).unwrap();
    let wanted = certificate("a.example", &key(1));
    let by_first = world.authority_signed(&wanted);
    let by_next =
        SignedCertificate::assemble(&wanted, sign(&next, wanted.to_sign()), Vec::new()).unwrap();
    for signed in [by_first, by_next] {
        let verified = world.verify(&signed).unwrap();
        assert_eq!(*verified.certificate(), wanted);
        assert_eq!(*verified.signed(), signed);
        assert_eq!(signed.hash(), wanted.hash());
    }
}

#[test]
fn an_unknown_authority_is_refused() {
    let world = World::new();
    let issuer = Issuer::Authority(domain("other.example"));
    let stranger = Certificate { issuer, ..certificate("a.example", &key(1)) };
    refused(Code::NotEndorsed, world.verify(&world.authority_signed(&stranger)));
}

#[test]
fn another_key_than_the_authoritys_is_refused() {
    let world = World::new();
    let wanted = certificate("a.example", &key(1));
    let signature = sign(&key(1), wanted.to_sign());
    let signed = SignedCertificate::assemble(&wanted, signature, Vec::new()).unwrap();
    refused(Code::BadSignature, world.verify(&signed));
}

#[test]
fn pinned_founders_admit_each_other_and_then_others() {
    let mut world = cross_certified(true);
    let newcomer = own_certificate("d.example", &key(4));
    let signed = self_signed(&newcomer, &key(4), &[("a.example", &key(1)), ("b.example", &key(2))]);
    // Before any founder is in the directory the pins alone decide.
    world.verify(&signed).unwrap();
    for (name, number) in [("a.example", 1), ("b.example", 2)] {
        let founder = own_certificate(name, &key(number));
        assert_eq!(world.admit(&self_signed(&founder, &key(number), &[])), Ok(Change::Applied));
    }
    assert_eq!(world.admit(&signed), Ok(Change::Applied));
}

#[test]
fn a_founder_with_another_key_than_the_pinned_one_is_refused() {
    let world = cross_certified(true);
    let founder = own_certificate("a.example", &key(9));
    refused(Code::NotEndorsed, world.verify(&self_signed(&founder, &key(9), &[])));
}

#[test]
fn a_founder_with_another_epoch_than_the_pinned_one_is_refused() {
    let world = cross_certified(true);
    let founder = Certificate { epoch: Epoch(2), ..own_certificate("a.example", &key(1)) };
    refused(Code::NotEndorsed, world.verify(&self_signed(&founder, &key(1), &[])));
}

#[test]
fn an_endorser_whose_certificate_has_expired_does_not_count() {
    let mut world = cross_certified(true);
    let founder = own_certificate("a.example", &key(1));
    world.admit(&self_signed(&founder, &key(1), &[])).unwrap();
    let lasting =
        Certificate { valid_until: Time(99_000), ..own_certificate("d.example", &key(4)) };
    let endorsers = [("a.example", &key(1)), ("b.example", &key(2))];
    let signed = self_signed(&lasting, &key(4), &endorsers);
    let at = |now| world.anchors.verify_certificate(&signed, &world.directory, now, &SIGNATURES);
    at(NOW).unwrap();
    refused(Code::NotEndorsed, at(LATER));
}

#[test]
fn endorsements_count_once_for_each_trusted_domain_but_the_subject() {
    let world = cross_certified(true);
    let (one, two, stranger) = (key(1), key(2), key(8));
    let (a, b) = (("a.example", &one), ("b.example", &two));
    let newcomer = own_certificate("d.example", &key(4));
    let enough = [("x.example", &stranger), a, b];
    world.verify(&self_signed(&newcomer, &key(4), &enough)).unwrap();
    let short: [&[(&str, &SecretKey)]; 4] =
        [&[], &[a], &[a, a], &[a, ("x.example", &stranger), ("d.example", &stranger)]];
    for endorsers in short {
        refused(Code::NotEndorsed, world.verify(&self_signed(&newcomer, &key(4), endorsers)));
    }
    let own = own_certificate("c.example", &key(9));
    let with_itself = self_signed(&own, &key(9), &[a, ("c.example", &key(3))]);
    refused(Code::NotEndorsed, world.verify(&with_itself));
}

#[test]
fn a_forged_endorsement_is_refused() {
    let world = cross_certified(true);
    let newcomer = own_certificate("d.example", &key(4));
    let forged = [("a.example", &key(1)), ("b.example", &key(9))];
    refused(Code::BadSignature, world.verify(&self_signed(&newcomer, &key(4), &forged)));
}

#[test]
fn endorsements_for_another_certificate_are_refused() {
    let world = cross_certified(true);
    let newcomer = own_certificate("d.example", &key(4));
    let endorsers = [("a.example", &key(1)), ("b.example", &key(2))];
    let signed = self_signed(&newcomer, &key(4), &endorsers);
    let more = Certificate {
        roles: Bounded::new(vec![Role::Validator, Role::Notary]).unwrap(),
        ..newcomer
    };
    let signature = sign(&key(4), more.to_sign());
    let moved =
        SignedCertificate::assemble(&more, signature, signed.endorsements().to_vec()).unwrap();
    refused(Code::BadSignature, world.verify(&moved));
}

#[test]
fn an_endorser_without_a_pin_counts_once_it_is_a_member_in_good_standing() {
    let mut world = cross_certified(false);
    let newcomer = own_certificate("d.example", &key(4));
    let endorsers = [("a.example", &key(1)), ("b.example", &key(2))];
    let signed = self_signed(&newcomer, &key(4), &endorsers);
    refused(Code::NotEndorsed, world.verify(&signed));
    for (name, number) in [("a.example", 1), ("b.example", 2)] {
        let founder = self_signed(&own_certificate(name, &key(number)), &key(number), &[]);
        world.directory.replay_certificate(&founder).unwrap();
    }
    world.verify(&signed).unwrap();
    world.revoke(&revoked(&own_revocation(50), &key(1))).unwrap();
    refused(Code::NotEndorsed, world.verify(&signed));
}

#[test]
fn a_self_signed_certificate_needs_its_own_keys_signature() {
    let world = cross_certified(true);
    let founder = own_certificate("a.example", &key(1));
    let signed =
        SignedCertificate::assemble(&founder, sign(&key(9), founder.to_sign()), Vec::new());
    refused(Code::BadSignature, world.verify(&signed.unwrap()));
}

#[test]
fn shapes_that_do_not_hold_are_refused() {
    type Spoil = fn(&mut Certificate);
    let spoiled: [(Code, Spoil); 7] = [
        (Code::WrongNetwork, |it| it.network = "live".parse().unwrap()),
        (Code::BadValidity, |it| it.valid_until = it.valid_from),
        (Code::UnknownEpoch, |it| it.epoch = Epoch(0)),
        (Code::NotCanonical, |it| {
            it.roles = Bounded::new(vec![Role::Notary, Role::Validator]).unwrap();
        }),
        (Code::NotCanonical, |it| it.roles = Bounded::new(vec![Role::Notary; 2]).unwrap()),
        (Code::NotEndorsed, |it| it.roles = Bounded::new(vec![Role::Authority]).unwrap()),
        (Code::CertificateExpired, |it| it.valid_from = Time(1_501)),
    ];
    let world = World::new();
    for (code, spoil) in spoiled {
        let mut wanted = certificate("a.example", &key(1));
        spoil(&mut wanted);
        refused(code, world.verify(&world.authority_signed(&wanted)));
    }
}

#[test]
fn validity_includes_its_first_millisecond_and_not_its_last() {
    let world = World::new();
    let signed = world.authority_signed(&certificate("a.example", &key(1)));
    let at =
        |now| world.anchors.verify_certificate(&signed, &world.directory, Time(now), &SIGNATURES);
    refused(Code::CertificateExpired, at(999));
    at(1_000).unwrap();
    at(1_999).unwrap();
    refused(Code::CertificateExpired, at(2_000));
}

#[test]
fn the_authority_itself_may_carry_its_role() {
    let world = World::new();
    let roles = Bounded::new(vec![Role::Supervisor, Role::Authority]).unwrap();
    let own = Certificate { roles, ..certificate("root.example", &world.authority) };
    world.verify(&world.authority_signed(&own)).unwrap();
}

#[test]
fn the_default_policy_lets_domains_have_hybrid_keys_only() {
    let mut world = World::new();
    let cases = [
        (SuitePolicy::default(), [true, true, false]),
        (SuitePolicy::FINAL, [true, false, false]),
        (SuitePolicy::ANY, [true, true, true]),
    ];
    for (policy, expected) in cases {
        world.anchors.suites = policy;
        for (suite, allowed) in Suite::ALL.into_iter().zip(expected) {
            let wanted = certificate("a.example", &SecretKey::generate(suite, &[7; 32]));
            let result = world.verify(&world.authority_signed(&wanted));
            if allowed {
                result.unwrap();
            } else {
                refused(Code::SuiteNotAllowed, result);
            }
        }
    }
}

#[test]
fn a_revoked_key_gets_no_certificate() {
    let mut world = World::with_member();
    world.authority_revokes(&revocation()).unwrap();
    let again = Certificate { serial: 2, ..certificate("a.example", &key(1)) };
    refused(Code::CertificateRevoked, world.admit(&world.authority_signed(&again)));
}

#[test]
fn too_many_endorsements_are_refused() {
    let newcomer = own_certificate("d.example", &key(4));
    let to_sign = Endorsement::to_sign(&newcomer.hash(), &domain("a.example"), Epoch(1));
    let one =
        Endorsement { by: domain("a.example"), epoch: Epoch(1), signature: sign(&key(1), to_sign) };
    let signature = sign(&key(4), newcomer.to_sign());
    let many = vec![one; limits::ENDORSEMENTS + 1];
    refused(Code::TooMany, SignedCertificate::assemble(&newcomer, signature, many));
}

#[test]
fn a_full_certificate_with_hybrid_signatures_fits_its_bounds() {
    let hybrid = SecretKey::generate(Suite::HybridMlDsa65, &[1; 32]);
    let long = format!("{}.example", "a".repeat(limits::DOMAIN_BYTES - 8));
    let wanted = own_certificate(&long, &hybrid);
    let endorsers = vec![(long.as_str(), &hybrid); limits::ENDORSEMENTS];
    let signed = self_signed(&wanted, &hybrid, &endorsers);
    assert_eq!(SignedCertificate::from_bytes(&signed.to_bytes()), Ok(signed));
}
