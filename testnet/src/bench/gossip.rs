//! How fast offers spread: 32 banks, each a process, and every bank's own event stream.
//!
//! ```text
//!   holder --offer--> its bank --gossip--> 31 other banks --event `offer.seen`--> here
//!   ^ clock starts                                         clock stops: 31 of 32 have said so
//! ```
//!
//! Invariants: one clock, since everything is on one machine; every offer reaches every bank, or
//! there is no figure for that rate.
//!
//! The rate that a bank grants each peer is made wide for the loaded phase, since otherwise that
//! limit is what would be measured; how wide is among the report's parameters.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::try_join_all;
use futures::stream::FuturesUnordered;
use quadrille_node::api::dto::EventKind;
use quadrille_node::client::Follower;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::Action;
use quadrille_protocol::market::OfferTerms;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Amount, Bounded, Duration as Span, OrderId, Uai};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

use super::stage::{self, Customer, ORDER_LIFE};
use super::{Bench, Size, many, median};
use crate::local::clients;
use crate::local::fund::{self, BOND, CASH};
use crate::local::prepare;
use crate::local::state::{Bank, Held};
use crate::local::up::{self, Plan, now};

/// Of how many banks an offer must have reached this share.
const SHARE: f64 = 0.95;
/// Longest that an offer may take to every bank.
const PATIENCE: Duration = Duration::from_secs(30);
/// At a rate that is kept up, the last offer is everywhere so long after it was placed.
const KEEPS_UP: Duration = Duration::from_secs(2);
/// Sightings that may wait to be counted.
const SIGHTINGS: usize = 65_536;
/// What a bank grants each peer in ten seconds, and at once, in the loaded phase.
const PER_10_S: u32 = 5_000;
const BURST: u32 = 5_000;
/// What each offer gives and wants.
const AMOUNT: Amount = Amount::new(100);

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Extent {
    banks: usize,
    offers: usize,
    pause: Duration,
    rates: &'static [u32],
    each: Duration,
}

impl Extent {
    const fn of(size: Size) -> Self {
        let millis = Duration::from_millis;
        match size {
            Size::Tiny => {
                Self { banks: 3, offers: 3, pause: millis(20), rates: &[5], each: millis(600) }
            }
            Size::Quick => Self {
                banks: 32,
                offers: 20,
                pause: millis(250),
                rates: &[50, 100],
                each: millis(3_000),
            },
            Size::Full => Self {
                banks: 32,
                offers: 128,
                pause: millis(250),
                rates: &[25, 50, 75, 100, 125, 150, 175],
                each: millis(15_000),
            },
        }
    }
}

/// An offer that was seen at the bank of this number.
type Sighting = (usize, OrderId, Instant);

/// How long an offer took, from before it was sent.
#[derive(Debug, Clone, Copy)]
struct Spread {
    first: Duration,
    share: Duration,
    all: Duration,
}

/// Measures how offers spread.
///
/// # Errors
/// Those of the network; `Q-2380` when an idle network loses an offer.
pub fn run(bench: &mut Bench) -> Result<(), Refusal> {
    let extent = Extent::of(bench.size);
    let plan = stage::plan(extent.banks)?;
    let (idle, loaded) = stage::with_network(bench, "gossip", &plan, |held| {
        widen(bench, held, &plan)?;
        clients::runtime()?.block_on(measure(bench, held, extent))
    })?;
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    let figures = &mut bench.figures;
    figures.parameter("gossip_banks", extent.banks);
    figures.parameter("gossip_per_10s", PER_10_S);
    let shares: Vec<f64> = idle.iter().map(|spread| ms(spread.share)).collect();
    let worst = shares.iter().copied().fold(0.0, f64::max);
    figures.set("gossip_ms.p95_of_32", median(shares))?;
    figures.set("gossip_ms.p95_of_32_worst", worst)?;
    let first = idle.iter().map(|spread| ms(spread.first)).collect();
    figures.set("gossip_ms.first_of_32", median(first))?;
    if let Some((rate, spreads)) = loaded {
        figures.set("gossip_offers_per_s", rate)?;
        let shares = spreads.iter().map(|spread| ms(spread.share)).collect();
        figures.set("gossip_loaded_ms.p95_of_32", median(shares))?;
    }
    Ok(())
}

