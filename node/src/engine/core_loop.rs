//! The loop around the core: gathers what waits, takes a turn, hands its effects on.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::{Batch, Record};
use quadrille_protocol::types::Time;
use quadrille_protocol::validator::{Effect, Effects, Input, RequestId, Validator};
use rand::TryRng;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::handle::{Deliver, Job, Look, Request, Shared, Waiting};
use super::sealing::{Reply, Turn};
use super::{Clock, Counters, TURN_INPUTS};
use crate::relations::Relations;

/// A batch with as many records as this is one of a busy loop: more than one trade is in it.
const BUSY_RECORDS: u32 = 32;
/// How long a busy loop lets more come together. A trade is some six turns of two banks long.
const SPACING: Duration = Duration::from_millis(4);
/// Longest wait for a job when the core wants nothing: the clock may have jumped.
const IDLE_MS: u64 = 1_000;

pub(super) struct CoreLoop {
    validator: Validator,
    jobs: mpsc::Receiver<Job>,
    seal: SyncSender<Turn>,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    /// Only for waiting with a time limit.
    timer: Runtime,
    waiting: HashMap<RequestId, Waiting>,
    next_request: u64,
    /// A job that waits for a turn of its own.
    held: Option<Job>,
}

/// How soon one turn may follow another.
///
/// Every batch costs its bank an fsync and a signature and each listener a check of it, however
/// little is in it. So a busy loop waits a moment for more; an idle one never does.
#[derive(Default)]
struct Rhythm {
    /// Until when more is waited for.
    next: Option<Instant>,
}

