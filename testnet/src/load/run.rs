//! Running a load: one loop that hands orders out, takes in what comes back, and keeps the book.
//!
//! ```text
//!   signers --> book --> queues --> workers --> banks
//!                 ^                    |          |
//!                 +------- inbox <-----+-- event streams, answers to questions, positions
//! ```
//!
//! Invariant: every queue is bounded: the queues to the workers by the trades that may be open, the
//! inbox by [`INBOX`], behind which workers and streams wait.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Duration as Span, SettlementId, Time};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::ask;
use super::book::{Book, Handed, Posting, Said};
use super::cost::{self, Spent};
use super::hear::{self, Heard};
use super::machine::{Machine, Program};
use super::observe::{self, Faults, Seen};
use super::outcome::Stage as Doing;
use super::outcome::{DOUBTS_LISTED, Doubt, Exposure, FORMAT, NetworkFacts, Outcome, Tick};
use super::plan::{LoadPlan, OPEN, Pace};
use super::send;
use super::sign::{self, Signers};
use super::stage::{self, Stage};
use crate::local::clients;
use crate::local::layout::Layout;
use crate::local::state::{self, Bank, State};
use crate::local::up::now;

/// Notes that wait to be taken in.
const INBOX: usize = 8_192;
/// Notes that are taken in before the book is looked at again.
const NOTES_AT_ONCE: usize = 1_024;
/// Between two ticks of the progress.
const TICK: Duration = Duration::from_millis(250);
/// Shortest and longest wait for something to do.
const WAIT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));
/// Between the moment that all is ready and the clock's start.
const RUN_UP: Duration = Duration::from_millis(100);
/// Open for longer than this counts as late on the progress bar.
const LATE: Duration = Duration::from_secs(10);
/// How long what is open may take to end once the load was broken off.
const STOPPING: Duration = Duration::from_secs(10);
/// Rows that the rate of the progress bar is averaged over.
const RECENT_ROWS: usize = 3;

/// What comes back.
#[derive(Debug)]
pub(super) enum Note {
    /// Orders were handed in.
    Answered(Instant, Vec<(Posting, Handed)>),
    /// Ledgers have new entries.
    Heard(Instant, Vec<Heard>),
    /// A bank's stream is over for good.
    Deaf(String, String),
    /// A bank was asked about a trade.
    Told(Instant, u64, [Option<Said>; 2], Option<SettlementId>),
    /// What is owed.
    Exposure(usize, Instant, Seen),
}

/// Runs a load against a network that is up. `watch` is told how it goes, and breaks it off.
/// The network's lock is not needed: banks may be killed and started again meanwhile.
///
/// # Errors
/// `Q-2360` a plan that does not hold together; `Q-2361` broken off before the clock's start; what
/// the banks answer before that. After the clock's start a bank that does not answer is no error.
pub async fn run(
    layout: &Layout,
    state: &State,
    plan: &LoadPlan,
    mut watch: impl FnMut(&Tick) -> ControlFlow<()>,
) -> Result<Outcome, Refusal> {
    plan.check()?;
    let holders = plan.holders_each().next_multiple_of(sign::signers());
    let mut stage = {
        let set = Stage::set(layout, state, plan, holders);
        watched(set, Doing::Opening, &mut watch).await??
    };
    let pairs = std::mem::take(&mut stage.pairs);
    let mut signers = Signers::start(plan, &stage.network, &stage.routes, pairs);
    while signers.ready() < 1.0 {
        tokio::time::sleep(WAIT.1).await;
        let tick = Tick { stage: Doing::Signing, done: signers.ready(), ..Tick::default() };
        if watch(&tick).is_break() {
            return Err(stopped());
        }
    }
    signers.clock_starts();
    let mut load = Load::begin(layout, plan, &stage, holders, signers).await?;
    let before = load.spent(layout).await?;
    let own_before = cost::own_cpu()?;
    // The clock starts in a moment.
    let until = load.book.begun.saturating_duration_since(Instant::now());
    let wall = now()?.after(Span(u64::try_from(until.as_millis()).unwrap_or_default()));
    load.drive(&mut watch).await;
    let own_cpu = cost::own_cpu()?.saturating_sub(own_before);
    // A bank that is dead now has no figures.
    let after = load.spent(layout).await.ok();
    let settled = load.book.tally.counts.settled;
    let cost = after.and_then(|after| after.cost_since(&before, settled));
    load.outcome(state, plan, wall).await.map(|outcome| Outcome {
        cost,
        own_cpu_s: own_cpu.as_secs_f64(),
        ..outcome
    })
}

fn stopped() -> Refusal {
    Refusal::new(Code::LoadStopped, "nothing was begun")
}

