//! Evidence: one record, provable alone, that tells nothing of its neighbours.

use super::*;

const COUNT: u32 = 7;

fn said() -> Said {
    let mut records: Vec<Record> = (1..6).map(locked).collect();
    records.push(page("b", &[0, 2, 4]));
    records.push(page("c", &[1]));
    Said::by("a", &records)
}

#[test]
fn every_record_of_a_batch_can_be_proven_offline() {
    let said = said();
    for index in 0..COUNT {
        let evidence = said.evidence(index);
        let record = prove(&evidence).unwrap();
        assert_eq!(record.to_bytes().unwrap(), evidence.record);
        assert_eq!(evidence.domain(), &domain("a"));
        let bytes = codec::encode(&evidence);
        assert_eq!(codec::decode::<Evidence, 65_536>(&bytes).unwrap(), evidence);
        let checked = VerifiedEvidence::check(evidence, &network(), &members(), &SIGNATURES);
        assert_eq!(checked.unwrap().record(), &record);
    }
}

#[test]
fn evidence_of_each_position_of_a_received_page_verifies_with_the_directory_alone() {
    let said = said();
    let frame = receive(&said.frame(5), &members()).unwrap();
    for (position, index) in [0, 2, 4, 5].into_iter().enumerate() {
        let evidence = frame.evidence(position).unwrap();
        assert_eq!(evidence, said.evidence(index), "a received page proves what its sender can");
        prove(&evidence).unwrap();
    }
    assert_eq!(prove(&frame.evidence(3).unwrap()).unwrap(), page("b", &[0, 2, 4]));
    refused(Code::BadProof, frame.evidence(4));
    refused(Code::BadProof, frame.evidence(usize::MAX));
}

#[test]
fn evidence_holds_none_of_the_other_records() {
    let said = said();
    for index in 0..COUNT {
        let bytes = codec::encode(&said.evidence(index));
        for (other, record) in said.batch.stored().records.iter().enumerate() {
            let found = bytes.windows(record.len()).any(|window| window == &**record);
            assert_eq!(found, other == index as usize, "record {other} in evidence {index}");
        }
        assert!(!bytes.windows(32).any(|window| window == ENTROPY), "the entropy stays at home");
    }
}

#[test]
fn a_neighbour_cannot_be_guessed_from_its_hash() {
    // The same record twice: their leaves differ, so a guess cannot be tried without its salt.
    let said = Said::by("a", &[locked(1), locked(1)]);
    let (one, other) = (said.evidence(0), said.evidence(1));
    assert_eq!(one.record, other.record);
    assert_ne!(one.salt, other.salt);
    assert_ne!(one.path, other.path);
}

#[test]
fn no_changed_part_of_evidence_is_accepted() {
    type Change = (Code, fn(&mut Evidence));
    let changes: [Change; 12] = [
        (Code::BadProof, |e| e.index = 1),
        (Code::BadProof, |e| e.index = COUNT),
        (Code::BadProof, |e| e.salt.0[0] ^= 1),
        (Code::BadProof, |e| e.record = locked(99).to_bytes().unwrap()),
        (Code::BadProof, |e| e.path = Bounded::default()),
        (Code::BadProof, |e| e.checkpoint.checkpoint.count = 1),
        (Code::BadProof, |e| e.checkpoint.checkpoint.records_root.0[0] ^= 1),
        (Code::BadSignature, |e| e.checkpoint.checkpoint.height = Height(8)),
        (Code::BadSignature, |e| e.checkpoint.checkpoint.time = Time(1)),
        (Code::BadSignature, |e| e.checkpoint.checkpoint.domain = domain("b")),
        (Code::UnknownDomain, |e| e.checkpoint.checkpoint.domain = domain("nobody")),
        (Code::WrongNetwork, |e| e.checkpoint.checkpoint.network = "other".parse().unwrap()),
    ];
    for (number, (code, change)) in changes.into_iter().enumerate() {
        let mut evidence = said().evidence(0);
        change(&mut evidence);
        let refusal = prove(&evidence).unwrap_err();
        assert_eq!(refusal.code, code, "change {number}");
    }
}

#[test]
fn evidence_of_one_domain_is_worth_nothing_under_the_key_of_another() {
    let forged = Said::at(place("b", 7), "a", &[locked(1)]);
    refused(Code::BadSignature, prove(&forged.evidence(0)));
}

#[test]
fn evidence_of_bytes_that_are_no_record_is_bad_evidence() {
    let bytes = RecordBytes::new(&[255; 40]).unwrap();
    let said = Said::bytes(place("a", 7), "a", vec![bytes]);
    refused(Code::BadEvidence, prove(&said.evidence(0)));
}

#[test]
fn a_batch_of_one_record_needs_no_path() {
    let said = Said::by("a", &[locked(1)]);
    assert!(said.evidence(0).path.is_empty());
    assert_eq!(prove(&said.evidence(0)).unwrap(), locked(1));
}

#[test]
fn only_locks_prove_a_lock() {
    let a = domain("a");
    let lock = Lock { domain: a.clone(), settlement: settlement(1) };
    assert_eq!(locked(1).locks(&a), Some(lock));
    for record in [refunds(1), settles(1, Vec::new()), revealed(1), aborted(1), page("b", &[])] {
        assert_eq!(record.locks(&a), None);
    }
    let agreement = samples::agreement();
    let id = agreement.header.id();
    let header = agreement.header.clone();
    let agreed = Record::Statement(Statement::Agreed(Box::new(agreement)));
    let appointed = Record::Statement(Statement::Appointed(Box::new(header)));
    for record in [agreed, appointed] {
        let lock = record.locks(&a).unwrap();
        assert_eq!((lock.settlement, &lock.domain), (id, &a));
    }
}

#[test]
fn a_bundle_says_what_evidence_of_each_of_its_records_would() {
    let said = said();
    let bundle = said.batch.bundle(&[0, 3, 4], &said.signature).unwrap();
    let verify = |bundle: &Bundle| {
        Bundle::verify(&codec::encode(bundle), &network(), &members(), &SIGNATURES)
    };
    let verified = verify(&bundle).unwrap();
    assert_eq!(verified.domain(), &domain("a"));
    let alone = |index| prove(&said.evidence(index)).unwrap();
    assert_eq!(verified.records(), [alone(0), alone(3), alone(4)]);
    refused(Code::BadProof, said.batch.bundle(&[COUNT], &said.signature));

    type Change = (Code, fn(&mut Bundle));
    let changes: [Change; 5] = [
        (Code::BadProof, |b| b.records = Bounded::default()),
        (Code::BadProof, |b| b.proof = Bounded::default()),
        (Code::BadProof, |b| b.checkpoint.checkpoint.count = 4),
        (Code::BadSignature, |b| b.checkpoint.checkpoint.time = Time(9)),
        (Code::WrongNetwork, |b| {
            b.checkpoint.checkpoint.network = "elsewhere".parse().unwrap();
        }),
    ];
    for (code, change) in changes {
        let mut changed = bundle.clone();
        change(&mut changed);
        refused(code, verify(&changed));
    }
    for at in 0..3 {
        let mut swapped = bundle.records.to_vec();
        swapped[at].record = locked(9).to_bytes().unwrap();
        let changed = Bundle { records: Bounded::new(swapped).unwrap(), ..bundle.clone() };
        refused(Code::BadProof, verify(&changed));
        let mut moved = bundle.records.to_vec();
        moved[at].place += 1;
        let changed = Bundle { records: Bounded::new(moved).unwrap(), ..bundle.clone() };
        refused(Code::BadProof, verify(&changed));
    }
}
