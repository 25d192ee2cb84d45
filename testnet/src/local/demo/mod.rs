//! The demo: three trades of a bond for cash between banks that share nothing but the mesh.
//!
//! ```text
//!   1. two banks compete for an offer, a third has no credit; the better take settles
//!   2. the taker's bank is killed right after its hold; it restarts and the trade completes
//!   3. the maker's bank is killed before it reveals and stays away; the trade is refunded
//!   then: evidence of all three verified offline, and every bank asked whether all holds
//! ```
//!
//! A bank is killed at an exact moment of a trade by a crash point, which has it send itself
//! SIGKILL there; only debug builds have these.

mod story;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use quadrille_node::api::dto::{Armour, OrderState, SettlementState};
use quadrille_node::files;
use quadrille_node::files::Access;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Duration as Span, SettlementId, Uai};

use super::audit;
use super::clients;
use super::command::{self, complain, print};
use super::fund::{self, BOND, CASH, minor};
use super::layout::Layout;
use super::prepare::Timing;
use super::process::{self, Process};
use super::start;
use super::state::Held;
use super::trader::{Trader, otherwise, wait};
use super::up::{self, Plan};

/// How long one step may take that nothing holds up.
const STEP: Duration = Duration::from_secs(20);
/// How long the demo's settlements may take: short, so that the third need not wait long.
const TIMING: Timing = Timing { life_ms: 12_000, reveal_margin_ms: 4_000 };
/// How long the offer of the first trade gathers takes.
const WINDOW: Span = Span(2_000);
/// How long a refund may take: the settlement's life, and a little.
const REFUND: Duration = Duration::from_secs(40);
/// How long the network may take to come to rest at the end.
const REST: Duration = Duration::from_secs(30);
const PASSPHRASE_BYTES: usize = 4096;
/// Lines of an offline verification that are shown.
const VERDICT_LINES: usize = 2;

/// What `demo` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  quadrille-testnet demo\n  quadrille-testnet demo --keep")]
pub struct DemoArgs {
    /// An empty folder for the network [default: one in the folder for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave the network up, and say what to try next
    #[arg(long)]
    keep: bool,
}

impl DemoArgs {
    /// Shows it.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let own = format!("quadrille-demo-{}", std::process::id());
        let dir = self.dir.clone().unwrap_or_else(|| std::env::temp_dir().join(own));
        match show(&dir, self.keep) {
            Ok(()) => ExitCode::SUCCESS,
            Err(refusal) => {
                eprintln!("the network's folder is left for a look: {}", dir.display());
                complain(&refusal)
            }
        }
    }
}

fn show(dir: &Path, keep: bool) -> Result<(), Refusal> {
    let layout = Layout::new(dir);
    if layout.state().exists() {
        refuse!(OtherLocalNetwork, "{} holds one already", dir.display());
    }
    let plan = Plan {
        banks: vec![
            ("bank-a".into(), true),
            ("bank-b".into(), true),
            ("bank-c".into(), true),
            ("notrust".into(), false),
        ],
        seed: Some(1),
        suite: Suite::HybridMlDsa65,
        timing: TIMING,
        means: None,
    };
    let begun = Instant::now();
    let mut say = |what: &str| eprintln!("{:7.2} s  {what}", begun.elapsed().as_secs_f64());
    let mut held = match up::up(layout, &plan, &mut say) {
        Ok(held) => held,
        Err(failed) => {
            if let Some(mut held) = failed.held {
                let _ = start::down(&mut held)?;
            }
            return Err(failed.refusal);
        }
    };
    print(&command::table(&held.state))?;
    let shown = Stage::new(&mut held, begun).and_then(|mut stage| stage.all());
    if shown.is_err() || !keep {
        let _ = start::down(&mut held)?;
    }
    shown?;
    if keep {
        return print(&command::hints(&held));
    }
    std::fs::remove_dir_all(dir).map_err(|error| files::cannot_write(dir, &error))
}

