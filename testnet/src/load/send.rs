//! Handing orders in, over few connections that stay open.
//!
//! Each worker takes what waits for its bank, as much as goes into one request, and sends it. How
//! orders travel is behind [`Gate`], so that it can be changed without the rest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quadrille_node::client::{Client, ClientError};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::book::{Handed, Posting};
use super::run::Note;

/// Workers at each bank: each has one request on its way.
const WORKERS: usize = 64;
/// How long one answer may take before the order is sent again.
const ANSWER: Duration = Duration::from_secs(10);
/// HTTP statuses that mean "later": too many requests, unavailable, timed out.
const LATER: [u16; 3] = [429, 503, 504];

/// A way of handing orders in to one bank.
#[derive(Clone)]
pub(super) struct Gate {
    client: Client,
}

impl Gate {
    /// Orders in one request.
    const AT_ONCE: usize = 1;

    pub fn new(client: Client) -> Self {
        Self { client: client.with_timeout(ANSWER) }
    }

    /// Hands them in; what became of each, in order.
    async fn hand_in(&self, postings: &[Posting]) -> Vec<Handed> {
        let mut handed = Vec::with_capacity(postings.len());
        for posting in postings {
            handed.push(match self.client.order(&posting.part.order).await {
                Ok(_) => Handed::Accepted,
                Err(error) => judged(&error),
            });
        }
        handed
    }
}

/// What an error means for the order that it is about.
fn judged(error: &ClientError) -> Handed {
    match error {
        ClientError::Refused(problem) if LATER.contains(&problem.status) => Handed::Again,
        ClientError::Refused(problem) => Handed::Refused(problem.code.clone()),
        ClientError::Unreachable(_) | ClientError::Unknown(_) | ClientError::BadAnswer(_) => {
            Handed::Again
        }
        ClientError::BadRequest(refusal) => Handed::Refused(refusal.code.to_string()),
    }
}

/// Starts the workers of one bank, which take from `queue` and report to `inbox`.
pub(super) fn start(
    tasks: &mut JoinSet<()>,
    traders: &[Client],
    queue: mpsc::Receiver<Posting>,
    inbox: &mpsc::Sender<Note>,
) {
    let queue = Arc::new(Mutex::new(queue));
    let gates: Vec<Gate> = traders.iter().cloned().map(Gate::new).collect();
    for gate in gates.iter().cycle().take(if gates.is_empty() { 0 } else { WORKERS }) {
        let (gate, queue, inbox) = (gate.clone(), Arc::clone(&queue), inbox.clone());
        tasks.spawn(work(gate, queue, inbox));
    }
}

async fn work(gate: Gate, queue: Arc<Mutex<mpsc::Receiver<Posting>>>, inbox: mpsc::Sender<Note>) {
    loop {
        let mut postings = Vec::with_capacity(Gate::AT_ONCE);
        let taken = queue.lock().await.recv_many(&mut postings, Gate::AT_ONCE).await;
        if taken == 0 {
            return;
        }
        let handed = gate.hand_in(&postings).await;
        let answers = postings.into_iter().zip(handed).collect();
        if inbox.send(Note::Answered(Instant::now(), answers)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use quadrille_node::api::dto::Problem;
    use quadrille_protocol::error::{Code, Refusal};

    use super::*;

    #[test]
    fn an_order_without_an_answer_is_sent_again_and_a_refused_one_is_not() {
        let refused = |status, code| {
            let problem = Problem::new(status, &Refusal::new(code, ""));
            judged(&ClientError::Refused(Box::new(problem)))
        };
        assert!(matches!(refused(429, Code::TooManyOrders), Handed::Again));
        assert!(matches!(refused(503, Code::Overloaded), Handed::Again));
        let why = |handed| match handed {
            Handed::Refused(code) => code,
            Handed::Accepted | Handed::Again => String::new(),
        };
        assert_eq!(why(refused(422, Code::NonceUsed)), Code::NonceUsed.to_string());
        for error in [ClientError::Unreachable, ClientError::Unknown, ClientError::BadAnswer] {
            assert!(matches!(judged(&error("gone".to_owned())), Handed::Again));
        }
    }
}
