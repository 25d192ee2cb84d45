//! `verify` on logs that are as a validator writes them, and on ones that claim what is not so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod log_store_support;

use std::fs;
use std::path::Path;

use log_store_support::{domain, network, segment};
use quadrille_node::log_store::verify::{Report, verify};
use quadrille_node::log_store::{LogStore, Options};
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{SecretKey, Suite};
use quadrille_protocol::error::Code;
use quadrille_protocol::identity::{
    Certificate, Issuer, Role, Rotation, SignedCertificate, SignedRotation,
};
use quadrille_protocol::log::record::Founding;
use quadrille_protocol::log::{Batch, Place, Record};
use quadrille_protocol::types::{Bounded, Epoch, Hash, Height, Time};

fn key(number: u8) -> SecretKey {
    SecretKey::generate(Suite::HybridMlDsa65, &[number; 32])
}

fn founded() -> Record {
    Record::Founded(Founding {
        network: network(),
        domain: domain(),
        epoch: Epoch(1),
        time: Time(0),
    })
}

fn admitted(name: &str, key: &SecretKey) -> Record {
    let certificate = Certificate {
        network: network(),
        serial: 1,
        domain: name.parse().unwrap(),
        lei: None,
        roles: Bounded::new(vec![Role::Validator]).unwrap(),
        epoch: Epoch(1),
        signing_key: key.public().clone(),
        sealing_key: None,
        valid_from: Time(0),
        valid_until: Time::MAX,
        issuer: Issuer::SelfSigned,
    };
    let (tag, bytes) = certificate.to_sign();
    let signed = SignedCertificate::assemble(&certificate, key.sign(tag, &bytes), vec![]);
    Record::Admitted(Box::new(signed.unwrap()))
}

fn rotated(old: &SecretKey, new: &SecretKey, from_height: u64) -> Record {
    let rotation = Rotation {
        network: network(),
        domain: domain(),
        from_epoch: Epoch(1),
        to_epoch: Epoch(2),
        new_key: new.public().clone(),
        new_sealing_key: None,
        from_height: Height(from_height),
    };
    let (tag, bytes) = rotation.to_sign();
    let (by_old, by_new) = (old.sign(tag, &bytes), new.sign(tag, &bytes));
    Record::Rotated(Box::new(SignedRotation::assemble(&rotation, by_old, by_new).unwrap()))
}

/// Writes a log batch by batch.
struct Pen {
    store: LogStore,
    previous: Hash,
    epoch: u32,
}

impl Pen {
    fn new(dir: &Path) -> Self {
        let options = Options { segment_bytes: 30_000, ..Options::default() };
        let (store, _) = LogStore::open_with(dir, options).unwrap();
        Self { store, previous: Hash::ZERO, epoch: 1 }
    }

    fn append(&mut self, height: u64, records: &[Record]) -> Batch {
        let place = Place {
            network: network(),
            domain: domain(),
            epoch: Epoch(self.epoch),
            height: Height(height),
            previous: self.previous,
            time: Time(height),
        };
        let records = records.iter().map(|record| record.to_bytes().unwrap()).collect();
        let batch = Batch::close(place, [3; 32], records).unwrap();
        self.store.append(&batch).unwrap();
        self.previous = batch.checkpoint().hash();
        batch
    }

    fn write(&mut self, height: u64, records: &[Record], by: &SecretKey) {
        let batch = self.append(height, records);
        let signature = by.sign(Tag::Checkpoint, &batch.checkpoint().to_sign());
        self.store.seal(Height(height), &signature).unwrap();
    }

    /// A founding, some batches, a rotation, a loss and more batches.
    fn whole_life(dir: &Path) -> Self {
        let mut pen = Self::new(dir);
        pen.write(1, &[founded(), admitted("bank-a.example", &key(1))], &key(1));
        pen.write(2, &[admitted("bank-b.example", &key(9))], &key(1));
        pen.write(3, &[rotated(&key(1), &key(2), 4)], &key(1));
        pen.epoch = 2;
        pen.write(4, &[Record::TransitLedger(None)], &key(2));
        pen.previous = Hash([8; 32]);
        let recovering = Record::Recovering { lost_height: Height(70), lost_hash: pen.previous };
        pen.write(71, &[recovering, Record::Restored], &key(2));
        for height in 72..80 {
            pen.write(height, &[Record::TransitLedger(None), Record::Restored], &key(2));
        }
        pen.store.sync().unwrap();
        pen
    }
}

fn bad(report: &Report) -> &str {
    &report.bad.as_ref().unwrap_or_else(|| panic!("{report:?} has nothing bad")).what
}