/// The network and who acts in it.
struct Stage<'a> {
    held: &'a mut Held,
    runtime: tokio::runtime::Runtime,
    begun: Instant,
    bond: Uai,
    cash: Uai,
    alice: Trader,
    bob: Trader,
    carol: Trader,
    mallory: Trader,
}

impl<'a> Stage<'a> {
    fn new(held: &'a mut Held, begun: Instant) -> Result<Self, Refusal> {
        let passphrase = files::read_text(&held.layout.passphrase(), PASSPHRASE_BYTES)?;
        let customer = |bank: &str, local: &str| {
            Trader::new(&held.layout, held.state.bank(bank)?, local, &passphrase)
        };
        let alice = customer("bank-a", "alice")?;
        let bob = customer("bank-b", "bob")?;
        let carol = customer("bank-c", "carol")?;
        let mallory = customer("notrust", "mallory")?;
        Ok(Self {
            bond: fund::profile(BOND, &alice.bank)?.uai(),
            cash: fund::profile(CASH, &bob.bank)?.uai(),
            runtime: clients::runtime()?,
            held,
            begun,
            alice,
            bob,
            carol,
            mallory,
        })
    }

    fn all(&mut self) -> Result<(), Refusal> {
        self.share_the_cash()?;
        let trades = [
            ("competition", self.competition()?),
            ("restart", self.killed_after_its_hold()?),
            ("refund", self.killed_before_it_reveals()?),
        ];
        self.evidence(&trades)?;
        self.chapter("every bank is asked whether all of this holds together")?;
        let report = audit::audit(&self.held.layout, &self.held.state, REST)?;
        print(&audit::verdict(&report))?;
        if !report.findings.is_empty() {
            refuse!(DoesNotHold, "{} findings", report.findings.len());
        }
        self.chapter("shown: one trade settled, one survived a kill -9, one was refunded")
    }

    fn chapter(&self, title: &str) -> Result<(), Refusal> {
        print(&format!("\n== {title} ({:.1} s)\n", self.begun.elapsed().as_secs_f64()))
    }

    /// Carol and mallory need bank-b's euros to take an offer that wants them: payments from
    /// bank to bank, which are settlements as well.
    fn share_the_cash(&self) -> Result<(), Refusal> {
        self.chapter("bob at bank-b pays euros to carol at bank-c and to mallory at notrust")?;
        self.runtime.block_on(async {
            for (id, to) in [("to-carol", &self.carol), ("to-mallory", &self.mallory)] {
                let amount = minor(12_000_000);
                let order = self.bob.pay(id, &self.cash, amount, to.account()).await?;
                let view = self.bob.outcome(&order, STEP, |view| is_over(view.state)).await?;
                expect("the payment", view.state, OrderState::Settled)?;
                print(&format!("  {} has 12000000.00 EUR of bank-b\n", to.name))?;
            }
            Ok(())
        })
    }

    fn competition(&self) -> Result<SettlementId, Refusal> {
        self.chapter("alice at bank-a offers 10,000,000 of the bond for 9,850,000 EUR or more")?;
        let (bond, cash) = ((&self.bond, minor(10_000_000)), (&self.cash, minor(9_850_000)));
        let settlement = self.runtime.block_on(async {
            let begun = Instant::now();
            let offer = self.alice.offer("sale-1", bond, cash, WINDOW).await?;
            for taker in [&self.bob, &self.carol, &self.mallory] {
                taker.sees(&offer, STEP).await?;
                let after = begun.elapsed().as_millis();
                print(&format!("  {after:>7} ms  {} sees the offer\n", taker.bank))?;
            }
            let seen = self.bob.sees(&offer, STEP).await?;
            let carols = self.carol.take("buy-1", &seen, minor(9_860_000)).await?;
            let bobs = self.bob.take("buy-1", &seen, minor(9_900_000)).await?;
            let mallorys = self.mallory.take("buy-1", &seen, minor(9_990_000)).await?;
            print("  carol pays 9,860,000, bob 9,900,000, mallory 9,990,000; bank-a selects\n")?;
            let mallory = self.mallory.outcome(&mallorys, STEP, |view| is_over(view.state)).await?;
            self.refused(&mallory).await?;
            let bob = self.bob.outcome(&bobs, STEP, |view| is_over(view.state)).await?;
            expect("bob's take, the best", bob.state, OrderState::Settled)?;
            let carol = self.carol.outcome(&carols, STEP, |view| is_over(view.state)).await?;
            expect("carol's take, which pays less", carol.state, OrderState::Ended)?;
            let because = carol.reason.map_or_else(String::new, |reason| reason.title);
            print(&format!("  carol's take has ended: {because}\n"))?;
            bob.settlement.ok_or_else(|| otherwise("bob's take settled without a settlement"))
        })?;
        self.tell(settlement)?;
        Ok(settlement)
    }

