//! A node that lies. It keeps a correct key and knows the protocol.
//!
//! Its validator is an honest one; the lies are in what its edge sends. A lie about a batch is a
//! second batch for the same height, made of changed records and signed with the node's own key,
//! of which one peer gets its page.

use std::collections::BTreeSet;
use std::sync::Arc;

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::derive_preimage;
use quadrille_protocol::crypto::suite::Signature;
use quadrille_protocol::error::Code;
use quadrille_protocol::log::record::{Decided, Revealed};
use quadrille_protocol::log::{
    Batch, Evidence, FeedPage, Outcome, Place, Record, RecordBytes, Statement,
};
use quadrille_protocol::types::{Amount, Bounded, Domain, Duration, SettlementId};

use super::rng::Stream;
use super::world::{Packet, World};

/// What the liar remembers.
#[derive(Debug)]
pub struct Liar {
    random: Stream,
    muted: BTreeSet<usize>,
    old_frames: Vec<(usize, Arc<[u8]>)>,
}

const OLD_FRAMES: usize = 16;

#[derive(Debug, Clone, Copy)]
enum Lie {
    Withhold,
    Mute,
    Replay,
    Equivocate,
    Backdate,
    WrongSettlement,
    OtherDecision,
    BarePreimage,
    NoBundle,
    FalsePosition,
}

const LIES: [Lie; 13] = [
    Lie::Withhold,
    Lie::Mute,
    Lie::Replay,
    Lie::Equivocate,
    Lie::Backdate,
    Lie::WrongSettlement,
    Lie::OtherDecision,
    Lie::OtherDecision,
    Lie::BarePreimage,
    Lie::BarePreimage,
    Lie::NoBundle,
    Lie::FalsePosition,
    Lie::FalsePosition,
];

impl Liar {
    /// A liar that has not lied yet.
    #[must_use]
    pub const fn new(random: Stream) -> Self {
        Self { random, muted: BTreeSet::new(), old_frames: Vec::new() }
    }

    fn remember(&mut self, to: usize, bytes: &Arc<[u8]>) {
        if self.old_frames.len() >= OLD_FRAMES {
            self.old_frames.remove(0);
        }
        self.old_frames.push((to, bytes.clone()));
    }
}

impl World {
    /// The liar is about to send a page. `true` when it has done something else instead.
    pub(super) fn lies_about(
        &mut self,
        node: usize,
        to: &Domain,
        batch: &Arc<Batch>,
        page: u32,
        signature: &Signature,
        bytes: &Arc<[u8]>,
    ) -> bool {
        let Some(peer) = self.index(to) else { return false };
        let lying = self.plan.nodes.lie > 0;
        if lying && self.liar.muted.contains(&peer) {
            return true;
        }
        self.liar.remember(peer, bytes);
        // So is a lock of its own for somebody else to decide on.
        let leaks = lying && self.liar.random.chance(4_000);
        if leaks && self.reveal_unasked(node, batch, signature).is_some() {
            self.figures.lies += 1;
            let domain = &self.nodes[node].domain;
            self.trace.say(self.now_ms, || format!("{domain} lies: {:?}", Lie::BarePreimage));
        }
        // A bundle of proofs is rare, and keeping it back is what a deciding liar can gain by.
        let bundle = lying && carries_bundle(batch) && self.liar.random.chance(5_000);
        // A position is told seldom, and is what reconciliation looks at.
        let position = lying && !bundle && tells_position(batch) && self.liar.random.chance(3_000);
        if !bundle && !position && !self.liar.random.chance(self.plan.nodes.lie) {
            return false;
        }
        let lie = match (bundle, position) {
            (true, _) => Lie::NoBundle,
            (false, true) => Lie::FalsePosition,
            (false, false) => *self.liar.random.pick(&LIES),
        };
        let told = self.tell(lie, node, peer, batch, page, signature);
        if told.is_some() {
            self.figures.lies += 1;
            let domain = &self.nodes[node].domain;
            self.trace.say(self.now_ms, || format!("{domain} lies to {to}: {lie:?}"));
        }
        told.unwrap_or(false)
    }

    /// Tells one lie. `None` when there is nothing to tell it about; else whether the truth
    /// stays unsaid.
    fn tell(
        &mut self,
        lie: Lie,
        node: usize,
        peer: usize,
        batch: &Arc<Batch>,
        page: u32,
        signature: &Signature,
    ) -> Option<bool> {
        match lie {
            Lie::Withhold => return Some(true),
            Lie::Mute => {
                self.liar.muted.insert(peer);
                return Some(true);
            }
            Lie::Replay => {
                let length = self.liar.old_frames.len();
                let at = self.liar.random.index(length);
                let (receiver, bytes) = self.liar.old_frames.get(at)?.clone();
                self.send(node, receiver, &Packet::Frame(bytes));
                return Some(false);
            }
            Lie::BarePreimage => return self.reveal_unasked(node, batch, signature),
            Lie::Equivocate
            | Lie::Backdate
            | Lie::WrongSettlement
            | Lie::OtherDecision
            | Lie::FalsePosition
            | Lie::NoBundle => {}
        }
        let others: Vec<SettlementId> = self.known_settlements(node);
        let mut changed = matches!(lie, Lie::Equivocate | Lie::Backdate);
        let mut records = Vec::new();
        for bytes in &batch.stored().records {
            let mut record = Record::read(bytes).ok()?;
            if let Record::Statement(statement) = &mut record {
                changed |= twist(lie, statement, &others, &mut self.liar.random);
            }
            records.push(record.to_bytes().ok()?);
        }
        if !changed {
            return None;
        }
        let back = if matches!(lie, Lie::Backdate) { 3_600_000 } else { 0 };
        let (forged, signature) = self.forge(node, batch, records, back)?;
        let frame = forged.frame(page, &signature).ok()?;
        self.send(node, peer, &Packet::Frame(codec::encode(&frame).into()));
        let both = matches!(lie, Lie::Equivocate) && self.liar.random.chance(5_000);

        Some(!both)
    }

