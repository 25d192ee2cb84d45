//! The edge around a validator: append, sync, sign, and only then say.
//!
//! Every single step of a turn is a place where the node may die.

use std::sync::Arc;

use quadrille_protocol::codec;
use quadrille_protocol::crypto::suite::Signature;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::SignedRotation;
use quadrille_protocol::limits;
use quadrille_protocol::log::{
    Batch, Bundle, Evidence, FeedItem, Frame, OutcomeKind, Record, Statement, VerifiedEvidence,
};
use quadrille_protocol::sabotage::{Bug, planted};
use quadrille_protocol::settlement::Header;
use quadrille_protocol::types::{Domain, Height, Sequence};
use quadrille_protocol::validator::{Effect, Effects, Event, Input, Message, Validator};

use super::broken::{Broken, Checked};
use super::disk::Written;
use super::node::Sealed;
use super::trace::short;
use super::workload::pay::findings;
use super::world::{Occasion, Packet, World};

/// Frames sent at once for one resend; the receiver asks again for the rest.
const RESEND_FRAMES: usize = 64;

/// The batch of a turn with its signature, for the effects that cut something from it.
type Said<'a> = Option<(&'a Arc<Batch>, &'a Signature)>;

impl World {
    /// A node takes a turn.
    pub(super) fn turn(&mut self, node: usize) -> Checked {
        let at = &mut self.nodes[node];
        let Some(validator) = &mut at.validator else { return Ok(()) };
        let now = at.clock.at(self.now_ms);
        let turned = validator.turn(now, at.entropy.bytes(), &mut at.inputs);
        self.figures.turns += 1;
        let effects = match turned {
            Ok(effects) => effects,
            Err(_) if at.byzantine => {
                at.validator = None;
                return Ok(());
            }
            Err(fault) => return Err(Broken::crash(format!("{}: {fault}", at.domain))),
        };
        let busy = effects.more || !at.inputs.is_empty();
        if let Some(wake) = effects.wake {
            let at_ms = at.clock.when(wake, self.now_ms + 1);
            self.plan_turn(node, at_ms);
        }
        if busy {
            self.plan_turn(node, self.now_ms + 1);
        }
        let crash_at = self.draw_crash(&effects);
        self.carry_out_turn(node, &effects, crash_at)?;
        self.compare(node)
    }

    /// At which of a turn's moments the node dies, if it does: 0 before the append, 1 before
    /// the sync, 2 before the signature, 3 after it, from 4 on after each effect.
    fn draw_crash(&mut self, effects: &Effects) -> Option<u64> {
        if effects.batch.is_none() || !self.trouble.chance(self.plan.nodes.crash) {
            return None;
        }
        Some(self.trouble.below(4 + effects.after.len() as u64))
    }

    fn carry_out_turn(&mut self, node: usize, effects: &Effects, crash_at: Option<u64>) -> Checked {
        let mut signature = None;
        if let Some(batch) = &effects.batch {
            self.say_too_early(node, batch, effects)?;
            signature = self.make_final(node, batch, crash_at)?;
            if signature.is_none() {
                return Ok(());
            }
        }
        let said = effects.batch.as_ref().zip(signature.as_ref());
        for (effect, moment) in effects.after.iter().zip(4..) {
            self.carry_out(node, effect, said)?;
            if crash_at == Some(moment) {
                self.crash(node, "after an effect");
                return Ok(());
            }
        }
        match effects.batch {
            Some(_) => self.tell_subscriber(node),
            None => Ok(()),
        }
    }

