//! Signing orders ahead, on threads of their own: customers sign on their own machines, so that is
//! no part of what is measured.
//!
//! ```text
//!   signer 0: trades 0, 2, 4 … --> bounded queue --\
//!                                                    >--> taken in order, 0, 1, 2, 3 …
//!   signer 1: trades 1, 3, 5 … --> bounded queue --/
//! ```
//!
//! Invariants: a pair of holders is one signer's alone, so its nonces rise in the order of its
//! trades. The queues hold at most [`AHEAD_BYTES`] of orders.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::{Tag, hash};
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::{Action, Order, Payment, SignedOrder};
use quadrille_protocol::market::{OfferTerms, TakeTerms};
use quadrille_protocol::settlement::Account as Payee;
use quadrille_protocol::types::{AssetPair, Bounded, Bytes, Duration as Span, Network, OrderId};

use super::book::{Part, Signed};
use super::outcome::Signing;
use super::plan::{Kind, LoadPlan, Pace};
use super::stage::{AMOUNT, Account, Pair, Route};
use crate::local::up::now;

/// How long orders and offers stand: longer than the longest load.
const ORDER_LIFE: Span = Span(3 * 60 * 60 * 1000);
/// Orders that are kept signed, in bytes, all threads together.
const AHEAD_BYTES: usize = 1024 * 1024 * 1024;
/// Bytes of one signed order besides its signatures, at most so in these loads.
const ORDER_BYTES: usize = 1_024;
/// Bytes of a hybrid signature, rounded up.
const HYBRID_BYTES: usize = 4_096;
/// Trades that are signed before a closed loop begins, at least.
const AHEAD_LEAST: u64 = 512;
/// Signers at most.
const SIGNERS: usize = 8;
/// Before a signer whose queue is full looks again whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// Trades as they are signed.
pub(super) struct Signers {
    queues: Vec<Receiver<Signed>>,
    threads: Vec<JoinHandle<Result<(), Refusal>>>,
    next: usize,
    shared: Arc<Shared>,
    before: u64,
    total: Option<u64>,
}

/// What the signers and who takes from them know of each other.
struct Shared {
    wanted: AtomicBool,
    running: AtomicBool,
    signed: AtomicU64,
    taken: AtomicU64,
    nanos: AtomicU64,
    /// So many are kept signed.
    ahead: u64,
}

impl Shared {
    fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Whether there is enough for now: while the clock runs cores are left to the banks until
    /// little is left.
    fn is_enough(&self) -> bool {
        let (signed, taken) =
            (self.signed.load(Ordering::Relaxed), self.taken.load(Ordering::Relaxed));
        self.running.load(Ordering::Relaxed) && signed.saturating_sub(taken) > self.ahead / 4
    }
}

/// How many signers there will be: holders must be a multiple of it.
pub(super) fn signers() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get).min(SIGNERS)
}

/// What one signer does.
struct Signer {
    kind: Kind,
    network: Network,
    routes: Arc<[Route]>,
    /// Its pairs: of each route, those whose turn falls to it.
    pairs: Vec<Vec<Option<Pair>>>,
    holders: usize,
    number: usize,
    step: usize,
    total: Option<u64>,
    shared: Arc<Shared>,
}

impl Signers {
    /// Begins to sign.
    pub fn start(
        plan: &LoadPlan,
        network: &Network,
        routes: &[Route],
        pairs: Vec<Vec<Pair>>,
    ) -> Self {
        let count = signers();
        let holders = pairs.first().map_or(1, Vec::len).max(1);
        let ahead = ahead(plan);
        let depth = usize::try_from(ahead).unwrap_or(usize::MAX).div_ceil(count).max(1);
        let shared = Arc::new(Shared {
            wanted: AtomicBool::new(true),
            running: AtomicBool::new(false),
            signed: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
            ahead,
        });
        let routes: Arc<[Route]> = routes.into();
        let (mut queues, mut threads) = (Vec::new(), Vec::new());
        for (number, pairs) in deal(pairs, count).into_iter().enumerate() {
            let (to, from) = sync_channel(depth);
            let signer = Signer {
                kind: plan.kind,
                network: network.clone(),
                routes: Arc::clone(&routes),
                pairs,
                holders,
                number,
                step: count,
                total: plan.total(),
                shared: Arc::clone(&shared),
            };
            queues.push(from);
            threads.push(thread::spawn(move || signer.run(&to)));
        }
        let total = plan.total();
        Self { queues, threads, next: 0, shared, before: 0, total }
    }