    fn known_settlements(&self, node: usize) -> Vec<SettlementId> {
        let validator = self.nodes[node].validator.as_ref();
        let settlements = validator.map(|at| at.state().settlements.sorted()).unwrap_or_default();
        settlements.into_iter().map(|(id, _)| *id).collect()
    }

    fn forge(
        &mut self,
        node: usize,
        batch: &Batch,
        records: Vec<RecordBytes>,
        back_ms: u64,
    ) -> Option<(Batch, Signature)> {
        let checkpoint = batch.checkpoint();
        let place = Place {
            network: checkpoint.network.clone(),
            domain: checkpoint.domain.clone(),
            epoch: checkpoint.epoch,
            height: checkpoint.height,
            previous: checkpoint.previous,
            time: checkpoint.time.before(Duration(back_ms)),
        };
        let forged = Batch::close(place, self.liar.random.bytes(), records).ok()?;
        let signature = self.nodes[node].sign_unguarded(forged.checkpoint())?;
        Some((forged, signature))
    }

    /// As a mere participant, sends the secret (it has leaked) to an honest decider, with proof
    /// of its own lock: everything but the initiator's word.
    fn reveal_unasked(
        &mut self,
        node: usize,
        batch: &Arc<Batch>,
        signature: &Signature,
    ) -> Option<bool> {
        let (leaf, id) =
            batch.stored().records.iter().zip(0u32..).find_map(
                |(bytes, leaf)| match Record::read(bytes).ok()? {
                    Record::Statement(Statement::Locked(id)) => Some((leaf, id)),
                    _ => None,
                },
            )?;
        let validator = self.nodes[node].validator.as_ref()?;
        let settlement = validator.state().settlements.get(&id)?;
        let header = settlement.header.clone();
        if header.decider == self.nodes[node].domain {
            return None;
        }
        let (initiator, decider) = (self.index(&header.initiator)?, self.index(&header.decider)?);
        let link = validator.state().peer(&header.decider).cloned().unwrap_or_default();
        let seed = self.cast.preimage_seed(initiator);
        let preimage = derive_preimage(&seed, &header.number.0.to_le_bytes());
        let own: Evidence = batch.evidence(leaf, signature).ok()?;
        let evidence = Bounded::new(vec![own]).ok()?;
        let revealed = Statement::Revealed(Revealed { settlement: id, preimage, evidence });
        let mut records: Vec<RecordBytes> = batch.stored().records.to_vec();
        records.retain(|bytes| !Record::is_page(bytes));
        let item = u32::try_from(records.len()).ok()?;
        records.push(Record::Statement(revealed).to_bytes().ok()?);
        let page = FeedPage {
            to: header.decider.clone(),
            previous: link.sent_height,
            first: link.sent.next(),
            items: Bounded::new(vec![item]).ok()?,
            acknowledged: link.received,
        };
        records.push(Record::Page(page).to_bytes().ok()?);
        let (forged, signature) = self.forge(node, batch, records, 0)?;
        let frame = forged.frame(item + 1, &signature).ok()?;
        self.send(node, decider, &Packet::Frame(codec::encode(&frame).into()));
        Some(false)
    }
}

fn tells_position(batch: &Batch) -> bool {
    let mut records = batch.stored().records.iter();
    records
        .any(|bytes| matches!(Record::read(bytes), Ok(Record::Statement(Statement::Position(_)))))
}

fn carries_bundle(batch: &Batch) -> bool {
    batch.stored().records.iter().any(|bytes| match Record::read(bytes) {
        Ok(Record::Statement(Statement::Decided(decided))) => match &decided.outcome {
            Outcome::Settle { evidence, .. } => !evidence.is_empty(),
            Outcome::Refund { .. } => false,
        },
        Ok(_) | Err(_) => false,
    })
}

/// Changes a statement into a lie of this kind, where it can be one.
fn twist(
    lie: Lie,
    statement: &mut Statement,
    others: &[SettlementId],
    random: &mut Stream,
) -> bool {
    match (lie, statement) {
        (
            Lie::WrongSettlement,
            Statement::Locked(id)
            | Statement::Finalised { settlement: id, .. }
            | Statement::Declined { settlement: id, .. },
        ) => {
            let Some(other) = others.get(random.index(others.len())) else { return false };
            let changes = id != other;
            *id = *other;
            changes
        }
        (Lie::OtherDecision, Statement::Decided(Decided { outcome, .. })) => {
            // The other way round it would need the secret.
            let settles = matches!(outcome, Outcome::Settle { .. });
            if settles {
                *outcome = Outcome::Refund { reason: Code::TimedOut };
            }
            settles
        }
        (
            Lie::NoBundle,
            Statement::Decided(Decided { outcome: Outcome::Settle { evidence, .. }, .. }),
        ) => {
            let changes = !evidence.is_empty();
            *evidence = Bounded::default();
            changes
        }
        (Lie::FalsePosition, Statement::Position(told)) => {
            let more = Amount::new(u128::from(random.between(1, 9)));
            told.claim = told.claim.plus(more).unwrap_or(told.claim);
            true
        }
        _ => false,
    }
}
