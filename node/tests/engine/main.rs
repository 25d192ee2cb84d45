//! The engine on real disks: two and more banks in one process, their sessions plain channels.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod banks;
mod names;
mod netting;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use banks::{Bank, Customer, Net};
use futures::FutureExt as _;
use quadrille_node::engine::{End, EngineError};
use quadrille_protocol::types::Epoch;
use quadrille_protocol::validator::{Command, Validator};

async fn trade(net: &Net, alice: &Customer, bob: &Customer) {
    let offer = net.offer(alice, 1_000, 990).await;
    net.take(bob, offer, 1_000, 990).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bond_is_sold_for_cash_between_two_engines() {
    let net = Net::of(2).await;
    let (alice, bob) = net.holders().await;
    trade(&net, &alice, &bob).await;
    net.until("both are final", || async {
        net.banks[0].open_settlements().await == 0
            && net.balance(&bob, &net.bond).await == (1_000, 0)
    })
    .await;
    assert_eq!(net.balance(&alice, &net.eur).await, (990, 0));
    assert_eq!(net.balance(&alice, &net.bond).await, (9_999_000, 0));
    assert_eq!(net.balance(&bob, &net.eur).await, (9_999_010, 0));
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_engine_has_the_same_state_and_goes_on() {
    let mut net = Net::of(2).await;
    let (alice, bob) = net.holders().await;
    trade(&net, &alice, &bob).await;
    net.until("settled", || async { net.balance(&bob, &net.bond).await == (1_000, 0) }).await;
    net.until("closed", || async {
        net.banks[0].open_settlements().await + net.banks[1].open_settlements().await == 0
    })
    .await;
    let before = net.banks[1].fingerprint().await;
    net.restart(1).await;
    assert_eq!(net.banks[1].fingerprint().await, before);
    trade(&net, &alice, &bob).await;
    net.until("settled", || async { net.balance(&bob, &net.bond).await == (2_000, 0) }).await;
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_changed_its_key_shows_it_to_whoever_has_only_its_certificate() {
    let mut net = Net::of(2).await;
    let (alice, bob) = net.holders().await;
    assert_eq!(net.banks[0].rotations(), []);
    net.banks[0].rotate().await;
    net.until("shown", || async { net.banks[0].rotations() == [Epoch(2)] }).await;
    trade(&net, &alice, &bob).await;
    net.until("settled", || async { net.balance(&bob, &net.bond).await == (1_000, 0) }).await;
    net.until("closed", || async {
        net.banks[0].open_settlements().await + net.banks[1].open_settlements().await == 0
    })
    .await;
    net.restart(0).await;
    assert_eq!(net.banks[0].rotations(), [Epoch(2)], "found again at the start");
    net.banks[0].rotate().await;
    net.until("both shown", || async { net.banks[0].rotations() == [Epoch(2), Epoch(3)] }).await;
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_restored_from_an_old_copy_gets_its_word_back_from_its_peers() {
    let mut net = Net::of(2).await;
    let (alice, bob) = net.holders().await;
    trade(&net, &alice, &bob).await;
    net.until("settled", || async { net.balance(&bob, &net.bond).await == (1_000, 0) }).await;
    let copy = net.copy_log(1).await;
    trade(&net, &alice, &bob).await;
    net.until("settled", || async { net.balance(&bob, &net.bond).await == (2_000, 0) }).await;
    net.until("heard", || async {
        net.banks[0].open_settlements().await + net.banks[1].open_settlements().await == 0
    })
    .await;
    let last = net.banks[1].height().await;
    let kept = net.banks[1].evidence_of(&bob).await;
    net.restore(1, &copy).await;
    net.banks[1].hand_in(kept).await;
    net.banks[1].command(Command::CustomersHeard).await;
    // The guard, which was not restored, knows better than the log.
    net.until("recovered", || async { !net.banks[1].is_recovering().await }).await;
    assert!(net.banks[1].height().await > last, "it must not sign below what it had signed");
    net.until("the second trade is back", || async {
        net.balance(&bob, &net.bond).await == (2_000, 0)
    })
    .await;
    trade(&net, &alice, &bob).await;
    net.until("settled", || async { net.balance(&bob, &net.bond).await == (3_000, 0) }).await;
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_index_is_rebuilt_with_the_same_rows() {
    let mut net = Net::of(2).await;
    let (alice, bob) = net.holders().await;
    trade(&net, &alice, &bob).await;
    net.until("settled", || async { net.balance(&bob, &net.bond).await == (1_000, 0) }).await;
    let before = net.banks[1].rows(&bob).await;
    net.delete_index_and_restart(1).await;
    assert_eq!(net.banks[1].rows(&bob).await, before);
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_queue_holds_is_told_to_come_again() {
    let mut net = Net::of(2).await;
    net.banks[0].queue = 1;
    net.restart(0).await;
    let engine = net.banks[0].engine().clone();
    let (entered, inside) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let blocking = engine.clone();
    let blocked = tokio::spawn(async move {
        loop {
            let (entered, released) = (entered.clone(), released.clone());
            let hold = move |_: &Validator| {
                entered.send(()).unwrap();
                released.lock().unwrap().recv().unwrap();
            };
            match blocking.read(hold).await {
                // What the sessions have to say may be in the one place.
                Err(EngineError::Busy) => tokio::task::yield_now().await,
                done => return done,
            }
        }
    });
    tokio::task::spawn_blocking(move || inside.recv().unwrap()).await.unwrap();
    // The core is busy: one job finds a place, no other does.
    let looks = (0..4).map(|_| engine.read(|_| ()).now_or_never());
    let busy = looks.filter(|look| matches!(look, Some(Err(EngineError::Busy)))).count();
    assert!(busy >= 3, "{busy} of 4");
    release.send(()).unwrap();
    blocked.await.unwrap().unwrap();
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_disk_ends_the_engine_with_its_code() {
    let net = Net::of(1).await;
    let bank: &Bank = &net.banks[0];
    let before = bank.log_height();
    bank.fail_disk();
    let asked = bank.engine().command(Command::PublishBook).await;
    assert!(asked.is_err(), "{asked:?}");
    let mut end = bank.end();
    let ended = end.wait_for(|end| matches!(end, End::Failed(_)));
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    // Looked at and let go: whoever holds it keeps the threads from reporting.
    let ended = ended.unwrap().clone();
    let End::Failed(refusal) = ended else { panic!("{ended:?}") };
    assert_eq!(refusal.code.number() / 100, 19, "{refusal}");
    assert_eq!(bank.log_height(), before, "nothing may be written after the failure");
    // Nobody asks it anything any more: it must come to its end by itself.
    let joined = net.into_running(0).joined();
    let joined = tokio::time::timeout(Duration::from_secs(10), joined).await;
    assert!(matches!(joined, Ok(End::Failed(_))), "{joined:?}");
}