/// Gives every bank wide rates, and starts all of them again.
fn widen(bench: &Bench, held: &mut Held, plan: &Plan) -> Result<(), Refusal> {
    bench.say("gossip: starting again with wide rates");
    for bank in &mut held.state.banks {
        if let Some(process) = bank.process.take() {
            let _ = process.stop(crate::local::start::PATIENCE);
        }
    }
    held.save()?;
    for bank in &held.state.banks {
        let (each, burst) = (PER_10_S.to_string(), BURST.to_string());
        let options = [("mesh.gossip_per_10s", &*each), ("mesh.gossip_burst", &*burst)];
        prepare::configure(&held.layout.node(&bank.name), &options)?;
    }
    let names: Vec<String> = plan.banks.iter().map(|(name, _)| name.clone()).collect();
    crate::local::start::banks(held, &names, None, |_| ())?;
    up::meet(held)
}

type Measured = (Vec<Spread>, Option<(f64, Vec<Spread>)>);

async fn measure(bench: &Bench, held: &Held, extent: Extent) -> Result<Measured, Refusal> {
    let asset = |bank: &Bank| Ok(fund::profile(BOND, &bank.domain)?.uai());
    let funds = Amount::new(1_000_000_000);
    let mut makers = stage::customers(held, Suite::Ed25519, asset, funds).await?;
    let (seen, sightings) = mpsc::channel(SIGHTINGS);
    // Connected before the first offer, so that none is missed.
    let streams = makers.iter().map(|maker| async move {
        let mut events = maker.client.follow(&[EventKind::OfferSeen.name()], None, None);
        let connected = events.connect().await;
        connected.map_err(|error| clients::refusal(&maker.bank.name, error))?;
        Ok::<_, Refusal>((events, maker.bank))
    });
    let streams = try_join_all(streams).await?;
    let mut watching: FuturesUnordered<_> = streams
        .into_iter()
        .enumerate()
        .map(|(at, (events, bank))| watch(at, events, bank, seen.clone()))
        .collect();
    drop(seen);
    let mut eyes = Eyes { sightings, banks: makers.len() };
    let work = async {
        bench.say(&format!("gossip: {} offers, one at a time", extent.offers));
        let gap = extent.pause;
        let idle = placed(&mut makers, &mut eyes, extent.offers, gap).await?;
        let mut loaded = None;
        for rate in extent.rates {
            bench.say(&format!("gossip: {rate} offers a second"));
            let gap = Duration::from_secs(1) / *rate;
            let count = usize::try_from(extent.each.as_millis() / gap.as_millis().max(1));
            let spreads = placed(&mut makers, &mut eyes, count.unwrap_or(1).max(1), gap).await;
            match spreads {
                Ok(spreads) if spreads.iter().all(|spread| spread.all <= KEEPS_UP) => {
                    loaded = Some((f64::from(*rate), spreads));
                }
                // At this rate it falls behind: the one before is the highest.
                Ok(_) => break,
                Err(refusal) if refusal.code == Code::BenchFailed => break,
                Err(refusal) => return Err(refusal),
            }
        }
        Ok((idle, loaded))
    };
    tokio::select! {
        done = work => done,
        Some(ended) = watching.next() => match ended {
            Ok(()) => refuse!(BenchFailed, "an event stream has ended"),
            Err(refusal) => Err(refusal),
        },
    }
}

/// Tells which offers the bank has seen, until nobody listens.
async fn watch(
    at: usize,
    mut events: Follower,
    bank: &Bank,
    seen: mpsc::Sender<Sighting>,
) -> Result<(), Refusal> {
    loop {
        let followed = events.next().await.map_err(|error| clients::refusal(&bank.name, error))?;
        let Some(offer) = followed.event.offer else { continue };
        if seen.send((at, offer.offer, Instant::now())).await.is_err() {
            return Ok(());
        }
    }
}

/// What all banks have seen.
struct Eyes {
    sightings: mpsc::Receiver<Sighting>,
    banks: usize,
}

