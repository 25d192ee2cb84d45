//! Two banks, the customers alice at bank-a and bob at bank-b, and their trades: alice offers a
//! bond, bob takes all of it for cash.
//!
//! bank-a is the initiator of the settlement, bank-b the other party and the decider.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use quadrille_node::api::dto::{BookEntry, OrderState, SettlementOutcome, SettlementState, Status};
use quadrille_node::client::Client;
use quadrille_node::files;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::types::{Duration as Span, OrderId, Uai};
use quadrille_testnet::local::audit;
use quadrille_testnet::local::clients;
use quadrille_testnet::local::fund::{self, BOND, CASH, minor};
use quadrille_testnet::local::layout::Layout;
use quadrille_testnet::local::prepare::Timing;
use quadrille_testnet::local::process;
use quadrille_testnet::local::start;
use quadrille_testnet::local::state::Held;
use quadrille_testnet::local::trader::{Trader, wait};
use quadrille_testnet::local::up::{self, Plan};
use rustix::process::{Pid, Signal, WaitOptions, waitpid};

/// How settlements are timed: a bank that is restarted at once is back long before the time is
/// over, and waiting for the deadline is bearable.
const TIMING: Timing = Timing { life_ms: 15_000, reveal_margin_ms: 3_000 };
/// How long anything may take that nothing holds up.
pub const STEP: Duration = Duration::from_secs(30);
/// How long a settlement may take to end after the last bank has come back: its life, and some.
pub const ENDING: Duration = Duration::from_secs(45);
/// Units of the bond and of cash in one trade.
const TRADED: (u64, u64) = (1_000, 985);
const PASSPHRASE_BYTES: usize = 4096;
/// Rows of a list that are asked for.
pub const ROWS: usize = 1_000;
/// How long after a deadline it is certainly over.
const LATE: Duration = Duration::from_millis(500);
/// The last lines of a log in which a killed bank's last words are.
const LAST_LINES: usize = 40;

/// A side of the trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// bank-a, which initiates.
    Maker,
    /// bank-b, which decides.
    Taker,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::Maker, Self::Taker];

    pub const fn bank(self) -> &'static str {
        match self {
            Self::Maker => "bank-a",
            Self::Taker => "bank-b",
        }
    }

    pub const fn other(self) -> Self {
        match self {
            Self::Maker => Self::Taker,
            Self::Taker => Self::Maker,
        }
    }
}

/// A trade that was begun.
pub struct Trade {
    id: String,
    seen: BookEntry,
    pub take: OrderId,
}

impl Trade {
    pub const fn offer(&self) -> OrderId {
        self.seen.offer
    }
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
        let customer = |side: Side, local: &str| {
            let bank = held.state.bank(side.bank()).unwrap();
            Trader::new(&held.layout, bank, local, &passphrase).unwrap()
        };
        let (alice, bob) = (customer(Side::Maker, "alice"), customer(Side::Taker, "bob"));
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

    pub fn client(&self, side: Side) -> &Client {
        match side {
            Side::Maker => &self.alice.client,
            Side::Taker => &self.bob.client,
        }
    }

    /// Has alice offer and bob take. Either bank may be killed over the take.
    pub fn trade(&mut self) -> Trade {
        self.trades += 1;
        let id = self.trades.to_string();
        let (bond, cash) = TRADED;
        let (bond, cash) = ((&self.bond, minor(bond)), (&self.cash, minor(cash)));
        self.runtime.block_on(async {
            let offer = self.alice.offer(&format!("sale-{id}"), bond, cash, Span(0)).await.unwrap();
            let seen = self.bob.sees(&offer, STEP).await.unwrap();
            let take = self.bob.take(&format!("buy-{id}"), &seen, cash.1).await.unwrap();
            Trade { id, seen, take }
        })
    }

    /// Sends bob's take again, as he does who got no answer. It happens once.
    pub fn take_again(&self, trade: &Trade) {
        let (id, pay) = (format!("buy-{}", trade.id), trade.seen.want_amount);
        let take = self.bob.take(&id, &trade.seen, pay);
        assert_eq!(self.runtime.block_on(take).unwrap(), trade.take, "the same order");
    }

    /// Waits until the trade is over at both banks, in the same way.
    pub fn ending(&self, trade: &Trade) -> Ending {
        let outcome = self.runtime.block_on(self.bob.outcome(&trade.take, ENDING, |view| {
            !matches!(view.state, OrderState::Live | OrderState::Settling)
        }));
        let view = outcome.unwrap();
        let settlement = view.settlement.unwrap_or_else(|| panic!("no settlement: {view:?}"));
        let outcomes = Side::BOTH.map(|side| {
            let what = format!("{settlement} is final at {}", side.bank());
            let ended = wait(&what, ENDING, async || {
                let view = self.client(side).settlement(&settlement).await.ok()?;
                (view.state == SettlementState::Final).then_some(view.outcome)
            });
            self.runtime.block_on(ended).unwrap()
        });
        let both = |outcome| outcomes == [Some(outcome); 2];
        match view.state {
            OrderState::Settled if both(SettlementOutcome::Settled) => Ending::Settled,
            OrderState::Refunded if both(SettlementOutcome::Refunded) => Ending::Refunded,
            state => panic!("{settlement}: the banks say {outcomes:?}, bob's take is {state:?}"),
        }
    }

