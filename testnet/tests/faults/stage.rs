//! Two banks behind the proxy. Alice at bank-a offers a bond, bob at bank-b takes all of it for
//! cash: bank-a is the initiator of the settlement, bank-b the other party and the decider.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use quadrille_node::api::dto::{OrderState, OrderView, SettlementOutcome, SettlementState};
use quadrille_node::client::Client;
use quadrille_node::files;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::types::{Duration as Span, OrderId, Uai};
use quadrille_testnet::local::faults::{self, Fault, FaultId, InForce};
use quadrille_testnet::local::fund::{self, BOND, CASH, minor};
use quadrille_testnet::local::layout::Layout;
use quadrille_testnet::local::prepare::{Timing, socket_address};
use quadrille_testnet::local::state::Held;
use quadrille_testnet::local::trader::{Trader, wait};
use quadrille_testnet::local::up::{self, Plan};
use quadrille_testnet::local::{audit, clients, start};

/// A trade is over long before the deadline unless it is held up for seconds.
const TIMING: Timing = Timing { life_ms: 12_000, reveal_margin_ms: 2_000 };
/// How long anything may take that nothing holds up.
pub const STEP: Duration = Duration::from_secs(30);
/// How long a settlement may take to end: its life, and some.
const ENDING: Duration = Duration::from_secs(45);
const PASSPHRASE_BYTES: usize = 4096;
/// Rows of a list that are asked for.
pub const ROWS: usize = 1_000;

pub const A: &str = "bank-a";
pub const B: &str = "bank-b";

/// A trade that was begun.
pub struct Trade {
    pub take: OrderId,
    begun: Instant,
}

/// How a trade has ended, at both banks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Settled,
    Refunded,
}

/// A network that is taken down when the test is over, whatever happened in it.
pub struct Stage {
    pub held: Held,
    pub runtime: tokio::runtime::Runtime,
    alice: Trader,
    bob: Trader,
    bond: Uai,
    cash: Uai,
    trades: u32,
    folder: Option<tempfile::TempDir>,
}

impl Stage {
    pub fn new() -> Self {
        crate::programs::build_programs();
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(&folder.path().join("net"));
        let suite = Suite::HybridMlDsa65;
        let plan = Plan { timing: TIMING, ..Plan::of(2, Some(1), suite).unwrap() };
        let held = up::up(layout, &plan, &mut |_| ()).unwrap_or_else(|failed| {
            if let Some(mut held) = failed.held {
                let _ = start::down(&mut held);
            }
            panic!("{}", failed.refusal);
        });
        let passphrase = files::read_text(&held.layout.passphrase(), PASSPHRASE_BYTES).unwrap();
        let customer = |bank: &str, local: &str| {
            let bank = held.state.bank(bank).unwrap();
            Trader::new(&held.layout, bank, local, &passphrase).unwrap()
        };
        let (alice, bob) = (customer(A, "alice"), customer(B, "bob"));
        Self {
            bond: fund::profile(BOND, &alice.bank).unwrap().uai(),
            cash: fund::profile(CASH, &bob.bank).unwrap().uai(),
            runtime: clients::runtime().unwrap(),
            held,
            alice,
            bob,
            trades: 0,
            folder: Some(folder),
        }
    }

    pub fn client(&self, bank: &str) -> &Client {
        if bank == A { &self.alice.client } else { &self.bob.client }
    }

    /// Makes a fault.
    pub fn make(&mut self, fault: &Fault, span: Option<Duration>) -> FaultId {
        let id = faults::apply(&mut self.held, fault, span).unwrap();
        let lasts = !matches!(fault, Fault::Reset { .. });
        assert_eq!(self.in_force().iter().any(|found| found.id == id), lasts, "{fault}");
        id
    }

    pub fn heal(&mut self, id: FaultId) {
        faults::heal(&mut self.held, Some(id)).unwrap();
        assert!(self.in_force().iter().all(|found| found.id != id));
    }

