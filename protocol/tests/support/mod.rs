//! An edge in memory: banks whose validators talk over perfect links, for tests and benches.
//!
//! It does what a node does, in the order a node must do it (append, sign, then speak), only
//! that the disk is a vector and the network a queue. Over 600 lines, because a network with its
//! faults is one thing; the bank, the liar and the scenes are files of their own.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the core's own strictness is for code that faces the outside"
)]

pub mod puppet;
pub mod scene;

mod bank;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::{PreimageSeed, Tag};
use quadrille_protocol::crypto::suite::{
    HybridSignatures, PublicKey, SecretKey, Signature, Signatures, Suite,
};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{
    Anchors, AuthorityKey, Certificate, Directory, Issuer, Role, SignedCertificate, SignedRotation,
    SuitePolicy, VerifiedCertificate,
};
use quadrille_protocol::ledger::opening::Rules;
use quadrille_protocol::ledger::{
    Action, AssetProfile, Opening, Order, Payment, SignedOpening, SignedOrder, VerifiedOrder,
};
use quadrille_protocol::log::record::Founding;
use quadrille_protocol::log::{
    Batch, Bundle, Evidence, Frame, ReceivedFrame, Record, Statement, VerifiedEvidence,
};
use quadrille_protocol::payment::{Finding, Opened, Plan, Route};
use quadrille_protocol::settlement::Account;
use quadrille_protocol::types::*;
use quadrille_protocol::validator::{
    Accepted, Boot, Command, Effect, Guard, Input, Message, RequestId, Settings, Validator,
};

/// How the network of a test is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// Domains and holders with these suites, for real.
    Real { domains: Suite, holders: Suite },
    /// Nothing is signed or verified: what everything else costs.
    Off,
}

struct NoSignatures;

impl Signatures for NoSignatures {
    fn verify(&self, _: &PublicKey, _: Tag, _: &[u8], _: &Signature) -> Result<(), Refusal> {
        Ok(())
    }
}

/// What is on the wire.
#[derive(Clone)]
pub enum Wire {
    Frame(Vec<u8>),
    Returned(Vec<u8>),
    Message(Message),
    Notice(Vec<u8>),
    Notices(Vec<u8>),
    Shown(Vec<u8>),
}

/// Signature operations done so far.
#[derive(Default, Clone, Copy, Debug)]
pub struct Counts {
    pub checkpoints_signed: u64,
    pub checkpoints_verified: u64,
    pub orders_verified: u64,
    pub wire_bytes: u64,
    pub log_bytes: u64,
    pub records: u64,
}

pub use bank::Bank;

pub struct Net {
    pub now: Time,
    pub network: Network,
    pub signing: Signing,
    pub banks: Vec<Bank>,
    pub wire: VecDeque<(usize, usize, Wire)>,
    pub counts: Counts,
    /// The plans for payments, by the payment's bytes: as an edge would have found them.
    pub ways: RefCell<BTreeMap<Vec<u8>, Plan>>,
    /// What every bank finds in what is enclosed for it; nothing for not having looked.
    pub opened: Option<Result<Opened, Code>>,
    /// Keep batches, replies and events to look at later; a bench need not.
    pub keep: bool,
    pub certificates: Vec<VerifiedCertificate>,
    pub anchors: Anchors,
    /// A stop that is to come.
    pub crash: Option<Crash>,
    signatures: Arc<dyn Signatures>,
    entropy: u64,
}

/// When a bank stops, and what it starts again from.
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    pub bank: usize,
    /// Right after the batch with which its log is this long.
    pub after: usize,
    /// Batches of the log that it starts again from.
    pub keep: usize,
    /// Whether the guard can be trusted; otherwise there is none.
    pub apart: bool,
    /// Whether what it had to say in that batch was still sent.
    pub spoken: bool,
}

/// A customer with a key.
pub struct Customer {
    pub bank: usize,
    pub ledger: Ubi,
    pub key: SecretKey,
    pub second: Option<SecretKey>,
    nonce: u64,
}

