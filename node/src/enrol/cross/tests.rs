use std::path::Path;

use quadrille_protocol::crypto::suite::{HybridSignatures, Suite};
use quadrille_protocol::error::Code;
use quadrille_protocol::identity::Directory;

use super::super::{check_answer, tests::secret};
use super::*;

const NOW: Time = Time(1_800_000_000_000);

fn request(domain: &str, key: &SecretKey) -> EnrolmentRequest {
    EnrolmentRequest {
        network: "demo".parse().unwrap(),
        domain: domain.parse().unwrap(),
        lei: None,
        roles: Bounded::new(vec![Role::Validator]).unwrap(),
        epoch: Epoch(1),
        signing_key: key.public().clone(),
        sealing_key: None,
        time: NOW,
    }
}

fn certificate(domain: &str, key: &SecretKey) -> SignedCertificate {
    self_sign(request(domain, key), 1, VALID_DAYS, key).unwrap()
}

/// A network whose endorsers are these, none of them pinned.
fn network(endorsers: &[&str], threshold: u32) -> NetworkFile {
    let quoted = |name: &&str| format!("[[endorser]]\ndomain = \"{name}\"\n");
    let endorsers: String = endorsers.iter().map(quoted).collect();
    let text = format!("network = \"demo\"\nthreshold = {threshold}\n{endorsers}");
    NetworkFile::parse(Path::new("network.toml"), &text).unwrap()
}

fn pinned(file: &NetworkFile, signed: &SignedCertificate) -> NetworkFile {
    let id = signed.parse().unwrap().signing_key.id();
    pin(file, signed, id, NOW, &HybridSignatures).unwrap()
}

fn accepted(file: &NetworkFile, signed: &SignedCertificate) -> Result<(), Code> {
    let verified =
        file.anchors().verify_certificate(signed, &Directory::new(), NOW, &HybridSignatures);
    verified.map(|_| ()).map_err(|refusal| refusal.code)
}

fn by(name: &str) -> Domain {
    name.parse().unwrap()
}

#[test]
fn a_newcomer_needs_as_many_endorsements_as_the_threshold_says() {
    let (a, b, c) = (secret(1), secret(2), secret(3));
    let (cert_a, cert_b) = (certificate("a.example", &a), certificate("b.example", &b));
    let file = network(&["a.example", "b.example"], 2);
    let file = pinned(&pinned(&file, &cert_a), &cert_b);
    assert_eq!(accepted(&file, &cert_a), Ok(()), "a pinned key needs no endorsement");
    let newcomer = certificate("c.example", &c);
    assert_eq!(accepted(&file, &newcomer), Err(Code::NotEndorsed));
    let by_a = endorse(&newcomer, &by("a.example"), Epoch(1), &a).unwrap();
    let by_b = endorse(&newcomer, &by("b.example"), Epoch(1), &b).unwrap();
    for one in [&by_a, &by_b] {
        assert_eq!(accepted(&file, one), Err(Code::NotEndorsed));
    }
    let merged = merge(&[by_a.clone(), by_b, by_a]).unwrap();
    assert_eq!(merged.endorsements().len(), 2);
    assert_eq!(accepted(&file, &merged), Ok(()));
    let ours = [(Epoch(1), c.public().clone())];
    let answer = |domain: &str| {
        check_answer(&merged, &by(domain), &ours, &file.anchors(), NOW, &HybridSignatures)
    };
    assert!(answer("c.example").is_ok());
    assert_eq!(answer("a.example").unwrap_err().code, Code::NotOurCertificate);
}

#[test]
fn endorsing_again_replaces_and_oneself_is_refused() {
    let (a, b) = (secret(1), secret(2));
    let signed = certificate("b.example", &b);
    let once = endorse(&signed, &by("a.example"), Epoch(1), &b).unwrap();
    let file = pinned(&network(&["a.example"], 1), &certificate("a.example", &a));
    assert_eq!(accepted(&file, &once), Err(Code::BadSignature), "signed with another's key");
    let again = endorse(&once, &by("a.example"), Epoch(1), &a).unwrap();
    assert_eq!(again.endorsements().len(), 1);
    assert_eq!(accepted(&file, &again), Ok(()));
    let refusal = endorse(&signed, &by("b.example"), Epoch(1), &b).unwrap_err();
    assert_eq!(refusal.code, Code::BadEnrolmentRequest);
}

#[test]
fn copies_of_different_certificates_are_not_merged() {
    let (b, c) = (secret(2), secret(3));
    let copies = [certificate("b.example", &b), certificate("c.example", &c)];
    assert_eq!(merge(&copies).unwrap_err().code, Code::OtherCertificate);
    assert_eq!(merge(&[]).unwrap_err().code, Code::OtherCertificate);
}

#[test]
fn only_the_key_that_was_named_is_pinned() {
    let (a, b) = (secret(1), secret(2));
    let (file, signed) = (network(&["a.example"], 1), certificate("a.example", &a));
    let refusal = pin(&file, &signed, b.public().id(), NOW, &HybridSignatures).unwrap_err();
    assert_eq!(refusal.code, Code::OtherKey);
    let once = pinned(&file, &signed);
    let text = once.to_toml();
    assert_eq!(NetworkFile::parse(Path::new("network.toml"), &text), Ok(once.clone()));
    let renewed = pinned(&once, &certificate("a.example", &b));
    assert_eq!(renewed.anchors().endorsers.len(), 1, "the pin of a domain is replaced");
    assert_eq!(accepted(&renewed, &signed), Err(Code::NotEndorsed));
}

#[test]
fn what_its_own_key_did_not_sign_is_no_self_signed_certificate() {
    let (a, b) = (secret(1), secret(2));
    let check = |signed: &SignedCertificate, now: Time| {
        let network = "demo".parse().unwrap();
        check_self_signed(signed, &network, SuitePolicy::FINAL, now, &HybridSignatures)
            .map(|certificate| certificate.domain)
            .map_err(|refusal| refusal.code)
    };
    let good = certificate("a.example", &a);
    assert_eq!(check(&good, NOW), Ok(by("a.example")));
    let later = Time(NOW.0 + (u64::from(VALID_DAYS) + 1) * DAY_MS);
    assert_eq!(check(&good, later), Err(Code::CertificateExpired));
    let parsed = good.parse().unwrap();
    let (tag, bytes) = parsed.to_sign();
    let forged = SignedCertificate::assemble(&parsed, b.sign(tag, &bytes), vec![]).unwrap();
    assert_eq!(check(&forged, NOW), Err(Code::BadSignature));
    let issued =
        Certificate { issuer: Issuer::Authority(by("authority.example")), ..parsed.clone() };
    let (tag, bytes) = issued.to_sign();
    let issued = SignedCertificate::assemble(&issued, a.sign(tag, &bytes), vec![]).unwrap();
    assert_eq!(check(&issued, NOW), Err(Code::BadEnrolmentRequest));
    let old_suite = SecretKey::generate(Suite::HybridDilithium3, &[7; 32]);
    assert_eq!(check(&certificate("a.example", &old_suite), NOW), Err(Code::SuiteNotAllowed));
    let stolen = self_sign(request("a.example", &a), 1, VALID_DAYS, &b).unwrap_err();
    assert_eq!(stolen.code, Code::BadEnrolmentRequest);
    for days in [0, VALID_DAYS_MAX + 1] {
        let refusal = self_sign(request("a.example", &a), 1, days, &a).unwrap_err();
        assert_eq!(refusal.code, Code::BadNumber);
    }
}
