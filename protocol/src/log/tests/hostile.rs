//! Frames that a dishonest member could sign, and what they used to do.

use super::*;

/// A record of a received frame whose last record is a received frame, and so on.
fn nested(depth: usize) -> RecordBytes {
    let mut bytes = locked(1).to_bytes().unwrap();
    for _ in 0..depth {
        let frame = Frame {
            checkpoint: Said::by("a", &[locked(1)]).signed(),
            page: 0,
            salts: Bounded::default(),
            records: Bounded::new(vec![bytes]).unwrap(),
            proof: Bounded::default(),
        };
        let locks: Vec<Option<Lock>> = Vec::new();
        let received = codec::encode(&(15u32, codec::encode(&frame), locks));
        bytes = RecordBytes::from_vec(received).unwrap();
    }
    bytes
}

#[test]
fn received_frames_inside_one_another_do_not_exhaust_the_stack() {
    let mut frame = Said::by("a", &[locked(1), page("b", &[0])]).frame(1);
    frame.records = Bounded::new(vec![nested(1_500)]).unwrap();
    refused(Code::WrongRecord, receive(&frame, &members()));
}

#[test]
fn a_statement_of_frames_inside_one_another_does_not_exhaust_the_stack() {
    let records = vec![nested(200), page("b", &[0]).to_bytes().unwrap()];
    assert!(records[0].len() <= crate::limits::RECORD_BYTES);
    let said = Said::bytes(place("a", 7), "a", records);
    let frame = receive(&said.frame(1), &members()).unwrap();
    assert_eq!(frame.items()[0].statement, None);
}

#[test]
fn evidence_of_frames_inside_one_another_does_not_exhaust_the_stack() {
    let said = Said::bytes(place("a", 7), "a", vec![nested(1_500)]);
    refused(Code::BadEvidence, prove(&said.evidence(0)));
}

/// A frame of exactly this many bytes, with a statement that nobody knows.
fn frame_of(length: usize) -> Vec<u8> {
    let with = |filling: usize| {
        let filling = RecordBytes::from_vec(vec![255; filling]).unwrap();
        let records = vec![filling, page("b", &[0]).to_bytes().unwrap()];
        codec::encode(&Said::bytes(place("a", 7), "a", records).frame(1))
    };
    let rest = with(0).len();
    with(length - rest)
}

#[test]
fn every_frame_that_is_accepted_can_be_written_down() {
    let head = 4 + 8 + 8;
    let largest = frame_of(crate::limits::FRAME_BYTES - head);
    let frame = receive_bytes(&largest, &members()).unwrap();
    let record = Record::Received(Box::new(frame));
    assert_eq!(Record::read(&record.to_bytes().unwrap()).unwrap(), record);
    for length in [crate::limits::FRAME_BYTES - head + 1, crate::limits::FRAME_BYTES] {
        refused(Code::TooLarge, receive_bytes(&frame_of(length), &members()));
    }
}

#[test]
fn a_frame_full_of_worthless_evidence_is_read_back_from_the_log() {
    let mut worthless = Said::by("c", &[locked(1)]).evidence(0);
    worthless.record = RecordBytes::default();
    let evidence = vec![worthless; crate::limits::BUNDLE_EVIDENCE];
    let full = settles(1, evidence).to_bytes().unwrap();
    let count = crate::limits::PAGE_ITEMS;
    let items: Vec<u32> = (0..u32::try_from(count).unwrap()).collect();
    let mut records = vec![full; count];
    records.push(page("b", &items).to_bytes().unwrap());
    let said = Said::bytes(place("a", 7), "a", records);
    let frame = receive(&said.frame(512), &members()).unwrap();
    assert_eq!(frame.items().iter().map(|item| item.locks.len()).sum::<usize>(), 4096);
    let record = Record::Received(Box::new(frame));
    assert_eq!(Record::read(&record.to_bytes().unwrap()).unwrap(), record);
}
