//! Handing orders in, over few connections that stay open.
//!
//! Each worker takes what waits for its bank, as much as goes into one request, and sends it. How
//! orders travel is behind [`Gate`], so that it can be changed without the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use quadrille_node::api::dto::{HandedIn, Receipt};
use quadrille_node::client::{Client, ClientError};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::book::{Handed, Part, Posting};
use super::run::Note;

/// Workers at each bank: each has one request on its way.
const WORKERS: usize = 16;
/// Orders in one request at most: what has come together by the time a worker is free.
const AT_ONCE: usize = 64;
/// How long one answer may take before the order is sent again.
const ANSWER: Duration = Duration::from_secs(10);
/// HTTP statuses that mean "later": too many requests, unavailable, timed out.
const LATER: [u16; 3] = [429, 503, 504];

/// A way of handing orders in to one bank.
struct Gate {
    /// One for each trader.
    clients: Vec<Client>,
    next: AtomicUsize,
}

impl Gate {
    fn new(traders: &[Client]) -> Self {
        let clients = traders.iter().map(|client| client.clone().with_timeout(ANSWER)).collect();
        Self { clients, next: AtomicUsize::new(0) }
    }

    /// The trader whose turn it is, for no trader may hand in too many.
    fn trader(&self) -> Option<&Client> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.clients.get(turn % self.clients.len().max(1))
    }

    /// Hands them in; what became of each, in order.
    async fn hand_in(&self, postings: Vec<Posting>) -> Vec<(Posting, Handed)> {
        let Some(client) = self.trader() else { return Vec::new() };
        let (mut heads, mut orders) = (Vec::new(), Vec::new());
        for Posting { trade, which, part } in postings {
            let Part { seat, id, order } = part;
            heads.push((trade, which, seat, id));
            orders.push(order);
        }
        let handed = match orders.as_slice() {
            [order] => vec![client.order(order).await.map_or_else(|it| judged(&it), accepted)],
            orders => match client.orders(orders).await {
                Ok(items) => items.into_iter().map(item).collect(),
                Err(error) => orders.iter().map(|_| judged(&error)).collect(),
            },
        };
        let posting = |((trade, which, seat, id), order)| {
            let part = Part { seat, id, order };
            Posting { trade, which, part }
        };
        heads.into_iter().zip(orders).map(posting).zip(handed).collect()
    }
}

fn accepted(_: Receipt) -> Handed {
    Handed::Accepted
}

fn item(item: HandedIn) -> Handed {
    match item {
        HandedIn::Accepted { receipt } => accepted(receipt),
        HandedIn::Problem { problem } => judged(&ClientError::Refused(Box::new(problem))),
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
        // More than the bank reads at once, or the like: no repetition helps.
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
    let (queue, gate) = (Arc::new(Mutex::new(queue)), Arc::new(Gate::new(traders)));
    for _ in 0..WORKERS {
        tasks.spawn(work(Arc::clone(&gate), Arc::clone(&queue), inbox.clone()));
    }
}

async fn work(
    gate: Arc<Gate>,
    queue: Arc<Mutex<mpsc::Receiver<Posting>>>,
    inbox: mpsc::Sender<Note>,
) {
    loop {
        let mut postings = Vec::with_capacity(AT_ONCE);
        if queue.lock().await.recv_many(&mut postings, AT_ONCE).await == 0 {
            return;
        }
        let answers = gate.hand_in(postings).await;
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
