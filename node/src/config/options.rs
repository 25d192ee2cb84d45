//! The table of all options. A doc comment here is the comment in the file that `init` writes:
//! it says what the option means and in which unit, for somebody who has read nothing else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::identity::Address;
use quadrille_protocol::limits;
use quadrille_protocol::types::Domain;

use super::value::{AnswerTo, LogFormat, Setting, StaticPeer};
use crate::engine::QUEUE;

/// One option, as the table describes it.
pub(super) struct Described {
    /// Its section.
    pub section: &'static str,
    /// Its name in the section.
    pub name: &'static str,
    /// What it means, line by line.
    pub doc: &'static [&'static str],
}

/// One section.
pub(super) struct Section {
    /// Its name.
    pub name: &'static str,
    /// What it is about, line by line.
    pub doc: &'static [&'static str],
}

macro_rules! options {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $type:ident {
            $($(#[doc = $doc:literal])+ $name:ident: $value:ty = $default:expr;)+
        }
    )+) => {
        /// The configuration of a node.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {
            /// The data directory.
            pub dir: PathBuf,
            $($(#[doc = $section_doc])+ pub $section: $type,)+
        }

        $(
            $(#[doc = $section_doc])+
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $type {
                $($(#[doc = $doc])+ pub $name: $value,)+
            }
        )+

        impl Config {
            /// The defaults, for the data directory `dir`.
            #[must_use]
            pub fn defaults(dir: &Path) -> Self {
                Self {
                    dir: dir.to_owned(),
                    $($section: $type { $($name: $default,)+ },)+
                }
            }

            /// Sets an option; `None` when there is no such option.
            pub(super) fn set(
                &mut self,
                section: &str,
                name: &str,
                value: &toml::Value,
            ) -> Option<Result<(), String>> {
                match (section, name) {
                    $($((stringify!($section), stringify!($name)) => {
                        Some(<$value as Setting>::read(value).map(|read| {
                            self.$section.$name = read;
                        }))
                    })+)+
                    _ => None,
                }
            }

            /// The value of an option that was given as plain text; `None` when there is no such
            /// option.
            pub(super) fn read_text(
                section: &str,
                name: &str,
                text: &str,
            ) -> Option<Result<toml::Value, String>> {
                match (section, name) {
                    $($((stringify!($section), stringify!($name)) => {
                        Some(<$value as Setting>::of_text(text))
                    })+)+
                    _ => None,
                }
            }

            /// The value of an option as TOML; `None` when there is no such option.
            pub(super) fn show(&self, section: &str, name: &str) -> Option<String> {
                match (section, name) {
                    $($((stringify!($section), stringify!($name)) => {
                        Some(Setting::write(&self.$section.$name).to_string())
                    })+)+
                    _ => None,
                }
            }
        }

        /// Every section, in order.
        pub(super) const SECTIONS: &[Section] = &[
            $(Section { name: stringify!($section), doc: &[$($section_doc),+] },)+
        ];

        /// Every option, in order.
        pub(super) const OPTIONS: &[Described] = &[
            $($(Described {
                section: stringify!($section),
                name: stringify!($name),
                doc: &[$($doc),+],
            },)+)+
        ];
    };
}

options! {
    /// The process itself.
    node: Node {
        /// The folder of the signer's guard, which remembers the last checkpoint that was signed.
        /// A relative path is taken from this file's folder. Put it outside of the data directory,
        /// best on another disk: then a node that was restored from an old copy notices at once.
        /// Inside, the node must hear every peer after each start before it signs anything.
        guard_dir: PathBuf = PathBuf::from("guard");
        /// How log lines are written to standard error: "human" or "json".
        log_format: LogFormat = LogFormat::Human;
        /// Which log lines are written: a level (error, warn, info, debug, trace), or a list such
        /// as "info,quadrille_node::mesh=debug". Can be changed while the node runs.
        log_level: String = String::from("info");
    }

    /// The HTTP interface. It speaks plain HTTP: for other machines put a TLS proxy before it.
    api: Api {
        /// Address and port to listen on; port 0 lets the system choose.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 4000));
        /// Most connections at one time.
        max_connections: usize = 1024;
        /// Longest time to answer a request, in milliseconds (event streams excepted).
        request_timeout_ms: u64 = 30_000;
        /// Orders that one token may send in a second, on average.
        orders_per_second: u32 = 200;
        /// Refused orders of one ledger in a minute, after which more are turned away unread
        /// (each refused order is a record in the log).
        refusals_per_minute: u32 = 60;
        /// Most clients that follow /v1/events at one time.
        event_subscribers: usize = 64;
    }

    /// The mesh: how this node and other members find and reach each other.
    mesh: Mesh {
        /// Multiaddresses to listen on; port 0 lets the system choose.
        listen: Vec<Address> = parsed("/ip4/0.0.0.0/tcp/5000");
        /// Multiaddresses under which others reach this node, where they differ from the above.
        external: Vec<Address> = Vec::new();
        /// Where to connect first, besides the addresses in the network file.
        bootstrap: Vec<Address> = Vec::new();
        /// Members whose addresses are fixed:
        /// [{ domain = "bank-b.example", addresses = ["/ip4/192.0.2.7/tcp/5000"] }]
        peers: Vec<StaticPeer> = Vec::new();
        /// Whether QUIC is spoken beside TCP. QUIC negotiates the post-quantum key exchange, but
        /// cannot be made to insist on it; TCP insists.
        quic: bool = false;
        /// Most connections at one time.
        max_connections: usize = 512;
        /// Gossiped messages that one peer may pass on in ten seconds, on average.
        gossip_per_10s: u32 = 50;
        /// Gossiped messages that one peer may pass on at once before that average counts.
        gossip_burst: u32 = 200;
    }

    /// What the gateway record tells all members of this bank's correspondent ledgers, so that
    /// payments of others find a path through it. Limits and balances are never told.
    correspondents: Correspondents {
        /// Whether it names the domains whose obligations are accepted, per asset, and what is
        /// asked for passing payments on.
        publish: bool = true;
        /// Domains that are not named.
        conceal: Vec<Domain> = Vec::new();
    }

    /// Settlements that this node initiates.
    settlement: Settlement {
        /// How long a settlement may take before its decider refunds it, in milliseconds; at most
        /// 600000. A wrong clock or a slow peer costs a trade, never money.
        life_ms: u64 = limits::SETTLEMENT_LIFE_MS;
        /// No secret is revealed when less than this is left of it, in milliseconds.
        reveal_margin_ms: u64 = limits::REVEAL_MARGIN_MS;
    }

    /// The engine: the one loop that decides.
    engine: Engine {
        /// Inputs that may wait; more are told to come again.
        queue: usize = QUEUE;
        /// Threads that check signatures; 0 for one for each core.
        verify_workers: usize = 0;
        /// A snapshot of the state, for a quick start, is saved every so many batches.
        snapshot_batches: u64 = 10_000;
    }

    /// Subscriptions of other systems: events that this node posts to them.
    hooks: Hooks {
        /// Whether plain HTTP may be used to other machines. Without it only https is; plain HTTP
        /// to this machine is a matter of allow_private.
        allow_http: bool = false;
        /// Whether addresses that are not public may be called: of this machine, of private
        /// networks. Whoever may add a subscription could then reach what only this node can.
        allow_private: bool = false;
        /// Longest wait for a receiver's answer, in milliseconds.
        timeout_ms: u64 = 10_000;
        /// How long an event that is not taken is tried, in seconds, before its subscription is
        /// paused until the operator resumes it.
        patience_s: u64 = 86_400;
        /// Most subscriptions.
        subscriptions: usize = 64;
    }

    /// The customers of this bank.
    holders: Holders {
        /// Signature suites that a customer's key may have: "hybrid-ml-dsa-65",
        /// "hybrid-dilithium3", "ed25519". The last is not safe against a quantum computer.
        suites: Vec<Suite> = vec![Suite::HybridMlDsa65, Suite::Ed25519];
        /// The highest KYC tier that this bank grants.
        highest_tier: u8 = 3;
    }

    /// What this bank says of its holders when other members ask for a name.
    names: Names {
        /// Who is told: "trusted" for members with a credit limit of ours, "members" for all, or
        /// a list of domains that are told besides the trusted ones.
        answer_to: AnswerTo = AnswerTo::Trusted;
        /// How long an answer may be used, in milliseconds; at most 86400000.
        life_ms: u64 = 300_000;
    }

    /// Whom this bank has no business with.
    compliance: Compliance {
        /// A program that screens each payment with identities or a memo: it gets JSON on its
        /// standard input, ends with 0 to let it pass, or with 3 to decline it, with the reason in
        /// its first line of output. Anything else, and silence, declines too. Empty for none.
        screening: String = String::new();
        /// How long that program may take, in milliseconds.
        screening_timeout_ms: u64 = 5_000;
        /// How many of them may run at one time.
        screening_at_once: usize = 8;
        /// A file with the names, domains, ledgers and identifiers of whom nothing is taken and
        /// nobody is paid, one on each line. Empty for none. It is read anew when it changes.
        deny_list: String = String::new();
    }
}

/// A list of one address that is known to be one.
fn parsed(address: &str) -> Vec<Address> {
    address.parse().into_iter().collect()
}
