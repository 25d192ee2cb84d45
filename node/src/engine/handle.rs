//! How the rest of the node talks to the engine.

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::future::join_all;
use quadrille_protocol::crypto::suite::{HybridSignatures, PublicKey};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::Directory;
use quadrille_protocol::ledger::order::Action;
use quadrille_protocol::ledger::{SignedOpening, SignedOrder, VerifiedOpening, VerifiedOrder};
use quadrille_protocol::log::{Evidence, VerifiedEvidence};
use quadrille_protocol::payment::Plan;
use quadrille_protocol::types::{Domain, Height, KeyId, Network};
use quadrille_protocol::validator::{Accepted, Command, Input, Validator};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::keys::HolderKeys;
use super::verify::Verifier;
use super::{Counters, PAGES_KIB};
use crate::relations::Relations;

/// Orders of one request that are verified in one go: enough that handing them to a worker costs
/// little, few enough that all workers have some.
const ORDERS_AT_ONCE: usize = 32;

/// What was accepted, and where it stands in the log; it is durable and signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What was accepted.
    pub accepted: Accepted,
    /// The batch that holds it; `None` when nothing was written (a repetition).
    pub height: Option<Height>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineError {
    /// Refused, for good: the reason is in the log where an order was refused.
    Refused(Refusal),
    /// Too much waits; nothing was done, try again.
    Busy,
    /// The node stopped before the answer: the outcome is unknown until the same order is
    /// sent again or its id is looked up.
    Unknown,
}

impl From<Refusal> for EngineError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl EngineError {
    /// As a coded refusal, for whoever can show nothing else.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Busy => Refusal::new(Code::QueueFull, "the engine's queue is full"),
            Self::Unknown => Refusal::new(Code::NotLive, "the node is going down"),
        }
    }
}

/// A request with somebody waiting for it, verified.
pub(crate) enum Request {
    Order(Box<VerifiedOrder>),
    Pay(Box<VerifiedOrder>, Box<Plan>),
    Open(Box<VerifiedOpening>),
    Command(Command),
}

/// Gives somebody the result of a look at the state.
pub(crate) type Deliver = Box<dyn FnOnce() + Send>;
/// A look at the state.
pub(crate) type Look = Box<dyn FnOnce(&Validator) -> Deliver + Send>;
pub(crate) type Waiting = oneshot::Sender<Result<Answer, Refusal>>;

/// What goes into the engine's queue.
pub(crate) enum Job {
    /// An input nobody waits for; a page with its share of the room for pages.
    Input(Input, Option<OwnedSemaphorePermit>),
    /// A request.
    Request(Request, Waiting),
    /// A look at the state; its result is delivered once all that it saw is durable.
    Look(Look),
    /// A command in a turn of its own, and a look right after it.
    CommandAndLook(Command, Waiting, Look),
    /// The last job: both threads end after it.
    Stop,
}

/// What everybody may look at without asking the loop.
pub(crate) struct Shared {
    network: Network,
    domain: Domain,
    pub(super) directory: ArcSwap<Directory>,
    pub(super) relations: ArcSwap<Relations>,
    keys: HolderKeys,
    verifier: Verifier,
    counters: Arc<Counters>,
    /// Room for pages, in kilobytes.
    room: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(
        validator: &Validator,
        keys: HolderKeys,
        verifier: Verifier,
        counters: Arc<Counters>,
    ) -> Self {
        let state = validator.state();
        Self {
            network: state.network.clone(),
            domain: state.domain.clone(),
            directory: ArcSwap::from_pointee(state.directory.clone()),
            relations: ArcSwap::from_pointee(Relations::of(state)),
            keys,
            verifier,
            counters,
            room: Arc::new(Semaphore::new(PAGES_KIB)),
        }
    }
}

/// The engine, to be shared. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
}

impl Engine {
    pub(super) fn new(jobs: mpsc::Sender<Job>, shared: Arc<Shared>) -> Self {
        Self { jobs, shared }
    }

