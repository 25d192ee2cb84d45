//! Questions to other members, one stream each: names, offers' accounts, asset profiles,
//! obligations.
//!
//! ```text
//!   asker: connects if it is not yet -> /quadrille/ask/1   -> Question
//!   asked: Host::answer decides who is told what           <- Answered | Refused, and the end
//! ```
//!
//! Invariants: who asks is known, since only members pass the handshake; what is asked and
//! answered at one time, by one peer in some time, and in bytes is bounded; every exchange has an
//! end. Nothing here is believed: answers are signed or prove themselves, or count only for the
//! domain that gave them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bincode::{Decode, Encode};
use futures::StreamExt;
use libp2p::{PeerId, Stream, StreamProtocol};
use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::AssetProfile;
use quadrille_protocol::limits;
use quadrille_protocol::payment::name::{NameQuestion, SignedNameRecord};
use quadrille_protocol::refuse;
use quadrille_protocol::settlement::agreement::Account;
use quadrille_protocol::types::{Amount, Bounded, Domain, OrderId, Uai, Ubi};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::conduct::Offence;
use super::config::Rate;
use super::packet;
use super::rate::Buckets;
use super::shared::Shared;

/// The protocol.
pub const ASK: StreamProtocol = StreamProtocol::new("/quadrille/ask/1");

/// Creditors in one answer.
pub const CREDITORS: usize = 1024;
/// Largest question.
const QUESTION_BYTES: usize = 1024;
/// Largest answer.
const ANSWER_BYTES: usize = 256 * 1024;
/// Questions answered at one time, over all peers.
const SERVED: usize = 32;
/// Questions of our own under way at one time; more are refused.
const ASKED: usize = 256;
/// What one peer may ask, and all together.
const RATE: Rate = Rate { burst: 256, each: 128, period: Duration::from_secs(10) };
const RATE_ALL: Rate = Rate { burst: 2048, each: 1024, period: Duration::from_secs(10) };
/// Longest time from a question to its answer, the connection included.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time for the answer alone, on either side.
const ANSWER: Duration = Duration::from_secs(5);
/// Between two looks whether the peer is connected.
const LOOK: Duration = Duration::from_millis(20);

const _: () = assert!(limits::SIGNED_NAME_BYTES < ANSWER_BYTES);
const _: () = assert!(CREDITORS * (limits::DOMAIN_BYTES + 32) < ANSWER_BYTES);

/// What one member asks of another.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Question {
    /// Which ledger a holder of yours has.
    Name(NameQuestion),
    /// Which ledger gives and receives under a live offer of yours.
    OfferAccount(OrderId),
    /// What you say of an asset that you issue.
    AssetProfile(Uai),
    /// Whom you owe an asset.
    Obligations(Uai),
}

/// What a member answers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// Signed by the bank of the name; whoever asked verifies it.
    Name(SignedNameRecord),
    /// The ledger.
    OfferAccount(Account),
    /// The profile, whose hash is in the asset's identifier.
    AssetProfile(Box<AssetProfile>),
    /// What is owed to whom, and over which ledger it can be netted.
    Obligations(Owing),
}

/// What a member that takes part in netting owes in one asset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Owing {
    /// Its transit ledger.
    pub transit: Option<Ubi>,
    /// Creditors and what is owed to each.
    pub creditors: Bounded<(Domain, Amount), CREDITORS>,
}

impl Answer {
    /// Whether it is an answer to this kind of question.
    fn fits(&self, question: &Question) -> bool {
        match question {
            Question::Name(_) => matches!(self, Self::Name(_)),
            Question::OfferAccount(_) => matches!(self, Self::OfferAccount(_)),
            Question::AssetProfile(_) => matches!(self, Self::AssetProfile(_)),
            Question::Obligations(_) => matches!(self, Self::Obligations(_)),
        }
    }
}

#[derive(Debug, Encode, Decode)]
enum Reply {
    Answered(Answer),
    Refused(Refusal),
}

/// Domains that somebody wants to ask now, to be connected.
#[derive(Debug, Default)]
pub struct Wanted(Mutex<BTreeMap<Domain, u32>>);

impl Wanted {
    /// Who is wanted now.
    pub fn domains(&self) -> Vec<Domain> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    fn count(&self, domain: &Domain, more: bool) {
        let mut wanted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = wanted.entry(domain.clone()).or_default();
        *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
        if *count == 0 {
            wanted.remove(domain);
        }
    }
}

/// One wish to be connected, as long as it lives.
struct Wish<'a>(&'a Wanted, &'a Domain);

impl<'a> Wish<'a> {
    fn new(wanted: &'a Wanted, domain: &'a Domain) -> Self {
        wanted.count(domain, true);
        Self(wanted, domain)
    }
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        self.0.count(self.1, false);
    }
}

/// Asks and answers.
pub struct Asker {
    shared: Arc<Shared>,
    control: libp2p_stream::Control,
    tasks: TaskTracker,
    served: Arc<Semaphore>,
    asked: Semaphore,
    rates: Mutex<Buckets>,
}

impl Asker {
    /// Answers on `tasks` until the mesh stops.
    ///
    /// # Errors
    /// `Q-2013` when the protocol is served already.
    pub fn start(
        shared: Arc<Shared>,
        control: libp2p_stream::Control,
        tasks: TaskTracker,
    ) -> Result<Arc<Self>, Refusal> {
        let asker = Arc::new(Self {
            shared,
            control: control.clone(),
            tasks: tasks.clone(),
            served: Arc::new(Semaphore::new(SERVED)),
            asked: Semaphore::new(ASKED),
            rates: Mutex::new(Buckets::new(RATE, RATE_ALL)),
        });
        let incoming = control
            .clone()
            .accept(ASK)
            .map_err(|error| Refusal::new(Code::MeshStopped, error.to_string()))?;
        tasks.spawn(asker.clone().accept(incoming));
        Ok(asker)
    }

