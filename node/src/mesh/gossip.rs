//! Gossip of offers: notices with their evidence, and nothing that binds anybody.
//!
//! Topics of a network:
//!
//! * `/quadrille/<network>/offers` carries every notice. Who listens there hears of new pairs
//!   with their first offer; there is no announcement that could come too late. The default.
//! * `/quadrille/<network>/offers/<give>/<want>` carries the notices of one pair, for nodes that
//!   want no others. A publisher sends to both; a node listens on one kind only.
//!
//! A notice is published by its own validator's node: one that comes signed by the node of
//! another member is refused. Order of checks, cheapest first: relay known and well behaved,
//! rates, shape, pair, then the host (evidence and book).
//!
//! The duplicate window is [`DUPLICATES`]. An offer may live for 24 hours, and as many ids do
//! not fit in memory; a notice that is sent again after the window costs its relay tokens and us
//! one check, and the book knows it by its version.

use std::sync::Arc;
use std::time::Duration;

use libp2p::PeerId;
use libp2p::gossipsub::{
    Behaviour, ConfigBuilder, IdentTopic, IdentityTransform, MaxCountSubscriptionFilter, Message,
    MessageAcceptance, MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds,
    PublishError, TopicHash, TopicScoreParams, TopicSubscriptionFilter, ValidationMode,
};
use libp2p::identity::Keypair;
use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::log::{Evidence, Record};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{AssetPair, Domain, Network};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, mpsc};

use super::conduct::Offence;
use super::host::{Acceptance, Standing};
use super::rate::{Buckets, Over};
use super::shared::Shared;

/// How long an id is remembered.
pub const DUPLICATES: Duration = Duration::from_secs(10 * 60);
/// Pairs that one node listens to by name.
pub const PAIRS_HEARD: usize = 256;
/// Notices that the host looks at at one time.
pub const JUDGED_AT_ONCE: usize = 64;
/// How long a node that has left a topic is not to come back to it: an orderly restart takes less
/// than the ten seconds that are usual, and its node does not know any more that it left.
const LEAVE_BACKOFF: Duration = Duration::from_secs(1);
/// How often a node may come back sooner, within seconds, before that costs it anything: enough
/// for an operator who restarts it again and again. Without it the third restart in a row would
/// leave a bank without offers for a minute.
const QUICK_RETURNS: f64 = 10.0;
/// What gossipsub adds to a notice: topic, peer, signature.
const ENVELOPE_BYTES: usize = 1024;
/// Largest notice, so that with its envelope it is within the limit of a gossip message.
pub const NOTICE_BYTES: usize = limits::GOSSIP_BYTES - ENVELOPE_BYTES;
/// Messages that wait for one slow peer.
const WAITING_PER_PEER: usize = 1024;

/// The gossip protocol as we use it.
pub type Gossip = Behaviour<IdentityTransform, MaxCountSubscriptionFilter<OurTopics>>;

/// The topics of one network.
#[derive(Debug, Clone)]
pub struct OurTopics {
    all: String,
}

/// What a topic carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carries {
    /// Every notice.
    All,
    /// The notices of one pair.
    Pair(AssetPair),
}

impl OurTopics {
    /// The topics of `network`.
    pub fn new(network: &Network) -> Self {
        Self { all: format!("/quadrille/{network}/offers") }
    }

    /// The topic of all notices.
    pub fn all(&self) -> IdentTopic {
        IdentTopic::new(&self.all)
    }

    /// The topic of a pair.
    pub fn pair(&self, pair: &AssetPair) -> IdentTopic {
        IdentTopic::new(format!("{}/{pair}", self.all))
    }

    /// What a topic carries; none for a topic that is not ours.
    pub fn carries(&self, topic: &TopicHash) -> Option<Carries> {
        match topic.as_str().strip_prefix(&self.all)? {
            "" => Some(Carries::All),
            rest => rest.strip_prefix('/')?.parse().ok().map(Carries::Pair),
        }
    }
}

impl TopicSubscriptionFilter for OurTopics {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        self.carries(topic).is_some()
    }
}

