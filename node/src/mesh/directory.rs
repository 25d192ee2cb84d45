//! Kademlia: who speaks for a domain, and who deals in an asset.
//!
//! * Under SHA-256 of a domain's name: its signed gateway record.
//! * Under SHA-256 of an asset's identifier: provider records of the nodes whose gateway records
//!   name the asset.
//!
//! Invariants:
//! * Nothing is stored for others that did not verify: a gateway record by its signature and
//!   sequence, a provider record by the signed services of its node.
//! * Nothing is believed that does not verify on arrival, wherever it was stored.
//! * The routing table has members only: peers are put there by hand, after their handshake.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libp2p::kad::store::{MemoryStore, MemoryStoreConfig, RecordStore};
use libp2p::kad::{
    self, Behaviour, BucketInserts, Caching, Config, GetProvidersOk, GetRecordOk, InboundRequest,
    Mode, ProviderRecord, QueryId, QueryResult, Quorum, Record, RecordKey, StoreInserts,
};
use libp2p::{PeerId, StreamProtocol};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{SignedGatewayRecord, VerifiedGatewayRecord};
use quadrille_protocol::limits;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Domain, Network, Uai};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::admission;
use super::conduct::Offence;
use super::config::Rate;
use super::rate::Buckets;
use super::shared::Shared;

/// How long one question to the network may take.
pub const QUERY: Duration = Duration::from_secs(15);
/// Questions to the network at one time.
const QUERIES: usize = 256;
/// Records kept for others.
const RECORDS: usize = 16 * 1024;
/// Providers kept for one asset.
const PROVIDERS: usize = 64;
/// Assets of which providers are kept: those of all members that are near to us, not our own alone.
const PROVIDED: usize = 4_096;
/// Largest message: a record, and the addresses of the peers that are closer.
const PACKET_BYTES: usize = 64 * 1024;
/// Records that a member may have stored here, and all members together.
const STORE_RATE: Rate = Rate { burst: 64, each: 16, period: Duration::from_secs(10) };
const STORE_RATE_ALL: Rate = Rate { burst: 1024, each: 512, period: Duration::from_secs(10) };

/// How often it is said again what we deal in, when that has not changed. A bank that says all of
/// it with every change of its record is soon not heard any more: peers bound what they store.
const SAY_AGAIN: Duration = Duration::from_secs(600);

const _: () = assert!(limits::DIRECTORY_RECORD_BYTES * 2 < PACKET_BYTES);

/// The protocol as we use it.
pub type Kademlia = Behaviour<MemoryStore>;

/// An answer to `find_gateway`.
pub type GatewayAnswer = oneshot::Sender<Result<VerifiedGatewayRecord, Refusal>>;
/// An answer to `providers`.
pub type ProvidersAnswer = oneshot::Sender<Result<Vec<Domain>, Refusal>>;

/// The protocol of a node with this identifier.
pub fn build(peer: PeerId, network: &Network) -> Result<Kademlia, Refusal> {
    let name = StreamProtocol::try_from_owned(format!("/quadrille/{network}/kad/1"))
        .map_err(|error| Refusal::new(Code::BadMeshKey, error.to_string()))?;
    let mut config = Config::new(name);
    config
        .set_query_timeout(QUERY)
        .set_record_filtering(StoreInserts::FilterBoth)
        .set_kbucket_inserts(BucketInserts::Manual)
        .set_caching(Caching::Disabled)
        .set_max_packet_size(PACKET_BYTES);
    let store = MemoryStore::with_config(
        peer,
        MemoryStoreConfig {
            max_records: RECORDS,
            max_value_bytes: limits::DIRECTORY_RECORD_BYTES,
            max_providers_per_key: PROVIDERS,
            max_provided_keys: PROVIDED,
        },
    );
    let mut kademlia = Behaviour::with_config(peer, store, config);
    kademlia.set_mode(Some(Mode::Server));
    Ok(kademlia)
}

/// Where a domain's gateway record is.
pub fn gateway_key(domain: &Domain) -> RecordKey {
    RecordKey::new(&Sha256::digest(domain.as_str().as_bytes()).to_vec())
}

/// Where an asset's provider records are.
pub fn asset_key(uai: &Uai) -> RecordKey {
    RecordKey::new(&Sha256::digest(uai.to_string().as_bytes()).to_vec())
}

enum Question {
    Gateway { domain: Domain, answers: Vec<GatewayAnswer> },
    Providers { uai: Uai, found: HashSet<PeerId>, answer: ProvidersAnswer },
}

