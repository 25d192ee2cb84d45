//! Records: everything a validator ever writes down.
//!
//! State changes only by applying records, and a peer is told only what is a record. A
//! [`Statement`] binds this domain toward others; the rest is our own memory. The numbers of
//! the variants are part of the format: new kinds go at the end.

use bincode::{Decode, Encode};

use super::evidence::{Evidence, RecordBytes};
use super::feed::{FeedPage, Lock, ReceivedFrame};
use super::fraud::FraudProof;
use crate::codec;
use crate::crypto::hash::Preimage;
use crate::error::{Code, Refusal};
use crate::identity::SignedCertificate;
use crate::identity::SignedRevocation;
use crate::identity::SignedRotation;
use crate::ledger::asset::AssetProfile;
use crate::ledger::mirror::{Break, Position};
use crate::ledger::supply::Attestation;
use crate::ledger::transaction::Transaction;
use crate::limits;
use crate::market::WaitingTake;
use crate::market::{OfferClosed, OfferNotice};
use crate::payment::{Fee, Plan};
use crate::settlement::agreement::{Account, Agreement, Header};
use crate::types::{
    Amount, Bounded, Detail, Domain, Epoch, Hash, Height, Network, OrderId, SettlementId, TakeId,
    Time, Uai, Ubi,
};

/// One record of the log.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Record {
    /// The first record of every log.
    Founded(Founding),
    /// A certificate was admitted to the directory.
    Admitted(Box<SignedCertificate>),
    /// A key was revoked.
    Revoked(Box<SignedRevocation>),
    /// A domain's key was rotated; our own rotation takes effect with the next checkpoint.
    Rotated(Box<SignedRotation>),
    /// The operator set how much of an asset's exposure to a peer we accept.
    CreditLimit(CreditLimit),
    /// An asset's profile became known here.
    Asset(AssetProfile),
    /// The issuer locked or unlocked an asset.
    AssetLocked {
        /// The asset.
        asset: Uai,
        /// Whether it is locked from here on.
        locked: bool,
    },
    /// The operator named the ledger that carries transit payments; `None` stops them.
    TransitLedger(Option<Ubi>),
    /// Money and ledgers moved.
    Transaction(Box<Transaction>),
    /// An order was refused: what a holder shows to prove it.
    Refused(SignedRefusal),
    /// A take waits in an offer's selection window.
    TakeWaiting {
        /// The offer.
        offer: OrderId,
        /// The take.
        take: WaitingTake,
        /// When the window closes.
        until: Time,
    },
    /// An offer of ours as the network sees it.
    OfferPosted(OfferNotice),
    /// An offer of ours is gone.
    OfferClosed(OfferClosed),
    /// The signed root of our live offers, for a late joiner.
    Book(BookRoot),
    /// Something that binds us toward peers.
    Statement(Statement),
    /// What a peer said.
    Received(Box<ReceivedFrame>),
    /// A party asked us to decide a settlement that its initiator never told us of.
    Queried(Box<Question>),
    /// The table of contents for one peer.
    Page(FeedPage),
    /// A peer is suspended on a proof of fraud.
    Suspended(Box<FraudProof>),
    /// The operator lifted a suspension.
    Lifted(Domain),
    /// One of our own statements, lost and given back by those who had it.
    Recovered(Box<Evidence>),
    /// We lost statements; what follows gives them back. The next height follows the lost one.
    Recovering {
        /// The last height that was signed before, as far as anyone knows.
        lost_height: Height,
        /// The hash of that checkpoint where it is known.
        lost_hash: Hash,
    },
    /// A decision that its decider showed us when we asked, because its feed had told us before
    /// we had heard of the settlement.
    Shown(Box<Evidence>),
    /// All that came back is written down again, and reacted to.
    Restored,
    /// How a holder's payment is to be made.
    Routed {
        /// The payment.
        payment: OrderId,
        /// The plan.
        plan: Box<Plan>,
    },
    /// The operator set what passing an asset on costs.
    TransitFee {
        /// The asset.
        asset: Uai,
        /// The fee.
        fee: Fee,
    },
    /// The operator set from which amount on payments of an asset need the travel rule's data.
    TravelRule {
        /// The asset.
        asset: Uai,
        /// The amount; `None` for never.
        threshold: Option<Amount>,
    },
    /// The operator opted in to netting, or out of it.
    Netting(bool),
    /// A peer's position is not the mirror of ours: no new exposure to it in that asset.
    Broken(Box<Break>),
    /// The operator has explained a break.
    Explained(Explained),
    /// The issuer closed an asset of which nothing was left: nothing is issued any more.
    AssetClosed(Uai),
    /// How much of an asset there is here.
    Attested(Box<Attestation>),
}

