//! What a validator is told: everything from outside that can change it.

use bincode::{Decode, Encode};

use crate::identity::VerifiedCertificate;
use crate::identity::VerifiedRevocation;
use crate::identity::VerifiedRotation;
use crate::ledger::{AssetProfile, VerifiedOpening, VerifiedOrder, VerifiedReplacement};
use crate::log::{FraudProof, ReceivedFrame, VerifiedBundle, VerifiedEvidence};
use crate::payment::{Fee, Finding, Plan};
use crate::settlement::{Account, Header};
use crate::types::{
    Amount, Detail, Domain, Hash, Height, Network, OrderId, Sequence, SettlementId, Uai, Ubi,
};

/// A local request's number, chosen by the edge; the reply carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RequestId(pub u64);

/// One input. Whatever is signed comes in a type that only verification makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Time has passed. Due timers are looked at in every turn anyway.
    Tick,
    /// A holder's order.
    Order {
        /// To be answered.
        request: RequestId,
        /// The order.
        order: Box<VerifiedOrder>,
    },
    /// A holder's payment to another bank, with the ways that the edge has found for it.
    Pay {
        /// To be answered.
        request: RequestId,
        /// The order.
        order: Box<VerifiedOrder>,
        /// The plan.
        plan: Box<Plan>,
    },
    /// A new ledger.
    Open {
        /// To be answered.
        request: RequestId,
        /// The opening.
        opening: Box<VerifiedOpening>,
    },
    /// The operator's word.
    Command {
        /// To be answered.
        request: RequestId,
        /// The command.
        command: Command,
    },
    /// A page of a peer's feed.
    Frame {
        /// The page.
        frame: Box<ReceivedFrame>,
        /// What the edge found in those enclosures of it that are for us.
        findings: Vec<Finding>,
    },
    /// A message that binds nobody, from an authenticated peer.
    Message {
        /// Who sent it.
        from: Domain,
        /// The message.
        message: Message,
    },
    /// A connection to a peer stands. From here on the edge hands in nothing that came over an
    /// earlier one: what was in flight there is lost, and will be sent again.
    Connected(Domain),
    /// A published record about an offer, its evidence checked.
    Notice(Box<VerifiedEvidence>),
    /// Such records for us alone, checked.
    Notices(Box<VerifiedBundle>),
    /// A page of our own feed to `by`, given back by it and verified under our own key.
    Returned {
        /// Who had it.
        by: Domain,
        /// The page.
        frame: Box<ReceivedFrame>,
    },
    /// A record of our own, given back by somebody who had its evidence (a customer).
    ReturnedEvidence(Box<VerifiedEvidence>),
    /// Evidence of a decision, shown by its decider in answer to a query of ours.
    Shown(Box<VerifiedEvidence>),
    /// The edge has searched the whole log: no decision on this settlement was ever written.
    /// The answer to [`super::Effect::LookUpDecision`].
    NeverDecided {
        /// The settlement's header.
        header: Box<Header>,
        /// Who asked.
        from: Domain,
    },
}

