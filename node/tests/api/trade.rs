//! A trade as its two customers and banks see it over HTTP.

use std::sync::atomic::Ordering;

use quadrille_protocol::ledger::{Action, SignedOrder};
use quadrille_protocol::types::*;
use serde_json::{Value, json};

use crate::bank::Town;

fn escaped(asset: &Uai) -> String {
    asset.to_string().replace('#', "%23")
}

fn alices(town: &Town, make: impl FnOnce(&crate::support::scene::Market) -> Action) -> SignedOrder {
    let mut market = town.world.lock().unwrap();
    let action = make(&market);
    let market = &mut *market;
    market.net.sign(&mut market.alice, action)
}

fn bobs(town: &Town, make: impl FnOnce(&crate::support::scene::Market) -> Action) -> SignedOrder {
    let mut market = town.world.lock().unwrap();
    let action = make(&market);
    let market = &mut *market;
    market.net.sign(&mut market.bob, action)
}

fn id_of(value: &Value) -> OrderId {
    value["order"].as_str().unwrap().parse().unwrap()
}

async fn offered(town: &Town) -> OrderId {
    let order = alices(town, |market| Action::Offer(market.terms(100, 500)));
    id_of(&town.banks[0].order(&order).await.ok())
}

#[tokio::test]
async fn a_trade_is_seen_from_its_offer_to_its_evidence() {
    let town = Town::new().await;
    let (a, b) = (&town.banks[0], &town.banks[1]);
    let offer = offered(&town).await;
    let shown = a.get(&format!("/v1/offers/{offer}")).await.ok();
    assert_eq!((&shown["state"], &shown["available"]), (&json!("live"), &json!("100")));
    let book = b.get("/v1/book").await.ok();
    assert_eq!(book["items"][0]["offer"], json!(offer.to_string()));
    assert_eq!((&book["items"][0]["price"], &book["next"]), (&json!("500"), &Value::Null));

    let take = bobs(&town, |market| market.take(offer, 40, 200));
    let receipt = b.order(&take).await.ok();
    let take = id_of(&receipt);
    assert_eq!(receipt["repeated"], json!(false));
    let order = b.get(&format!("/v1/orders/{take}")).await.ok();
    assert_eq!(order["state"], json!("settled"), "{order}");
    let settlement = order["settlement"].as_str().unwrap().to_owned();

    for (bank, role) in [(a, "initiator"), (b, "participant")] {
        let view = bank.get(&format!("/v1/settlements/{settlement}")).await.ok();
        assert_eq!((&view["state"], &view["outcome"]), (&json!("final"), &json!("settled")));
        assert_eq!(view["roles"][0], json!(role));
        assert_eq!((&view["awaiting"], &view["until"]), (&json!([]), &Value::Null), "{view}");
        let steps: Vec<&str> =
            view["steps"].as_array().unwrap().iter().map(|s| s["step"].as_str().unwrap()).collect();
        for step in ["Agreed", "Locked", "Revealed", "Decided(settle)", "Settled", "Finalised"] {
            assert!(steps.contains(&step), "no {step} in {steps:?}");
        }
        let list = bank.get("/v1/settlements?state=final").await.ok();
        assert_eq!(list["items"][0]["settlement"], json!(settlement));
        assert_eq!(bank.get("/v1/settlements?state=open").await.ok()["items"], json!([]));
        let bundle = bank.get(&format!("/v1/settlements/{settlement}/evidence")).await.ok();
        let report = verify(&town, &bundle.to_string());
        assert!(report.contains("settled"), "{report}");
    }

    let ledger = town.world.lock().unwrap().bob.ledger;
    let shown = b.get(&format!("/v1/ledgers/{ledger}")).await.ok();
    let bond = town.world.lock().unwrap().bond.clone();
    let has = shown["balances"].as_array().unwrap();
    let has = has.iter().find(|balance| balance["asset"] == json!(bond.to_string())).unwrap();
    assert_eq!((&has["free"], &has["held"]), (&json!("40"), &json!("0")));
    let entries = b.get(&format!("/v1/ledgers/{ledger}/entries?limit=200")).await.ok();
    let last = entries["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["cause"], &last["settlement"]), (&json!("settled"), &json!(settlement)));
    let number = last["sequence"].as_str().unwrap();
    let proof = b.get(&format!("/v1/ledgers/{ledger}/entries/{number}/evidence")).await.ok();
    assert_eq!(proof["quadrille"], json!("evidence"));
    let place = &last["place"];
    let path = format!("/v1/evidence/{}/{}", place["height"].as_str().unwrap(), place["leaf"]);
    assert_eq!(b.get(&path).await.ok(), proof);

    let asset = b.get(&format!("/v1/assets/{}?holdings=true", escaped(&bond))).await.ok();
    assert_eq!((&asset["here"]["free"], &asset["ours"]), (&json!("40"), &json!(false)));
    let trust = b.get("/v1/trust").await.ok();
    let line = trust["items"].as_array().unwrap().iter().find(|l| l["claim"] == json!("40"));
    assert!(line.is_some(), "{trust}");
    let peer = b.get("/v1/peers/bank-a.example").await.ok();
    assert_eq!((&peer["connection"], &peer["standing"]), (&json!("up"), &json!("trusted")));
}

fn verify(town: &Town, text: &str) -> String {
    let bundle = quadrille_node::evidence::armour::read(text).unwrap();
    let anchors = town.world.lock().unwrap().net.anchors.clone();
    let report = quadrille_node::evidence::verify_offline(&bundle, &anchors).unwrap();
    format!("{report:?}").to_lowercase()
}

#[tokio::test]
async fn an_open_settlement_says_who_is_awaited_until_when_and_what_then() {
    let town = Town::new().await;
    let (a, b) = (&town.banks[0], &town.banks[1]);
    let offer = offered(&town).await;
    // Bob's bank says its take; bank-a agrees and locks; nothing comes back from there.
    b.conduct.cut_off.store(true, Ordering::SeqCst);
    let take = bobs(&town, |market| market.take(offer, 40, 200));
    let take = id_of(&b.order(&take).await.ok());
    let order = b.get(&format!("/v1/orders/{take}")).await.ok();
    assert_eq!(order["state"], json!("live"), "{order}");
    deliver_once(&town, 0);
    let list = a.get("/v1/settlements?state=open").await.ok();
    let settlement = list["items"][0]["settlement"].as_str().unwrap().to_owned();
    let view = a.get(&format!("/v1/settlements/{settlement}")).await.ok();
    assert_eq!(view["awaiting"], json!(["bank-b.example"]), "{view}");
    let (until, deadline) = (&view["until"], &view["deadline"]);
    let time = |value: &Value| value.as_str().unwrap().parse::<Time>().unwrap();
    assert_eq!(time(until).0 + 10_000, time(deadline).0);
    let then = view["then"].as_str().unwrap();
    assert!(then.starts_with("bank-b.example must lock by "), "{then}");

    deliver_once(&town, 1);
    let view = b.get(&format!("/v1/settlements/{settlement}")).await.ok();
    assert_eq!(view["awaiting"], json!(["bank-a.example"]), "{view}");
    assert_eq!(view["until"], view["deadline"]);
    let then = view["then"].as_str().unwrap();
    assert!(then.starts_with("bank-a.example must send its Reveal by "), "{then}");
    assert!(then.contains("bank-b.example refunds and our legs are released"), "{then}");
    let order = b.get(&format!("/v1/orders/{take}")).await.ok();
    assert_eq!(order["state"], json!("settling"), "{order}");

    // What bank-b said is lost; when its time is over it refunds.
    town.world.lock().unwrap().net.wire.clear();
    town.pass(60_000);
    town.pass(60_000);
    let view = b.get(&format!("/v1/settlements/{settlement}")).await.ok();
    assert_eq!((&view["state"], &view["outcome"]), (&json!("final"), &json!("refunded")), "{view}");
    assert_eq!(view["awaiting"], json!([]));
    let order = b.get(&format!("/v1/orders/{take}")).await.ok();
    assert_eq!(order["state"], json!("refunded"), "{order}");
}

/// What is on the wire reaches `bank`, and the bank has one turn; what it says stays on the wire.
fn deliver_once(town: &Town, bank: usize) {
    let mut market = town.world.lock().unwrap();
    let net = &mut market.net;
    let waiting: Vec<_> = net.wire.drain(..).collect();
    for (from, to, wire) in waiting {
        if to == bank {
            net.deliver(from, to, wire).unwrap();
        }
    }
    net.turn(bank);
    for memory in town.memories.iter() {
        memory.follow(&market);
    }
}

#[tokio::test]
async fn an_order_sent_again_is_one_order_even_when_its_nonce_is_forgotten() {
    let town = Town::new().await;
    let a = &town.banks[0];
    let first = alices(&town, |market| Action::Offer(market.terms(1, 5)));
    let receipt = a.order(&first).await.ok();
    // More orders than the ledger remembers.
    for _ in 0..12 {
        let next = alices(&town, |market| Action::Offer(market.terms(1, 5)));
        a.order(&next).await.ok();
    }
    let again = a.order(&first).await.ok();
    for field in ["order", "ledger", "height", "leaf"] {
        assert_eq!(again[field], receipt[field], "{field}");
    }
    assert_eq!((&receipt["repeated"], &again["repeated"]), (&json!(false), &json!(true)));
    let other = {
        let market = town.world.lock().unwrap();
        let (terms, expiry) = (market.terms(2, 9), market.net.now.after(Duration(60_000)));
        market.net.sign_with(&market.alice, Nonce(1), Action::Offer(terms), expiry)
    };
    assert_eq!(a.order(&other).await.code(), "Q-1406");
}

#[tokio::test]
async fn a_refused_order_says_why_and_can_be_proven() {
    let town = Town::new().await;
    let a = &town.banks[0];
    let order = alices(&town, |market| Action::Offer(market.terms(1_000_000, 5)));
    let refused = a.order(&order).await;
    assert_eq!((refused.status, refused.code()), (422, "Q-1405".to_owned()));
    let bytes = &order.order;
    let hash = quadrille_protocol::crypto::hash::hash(
        quadrille_protocol::crypto::hash::Tag::Order,
        &[bytes],
    );
    let id = OrderId(hash.0);
    let view = a.get(&format!("/v1/orders/{id}")).await.ok();
    assert_eq!((&view["state"], &view["reason"]["code"]), (&json!("refused"), &json!("Q-1405")));
    let place = &view["place"];
    let path = format!("/v1/evidence/{}/{}", place["height"].as_str().unwrap(), place["leaf"]);
    let proof = a.get(&path).await.ok();
    assert!(proof.to_string().contains("Refused"), "{proof}");
    let unknown = OrderId([9; 32]);
    let none = a.get(&format!("/v1/orders/{unknown}")).await;
    assert_eq!((none.status, none.code()), (404, "Q-2110".to_owned()));
}

#[tokio::test]
async fn an_operator_registers_issues_trusts_freezes_and_drains() {
    let town = Town::new().await;
    let a = &town.banks[0];
    let new = json!({ "code": "GOLD", "name": "Gold", "decimals": 3, "supply_limit": "1000" });
    let made = a.post("/v1/assets", &new).await.ok();
    let asset: Uai = made["asset"].as_str().unwrap().parse().unwrap();
    assert_eq!(a.post("/v1/assets", &new).await.code(), "Q-1419");
    let ledger = town.world.lock().unwrap().alice.ledger;
    let issue = format!("/v1/assets/{}/issue", escaped(&asset));
    a.post(&issue, &json!({ "ledger": ledger.to_string(), "amount": "700" })).await.ok();
    let over = a.post(&issue, &json!({ "ledger": ledger.to_string(), "amount": "700" })).await;
    assert_eq!((over.status, over.code()), (422, "Q-1415".to_owned()));
    let trust = format!("/v1/trust/bank-b.example/{}", escaped(&asset));
    a.send("PUT", &trust, &json!({ "limit": "55" })).await.ok();
    let lines = a.get("/v1/trust?domain=bank-b.example").await.ok();
    assert!(lines.to_string().contains("\"limit\":\"55\""), "{lines}");
    a.send("DELETE", &trust, &Value::Null).await.ok();
    assert!(!a.get("/v1/trust").await.text.contains("\"55\""));

    a.post(&format!("/v1/ledgers/{ledger}/freeze"), &Value::Null).await.ok();
    let shown = a.get(&format!("/v1/ledgers/{ledger}")).await.ok();
    assert_eq!(shown["status"], json!("frozen"));
    a.post(&format!("/v1/ledgers/{ledger}/unfreeze"), &Value::Null).await.ok();

    assert_eq!(a.get("/readyz").await.status, 200);
    a.post("/v1/drain", &Value::Null).await.ok();
    assert_eq!(a.get("/v1/status").await.ok()["draining"], json!(true));
    let ready = a.get("/readyz").await;
    assert_eq!((ready.status, ready.code()), (503, "Q-2122".to_owned()));
    assert!(ready.text.contains("draining"), "{ready:?}");
    let order = alices(&town, |market| Action::Offer(market.terms(1, 5)));
    assert_eq!(a.order(&order).await.code(), "Q-1801");
    a.post("/v1/undrain", &Value::Null).await.ok();
    assert_eq!(a.get("/readyz").await.status, 200);
    assert_eq!(a.get("/livez").await.status, 200);
}

#[tokio::test]
async fn lists_are_the_same_in_pieces() {
    let town = Town::new().await;
    let a = &town.banks[0];
    for _ in 0..5 {
        offered(&town).await;
    }
    let ledger = town.world.lock().unwrap().alice.ledger;
    for list in [
        format!("/v1/ledgers/{ledger}/entries"),
        "/v1/offers".to_owned(),
        "/v1/offers?state=all".to_owned(),
        "/v1/book".to_owned(),
        "/v1/assets".to_owned(),
        "/v1/trust".to_owned(),
        "/v1/members".to_owned(),
        "/v1/peers".to_owned(),
        "/v1/ledgers".to_owned(),
        "/v1/ledgers?holder=alice@bank-a.example".to_owned(),
    ] {
        let join = if list.contains('?') { '&' } else { '?' };
        let whole = a.get(&format!("{list}{join}limit=200")).await.ok();
        assert_eq!(whole["next"], Value::Null, "{list}");
        let (mut pieces, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = a.get(&format!("{list}{join}limit=1{cursor}")).await.ok();
            pieces.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={}", next.replace('#', "%23"));
        }
        assert_eq!(json!(pieces), whole["items"], "{list}");
        assert!(!pieces.is_empty(), "{list}");
    }
    let head = a.get("/v1/log/head").await.ok();
    let height = head["height"].as_str().unwrap();
    let checkpoint = a.get(&format!("/v1/log/checkpoints/{height}")).await.ok();
    assert_eq!(checkpoint["hash"], head["hash"]);
}

#[tokio::test]
async fn a_batch_answers_each_order_as_if_it_had_come_alone() {
    let town = Town::new().await;
    let a = &town.banks[0];
    let good = alices(&town, |market| Action::Offer(market.terms(100, 5)));
    let too_much = alices(&town, |market| Action::Offer(market.terms(1_000_000, 5)));
    let mut forged = alices(&town, |market| Action::Offer(market.terms(1, 5)));
    forged.signature = good.signature.clone();
    let next = alices(&town, |market| Action::Offer(market.terms(2, 5)));
    let hex = |order: &SignedOrder| hex::encode(quadrille_protocol::codec::encode(order));
    let mut orders: Vec<Value> =
        [&good, &too_much, &forged, &next].map(|order| json!({ "bytes": hex(order) })).into();
    orders.push(json!({ "bytes": "00ff" }));
    orders.push(json!({ "bytes": "no digits" }));

    let post = |orders: Vec<Value>| {
        let body = json!({ "orders": orders });
        a.request("POST", "/v1/orders/batch", &a.trader).json(&body)
    };
    let first = crate::bank::Got::of(post(orders.clone()).send().await.unwrap()).await.ok();
    let items = first["items"].as_array().unwrap();
    assert_eq!(items.len(), orders.len());
    let code = |item: usize| items[item]["problem"]["code"].as_str().unwrap_or("accepted");
    let codes: Vec<&str> = (0..items.len()).map(code).collect();
    assert_eq!(codes, ["accepted", "Q-1405", "Q-1103", "accepted", "Q-1002", "Q-2103"]);
    assert_eq!(items[1]["problem"]["status"], json!(422));
    let offer = id_of(&items[0]["receipt"]);
    assert_eq!(a.get(&format!("/v1/offers/{offer}")).await.ok()["state"], json!("live"));

    let again = crate::bank::Got::of(post(orders.clone()).send().await.unwrap()).await.ok();
    assert_eq!(again["items"][3]["receipt"]["repeated"], json!(true));
    assert_eq!(again["items"][3]["receipt"]["order"], items[3]["receipt"]["order"]);
    for count in [0, 257] {
        let many = orders.iter().cycle().take(count).cloned().collect();
        let got = crate::bank::Got::of(post(many).send().await.unwrap()).await;
        assert_eq!((got.status, got.code()), (400, "Q-2103".to_owned()));
    }
}