    /// Mallory was refused by bank-a, with a reason that bank-a has signed.
    async fn refused(&self, order: &quadrille_node::api::dto::OrderView) -> Result<(), Refusal> {
        expect("mallory's take", order.state, OrderState::Ended)?;
        let reason = order.reason.as_ref().ok_or_else(|| otherwise("no reason was given"))?;
        print(&format!("  mallory's take is refused: {} {}\n", reason.code, reason.title))?;
        let told = |error| clients::refusal(self.mallory.bank.as_str(), error);
        let proof = self.mallory.client.order_evidence(&order.order).await.map_err(told)?;
        self.keep("refusal", &proof)?;
        Ok(())
    }

    fn killed_after_its_hold(&mut self) -> Result<SettlementId, Refusal> {
        self.chapter("a second trade; bank-b is killed (SIGKILL) right after its hold")?;
        self.restart("bank-b", Some("after-sign:Locked"))?;
        let take = self.trade("2")?;
        self.await_death("bank-b")?;
        let away = Instant::now();
        self.restart("bank-b", None)?;
        let back = away.elapsed().as_millis();
        print(&format!("  bank-b was killed, and is up again after {back} ms\n"))?;
        let settlement = self.ending(&take, OrderState::Settled, STEP)?;
        self.tell(settlement)?;
        Ok(settlement)
    }

    fn killed_before_it_reveals(&mut self) -> Result<SettlementId, Refusal> {
        self.chapter("a third trade; bank-a is killed before it reveals, and stays away")?;
        self.restart("bank-a", Some("before-append:Revealed"))?;
        let take = self.trade("3")?;
        self.await_death("bank-a")?;
        print("  bank-a was killed; bank-b waits for the deadline\n")?;
        let settlement = self.ending(&take, OrderState::Refunded, REFUND)?;
        print("  bank-b has refunded; bank-a comes back and hears of it\n")?;
        self.restart("bank-a", None)?;
        self.tell(settlement)?;
        Ok(settlement)
    }

    /// Alice offers a part of the bond, and bob takes it.
    fn trade(&self, number: &str) -> Result<quadrille_protocol::types::OrderId, Refusal> {
        let (bond, cash) = ((&self.bond, minor(1_000_000)), (&self.cash, minor(985_000)));
        self.runtime.block_on(async {
            let offer = self.alice.offer(&format!("sale-{number}"), bond, cash, Span(0)).await?;
            let seen = self.bob.sees(&offer, STEP).await?;
            self.bob.take(&format!("buy-{number}"), &seen, minor(985_000)).await
        })
    }

    /// Waits until bob's take has come to its end, which has to be this one.
    fn ending(
        &self,
        take: &quadrille_protocol::types::OrderId,
        end: OrderState,
        patience: Duration,
    ) -> Result<SettlementId, Refusal> {
        let view =
            self.runtime.block_on(self.bob.outcome(take, patience, |view| is_over(view.state)))?;
        expect("bob's take", view.state, end)?;
        view.settlement.ok_or_else(|| otherwise("the take ended without a settlement"))
    }

