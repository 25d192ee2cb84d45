//! `quadrille peers`.

use quadrille_protocol::types::Domain;

use super::Output;
use super::amount::Assets;
use super::connect::{Connection, converse};
use super::exit::Failure;
use super::output::or_dash;
use crate::api::dto::{Connection as Link, ExposureView, PeerStanding, PeerView};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille peers
  quadrille peers bank-b.example
  quadrille peers -o ndjson | jq -r 'select(.connection != \"up\").domain'")]
pub(super) struct Arguments {
    /// One peer, with what it and this bank owe each other
    domain: Option<Domain>,
    /// Most rows
    #[arg(long, default_value_t = 1000)]
    limit: usize,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let client = arguments.connection.client()?;
    converse(async {
        match &arguments.domain {
            None => list(&client.peers(arguments.limit).await?, output),
            Some(domain) => {
                let peer = client.peer(domain).await?;
                show(&peer, &Assets::fetch(&client).await?, output)
            }
        }
    })
}

fn list(peers: &[PeerView], output: Output) -> Result<(), Failure> {
    let columns = ["PEER", "SESSION", "STANDING", "SENT", "ACKED", "RECEIVED", "OPEN", "TROUBLE"];
    output.list(peers, &columns, |peer| {
        vec![
            peer.domain.to_string(),
            link(peer.connection).to_owned(),
            standing(peer),
            peer.feed.sent.to_string(),
            peer.feed.acknowledged.to_string(),
            peer.feed.received.to_string(),
            peer.open_settlements.to_string(),
            or_dash(peer.trouble.as_ref()),
        ]
    })
}

fn show(peer: &PeerView, assets: &Assets, output: Output) -> Result<(), Failure> {
    let exposure = |line: &ExposureView| {
        let show = |amount| assets.show(&line.asset, amount);
        format!(
            "owes us {} of at most {}; we owe it {}; reserved {}",
            show(line.claim),
            show(line.limit),
            show(line.owe),
            show(line.reserved)
        )
    };
    let lines: Vec<String> = peer.exposure.iter().map(exposure).collect();
    let feed = peer.feed;
    output.one(
        peer,
        &[
            ("peer", peer.domain.to_string()),
            (
                "session",
                format!("{} since {}", link(peer.connection), or_dash(peer.since.as_ref())),
            ),
            ("address", or_dash(peer.address.as_ref())),
            ("standing", standing(peer)),
            ("feed to it", format!("{} sent, {} acknowledged", feed.sent, feed.acknowledged)),
            ("feed from it", format!("{} received", feed.received)),
            ("open settlements", peer.open_settlements.to_string()),
            ("score", peer.score.to_string()),
            ("trouble", or_dash(peer.trouble.as_ref())),
            ("exposure", if lines.is_empty() { "none".to_owned() } else { lines.join("\n") }),
        ],
    )
}

const fn link(connection: Link) -> &'static str {
    match connection {
        Link::Up => "up",
        Link::Connecting => "connecting",
        Link::Down => "down",
    }
}

fn standing(peer: &PeerView) -> String {
    let word = match peer.standing {
        PeerStanding::Trusted => "trusted",
        PeerStanding::Member => "member",
        PeerStanding::Blocked => "blocked",
    };
    if peer.suspended { format!("{word}, suspended") } else { word.to_owned() }
}
