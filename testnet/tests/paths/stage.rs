//! Four banks: alice at bank-a pays bob at bank-d with bank-a's euro.

use std::path::PathBuf;
use std::time::Duration;

use quadrille_node::api::dto::{FeeView, PathView, PaymentState, PaymentView};
use quadrille_node::client::Client;
use quadrille_node::files;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::ledger::{Action, Payment};
use quadrille_protocol::settlement::Purpose;
use quadrille_protocol::types::{Amount, Domain, Hash, OrderId, Uai};
use quadrille_testnet::local::audit;
use quadrille_testnet::local::clients;
use quadrille_testnet::local::fund::{self, CASH};
use quadrille_testnet::local::layout::Layout;
use quadrille_testnet::local::prepare::Timing;
use quadrille_testnet::local::process;
use quadrille_testnet::local::start;
use quadrille_testnet::local::state::Held;
use quadrille_testnet::local::trader::{Trader, wait};
use quadrille_testnet::local::up::{self, Plan};
use rustix::process::{Pid, Signal, WaitOptions, waitpid};

/// How settlements are timed.
const TIMING: Timing = Timing { life_ms: 15_000, reveal_margin_ms: 3_000 };
/// How long anything may take that nothing holds up.
pub const STEP: Duration = Duration::from_secs(30);
/// How long a payment may take to end after the last bank has come back.
pub const ENDING: Duration = Duration::from_secs(60);
const PASSPHRASE_BYTES: usize = 4096;
/// Rows of a list that are asked for.
const ROWS: usize = 1_000;
/// The last lines of a log in which a killed bank's last words are.
const LAST_LINES: usize = 40;
/// The banks.
pub const BANKS: [&str; 4] = ["bank-a", "bank-b", "bank-c", "bank-d"];
/// A credit limit that is never reached.
pub const PLENTY: Amount = Amount::new(1_000_000_000);

/// The network, taken down when the test is over, whatever happened in it.
pub struct Stage {
    pub held: Held,
    pub runtime: tokio::runtime::Runtime,
    passphrase: String,
    /// bank-a's euro.
    pub euro: Uai,
    folder: Option<tempfile::TempDir>,
}

impl Stage {
    pub fn new() -> Self {
        crate::programs::build_programs();
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(&folder.path().join("net"));
        let plan = Plan { timing: TIMING, ..Plan::of(4, Some(1), Suite::HybridMlDsa65).unwrap() };
        let held = up::up(layout, &plan, &mut |_| ()).unwrap_or_else(|failed| {
            if let Some(mut held) = failed.held {
                let _ = start::down(&mut held);
            }
            panic!("{}", failed.refusal);
        });
        let passphrase = files::read_text(&held.layout.passphrase(), PASSPHRASE_BYTES).unwrap();
        let issuer = held.state.bank("bank-a").unwrap().domain.clone();
        let euro = fund::profile(CASH, &issuer).unwrap().uai();
        let runtime = clients::runtime().unwrap();
        Self { held, runtime, passphrase, euro, folder: Some(folder) }
    }

    pub fn domain(&self, bank: &str) -> Domain {
        self.held.state.bank(bank).unwrap().domain.clone()
    }

    pub fn client(&self, bank: &str) -> Client {
        clients::of(&self.held.layout, self.held.state.bank(bank).unwrap()).unwrap()
    }

    pub fn trader(&self, local: &str, bank: &str) -> Trader {
        let known = self.held.state.bank(bank).unwrap();
        Trader::new(&self.held.layout, known, local, &self.passphrase).unwrap()
    }

    /// Makes these the only credit limits for bank-a's euro: who accepts whom, up to what.
    pub fn trust(&self, lines: &[(&str, &str, Amount)]) {
        for of in BANKS {
            let client = self.client(of);
            for peer in BANKS.into_iter().filter(|peer| *peer != of) {
                let wanted = lines.iter().find(|(by, whom, _)| (*by, *whom) == (of, peer));
                let domain = self.domain(peer);
                let limit = wanted.map_or(Amount::ZERO, |(_, _, limit)| *limit);
                let set = client.set_trust(&domain, &self.euro, limit);
                self.runtime.block_on(set).unwrap();
            }
        }
    }

    /// Lets payments pass through a bank: over carol's ledger there, for a flat fee.
    pub fn transit(&self, bank: &str, flat: u128) {
        let (client, carol) = (self.client(bank), self.trader("carol", bank));
        let fee = FeeView { flat: Amount::new(flat), ppm: 0 };
        self.runtime.block_on(async {
            client.set_transit(Some(carol.account().ledger)).await.unwrap();
            client.set_fee(&self.euro, fee).await.unwrap();
        });
    }

