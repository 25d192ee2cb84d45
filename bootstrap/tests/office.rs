//! Admission on a real disk: what is approved, what is refused, what survives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::num::NonZeroU32;

use quadrille_bootstrap::layout::Layout;
use quadrille_bootstrap::office::{Office, Terms};
use quadrille_bootstrap::register::{Reader, Register};
use quadrille_bootstrap::roll::{ALL_HEIGHTS, Roll, Standing};
use quadrille_node::enrol::{EnrolmentRequest, SignedEnrolmentRequest};
use quadrille_node::network_file::NetworkFile;
use quadrille_protocol::crypto::suite::{HybridSignatures, SecretKey, Suite};
use quadrille_protocol::error::Code;
use quadrille_protocol::identity::{
    Anchors, AuthorityKey, Directory, RevocationReason, Role, SuitePolicy,
};
use quadrille_protocol::types::{Bounded, Domain, Epoch, Height, Time};

const NOW: Time = Time(1_790_000_000_000);
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

struct Town {
    folder: tempfile::TempDir,
    layout: Layout,
}

fn key(number: u8) -> SecretKey {
    SecretKey::generate(Suite::HybridMlDsa65, &[number; 32])
}

impl Town {
    fn new() -> Self {
        Self::with_suites(SuitePolicy::HYBRID)
    }

    fn with_suites(suites: SuitePolicy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        fs::create_dir(layout.authority()).unwrap();
        let anchors = Anchors {
            network: "town".parse().unwrap(),
            authorities: Bounded::new(vec![AuthorityKey {
                authority: "authority.example".parse().unwrap(),
                key: key(0).public().clone(),
            }])
            .unwrap(),
            endorsers: Bounded::default(),
            threshold: NonZeroU32::MIN,
            suites,
        };
        NetworkFile::new(anchors, Vec::new()).unwrap().save(&layout.network_file()).unwrap();
        Self { folder, layout }
    }

    fn office(&self) -> Office {
        Office::open(&self.layout, key(0)).unwrap()
    }
}

fn wanted(domain: &str, epoch: u32, key: &SecretKey) -> EnrolmentRequest {
    EnrolmentRequest {
        network: "town".parse().unwrap(),
        domain: domain.parse().unwrap(),
        lei: Some("506700GE1G29325QX363".parse().unwrap()),
        roles: Bounded::new(vec![Role::Validator]).unwrap(),
        epoch: Epoch(epoch),
        signing_key: key.public().clone(),
        sealing_key: None,
        time: NOW,
    }
}

fn request(domain: &str, epoch: u32, key: &SecretKey) -> SignedEnrolmentRequest {
    wanted(domain, epoch, key).sign(key).unwrap()
}

fn refused<T>(result: Result<T, quadrille_protocol::error::Refusal>) -> Code {
    match result {
        Ok(_) => panic!("this should have been refused"),
        Err(refusal) => refusal.code,
    }
}

#[test]
fn an_approved_domain_holds_a_certificate_that_members_accept() {
    let town = Town::new();
    let terms = Terms { days: Some(30), ..Terms::default() };
    let request = request("bank-a.example", 1, &key(1));
    let answer = town.office().approve(&request, &terms, NOW).unwrap();
    let anchors = town.layout.network().unwrap().anchors();
    let directory = Directory::new();
    let verified =
        anchors.verify_certificate(&answer.signed, &directory, NOW, &HybridSignatures).unwrap();
    let certificate = verified.certificate();
    assert_eq!((answer.serial, certificate.serial, answer.repeated), (1, 1, false));
    assert_eq!(certificate.roles[..], [Role::Validator]);
    assert_eq!(certificate.valid_until, Time(NOW.0 + 30 * DAY_MS));
    let late = Time(NOW.0 - 60_000);
    certificate.check_time(late).expect("a member whose clock is a minute behind accepts it too");
}