    pub fn in_force(&self) -> Vec<InForce> {
        faults::in_force(&self.held.layout).unwrap()
    }

    /// Waits until a fault is over by itself.
    pub fn ends_by_itself(&self, id: FaultId) {
        let over = async || self.in_force().iter().all(|found| found.id != id).then_some(());
        self.runtime.block_on(wait("the fault ends by itself", STEP, over)).unwrap();
    }

    /// An offer that bank-b has seen, to be taken.
    pub fn offer(&mut self) -> quadrille_node::api::dto::BookEntry {
        self.trades += 1;
        let (bond, cash) = ((&self.bond, minor(100)), (&self.cash, minor(98)));
        let id = format!("sale-{}", self.trades);
        self.runtime.block_on(async {
            let offer = self.alice.offer(&id, bond, cash, Span(0)).await.unwrap();
            self.bob.sees(&offer, STEP).await.unwrap()
        })
    }

    pub fn take(&self, seen: &quadrille_node::api::dto::BookEntry) -> Trade {
        let id = format!("buy-{}", self.trades);
        let begun = Instant::now();
        let take = self.runtime.block_on(self.bob.take(&id, seen, seen.want_amount)).unwrap();
        Trade { take, begun }
    }

    pub fn trade(&mut self) -> Trade {
        let seen = self.offer();
        self.take(&seen)
    }

    /// A trade that has to settle; how long that took.
    pub fn settles(&mut self) -> Duration {
        let trade = self.trade();
        let (ending, span) = self.ending(&trade);
        assert_eq!(ending, Ending::Settled);
        span
    }

    /// Waits until the trade is over at both banks, in the same way.
    pub fn ending(&self, trade: &Trade) -> (Ending, Duration) {
        let over = |state| !matches!(state, OrderState::Live | OrderState::Settling);
        let outcome = self.bob.outcome(&trade.take, ENDING, |view| over(view.state));
        let view = self.runtime.block_on(outcome).unwrap();
        let span = trade.begun.elapsed();
        let settlement = view.settlement.unwrap_or_else(|| panic!("no settlement: {view:?}"));
        let outcomes = [A, B].map(|bank| {
            let what = format!("{settlement} is final at {bank}");
            let ended = wait(&what, ENDING, async || {
                let view = self.client(bank).settlement(&settlement).await.ok()?;
                (view.state == SettlementState::Final).then_some(view.outcome)
            });
            self.runtime.block_on(ended).unwrap()
        });
        let both = |outcome| outcomes == [Some(outcome); 2];
        match view.state {
            OrderState::Settled if both(SettlementOutcome::Settled) => (Ending::Settled, span),
            OrderState::Refunded if both(SettlementOutcome::Refunded) => (Ending::Refunded, span),
            state => panic!("{settlement}: the banks say {outcomes:?}, bob's take is {state:?}"),
        }
    }

    /// Waits until bob's take is over, however it ended, and nothing is open at either bank.
    pub fn over(&self, trade: &Trade) -> OrderView {
        let over = |state| !matches!(state, OrderState::Live | OrderState::Settling);
        let outcome = self.bob.outcome(&trade.take, ENDING, |view| over(view.state));
        let view = self.runtime.block_on(outcome).unwrap();
        let deadline = Instant::now() + ENDING;
        while self.open(A) + self.open(B) > 0 {
            assert!(Instant::now() < deadline, "a settlement stays open");
        }
        view
    }

    /// How many settlements are open at a bank.
    pub fn open(&self, bank: &str) -> usize {
        let open = self.client(bank).settlements(Some(SettlementState::Open), ROWS);
        self.runtime.block_on(open).unwrap().len()
    }

    /// Waits until a bank answers.
    pub fn answers(&self, bank: &str) {
        let status = async || self.client(bank).status().await.ok();
        self.runtime.block_on(wait(&format!("{bank} answers"), STEP, status)).unwrap();
    }