    /// Ends a bank if it runs and starts it, to be killed at a moment where one is named.
    fn restart(&mut self, name: &str, crash_point: Option<&str>) -> Result<(), Refusal> {
        if let Some(process) = self.held.state.bank_mut(name)?.process.take() {
            let _ = process.stop(start::PATIENCE);
        }
        start::banks(self.held, &[name.to_owned()], crash_point, |_| ())?;
        up::meet(self.held)
    }

    fn await_death(&self, name: &str) -> Result<(), Refusal> {
        let dead = match &self.held.state.bank(name)?.process {
            Some(process) => Process::await_end(process, STEP),
            None => true,
        };
        if dead { Ok(()) } else { Err(otherwise(format!("{name} was not killed"))) }
    }

    /// Waits until the settlement is final at both banks, and prints its steps.
    fn tell(&self, settlement: SettlementId) -> Result<(), Refusal> {
        let views = self.runtime.block_on(async {
            let mut views = Vec::new();
            for trader in [&self.alice, &self.bob] {
                let what = format!("{settlement} is final at {}", trader.bank);
                let view = wait(&what, STEP, async || {
                    let view = trader.client.settlement(&settlement).await.ok()?;
                    (view.state == SettlementState::Final).then_some(view)
                });
                views.push((trader.bank.clone(), view.await?));
            }
            Ok::<_, Refusal>(views)
        })?;
        print(&story::tell(&views))
    }

    /// Exports what bank-b holds about each trade and verifies it with nothing but the file and
    /// the network's file.
    fn evidence(&self, trades: &[(&str, SettlementId)]) -> Result<(), Refusal> {
        self.chapter("the evidence is exported and verified offline")?;
        let mut files = vec![self.held.layout.evidence().join("refusal.json")];
        for (name, settlement) in trades {
            let told = |error| clients::refusal(self.bob.bank.as_str(), error);
            let evidence = self.bob.client.settlement_evidence(settlement);
            files.push(self.keep(name, &self.runtime.block_on(evidence).map_err(told)?)?);
        }
        files.iter().try_for_each(|file| self.verify(file))
    }

    fn keep(&self, name: &str, evidence: &Armour) -> Result<PathBuf, Refusal> {
        let path = self.held.layout.evidence().join(format!("{name}.json"));
        files::private_folder(files::folder_of(&path))?;
        let text = serde_json::to_vec_pretty(evidence)
            .map_err(|error| Refusal::new(Code::CannotWrite, error.to_string()))?;
        files::replace(&path, &text, Access::Public)?;
        Ok(path)
    }

    /// By the program, in a process of its own that is told of no node.
    fn verify(&self, file: &Path) -> Result<(), Refusal> {
        let network = self.held.layout.network().network_file();
        let output = process::ask(
            &process::program("quadrille")?,
            &[
                "evidence".as_ref(),
                "verify".as_ref(),
                file.as_ref(),
                "--network".as_ref(),
                network.as_ref(),
            ],
        )?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if let Err(complaint) = output {
            return Err(otherwise(format!("{name} does not verify: {complaint}")));
        }
        let text = output.unwrap_or_default();
        let told = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<&str> = told.take(VERDICT_LINES).collect();
        print(&format!("  {name}: {}\n", lines.join("\n    ")))
    }
}

/// Whether nothing more will come of an order.
const fn is_over(state: OrderState) -> bool {
    match state {
        OrderState::Live | OrderState::Settling => false,
        OrderState::Done
        | OrderState::Settled
        | OrderState::Refunded
        | OrderState::Ended
        | OrderState::Refused => true,
    }
}

fn expect(what: &str, found: OrderState, wanted: OrderState) -> Result<(), Refusal> {
    if found == wanted {
        return Ok(());
    }
    Err(otherwise(format!("{what} is {found:?} and should be {wanted:?}")))
}
