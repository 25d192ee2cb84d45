//! Peers, trust and members.

use quadrille_protocol::payment::Fee;
use quadrille_protocol::types::{Amount, Domain, Epoch, Sequence, Time, Uai, Ubi};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether there is a session with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// There is.
    Up,
    /// It is being made.
    Connecting,
    /// There is none.
    Down,
}

/// How this node stands to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeerStanding {
    /// There is a credit limit for it.
    Trusted,
    /// A member, without a credit limit.
    Member,
    /// Suspended on a proof of fraud, or blocked.
    Blocked,
}

/// A peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerView {
    /// The peer.
    #[schema(value_type = String)]
    pub domain: Domain,
    /// Whether there is a session with it.
    pub connection: Connection,
    /// Since when the connection is as it is.
    #[schema(value_type = Option<String>)]
    pub since: Option<Time>,
    /// Its gateway's address, where one is known.
    pub address: Option<String>,
    /// How we stand to it.
    pub standing: PeerStanding,
    /// Whether it is suspended on a proof of fraud.
    pub suspended: bool,
    /// What its bad conduct has added up to; 0 is clean, more is worse.
    pub score: i64,
    /// The last thing that went wrong with it, in words.
    pub trouble: Option<String>,
    /// Where the two feeds are.
    pub feed: FeedView,
    /// Open settlements shared with it.
    pub open_settlements: u32,
    /// What it and we owe each other, per asset.
    pub exposure: Vec<ExposureView>,
}

/// Where the feeds to and from a peer are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeedView {
    /// The last number of our feed to it.
    #[schema(value_type = String)]
    pub sent: Sequence,
    /// The last number of it that the peer has acknowledged, as far as we have heard.
    #[schema(value_type = String)]
    pub acknowledged: Sequence,
    /// The last number of its feed that we have.
    #[schema(value_type = String)]
    pub received: Sequence,
}

/// What we and a peer owe each other in one asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExposureView {
    /// The asset.
    #[schema(value_type = String)]
    pub asset: Uai,
    /// What we owe the peer, in minor units.
    #[schema(value_type = String)]
    pub owe: Amount,
    /// What the peer owes us, in minor units: our exposure.
    #[schema(value_type = String)]
    pub claim: Amount,
    /// What open settlements will add to it at most, in minor units.
    #[schema(value_type = String)]
    pub reserved: Amount,
    /// The most it may owe us, in minor units; zero is no trust.
    #[schema(value_type = String)]
    pub limit: Amount,
    /// How much more it may owe us, in minor units.
    #[schema(value_type = String)]
    pub headroom: Amount,
}

/// A credit limit of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrustLine {
    /// The peer.
    #[schema(value_type = String)]
    pub domain: Domain,
    /// What it and we owe each other in the asset, and the limit.
    #[serde(flatten)]
    pub exposure: ExposureView,
}

/// A credit limit to set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustLimit {
    /// The most that the peer may owe us, in minor units; zero for no trust.
    #[schema(value_type = String)]
    pub limit: Amount,
}

/// A member of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    /// The member.
    #[schema(value_type = String)]
    pub domain: Domain,
    /// Its legal entity identifier, where it has one.
    pub lei: Option<String>,
    /// Its roles: validator, notary, observer, supervisor, authority.
    pub roles: Vec<String>,
    /// The number of its newest key.
    #[schema(value_type = Option<String>)]
    pub epoch: Option<Epoch>,
    /// The suite of that key: 1 or 2.
    pub suite: Option<u8>,
    /// Since when its newest certificate is valid.
    #[schema(value_type = Option<String>)]
    pub valid_from: Option<Time>,
    /// Until when.
    #[schema(value_type = Option<String>)]
    pub valid_until: Option<Time>,
    /// Whether its newest key was revoked.
    pub revoked: bool,
}

/// What a domain says that it does with one asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceView {
    /// The asset.
    #[schema(value_type = String)]
    pub asset: Uai,
    /// What it asks for passing a payment on; `null` when it passes none on.
    pub fee: Option<FeeView>,
    /// Whose obligations it accepts.
    #[schema(value_type = Vec<String>)]
    pub accepts: Vec<Domain>,
}

/// What is asked for passing a payment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeeView {
    /// The part that does not depend on the amount, in minor units.
    #[schema(value_type = String)]
    pub flat: Amount,
    /// The share, in millionths of what is passed on.
    #[serde(default)]
    pub ppm: u32,
}

impl From<Fee> for FeeView {
    fn from(fee: Fee) -> Self {
        Self { flat: fee.flat, ppm: fee.ppm }
    }
}

impl From<FeeView> for Fee {
    fn from(view: FeeView) -> Self {
        Self { flat: view.flat, ppm: view.ppm }
    }
}

/// Where a domain's gateway is, as the domain signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayView {
    /// The domain.
    #[schema(value_type = String)]
    pub domain: Domain,
    /// The gateway's libp2p PeerId.
    pub peer_id: String,
    /// Its addresses (multiaddresses).
    pub addresses: Vec<String>,
    /// The ledger that payments pass through; `null` when the domain says of none.
    #[schema(value_type = Option<String>)]
    pub transit: Option<Ubi>,
    /// Whether the domain says with whom it keeps correspondent ledgers.
    pub names_correspondents: bool,
    /// The assets that the domain says it deals in.
    pub services: Vec<ServiceView>,
    /// The record's number; the highest counts.
    pub sequence: String,
    /// Until when the record is valid.
    #[schema(value_type = String)]
    pub valid_until: Time,
}