#[test]
fn serial_numbers_rise_over_restarts_and_the_same_request_gets_the_same_certificate() {
    let town = Town::new();
    let (a, b) = (request("bank-a.example", 1, &key(1)), request("bank-b.example", 1, &key(2)));
    let first = town.office().approve(&a, &Terms::default(), NOW).unwrap();
    let second = town.office().approve(&b, &Terms::default(), NOW).unwrap();
    let later = Time(NOW.0 + DAY_MS);
    let again = town.office().approve(&a, &Terms::default(), later).unwrap();
    assert_eq!((first.serial, second.serial, again.serial), (1, 2, 1));
    assert!(again.repeated);
    assert_eq!(again.signed, first.signed);
    let other = Terms { roles: Some(vec![Role::Notary]), ..Terms::default() };
    assert_eq!(refused(town.office().approve(&a, &other, later)), Code::ApprovedOtherwise);
    let shorter = Terms { days: Some(3), ..Terms::default() };
    assert_eq!(refused(town.office().approve(&a, &shorter, later)), Code::ApprovedOtherwise);
    let long_after = Time(NOW.0 + 400 * DAY_MS);
    let expired = town.office().approve(&a, &Terms::default(), long_after);
    assert_eq!(refused(expired), Code::CertificateExpired);
}

#[test]
fn a_renewal_takes_a_new_request_and_supersedes_the_old_certificate() {
    let town = Town::new();
    let mut office = town.office();
    office.approve(&request("bank-a.example", 1, &key(1)), &Terms::default(), NOW).unwrap();
    let mut renewal = wanted("bank-a.example", 1, &key(1));
    renewal.time = Time(NOW.0 + DAY_MS);
    let renewal = renewal.sign(&key(1)).unwrap();
    assert_eq!(office.approve(&renewal, &Terms::default(), NOW).unwrap().serial, 2);
    let standing: Vec<Standing> = office
        .roll()
        .issued()
        .map(|(_, issued)| office.roll().standing(&issued.certificate, NOW))
        .collect();
    assert_eq!(standing, [Standing::Superseded, Standing::Live]);
}

#[test]
fn a_second_live_key_needs_replace_and_a_new_epoch() {
    let town = Town::new();
    let mut office = town.office();
    let terms = Terms::default();
    office.approve(&request("bank-a.example", 1, &key(1)), &terms, NOW).unwrap();
    let same_epoch = request("bank-a.example", 1, &key(9));
    assert_eq!(refused(office.approve(&same_epoch, &terms, NOW)), Code::OtherKeyLive);
    let next_epoch = request("bank-a.example", 2, &key(9));
    assert_eq!(refused(office.approve(&next_epoch, &terms, NOW)), Code::OtherKeyLive);
    let replace = Terms { replace: true, ..Terms::default() };
    assert_eq!(refused(office.approve(&same_epoch, &replace, NOW)), Code::EpochTaken);
    assert_eq!(office.approve(&next_epoch, &replace, NOW).unwrap().serial, 2);
    let back = request("bank-a.example", 1, &key(1));
    let older = wanted("bank-a.example", 1, &key(1));
    let older = EnrolmentRequest { time: Time(1), ..older }.sign(&key(1)).unwrap();
    assert!(office.approve(&back, &terms, NOW).unwrap().repeated);
    assert_eq!(refused(office.approve(&older, &replace, NOW)), Code::StaleSequence);
}

#[test]
fn a_revoked_key_makes_room_for_another_one() {
    let town = Town::new();
    let mut office = town.office();
    let request_a = request("bank-a.example", 1, &key(1));
    office.approve(&request_a, &Terms::default(), NOW).unwrap();
    let stolen = RevocationReason::KeyCompromise;
    assert_eq!(refused(office.revoke(1, stolen, None, NOW)), Code::NeedsHeight);
    assert_eq!(refused(office.revoke(7, stolen, None, NOW)), Code::NoSuchSerial);
    let revoked = office.revoke(1, stolen, Some(Height(12)), NOW).unwrap();
    assert_eq!((revoked.serial, revoked.repeated), (2, false));
    let again = office.revoke(1, stolen, Some(Height(12)), NOW).unwrap();
    assert_eq!((again.serial, again.repeated), (2, true));
    let certificate = &office.roll().certificate(1).unwrap().certificate;
    assert_eq!(office.roll().standing(certificate, NOW), Standing::Revoked(Height(12)));
    let repeated = office.approve(&request_a, &Terms::default(), NOW);
    assert_eq!(refused(repeated), Code::CertificateRevoked);
    let next = request("bank-a.example", 2, &key(9));
    assert_eq!(office.approve(&next, &Terms::default(), NOW).unwrap().serial, 3);
    let corrected = office.revoke(1, stolen, Some(Height(9)), NOW).unwrap();
    assert_eq!((corrected.serial, corrected.repeated), (4, false));
}

