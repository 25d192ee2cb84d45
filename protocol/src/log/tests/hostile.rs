//! Frames that a dishonest member could sign, and what they used to do.

use super::*;
use crate::crypto::merkle::{self, Salt, Tree};

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
        bytes = RecordBytes::new(&received).unwrap();
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
        let filling = RecordBytes::new(&vec![255; filling]).unwrap();
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

/// A batch of more records than one may have: the first a lock, the last a page with it.
fn oversized() -> (SignedCheckpoint, Tree, Vec<(Salt, RecordBytes)>) {
    let count = u32::try_from(crate::limits::BATCH_RECORDS).unwrap() + 1;
    let records = vec![
        (Salt([1; 16]), locked(1).to_bytes().unwrap()),
        (Salt([2; 16]), page("b", &[0]).to_bytes().unwrap()),
    ];
    let leaves: Vec<Hash> = records.iter().map(|(salt, bytes)| merkle::leaf(salt, bytes)).collect();
    let mut all = vec![Hash::ZERO; count as usize];
    all[0] = leaves[0];
    all[count as usize - 1] = leaves[1];
    let tree = Tree::new(all);
    let mut checkpoint = Said::by("a", &[locked(1)]).signed().checkpoint;
    checkpoint.count = count;
    checkpoint.records_root = tree.root();
    let signature = key("a").sign(Tag::Checkpoint, &checkpoint.to_sign());
    (SignedCheckpoint { checkpoint, signature }, tree, records)
}

#[test]
fn a_frame_of_a_batch_too_large_to_draw_evidence_from_is_refused() {
    // Its lock would count for whoever hears it, and could be proven to nobody else.
    let (checkpoint, tree, records) = oversized();
    let last = checkpoint.checkpoint.count - 1;
    assert!(tree.prove(&[0]).len() > crate::limits::MERKLE_DEPTH);
    let (salts, records): (Vec<_>, Vec<_>) = records.into_iter().unzip();
    let frame = Frame {
        checkpoint,
        page: last,
        salts: Bounded::new(salts).unwrap(),
        records: Bounded::new(records).unwrap(),
        proof: Bounded::new(tree.prove(&[0, last])).unwrap(),
    };
    refused(Code::TooMany, receive(&frame, &members()));
}

#[test]
fn evidence_from_a_batch_larger_than_one_can_be_is_refused() {
    let (checkpoint, tree, records) = oversized();
    let index = checkpoint.checkpoint.count - 1;
    let path = Bounded::new(tree.prove(&[index])).unwrap();
    let (salt, record) = records[1].clone();
    refused(Code::TooMany, prove(&Evidence { checkpoint, index, salt, record, path }));
}

#[test]
fn an_agreement_locks_nobody_but_its_initiator() {
    let agreement = samples::agreement();
    assert_eq!(agreement.header.initiator, domain("a"));
    let header = agreement.header.clone();
    let agreed = Record::Statement(Statement::Agreed(Box::new(agreement)));
    let appointed = Record::Statement(Statement::Appointed(Box::new(header)));
    for record in [agreed, appointed] {
        assert!(record.locks(&domain("a")).is_some());
        assert_eq!(record.locks(&domain("b")), None, "b never said that it locked");
    }
}