    /// The members known now.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        self.shared.directory.load_full()
    }

    /// How we stand to other domains now.
    #[must_use]
    pub fn relations(&self) -> Arc<Relations> {
        self.shared.relations.load_full()
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.shared.network
    }

    /// Our domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.shared.domain
    }

    /// Where signatures are checked.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.shared.verifier
    }

    /// Figures since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Jobs waiting now.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.jobs.max_capacity().saturating_sub(self.jobs.capacity())
    }

    /// A holder's public key.
    #[must_use]
    pub fn holder_key(&self, id: &KeyId) -> Option<PublicKey> {
        self.shared.keys.get(id)
    }

    /// Hands in a verified input; waits while the queue, or the room for pages, is full.
    ///
    /// # Errors
    /// [`EngineError::Unknown`] when the engine has stopped.
    pub async fn put(&self, input: Input) -> Result<(), EngineError> {
        let room = match kilobytes(&input) {
            0 => None,
            needed => {
                let room = self.shared.room.clone().acquire_many_owned(needed).await;
                Some(room.map_err(|_| EngineError::Unknown)?)
            }
        };
        self.jobs.send(Job::Input(input, room)).await.map_err(|_| EngineError::Unknown)
    }

    /// Verifies an order and has it decided.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn order(&self, order: SignedOrder) -> Result<Answer, EngineError> {
        let shared = self.shared.clone();
        let bytes = order.order.len();
        let check = move || shared.verify_order(order);
        let verified = self.shared.verifier.run_sized(bytes, check).await?;
        self.request(Request::Order(Box::new(verified))).await
    }

    /// Verifies orders, so many at a time on each worker, and has them decided in this order.
    /// One answer for each.
    ///
    /// # Errors
    /// See [`EngineError`], of each by itself.
    pub async fn orders(&self, orders: Vec<SignedOrder>) -> Vec<Result<Answer, EngineError>> {
        let mut checks = Vec::new();
        let mut orders = orders.into_iter();
        loop {
            let some: Vec<SignedOrder> = orders.by_ref().take(ORDERS_AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            let (shared, count) = (self.shared.clone(), some.len());
            let check = move || {
                Ok(some.into_iter().map(|order| shared.verify_order(order)).collect::<Vec<_>>())
            };
            checks.push((count, self.shared.verifier.run(check)));
        }
        let (counts, checks): (Vec<_>, Vec<_>) = checks.into_iter().unzip();
        let mut waiting = Vec::new();
        for (count, checked) in counts.into_iter().zip(join_all(checks).await) {
            let verified = checked.unwrap_or_else(|refusal| vec![Err(refusal); count]);
            waiting.extend(verified.into_iter().map(|verified| {
                let (send, receive) = oneshot::channel();
                self.enqueue(Job::Request(Request::Order(Box::new(verified?)), send))?;
                Ok::<_, EngineError>(receive)
            }));
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for waiting in waiting {
            answers.push(match waiting {
                Ok(receive) => match receive.await {
                    Ok(answer) => answer.map_err(EngineError::from),
                    Err(_) => Err(EngineError::Unknown),
                },
                Err(error) => Err(error),
            });
        }
        answers
    }

    /// Verifies a payment to another bank and has it decided and made by `plan`.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn pay(&self, order: SignedOrder, plan: Plan) -> Result<Answer, EngineError> {
        let shared = self.shared.clone();
        let check = move || shared.verify_order(order);
        let verified = self.shared.verifier.run(check).await?;
        self.request(Request::Pay(Box::new(verified), Box::new(plan))).await
    }

    /// Verifies an opening, which the bank has approved, and has it decided.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn open(&self, opening: SignedOpening) -> Result<Answer, EngineError> {
        let check = move || opening.verify(&HybridSignatures);
        let verified = self.shared.verifier.run(check).await?;
        let opening = &verified.signed().opening;
        if opening.network != *self.network() {
            let refusal = Refusal::new(Code::WrongNetwork, opening.network.to_string());
            return Err(EngineError::Refused(refusal));
        }
        self.shared.keys.note(&opening.key);
        if let Some(second) = &opening.rules.second_key {
            self.shared.keys.note(second);
        }
        self.request(Request::Open(Box::new(verified))).await
    }

    /// Has an operator's command carried out.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn command(&self, command: Command) -> Result<Answer, EngineError> {
        self.request(Request::Command(command)).await
    }

    /// Verifies evidence of a record of our own that we have lost, and hands it in: it is taken
    /// while recovering.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn give_back(&self, evidence: Evidence) -> Result<(), EngineError> {
        let (directory, network) = (self.directory(), self.network().clone());
        let check =
            move || VerifiedEvidence::check(evidence, &network, &directory, &HybridSignatures);
        let verified = self.shared.verifier.run(check).await?;
        self.put(Input::ReturnedEvidence(Box::new(verified))).await
    }

    /// Has a command carried out in a turn of its own and looks at the state right after it,
    /// before anything else can change it.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn command_and_read<T: Send + 'static>(
        &self,
        command: Command,
        look: impl FnOnce(&Validator) -> T + Send + 'static,
    ) -> Result<(Answer, T), EngineError> {
        let (answered, answer) = oneshot::channel();
        let (look, found) = boxed(look);
        self.enqueue(Job::CommandAndLook(command, answered, look))?;
        let answer = answer.await.map_err(|_| EngineError::Unknown)??;
        Ok((answer, found.await.map_err(|_| EngineError::Unknown)?))
    }

    /// Looks at the state. What is returned was durable before it is.
    ///
    /// # Errors
    /// [`EngineError::Busy`] or [`EngineError::Unknown`].
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Validator) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let (look, found) = boxed(look);
        self.enqueue(Job::Look(look))?;
        found.await.map_err(|_| EngineError::Unknown)
    }

    /// Asks the engine to end after everything that waits now.
    pub async fn stop(&self) {
        // An engine that has stopped already takes nothing, which is as well.
        let _ = self.jobs.send(Job::Stop).await;
    }

    async fn request(&self, request: Request) -> Result<Answer, EngineError> {
        let (send, receive) = oneshot::channel();
        self.enqueue(Job::Request(request, send))?;
        Ok(receive.await.map_err(|_| EngineError::Unknown)??)
    }

    fn enqueue(&self, job: Job) -> Result<(), EngineError> {
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => EngineError::Busy,
            mpsc::error::TrySendError::Closed(_) => EngineError::Unknown,
        })
    }
}