/// What we ask and what we keep.
pub struct Lookups {
    questions: HashMap<QueryId, Question>,
    stores: Buckets,
    provided: Vec<Uai>,
    /// When all of `provided` was said the last time.
    said: Option<Instant>,
}

impl Lookups {
    /// Nothing asked yet.
    pub fn new() -> Self {
        Self {
            questions: HashMap::new(),
            stores: Buckets::new(STORE_RATE, STORE_RATE_ALL),
            provided: Vec::new(),
            said: None,
        }
    }

    /// Asks for a domain's gateway record; without an answer it is only learnt.
    pub fn find(&mut self, kademlia: &mut Kademlia, domain: Domain, answer: Option<GatewayAnswer>) {
        for question in self.questions.values_mut() {
            if let Question::Gateway { domain: asked, answers } = question
                && *asked == domain
                && answers.len() < QUERIES
            {
                answers.extend(answer);
                return;
            }
        }
        if self.questions.len() >= QUERIES {
            if let Some(answer) = answer {
                let _ = answer.send(Err(Refusal::new(Code::QueueFull, "lookups")));
            }
            return;
        }
        let query = kademlia.get_record(gateway_key(&domain));
        let answers = answer.into_iter().collect();
        self.questions.insert(query, Question::Gateway { domain, answers });
    }

    /// Asks who deals in an asset.
    pub fn providers(&mut self, kademlia: &mut Kademlia, uai: Uai, answer: ProvidersAnswer) {
        if self.questions.len() >= QUERIES {
            let _ = answer.send(Err(Refusal::new(Code::QueueFull, "lookups")));
            return;
        }
        let query = kademlia.get_providers(asset_key(&uai));
        let question = Question::Providers { uai, found: HashSet::new(), answer };
        self.questions.insert(query, question);
    }

    /// Publishes our own record, and that we deal in what it names anew: in all that it names
    /// where somebody new is there.
    pub fn publish(
        &mut self,
        kademlia: &mut Kademlia,
        shared: &Shared,
        signed: &SignedGatewayRecord,
        newcomer: bool,
    ) {
        let record = Record::new(gateway_key(shared.host.domain()), signed.to_bytes());
        if let Err(error) = kademlia.put_record(record, Quorum::One) {
            tracing::warn!(%error, "our gateway record is not published");
        }
        let Ok(record) = signed.parse() else { return };
        let services: Vec<Uai> = record.assets().cloned().collect();
        for uai in self.provided.iter().filter(|uai| !services.contains(uai)) {
            kademlia.stop_providing(&asset_key(uai));
        }
        let again = newcomer || self.said.is_none_or(|at| at.elapsed() >= SAY_AGAIN);
        if again {
            self.said = Some(Instant::now());
        }
        for uai in services.iter().filter(|uai| again || !self.provided.contains(uai)) {
            if let Err(error) = kademlia.start_providing(asset_key(uai)) {
                tracing::warn!(%error, %uai, "a provider record is not published");
            }
        }
        self.provided = services;
    }

    /// Something happened.
    pub fn on_event(&mut self, kademlia: &mut Kademlia, shared: &Arc<Shared>, event: kad::Event) {
        match event {
            kad::Event::InboundRequest { request } => self.on_request(kademlia, shared, request),
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => {
                self.on_progress(shared, id, result);
                if step.last {
                    self.on_end(shared, id);
                }
            }
            // The routing table is ours to fill; modes do not change.
            kad::Event::RoutingUpdated { .. }
            | kad::Event::UnroutablePeer { .. }
            | kad::Event::RoutablePeer { .. }
            | kad::Event::PendingRoutablePeer { .. }
            | kad::Event::ModeChanged { .. } => {}
        }
    }

