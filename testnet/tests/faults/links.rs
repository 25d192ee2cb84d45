//! Links that are cut, slow, lossy, narrow and reset. One network for all: each fault is healed,
//! and a trade then settles as fast as before.

use std::time::{Duration, Instant};

use quadrille_testnet::local::faults::Fault;
use quadrille_testnet::local::start;
use quadrille_testnet::local::trader::wait;

use crate::stage::{A, B, Ending, STEP, Stage, partition};

/// How long a partition lasts here: less than what the banks take for the end of a connection.
const SPAN: Duration = Duration::from_secs(3);

#[test]
fn trades_bear_what_happens_to_links_and_end_when_it_is_over() {
    let mut stage = Stage::new();
    assert_eq!(stage.past_the_proxy(), Vec::<String>::new());
    let calm = stage.settles();
    late(&mut stage, calm);
    cut_both_ways(&mut stage);
    cut_one_way(&mut stage);
    lossy_and_narrow(&mut stage);
    reset(&mut stage);
    assert!(stage.in_force().is_empty());
    stage.audit();
    the_proxy_comes_back(&mut stage);
    assert_eq!(stage.past_the_proxy(), Vec::<String>::new());
    stage.audit();
}

/// Take, Agreed, Locked, Revealed go over the link before bob's bank decides: three crossings
/// after the take.
fn late(stage: &mut Stage, calm: Duration) {
    let delay = Duration::from_millis(150);
    let fault = Fault::Latency { of: B.to_owned(), delay, jitter: Duration::from_millis(30) };
    let id = stage.make(&fault, None);
    let seen = stage.settles();
    println!("a trade takes {calm:?}, with a latency of 150 ms {seen:?}");
    assert!(seen >= delay * 3, "{seen:?} with the latency, {calm:?} without");
    stage.heal(id);
    let after = stage.settles();
    assert!(after < delay * 3, "{after:?} after it was healed");
}

fn cut_both_ways(stage: &mut Stage) {
    let seen = stage.offer();
    let disconnected = stage.said(A, "is disconnected");
    let begun = Instant::now();
    let id = stage.make(&partition(A, B, false), Some(SPAN));
    let found = stage.in_force().into_iter().find(|found| found.id == id).unwrap();
    assert!(found.until.is_some_and(|until| until.0 == found.since.0 + 3_000));
    let trade = stage.take(&seen);
    let (ending, span) = stage.ending(&trade);
    assert_eq!(ending, Ending::Settled);
    assert!(begun.elapsed() >= SPAN, "it settled through a partition, in {span:?}");
    stage.ends_by_itself(id);
    assert!(begun.elapsed() < SPAN + STEP, "it did not end in time");
    assert_eq!(stage.said(A, "is disconnected"), disconnected, "a partition is silent");
}

/// Only what bank-b says is heard: bank-a begins the settlement, and bank-b hears of it later.
fn cut_one_way(stage: &mut Stage) {
    let seen = stage.offer();
    let id = stage.make(&partition(A, B, true), None);
    let trade = stage.take(&seen);
    let deadline = Instant::now() + STEP;
    while stage.open(A) == 0 {
        assert!(Instant::now() < deadline, "bank-a has not heard of the take");
    }
    assert_eq!(stage.open(B), 0, "bank-b has not heard of the agreement");
    stage.heal(id);
    assert_eq!(stage.ending(&trade).0, Ending::Settled);
}

fn lossy_and_narrow(stage: &mut Stage) {
    let loss = stage.make(&Fault::Loss { of: A.to_owned(), percent: 20.0 }, None);
    let trade = stage.trade();
    stage.ending(&trade);
    stage.heal(loss);
    let rate = 4096;
    let narrow = Fault::Bandwidth { of: A.to_owned(), bytes_per_second: rate };
    let id = stage.make(&narrow, None);
    let span = stage.settles();
    println!("a trade over 4 KiB/s takes {span:?}");
    assert!(span >= Duration::from_secs(1), "{span:?} for some signatures of 3 KiB each");
    stage.heal(id);
}

fn reset(stage: &mut Stage) {
    let before = stage.said(B, "is disconnected");
    stage.make(&Fault::Reset { of: B.to_owned() }, None);
    let noticed = async || (stage.said(B, "is disconnected") > before).then_some(());
    let runtime = &stage.runtime;
    runtime.block_on(wait("bank-b notices the reset", STEP, noticed)).unwrap();
    stage.settles();
}

/// A proxy that was killed is started again at the same fronts, and keeps what was in force.
fn the_proxy_comes_back(stage: &mut Stage) {
    let before = stage.fronts();
    let id = stage.make(&partition(A, B, false), Some(SPAN * 2));
    stage.held.state.proxy.process.clone().unwrap().kill();
    start::banks(&mut stage.held, &[], None, |_| ()).unwrap();
    assert_eq!(stage.fronts(), before);
    assert!(stage.in_force().iter().any(|found| found.id == id), "the list has outlived it");
    stage.ends_by_itself(id);
    stage.settles();
}