/// Places so many offers, one bank after the other, and waits until every bank has seen them.
async fn placed(
    makers: &mut [Customer<'_>],
    eyes: &mut Eyes,
    count: usize,
    gap: Duration,
) -> Result<Vec<Spread>, Refusal> {
    let wants: Vec<Uai> = makers
        .iter()
        .map(|maker| Ok(fund::profile(CASH, &maker.bank.domain)?.uai()))
        .collect::<Result<_, Refusal>>()?;
    let mut offers = Vec::with_capacity(count);
    let banks = makers.len().max(1);
    for number in 0..count {
        let want = wants.get((number + 1) % banks).cloned();
        let (Some(maker), Some(want)) = (makers.get_mut(number % banks), want) else { break };
        let (signed, id) = maker.signing.sign(now()?, offer(&maker.asset, want)?)?;
        offers.push((number % banks, signed, id));
    }
    let begun = tokio::time::Instant::now();
    let makers = &*makers;
    let mut due = begun;
    let sending = offers.iter().map(|(at, signed, id)| {
        let when = due;
        due += gap;
        async move {
            sleep_until(when).await;
            let Some(maker) = makers.get(*at) else {
                refuse!(BenchFailed, "no bank {at}");
            };
            let sent = Instant::now();
            let answer = maker.client.order(signed).await;
            answer.map_err(|error| clients::refusal(&maker.bank.name, error))?;
            Ok::<_, Refusal>((*id, sent))
        }
    });
    let expected = offers.len().saturating_mul(eyes.banks);
    let (sent, seen) =
        tokio::try_join!(try_join_all(sending), collect(eyes, &offers, expected, due - begun))?;
    spreads(&sent, seen, eyes.banks)
}

fn offer(give: &Uai, want: Uai) -> Result<Action, Refusal> {
    Ok(Action::Offer(OfferTerms {
        give: give.clone(),
        give_amount: AMOUNT,
        want,
        want_amount: AMOUNT,
        minimum_fill: AMOUNT,
        expiry: now()?.after(ORDER_LIFE),
        counterparties: Bounded::default(),
        notary: None,
        selection_window: Span(0),
        receive: None,
    }))
}

/// When each bank has seen each offer first.
type Seen = HashMap<OrderId, Vec<Option<Instant>>>;

/// Waits for all sightings of these offers.
async fn collect(
    eyes: &mut Eyes,
    offers: &[(usize, quadrille_protocol::ledger::SignedOrder, OrderId)],
    expected: usize,
    sending: Duration,
) -> Result<Seen, Refusal> {
    let mut seen: Seen = offers.iter().map(|(_, _, id)| (*id, vec![None; eyes.banks])).collect();
    let mut count = 0;
    let all = async {
        while count < expected {
            let Some((bank, id, at)) = eyes.sightings.recv().await else { break };
            // Others are of a rate before, or came again.
            if let Some(first) = seen.get_mut(&id).and_then(|banks| banks.get_mut(bank))
                && first.is_none()
            {
                *first = Some(at);
                count += 1;
            }
        }
    };
    let late = timeout(sending + PATIENCE, all).await.is_err();
    if late || count < expected {
        refuse!(
            BenchFailed,
            "{count} sightings of {expected}: not every bank has seen every offer"
        );
    }
    Ok(seen)
}

fn spreads(
    sent: &[(OrderId, Instant)],
    mut seen: Seen,
    banks: usize,
) -> Result<Vec<Spread>, Refusal> {
    let share = (many(banks as u64) * SHARE).ceil() as usize;
    let mut spreads = Vec::with_capacity(sent.len());
    for (id, sent) in sent {
        let banks_at = seen.remove(id).unwrap_or_default();
        let mut at: Vec<Instant> = banks_at.into_iter().flatten().collect();
        at.sort_unstable();
        let took = |place: usize| at.get(place).map(|at| at.saturating_duration_since(*sent));
        // The maker's own bank is the first to see it.
        let found = (took(1), took(share.saturating_sub(1)), took(banks.saturating_sub(1)));
        let (Some(first), Some(share), Some(all)) = found else {
            refuse!(BenchFailed, "offer {id} was seen by {} banks of {banks}", at.len());
        };
        spreads.push(Spread { first, share, all });
    }
    Ok(spreads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_five_of_a_hundred_banks_are_waited_for_and_none_may_be_missing() {
        let (id, sent) = (OrderId([1; 32]), Instant::now());
        let after = |ms| sent + Duration::from_millis(ms);
        let mut times: Vec<_> = (0..32).rev().map(|place| Some(after(place * 10))).collect();
        let seen = |times: &[Option<Instant>]| Seen::from([(id, times.to_vec())]);
        let spread = spreads(&[(id, sent)], seen(&times), 32).unwrap().remove(0);
        assert_eq!(spread.first, Duration::from_millis(10));
        assert_eq!(spread.share, Duration::from_millis(300), "31 of 32");
        assert_eq!(spread.all, Duration::from_millis(310));
        times[0] = None;
        let lost = spreads(&[(id, sent)], seen(&times), 32).unwrap_err();
        assert_eq!(lost.code, Code::BenchFailed);
    }
}