    /// Stops a bank gently, and starts it with this crash point armed.
    pub fn arm(&mut self, side: Side, crash_point: &str) {
        assert!(self.stop(side), "{} does not end when asked to", side.bank());
        self.start(side, Some(crash_point));
        up::meet(&self.held).unwrap();
    }

    /// Ends a bank with SIGTERM; whether it did by itself.
    pub fn stop(&mut self, side: Side) -> bool {
        let process = self.held.state.bank_mut(side.bank()).unwrap().process.take().unwrap();
        process.stop(start::PATIENCE)
    }

    /// Ends a bank with SIGTERM and returns what its process ended with; `None` when it was killed.
    pub fn exit_code(&mut self, side: Side) -> Option<i32> {
        let process = self.held.state.bank(side.bank()).unwrap().process.clone().unwrap();
        assert!(self.stop(side), "{} does not end when asked to", side.bank());
        let pid = Pid::from_raw(process.pid.cast_signed());
        waitpid(pid, WaitOptions::empty()).unwrap().unwrap().1.exit_status()
    }

    /// Starts a bank and waits until it is ready for business.
    pub fn start(&mut self, side: Side, crash_point: Option<&str>) {
        let names = [side.bank().to_owned()];
        start::banks(&mut self.held, &names, crash_point, |_| ()).unwrap();
    }

    /// Starts a bank and waits until it answers, whether or not it is ready for business.
    pub fn start_unready(&mut self, side: Side) {
        let layout = self.held.layout.clone();
        let (dir, passphrase) = (layout.node(side.bank()), layout.passphrase());
        let arguments: [&OsStr; 3] = ["run".as_ref(), "--dir".as_ref(), dir.as_ref()];
        let settings = [("QUADRILLE_PASSPHRASE_FILE", passphrase.as_ref())];
        let program = process::program("quadrille").unwrap();
        let started =
            process::start(&program, &arguments, &settings, &layout.log(side.bank())).unwrap();
        self.held.state.bank_mut(side.bank()).unwrap().process = Some(started);
        self.held.save().unwrap();
        self.status(side);
    }

    /// How a bank is, once it answers.
    pub fn status(&self, side: Side) -> Status {
        let what = format!("{} answers", side.bank());
        let status = wait(&what, STEP, async || self.client(side).status().await.ok());
        self.runtime.block_on(status).unwrap()
    }

    /// Waits until a bank has died of its crash point; whether it has. It must not have ended in
    /// any other way.
    pub fn dies_of(&self, side: Side, crash_point: &str, patience: Duration) -> bool {
        let process = self.held.state.bank(side.bank()).unwrap().process.clone().unwrap();
        if !process.await_end(patience) {
            return false;
        }
        let pid = Pid::from_raw(process.pid.cast_signed());
        // It is our child, and nobody else collects it. Its first thread has ended, the others
        // have as soon as this returns.
        let (_, status) = waitpid(pid, WaitOptions::empty()).unwrap().unwrap();
        let killed = Some(Signal::KILL.as_raw());
        assert_eq!(status.terminating_signal(), killed, "{crash_point}: {status:?}");
        let lines = process::tail(&self.held.layout.log(side.bank()), LAST_LINES).unwrap();
        let (_, kind) = crash_point.split_once(':').unwrap();
        let said = lines.iter().any(|line| line.contains("killing myself") && line.contains(kind));
        assert!(said, "{crash_point}: killed by somebody else; {lines:#?}");
        true
    }

    /// Waits until the time of the one settlement that is open at a bank is over.
    pub fn pass_deadline(&self, side: Side) {
        let client = self.client(side);
        let open = self.runtime.block_on(client.settlements(Some(SettlementState::Open), ROWS));
        let open = open.unwrap();
        let [settlement] = &open[..] else { panic!("one open settlement: {open:?}") };
        let left = settlement.deadline.since(up::now().unwrap());
        // Not a wait for something to happen: this time has to pass.
        std::thread::sleep(Duration::from_millis(left.0) + LATE);
    }

    /// Waits until each bank has heard everything that the other has said.
    pub fn rest(&self) {
        let at_rest = async || {
            let [a, b] = Side::BOTH.map(|side| self.client(side).peers(ROWS));
            let (a, b) = (a.await.ok()?, b.await.ok()?);
            let feed = a.iter().find(|peer| peer.domain == self.bob.bank)?.feed;
            let back = b.iter().find(|peer| peer.domain == self.alice.bank)?.feed;
            let heard = feed.acknowledged == feed.sent && back.received == feed.sent;
            let told = back.acknowledged == back.sent && feed.received == back.sent;
            (heard && told).then_some(())
        };
        self.runtime.block_on(wait("both banks have heard everything", STEP, at_rest)).unwrap();
    }

    /// Nothing is under way, and everything that is between the banks holds.
    pub fn audit(&self) {
        self.rest();
        let report = audit::audit(&self.held.layout, &self.held.state, STEP).unwrap();
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
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

/// Does something, and returns how long that took.
pub fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let done = act();
    (done, begun.elapsed())
}
