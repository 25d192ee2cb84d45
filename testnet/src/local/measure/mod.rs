//! Measuring trades between two real banks: a bond at one against cash at the other.
//!
//! ```text
//!   fresh ledgers -> offers and takes signed -> offers placed, seen by the taker's bank
//!     -> clock: takes sent, so many at a time -> both event streams say settled -> figures
//! ```
//!
//! Invariants:
//! * Every trade settles, or the run fails: there are no figures of broken trades.
//! * A closed loop: each of the trades in flight waits for its end before the next is sent.
//! * What is sent, and how long it may take, is bounded.

mod board;
mod figures;
mod holders;

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use quadrille_node::client::Client;
use quadrille_node::files;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{OrderId, Ubi};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::clients;
use super::command::{self, Output, Progress, complain, print};
use super::fund::{self, BOND, CASH};
use super::layout::Layout;
use super::start;
use super::state::{Bank, Held};
use super::up::{self, Plan};
use board::{Board, Ending};
use figures::{Latencies, Phase, Report, Sample};
use holders::{Holders, Pair, SignedTrade, Tokens, sign_trade};

/// Most trades of one way of trading.
const TRADES: usize = 8_000;
/// Most trades in flight.
const IN_FLIGHT: usize = 256;
/// Ledgers at each bank at least, so that trades do not queue for one ledger.
const LEDGERS: usize = 64;
/// Trades with pauses in between, at most.
const IDLE_TRADES: usize = 200;
/// The pause: longer than what a trade leaves to do behind it.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one trade may take.
const TRADE: Duration = Duration::from_secs(60);
/// How long one way of trading may take.
const PHASE: Duration = Duration::from_secs(15 * 60);
/// How long the taker's bank may take to hear of all offers.
const HEARD: Duration = Duration::from_secs(60);
/// Between two looks at its book.
const LOOK: Duration = Duration::from_millis(100);
/// Writes of one page that are timed.
const PAGES: usize = 101;

/// What `measure` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A release build of all programs measures what counts; other load on the machine spoils it.

Examples:
  quadrille-testnet measure
  quadrille-testnet measure --dir /tmp/sixteen --pairs bank-c,bank-d --trades 2000 -o json")]
pub struct MeasureArgs {
    /// The folder of a network that is up [default: a new one of two banks, ended afterwards]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The maker's bank and the taker's
    #[arg(long, default_value = "bank-a,bank-b", value_parser = pair)]
    pairs: [String; 2],
    /// How many trades for each number in flight
    #[arg(long, default_value_t = 1_000, value_parser = trades)]
    trades: usize,
    /// How many trades are under way at one time, one run for each number
    #[arg(long, value_delimiter = ',', default_value = "1,16,256", value_parser = in_flight)]
    in_flight: Vec<usize>,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

fn pair(text: &str) -> Result<[String; 2], String> {
    match text.split_once(',') {
        Some((maker, taker)) if maker != taker => Ok([maker.to_owned(), taker.to_owned()]),
        Some(_) | None => Err("two banks, like bank-a,bank-b".to_owned()),
    }
}

fn trades(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=TRADES).contains(count));
    count.ok_or_else(|| format!("a number from 1 to {TRADES}"))
}

fn in_flight(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=IN_FLIGHT).contains(count));
    count.ok_or_else(|| format!("numbers from 1 to {IN_FLIGHT}"))
}