    /// Append, sync, sign. `None` when the node died or had to stop on the way.
    fn make_final(
        &mut self,
        node: usize,
        batch: &Arc<Batch>,
        crash_at: Option<u64>,
    ) -> Checked<Option<Signature>> {
        if crash_at == Some(0) {
            self.crash_mid_turn(node, "before the append");
            return Ok(None);
        }
        self.figures.batches += 1;
        self.nodes[node].disk.append(batch.to_bytes().into());
        if crash_at == Some(1) {
            self.crash_mid_turn(node, "before the sync");
            return Ok(None);
        }
        if self.write(node) == Written::Failed {
            self.figures.disk_errors += 1;
            self.crash_mid_turn(node, "on a disk error");
            return Ok(None);
        }
        self.nodes[node].sealed.push(Sealed { batch: batch.clone(), signature: None });
        if crash_at == Some(2) {
            self.crash(node, "before the signature");
            return Ok(None);
        }
        let signature = self.seal_last(node)?;
        if signature.is_none() {
            self.figures.guard_refusals += 1;
            self.crash(node, "because the guard refused");
        } else if crash_at == Some(3) {
            self.crash(node, "after the signature");
            return Ok(None);
        }
        Ok(signature)
    }

    fn write(&mut self, node: usize) -> Written {
        let at = &mut self.nodes[node];
        if self.trouble.chance(self.plan.nodes.disk_error) {
            at.disk.fail_sync(&mut self.trouble);
            return Written::Failed;
        }
        at.disk.sync();
        Written::Durable
    }

    /// Signs the last durable batch and lets the audit read it. `None` when the guard refuses.
    pub(super) fn seal_last(&mut self, node: usize) -> Checked<Option<Signature>> {
        let at = &mut self.nodes[node];
        let Some(sealed) = at.sealed.last().cloned() else { return Ok(None) };
        let Some(signature) = at.sign(sealed.batch.checkpoint()) else { return Ok(None) };
        if let Some(last) = at.sealed.last_mut() {
            last.signature = Some(signature.clone());
        }
        self.audit(node, &sealed.batch)?;
        Ok(Some(signature))
    }

