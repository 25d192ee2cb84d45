//! One bank: its validator, its log and what it has answered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use quadrille_protocol::codec;
use quadrille_protocol::crypto::suite::{SecretKey, Signature};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::log::{Batch, Evidence, Record, StoredBatch};
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{Accepted, Event, Guard, Input, RequestId, Validator};

pub struct Bank {
    pub domain: Domain,
    pub validator: Validator,
    pub key: SecretKey,
    /// Signs from the epoch after the first on.
    pub next_key: Option<SecretKey>,
    pub inputs: VecDeque<Input>,
    pub log: Vec<StoredBatch>,
    pub batches: BTreeMap<Height, (Arc<Batch>, Signature)>,
    pub replies: BTreeMap<RequestId, Result<Accepted, Refusal>>,
    pub events: Vec<Event>,
    pub guard: Option<Guard>,
    pub(super) next_request: u64,
}

impl Bank {
    pub(super) fn new(domain: Domain, validator: Validator, key: SecretKey) -> Self {
        Self {
            domain,
            validator,
            key,
            next_key: None,
            inputs: VecDeque::new(),
            log: Vec::new(),
            batches: BTreeMap::new(),
            replies: BTreeMap::new(),
            events: Vec::new(),
            guard: None,
            next_request: 0,
        }
    }

    pub(super) fn key_of(&self, epoch: Epoch) -> &SecretKey {
        self.next_key.as_ref().filter(|_| epoch > Epoch(1)).unwrap_or(&self.key)
    }

    pub fn request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    pub(super) fn pages_to(&self, to: &Domain, after: Sequence) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for (batch, signature) in self.batches.values() {
            for (index, page) in batch.pages() {
                if page.to == *to && page.last() > after {
                    frames.push(codec::encode(&batch.frame(*index, signature).unwrap()));
                }
            }
        }
        frames
    }

    pub(super) fn pages_from(&self, from: &Domain, after: Sequence) -> Vec<Vec<u8>> {
        self.records()
            .into_iter()
            .filter_map(|record| match record {
                Record::Received(frame) if frame.from() == from && frame.page().last() > after => {
                    Some(frame.bytes().to_vec())
                }
                _ => None,
            })
            .collect()
    }

    pub fn records(&self) -> Vec<Record> {
        self.log
            .iter()
            .flat_map(|batch| batch.records.iter().map(|bytes| Record::read(bytes).unwrap()))
            .collect()
    }

    pub(super) fn has_decided(&self, id: &SettlementId) -> bool {
        let mut batches = self.batches.values();
        batches.any(|(batch, signature)| batch.decision_on(id, signature).is_some())
    }

    /// Evidence of the last record that `wanted` picks.
    pub fn prove(&self, wanted: impl Fn(&Record) -> bool) -> Option<Evidence> {
        self.batches.values().rev().find_map(|(batch, signature)| {
            let records = &batch.stored().records;
            let index = records.iter().rposition(|bytes| wanted(&Record::read(bytes).unwrap()))?;
            let index = u32::try_from(index).unwrap();
            Some(batch.evidence(index, signature).unwrap())
        })
    }

    /// The kinds of statements said, in order.
    pub fn said(&self) -> Vec<&'static str> {
        self.records()
            .iter()
            .filter_map(|record| match record {
                Record::Statement(statement) => Some(statement.kind()),
                _ => None,
            })
            .collect()
    }
}
