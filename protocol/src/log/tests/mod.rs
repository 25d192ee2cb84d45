//! What the log's tests share: a small network whose members sign with fast keys.

#![allow(clippy::arithmetic_side_effects, reason = "small numbers in tests")]

mod batches;
mod evidence;
mod frames;
mod fraud;
mod hostile;
mod records;
mod samples;

use std::num::NonZeroU32;

use super::*;
use crate::codec;
use crate::crypto::hash::{Preimage, Tag};
use crate::crypto::suite::{HybridSignatures, SecretKey, Signature, Suite};
use crate::error::{Code, Refusal};
use crate::identity::{
    Anchors, AuthorityKey, Certificate, Directory, Issuer, Role, SignedCertificate, SuitePolicy,
};
use crate::types::{
    Amount, Bounded, Domain, Epoch, Hash, Height, Network, Sequence, SettlementId, Time, Uai,
};

const NOW: Time = Time(1_500);
const SIGNATURES: HybridSignatures = HybridSignatures;
const ENTROPY: [u8; 32] = [42; 32];

fn domain(name: &str) -> Domain {
    format!("{name}.example").parse().unwrap()
}

fn network() -> Network {
    "test".parse().unwrap()
}

fn uai(code: &str) -> Uai {
    format!("{code}:a.example#0011223344556677").parse().unwrap()
}

fn key(name: &str) -> SecretKey {
    let mut seed = [7; 32];
    for (to, from) in seed.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    SecretKey::generate(Suite::Ed25519, &seed)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(code: Code, result: Result<T, Refusal>) {
    assert_eq!(result.unwrap_err().code, code);
}

fn certificate(name: &str) -> Certificate {
    Certificate {
        network: network(),
        serial: 1,
        domain: domain(name),
        lei: None,
        roles: Bounded::new(vec![Role::Validator]).unwrap(),
        epoch: Epoch(1),
        signing_key: key(name).public().clone(),
        sealing_key: None,
        valid_from: Time(1_000),
        valid_until: Time(2_000),
        issuer: Issuer::Authority(domain("root")),
    }
}

fn signed_certificate(name: &str) -> SignedCertificate {
    let certificate = certificate(name);
    let (tag, bytes) = certificate.to_sign();
    SignedCertificate::assemble(&certificate, key("root").sign(tag, &bytes), Vec::new()).unwrap()
}

fn admit(directory: &mut Directory, name: &str) {
    let root = AuthorityKey { authority: domain("root"), key: key("root").public().clone() };
    let anchors = Anchors {
        network: network(),
        authorities: Bounded::new(vec![root]).unwrap(),
        endorsers: Bounded::default(),
        threshold: NonZeroU32::new(1).unwrap(),
        suites: SuitePolicy::ANY,
    };
    let signed = signed_certificate(name);
    let verified = anchors.verify_certificate(&signed, directory, NOW, &SIGNATURES).unwrap();
    directory.admit(&verified).unwrap();
}

/// The members `a`, `b` and `c`, each with epoch 1.
fn members() -> Directory {
    let mut directory = Directory::new();
    for name in ["a", "b", "c"] {
        admit(&mut directory, name);
    }
    directory
}

fn place(name: &str, height: u64) -> Place {
    Place {
        network: network(),
        domain: domain(name),
        epoch: Epoch(1),
        height: Height(height),
        previous: Hash([3; 32]),
        time: NOW,
    }
}

fn settlement(number: u8) -> SettlementId {
    SettlementId([number; 32])
}

fn locked(number: u8) -> Record {
    Record::Statement(Statement::Locked(settlement(number)))
}

fn decided(number: u8, outcome: Outcome) -> Record {
    let settlement = settlement(number);
    Record::Statement(Statement::Decided(record::Decided { settlement, outcome }))
}

fn settles(number: u8, evidence: Vec<Evidence>) -> Record {
    let evidence = Bounded::new(evidence).unwrap();
    decided(number, Outcome::Settle { preimage: Preimage([9; 32]), evidence })
}

fn refunds(number: u8) -> Record {
    decided(number, Outcome::Refund { reason: Code::TimedOut })
}

fn revealed(number: u8) -> Record {
    let (settlement, evidence) = (settlement(number), Bounded::default());
    let revealed = record::Revealed { settlement, preimage: Preimage([9; 32]), evidence };
    Record::Statement(Statement::Revealed(revealed))
}

fn aborted(number: u8) -> Record {
    let aborted = record::Aborted { settlement: settlement(number), reason: Code::Aborted };
    Record::Statement(Statement::Aborted(aborted))
}

/// The first page of a feed to `to`, numbered from 11.
fn page(to: &str, items: &[u32]) -> Record {
    Record::Page(FeedPage {
        to: domain(to),
        previous: Height(4),
        first: Sequence(11),
        items: Bounded::new(items.to_vec()).unwrap(),
        acknowledged: Sequence(5),
    })
}

/// A closed batch with its signature.
struct Said {
    batch: Batch,
    signature: Signature,
}

impl Said {
    /// `name` writes `records` at `place` and signs them.
    fn at(place: Place, name: &str, records: &[Record]) -> Self {
        let records = records.iter().map(|record| record.to_bytes().unwrap()).collect();
        Self::bytes(place, name, records)
    }

    fn bytes(place: Place, name: &str, records: Vec<RecordBytes>) -> Self {
        let batch = Batch::close(place, ENTROPY, records).unwrap();
        let signature = key(name).sign(Tag::Checkpoint, &batch.checkpoint().to_sign());
        Self { batch, signature }
    }

    fn by(name: &str, records: &[Record]) -> Self {
        Self::at(place(name, 7), name, records)
    }

    fn signed(&self) -> SignedCheckpoint {
        let (checkpoint, signature) = (self.batch.checkpoint().clone(), self.signature.clone());
        SignedCheckpoint { checkpoint, signature }
    }

    fn frame(&self, index: u32) -> Frame {
        self.batch.frame(index, &self.signature).unwrap()
    }

    fn evidence(&self, index: u32) -> Evidence {
        self.batch.evidence(index, &self.signature).unwrap()
    }
}

/// Verifies as `b`, who expects to hear `a`.
fn receive(frame: &Frame, directory: &Directory) -> Result<ReceivedFrame, Refusal> {
    receive_bytes(&codec::encode(frame), directory)
}

fn receive_bytes(bytes: &[u8], directory: &Directory) -> Result<ReceivedFrame, Refusal> {
    Frame::verify(bytes, &domain("a"), &domain("b"), &network(), directory, &SIGNATURES)
}

fn prove(evidence: &Evidence) -> Result<Record, Refusal> {
    evidence.verify(&network(), &members(), &SIGNATURES)
}

#[test]
fn the_fixtures_hold_together() {
    let said = Said::by("a", &[locked(1), page("b", &[0])]);
    let frame = receive(&said.frame(1), &members()).unwrap();
    assert_eq!(frame.items().len(), 1);
    assert_eq!(uai("EUR").issuer(), &domain("a"));
    assert_eq!(Amount::ZERO, Amount::new(0));
}
