//! Processes that stand still and die, disks that are full or fail, a clock that is wrong. What
//! the banks say to each other must hold together after each.

use std::fs;
use std::time::Duration;

use quadrille_node::api::dto::OrderState;
use quadrille_protocol::error::Code;
use quadrille_testnet::local::faults::{self, Fault};
use quadrille_testnet::local::trader::wait;
use quadrille_testnet::local::up;

use crate::stage::{A, B, STEP, Stage};

const SPAN: Duration = Duration::from_secs(2);

#[test]
fn banks_bear_what_happens_to_their_processes_disks_and_clocks() {
    let mut stage = Stage::new();
    paused(&mut stage);
    killed(&mut stage);
    disk(&mut stage, &Fault::DiskFull { of: B.to_owned() }, "Q-1904");
    disk(&mut stage, &Fault::FsyncError { of: A.to_owned() }, "Q-1903");
    a_release_build_is_refused(&mut stage);
    a_minute_fast(&mut stage);
    stage.audit();
}

fn paused(stage: &mut Stage) {
    let id = stage.make(&Fault::Pause { of: B.to_owned() }, Some(SPAN));
    assert!(stage.is_silent(B), "it stands still");
    assert!(stage.held.state.bank(B).unwrap().is_up(), "and is there");
    stage.ends_by_itself(id);
    stage.answers(B);
    stage.settles();
}

/// The one that holds the network starts the bank; without one the proxy has it done, which
/// `commands` shows.
fn killed(stage: &mut Stage) {
    let id = stage.make(&Fault::Kill { of: A.to_owned() }, Some(SPAN));
    assert!(!stage.held.state.bank(A).unwrap().is_up());
    assert_eq!(faults::keep(&mut stage.held).unwrap(), Vec::<String>::new(), "not yet");
    let over = async || {
        let known = stage.in_force();
        let until = known.iter().find(|found| found.id == id)?.until?;
        (until <= up::now().ok()?).then_some(())
    };
    stage.runtime.block_on(wait("the kill is over", STEP, over)).unwrap();
    assert_eq!(faults::keep(&mut stage.held).unwrap(), [A]);
    assert!(stage.in_force().is_empty(), "the bank is back");
    up::meet(&stage.held).unwrap();
    stage.settles();
}

/// The bank stops with its code, has said nothing that is not in its log, and goes on.
fn disk(stage: &mut Stage, fault: &Fault, code: &str) {
    let bank = fault.names()[0].to_owned();
    let before = stage.said(&bank, code);
    let seen = stage.offer();
    let id = stage.make(fault, None);
    let trade = stage.take(&seen);
    stage.ends(&bank);
    assert!(stage.said(&bank, code) > before, "{bank} says {code}");
    stage.heal(id);
    stage.restart(&bank);
    // The take itself may have been what could not be written. Sent again it happens once.
    let again = stage.take(&seen);
    assert_eq!(again.take, trade.take);
    // It may have been away too long for the deadline; the audit finds out if the banks differ.
    stage.over(&again);
    stage.audit();
}

fn a_release_build_is_refused(stage: &mut Stage) {
    let armed = stage.held.layout.faults_of(A).join("armed");
    let text = fs::read(&armed).unwrap();
    fs::remove_file(&armed).unwrap();
    let fault = Fault::Skew { of: A.to_owned(), by_ms: 1_000 };
    let refusal = faults::apply(&mut stage.held, &fault, None).unwrap_err();
    assert_eq!(refusal.code, Code::NoFaultHooks);
    assert!(stage.in_force().is_empty());
    fs::write(&armed, text).unwrap();
}

/// The decider's clock is past the deadline when it hears of the agreement. That costs the trade
/// and nothing else.
fn a_minute_fast(stage: &mut Stage) {
    let seen = stage.offer();
    let id = stage.make(&Fault::Skew { of: B.to_owned(), by_ms: 60_000 }, None);
    let trade = stage.take(&seen);
    let view = stage.over(&trade);
    assert_eq!((view.state, view.settlement), (OrderState::Ended, None), "nothing was locked");
    assert_eq!(view.reason.unwrap().code, "Q-1605", "the deadline has passed");
    let status = stage.runtime.block_on(stage.client(B).status()).unwrap();
    assert!(status.time.0 > up::now().unwrap().0 + 30_000, "its log says when it thinks it is");
    stage.heal(id);
}