/// What an operator can tell a validator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Admit a member.
    Admit(Box<VerifiedCertificate>),
    /// Take up a revocation.
    Revoke(Box<VerifiedRevocation>),
    /// Rotate our own key; the next checkpoint is signed with the new one.
    Rotate(Box<VerifiedRotation>),
    /// Accept up to `limit` of exposure to `peer` in `asset`.
    SetCreditLimit {
        /// The peer.
        peer: Domain,
        /// The asset.
        asset: Uai,
        /// The most it may owe us.
        limit: Amount,
    },
    /// Register an asset, ours or another issuer's.
    RegisterAsset(AssetProfile),
    /// Lock or unlock an asset of ours.
    LockAsset {
        /// The asset.
        asset: Uai,
        /// Whether it is locked from now on.
        locked: bool,
    },
    /// Put an asset of ours into circulation.
    Issue {
        /// The asset.
        asset: Uai,
        /// Who gets it.
        ledger: Ubi,
        /// How much.
        amount: Amount,
        /// The operator's name for this issue, hashed: repeated, it happens once.
        name: Option<Hash>,
    },
    /// Close an asset of ours of which nothing is outstanding, for good.
    CloseAsset(Uai),
    /// Write down how much of an asset there is here.
    AttestAsset(Uai),
    /// Give a ledger another key, because its holder has lost it.
    ReplaceKey {
        /// What the holder signed with the new key.
        replacement: Box<VerifiedReplacement>,
        /// Why, in the bank's words.
        reason: Detail,
    },
    /// Freeze a ledger.
    Freeze(Ubi),
    /// Thaw a ledger.
    Unfreeze(Ubi),
    /// Carry transit payments over this ledger; `None` carries none.
    SetTransitLedger(Option<Ubi>),
    /// Take no new business, finish what is open.
    Drain,
    /// Take new business again.
    Undrain,
    /// Suspend whom a proof of fraud convicts; the proof was verified.
    Suspend(Box<FraudProof>),
    /// Lift a suspension.
    Lift(Domain),
    /// While recovering: `domain` is gone for good, go on without its copies.
    GiveUpOn(Domain),
    /// While recovering: the customers' copies are all in.
    CustomersHeard,
    /// Write down and publish the root of our live offers, for late joiners.
    PublishBook,
    /// Cancel a cycle of debts, or let one debt be paid by another debtor: one settlement over
    /// the transit ledgers.
    Net {
        /// The asset.
        asset: Uai,
        /// The transit ledgers, ours first; each owes the next one, the last one owes us.
        cycle: Vec<Account>,
        /// How much.
        amount: Amount,
    },
    /// The operator has found out why the books with a peer differ; new exposure is allowed again.
    ExplainBreak {
        /// The peer.
        peer: Domain,
        /// The asset.
        asset: Uai,
        /// What it was.
        note: Detail,
    },
    /// Ask this much for passing an asset on; nothing unless it is set.
    SetTransitFee {
        /// The asset.
        asset: Uai,
        /// The fee.
        fee: Fee,
    },
    /// Ask for the travel rule's data from this amount on; `None` for never.
    SetTravelRule {
        /// The asset.
        asset: Uai,
        /// The amount.
        threshold: Option<Amount>,
    },
    /// Opt in to netting, or out of it.
    SetNetting(bool),
}

/// A message between validators that binds nobody: it may be lost, repeated or invented.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Message {
    /// Where we stand: sent on connecting, on a gap, and from time to time while something is
    /// not acknowledged.
    Resume {
        /// The network.
        network: Network,
        /// The last number of our feed to you.
        sent: Sequence,
        /// The last number of your feed that we have.
        received: Sequence,
    },
    /// We have your feed up to this number, durably.
    Ack {
        /// The last number of our feed to you.
        sent: Sequence,
        /// The number.
        received: Sequence,
    },
    /// How was this decided? Asked by a party that waits, of the decider.
    Query(Box<Header>),
}

/// What the signer's guard remembers: the last checkpoint that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: Hash,
}

/// How a validator starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boot {
    /// The guard is kept apart from the log (another disk, an HSM) and can be trusted to
    /// notice a log restored from an old copy.
    GuardApart(Guard),
    /// The guard may have been restored together with the log, or is missing: before
    /// anything is signed, every peer must say how far it has heard us.
    GuardUnsure(Option<Guard>),
}

/// What a reply names when a request was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accepted {
    /// The order, where there was one.
    pub order: Option<OrderId>,
    /// The ledger.
    pub ledger: Option<Ubi>,
    /// The settlement that it started.
    pub settlement: Option<SettlementId>,
    /// The place of its transaction in this turn's batch.
    pub leaf: Option<u32>,
    /// Whether this very order had been accepted before: nothing new has happened.
    pub repeated: bool,
}
