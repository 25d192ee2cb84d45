//! Frames: what verifies, and that nothing else does.

use proptest::prelude::*;

use super::*;

/// A batch of `a` with three pages for two peers; statements of both between one another.
fn said() -> Said {
    let evidence = Said::by("c", &[locked(1)]).evidence(0);
    let records = [
        locked(1),
        locked(2),
        settles(1, vec![evidence]),
        refunds(3),
        page("b", &[0, 2]),
        page("b", &[3]),
        page("c", &[1]),
    ];
    Said::by("a", &records)
}

/// The same frame with another page in it, proven and signed as it should be.
fn with_records(records: &[Record], index: u32) -> Result<ReceivedFrame, Refusal> {
    receive(&Said::by("a", records).frame(index), &members())
}

#[test]
fn every_page_of_a_batch_reaches_its_peer() {
    let said = said();
    let first = receive(&said.frame(4), &members()).unwrap();
    assert_eq!(first.from(), &domain("a"));
    assert_eq!(first.checkpoint(), &said.signed());
    assert_eq!(first.bytes(), codec::encode(&said.frame(4)));
    assert_eq!(first.frame(), &said.frame(4));
    let heard: Vec<_> = first.items().iter().map(|item| item.sequence).collect();
    assert_eq!(heard, [Sequence(11), Sequence(12)]);
    assert_eq!(Record::Statement(first.items()[0].statement.clone().unwrap()), locked(1));
    let second = receive(&said.frame(5), &members()).unwrap();
    assert_eq!(Record::Statement(second.items()[0].statement.clone().unwrap()), refunds(3));
    let bytes = codec::encode(&said.frame(6));
    let (a, c) = (domain("a"), domain("c"));
    let third = Frame::verify(&bytes, &a, &c, &network(), &members(), &SIGNATURES).unwrap();
    assert_eq!(Record::Statement(third.items()[0].statement.clone().unwrap()), locked(2));
}

#[test]
fn a_frame_holds_none_of_the_other_peers_statements() {
    let said = said();
    let bytes = codec::encode(&said.frame(4));
    let found: Vec<bool> = said
        .batch
        .stored()
        .records
        .iter()
        .map(|record| bytes.windows(record.len()).any(|window| window == &**record))
        .collect();
    assert_eq!(found, [true, false, true, false, true, false, false]);
}

#[test]
fn a_frame_for_somebody_else_is_refused() {
    refused(Code::NotAddressed, receive(&said().frame(6), &members()));
}

#[test]
fn a_frame_of_somebody_else_is_refused() {
    let bytes = codec::encode(&said().frame(4));
    let (b, c) = (domain("b"), domain("c"));
    let verified = Frame::verify(&bytes, &c, &b, &network(), &members(), &SIGNATURES);
    refused(Code::WrongDomain, verified);
}

#[test]
fn a_frame_of_another_network_is_refused() {
    let elsewhere = Place { network: "other".parse().unwrap(), ..place("a", 7) };
    let said = Said::at(elsewhere, "a", &[locked(1), page("b", &[0])]);
    refused(Code::WrongNetwork, receive(&said.frame(1), &members()));
    let bytes = codec::encode(&super::frames::said().frame(4));
    let (a, b, other) = (domain("a"), domain("b"), "other".parse().unwrap());
    refused(Code::WrongNetwork, Frame::verify(&bytes, &a, &b, &other, &members(), &SIGNATURES));
}

#[test]
fn a_frame_under_an_unknown_key_is_refused() {
    let later = Place { epoch: Epoch(2), ..place("a", 7) };
    let said = Said::at(later, "a", &[locked(1), page("b", &[0])]);
    refused(Code::UnknownEpoch, receive(&said.frame(1), &members()));
    refused(Code::UnknownDomain, receive(&super::frames::said().frame(4), &Directory::new()));
    let forged = Said::at(place("a", 7), "c", &[locked(1), page("b", &[0])]);
    refused(Code::BadSignature, receive(&forged.frame(1), &members()));
}

#[test]
fn a_frame_without_a_page_is_refused() {
    for last in [locked(2), refunds(2)] {
        let said = Said::by("a", &[locked(1), last, page("b", &[0])]);
        let mut frame = said.frame(2);
        frame.records = Bounded::new(vec![
            locked(1).to_bytes().unwrap(),
            said.batch.stored().records[1].clone(),
        ])
        .unwrap();
        refused(Code::WrongRecord, receive(&frame, &members()));
    }
    let mut frame = said().frame(4);
    frame.records = Bounded::default();
    assert!(receive(&frame, &members()).is_err());
}

#[test]
fn places_that_repeat_fall_or_come_after_the_page_are_refused() {
    for items in [&[0, 0][..], &[1, 0], &[2], &[0, 2]] {
        let records = [locked(1), locked(2), page("b", items), page("c", &[1])];
        refused(Code::BadProof, with_records(&records, 2));
    }
}

#[test]
fn a_page_of_nothing_verifies() {
    let frame = with_records(&[locked(1), page("b", &[])], 1).unwrap();
    assert!(frame.items().is_empty());
    prove(&frame.evidence(0).unwrap()).unwrap();
}

