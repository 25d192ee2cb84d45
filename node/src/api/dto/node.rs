//! The node itself and its log.

use quadrille_protocol::types::{Domain, Epoch, Hash, Height, Network, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Reason;

/// How the node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Our domain.
    #[schema(value_type = String, example = "bank-a.example")]
    pub domain: Domain,
    /// The network.
    #[schema(value_type = String, example = "quadrille-main")]
    pub network: Network,
    /// The version of the software.
    pub version: String,
    /// The number of the key that signs now.
    #[schema(value_type = String, example = "1")]
    pub epoch: Epoch,
    /// The suite of that key: 1 or 2.
    pub suite: u8,
    /// The height of the last batch.
    #[schema(value_type = String, example = "12")]
    pub height: Height,
    /// The hash of its checkpoint.
    #[schema(value_type = String)]
    pub head: Hash,
    /// When it was sealed.
    #[schema(value_type = String)]
    pub time: Time,
    /// Up to which height queries of the past know the log.
    #[schema(value_type = String)]
    pub indexed: Height,
    /// Peers with a session.
    pub peers_up: u32,
    /// Peers known.
    pub peers_known: u32,
    /// Settlements that are not final here.
    pub open_settlements: u32,
    /// Whether it is getting back statements that it has lost.
    pub recovering: bool,
    /// Whether it takes no new business.
    pub draining: bool,
    /// Milliseconds since the node started.
    #[schema(value_type = String)]
    pub uptime_ms: String,
}

/// How far the node has come in getting back what it has lost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecoveryView {
    /// Whether it is getting anything back. The rest is of no meaning when it is not.
    pub recovering: bool,
    /// Peers that have not shown everything yet; `give-up` goes on without one.
    #[schema(value_type = Vec<String>)]
    pub awaiting: Vec<Domain>,
    /// Whether anything is known to be lost. If so, it waits for `customers-heard`, too.
    pub lost: bool,
    /// Whether the customers' copies are all in, by the operator's word.
    pub customers_heard: bool,
    /// Records that have come back and are not yet written down again.
    pub returned: u32,
    /// More was lost than can be gathered at once: start it from a newer copy.
    pub overflow: bool,
}

/// The last checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogHead {
    /// Whose log it is.
    #[schema(value_type = String)]
    pub domain: Domain,
    /// Its height.
    #[schema(value_type = String)]
    pub height: Height,
    /// Its hash.
    #[schema(value_type = String)]
    pub hash: Hash,
    /// The domain's clock when it was sealed.
    #[schema(value_type = String)]
    pub time: Time,
}

/// A checkpoint: what the domain signed for one batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointView {
    /// The domain.
    #[schema(value_type = String)]
    pub domain: Domain,
    /// The number of the key that signed.
    #[schema(value_type = String)]
    pub epoch: Epoch,
    /// The height.
    #[schema(value_type = String)]
    pub height: Height,
    /// The checkpoint's hash.
    #[schema(value_type = String)]
    pub hash: Hash,
    /// The hash of the checkpoint before.
    #[schema(value_type = String)]
    pub previous: Hash,
    /// The domain's clock.
    #[schema(value_type = String)]
    pub time: Time,
    /// How many records the batch has.
    pub count: u32,
    /// The Merkle root over its salted records.
    #[schema(value_type = String)]
    pub records_root: Hash,
    /// The canonical bytes of the signed checkpoint in hexadecimal digits.
    pub bytes: String,
}

/// Why the node is not ready: the body of a 503 from `/readyz`, besides the problem's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotReady {
    /// Each reason; none when it is ready.
    pub reasons: Vec<Reason>,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogLevel {
    /// The filter: a level, and levels of modules.
    #[schema(example = "info,quadrille_node=debug")]
    pub filter: String,
}
