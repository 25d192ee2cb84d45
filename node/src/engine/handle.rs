//! How the rest of the node talks to the engine.

use std::sync::Arc;

use quadrille_protocol::crypto::suite::{HybridSignatures, PublicKey};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::Directory;
use quadrille_protocol::ledger::{SignedOpening, SignedOrder};
use quadrille_protocol::types::{Height, KeyId, Network};
use quadrille_protocol::validator::{Accepted, Command, Input, Validator};
use tokio::sync::{mpsc, oneshot};

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

/// A request with somebody waiting for it.
pub(crate) enum Request {
    /// An order.
    Order(SignedOrder),
    /// An opening.
    Open(SignedOpening),
    /// A command.
    Command(Command),
}

type Deliver = Box<dyn FnOnce() + Send>;
type Look = Box<dyn FnOnce(&Validator) -> Deliver + Send>;

/// What goes into the engine's queue.
pub(crate) enum Job {
    /// An input nobody waits for.
    Input(Input),
    /// A request.
    Request(Request, oneshot::Sender<Result<Answer, Refusal>>),
    /// A look at the state; its result is delivered once all that it saw is durable.
    Read(Look),
}

/// The engine, to be shared.
#[derive(Clone)]
pub struct Engine {
    pub(crate) jobs: mpsc::Sender<Job>,
    pub(crate) shared: Arc<Shared>,
}

/// What everybody may look at without asking the loop.
pub(crate) struct Shared {
    pub(crate) network: Network,
    pub(crate) directory: arc_swap::ArcSwap<Directory>,
}

impl Engine {
    /// The members known now.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        self.shared.directory.load_full()
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.shared.network
    }

    /// A holder's public key.
    #[must_use]
    pub fn holder_key(&self, _id: &KeyId) -> Option<PublicKey> {
        None
    }

    /// Hands in a verified input; waits while the queue is full.
    ///
    /// # Errors
    /// [`EngineError::Unknown`] when the engine has stopped.
    pub async fn put(&self, input: Input) -> Result<(), EngineError> {
        self.jobs.send(Job::Input(input)).await.map_err(|_| EngineError::Unknown)
    }

    /// Verifies an order and has it decided.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn order(&self, order: SignedOrder) -> Result<Answer, EngineError> {
        self.request(Request::Order(order)).await
    }

    /// Verifies an opening, which the bank has approved, and has it decided.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn open(&self, opening: SignedOpening) -> Result<Answer, EngineError> {
        let _ = HybridSignatures;
        self.request(Request::Open(opening)).await
    }

    /// Has an operator's command carried out.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn command(&self, command: Command) -> Result<Answer, EngineError> {
        self.request(Request::Command(command)).await
    }

    /// Looks at the state. What is returned was durable before it is.
    ///
    /// # Errors
    /// [`EngineError::Busy`] or [`EngineError::Unknown`].
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Validator) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let (send, receive) = oneshot::channel();
        let look: Look = Box::new(move |validator| {
            let found = look(validator);
            Box::new(move || {
                let _ = send.send(found);
            })
        });
        self.enqueue(Job::Read(look))?;
        receive.await.map_err(|_| EngineError::Unknown)
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

/// What a busy engine answers.
#[must_use]
pub fn busy() -> Refusal {
    Refusal::new(Code::QueueFull, "the engine's queue is full")
}