pub const START: Time = Time(1_790_000_000_000);

pub fn secret(suite: Suite, number: u64) -> SecretKey {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::generate(suite, &seed)
}

fn blank(suite: Suite) -> Signature {
    Signature::from_parts(suite, [0; 64], &vec![0; suite.post_quantum_signature_bytes()]).unwrap()
}

impl Net {
    /// `count` banks `bank-a.example`, `bank-b.example` … that know each other.
    pub fn new(count: usize, signing: Signing) -> Self {
        let network: Network = "test-net".parse().unwrap();
        let suite = match signing {
            Signing::Real { domains, .. } => domains,
            Signing::Off => Suite::Ed25519,
        };
        let authority = secret(Suite::Ed25519, 1_000);
        let domain = |i: usize| -> Domain {
            format!("bank-{}.example", char::from(b'a' + u8::try_from(i).unwrap())).parse().unwrap()
        };
        let keys: Vec<SecretKey> = (0..count).map(|i| secret(suite, i as u64)).collect();
        let anchors = Anchors {
            network: network.clone(),
            authorities: Bounded::new(vec![AuthorityKey {
                authority: "authority.example".parse().unwrap(),
                key: authority.public().clone(),
            }])
            .unwrap(),
            endorsers: Bounded::default(),
            threshold: NonZeroU32::MIN,
            suites: SuitePolicy::ANY,
        };
        let certificates: Vec<VerifiedCertificate> = keys
            .iter()
            .enumerate()
            .map(|(i, key)| certify(&network, domain(i), key, &authority, &anchors))
            .collect();
        let signatures: Arc<dyn Signatures> = match signing {
            Signing::Real { .. } => Arc::new(HybridSignatures),
            Signing::Off => Arc::new(NoSignatures),
        };
        let banks = keys
            .into_iter()
            .enumerate()
            .map(|(i, key)| {
                let founding = Founding {
                    network: network.clone(),
                    domain: domain(i),
                    epoch: Epoch(1),
                    time: START,
                };
                let validator = Validator::found(settings(i), founding, &certificates).unwrap();
                Bank::new(domain(i), validator, key)
            })
            .collect();
        let mut net = Self {
            ways: RefCell::default(),
            opened: None,
            now: START,
            network,
            signing,
            banks,
            wire: VecDeque::new(),
            counts: Counts::default(),
            keep: true,
            certificates,
            anchors,
            crash: None,
            signatures,
            entropy: 0,
        };
        for i in 0..count {
            net.turn(i);
        }
        net
    }

    pub fn domain(&self, bank: usize) -> Domain {
        self.banks[bank].domain.clone()
    }

    pub fn index(&self, domain: &Domain) -> usize {
        self.banks.iter().position(|bank| bank.domain == *domain).unwrap()
    }