    /// Waits until bank-a sees as many ways to bank-d, and returns them.
    pub fn ways(
        &self,
        asset: &Uai,
        amount: u128,
        enough: impl Fn(&[PathView]) -> bool,
    ) -> Vec<PathView> {
        let (client, to) = (self.client("bank-a"), self.domain("bank-d"));
        let what = "bank-a sees the ways";
        let found = wait(what, STEP, async || {
            let what = (asset, Amount::new(amount));
            let paths = client.paths(&to, what, &self.euro, None).await.ok()?;
            enough(&paths).then_some(paths)
        });
        self.runtime.block_on(found).unwrap()
    }

    /// alice pays bob at bank-d.
    pub fn pay(&self, id: &str, asset: &Uai, amount: u128, max_cost: u128) -> OrderId {
        self.send(id, (asset, amount), max_cost, Purpose::Payment)
    }

    /// alice pays bob at bank-d, or transfers an asset to him.
    pub fn send(
        &self,
        id: &str,
        (asset, amount): (&Uai, u128),
        max_cost: u128,
        purpose: Purpose,
    ) -> OrderId {
        let (alice, bob) = (self.trader("alice", "bank-a"), self.trader("bob", "bank-d"));
        let payment = Payment {
            to: bob.account(),
            asset: asset.clone(),
            amount: Amount::new(amount),
            spend: self.euro.clone(),
            max_cost: Amount::new(max_cost),
            purpose,
            memo: Hash::ZERO,
        };
        self.runtime.block_on(alice.order(id, Action::Pay(payment))).unwrap()
    }

    /// Waits until a payment is over.
    pub fn ended(&self, order: &OrderId) -> PaymentView {
        let client = self.client("bank-a");
        let what = format!("{order} is over");
        let over = wait(&what, ENDING, async || {
            let view = client.payment(order).await.ok()?;
            (view.state != PaymentState::Trying).then_some(view)
        });
        self.runtime.block_on(over).unwrap()
    }

    /// The steps of a payment's last try as a bank tells them, with SATP-core's names for them.
    pub fn steps(&self, bank: &str, payment: &PaymentView) -> Vec<(String, Option<String>)> {
        let settlement = payment.tries.last().unwrap().settlement;
        let view = self.runtime.block_on(self.client(bank).settlement(&settlement)).unwrap();
        view.steps.into_iter().map(|step| (step.step, step.satp)).collect()
    }

    /// What somebody has of an asset: free and held.
    pub fn balance(&self, local: &str, bank: &str, asset: &Uai) -> (u128, u128) {
        let ledger = self.trader(local, bank).account().ledger;
        let view = self.runtime.block_on(self.client(bank).ledger(&ledger)).unwrap();
        let found = view.balances.into_iter().find(|balance| balance.asset == *asset);
        found.map_or((0, 0), |balance| (balance.free.units(), balance.held.units()))
    }

    /// Stops a bank gently, and starts it with this crash point armed.
    pub fn arm(&mut self, bank: &str, crash_point: &str) {
        let process = self.held.state.bank_mut(bank).unwrap().process.take().unwrap();
        assert!(process.stop(start::PATIENCE), "{bank} does not end when asked to");
        self.start(bank, Some(crash_point));
        up::meet(&self.held).unwrap();
    }

    /// Starts a bank and waits until it is ready for business.
    pub fn start(&mut self, bank: &str, crash_point: Option<&str>) {
        start::banks(&mut self.held, &[bank.to_owned()], crash_point, |_| ()).unwrap();
    }

    /// Waits until a bank has died of its crash point, and of nothing else.
    pub fn dies_of(&self, bank: &str, crash_point: &str) {
        let process = self.held.state.bank(bank).unwrap().process.clone().unwrap();
        assert!(process.await_end(STEP), "{bank} was not killed at {crash_point}");
        let pid = Pid::from_raw(process.pid.cast_signed());
        let (_, status) = waitpid(pid, WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(status.terminating_signal(), Some(Signal::KILL.as_raw()), "{crash_point}");
        let lines = process::tail(&self.held.layout.log(bank), LAST_LINES).unwrap();
        let (_, kind) = crash_point.split_once(':').unwrap();
        let said = lines.iter().any(|line| line.contains("killing myself") && line.contains(kind));
        assert!(said, "{crash_point}: killed by somebody else; {lines:#?}");
    }

    /// Waits until no settlement is open anywhere and everybody has heard everything; then
    /// everything that is between the banks holds.
    pub fn audit(&self) {
        for bank in BANKS {
            let client = self.client(bank);
            let what = format!("nothing is open at {bank}");
            let idle = wait(&what, ENDING, async || {
                let state = Some(quadrille_node::api::dto::SettlementState::Open);
                client.settlements(state, ROWS).await.ok().filter(Vec::is_empty)
            });
            self.runtime.block_on(idle).unwrap();
        }
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