impl MeasureArgs {
    /// Measures.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let told = match &self.dir {
            Some(dir) => Held::open(Layout::new(dir)).and_then(|held| self.measure(&held)),
            None => self.measure_own(),
        };
        let shown = told.and_then(|report| match self.output {
            Output::Table => print(&report.table()),
            Output::Json => print(&command::json(&report)?),
        });
        match shown {
            Ok(()) => ExitCode::SUCCESS,
            Err(refusal) => complain(&refusal),
        }
    }

    /// On a network that is made for it. It is left for a look when something fails.
    fn measure_own(&self) -> Result<Report, Refusal> {
        let own = format!("quadrille-measure-{}", std::process::id());
        let dir = std::env::temp_dir().join(own);
        let mut plan = Plan::of(0, None, Suite::HybridMlDsa65)?;
        // What is measured is the banks.
        plan.direct = true;
        plan.banks = self.pairs.iter().map(|name| (name.clone(), true)).collect();
        let progress = Progress::new();
        let mut held = match up::up(Layout::new(&dir), &plan, &mut |what| progress.say(what)) {
            Ok(held) => held,
            Err(failed) => {
                if let Some(mut held) = failed.held {
                    let _ = start::down(&mut held)?;
                }
                return Err(failed.refusal);
            }
        };
        let measured = self.measure(&held);
        let _ = start::down(&mut held)?;
        match measured {
            Ok(report) => {
                std::fs::remove_dir_all(&dir).map_err(|error| files::cannot_write(&dir, &error))?;
                Ok(report)
            }
            Err(refusal) => {
                eprintln!("the network's folder is left for a look: {}", dir.display());
                Err(refusal)
            }
        }
    }

    fn measure(&self, held: &Held) -> Result<Report, Refusal> {
        let progress = Progress::new();
        let fdatasync_us = fdatasync(held.layout.root())?;
        let [maker, taker] = &self.pairs;
        let (maker, taker) = (held.state.bank(maker)?, held.state.bank(taker)?);
        let most = self.in_flight.iter().copied().max().unwrap_or(1);
        let ledgers = most.max(LEDGERS);
        let runtime = clients::runtime()?;
        let phases = runtime.block_on(async {
            progress.say(&format!("opening {ledgers} ledgers at each bank"));
            let mut market = Market::open(held, [maker, taker], ledgers).await?;
            progress.say("trading one at a time, with pauses");
            let first = market.phase(1, self.trades.min(IDLE_TRADES), PAUSE).await?;
            let mut phases = vec![first];
            for in_flight in &self.in_flight {
                progress.say(&format!("trading with {in_flight} in flight"));
                phases.push(market.phase(*in_flight, self.trades, Duration::ZERO).await?);
            }
            Ok::<_, Refusal>(phases)
        })?;
        Ok(Report {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            optimised: !cfg!(debug_assertions),
            pair: self.pairs.clone(),
            ledgers,
            fdatasync_us,
            phases,
            resident_bytes: [
                figures::usage_of(maker)?.resident_bytes,
                figures::usage_of(taker)?.resident_bytes,
            ],
        })
    }
}