    fn on_request(
        &mut self,
        kademlia: &mut Kademlia,
        shared: &Arc<Shared>,
        request: InboundRequest,
    ) {
        let (source, stored) = match request {
            InboundRequest::PutRecord { source, record: Some(record), .. } => {
                (source, self.store_record(kademlia, shared, source, record))
            }
            InboundRequest::AddProvider { record: Some(record) } => {
                (record.provider, self.store_provider(kademlia, shared, record))
            }
            InboundRequest::PutRecord { record: None, .. }
            | InboundRequest::AddProvider { record: None }
            | InboundRequest::FindNode { .. }
            | InboundRequest::GetProvider { .. }
            | InboundRequest::GetRecord { .. } => return,
        };
        match stored {
            Ok(()) => shared.counters.records_stored.one(),
            Err(refusal) => {
                shared.counters.records_refused.one();
                let Some(domain) = shared.roster.domain(&source) else { return };
                // Old records, unknown members and our own store being full are nobody's fault:
                // 32 banks with two assets each once filled it and shut each other out.
                match refusal.code {
                    Code::StaleSequence
                    | Code::UnknownDomain
                    | Code::UnknownEpoch
                    | Code::QueueFull => {
                        tracing::debug!(%domain, %refusal, "a record is not stored");
                    }
                    Code::TooFast => {
                        shared.offend_quietly(&domain, Offence::TooFast);
                    }
                    _ => {
                        shared.offend(&domain, Offence::BadPage, &refusal.to_string());
                    }
                }
            }
        }
    }

    fn admit(&mut self, shared: &Shared, source: &PeerId) -> Result<(), Refusal> {
        let Some(domain) = shared.roster.domain(source) else {
            refuse!(UnknownDomain, "{source} speaks for nobody");
        };
        self.stores
            .take(&domain)
            .map_err(|over| Refusal::new(Code::TooFast, format!("records of {domain}: {over:?}")))
    }

    fn store_record(
        &mut self,
        kademlia: &mut Kademlia,
        shared: &Arc<Shared>,
        source: PeerId,
        record: Record,
    ) -> Result<(), Refusal> {
        self.admit(shared, &source)?;
        if record.key == gateway_key(shared.host.domain()) {
            refuse!(StaleSequence, "our own record is kept by us alone");
        }
        learn(shared, &record)?;
        kademlia
            .store_mut()
            .put(record)
            .map_err(|error| Refusal::new(Code::QueueFull, format!("records: {error}")))
    }

    fn store_provider(
        &mut self,
        kademlia: &mut Kademlia,
        shared: &Arc<Shared>,
        record: ProviderRecord,
    ) -> Result<(), Refusal> {
        self.admit(shared, &record.provider)?;
        let domain = shared.roster.domain(&record.provider);
        let gateway = domain.and_then(|domain| shared.roster.record(&domain));
        let says = gateway.is_some_and(|gateway| {
            gateway.record().assets().any(|asset| asset_key(asset) == record.key)
        });
        if !says {
            refuse!(StaleSequence, "the gateway record of {} does not say so", record.provider);
        }
        kademlia
            .store_mut()
            .add_provider(record)
            .map_err(|error| Refusal::new(Code::QueueFull, format!("providers: {error}")))
    }

    fn on_progress(&mut self, shared: &Arc<Shared>, id: QueryId, result: QueryResult) {
        match result {
            QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
                if let Err(refusal) = learn(shared, &found.record) {
                    tracing::debug!(%refusal, "a record that was found does not count");
                }
            }
            QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })) => {
                if let Some(Question::Providers { found, .. }) = self.questions.get_mut(&id) {
                    found.extend(providers.into_iter().take(PROVIDERS));
                }
            }
            // Ends and failures: what was learnt until then is the answer.
            _ => {}
        }
    }

    fn on_end(&mut self, shared: &Arc<Shared>, id: QueryId) {
        match self.questions.remove(&id) {
            None => {}
            Some(Question::Gateway { domain, answers }) => {
                for answer in answers {
                    let found = shared
                        .roster
                        .record(&domain)
                        .ok_or_else(|| Refusal::new(Code::GatewayNotFound, format!("of {domain}")));
                    let _ = answer.send(found);
                }
            }
            Some(Question::Providers { uai, found, answer }) => {
                let mut domains: Vec<Domain> =
                    found.iter().filter_map(|peer| shared.roster.domain(peer)).collect();
                domains.extend(shared.roster.dealers(&uai));
                domains.sort();
                domains.dedup();
                let _ = answer.send(Ok(domains));
            }
        }
    }
}

/// Verifies a gateway record that came from anywhere, and takes it up.
fn learn(shared: &Shared, record: &Record) -> Result<(), Refusal> {
    let signed = SignedGatewayRecord::from_bytes(&record.value)?;
    let domain = signed.parse()?.domain;
    if gateway_key(&domain) != record.key {
        refuse!(WrongDomain, "a gateway record of {domain} under another key");
    }
    if domain == *shared.host.domain() {
        return Ok(());
    }
    let verified = admission::verify_gateway(&*shared.host, &shared.roster, &signed)?;
    shared.roster.learn(verified, None)
}
