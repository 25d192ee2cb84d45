//! The network of the tour, who acts in it, and how what happens is told and checked.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use quadrille_node::api::dto::{
    Place, Receipt, SettlementOutcome, SettlementState, SettlementView,
};
use quadrille_node::client::{Client, ClientError};
use quadrille_node::files;
use quadrille_node::wallet::Wallet;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Amount, Domain, Holder, SettlementId, Uai, Ubi};

use super::customer::{Customer, STEP};
use crate::local::clients;
use crate::local::command::print;
use crate::local::fund;
use crate::local::process;
use crate::local::state::{Bank, Held};
use crate::local::trader::{otherwise, wait};

const PASSPHRASE_BYTES: usize = 4096;
/// A credit limit that is never reached.
pub(super) const PLENTY: Amount = Amount::new(1_000_000_000_000);

/// A bank, as its operator talks to it.
#[derive(Clone)]
pub(super) struct Desk {
    pub name: String,
    pub domain: Domain,
    pub client: Client,
    pub runtime: Rc<tokio::runtime::Runtime>,
}

impl Desk {
    /// Waits for what the bank answers.
    pub fn ask<T>(
        &self,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, Refusal> {
        self.runtime.block_on(answer).map_err(|error| clients::refusal(&self.name, error))
    }

    /// The evidence of a record: `quadrille evidence get` takes it.
    pub fn at(&self, place: Place) -> String {
        format!("{} {}.{}", self.name, place.height, place.leaf)
    }

    /// The evidence of what a receipt is for.
    pub fn receipt(&self, receipt: &Receipt) -> String {
        match (receipt.height, receipt.leaf) {
            (Some(height), Some(leaf)) => format!("{} {height}.{leaf}", self.name),
            (Some(height), None) => format!("{} {height}.0", self.name),
            (None, Some(_) | None) => format!("{}, nothing new", self.name),
        }
    }

    /// Waits until a settlement is final at this bank.
    pub fn final_view(&self, settlement: &SettlementId) -> Result<SettlementView, Refusal> {
        let what = format!("{settlement} is final at {}", self.name);
        self.runtime.block_on(wait(&what, STEP, async || {
            let view = self.client.settlement(settlement).await.ok()?;
            (view.state == SettlementState::Final).then_some(view)
        }))
    }

    /// Waits until a settlement has settled here; its last step is the evidence.
    pub fn settled(&self, settlement: &SettlementId) -> Result<String, Refusal> {
        let view = self.final_view(settlement)?;
        same("the settlement", &view.outcome, &Some(SettlementOutcome::Settled))?;
        let step = view.steps.iter().rev().find(|step| step.step == "Settled");
        let step = step.ok_or_else(|| otherwise("a settlement without a step"))?;
        Ok(self.at(step.place))
    }

    /// Waits until the bank has heard that the other one accepts an asset from it.
    pub fn reaches(&self, other: &Desk, asset: &Uai) -> Result<(), Refusal> {
        self.until(&format!("a way to {}", other.name), async || {
            let what = (asset, Amount::new(100));
            let ways = self.client.paths(&other.domain, what, asset, None).await.ok()?;
            (!ways.is_empty()).then_some(())
        })
    }

    /// Waits until the bank knows something.
    pub fn until<T>(&self, what: &str, ask: impl AsyncFnMut() -> Option<T>) -> Result<T, Refusal> {
        self.runtime.block_on(wait(&format!("{}: {what}", self.name), STEP, ask))
    }
}

/// The network and who acts in it.
pub(super) struct Stage<'a> {
    pub held: &'a mut Held,
    begun: Instant,
    runtime: Rc<tokio::runtime::Runtime>,
    passphrase: String,
    customers: RefCell<BTreeMap<String, Rc<Customer>>>,
    told: Cell<usize>,
}

