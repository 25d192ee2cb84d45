//! The mesh as the HTTP interface sees it.

use std::sync::Arc;

use async_trait::async_trait;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{GatewayRecord, Service};
use quadrille_protocol::ledger::AssetProfile;
use quadrille_protocol::payment::name::NameQuestion;
use quadrille_protocol::types::{Domain, Uai};

use super::names::Names;
use crate::api::dto::{Connection, GatewayView, ServiceView};
use crate::api::ports::{Mesh, MeshPeer, Resolved};
use crate::engine::Clock;
use crate::mesh::ask::{Answer, Owing, Question};
use crate::mesh::{MeshHandle, PeerId};

/// The mesh.
pub(super) struct MeshPort {
    pub mesh: MeshHandle,
    pub clock: Arc<dyn Clock>,
    pub names: Arc<Names>,
}

#[async_trait]
impl Mesh for MeshPort {
    fn peers(&self) -> Vec<MeshPeer> {
        let now = self.clock.now();
        let peers = self.mesh.peers().into_iter().map(|peer| {
            let connection = match (peer.session_since, peer.connected, peer.feeds) {
                // A peer without ledgers has no feed, and so no session.
                (Some(_), _, _) | (None, true, false) => Connection::Up,
                (None, true, true) => Connection::Connecting,
                (None, false, _) => Connection::Down,
            };
            let ago = peer.session_since.map(|since| since.elapsed().as_millis());
            let since = ago.map(|ago| {
                let ago = u64::try_from(ago).unwrap_or(u64::MAX);
                quadrille_protocol::types::Time(now.0.saturating_sub(ago))
            });
            MeshPeer {
                connection,
                since,
                address: peer.addresses.first().map(ToString::to_string),
                score: points(peer.points),
                blocked: peer.blocked,
                trouble: peer.trouble,
                domain: peer.domain,
            }
        });
        peers.collect()
    }

    async fn find_gateway(&self, domain: &Domain) -> Result<Option<GatewayView>, Refusal> {
        let record = match self.mesh.find_gateway(domain).await {
            Ok(record) => record,
            Err(refusal) if refusal.code == Code::GatewayNotFound => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        let record = record.record();
        let peer = PeerId::from_bytes(&record.peer_id.to_multihash())
            .map_err(|error| Refusal::new(Code::BadAddress, error.to_string()))?;
        Ok(Some(GatewayView {
            domain: record.domain.clone(),
            peer_id: peer.to_string(),
            addresses: record.addresses.iter().map(ToString::to_string).collect(),
            services: record.services.iter().map(|service| service_view(record, service)).collect(),
            transit: record.transit,
            names_correspondents: record.correspondents.is_some(),
            sequence: record.sequence.to_string(),
            valid_until: record.expires,
        }))
    }

    async fn providers(&self, asset: &Uai) -> Result<Vec<Domain>, Refusal> {
        self.mesh.providers(asset).await
    }

    async fn resolve(&self, question: NameQuestion, fresh: bool) -> Result<Resolved, Refusal> {
        self.names.resolve(question, fresh).await
    }

    async fn owing(&self, domain: &Domain, asset: &Uai) -> Result<Owing, Refusal> {
        match self.mesh.ask(domain, &Question::Obligations(asset.clone())).await? {
            Answer::Obligations(owing) => Ok(owing),
            Answer::Name(_) | Answer::OfferAccount(_) | Answer::AssetProfile(_) => {
                Err(Refusal::new(Code::OtherAnswer, format!("of {domain}")))
            }
        }
    }

    async fn profile(&self, asset: &Uai) -> Result<AssetProfile, Refusal> {
        self.names.profile(asset).await
    }
}

fn service_view(record: &GatewayRecord, service: &Service) -> ServiceView {
    ServiceView {
        asset: service.asset.clone(),
        fee: service.fee.map(Into::into),
        accepts: record.accepted(service).cloned().collect(),
    }
}

/// Points as a whole number, rounded.
#[allow(clippy::cast_possible_truncation, reason = "points are few; a cast saturates")]
fn points(points: f64) -> i64 {
    points.round() as i64
}