impl Rhythm {
    /// Waits for more to come together, if the loop is busy.
    fn keep(&mut self) {
        if let Some(next) = self.next.take() {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    /// A turn is over, and this came of it.
    fn turned(&mut self, batch: Option<&Batch>) {
        let busy = batch.is_some_and(|batch| batch.checkpoint().count >= BUSY_RECORDS);
        self.next = busy.then(|| Instant::now() + SPACING);
    }
}

/// What was gathered for one turn.
#[derive(Default)]
struct Gathered {
    inputs: VecDeque<Input>,
    looks: Vec<Look>,
    /// Given back when the turn is over.
    room: Vec<OwnedSemaphorePermit>,
    stop: bool,
}

impl CoreLoop {
    pub(super) fn new(
        validator: Validator,
        jobs: mpsc::Receiver<Job>,
        seal: SyncSender<Turn>,
        clock: Arc<dyn Clock>,
        shared: Arc<Shared>,
        counters: Arc<Counters>,
    ) -> Result<Self, Refusal> {
        let waiting = HashMap::new();
        let timer = Builder::new_current_thread().enable_time().build().map_err(|error| {
            Refusal::new(Code::NodeFault, format!("no timer for the engine: {error}"))
        })?;
        let next_request = 0;
        let held = None;
        Ok(Self {
            validator,
            jobs,
            seal,
            clock,
            shared,
            counters,
            timer,
            waiting,
            next_request,
            held,
        })
    }

    /// Runs until it is asked to stop, every handle is gone, or the core or the sealing fails.
    pub(super) fn run(mut self) -> Result<(), Refusal> {
        let mut left = VecDeque::new();
        let mut wake = Some(self.clock.now());
        let mut rhythm = Rhythm::default();
        loop {
            let first = if left.is_empty() { self.wait(wake) } else { Next::Nothing };
            rhythm.keep();
            let mut gathered =
                Gathered { inputs: std::mem::take(&mut left), ..Gathered::default() };
            match first {
                Next::Nothing => {}
                Next::Closed => gathered.stop = true,
                Next::Job(job) => self.gather(job, &mut gathered),
            }
            let Gathered { mut inputs, looks, room, stop } = gathered;
            Counters::add(&self.counters.turns, 1);
            let before = inputs.len();
            let effects = self.turn(&mut inputs)?;
            drop(room);
            let taken = before.saturating_sub(inputs.len());
            Counters::add(&self.counters.inputs, u64::try_from(taken).unwrap_or(0));
            rhythm.turned(effects.batch.as_deref());
            wake = if effects.more { Some(self.clock.now()) } else { effects.wake };
            let delivers = looks.into_iter().map(|look| look(&self.validator)).collect();
            if self.hand_on(effects, delivers).is_err() {
                // The sealing has ended and says why.
                return Ok(());
            }
            left = inputs;
            if stop && left.is_empty() {
                return Ok(());
            }
        }
    }

    fn turn(&mut self, inputs: &mut VecDeque<Input>) -> Result<Effects, Refusal> {
        let mut entropy = [0; 32];
        rand::rngs::SysRng.try_fill_bytes(&mut entropy).map_err(|error| {
            Refusal::new(Code::NodeFault, format!("no random bytes from the system: {error}"))
        })?;
        let effects = self.validator.turn(self.clock.now(), entropy, inputs);
        let effects = effects.map_err(|fault| Refusal::new(Code::NodeFault, fault.what))?;
        if let Some(batch) = &effects.batch {
            self.publish_views(batch);
        }
        Ok(effects)
    }

    /// Waits for a job, at most until the core wants to be called.
    fn wait(&mut self, wake: Option<Time>) -> Next {
        if let Some(job) = self.held.take() {
            return Next::Job(job);
        }
        if let Ok(job) = self.jobs.try_recv() {
            return Next::Job(job);
        }
        let now = self.clock.now();
        let span = wake.map_or(IDLE_MS, |at| at.0.saturating_sub(now.0).min(IDLE_MS));
        if span == 0 {
            return Next::Nothing;
        }
        let jobs = &mut self.jobs;
        let waited = async { tokio::time::timeout(Duration::from_millis(span), jobs.recv()).await };
        match self.timer.block_on(waited) {
            Ok(Some(job)) => Next::Job(job),
            Ok(None) => Next::Closed,
            Err(_) => Next::Nothing,
        }
    }

    /// Takes in `job` and whatever else waits, in order, up to a turn's worth. A job that wants
    /// a turn of its own ends the turn before it and the one with it.
    fn gather(&mut self, job: Job, gathered: &mut Gathered) {
        let mut next = Some(job);
        while let Some(job) = next {
            if matches!(job, Job::CommandAndLook(..)) && !gathered.inputs.is_empty() {
                self.held = Some(job);
                return;
            }
            let alone = self.take(job, gathered);
            if alone || gathered.inputs.len() >= TURN_INPUTS {
                return;
            }
            next = self.jobs.try_recv().ok();
        }
    }

    /// Whether nothing else may come into this turn.
    fn take(&mut self, job: Job, gathered: &mut Gathered) -> bool {
        match job {
            Job::Input(input, room) => {
                gathered.inputs.push_back(input);
                gathered.room.extend(room);
            }
            Job::Look(look) => gathered.looks.push(look),
            Job::Request(request, waiting) => {
                let input = self.ask(request, waiting);
                gathered.inputs.push_back(input);
            }
            Job::CommandAndLook(command, waiting, look) => {
                let input = self.ask(Request::Command(command), waiting);
                gathered.inputs.push_back(input);
                gathered.looks.push(look);
                return true;
            }
            Job::Stop => {
                gathered.stop = true;
                return true;
            }
        }
        false
    }

    fn ask(&mut self, request: Request, waiting: Waiting) -> Input {
        self.next_request = self.next_request.wrapping_add(1);
        let id = RequestId(self.next_request);
        self.waiting.insert(id, waiting);
        match request {
            Request::Order(order) => Input::Order { request: id, order },
            Request::Pay(order, plan) => Input::Pay { request: id, order, plan },
            Request::Open(opening) => Input::Open { request: id, opening },
            Request::Command(command) => Input::Command { request: id, command },
        }
    }

    fn hand_on(&mut self, effects: Effects, delivers: Vec<Deliver>) -> Result<(), ()> {
        let Effects { batch, after, .. } = effects;
        let mut replies = Vec::new();
        let mut effects = Vec::with_capacity(after.len());
        for effect in after {
            match effect {
                Effect::Reply { request, result } => {
                    if let Some(waiting) = self.waiting.remove(&request) {
                        replies.push(Reply { waiting, result });
                    }
                }
                other => effects.push(other),
            }
        }
        self.seal.send(Turn { batch, effects, replies, delivers }).map_err(|_| ())
    }

    /// Makes the members and relations visible that this batch may have changed. It is not
    /// durable yet, but what is verified with them enters the core after it.
    fn publish_views(&self, batch: &Batch) {
        let mut members = false;
        let mut relations = false;
        for bytes in batch.stored().records.iter() {
            members |= Record::changes_members(bytes);
            relations |= Record::changes_relations(bytes);
        }
        let state = self.validator.state();
        if members {
            self.shared.directory.store(Arc::new(state.directory.clone()));
        }
        let known = self.shared.relations.load();
        relations |= known.partners.len() != state.peers.len();
        relations |= known.correspondents != state.books.correspondents.len();
        if relations {
            self.shared.relations.store(Arc::new(Relations::of(state)));
        }
    }
}

#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack, never kept")]
enum Next {
    Job(Job),
    Nothing,
    Closed,
}