/// A statement to peers. Each names the settlement, whose id binds network, parties, legs,
/// hash lock, decider and deadline; the checkpoint binds signer, key, epoch and height.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Statement {
    /// A take, to the maker's validator.
    Take(TakeRequest),
    /// The maker's validator does not take it up.
    TakeRefused {
        /// The offer.
        offer: OrderId,
        /// The take.
        take: TakeId,
        /// Why.
        refusal: Refusal,
    },
    /// The initiator drew up an agreement and has locked its own legs.
    Agreed(Box<Agreement>),
    /// The same, for a notary: no legs.
    Appointed(Box<Header>),
    /// A party has locked its legs: a binding obligation until the decision.
    Locked(SettlementId),
    /// A party will not lock.
    Declined {
        /// The settlement.
        settlement: SettlementId,
        /// Why.
        refusal: Refusal,
    },
    /// The initiator reveals the secret: no way back.
    Revealed(Revealed),
    /// The initiator gives up before any reveal.
    Aborted(Aborted),
    /// The decider's one decision.
    Decided(Decided),
    /// A party has applied the decision.
    Finalised {
        /// The settlement.
        settlement: SettlementId,
        /// How it ended.
        outcome: OutcomeKind,
    },
    /// Our key was rotated.
    Rotated(Box<SignedRotation>),
    /// What we have booked with the listener in one asset.
    Position(Position),
}

/// What opens a log.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Founding {
    /// The network.
    pub network: Network,
    /// The domain.
    pub domain: Domain,
    /// The first signing key's number.
    pub epoch: Epoch,
    /// When.
    pub time: Time,
}

/// How much of an asset a peer may owe us.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CreditLimit {
    /// The peer.
    pub peer: Domain,
    /// The asset.
    pub asset: Uai,
    /// The most it may owe us, reserved settlements included.
    pub limit: Amount,
}

/// A refusal that a holder can show.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedRefusal {
    /// The ledger whose order was refused.
    pub ledger: Ubi,
    /// The order.
    pub order: OrderId,
    /// Why.
    pub refusal: Refusal,
}

/// A take as the taker's validator passes it to the maker's. It names the taker's ledger, not
/// the taker.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TakeRequest {
    /// The take, named by the taker's order.
    pub take: TakeId,
    /// The offer.
    pub offer: OrderId,
    /// How much of what the maker gives.
    pub amount: Amount,
    /// How much the taker pays for it.
    pub pay: Amount,
    /// Where the taker pays from, and receives unless it says otherwise.
    pub account: Account,
    /// Where the taker receives, when that is not the ledger that pays.
    pub receive: Option<Account>,
    /// When the taker loses interest.
    pub expiry: Time,
}

/// The live offers of a validator at one moment, in one hash.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct BookRoot {
    /// The root over the offers sorted by id.
    pub root: Hash,
    /// How many.
    pub count: u32,
}

/// The operator's word on a break.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Explained {
    /// The peer.
    pub peer: Domain,
    /// The asset.
    pub asset: Uai,
    /// What it was.
    pub note: Detail,
}

/// A question that made us open a settlement in order to refund it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Question {
    /// The settlement's header, by the asker's word.
    pub header: Header,
    /// Who asked.
    pub by: Domain,
}

/// The initiator's reveal.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Revealed {
    /// The settlement.
    pub settlement: SettlementId,
    /// The secret behind the hash lock.
    pub preimage: Preimage,
    /// Locks of the parties that the decider has not heard itself.
    pub evidence: Bounded<Evidence, { limits::BUNDLE_EVIDENCE }>,
}

/// The initiator's abort.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Aborted {
    /// The settlement.
    pub settlement: SettlementId,
    /// Why.
    pub reason: Code,
}

/// The decision on a settlement: one per settlement, ever.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Decided {
    /// The settlement.
    pub settlement: SettlementId,
    /// What was decided.
    pub outcome: Outcome,
}

/// What a decider decides.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Outcome {
    /// Everybody settles.
    Settle {
        /// The secret behind the hash lock.
        preimage: Preimage,
        /// Locks of the parties that the others have not heard themselves.
        evidence: Bounded<Evidence, { limits::BUNDLE_EVIDENCE }>,
    },
    /// Everybody refunds.
    Refund {
        /// Why.
        reason: Code,
    },
}

/// How a settlement ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum OutcomeKind {
    /// Settled.
    Settle,
    /// Refunded.
    Refund,
}

impl Outcome {
    /// Which of the two it is.
    #[must_use]
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Outcome::Settle { .. } => OutcomeKind::Settle,
            Outcome::Refund { .. } => OutcomeKind::Refund,
        }
    }
}

impl Statement {
    /// The evidence it carries.
    #[must_use]
    pub fn evidence(&self) -> &[Evidence] {
        match self {
            Statement::Revealed(revealed) => &revealed.evidence,
            Statement::Decided(Decided { outcome: Outcome::Settle { evidence, .. }, .. }) => {
                evidence
            }
            Statement::Decided(Decided { outcome: Outcome::Refund { .. }, .. })
            | Statement::Take(_)
            | Statement::TakeRefused { .. }
            | Statement::Agreed(_)
            | Statement::Appointed(_)
            | Statement::Locked(_)
            | Statement::Declined { .. }
            | Statement::Aborted(_)
            | Statement::Finalised { .. }
            | Statement::Rotated(_)
            | Statement::Position(_) => &[],
        }
    }