/// Does something, and ticks meanwhile.
async fn watched<T>(
    doing: impl Future<Output = T>,
    stage: Doing,
    watch: &mut impl FnMut(&Tick) -> ControlFlow<()>,
) -> Result<T, Refusal> {
    let mut doing = std::pin::pin!(doing);
    loop {
        tokio::select! {
            done = &mut doing => return Ok(done),
            () = tokio::time::sleep(TICK) => {
                if watch(&Tick { stage, ..Tick::default() }).is_break() {
                    return Err(stopped());
                }
            }
        }
    }
}

struct Load<'a> {
    stage: &'a Stage,
    book: Book,
    signers: Signers,
    queues: Vec<mpsc::Sender<Posting>>,
    inbox: mpsc::Receiver<Note>,
    notes: mpsc::Sender<Note>,
    tasks: JoinSet<()>,
    exposures: Vec<Exposure>,
    faults: Faults,
    holders: usize,
    patience: Duration,
    total: Option<u64>,
}

impl<'a> Load<'a> {
    /// Connects everything. The clock starts a moment later.
    async fn begin(
        layout: &Layout,
        plan: &LoadPlan,
        stage: &'a Stage,
        holders: usize,
        signers: Signers,
    ) -> Result<Self, Refusal> {
        let (notes, inbox) = mpsc::channel(INBOX);
        let mut tasks = JoinSet::new();
        let mut queues = Vec::new();
        for seat in &stage.seats {
            let (to, from) = mpsc::channel(OPEN);
            send::start(&mut tasks, &seat.traders, from, &notes);
            queues.push(to);
            let mut events = hear::stream(&seat.client);
            let told = |error| clients::refusal(&seat.bank.name, error);
            events.connect().await.map_err(told)?;
            tasks.spawn(hear::listen(seat.bank.name.clone(), events, notes.clone()));
        }
        let (lines, exposures) = observe::lines(stage, plan.kind);
        tasks.spawn(observe::exposures(lines, notes.clone()));
        let lead = match plan.pace {
            Pace::Open { .. } => plan.lead,
            // So that offers stand when the clock starts.
            Pace::Closed { .. } => Duration::from_millis(500),
        };
        let begun = Instant::now() + RUN_UP + lead;
        Ok(Self {
            stage,
            book: Book::new(plan, holders, begun)?,
            signers,
            queues,
            inbox,
            notes,
            tasks,
            exposures,
            faults: Faults::new(layout),
            holders,
            patience: plan.patience,
            total: plan.total(),
        })
    }

    /// The banks as they run now.
    async fn spent(&self, layout: &Layout) -> Result<Spent, Refusal> {
        let state = state::load(layout)?;
        let seats = self.stage.seats.iter();
        let seats: Vec<(&Bank, _)> = seats
            .map(|seat| Ok((state.bank(&seat.bank.name)?, &seat.client)))
            .collect::<Result<_, Refusal>>()?;
        Spent::so_far(seats).await
    }