impl<'a> Stage<'a> {
    pub fn new(held: &'a mut Held, begun: Instant) -> Result<Self, Refusal> {
        let passphrase = files::read_text(&held.layout.passphrase(), PASSPHRASE_BYTES)?;
        let runtime = Rc::new(clients::runtime()?);
        Ok(Self {
            held,
            begun,
            runtime,
            passphrase,
            customers: RefCell::default(),
            told: Cell::new(0),
        })
    }

    fn bank(&self, name: &str) -> Result<&Bank, Refusal> {
        self.held.state.bank(name)
    }

    /// A bank's operator.
    pub fn desk(&self, name: &str) -> Result<Desk, Refusal> {
        let bank = self.bank(name)?;
        Ok(Desk {
            name: bank.name.clone(),
            domain: bank.domain.clone(),
            client: clients::of(&self.held.layout, bank)?,
            runtime: self.runtime.clone(),
        })
    }

    /// A customer whom the network was funded with, as `alice@bank-a`.
    pub fn customer(&self, name: &str) -> Result<Rc<Customer>, Refusal> {
        if let Some(known) = self.customers.borrow().get(name) {
            return Ok(known.clone());
        }
        let (local, bank) =
            name.split_once('@').ok_or_else(|| otherwise(format!("no bank in {name}")))?;
        let desk = self.desk(bank)?;
        let wallet = Wallet::open(&self.held.layout.wallet(bank))?;
        let holder: Holder = format!("{local}@{}", desk.domain).parse()?;
        let known = wallet.find_ledger(&holder.to_string())?;
        let key = wallet.unlock(&holder, &self.passphrase)?;
        let customer = Rc::new(Customer {
            desk,
            ledger: known.ledger,
            network: known.network,
            key,
            second: None,
        });
        self.customers.borrow_mut().insert(name.to_owned(), customer.clone());
        Ok(customer)
    }

    /// The cash of a bank.
    pub fn cash(&self, bank: &str) -> Result<Uai, Refusal> {
        Ok(fund::profile(fund::CASH, &self.bank(bank)?.domain)?.uai())
    }

    /// The bond of a bank.
    pub fn bond(&self, bank: &str) -> Result<Uai, Refusal> {
        Ok(fund::profile(fund::BOND, &self.bank(bank)?.domain)?.uai())
    }

