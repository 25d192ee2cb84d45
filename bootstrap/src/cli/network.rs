//! `network init`.

use quadrille_node::signer::passphrase;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::identity::Address;
use quadrille_protocol::types::{Domain, Network};

use super::{Context, shown};
use crate::found::{self, Founding};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quadrille-bootstrap --dir net network init --network demo --authority authority.example
  quadrille-bootstrap --dir net network init --network demo --authority authority.example \\
      --address /ip4/192.0.2.1/tcp/7000 --suites hybrid-ml-dsa-65 --passphrase-file secret

Give every member DIR/network.toml, and the authority's key over another channel, so that they
can compare. Keep DIR/authority offline: only approve and revoke need it.")]
pub(super) struct Arguments {
    /// The network's name: lower-case letters, digits and hyphens
    #[arg(long)]
    network: Network,
    /// The domain of the authority that admits members
    #[arg(long, value_name = "DOMAIN")]
    authority: Domain,
    /// The domain of the bootstrap peer [default: bootstrap.AUTHORITY]
    #[arg(long, value_name = "DOMAIN")]
    peer: Option<Domain>,
    /// The suite of the authority's and the peer's keys
    #[arg(long, default_value = "hybrid-ml-dsa-65")]
    suite: Suite,
    /// The suites that members' domains may use
    #[arg(long, value_delimiter = ',', default_value = "hybrid-ml-dsa-65,hybrid-dilithium3")]
    suites: Vec<Suite>,
    /// A multiaddress at which `serve` will be reached; may be given several times
    #[arg(long = "address", value_name = "MULTIADDRESS")]
    addresses: Vec<Address>,
}

#[derive(serde::Serialize)]
struct Answer {
    network: String,
    authority: String,
    key: String,
    peer: String,
    network_file: String,
    bootstrap: Vec<String>,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<String, Refusal> {
    let peer = match &arguments.peer {
        Some(peer) => peer.clone(),
        None => format!("bootstrap.{}", arguments.authority).parse()?,
    };
    let founding = Founding {
        network: arguments.network.clone(),
        authority: arguments.authority.clone(),
        peer,
        suite: arguments.suite,
        suites: arguments.suites.clone(),
        addresses: arguments.addresses.clone(),
    };
    found::check_empty(&context.layout)?;
    let file = context.passphrase_file.as_deref();
    let passphrase = passphrase::read_new(file, "Passphrase for the new keys: ")?;
    let made = found::found(&context.layout, &founding, &passphrase, context.now)?;
    let anchors = made.anchors();
    let key = anchors.authorities.first().map(|known| known.key.id().to_string());
    let answer = Answer {
        network: founding.network.to_string(),
        authority: founding.authority.to_string(),
        key: key.unwrap_or_default(),
        peer: founding.peer.to_string(),
        network_file: shown(&context.layout.network_file()),
        bootstrap: made.bootstrap().iter().map(ToString::to_string).collect(),
    };
    let rows = [
        ("network", answer.network.clone()),
        ("authority", answer.authority.clone()),
        ("its key", answer.key.clone()),
        ("bootstrap peer", answer.peer.clone()),
        ("for members", answer.network_file.clone()),
    ];
    context.show(&rows, &answer)
}
