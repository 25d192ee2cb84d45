//! Dying and starting, and what the fault plan does to nodes.

use std::collections::VecDeque;

use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::identity::{Rotation, SignedRotation};
use quadrille_protocol::log::{Record, VerifiedEvidence};
use quadrille_protocol::types::{Epoch, Height};
use quadrille_protocol::validator::{Command, Guard, Input, Settings, Validator};

use super::broken::{Broken, Checked};
use super::world::{Occasion, Packet, Phase, World};

impl World {
    /// A node dies when what its validator knows is what its disk knows.
    pub(super) fn crash(&mut self, node: usize, when: &str) {
        let snapshot = self.nodes[node].validator.as_ref().map(Validator::snapshot);
        self.checks.expect_replay(node, snapshot);
        self.die(node, when);
    }

    /// A node dies while its validator is ahead of its disk.
    pub(super) fn crash_mid_turn(&mut self, node: usize, when: &str) {
        self.checks.expect_replay(node, None);
        self.die(node, when);
    }

    fn die(&mut self, node: usize, when: &str) {
        let at = &mut self.nodes[node];
        at.disk.crash(&mut self.trouble);
        at.validator = None;
        at.inputs.clear();
        at.turn_at = None;
        self.subscribers[node].crash();
        self.figures.crashes += 1;
        // Its connections die with it: what was on its way to it reaches nobody.
        self.queue
            .retain(|_, occasion| !matches!(occasion, Occasion::Arrive { to, .. } if *to == node));
        let domain = &at.domain;
        self.trace.say(self.now_ms, || format!("{domain} dies {when}"));
        let down_ms = self.trouble.between(10, 6_000);
        self.plan_at(self.now_ms + down_ms, Occasion::Start(node));
        if self.trouble.chance(self.plan.nodes.restore) && self.is_honest(node) {
            self.restore(node);
        }
    }

    /// The disk is replaced by an old copy of itself.
    fn restore(&mut self, node: usize) {
        let batches = self.nodes[node].disk.batches();
        // The opening of the ledgers is in every copy.
        let kept = self.trouble.between(2, 14) as usize;
        let kept = batches.saturating_sub(kept).max(self.checks.opening_batches(node));
        // Two domains that forget the same trade have nobody to ask: that is not promised.
        if kept >= batches || self.restored.is_some_and(|other| other != node) {
            return;
        }
        self.restored = Some(node);
        self.figures.restores += 1;
        self.checks.expect_replay(node, None);
        let at = &mut self.nodes[node];
        at.disk.restore(kept);
        at.sealed.truncate(kept);
        let height = at.sealed.last().map_or(Height(0), |last| last.batch.checkpoint().height);
        self.subscribers[node].restore(height);
        let domain = &at.domain;
        self.trace.say(self.now_ms, || {
            format!("{domain} is restored from an old copy: {kept} of {batches} batches")
        });
        if !at.guard_apart {
            at.guard = at.sealed.last().map(|sealed| Guard {
                height: sealed.batch.checkpoint().height,
                hash: sealed.batch.checkpoint().hash(),
            });
            self.forget_unheard(node);
        }
    }

    /// The guard went back with the log. Its connections died with it, so what was still on its
    /// way is gone; only what somebody has written down was ever said.
    fn forget_unheard(&mut self, node: usize) {
        self.queue.retain(|_, occasion| match occasion {
            Occasion::Arrive { from, packet, .. } => {
                *from != node || matches!(packet, Packet::Message(_))
            }
            _ => true,
        });
        let domain = self.nodes[node].domain.clone();
        for at in &mut self.nodes {
            at.inputs.retain(|input| match input {
                Input::Frame { frame, .. } => *frame.from() != domain,
                Input::Notice(evidence) => *evidence.evidence().domain() != domain,
                Input::Notices(bundle) => *bundle.domain() != domain,
                _ => true,
            });
        }
        let ledgers: Vec<_> = self.ledgers_of(node);
        let slips = self.wallets.above(&ledgers, Height(0));
        self.checks.forget_unheard(node, slips.iter().map(|slip| (slip.height(), slip.hash())));
    }

    fn ledgers_of(&self, node: usize) -> Vec<quadrille_protocol::types::Ubi> {
        let holders = &self.cast.banks[node].holders;
        holders.iter().map(|holder| self.cast.customers[*holder].ubi).collect()
    }

    fn settings(&self, node: usize) -> Settings {
        Settings::new(self.cast.preimage_seed(node))
    }