#[test]
fn a_whole_log_is_found_good() {
    let dir = tempfile::tempdir().unwrap();
    let mut pen = Pen::whole_life(dir.path());
    let report = verify(dir.path()).unwrap();
    assert!(report.is_good() && report.torn.is_none() && !report.unsealed, "{report:?}");
    assert_eq!((report.batches, report.signatures, report.records), (13, 13, 23));
    assert_eq!(report.head.as_ref().map(|head| head.height), Some(Height(79)));
    assert!(report.segments >= 2, "{report:?}");
    let on_disk = fs::read_dir(dir.path().join("log")).unwrap();
    let on_disk = on_disk.map(|file| file.unwrap()).filter(|file| file.file_name() != "lock");
    assert_eq!(report.bytes, on_disk.map(|file| file.metadata().unwrap().len()).sum::<u64>());
    // A batch that is not signed yet, and then the end of one that is not whole.
    pen.append(80, &[Record::Restored]);
    assert!(verify(dir.path()).unwrap().unsealed);
    drop(pen);
    let last = fs::read_dir(dir.path().join("log")).unwrap().map(|file| file.unwrap().path());
    let last = last.filter(|path| path.extension().is_some()).max().unwrap();
    let whole = fs::read(&last).unwrap();
    fs::write(&last, &whole[..whole.len() - 1]).unwrap();
    let report = verify(dir.path()).unwrap();
    assert!(report.is_good(), "{report:?}");
    assert_eq!(report.torn.unwrap().file, last);
    assert_eq!(report.head.unwrap().height, Height(79));
}

#[test]
fn a_checkpoint_signed_by_another_key_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut pen = Pen::new(dir.path());
    pen.write(1, &[founded(), admitted("bank-a.example", &key(1))], &key(1));
    let before = segment(dir.path(), 1).metadata().unwrap().len();
    pen.write(2, &[Record::Restored], &key(2));
    let report = verify(dir.path()).unwrap();
    assert!(bad(&report).contains(&Code::BadSignature.to_string()), "{report:?}");
    let place = report.bad.as_ref().unwrap();
    assert_eq!(place.file, segment(dir.path(), 1));
    assert!(place.offset > before, "the seal is bad, not the batch before it");
    assert_eq!((report.batches, report.signatures), (2, 1));
}

#[test]
fn a_key_before_or_after_its_time_is_found() {
    for (epoch, by, height) in [(1, 1, 4), (2, 2, 3)] {
        let dir = tempfile::tempdir().unwrap();
        let mut pen = Pen::new(dir.path());
        let records =
            [founded(), admitted("bank-a.example", &key(1)), rotated(&key(1), &key(2), 4)];
        pen.write(1, &records, &key(1));
        for between in 2..height {
            pen.write(between, &[Record::Restored], &key(1));
        }
        assert!(verify(dir.path()).unwrap().is_good());
        pen.epoch = epoch;
        pen.write(height, &[Record::Restored], &key(by));
        let report = verify(dir.path()).unwrap();
        assert!(bad(&report).contains(&Code::KeyNotInForce.to_string()), "{report:?}");
    }
}

#[test]
fn a_broken_chain_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut pen = Pen::new(dir.path());
    pen.write(1, &[founded(), admitted("bank-a.example", &key(1))], &key(1));
    pen.previous = Hash([5; 32]);
    pen.write(2, &[Record::Restored], &key(1));
    assert!(bad(&verify(dir.path()).unwrap()).contains("2 after"));

    let dir = tempfile::tempdir().unwrap();
    let mut pen = Pen::new(dir.path());
    pen.write(1, &[founded(), admitted("bank-a.example", &key(1))], &key(1));
    pen.write(3, &[Record::Restored], &key(1));
    assert!(bad(&verify(dir.path()).unwrap()).contains("3 after"), "no recovery skipped it");

    let dir = tempfile::tempdir().unwrap();
    let mut pen = Pen::new(dir.path());
    pen.write(1, &[admitted("bank-a.example", &key(1))], &key(1));
    assert!(bad(&verify(dir.path()).unwrap()).contains("founding"));
}

/// Opening does not read the payloads of older segments; this does.
#[test]
fn rot_in_an_older_segment_is_found_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut pen = Pen::whole_life(dir.path());
    for height in 80..100 {
        pen.write(height, &[Record::Restored], &key(2));
    }
    drop(pen);
    let path = segment(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[3_000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (store, _) = LogStore::open(dir.path()).unwrap();
    let read: Result<Vec<_>, _> = store.reader().from(Height(1)).collect();
    assert_eq!(read.unwrap_err().code, Code::LogDamaged, "a reader does not pass it on");
    let report = verify(dir.path()).unwrap();
    let place = report.bad.as_ref().unwrap();
    assert_eq!(place.file, path);
    assert!((84..=3_000).contains(&place.offset), "{report:?}");
    assert!(place.what.starts_with(&Code::LogDamaged.to_string()), "{report:?}");
}

#[test]
fn where_there_is_no_log_there_is_nothing_to_verify() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(verify(dir.path()).unwrap_err().code, Code::LogUnreadable);
}
