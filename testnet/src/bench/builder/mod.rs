//! Writing long logs at speed: two banks' cores in this process, on the files of a local network.
//!
//! ```text
//!   files of two banks, as `up` makes them, nothing running yet
//!     -> two cores, found as a new node would find them
//!     -> openings, settlements: real orders, agreements, evidence, frames
//!     -> LogStore (append, fdatasync), guard, signature, seal, index, snapshots: the node's own
//!     -> the banks' processes are started on what lies there
//! ```
//!
//! Invariants:
//! * Everything in the logs is what two nodes would have written: every signature is real and
//!   verifies. Only the checking of signatures that this process has made a moment before is left
//!   out, since it changes nothing that is written.
//! * Snapshots are saved as often as a node saves them, and none at the end, as if it was killed.

mod desk;

use std::collections::VecDeque;

use quadrille_node::files;
use quadrille_node::runtime::Setup;
use quadrille_node::signer::keyfile;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{
    HybridSignatures, PublicKey, SecretKey, Signature, Signatures, Suite,
};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{Directory, VerifiedCertificate};
use quadrille_protocol::ledger::Action;
use quadrille_protocol::log::Frame;
use quadrille_protocol::market::{OfferTerms, TakeTerms};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Amount, AssetPair, Bounded, Duration as Span, Network, Uai};
use quadrille_protocol::validator::{Command, Input, Message};

use super::Bench;
use super::stage::{ORDER_LIFE, Signing, config_of, opening};
use crate::local::fund::{self, BOND, CASH};
use crate::local::layout::Layout;
use crate::local::means::Means;
use crate::local::prepare::{self, Papers, Timing};
use crate::local::start;
use crate::local::state::{Bank, Held, State};
use crate::local::up::now;
use desk::Desk;

pub(super) use desk::Written;

/// The banks: the makers' and the takers'.
pub(super) const NAMES: [&str; 2] = ["bank-a", "bank-b"];
/// Trades that share a batch: as many as are in flight when the banks are busy.
const TOGETHER: u64 = 256;
/// Ledgers that are opened in one turn.
const OPENINGS: u64 = 4_096;
/// What each trading ledger is given, and what each trade moves.
const FUNDS: Amount = Amount::new(1_000_000_000_000);
const AMOUNT: Amount = Amount::new(100);
/// What the banks may owe each other.
const LIMIT: Amount = Amount::new(100_000_000_000_000);
/// Turns and deliveries until everything must be quiet again.
const ROUNDS: usize = 1_000;
const PASSPHRASE_BYTES: usize = 4096;

/// Says yes: for what this process has signed itself a moment before.
struct OurOwn;

impl Signatures for OurOwn {
    fn verify(&self, _: &PublicKey, _: Tag, _: &[u8], _: &Signature) -> Result<(), Refusal> {
        Ok(())
    }
}

/// What is on the way between the two.
enum Wire {
    Frame(Vec<u8>),
    Message(Message),
}

/// Two banks' cores on their files.
pub(super) struct Pair {
    network: Network,
    desks: [Desk; 2],
    wire: VecDeque<(usize, Wire)>,
    bond: Uai,
    cash: Uai,
    holders: [Vec<Signing>; 2],
}

/// Makes the files of two banks that have never run. The bootstrap peer runs.
///
/// # Errors
/// Those of every step.
pub(super) fn prepare(bench: &Bench, layout: &Layout) -> Result<Held, Refusal> {
    let bank = |name: &str| -> Result<Bank, Refusal> {
        let domain = format!("{name}.example").parse()?;
        let name = name.to_owned();
        Ok(Bank { name, domain, trusted: true, api: None, p2p: None, front: None, process: None })
    };
    let [a, b] = NAMES;
    let banks = vec![bank(a)?, bank(b)?];
    let first = || {
        let mut state = State::new("local".parse()?, 1, Suite::HybridMlDsa65, banks);
        state.direct = true;
        Ok(state)
    };
    bench.cleanup.network(layout);
    let (mut held, _) = Held::open_or_begin(layout.clone(), first)?;
    let passphrase = prepare::authority(layout, &held.state, now()?)?;
    let bootstrap = start::bootstrap(&mut held)?;
    let means = Means::usual(&held.state)?;
    let timing = Timing::default();
    let papers = Papers { timing, means: &means, passphrase: &passphrase };
    prepare::banks(layout, &held.state, &bootstrap, &papers, now()?)?;
    held.state.prepared = true;
    held.save()?;
    Ok(held)
}

