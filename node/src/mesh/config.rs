//! What the mesh is told at its start, and its bounds.

use std::time::Duration;

use libp2p::Multiaddr;
use quadrille_protocol::limits;
use quadrille_protocol::types::Domain;

/// Connections being set up, in each direction: everybody outside shares these.
pub const PENDING_CONNECTIONS: u32 = 64;
/// Those of one address among them.
pub const PENDING_PER_ADDRESS: usize = 16;
/// Connections to one peer: one, and another when both have dialled at once.
pub const CONNECTIONS_PER_PEER: u32 = 2;
/// Connections over all peers, unless configured otherwise.
pub const CONNECTIONS: u32 = 512;
/// A connection without a session or any other stream is closed after this time.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(10 * 60);
/// Addresses tried of one gateway at one time.
pub const DIAL_ADDRESSES: usize = limits::GATEWAY_ADDRESSES;
/// Dials begun in one look around.
pub const DIALS_PER_TICK: usize = 32;
/// Key rotations since its certificate that a peer shows on connecting.
pub const HELLO_ROTATIONS: usize = 16;
/// Largest greeting of the membership handshake.
pub const HELLO_BYTES: usize = limits::SIGNED_CERTIFICATE_BYTES
    + limits::DIRECTORY_RECORD_BYTES
    + HELLO_ROTATIONS * limits::SIGNED_ROTATION_BYTES
    + 1024;
/// Things that wait to be written to one session; the engine waits when they are too many.
pub const SESSION_QUEUE: usize = 32;
/// Requests to the swarm that wait.
pub const COMMAND_QUEUE: usize = 1024;
/// Requests for pages (books, members) that are answered at one time, over all peers.
pub const PAGES_SERVED: usize = 32;
/// Such requests of our own under way at one time.
pub const PAGES_FETCHED: usize = 8;

/// How often something may happen: `burst` at once, then `each` in every `period`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many at once.
    pub burst: u32,
    /// How many in every period after that.
    pub each: u32,
    /// The period.
    pub period: Duration,
}

/// Waits and intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From the first byte of a connection to the end of the membership handshake.
    pub handshake: Duration,
    /// Between two signs of life on a session that has nothing to say.
    pub keep_alive: Duration,
    /// A session on which nothing is read, or nothing can be written, for this long has ended.
    pub stall: Duration,
    /// Between two looks at who is to be dialled and what is to be renewed.
    pub tick: Duration,
    /// First wait before a failed connection or session is tried again; doubles.
    pub retry_first: Duration,
    /// Longest such wait.
    pub retry_most: Duration,
    /// How long one request for a page may take.
    pub page: Duration,
    /// Between two requests for a peer's live offers and members.
    pub refresh: Duration,
    /// First block of a peer that misbehaves; doubles with each further one.
    pub block_first: Duration,
    /// How long our gateway record counts; it is signed anew after a third of it.
    pub gateway_life: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            keep_alive: Duration::from_secs(10),
            stall: Duration::from_secs(45),
            tick: Duration::from_millis(500),
            retry_first: Duration::from_millis(250),
            retry_most: Duration::from_secs(60),
            page: Duration::from_secs(20),
            refresh: Duration::from_secs(5 * 60),
            block_first: Duration::from_secs(60),
            gateway_life: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// The mesh's configuration.
#[derive(Debug, Clone)]
pub struct MeshConfig {
    /// Where to listen: `/ip4/…/tcp/…`, and `/udp/…/quic-v1` when `quic` is on.
    pub listen: Vec<Multiaddr>,
    /// What the gateway record says instead of the addresses listened on (behind a translator
    /// or a name). Empty: the addresses listened on.
    pub advertise: Vec<Multiaddr>,
    /// Peers to begin with, better with `/p2p/…` at the end.
    pub bootstrap: Vec<Multiaddr>,
    /// Known addresses of domains, better with `/p2p/…` at the end.
    pub peers: Vec<(Domain, Multiaddr)>,
    /// QUIC beside TCP. It prefers the post-quantum group and cannot be made to insist on it.
    pub quic: bool,
    /// Connections over all peers.
    pub connections: u32,
    /// Hear the offers of every pair, not only of those that the node names.
    pub every_pair: bool,
    /// Gossiped notices taken from one peer.
    pub notices_per_peer: Rate,
    /// Gossiped notices taken from all peers together.
    pub notices: Rate,
    /// Waits and intervals.
    pub timing: Timing,
}

impl Default for MeshConfig {
    fn default() -> Self {
        let period = Duration::from_secs(10);
        Self {
            listen: Vec::new(),
            advertise: Vec::new(),
            bootstrap: Vec::new(),
            peers: Vec::new(),
            quic: false,
            connections: CONNECTIONS,
            every_pair: true,
            notices_per_peer: Rate { burst: 500, each: 50, period },
            notices: Rate { burst: 5_000, each: 2_000, period },
            timing: Timing::default(),
        }
    }
}
