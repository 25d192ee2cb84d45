//! The network of a running scenario and who acts in it.
//!
//! Invariant: nothing waits on once the scenario is to end; every wait for a bank is broken off
//! when [`Stage::halt`] is called.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use quadrille_node::client::{Client, ClientError};
use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{Domain, OrderId, SettlementId};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;

use super::history::{History, lock};
use super::plan::{Act, Scenario, Step};
use super::words::Who;
use crate::local::clients;
use crate::local::layout::Layout;
use crate::local::state::Held;
use crate::local::trader::Trader;

const PASSPHRASE_BYTES: usize = 4096;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(25);
/// How long a bank may take to answer a question.
const ANSWER: Duration = Duration::from_secs(5);
/// Threads that conversations with the banks run on.
const THREADS: usize = 2;

/// Why a step is not as it has to be.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// What had to be.
    pub expected: String,
    /// What was.
    pub found: String,
    /// The code of what was refused; of a failed expectation its own.
    pub code: Code,
}

impl Trouble {
    /// Something else than what was expected.
    pub fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        let (expected, found) = (expected.into(), found.into());
        Self { expected, found, code: Code::ScenarioFailed }
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        let expected = "the step can be done".to_owned();
        Self { expected, found: refusal.to_string(), code: refusal.code }
    }
}

/// What a step has led to.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// What it did, in words.
    pub what: String,
    /// Where that is written down: a bank and a place in its log, or an identifier.
    pub evidence: Option<String>,
    /// The order that it gave, and the bank it was given to.
    pub order: Option<(String, OrderId)>,
    /// The settlement that it began at once, and where.
    pub settlement: Option<(String, SettlementId)>,
    /// Why its order was refused at once.
    pub refused: Option<Refusal>,
    /// Where it has put a copy.
    pub copy: Option<PathBuf>,
}

/// The running network.
pub struct Stage<'s> {
    /// What is to happen.
    pub scenario: &'s Scenario,
    /// The network; whoever starts or ends a bank holds it meanwhile.
    held: Mutex<Held>,
    /// Its folder.
    pub layout: Layout,
    /// What conversations run on.
    runtime: tokio::runtime::Runtime,
    /// What the banks have told.
    pub history: Arc<History>,
    /// What steps have led to.
    done: Mutex<BTreeMap<usize, Done>>,
    traders: Mutex<BTreeMap<Who, Arc<Trader>>>,
    /// One order of a customer at a time: their numbers have to rise.
    pens: Mutex<BTreeMap<Who, Arc<Mutex<()>>>>,
    passphrase: String,
    halt: watch::Sender<bool>,
    seed: u64,
}

impl<'s> Stage<'s> {
    /// The network, and who follows what its banks tell.
    ///
    /// # Errors
    /// `Q-2204` no passphrase; `Q-2320` no threads.
    pub fn new(
        scenario: &'s Scenario,
        held: Held,
        seed: u64,
        begun: Instant,
        halt: watch::Sender<bool>,
    ) -> Result<Self, Refusal> {
        let layout = held.layout.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .enable_all()
            .build()
            .map_err(|error| Refusal::new(Code::ServeFailed, error.to_string()))?;
        let history = Arc::new(History::new(begun));
        for bank in &held.state.banks {
            let client = clients::of(&layout, bank)?;
            let (name, domain, history) = (bank.name.clone(), bank.domain.clone(), history.clone());
            runtime.spawn(async move { history.follow(name, domain, client).await });
        }
        Ok(Self {
            scenario,
            passphrase: files::read_text(&layout.passphrase(), PASSPHRASE_BYTES)?,
            held: Mutex::new(held),
            layout,
            runtime,
            history,
            done: Mutex::default(),
            traders: Mutex::default(),
            pens: Mutex::default(),
            halt,
            seed,
        })
    }