impl Pair {
    /// Founds the two banks that were prepared. `keep` says whose log is written to disk; the
    /// other's is as real and is dropped.
    ///
    /// # Errors
    /// Those of the files and of the core.
    pub fn found(held: &Held, keep: [bool; 2]) -> Result<Self, Refusal> {
        let passphrase = files::read_text(&held.layout.passphrase(), PASSPHRASE_BYTES)?;
        let banks = NAMES.map(|name| held.state.bank(name));
        let setups = banks.map(|bank| setup(&held.layout, bank?, &passphrase));
        let [a, b] = setups;
        let (a, b) = (a?, b?);
        let papers = [verified(&a, &a)?, verified(&a, &b)?];
        let theirs = [verified(&b, &b)?, verified(&b, &a)?];
        let domains = [a.keys.domain.clone(), b.keys.domain.clone()];
        let [keep_a, keep_b] = keep;
        let desks = [Desk::found(a, &papers, keep_a)?, Desk::found(b, &theirs, keep_b)?];
        let [of_a, of_b] = domains;
        let (bond, cash) = (fund::profile(BOND, &of_a)?, fund::profile(CASH, &of_b)?);
        let mut pair = Self {
            network: held.state.network.clone(),
            desks,
            wire: VecDeque::new(),
            bond: bond.uai(),
            cash: cash.uai(),
            holders: [Vec::new(), Vec::new()],
        };
        for (at, peer) in [(0, &of_b), (1, &of_a)] {
            for profile in [&bond, &cash] {
                pair.command(at, Command::RegisterAsset(profile.clone()))?;
                let (peer, asset) = (peer.clone(), profile.uai());
                pair.command(at, Command::SetCreditLimit { peer, asset, limit: LIMIT })?;
            }
        }
        pair.quieten()?;
        Ok(pair)
    }

    /// Opens the ledgers of holders that trade, and funds them.
    ///
    /// # Errors
    /// What a core refuses.
    pub fn holders(&mut self, held: &Held, suite: Suite, count: u64) -> Result<(), Refusal> {
        for (at, name) in NAMES.iter().enumerate() {
            let asset = if at == 0 { self.bond.clone() } else { self.cash.clone() };
            for number in 0..count {
                let bank = held.state.bank(name)?;
                let local = format!("t{number}");
                let (signing, opening) = Signing::new(&self.network, bank, &local, suite)?;
                let ledger = signing.ledger;
                let opening = Box::new(opening.verify(&OurOwn)?);
                let request = self.desk(at)?.request();
                self.desk(at)?.inputs.push_back(Input::Open { request, opening });
                let (asset, amount) = (asset.clone(), FUNDS);
                self.command(at, Command::Issue { asset, ledger, amount, name: None })?;
                if let Some(holders) = self.holders.get_mut(at) {
                    holders.push(signing);
                }
            }
        }
        self.quieten()
    }

    /// Opens so many ledgers at either bank that stay idle, saves a snapshot as a node does when
    /// it is stopped in order, and lets go of the files. They share a key, which nothing of what
    /// is measured depends on. One bank after the other, since many ledgers are much memory.
    ///
    /// # Errors
    /// What a core refuses; those of the disk.
    pub fn finish_with_idle(self, suite: Suite, count: u64) -> Result<[Written; 2], Refusal> {
        let key = quadrille_node::signer::generate_key(suite)?;
        let [a, b] = self.desks;
        Ok([with_idle(a, &self.network, &key, count)?, with_idle(b, &self.network, &key, count)?])
    }

    /// Settles so many trades between the holders, some hundred at a time; `progress` is told how
    /// many there are so far.
    ///
    /// # Errors
    /// What a core refuses; `Q-2380` when not every trade has settled.
    pub fn settle(&mut self, count: u64, mut progress: impl FnMut(u64)) -> Result<(), Refusal> {
        let mut settled = 0;
        while settled < count {
            let together = TOGETHER.min(count - settled);
            let takes = self.offers(settled, together)?;
            self.turn(0)?;
            for take in takes {
                self.desk(1)?.inputs.push_back(take);
            }
            self.quieten()?;
            settled += together;
            progress(settled);
        }
        let open = self.desks.iter().map(Desk::open_settlements).sum::<usize>();
        if open != 0 {
            refuse!(BenchFailed, "{open} trades have not settled");
        }
        Ok(())
    }