impl Shared {
    fn verify_order(&self, order: SignedOrder) -> Result<VerifiedOrder, Refusal> {
        let unknown =
            |id: &KeyId| Refusal::new(Code::WrongKey, format!("{id} is known to no ledger"));
        let key = self.keys.get(&order.key).ok_or_else(|| unknown(&order.key))?;
        let second = match &order.second {
            Some((id, _)) => Some(self.keys.get(id).ok_or_else(|| unknown(id))?),
            None => None,
        };
        let verified = order.verify(&self.network, &key, second.as_ref(), &HybridSignatures)?;
        match &verified.order().action {
            Action::RotateKey { key } => self.keys.note(key),
            Action::Amend(rules) => {
                if let Some(second) = &rules.second_key {
                    self.keys.note(second);
                }
            }
            Action::Pay(_)
            | Action::Offer(_)
            | Action::Take { .. }
            | Action::Cancel { .. }
            | Action::Redeem { .. }
            | Action::Close => {}
        }
        Ok(verified)
    }
}

/// The room that an input needs; none for what is small.
fn kilobytes(input: &Input) -> u32 {
    match input {
        Input::Frame { frame, .. } | Input::Returned { frame, .. } => {
            u32::try_from(frame.bytes().len().div_ceil(1024)).unwrap_or(u32::MAX)
        }
        Input::Tick
        | Input::Order { .. }
        | Input::Pay { .. }
        | Input::Open { .. }
        | Input::Command { .. }
        | Input::Message { .. }
        | Input::Connected(_)
        | Input::Notice(_)
        | Input::Notices(_)
        | Input::ReturnedEvidence(_)
        | Input::Shown(_)
        | Input::NeverDecided { .. } => 0,
    }
}

fn boxed<T: Send + 'static>(
    look: impl FnOnce(&Validator) -> T + Send + 'static,
) -> (Look, oneshot::Receiver<T>) {
    let (send, receive) = oneshot::channel();
    let look: Look = Box::new(move |validator| {
        let found = look(validator);
        Box::new(move || {
            // Whoever asked may have gone.
            let _ = send.send(found);
        })
    });
    (look, receive)
}
