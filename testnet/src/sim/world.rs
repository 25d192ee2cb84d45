//! One run: everything that exists, and the loop that makes things happen.
//!
//! ```text
//!   queue of occasions, ordered by (time, ticket)
//!      Arrive  a packet reaches a node        --> verified, waits for its next turn
//!      Turn    a node takes a turn            --> batch, effects, checks
//!      Work    somebody orders something
//!      Trouble the fault plan has a look
//!      Start   a node that was down starts
//! ```
//!
//! Invariant: everything that happens is a function of the seed and the options.

use std::collections::BTreeMap;
use std::sync::Arc;

use quadrille_protocol::error::Refusal;
use quadrille_protocol::identity::SignedRotation;
use quadrille_protocol::types::{Domain, Epoch};
use quadrille_protocol::validator::{Input, Message};

use super::broken::Checked;
use super::byzantine::Liar;
use super::cast::Cast;
use super::check::Checks;
use super::faults::FaultPlan;
use super::network::Network;
use super::node::Node;
use super::report::Figures;
use super::rng::Stream;
use super::subscriber::Subscriber;
use super::trace::Trace;
use super::wallet::Wallets;
use super::workload::Workload;

/// What travels between nodes.
#[derive(Debug, Clone)]
pub enum Packet {
    /// A frame of the sender's feed.
    Frame(Arc<[u8]>),
    /// A frame of the receiver's own feed, given back.
    Returned(Arc<[u8]>),
    /// A message that binds nobody.
    Message(Message),
    /// A published record with its evidence.
    Notice(Arc<[u8]>),
    Notices(Arc<[u8]>),
    /// A decision with its evidence, for somebody who asked.
    Shown(Arc<[u8]>),
}

/// Something that happens at its time.
#[derive(Debug)]
pub enum Occasion {
    /// A packet arrives.
    Arrive {
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
        /// The packet.
        packet: Packet,
    },
    /// A node takes a turn; the number is that of the appointment.
    Turn(usize, u64),
    /// Somebody does something.
    Work,
    /// The fault plan has a look.
    Trouble,
    /// A node starts.
    Start(usize),
    /// The customers of a recovering bank have answered.
    CustomersAnswer(usize, u64),
}

/// Which part of the run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Ledgers are opened, money is issued; nothing goes wrong yet.
    Opening,
    /// Business, with faults.
    Faults,
    /// No faults, no new business: everything must come to its end.
    Healing,
}

/// One run.
#[derive(Debug)]
pub struct World {
    /// True time since the start.
    pub now_ms: u64,
    /// Which part of the run it is.
    pub phase: Phase,
    /// Who takes part.
    pub cast: Cast,
    /// The nodes, by the index of their bank.
    pub nodes: Vec<Node>,
    /// The one node of this run whose disk may be replaced by an old copy, once it was.
    pub restored: Option<usize>,
    /// The network.
    pub network: Network,
    /// What may go wrong.
    pub plan: FaultPlan,
    /// Draws for faults of nodes.
    pub trouble: Stream,
    /// Draws for the network's small delays inside a node.
    pub pace: Stream,
    /// The liar's mind.
    pub liar: Liar,
    /// Holders and operators.
    pub workload: Workload,
    /// What holders keep.
    pub wallets: Wallets,
    /// Who follows the events of each node.
    pub subscribers: Vec<Subscriber>,
    /// The invariants.
    pub checks: Checks,
    /// The story.
    pub trace: Trace,
    /// What happened, counted.
    pub figures: Figures,
    /// Rotations of domains' keys that were signed: by bank, with the new epoch.
    pub rotations: Vec<(usize, Epoch, SignedRotation)>,
    pub(super) queue: BTreeMap<(u64, u64), Occasion>,
    pub(super) tickets: u64,
}

/// Look for trouble this often.
const TROUBLE_MS: u64 = 500;
/// A turn takes its inputs together when they come within this time.
const TURN_MS: u64 = 4;

impl World {
    /// Adds something to happen at `at_ms`.
    pub fn plan_at(&mut self, at_ms: u64, occasion: Occasion) {
        self.tickets += 1;
        self.queue.insert((at_ms.max(self.now_ms), self.tickets), occasion);
    }

    /// Makes sure that a node takes a turn at `at_ms` or before.
    pub fn plan_turn(&mut self, node: usize, at_ms: u64) {
        if self.nodes[node].turn_at.is_some_and(|(known, _)| known <= at_ms) {
            return;
        }
        let ticket = self.tickets + 1;
        self.nodes[node].turn_at = Some((at_ms, ticket));
        self.plan_at(at_ms, Occasion::Turn(node, ticket));
    }

    /// Gives a node an input from its own customers or operator. Lost when the node is down.
    pub fn submit(&mut self, node: usize, input: Input) {
        if self.nodes[node].validator.is_none() {
            return;
        }
        self.nodes[node].inputs.push_back(input);
        let soon = self.now_ms + self.pace.below(TURN_MS);
        self.plan_turn(node, soon);
    }

    /// Sends a packet.
    pub fn send(&mut self, from: usize, to: usize, packet: &Packet) {
        for at in self.network.arrivals(self.now_ms, from, to) {
            self.plan_at(at, Occasion::Arrive { from, to, packet: packet.clone() });
        }
    }

    /// The next thing happens. `false` when nothing is left to happen.
    pub fn step(&mut self) -> Checked<bool> {
        let Some(((at_ms, _), occasion)) = self.queue.pop_first() else { return Ok(false) };
        self.now_ms = at_ms;
        self.figures.steps += 1;
        match occasion {
            Occasion::Arrive { from, to, packet } => self.arrive(from, to, packet)?,
            Occasion::Turn(node, ticket) => {
                if self.nodes[node].turn_at.is_some_and(|(_, known)| known == ticket) {
                    self.nodes[node].turn_at = None;
                    self.turn(node)?;
                }
            }
            Occasion::Work if self.phase == Phase::Faults => {
                self.work();
                let next = self.now_ms + self.workload.gap_ms();
                self.plan_at(next, Occasion::Work);
            }
            Occasion::Trouble if self.phase == Phase::Faults => {
                self.make_trouble()?;
                self.plan_at(self.now_ms + TROUBLE_MS, Occasion::Trouble);
            }
            Occasion::Work | Occasion::Trouble => {}
            Occasion::Start(node) => self.start(node)?,
            Occasion::CustomersAnswer(node, starts) => self.customers_answer(node, starts),
        }
        Ok(true)
    }

    /// The index of a domain; every domain in a run has one.
    #[must_use]
    pub fn index(&self, domain: &Domain) -> Option<usize> {
        self.cast.index(domain)
    }

    /// Whether a node is one that keeps the rules.
    #[must_use]
    pub fn is_honest(&self, node: usize) -> bool {
        !self.nodes[node].byzantine
    }

    pub(super) fn note_refused(&mut self, to: usize, from: usize, refusal: &Refusal) {
        self.figures.packets_refused += 1;
        let (receiver, sender) = (&self.nodes[to].domain, &self.nodes[from].domain);
        self.trace.say(self.now_ms, || format!("{receiver} drops a packet of {sender}: {refusal}"));
    }
}