    /// Hands in offers at the makers' bank; the takes of them.
    fn offers(&mut self, first: u64, count: u64) -> Result<Vec<Input>, Refusal> {
        let now = now()?;
        let [maker, taker] = self.desks.each_mut();
        let [makers, takers] = self.holders.each_mut();
        let mut takes = Vec::new();
        for number in first..first + count {
            let place = usize::try_from(number).unwrap_or(0) % makers.len().max(1);
            let (Some(from), Some(to)) = (makers.get_mut(place), takers.get_mut(place)) else {
                refuse!(BenchFailed, "no holders");
            };
            let pair = AssetPair { give: self.bond.clone(), want: self.cash.clone() };
            let terms = OfferTerms {
                give: self.bond.clone(),
                give_amount: AMOUNT,
                want: self.cash.clone(),
                want_amount: AMOUNT,
                minimum_fill: AMOUNT,
                expiry: now.after(ORDER_LIFE),
                counterparties: Bounded::new(vec![taker.domain().clone()])?,
                notary: None,
                selection_window: Span(0),
                receive: None,
            };
            let (signed, offer) = from.sign(now, Action::Offer(terms))?;
            let order = signed.verify(&self.network, from.key().public(), None, &OurOwn)?;
            let request = maker.request();
            maker.inputs.push_back(Input::Order { request, order: Box::new(order) });
            let terms = TakeTerms {
                offer,
                maker: maker.domain().clone(),
                take: AMOUNT,
                pay: AMOUNT,
                notary: None,
                expiry: now.after(ORDER_LIFE),
                receive: None,
            };
            let (signed, _) = to.sign(now, Action::Take { terms, pair })?;
            let order = signed.verify(&self.network, to.key().public(), None, &OurOwn)?;
            let request = taker.request();
            takes.push(Input::Order { request, order: Box::new(order) });
        }
        Ok(takes)
    }

    fn command(&mut self, at: usize, command: Command) -> Result<(), Refusal> {
        let desk = self.desk(at)?;
        let request = desk.request();
        desk.inputs.push_back(Input::Command { request, command });
        self.turn(at)
    }

    fn desk(&mut self, at: usize) -> Result<&mut Desk, Refusal> {
        let missing = || Refusal::new(Code::BenchFailed, format!("no bank {at}"));
        self.desks.get_mut(at).ok_or_else(missing)
    }

    /// One turn of one bank; what it says goes on the wire.
    fn turn(&mut self, at: usize) -> Result<(), Refusal> {
        let said = self.desk(at)?.turn()?;
        self.wire.extend(said.into_iter().map(|wire| (at, wire)));
        Ok(())
    }

    /// Delivers and turns until neither has anything to do.
    fn quieten(&mut self) -> Result<(), Refusal> {
        for _ in 0..ROUNDS {
            while let Some((from, wire)) = self.wire.pop_front() {
                self.deliver(from, wire)?;
            }
            let mut busy = false;
            for at in [0, 1] {
                if !self.desk(at)?.inputs.is_empty() {
                    self.turn(at)?;
                    busy = true;
                }
            }
            if !busy && self.wire.is_empty() {
                return Ok(());
            }
        }
        refuse!(BenchFailed, "the two banks do not come to rest");
    }

    fn deliver(&mut self, from: usize, wire: Wire) -> Result<(), Refusal> {
        let [a, b] = self.desks.each_mut();
        let (sender, receiver) = if from == 0 { (a, b) } else { (b, a) };
        let sender = sender.domain().clone();
        receiver.inputs.push_back(match wire {
            Wire::Frame(bytes) => {
                let (us, directory) = (receiver.domain(), receiver.directory());
                let frame = Frame::verify(&bytes, &sender, us, &self.network, directory, &OurOwn)?;
                Input::Frame { frame: Box::new(frame), findings: Vec::new() }
            }
            Wire::Message(message) => Input::Message { from: sender, message },
        });
        Ok(())
    }

    /// Finishes the indexes, and lets go of all files. What was written, for either bank.
    ///
    /// # Errors
    /// Those of the index.
    pub fn finish(self) -> Result<[Written; 2], Refusal> {
        let [a, b] = self.desks;
        Ok([a.finish()?, b.finish()?])
    }
}

fn with_idle(
    mut desk: Desk,
    network: &Network,
    key: &SecretKey,
    count: u64,
) -> Result<Written, Refusal> {
    let domain = desk.domain().clone();
    let mut opened = 0;
    while opened < count {
        let until = count.min(opened + OPENINGS);
        for number in opened..until {
            let holder = format!("idle{number}@{domain}").parse()?;
            let opening = Box::new(opening(network, &holder, key).verify(&OurOwn)?);
            let request = desk.request();
            desk.inputs.push_back(Input::Open { request, opening });
        }
        opened = until;
        let _nobody_hears = desk.turn()?;
    }
    desk.snapshot()?;
    desk.finish()
}

/// What a bank is started with.
fn setup(layout: &Layout, bank: &Bank, passphrase: &str) -> Result<Setup, Refusal> {
    let config = config_of(layout, bank)?;
    let keys = keyfile::open(&config.layout().keys(), passphrase)?;
    Setup::new(config, keys)
}

/// The certificate of `whose`, as the bank of `by` verifies it.
fn verified(by: &Setup, whose: &Setup) -> Result<VerifiedCertificate, Refusal> {
    let nobody = Directory::new();
    by.anchors.verify_certificate(&whose.certificate, &nobody, now()?, &HybridSignatures)
}

#[cfg(test)]
mod tests;
