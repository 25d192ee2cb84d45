//! Batches: closing, opening again, and what a changed one is worth.

use super::*;

fn records() -> Vec<RecordBytes> {
    let records = [locked(1), locked(2), refunds(3), page("b", &[0, 2]), page("c", &[1])];
    records.iter().map(|record| record.to_bytes().unwrap()).collect()
}

fn closed() -> Batch {
    Batch::close(place("a", 7), ENTROPY, records()).unwrap()
}

fn reopened(change: impl FnOnce(&mut StoredBatch)) -> Result<Batch, Refusal> {
    let mut stored = closed().stored().clone();
    change(&mut stored);
    Batch::open(stored)
}

#[test]
fn a_batch_read_back_is_the_batch_that_was_closed() {
    let batch = closed();
    let bytes = batch.to_bytes();
    let stored = codec::decode::<StoredBatch, 65_536>(&bytes).unwrap();
    assert_eq!(&stored, batch.stored());
    let again = Batch::open(stored).unwrap();
    assert_eq!(again.to_bytes(), bytes);
    assert_eq!(again.pages(), batch.pages());
    let signature = key("a").sign(Tag::Checkpoint, &batch.checkpoint().to_sign());
    for index in 0..5 {
        assert_eq!(again.evidence(index, &signature), batch.evidence(index, &signature));
    }
    for index in [3, 4] {
        assert_eq!(again.frame(index, &signature), batch.frame(index, &signature));
    }
}

#[test]
fn a_closed_batch_says_where_it_stands() {
    let batch = closed();
    let (checkpoint, place) = (batch.checkpoint(), place("a", 7));
    assert_eq!(checkpoint.network, place.network);
    assert_eq!(checkpoint.domain, place.domain);
    assert_eq!(checkpoint.epoch, place.epoch);
    assert_eq!(checkpoint.height, place.height);
    assert_eq!(checkpoint.previous, place.previous);
    assert_eq!(checkpoint.time, place.time);
    assert_eq!(checkpoint.count, 5);
    let places: Vec<u32> = batch.pages().iter().map(|(place, _)| *place).collect();
    assert_eq!(places, [3, 4]);
}

#[test]
fn a_stored_batch_with_any_other_record_is_refused() {
    for index in 0..records().len() {
        let changed = reopened(|stored| {
            let mut records = stored.records.to_vec();
            records[index] = locked(200).to_bytes().unwrap();
            stored.records = Bounded::new(records).unwrap();
        });
        refused(Code::BadProof, changed);
    }
}

#[test]
fn a_stored_batch_with_records_missing_added_or_swapped_is_refused() {
    let changes: [fn(&mut Vec<RecordBytes>); 4] = [
        |records| records.clear(),
        |records| records.truncate(4),
        |records| records.push(locked(9).to_bytes().unwrap()),
        |records| records.swap(0, 1),
    ];
    for change in changes {
        let changed = reopened(|stored| {
            let mut records = stored.records.to_vec();
            change(&mut records);
            stored.records = Bounded::new(records).unwrap();
        });
        refused(Code::BadProof, changed);
    }
}

#[test]
fn a_stored_batch_with_other_entropy_root_or_count_is_refused() {
    refused(Code::BadProof, reopened(|stored| stored.entropy[0] ^= 1));
    refused(Code::BadProof, reopened(|stored| stored.checkpoint.records_root.0[31] ^= 1));
    refused(Code::BadProof, reopened(|stored| stored.checkpoint.count = 4));
    refused(Code::BadProof, reopened(|stored| stored.checkpoint.count = 6));
}

#[test]
fn the_same_records_under_other_entropy_have_another_root() {
    let other = Batch::close(place("a", 7), [43; 32], records()).unwrap();
    assert_ne!(other.checkpoint().records_root, closed().checkpoint().records_root);
}

#[test]
fn every_field_of_a_checkpoint_is_in_its_hash() {
    let checkpoint = closed().checkpoint().clone();
    let changes: [fn(&mut Checkpoint); 8] = [
        |c| c.network = "other".parse().unwrap(),
        |c| c.domain = domain("b"),
        |c| c.epoch = Epoch(2),
        |c| c.height = Height(8),
        |c| c.previous = Hash::ZERO,
        |c| c.time = Time(1_501),
        |c| c.count = 4,
        |c| c.records_root = Hash::ZERO,
    ];
    for change in changes {
        let mut other = checkpoint.clone();
        change(&mut other);
        assert_ne!(other.hash(), checkpoint.hash());
        assert_ne!(other.to_sign(), checkpoint.to_sign());
    }
}

#[test]
fn more_records_than_a_batch_can_have_are_refused() {
    let record = locked(1).to_bytes().unwrap();
    let records = vec![record; crate::limits::BATCH_RECORDS + 1];
    refused(Code::TooMany, Batch::close(place("a", 7), ENTROPY, records));
}

#[test]
fn a_page_that_cannot_be_read_does_not_close_a_batch() {
    let mut bytes = page("b", &[0]).to_bytes().unwrap().to_vec();
    bytes.pop();
    let bytes = RecordBytes::new(&bytes).unwrap();
    let records = vec![locked(1).to_bytes().unwrap(), bytes];
    refused(Code::Malformed, Batch::close(place("a", 7), ENTROPY, records));
}

#[test]
fn frames_and_evidence_come_only_from_places_that_have_them() {
    let batch = closed();
    let signature = key("a").sign(Tag::Checkpoint, &batch.checkpoint().to_sign());
    for index in [0, 1, 2, 5, u32::MAX] {
        refused(Code::BadProof, batch.frame(index, &signature));
    }
    refused(Code::BadProof, batch.evidence(5, &signature));
    refused(Code::BadProof, batch.evidence(u32::MAX, &signature));
    let dangling = [locked(1), page("b", &[0, 9])];
    let dangling = Said::by("a", &dangling);
    refused(Code::BadProof, dangling.batch.frame(1, &dangling.signature));
}

#[test]
fn the_last_number_of_a_page_follows_from_its_first() {
    for (items, last) in [(&[][..], 10), (&[4][..], 11), (&[0, 1, 2][..], 13)] {
        let Record::Page(page) = page("b", items) else { panic!("a page") };
        assert_eq!(page.last(), Sequence(last));
    }
}