    /// Runs the real program as a client of a bank.
    pub fn quadrille(
        &self,
        bank: &str,
        arguments: &[&str],
    ) -> Result<Result<String, String>, Refusal> {
        let bank = self.bank(bank)?;
        let Some(api) = bank.api else { refuse!(Unreachable, "{} has never run", bank.name) };
        let layout = &self.held.layout;
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|error| files::cannot_read(path, &error))
        };
        let paths = [
            ("QUADRILLE_TOKEN_FILE", absolute(&layout.token(&bank.name))?),
            ("QUADRILLE_WALLET", absolute(&layout.wallet(&bank.name))?),
            ("QUADRILLE_PASSPHRASE_FILE", absolute(&layout.passphrase())?),
            ("QUADRILLE_DIR", absolute(&layout.node(&bank.name))?),
        ];
        let api = format!("http://{api}");
        let settings = paths.iter().map(|(name, path)| (*name, path.as_os_str()));
        let settings: Vec<_> =
            std::iter::once(("QUADRILLE_API", api.as_ref())).chain(settings).collect();
        let arguments: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
        process::ask_with(&process::program("quadrille")?, &arguments, &settings)
    }

    /// The same, and what it answers in JSON.
    pub fn json(&self, bank: &str, arguments: &[&str]) -> Result<serde_json::Value, Refusal> {
        let told = self.quadrille(bank, &[arguments, &["-o", "json"]].concat())?;
        let text = told.map_err(|complaint| otherwise(format!("{arguments:?}: {complaint}")))?;
        serde_json::from_str(&text).map_err(|error| otherwise(format!("{error}: {text}")))
    }

    /// A heading.
    pub fn chapter(&self, number: usize, title: &str) -> Result<(), Refusal> {
        print(&format!("\n== {number}. {title} ({:.1} s)\n", self.begun.elapsed().as_secs_f64()))
    }

    /// One thing that has happened, and what proves it.
    pub fn tell(&self, what: impl Display, evidence: impl Display) -> Result<(), Refusal> {
        self.told.set(self.told.get().saturating_add(1));
        print(&format!("  {what}\n      [{evidence}]\n"))
    }

    /// How many things were told.
    pub fn told(&self) -> usize {
        self.told.get()
    }

    /// Has later chapters find a customer under this name.
    pub fn keep(&self, name: &str, customer: Customer) {
        self.customers.borrow_mut().insert(name.to_owned(), Rc::new(customer));
    }

    /// Whether a text stands in the clear in the files of a bank, or in what it has written.
    pub fn stands_in_the_clear(&self, bank: &str, text: &str) -> Result<bool, Refusal> {
        let layout = &self.held.layout;
        Ok(is_in(&layout.node(bank), text.as_bytes())?
            || is_in(&layout.log(bank), text.as_bytes())?)
    }

    /// Makes these the only credit limits for an asset: who accepts whom, up to what.
    pub fn trust(&self, asset: &Uai, lines: &[(&str, &str, Amount)]) -> Result<(), Refusal> {
        for bank in &self.held.state.banks {
            let desk = self.desk(&bank.name)?;
            let known = desk.ask(desk.client.trust(ROWS))?;
            for peer in self.held.state.banks.iter().filter(|peer| peer.name != bank.name) {
                let wanted = lines.iter().find(|it| (it.0, it.1) == (&*bank.name, &*peer.name));
                let limit = wanted.map_or(Amount::ZERO, |(_, _, limit)| *limit);
                let now = known
                    .iter()
                    .find(|it| it.domain == peer.domain && it.exposure.asset == *asset)
                    .map_or(Amount::ZERO, |it| it.exposure.limit);
                if now != limit {
                    desk.ask(desk.client.set_trust(&peer.domain, asset, limit))?;
                }
            }
        }
        Ok(())
    }
}

/// Rows of a list that are asked for.
pub(super) const ROWS: usize = 10_000;

/// Whether the bytes are in a file, or in one below a folder.
fn is_in(path: &Path, bytes: &[u8]) -> Result<bool, Refusal> {
    let cannot = |error: std::io::Error| files::cannot_read(path, &error);
    if !path.is_dir() {
        let content = std::fs::read(path).map_err(cannot)?;
        return Ok(content.windows(bytes.len()).any(|window| window == bytes));
    }
    for entry in std::fs::read_dir(path).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        // The vault and the index may replace a file between the two looks.
        if path.exists() && is_in(&path, bytes)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Fails unless what came is what was expected.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    came: &T,
    expected: &T,
) -> Result<(), Refusal> {
    if came == expected {
        return Ok(());
    }
    Err(otherwise(format!("{what}: expected {expected:?}, and {came:?} came")))
}

/// Fails unless it is so.
pub(super) fn holds(what: impl Display, is_so: bool) -> Result<(), Refusal> {
    if is_so { Ok(()) } else { Err(otherwise(format!("expected and not so: {what}"))) }
}

/// Fails unless it was refused with this code; the refusal.
pub(super) fn refused<T: std::fmt::Debug>(
    what: &str,
    answer: Result<T, Refusal>,
    code: Code,
) -> Result<Refusal, Refusal> {
    match answer {
        Err(refusal) if refusal.code == code => Ok(refusal),
        Err(refusal) => {
            Err(otherwise(format!("{what}: expected {code}, and this came: {refusal}")))
        }
        Ok(came) => Err(otherwise(format!("{what}: expected {code}, and {came:?} came"))),
    }
}

/// The only one of a list.
pub(super) fn only<'a, T>(what: &str, list: &'a [T]) -> Result<&'a T, Refusal> {
    match list {
        [one] => Ok(one),
        other => Err(otherwise(format!("{what}: expected one, and {} came", other.len()))),
    }
}

/// The first digits of a ledger.
pub(super) fn short(ledger: &Ubi) -> String {
    ledger.to_string().chars().take(12).collect()
}
