use std::num::NonZeroU32;

use quadrille_protocol::crypto::suite::{HybridSignatures, Suite};
use quadrille_protocol::identity::{AuthorityKey, Issuer, SuitePolicy};

use super::*;

const NOW: Time = Time(1_800_000_000_000);

pub(super) fn secret(number: u8) -> SecretKey {
    SecretKey::generate(Suite::HybridMlDsa65, &[number; 32])
}

fn request(key: &SecretKey) -> EnrolmentRequest {
    EnrolmentRequest {
        network: "demo".parse().unwrap(),
        domain: "bank-a.example".parse().unwrap(),
        lei: None,
        roles: Bounded::new(vec![Role::Validator, Role::Notary]).unwrap(),
        epoch: Epoch(1),
        signing_key: key.public().clone(),
        sealing_key: None,
        time: NOW,
    }
}

fn verify(signed: &SignedEnrolmentRequest) -> Result<EnrolmentRequest, Refusal> {
    signed.verify(&"demo".parse().unwrap(), &HybridSignatures)
}

#[test]
fn a_request_is_read_back_with_its_proof() {
    let key = secret(1);
    let signed = request(&key).sign(&key).unwrap();
    let travelled = SignedEnrolmentRequest::from_bytes(&signed.to_bytes()).unwrap();
    assert_eq!(verify(&travelled), Ok(request(&key)));
}

#[test]
fn nobody_asks_for_a_certificate_of_a_key_that_they_do_not_have() {
    let (ours, theirs) = (secret(1), secret(2));
    assert_eq!(request(&theirs).sign(&ours).unwrap_err().code, Code::BadEnrolmentRequest);
    let (tag, bytes) = request(&theirs).to_sign();
    let forged =
        SignedEnrolmentRequest::assemble(&request(&theirs), ours.sign(tag, &bytes)).unwrap();
    assert_eq!(verify(&forged).unwrap_err().code, Code::BadSignature);
}

#[test]
fn any_flipped_byte_makes_a_request_worthless() {
    let key = secret(1);
    let bytes = request(&key).sign(&key).unwrap().to_bytes();
    for at in (0..bytes.len()).step_by(37) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let verdict = SignedEnrolmentRequest::from_bytes(&changed).and_then(|read| verify(&read));
        assert!(verdict.is_err(), "byte {at}");
    }
}

#[test]
fn a_request_for_another_network_is_refused() {
    let key = secret(1);
    let signed = request(&key).sign(&key).unwrap();
    let refusal = signed.verify(&"other".parse().unwrap(), &HybridSignatures).unwrap_err();
    assert_eq!(refusal.code, Code::WrongNetwork);
}

#[test]
fn roles_that_nobody_can_ask_for_are_refused() {
    let key = secret(1);
    let roles = [vec![], vec![Role::Authority], vec![Role::Notary, Role::Validator]];
    for roles in roles {
        let asked = EnrolmentRequest { roles: Bounded::new(roles).unwrap(), ..request(&key) };
        assert_eq!(asked.sign(&key).unwrap_err().code, Code::BadEnrolmentRequest);
    }
}

fn certified(key: &SecretKey, authority: &SecretKey) -> SignedCertificate {
    let request = request(key);
    let certificate = Certificate {
        network: request.network,
        serial: 1,
        domain: request.domain,
        lei: request.lei,
        roles: request.roles,
        epoch: request.epoch,
        signing_key: request.signing_key,
        sealing_key: request.sealing_key,
        valid_from: NOW,
        valid_until: Time(NOW.0 + 1000),
        issuer: Issuer::Authority("authority.example".parse().unwrap()),
    };
    let (tag, bytes) = certificate.to_sign();
    SignedCertificate::assemble(&certificate, authority.sign(tag, &bytes), Vec::new()).unwrap()
}

fn anchors(authority: &SecretKey) -> Anchors {
    Anchors {
        network: "demo".parse().unwrap(),
        authorities: Bounded::new(vec![AuthorityKey {
            authority: "authority.example".parse().unwrap(),
            key: authority.public().clone(),
        }])
        .unwrap(),
        endorsers: Bounded::default(),
        threshold: NonZeroU32::MIN,
        suites: SuitePolicy::HYBRID,
    }
}

#[test]
fn only_our_own_certificate_by_an_authority_we_know_is_accepted() {
    let (ours, theirs, authority, stranger) = (secret(1), secret(2), secret(3), secret(4));
    let check = |signed: &SignedCertificate, domain: &str, epoch: u32| {
        let keys = [(Epoch(epoch), ours.public().clone())];
        let domain = domain.parse().unwrap();
        check_answer(signed, &domain, &keys, &anchors(&authority), NOW, &HybridSignatures)
            .map(|verified| verified.certificate().serial)
            .map_err(|refusal| refusal.code)
    };
    let good = certified(&ours, &authority);
    assert_eq!(check(&good, "bank-a.example", 1), Ok(1));
    assert_eq!(check(&good, "bank-b.example", 1), Err(Code::NotOurCertificate));
    assert_eq!(check(&good, "bank-a.example", 2), Err(Code::NotOurCertificate));
    let swapped = certified(&theirs, &authority);
    assert_eq!(check(&swapped, "bank-a.example", 1), Err(Code::NotOurCertificate));
    let unsigned = certified(&ours, &stranger);
    assert_eq!(check(&unsigned, "bank-a.example", 1), Err(Code::BadSignature));
}
