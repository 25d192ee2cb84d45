//! What every handler has at hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::types::{Height, Ubi};
use quadrille_protocol::validator::{Command, Validator};
use tokio::sync::{Semaphore, watch};

use super::dto::Receipt;
use super::holders::HolderPolicy;
use super::idempotency::Memory;
use super::ports::{Core, History, Mesh, Payer};
use super::problem::{Answered, ApiError};
use super::rate::{Buckets, Rate};
use super::tokens::Tokens;
use crate::engine::Answer;
use crate::hooks::Hooks;
use crate::telemetry::{Levels, Metrics};
use crate::vault::Vault;

/// How long a question about the past waits for the index to come to what is durable now.
const INDEX_WAIT: Duration = Duration::from_secs(2);

/// What the operator sets.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiSettings {
    /// Where to listen; port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// Open connections.
    pub connections: usize,
    /// Requests in progress.
    pub in_flight: usize,
    /// Subscribers of events.
    pub subscribers: usize,
    /// How long an answer may take.
    pub answer_timeout: Duration,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a request's head may take to arrive, and a connection may be idle.
    pub head_timeout: Duration,
    /// How long a reader of an answer may take nothing of it before it is disconnected.
    pub stall_timeout: Duration,
    /// Orders per token.
    pub orders: Rate,
    /// Refused orders per ledger.
    pub refused: Rate,
    /// `Settings::reveal_margin_ms` of the validator, to say when an initiator gives up.
    pub reveal_margin_ms: u64,
    /// Which keys and tiers customers may have.
    pub holders: HolderPolicy,
    /// Batches that the index may be behind before the node says that it is not ready.
    pub index_lag: u64,
}

impl ApiSettings {
    /// The defaults, at this address.
    #[must_use]
    pub fn at(listen: SocketAddr) -> Self {
        Self {
            listen,
            connections: 1024,
            in_flight: 1024,
            subscribers: 64,
            answer_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            orders: Rate { per_second: 5_000.0, burst: 10_000.0 },
            refused: Rate { per_second: 1.0, burst: 64.0 },
            reveal_margin_ms: limits::REVEAL_MARGIN_MS,
            holders: HolderPolicy::any(),
            index_lag: 1024,
        }
    }
}

/// The rest of the node, as the HTTP interface sees it.
#[derive(Clone)]
pub struct Node {
    /// The engine.
    pub core: Arc<dyn Core>,
    /// Who finds the ways of payments.
    pub payer: Arc<dyn Payer>,
    /// The past.
    pub history: History,
    /// The mesh.
    pub mesh: Arc<dyn Mesh>,
    /// Holders' personal data, sealed.
    pub vault: Arc<Vault>,
    /// Who may use the interface.
    pub tokens: Arc<Tokens>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is logged.
    pub levels: Levels,
    /// Events that are posted to other systems.
    pub hooks: Hooks,
}

/// What every handler has at hand.
pub(super) struct Api {
    pub settings: ApiSettings,
    pub node: Node,
    pub memory: Memory,
    pub orders: Buckets<Arc<str>>,
    pub refused: Buckets<Ubi>,
    pub in_flight: Semaphore,
    pub subscribers: Arc<Semaphore>,
    pub started: Instant,
}

/// The state of the router.
pub(super) type Shared = Arc<Api>;

impl Api {
    pub fn new(settings: ApiSettings, node: Node) -> Shared {
        Arc::new(Self {
            memory: Memory::default(),
            orders: Buckets::new(settings.orders),
            refused: Buckets::new(settings.refused),
            in_flight: Semaphore::new(settings.in_flight),
            subscribers: Arc::new(Semaphore::new(settings.subscribers)),
            started: Instant::now(),
            settings,
            node,
        })
    }

    /// Looks at the state. The answer is durable.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Validator) -> T + Send + 'static,
    ) -> Answered<T> {
        let (send, mut receive) = tokio::sync::oneshot::channel();
        let look = Box::new(move |validator: &Validator| {
            let _ = send.send(look(validator));
        });
        self.node.core.look(look).await.map_err(ApiError::of_look)?;
        receive.try_recv().map_err(|_| ApiError::new(Code::NotReady, "the engine has stopped"))
    }

    /// Asks the past, on a thread where waiting for the disk is no harm.
    pub async fn past<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&History) -> Result<T, Refusal> + Send + 'static,
    ) -> Answered<T> {
        let history = self.node.history.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&history)).await;
        let stopped = |_| ApiError::new(Code::NotReady, "the node is stopping");
        Ok(asked.map_err(stopped)??)
    }

    /// Waits for the index to come to `height`, so that what it does not know is not there.
    pub async fn indexed(&self, height: Height) -> Answered<()> {
        let wait = self.node.history.index.wait_for(height);
        match tokio::time::timeout(INDEX_WAIT, wait).await {
            Ok(reached) => Ok(reached?),
            Err(_) => {
                let indexed = self.node.history.index.indexed();
                Err(ApiError::new(Code::NotReady, format!("index at {indexed} of {height}")))
            }
        }
    }

    /// Waits for the index to come to what is durable at this moment.
    pub async fn up_to_date(&self) -> Answered<Height> {
        let height = self.look(|validator| validator.state().height).await?;
        self.indexed(height).await?;
        Ok(height)
    }

    /// Has an operator's command carried out.
    pub async fn command(&self, command: Command) -> Answered<Receipt> {
        Ok(receipt(self.node.core.command(command).await?))
    }
}

/// The receipt for an accepted change.
pub(super) fn receipt(answer: Answer) -> Receipt {
    let Answer { accepted, height } = answer;
    Receipt {
        order: accepted.order,
        ledger: accepted.ledger,
        settlement: accepted.settlement,
        height,
        leaf: accepted.leaf,
        repeated: accepted.repeated,
    }
}

/// Waits until the node stops.
pub(super) async fn stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that whoever could say so is gone, which comes to the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