    async fn accept(self: Arc<Self>, mut incoming: libp2p_stream::IncomingStreams) {
        loop {
            let next = tokio::select! {
                () = self.shared.stop.cancelled() => return,
                next = incoming.next() => next,
            };
            let Some((peer, stream)) = next else { return };
            self.serve(peer, stream);
        }
    }

    fn serve(self: &Arc<Self>, peer: PeerId, mut stream: Stream) {
        let Some(domain) = self.shared.roster.domain(&peer) else { return };
        let taken = self.rates.lock().unwrap_or_else(PoisonError::into_inner).take(&domain);
        if taken.is_err() {
            self.shared.offend_quietly(&domain, Offence::TooFast);
            return;
        }
        // Full: the stream is dropped, and the peer asks again later.
        let Ok(room) = self.served.clone().try_acquire_owned() else { return };
        let asker = self.clone();
        self.tasks.spawn(async move {
            let answered = tokio::select! {
                () = asker.shared.stop.cancelled() => return,
                answered = timeout(ANSWER, asker.reply(&domain, &mut stream)) => answered,
            };
            match answered {
                Ok(Ok(())) => asker.shared.counters.questions_answered.one(),
                Ok(Err(refusal)) => {
                    tracing::debug!(%domain, %refusal, "a question is not answered")
                }
                Err(_) => tracing::debug!(%domain, "a question is not answered in time"),
            }
            drop(room);
        });
    }

    async fn reply(&self, domain: &Domain, stream: &mut Stream) -> Result<(), Refusal> {
        let question = packet::read(stream, QUESTION_BYTES)
            .await
            .and_then(|bytes| codec::decode::<Question, QUESTION_BYTES>(&bytes))
            .inspect_err(|refusal| {
                self.shared.counters.bad_requests.one();
                self.shared.offend(domain, Offence::BadRequest, &refusal.to_string());
            })?;
        let reply = match self.shared.host.answer(domain, question).await {
            Ok(answer) => Reply::Answered(answer),
            Err(refusal) => {
                tracing::debug!(%domain, %refusal, "a question is refused");
                Reply::Refused(refusal)
            }
        };
        packet::write(stream, &codec::encode(&reply)).await?;
        packet::close(stream).await
    }

    /// Asks a member; connects to it first where there is no connection.
    ///
    /// # Errors
    /// `Q-1205` no such member; `Q-2007` not reached or not answered in time; `Q-1803` too many
    /// questions of ours are under way; `Q-2506` an answer to another question; else what the
    /// peer refused with.
    pub async fn ask(&self, domain: &Domain, question: &Question) -> Result<Answer, Refusal> {
        let Ok(_room) = self.asked.try_acquire() else {
            refuse!(QueueFull, "questions to members");
        };
        let stopped = || Refusal::new(Code::MeshStopped, "the mesh");
        let answer = tokio::select! {
            () = self.shared.stop.cancelled() => return Err(stopped()),
            answer = timeout(PATIENCE, self.ask_connected(domain, question)) => answer,
        };
        answer.unwrap_or_else(|_| {
            // Somebody of whom nobody has told us in all that time.
            self.shared.host.directory().member(domain)?;
            Err(Refusal::new(Code::SessionStalled, format!("{domain} in {PATIENCE:?}")))
        })
    }

    async fn ask_connected(&self, domain: &Domain, question: &Question) -> Result<Answer, Refusal> {
        let peer = self.connected(domain).await;
        let reply = match timeout(ANSWER, self.exchange(peer, question)).await {
            Ok(reply) => reply?,
            Err(_) => refuse!(SessionStalled, "no answer of {domain} in {ANSWER:?}"),
        };
        let bad = |refusal: &Refusal| {
            self.shared.offend(domain, Offence::BadPage, &refusal.to_string());
        };
        let reply = codec::decode::<Reply, ANSWER_BYTES>(&reply).inspect_err(bad)?;
        match reply {
            Reply::Refused(refusal) => Err(refusal),
            Reply::Answered(answer) if answer.fits(question) => Ok(answer),
            Reply::Answered(_) => {
                let refusal = Refusal::new(Code::OtherAnswer, format!("of {domain}"));
                bad(&refusal);
                Err(refusal)
            }
        }
    }

    /// The peer's node, once it is connected. The caller's patience bounds the wait.
    async fn connected(&self, domain: &Domain) -> PeerId {
        if let Some(peer) = self.shared.roster.connected(domain) {
            return peer;
        }
        let _wish = Wish::new(&self.shared.asked, domain);
        let begun = Instant::now();
        loop {
            tokio::time::sleep(LOOK).await;
            if let Some(peer) = self.shared.roster.connected(domain) {
                tracing::debug!(%domain, waited = ?begun.elapsed(), "connected to ask");
                return peer;
            }
        }
    }

    async fn exchange(&self, peer: PeerId, question: &Question) -> Result<Vec<u8>, Refusal> {
        let mut stream = self
            .control
            .clone()
            .open_stream(peer, ASK)
            .await
            .map_err(|error| Refusal::new(Code::SessionStalled, error.to_string()))?;
        packet::write(&mut stream, &codec::encode(question)).await?;
        packet::read(&mut stream, ANSWER_BYTES).await
    }
}
