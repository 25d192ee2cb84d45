//! Payments, ways, fees, netting and hooks asked for by those who mean harm: each refusal has its
//! code and a remedy, and nothing changes.

use reqwest::Method;
use serde_json::{Value, json};

use crate::bank::{Bank, Got, Town};

/// As a path's segment.
fn segment(asset: &str) -> String {
    asset.replace('#', "%23")
}

async fn refused(bank: &Bank, method: Method, path: &str, body: &Value, want: (u16, &str)) {
    let got = bank.send(method.as_str(), path, body).await;
    assert_eq!((got.status, got.code().as_str()), want, "{method} {path} {body}");
    assert!(got.json()["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{path}");
}

#[tokio::test]
async fn amounts_fees_and_parties_that_cannot_be_are_refused_with_their_codes() {
    let town = Town::new().await;
    let a = &town.banks[0];
    let euro = town.world.lock().unwrap().eur.to_string();
    let (at, before) = (segment(&euro), a.get("/v1/log/head").await.ok());
    for (amount, want) in [
        ("0", (422, "Q-1417")),
        ("-1", (400, "Q-2104")),
        ("1.5", (400, "Q-2104")),
        ("340282366920938463463374607431768211456", (400, "Q-2104")),
    ] {
        let path = format!("/v1/paths?to=bank-b.example&asset={at}&amount={amount}");
        let got = a.get(&path).await;
        assert_eq!((got.status, got.code().as_str()), want, "{path}");
    }
    let fee = format!("/v1/correspondents/fees/{at}");
    for (body, want) in [
        (json!({ "flat": "0", "ppm": 1_000_001 }), (422, "Q-2626")),
        (json!({ "flat": "0", "ppm": -1 }), (400, "Q-2103")),
        (json!({ "flat": "-1", "ppm": 0 }), (400, "Q-2103")),
        (json!({ "flat": "0", "ppm": 0, "more": 1 }), (400, "Q-2103")),
    ] {
        refused(a, Method::PUT, &fee, &body, want).await;
    }
    for (peer, amount, through, want) in [
        ("bank-a.example", "5", "bank-b.example", (422, "Q-2705")),
        ("bank-b.example", "5", "bank-a.example", (422, "Q-2705")),
        ("bank-b.example", "5", "bank-b.example", (422, "Q-2705")),
        ("bank-b.example", "0", "bank-c.example", (422, "Q-1417")),
        ("bank-b.example", "-5", "bank-c.example", (400, "Q-2103")),
    ] {
        let body = json!({ "peer": peer, "asset": euro, "amount": amount, "through": through });
        refused(a, Method::POST, "/v1/settle-up", &body, want).await;
    }
    assert_eq!(a.get("/v1/log/head").await.ok(), before);
}

#[tokio::test]
async fn a_trader_changes_nothing_of_the_banks_and_reads_nobodys_identity() {
    let town = Town::new().await;
    let a = &town.banks[0];
    let (euro, alice) = {
        let world = town.world.lock().unwrap();
        (segment(&world.eur.to_string()), world.alice.ledger)
    };
    let before = a.get("/v1/log/head").await.ok();
    for (method, path) in [
        ("GET", format!("/v1/ledgers/{alice}/identity")),
        ("PUT", format!("/v1/ledgers/{alice}/identity")),
        ("POST", format!("/v1/ledgers/{alice}/replace-key")),
        ("GET", "/v1/subscriptions".to_owned()),
        ("POST", "/v1/subscriptions".to_owned()),
        ("DELETE", "/v1/subscriptions/h-00000000".to_owned()),
        ("PUT", "/v1/netting".to_owned()),
        ("POST", "/v1/netting".to_owned()),
        ("POST", "/v1/settle-up".to_owned()),
        ("POST", format!("/v1/positions/bank-b.example/{euro}/explain")),
        ("PUT", format!("/v1/travel-rule/{euro}")),
        ("DELETE", format!("/v1/travel-rule/{euro}")),
        ("PUT", "/v1/correspondents/transit".to_owned()),
        ("PUT", format!("/v1/correspondents/fees/{euro}")),
        ("POST", format!("/v1/assets/{euro}/close")),
    ] {
        let request = a.request(method, &path, &a.trader).json(&json!({}));
        let got = Got::of(request.send().await.unwrap()).await;
        assert_eq!((got.status, got.code().as_str()), (403, "Q-2109"), "{method} {path}");
    }
    assert_eq!(a.get("/v1/log/head").await.ok(), before);
}
