//! What a validator wants done: data, carried out by the edge.
//!
//! The order is the contract: append the batch and make it durable, sign its checkpoint, and
//! only then carry out `after`, in order. If the process dies before that, none of it was said.

use std::sync::Arc;

use super::input::{Accepted, Message, RequestId};
use crate::error::Refusal;
use crate::ledger::mirror::Break;
use crate::log::{Batch, OutcomeKind};
use crate::settlement::Header;
use crate::types::{Domain, Height, OrderId, Sequence, SettlementId, Time, Ubi};

/// The effects of one turn.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    /// To be made durable and signed first; `None` when nothing was written down.
    pub batch: Option<Arc<Batch>>,
    /// To be carried out afterwards, in order.
    pub after: Vec<Effect>,
    /// When the validator wants to be called again at the latest.
    pub wake: Option<Time>,
    /// Whether another turn has work without any new input.
    pub more: bool,
}

/// One thing to do after the batch is durable and signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send the frame for the page at place `page` of the batch at `height`.
    SendPage {
        /// To whom.
        to: Domain,
        /// The batch.
        height: Height,
        /// The page's place in it.
        page: u32,
    },
    /// Send all pages of our feed to `to` that end after `after`, from the log.
    Resend {
        /// To whom.
        to: Domain,
        /// The last number it has.
        after: Sequence,
    },
    /// Give `to` back the pages of its own feed to us that end after `after`: it lost them.
    Return {
        /// To whom.
        to: Domain,
        /// The last number it remembers.
        after: Sequence,
    },
    /// Send a message that binds nobody.
    Message {
        /// To whom.
        to: Domain,
        /// The message.
        message: Message,
    },
    /// Publish the record at place `leaf` of this turn's batch with its evidence.
    Publish {
        /// The record's place.
        leaf: u32,
        /// Only to these domains; empty for everybody.
        only: Vec<Domain>,
    },
    /// Search the log for a decision, those given back ([`crate::log::Record::Recovered`])
    /// included. Found: send its evidence to `from`,
    /// for which it is [`super::Input::Shown`]. Not found: come back
    /// with [`super::Input::NeverDecided`].
    LookUpDecision {
        /// The settlement's header.
        header: Box<Header>,
        /// Who asked.
        from: Domain,
    },
    /// Answer a local request.
    Reply {
        /// Which.
        request: RequestId,
        /// The answer.
        result: Result<Accepted, Refusal>,
    },
    /// Tell subscribers.
    Event(Event),
}

/// Something that subscribers may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A ledger has a new entry, in the record at place `leaf` of this turn's batch.
    Entry {
        /// The ledger.
        ledger: Ubi,
        /// The entry's number.
        sequence: Sequence,
        /// The record's place.
        leaf: u32,
    },
    /// An order was refused, in the record at place `leaf` of this turn's batch: its evidence
    /// is the holder's proof.
    Refused {
        /// The ledger.
        ledger: Ubi,
        /// The order.
        order: OrderId,
        /// The record's place.
        leaf: u32,
    },
    /// A settlement has moved.
    Settlement {
        /// The settlement.
        id: SettlementId,
        /// The step, in the words of the statements.
        step: &'static str,
    },
    /// A settlement is final here.
    Final {
        /// The settlement.
        id: SettlementId,
        /// How.
        outcome: OutcomeKind,
    },
    /// A peer did what an honest one does not; no money is at risk.
    Misbehaved {
        /// The peer.
        peer: Domain,
        /// What.
        refusal: Refusal,
    },
    /// A peer was suspended on a proof of fraud.
    Suspended {
        /// The peer.
        peer: Domain,
    },
    /// A peer has lost statements it made to us.
    PeerLostState {
        /// The peer.
        peer: Domain,
    },
    /// A peer's position is not the mirror of ours: no new exposure to it in that asset until
    /// the operator has explained it.
    ReconciliationBreak {
        /// The two positions.
        broken: Box<Break>,
    },
    /// This validator has lost statements it made; it decides nothing until it has them back.
    Recovering {
        /// What showed it.
        reason: String,
    },
    /// It has them back.
    Recovered,
    /// While recovering: a statement came back that does not fit the books. Its ledgers are
    /// frozen until the operator has resolved it.
    Unresolved {
        /// Where it stood.
        height: Height,
        /// What it was.
        what: String,
    },
}
