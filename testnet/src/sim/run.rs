//! One seed from beginning to end, and many seeds in threads.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quadrille_protocol::log::record::Founding;
use quadrille_protocol::types::{Domain, Epoch, Time};
use quadrille_protocol::validator::{Command, Input, Settings, Validator};

use super::broken::{Broken, Checked};
use super::byzantine::Liar;
use super::cast::Cast;
use super::check::Checks;
use super::clock::{NodeClock, START_MS};
use super::faults::FaultPlan;
use super::network::Network;
use super::node::Node;
use super::report::{Figures, Outcome};
use super::rng::Stream;
use super::subscriber::Subscriber;
use super::trace::Trace;
use super::wallet::Wallets;
use super::workload::{Workload, amount};
use super::world::{Occasion, Phase, World};

/// What a run is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// How many domains; drawn from two to eight when not given.
    pub domains: Option<usize>,
    /// How many steps before the healing.
    pub steps: Option<u64>,
    /// Whether the story is written.
    pub trace: bool,
    /// Whether validators' books are believed, so that only reconciliation finds their errors.
    pub trusting: bool,
}

/// Steps before the healing, when nobody says how many.
pub const DEFAULT_STEPS: u64 = 2_000;
/// Every seed divisible by this one runs the real signature suites.
pub const REAL_SUITES_EVERY: u64 = 20;
/// How many times fewer steps such a seed takes by default.
const REAL_SUITES_COST: u64 = 5;

/// Runs one seed. A panic is an outcome like any other.
#[must_use]
pub fn run_seed(seed: u64, options: Options) -> Outcome {
    let mut world = World::of_seed(seed, options);
    let ran = catch_unwind(AssertUnwindSafe(|| world.run(seed, options)));
    let broken = match ran {
        Ok(Ok(())) => None,
        Ok(Err(broken)) => Some(broken),
        Err(panic) => Some(Broken::crash(panic_text(panic.as_ref()))),
    };
    world.figures.seeds = 1;
    world.figures.lost = world.network.lost;
    let trace = world.trace.text().to_owned();
    Outcome { seed, figures: world.figures, broken, trace }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    format!("panic: {}", text.unwrap_or_default())
}

/// Runs the seeds from `first` to `last` in `jobs` threads, until one fails. `done` is told
/// how many are finished. The outcomes come back in the order of the seeds; after a failure
/// everything below the failing seed has been run.
pub fn run_seeds(
    first: u64,
    last: u64,
    options: Options,
    jobs: usize,
    done: &(dyn Fn(u64) + Sync),
) -> (Figures, Option<Outcome>) {
    let next = AtomicU64::new(first);
    let finished = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let outcomes: Mutex<BTreeMap<u64, Outcome>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > last {
                        break;
                    }
                    let outcome = run_seed(seed, options);
                    if outcome.broken.is_some() {
                        failed.store(true, Ordering::Relaxed);
                    }
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.insert(seed, outcome);
                    }
                    done(finished.fetch_add(1, Ordering::Relaxed) + 1);
                }
            });
        }
    });
    let mut figures = Figures::default();
    for (_, outcome) in outcomes.into_inner().unwrap_or_default() {
        figures.add(&outcome.figures);
        if outcome.broken.is_some() {
            return (figures, Some(outcome));
        }
    }
    (figures, None)
}

impl World {
    /// The world of a seed, before anything has happened.
    #[must_use]
    pub fn of_seed(seed: u64, options: Options) -> Self {
        let mut shape = Stream::new(seed, "shape");
        let drawn = usize::try_from(shape.between(2, 8)).unwrap_or(2);
        let banks = options.domains.unwrap_or(drawn).clamp(2, 8);
        let real = seed.is_multiple_of(REAL_SUITES_EVERY);
        let cast = Cast::draw(banks, real, &mut Stream::new(seed, "cast"));
        let plan = FaultPlan::draw(&mut Stream::new(seed, "faults"));
        let byzantine = plan.byzantine.then(|| shape.index(banks));
        let mut clocks = Stream::new(seed, "clocks");
        let nodes: Vec<Node> = (0..banks)
            .map(|bank| Node {
                domain: cast.banks[bank].domain.clone(),
                keys: cast.banks[bank].keys.clone(),
                validator: None,
                inputs: VecDeque::new(),
                disk: super::disk::Disk::default(),
                sealed: Vec::new(),
                guard: None,
                guard_apart: shape.chance(6_500),
                clock: draw_clock(&plan, &mut clocks),
                turn_at: None,
                starts: 0,
                byzantine: byzantine == Some(bank),
                entropy: Stream::new(seed, &format!("entropy {bank}")),
            })
            .collect();
        let domains: Vec<Domain> = nodes.iter().map(|node| node.domain.clone()).collect();
        let mut calm = plan;
        calm.nodes = super::faults::NodeFaults::NONE;
        Self {
            now_ms: 0,
            phase: Phase::Opening,
            network: Network::new(banks, plan.network, Stream::new(seed, "network")),
            plan: calm,
            cast,
            nodes,
            restored: None,
            trouble: Stream::new(seed, "trouble"),
            pace: Stream::new(seed, "pace"),
            liar: Liar::new(Stream::new(seed, "liar")),
            workload: Workload::new(Stream::new(seed, "workload")),
            wallets: Wallets::default(),
            subscribers: (0..banks)
                .map(|bank| Subscriber::new(Stream::new(seed, &format!("subscriber {bank}"))))
                .collect(),
            checks: Checks::new(&domains, options.trusting),
            trace: Trace::new(options.trace),
            figures: Figures::default(),
            rotations: Vec::new(),
            queue: BTreeMap::new(),
            tickets: 0,
        }
    }