    /// A node starts: reads its disk, finishes what it had begun to sign, boots.
    pub(super) fn start(&mut self, node: usize) -> Checked {
        if self.nodes[node].validator.is_some() {
            return Ok(());
        }
        let mut stored = self.nodes[node].read_disk();
        let unsigned = self.nodes[node].sealed.last().is_some_and(|last| last.signature.is_none());
        if self.is_honest(node) {
            self.reread(node)?;
        }
        if unsigned && self.seal_last(node)?.is_none() {
            // Never signed, so never said, and the guard will not have it.
            self.nodes[node].sealed.pop();
            stored.pop();
            let kept = stored.len();
            self.nodes[node].disk.restore(kept);
            self.checks.expect_replay(node, None);
        }
        self.tell_holders(node)?;
        let broken = |fault| Broken::safety("replay gives the same state", format!("{fault}"));
        let mut validator = Validator::replay(self.settings(node), &stored).map_err(broken)?;
        self.check_replay(node, &validator)?;
        let at = &mut self.nodes[node];
        validator.boot(at.clock.at(self.now_ms), at.boot());
        let recovering = validator.is_recovering();
        at.validator = Some(validator);
        at.inputs = VecDeque::new();
        at.starts += 1;
        let (domain, starts, apart) = (at.domain.clone(), at.starts, at.guard_apart);
        self.trace.say(self.now_ms, || {
            let how = if recovering { " and asks what it has said" } else { "" };
            format!("{domain} starts{how}")
        });
        if recovering && apart {
            self.figures.recoveries += 1;
            let at_ms = self.now_ms + self.pace.between(20, 900);
            self.plan_at(at_ms, Occasion::CustomersAnswer(node, starts));
        } else if recovering {
            // Where the guard proves nothing, the customers are heard first of all.
            self.customers_answer(node, starts);
        }
        self.plan_turn(node, self.now_ms);
        // New connections take the place of the old ones, and what was still on those is lost.
        self.queue.retain(
            |_, occasion| !matches!(occasion, Occasion::Arrive { from, .. } if *from == node),
        );
        for peer in (0..self.nodes.len()).filter(|peer| *peer != node) {
            if self.nodes[peer].validator.is_some() {
                let name = self.nodes[peer].domain.clone();
                self.submit(peer, Input::Connected(domain.clone()));
                self.submit(node, Input::Connected(name));
            }
        }
        Ok(())
    }

    /// A start tells holders what a crash may have kept from them.
    fn tell_holders(&mut self, node: usize) -> Checked {
        if !self.is_honest(node) {
            return Ok(());
        }
        for sealed in &self.nodes[node].sealed {
            let Some(signature) = &sealed.signature else { continue };
            for (leaf, bytes) in (0u32..).zip(sealed.batch.stored().records.iter()) {
                let Ok(Record::Transaction(transaction)) = Record::read(bytes) else { continue };
                for entry in &transaction.entries {
                    let (ledger, sequence) = (entry.ledger, entry.sequence);
                    self.wallets.take(ledger, sequence, &sealed.batch, leaf, signature)?;
                }
            }
        }
        Ok(())
    }

    /// The customers of a recovering bank show what they have.
    pub(super) fn customers_answer(&mut self, node: usize, starts: u64) {
        let at = &self.nodes[node];
        if at.starts != starts {
            return;
        }
        let Some(validator) = &at.validator else { return };
        let height = validator.state().height;
        let directory = validator.state().directory.clone();
        let ledgers = self.ledgers_of(node);
        for slip in self.wallets.above(&ledgers, height) {
            let Some(evidence) = slip.evidence() else { continue };
            let (network, verifier) = (&self.cast.network, &self.cast.verifier);
            if let Ok(verified) = VerifiedEvidence::check(evidence, network, &directory, verifier) {
                self.submit(node, Input::ReturnedEvidence(Box::new(verified)));
            }
        }
        self.command(node, Command::CustomersHeard);
    }

    /// The fault plan has a look.
    pub(super) fn make_trouble(&mut self) -> Checked {
        if let Some(what) = self.network.disturb(self.now_ms) {
            self.figures.cuts += 1;
            self.trace.say(self.now_ms, || what);
        }
        let node = self.trouble.index(self.nodes.len());
        if self.trouble.chance(self.plan.nodes.clock_jump) {
            let by = self.trouble.below(2 * self.plan.nodes.clock_off_ms + 1);
            let by = i64::try_from(by).unwrap_or(0)
                - i64::try_from(self.plan.nodes.clock_off_ms).unwrap_or(0);
            self.nodes[node].clock.jump(by);
            self.figures.clock_jumps += 1;
            let domain = &self.nodes[node].domain;
            self.trace.say(self.now_ms, || format!("{domain}'s clock jumps by {by} ms"));
            self.plan_turn(node, self.now_ms);
        }
        if self.trouble.chance(self.plan.nodes.rotate) {
            self.rotate_domain(node);
        }
        if self.trouble.chance(self.plan.nodes.double_start) {
            self.start_twin(node)?;
        }
        if self.trouble.chance(2_000) {
            self.redeliver(node)?;
        }
        Ok(())
    }