    /// Whether a bank answers within a short time.
    pub fn is_silent(&self, bank: &str) -> bool {
        let bank = self.held.state.bank(bank).unwrap();
        let client = clients::of(&self.held.layout, bank).unwrap();
        let client = client.with_timeout(Duration::from_millis(500));
        self.runtime.block_on(client.status()).is_err()
    }

    /// Waits until a bank's process has ended by itself.
    pub fn ends(&self, bank: &str) {
        let process = self.held.state.bank(bank).unwrap().process.clone().unwrap();
        assert!(process.await_end(STEP), "{bank} goes on");
    }

    pub fn restart(&mut self, bank: &str) {
        start::banks(&mut self.held, &[bank.to_owned()], None, |_| ()).unwrap();
        up::meet(&self.held).unwrap();
    }

    /// Nothing is under way, and everything that is between the banks holds.
    pub fn audit(&self) {
        let at_rest = async || {
            let (a, b) = (self.client(A).peers(ROWS), self.client(B).peers(ROWS));
            let (a, b) = (a.await.ok()?, b.await.ok()?);
            let feed = a.iter().find(|peer| peer.domain == self.bob.bank)?.feed;
            let back = b.iter().find(|peer| peer.domain == self.alice.bank)?.feed;
            let heard = feed.acknowledged == feed.sent && back.received == feed.sent;
            let told = back.acknowledged == back.sent && feed.received == back.sent;
            (heard && told).then_some(())
        };
        self.runtime.block_on(wait("both banks have heard everything", STEP, at_rest)).unwrap();
        let report = audit::audit(&self.held.layout, &self.held.state, STEP).unwrap();
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
    }

    /// Who has a connection to a listener of the mesh without being the proxy.
    pub fn past_the_proxy(&self) -> Vec<String> {
        let state = &self.held.state;
        let known =
            state.banks.iter().map(|bank| bank.p2p.as_ref()).chain([state.bootstrap.p2p.as_ref()]);
        let listeners: HashSet<String> = known
            .flatten()
            .filter_map(socket_address)
            .map(|at| format!("{:04X}", at.port()))
            .collect();
        assert_eq!(listeners.len(), 3);
        let text = fs::read_to_string("/proc/net/tcp").unwrap();
        let mut dialled: HashSet<String> = HashSet::new();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (_, port) = fields[2].split_once(':').unwrap();
            if listeners.contains(port) {
                dialled.insert(format!("socket:[{}]", fields[9]));
            }
        }
        let mut found = Vec::new();
        let mut through = 0;
        for (name, process) in state.processes() {
            for file in fs::read_dir(format!("/proc/{}/fd", process.pid)).unwrap().flatten() {
                let Ok(target) = fs::read_link(file.path()) else { continue };
                if !dialled.contains(&*target.to_string_lossy()) {
                    continue;
                }
                if name == "proxy" { through += 1 } else { found.push(name.to_owned()) }
            }
        }
        assert!(through > 0, "the proxy has dialled nobody");
        found
    }

    /// The lines of a bank's log that have a text in them.
    pub fn said(&self, bank: &str, text: &str) -> usize {
        let log = fs::read_to_string(self.held.layout.log(bank)).unwrap();
        log.lines().filter(|line| line.contains(text)).count()
    }

    /// The front ports, by name.
    pub fn fronts(&self) -> HashMap<String, Option<std::net::SocketAddr>> {
        self.held.state.banks.iter().map(|bank| (bank.name.clone(), bank.front)).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = start::down(&mut self.held);
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            let path: PathBuf = folder.keep();
            println!("the network's folder is left for a look: {}", path.display());
        }
    }
}

pub fn partition(a: &str, b: &str, one_way: bool) -> Fault {
    Fault::Partition { a: vec![a.to_owned()], b: vec![b.to_owned()], one_way }
}