    /// Lets everything happen, and comes to rest.
    pub(crate) fn run(&mut self, seed: u64, options: Options) -> Checked {
        let plan = FaultPlan::draw(&mut Stream::new(seed, "faults"));
        self.open(seed)?;
        self.phase = Phase::Faults;
        self.plan = plan;
        self.plan_at(self.now_ms, Occasion::Work);
        self.plan_at(self.now_ms, Occasion::Trouble);
        let cost = if seed.is_multiple_of(REAL_SUITES_EVERY) { REAL_SUITES_COST } else { 1 };
        let steps = options.steps.unwrap_or(DEFAULT_STEPS / cost);
        let end = self.figures.steps + steps;
        while self.figures.steps < end && self.step()? {}
        self.heal()
    }

    /// Founds every log, opens the ledgers, sets the limits, issues the money.
    fn open(&mut self, seed: u64) -> Checked {
        let mut random = Stream::new(seed, "opening");
        let certificates: Vec<_> =
            self.cast.banks.iter().map(|bank| bank.certificate.clone()).collect();
        for node in 0..self.nodes.len() {
            let founding = Founding {
                network: self.cast.network.clone(),
                domain: self.nodes[node].domain.clone(),
                epoch: Epoch(1),
                time: Time(START_MS),
            };
            let settings = Settings::new(self.cast.preimage_seed(node));
            let founded = Validator::found(settings, founding, &certificates);
            let founded = founded.map_err(|fault| Broken::crash(fault.to_string()))?;
            self.nodes[node].validator = Some(founded);
            self.open_books(node, &mut random);
        }
        while self.nodes.iter().any(|node| node.turn_at.is_some() && node.sealed.len() < 2) {
            if !self.step()? {
                break;
            }
        }
        for node in 0..self.nodes.len() {
            let batches = self.nodes[node].disk.batches();
            self.checks.opened(node, batches);
        }
        Ok(())
    }

    fn open_books(&mut self, node: usize, random: &mut Stream) {
        let banks = self.nodes.len();
        let tight = random.chance(5_000);
        for issuer in 0..banks {
            let asset = self.cast.banks[issuer].asset.clone();
            self.command(node, Command::RegisterAsset(asset));
        }
        for peer in (0..banks).filter(|peer| *peer != node) {
            for issuer in 0..banks {
                let trusted = random.chance(8_800);
                let limit = if tight { random.between(100, 600) } else { 100_000 };
                if trusted {
                    let asset = self.cast.banks[issuer].uai.clone();
                    let peer = self.cast.banks[peer].domain.clone();
                    let limit = amount(limit);
                    self.command(node, Command::SetCreditLimit { peer, asset, limit });
                }
            }
        }
        let nets = random.chance(8_500);
        self.command(node, Command::SetNetting(nets));
        let holders = self.cast.banks[node].holders.clone();
        for holder in &holders {
            let request = self.workload.request();
            let opening = Box::new(self.cast.customers[*holder].opening.clone());
            self.submit(node, Input::Open { request, opening });
        }
        let own = holders.last().map(|holder| self.cast.customers[*holder].ubi);
        self.command(node, Command::SetTransitLedger(own));
        for holder in &holders[..holders.len() - 1] {
            let asset = self.cast.banks[node].uai.clone();
            let ledger = self.cast.customers[*holder].ubi;
            let amount = amount(random.between(400, 3_000));
            self.command(node, Command::Issue { asset, ledger, amount, name: None });
        }
    }
}

fn draw_clock(plan: &FaultPlan, random: &mut Stream) -> NodeClock {
    let signed = |value: u64, bound: u64| {
        i64::try_from(value).unwrap_or(0) - i64::try_from(bound).unwrap_or(0)
    };
    let (off, drift) = (plan.nodes.clock_off_ms, plan.nodes.clock_drift_ppm);
    let offset = signed(random.below(2 * off + 1), off);
    let drift = signed(random.below(2 * drift + 1), drift);
    NodeClock::new(offset, drift)
}
