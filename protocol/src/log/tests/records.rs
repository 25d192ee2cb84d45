//! Records: one byte form each, and a coded refusal for everything else.

use std::collections::BTreeSet;

use super::samples;
use super::*;

/// Whether a refusal is one that bad bytes may get.
fn is_coded(refusal: &Refusal) -> bool {
    matches!(
        refusal.code,
        Code::TooLarge | Code::Malformed | Code::TrailingBytes | Code::NotCanonical
    )
}

fn tag(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(*bytes.first_chunk::<4>().unwrap())
}

#[test]
fn there_is_a_sample_of_every_kind() {
    let kinds: BTreeSet<u32> = samples::records().iter().map(samples::number).collect();
    assert_eq!(kinds, (0..32).collect());
    let statements = samples::statements();
    let kinds: BTreeSet<u32> = statements.iter().map(samples::statement_number).collect();
    assert_eq!(kinds, (0..12).collect());
}

#[test]
fn the_numbers_of_the_kinds_are_part_of_the_format() {
    for record in samples::records() {
        let bytes = record.to_bytes().unwrap();
        assert_eq!(tag(&bytes), samples::number(&record), "{}", record.kind());
        if let Record::Statement(statement) = &record {
            assert_eq!(tag(&bytes[4..]), samples::statement_number(statement), "{}", record.kind());
        }
    }
}

#[test]
fn a_page_is_told_from_every_other_record_by_its_tag() {
    for record in samples::records() {
        let bytes = record.to_bytes().unwrap();
        assert_eq!(Record::is_page(&bytes), matches!(record, Record::Page(_)), "{}", record.kind());
        let transaction = matches!(record, Record::Transaction(_));
        assert_eq!(Record::is_transaction(&bytes), transaction, "{}", record.kind());
    }
    for bytes in [&[][..], &[17], &[17, 0, 0], &[0, 17, 0, 0, 0], &[17, 0, 0, 1]] {
        assert!(!Record::is_page(bytes));
    }
}

#[test]
fn a_statement_is_told_from_every_other_record_by_its_tag() {
    for record in samples::records() {
        let bytes = record.to_bytes().unwrap();
        let statement = matches!(record, Record::Statement(_));
        assert_eq!(Record::is_statement(&bytes), statement, "{}", record.kind());
        let members =
            matches!(record, Record::Admitted(_) | Record::Revoked(_) | Record::Rotated(_));
        assert_eq!(Record::changes_members(&bytes), members, "{}", record.kind());
        let relations = matches!(
            record,
            Record::CreditLimit(_)
                | Record::Asset(_)
                | Record::TransitLedger(_)
                | Record::TransitFee { .. }
                | Record::Suspended(_)
                | Record::Lifted(_)
        );
        assert_eq!(Record::changes_relations(&bytes), relations, "{}", record.kind());
    }
}

#[test]
fn every_record_is_read_back_as_it_was_written() {
    for record in samples::records() {
        let bytes = record.to_bytes().unwrap();
        let again = Record::read(&bytes).unwrap();
        assert_eq!(again, record);
        assert_eq!(again.to_bytes().unwrap(), bytes);
    }
}

#[test]
fn the_kinds_have_different_names() {
    let names: BTreeSet<&str> = samples::records().iter().map(Record::kind).collect();
    assert_eq!(names.len(), samples::records().len() - 1, "Rotated is a record and a statement");
}

#[test]
fn only_reveals_and_decisions_to_settle_carry_evidence() {
    for statement in samples::statements() {
        let carries = statement.kind() == "Decided(settle)";
        assert_eq!(!statement.evidence().is_empty(), carries, "{}", statement.kind());
    }
    let evidence = Said::by("c", &[locked(1)]).evidence(0);
    let mut revealed = revealed(1);
    if let Record::Statement(Statement::Revealed(revealed)) = &mut revealed {
        revealed.evidence = Bounded::new(vec![evidence.clone()]).unwrap();
    }
    let Record::Statement(statement) = revealed else { panic!("a statement") };
    assert_eq!(statement.evidence(), [evidence]);
}

#[test]
fn every_truncation_is_refused() {
    for record in samples::records() {
        let bytes = record.to_bytes().unwrap();
        for length in 0..bytes.len() {
            let refusal = Record::read(&bytes[..length]).unwrap_err();
            assert!(is_coded(&refusal), "{} cut to {length}: {refusal}", record.kind());
        }
    }
}

#[test]
fn a_trailing_byte_is_refused() {
    for record in samples::records() {
        let mut bytes = record.to_bytes().unwrap().to_vec();
        bytes.push(0);
        refused(Code::TrailingBytes, Record::read(&bytes));
    }
}

#[test]
fn an_unknown_tag_is_refused() {
    for record in samples::records() {
        let mut bytes = record.to_bytes().unwrap().to_vec();
        for unknown in [200u32, 256, u32::MAX] {
            bytes[..4].copy_from_slice(&unknown.to_le_bytes());
            refused(Code::Malformed, Record::read(&bytes));
        }
    }
    for statement in samples::statements() {
        let mut bytes = Record::Statement(statement).to_bytes().unwrap().to_vec();
        bytes[4..8].copy_from_slice(&200u32.to_le_bytes());
        refused(Code::Malformed, Record::read(&bytes));
    }
}

#[test]
fn a_changed_byte_gives_another_record_or_a_refusal() {
    for record in samples::records() {
        let bytes = record.to_bytes().unwrap().to_vec();
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                match Record::read(&changed) {
                    Ok(other) => assert_ne!(other, record, "byte {at}"),
                    Err(refusal) => assert!(is_coded(&refusal), "byte {at}: {refusal}"),
                }
            }
        }
    }
}

#[test]
fn a_length_that_lies_is_refused_before_anything_is_allocated() {
    let mut bytes = page("b", &[]).to_bytes().unwrap().to_vec();
    // tag, length and text of the addressee, height before, first number: then the items.
    let at = 4 + 8 + "b.example".len() + 8 + 8;
    for length in [1u64, 513, u64::from(u32::MAX), u64::MAX] {
        bytes[at..at + 8].copy_from_slice(&length.to_le_bytes());
        refused(Code::Malformed, Record::read(&bytes));
    }
}

#[test]
fn a_received_frame_is_read_back_as_itself() {
    let frame = samples::received();
    let again = codec::decode::<ReceivedFrame, 65_536>(&codec::encode(&frame)).unwrap();
    assert_eq!(again, frame);
    assert_eq!(again.bytes(), frame.bytes());
    assert_eq!(again.page(), frame.page());
    assert_eq!(again.items(), frame.items());
    let lock = Lock { domain: domain("c"), settlement: settlement(1) };
    assert_eq!(again.items()[0].locks, [Some(lock)]);
    for position in 0..3 {
        assert_eq!(again.evidence(position), frame.evidence(position));
    }
}

#[test]
fn a_received_frame_with_locks_that_it_cannot_have_is_refused() {
    let frame = samples::received();
    let spare: Vec<Option<Lock>> = vec![None, None];
    for locks in [&spare[..0], &spare] {
        let bytes = codec::encode(&(frame.bytes().to_vec(), locks.to_vec()));
        refused(Code::NotCanonical, codec::decode::<ReceivedFrame, 65_536>(&bytes));
    }
}