#[test]
fn a_member_that_leaves_keeps_what_it_said() {
    let town = Town::new();
    let mut office = town.office();
    office.approve(&request("bank-a.example", 1, &key(1)), &Terms::default(), NOW).unwrap();
    office.revoke(1, RevocationReason::CessationOfOperation, None, NOW).unwrap();
    let domain: Domain = "bank-a.example".parse().unwrap();
    let directory = office.roll().directory();
    directory.key(&domain, Epoch(1), Height(1_000_000)).expect("its statements count");
    assert_eq!(refused(directory.good_key(&domain, Epoch(1))), Code::CertificateRevoked);
    let certificate = &office.roll().certificate(1).unwrap().certificate;
    assert_eq!(office.roll().standing(certificate, NOW), Standing::Revoked(ALL_HEIGHTS));
}

#[test]
fn what_members_would_refuse_is_not_signed() {
    let town = Town::with_suites(SuitePolicy::FINAL);
    let mut office = town.office();
    let old = SecretKey::generate(Suite::HybridDilithium3, &[5; 32]);
    let round_three = request("bank-a.example", 1, &old);
    let none = Terms::default();
    assert_eq!(refused(office.approve(&round_three, &none, NOW)), Code::SuiteNotAllowed);
    let authority = Terms { roles: Some(vec![Role::Authority]), ..Terms::default() };
    let good = request("bank-a.example", 1, &key(1));
    assert_eq!(refused(office.approve(&good, &authority, NOW)), Code::NotEndorsed);
    let stranger = EnrolmentRequest {
        network: "village".parse().unwrap(),
        ..wanted("bank-a.example", 1, &key(1))
    };
    let stranger = stranger.sign(&key(1)).unwrap();
    assert_eq!(refused(office.approve(&stranger, &none, NOW)), Code::WrongNetwork);
    let signature = key(2).sign(quadrille_protocol::crypto::hash::Tag::Registration, b"x");
    let forged =
        SignedEnrolmentRequest::assemble(&wanted("bank-a.example", 1, &key(1)), signature).unwrap();
    assert_eq!(refused(office.approve(&forged, &none, NOW)), Code::BadSignature);
    let never = Terms { days: Some(0), ..Terms::default() };
    assert_eq!(refused(office.approve(&good, &never, NOW)), Code::BadNumber);
    assert_eq!(office.roll().issued().count(), 0);
    assert_eq!(fs::read(town.layout.register()).unwrap(), b"", "nothing was entered");
}

#[test]
fn another_key_than_the_network_file_s_opens_no_office() {
    let town = Town::new();
    assert_eq!(refused(Office::open(&town.layout, key(4))), Code::NotEndorsed);
}

#[test]
fn two_offices_at_once_are_refused_with_the_holder_s_number() {
    let town = Town::new();
    let open = town.office();
    let refusal = Office::open(&town.layout, key(0)).err().unwrap();
    assert_eq!(refusal.code, Code::RegisterInUse);
    assert!(refusal.what.contains(&format!("process {}", std::process::id())), "{refusal}");
    drop(open);
    drop(town.office());
}