    /// The operator rotates a domain's key, a few heights ahead.
    fn rotate_domain(&mut self, node: usize) {
        let at = &self.nodes[node];
        let Some(validator) = &at.validator else { return };
        let state = validator.state();
        let Ok(epoch) = state.own_epoch_at(state.height.next()) else { return };
        let Some(new) = at.keys.get(epoch.0 as usize) else { return };
        let Some(old) = at.keys.get(epoch.0 as usize - 1) else { return };
        let rotation = Rotation {
            network: self.cast.network.clone(),
            domain: at.domain.clone(),
            from_epoch: epoch,
            to_epoch: Epoch(epoch.0 + 1),
            new_key: new.public().clone(),
            new_sealing_key: None,
            from_height: Height(state.height.0 + 2),
        };
        let (tag, bytes) = rotation.to_sign();
        debug_assert_eq!(tag, Tag::Rotation);
        let signed =
            SignedRotation::assemble(&rotation, old.sign(tag, &bytes), new.sign(tag, &bytes));
        let verified = signed.and_then(|signed| {
            self.cast.anchors.verify_rotation(&signed, &state.directory, &self.cast.verifier)
        });
        if let Ok(verified) = verified {
            self.figures.rotations += 1;
            let domain = &at.domain;
            self.trace.say(self.now_ms, || format!("{domain} rotates its key"));
            self.rotations.push((node, rotation.to_epoch, verified.signed().clone()));
            self.command(node, Command::Rotate(Box::new(verified)));
        }
    }

    /// A peer's operator takes up a rotation.
    pub(super) fn take_up_rotation(&mut self, node: usize, signed: &SignedRotation) {
        let Some(validator) = &self.nodes[node].validator else { return };
        let directory = &validator.state().directory;
        let verified = self.cast.anchors.verify_rotation(signed, directory, &self.cast.verifier);
        if let Ok(verified) = verified {
            self.command(node, Command::Rotate(Box::new(verified)));
        }
    }

    /// A node has met a key it does not know: its operator fetches the rotations that `owner`
    /// has in force.
    pub(super) fn fetch_rotations(&mut self, node: usize, owner: usize) {
        let Some(validator) = &self.nodes[owner].validator else { return };
        let Ok(member) = validator.state().directory.member(&self.nodes[owner].domain) else {
            return;
        };
        let in_force: Vec<Epoch> = member.keys().map(|(epoch, _)| epoch).collect();
        let missing: Vec<SignedRotation> = self
            .rotations
            .iter()
            .filter(|(bank, epoch, _)| *bank == owner && in_force.contains(epoch))
            .map(|(_, _, signed)| signed.clone())
            .collect();
        for signed in missing {
            self.take_up_rotation(node, &signed);
        }
    }

    /// Somebody starts a second process from a copy of the log. It shares the guard, says a
    /// little, and is stopped again; the first process knows nothing of it.
    fn start_twin(&mut self, node: usize) -> Checked {
        let at = &self.nodes[node];
        let recovering = at.validator.as_ref().is_none_or(Validator::is_recovering);
        if recovering || !at.guard_apart || at.byzantine || self.phase != Phase::Faults {
            return Ok(());
        }
        let stored: Vec<_> = at.sealed.iter().map(|sealed| sealed.batch.stored()).collect();
        let broken = |fault| Broken::safety("replay gives the same state", format!("{fault}"));
        let mut twin = Validator::replay(self.settings(node), stored).map_err(broken)?;
        let request = self.workload.request();
        let at = &mut self.nodes[node];
        let now = at.clock.at(self.now_ms);
        twin.boot(now, at.boot());
        let mut inputs =
            VecDeque::from([Input::Command { request, command: Command::PublishBook }]);
        let turned = twin.turn(now, at.entropy.bytes(), &mut inputs);
        let effects = turned.map_err(|fault| Broken::crash(format!("a twin: {fault}")))?;
        let Some(batch) = effects.batch else { return Ok(()) };
        let Some(signature) = at.sign(batch.checkpoint()) else { return Ok(()) };
        self.figures.twins += 1;
        let domain = at.domain.clone();
        self.trace.say(self.now_ms, || format!("{domain} runs twice for a moment"));
        self.say_as_twin(node, &batch, &signature, &effects.after)
    }
}