    /// Its kind in a word, for traces and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Statement::Take(_) => "Take",
            Statement::TakeRefused { .. } => "TakeRefused",
            Statement::Agreed(_) => "Agreed",
            Statement::Appointed(_) => "Appointed",
            Statement::Locked(_) => "Locked",
            Statement::Declined { .. } => "Declined",
            Statement::Revealed(_) => "Revealed",
            Statement::Aborted(_) => "Aborted",
            Statement::Decided(decided) => match decided.outcome.kind() {
                OutcomeKind::Settle => "Decided(settle)",
                OutcomeKind::Refund => "Decided(refund)",
            },
            Statement::Finalised { .. } => "Finalised",
            Statement::Rotated(_) => "Rotated",
            Statement::Position(_) => "Position",
        }
    }
}

impl Record {
    /// Reads a record's canonical bytes.
    ///
    /// # Errors
    /// `Q-1001` to `Q-1004`.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        codec::decode::<Record, { limits::FRAME_BYTES + limits::RECORD_BYTES }>(bytes)
    }

    /// Its canonical bytes.
    ///
    /// # Errors
    /// `Q-1001` over the limit.
    pub fn to_bytes(&self) -> Result<RecordBytes, Refusal> {
        codec::with_encoded(self, RecordBytes::new)
    }

    /// Whether these are the bytes of a page, told by their tag.
    #[must_use]
    pub fn is_page(bytes: &[u8]) -> bool {
        tag(bytes) == Some(17)
    }

    /// Whether these are the bytes of a transaction, told by their tag.
    #[must_use]
    pub fn is_transaction(bytes: &[u8]) -> bool {
        tag(bytes) == Some(8)
    }

    /// Whether these are the bytes of a statement, told by their tag.
    #[must_use]
    pub fn is_statement(bytes: &[u8]) -> bool {
        tag(bytes) == Some(14)
    }

    /// Whether these are the bytes of a certificate, revocation or rotation, told by their tag.
    #[must_use]
    pub fn changes_members(bytes: &[u8]) -> bool {
        matches!(tag(bytes), Some(1..=3))
    }

    /// Whether these are the bytes of a credit limit, an asset, a transit ledger or its fee, a
    /// suspension or its end, told by their tag.
    #[must_use]
    pub fn changes_relations(bytes: &[u8]) -> bool {
        matches!(tag(bytes), Some(4 | 5 | 7 | 18 | 19 | 25))
    }

    /// The lock that this record proves when `domain` said it. An agreement and an appointment
    /// are the initiator's way of saying that it has locked, and nobody else's.
    #[must_use]
    pub fn locks(&self, domain: &Domain) -> Option<Lock> {
        let by_initiator = |header: &Header| (header.initiator == *domain).then(|| header.id());
        let settlement = match self {
            Record::Statement(Statement::Locked(settlement)) => *settlement,
            Record::Statement(Statement::Agreed(agreement)) => by_initiator(&agreement.header)?,
            Record::Statement(Statement::Appointed(header)) => by_initiator(header)?,
            _ => return None,
        };
        Some(Lock { domain: domain.clone(), settlement })
    }

    /// Its kind in a word, for traces and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Record::Founded(_) => "Founded",
            Record::Admitted(_) => "Admitted",
            Record::Revoked(_) => "Revoked",
            Record::Rotated(_) => "Rotated",
            Record::CreditLimit(_) => "CreditLimit",
            Record::Asset(_) => "Asset",
            Record::AssetLocked { .. } => "AssetLocked",
            Record::TransitLedger(_) => "TransitLedger",
            Record::Transaction(_) => "Transaction",
            Record::Refused(_) => "Refused",
            Record::TakeWaiting { .. } => "TakeWaiting",
            Record::OfferPosted(_) => "OfferPosted",
            Record::OfferClosed(_) => "OfferClosed",
            Record::Book(_) => "Book",
            Record::Statement(statement) => statement.kind(),
            Record::Received(_) => "Received",
            Record::Queried(_) => "Queried",
            Record::Page(_) => "Page",
            Record::Suspended(_) => "Suspended",
            Record::Lifted(_) => "Lifted",
            Record::Recovered(_) => "Recovered",
            Record::Recovering { .. } => "Recovering",
            Record::Shown(_) => "Shown",
            Record::Restored => "Restored",
            Record::Routed { .. } => "Routed",
            Record::TransitFee { .. } => "TransitFee",
            Record::TravelRule { .. } => "TravelRule",
            Record::Netting(_) => "Netting",
            Record::Broken(_) => "Broken",
            Record::Explained(_) => "Explained",
            Record::AssetClosed(_) => "AssetClosed",
            Record::Attested(_) => "Attested",
        }
    }
}

/// The number of the record's variant, with which its bytes begin.
fn tag(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|tag| u32::from_le_bytes(*tag))
}