    /// How far the stage before the clock's start has come, from 0 to 1.
    pub fn ready(&self) -> f64 {
        let goal =
            self.total.map_or(self.shared.ahead, |total| total.min(self.shared.ahead)).max(1);
        let signed = self.shared.signed.load(Ordering::Relaxed);
        // The queues hold a little less than what all signers have in hand.
        if self.threads.iter().all(JoinHandle::is_finished) {
            1.0
        } else {
            (signed as f64 / goal as f64).min(1.0)
        }
    }

    /// Everything up to here was signed before the clock's start.
    pub fn clock_starts(&mut self) {
        self.before = self.shared.signed.load(Ordering::Relaxed);
        self.shared.running.store(true, Ordering::Relaxed);
    }

    /// The next trade; none when there is none left or the signers are behind.
    pub fn take(&mut self) -> Option<Signed> {
        let queue = self.queues.get(self.next)?;
        match queue.try_recv() {
            Ok(signed) => {
                self.shared.taken.fetch_add(1, Ordering::Relaxed);
                self.next = self.next.saturating_add(1) % self.queues.len().max(1);
                Some(signed)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Ends the signers.
    ///
    /// # Errors
    /// Why one of them could not sign.
    pub fn end(mut self) -> Result<Signing, Refusal> {
        self.shared.wanted.store(false, Ordering::Relaxed);
        self.queues.clear();
        for thread in std::mem::take(&mut self.threads) {
            let lost = |_| Refusal::new(Code::StepFailed, "a signer was lost");
            thread.join().map_err(lost)??;
        }
        let signed = self.shared.signed.load(Ordering::Relaxed);
        Ok(Signing {
            before: self.before,
            during: signed.saturating_sub(self.before),
            seconds: Duration::from_nanos(self.shared.nanos.load(Ordering::Relaxed)).as_secs_f64(),
        })
    }
}

impl Drop for Signers {
    fn drop(&mut self) {
        self.shared.wanted.store(false, Ordering::Relaxed);
    }
}

/// How many trades are kept signed.
fn ahead(plan: &LoadPlan) -> u64 {
    let orders = if plan.kind == Kind::Dvp { 2 } else { 1 };
    let signature = if plan.suite == Suite::Ed25519 { 0 } else { HYBRID_BYTES };
    let most = AHEAD_BYTES / (orders * (ORDER_BYTES + signature));
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    let wanted = plan.total().unwrap_or_else(|| {
        let guess = plan.expected_rate() * plan.duration.as_secs_f64();
        let paused = matches!(plan.pace, Pace::Closed { pause, .. } if !pause.is_zero());
        if paused { AHEAD_LEAST } else { (guess as u64).max(AHEAD_LEAST) }
    });
    wanted.min(most)
}

/// Deals the pairs out to so many signers, as their trades will fall to them.
fn deal(pairs: Vec<Vec<Pair>>, signers: usize) -> Vec<Vec<Vec<Option<Pair>>>> {
    let routes = pairs.len();
    let mut dealt: Vec<Vec<Vec<Option<Pair>>>> =
        (0..signers).map(|_| (0..routes).map(|_| Vec::new()).collect()).collect();
    for (route, pairs) in pairs.into_iter().enumerate() {
        for (lane, pair) in pairs.into_iter().enumerate() {
            let turn = lane.saturating_mul(routes).saturating_add(route);
            let owner = turn % signers.max(1);
            let mut pair = Some(pair);
            for (number, hand) in dealt.iter_mut().enumerate() {
                if let Some(lanes) = hand.get_mut(route) {
                    lanes.push(if number == owner { pair.take() } else { None });
                }
            }
        }
    }
    dealt
}

impl Signer {
    fn run(mut self, to: &SyncSender<Signed>) -> Result<(), Refusal> {
        let routes = self.routes.len().max(1);
        let turns = routes.saturating_mul(self.holders).max(1);
        let mut number = self.number;
        while self.shared.is_wanted() {
            if self.shared.is_enough() {
                thread::sleep(LOOK);
                continue;
            }
            if self.total.is_some_and(|total| u64::try_from(number).unwrap_or(u64::MAX) >= total) {
                return Ok(());
            }
            let turn = number % turns;
            let begun = Instant::now();
            let mut next = self.sign(turn % routes, turn / routes)?;
            let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.shared.nanos.fetch_add(took, Ordering::Relaxed);
            self.shared.signed.fetch_add(1, Ordering::Relaxed);
            loop {
                match to.try_send(next) {
                    Ok(()) => break,
                    Err(TrySendError::Disconnected(_)) => return Ok(()),
                    Err(TrySendError::Full(back)) => {
                        if !self.shared.is_wanted() {
                            return Ok(());
                        }
                        next = back;
                        thread::sleep(LOOK);
                    }
                }
            }
            number = number.saturating_add(self.step);
        }
        Ok(())
    }

    fn sign(&mut self, route: usize, lane: usize) -> Result<Signed, Refusal> {
        let gone = || Refusal::new(Code::StepFailed, format!("no holders {lane} of {route}"));
        let terms = self.routes.get(route).ok_or_else(gone)?;
        let pairs = self.pairs.get_mut(route).and_then(|pairs| pairs.get_mut(lane));
        let pair = pairs.and_then(Option::as_mut).ok_or_else(gone)?;
        let (near, far) = (terms.seats.first(), terms.seats.last());
        let (near, far) = (*near.ok_or_else(gone)?, *far.ok_or_else(gone)?);
        let ledgers = [(near, pair.near.ledger), (far, pair.far.ledger)];
        match self.kind {
            Kind::Dvp => {
                let (first, main) = trade(&self.network, terms, pair, (near, far))?;
                Ok(Signed { route, lane, first: Some(first), main, ends: Some(ledgers) })
            }
            Kind::Payment | Kind::Path => {
                let domain = terms.domains.last().ok_or_else(gone)?.clone();
                let to = Payee { domain, ledger: pair.far.ledger };
                let payment = Payment::plain(to, terms.give.clone(), AMOUNT);
                let main = order(&self.network, &mut pair.near, near, Action::Pay(payment))?;
                let ends = (self.kind == Kind::Path).then_some(ledgers);
                Ok(Signed { route, lane, first: None, main, ends })
            }
        }
    }
}

/// An offer and the take of all of it.
fn trade(
    network: &Network,
    route: &Route,
    pair: &mut Pair,
    (near, far): (usize, usize),
) -> Result<(Part, Part), Refusal> {
    let expiry = now()?.after(ORDER_LIFE);
    let [maker, taker] = route.domains.as_slice() else {
        quadrille_protocol::refuse!(BadLoad, "a trade is between two banks");
    };
    let terms = OfferTerms {
        give: route.give.clone(),
        give_amount: AMOUNT,
        want: route.want.clone(),
        want_amount: AMOUNT,
        minimum_fill: AMOUNT,
        expiry,
        // To this bank alone, over the session: what is published to all is limited in number.
        counterparties: Bounded::new(vec![taker.clone()])?,
        notary: None,
        selection_window: Span(0),
        receive: None,
    };
    let first = order(network, &mut pair.near, near, Action::Offer(terms))?;
    let terms = TakeTerms {
        offer: first.id,
        maker: maker.clone(),
        take: AMOUNT,
        pay: AMOUNT,
        notary: None,
        expiry,
        receive: None,
    };
    let pair_of = AssetPair { give: route.give.clone(), want: route.want.clone() };
    let main = order(network, &mut pair.far, far, Action::Take { terms, pair: pair_of })?;
    Ok((first, main))
}

/// Signs the next order of a holder.
fn order(
    network: &Network,
    account: &mut Account,
    seat: usize,
    action: Action,
) -> Result<Part, Refusal> {
    account.nonce = account.nonce.next();
    let order = Order {
        network: network.clone(),
        ledger: account.ledger,
        nonce: account.nonce,
        expiry: now()?.after(ORDER_LIFE),
        action,
    };
    let bytes = codec::encode(&order);
    let signature = account.key.sign(Tag::Order, &bytes);
    let key = account.key.public().id();
    let signed = SignedOrder { order: Bytes::new(&bytes)?, key, signature, second: None };
    let id = OrderId(hash(Tag::Order, &[&signed.order]).0);
    Ok(Part { seat, id, order: signed })
}
