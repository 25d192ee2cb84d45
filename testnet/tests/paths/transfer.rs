//! The transfer of an asset: extinguished at its origin, recreated at its destination, in the
//! steps and under the names of the gateway draft.

use quadrille_node::api::dto::{AssetPlace, PaymentState, StepView};
use quadrille_protocol::types::{Amount, SettlementId};
use quadrille_testnet::local::fund::{self, BOND};
use quadrille_testnet::local::trader::wait;

use crate::stage::{STEP, Stage};

/// The messages of SATP-core in the order in which a transfer takes its steps.
const MESSAGES: [&str; 5] = [
    "transfer-proposal, transfer-commence, lock-assert",
    "ack-commence, assertion-receipt",
    "commit-prepare, commit-ready, commit-final",
    "ack-commit-final",
    "commit-transfer-complete",
];

#[test]
fn a_transfer_goes_by_the_draft_s_steps_and_the_issuer_knows_where_its_asset_is() {
    let stage = Stage::new();
    let bond = fund::profile(BOND, &stage.domain("bank-a")).unwrap().uai();
    let place = |stage: &Stage| -> (Amount, Amount) {
        let view = stage.runtime.block_on(stage.client("bank-a").asset(&bond)).unwrap();
        let at_b = |place: &&AssetPlace| place.domain == stage.domain("bank-b");
        let there = view.places.iter().find(at_b).map_or(Amount::ZERO, |place| place.there);
        (there, view.here.unwrap().free)
    };
    let (alice, bob) =
        (stage.balance("alice", "bank-a", &bond), stage.balance("bob", "bank-b", &bond));
    let (was_there, was_here) = place(&stage);
    let line = "transfer bob@bank-b.example 100 BOND:bank-a.example --ledger \
                alice@bank-a.example --id move-1 --wait 30s -o json";
    let view = stage.sent(&stage.quadrille("bank-a", line, &[]).json());
    assert_eq!(view.state, PaymentState::Settled, "{view:#?}");
    assert_eq!(view.terms.as_ref().map(|terms| terms.purpose.as_str()), Some("transfer"));
    let moved = 10_000;
    assert_eq!(stage.balance("alice", "bank-a", &bond), (alice.0 - moved, alice.1));
    assert_eq!(stage.balance("bob", "bank-b", &bond), (bob.0 + moved, bob.1));
    let (there, here) = place(&stage);
    assert_eq!(there.units() - was_there.units(), moved, "the issuer's record of where it is");
    assert_eq!(was_here.units() - here.units(), moved, "it is gone from its origin");
    let settlement = view.tries[0].settlement;
    for bank in ["bank-a", "bank-b"] {
        named(&steps(&stage, bank, &settlement), bank);
    }
    a_payment_bears_no_such_names(&stage);
    stage.audit();
}

/// The steps at a bank, once it knows of both that they are done.
fn steps(stage: &Stage, bank: &str, settlement: &SettlementId) -> Vec<StepView> {
    let client = stage.client(bank);
    let what = format!("{bank} knows all steps");
    let all = wait(&what, STEP, async || {
        let steps = client.settlement(settlement).await.ok()?.steps;
        let done = steps.iter().filter(|step| step.step == "Finalised").count();
        (done == 2).then_some(steps)
    });
    stage.runtime.block_on(all).unwrap()
}

/// Each message stands in its place.
fn named(steps: &[StepView], bank: &str) {
    let mut messages: Vec<&str> = steps.iter().filter_map(|step| step.satp.as_deref()).collect();
    messages.dedup();
    assert_eq!(messages, MESSAGES, "{bank}: {steps:#?}");
    assert!(steps.is_sorted_by_key(|step| step.time), "{bank}: {steps:#?}");
    let count = |name: &str| steps.iter().filter(|step| step.step == name).count();
    assert_eq!((count("Agreed"), count("Decided(settle)")), (1, 1), "{bank}: {steps:#?}");
}

fn a_payment_bears_no_such_names(stage: &Stage) {
    let bob = stage.trader("bob", "bank-b");
    let alice = stage.trader("alice", "bank-a");
    let order = alice.pay("plain", &stage.euro, Amount::new(100), bob.account());
    let view = stage.ended(&stage.runtime.block_on(order).unwrap());
    let plain = steps(stage, "bank-a", &view.tries[0].settlement);
    assert!(plain.iter().all(|step| step.satp.is_none()), "{plain:#?}");
}