/// The protocol of a node with this key.
///
/// # Errors
/// `Q-2014` when a parameter does not hold; which our constants rule out.
pub fn build(keypair: &Keypair, network: &Network) -> Result<Gossip, Refusal> {
    let bad = |error: &dyn std::fmt::Display| Refusal::new(Code::BadMeshKey, error.to_string());
    let config = ConfigBuilder::default()
        .protocol_id_prefix(format!("/quadrille/{network}/gossip"))
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(message_id)
        .max_transmit_size(limits::GOSSIP_BYTES)
        .duplicate_cache_time(DUPLICATES)
        .unsubscribe_backoff(LEAVE_BACKOFF)
        .connection_handler_queue_len(WAITING_PER_PEER)
        .build()
        .map_err(|error| bad(&error))?;
    let topics = OurTopics::new(network);
    let all = topics.all();
    let filter = MaxCountSubscriptionFilter {
        filter: topics,
        max_subscribed_topics: PAIRS_HEARD,
        max_subscriptions_per_request: PAIRS_HEARD,
    };
    let authenticity = MessageAuthenticity::Signed(keypair.clone());
    let mut gossip = Behaviour::new_with_subscription_filter(authenticity, config, filter)
        .map_err(|error| bad(&error))?;
    gossip.with_peer_score(scores(&all), thresholds()).map_err(|error| bad(&error))?;
    Ok(gossip)
}

/// The same content on one topic is one message, whoever sends it and however often.
fn message_id(message: &Message) -> MessageId {
    let mut hash = Sha256::new();
    hash.update(message.topic.as_str().as_bytes());
    hash.update([0]);
    hash.update(&message.data);
    MessageId::from(hash.finalize().to_vec())
}

fn scores(all: &IdentTopic) -> PeerScoreParams {
    let topic = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 100.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_cap: 100.0,
        // A market may be quiet for hours: nobody is punished for delivering nothing.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: 0.9,
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: std::iter::once((all.hash(), topic)).collect(),
        topic_score_cap: 50.0,
        app_specific_weight: 1.0,
        behaviour_penalty_threshold: QUICK_RETURNS,
        // Members are known by their certificates; many may share one address.
        ip_colocation_factor_weight: 0.0,
        ..PeerScoreParams::default()
    }
}

fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -20.0,
        publish_threshold: -50.0,
        graylist_threshold: -80.0,
        ..PeerScoreThresholds::default()
    }
}

/// What became of a notice.
#[derive(Debug)]
pub struct Judged {
    /// The message.
    pub id: MessageId,
    /// Who passed it on.
    pub relay: PeerId,
    /// What gossipsub is to do with it.
    pub acceptance: Acceptance,
    /// Why, when it was not accepted.
    pub refusal: Option<Refusal>,
}

/// The notices that come in.
pub struct Notices {
    topics: OurTopics,
    buckets: Buckets,
    room: Arc<Semaphore>,
    judged: mpsc::Sender<Judged>,
}

impl Notices {
    /// No notices yet; what became of each is sent to the receiver.
    pub fn new(shared: &Shared) -> (Self, mpsc::Receiver<Judged>) {
        let (judged, receiver) = mpsc::channel(JUDGED_AT_ONCE);
        let config = &shared.config;
        let notices = Self {
            topics: OurTopics::new(&shared.host.anchors().network),
            buckets: Buckets::new(config.notices_per_peer, config.notices),
            room: Arc::new(Semaphore::new(JUDGED_AT_ONCE)),
            judged,
        };
        (notices, receiver)
    }

    /// The topics.
    pub fn topics(&self) -> &OurTopics {
        &self.topics
    }

    /// Takes in a notice: decides at once, or hands it to the host and decides later.
    pub fn take(
        &mut self,
        shared: &Arc<Shared>,
        relay: PeerId,
        id: MessageId,
        message: Message,
    ) -> Option<Judged> {
        let ignore = |id| Some(Judged { id, relay, acceptance: Acceptance::Ignore, refusal: None });
        let Some(relay_domain) = shared.roster.domain(&relay) else { return ignore(id) };
        if !shared.conduct.is_heard(&relay_domain) {
            return ignore(id);
        }
        let author = message.source.and_then(|source| shared.roster.domain(&source));
        let payer = author.clone().unwrap_or(relay_domain);
        match self.buckets.take(&payer) {
            Ok(()) => {}
            Err(over) => {
                shared.counters.notices_limited.one();
                match over {
                    Over::Member => {
                        shared.offend_quietly(&payer, Offence::TooFast);
                    }
                    Over::All => tracing::debug!(domain = %payer, "notices over the global rate"),
                }
                return ignore(id);
            }
        }
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            shared.counters.notices_limited.one();
            return ignore(id);
        };
        let (judged, shared) = (self.judged.clone(), shared.clone());
        let carries = self.topics.carries(&message.topic);
        tokio::spawn(async move {
            let judge = judge(&shared, carries, author.as_ref(), &message.data);
            let (acceptance, refusal) = tokio::select! {
                () = shared.stop.cancelled() => return,
                verdict = judge => verdict,
            };
            // The receiver is gone only when the mesh has stopped.
            let _ = judged.send(Judged { id, relay, acceptance, refusal }).await;
            drop(room);
        });
        None
    }
}

