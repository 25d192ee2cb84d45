//! What a validator knows: the fold of its log, and nothing else.
//!
//! Everything here changes only in `apply`. Connections, timers and other validators' offers
//! are not here: they are in `volatile`, and losing them loses nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bincode::{Decode, Encode};

use crate::codec;
use crate::crypto::hash::{Tag, hash};
use crate::error::{Code, Fault, Refusal};
use crate::identity::Directory;
use crate::ledger::{Books, Payment};
use crate::limits;
use crate::log::record::Founding;
use crate::log::{OutcomeKind, SignedCheckpoint};
use crate::market::Offer;
use crate::market::TakeTerms;
use crate::payment::{Fee, Route};
use crate::settlement::{Enclosure, Settlement};
use crate::types::{
    AgreementNumber, Amount, AssetPair, Domain, Epoch, Hash, Height, Network, OrderId, Sequence,
    SettlementId, Table, Time, Uai, Ubi,
};

/// The state.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct State {
    /// The network.
    pub network: Network,
    /// Us.
    pub domain: Domain,
    /// The height of the last batch.
    pub height: Height,
    /// The hash of the last checkpoint.
    pub head: Hash,
    /// The time of the last checkpoint.
    pub time: Time,
    /// Members and their keys.
    pub directory: Directory,
    /// Assets, ledgers, correspondents.
    pub books: Books,
    /// The ledger that carries transit payments.
    pub transit: Option<Ubi>,
    /// Our holders' offers that are not done.
    pub offers: Table<OrderId, Offer>,
    /// Our holders' takes that are not done.
    pub takes: Table<OrderId, OutgoingTake>,
    /// Our holders' payments to other banks that have not ended.
    pub payments: Table<OrderId, OutgoingPayment>,
    /// What passing an asset on costs here; nothing where it is not named.
    pub fees: BTreeMap<Uai, Fee>,
    /// From which amount on payments need the travel rule's data.
    pub travel_rules: BTreeMap<Uai, Amount>,
    /// Whether we take part in netting.
    pub netting: bool,
    /// Settlements that are not closed.
    pub settlements: Table<SettlementId, Settlement>,
    /// Settlements decided here before their initiator told us of them; kept until its
    /// agreement numbers have passed theirs.
    pub tombstones: BTreeSet<(Domain, AgreementNumber, SettlementId)>,
    /// Settlements that we are known to have decided although what they were is lost.
    pub foregone: BTreeMap<SettlementId, OutcomeKind>,
    /// While lost records are written down again: the place of the last one.
    pub adopting: Option<(Height, u32)>,
    /// Feeds to and from peers.
    pub peers: BTreeMap<Domain, Peer>,
    /// Takes that have arrived, counted for the order of arrival.
    pub arrivals: u64,
}

/// A holder's take on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OutgoingTake {
    /// The taker's ledger.
    pub ledger: Ubi,
    /// Its terms.
    pub terms: TakeTerms,
    /// What the offer gives and wants.
    pub pair: AssetPair,
    /// The settlement that carries it, once we are locked for one.
    pub settlement: Option<SettlementId>,
}

/// A holder's payment to another bank. What it may cost is held until it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OutgoingPayment {
    /// The payer's ledger.
    pub ledger: Ubi,
    /// What is ordered.
    pub payment: Payment,
    /// No further way is tried after this.
    pub expiry: Time,
    /// The ways that have not been tried.
    pub routes: VecDeque<Route>,
    /// What travels with it.
    pub enclosure: Option<Enclosure>,
    /// The settlement that carries it now.
    pub settlement: Option<SettlementId>,
}

/// Where we stand with one peer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Peer {
    /// The last number of our feed to it.
    pub sent: Sequence,
    /// The height of the last page of our feed to it.
    pub sent_height: Height,
    /// The last number of its feed to us.
    pub received: Sequence,
    /// The height of the last page of its feed to us.
    pub received_height: Height,
    /// The highest agreement number it has told us.
    pub number: AgreementNumber,
    /// Open settlements shared with it.
    pub open: u32,
    /// Settlements that are here only because it asked for them.
    pub asked: u32,
    /// Whether it is suspended on a proof of fraud.
    pub suspended: bool,
    /// Its last checkpoints, to notice a second one for a height.
    pub checkpoints: VecDeque<SignedCheckpoint>,
}

impl State {
    /// The state before the first record.
    #[must_use]
    pub fn founded(founding: &Founding) -> Self {
        Self {
            network: founding.network.clone(),
            domain: founding.domain.clone(),
            height: Height(0),
            head: Hash::ZERO,
            time: founding.time,
            directory: Directory::new(),
            books: Books::default(),
            transit: None,
            offers: Table::default(),
            takes: Table::default(),
            payments: Table::default(),
            fees: BTreeMap::new(),
            travel_rules: BTreeMap::new(),
            netting: false,
            settlements: Table::default(),
            tombstones: BTreeSet::new(),
            foregone: BTreeMap::new(),
            adopting: None,
            peers: BTreeMap::new(),
            arrivals: 0,
        }
    }

    /// Where we stand with `peer`.
    #[must_use]
    pub fn peer(&self, peer: &Domain) -> Option<&Peer> {
        self.peers.get(peer)
    }

    pub(super) fn peer_mut(&mut self, peer: &Domain) -> &mut Peer {
        if !self.peers.contains_key(peer) {
            self.peers.insert(peer.clone(), Peer::default());
        }
        self.peers.entry(peer.clone()).or_default()
    }

    /// The settlement.
    ///
    /// # Errors
    /// `Q-1603`.
    pub fn settlement(&self, id: &SettlementId) -> Result<&Settlement, Refusal> {
        self.settlements
            .get(id)
            .ok_or_else(|| Refusal::new(Code::UnknownSettlement, id.to_string()))
    }

    /// The epoch whose key signs our checkpoint at `height`.
    ///
    /// # Errors
    /// A fault when we have no key for it.
    pub fn own_epoch_at(&self, height: Height) -> Result<Epoch, Fault> {
        let none = |_| Fault::new("our own certificate is not in the directory");
        let member = self.directory.member(&self.domain).map_err(none)?;
        let mut found = None;
        for (epoch, _) in member.keys() {
            if self.directory.key(&self.domain, epoch, height).is_ok() {
                found = Some(epoch);
            }
        }
        found.ok_or_else(|| Fault::new(format!("no key of ours signs at height {height}")))
    }

    /// A hash of all of it: equal states, equal hashes.
    #[must_use]
    pub fn fingerprint(&self) -> Hash {
        hash(Tag::State, &[&codec::encode(self)])
    }
}

impl Peer {
    /// The checkpoint that we know of the peer at `height`.
    #[must_use]
    pub fn checkpoint_at(&self, height: Height) -> Option<&SignedCheckpoint> {
        self.checkpoints.iter().find(|known| known.checkpoint.height == height)
    }

    pub(super) fn note_checkpoint(&mut self, signed: &SignedCheckpoint) {
        if self.checkpoint_at(signed.checkpoint.height).is_some() {
            return;
        }
        if self.checkpoints.len() >= limits::CHECKPOINT_WINDOW {
            self.checkpoints.pop_front();
        }
        self.checkpoints.push_back(signed.clone());
    }
}