/// Both banks with their holders.
struct Market<'a> {
    maker: Holders<'a>,
    taker: Holders<'a>,
    pair: Pair,
    seats: [(&'a Bank, Client); 2],
    boards: [Board; 2],
    /// Revoked when the market ends.
    _tokens: [Tokens; 2],
}

impl<'a> Market<'a> {
    async fn open(
        held: &'a Held,
        [maker, taker]: [&'a Bank; 2],
        ledgers: usize,
    ) -> Result<Self, Refusal> {
        let (layout, network) = (&held.layout, &held.state.network);
        let give = fund::profile(BOND, &maker.domain)?.uai();
        let want = fund::profile(CASH, &taker.domain)?.uai();
        let run = hex::encode(rand::random::<[u8; 4]>());
        let mut makers = Holders::open(layout, network, maker, (&give, ledgers, &run)).await?;
        let mut takers = Holders::open(layout, network, taker, (&want, ledgers, &run)).await?;
        let tokens = [Tokens::make(layout, maker)?, Tokens::make(layout, taker)?];
        let [of_maker, of_taker] = &tokens;
        makers.traders = of_maker.clients(makers.client.api())?;
        takers.traders = of_taker.clients(takers.client.api())?;
        Ok(Self {
            pair: Pair { give, want },
            seats: [(maker, makers.client.clone()), (taker, takers.client.clone())],
            boards: [Board::default(), Board::default()],
            maker: makers,
            taker: takers,
            _tokens: tokens,
        })
    }

    /// Places offers, and takes them, so many at one time.
    async fn phase(
        &mut self,
        in_flight: usize,
        trades: usize,
        pause: Duration,
    ) -> Result<Phase, Refusal> {
        let late = |_| Refusal::new(Code::StepFailed, "the measurement took too long");
        let lanes = self.sign(in_flight, trades)?;
        let before = Sample::take(&self.seats).await?;
        timeout(PHASE, self.place(&lanes)).await.map_err(late)??;
        let placed = Sample::take(&self.seats).await?;
        let trading = Trading { lanes: &lanes, pause };
        let (accepted, settled, seconds) =
            timeout(PHASE, self.trade(trading)).await.map_err(late)??;
        let done = Sample::take(&self.seats).await?;
        Ok(Phase {
            in_flight,
            idle_between: !pause.is_zero(),
            trades,
            seconds,
            trades_per_second: figures::many(trades) / seconds,
            accepted: accepted.summary(),
            settled: settled.summary(),
            take_cost: done.cost_since(&placed, trades),
            offer_cost: placed.cost_since(&before, trades),
            own_cpu_ms: done.own_cpu_since(&placed, trades),
        })
    }

    /// Signs all trades, in one lane for each that is in flight. No ledger is in two lanes.
    fn sign(&mut self, in_flight: usize, trades: usize) -> Result<Vec<Vec<SignedTrade>>, Refusal> {
        let ledgers = self.maker.ledgers.len();
        let mut lanes: Vec<Vec<SignedTrade>> = Vec::new();
        lanes.resize_with(in_flight.min(trades), Vec::new);
        let width = lanes.len().max(1);
        // Whole rounds of all lanes, so that a ledger always falls into the same one.
        let round = ledgers.saturating_sub(ledgers % width).max(1);
        for number in 0..trades {
            let ledger = number % round;
            let trade = sign_trade(&mut self.maker, &mut self.taker, &self.pair, ledger)?;
            if let Some(lane) = lanes.get_mut(number % width) {
                lane.push(trade);
            }
        }
        Ok(lanes)
    }

    /// Places the offers of all lanes, and waits until the taker's bank knows them.
    async fn place(&self, lanes: &[Vec<SignedTrade>]) -> Result<(), Refusal> {
        let place = lanes.iter().map(|lane| async move {
            for trade in lane {
                let sent = self.maker.trader(trade.ledger).order(&trade.offer).await;
                sent.map_err(|error| clients::refusal(&self.maker.bank.name, error))?;
            }
            Ok::<_, Refusal>(())
        });
        stream::iter(place).buffer_unordered(IN_FLIGHT).try_collect::<()>().await?;
        let mut missing: HashSet<OrderId> =
            lanes.iter().flatten().map(|trade| trade.offer_id).collect();
        let deadline = Instant::now() + HEARD;
        loop {
            let book = self.taker.client.book(Some(&self.pair.give), None, TRADES).await;
            for entry in book.map_err(|error| clients::refusal(&self.taker.bank.name, error))? {
                missing.remove(&entry.offer);
            }
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let (count, name) = (missing.len(), &self.taker.bank.name);
                refuse!(StepFailed, "{name} has not heard of {count} offers");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Takes the offers of all lanes, and hears how each trade ends. Returns the latencies until
    /// acceptance and until the end, and the seconds that all of it took.
    async fn trade(&self, trading: Trading<'_>) -> Result<(Latencies, Latencies, f64), Refusal> {
        let [(_, at_maker), (_, at_taker)] = &self.seats;
        let mut streams = [at_maker, at_taker].map(|at| at.follow(&board::TYPES, None, None));
        for (events, (bank, _)) in streams.iter_mut().zip(&self.seats) {
            events.connect().await.map_err(|error| clients::refusal(&bank.name, error))?;
        }
        let [makers, takers] = &self.boards;
        let [of_maker, of_taker] = streams;
        let begun = Instant::now();
        let lanes = trading.lanes.iter().map(|lane| self.lane(lane, trading.pause));
        let lanes = stream::iter(lanes).buffer_unordered(IN_FLIGHT).try_collect::<Vec<_>>();
        let took = tokio::select! {
            took = lanes => took?,
            error = makers.watch(of_maker) => {
                return Err(clients::refusal(&self.maker.bank.name, error));
            }
            error = takers.watch(of_taker) => {
                return Err(clients::refusal(&self.taker.bank.name, error));
            }
        };
        let seconds = begun.elapsed().as_secs_f64();
        let (mut accepted, mut settled) = (Latencies::new()?, Latencies::new()?);
        for (until_accepted, until_settled) in took.into_iter().flatten() {
            accepted.record(until_accepted);
            settled.record(until_settled);
        }
        Ok((accepted, settled, seconds))
    }

    /// One trade after the other.
    async fn lane(
        &self,
        lane: &[SignedTrade],
        pause: Duration,
    ) -> Result<Vec<(Duration, Duration)>, Refusal> {
        let mut took = Vec::with_capacity(lane.len());
        for trade in lane {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            took.push(timeout(TRADE, self.one(trade)).await.map_err(|_| {
                let what = format!("a trade took longer than {} s", TRADE.as_secs());
                Refusal::new(Code::StepFailed, what)
            })??);
        }
        Ok(took)
    }

    async fn one(&self, trade: &SignedTrade) -> Result<(Duration, Duration), Refusal> {
        let [makers, takers] = &self.boards;
        let at_maker = makers.expect(ledger(&self.maker, trade)?);
        let at_taker = takers.expect(ledger(&self.taker, trade)?);
        let begun = Instant::now();
        let sent = self.taker.trader(trade.ledger).order(&trade.take).await;
        sent.map_err(|error| clients::refusal(&self.taker.bank.name, error))?;
        let accepted = begun.elapsed();
        let at_taker = settled(at_taker, self.taker.bank).await?;
        let at_maker = settled(at_maker, self.maker.bank).await?;
        Ok((accepted, at_maker.max(at_taker).duration_since(begun)))
    }
}

/// What is traded and how.
#[derive(Clone, Copy)]
struct Trading<'a> {
    lanes: &'a [Vec<SignedTrade>],
    pause: Duration,
}

fn ledger(holders: &Holders<'_>, trade: &SignedTrade) -> Result<Ubi, Refusal> {
    let holder = holders.ledgers.get(trade.ledger);
    let none = || Refusal::new(Code::StepFailed, format!("no ledger {}", trade.ledger));
    holder.map(|holder| holder.ledger).ok_or_else(none)
}

/// When the bank said that the trade is settled.
async fn settled(ending: oneshot::Receiver<Ending>, bank: &Bank) -> Result<Instant, Refusal> {
    let Ok(Ending { at, cause }) = ending.await else {
        refuse!(StepFailed, "nobody listens to {} any more", bank.name);
    };
    if cause != "settled" {
        refuse!(StepFailed, "a trade has ended at {} otherwise: {cause}", bank.name);
    }
    Ok(at)
}

/// How long a page takes to be written and synced in this folder, in microseconds: the median.
fn fdatasync(folder: &Path) -> Result<u64, Refusal> {
    let path = folder.join(format!("fdatasync-{}", std::process::id()));
    let failed = |error: std::io::Error| files::cannot_write(&path, &error);
    let mut file = File::create_new(&path).map_err(failed)?;
    let mut took = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        let begun = Instant::now();
        file.write_all(&[1; 4096]).and_then(|()| file.sync_data()).map_err(failed)?;
        took.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    std::fs::remove_file(&path).map_err(failed)?;
    took.sort_unstable();
    Ok(took.get(PAGES / 2).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_bounded_and_a_pair_is_two_banks() {
        assert!(trades("0").is_err() && trades("8001").is_err() && trades("x").is_err());
        assert_eq!(trades("8000"), Ok(8_000));
        assert!(in_flight("0").is_err() && in_flight("257").is_err());
        assert_eq!(pair("bank-a,bank-c"), Ok(["bank-a".to_owned(), "bank-c".to_owned()]));
        assert!(pair("bank-a").is_err() && pair("bank-a,bank-a").is_err());
    }
}