async fn judge(
    shared: &Shared,
    carries: Option<Carries>,
    author: Option<&Domain>,
    data: &[u8],
) -> (Acceptance, Option<Refusal>) {
    let evidence = match check(carries, author, data) {
        Ok(evidence) => evidence,
        Err(refusal) => return (Acceptance::Reject, Some(refusal)),
    };
    let domain = evidence.domain();
    if domain == shared.host.domain() || shared.host.standing(domain) == Standing::Blocked {
        return (Acceptance::Ignore, None);
    }
    shared.host.notice(evidence).await
}

/// What needs no key: the shape, the pair, who published it.
fn check(
    carries: Option<Carries>,
    author: Option<&Domain>,
    data: &[u8],
) -> Result<Evidence, Refusal> {
    let evidence = codec::decode::<Evidence, { limits::GOSSIP_BYTES }>(data)?;
    if let Some(author) = author.filter(|author| *author != evidence.domain()) {
        refuse!(WrongDomain, "a notice of {}, published by {author}", evidence.domain());
    }
    match carries {
        None => refuse!(BadEvidence, "a topic that carries no notices"),
        Some(Carries::All) => {}
        Some(Carries::Pair(wanted)) => {
            let pair = pair_of(&evidence)?;
            if pair.as_ref() != Some(&wanted) {
                refuse!(BadEvidence, "a notice of another pair than {wanted}");
            }
        }
    }
    Ok(evidence)
}

fn pair_of(evidence: &Evidence) -> Result<Option<AssetPair>, Refusal> {
    let record = evidence.read()?;
    Ok(if let Record::OfferPosted(notice) = record {
        Some(notice.terms.pair())
    } else if let Record::OfferClosed(closed) = record {
        Some(closed.pair)
    } else {
        None
    })
}

/// Publishes a notice on the topic of all, and on its pair's.
pub fn publish(
    gossip: &mut Gossip,
    topics: &OurTopics,
    shared: &Shared,
    pair: Option<&AssetPair>,
    evidence: &[u8],
) {
    if evidence.len() > NOTICE_BYTES {
        shared.counters.notices_unpublished.one();
        tracing::error!(bytes = evidence.len(), most = NOTICE_BYTES, "a notice is too large");
        return;
    }
    match gossip.publish(topics.all(), evidence) {
        Ok(_) | Err(PublishError::Duplicate) => shared.counters.notices_published.one(),
        Err(error) => {
            shared.counters.notices_unpublished.one();
            tracing::debug!(%error, "a notice is not published");
        }
    }
    if let Some(pair) = pair
        && let Err(error) = gossip.publish(topics.pair(pair), evidence)
    {
        // Mostly nobody listens to this pair alone.
        tracing::trace!(%error, %pair, "a notice is not published on its pair's topic");
    }
}

/// Tells gossipsub what became of a notice, and scores its relay.
pub fn report(gossip: &mut Gossip, shared: &Shared, judged: &Judged) {
    let (acceptance, counter) = match judged.acceptance {
        Acceptance::Accept => (MessageAcceptance::Accept, &shared.counters.notices_accepted),
        Acceptance::Ignore => (MessageAcceptance::Ignore, &shared.counters.notices_ignored),
        Acceptance::Reject => (MessageAcceptance::Reject, &shared.counters.notices_rejected),
    };
    counter.one();
    gossip.report_message_validation_result(&judged.id, &judged.relay, acceptance);
    if judged.acceptance == Acceptance::Reject
        && let Some(domain) = shared.roster.domain(&judged.relay)
    {
        let what = judged.refusal.as_ref().map(Refusal::to_string).unwrap_or_default();
        shared.offend(&domain, Offence::BadNotice, &what);
    }
}

/// Listens to what the configuration and the host want.
pub fn listen(gossip: &mut Gossip, topics: &OurTopics, shared: &Shared) {
    let mut wanted = Vec::new();
    if shared.config.every_pair {
        wanted.push(topics.all());
    } else {
        let pairs = shared.host.pairs();
        wanted.extend(pairs.iter().take(PAIRS_HEARD).map(|pair| topics.pair(pair)));
    }
    let heard: Vec<TopicHash> = gossip.topics().cloned().collect();
    for topic in heard {
        if wanted.iter().all(|wanted| wanted.hash() != topic) {
            gossip.unsubscribe(&IdentTopic::new(topic.into_string()));
        }
    }
    for topic in wanted {
        if let Err(error) = gossip.subscribe(&topic) {
            tracing::warn!(%topic, ?error, "cannot listen to a topic");
        }
    }
}