    /// The sabotaged edge: what reveals a secret leaves before it is durable.
    fn say_too_early(&mut self, node: usize, batch: &Arc<Batch>, effects: &Effects) -> Checked {
        if !planted(Bug::RevealBeforeDurable) || !reveals(batch) {
            return Ok(());
        }
        let Some(signature) = self.nodes[node].sign_unguarded(batch.checkpoint()) else {
            return Ok(());
        };
        for effect in &effects.after {
            if let Effect::SendPage { to, height, page } = effect {
                let Ok(frame) = batch.frame(*page, &signature) else { continue };
                self.send_frame(node, to, *height, codec::encode(&frame).into())?;
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, node: usize, effect: &Effect, said: Said<'_>) -> Checked {
        match effect {
            Effect::SendPage { to, height, page } => self.send_page(node, to, *height, *page),
            Effect::Resend { to, after } => self.resend(node, to, *after),
            Effect::Return { to, after } => {
                self.give_back(node, to, *after);
                Ok(())
            }
            Effect::Message { to, message } => {
                self.send_message(node, to, message);
                Ok(())
            }
            Effect::Publish { leaf, only } => self.publish(node, *leaf, only, said),
            Effect::LookUpDecision { header, from } => {
                self.look_up(node, header, from);
                Ok(())
            }
            Effect::Reply { result, .. } => {
                match result {
                    Ok(_) => self.figures.accepted += 1,
                    Err(refusal) => {
                        self.figures.refused += 1;
                        let domain = &self.nodes[node].domain;
                        self.trace.say(self.now_ms, || format!("{domain} refuses: {refusal}"));
                    }
                }
                Ok(())
            }
            Effect::Event(event) => self.event(node, event, said),
        }
    }

    fn send_page(&mut self, node: usize, to: &Domain, height: Height, page: u32) -> Checked {
        let at = &self.nodes[node];
        let sealed = at.place_of(height).map(|place| at.sealed[place].clone());
        let Some(Sealed { batch, signature: Some(signature) }) = sealed else {
            return Err(Broken::safety("appended before sent", format!("{} {height}", at.domain)));
        };
        let frame = batch.frame(page, &signature);
        let frame = frame.map_err(|refusal| Broken::crash(refusal.to_string()))?;
        if self.trace.is_on() {
            self.tell_of_frame(node, to, &frame);
        }
        let bytes: Arc<[u8]> = codec::encode(&frame).into();
        if self.nodes[node].byzantine && self.lies_about(node, to, &batch, page, &signature, &bytes)
        {
            return Ok(());
        }
        self.send_frame(node, to, height, bytes)
    }

    /// The one place where an honest node's frames leave.
    fn send_frame(
        &mut self,
        node: usize,
        to: &Domain,
        height: Height,
        bytes: Arc<[u8]>,
    ) -> Checked {
        if self.is_honest(node) {
            self.check_leaving(node, height)?;
        }
        if let Some(to) = self.index(to) {
            self.figures.frames += 1;
            self.send(node, to, &Packet::Frame(bytes));
        }
        Ok(())
    }

    fn resend(&mut self, node: usize, to: &Domain, after: Sequence) -> Checked {
        let mut pages = Vec::new();
        for sealed in self.nodes[node].sealed.iter().rev() {
            let height = sealed.batch.checkpoint().height;
            let own = sealed.batch.pages().iter().rev().filter(|(_, page)| page.to == *to);
            let mut done = false;
            for (place, page) in own {
                done |= page.last() <= after;
                if page.last() > after {
                    pages.push((height, *place));
                }
            }
            if done {
                break;
            }
        }
        for (height, page) in pages.into_iter().rev().take(RESEND_FRAMES) {
            self.send_page(node, to, height, page)?;
        }
        Ok(())
    }

    /// Gives a peer its own frames back from our log.
    fn give_back(&mut self, node: usize, to: &Domain, after: Sequence) {
        let Some(receiver) = self.index(to) else { return };
        let mut frames: Vec<Arc<[u8]>> = Vec::new();
        for sealed in &self.nodes[node].sealed {
            for bytes in &sealed.batch.stored().records {
                if let Ok(Record::Received(frame)) = Record::read(bytes)
                    && frame.from() == to
                    && frame.page().last() > after
                {
                    frames.push(frame.bytes().into());
                }
            }
        }
        for bytes in frames.into_iter().take(RESEND_FRAMES) {
            self.figures.returned += 1;
            self.send(node, receiver, &Packet::Returned(bytes));
        }
    }

    fn send_message(&mut self, node: usize, to: &Domain, message: &Message) {
        let from = &self.nodes[node].domain;
        self.trace.say(self.now_ms, || format!("{from} -> {to}  {}", message_text(message)));
        if let Some(to) = self.index(to) {
            self.send(node, to, &Packet::Message(message.clone()));
        }
    }

    fn publish(&mut self, node: usize, leaf: u32, only: &[Domain], said: Said<'_>) -> Checked {
        let Some((batch, signature)) = said else {
            return Err(Broken::crash("published from no batch"));
        };
        if self.is_honest(node) {
            self.check_leaving(node, batch.checkpoint().height)?;
        }
        let crash = |refusal: Refusal| Broken::crash(refusal.to_string());
        let packet = if only.is_empty() {
            let evidence = batch.evidence(leaf, signature).map_err(crash)?;
            Packet::Notice(codec::encode(&evidence).into())
        } else {
            let bundle = batch.bundle(&[leaf], signature).map_err(crash)?;
            Packet::Notices(codec::encode(&bundle).into())
        };
        for to in 0..self.nodes.len() {
            let meant = only.is_empty() || only.contains(&self.nodes[to].domain);
            if to != node && meant {
                self.send(node, to, &packet);
            }
        }
        Ok(())
    }

    /// Searches the log for a decision.
    fn look_up(&mut self, node: usize, header: &Header, from: &Domain) {
        let id = header.id();
        self.figures.look_ups += 1;
        let found = self.nodes[node]
            .sealed
            .iter()
            .rev()
            .find_map(|sealed| sealed.batch.decision_on(&id, sealed.signature.as_ref()?));
        match (found, self.index(from)) {
            (Some(evidence), Some(to)) => {
                self.send(node, to, &Packet::Shown(codec::encode(&evidence).into()));
            }
            (None, _) => {
                let (header, from) = (Box::new(header.clone()), from.clone());
                self.submit(node, Input::NeverDecided { header, from });
            }
            (Some(_), None) => {}
        }
    }

    fn event(&mut self, node: usize, event: &Event, said: Said<'_>) -> Checked {
        let domain = self.nodes[node].domain.clone();
        match event {
            Event::Entry { ledger, sequence, leaf } => {
                if let Some((batch, signature)) = said
                    && self.is_honest(node)
                {
                    self.wallets.take(*ledger, *sequence, batch, *leaf, signature)?;
                }
                return Ok(());
            }
            Event::Suspended { peer } => {
                let honest = self.index(peer).is_some_and(|peer| self.is_honest(peer));
                self.figures.suspensions += 1;
                crate::demand!(
                    !honest || !self.is_honest(node),
                    "no honest node is convicted",
                    "{domain} suspended {peer}"
                );
            }
            Event::Recovering { .. } => {
                self.figures.recoveries += 1;
                let starts = self.nodes[node].starts;
                let at_ms = self.now_ms + self.pace.between(20, 900);
                self.plan_at(at_ms, Occasion::CustomersAnswer(node, starts));
            }
            Event::ReconciliationBreak { .. } => self.figures.breaks += 1,
            Event::Unresolved { .. } => {
                self.figures.unresolved += 1;
                self.checks.unresolved.insert(node);
            }
            Event::Misbehaved { .. } => self.figures.misbehaved += 1,
            Event::Settlement { .. }
            | Event::Final { .. }
            | Event::Refused { .. }
            | Event::PeerLostState { .. }
            | Event::Recovered => {}
        }
        self.trace.say(self.now_ms, || format!("{domain}: {}", event_text(event)));
        Ok(())
    }

    /// A packet reaches a node: its edge checks it before the core sees it.
    pub(super) fn arrive(&mut self, from: usize, to: usize, packet: Packet) -> Checked {
        let Some(validator) = &self.nodes[to].validator else {
            self.network.lost += 1;
            return Ok(());
        };
        let directory = &validator.state().directory;
        let (sender, receiver) = (&self.nodes[from].domain, &self.nodes[to].domain);
        let (network, verifier) = (&self.cast.network, &self.cast.verifier);
        let input = match packet {
            Packet::Frame(bytes) => {
                Frame::verify(&bytes, sender, receiver, network, directory, verifier).map(|frame| {
                    let findings = findings(&frame);
                    Input::Frame { frame: Box::new(frame), findings }
                })
            }
            Packet::Returned(bytes) => {
                Frame::verify(&bytes, receiver, sender, network, directory, verifier)
                    .map(|frame| Input::Returned { by: sender.clone(), frame: Box::new(frame) })
            }
            Packet::Message(message) => Ok(Input::Message { from: sender.clone(), message }),
            Packet::Notice(bytes) => self
                .check_evidence(validator, &bytes)
                .map(|evidence| Input::Notice(Box::new(evidence))),
            Packet::Notices(bytes) => Bundle::verify(&bytes, network, directory, verifier)
                .map(|bundle| Input::Notices(Box::new(bundle))),
            Packet::Shown(bytes) => self
                .check_evidence(validator, &bytes)
                .map(|evidence| Input::Shown(Box::new(evidence))),
        };
        match input {
            Ok(input) => {
                let rotations = rotations_in(&input);
                self.submit(to, input);
                for signed in rotations {
                    self.take_up_rotation(to, &signed);
                }
            }
            Err(refusal) => {
                self.note_refused(to, from, &refusal);
                if refusal.code == Code::UnknownEpoch {
                    self.fetch_rotations(to, from);
                }
            }
        }
        Ok(())
    }

    fn check_evidence(
        &self,
        validator: &Validator,
        bytes: &[u8],
    ) -> Result<VerifiedEvidence, Refusal> {
        let evidence = codec::decode::<Evidence, { limits::RECORD_BYTES * 4 }>(bytes)?;
        let directory = &validator.state().directory;
        VerifiedEvidence::check(evidence, &self.cast.network, directory, &self.cast.verifier)
    }

    fn tell_of_frame(&mut self, node: usize, to: &Domain, frame: &Frame) {
        let from = self.nodes[node].domain.clone();
        let height = frame.checkpoint.checkpoint.height;
        for bytes in &frame.records {
            if let Ok(Record::Statement(statement)) = Record::read(bytes) {
                self.trace.say(self.now_ms, || {
                    format!("{from} -> {to}  {}  (height {height})", statement_text(&statement))
                });
            }
        }
    }
}

fn rotations_in(input: &Input) -> Vec<SignedRotation> {
    let Input::Frame { frame, .. } = input else { return Vec::new() };
    let rotated = |item: &FeedItem| match &item.statement {
        Some(Statement::Rotated(signed)) => Some(SignedRotation::clone(signed)),
        _ => None,
    };
    frame.items().iter().filter_map(rotated).collect()
}

fn reveals(batch: &Batch) -> bool {
    batch
        .stored()
        .records
        .iter()
        .any(|bytes| matches!(Record::read(bytes), Ok(Record::Statement(Statement::Revealed(_)))))
}

fn statement_text(statement: &Statement) -> String {
    let settlement = match statement {
        Statement::Agreed(agreement) => Some(agreement.header.id()),
        Statement::Appointed(header) => Some(header.id()),
        Statement::Locked(id)
        | Statement::Declined { settlement: id, .. }
        | Statement::Finalised { settlement: id, .. } => Some(*id),
        Statement::Revealed(revealed) => Some(revealed.settlement),
        Statement::Aborted(aborted) => Some(aborted.settlement),
        Statement::Decided(decided) => Some(decided.settlement),
        Statement::Take(take) => return format!("Take {}", short(&take.take)),
        Statement::TakeRefused { take, refusal, .. } => {
            return format!("TakeRefused {} ({})", short(take), refusal.code);
        }
        Statement::Rotated(_) | Statement::Position(_) => None,
    };
    let kind = statement.kind();
    match settlement {
        Some(id) => format!("{kind} {}", short(&id)),
        None => kind.to_owned(),
    }
}

fn message_text(message: &Message) -> String {
    match message {
        Message::Resume { sent, received, .. } => format!("Resume sent {sent}, has {received}"),
        Message::Ack { sent, received } => format!("Ack {received}, sent {sent}"),
        Message::Query(header) => format!("Query {}", short(&header.id())),
    }
}

fn event_text(event: &Event) -> String {
    match event {
        Event::Entry { ledger, sequence, .. } => format!("entry {sequence} of {}", short(ledger)),
        Event::Refused { ledger, order, .. } => {
            format!("refused {} of {}", short(order), short(ledger))
        }
        Event::Settlement { id, step } => format!("{step} {}", short(id)),
        Event::Final { id, outcome } => {
            let outcome = match outcome {
                OutcomeKind::Settle => "settled",
                OutcomeKind::Refund => "refunded",
            };
            format!("{outcome} {}", short(id))
        }
        Event::Misbehaved { peer, refusal } => format!("{peer} misbehaved: {refusal}"),
        Event::Suspended { peer } => format!("{peer} is suspended"),
        Event::ReconciliationBreak { broken } => {
            format!("books differ from {}'s in {}", broken.peer, broken.theirs.asset)
        }
        Event::PeerLostState { peer } => format!("{peer} has lost state"),
        Event::Recovering { reason } => format!("recovering: {reason}"),
        Event::Recovered => "recovered".to_owned(),
        Event::Unresolved { height, what } => format!("unresolved at {height}: {what}"),
    }
}
