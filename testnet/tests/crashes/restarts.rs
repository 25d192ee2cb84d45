//! Ends that are asked for, and a start without what can be made anew.

use std::fs;
use std::time::Duration;

use quadrille_node::api::dto::SettlementState;
use quadrille_node::client::Client;
use quadrille_node::config;
use quadrille_node::index::EventId;
use quadrille_protocol::types::{Height, OrderId};
use quadrille_testnet::local::clients;
use serde::Serialize;
use serde_json::{Value, json};

use crate::stage::{Ending, ROWS, STEP, Side, Stage};

/// After so long without a new one, all past events were sent.
const SILENCE: Duration = Duration::from_secs(2);

#[test]
fn an_index_that_was_deleted_is_made_anew_and_answers_as_before() {
    let mut stage = Stage::new();
    let trades = [stage.trade(), stage.trade()];
    for trade in &trades {
        assert_eq!(stage.ending(trade), Ending::Settled);
    }
    stage.rest();
    let orders: Vec<OrderId> =
        trades.iter().flat_map(|trade| [trade.offer(), trade.take]).collect();
    for side in Side::BOTH {
        let height = stage.runtime.block_on(stage.client(side).status()).unwrap().height;
        let before = answers(&stage, side, &orders, height);
        for (what, answer) in before.as_object().unwrap() {
            assert!(answer.as_array().is_some_and(|rows| !rows.is_empty()), "no {what} to compare");
        }
        assert!(stage.stop(side));
        let index = config::Layout::new(&stage.held.layout.node(side.bank())).index();
        fs::remove_dir_all(&index).unwrap();
        stage.start(side, None);
        assert!(index.is_dir(), "it was made anew");
        let after = answers(&stage, side, &orders, height);
        for (what, answer) in before.as_object().unwrap() {
            assert_eq!(&after[what], answer, "{what} of {}", side.bank());
        }
    }
    let trade = stage.trade();
    assert_eq!(stage.ending(&trade), Ending::Settled);
    stage.audit();
}

/// Everything that a bank says of the past up to a height.
fn answers(stage: &Stage, side: Side, orders: &[OrderId], height: Height) -> Value {
    // A client that has no connections yet: those to an earlier process are gone.
    let bank = stage.held.state.bank(side.bank()).unwrap();
    let client = clients::of(&stage.held.layout, bank).unwrap();
    stage.runtime.block_on(async {
        let ledgers = client.ledgers(None, ROWS).await.unwrap();
        let (mut views, mut entries) = (Vec::new(), Vec::new());
        for ledger in &ledgers {
            views.push(value(&client.ledger(&ledger.ledger).await.unwrap()));
            let rows = client.entries(&ledger.ledger, ROWS).await.unwrap();
            entries.extend(rows.iter().map(value));
        }
        let mut known = Vec::new();
        for order in orders {
            // Each bank knows the orders of its own customers.
            known.extend(client.order_state(order).await.ok().as_ref().map(value));
        }
        let summaries = client.settlements(None, ROWS).await.unwrap();
        let (mut settlements, mut evidence) = (Vec::new(), Vec::new());
        for summary in &summaries {
            settlements.push(value(&client.settlement(&summary.settlement).await.unwrap()));
            let bundle = client.settlement_evidence(&summary.settlement).await.unwrap();
            evidence.push(value(&bundle));
        }
        let mut answers = json!({
            "ledgers": value(&ledgers),
            "ledger views": views,
            "entries": entries,
            "orders": known,
            "summaries": value(&summaries),
            "settlements": settlements,
            "evidence": evidence,
            "events": events(&client, height).await,
        });
        if side == Side::Maker {
            answers["offers"] = value(&client.offers(None, true, ROWS).await.unwrap());
        }
        answers
    })
}

/// All events up to a height.
async fn events(client: &Client, height: Height) -> Vec<Value> {
    let first = EventId { height: Height(0), leaf: 0, number: 0 };
    let mut follower = client.follow(&[], None, Some(first));
    let mut events = Vec::new();
    while let Ok(next) = tokio::time::timeout(SILENCE, follower.next()).await {
        let next = next.unwrap();
        if next.id.height <= height {
            events.push(json!({ "id": next.id.to_string(), "event": value(&next.event) }));
        }
    }
    events
}

fn value(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap()
}

#[test]
fn a_bank_that_is_asked_to_end_over_an_open_settlement_ends_well_and_goes_on_after_its_start() {
    let mut stage = Stage::new();
    // The initiator is killed, so that the settlement is open at the other bank for its life.
    let point = "before-append:Revealed";
    stage.arm(Side::Maker, point);
    let trade = stage.trade();
    assert!(stage.dies_of(Side::Maker, point, STEP));
    let open = stage.client(Side::Taker).settlements(Some(SettlementState::Open), ROWS);
    assert_eq!(stage.runtime.block_on(open).unwrap().len(), 1, "a settlement is open");
    assert_eq!(stage.exit_code(Side::Taker), Some(0));
    for side in Side::BOTH {
        stage.start(side, None);
    }
    let ending = stage.ending(&trade);
    println!("the trade that was open has ended: {ending:?}");
    stage.audit();
    let trade = stage.trade();
    assert_eq!(stage.ending(&trade), Ending::Settled, "business as usual");
}