    /// The network, to be changed.
    pub fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }

    /// The network again, once nobody acts in it.
    #[must_use]
    pub fn into_held(self) -> Held {
        self.held.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What is drawn for a step: the same for the same seed, whatever else happens.
    #[must_use]
    pub fn random(&self, step: usize) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(u64::try_from(step).unwrap_or(u64::MAX));
        random
    }

    /// Has everybody stop waiting.
    pub fn halt(&self) {
        let _ = self.halt.send(true);
    }

    /// Whether everybody is to stop.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        *self.halt.borrow()
    }

    /// Waits for an answer, unless everybody is to stop.
    ///
    /// # Errors
    /// `Q-2352` when everybody is to stop.
    pub fn talk<T>(&self, answer: impl Future<Output = T>) -> Result<T, Refusal> {
        let mut halt = self.halt.subscribe();
        self.runtime.block_on(async {
            tokio::select! {
                answer = answer => Ok(answer),
                _ = halt.wait_for(|halt| *halt) => {
                    Err(Refusal::new(Code::BrokenOff, "the scenario is to end"))
                }
            }
        })
    }

    /// Waits for what a bank answers.
    ///
    /// # Errors
    /// What it refuses; those of [`Stage::talk`].
    pub fn ask<T>(
        &self,
        bank: &str,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, Refusal> {
        self.talk(answer)?.map_err(|error| clients::refusal(bank, error))
    }

    /// Looks until something is as it has to be, and returns that; or when the time is over, what
    /// was seen last.
    ///
    /// # Errors
    /// What `look` said last.
    pub fn until<T>(
        &self,
        patience: Duration,
        expected: &str,
        mut look: impl FnMut() -> Result<T, String>,
    ) -> Result<T, Trouble> {
        let deadline = Instant::now() + patience;
        loop {
            match look() {
                Ok(found) => return Ok(found),
                Err(_) if self.is_halted() => {
                    return Err(Refusal::new(Code::BrokenOff, "the scenario is to end").into());
                }
                Err(found) if Instant::now() >= deadline => {
                    let within = format!("{expected}, within {:.1} s", patience.as_secs_f64());
                    return Err(Trouble::new(within, found));
                }
                Err(_) => std::thread::sleep(LOOK),
            }
        }
    }

    /// How long a step may take.
    #[must_use]
    pub fn patience(&self, step: &Step) -> Duration {
        step.within.unwrap_or(self.scenario.patience)
    }

    /// A bank as its operator talks to it.
    ///
    /// # Errors
    /// `Q-2326`, `Q-2209`, `Q-2204`.
    pub fn client(&self, bank: &str) -> Result<Client, Refusal> {
        let held = self.held();
        Ok(clients::of(&self.layout, held.state.bank(bank)?)?.with_timeout(ANSWER))
    }

    /// A bank's domain.
    ///
    /// # Errors
    /// `Q-2326`.
    pub fn domain(&self, bank: &str) -> Result<Domain, Refusal> {
        Ok(self.held().state.bank(bank)?.domain.clone())
    }

    /// The short name of a domain.
    #[must_use]
    pub fn name_of(&self, domain: &Domain) -> String {
        let held = self.held();
        let found = held.state.banks.iter().find(|bank| bank.domain == *domain);
        found.map_or_else(|| domain.to_string(), |bank| bank.name.clone())
    }

    /// A customer.
    ///
    /// # Errors
    /// Those of [`Trader::new`].
    pub fn trader(&self, who: &Who) -> Result<Arc<Trader>, Refusal> {
        if let Some(known) = lock(&self.traders).get(who) {
            return Ok(known.clone());
        }
        let bank = self.held().state.bank(&who.bank)?.clone();
        let trader = Trader::new(&self.layout, &bank, &who.local, &self.passphrase)?;
        let trader = Arc::new(trader);
        lock(&self.traders).insert(who.clone(), trader.clone());
        Ok(trader)
    }

    /// Opens the keys of everybody who gives orders, which takes a moment each.
    ///
    /// # Errors
    /// Those of [`Trader::new`].
    pub fn wake_traders(&self) -> Result<(), Refusal> {
        for step in &self.scenario.steps {
            match &step.act {
                Act::Offer(act) => drop(self.trader(&act.by)?),
                Act::Take(act) => drop(self.trader(&act.by)?),
                Act::Pay(act) => {
                    self.trader(&act.by)?;
                    self.trader(&act.to)?;
                }
                Act::Storm(act) => {
                    for who in &act.by {
                        self.trader(who)?;
                    }
                }
                Act::Cancel { .. }
                | Act::Net { .. }
                | Act::SettleUp { .. }
                | Act::Trust { .. }
                | Act::Crash { .. }
                | Act::Kill(_)
                | Act::Restart(_)
                | Act::Backup(_)
                | Act::Restore { .. }
                | Act::Check(_) => {}
            }
        }
        Ok(())
    }

    /// What a customer signs with: one order at a time.
    #[must_use]
    pub fn pen(&self, who: &Who) -> Arc<Mutex<()>> {
        lock(&self.pens).entry(who.clone()).or_default().clone()
    }

    /// What a step has led to.
    ///
    /// # Errors
    /// When it is not done.
    pub fn done(&self, step: usize) -> Result<Done, Trouble> {
        let found = lock(&self.done).get(&step).cloned();
        let name = self.scenario.steps.get(step).map_or("", |step| step.name.as_str());
        found.ok_or_else(|| Trouble::new(format!("{name} is done before this"), "it is not"))
    }

    /// Remembers what a step has led to, from when on others may ask.
    pub fn note(&self, step: usize, done: Done) {
        lock(&self.done).insert(step, done);
    }
}
