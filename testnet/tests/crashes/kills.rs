//! Every step of a settlement, at each bank, with a kill before and after everything that makes
//! it durable and known.
//!
//! What a bank says of a settlement it writes in a few batches, and of each batch there are four
//! moments at which a kill makes a difference. Kinds of records that are in one batch share its
//! moments; each is armed in turn, and what is not a point of its own is told with the reason.

use std::time::Duration;

use quadrille_node::api::dto::{SettlementOutcome, SettlementState};
use quadrille_protocol::types::Amount;
use quadrille_testnet::local::audit::{self, Observed, Rule};

use crate::logs;
use crate::stage::{Ending, STEP, Side, Stage, timed};

/// The moments of a batch, as crash points name them.
const MOMENTS: [&str; 4] = ["before-append", "after-append", "after-sign", "after-effects"];

/// What the banks write of a settled trade: one line for each batch, in order. That it is so is
/// looked up in their logs before anything is killed.
const BATCHES: [(Side, &[&str]); 7] = [
    (Side::Taker, &["Take"]),
    (Side::Maker, &["Received/Take", "Agreed"]),
    (Side::Taker, &["Received/Agreed", "Locked"]),
    (Side::Maker, &["Received/Locked", "Revealed"]),
    (Side::Taker, &["Received/Revealed", "Decided(settle)", "Transaction/settled", "Finalised"]),
    (
        Side::Maker,
        &["Received/Decided(settle)", "Received/Finalised", "Transaction/settled", "Finalised"],
    ),
    (Side::Taker, &["Received/Finalised"]),
];
/// The batch with which the secret is out: once it is durable the trade can only settle, and
/// before that it may be refunded where a bank was away too long.
const REVEAL: usize = 3;

/// Kinds that a settlement has, and not at this side.
const ELSEWHERE: [(Side, &str, &str); 10] = [
    (Side::Maker, "Take", "the taker's bank says it"),
    (Side::Maker, "Locked", "the initiator's agreement is its lock"),
    (Side::Maker, "Decided(settle)", "the decider says it"),
    (Side::Maker, "Received/Agreed", "the initiator says it"),
    (Side::Maker, "Received/Revealed", "the initiator says it"),
    (Side::Taker, "Agreed", "the initiator says it"),
    (Side::Taker, "Revealed", "only the initiator has the secret"),
    (Side::Taker, "Received/Take", "the taker's bank says it"),
    (Side::Taker, "Received/Locked", "the other party is the initiator, whose agreement it is"),
    (Side::Taker, "Received/Decided(settle)", "the decider says it"),
];

/// Kills after which the bank stays away until the settlement's time is over. The trade is then
/// refunded: the secret was not out, or its decider was not there to hear it in time.
const ABSENCES: [(Side, &str); 2] =
    [(Side::Maker, "before-append:Revealed"), (Side::Taker, "after-effects:Locked")];

#[test]
fn a_trade_ends_whole_whichever_bank_is_killed_at_whichever_step() {
    let mut stage = Stage::new();
    check_the_table(&mut stage);
    for (side, kind, reason) in ELSEWHERE {
        println!("{:7} {kind:26} not a point: {reason}", side.bank());
    }
    println!("bank    moment        record                     trade     back s   end s");
    for (index, (side, kinds)) in BATCHES.into_iter().enumerate() {
        for (moment, kind) in MOMENTS.into_iter().zip(kinds.iter().cycle()) {
            let ending = kill(&mut stage, side, moment, kind);
            let revealed = index > REVEAL || (index == REVEAL && moment != MOMENTS[0]);
            if revealed {
                assert_eq!(ending, Ending::Settled, "the secret was out: {moment}:{kind}");
            }
        }
        let others = kinds.join(", ");
        println!("{:7} one batch holds: {others}; each moment is one point for all", side.bank());
    }
    for (side, point) in ABSENCES {
        stay_away(&mut stage, side, point);
    }
    a_point_that_is_not_reached_kills_nobody(&mut stage);
    the_audit_sees_what_is_wrong(&stage);
}