#[test]
fn no_changed_field_of_a_frame_is_accepted() {
    type Change = (Code, fn(&mut Frame));
    let changes: [Change; 14] = [
        (Code::BadProof, |f| f.page = 5),
        (Code::BadProof, |f| f.page = u32::MAX),
        (Code::BadProof, |f| f.salts = Bounded::default()),
        (Code::BadProof, |f| {
            f.salts = Bounded::new(vec![f.salts[1], f.salts[0], f.salts[2]]).unwrap()
        }),
        (Code::BadProof, |f| f.records = Bounded::new(f.records[1..].to_vec()).unwrap()),
        (Code::BadProof, |f| f.proof = Bounded::default()),
        (Code::BadProof, |f| {
            f.proof = Bounded::new([&f.proof[..], &[Hash::ZERO]].concat()).unwrap()
        }),
        (Code::BadProof, |f| f.checkpoint.checkpoint.count = 5),
        (Code::BadProof, |f| f.checkpoint.checkpoint.records_root = Hash::ZERO),
        (Code::BadSignature, |f| f.checkpoint.checkpoint.height = Height(8)),
        (Code::BadSignature, |f| f.checkpoint.checkpoint.previous = Hash::ZERO),
        (Code::BadSignature, |f| f.checkpoint.checkpoint.time = Time(0)),
        (Code::WrongDomain, |f| f.checkpoint.checkpoint.domain = domain("c")),
        (Code::BadSignature, |f| f.checkpoint.signature = key("c").sign(Tag::Checkpoint, b"")),
    ];
    for (number, (code, change)) in changes.into_iter().enumerate() {
        let mut frame = said().frame(4);
        change(&mut frame);
        assert_eq!(receive(&frame, &members()).unwrap_err().code, code, "change {number}");
    }
}

#[test]
fn no_changed_bit_of_a_frame_is_accepted() {
    let (bytes, directory) = (codec::encode(&said().frame(4)), members());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let verified = receive_bytes(&changed, &directory);
            assert!(verified.is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn no_truncated_or_extended_frame_is_accepted() {
    let (bytes, directory) = (codec::encode(&said().frame(4)), members());
    for length in 0..bytes.len() {
        assert!(receive_bytes(&bytes[..length], &directory).is_err());
    }
    let extended = [&bytes[..], &[0]].concat();
    refused(Code::TrailingBytes, receive_bytes(&extended, &directory));
    refused(Code::TooLarge, receive_bytes(&vec![0; crate::limits::FRAME_BYTES + 1], &directory));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn changed_bytes_never_verify(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..6),
    ) {
        let bytes = codec::encode(&said().frame(4));
        let mut changed = bytes.clone();
        for (at, flip) in changes {
            changed[at.index(bytes.len())] ^= flip;
        }
        prop_assume!(changed != bytes);
        prop_assert!(receive_bytes(&changed, &members()).is_err());
    }
}

#[test]
fn statements_that_nobody_knows_keep_their_number_and_count_for_nothing() {
    let unknown = RecordBytes::new(&[14, 0, 0, 0, 200, 0, 0, 0, 1]).unwrap();
    let bytes = |record: Record| record.to_bytes().unwrap();
    let records = vec![
        bytes(locked(1)),
        unknown,
        bytes(Record::Lifted(domain("c"))),
        RecordBytes::default(),
        bytes(locked(2)),
        bytes(page("b", &[0, 1, 2, 3, 4])),
    ];
    let said = Said::bytes(place("a", 7), "a", records);
    let frame = receive(&said.frame(5), &members()).unwrap();
    let known: Vec<_> =
        frame.items().iter().map(|item| (item.sequence.0, item.statement.is_some())).collect();
    assert_eq!(known, [(11, true), (12, false), (13, false), (14, false), (15, true)]);
    assert!(frame.items()[1].locks.is_empty());
}

#[test]
fn a_statement_over_the_limit_counts_for_nothing() {
    let mut bytes = locked(1).to_bytes().unwrap().to_vec();
    bytes.resize(crate::limits::RECORD_BYTES + 1, 0);
    let records = vec![RecordBytes::new(&bytes).unwrap(), page("b", &[0]).to_bytes().unwrap()];
    let frame = receive(&Said::bytes(place("a", 7), "a", records).frame(1), &members()).unwrap();
    assert_eq!(frame.items()[0].statement, None);
}

fn locks_with(evidence: Evidence, directory: &Directory) -> Result<Vec<Option<Lock>>, Refusal> {
    let said = Said::by("a", &[settles(1, vec![evidence]), page("b", &[0])]);
    receive(&said.frame(1), directory).map(|frame| frame.items()[0].locks.clone())
}

#[test]
fn evidence_inside_a_statement_proves_a_lock_only_if_it_holds() {
    let good = Said::by("c", &[locked(1)]).evidence(0);
    let lock = Lock { domain: domain("c"), settlement: settlement(1) };
    assert_eq!(locks_with(good.clone(), &members()).unwrap(), [Some(lock)]);
    let mut bad = good.clone();
    bad.salt.0[0] ^= 1;
    let forged = Said::at(place("c", 7), "a", &[locked(1)]).evidence(0);
    let elsewhere = Place { network: "other".parse().unwrap(), ..place("c", 7) };
    let elsewhere = Said::at(elsewhere, "c", &[locked(1)]).evidence(0);
    let no_lock = Said::by("c", &[refunds(1)]).evidence(0);
    for evidence in [bad, forged, elsewhere, no_lock] {
        assert_eq!(locks_with(evidence, &members()).unwrap(), [None]);
    }
}

#[test]
fn a_frame_with_evidence_under_a_key_not_heard_of_yet_comes_again() {
    let good = Said::by("c", &[locked(1)]).evidence(0);
    let mut early = Directory::new();
    admit(&mut early, "a");
    refused(Code::UnknownDomain, locks_with(good, &early));
    let later = Place { epoch: Epoch(2), ..place("c", 7) };
    let rotated = Said::at(later, "c", &[locked(1)]).evidence(0);
    refused(Code::UnknownEpoch, locks_with(rotated, &members()));
}
