//! The validator: one domain's state machine, without I/O.
//!
//! ```text
//!            now, entropy, inputs
//!                    |
//!   volatile --> [ decide ] --records--> [ apply ] --> state
//!                    |                                   |
//!                 effects <------- batch, pages ---------+
//! ```
//!
//! Deciding reads the state and writes records; applying a record is the only way to change
//! the state, so replaying the log gives the same state. One turn takes many inputs and closes
//! one batch: one fsync and one signature for all of them.
//!
//! Invariants: no clock, randomness, file, socket or private key in here; nothing leaves before
//! the batch that says it is durable and signed; while recovering nothing is written at all.

mod adopt;
mod agree;
mod apply;
mod assets;
mod book;
mod commands;
mod draft;
pub mod effect;
mod giving;
pub mod input;
mod learn;
mod netting;
mod orders;
mod pay;
mod peers;
mod query;
mod readopt;
mod reconcile;
mod recover;
mod replay;
mod reserve;
mod settle;
pub mod state;
mod timers;
mod trade;
mod volatile;

use std::collections::VecDeque;

pub use effect::{Effect, Effects, Event};
pub use input::{Accepted, Boot, Command, Guard, Input, Message, RequestId};
pub use recover::Recovery;
pub use state::State;

use crate::crypto::hash::PreimageSeed;
use crate::error::{Code, Fault, Refusal};
use crate::limits;
use crate::market::Book;
use crate::types::{Duration, Time};
use draft::Draft;
use recover::Mode;
use volatile::Volatile;

/// What the operator configures and no record holds.
#[derive(Debug)]
pub struct Settings {
    /// What the secrets of our agreements are derived from; sealed at rest by the edge.
    pub preimage_seed: PreimageSeed,
    /// Life of the settlements we initiate, in milliseconds.
    pub settlement_life_ms: u64,
    /// No reveal when less than this is left of it, in milliseconds.
    pub reveal_margin_ms: u64,
}

impl Settings {
    /// The default settings with this seed.
    #[must_use]
    pub fn new(preimage_seed: PreimageSeed) -> Self {
        Self {
            preimage_seed,
            settlement_life_ms: limits::SETTLEMENT_LIFE_MS,
            reveal_margin_ms: limits::REVEAL_MARGIN_MS,
        }
    }
}

/// One domain's validator.
#[derive(Debug)]
pub struct Validator {
    settings: Settings,
    state: State,
    volatile: Volatile,
    draft: Draft,
}

impl Validator {
    /// The state, to read.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The book: our offers and other validators'.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.volatile.book
    }

    /// Whether it takes part, or is getting back what it has lost.
    #[must_use]
    pub fn is_recovering(&self) -> bool {
        !matches!(self.volatile.mode, Mode::Live)
    }

    /// Whether it takes no new business, by the operator's word.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.volatile.draining
    }

    /// How far a peer has acknowledged our feed, as far as we have heard.
    #[must_use]
    pub fn acknowledged(&self, peer: &crate::types::Domain) -> crate::types::Sequence {
        self.volatile.link(peer).map_or(crate::types::Sequence(0), |link| link.acknowledged)
    }

    /// One turn: takes inputs until the batch is full or there are none, and closes the batch.
    /// `entropy` is 32 fresh random bytes; the salts of the batch come from it.
    ///
    /// # Errors
    /// A fault when an invariant of our own is broken: stop the node.
    pub fn turn(
        &mut self,
        now: Time,
        entropy: [u8; 32],
        inputs: &mut VecDeque<Input>,
    ) -> Result<Effects, Fault> {
        self.notice_loss(inputs);
        self.continue_recovery(now)?;
        self.fire_timers(now)?;
        while !self.draft.is_full() {
            let Some(input) = inputs.pop_front() else { break };
            self.handle(now, input)?;
        }
        self.close_batch(now, entropy)
    }

    fn handle(&mut self, now: Time, input: Input) -> Result<(), Fault> {
        if self.is_recovering() {
            return self.handle_recovering(input);
        }
        match input {
            Input::Tick => Ok(()),
            Input::Order { request, order } => self.handle_order(now, request, *order, None),
            Input::Pay { request, order, plan } => {
                self.handle_order(now, request, *order, Some(*plan))
            }
            Input::Open { request, opening } => self.handle_opening(now, request, &opening),
            Input::Command { request, command } => self.handle_command(now, request, command),
            Input::Frame { frame, findings } => {
                self.volatile.findings = findings;
                let handled = self.handle_frame(now, *frame);
                self.volatile.findings.clear();
                handled
            }
            Input::Message { from, message } => self.handle_message(now, &from, message),
            Input::Connected(peer) => {
                self.ask_to_resume(&peer);
                Ok(())
            }
            Input::Notice(evidence) => {
                self.handle_notice(now, evidence.evidence().domain(), evidence.record());
                Ok(())
            }
            Input::Notices(bundle) => {
                for record in bundle.records() {
                    self.handle_notice(now, bundle.domain(), record);
                }
                Ok(())
            }
            Input::Shown(evidence) => self.handle_shown(now, &evidence),
            // What proves a loss has ended the live mode before it came here.
            Input::Returned { .. } | Input::ReturnedEvidence(_) => Ok(()),
            Input::NeverDecided { header, from } => self.handle_never_decided(now, &header, &from),
        }
    }

    fn life_of_settlement(&self) -> Duration {
        Duration(self.settings.settlement_life_ms.min(limits::SETTLEMENT_LIFE_MAX_MS))
    }

    fn reply(&mut self, request: RequestId, result: Result<Accepted, Refusal>) {
        self.draft.after(Effect::Reply { request, result });
    }

    fn event(&mut self, event: Event) {
        self.draft.after(Effect::Event(event));
    }

    fn misbehaved(&mut self, peer: &crate::types::Domain, code: Code, what: impl Into<String>) {
        let refusal = Refusal::new(code, what);
        self.event(Event::Misbehaved { peer: peer.clone(), refusal });
    }
}