#[test]
fn a_reader_sees_new_entries_while_the_office_is_open_and_half_a_line_never() {
    let town = Town::new();
    let mut office = town.office();
    let mut reader = Reader::new(town.layout.register());
    assert!(reader.news().unwrap().is_empty());
    office.approve(&request("bank-a.example", 1, &key(1)), &Terms::default(), NOW).unwrap();
    let mut roll = Roll::new(town.layout.network().unwrap().anchors());
    for entry in reader.news().unwrap() {
        roll.apply(&entry).unwrap();
    }
    assert_eq!(roll.directory(), office.roll().directory());
    drop(office);
    let mut file = fs::OpenOptions::new().append(true).open(town.layout.register()).unwrap();
    file.write_all(b"{\"serial\":2,\"kind\":\"certif").unwrap();
    assert!(reader.news().unwrap().is_empty());
}

#[test]
fn an_unfinished_last_line_is_cut_off_and_reported() {
    let town = Town::new();
    town.office().approve(&request("bank-a.example", 1, &key(1)), &Terms::default(), NOW).unwrap();
    let whole = fs::read(town.layout.register()).unwrap();
    for cut in [1, whole.len() / 2, whole.len() - 1] {
        let torn = [&whole[..], &whole[..cut]].concat();
        fs::write(town.layout.register(), torn).unwrap();
        let mut office = town.office();
        assert_eq!(office.torn_bytes(), cut as u64);
        let answer = office.approve(&request("bank-b.example", 1, &key(2)), &Terms::default(), NOW);
        assert_eq!(answer.unwrap().serial, 2);
        assert!(fs::read(town.layout.register()).unwrap().starts_with(&whole));
    }
}

#[test]
fn a_register_that_was_edited_is_refused_with_the_line() {
    let town = Town::new();
    let mut office = town.office();
    let (a, b) = (request("bank-a.example", 1, &key(1)), request("bank-b.example", 1, &key(2)));
    office.approve(&a, &Terms::default(), NOW).unwrap();
    office.approve(&b, &Terms::default(), NOW).unwrap();
    drop(office);
    let whole = fs::read_to_string(town.layout.register()).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let cases = [
        format!("{}\n", lines[1]),
        format!("{}\n{}\n", lines[1], lines[0]),
        format!("{}\n\n{}\n", lines[0], lines[1]),
        format!("{}\n{}\n", lines[0], lines[0]),
        format!("{}\n{}\n", lines[0], lines[1].replace("\"serial\":2", "\"serial\":3")),
        format!("{}\n{}\n", lines[0].replace("\"bytes\":\"", "\"bytes\":\"00"), lines[1]),
        // A flipped bit inside the signed bytes.
        flip(&whole),
        "\0\0\0\n".to_owned(),
    ];
    for case in cases {
        fs::write(town.layout.register(), &case).unwrap();
        let refusal = Office::open(&town.layout, key(0)).err().unwrap();
        assert_eq!(refusal.code, Code::RegisterDamaged, "{refusal}");
        assert_eq!(fs::read_to_string(town.layout.register()).unwrap(), case, "left as it is");
    }
    let _ = town.folder;
}

/// Another digit in the middle of the first entry's signature.
fn flip(register: &str) -> String {
    let line_end = register.find('\n').unwrap();
    let place = line_end - 200;
    let other = if &register[place..=place] == "0" { "1" } else { "0" };
    format!("{}{other}{}", &register[..place], &register[place + 1..])
}

#[test]
fn a_second_network_file_s_register_is_not_taken_for_ours() {
    let town = Town::new();
    town.office().approve(&request("bank-a.example", 1, &key(1)), &Terms::default(), NOW).unwrap();
    let other = Town::new();
    fs::copy(town.layout.register(), other.layout.register()).unwrap();
    let text = fs::read_to_string(other.layout.network_file()).unwrap();
    let text = text.replace("network = \"town\"", "network = \"village\"");
    fs::write(other.layout.network_file(), text).unwrap();
    assert_eq!(refused(Office::open(&other.layout, key(0))), Code::RegisterDamaged);
    assert!(Register::open(&other.layout.register()).is_ok(), "as lines it is whole");
}