    /// Until everything has ended, or patience has.
    async fn drive(&mut self, watch: &mut impl FnMut(&Tick) -> ControlFlow<()>) {
        let mut deadline = self.book.window_end + self.patience;
        let mut next_tick = Instant::now();
        loop {
            let now = Instant::now();
            self.send(now);
            if self.book.is_over(now) || now >= deadline {
                break;
            }
            if now >= next_tick {
                next_tick = now + TICK;
                self.tick(now);
                if watch(&self.shown(now)).is_break() {
                    if self.book.stopped {
                        break;
                    }
                    self.book.stop(now);
                    deadline = deadline.min(now + self.patience.min(STOPPING));
                }
            }
            let wake = self.book.wake(now).unwrap_or(now + WAIT.1);
            let wake = wake.clamp(now + WAIT.0, now + WAIT.1);
            tokio::select! {
                note = self.inbox.recv() => {
                    if let Some(note) = note {
                        self.take(note);
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            for _ in 0..NOTES_AT_ONCE {
                let Ok(note) = self.inbox.try_recv() else { break };
                self.take(note);
            }
        }
        let now = Instant::now();
        self.book.tally.roll(now, self.book.open(), self.book.waiting(), true);
    }

    fn send(&mut self, now: Instant) {
        let signers = &mut self.signers;
        for posting in self.book.poll(now, || signers.take()) {
            let queue = self.queues.get(posting.part.seat);
            // It has room for all that may be open.
            if let Some(Err(back)) = queue.map(|queue| queue.try_send(posting)) {
                let (mpsc::error::TrySendError::Full(posting)
                | mpsc::error::TrySendError::Closed(posting)) = back;
                self.book.answered(now, posting, Handed::Again);
            }
        }
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Answered(at, answers) => {
                for (posting, handed) in answers {
                    self.book.answered(at, posting, handed);
                }
            }
            Note::Heard(at, heard) => {
                for Heard { ledger, said, settlement } in heard {
                    self.book.heard(at, ledger, said, settlement);
                }
            }
            // What is not heard is asked for.
            Note::Deaf(bank, why) => eprintln!("{bank} tells no events any more: {why}"),
            Note::Told(at, number, said, settlement) => {
                self.book.told(at, number, said, settlement);
            }
            Note::Exposure(line, at, seen) => {
                let at_s = self.at_s(at);
                if let Some(exposure) = self.exposures.get_mut(line) {
                    seen.note(exposure, at_s);
                }
            }
        }
    }

    fn at_s(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.book.begun).as_secs_f64()
    }

    fn tick(&mut self, now: Instant) {
        for question in self.book.questions(now) {
            let clients = ask::clients(self.stage);
            self.tasks.spawn(ask::ask(clients, question, self.notes.clone()));
        }
        while self.tasks.try_join_next().is_some() {}
        let at_s = self.at_s(now);
        self.faults.look(now, at_s);
        let (open, waiting) = (self.book.open(), self.book.waiting());
        self.book.tally.roll(now, open, waiting, false);
    }

    fn shown(&self, now: Instant) -> Tick {
        let tally = &self.book.tally;
        let recent = tally.rows.iter().rev().take(RECENT_ROWS);
        let (settled, span) = recent.fold((0, 0.0), |(settled, span), row| {
            (row.settled.saturating_add(settled), row.span_s + span)
        });
        let last = tally.rows.iter().rev().find(|row| row.settled > 0);
        let window = self.book.window_end.saturating_duration_since(self.book.begun);
        let share = self.at_s(now) / window.as_secs_f64().max(f64::MIN_POSITIVE);
        let begun = tally.counts.begun as f64;
        let share = self.total.map_or(share, |total| share.max(begun / total.max(1) as f64));
        Tick {
            stage: if now >= self.book.window_end { Doing::Ending } else { Doing::Running },
            at_s: self.at_s(now),
            done: share.clamp(0.0, 1.0),
            per_second: if span > 0.0 { settled as f64 / span } else { 0.0 },
            p50_us: last.map_or(0, |row| row.p50_us),
            p99_us: last.map_or(0, |row| row.p99_us),
            open: u64::try_from(self.book.open()).unwrap_or(u64::MAX),
            late: self.book.late(now, LATE),
            counts: tally.counts.clone(),
        }
    }

    /// Adds everything up.
    async fn outcome(
        mut self,
        state: &State,
        plan: &LoadPlan,
        begun: Time,
    ) -> Result<Outcome, Refusal> {
        self.tasks.shutdown().await;
        let signing = self.signers.end()?;
        let banks = stage::names(self.stage);
        let name = |seat: usize| banks.get(seat).cloned().unwrap_or_default();
        let in_doubt: Vec<Doubt> = self.book.give_up(name, DOUBTS_LISTED);
        let (steps, steps_from) = ask::steps(self.stage, plan.kind, &self.book.remembered).await?;
        let tally = self.book.tally;
        let total_s = tally.rows.last().map_or(0.0, |row| row.at_s);
        let window = self.book.window_end.saturating_duration_since(self.book.begun);
        let window_s = window.as_secs_f64().min(total_s).max(f64::MIN_POSITIVE);
        if tally.counts.begun == 0 {
            refuse!(LoadStopped, "nothing was begun");
        }
        Ok(Outcome {
            format: FORMAT,
            plan: plan.clone(),
            network: NetworkFacts {
                name: state.network.to_string(),
                banks: state.banks.iter().map(|bank| bank.name.clone()).collect(),
                seed: state.seed,
                suite: state.suite.to_string(),
            },
            machine: Machine::this(),
            program: Program::this(),
            begun,
            stopped: self.book.stopped,
            window_s,
            total_s,
            holders: self.holders,
            signing,
            settled_per_s: tally.in_window as f64 / window_s,
            settled: tally.settled.summary(),
            accepted: tally.accepted.summary(),
            uncorrected: tally.uncorrected.summary(),
            settled_percentiles: tally.settled.percentiles(),
            accepted_percentiles: tally.accepted.percentiles(),
            uncorrected_percentiles: tally.uncorrected.percentiles(),
            seconds: tally.rows,
            steps,
            steps_from,
            exposures: self.exposures,
            faults: self.faults.spans(total_s),
            cost: None,
            own_cpu_s: 0.0,
            counts: tally.counts,
            in_doubt,
        })
    }
}