/// The batches that a trade writes are those that will be killed over, and every kind of record
/// is a point at a side or is named as none.
fn check_the_table(stage: &mut Stage) {
    stage.rest();
    let before =
        Side::BOTH.map(|side| stage.runtime.block_on(stage.client(side).status()).unwrap().height);
    let trade = stage.trade();
    assert_eq!(stage.ending(&trade), Ending::Settled);
    stage.audit();
    for (side, above) in Side::BOTH.into_iter().zip(before) {
        let found = logs::settlement_batches(stage, side, above);
        let own = BATCHES.iter().filter(|(by, _)| *by == side);
        let wanted: Vec<Vec<String>> =
            own.map(|(_, kinds)| kinds.iter().map(|&kind| kind.to_owned()).collect()).collect();
        assert_eq!(found, wanted, "what {} writes of a trade", side.bank());
    }
    let all: std::collections::BTreeSet<&str> =
        BATCHES.iter().flat_map(|(_, kinds)| kinds.iter().copied()).collect();
    for side in Side::BOTH {
        for kind in &all {
            let here = BATCHES.iter().any(|(by, kinds)| *by == side && kinds.contains(kind));
            let elsewhere = ELSEWHERE.iter().any(|(by, other, _)| *by == side && other == kind);
            assert!(here != elsewhere, "{kind} at {}", side.bank());
        }
    }
}

fn kill(stage: &mut Stage, side: Side, moment: &str, kind: &str) -> Ending {
    let point = format!("{moment}:{kind}");
    stage.arm(side, &point);
    let trade = stage.trade();
    assert!(stage.dies_of(side, &point, STEP), "{} was not killed at {point}", side.bank());
    let ((), back) = timed(|| stage.start(side, None));
    stage.take_again(&trade);
    let (ending, took) = timed(|| stage.ending(&trade));
    stage.audit();
    let (back, took) = (back.as_secs_f64(), took.as_secs_f64());
    println!("{:7} {moment:13} {kind:26} {ending:?}  {back:6.2}  {took:6.2}", side.bank());
    ending
}

fn stay_away(stage: &mut Stage, side: Side, point: &str) {
    stage.arm(side, point);
    let trade = stage.trade();
    assert!(stage.dies_of(side, point, STEP), "{} was not killed at {point}", side.bank());
    stage.pass_deadline(side.other());
    stage.start(side, None);
    let (ending, took) = timed(|| stage.ending(&trade));
    stage.audit();
    println!(
        "{:7} {point:40} {ending:?}  away until the deadline  {:6.2}",
        side.bank(),
        took.as_secs_f64()
    );
    assert_eq!(ending, Ending::Refunded, "{point}");
}

/// Otherwise what says that a bank was killed by its crash point could say it of any bank.
fn a_point_that_is_not_reached_kills_nobody(stage: &mut Stage) {
    let point = "after-sign:Declined";
    stage.arm(Side::Taker, point);
    let trade = stage.trade();
    assert_eq!(stage.ending(&trade), Ending::Settled);
    assert!(!stage.dies_of(Side::Taker, point, Duration::ZERO));
}

/// Otherwise the audits after every kill would prove nothing: the same views of the same banks,
/// each with one thing in it changed, break the one rule.
fn the_audit_sees_what_is_wrong(stage: &Stage) {
    stage.audit();
    let observed = audit::observe(&stage.held.layout, &stage.held.state);
    let banks = stage.runtime.block_on(observed).unwrap();
    assert_eq!(audit::check(&banks), []);
    let one = Amount::new(1);
    let doctored = |rule: Rule, change: &dyn Fn(&mut Vec<Observed>)| {
        let mut banks = banks.clone();
        change(&mut banks);
        let broken: Vec<Rule> =
            audit::check(&banks).into_iter().map(|finding| finding.rule).collect();
        assert_eq!(broken, [rule]);
    };
    doctored(Rule::Atomicity, &|banks| {
        let settled = |known: &&mut _| is_settled(known);
        let settlement = banks[0].settlements.iter_mut().find(settled).unwrap();
        settlement.outcome = Some(SettlementOutcome::Refunded);
    });
    doctored(Rule::Conservation, &|banks| {
        let asset = banks[0].assets.iter_mut().find(|asset| asset.ours).unwrap();
        asset.issued = asset.issued.plus(one).unwrap();
    });
    doctored(Rule::Mirrors, &|banks| {
        let (_, exposure) = banks[1].exposures.first_mut().unwrap();
        exposure.owe = exposure.owe.plus(one).unwrap();
    });
    doctored(Rule::NothingStuck, &|banks| {
        banks[0].settlements[0].state = SettlementState::Open;
    });
}

fn is_settled(known: &quadrille_node::api::dto::SettlementSummary) -> bool {
    known.outcome == Some(SettlementOutcome::Settled)
}