    /// One turn of one bank.
    pub fn turn(&mut self, at: usize) {
        self.entropy += 1;
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&self.entropy.to_le_bytes());
        let bank = &mut self.banks[at];
        let mut inputs = std::mem::take(&mut bank.inputs);
        let effects = bank.validator.turn(self.now, entropy, &mut inputs).unwrap();
        inputs.extend(std::mem::take(&mut bank.inputs));
        bank.inputs = inputs;
        let mut sealed = None;
        if let Some(batch) = &effects.batch {
            self.counts.log_bytes += batch.to_bytes().len() as u64;
            self.counts.records += u64::from(batch.checkpoint().count);
            let signature = match self.signing {
                Signing::Real { .. } => {
                    self.counts.checkpoints_signed += 1;
                    bank.key_of(batch.checkpoint().epoch)
                        .sign(Tag::Checkpoint, &batch.checkpoint().to_sign())
                }
                Signing::Off => blank(Suite::Ed25519),
            };
            let checkpoint = batch.checkpoint();
            bank.guard = Some(Guard { height: checkpoint.height, hash: checkpoint.hash() });
            if self.keep {
                bank.log.push(batch.stored().clone());
                bank.batches.insert(checkpoint.height, (batch.clone(), signature.clone()));
            }
            sealed = Some((batch.clone(), signature));
        }
        let crash = self.crash.filter(|crash| {
            crash.bank == at && sealed.is_some() && self.banks[at].log.len() == crash.after
        });
        if crash.is_none_or(|crash| crash.spoken) {
            for effect in effects.after {
                self.carry_out(at, effect, sealed.as_ref());
            }
        }
        if let Some(crash) = crash {
            self.crash = None;
            let boot = match crash.apart {
                true => Boot::GuardApart(self.banks[at].guard.unwrap()),
                false => Boot::GuardUnsure(None),
            };
            self.restart(at, crash.keep, boot);
        }
    }

    fn carry_out(&mut self, at: usize, effect: Effect, sealed: Option<&(Arc<Batch>, Signature)>) {
        match effect {
            Effect::SendPage { to, page, .. } => {
                let (batch, signature) = sealed.unwrap();
                let frame = batch.frame(page, signature).unwrap();
                self.put(at, &to, Wire::Frame(codec::encode(&frame)));
            }
            Effect::Resend { to, after } => {
                for frame in self.banks[at].pages_to(&to, after) {
                    self.put(at, &to, Wire::Frame(frame));
                }
            }
            Effect::Return { to, after } => {
                for frame in self.banks[at].pages_from(&to, after) {
                    self.put(at, &to, Wire::Returned(frame));
                }
            }
            Effect::Message { to, message } => self.put(at, &to, Wire::Message(message)),
            Effect::Publish { leaf, only } => {
                if !self.keep {
                    return;
                }
                let (batch, signature) = sealed.unwrap();
                let wire = if only.is_empty() {
                    Wire::Notice(codec::encode(&batch.evidence(leaf, signature).unwrap()))
                } else {
                    Wire::Notices(codec::encode(&batch.bundle(&[leaf], signature).unwrap()))
                };
                for other in 0..self.banks.len() {
                    let domain = self.domain(other);
                    if other != at && (only.is_empty() || only.contains(&domain)) {
                        self.put(at, &domain, wire.clone());
                    }
                }
            }
            Effect::LookUpDecision { header, from } => {
                if !self.banks[at].has_decided(&header.id()) {
                    self.banks[at].inputs.push_back(Input::NeverDecided { header, from });
                }
            }
            Effect::Reply { request, result } if self.keep => {
                self.banks[at].replies.insert(request, result);
            }
            Effect::Event(event) if self.keep => self.banks[at].events.push(event),
            Effect::Reply { .. } | Effect::Event(_) => {}
        }
    }

    fn put(&mut self, from: usize, to: &Domain, wire: Wire) {
        let to = self.index(to);
        self.wire.push_back((from, to, wire));
    }

    /// Delivers one message; what does not verify is dropped with its refusal.
    pub fn deliver(&mut self, from: usize, to: usize, wire: Wire) -> Result<(), Refusal> {
        let (sender, us) = (self.domain(from), self.domain(to));
        let directory: &Directory = &self.banks[to].validator.state().directory;
        let input = match wire {
            Wire::Frame(bytes) => {
                self.counts.wire_bytes += bytes.len() as u64;
                self.counts.checkpoints_verified += 1;
                let (network, checks) = (&self.network, &*self.signatures);
                let frame = Frame::verify(&bytes, &sender, &us, network, directory, checks)?;
                return self.take_in(to, frame);
            }
            Wire::Returned(bytes) => {
                let (network, checks) = (&self.network, &*self.signatures);
                let frame = Frame::verify(&bytes, &us, &sender, network, directory, checks)?;
                Input::Returned { by: sender, frame: Box::new(frame) }
            }
            Wire::Message(message) => Input::Message { from: sender, message },
            Wire::Notice(bytes) => Input::Notice(Box::new(self.check_evidence(&bytes, directory)?)),
            Wire::Notices(bytes) => {
                let (network, checks) = (&self.network, &*self.signatures);
                Input::Notices(Box::new(Bundle::verify(&bytes, network, directory, checks)?))
            }
            Wire::Shown(bytes) => Input::Shown(Box::new(self.check_evidence(&bytes, directory)?)),
        };
        self.banks[to].inputs.push_back(input);
        Ok(())
    }

    fn check_evidence(
        &self,
        bytes: &[u8],
        directory: &Directory,
    ) -> Result<VerifiedEvidence, Refusal> {
        let evidence = codec::decode::<Evidence, 65536>(bytes)?;
        VerifiedEvidence::check(evidence, &self.network, directory, &*self.signatures)
    }

    /// A page, and after it the rotations that it tells of, verified.
    fn take_in(&mut self, to: usize, frame: ReceivedFrame) -> Result<(), Refusal> {
        let rotations: Vec<SignedRotation> = frame
            .items()
            .iter()
            .filter_map(|item| match &item.statement {
                Some(Statement::Rotated(signed)) => Some((**signed).clone()),
                _ => None,
            })
            .collect();
        let findings = self.findings(&frame);
        self.banks[to].inputs.push_back(Input::Frame { frame: Box::new(frame), findings });
        for signed in rotations {
            let directory = &self.banks[to].validator.state().directory;
            let verified = self.anchors.verify_rotation(&signed, directory, &HybridSignatures)?;
            let request = self.banks[to].request();
            let command = Command::Rotate(Box::new(verified));
            self.banks[to].inputs.push_back(Input::Command { request, command });
        }
        Ok(())
    }

    /// Runs until nobody has anything to do at this moment.
    pub fn run(&mut self) {
        loop {
            while let Some((from, to, wire)) = self.wire.pop_front() {
                let _ = self.deliver(from, to, wire);
            }
            let mut busy = false;
            for at in 0..self.banks.len() {
                if !self.banks[at].inputs.is_empty() {
                    self.turn(at);
                    busy = true;
                }
            }
            if !busy && self.wire.is_empty() {
                return;
            }
        }
    }

    /// Lets time pass and everybody look.
    pub fn pass(&mut self, span_ms: u64) {
        self.now = self.now.after(Duration(span_ms));
        for bank in &mut self.banks {
            bank.inputs.push_back(Input::Tick);
        }
        self.run();
    }

    pub fn command(&mut self, bank: usize, command: Command) -> Result<Accepted, Refusal> {
        let request = self.banks[bank].request();
        self.banks[bank].inputs.push_back(Input::Command { request, command });
        self.run();
        self.banks[bank].replies.remove(&request).unwrap()
    }

    /// `bank` loses the role of a notary, and all banks hear of it.
    pub fn demote(&mut self, bank: usize) {
        let all: Vec<usize> = (0..self.banks.len()).collect();
        self.demote_at(bank, &all);
    }

    /// As `demote`, where only `listeners` hear of it.
    pub fn demote_at(&mut self, bank: usize, listeners: &[usize]) {
        let mut certificate = self.certificates[bank].certificate().clone();
        certificate.serial += 1;
        certificate.roles = Bounded::new(vec![Role::Validator]).unwrap();
        let (tag, bytes) = certificate.to_sign();
        let by = secret(Suite::Ed25519, 1_000).sign(tag, &bytes);
        let signed = SignedCertificate::assemble(&certificate, by, vec![]).unwrap();
        let directory = Directory::new();
        let verified = self
            .anchors
            .verify_certificate(&signed, &directory, self.now, &HybridSignatures)
            .unwrap();
        for at in listeners {
            self.command(*at, Command::Admit(Box::new(verified.clone()))).unwrap();
        }
    }

    /// An asset of `bank` that all banks know.
    pub fn asset(&mut self, bank: usize, code: &str) -> Uai {
        self.asset_with(bank, code, |_| {})
    }

    /// As `asset`, with a profile that says something special.
    pub fn asset_with(
        &mut self,
        bank: usize,
        code: &str,
        change: impl FnOnce(&mut AssetProfile),
    ) -> Uai {
        let mut profile = AssetProfile {
            code: code.parse().unwrap(),
            issuer: self.domain(bank),
            name: Detail::shortened(code),
            decimals: 2,
            supply_limit: None,
            terms: Hash::ZERO,
            minimum_tier: 0,
            denomination: Amount::new(1),
            documents: Bounded::default(),
            jurisdictions: Bounded::default(),
            holders: Bounded::default(),
        };
        change(&mut profile);
        for at in 0..self.banks.len() {
            self.command(at, Command::RegisterAsset(profile.clone())).unwrap();
        }
        profile.uai()
    }

    /// Everybody trusts everybody up to `limit` in `asset`.
    pub fn trust(&mut self, asset: &Uai, limit: u128) {
        for at in 0..self.banks.len() {
            for other in 0..self.banks.len() {
                if other != at {
                    self.limit(at, other, asset, limit);
                }
            }
        }
    }

    pub fn limit(&mut self, at: usize, peer: usize, asset: &Uai, limit: u128) {
        let (peer, asset, limit) = (self.domain(peer), asset.clone(), Amount::new(limit));
        self.command(at, Command::SetCreditLimit { peer, asset, limit }).unwrap();
    }

    pub fn customer(&mut self, bank: usize, name: &str) -> Customer {
        self.customer_with(bank, name, Rules::default(), None)
    }

    pub fn customer_with(
        &mut self,
        bank: usize,
        name: &str,
        rules: Rules,
        second: Option<SecretKey>,
    ) -> Customer {
        self.customer_as(bank, name, |opening| opening.rules = rules, second)
    }

    /// A further ledger of a holder, with the same key.
    pub fn customer_numbered(&mut self, bank: usize, name: &str, number: u32) -> Customer {
        self.customer_as(bank, name, |opening| opening.number = number, None)
    }

    /// A customer whose opening says something special.
    pub fn customer_as(
        &mut self,
        bank: usize,
        name: &str,
        change: impl FnOnce(&mut Opening),
        second: Option<SecretKey>,
    ) -> Customer {
        let suite = match self.signing {
            Signing::Real { holders, .. } => holders,
            Signing::Off => Suite::Ed25519,
        };
        let number = name.bytes().fold(77u64, |sum, byte| sum * 131 + u64::from(byte));
        let key = secret(suite, number);
        let mut opening = Opening {
            network: self.network.clone(),
            holder: format!("{name}@{}", self.domain(bank)).parse().unwrap(),
            number: 1,
            key: key.public().clone(),
            tier: 1,
            jurisdiction: Country::UNKNOWN,
            identity: Hash::ZERO,
            rules: Rules::default(),
        };
        change(&mut opening);
        let ledger = opening.ubi();
        let signature = key.sign(Tag::Opening, &codec::encode(&opening));
        let verified = SignedOpening { opening, signature }.verify(&HybridSignatures).unwrap();
        let request = self.banks[bank].request();
        self.banks[bank].inputs.push_back(Input::Open { request, opening: Box::new(verified) });
        self.run();
        self.banks[bank].replies.remove(&request).unwrap().unwrap();
        Customer { bank, ledger, key, second, nonce: 0 }
    }

    /// A customer with funds of an asset of its own bank.
    pub fn fund(&mut self, customer: &Customer, asset: &Uai, amount: u128) {
        let (asset, ledger, amount) = (asset.clone(), customer.ledger, Amount::new(amount));
        self.command(customer.bank, Command::Issue { asset, ledger, amount, name: None }).unwrap();
    }

    pub fn sign(&self, customer: &mut Customer, action: Action) -> SignedOrder {
        customer.nonce += 1;
        let nonce = Nonce(customer.nonce);
        self.sign_with(customer, nonce, action, self.now.after(Duration(3_600_000)))
    }

    pub fn sign_with(
        &self,
        customer: &Customer,
        nonce: Nonce,
        action: Action,
        expiry: Time,
    ) -> SignedOrder {
        let network = self.network.clone();
        let order = Order { network, ledger: customer.ledger, nonce, expiry, action };
        let bytes = codec::encode(&order);
        let signature = match self.signing {
            Signing::Real { .. } => customer.key.sign(Tag::Order, &bytes),
            Signing::Off => blank(Suite::Ed25519),
        };
        let second =
            customer.second.as_ref().map(|key| (key.public().id(), key.sign(Tag::Order, &bytes)));
        SignedOrder {
            order: Bytes::new(&bytes).unwrap(),
            key: customer.key.public().id(),
            signature,
            second,
        }
    }

    pub fn verify(&mut self, customer: &Customer, order: SignedOrder) -> VerifiedOrder {
        self.counts.orders_verified += 1;
        let second = customer.second.as_ref().map(SecretKey::public);
        let key = customer.key.public();
        order.verify(&self.network, key, second, &*self.signatures).unwrap()
    }

    fn findings(&self, frame: &ReceivedFrame) -> Vec<Finding> {
        let Some(opened) = &self.opened else { return Vec::new() };
        let opened = opened.clone().map_err(|code| Refusal::new(code, "found by the edge"));
        let enclosed = frame.items().iter().filter_map(|item| match &item.statement {
            Some(Statement::Agreed(agreement)) => {
                agreement.enclosure.as_ref().map(|_| agreement.header.id())
            }
            _ => None,
        });
        enclosed.map(|settlement| Finding { settlement, opened: opened.clone() }).collect()
    }

    /// Finds the way of a payment: over these transit ledgers.
    pub fn find_way(&self, payment: &Payment, transits: Vec<Account>) {
        let route = Route::through(payment, transits).unwrap();
        self.plan(payment, Plan::of(vec![route]).unwrap());
    }

    /// The plan for a payment that is not yet ordered.
    pub fn plan(&self, payment: &Payment, plan: Plan) {
        self.ways.borrow_mut().insert(codec::encode(payment), plan);
    }

    /// Puts an order into the bank's queue.
    pub fn submit(&mut self, customer: &Customer, order: SignedOrder) -> (RequestId, OrderId) {
        let order = self.verify(customer, order);
        let id = order.id();
        let plan = match &order.order().action {
            Action::Pay(payment) => self.ways.borrow().get(&codec::encode(payment)).cloned(),
            _ => None,
        };
        let bank = &mut self.banks[customer.bank];
        let request = bank.request();
        let order = Box::new(order);
        bank.inputs.push_back(match plan {
            None => Input::Order { request, order },
            Some(plan) => Input::Pay { request, order, plan: Box::new(plan) },
        });
        (request, id)
    }

    /// Signs, submits and runs.
    pub fn order(
        &mut self,
        customer: &mut Customer,
        action: Action,
    ) -> Result<(OrderId, Accepted), Refusal> {
        let signed = self.sign(customer, action);
        let (request, id) = self.submit(customer, signed);
        self.run();
        let reply = self.banks[customer.bank].replies.remove(&request).unwrap();
        reply.map(|accepted| (id, accepted))
    }

    pub fn balance(&self, customer: &Customer, asset: &Uai) -> (u128, u128) {
        let state = self.banks[customer.bank].validator.state();
        let (free, held) = state.books.ledger(&customer.ledger).unwrap().balance(asset);
        (free.units(), held.units())
    }

    /// Every bank's own invariants, and the mirrors between them.
    pub fn check(&self) {
        for bank in &self.banks {
            quadrille_protocol::invariant::check(bank.validator.state()).unwrap();
        }
        for one in &self.banks {
            for ((peer, asset), ours) in &one.validator.state().books.correspondents {
                let other = &self.banks[self.index(peer)];
                let theirs = other.validator.state().books.correspondent(&one.domain, asset);
                assert_eq!((ours.owe, ours.claim), (theirs.claim, theirs.owe), "mirror {asset}");
            }
        }
    }

    /// Nothing is open anywhere and every feed is acknowledged.
    pub fn check_quiet(&self) {
        self.check();
        for bank in &self.banks {
            let state = bank.validator.state();
            assert!(state.settlements.is_empty(), "{}: {:?}", bank.domain, state.settlements);
            assert!(state.takes.is_empty(), "{}: {:?}", bank.domain, state.takes);
            for (peer, known) in &state.peers {
                assert_eq!(bank.validator.acknowledged(peer), known.sent, "feed to {peer}");
            }
        }
    }

    /// The evidence of every entry of a customer's ledger, as its wallet would keep it.
    pub fn evidence_of(&self, customer: &Customer) -> Vec<Evidence> {
        let bank = &self.banks[customer.bank];
        let mut found = Vec::new();
        for (batch, signature) in bank.batches.values() {
            for (index, bytes) in (0u32..).zip(batch.stored().records.iter()) {
                if let Record::Transaction(transaction) = Record::read(bytes).unwrap()
                    && transaction.entries.iter().any(|entry| entry.ledger == customer.ledger)
                {
                    found.push(batch.evidence(index, signature).unwrap());
                }
            }
        }
        found
    }

    /// A customer shows its bank what the bank has forgotten.
    pub fn give_back(&mut self, at: usize, evidence: Vec<Evidence>) {
        for evidence in evidence {
            let directory = &self.banks[at].validator.state().directory;
            let (network, checks) = (&self.network, &*self.signatures);
            let checked = VerifiedEvidence::check(evidence, network, directory, checks).unwrap();
            self.banks[at].inputs.push_back(Input::ReturnedEvidence(Box::new(checked)));
        }
        self.run();
    }

    /// Stops a bank and starts it again from `batches` of its log.
    pub fn restart(&mut self, at: usize, batches: usize, boot: Boot) {
        let bank = &mut self.banks[at];
        bank.log.truncate(batches);
        let kept = bank.log.last().map_or(Height(0), |batch| batch.checkpoint.height);
        bank.batches.retain(|height, _| *height <= kept);
        bank.inputs.clear();
        bank.validator = Validator::replay(settings(at), &bank.log).unwrap();
        bank.validator.boot(self.now, boot);
        self.wire.retain(|(from, to, _)| *from != at && *to != at);
        for other in 0..self.banks.len() {
            if other != at {
                let (this, that) = (self.domain(at), self.domain(other));
                self.banks[at].inputs.push_back(Input::Connected(that));
                self.banks[other].inputs.push_back(Input::Connected(this));
            }
        }
    }
}

pub fn settings(number: usize) -> Settings {
    Settings::new(PreimageSeed::new([u8::try_from(number).unwrap(); 32]))
}

pub fn certify(
    network: &Network,
    domain: Domain,
    key: &SecretKey,
    authority: &SecretKey,
    anchors: &Anchors,
) -> VerifiedCertificate {
    let certificate = Certificate {
        network: network.clone(),
        serial: 1,
        domain,
        lei: None,
        roles: Bounded::new(vec![Role::Validator, Role::Notary]).unwrap(),
        epoch: Epoch(1),
        signing_key: key.public().clone(),
        sealing_key: None,
        valid_from: Time(0),
        valid_until: Time::MAX,
        issuer: Issuer::Authority("authority.example".parse().unwrap()),
    };
    let (tag, bytes) = certificate.to_sign();
    let signed =
        SignedCertificate::assemble(&certificate, authority.sign(tag, &bytes), vec![]).unwrap();
    anchors.verify_certificate(&signed, &Directory::new(), START, &HybridSignatures).unwrap()
}
